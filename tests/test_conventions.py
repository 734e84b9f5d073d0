"""The conventions of DESIGN.md section 6, each as an assertion. Whoever guesses differently breaks here first."""


import numpy as np
import pytest

import bqp
from bqp import losses, supervision
from bqp.testing import reference

LABELS = [0, 0, 1, 2, 1]
CODES = np.array([[1, 1, -1], [1, -1, -1], [-1, 1, 1], [1, 1, 1], [-1, -1, 1]], dtype=np.int8)


def spin_problem(n=6, seed=0, sense="min"):
    rng = np.random.default_rng(seed)
    A = rng.integers(-5, 6, (n, n))
    return bqp.BQP(A + A.T, rng.integers(-5, 6, n), 3.0, sense=sense)


class TestConvention1Objective:
    """ksh = sum over all ordered pairs, diagonal included, of w_ij (q S_ij - b_i.b_j)^2, not normalised."""

    def naive(self, y, B, a):
        total, q = 0, B.shape[1]
        for i in range(len(y)):
            for j in range(len(y)):
                total += a[i] * a[j] * (q * (1 if y[i] == y[j] else -1) - int(B[i].astype(int) @ B[j].astype(int))) ** 2
        return total

    def test_value(self):
        a = [1, 2, 1, 3, 1]
        S = supervision.from_labels(LABELS, weights=a)
        assert S.ksh_objective(CODES) == losses.value(S, CODES, "ksh") == self.naive(LABELS, CODES, a)

    def test_energy_of_the_last_bit_is_the_objective(self):
        S = supervision.from_labels(LABELS)
        problem = losses.bit_problem(S, CODES[:, :2], loss="ksh", n_bits=3)
        assert problem.energy(CODES[:, 2]) == S.ksh_objective(CODES)


class TestConvention2Supervision:
    """Unknown means W = 0, never S = 0; real-valued targets are allowed."""

    def test_unknown_pairs_weigh_nothing(self):
        S = supervision.from_pairs([0], [1], [1.0], n=3)
        target, weight = S.pair_values(np.array([0, 0]), np.array([1, 2]))
        assert target[0] == 1 and weight.tolist() == [1.0, 0.0]
        before = S.ksh_objective([[1, 1], [1, 1], [1, 1]])
        assert S.ksh_objective([[1, 1], [1, 1], [-1, 1]]) == before

    def test_zero_is_a_target_like_any_other(self):
        S = supervision.from_matrix(np.array([[1.0, 0.0], [0.0, 1.0]]))
        assert S.ksh_objective([[1, 1], [1, 1]]) == 2 * (2 * 0.0 - 2) ** 2
        assert S.ksh_objective([[1, 1], [1, -1]]) == 0.0


class TestConvention3Fields:
    """Fields exclude the variable itself; delta_i = -4 x_i f_i - 2 c_i x_i in the spin domain."""

    def test_fields_and_deltas(self):
        problem = spin_problem()
        Q = problem.Q.to_dense()
        assert np.diagonal(Q).any()
        for x in reference.all_assignments(problem.n):
            fields = (Q - np.diag(np.diagonal(Q))) @ x
            np.testing.assert_array_equal(problem.Q.fields(x), fields)
            deltas = -4 * x * fields - 2 * problem.c * x
            np.testing.assert_array_equal(problem.flip_deltas(x), deltas)
            np.testing.assert_array_equal(deltas, reference.deltas_of(Q, problem.c, x))


class TestConvention5BitTargets:
    """residual: q S - earlier bits; stagewise: k S; full: bits not yet solved count as agreeing."""

    @pytest.mark.parametrize("solved", [0, 1, 2])
    @pytest.mark.parametrize("target", ["residual", "stagewise", "full"])
    def test_energies(self, target, solved):
        q = 3
        y = np.array(LABELS)
        S = np.where(y[:, None] == y, 1, -1)
        earlier = CODES[:, :solved].astype(int)
        want = {"residual": q * S, "stagewise": (solved + 1) * S, "full": q * S - (q - solved - 1)}[target]
        problem = losses.bit_problem(supervision.from_labels(y), CODES[:, :solved], target=target, n_bits=q)
        for x in reference.all_assignments(len(y)):
            x = x.astype(int)
            assert problem.energy(x) == ((want - earlier @ earlier.T - np.outer(x, x)) ** 2).sum()


class TestConvention6Gap:
    """gap = energy - lower_bound, absolute; relative_gap = gap / max(|lower_bound|, tiny)."""

    def solution(self, energy, bound):
        return bqp.Solution(np.ones(1, np.int8), energy, bqp.Status.LOCAL_OPTIMUM, bound)

    def test_gaps(self):
        assert self.solution(-99.0, -100.0).gap == 1.0
        assert self.solution(-99.0, -100.0).relative_gap == 0.01
        assert self.solution(101.0, 100.0).relative_gap == 0.01
        assert self.solution(1.0, -np.inf).gap == np.inf
        assert self.solution(1.0, -np.inf).relative_gap == np.inf
        assert self.solution(0.0, 0.0).relative_gap == 0.0
        assert self.solution(1.0, 0.0).relative_gap == 1.0 / np.finfo(float).tiny


class TestConvention7Sense:
    """energy is minimised, -objective for "max"; target and lower_bound are energies, bound is in the user's sense."""

    def test_problem(self):
        low, high = spin_problem(sense="min"), spin_problem(sense="max")
        for x in reference.all_assignments(low.n):
            assert high.objective(x) == low.objective(x) == low.energy(x) == -high.energy(x)

    def test_solution(self):
        low, high = spin_problem(sense="min"), spin_problem(sense="max")
        energies = reference.all_energies(low)[1]
        least, most = bqp.solve(low, rng=0), bqp.solve(high, rng=0)
        assert least.objective == least.energy == least.bound == energies.min()
        assert most.objective == most.bound == energies.max()
        assert most.energy == most.lower_bound == -energies.max()

    def test_target_is_an_energy(self):
        problem = spin_problem(n=40, sense="max")
        solution = bqp.solve(problem, solver="tabu_search", target=0.0, reductions=(), rng=0)
        assert solution.status is bqp.Status.TARGET_REACHED
        assert solution.energy <= 0.0 <= solution.objective


class TestConvention9Signs:
    """A margin >= 0 codes to +1; in descents a tie keeps the present value; codes int8, packed little-endian."""

    def test_margins(self):
        from hashers import packing

        B = packing.signs(np.array([[0.0, -0.0, 1e-300, -1e-300]]))
        assert B.dtype == np.int8 and B.tolist() == [[1, 1, 1, -1]]

    @pytest.mark.parametrize("order", ["cyclic", "random", "greedy"])
    def test_ties_keep_the_present_value(self, order):
        x0 = np.array([1, -1, -1, 1, -1], dtype=np.int8)
        problem = bqp.BQP(np.zeros((5, 5)))
        solver = bqp.solvers.CoordinateDescent(order=order, n_restarts=1)
        solution = solver.solve(problem, x0=x0, rng=0)
        assert solution.x.dtype == np.int8 and solution.x.tolist() == x0.tolist() and solution.n_moves == 0

    def test_packing(self):
        from hashers import packing

        B = np.array([[1, -1, 1, -1, -1, -1, -1, -1, -1, 1]], dtype=np.int8)
        packed = packing.pack(B)
        assert packed.dtype == np.uint8 and packed.tolist() == [[0b101, 0b10]]
        np.testing.assert_array_equal(packing.unpack(packed, 10), B)

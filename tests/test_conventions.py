"""The conventions of DESIGN.md section 6, each as an assertion. Whoever guesses differently breaks here first."""

import inspect
import json
import os
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import bqp
from bqp import cli, codes, losses, supervision
from bqp.forms import Grouped, LowRank
from bqp.testing import reference
from hashers import TSH, metrics, packing
from hashers.functions import LinearFunction

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

    def test_codes_report_it_with_bounds_on_the_same_scale(self):
        y = [0, 0, 1, 2, 1]
        result = codes.bitwise(supervision.from_labels(y), n_bits=4, rng=0)
        assert result.ksh_objective == result.objective == self.naive(y, result.B, np.ones(5))
        assert result.lower_bound <= result.ksh_lower_bound <= result.ksh_objective
        every = [self.naive([0, 1], B.reshape(2, 3), [1, 1]) for B in reference.all_assignments(6)]
        small = codes.bitwise(supervision.from_labels([0, 1]), n_bits=3, order="cyclic", rng=0)
        assert small.ksh_lower_bound <= min(every) <= small.ksh_objective

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


class TestConvention4Defaults:
    """Where DESIGN lists alternatives "a|b|c", the first is the default."""

    @pytest.mark.parametrize(
        ("function", "defaults"),
        [
            (bqp.BQP.__init__, {"domain": "spin", "sense": "min", "c": None, "offset": 0.0}),
            (bqp.solve, {"solver": "auto", "reductions": "auto", "n_jobs": 1, "n_solutions": 1, "certify": False}),
            (bqp.lower_bound, {"method": "auto"}),
            (bqp.read, {"format": None}),
            (bqp.write, {"format": None}),
            (codes.bitwise, {"loss": "ksh", "solver": "auto", "target": "residual", "order": "sequential"}),
            (codes.bitwise, {"n_bits": 32, "reductions": "auto", "rng": 0}),
            (supervision.from_labels, {"unlabeled": -1}),
            (metrics.mean_average_precision, {"ties": "expected", "k": None, "weights": None}),
            (metrics.mean_ndcg, {"ties": "expected", "k": None}),
            (metrics.precision_at_radius, {"radius": 2, "empty": "zero"}),
        ],
    )
    def test_first_is_default(self, function, defaults):
        parameters = inspect.signature(function).parameters
        assert {name: parameters[name].default for name in defaults} == defaults

    def test_databases_are_hashed_unless_learned_is_asked_for(self):
        from hashers import cli as hashers_cli

        assert inspect.signature(hashers_cli.compare).parameters["database"].default == "hashed"


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
        assert self.solution(1.0, 0.0).relative_gap > 1e307


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

    def test_command_line_speaks_the_sense_of_the_user(self, tmp_path, capsys):
        W = np.random.default_rng(0).integers(-9, 10, (12, 12))
        problem = bqp.BQP.from_maxcut(np.triu(W, 1) + np.triu(W, 1).T)
        bqp.write(problem, tmp_path / "cut.npz")
        best = bqp.solve(problem, rng=0).objective
        assert cli.main(["solve", str(tmp_path / "cut.npz"), "--json", "--target", str(best)]) == 0
        record = json.loads(capsys.readouterr().out)
        assert record["sense"] == "max" and record["objective"] == record["bound"] == best
        assert record["energy"] == record["lower_bound"] == -best
        assert cli.main(["solve", str(tmp_path / "cut.npz")]) == 0
        shown = capsys.readouterr().out
        assert f"{best:g}" in shown and f"{-best:g}" not in shown


class TestConvention8PublishedModes:
    """Published modes return the last B, the trace keeps the best; default modes return the best."""

    def run(self, mode, seed):
        S = supervision.from_labels(np.arange(24) % 3)
        noise = np.random.default_rng(seed)

        def refit(B, bits, sample_weight=None):
            return noise.standard_normal((24, len(bits)))

        return codes.discrete_cyclic(S, n_bits=6, nu=1.0, mode=mode, refit=refit, rng=seed)

    def test_published_returns_the_last(self):
        uphill = 0
        for seed in range(8):
            result = self.run("published", seed)
            assert result.objective == pytest.approx(result.trace.objective[-1], rel=1e-12)
            assert result.stats["best_objective"] == pytest.approx(result.trace.objective.min(), rel=1e-12)
            uphill += result.objective > result.stats["best_objective"]
        assert uphill > 0, "no run went uphill: this test shows nothing"

    def test_default_returns_the_best(self):
        for seed in range(3):
            result = self.run("default", seed)
            assert np.all(np.diff(result.trace.objective) <= 1e-12 * np.abs(result.trace.objective[:-1]))
            assert result.objective == pytest.approx(result.trace.objective.min(), rel=1e-12)


class TestConvention9Signs:
    """A margin >= 0 codes to +1; in descents a tie keeps the present value; codes int8, packed little-endian."""

    def test_margins(self):
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
        B = np.array([[1, -1, 1, -1, -1, -1, -1, -1, -1, 1]], dtype=np.int8)
        packed = packing.pack(B)
        assert packed.dtype == np.uint8 and packed.tolist() == [[0b101, 0b10]]
        np.testing.assert_array_equal(packing.unpack(packed, 10), B)

    def test_codes_and_hashers(self):
        X, y = np.random.default_rng(0).standard_normal((30, 4)), np.arange(30) % 3
        result = codes.bitwise(supervision.from_labels(y), n_bits=10, rng=0)
        hasher = TSH(n_bits=10, function=LinearFunction(), random_state=0).fit(X, y)
        for B in (result.B, hasher.codes_, hasher.transform(X)):
            assert B.dtype == np.int8 and set(np.unique(B)) <= {-1, 1} and B.shape == (30, 10)
        packed = hasher.encode(X)
        assert packed.dtype == np.uint8 and packed.shape == (30, 2)
        bits = np.unpackbits(packed, axis=1, bitorder="little")
        np.testing.assert_array_equal(2 * bits[:, :10].astype(int) - 1, hasher.transform(X))
        assert not bits[:, 10:].any(), "the padding is not zero"
        np.testing.assert_array_equal(hasher.transform(X), packing.signs(hasher.decision_function(X)))


class TestConvention10Labels:
    """(n,) of any comparable kind or (n, L) label sets; -1 unknown; just {-1, +1} raises and names the remedy."""

    NAMES = ["cat", "dog", "cat", "emu", "dog", "emu"]

    def kinds(self):
        number = np.array([0, 1, 0, 2, 1, 2])
        return [self.NAMES, number, number.astype(float) + 0.5, np.eye(3, dtype=int)[number]]

    def test_one_meaning_everywhere(self):
        B = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (6, 5))
        X = np.random.default_rng(1).standard_normal((6, 3))
        objectives, scores, learned = set(), set(), set()
        for y in self.kinds():
            S = supervision.from_label_sets(y) if np.ndim(y) == 2 else supervision.from_labels(y)
            objectives.add(S.ksh_objective(B))
            scores.add(metrics.mean_average_precision(B[:3], B, np.asarray(y)[:3], y))
            learned.add(TSH(n_bits=4, function=LinearFunction(), random_state=0).fit(X, y).result_.ksh_objective)
        assert len(objectives) == len(scores) == len(learned) == 1

    def test_unknown_labels(self):
        S = supervision.from_labels([0, 1, -1, 0])
        _, weights = S.pair_values(np.array([0, 0, 2]), np.array([1, 2, 2]))
        assert weights.tolist() == [1.0, 0.0, 0.0]

    def test_signs_as_labels(self):
        y, B = np.array([-1, 1, 1, -1]), np.ones((4, 3), np.int8)
        X = np.random.default_rng(0).standard_normal((4, 2))
        for call in (
            lambda: supervision.from_labels(y),
            lambda: metrics.mean_average_precision(B, B, y, y),
            lambda: TSH(n_bits=2, function=LinearFunction()).fit(X, y),
        ):
            with pytest.raises(ValueError, match="unlabeled=None"):
                call()
        assert supervision.from_labels(y, unlabeled=None).known.all()


class TestConvention11Json:
    """No infinities: an absent bound is null."""

    def strict(self, text):
        def refuse(word):
            raise AssertionError(f"{word} is no JSON")

        return json.loads(text, parse_constant=refuse)

    def test_bqp_solve(self, tmp_path, capsys):
        problem = bqp.BQP.from_qubo(np.random.default_rng(0).integers(-9, 10, (40, 40)))
        bqp.write(problem, tmp_path / "p.npz")
        arguments = ["--solver", "tabu_search", "--max-moves", "100", "--reductions", "none", "--json"]
        assert cli.main(["solve", str(tmp_path / "p.npz"), *arguments]) == 0
        record = self.strict(capsys.readouterr().out)
        needed = "file n solver seed status energy objective sense lower_bound bound gap time n_moves x"
        assert set(needed.split()) <= set(record)
        assert record["lower_bound"] is record["bound"] is record["gap"] is None
        assert problem.energy(record["x"]) == record["energy"]

    def test_hashers_compare(self, capsys, monkeypatch):
        from hashers import cli as hashers_cli

        arguments = ["--methods", "lsh,tsh", "--bits", "4", "--functions", "linear", "--train", "200", "--json"]
        monkeypatch.setattr(sys, "argv", ["hashers", "compare", *arguments])
        try:
            hashers_cli.main()
        except SystemExit as stop:
            assert not stop.code, stop
        rows = self.strict(capsys.readouterr().out)
        needed = (
            "dataset method function n_bits seed database objective lower_bound map map_stable precision_radius2 "
            "seconds_codes seconds_function seconds_encode seconds_evaluate"
        )
        assert len(rows) == 2 and all(set(needed.split()) <= set(row) for row in rows)
        assert [row["lower_bound"] is None for row in rows].count(True) == 1, "random projections have no bound"


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
class TestConvention12SamePath:
    """Kernels compiled by a small call serve a large one."""

    def signatures(self):
        from numba.core.dispatcher import Dispatcher

        kernels = {
            f"{name}.{key}": value
            for name, module in list(sys.modules.items())
            if name.startswith("bqp.kernels.")
            for key, value in vars(module).items()
            if isinstance(value, Dispatcher)
        }
        return {(name, str(signature)) for name, kernel in kernels.items() for signature in kernel.signatures}

    def problem(self, kind, n):
        rng = np.random.default_rng(n)
        if kind == "dense":
            A = rng.integers(-9, 10, (n, n))
            return bqp.BQP(A + A.T, rng.integers(-9, 10, n))
        if kind == "sparse":
            A = sp.random_array((n, n), density=0.8 / n, rng=rng, data_sampler=lambda size: rng.integers(-9, 10, size))
            return bqp.BQP(sp.csr_array(A + A.T), rng.integers(-2, 3, n))
        if kind == "low_rank":
            return bqp.BQP(LowRank(rng.integers(-1, 2, (n, 3)).astype(np.int8)), rng.integers(-9, 10, n))
        return bqp.BQP(Grouped(rng.integers(0, 3, n), np.ones((3, 3))), rng.integers(-9, 10, n))

    @pytest.mark.parametrize("kind", ["dense", "sparse", "low_rank", "grouped"])
    def test_a_large_call_compiles_nothing(self, kind):
        for n in (60, 2500):
            for solver in ("coordinate_descent", "tabu_search"):
                bqp.solve(self.problem(kind, n), solver=solver, max_moves=50, rng=0, reductions=())
            bqp.solve(self.problem(kind, n), max_moves=50, rng=0)
            if n == 60:
                small = self.signatures()
        assert small
        assert self.signatures() == small

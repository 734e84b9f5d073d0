"""Bounds by matrices: sweeps against plain numpy, proofs against rational arithmetic, bounds against enumeration."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import bqp
from bqp.bounds import storages
from bqp.bounds.definite import CapacitanceProof, cholesky_proof, lowest_ritz_value, lu_proof
from bqp.bounds.homogeneous import dual_bound, homogenise
from bqp.bounds.semidefinite import Mixing, semidefinite_bound
from bqp.bounds.spectral import spectral_bound
from bqp.bounds.storages import DenseHomogeneous, SparseHomogeneous, StructuredHomogeneous, homogeneous
from bqp.forms import Grouped, LowRank, Sparse, Sum
from bqp.kernels.levels import level_width
from bqp.kernels.mixing import mixing_sweep
from bqp.testing import check_bound, reference
from bqp.testing.strategies import float_problems, integers, problems

CASES = 10_000 if settings.default.max_examples >= 2000 else 200
STRUCTURED = ("low_rank", "low_rank_float", "grouped", "weighted_groups")


def structured(problem):
    """The problem's matrix as diagonal plus low rank, whatever its size."""
    spin = problem.to_spin()
    parts = spin.Q.parts if isinstance(spin.Q, Sum) else (spin.Q,)
    diagonal = spin.Q.diagonal()
    return StructuredHomogeneous(parts, diagonal, spin.c, spin.offset + float(diagonal.sum()))


def sparse(problem):
    """The problem's matrix as CSR, with proofs by SuperLU."""
    A, constant = homogenise(problem)
    matrix = SparseHomogeneous(sp.csr_array(A), constant, 10_000)
    matrix.dense = False
    return matrix


def dense(problem):
    return DenseHomogeneous(*homogenise(problem))


def is_semidefinite(M):
    """Whether a matrix of Fractions is positive semidefinite: symmetric elimination without rounding."""
    M = [list(row) for row in M]
    for k in range(len(M)):
        if M[k][k] < 0 or (M[k][k] == 0 and any(M[k][k + 1 :])):
            return False
        for i in range(k + 1, len(M)):
            if M[k][i] != 0:
                factor = M[k][i] / M[k][k]
                for j in range(i, len(M)):
                    M[i][j] -= factor * M[k][j]
                    M[j][i] = M[i][j]
    return True


def fractions(M, added):
    return [
        [Fraction(float(value)) + (Fraction(float(added[i])) if i == j else 0) for j, value in enumerate(row)]
        for i, row in enumerate(np.asarray(M))
    ]


def test_the_rational_check_tells_definite_from_indefinite():
    assert is_semidefinite(fractions([[1, 1], [1, 1]], [0, 0]))
    assert not is_semidefinite(fractions([[1, 1], [1, 1]], [0, -1e-300]))
    assert not is_semidefinite(fractions([[0, 1], [1, 5]], [0, 0]))


# ---- proofs ----------------------------------------------------------------------------------------------------------


@st.composite
def barely_definite(draw):
    """Singular positive semidefinite matrices of integers, moved to either side of the border by little or nothing."""
    n = draw(st.integers(1, 6))
    B = draw(integers(n, draw(st.integers(1, n)), -3, 3))
    scale = draw(st.sampled_from([1.0, 0.1, 1e-3]))
    return scale * (B @ B.T) + draw(st.sampled_from([0.0, 1e-17, -1e-17, 1e-15, -1e-15, 1e-13, 1e-9, 1.0])) * np.eye(n)


@settings(max_examples=CASES // 2)
@given(barely_definite())
def test_factorisations_prove_what_they_claim(M):
    for proof in (cholesky_proof(M.copy()), lu_proof(sp.csc_array(M))):
        if proof is not None:
            slack, solve = proof
            assert is_semidefinite(fractions(M, np.full(len(M), slack)))
            assert slack <= 1e-12 * len(M) * np.trace(M) + 1e-290
            assert solve(np.ones(len(M))).shape == (len(M),)


def test_factorisations_succeed_and_fail_where_they_should():
    rng = np.random.default_rng(0)
    M = sp.csc_array(np.triu(rng.standard_normal((30, 30)) * (rng.random((30, 30)) < 0.2), 1))
    M = sp.csc_array(M + M.T)
    lowest = np.linalg.eigvalsh(M.toarray())[0]
    for shift, succeeds in ((1e-6, True), (-1e-6, False)):
        moved = sp.csc_array(M + (shift - lowest) * sp.eye_array(30))
        for proof in (lu_proof(moved), cholesky_proof(moved.toarray())):
            assert (proof is not None) is succeeds
            if proof is not None:
                b = rng.standard_normal(30)
                np.testing.assert_allclose(moved @ proof[1](b), b, atol=1e-6)
    assert lu_proof(sp.csc_array((3, 3))) is None and cholesky_proof(np.zeros((3, 3))) is None


@settings(max_examples=CASES // 2)
@given(st.data())
def test_the_capacitance_proves_what_it_claims(data):
    n, p = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    W, S = data.draw(integers(n, p, -3, 3)), data.draw(integers(p, p))
    S = S + S.T
    D = data.draw(integers(n, None, 1, 9)) / 7.0
    extra = np.flatnonzero(data.draw(integers(n, None, 0, 1)))
    signs = -data.draw(integers(len(extra), None, 0, 5)) / 3.0
    proof = CapacitanceProof(lambda a, b: W[a:b], S, n)
    missing = proof.missing(D, extra, signs)
    exact = fractions(np.zeros((n, n)), D)
    for i in range(n):
        for j in range(n):
            exact[i][j] += sum(
                Fraction(W[i, a]) * Fraction(S[a, b]) * Fraction(W[j, b]) for a in range(p) for b in range(p)
            )
    for i, sign in zip(extra, signs):
        exact[i][i] += Fraction(float(sign))
    for factor, expected in ((missing, True), (0.999 * missing - 1e-9, False)):
        if expected or missing > 1e-6:
            moved = [list(row) for row in exact]
            for i in range(n):
                moved[i][i] += Fraction(float(factor)) * Fraction(D[i])
            assert is_semidefinite(moved) is expected


def test_ritz_values_come_from_above():
    rng = np.random.default_rng(1)
    M = rng.standard_normal((40, 40))
    M = M + M.T
    lowest = np.linalg.eigvalsh(M)[0]
    assert lowest - 1e-12 <= lowest_ritz_value(M.__matmul__, 40, 40) <= lowest + 1e-9
    assert lowest_ritz_value(M.__matmul__, 40, 5) > lowest
    assert lowest_ritz_value(np.zeros((3, 3)).__matmul__, 3, 3) == 0.0


@settings(max_examples=CASES // 2)
@given(problem=problems(6), data=st.data())
def test_any_dual_vector_gives_a_valid_bound(problem, data):
    A, _ = homogenise(problem)
    Z = reference.all_assignments(len(A)).astype(float)
    least = np.einsum("zi,ij,zj->z", Z, A, Z).min()  # integers over powers of two: exact
    y = data.draw(integers(len(A), None, -20, 3)) / 3.0
    matrices = [dense(problem), sparse(problem)]
    parts = problem.Q.parts if isinstance(problem.Q, Sum) else (problem.Q,)
    if all(isinstance(part, LowRank | Grouped) for part in parts):
        matrices.append(structured(problem))
    for matrix in matrices:
        value, shift = matrix.prove(y / matrix.scale)
        assert value * matrix.scale <= least and shift <= 0.0
        np.testing.assert_allclose(
            matrix.product(np.eye(matrix.n)) * matrix.scale, A, atol=1e-12 * max(1, abs(A).max())
        )
    assert dual_bound(A, y)[0] <= least


# ---- sweeps ----------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(problem=problems(7, 2, STRUCTURED + ("sum",)), omega=st.sampled_from([0.0, 0.7, 0.9]), seed=st.integers(0, 9))
def test_sweeps_are_the_plain_ones_and_never_rise(problem, omega, seed):
    A, _ = homogenise(problem)
    parts = problem.Q.parts if isinstance(problem.Q, Sum) else (problem.Q,)
    start = np.random.default_rng(seed).standard_normal((len(A), 3))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    matrices = [dense(problem), sparse(problem)]
    if all(isinstance(part, LowRank | Grouped) for part in parts):
        matrices.append(structured(problem))
    for matrix in matrices:
        order = np.arange(matrix.n)
        if isinstance(matrix, StructuredHomogeneous):  # by groups, the extra spin last
            order[: problem.n] = matrix.order
        expected, V, norms = start.copy(), start.copy(), np.zeros(matrix.n)
        permuted = expected[order]
        reference.mixing_sweep(A[np.ix_(order, order)], permuted, omega)
        expected[order] = permuted
        before = np.sum(A * (start @ start.T))
        decrease = matrix.sweeper(V, norms)(omega) * matrix.scale
        if norms.min() > 1e-9:  # a field of 0 leaves v alone, unless rounding gives it a direction
            np.testing.assert_allclose(V, expected, atol=1e-9)
        else:
            np.testing.assert_allclose(np.linalg.norm(V, axis=1), 1.0)
        after = np.sum(A * (V @ V.T))
        assert decrease >= -1e-9 and np.isclose(before - after, decrease, atol=1e-9 * max(1.0, abs(before)))


@pytest.mark.parametrize("number", [np.float32, np.float64])
def test_blocks_make_the_sweep_of_the_plain_kernel(number):
    rng = np.random.default_rng(3)
    A = rng.integers(-9, 10, (150, 150)).astype(number)
    A = A + A.T
    np.fill_diagonal(A, 0)
    V = rng.standard_normal((150, 8)).astype(number)
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    W, norms, others = V.copy(), np.zeros(150, number), np.zeros(150, number)
    first = mixing_sweep(A, V, norms, 0.7)
    second = storages._dense_sweeper(A, W, others)(0.7)
    rtol = 1e-3 if number == np.float32 else 1e-10
    np.testing.assert_allclose(V, W, atol=rtol)
    np.testing.assert_allclose(norms, others, rtol=rtol)
    assert np.isclose(first, second, rtol=rtol)


# ---- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [semidefinite_bound, spectral_bound], ids=["semidefinite", "spectral"])
def test_contract(bound):
    check_bound(bound)


@settings(max_examples=CASES)
@given(problems(7))
def test_bounds_hold_on_every_form(problem):
    best = reference.optimum(problem)
    assert bqp.lower_bound(problem).value <= best
    assert spectral_bound(problem).value <= best
    assert semidefinite_bound(problem).value <= best


@settings(max_examples=CASES)
@given(float_problems(5))
def test_bounds_hold_in_exact_arithmetic(problem):
    best = reference.exact_optimum(problem)
    assert Fraction(semidefinite_bound(problem).value) <= best
    assert Fraction(spectral_bound(problem).value) <= best


def gap(bound):
    return (bound.certificate["relaxation"] - bound.value) / np.abs(bound.certificate["y"]).sum()


def glass(n, density=1.0, seed=0):
    rng = np.random.default_rng((seed, n))
    A = np.triu(rng.integers(-50, 51, (n, n)) * (rng.random((n, n)) < density), 1)
    return A + A.T


def test_the_bound_is_that_of_the_relaxation():
    """The proof costs next to nothing, and the four routes to it agree."""
    A = glass(60)
    whole = semidefinite_bound(bqp.BQP(A, np.arange(60) - 30.0))
    assert 0.0 <= gap(whole) <= 2e-5
    assert whole.value == semidefinite_bound(bqp.BQP(A, np.arange(60) - 30.0)).value
    assert whole.value <= whole.certificate["relaxation"]
    V = whole.certificate["V"]
    np.testing.assert_allclose(np.linalg.norm(V, axis=1), 1.0, rtol=1e-12)
    loose = semidefinite_bound(bqp.BQP(A, np.arange(60) - 30.0), max_sweeps=3)
    assert loose.value < whole.value and loose.certificate["sweeps"] == 3


@pytest.mark.parametrize("kind", ["low_rank", "groups", "both", "weighted"])
def test_structured_bounds_are_those_of_the_matrix(kind):
    rng = np.random.default_rng(5)
    n = 120
    low_rank = LowRank(rng.integers(-3, 4, (n, 4)).astype(np.int8), np.array([1.0, -2.0, 0.5, 1.0]))
    M = rng.integers(-9, 10, (5, 5)).astype(float)
    groups = rng.integers(0, 5, n)
    form = {
        "low_rank": low_rank,
        "groups": Grouped(groups, M + M.T),
        "both": Sum([low_rank, Grouped(groups, M + M.T), Grouped(rng.integers(0, 5, n), M + M.T)]),
        "weighted": Sum([low_rank, Grouped(groups, M + M.T, rng.standard_normal(n))]),
    }[kind]
    for c in (None, rng.integers(-20, 21, n)):
        problem = bqp.BQP(form, c)
        assert isinstance(homogeneous(problem), StructuredHomogeneous)
        ours = semidefinite_bound(problem)
        full = semidefinite_bound(bqp.BQP(form.to_dense(), c))
        size = np.abs(full.certificate["y"]).sum()
        assert gap(ours) <= 1e-4 and abs(ours.value - full.value) <= 1e-4 * size
        assert spectral_bound(problem).value <= ours.value + 1e-4 * size


def test_structured_bounds_do_not_write_the_matrix_out():
    rng = np.random.default_rng(6)
    n = 4000
    form = Sum([LowRank(rng.choice([-1, 1], (n, 6)).astype(np.int8)), Grouped(rng.integers(0, 9, n), -8.0 * np.eye(9))])
    problem = bqp.BQP(form)
    semidefinite_bound(problem, max_sweeps=2)  # compiles
    tracemalloc.start()
    try:
        bound = semidefinite_bound(problem, rank=16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < n * n  # an eighth of the matrix
    assert gap(bound) <= 1e-4
    X = rng.choice(np.array([-1, 1], np.int8), (50, n))
    assert bound.value <= problem.energy(X).min()


def test_sparse_proofs_are_those_of_the_matrix():
    problem = bqp.BQP(Sparse(sp.csr_array(glass(350, 0.02))), np.arange(350) % 7 - 3.0)
    A, _ = homogenise(problem)
    by_lu, by_cholesky = sparse(problem), dense(problem)
    y = -np.abs(A).sum(axis=1) * 0.6 / by_lu.scale
    values = [matrix.prove(y)[0] for matrix in (by_lu, by_cholesky)]
    assert abs(values[0] - values[1]) <= 1e-6 * np.abs(y).sum()
    assert values[0] < y.sum(), "y needs a repair, else nothing is tested"
    bounds = [Mixing(m, np.random.default_rng(0)).bound(0.0, 500, 1e-5, lambda: False) for m in (by_lu, by_cholesky)]
    assert all(gap(bound) <= 2e-5 for bound in bounds) and bounds[0].value == pytest.approx(bounds[1].value, rel=1e-4)


def test_levels():
    side = 12
    index = np.arange(side * side).reshape(side, side)
    pairs = np.concatenate([np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()]),
                            np.stack([index[:-1].ravel(), index[1:].ravel()])], axis=1)  # fmt: skip
    grid = sp.csr_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(side * side,) * 2)
    grid = sp.csr_array(grid + grid.T)
    assert level_width(grid.indptr, grid.indices, 0, np.full(side * side, -1)) == side
    empty = sp.csr_array((5, 5))
    assert level_width(empty.indptr, empty.indices, 2, np.full(5, -1)) == 1


def test_large_problems_are_declined_with_a_reason(monkeypatch):
    with pytest.raises(bqp.ProblemError, match="n = 50; it has n = 60"):
        homogeneous(bqp.BQP(glass(60)), dense_up_to=50)
    big = bqp.BQP(Sparse(sp.csr_array(glass(350, 0.02))))
    with pytest.raises(bqp.ProblemError, match="would fill in"):
        homogeneous(big, dense_up_to=50)
    monkeypatch.setattr("bqp.bounds.AUTO_DENSE_UP_TO", 50)
    assert bqp.lower_bound(big).kind != "semidefinite"
    path = sp.diags_array([np.ones(59), np.ones(59)], offsets=[-1, 1], shape=(60, 60))
    assert bqp.lower_bound(bqp.BQP.from_maxcut(sp.csr_array(path))).value == -59.0


def test_auto_bounds_structured_problems_of_any_size():
    rng = np.random.default_rng(2)
    n = 20_000
    problem = bqp.BQP(LowRank(rng.choice([-1, 1], (n, 3)).astype(np.int8)))
    bound = bqp.lower_bound(problem)
    assert bound.kind == "semidefinite" and -1e-3 * n <= bound.value <= problem.energy(np.ones(n, np.int8))


@pytest.mark.parametrize("solver", ["SCS", "CLARABEL"])
def test_cvxpy_agrees(solver):
    problem = bqp.BQP(glass(25), np.arange(25) - 12.0, 3.0)
    ours = semidefinite_bound(problem)
    theirs = semidefinite_bound(problem, backend="cvxpy", solver=solver)
    size = np.abs(ours.certificate["y"]).sum()
    assert abs(ours.value - theirs.value) <= 1e-4 * size
    assert theirs.value <= ours.certificate["relaxation"]


def test_options():
    problem = bqp.BQP(glass(20))
    for options in ({"max_sweeps": 0}, {"rtol": -1.0}, {"rank": 0}, {"time_limit": "soon"}, {"backend": "mosek"}):
        with pytest.raises(bqp.ParameterError):
            semidefinite_bound(problem, **options)
    with pytest.raises(bqp.ParameterError, match="SCS, CLARABEL"):
        semidefinite_bound(problem, backend="cvxpy", solver="GUROBI")
    early = semidefinite_bound(problem, time_limit=0)
    assert np.isfinite(early.value) and early.certificate["sweeps"] == 0
    assert semidefinite_bound(problem, rank=1).certificate["V"].shape == (20, 1)
    fine = semidefinite_bound(problem, rtol=1e-9)
    assert gap(fine) <= 1e-7
    for method, options in (("auto", {"sweeps": 3}), ("spectral", {"rtol": 1e-3}), ("trivial", {"rank": 2})):
        with pytest.raises(bqp.ParameterError, match="unknown option"):
            bqp.lower_bound(problem, method=method, **options)
    assert bqp.lower_bound(problem, max_sweeps=2).value <= bqp.lower_bound(problem).value


def test_large_sums_of_unlike_parts_are_bounded_part_by_part():
    rng = np.random.default_rng(7)
    n = 60
    low_rank = LowRank(rng.integers(-3, 4, (n, 3)).astype(np.int8))
    pairs = Sparse(sp.csr_array(glass(n, 0.05)))
    problem = bqp.BQP(Sum([low_rank, pairs]), rng.integers(-9, 10, n), 5.0)
    whole = semidefinite_bound(problem)
    parts = semidefinite_bound(problem, dense_up_to=40)
    alone = semidefinite_bound(bqp.BQP(low_rank, problem.c, 5.0)).value + semidefinite_bound(bqp.BQP(pairs)).value
    assert parts.value == pytest.approx(alone, rel=1e-6) and parts.value <= whole.certificate["relaxation"]
    assert len(parts.certificate["parts"]) == 2 and whole.certificate["sweeps"] > 0
    with pytest.raises(bqp.ProblemError, match="up to n = 40"):  # a part that is dense is dense
        homogeneous(bqp.BQP(Sum([low_rank, bqp.forms.Dense(glass(n))])), dense_up_to=40)


@pytest.mark.parametrize("seed", range(8))
def test_parts_by_themselves_are_valid(seed):
    rng = np.random.default_rng(seed)
    n = 10
    low_rank = LowRank(rng.integers(-3, 4, (n, 2)).astype(np.int8), rng.integers(-3, 4, 2).astype(float))
    problem = bqp.BQP(Sum([low_rank, Sparse(sp.csr_array(glass(n, 0.2, seed)))]), rng.integers(-9, 10, n))
    bound = semidefinite_bound(problem, dense_up_to=5)
    assert "parts" in bound.certificate
    assert bound.value <= problem.energy(reference.all_assignments(n)).min()


def test_auto_looks_at_the_roof_dual_of_thin_problems():
    """A frustrated ring of strong linear terms: the roof dual is exact, the relaxation of the ring alone is not."""
    ring = np.roll(np.eye(5), 1, axis=1)
    problem = bqp.BQP(Sparse(sp.csr_array(ring + ring.T)), [0.7, 0.0, 0.0, 0.0, 0.0])
    best = max(bqp.lower_bound(problem, method=method).value for method in ("roof_dual", "semidefinite", "trivial"))
    assert bqp.lower_bound(problem).value == best

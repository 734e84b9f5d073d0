"""Kernels against their numpy twins, step by step, on every storage."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, example, given
from hypothesis import strategies as st

import bqp
from bqp.forms import Dense, Grouped, LowRank, Sparse, Sum
from bqp.kernels import descent, enumeration, lowrank, mixing, twins
from bqp.solvers.walks import DenseStorage, SparseStorage, StructuredStorage
from bqp.testing import reference
from bqp.testing import strategies as draw

STORAGES = ("int8", "int16", "int32", "float64", "sparse_int", "sparse_float", "structured")
FACTORS = {"int8": 1.0, "int16": 2.0**8, "int32": 2.0**18, "float64": 1.0, "sparse_int": 1.0, "sparse_float": 1.0}


@st.composite
def storages(data, kinds=STORAGES, max_n=8):
    """(storage, Q, c) of every kind, integers except for the two that say float."""
    kind, n = data(st.sampled_from(kinds)), data(st.integers(2, max_n))
    c = data(draw.integers(n, None, -6, 6))
    if kind == "structured":
        form, Q = data(draw.forms(n, ("low_rank", "low_rank_float", "grouped", "weighted_groups", "sum")))
        return StructuredStorage(bqp.BQP(form, c), form), Q, c
    Q = data(draw.symmetric(n))
    if kind in ("int16", "int32"):
        Q = Q * FACTORS[kind] + np.ones((n, n))  # odd, so that no larger unit divides all
    if kind in ("float64", "sparse_float"):
        Q, c = Q / 3.0, c / 3.0
    if kind.startswith("sparse"):
        form = Sparse(sp.csr_array(Q))
        storage = SparseStorage(bqp.BQP(form, c), form)
    else:
        form = Dense(Q)
        storage = DenseStorage(bqp.BQP(form, c), form)
    assert storage.exact or "float" in kind
    return storage, Q, c


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "float64"])
def test_rows_are_as_narrow_as_they_can_be(dtype):
    Q = {"int8": 1.0, "int16": 1000.0, "int32": 100_000.0, "float64": 1 / 3}[dtype] * (np.ones((4, 4)) + np.eye(4))
    Q[0, 1] = Q[1, 0] = 1.0
    form = Dense(Q)
    storage = DenseStorage(bqp.BQP(form), form)
    assert storage.row_dtype == dtype
    np.testing.assert_array_equal(storage.rows[:, :4] * storage.unit, 4 * np.where(np.eye(4), 0, Q))


def spins(n):
    return st.lists(st.sampled_from([-1, 1]), min_size=n, max_size=n).map(lambda x: np.array(x, np.int8))


def is_rounded(storage):
    """Whether sums are rounded: thirds, or a second set of groups, which is turned into eigenvectors."""
    if storage.kind != "structured":
        return any_thirds(storage.problem.Q.to_dense(), storage.problem.c)
    return sum(isinstance(part, Grouped) for part in getattr(storage.problem.Q, "parts", ())) > 1


def check_state(walk, Q, c, x, start):
    """The walk stands at x with the true energy; where deltas are kept they are the true ones."""
    n, kept = len(x), walk.storage.kind != "structured" or walk.in_tabu
    np.testing.assert_array_equal(walk.x[:n], x)
    exact = not is_rounded(walk.storage)
    close = {"rtol": 0, "atol": 0 if exact else 1e-9}
    np.testing.assert_allclose(walk.energy, reference.energy_of(Q, c, 0.0, x), **close)
    if kept:
        np.testing.assert_allclose(walk.delta[:n] * walk.unit, reference.deltas_of(Q, c, x), **close)
        assert np.all(walk.delta[n:] == walk.big), "the padding was written to"


@given(data=st.data(), case=storages())
def test_descent_follows_its_twin(data, case):
    storage, Q, c = case
    x, order = data.draw(spins(storage.n)), np.array(data.draw(st.permutations(range(storage.n))), np.int32)
    limit = data.draw(st.integers(0, storage.n + 1))
    walk = storage.start(x)
    position, moves = walk.descend(order, 0, storage.n, limit)
    expected, expected_moves = descend_twin(Q, c, x, order, limit, walk.tol * walk.unit)
    assert moves == expected_moves
    assert position == storage.n or moves == limit
    check_state(walk, Q, c, expected, x)


def any_thirds(Q, c):
    return not (np.array_equal(Q, np.rint(Q)) and np.array_equal(c, np.rint(c)))


def descend_twin(Q, c, x, order, limit, tol):
    """As `reference.descend`; ties of rounded numbers within the walk's tolerance are no gain."""
    if tol < 1e-9 and not any_thirds(Q, c):
        return reference.descend(Q, c, x, order, limit)
    x, moves = x.copy(), 0
    for i in order:
        if moves < limit and reference.deltas_of(Q, c, x)[i] < -max(tol, 1e-9):
            x[i], moves = -x[i], moves + 1
    return x, moves


@given(data=st.data(), case=storages(("int8", "int16", "int32", "sparse_int", "structured")))
def test_greedy_descent_follows_its_twin(data, case):
    storage, Q, c = case
    assume(not is_rounded(storage))
    x, limit = data.draw(spins(storage.n)), data.draw(st.integers(0, 12))
    walk = storage.start(x)
    finished, moves = walk.descend_greedy(limit)
    expected, expected_moves = reference.descend_greedy(Q, c, x, limit)
    assert moves == expected_moves
    if moves < limit:
        assert finished and reference.deltas_of(Q, c, expected).min() >= 0
    check_state(walk, Q, c, expected, x)


@given(data=st.data(), case=storages(), tenure=st.integers(1, 4), aspirate=st.booleans(), seed=st.integers(1, 2**40))
def test_tabu_moves_are_the_best_allowed(data, case, tenure, aspirate, seed):
    storage, Q, c = case
    n, x = storage.n, data.draw(spins(storage.n))
    walk = storage.start(x)
    walk.begin_tabu(seed)
    exact = not is_rounded(storage)
    best, free_from = reference.energy_of(Q, c, 0.0, x), np.zeros(n)
    for now in range(15):
        deltas, energy = reference.deltas_of(Q, c, x), reference.energy_of(Q, c, 0.0, x)
        assert walk.tabu(1, tenure, 0, 10**9, aspirate=aspirate) == 1
        flipped = np.flatnonzero(walk.x[:n] != x)
        allowed = free_from <= now
        if aspirate and energy + deltas.min() < best - (0 if exact else 1e-9):
            allowed[:] = True
        if not exact and aspirate and len(flipped) and not allowed[flipped].all():
            assert abs(energy + deltas.min() - best) < 1e-9  # a new best by rounding only
            allowed[:] = True
        if not allowed.any():
            assert len(flipped) == 0
            continue
        (i,) = flipped
        assert allowed[i], "a tabu variable moved without giving a new best"
        np.testing.assert_allclose(deltas[i], deltas[allowed].min(), rtol=0, atol=0 if exact else 1e-9)
        x = walk.x[:n].copy()
        free_from[i] = now + 1 + tenure
        best = min(best, reference.energy_of(Q, c, 0.0, x))
        check_state(walk, Q, c, x, x)
        np.testing.assert_allclose(reference.energy_of(Q, c, 0.0, walk.best_x[:n]), best, rtol=0, atol=1e-9)
        np.testing.assert_allclose(walk.best_energy, best, rtol=0, atol=0 if exact else 1e-9)


def test_tabu_follows_its_twin_where_nothing_ties():
    rng = np.random.default_rng(3)
    A = rng.standard_normal((12, 12))
    Q, c = A + A.T, rng.standard_normal(12)
    for form, kind in ((Dense(Q), DenseStorage), (Sparse(sp.csr_array(Q)), SparseStorage), (_low_rank(Q), None)):
        storage = (kind or StructuredStorage)(bqp.BQP(form, c), form)
        for aspirate in (True, False):
            walk = storage.start(np.ones(12, np.int8))
            walk.begin_tabu(1)
            last, best, flips = reference.tabu(Q, c, np.ones(12), 3, 60, aspirate)
            assert walk.tabu(60, 3, 0, 10**9, aspirate=aspirate) == 60
            np.testing.assert_array_equal(walk.x[:12], last)
            np.testing.assert_array_equal(walk.best_x[:12], best)
            assert len(set(flips)) > 3


def _low_rank(Q):
    values, vectors = np.linalg.eigh(Q)
    return LowRank(vectors, values)


@given(data=st.data(), case=storages(), cut=st.integers(1, 29), seed=st.integers(1, 2**40))
def test_tabu_resumes(data, case, cut, seed):
    storage, _, _ = case
    x = data.draw(spins(storage.n))
    whole, pieces = storage.start(x), storage.start(x)
    whole.begin_tabu(seed)
    pieces.begin_tabu(seed)
    whole.tabu(30, 2, 3, 10**9)
    pieces.tabu(cut, 2, 3, 10**9)
    pieces.tabu(30 - cut, 2, 3, 10**9)
    for name in ("x", "best_x", "delta", "stamp", "energies", "counters"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


@given(data=st.data(), case=storages(("int8", "sparse_int", "structured")))
def test_tabu_stops_at_target_and_stall(data, case):
    storage, Q, c = case
    assume(not is_rounded(storage))
    x = data.draw(spins(storage.n))
    energies = np.unique([reference.energy_of(Q, c, 0.0, y) for y in reference.all_assignments(storage.n)])
    walk = storage.start(x)
    walk.begin_tabu(5)
    target = data.draw(st.sampled_from(list(energies)))
    moves = walk.tabu(50, 1, 2, 10**9, target)
    assert walk.best_energy <= target or moves == 50
    if moves < 50 and moves > 0:
        assert walk.energy == walk.best_energy <= target
    walk = storage.start(x)
    walk.begin_tabu(5)
    assert walk.tabu(200, 1, 2, 7) <= 200
    assert walk.counters[0] - walk.counters[1] == 7


def test_inexact_walks_do_not_depend_on_chunks(monkeypatch):
    monkeypatch.setattr("bqp.solvers.walks.REBUILD_AFTER", 37)
    rng = np.random.default_rng(0)
    A = rng.standard_normal((30, 30))
    form = Dense(A + A.T)
    storage = DenseStorage(bqp.BQP(form, rng.standard_normal(30)), form)
    results = []
    for chunk in (1, 10, 37, 500):
        walk = storage.start(np.ones(30, np.int8))
        walk.begin_tabu(9)
        moves = 0
        while moves < 500:
            moves += walk.tabu(min(chunk, 500 - moves), 5, 4, 10**9)
        results.append((walk.x.copy(), walk.delta.copy(), walk.energies.copy(), walk.since_rebuild))
    for other in results[1:]:
        for mine, theirs in zip(results[0], other):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("diagonal", [1e-3, 2 / 3, 1e17])
def test_a_diagonal_does_not_round_deltas(diagonal):
    Q, x = np.array([[diagonal, 1.0], [1.0, 0.0]]), np.array([-1, -1], np.int8)
    dense, sparse = Dense(Q), Sparse(sp.csr_array(Q))
    for storage in (DenseStorage(bqp.BQP(dense), dense), SparseStorage(bqp.BQP(sparse), sparse)):
        walk = storage.start(x)
        assert storage.exact and (walk.delta[:2] * walk.unit).tolist() == [-4.0, -4.0]
        assert walk.descend(np.arange(2, dtype=np.int32), 0, 2, 9) == (2, 1)


def test_drift_is_undone(monkeypatch):
    monkeypatch.setattr("bqp.solvers.walks.REBUILD_AFTER", 3_000)
    rng = np.random.default_rng(1)
    A = rng.standard_normal((50, 50))
    form = Dense(A + A.T)
    storage = DenseStorage(bqp.BQP(form), form)
    walk = storage.start(np.ones(50, np.int8))
    walk.begin_tabu(3)
    assert walk.tabu(3_000, 5, 5, 10**9) == 3_000
    assert walk.since_rebuild == 0
    np.testing.assert_array_equal(walk.delta[:50], storage.deltas(walk.x[:50]))
    assert walk.tabu(1_000, 5, 5, 10**9) == 1_000
    assert walk.since_rebuild == 1_000
    np.testing.assert_allclose(walk.delta[:50], storage.problem.flip_deltas(walk.x[:50]), rtol=0, atol=1e-10)


@given(data=st.data(), n=st.integers(1, 8))
def test_cancelling_parts_move_nothing_by_rounding(data, n):
    form, _ = data.draw(draw.forms(n, ("grouped", "weighted_groups", "low_rank_float")))
    other, _ = data.draw(draw.forms(n, ("grouped",)))
    zero = Sum([other, form, other.scaled(-1.0), form.scaled(-1.0)])
    walk = StructuredStorage(bqp.BQP(zero), zero).start(data.draw(spins(n)))
    assert walk.descend(np.arange(n, dtype=np.int32), 0, n, 100) == (n, 0)
    assert walk.descend_greedy(100) == (True, 0)


@given(data=st.data(), n=st.integers(1, 8))
def test_structured_deltas(data, n):
    form, Q = data.draw(draw.forms(n, ("low_rank", "weighted_groups", "sum")))
    c, x = data.draw(draw.integers(n)), data.draw(spins(n))
    storage = StructuredStorage(bqp.BQP(form, c), form)
    walk, out = storage.start(x), np.empty(n)
    U, _, groups, a, _, indptr, indices, values = storage.arrays()
    descent.structured_deltas(U, groups, a, indptr, indices, values, storage.diagonal, c, x, walk.t, walk.field, out)
    np.testing.assert_allclose(out, reference.deltas_of(Q, c, x), rtol=0, atol=1e-9)


@given(data=st.data(), n=st.integers(1, 7))
def test_enumeration_keeps_the_best(data, n):
    Q, c = data.draw(draw.symmetric(n)), data.draw(draw.integers(n))
    n_low, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, 9))
    x = data.draw(spins(n)).astype(float)
    fixed = x.copy()
    energies, codes = np.full(k, np.inf), np.zeros(k, np.uint64)
    enumeration.enumerate_low_bits(Q, c, x, n_low, energies, codes)
    Q0 = Q - np.diag(np.diagonal(Q))
    every = [np.concatenate([low, fixed[n_low:]]) for low in reference.all_assignments(n_low)]
    best = np.sort([reference.energy_of(Q0, c, 0.0, y) for y in every])[:k]
    np.testing.assert_array_equal(energies[: len(best)], best)
    assert np.all(np.isinf(energies[len(best) :]))
    assert len(set(codes[: len(best)].tolist())) == len(best)
    for energy, code in zip(best, codes):
        y = np.array([1 if int(code) >> i & 1 else -1 for i in range(n)])
        assert reference.energy_of(Q0, c, 0.0, y) == energy
        np.testing.assert_array_equal(y[n_low:], fixed[n_low:])


@given(data=st.data(), n=st.integers(0, 7))
def test_twin_labels(data, n):
    base = data.draw(draw.integers(n, None, 0, 2)).astype(int)
    M = data.draw(draw.symmetric(3, -1, 1))
    Q = M[np.ix_(base, base)] if n else np.zeros((0, 0))
    Q[np.diag_indices(n)] = data.draw(draw.integers(n))
    csr = Sparse(sp.csr_array(Q)).Q
    dense = twins.twin_labels_dense(Q)
    sparse = twins.twin_labels_sparse(csr.indptr, csr.indices, csr.data)
    for i in range(n):
        for j in range(i):
            expected = reference.are_twins(Q, i, j)
            assert (dense[i] == dense[j]) == expected
            assert (sparse[i] == sparse[j]) == expected


@given(data=st.data(), n=st.integers(0, 8), r=st.integers(1, 18))
@example(data=None, n=2, r=9)
def test_equal_rows(data, n, r):
    U = np.zeros((n, r)) if data is None else data.draw(draw.integers(n, r, 0, 1))
    if data is None:
        U[0, 8] = -0.0
    for dtype in (np.int8, np.float32, np.float64):
        labels = twins.equal_row_labels(U.astype(dtype))
        for i in range(n):
            for j in range(i):
                assert (labels[i] == labels[j]) == np.array_equal(U[i], U[j])


@pytest.mark.parametrize("rank", [0, 1, 300])
def test_products_with_int8(rank):
    rng = np.random.default_rng(rank)
    U = rng.integers(-128, 128, (50, rank)).astype(np.int8)
    x, t, d = rng.integers(-1, 2, 50).astype(float), rng.integers(-9, 9, rank).astype(float), np.ones(rank)
    wide, out, long = U.astype(np.int64), np.full(rank, np.nan), np.full(50, np.nan)
    lowrank.lowrank_project(U, x, out)
    np.testing.assert_array_equal(out, wide.T @ x)
    lowrank.lowrank_apply(U, t, long)
    np.testing.assert_array_equal(long, wide @ t)
    lowrank.lowrank_diagonal(U, d, long)
    np.testing.assert_array_equal(long, (wide**2).sum(axis=1))


def test_int8_columns_never_overflow_in_a_walk():
    rng = np.random.default_rng(7)
    U = np.where(rng.random((60, 300)) < 0.5, np.int8(-128), np.int8(127))
    form = Sum([LowRank(U), Grouped(np.arange(60) % 3, -np.ones((3, 3)))])
    c = rng.integers(-9, 9, 60).astype(float)
    Q = U.astype(np.int64) @ U.T.astype(np.int64) - 1.0
    storage = StructuredStorage(bqp.BQP(form, c), form)
    assert storage.exact and storage.U.dtype == np.int8
    walk, order = storage.start(np.ones(60, np.int8)), np.arange(60, dtype=np.int32)
    walk.descend(order, 0, 60, 10**6)
    expected, _ = reference.descend(Q, c, np.ones(60), order)
    check_state(walk, Q, c, expected, None)
    walk.begin_tabu(1)
    walk.tabu(50, 3, 2, 10**9)
    check_state(walk, Q, c, walk.x[:60].copy(), None)


def test_mixing_sweep_against_its_formula():
    rng = np.random.default_rng(0)
    A = rng.integers(-3, 4, (7, 7)).astype(float)
    Q = np.triu(A, 1) + np.triu(A, 1).T
    V = rng.standard_normal((7, 3))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    expected, norms = V.copy(), np.empty(7)
    for i in range(7):
        g = Q[i] @ expected
        norms[i] = np.linalg.norm(g)
        expected[i] = -g / norms[i]
    before, out = np.sum(Q * (V @ V.T)), np.empty(7)
    decrease = mixing.mixing_sweep(Q, V, out)
    np.testing.assert_allclose(V, expected, atol=1e-12)
    np.testing.assert_allclose(out, norms, atol=1e-12)
    np.testing.assert_allclose(decrease, before - np.sum(Q * (V @ V.T)), atol=1e-9)

"""Blocks are what they claim, and their minima are minima."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import losses, supervision
from bqp.codes.block_descent import BlockDescent, constant_is_optimal, sorted_minimum
from bqp.codes.blocks import check_blocks, greedy_blocks, similar_blocks
from bqp.errors import ProblemError
from bqp.forms import Dense, Grouped, LowRank, Sparse, Sum
from bqp.kernels.blocks import block_pairs
from bqp.problem import BQP
from bqp.testing import similarities as cases


def problem_of(rng, form, n, block, attract=True, linear=True, density=0.7):
    """A small integer problem whose pairs inside `block` attract."""
    c = rng.integers(-8, 9, n).astype(float) if linear else np.zeros(n)
    if form == "structured":
        groups = rng.integers(0, 3, n)
        U = cases.codes(rng, n, 2)
        M = cases.symmetric(rng, 3, -6, 6)
        M[np.ix_(np.unique(groups[block]), np.unique(groups[block]))] = -4.0 if attract else 1.0
        a = rng.integers(1, 3, n).astype(float) if rng.random() < 0.3 else None
        if a is not None:
            return BQP(Sum([Grouped(groups, M, a), LowRank((U * a[:, None]).astype(np.int8))]), c)
        return BQP(Sum([Grouped(groups, M), LowRank(U)]), c)
    Q = cases.symmetric(rng, n, -5, 6) * cases.symmetric(rng, n, 0, 2)
    if rng.random() < 0.3:  # one common pair weight in the block
        Q[np.ix_(block, block)] = -2.0
    inside = np.ix_(block, block)
    Q[inside] = -np.abs(Q[inside]) if attract else Q[inside]
    return BQP(Dense(Q) if form == "dense" else Sparse(sp.csr_array(Q)), c)


def block_minimum(problem, x, block):
    X = np.repeat(x[None], 2 ** len(block), axis=0)
    X[:, block] = cases.all_assignments(len(block))
    energies = problem.energy(X)
    best = X[energies == energies.min()]
    return energies.min(), best


@settings(deadline=None, max_examples=120)
@given(
    form=st.sampled_from(("dense", "sparse", "structured")),
    n=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    linear=st.booleans(),
    small=st.booleans(),
)
def test_a_block_that_attracts_is_solved_exactly(form, n, seed, linear, small):
    rng = np.random.default_rng(seed)
    block = np.flatnonzero(rng.random(n) < 0.7)
    block = block if len(block) else np.array([0])
    problem = problem_of(rng, form, n, block, linear=linear)
    x = cases.codes(rng, n, 1)[:, 0]
    descent = BlockDescent(problem, x, exact_up_to=2 if small else 2000, attracting=True)
    other = np.setdiff1d(np.arange(n), block)
    if len(other):  # so that fields are carried over a move
        descent.solve_block(other[:1])
    before = problem.energy(descent.x)
    least, best = block_minimum(problem, descent.x.copy(), block)
    changed = descent.solve_block(block)
    after = problem.energy(descent.x)
    assert after <= before and changed == (after < before)
    if descent.n_exact == descent.n_blocks:
        assert after == least
    else:
        assert small and after - least <= descent.largest_gap
    if not small:
        assert descent.n_exact == descent.n_blocks
        uphill = BlockDescent(problem, best[0], attracting=True)
        uphill.solve_block(block, uphill=True)
        assert problem.energy(uphill.x) == least
        if form == "sparse":  # and the least minimiser: +1 only where every minimiser has it
            np.testing.assert_array_equal(uphill.x, best.min(axis=0))


@settings(deadline=None, max_examples=100)
@given(form=st.sampled_from(("dense", "sparse", "structured")), n=st.integers(2, 9), seed=st.integers(0, 2**32 - 1))
def test_blocks_that_do_not_attract_never_go_uphill(form, n, seed):
    rng = np.random.default_rng(seed)
    block = np.arange(rng.integers(2, n + 1))
    problem = problem_of(rng, form, n, block, attract=False)
    x = cases.codes(rng, n, 1)[:, 0]
    descent = BlockDescent(problem, x)
    descent.solve_block(block)
    assert problem.energy(descent.x) <= problem.energy(x)
    least, _ = block_minimum(problem, x, block)
    gap = problem.energy(descent.x) - least
    assert gap <= descent.largest_gap or (gap == 0 and descent.n_exact)
    descent.run([block, np.arange(n)[::-1]], rng, max_passes=30)
    assert np.all(problem.flip_deltas(descent.x) >= 0)


@settings(deadline=None, max_examples=120)
@given(m=st.integers(1, 8), seed=st.integers(0, 2**32 - 1), value=st.integers(-4, 0))
def test_sorting_solves_one_common_weight(m, seed, value):
    h = np.random.default_rng(seed).integers(-9, 10, m).astype(float)
    Y = cases.all_assignments(m)
    energies = value * Y.sum(axis=1).astype(float) ** 2 + Y @ h
    best = Y[energies == energies.min()]
    np.testing.assert_array_equal(sorted_minimum(float(value), h), best.min(axis=0))


@settings(deadline=None, max_examples=120)
@given(m=st.integers(1, 7), seed=st.integers(0, 2**32 - 1), sign=st.sampled_from((-1, 1)), low=st.integers(-12, 0))
def test_proven_constants_are_optimal(m, seed, sign, low):
    rng = np.random.default_rng(seed)
    A = -np.abs(cases.symmetric(rng, m, low, 1))
    np.fill_diagonal(A, 0)
    h = rng.integers(-9, 10, m).astype(float)
    Y = cases.all_assignments(m)
    energies = ((Y @ A) * Y).sum(axis=1) + Y @ h
    if constant_is_optimal(lambda index: A[index], h, sign):
        assert energies.min() == A.sum() + sign * h.sum()
    if np.all(sign * h <= 0):
        assert constant_is_optimal(lambda index: A[index], h, sign)


def test_a_constant_is_proven_where_unaries_disagree():
    A = -3.0 * (1 - np.eye(6))
    h = np.array([2.0, -1.0, 1.0, 1.0, -1.0, 2.0])
    assert constant_is_optimal(lambda index: A[index], h, -1) and not constant_is_optimal(lambda index: A[index], h, 1)


def test_large_structured_blocks_are_proven_or_bounded_without_a_matrix():
    rng = np.random.default_rng(0)
    n = 800
    U = cases.codes(rng, n, 16)
    for strength, exact in ((-40.0, True), (-17.0, False)):
        groups = np.zeros(n, np.int64)
        problem = BQP(Sum([Grouped(groups, [[strength]]), LowRank(U)]), c=rng.integers(-8e3, 8e3, n).astype(float))
        x = cases.codes(rng, n, 1)[:, 0]
        descent = BlockDescent(problem, x, exact_up_to=100, attracting=True)
        descent.solve_block(np.arange(n))
        energy = problem.energy(descent.x)
        assert energy < problem.energy(x) and (descent.n_exact == 1) == exact
        if exact:
            assert abs(descent.x.sum()) == n
        else:  # a cut of the written-out block lies between the bound and the descent
            written = BlockDescent(BQP(Dense(problem.Q.to_dense()), problem.c), x, exact_up_to=n)
            written.solve_block(np.arange(n))
            assert energy - descent.largest_gap <= problem.energy(written.x) <= energy


# ---- blocks --------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(case=cases.similarities(), loss=st.sampled_from(("ksh", "bre", "hinge", "exponential")), seed=st.integers(0, 99))
def test_similar_blocks_hold_all_known_points_and_no_repelling_pair(case, loss, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    loss = losses.get(loss)
    blocks = similar_blocks(similarity, loss, np.random.default_rng(seed))
    covered = np.zeros(len(S), bool)
    for block in blocks:
        assert len(block) == len(np.unique(block)) > 0
        inside = np.ix_(block, block)
        off = ~np.eye(len(block), dtype=bool)
        assert np.all(loss.attracts(S[inside])[off & (W[inside] > 0)])
        covered[block] = True
    np.testing.assert_array_equal(covered, similarity.known)


def test_blocks_of_labels_and_label_sets():
    loss, rng = losses.get("ksh"), np.random.default_rng(0)
    blocks = similar_blocks(supervision.from_labels([1, 0, 1, -1, 0]), loss, rng)
    assert [block.tolist() for block in blocks] == [[1, 4], [0, 2]]
    Y = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]])
    blocks = similar_blocks(supervision.from_label_sets(Y), loss, rng)
    assert [block.tolist() for block in blocks] == [[0, 1, 4], [1, 2], [3]]


def test_greedy_blocks_start_with_the_friends_of_the_root_and_respect_the_limit():
    signs = np.array([[0, -1, 0, 1], [-1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]])
    table = sp.csr_array(signs)
    for seed in range(10):
        blocks = greedy_blocks(table.indptr, table.indices, table.data.astype(np.int8), np.random.default_rng(seed))
        np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), np.arange(4))
        home = {int(i): b for b, block in enumerate(blocks) for i in block}
        assert home[0] == home[1] != home[3] and len(blocks) == 2
        limited = greedy_blocks(table.indptr, table.indices, table.data.astype(np.int8), np.random.default_rng(seed), 1)
        assert [len(block) for block in limited] == [1] * 4


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 9), seed=st.integers(0, 2**32 - 1), limit=st.integers(1, 9))
def test_kernels_do_what_their_twins_do(n, seed, limit):
    rng = np.random.default_rng(seed)
    A = cases.symmetric(rng, n, -2, 3) * cases.symmetric(rng, n, 0, 2)
    np.fill_diagonal(A, 0)
    table = sp.csr_array(A)
    # the pairs inside a block, each once, and the fields from outside
    block = rng.permutation(n)[: rng.integers(1, n + 1)]
    x = cases.codes(rng, n, 1)[:, 0]
    place, room = np.full(n, -1, np.int32), max(1, table.nnz)
    row, column, value, field = np.empty(room, int), np.empty(room, int), np.empty(room), np.empty(len(block))
    count = block_pairs(table.indptr, table.indices, table.data, block, place, x, row, column, value, field)
    rebuilt = np.zeros((len(block), len(block)))
    rebuilt[row[:count], column[:count]] = value[:count]
    np.testing.assert_array_equal(rebuilt, np.triu(A[np.ix_(block, block)]))
    outside = np.setdiff1d(np.arange(n), block)
    np.testing.assert_array_equal(field, A[np.ix_(block, outside)] @ x[outside])
    assert np.all(place == -1)
    # one block after another over a random order
    blocks = greedy_blocks(
        table.indptr, table.indices, np.sign(table.data).astype(np.int8), np.random.default_rng(seed), limit
    )
    order, free, expected = np.random.default_rng(seed).permutation(n).tolist(), set(range(n)), []
    while free:
        root = next(i for i in order if i in free)
        grown = [root]
        for j in [j for j in range(n) if A[root, j] < 0] + order:
            if j in free and j not in grown and len(grown) < limit and all(A[i, j] <= 0 for i in grown):
                grown.append(j)
        free -= set(grown)
        expected.append(sorted(grown))
    assert [block.tolist() for block in blocks] == expected


def test_blocks_of_the_caller():
    S = supervision.from_labels([0, 0, 1, -1])
    assert [block.tolist() for block in check_blocks([[1, 0, 1]], S)] == [[0, 1], [2]]
    with pytest.raises(ProblemError, match=r"block 1 must hold points in 0..3, got 4 at \(0\)"):
        check_blocks([[0], [4]], S)
    with pytest.raises(ProblemError, match="non-empty vectors"):
        check_blocks([[]], S)

"""The kernels of the joint search against their numpy twins, move by move, on integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp.kernels import joint
from bqp.testing import reference
from bqp.testing import similarities as cases


class Groups:
    """A squared loss on groups, with the arrays that the kernels follow it by."""

    def __init__(self, seed, n, q):
        rng = np.random.default_rng(seed)
        C = int(rng.integers(1, 4))
        self.T = cases.symmetric(rng, C, -2, 3).astype(float)
        self.groups = rng.integers(0, C, n).astype(np.int32)
        self.a = rng.integers(1, 3, n).astype(float)
        self.scale = float(rng.integers(1, q + 2))
        self.B = cases.codes(rng, n, q)
        self.order = rng.permutation(n)
        self.gain = np.zeros(1)
        self.pulls, self.moments = self.sums(self.B)

    def sums(self, B):
        sums = np.array([(self.a[:, None] * B)[self.groups == g].sum(axis=0) for g in range(len(self.T))])
        return self.scale * sums.T @ self.T, (B * self.a[:, None]).T.astype(float) @ B

    def value(self, B):
        target = self.scale * self.T[np.ix_(self.groups, self.groups)]
        return float(np.sum(np.outer(self.a, self.a) * (target - B.astype(float) @ B.T) ** 2))

    @property
    def arguments(self):
        total = float(self.a.sum())
        return self.T, self.scale, self.groups, self.a, total, self.pulls, self.moments, self.B

    def check(self, before, expected):
        np.testing.assert_array_equal(self.B, expected)
        assert self.gain[0] == self.value(self.B) - self.value(before)
        for kept, fresh in zip((self.pulls, self.moments), self.sums(self.B)):
            np.testing.assert_array_equal(kept, fresh)


class Pairs:
    """A table of losses on listed pairs of two points, in CSR order."""

    def __init__(self, seed, n, q):
        rng = np.random.default_rng(seed)
        pattern = np.triu(rng.random((n, n)) < 0.6, 1)
        pattern = pattern | pattern.T
        rows, self.indices = (part.astype(np.int32) for part in np.nonzero(pattern))
        self.indptr = np.concatenate([[0], np.cumsum(pattern.sum(axis=1))]).astype(np.int64)
        kinds, targets, weights = (cases.symmetric(rng, n, *ends) for ends in ((0, 2), (-2, 3), (1, 4)))
        self.kinds = kinds[rows, self.indices].astype(np.int32)
        self.targets, self.weights = (x[rows, self.indices].astype(float) for x in (targets, weights))
        self.table = rng.integers(-9, 10, (2, 2 * q + 1)).astype(float)
        self.slope = rng.integers(-3, 4, 2 * q + 1).astype(float)
        self.rows, self.B, self.order, self.gain = rows, cases.codes(rng, n, q), rng.permutation(n), np.zeros(1)

    def value(self, B):
        at = B.shape[1] + np.einsum("pk,pk->p", B[self.rows].astype(int), B[self.indices])
        return float(self.weights @ (self.table[self.kinds, at] + self.targets * self.slope[at]))

    def visit(self, start, stop, deltas, write):
        n, q = self.B.shape
        scratch = np.empty(n, np.int64), np.empty((q, n), np.int8)
        return joint.descend_table_points(
            *self.listed, self.B, self.order, start, stop, 0.0, *scratch, deltas, write, self.gain
        )

    @property
    def listed(self):
        return self.indptr, self.indices, self.kinds, self.targets, self.weights, self.table, self.slope


def single_flips(problem):
    B = problem.B
    return np.array(
        [
            [problem.value(reference.flip_bits(B, [(i, k)])) - problem.value(B) for k in range(B.shape[1])]
            for i in range(len(B))
        ]
    )


sizes = given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6), q=st.integers(1, 4))


@settings(deadline=None, max_examples=80)
@sizes
def test_points_settle_as_the_twin_says(seed, n, q):
    problem = Groups(seed, n, q)
    before, cut = problem.B.copy(), seed % (n + 1)
    expected = reference.descend_codes(problem.value, before, problem.order)
    changed = 0
    for start, stop in ((0, cut), (cut, n)):
        changed += joint.descend_points(*problem.arguments, problem.order, start, stop, 0.0, problem.gain)
    problem.check(before, expected)
    assert (changed > 0) == (not np.array_equal(before, expected))


@settings(deadline=None, max_examples=60)
@sizes
def test_single_deltas_are_those_of_the_loss(seed, n, q):
    problem, pairs = Groups(seed, n, q), Pairs(seed, n, q)
    deltas = np.empty((n, q))
    joint.single_deltas(*problem.arguments, deltas)
    np.testing.assert_array_equal(deltas, single_flips(problem))
    before = pairs.B.copy()
    assert pairs.visit(0, n, deltas, True) == 0 and pairs.gain[0] == 0.0
    np.testing.assert_array_equal(pairs.B, before)
    np.testing.assert_array_equal(deltas, single_flips(pairs))


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(2, 6), q=st.integers(1, 4), settled=st.booleans(), stale=st.booleans()
)
@pytest.mark.parametrize("kind", [Groups, Pairs])
def test_swaps_are_those_of_the_twin(kind, seed, n, q, settled, stale):
    problem = kind(seed, n, q)
    if settled and kind is Groups:
        joint.descend_points(*problem.arguments, problem.order, 0, n, 0.0, problem.gain)
    deltas = single_flips(problem)
    if stale:
        deltas += np.random.default_rng(seed).integers(-9, 10, deltas.shape)
    believed, before, cut = deltas.copy(), problem.B.copy(), 1 + seed % n
    problem.gain[0] = 0.0
    moves = 0
    for start, stop in ((0, cut), (cut, n)):
        if kind is Groups:
            moves += joint.swap_points(*problem.arguments, deltas, start, stop, 0.0, problem.gain)
        else:
            moves += joint.swap_table_points(*problem.listed, problem.B, deltas, start, stop, 0.0, problem.gain)
    if kind is Groups:
        expected, beliefs, expected_moves = reference.swap_codes(problem.value, before, believed, range(n))
        problem.check(before, expected)
    else:  # two points without a pair: never looked at
        expected, beliefs, expected_moves = listed_swaps(problem, before, believed)
        np.testing.assert_array_equal(problem.B, expected)
        assert problem.gain[0] == problem.value(problem.B) - problem.value(before)
    assert moves == expected_moves
    np.testing.assert_array_equal(deltas, beliefs)


def listed_swaps(problem, B, deltas):
    """The twin on the pairs listed: point by point, partner by partner."""
    moves = 0
    for i in range(len(B)):
        for j in problem.indices[problem.indptr[i] : problem.indptr[i + 1]]:
            if j < i:
                rank = [int(j), i] + [p for p in range(len(B)) if p not in (i, j)]  # the pair comes first
                turned = reference.swap_codes(
                    lambda C, rank=rank: problem.value(C[np.argsort(rank)]), B[rank], deltas[rank], [1], all_bits=False
                )
                B, deltas, moves = turned[0][np.argsort(rank)], turned[1][np.argsort(rank)], moves + turned[2]
    return B, deltas, moves


@settings(deadline=None, max_examples=80)
@sizes
def test_listed_points_settle_as_the_twin_says(seed, n, q):
    problem = Pairs(seed, n, q)
    before, cut = problem.B.copy(), seed % (n + 1)
    expected = reference.descend_codes(problem.value, before, problem.order, pairs=False)
    nothing = np.empty((0, q))
    for start, stop in ((0, cut), (cut, n)):
        problem.visit(start, stop, nothing, False)
    np.testing.assert_array_equal(problem.B, expected)
    assert problem.gain[0] == problem.value(problem.B) - problem.value(before)


@settings(deadline=None, max_examples=60)
@sizes
def test_exact_bits_are_those_of_the_twin(seed, n, q):
    rng = np.random.default_rng(seed)
    kinds, weights = cases.symmetric(rng, n, 0, 2).astype(np.int64), cases.symmetric(rng, n, 0, 3).astype(float)
    table = 2.0 * rng.integers(-9, 10, (2, 2 * q + 1))
    B, counted = cases.codes(rng, n, q), rng.random(q) < 0.5
    bits = rng.integers(0, q, int(rng.integers(1, 5)))
    places = np.array([rng.permutation(n) for _ in bits])
    starts = cases.codes(rng, len(bits), n)

    def value(codes, counting):
        G = codes[:, counting].astype(int) @ codes[:, counting].T
        return float(np.sum(weights * table[kinds, q + G]))

    expected, replaced = reference.solve_codes(value, B, counted, bits, places, starts)
    before, whole = B.copy(), bool(np.all(counted))
    codes = B[:, counted].astype(np.int64)
    G, gain = codes @ codes.T, np.zeros(1)
    assert joint.solve_bits(kinds, weights, table, G, B, counted, bits, places, starts, 0.0, gain) == replaced
    np.testing.assert_array_equal(B, expected)
    assert np.all(counted[bits])
    np.testing.assert_array_equal(G, B[:, counted].astype(int) @ B[:, counted].T)
    if whole:
        assert gain[0] == value(B, counted) - value(before, counted)

"""Batches of rows that have pairs of both kinds."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bqp import supervision
from hashers.deep.batches import BalancedBatches, NeighbourBatches, RandomBatches, make_batches


def stream(seed=0):
    return np.random.default_rng(seed)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    n=st.integers(2, 60),
    n_labels=st.integers(1, 20),
    batch_size=st.integers(1, 40),
    unknown=st.booleans(),
)
@example(seed=0, n=2, n_labels=1, batch_size=1, unknown=False)
@example(seed=0, n=60, n_labels=20, batch_size=3, unknown=True)
def test_balanced_batches_of_labels(seed, n, n_labels, batch_size, unknown):
    y = stream(seed).integers(0, n_labels, n) + 2
    if unknown:
        y[1::3] = -1
    known = np.flatnonzero(y >= 0)
    batches = make_batches(supervision.from_labels(y), batch_size)(stream(seed))
    assert len(batches) == -(-len(known) // batch_size)
    for batch in batches:
        assert batch.dtype == np.int64 and len(np.unique(batch)) == len(batch) == min(batch_size, len(known))
        assert np.isin(batch, known).all()


def test_each_label_has_its_share_and_its_rows_take_turns():
    y = np.repeat([0, 1, 2, 3], [100, 20, 20, 20])
    batches = make_batches(supervision.from_labels(y), 40)(stream())
    for batch in batches:
        assert np.bincount(y[batch]).tolist() == [10, 10, 10, 10]
    first = np.concatenate([batch[y[batch] == 1] for batch in batches[:2]])
    assert len(np.unique(first)) == 20, "a label hands out all its rows before one comes again"


def test_with_many_labels_a_batch_has_pairs_of_some_and_all_have_their_turn():
    y = np.repeat(np.arange(50), 4)
    batches = make_batches(supervision.from_labels(y), 20)(stream())
    for batch in batches:
        assert set(np.bincount(y[batch], minlength=50)) == {0, 2}
    assert len(np.unique(y[np.concatenate(batches[:5])])) == 50


def test_label_sets_are_balanced_by_label_and_the_empty_set_is_one():
    Y = np.zeros((60, 3), int)
    Y[:40, 0], Y[40:50, 1], Y[35:45, 2] = 1, 1, 1
    batches = make_batches(supervision.from_label_sets(Y), 24)(stream())
    counts = np.mean([[*Y[batch].sum(axis=0), (Y[batch].sum(axis=1) == 0).sum()] for batch in batches], axis=0)
    assert counts.min() >= 5 and counts[0] <= 13, "two thirds of all rows have the first label"


def test_groups_without_labels_are_balanced_too():
    S = supervision.from_groups([0] * 30 + [1] * 6, [[1, -1], [-1, 1]])
    for batch in make_batches(S, 12)(stream()):
        assert np.bincount(S.groups[batch]).tolist() == [6, 6]


def test_pairs_come_with_neighbours_of_both_kinds():
    rng = stream()
    i, j = np.triu_indices(40, 1)
    chosen = rng.permutation(len(i))[:200]
    similar = (i[chosen] + j[chosen]) % 4 == 0
    S = supervision.from_pairs(i[chosen], j[chosen], np.where(similar, 1, -1), 45)
    batches = make_batches(S, 15, balanced=False)
    assert isinstance(batches, NeighbourBatches)
    T, W = S.to_dense()
    total = []
    for batch in batches(stream()):
        assert 5 <= len(batch) <= 15 and len(np.unique(batch)) == len(batch) and (batch < 40).all()
        kinds = (W[batch][:, batch] > 0) & (T[batch][:, batch] > 0), (W[batch][:, batch] > 0) & (T[batch][:, batch] < 0)
        total.append([kind.any(axis=1).sum() for kind in kinds])
    assert np.min(total) >= 5, "each of five rows has a neighbour of either kind"


def test_pairs_of_one_point_alone_are_no_neighbours():
    S = supervision.from_pairs([0, 0, 1], [0, 1, 2], [1, 1, -1], 4)
    for batch in make_batches(S, 3)(stream()):
        assert set(batch) <= {0, 1, 2}
        assert len(batch) >= 2


def test_a_matrix_and_random_batches_show_every_known_row_once():
    T = np.where(np.eye(7) > 0, 1.0, -1.0)
    W = np.ones((7, 7))
    W[2] = W[:, 2] = 0.0
    for S in (supervision.from_matrix(T, W), supervision.from_labels([0, 1, -1, 0, 1, 0, 1])):
        batches = make_batches(S, 4, balanced=False)
        assert isinstance(batches, RandomBatches)
        drawn = batches(stream())
        assert [len(batch) for batch in drawn] == [3, 3]
        assert sorted(np.concatenate(drawn)) == [0, 1, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", ["labels", "pairs", "random"])
def test_batches_follow_from_the_stream(kind):
    y = np.arange(30) % 3
    S = (
        supervision.from_labels(y)
        if kind != "pairs"
        else supervision.from_pairs(range(29), range(1, 30), [1, -1] * 14 + [1], 30)
    )
    batches = make_batches(S, 7, balanced=kind != "random")
    first, second, other = batches(stream(1)), batches(stream(1)), batches(stream(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other))


def test_a_label_without_rows_is_left_out():
    batches = BalancedBatches([np.array([3, 4]), np.array([], dtype=int), np.array([9])], 3)
    assert sorted(batches(stream())[0]) == [3, 4, 9]

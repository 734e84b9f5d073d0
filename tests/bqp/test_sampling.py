"""Drawn pairs: known ones of S, so many of each kind, every partner as likely as any other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import supervision
from bqp.errors import ParameterError, ProblemError
from bqp.supervision.sampling import draw_distinct
from bqp.testing import similarities as cases


@settings(deadline=None, max_examples=150)
@given(case=cases.similarities(), m_similar=st.integers(0, 3), m_dissimilar=st.integers(0, 3), seed=st.integers(0, 99))
def test_drawn_pairs_are_pairs_of_the_similarity(case, m_similar, m_dissimilar, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W) * (1 - np.eye(len(S)))
    counts = (m_similar, m_dissimilar)
    wanted = [np.minimum((W > 0) & (kind), 1).sum(axis=1) for kind in (S > 0, S <= 0)]
    if sum(np.minimum(have, m).sum() for have, m in zip(wanted, counts)) == 0:
        with pytest.raises((ParameterError, ProblemError)):
            supervision.sample_pairs(similarity, *counts, rng=seed)
        return
    pairs = supervision.sample_pairs(similarity, *counts, rng=seed)
    s, w = pairs.to_dense()
    assert np.all(np.diag(w) == 0)
    np.testing.assert_array_equal(w, np.where(w > 0, W, 0))
    np.testing.assert_array_equal(s, np.where(w > 0, S, 0))
    for have, m, mine in zip(wanted, counts, ((w > 0) & (s > 0), (w > 0) & (s <= 0))):
        # each point drew min(m, what there is), and is drawn by others
        assert np.all(mine.sum(axis=1) >= np.minimum(have, m)) and mine.sum() <= 2 * np.minimum(have, m).sum()
        np.testing.assert_array_equal(mine, mine.T)
    again = supervision.sample_pairs(similarity, *counts, rng=seed)
    np.testing.assert_array_equal(again.indices, pairs.indices)


def test_large_classes_draw_exactly_as_many_distinct_partners():
    y = np.arange(3000) % 3
    pairs = supervision.sample_pairs(supervision.from_labels(y), 20, 0, rng=1)
    assert np.all(y[pairs.rows] == y[pairs.indices]) and np.diff(pairs.indptr).min() >= 20
    assert 3000 * 39 < len(pairs.indices) <= 3000 * 40  # a pair is rarely drawn from both sides
    other = supervision.sample_pairs(supervision.from_labels(y), 20, 0, rng=2)
    assert not np.array_equal(other.indices, pairs.indices)


def test_label_sets_and_class_weights_limit_the_partners():
    Y = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    pairs = supervision.sample_pairs(supervision.from_label_sets(Y), 9, 0)
    np.testing.assert_array_equal(pairs.to_dense()[0], np.array(
        [[0, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    ))  # fmt: skip
    S = supervision.from_labels([0, 0, 1, 1], class_weights=np.array([[1.0, 0.0], [0.0, 2.0]]))
    s, w = supervision.sample_pairs(S, 5, 5).to_dense()
    assert w[0, 1] == 1 and w[2, 3] == 2 and w.sum() == 6 and np.all(s[w > 0] == 1)


@pytest.mark.parametrize("n, size, m", [(4000, 5, 2), (4000, 40, 3), (4000, 7, 9)])
def test_subsets_are_uniform(n, size, m):
    drawn = draw_distinct(np.random.default_rng(0), n, size, m)
    m = min(m, size)
    assert drawn.shape == (n, m) and all(len(set(row)) == m for row in drawn.tolist())
    counts = np.bincount(drawn.ravel(), minlength=size)
    expected = n * m / size
    assert np.all(np.abs(counts - expected) <= 5 * np.sqrt(expected))


def test_bad_calls():
    S = supervision.from_labels([0, 1])
    with pytest.raises(ParameterError, match="n_similar must be an integer >= 0, got -1"):
        supervision.sample_pairs(S, -1, 2)
    with pytest.raises(ParameterError, match="both 0"):
        supervision.sample_pairs(S, 0, 0)
    with pytest.raises(ProblemError, match="no known pair of two points"):
        supervision.sample_pairs(supervision.from_labels([3]), 1, 1)
    with pytest.raises(ProblemError, match="S must be a Similarity"):
        supervision.sample_pairs(np.eye(2), 1, 1)

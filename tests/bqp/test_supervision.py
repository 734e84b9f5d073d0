"""Similarities against S and W written out, and what bad input is told."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import supervision
from bqp.errors import ProblemError
from bqp.testing import similarities as cases


def naive_ksh(S, W, B):
    n, q = B.shape
    total = 0.0
    for i in range(n):
        for j in range(n):
            total += W[i, j] * (q * S[i, j] - int(B[i].astype(int) @ B[j].astype(int))) ** 2
    return total


@settings(deadline=None, max_examples=200)
@given(case=cases.similarities(), q=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_objective_and_pairs_are_those_of_the_matrices(case, q, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    B = cases.codes(np.random.default_rng(seed), len(S), q)
    assert similarity.ksh_objective(B) == naive_ksh(S, W, B)
    assert similarity.total_weight == W.sum()
    dense_S, dense_W = similarity.to_dense()
    np.testing.assert_array_equal(dense_W, W)
    np.testing.assert_array_equal(dense_S[W > 0], S[W > 0])
    i, j = np.divmod(np.arange(len(S) ** 2), len(S))
    s, w = similarity.pair_values(i, j)
    np.testing.assert_array_equal(w, W.ravel())
    np.testing.assert_array_equal(s, np.where(W > 0, S, 0).ravel())
    np.testing.assert_array_equal(similarity.known, W.any(axis=1))


@settings(deadline=None, max_examples=100)
@given(case=cases.similarities(), seed=st.integers(0, 2**32 - 1))
def test_restrict_is_a_submatrix(case, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    rng = np.random.default_rng(seed)
    index = rng.permutation(len(S))[: rng.integers(1, len(S) + 1)]
    if W[np.ix_(index, index)].sum() == 0:
        with pytest.raises(ProblemError, match="no pair has a positive weight"):
            similarity.restrict(index)
        return
    B = cases.codes(rng, len(index), 3)
    expected = naive_ksh(S[np.ix_(index, index)], W[np.ix_(index, index)], B)
    assert similarity.restrict(index).ksh_objective(B) == expected


@settings(deadline=None, max_examples=150)
@given(case=cases.similarities(kinds=("labels", "label_sets", "groups")), seed=st.integers(0, 2**32 - 1))
def test_collapse_and_drop_unknown_keep_the_objective(case, seed):
    similarity, S, W = case
    for collapse in (similarity.collapse("ksh"), similarity.drop_unknown()):
        small = collapse.similarity
        B = cases.codes(np.random.default_rng(seed), small.n, 3)
        lifted = collapse.lift(B)
        assert lifted.shape == (len(S), 3) and set(np.unique(lifted)) <= {-1, 1}
        assert small.ksh_objective(B) == similarity.ksh_objective(lifted) == naive_ksh(S, W, lifted)
        known = collapse.labels >= 0
        if known.all() or small.n == len(np.unique(collapse.labels[known])):
            np.testing.assert_array_equal(collapse.project(lifted), B)
        assert known[W.any(axis=1)].all()


def test_points_merge_when_their_group_attracts_itself():
    S = supervision.from_label_sets([[1, 0], [1, 0], [0, 0], [0, 0], [1, 1]])
    small = S.collapse("ksh").similarity
    assert small.n == 4  # {0}, {0, 1} and each of the two empty sets
    assert supervision.from_groups([0, 0], [[0.5]]).collapse("ksh").similarity.n == 2
    assert supervision.from_groups([0, 0], [[0.5]]).collapse("hinge").similarity.n == 1
    y = supervision.from_labels(["b", "a", "b", "?"], unlabeled="?").collapse()
    assert y.similarity.n == 2 and y.labels.tolist() == [1, 0, 1, -1]
    assert y.lift(np.array([[1, 1], [-1, 1]], np.int8)).tolist() == [[-1, 1], [1, 1], [-1, 1], [-1, 1]]


def test_distinct_points_in_another_order_are_lifted_back_in_order():
    S = supervision.from_labels([3, 1, 2])
    collapse = S.collapse()
    B = np.array([[1], [-1], [-1]], np.int8)
    assert collapse.lift(B).tolist() == [[-1], [1], [-1]]
    np.testing.assert_array_equal(collapse.project(collapse.lift(B)), B)


def test_labels_of_any_kind():
    for y in (["u", "v", "u"], [1.5, 2.0, 1.5], [True, False, True], np.array(["u", "v", "u"], object)):
        np.testing.assert_array_equal(supervision.from_labels(y).to_dense()[0], [[1, -1, 1], [-1, 1, -1], [1, -1, 1]])
    np.testing.assert_array_equal(supervision.from_labels([-1, 1], unlabeled=None).to_dense()[0], [[1, -1], [-1, 1]])
    assert supervision.from_labels([7, 7, 7]).ksh_objective(np.ones((3, 4), np.int8)) == 0
    S = supervision.from_labels([-1, 0, 1, -1])
    assert S.classes.tolist() == [0, 1] and S.known.tolist() == [False, True, True, False]


@pytest.mark.parametrize("L", [1, 7, 64, 65, 200])
def test_label_sets_of_any_width_and_sparse(L):
    rng = np.random.default_rng(L)
    Y = (rng.random((60, L)) < 2.0 / L).astype(np.uint8)
    expected = np.where(Y.astype(int) @ Y.T > 0, 1, -1)
    for given_sets in (Y, Y.astype(bool), Y.astype(float), sp.csr_array(Y.astype(int))):
        S = supervision.from_label_sets(given_sets)
        np.testing.assert_array_equal(S.to_dense()[0], expected)
        assert S.n_groups == len(np.unique(Y, axis=0))
        np.testing.assert_array_equal(S.classes[S.groups], Y)


def test_equal_hashes_do_not_merge_rows(monkeypatch):
    from bqp.supervision import grouped

    words = np.array([[1, 2], [2, 1], [1, 2], [5, 5]], dtype=np.uint64)
    monkeypatch.setattr(grouped, "_row_keys", lambda words: np.zeros(len(words), dtype=np.uint64))
    groups, first = grouped._equal_rows(words)
    assert (groups[0] == groups[2]) and len(set(groups.tolist())) == 3
    np.testing.assert_array_equal(words[first[groups]], words)


def test_int8_codes_do_not_overflow_at_200_bits():
    B = np.ones((4, 200), dtype=np.int8)
    B[3] = -1
    S, W = np.ones((4, 4)), np.ones((4, 4))
    expected = naive_ksh(S, W, B)
    i, j = np.divmod(np.arange(16), 4)
    for similarity in (
        supervision.from_groups([0, 0, 0, 0], [[1]]),
        supervision.from_groups([0, 0, 1, 1], np.ones((2, 2)), V=2 * np.ones((2, 2))),
        supervision.from_groups([0] * 4, [[1]], weights=[2, 1, 1, 1]),
        supervision.from_matrix(S),
        supervision.from_pairs(i, j, 1, 4),
    ):
        dense_S, dense_W = similarity.to_dense()
        assert similarity.ksh_objective(B) == naive_ksh(dense_S, dense_W, B) >= expected


def test_many_points_with_weights_between_groups_match_blocks():
    rng = np.random.default_rng(5)
    n = 2500  # beyond the size that is written out
    g = rng.integers(0, 4, n)
    V, T = cases.symmetric(rng, 4, 0, 4), cases.symmetric(rng, 4, -2, 3)
    a = rng.integers(0, 3, n).astype(float)
    B = cases.codes(rng, n, 9)
    for weights in (None, a):
        W = V[np.ix_(g, g)] * (1.0 if weights is None else np.outer(a, a))
        expected = np.sum(W * (9 * T[np.ix_(g, g)] - B.astype(float) @ B.T) ** 2)
        assert supervision.from_groups(g, T, V, weights).ksh_objective(B) == expected


def test_pairs_count_in_both_directions_and_once():
    S = supervision.from_pairs([0, 1, 2], [1, 0, 2], [1, 1, 0.5], 4)
    np.testing.assert_array_equal(S.to_dense()[1], [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    assert S.known.tolist() == [True, True, True, False]
    assert supervision.from_pairs([0], [1], -1, 2).targets.dtype == np.int8


def test_a_stored_zero_is_a_target_and_an_unstored_entry_is_unknown():
    S = sp.csr_array(([0.0, 0.0], ([0, 1], [1, 0])), shape=(3, 3))
    similarity = supervision.from_matrix(S)
    assert similarity.total_weight == 2
    assert similarity.ksh_objective([[1, 1], [1, 1], [1, 1]]) == 8


GOOD_T = [[1, -1], [-1, 1]]
BAD_CALLS = [
    (lambda: supervision.from_labels([]), "y is empty"),
    (lambda: supervision.from_labels([[1, 2]]), "must be a vector of labels, got shape (1, 2)"),
    (lambda: supervision.from_labels([1.0, np.nan]), "NaN at (1)"),
    (lambda: supervision.from_labels(np.array(["a", None], object)), "None at (1)"),
    (lambda: supervision.from_labels(np.array(["a", 3], object)), "cannot be compared"),
    (lambda: supervision.from_labels([-1, 1, 1]), "unlabeled=None"),
    (lambda: supervision.from_labels([-1.0, 1.0]), "unlabeled=None"),
    (lambda: supervision.from_labels([-1, -1]), "every label in y is -1"),
    (lambda: supervision.from_labels([0, 1], weights=[1, -2]), "at least 0, got -2.0 at (1)"),
    (lambda: supervision.from_labels([0, 1], weights=[0, 0]), "no pair has a positive weight"),
    (lambda: supervision.from_labels([0, 1], weights=[1, 1, 1]), "weights must have shape (2,), got (3,)"),
    (lambda: supervision.from_labels([0, 1], class_weights=[[1, 2], [3, 1]]), "V must be symmetric"),
    (lambda: supervision.from_labels(np.arange(20_001)), "20001 distinct labels"),
    (lambda: supervision.from_label_sets([0, 1]), "must have shape (n, L)"),
    (lambda: supervision.from_label_sets([[0, 2]]), "got 2 at (0, 1)"),
    (lambda: supervision.from_label_sets([[0, 1.0], [np.nan, 1]]), "got nan at (1, 0)"),
    (lambda: supervision.from_label_sets([[-1, 0]]), "got -1 at (0, 0)"),
    (lambda: supervision.from_label_sets([[-1, -1]]), "every row of Y is -1"),
    (lambda: supervision.from_label_sets(np.zeros((0, 3))), "at least one row"),
    (lambda: supervision.from_label_sets([["a"]]), "must hold 0 and 1, got dtype"),
    (lambda: supervision.from_groups([0, 2], GOOD_T), "got 2 at (1)"),
    (lambda: supervision.from_groups([0.5, 1], GOOD_T), "vector of integers"),
    (lambda: supervision.from_groups([], GOOD_T), "no points"),
    (lambda: supervision.from_groups([0, 1], [[1, 2]]), "square matrix over groups"),
    (lambda: supervision.from_groups([0, 1], [[1, np.inf], [np.inf, 1]]), "T must be finite, got inf at (0, 1)"),
    (lambda: supervision.from_groups([0, 1], [[1, 2], [3, 1]]), "T must be symmetric: got 2.0 at (0, 1)"),
    (lambda: supervision.from_groups([0, 1], GOOD_T, V=[[1, np.nan], [np.nan, 1]]), "V must be finite"),
    (lambda: supervision.from_pairs([0], [3], [1], 3), "j must lie in 0..2 since n is 3, got 3 at (0)"),
    (lambda: supervision.from_pairs([0, 1], [1], [1, 1], 3), "one length, got 2 and 1"),
    (lambda: supervision.from_pairs([], [], [], 3), "no pair is given"),
    (lambda: supervision.from_pairs([0], [1], [np.nan], 3), "s must be finite, got nan at (0)"),
    (lambda: supervision.from_pairs([0, 1], [1, 0], [1, -1], 3), "the pair (0, 1) has two targets, 1 and -1"),
    (lambda: supervision.from_pairs([0, 1], [1, 0], 1, 3, weights=[1, 2]), "(0, 1) has two weights"),
    (lambda: supervision.from_pairs([0], [1], [1], 0), "n must be a positive integer, the number of points, got 0"),
    (lambda: supervision.from_pairs([0], [1], ["x"], 2), "s must hold real numbers"),
    (lambda: supervision.from_pairs([0], [1], [1], 2, weights=[0]), "no pair has a positive weight"),
    (lambda: supervision.from_matrix([[1, 2]]), "S must be a square matrix, got shape (1, 2)"),
    (lambda: supervision.from_matrix(np.zeros((0, 0))), "S is empty"),
    (lambda: supervision.from_matrix([[1, np.nan], [np.nan, 1]]), "S must be finite, got nan at (0, 1)"),
    (lambda: supervision.from_matrix([[1, 0.5], [0, 1]]), "S must be symmetric: got 0.5 at (0, 1) and 0.0 at (1, 0)"),
    (lambda: supervision.from_matrix(GOOD_T, weights=[[1, -1], [-1, 1]]), "at least 0, got -1.0 at (0, 1)"),
    (lambda: supervision.from_matrix(sp.csr_array((2, 2))), "stores no entry"),
    (lambda: supervision.from_matrix(sp.csr_array(np.array([[0, 1], [0, 0]]))), "(0, 1) is stored and (1, 0) is not"),
    (lambda: supervision.from_matrix(sp.csr_array(np.array([[0, 1], [2, 0]]))), "the pair (0, 1) has two targets"),
    (lambda: supervision.from_matrix(sp.csr_array(np.array([[0, np.inf], [2, 0]]))), "got inf at (0, 1)"),
    (lambda: supervision.from_labels([0, 1]).ksh_objective([[1, 0], [1, 1]]), "must hold -1 or +1, got 0 at (0, 1)"),
    (lambda: supervision.from_labels([0, 1]).ksh_objective([[1], [1], [1]]), "must have shape (2, n_bits)"),
]


@pytest.mark.parametrize("call, message", BAD_CALLS, ids=[message for _, message in BAD_CALLS])
def test_bad_input_is_told_what_where_and_what_to_do(call, message):
    with pytest.raises(ProblemError) as caught:
        call()
    assert message in str(caught.value)

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, ShuffleSplit, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hashers import HBMP, TSH, LinearFunction, metrics
from hashers.model_selection import RetrievalFold, make_map_scorer, retrieval_split
from tests.hashers import _naive


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:240] / 16, y[:240]


def hasher(n_bits=6, **options):
    return TSH(n_bits=n_bits, function=LinearFunction(), order="sequential", random_state=0, **options)


def label_sets(seed, n=300, n_labels=6):
    """Labels from common to rare."""
    rng = np.random.default_rng(seed)
    return (rng.random((n, n_labels)) < 0.5 ** np.arange(1, n_labels + 1)).astype(int)


def check(split, n):
    assert np.array_equal(np.sort(np.concatenate([split.query, split.database])), np.arange(n))
    assert np.isin(split.train, split.database).all() and len(np.unique(split.train)) == len(split.train)
    for rows in split:
        assert rows.dtype == np.int64 and (np.diff(rows) > 0).all() and len(rows)


@given(
    seed=st.integers(0, 1000),
    n=st.integers(8, 60),
    n_classes=st.integers(1, 6),
    share=st.floats(0.05, 0.5),
    stratify=st.booleans(),
    sets=st.booleans(),
)
def test_splits_have_exact_counts(seed, n, n_classes, share, stratify, sets):
    rng = np.random.default_rng(seed)
    y = (rng.random((n, n_classes)) < 0.4).astype(int) if sets else rng.integers(0, n_classes, n)
    n_query = max(1, min(int(share * n), n - n_classes))
    split = retrieval_split(y, n_query, 3 if n - n_query >= 3 else 1, stratify=stratify, random_state=seed)
    check(split, n)
    assert len(split.query) == n_query and len(split.train) in (1, 3)
    again = retrieval_split(y, n_query, len(split.train), stratify=stratify, random_state=seed)
    assert all(np.array_equal(a, b) for a, b in zip(split, again))


@given(seed=st.integers(0, 1000), n_query=st.integers(1, 100), n_train=st.integers(1, 100))
def test_classes_keep_their_proportions(seed, n_query, n_train):
    y = np.repeat([0, 1, 2, 3], [150, 80, 60, 10])[np.random.default_rng(seed).permutation(300)]
    split = retrieval_split(y, n_query, n_train, random_state=seed)
    for rows, base in ((split.query, y), (split.train, y[split.database])):
        ideal = len(rows) * np.bincount(base, minlength=4) / len(base)
        assert (np.abs(np.bincount(y[rows], minlength=4) - ideal) < 1).all()


def test_a_class_with_one_member_stays_in_the_database():
    y = np.array([0] * 20 + [1] * 5 + [2])
    for seed in range(10):
        assert 25 in retrieval_split(y, 12, random_state=seed).database
        assert 25 in retrieval_split(y, 23, random_state=seed).database  # the most that can be asked for
    with pytest.raises(ValueError, match="one member of each of the 3 classes stays"):
        retrieval_split(y, 24)
    assert len(retrieval_split(y, 24, stratify=False).query) == 24


def test_label_sets_keep_their_proportions_rare_ones_too():
    for seed in range(5):
        Y = label_sets(seed)
        split = retrieval_split(Y, 60, 120, random_state=seed)
        share, inside = Y[split.query].sum(axis=0), Y[split.database]
        assert (np.abs(share - Y.sum(axis=0) * 0.2) <= 1).all()
        assert (np.abs(Y[split.train].sum(axis=0) - inside.sum(axis=0) * 0.5) <= 1).all()
        drawn = retrieval_split(Y, 60, 120, stratify=False, random_state=seed)
        assert np.abs(Y[drawn.query].sum(axis=0) - Y.sum(axis=0) * 0.2).max() > 1  # chance alone does not


def test_counts_per_class_and_per_label():
    y = np.repeat([5, 7, 9], [40, 30, 20])
    split = retrieval_split(y, 4, 10, per_class=True)
    check(split, 90)
    assert np.bincount(y[split.query])[[5, 7, 9]].tolist() == [4, 4, 4]
    assert np.bincount(y[split.train])[[5, 7, 9]].tolist() == [10, 10, 10]
    Y = label_sets(0, n_labels=4)
    split = retrieval_split(Y, 3, 5, per_class=True)
    check(split, 300)
    assert (Y[split.query].sum(axis=0) >= 3).all() and len(split.query) <= 12
    assert (Y[split.train].sum(axis=0) >= 5).all()
    with pytest.raises(ValueError, match="20 queries of each class asked for and 1 left"):
        retrieval_split(y, 20, per_class=True)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([0, 1, -1], {"n_query": 1}, "1 rows with an unknown label, first at 2"),
        ([[1, 0], [-1, -1]], {"n_query": 1}, "first at 1"),
        ([[1, 0], [0, 2]], {"n_query": 1}, "0 and 1 only"),
        ([0.0, np.nan], {"n_query": 1}, "missing value"),
        (["a", None], {"n_query": 1}, "missing value"),
        (["a", 1.5], {"n_query": 1, "unlabeled": None}, None),
        ([], {"n_query": 1}, r"shape is \(0,\)"),
        ([0, 1], {"n_query": 2}, "2 rows asked for, there are 2"),
        ([0, 0, 1, 1], {"n_query": 0}, "n_query must be a positive integer, or a share"),
        ([0, 0, 1, 1], {"n_query": 1.5}, "n_query must be"),
        ([0, 0, 1, 1], {"n_query": 1, "n_train": 9}, "9 rows asked for, there are 3"),
        ([0, 0, 1, 1], {"n_query": 0.5, "per_class": True}, "n_query must be a positive integer: 0.5"),
    ],
)
def test_bad_splits(y, options, message):
    if message is None:
        y = np.array(y, dtype=object)
        message = "cannot be compared"
    with pytest.raises(ValueError, match=message):
        retrieval_split(y, **options)


def test_labels_of_any_kind_split_alike():
    y = np.random.default_rng(0).integers(0, 3, 40)
    expected = retrieval_split(y, 8, 10)
    for other in (y.astype(str), y.astype(float), y.astype(object), y[:, None], pd.Series(y), y.tolist()):
        assert all(np.array_equal(a, b) for a, b in zip(expected, retrieval_split(other, 8, 10)))
    Y = label_sets(0)
    expected, ours = retrieval_split(Y, 30), retrieval_split(sparse.csr_array(Y), 30)
    assert np.array_equal(expected.query, ours.query)
    ones = np.where(y > 0, 1, -1)
    assert len(retrieval_split(ones, 8, unlabeled=None).query) == 8


@pytest.mark.parametrize("sets", [False, True])
def test_folds_deal_every_row_once(sets):
    y = label_sets(1) if sets else np.repeat([0, 1, 2], [150, 101, 49])
    folds = list(RetrievalFold(n_splits=4).split(None, y))
    assert np.array_equal(np.sort(np.concatenate([query for _, query in folds])), np.arange(300))
    for train, query in folds:
        assert len(query) == 75 and np.array_equal(np.sort(np.concatenate([train, query])), np.arange(300))
        members = y[query].sum(axis=0) if sets else np.bincount(y[query])
        everyone = y.sum(axis=0) if sets else np.bincount(y)
        assert (np.abs(members - everyone / 4) <= (2 if sets else 1)).all()
    again = list(RetrievalFold(n_splits=4).split(None, y))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(folds, again))


def test_folds_with_counts_and_unknown_labels():
    y = np.repeat([0, 1, -1], [50, 30, 20])
    fold = RetrievalFold(n_splits=3, n_query=10, n_train=40, random_state=1)
    folds = list(fold.split(np.zeros((100, 2)), y))
    assert len(folds) == fold.get_n_splits() == 3
    assert len({tuple(query) for _, query in folds}) == 3
    for train, query in folds:
        assert len(query) == 10 and len(train) == 40 and (y[query] >= 0).all() and not np.isin(train, query).any()
    whole = [np.concatenate(pair) for pair in RetrievalFold(n_splits=2).split(None, y)]
    assert all(np.array_equal(np.sort(rows), np.arange(100)) for rows in whole)
    assert clone(fold).get_params() == fold.get_params()
    cases = [({"n_splits": 1}, "n_splits=1"), ({"n_splits": 99}, "n_splits=99"), ({"n_splits": 2.0}, "n_splits")]
    for bad, message in cases:
        with pytest.raises(ValueError, match=message):
            list(RetrievalFold(**bad).split(None, y))
    with pytest.raises(ValueError, match="needs y"):
        list(fold.split(np.zeros((3, 2))))


def by_hand(X, y, train, query, n_bits, database="hashed", scale=True):
    """MAP of one split from the ranked twin: pessimistic and optimistic orders enclose it, stable is exact."""
    scaler = StandardScaler().fit(X[train])
    model = hasher(n_bits).fit(scaler.transform(X[train]), y[train])
    B_query = model.transform(scaler.transform(X[query]))
    B_database = model.codes_ if database == "learned" else model.transform(scaler.transform(X[train]))
    d, levels = _naive.distances(B_query, B_database), _naive.relevance(y[query], y[train])
    return np.mean([_naive.textbook_ap(_naive.rankings(d[a], levels[a], "stable")) for a in range(len(query))])


@pytest.mark.parametrize("database", ["hashed", "learned"])
def test_grid_search_over_a_pipeline(digits, database):
    X, y = digits
    scorer = make_map_scorer(X, y, RetrievalFold(2), database=database, ties="stable")
    pipeline = make_pipeline(StandardScaler(), hasher())
    search = GridSearchCV(pipeline, {"tsh__n_bits": [2, 12]}, scoring=scorer, cv=scorer.splits).fit(X, y)
    for number, n_bits in enumerate([2, 12]):
        for fold, (train, query) in enumerate(scorer.splits):
            expected = by_hand(X, y, train, query, n_bits, database)
            assert search.cv_results_[f"split{fold}_test_score"][number] == pytest.approx(expected, abs=1e-12)
    assert search.best_params_ == {"tsh__n_bits": 12} and search.best_score_ > 0.5


def test_training_order_is_that_of_the_split(digits):
    """ShuffleSplit permutes the training rows; the learned codes are matched with their own labels all the same."""
    X, y = digits
    scorer = make_map_scorer(X, y, ShuffleSplit(2, random_state=0, train_size=0.5, test_size=0.2), database="learned")
    (train, query), _ = scorer.splits
    assert (np.diff(train) < 0).any()
    scores = cross_val_score(hasher(12), X, y, scoring=scorer, cv=scorer.splits)
    model = hasher(12).fit(X[train], y[train])
    expected = metrics.mean_average_precision(model.transform(X[query]), model.codes_, y[query], y[train])
    assert scores[0] == expected and expected > 0.7


@pytest.mark.parametrize("kind", ["csr", "frame", "list", "float32"])
def test_features_of_any_kind(digits, kind):
    X, y = digits
    make = {"csr": sparse.csr_matrix, "frame": pd.DataFrame, "list": np.ndarray.tolist, "float32": np.float32}[kind]
    scorer = make_map_scorer(make(X), y, 2)
    scores = cross_val_score(hasher(), make(X), y, scoring=scorer, cv=scorer.splits)
    plain = make_map_scorer(X, y, 2)
    assert scores == pytest.approx(cross_val_score(hasher(), X, y, scoring=plain, cv=plain.splits), abs=1e-3)


@pytest.mark.parametrize("options", [{"asymmetric": True}, {"k": 5, "divisor": "min"}, {"weighted": True}])
def test_ways_to_rank(digits, options):
    X, y = digits
    model = HBMP(n_bits=6, function=LinearFunction(), random_state=0) if "weighted" in options else hasher()
    scorer = make_map_scorer(X, y, 2, **options)
    scores = cross_val_score(model, X, y, scoring=scorer, cv=scorer.splits)
    for score, (train, query) in zip(scores, scorer.splits):
        model = clone(model).fit(X[train], y[train])
        sides = model.transform(X[query]), model.transform(X[train]), y[query], y[train]
        rest = {name: options[name] for name in ("k", "divisor") if name in options}
        if "asymmetric" in options:
            rest["query_margins"] = model.decision_function(X[query])
        if "weighted" in options:
            rest["weights"] = model.weights_
            assert len(np.unique(model.weights_)) > 1
        assert score == metrics.mean_average_precision(*sides, **rest)


def test_scorers_travel_to_other_processes(digits):
    X, y = digits
    scorer = make_map_scorer(X, y, 2)
    train, query = scorer.splits[0]
    model = hasher().fit(X[train], y[train])
    for other in (pickle.loads(pickle.dumps(scorer)), clone(scorer, safe=False)):
        assert other(model, X[query], y[query]) == scorer(model, X[query], y[query])
    assert "2 splits" in repr(scorer) and "database='hashed'" in repr(scorer)


def test_unknown_labels_are_trained_on_and_not_ranked(digits):
    X, y = digits
    y = y.copy()
    y[::4] = -1
    scorer = make_map_scorer(X, y, 2)
    for score, (train, query) in zip(cross_val_score(hasher(), X, y, scoring=scorer, cv=scorer.splits), scorer.splits):
        model, rows = hasher().fit(X[train], y[train]), train[y[train] >= 0]
        sides = model.transform(X[query]), model.transform(X[rows]), y[query], y[rows]
        assert score == metrics.mean_average_precision(*sides) and (y[query] >= 0).all()


def test_new_queries_are_ranked_against_all_rows(digits):
    X, y = digits
    scorer = make_map_scorer(X[:200], y[:200], 2)
    search = GridSearchCV(hasher(), {"n_bits": [4]}, scoring=scorer, cv=scorer.splits).fit(X[:200], y[:200])
    model = search.best_estimator_
    sides = model.transform(X[200:]), model.transform(X[:200]), y[200:], y[:200]
    assert search.score(X[200:], y[200:]) == metrics.mean_average_precision(*sides)
    with pytest.raises(ValueError, match="need their labels"):
        scorer(model, X[200:])


def test_wrong_use_is_refused(digits):
    X, y = digits
    scorer = make_map_scorer(X, y, 3)
    with pytest.raises(ValueError, match="training fold"):
        cross_validate(hasher(), X, y, scoring=scorer, cv=scorer.splits, return_train_score=True, error_score="raise")
    with pytest.raises(ValueError, match="X has 240 rows and y 3"):
        make_map_scorer(X, y[:3])
    with pytest.raises(ValueError, match='"hashed" or "learned"'):
        make_map_scorer(X, y, database="both")
    query = np.arange(40)
    with pytest.raises(ValueError, match="same queries and different training rows"):
        make_map_scorer(X, y, [(np.arange(40, 100), query), (np.arange(40, 240), query)])
    learned = make_map_scorer(X, y, 2, database="learned")
    with pytest.raises(ValueError, match="learned codes of the 120 training rows"):
        learned(hasher().fit(X, y), X[learned.splits[0][1]])


def test_a_search_with_splits_of_its_own_is_refused():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 20)
    X = rng.standard_normal((60, 4)) + y[:, None]
    scorer = make_map_scorer(X, y, cv=3)
    hasher = TSH(n_bits=4, function=LinearFunction(), random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"not a query fold of this scorer.*Pass cv=scorer.splits"):
        scorer(hasher, X[:17], y[:17])
    assert 0 < scorer(hasher, X[:17] + 1e-3, y[:17]) <= 1

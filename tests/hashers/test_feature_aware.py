"""Codes chosen for the features: the relaxed precision, out-of-fold scores, the ascent, the estimator."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from bqp import supervision
from hashers import TSH, FeatureAwareHash, KernelFunction, LinearFunction, metrics, packing, targets
from hashers.functions.base import ClassifierFunction
from hashers.kernels.soft_precision import soft_average_precision
from hashers.methods._score_codes import ScoreSpace
from hashers.methods._score_search import search

KERNEL = KernelFunction(n_anchors=60)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:400] / 16, y[:400]


def test_order_of_rows_does_not_bias_what_is_reported(digits):
    """Rows sorted by class must not end in different halves."""
    X, y = digits
    order = np.argsort(y, kind="stable")
    hasher = FeatureAwareHash(12, KERNEL, n_steps=20, random_state=0).fit(X[order], y[order])
    assert hasher.result_.objective < 0.15
    assert min(row["map"] for row in hasher.selection_) > 0.85


@pytest.fixture(scope="module")
def fitted(digits):
    return FeatureAwareHash(12, KERNEL, n_steps=40, random_state=0).fit(*digits)


def confusable(n, seed, n_pairs=5, spread=0.55):
    """Pairs of classes that overlap, far from other pairs."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(3.0 * np.eye(n_pairs), 2, axis=0)
    centres[::2] += 0.3
    y = rng.integers(0, 2 * n_pairs, n)
    return centres[y] + spread * rng.standard_normal((n, n_pairs)), y


def label_sets(n, seed, L=6):
    rng = np.random.default_rng(seed)
    Y = (rng.random((n, L)) < 0.25).astype(np.uint8)
    Y[np.arange(n), rng.integers(0, L, n)] = 1
    return Y @ np.random.default_rng(99).standard_normal((L, 12)) + 0.6 * rng.standard_normal((n, 12)), Y


def relaxed_precision(distances, relevant, q):
    """AP of one query from soft histograms, term by term."""
    n, r = np.zeros(q + 2), np.zeros(q + 2)
    for d, is_relevant in zip(distances, relevant):
        low = int(np.floor(d))
        for place, part in ((low, 1 - (d - low)), (low + 1, d - low)):
            n[place] += part
            r[place] += part * is_relevant
    total = 0.0
    for d in range(q + 2):
        if n[d] > 0:
            total += r[d] * (2 * r[:d].sum() + r[d]) / (2 * n[:d].sum() + n[d])
    return total / r.sum() if r.sum() else 0.0


def run_kernel(distances, relevant, q):
    distances = np.ascontiguousarray(distances, dtype=np.float32)
    precision, gradient = np.empty(len(distances)), np.empty_like(distances)
    soft_average_precision(distances, relevant, q, precision, gradient)
    return precision, gradient


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 25), st.floats(0, 1), st.integers(0, 10**6))
def test_relaxed_precision_is_the_formula(q, n, share, seed):
    rng = np.random.default_rng(seed)
    distances, relevant = rng.uniform(0, q, (3, n)).astype(np.float32), rng.random((3, n)) < share
    distances[0] = np.round(distances[0])
    precision, _ = run_kernel(distances, relevant, q)
    wanted = [relaxed_precision(d, r, q) for d, r in zip(distances, relevant)]
    np.testing.assert_allclose(precision, wanted, rtol=1e-5, atol=1e-7)


@settings(max_examples=30)
@given(st.integers(2, 9), st.integers(3, 20), st.integers(0, 10**6))
def test_relaxed_gradient_is_the_derivative(q, n, seed):
    rng = np.random.default_rng(seed)
    distances, relevant = rng.integers(0, q, (1, n)) + rng.uniform(0.1, 0.9, (1, n)), rng.random((1, n)) < 0.5
    relevant[0, 0] = True
    _, gradient = run_kernel(distances, relevant, q)
    for j in range(n):
        ends = []
        for step in (-1e-5, 1e-5):
            moved = distances.copy()
            moved[0, j] += step
            ends.append(relaxed_precision(moved[0], relevant[0], q))
        assert gradient[0, j] == pytest.approx((ends[1] - ends[0]) / 2e-5, rel=1e-3, abs=1e-4)


def test_out_of_fold_scores_have_not_seen_their_point():
    """A function that remembers labels scores like chance where labels are noise."""
    rng = np.random.default_rng(0)
    X, groups = rng.standard_normal((300, 4)), rng.integers(0, 3, 300)
    function = ClassifierFunction(KNeighborsClassifier(1))
    inside = function.fit(X, 2 * np.eye(3, dtype=int)[groups] - 1).decision_function(X)
    assert (inside.argmax(axis=1) == groups).all()
    scores = targets.out_of_fold_scores(ClassifierFunction(KNeighborsClassifier(1)), X, np.eye(3), groups)
    assert scores.shape == (300, 3)
    assert (scores.argmax(axis=1) == groups).mean() < 0.5


def test_out_of_fold_scores_spread_groups_and_follow_the_seed(digits):
    X, y = digits
    sizes = []

    class Recorder(LinearFunction):
        def _fit(self, X, B, weight):
            sizes.append((B > 0).sum(axis=0))
            super()._fit(X, B, weight)

    scores = targets.out_of_fold_scores(Recorder(ridge=10.0), X, np.eye(10), y, n_folds=4, rng=3)
    counts = np.bincount(y)
    assert np.abs(np.array(sizes) - 0.75 * counts).max() <= 1  # each class evenly
    again = targets.out_of_fold_scores(LinearFunction(ridge=10.0), X, np.eye(10), y, n_folds=4, rng=3)
    np.testing.assert_array_equal(again, scores)
    other = targets.out_of_fold_scores(LinearFunction(ridge=10.0), X, np.eye(10), y, n_folds=4, rng=4)
    assert np.abs(other - scores).max() > 1e-3
    assert (scores.argmax(axis=1) == y).mean() > 0.75


def test_confusion_similarity_is_its_formula():
    rng = np.random.default_rng(0)
    groups = np.r_[0, 1, 2, 3, rng.integers(0, 4, 60)]
    scores = rng.standard_normal((64, 4)) + 2 * np.eye(4)[groups]
    soft = targets.confusion_similarity(scores, supervision.from_labels(groups))
    posterior = np.clip(scores + 1, 0, None)
    posterior = posterior / posterior.sum(axis=1)[:, None]
    for g in range(4):
        for h in range(4):
            m, k = posterior[groups == g].mean(axis=0), posterior[groups == h].mean(axis=0)
            cosine = m @ k / np.sqrt((m @ m) * (k @ k))
            assert soft.T[g, h] == pytest.approx(1.0 if g == h else 2 * np.sqrt(cosine) - 1)
    np.testing.assert_array_equal(soft.groups, groups)


def test_label_vectors():
    np.testing.assert_array_equal(targets.label_vectors(supervision.from_labels(["b", "a", "b"])), np.eye(2))
    S = supervision.from_label_sets([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
    assert targets.label_vectors(S).shape == (3, 2)  # the last label has no point
    with pytest.raises(ValueError, match=r"labels are needed.*pairs"):
        targets.label_vectors(supervision.from_pairs([0], [1], [1], 3))


def space_of(X, y, function=None):
    S = supervision.from_labels(y) if y.ndim == 1 else supervision.from_label_sets(y)
    labels = targets.label_vectors(S)
    scores = targets.out_of_fold_scores(function or LinearFunction(ridge=10.0), X, labels, S.groups)
    return ScoreSpace(scores, S, labels), scores, labels, S


def test_projections_are_what_the_function_gives_for_their_targets(digits):
    """Signs of projected scores = codes of functions fitted out of fold to the class codes themselves."""
    X, y = digits
    space, _, _, S = space_of(X, y)
    M = np.random.default_rng(0).choice([-1, 1], (10, 9))
    P = space.projection(M)
    np.testing.assert_array_equal(space.codes(P), M)
    direct = targets.out_of_fold_scores(LinearFunction(ridge=10.0), X, (M + 1) / 2, S.groups)
    assert (packing.signs(direct) == packing.signs(space.points @ P)).mean() > 0.97
    assert np.abs(space.points @ P).mean(axis=0) == pytest.approx(np.ones(9), rel=1e-4)
    np.testing.assert_allclose(space.mixed(P, 1.0), P)
    np.testing.assert_array_equal(space.codes(space.mixed(P, 0.0)), M)


def test_average_precision_of_halves(digits):
    X, y = digits
    space = space_of(X, y)[0]
    P = space.projection(np.random.default_rng(0).choice([-1, 1], (10, 9)))
    rows = np.arange(101)
    B = packing.signs(space.points[rows] @ P)
    a, b = slice(50), slice(50, 101)
    wanted = np.r_[
        metrics.average_precision(B[a], B[b], y[:50], y[50:101]),
        metrics.average_precision(B[b], B[a], y[50:101], y[:50]),
    ]
    np.testing.assert_allclose(space.average_precision(P, rows), wanted)


def test_ascent_raises_precision_of_points_that_take_part_and_of_others():
    X, y = confusable(1200, 0)
    space = space_of(X, y, KERNEL.set_params(random_state=0))[0]
    start = space.projection(np.random.default_rng(0).choice([-1, 1], (10, 12)))
    used, held = np.arange(800), np.arange(800, 1200)
    P, course = space.ascend(start, used, 0.3, 100, 5)
    assert course[-20:].mean() > course[:5].mean() + 0.02
    for rows in (used, held):
        assert space.average_precision(P, rows).mean() > space.average_precision(start, rows).mean() + 0.01
    again, _ = space.ascend(start, used, 0.3, 100, 5)
    np.testing.assert_array_equal(P, again)


def test_beats_two_steps_where_classes_are_confused():
    ours, plain = [], []
    for seed in range(2):
        X, y = confusable(600, seed)
        X_query, y_query = confusable(600, seed + 100)
        for scores, cls in ((ours, partial(FeatureAwareHash, n_steps=100)), (plain, TSH)):
            hasher = cls(n_bits=12, function=KernelFunction(n_anchors=100), random_state=seed).fit(X, y)
            B = hasher.transform(X_query)
            scores.append(metrics.mean_average_precision(B[:300], B[300:], y_query[:300], y_query[300:]))
    assert np.mean(ours) > np.mean(plain) + 0.015
    assert min(np.subtract(ours, plain)) > 0


def test_attributes(digits, fitted):
    X, y = digits
    assert fitted.codes_.shape == (400, 12) and fitted.codes_.dtype == np.int8
    assert all(len(np.unique(fitted.codes_[y == c], axis=0)) == 1 for c in range(10))
    assert sum(row["chosen"] for row in fitted.selection_) == 1
    starts = [row["start"] for row in fitted.selection_ if row["rate"] == 0]
    assert starts == ["labels", "sdh", "confusion", "hbmp", "lfh"]
    ascents = [row for row in fitted.selection_ if row["rate"] > 0 and not row["seen"]]
    assert [row["share"] for row in ascents] == 2 * [1.0, 0.5, 0.0]
    result = fitted.result_
    assert result.ksh_objective == supervision.from_labels(y).ksh_objective(fitted.codes_)
    assert result.ksh_lower_bound <= result.ksh_objective
    assert 0 <= result.objective < 0.15 and result.method == "feature_aware"
    B = fitted.transform(X)
    assert metrics.mean_average_precision(B, B, y, y) > 0.95
    assert isinstance(fitted.function_, KernelFunction) and fitted.function_.coef_.shape == (61, 12)


def test_choice_says_no_more_than_held_out_points_do():
    """Labels that are noise: what is reported stays at chance, however hard the training points are fitted."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((400, 10)), rng.integers(0, 4, 400)
    hasher = FeatureAwareHash(16, KernelFunction(n_anchors=200), n_steps=100, random_state=0).fit(X, y)
    assert all(
        row["map"] < 0.32 for row in hasher.selection_ if not row["seen"]
    )  # chance is 0.25 and a little for ties
    chosen = next(row for row in hasher.selection_ if row["chosen"])
    assert chosen["start"] == "labels" or chosen["gain"] > 2
    assert any(row["gain"] > 2 for row in hasher.selection_ if row["rate"] and not row["seen"]) == (chosen["rate"] > 0)


def test_same_seed_same_model_for_any_n_jobs(digits, fitted):
    X, y = digits
    again = clone(fitted).set_params(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(again.codes_, fitted.codes_)
    np.testing.assert_array_equal(again.decision_function(X), fitted.decision_function(X))
    assert again.selection_ == fitted.selection_
    other = clone(fitted).set_params(random_state=1).fit(X, y)
    assert [row["map"] for row in other.selection_] != [row["map"] for row in fitted.selection_]


def test_without_steps_the_codes_are_those_of_the_labels(digits):
    X, y = digits
    hasher = FeatureAwareHash(8, KERNEL, n_steps=0, random_state=0).fit(X, y)
    assert {row["rate"] for row in hasher.selection_} == {0.0} and len(hasher.result_.trace) == 0
    assert len(np.unique(hasher.codes_, axis=0)) == 10


def test_label_sets():
    X, Y = label_sets(400, 0)
    X_query, Y_query = label_sets(200, 1)
    ours = FeatureAwareHash(16, KERNEL, n_steps=40, random_state=0).fit(X, Y)
    starts = {row["start"] for row in ours.selection_}
    assert starts == {"labels", "sdh", "confusion", "hbmp", "lfh", "labels^0.5", "labels^0"}
    assert ours.result_.ksh_objective == pytest.approx(supervision.from_label_sets(Y).ksh_objective(ours.codes_))
    score = metrics.mean_average_precision(ours.transform(X_query), ours.transform(X), Y_query, Y)
    chance = np.mean((Y_query.astype(int) @ Y.T.astype(int)) > 0)
    assert score > chance + 0.2
    compressed = FeatureAwareHash(16, KERNEL, n_steps=40, random_state=0).fit(X, sparse.csr_matrix(Y))
    np.testing.assert_array_equal(compressed.codes_, ours.codes_)


def test_the_first_start_gives_way_to_a_clearly_better_one_only(digits):
    X, y = digits
    space = space_of(X, y)[0]
    other = np.random.default_rng(0).choice([-1, 1], (10, 16))
    poor = np.where(np.arange(16) < 2, other, 1)
    for starts, wanted in (({"a": poor, "b": other}, "b"), ({"a": other, "b": -other}, "a"), ({"b": other}, "b")):
        choice = search(space, starts, (1.0,), 0, 1, 2)
        assert choice.start == wanted and choice.rate == choice.share == 0 and len(choice.course) == 0
        assert [row["start"] for row in choice.rows if row["chosen"]] == [wanted]
        np.testing.assert_array_equal(choice.P, space.projection(starts[wanted]))


def test_the_highest_ascent_is_taken():
    X, y = confusable(600, 0)
    space = space_of(X, y, KERNEL.set_params(random_state=0))[0]
    rng = np.random.default_rng(0)
    starts = {str(k): rng.choice([-1, 1], (10, 10)) for k in range(6)}
    choice = search(space, starts, (1.0, 0.0), 60, 1, 2)
    ends = [row for row in choice.rows if row["seen"]]
    assert [(row["rate"], row["share"], row["chosen"]) for row in ends] == 6 * [(0.3, 1.0, False)]
    assert choice.start == max(ends, key=lambda row: row["map"])["start"]
    held = [row for row in choice.rows if row["rate"] and not row["seen"]]
    assert {row["start"] for row in held} == {choice.start} and len(held) == 4
    chosen = next(row for row in choice.rows if row["chosen"])
    assert chosen is max(held, key=lambda row: row["map"]) and chosen["gain"] > 2
    assert (chosen["rate"], chosen["share"]) == (choice.rate, choice.share)
    P, course = space.ascend(
        space.projection(starts[choice.start]), np.random.default_rng(1).permutation(600), choice.rate, 60, 2
    )
    np.testing.assert_allclose(choice.P, space.mixed(P, choice.share))
    np.testing.assert_array_equal(choice.course, course)


def test_many_classes_have_bounds_of_their_own(monkeypatch):
    monkeypatch.setattr("hashers.methods.featureaware.MOST_GROUPS", 5)
    monkeypatch.setattr("hashers.methods.featureaware.FEW_GROUPS", 5)
    X, y = confusable(200, 0)
    hasher = FeatureAwareHash(6, LinearFunction(ridge=10.0), n_steps=5, random_state=0).fit(X, y)
    assert {row["start"] for row in hasher.selection_} == {"sdh"}
    assert hasher.result_.ksh_lower_bound <= hasher.result_.ksh_objective


def test_a_set_seen_once_and_an_empty_set():
    X, Y = label_sets(120, 0)
    Y[0], Y[1:3] = 1, 0
    hasher = FeatureAwareHash(8, LinearFunction(ridge=10.0), n_steps=20, random_state=0).fit(X, Y)
    assert set(np.unique(hasher.codes_)) <= {-1, 1}
    assert len(np.unique(hasher.codes_[1:3], axis=0)) == 1


@pytest.mark.parametrize("n", [2, 5, 19, 24])
def test_few_points(n, digits):
    X, y = digits[0][:n], np.arange(n) % 2
    hasher = FeatureAwareHash(4, LinearFunction(ridge=10.0), random_state=0).fit(X, y)
    assert hasher.transform(X).shape == (n, 4)
    assert all((row["map"] is None) == (n < 20) for row in hasher.selection_)


def test_a_class_with_one_member_and_unknown_labels(digits):
    X, y = digits
    y = y.copy()
    y[0] = 77
    y[300:] = -1
    hasher = FeatureAwareHash(12, KERNEL, n_steps=40, random_state=0).fit(X, y)
    alone = FeatureAwareHash(12, KERNEL, n_steps=40, random_state=0).fit(X[:300], y[:300])
    np.testing.assert_allclose(hasher.decision_function(X), alone.decision_function(X), atol=1e-9)
    np.testing.assert_array_equal(hasher.codes_[:300], alone.codes_)
    np.testing.assert_array_equal(hasher.codes_[300:], hasher.transform(X[300:]))
    assert hasher.selection_ == alone.selection_


def test_functions_that_take_codes_only(digits):
    X, y = digits
    for scorer in (None, LinearFunction(ridge=10.0)):
        hasher = FeatureAwareHash(10, LogisticRegression(), n_steps=30, scorer=scorer, random_state=0).fit(X, y)
        assert isinstance(hasher.function_, ClassifierFunction)
        assert {row["share"] for row in hasher.selection_} == {0.0}
        B = hasher.transform(X)
        assert metrics.mean_average_precision(B, B, y, y) > 0.95
    assert scorer.get_params()["ridge"] == 10.0 and not hasattr(scorer, "coef_")


def test_bad_arguments(digits):
    X, y = digits
    for n_folds in (1, 2.5, True):
        with pytest.raises(ValueError, match="n_folds must be an integer of at least 2"):
            FeatureAwareHash(n_folds=n_folds).fit(X, y)
    with pytest.raises(ValueError, match="n_steps must be an integer of at least 0: -1"):
        FeatureAwareHash(n_steps=-1).fit(X, y)
    with pytest.raises(ValueError, match="function must be None"):
        FeatureAwareHash(scorer="kernel").fit(X, y)
    with pytest.raises(ValueError, match=r"FeatureAwareHash looks at the labels of points.*take pairs"):
        FeatureAwareHash().fit_pairs(X, [[0, 1], [1, 2]], [1, -1])
    with pytest.raises(ValueError, match="one class only"):
        FeatureAwareHash().fit(X, np.zeros(400, dtype=int))


def test_float32_and_sparse(digits, fitted):
    X, y = digits
    B = fitted.transform(X)
    for other in (X.astype(np.float32), sparse.csr_matrix(X)):
        hasher = clone(fitted).fit(other, y)
        again = hasher.transform(other)
        assert metrics.mean_average_precision(again, again, y, y) > 0.95
    assert B.dtype == np.int8

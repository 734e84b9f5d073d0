"""One-hot codes and the ranking by posteriors, against rankings written out item by item."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from hashers import KernelFunction, LinearFunction, metrics, packing
from hashers.baselines import OneHot, Posterior
from hashers.baselines.posterior import _temperature, logistic_curves, rank_by_scores
from tests.hashers._naive import rankings, relevance, textbook_ap

SMALL = LinearFunction()


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(X))
    X, y = X[order] / 16, y[order]
    return X[300:], y[300:], X[:300], y[:300]


@pytest.fixture(scope="module")
def sets():
    rng = np.random.RandomState(0)
    Y = (rng.rand(300, 4) < [0.5, 0.3, 0.2, 0.1]).astype(int)
    return Y @ rng.normal(size=(4, 8)) + 0.3 * rng.normal(size=(300, 8)), Y


class TestOneHot:
    @pytest.mark.parametrize(
        "function", [KernelFunction(n_anchors=200), LogisticRegression(), LinearSVC(), Perceptron()]
    )
    def test_the_code_is_the_predicted_class(self, digits, function):
        X, y, X_query, y_query = digits
        hasher = OneHot(function, random_state=0).fit(X, y)
        B = hasher.transform(X_query)
        assert B.dtype == np.int8 and B.shape == (300, 10) and hasher.n_bits_ == 10
        assert ((B == 1).sum(axis=1) == 1).all()
        predicted = hasher.classes_[B.argmax(axis=1)]
        assert (predicted == y_query).mean() > 0.9
        if isinstance(function, KernelFunction):
            margins = hasher.function_.decision_function(X_query)
            assert_array_equal(predicted, margins.argmax(axis=1))
        else:
            assert_array_equal(predicted, clone(hasher.function_).fit(X, y).predict(X_query))
        assert_array_equal(B, packing.signs(hasher.decision_function(X_query)))
        assert_array_equal(packing.unpack(hasher.encode(X_query), 10), B)
        assert_array_equal(hasher.codes_, np.where(y[:, None] == np.arange(10), 1, -1))
        assert list(hasher.get_feature_names_out()[:2]) == ["onehot0", "onehot1"]

    def test_map_on_digits(self, digits):
        """REFERENCE of the project: .9903 with hashed codes on both sides."""
        X, y, X_query, y_query = digits
        hasher = OneHot(random_state=0).fit(X, y)
        B_query, B = hasher.transform(X_query), hasher.transform(X)
        assert abs(metrics.mean_average_precision(B_query, B, y_query, y) - 0.99) < 0.01

    def test_map_is_that_of_the_confusions(self, digits):
        """Items of the predicted class tie first, all others tie behind them."""
        X, y, X_query, y_query = digits
        hasher = OneHot(SMALL).fit(X, y)
        B_query, B = hasher.transform(X_query), hasher.transform(X)
        scores = metrics.average_precision(B_query, B, y_query, y)
        rng = np.random.RandomState(0)
        for a in range(5):
            first = (B.argmax(axis=1) == B_query[a].argmax()).astype(int)
            levels = (y == y_query[a]).astype(int)
            drawn = [textbook_ap(rankings(1 - first, levels, "random", rng)) for _ in range(300)]
            assert abs(scores[a] - np.mean(drawn)) < 5 * np.std(drawn) / np.sqrt(300) + 1e-12

    def test_equal_scores_give_the_first_class(self):
        class Equal(LinearFunction):
            def decision_function(self, X):
                return np.zeros((len(X), self.n_bits_))

        hasher = OneHot(Equal()).fit([[0.0], [1.0], [2.0]], ["a", "b", "c"])
        assert_array_equal(hasher.transform([[0.0]]), [[1, -1, -1]])

    def test_label_sets(self, sets):
        X, Y = sets
        for function in (SMALL, LogisticRegression()):
            hasher = OneHot(function).fit(X, Y)
            B = hasher.transform(X)
            assert_array_equal(hasher.codes_, np.where(Y == 1, 1, -1))
            assert (hasher.codes_ == B).mean() > 0.85
        ridge = clone(SMALL).fit(X, np.where(Y == 1, 1, -1))
        zero_one = (ridge.decision_function(X) + 1) / 2
        assert_array_equal(OneHot(SMALL).fit(X, Y).transform(X), np.where(zero_one >= 0.5, 1, -1))
        assert_array_equal(
            OneHot(SMALL).fit(X, sparse.csr_matrix(Y)).transform(X), OneHot(SMALL).fit(X, Y).transform(X)
        )

    def test_a_label_that_nobody_has_is_a_bit_of_its_own(self, sets):
        X, Y = sets
        hasher = OneHot(SMALL).fit(X, np.c_[Y, np.zeros(300, dtype=int)])
        assert hasher.n_bits_ == 5 and (hasher.transform(X)[:, 4] == -1).all()

    def test_unknown_labels_teach_nothing(self, digits):
        X, y = digits[0][:300], digits[1][:300]
        known = np.arange(300) % 3 > 0
        hasher = OneHot(SMALL).fit(X, np.where(known, y, -1))
        alone = OneHot(SMALL).fit(X[known], y[known])
        assert_array_equal(hasher.transform(X), alone.transform(X))
        assert_array_equal(hasher.codes_[known], alone.codes_)
        assert_array_equal(hasher.codes_[~known], alone.transform(X[~known]))

    def test_labels_of_any_kind(self, digits):
        X, y = digits[0][:200], digits[1][:200]
        B = OneHot(SMALL).fit(X, y).codes_
        names = np.array([f"class {c}" for c in range(10)])
        assert_array_equal(OneHot(SMALL).fit(X, names[y]).codes_, B)
        assert_array_equal(OneHot(GaussianNB()).fit(X, names[y].astype(object)).codes_, B)
        two = OneHot(SMALL, unlabeled=None).fit(X, np.where(y > 4, 1, -1))
        assert_array_equal(two.classes_, [-1, 1])
        assert_array_equal(two.codes_[:, 0], -two.codes_[:, 1])


@given(
    n=st.integers(1, 5),
    m=st.integers(1, 3),
    values=st.integers(1, 3),
    classes=st.integers(1, 3),
    seed=st.integers(0, 999),
)
def test_ranking_is_the_textbooks(n, m, values, classes, seed):
    """Small integers, so that products tie; the expected value against its definition, a mean over all orders."""
    rng = np.random.RandomState(seed)
    P_query, P = rng.randint(0, values + 1, (2, m)), rng.randint(0, values + 1, (n, m))
    y_query, y = rng.randint(0, classes, 2), rng.randint(0, classes, n)
    levels = relevance(y_query, y)
    scored = rank_by_scores(P_query, P, y_query, y, ("expected", "stable", "optimistic", "pessimistic"))
    for a in range(2):
        d = -(P @ P_query[a])
        for rule in ("stable", "optimistic", "pessimistic"):
            assert scored[rule][a] == pytest.approx(textbook_ap(rankings(d, levels[a], rule)))
        orders = [textbook_ap(levels[a][np.lexsort((key, d))]) for key in permutations(range(n))]
        assert scored["expected"][a] == pytest.approx(np.mean(orders))


def test_ranking_by_codes_is_that_of_the_metrics(sets):
    """Inner products of codes rank as Hamming distances do, ties included, with classes and with label sets."""
    X, Y = sets
    B = packing.signs(X[:, :6] - X[:, :6].mean(axis=0))
    for y in (Y[:, 0] + 2 * Y[:, 1], Y):
        for ties in ("expected", "stable", "optimistic"):
            want = metrics.average_precision(B[:40], B[40:], y[:40], y[40:], ties=ties)
            assert_allclose(rank_by_scores(B[:40], B[40:], y[:40], y[40:], (ties,), n_jobs=2)[ties], want)


def test_ranking_in_blocks_and_threads(digits, monkeypatch):
    X, y, X_query, y_query = digits
    want = rank_by_scores(X_query, X, y_query, y)["expected"]
    monkeypatch.setattr("hashers.baselines.posterior.BLOCK_ENTRIES", 5000)
    for n_jobs in (1, 2):
        assert_array_equal(rank_by_scores(X_query, X, y_query, y, n_jobs=n_jobs)["expected"], want)
    with pytest.raises(ValueError, match="unknown ties 'mean'"):
        rank_by_scores(X_query, X, y_query, y, ("mean",))


class TestPosterior:
    def test_probabilities(self, digits):
        X, y, X_query, _ = digits
        model = Posterior(KernelFunction(n_anchors=200), random_state=0).fit(X, y)
        P = model.probabilities(X_query)
        assert P.shape == (300, 10) and P.dtype == np.float64
        assert_allclose(P.sum(axis=1), 1)
        scores = (model.function_.decision_function(X_query) + 1) / 2
        weights = np.exp(model.slope_[0] * scores)
        assert_allclose(P, weights / weights.sum(axis=1, keepdims=True))
        assert (model.slope_ == model.slope_[0]).all() and model.slope_[0] > 2 and (model.offset_ == 0).all()

    def test_the_topline_is_above_the_codes_of_the_same_function(self, digits):
        X, y, X_query, y_query = digits
        hasher = OneHot(SMALL).fit(X, y)
        one_hot = metrics.mean_average_precision(hasher.transform(X_query), hasher.transform(X), y_query, y)
        values = {}
        for calibration in ("held-out", "none"):
            model = Posterior(SMALL, calibration, random_state=0).fit(X, y)
            values[calibration] = model.average_precision(X_query, X, y_query, y).mean()
        assert values["held-out"] > max(values["none"], one_hot) + 0.04

    def test_similarities_and_raw_scores(self, digits):
        X, y, X_query, y_query = digits
        raw = Posterior(SMALL, calibration="none").fit(X, y)
        P = np.maximum((raw.function_.decision_function(X) + 1) / 2, 0)
        assert_allclose(raw.probabilities(X), P)
        assert np.isnan(raw.slope_).all()
        P_query = raw.probabilities(X_query)
        levels = relevance(y_query, y)
        cosine = Posterior(SMALL, calibration="none", similarity="cosine").fit(X, y)
        unit = P / np.linalg.norm(P, axis=1, keepdims=True)
        for model, database in ((raw, P), (cosine, unit)):
            scores = model.average_precision(X_query[:20], X, y_query[:20], y)
            for a in range(20):
                order = np.argsort(-(database @ P_query[a]))
                assert scores[a] == pytest.approx(textbook_ap(levels[a][order]), abs=1e-9)
        assert_allclose(np.linalg.norm(cosine.embed(X), axis=1), 1)

    def test_classifiers_with_probabilities_keep_them(self, digits):
        X, y = digits[0][:400], digits[1][:400]
        model = Posterior(LogisticRegression(max_iter=300)).fit(X, y)
        assert_allclose(model.probabilities(X), clone(model.function_).fit(X, y).predict_proba(X))
        assert np.isnan(model.slope_).all()
        margins = Posterior(LinearSVC(), random_state=0).fit(X, y)
        assert_allclose(margins.probabilities(X).sum(axis=1), 1)
        assert (margins.probabilities(X).argmax(axis=1) == margins.function_.predict(X)).all()

    def test_label_sets(self, sets):
        X, Y = sets
        model = Posterior(SMALL, random_state=0).fit(X[:200], Y[:200])
        P = model.probabilities(X)
        assert P.shape == (300, 4) and ((P > 0) & (P < 1)).all()
        scores = (model.function_.decision_function(X) + 1) / 2
        assert_allclose(P, expit(model.slope_ * scores + model.offset_))
        assert np.abs(P[200:].mean(axis=0) - Y[200:].mean(axis=0)).max() < 0.12
        value = model.average_precision(X[200:], X[:200], Y[200:], Y[:200]).mean()
        B = OneHot(SMALL).fit(X[:200], Y[:200])
        codes = metrics.mean_average_precision(B.transform(X[200:]), B.transform(X[:200]), Y[200:], Y[:200])
        assert value > codes

    def test_few_rows_are_not_held_out(self):
        model = Posterior(SMALL).fit([[0.0], [0.1], [1.0], [1.1]], [0, 0, 1, 1])
        assert_array_equal(model.slope_, 1)
        assert (model.probabilities([[0.0], [1.0]]).argmax(axis=1) == [0, 1]).all()

    def test_same_seed_same_model(self, digits):
        X, y = digits[0][:300], digits[1][:300]
        models = [Posterior(KernelFunction(n_anchors=50), random_state=4).fit(X, y) for _ in range(2)]
        assert_array_equal(models[0].probabilities(X), models[1].probabilities(X))

    @pytest.mark.parametrize("settings", [{"calibration": "always"}, {"similarity": "dot"}])
    def test_unknown_words(self, settings):
        ((name, value),) = settings.items()
        with pytest.raises(ValueError, match=f"{name} must be .*{value}"):
            Posterior(SMALL, **settings).fit([[0.0], [1.0]], [0, 1])


def test_temperature_maximises_the_likelihood():
    rng = np.random.RandomState(0)
    scores = rng.normal(size=(4000, 3))
    P = np.exp(2.5 * scores)
    P /= P.sum(axis=1, keepdims=True)
    drawn = (rng.rand(4000, 1) > np.cumsum(P, axis=1)).sum(axis=1)
    assert _temperature(scores, drawn[:, None] == np.arange(3)) == pytest.approx(2.5, rel=0.1)


@pytest.mark.parametrize("rare", [0.5, 0.05, 0.0])
def test_logistic_curves_minimise_what_they_say(rare):
    rng = np.random.RandomState(1)
    scores = rng.normal(size=(150, 2))
    Y = rng.rand(150, 2) < expit(3 * scores - 1)
    Y[:, 1] &= rng.rand(150) < 2 * rare
    slope, offset = logistic_curves(scores, Y)

    def loss(x, s, t, centre, strength):
        margins = x[0] * s + x[1]
        return (np.logaddexp(0, margins) - t * margins).sum() + strength / 2 * ((x - centre) ** 2).sum()

    pooled = minimize(loss, [5.0, -2.5], (scores.ravel(), Y.ravel(), np.array([5.0, -2.5]), 1e-3)).x
    for c in range(2):
        best = minimize(loss, pooled, (scores[:, c], Y[:, c], pooled, 10.0))
        assert loss(np.array([slope[c], offset[c]]), scores[:, c], Y[:, c], pooled, 10.0) <= best.fun + 1e-6


@pytest.mark.parametrize("cls", [OneHot, Posterior])
class TestEdges:
    def test_errors(self, cls, digits):
        X, y = digits[0][:60], digits[1][:60]
        with pytest.raises(ValueError, match="requires y to be passed"):
            cls(SMALL).fit(X, None)
        with pytest.raises(ValueError, match="one class only in 60 labelled"):
            cls(SMALL).fit(X, np.zeros(60))
        with pytest.raises(ValueError, match="X has 60 rows and y has 59"):
            cls(SMALL).fit(X, y[1:])
        with pytest.raises(ValueError, match="unlabeled=None"):
            cls(SMALL).fit(X, np.where(y > 4, 1, -1))
        with pytest.raises(ValueError, match="NaN"):
            cls(SMALL).fit(X, np.r_[np.nan, y[1:]])
        with pytest.raises(ValueError, match="function must be None, a hash function"):
            cls("kernel").fit(X, y)
        with pytest.raises(NotFittedError):
            cls(SMALL).decision_function(X) if cls is OneHot else cls(SMALL).probabilities(X)

    @pytest.mark.parametrize("function", [SMALL, KernelFunction(n_anchors=50), GaussianNB(), LinearSVC()])
    def test_imbalance_and_classes_with_one_member(self, cls, digits, function):
        X, y = digits[0][:400], digits[1][:400]
        rows = np.r_[np.flatnonzero(y == 0), [np.argmax(y == c) for c in range(1, 10)]]
        model = cls(function, random_state=0).fit(X[rows], y[rows])
        if cls is OneHot:
            B = model.transform(X)
            assert ((B == 1).sum(axis=1) == 1).all() and B.shape == (400, 10)
        else:
            P = model.probabilities(X)
            assert np.isfinite(P).all() and P.shape == (400, 10)

    def test_more_classes_than_features_and_constant_features(self, cls):
        rng = np.random.RandomState(0)
        X = np.c_[rng.normal(size=(80, 2)), np.ones(80)]
        model = cls(SMALL, random_state=0).fit(X, np.arange(80) % 40)
        out = model.transform(X) if cls is OneHot else model.probabilities(X)
        assert out.shape == (80, 40) and np.isfinite(out).all()

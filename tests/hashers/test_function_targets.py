"""Functions fitted to real targets instead of codes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor

from hashers import LFH, FeatureAwareHash
from hashers.functions import (
    BalancedFunction,
    ClassifierFunction,
    HashFunction,
    KernelFunction,
    LinearFunction,
    TreesFunction,
)

TAKE = {
    "linear": LinearFunction(ridge=3.0),
    "auto": LinearFunction(),
    "kernel": KernelFunction(n_anchors=20, random_state=0),
    "validate": KernelFunction(n_anchors=20, sigma="validate", random_state=0),
    "regressor": ClassifierFunction(Ridge(alpha=3.0)),
    "balanced": BalancedFunction(LinearFunction(ridge=3.0), share="codes"),
}
REFUSE = {
    "logistic": LinearFunction("logistic"),
    "trees": TreesFunction(),
    "classifier": ClassifierFunction(LogisticRegression()),
    "balanced": BalancedFunction(TreesFunction()),
}
every_taker = pytest.mark.parametrize("function", TAKE.values(), ids=TAKE)


def data(n=60, d=4, n_bits=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    T = X @ rng.normal(size=(d, n_bits)) + 0.1 * rng.normal(size=(n, n_bits))
    return X, T * [1.0, 10.0, 0.01]


@every_taker
def test_codes_are_targets_like_any_other(function):
    X, T = data()
    B = np.where(T >= 0, 1, -1)
    assert function.takes_targets
    a = clone(function).fit(X, B)
    b = clone(function).fit_targets(X, B)
    np.testing.assert_allclose(a.decision_function(X), b.decision_function(X), atol=1e-12)
    assert b.fit_targets(X, T) is b and b.n_bits_ == 3 and b.n_features_in_ == 4


@every_taker
def test_margins_follow_the_size_of_targets(function):
    X, T = data(n=200)
    margins = clone(function).fit_targets(X, T).decision_function(X)
    if isinstance(function, BalancedFunction):
        np.testing.assert_allclose((margins >= 0).mean(axis=0), (T >= 0).mean(axis=0), atol=1e-12)
    for k in range(3):
        assert np.corrcoef(margins[:, k], T[:, k])[0, 1] > 0.9 and 0.5 < margins[:, k].std() / T[:, k].std() < 1.2


@given(
    seed=st.integers(0, 2**31),
    factors=st.lists(st.integers(-3, 3), min_size=6, max_size=6),
    weighted=st.booleans(),
    dual=st.booleans(),
)
def test_fixed_ridges_are_linear_in_targets(seed, factors, weighted, dual):
    X, T = data(n=12, d=15 if dual else 4, seed=seed)
    weight = np.random.default_rng(seed).uniform(0.1, 2, 12) if weighted else None
    mix = np.reshape(factors, (3, 2)).astype(float)
    for function in (LinearFunction(ridge=2.0), KernelFunction(n_anchors=5, random_state=0)):
        F = clone(function).fit_targets(X, T, weight).decision_function(X)
        G = clone(function).fit_targets(X, T @ mix, weight).decision_function(X)
        np.testing.assert_allclose(G, F @ mix, atol=1e-7)


@given(seed=st.integers(0, 2**31), exponent=st.integers(-300, 300), weighted=st.booleans())
def test_linear_targets_against_augmented_least_squares(seed, exponent, weighted):
    rng = np.random.default_rng(seed)
    X, T = data(n=15, seed=seed)
    weight = rng.uniform(0.1, 2, 15) if weighted else np.ones(15)
    T = np.ldexp(T, exponent)
    mean = weight @ X / weight.sum()
    scale = np.sqrt(weight @ (X - mean) ** 2 / weight.sum())
    root = np.sqrt(weight)[:, None]
    Z = np.c_[(X - mean) / scale, np.ones(15)]
    A = np.vstack([Z * root, np.c_[np.sqrt(2.0) * np.eye(4), np.zeros(4)]])
    expected = Z @ np.linalg.lstsq(A, np.vstack([T * root, np.zeros((4, 3))]), rcond=None)[0]
    found = LinearFunction(ridge=2.0).fit_targets(X, T, weight if weighted else None).decision_function(X)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


def test_forms_of_input():
    X, T = data()
    f = LinearFunction(ridge=1.0).fit_targets(X, T)
    expected = f.decision_function(X)
    X.setflags(write=False)
    T.setflags(write=False)
    wide = np.zeros((60, 6))
    wide[:, ::2] = T
    for A, B in ((X, T.tolist()), (sparse.csr_matrix(X), T), (X, np.asfortranarray(T)), (X, wide[:, ::2])):
        np.testing.assert_allclose(LinearFunction(ridge=1.0).fit_targets(A, B).decision_function(X), expected)
    kernel = KernelFunction(n_anchors=20, random_state=0)
    low = clone(kernel).fit_targets(X.astype(np.float32), T.astype(np.float32)).decision_function(X.astype(np.float32))
    np.testing.assert_allclose(low, clone(kernel).fit_targets(X, T).decision_function(X), rtol=0.1, atol=0.1)
    one = LinearFunction().fit_targets(X[:1], T[:1])
    np.testing.assert_allclose(one.decision_function(X[:2]), T[[0, 0]])
    constant = LinearFunction().fit_targets(X, np.full((60, 2), [-0.25, 7.0]))
    np.testing.assert_array_equal(constant.decision_function(X[:2]), [[-0.25, 7.0]] * 2)
    forest = ClassifierFunction(KNeighborsRegressor(1)).fit_targets(X, np.c_[T[:, 0], np.full(60, 0.5)])
    np.testing.assert_array_equal(forest.decision_function(X), np.c_[T[:, 0], np.full(60, 0.5)])


@pytest.mark.parametrize("function", REFUSE.values(), ids=REFUSE)
def test_others_say_that_they_take_codes(function):
    X, T = data()
    assert not function.takes_targets
    with pytest.raises(ValueError, match=r"takes no real targets\. Use KernelFunction, .*packing\.signs\(T\)"):
        clone(function).fit_targets(X, T)


@every_taker
def test_bad_targets(function):
    X, T = data()
    f = clone(function)
    for wrong in (np.nan, np.inf, -np.inf):
        bad = T.copy()
        bad[5, 2] = wrong
        with pytest.raises(ValueError, match=rf"T must be finite: {wrong} at row 5, column 2"):
            f.fit_targets(X, bad)
    for wrong in (T[:, 0], T[:, :0], np.empty((0, 3)), 3.0):
        with pytest.raises(ValueError, match=r"T must be two-dimensional and not empty.*T\.reshape\(-1, 1\)"):
            f.fit_targets(X, wrong)
    with pytest.raises(ValueError, match=r"X has 60 rows and T has 59: .*Pass the targets of these rows"):
        f.fit_targets(X, T[1:])
    with pytest.raises(ValueError, match=r"T has dtype .*targets are real numbers"):
        f.fit_targets(X, T.astype(str))
    with pytest.raises(ValueError, match=r"sample_weight must be finite and at least 0: -1\.0 at 0"):
        f.fit_targets(X, T, -np.ones(60))
    for factor in (1e120, 1e-120):
        with pytest.raises(ValueError, match=r"column 1 of T has a largest absolute value .*Divide the column by it"):
            f.fit_targets(X, T * [1, factor, 1])
    with pytest.raises(ValueError, match="NaN"):
        f.fit_targets(np.full_like(X, np.nan), T)


def test_a_function_of_your_own_may_take_targets():
    class Means(HashFunction):
        """The mean target, whatever the features."""

        @property
        def takes_targets(self):
            return True

        def _fit(self, X, B, weight):
            self.means_ = np.average(B, axis=0, weights=weight)

        def _margins(self, X):
            return np.tile(self.means_, (X.shape[0], 1))

    X, T = data()
    np.testing.assert_allclose(Means().fit_targets(X, T).decision_function(X[:1]), [T.mean(axis=0)])


def test_methods_give_real_targets_to_whatever_takes_them():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = 3 * np.eye(3, 5)[y] + rng.normal(size=(90, 5))
    forest = RandomForestRegressor(n_estimators=10, random_state=0)
    hasher = LFH(n_bits=4, function=forest, regress="factors", random_state=0).fit(X, y)
    U = hasher.result_.stats["U"]
    margins = hasher.decision_function(X)
    for k in range(4):
        assert np.corrcoef(margins[:, k], U[:, k])[0, 1] > 0.95
        assert len(np.unique(np.abs(hasher.function_.estimators_[k].predict(X)))) > 4  # no forest of -1 and +1
    aware = FeatureAwareHash(n_bits=4, function=Ridge(), n_steps=10, random_state=0).fit(X, y)
    assert {row["share"] for row in aware.selection_ if row["rate"]} == {1.0, 0.5, 0.0}
    assert {row["share"] for row in FeatureAwareHash(
        n_bits=4, function=LogisticRegression(), n_steps=10, random_state=0
    ).fit(X, y).selection_} == {0.0}  # fmt: skip

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from hashers import TSH, packing
from hashers.functions import (
    BalancedFunction,
    ClassifierFunction,
    HashFunction,
    KernelFunction,
    LinearFunction,
    TreesFunction,
)
from hashers.functions.base import join

FUNCTIONS = {
    "kernel": KernelFunction(n_anchors=30, random_state=0),
    "linear": LinearFunction(),
    "trees": TreesFunction(n_estimators=8, min_samples_leaf=5, feature_fraction=0.5, random_state=0),
    "classifier": ClassifierFunction(LogisticRegression()),
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


class First(HashFunction):
    """The features themselves as margins."""

    def _fit(self, X, B, weight):
        pass

    def _margins(self, X):
        return np.array(X, dtype=np.float64)


def skewed(n=120, seed=0):
    """Features, and bits of which one in four, half and none are +1."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    margins = X[:, :3] + 0.3 * rng.normal(size=(n, 3))
    rank = margins.argsort(axis=0).argsort(axis=0)
    return X, np.where(rank >= [0.75 * n, 0.5 * n, n], 1, -1).astype(np.int8)


@every_function
def test_half_splits_the_training_rows_in_halves(function):
    X, B = skewed()
    f = BalancedFunction(clone(function)).fit(X, B[:, :2])
    assert ((f.predict(X) > 0).sum(axis=0) == 60).all()
    inner = clone(function).fit(X, B[:, :2])
    np.testing.assert_allclose(f.decision_function(X), inner.decision_function(X) - f.thresholds_, atol=1e-12)


@every_function
def test_codes_keeps_the_share_of_the_codes(function):
    X, B = skewed()
    f = BalancedFunction(clone(function), share="codes").fit(X, B)
    np.testing.assert_array_equal((f.predict(X) > 0).sum(axis=0), [30, 60, 0])


@given(
    values=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    share=st.sampled_from(["half", "codes"]),
    seed=st.integers(0, 10**6),
)
def test_no_cut_is_nearer_to_the_share(values, share, seed):
    rng = np.random.default_rng(seed)
    g, weight = np.array(values, dtype=float)[:, None], rng.integers(0, 4, len(values)).astype(float)
    weight[0] = 1.0
    B = packing.signs(rng.normal(size=g.shape))
    f = BalancedFunction(First(), share=share).fit(g, B, sample_weight=weight)
    wanted = 0.5 if share == "half" else weight @ (B[:, 0] > 0) / weight.sum()
    codes = f.predict(g)[:, 0]
    miss = abs(weight @ (codes > 0) / weight.sum() - wanted)
    every = [abs(weight @ (g[:, 0] >= cut) / weight.sum() - wanted) for cut in np.arange(-3.5, 4)]
    assert miss == pytest.approx(min(every), abs=1e-12)
    if abs(weight @ (g[:, 0] >= 0) / weight.sum() - wanted) < min(every) + 1e-12:
        assert f.thresholds_[0] == 0  # what needs no change is not changed


def test_margins_that_are_neighbours_in_float64():
    g = np.array([[1.0], [np.nextafter(1.0, 2)], [np.nextafter(1.0, 0)], [0.5]])
    assert BalancedFunction(First()).fit(g, [[1], [1], [1], [-1]]).predict(g)[:, 0].tolist() == [1, 1, -1, -1]


@every_function
def test_design_join_and_pickle(function):
    X, B = skewed()
    f = BalancedFunction(clone(function))
    design = f.design(X)
    weight = np.random.default_rng(0).random(len(X)) + 0.1
    first, second = design.fit(B[:, :2]), design.fit(B[:, 1:], weight)
    np.testing.assert_allclose(first.decision_function(X), clone(f).fit(X, B[:, :2]).decision_function(X), atol=1e-9)
    np.testing.assert_allclose(design.margins(second), second.decision_function(X), atol=1e-9)
    assert weight @ (second.predict(X)[:, 0] > 0) / weight.sum() == pytest.approx(0.5, abs=0.02)
    joined = join([(second, 1), (first, 0), (second, 0)])
    expected = np.c_[second.decision_function(X)[:, 1], first.decision_function(X)[:, 0]]
    np.testing.assert_allclose(joined.decision_function(X)[:, :2], expected, atol=1e-9)
    again = pickle.loads(pickle.dumps(joined))
    np.testing.assert_array_equal(again.decision_function(X), joined.decision_function(X))


def test_manners():
    X, B = skewed()
    f = BalancedFunction(LogisticRegression(), share="codes")
    sparse_codes = clone(f).fit(sparse.csr_array(X), B).predict(sparse.csr_array(X))
    np.testing.assert_array_equal(sparse_codes, clone(f).fit(X, B).predict(X))
    assert f.get_params()["function__C"] == 1.0
    with pytest.raises(ValueError, match=r'share must be "half" or "codes": \'all\''):
        BalancedFunction(share="all").fit(X, B)
    with pytest.raises(ValueError, match="function must be None"):
        BalancedFunction(3).fit(X, B)
    y = (X[:, 0] > 0) + 2 * (X[:, 1] > 0.5)
    hasher = TSH(n_bits=4, function=BalancedFunction(KernelFunction(n_anchors=20)), random_state=0).fit(X, y)
    assert ((hasher.transform(X) > 0).sum(axis=0) == 60).all()
    assert hasher.function_.function.random_state is not None

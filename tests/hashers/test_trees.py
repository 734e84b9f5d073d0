import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from threadpoolctl import threadpool_limits

from bqp.errors import BackendNotFound
from hashers import TSH, packing
from hashers.functions import TreesFunction
from hashers.functions.base import join

SMALL = {"n_estimators": 12, "min_samples_leaf": 5, "feature_fraction": 0.5, "random_state": 0}
FUNCTIONS = {
    "lightgbm": TreesFunction(**SMALL),
    "sklearn": TreesFunction("sklearn", **{**SMALL, "n_estimators": 5, "learning_rate": 0.5}),
}
every_engine = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


CODEBOOK = np.array([[1, 1, -1, -1, -1], [1, -1, 1, -1, 1], [1, -1, -1, 1, 1]], dtype=np.int8)


def blobs(n=150, d=6, seed=0):
    """Three blobs, a code for each: the first bit is constant, the last the opposite of the second."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    return 2 * np.eye(3, d)[y] + 0.25 * rng.normal(size=(n, d)), CODEBOOK[y]


def newton(g, h, sides):
    """Second-order decrease of the logistic loss, and the step of each row, with one Newton step a side."""
    gain = sum(g[side].sum() ** 2 / h[side].sum() for side in sides) - g.sum() ** 2 / h.sum()
    return gain, sum(np.where(side, -g[side].sum() / h[side].sum(), 0) for side in sides)


@settings(max_examples=30)
@example(seed=948, n=4, d=3, weighted=False)  # LightGBM would bundle features that overlap
@given(seed=st.integers(0, 10**6), n=st.integers(4, 25), d=st.integers(1, 4), weighted=st.booleans())
def test_one_round_is_the_best_newton_step(seed, n, d, weighted):
    """Of all thresholds of all features, one of largest gain; margins are the log-odds and its two steps, shrunk."""
    rng = np.random.default_rng(seed)
    X, b = rng.integers(0, 6, (n, d)).astype(float), packing.signs(rng.normal(size=n))
    b[:2] = -1, 1
    w = rng.integers(1, 4, n).astype(float) if weighted else np.ones(n)
    X, b, w = np.repeat(X, 5, axis=0), np.repeat(b, 5), np.repeat(w, 5)  # LightGBM counts rows by their weight, rounded
    prior = np.log(w @ (b > 0) / (w @ (b < 0)))
    p = 1 / (1 + np.exp(-prior))
    g, h = w * (p - (b > 0)) / w.mean(), w * p * (1 - p) / w.mean()
    splits = [(X[:, j] <= t, X[:, j] > t) for j in range(d) for t in np.unique(X[:, j])[:-1]]
    best = max((newton(g, h, sides)[0] for sides in splits), default=0.0)
    f = TreesFunction(n_estimators=1, n_leaves=2, min_samples_leaf=1, learning_rate=0.5, feature_fraction=1.0)
    margins = f.fit(X, b[:, None], sample_weight=w if weighted else None).decision_function(X)[:, 0]
    if best < 1e-6:
        return
    gain, step = newton(g, h, (margins == margins.max(), margins < margins.max()))
    assert gain == pytest.approx(best, rel=1e-4)
    np.testing.assert_allclose(margins, prior + 0.5 * step, atol=1e-5)


@every_engine
def test_learns_and_keeps_to_the_protocol(function):
    X, B = blobs()
    f = clone(function)
    assert f.fit(X, B) is f
    margins = f.decision_function(X)
    assert margins.shape == B.shape and margins.dtype == np.float64
    codes = f.predict(X)
    assert codes.dtype == np.int8 and (codes == B).mean() > 0.97
    np.testing.assert_array_equal(codes, packing.signs(margins))
    assert (margins[:, 0] == 1.0).all() and f.models_[0] == 1.0
    np.testing.assert_array_equal(f.decision_function(X[::-1][:7]), margins[::-1][:7])
    for copy in (pickle.loads(pickle.dumps(f)), clone(function).fit(X, B)):
        np.testing.assert_array_equal(copy.decision_function(X), margins)
    with pytest.raises(NotFittedError):
        clone(function).predict(X)


@every_engine
def test_a_bit_does_not_depend_on_its_neighbours(function):
    X, B = blobs()
    together = clone(function).fit(X, B).decision_function(X)
    for k in (0, 2, 4):
        alone = clone(function).fit(X, B[:, [k]]).decision_function(X)
        np.testing.assert_array_equal(alone[:, 0], together[:, k])
    twins = clone(function).fit(X, B[:, [1, 1]]).decision_function(X)
    np.testing.assert_array_equal(twins[:, 0], together[:, 1])
    assert (twins[:, 0] != twins[:, 1]).any()  # equal bits are not the same trees twice
    assert ((twins > 0) == (B[:, [1]] > 0)).mean() > 0.97


@every_engine
def test_threads_change_nothing(function):
    X, B = blobs(200, d=12)
    function = clone(function).set_params(n_estimators=2)
    one = clone(function).fit(X, B).decision_function(X)
    for n_jobs in (2, 3) if function.engine == "lightgbm" else (2,):
        many = clone(function).set_params(n_jobs=n_jobs)
        np.testing.assert_array_equal(many.fit(X, B).decision_function(X), one)
        np.testing.assert_array_equal(many.fit(X, B[:, [2]]).decision_function(X), one[:, [2]])
    assert (clone(function).set_params(random_state=1).fit(X, B).decision_function(X) != one).any()


@every_engine
def test_design_reuses_the_bins(function):
    X, B = blobs()
    rng = np.random.default_rng(0)
    design = function.design(X)
    some = np.where(rng.random(len(X)) < 0.7, 1.0, 0.0)
    weights = [None, rng.random(len(X)) + 0.1, None, np.full(len(X), 3.0), some]
    parts = []
    for k, weight in enumerate(weights):
        fitted = design.fit(B[:, [k]], weight)
        direct = clone(function).fit(X, B[:, [k]], sample_weight=weight)
        if weight is None or weight.all():  # else the bins are those of all rows
            np.testing.assert_array_equal(fitted.decision_function(X), direct.decision_function(X))
        assert (fitted.predict(X) == B[:, [k]]).mean() > 0.97
        np.testing.assert_array_equal(design.margins(fitted), fitted.decision_function(X))
        parts.append((fitted, 0))
    joined = join(parts)
    assert joined.n_bits_ == 5 and joined.n_features_in_ == 6
    np.testing.assert_array_equal(
        joined.decision_function(X), np.hstack([part.decision_function(X) for part, _ in parts])
    )
    with pytest.raises(ValueError, match="must hold -1 and"):
        design.fit(np.zeros((len(X), 1)))


def test_bins_are_made_once(monkeypatch):
    import lightgbm

    made = []

    class Counted(lightgbm.Dataset):
        def __init__(self, data, *args, **kwargs):
            made.append(data is not None)
            super().__init__(data, *args, **kwargs)

    monkeypatch.setattr(lightgbm, "Dataset", Counted)
    X, B = blobs()
    design = FUNCTIONS["lightgbm"].design(X)
    for k in range(5):
        design.fit(B[:, [k]], np.arange(len(X)) % 3)
    FUNCTIONS["lightgbm"].design(X).fit(B)
    assert sum(made) == 2


@every_engine
def test_weights(function):
    X, B = blobs()
    keep = np.random.default_rng(1).random(len(B)) < 0.8
    bad = np.where(keep[:, None], B, -B)
    expected = clone(function).fit(X[keep], B[keep]).decision_function(X)
    np.testing.assert_array_equal(clone(function).fit(X, bad, sample_weight=keep).decision_function(X), expected)
    weight = np.random.default_rng(2).integers(1, 5, len(B))
    base = clone(function).fit(X, bad, sample_weight=weight).decision_function(X)
    for factor in (2.0**-20, 2.0**900):  # the unit of weights does not matter
        again = clone(function).fit(X, bad, sample_weight=weight * factor).decision_function(X)
        np.testing.assert_allclose(again, base, atol=1e-6)
    heavy = np.where(keep, 1.0, 1e4)
    assert (clone(function).fit(X, bad, sample_weight=heavy).predict(X)[~keep] == bad[~keep]).mean() > 0.9
    one_sided = np.where(B[:, 1] > 0, 1.0, 0.0)
    assert (clone(function).fit(X, B[:, [1]], sample_weight=one_sided).predict(X) == 1).all()


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array, sparse.csc_array])
def test_sparse_equals_dense(form):
    X, B = blobs()
    X[np.abs(X) < 0.2] = 0
    dense = clone(FUNCTIONS["lightgbm"]).fit(X, B)
    f = clone(FUNCTIONS["lightgbm"]).fit(form(X), B)
    np.testing.assert_array_equal(f.decision_function(form(X)), dense.decision_function(X))
    np.testing.assert_array_equal(f.decision_function(X), dense.decision_function(X))
    np.testing.assert_array_equal(dense.decision_function(form(X)), dense.decision_function(X))
    for run in (lambda: clone(FUNCTIONS["sklearn"]).fit(form(X), B), lambda: FUNCTIONS["sklearn"].design(form(X))):
        with pytest.raises(ValueError, match=r'engine="sklearn" takes dense X only.*lightgbm.*toarray'):
            run()
    f = clone(FUNCTIONS["sklearn"]).fit(X, B)
    with pytest.raises(ValueError, match="takes dense X only"):
        f.predict(form(X))


@every_engine
@pytest.mark.parametrize("factor", [1e-200, 1e200, 1e-30, 1e-40, 1e300])
def test_extreme_scales_change_nothing(function, factor):
    X, B = blobs()
    factor = 2.0 ** round(np.log2(factor))
    base = clone(function).fit(X, B)
    f = clone(function).fit(X * factor, B)
    np.testing.assert_allclose(f.decision_function(X * factor), base.decision_function(X), atol=1e-9)
    if function.engine == "lightgbm":
        form = sparse.csr_array
        np.testing.assert_array_equal(f.decision_function(form(X * factor)), f.decision_function(X * factor))
        again = clone(function).fit(form(X * factor), B)
        np.testing.assert_array_equal(again.decision_function(X * factor), f.decision_function(X * factor))
    assert np.isfinite(clone(function).fit(X * 1e-300, B).decision_function(X)).all()  # far beyond the training rows


@every_engine
def test_layouts_and_types(function):
    X, B = blobs()
    X = X.astype(np.float32)
    margins = clone(function).fit(X, B).decision_function(X)
    wide = np.zeros((2 * len(X), 12), dtype=np.float32)
    wide[::2, ::2] = X
    frozen = X.copy()
    frozen.setflags(write=False)
    fixed = B.copy()
    fixed.setflags(write=False)
    for Z in (np.asfortranarray(X), wide[::2, ::2], frozen, X.astype(np.float64)):
        np.testing.assert_array_equal(clone(function).fit(Z, fixed).decision_function(Z), margins)


@every_engine
def test_little_to_learn_from(function):
    f = clone(function).fit([[1.0, 2.0]], [[1, -1]])
    assert f.predict([[5.0, 2.0]]).tolist() == [[1, -1]]
    X = np.ones((30, 3))
    B = packing.signs(np.random.default_rng(0).normal(size=(30, 2)))
    f = clone(function).fit(X, B)  # nothing to split: the log-odds
    share = (B > 0).mean(axis=0)
    np.testing.assert_allclose(f.decision_function(X), np.tile(np.log(share / (1 - share)), (30, 1)), atol=1e-6)
    f = clone(function).fit(np.arange(8.0)[:, None], B[:8])  # fewer rows than two leaves need
    assert np.isfinite(f.decision_function([[3.0]])).all()


@every_engine
def test_bad_input(function):
    X, B = blobs()
    f = clone(function)
    bad = X.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN: nan at row 3, column 2"):
        f.fit(bad, B)
    with pytest.raises(ValueError, match="120 rows and B has 150"):
        f.fit(X[:120], B)
    f.fit(X, B)
    with pytest.raises(ValueError, match="expecting 6 features"):
        f.predict(X[:, :5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "xgboost"}, "engine must be one of lightgbm, sklearn: 'xgboost'"),
        ({"n_estimators": 0}, "n_estimators must be an integer of at least 1: 0"),
        ({"n_estimators": 1.5}, "n_estimators"),
        ({"n_leaves": 1}, "n_leaves must be an integer of at least 2: 1"),
        ({"min_samples_leaf": True}, "min_samples_leaf"),
        ({"max_bins": 256}, "max_bins must be an integer from 2 to 255: 256"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0, at most 1: 0"),
        ({"feature_fraction": np.nan}, "feature_fraction"),
        ({"feature_fraction": "tenth"}, "feature_fraction must be a number above 0, at most 1 or \"auto\": 'tenth'"),
        ({"learning_rate": "auto"}, "learning_rate must be a number above 0, at most 1: 'auto'"),
    ],
)
def test_bad_parameters(arguments, message):
    X, B = blobs(20)
    for run in (lambda: TreesFunction(**arguments).fit(X, B), lambda: TreesFunction(**arguments).design(X)):
        with pytest.raises(ValueError, match=message):
            run()


def test_without_lightgbm(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)
    X, B = blobs(20)
    with pytest.raises(BackendNotFound, match=r'pip install lightgbm.*engine="sklearn"'):
        TreesFunction().fit(X, B)
    assert clone(FUNCTIONS["sklearn"]).fit(X, B).n_bits_ == 5


def test_scikit_learn_engine_is_scikit_learn():
    X, B = blobs(400)
    f = TreesFunction("sklearn", n_estimators=7, n_leaves=6, feature_fraction=1.0, max_bins=200).fit(X, B)
    model = HistGradientBoostingClassifier(
        max_iter=7,
        learning_rate=f.learning_rate,
        max_leaf_nodes=6,
        min_samples_leaf=f.min_samples_leaf,
        max_bins=200,
        early_stopping=False,
    )
    with threadpool_limits(1):
        for k in (1, 2):
            expected = model.fit(X, B[:, k]).decision_function(X)
            np.testing.assert_allclose(f.decision_function(X)[:, k], expected, atol=1e-9)


def test_lightgbm_engine_is_lightgbm():
    from lightgbm import LGBMClassifier

    X, B = blobs(400)
    f = TreesFunction(n_estimators=7, n_leaves=6, feature_fraction=1.0).fit(X, B)
    model = LGBMClassifier(
        n_estimators=7, num_leaves=6, learning_rate=f.learning_rate, max_bin=f.max_bins, verbosity=-1, n_jobs=1
    )
    model.set_params(min_child_samples=f.min_samples_leaf, min_data_in_bin=1, deterministic=True, force_col_wise=True)
    model.set_params(enable_bundle=False)
    for k in (1, 2, 3):
        model.fit(X, B[:, k])
        expected = model.booster_.predict(X, raw_score=True)
        np.testing.assert_allclose(f.decision_function(X)[:, k], expected, atol=1e-9)


def test_share_of_the_features():
    X, B = blobs(d=300)
    for wide, fraction in ((300, 0.1), (50, 0.4), (6, 1.0)):
        auto, given_fraction = (
            TreesFunction(n_estimators=4, feature_fraction=f, random_state=0).fit(X[:, :wide], B)
            for f in ("auto", fraction)
        )
        np.testing.assert_array_equal(
            auto.decision_function(X[:, :wide]), given_fraction.decision_function(X[:, :wide])
        )


def test_as_second_step_of_a_hasher():
    X, _ = blobs()
    y = np.argmax(X[:, :3], axis=1)
    hasher = TSH(n_bits=6, function=TreesFunction(n_estimators=20, min_samples_leaf=5), random_state=0).fit(X, y)
    assert (hasher.transform(X) == hasher.codes_).mean() > 0.95
    assert hasher.function_.random_state is not None
    again = TSH(n_bits=6, function=TreesFunction(n_estimators=20, min_samples_leaf=5), random_state=0).fit(X, y)
    np.testing.assert_array_equal(again.decision_function(X), hasher.decision_function(X))

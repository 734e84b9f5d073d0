import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from hashers import packing
from hashers.functions import ClassifierFunction, HashFunction, KernelFunction, LinearFunction, as_function
from hashers.functions._ridge import solve_normal_equations

FUNCTIONS = {
    "ridge": LinearFunction(),
    "fixed": LinearFunction(ridge=5.0),
    "logistic": LinearFunction("logistic"),
    "svm": LinearFunction("svm", random_state=0),
    "kernel": KernelFunction(n_anchors=30, random_state=0),
    "kmeans": KernelFunction(n_anchors=10, anchors="kmeans", random_state=0),
    "classifier": ClassifierFunction(LogisticRegression()),
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def blobs(n=120, d=6, n_bits=5, seed=0):
    """Three blobs on the sphere, a code for each."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    X = 2 * np.eye(3, d)[y] + 0.25 * rng.normal(size=(n, d))
    codebook = packing.signs(rng.normal(size=(3, n_bits)))
    codebook[:, 0] = 1  # a constant bit
    return X, codebook[y]


@every_function
def test_learns_and_keeps_to_the_protocol(function):
    X, B = blobs()
    f = clone(function)
    assert f.fit(X, B) is f
    margins = f.decision_function(X)
    assert margins.shape == B.shape and margins.dtype == np.float64
    codes = f.predict(X)
    assert codes.dtype == np.int8 and (codes == B).mean() > 0.97
    np.testing.assert_array_equal(codes, packing.signs(margins))
    np.testing.assert_array_equal(codes, f.transform(X))
    assert (codes[:, 0] == 1).all()
    assert f.n_bits_ == 5 and f.n_features_in_ == 6
    np.testing.assert_allclose(f.decision_function(X[:7]), margins[:7], atol=1e-9)
    again = pickle.loads(pickle.dumps(f))
    np.testing.assert_array_equal(again.decision_function(X), margins)
    np.testing.assert_array_equal(clone(function).fit(X, B).decision_function(X), margins)


@every_function
def test_float32_and_read_only_and_sparse(function):
    X, B = blobs()
    X.setflags(write=False)
    B.setflags(write=False)
    codes = clone(function).fit(X, B).predict(X)
    assert (clone(function).fit(X.astype(np.float32), B).predict(X) == codes).mean() > 0.98
    f = clone(function).fit(sparse.csr_matrix(X), B)
    assert (f.predict(sparse.csr_array(X)) == B).mean() > 0.97
    assert (f.predict(X) == B).mean() > 0.97


@every_function
def test_bad_input(function):
    X, B = blobs()
    f = clone(function)
    with pytest.raises(NotFittedError):
        f.predict(X)
    for wrong in (np.nan, np.inf):
        bad = X.copy()
        bad[3, 2] = wrong
        kind = "NaN: nan" if np.isnan(wrong) else "infinity: inf"
        for form in (np.asarray, sparse.csr_matrix, sparse.csc_array):
            with pytest.raises(ValueError, match=rf"^Input X contains {kind} at row 3, column 2, 1 such .*drop those"):
                f.fit(form(bad), B)
    with pytest.raises(ValueError, match=r"120 rows and B has 119.*Pass the codes of these rows"):
        f.fit(X, B[1:])
    with pytest.raises(ValueError, match="must hold -1 and"):
        f.fit(X, np.maximum(B, 0))
    f.fit(X, B)
    with pytest.raises(ValueError, match="expecting 6 features"):
        f.predict(X[:, :5])
    for weight, message in (
        (np.ones(3), "shape"),
        (-np.ones(120), "at least 0"),
        (np.zeros(120), "zero for every row"),
    ):
        with pytest.raises(ValueError, match=message):
            f.fit(X, B, sample_weight=weight)


@pytest.mark.parametrize("name", ["ridge", "fixed", "logistic", "kernel", "classifier"])
def test_weight_zero_removes_a_row(name):
    X, B = blobs()
    keep = np.random.default_rng(1).random(len(B)) < 0.8
    bad = np.where(keep[:, None], B, -B)
    f = clone(FUNCTIONS[name])
    if name == "kernel":
        f.set_params(n_anchors=200)  # all rows that count
    weighted = clone(f).fit(X, bad, sample_weight=keep).decision_function(X)
    np.testing.assert_allclose(weighted, clone(f).fit(X[keep], B[keep]).decision_function(X), atol=2e-3)


@pytest.mark.parametrize("name", ["fixed", "kernel"])
def test_weight_two_counts_a_row_twice(name):
    X, B = blobs(40)
    f = clone(FUNCTIONS[name])
    if name == "kernel":
        f.set_params(sigma=0.5, n_anchors=100)
    double = np.arange(40) < 15
    twice = clone(f).fit(np.r_[X, X[double]], np.r_[B, B[double]])
    if name == "kernel":
        once = clone(f).fit(X, B, sample_weight=1 + double)
        assert (once.predict(X) == twice.predict(X)).all()
        return
    np.testing.assert_allclose(
        clone(f).fit(X, B, sample_weight=1 + double).decision_function(X), twice.decision_function(X), atol=1e-9
    )


@given(seed=st.integers(0, 1000), n=st.integers(2, 30), d=st.integers(1, 40), ridge=st.sampled_from([0.1, 1.0, 50.0]))
def test_linear_equals_scikit_learn(seed, n, d, ridge):
    """Primal (d <= n) and dual (d > n), dense and sparse, weighted: all are the ridge of standardised features."""
    rng = np.random.default_rng(seed)
    X = rng.normal(3, 2, (n, d)) * (rng.random((n, d)) < 0.7)
    B, weight = packing.signs(rng.normal(size=(n, 3))), rng.integers(1, 4, n).astype(float)
    mean = weight @ X / weight.sum()
    spread = np.sqrt(weight @ (X - mean) ** 2 / weight.sum())
    Z = (X - mean) / np.where(spread > 1e-9, spread, 1)
    expected = Ridge(alpha=ridge).fit(Z, B, sample_weight=weight).predict(Z)
    constant = (B[:1] == B).all(axis=0)
    expected[:, constant] = B[0, constant]
    for form in (np.asarray, sparse.csr_matrix):
        ours = LinearFunction(ridge=ridge).fit(form(X), B, sample_weight=weight).decision_function(form(X))
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_linear_by_conjugate_gradients(monkeypatch):
    X, B = blobs()
    direct = LinearFunction(ridge=2.0).fit(X, B).decision_function(X)
    monkeypatch.setattr("hashers.functions.linear.DIRECT", 3)
    for form in (np.asarray, sparse.csr_matrix):
        ours = LinearFunction(ridge=2.0).fit(form(X), B).decision_function(form(X))
        np.testing.assert_allclose(ours, direct, atol=1e-2)


def test_linear_ignores_scale_and_shift():
    X, B = blobs()
    X = np.c_[X, np.full(len(X), 7.0)]  # a constant feature
    base = LinearFunction().fit(X, B)
    moved = LinearFunction().fit(X * 1e3 - 5e4, B)
    np.testing.assert_allclose(moved.decision_function(X * 1e3 - 5e4), base.decision_function(X), atol=1e-7)
    assert (base.coef_[-1] == 0).all()


def test_kernel_equals_the_formula():
    X, B = blobs()
    f = KernelFunction(n_anchors=25, sigma=0.7, ridge=0.3, random_state=0).fit(X, B)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    d2 = ((unit[:, None] - f.anchors_[None]) ** 2).sum(axis=2)
    phi = np.c_[np.exp(-d2 / (2 * 0.7**2)), np.ones(len(X))]
    W = np.linalg.solve(phi.T @ phi + 0.3 * np.eye(26), phi.T @ B)
    np.testing.assert_allclose(f.coef_, W, atol=1e-8)
    np.testing.assert_allclose(f.decision_function(X), phi @ W, atol=1e-9)


def test_blocks_change_nothing(monkeypatch):
    X, B = blobs(500)
    for name in ("kernel", "ridge"):
        whole = clone(FUNCTIONS[name]).fit(X, B).decision_function(X)
        monkeypatch.setattr("hashers.functions.kernel.BLOCK", 64)
        monkeypatch.setattr("hashers.functions.linear.BLOCK", 64)
        np.testing.assert_allclose(clone(FUNCTIONS[name]).fit(X, B).decision_function(X), whole, atol=1e-8)


def test_widths():
    X, B = blobs(400)
    width = {}
    for sigma in ("auto", "nearest", "median", "ksh", "sdh", 0.25):
        f = KernelFunction(n_anchors=50, sigma=sigma, random_state=0).fit(X, B)
        width[sigma] = f.sigma_
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    d = np.sqrt(((unit[:, None] - f.anchors_[None]) ** 2).sum(axis=2))
    assert width["sdh"] == 0.4 and width[0.25] == 0.25
    assert width["median"] == pytest.approx(np.median(d) / np.sqrt(2), rel=1e-3)
    assert width["ksh"] == pytest.approx(np.sqrt((d**2).mean()), rel=1e-6)
    rest = d[d.min(axis=1) > 1e-6]
    own = [np.sort(row)[1] for row in d[d.min(axis=1) <= 1e-6]]
    assert width["nearest"] == pytest.approx(np.r_[rest.min(axis=1), own].mean(), rel=1e-6)
    assert width["auto"] == pytest.approx(np.sqrt(width["nearest"] * width["median"]))


def test_widths_of_degenerate_data():
    B = packing.signs(np.random.default_rng(0).normal(size=(6, 3)))
    for X in (np.zeros((6, 2)), np.ones((6, 2))):
        f = KernelFunction(random_state=0).fit(X, B)
        assert f.sigma_ == 1.0 and np.isfinite(f.decision_function(X)).all()
    assert KernelFunction(random_state=0).fit([[1.0, 2.0]], [[1, -1]]).predict([[1.0, 2.0]]).tolist() == [[1, -1]]


def test_narrow_width_in_float32_is_computed_in_float64():
    X, B = blobs()
    X = (X * 0.01 + 1).astype(np.float32)  # rows nearly parallel
    narrow = KernelFunction(n_anchors=30, random_state=0).fit(X, B)
    assert narrow.sigma_ < 0.02 and narrow.anchors_.dtype == np.float64
    exact = KernelFunction(n_anchors=30, random_state=0, sigma=narrow.sigma_).fit(X.astype(np.float64), B)
    np.testing.assert_allclose(narrow.decision_function(X), exact.decision_function(X), atol=1e-2)


def hidden_blobs(kind):
    """Blobs whose spread is small against what is common to all rows; exact in float32."""
    X, B = blobs()
    X = np.round(X * 16)
    return (X + 1e5 if kind == "offset" else np.c_[X, np.full(len(X), 1e6)]).astype(np.float32), B


@pytest.mark.parametrize("kind", ["offset", "constant column"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("options", [{}, {"anchors": "kmeans"}, {"sigma": 1e-4}], ids=str)
def test_float32_is_left_where_it_is_too_coarse_for_the_distances(kind, form, options):
    X, B = hidden_blobs(kind)
    f = KernelFunction(n_anchors=30, ridge=1e-4, random_state=0, **options).fit(form(X), B)
    exact = clone(f).fit(form(X.astype(np.float64)), B)
    assert f.anchors_.dtype == np.float64
    assert f.sigma_ == exact.sigma_ < 1e-2
    np.testing.assert_allclose(f.decision_function(form(X)), exact.decision_function(form(X)), atol=1e-9)
    assert (f.predict(form(X)) == B).mean() > 0.95


def test_a_wide_sigma_does_not_hide_that_float32_is_too_coarse():
    X, B = hidden_blobs("offset")
    assert KernelFunction(n_anchors=30, sigma="sdh", random_state=0).fit(X, B).anchors_.dtype == np.float64
    X, B = blobs()
    assert KernelFunction(n_anchors=30, random_state=0).fit(X.astype(np.float32), B).anchors_.dtype == np.float32


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "classifier"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("factor", [1e-200, 1e160, 1e200, 1e-30, 1e30])
def test_extreme_scales_change_nothing(name, form, factor):
    function = FUNCTIONS[name]
    X, B = blobs()
    if 1e-35 < factor < 1e35:
        X = X.astype(np.float32)
    f = clone(function).fit(form(X * factor), B)
    assert (f.predict(form(X * factor)) == B).mean() > 0.95
    if f.get_params().get("solver", "ridge") == "ridge":
        base = clone(function).fit(form(X), B).decision_function(form(X))
        np.testing.assert_allclose(f.decision_function(form(X * factor)), base, atol=1e-2)


def test_rows_beyond_the_scale_of_training_are_named():
    X, B = blobs()
    f = LinearFunction().fit(X * 1e-250, B)
    X[4] *= 1e200
    for form in (np.asarray, sparse.csr_matrix):
        with pytest.raises(ValueError, match=r"row 4 of X is too large .*Scale X as the rows of fit"):
            f.decision_function(form(X))
        with pytest.raises(ValueError, match=r"row 4 of X is too large.*use normalize=True"):
            KernelFunction(normalize=False).fit(form(X), B)
    with pytest.raises(ValueError, match=r"column 0 of X is too small.*Scale it up"):
        LinearFunction(ridge=100.0).fit(np.linspace(0, 3e-310, 120)[:, None], B)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_distances_lost_even_in_float64_are_a_warning(form):
    X, B = blobs()
    for hidden in (X + 1e12, np.c_[X, np.full(len(X), 1e12)], np.arange(1.0, 121)[:, None]):
        with pytest.warns(UserWarning, match=r"rows of X differ.*StandardScaler.*normalize=False"):
            f = KernelFunction(random_state=0).fit(form(hidden), B)
        assert np.isfinite(f.decision_function(form(hidden))).all()
    with pytest.warns(UserWarning, match=r"rows of X differ, but their"):
        KernelFunction(random_state=0, normalize=False).fit(form(X * 1e-200), B)


def test_singular_equations_fall_back_to_least_squares():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(8, 3))
    W = solve_normal_equations(A @ A.T, A @ A.T @ np.ones((8, 2)), 0.0)
    np.testing.assert_allclose(A @ A.T @ W, A @ A.T @ np.ones((8, 2)), atol=1e-8)
    X, B = blobs(30)
    X = np.r_[X, X]  # every anchor twice
    f = KernelFunction(n_anchors=60, ridge=0, sigma=0.3, random_state=0).fit(X, np.r_[B, B])
    assert (f.predict(X[:30]) == B).all()


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(), LinearSVC(), GaussianNB(), KNeighborsClassifier(3), RidgeClassifier()],
    ids=lambda estimator: type(estimator).__name__,
)
def test_any_classifier_is_a_function(estimator):
    X, B = blobs()
    f = as_function(estimator)
    assert isinstance(f, ClassifierFunction) and not hasattr(estimator, "classes_")
    assert (f.fit(X, B).predict(X) == B).mean() > 0.97
    assert f.estimators_[0] == 1.0
    two = clone(f).set_params(n_jobs=2).fit(X, B)
    np.testing.assert_array_equal(two.decision_function(X), f.decision_function(X))


def test_classifier_without_weights():
    X, B = blobs()
    with pytest.raises(ValueError, match="KNeighborsClassifier takes no sample_weight"):
        as_function(KNeighborsClassifier()).fit(X, B, sample_weight=np.ones(len(B)))


def test_as_function():
    assert isinstance(as_function(None), KernelFunction)
    f = LinearFunction(ridge=3)
    assert as_function(f) is not f and as_function(f).ridge == 3
    for wrong in ("kernel", 3, LinearFunction, object()):
        with pytest.raises(ValueError, match="function must be None, a hash function or a scikit-learn classifier"):
            as_function(wrong)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (KernelFunction(n_anchors=0), "n_anchors must be a positive integer: 0"),
        (KernelFunction(anchors="grid"), "anchors must be"),
        (KernelFunction(sigma="wide"), "one of auto, validate, nearest, median, sdh, ksh: 'wide'"),
        (KernelFunction(sigma=0), "sigma must be a finite number above 0: 0"),
        (KernelFunction(sigma=np.nan), "sigma"),
        (KernelFunction(ridge=-1), "ridge must be a finite number of at least 0: -1"),
        (LinearFunction(ridge="big"), "ridge"),
        (LinearFunction("lasso"), "solver must be"),
        (LinearFunction("svm", C=0), "C must be"),
    ],
)
def test_bad_parameters(function, message):
    with pytest.raises(ValueError, match=message):
        function.fit(*blobs(20))


def test_margin_zero_codes_to_plus_one():
    class Zero(HashFunction):
        def _fit(self, X, B, weight):
            pass

        def _margins(self, X):
            return np.zeros((len(X), self.n_bits_))

    assert (Zero().fit(*blobs(9)).predict(np.ones((2, 6))) == 1).all()

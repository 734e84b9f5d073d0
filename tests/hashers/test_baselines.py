"""LSH, ITQ and SH against literal transcriptions of the papers, and the manners that all unsupervised hashers share."""

import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hashers import metrics, packing
from hashers.baselines import ITQ, LSH, SH
from hashers.baselines._base import principal_axes

ALL = [LSH(12, random_state=0), ITQ(12, random_state=0), SH(12)]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(X))
    X, y = X[order] / 16, y[order]
    return X[300:], y[300:], X[:300], y[:300]


def map_of(hasher, digits):
    X, y, X_query, y_query = digits
    hasher.fit(X)
    return metrics.mean_average_precision(hasher.transform(X_query), hasher.transform(X), y_query, y)


def literal_itq(X, n_bits, n_iter, first):
    """Gong and Lazebnik: PCA, then n_iter times B = sgn(VR), R from the singular vectors of B'V."""
    Z = X - X.mean(axis=0)
    values, vectors = np.linalg.eigh(Z.T @ Z)
    axes = vectors[:, np.argsort(-values)[:n_bits]]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n_bits)])
    V, R = Z @ axes, first
    for _ in range(n_iter):
        B = np.where(V @ R >= 0, 1.0, -1.0)
        U, _, Vt = np.linalg.svd(B.T @ V)  # B'V = U S Vt, R = (Vt)' U'
        R = Vt.T @ U.T
    return np.where(V @ R >= 0, 1, -1), V, R


@pytest.mark.parametrize("n_iter", [0, 1, 3, 10])
def test_itq_is_the_papers(digits, n_iter):
    X = digits[0][:200]
    rng = np.random.RandomState(5)
    first, corner = np.linalg.qr(rng.standard_normal((6, 6)))
    B, V, R = literal_itq(X, 6, n_iter, first * np.sign(np.diag(corner)))
    hasher = ITQ(6, max_iter=n_iter, random_state=5).fit(X)
    assert_allclose(hasher.rotation_, R, atol=1e-9)
    assert_array_equal(hasher.codes_, B)
    assert_allclose(hasher.decision_function(X), V @ R, atol=1e-9)


def test_itq_never_gets_worse_and_stops_where_nothing_changes(digits):
    X = digits[0][:300]
    hasher = ITQ(4, max_iter=500, random_state=0).fit(X)
    assert hasher.n_iter_ < 500
    assert (np.diff(hasher.loss_) <= 1e-12).all() and hasher.loss_[-1] < hasher.loss_[0]
    longer = ITQ(4, max_iter=1000, random_state=0).fit(X)
    assert_array_equal(longer.rotation_, hasher.rotation_)
    V = (X - X.mean(axis=0)) @ np.linalg.svd(X - X.mean(axis=0))[2][:4].T
    loss = ((hasher.codes_ - hasher.decision_function(X)) ** 2).mean()
    assert loss <= hasher.loss_[-1] + 1e-12
    rng = np.random.RandomState(0)
    for _ in range(20):  # no random rotation is better
        R = np.linalg.qr(rng.normal(size=(4, 4)))[0]
        assert loss < ((np.where(V @ R >= 0, 1, -1) - V @ R) ** 2).mean()


def test_itq_with_more_bits_than_features_rotates_padded_columns(digits):
    X = digits[0][:150, 20:25]
    hasher = ITQ(12, random_state=3).fit(X)
    assert hasher.rotation_.shape == (5, 12)
    assert_allclose(hasher.rotation_ @ hasher.rotation_.T, np.eye(5), atol=1e-12)
    rng = np.random.RandomState(3)
    first, corner = np.linalg.qr(rng.standard_normal((12, 12)))
    R = first * np.sign(np.diag(corner))
    Z = X - X.mean(axis=0)
    V = np.c_[Z @ principal_axes(X, 5, None)[1], np.zeros((150, 7))]
    for _ in range(hasher.n_iter_):
        U, _, Vt = np.linalg.svd(np.where(V @ R >= 0, 1.0, -1.0).T @ V)
        R = np.r_[(Vt.T @ U.T)[:5], R[5:]]  # the other rows meet zeros only
    assert_array_equal(hasher.codes_, np.where(V @ R >= 0, 1, -1))
    assert len(np.unique(hasher.codes_, axis=0)) > len(np.unique(ITQ(5, random_state=3).fit(X).codes_, axis=0))


def literal_sh(X, n_bits, X_new):
    """Weiss et al.: every mode of every axis, all products of sinusoids, sorted by eigenvalue, the first left out."""
    mean = X.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(X.T).reshape(X.shape[1], X.shape[1]))
    k = min(n_bits, X.shape[1])
    axes = vectors[:, np.argsort(-values)[:k]]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(k)])
    P = (X - mean) @ axes
    low, high = P.min(axis=0), P.max(axis=0)
    modes = [np.zeros(k)]
    for i in range(k):
        for mode in range(1, int(np.ceil((n_bits + 1) * (high - low)[i] / (high - low).max()))):
            modes.append(mode * np.eye(k)[i])
    modes = np.array(modes)
    omega = modes * np.pi / (high - low)
    chosen = omega[np.argsort((omega**2).sum(axis=1), kind="stable")[1 : n_bits + 1]]
    P_new = (X_new - mean) @ axes
    return np.array([[np.prod(np.sin((row - low) * w + np.pi / 2)) for w in chosen] for row in P_new])


@pytest.mark.parametrize(("n_features", "n_bits"), [(64, 8), (64, 20), (3, 9), (1, 5)])
def test_sh_is_the_papers(digits, n_features, n_bits):
    X = digits[0][:120][:, 26 : 26 + n_features] if n_features < 64 else digits[0][:120]
    X = X + 0.01 * np.random.RandomState(0).normal(size=X.shape)  # no constant features, which the paper cannot take
    X_new = digits[2][:50][:, 26 : 26 + n_features] if n_features < 64 else digits[2][:50]
    hasher = SH(n_bits).fit(X)
    assert_allclose(hasher.decision_function(X_new), literal_sh(X, n_bits, X_new), atol=1e-8)


def test_lsh_is_random_projections(digits):
    X = digits[0]
    W = np.random.RandomState(7).standard_normal((64, 5))
    assert_array_equal(LSH(5, random_state=7).fit(X).codes_, np.where((X - X.mean(axis=0)) @ W >= 0, 1, -1))


def test_map_on_digits(digits):
    """REFERENCE of the project: LSH .377/.558, ITQ .622/.684 at 16 and 64 bits; SH promises to beat LSH at few bits."""
    lsh = {q: np.mean([map_of(LSH(q, random_state=s), digits) for s in range(3)]) for q in (16, 64)}
    itq = {q: np.mean([map_of(ITQ(q, random_state=s), digits) for s in range(3)]) for q in (16, 64)}
    assert abs(lsh[16] - 0.377) < 0.05 and abs(lsh[64] - 0.558) < 0.04
    assert abs(itq[16] - 0.622) < 0.03 and abs(itq[64] - 0.684) < 0.02
    assert map_of(SH(8), digits) > np.mean([map_of(LSH(8, random_state=s), digits) for s in range(3)])


@given(
    n=st.integers(2, 30), d=st.integers(1, 30), k=st.integers(1, 8), rank=st.integers(1, 30), seed=st.integers(0, 2**16)
)
@example(n=5, d=20, k=8, rank=20, seed=0)
def test_principal_axes_are_those_of_a_singular_value_decomposition(n, d, k, rank, seed):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n, min(rank, d))) @ rng.normal(size=(min(rank, d), d)) + 5
    mean, axes, variance = principal_axes(X, k, rng)
    singular = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)[:k] ** 2 / n
    assert_allclose(mean, X.mean(axis=0))
    assert_allclose(axes.T @ axes, np.eye(axes.shape[1]), atol=1e-9)
    assert_allclose(variance, singular, atol=1e-9 * max(1.0, singular.max()))
    assert_allclose(((X - mean) @ axes).var(axis=0), singular, atol=1e-6 * max(1.0, singular.max()))
    for got, want in zip(principal_axes(sparse.csr_matrix(X), k, rng)[2], singular):
        assert got == pytest.approx(want, abs=1e-8 * max(1.0, singular.max()))


def test_principal_axes_by_lanczos(digits, monkeypatch):
    X = digits[0]
    mean, axes, variance = principal_axes(X, 10, None)
    monkeypatch.setattr("hashers.baselines._base.DIRECT", 20)
    for data in (X, sparse.csr_matrix(X), X.astype(np.float32)):
        other = principal_axes(data, 10, np.random.RandomState(0))
        assert_allclose(other[0], mean, atol=1e-6)
        assert_allclose(other[1], axes, atol=1e-3 if data.dtype == np.float32 else 1e-7)
        assert_allclose(other[2], variance, rtol=1e-4)


@pytest.mark.parametrize("hasher", ALL, ids=lambda h: type(h).__name__)
class TestManners:
    def test_outputs(self, hasher, digits):
        X = digits[0]
        hasher = clone(hasher).fit(X, digits[1])
        margins = hasher.decision_function(X)
        assert margins.dtype == np.float64 and margins.shape == (len(X), 12)
        assert hasher.codes_.dtype == np.int8 and hasher.n_bits_ == 12 and hasher.n_features_in_ == 64
        assert_array_equal(hasher.codes_, packing.signs(margins))
        assert_array_equal(hasher.transform(X), hasher.codes_)
        assert_array_equal(packing.unpack(hasher.encode(X), 12), hasher.codes_)
        assert hasher.get_feature_names_out()[3] == f"{type(hasher).__name__.lower()}3"
        again = pickle.loads(pickle.dumps(clone(hasher).fit(X)))
        assert_array_equal(again.decision_function(X), margins)
        assert_array_equal(make_pipeline(StandardScaler(), clone(hasher)).fit(X).transform(X).shape, (len(X), 12))

    def test_a_block_of_rows_is_a_block_of_the_margins(self, hasher, digits, monkeypatch):
        X = digits[0]
        margins = clone(hasher).fit(X).decision_function(X)
        monkeypatch.setattr("hashers.baselines._base.BLOCK", 100)
        assert_allclose(clone(hasher).fit(X).decision_function(X), margins, atol=1e-7)

    def test_sparse_float32_read_only_and_strided(self, hasher, digits):
        X = digits[0][:400]
        B = clone(hasher).fit(X).codes_
        frozen = X.copy()
        frozen.setflags(write=False)
        wide = np.zeros((400, 128))
        wide[:, ::2] = X
        assert_array_equal(clone(hasher).fit(frozen).codes_, B)
        assert (clone(hasher).fit(wide[:, ::2]).codes_ == B).mean() > 0.999
        assert (clone(hasher).fit(np.asfortranarray(X)).codes_ == B).mean() > 0.999
        assert (clone(hasher).fit(sparse.csr_matrix(X)).codes_ == B).mean() > 0.99
        assert (clone(hasher).fit(X.astype(np.float32)).codes_ == B).mean() > 0.99
        assert (clone(hasher).fit(sparse.csc_array(X.astype(np.float32))).codes_ == B).mean() > 0.99

    @pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-60, 2.0**60, 2.0**1000])
    def test_codes_do_not_depend_on_the_unit(self, hasher, digits, scale):
        X = digits[0][:200] + 1 / 16
        plain, other = clone(hasher).fit(X), clone(hasher).fit(scale * X)
        assert plain.exponent_ == 0 and other.exponent_ != 0
        assert_array_equal(other.codes_, plain.codes_)
        assert_array_equal(other.transform(scale * digits[2]), plain.transform(digits[2]))

    @pytest.mark.parametrize("value", [0.0, 0.1, -3e30, 1e-300])
    def test_constant_rows_have_one_code(self, hasher, value):
        X = np.full((9, 4), value)
        B = clone(hasher).fit(X).codes_
        assert len(np.unique(B, axis=0)) == 1

    def test_constant_features_change_nothing(self, hasher, digits):
        X = digits[0][:200, 18:30]
        more = np.c_[X, np.full((200, 2), 0.7)]
        if isinstance(hasher, LSH):
            return  # draws other projections
        assert_array_equal(clone(hasher).fit(more).codes_, clone(hasher).fit(X).codes_)

    def test_more_bits_than_rows(self, hasher, digits):
        B = clone(hasher).set_params(n_bits=40).fit(digits[0][:5]).codes_
        assert B.shape == (5, 40)
        assert (B[0] != B[1]).any()

    def test_errors(self, hasher, digits):
        X = digits[0][:50]
        for n_bits in (0, -1, 2.5, True, "8"):
            with pytest.raises(ValueError, match="n_bits must be a positive integer"):
                clone(hasher).set_params(n_bits=n_bits).fit(X)
        with pytest.raises(NotFittedError):
            clone(hasher).transform(X)
        bad = X.copy()
        bad[3, 4] = np.nan
        with pytest.raises(ValueError, match="NaN: nan at row 3, column 4"):
            clone(hasher).fit(bad)
        fitted = clone(hasher).fit(X)
        with pytest.raises(ValueError, match="expecting 64 features"):
            fitted.transform(X[:, :5])
        if not isinstance(hasher, LSH):
            with pytest.raises(ValueError, match="n_samples = 1"):
                clone(hasher).fit(X[:1])

    def test_rows_far_out_of_range_are_an_error_or_have_codes(self, hasher, digits):
        fitted = clone(hasher).fit(digits[0][:50])
        try:
            B = fitted.transform(np.full((2, 64), 1e308))
        except ValueError as error:
            assert "NaN" in str(error)
        else:
            assert set(np.unique(B)) <= {-1, 1}


def test_itq_checks_its_turns(digits):
    for wrong in (-1, 1.5, "many"):
        with pytest.raises(ValueError, match="max_iter must be an integer of at least 0"):
            ITQ(4, max_iter=wrong).fit(digits[0])

"""Hashers on graphs (AGH, STH, SGH) against dense transcriptions of their papers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.linalg import eigh
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from hashers import KernelFunction, LinearFunction, metrics, packing
from hashers.baselines import AGH, LSH, SGH, STH
from hashers.baselines.sth import _halves


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


def far_blobs(n_blobs=4, size=30):
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(n_blobs), size)
    return 100 * np.eye(n_blobs)[y] + rng.normal(size=(n_blobs * size, n_blobs)), y


def literal_z(X, anchors, s, sigma):
    """Liu et al.: kernel values of the s nearest anchors, normalised; dense."""
    Z = np.zeros((len(X), len(anchors)))
    for i, x in enumerate(X):
        d = ((x - anchors) ** 2).sum(axis=1)
        near = np.argsort(d)[:s]
        Z[i, near] = np.exp(-d[near] / sigma**2)
    return Z / Z.sum(axis=1, keepdims=True)


def literal_agh(Z, k):
    """Eigenvectors 2, 3, ... of A = Z diag(Z'1)^-1 Z', n x n, of length sqrt(n)."""
    A = Z @ np.diag(1 / Z.sum(axis=0)) @ Z.T
    values, vectors = np.linalg.eigh(A)
    return values[::-1][1 : k + 1], vectors[:, ::-1][:, 1 : k + 1] * np.sqrt(len(Z)), A


class TestAGH:
    def test_one_layer_is_the_papers(self, digits):
        X, X_new = digits[0][:400], digits[2][:50]
        hasher = AGH(6, n_anchors=40, random_state=0).fit(X)
        Z = literal_z(X, hasher.anchors_, 3, hasher.sigma_)
        values, Y = literal_agh(Z, 6)[:2]
        assert values[0] < 0.999  # then the authors' rule and ours agree
        assert_allclose(hasher.eigenvalues_, values, atol=1e-9)
        margins = hasher.decision_function(X)
        assert_allclose(np.abs(np.sum(margins * Y, axis=0)) / 400, 1, atol=1e-6)
        assert_allclose(margins.mean(axis=0), 0, atol=1e-9)
        assert_array_equal(hasher.codes_, np.where(margins >= 0, 1, -1))
        # equation 9: a new point's value is the mean over its anchors of those of the graph, divided by the eigenvalue
        z = literal_z(X_new, hasher.anchors_, 3, hasher.sigma_)
        extended = z @ np.diag(1 / Z.sum(axis=0)) @ Z.T @ margins / values
        assert_allclose(hasher.decision_function(X_new), extended, atol=1e-8)

    def test_second_layer_minimises_what_the_paper_says(self, digits):
        X = digits[0][:300]
        hasher = AGH(7, n_layers=2, n_anchors=30, random_state=0).fit(X)
        A = literal_agh(literal_z(X, hasher.anchors_, 3, hasher.sigma_), 1)[2]
        margins = hasher.decision_function(X)
        assert margins.shape == (300, 7) and hasher.projection_.shape == (30, 4) and hasher.thresholds_.shape == (2, 3)
        first = AGH(4, n_anchors=30, random_state=0).fit(X)
        assert_allclose(margins[:, :4], first.decision_function(X))
        for k in range(3):
            y, second = margins[:, k], margins[:, 4 + k]
            positive = y >= 0

            def cut(b, y=y, positive=positive):
                return np.where(positive, y - b[0], -y + b[1])

            def roughness(b, cut=cut):
                return cut(b) @ (cut(b) - A @ cut(b))

            found = minimize(
                roughness, [0.1, -0.1], constraints={"type": "eq", "fun": lambda b, cut=cut: cut(b).mean()}, tol=1e-14
            )
            assert_allclose(second, cut(hasher.thresholds_[:, k]))
            assert second.mean() == pytest.approx(0, abs=1e-9)
            assert roughness(hasher.thresholds_[:, k]) <= found.fun + 1e-6
            assert_allclose(hasher.thresholds_[:, k], found.x, atol=1e-3)

    def test_clusters_far_apart_are_told_apart(self):
        """Their eigenvectors have the eigenvalue 1; the authors' code, which drops it, sees inside clusters only."""
        X, y = far_blobs()
        for layers, n_bits in ((1, 3), (2, 6)):
            hasher = AGH(n_bits, n_layers=layers, n_anchors=40, random_state=0).fit(X)
            assert_allclose(hasher.eigenvalues_, 1, atol=1e-9)
            codes = np.array([hasher.codes_[y == c][0] for c in range(4)])
            assert_array_equal(hasher.codes_, codes[y])
            assert np.isfinite(hasher.decision_function(X)).all()
            assert len(np.unique(codes, axis=0)) >= 3

    def test_map_on_digits(self, digits):
        """The paper: above random projections, two layers above one, fewer eigenvectors better for long codes."""
        lsh = {q: map_of(LSH(q, random_state=0), digits) for q in (16, 48)}
        one = {q: map_of(AGH(q, random_state=0), digits) for q in (16, 48)}
        two = {q: map_of(AGH(q, n_layers=2, random_state=0), digits) for q in (16, 48)}
        assert two[16] > one[16] > lsh[16] + 0.2 and two[48] > max(one[48], lsh[48]) + 0.2
        assert one[16] > one[48]

    def test_too_many_bits(self, digits):
        with pytest.raises(
            ValueError, match="30 bits need 30 eigenvectors of the anchor graph, which has 9: n_samples = 10"
        ):
            AGH(30, random_state=0).fit(digits[0][:10])
        with pytest.raises(ValueError, match="n_layers must be 1 or 2: 3"):
            AGH(4, n_layers=3).fit(digits[0])
        with pytest.raises(ValueError, match="n_anchors must be a positive integer"):
            AGH(4, n_anchors=0).fit(digits[0])
        with pytest.raises(ValueError, match="which has 0"):
            AGH(1).fit(np.ones((20, 3)))


def literal_graph(X, k, metric):
    n = len(X)
    if metric == "cosine":
        X = X / np.linalg.norm(X, axis=1, keepdims=True)
    d = ((X[:, None] - X) ** 2).sum(axis=2)
    np.fill_diagonal(d, np.inf)
    near = np.argsort(d, axis=1)[:, :k]
    scale = np.mean([d[i, near[i, -1]] for i in range(n)])
    W = np.zeros((n, n))
    for i in range(n):
        for j in near[i]:
            W[i, j] = X[i] @ X[j] if metric == "cosine" else np.exp(-d[i, j] / scale)
    return np.maximum(W, W.T)


class TestSTH:
    @pytest.mark.parametrize("metric", ["cosine", "euclidean"])
    @pytest.mark.parametrize("dense", [0, 500])
    def test_codes_are_the_papers(self, digits, metric, dense, monkeypatch):
        monkeypatch.setattr("hashers.baselines.sth.DENSE", dense)
        X = digits[0][:200] + 0.01 * np.random.RandomState(0).normal(size=(200, 64))  # no equal distances
        hasher = STH(6, LinearFunction(), n_neighbors=10, metric=metric, random_state=0).fit(X)
        W = literal_graph(X, 10, metric)
        D = np.diag(W.sum(axis=1))
        values, Y = eigh(D - W, D)
        assert values[1] > 1e-6  # in one piece
        assert_allclose(hasher.eigenvalues_, values[1:7], atol=1e-8)
        B = np.where(Y[:, 1:7] > np.median(Y[:, 1:7], axis=0), 1, -1)
        agree = np.sum(hasher.codes_ * B, axis=0)
        assert_array_equal(np.abs(agree), 200)
        assert_array_equal(hasher.codes_.sum(axis=0), 0)

    def test_functions_are_fitted_to_the_codes(self, digits):
        X, _, X_query, _ = digits
        for function in (LinearFunction(), LogisticRegression(), KernelFunction(100, random_state=0)):
            hasher = STH(5, function, random_state=0).fit(X[:300])
            again = clone(hasher.function_).fit(X[:300], hasher.codes_)
            assert_allclose(hasher.decision_function(X_query), again.decision_function(X_query))
            assert_array_equal(hasher.transform(X_query), packing.signs(hasher.decision_function(X_query)))
            assert (hasher.transform(X[:300]) == hasher.codes_).mean() > 0.9

    def test_map_on_digits(self, digits):
        """Above random projections for short codes; later eigenvectors are of little use, as in the paper's figures."""
        sth, lsh = map_of(STH(12, random_state=0), digits), map_of(LSH(12, random_state=0), digits)
        assert sth > lsh + 0.2

    def test_parts_that_no_edge_joins(self):
        X, y = far_blobs(3, 40)
        hasher = STH(2, LinearFunction(), n_neighbors=5, metric="euclidean", random_state=0).fit(X)
        assert_allclose(hasher.eigenvalues_, 0, atol=1e-9)
        codes = np.array([hasher.codes_[y == c][0] for c in range(3)])
        assert_array_equal(hasher.codes_, codes[y])
        assert (np.abs(hasher.codes_.sum(axis=0)) == 40).all()  # one part against two, no empty side

    def test_same_seed_same_model(self, digits):
        X = digits[0][:600]
        one = STH(4, KernelFunction(50), random_state=1, n_jobs=1).fit(X)
        two = STH(4, KernelFunction(50), random_state=1, n_jobs=2).fit(X)
        assert_array_equal(one.codes_, two.codes_)
        assert_array_equal(one.decision_function(X), two.decision_function(X))

    def test_sparse_and_zero_rows(self, digits):
        X = digits[0][:300].copy()
        X[7] = 0
        for metric in ("cosine", "euclidean"):
            plain = STH(4, LinearFunction(), metric=metric, random_state=0).fit(X)
            other = STH(4, LinearFunction(), metric=metric, random_state=0).fit(sparse.csr_matrix(X))
            assert (plain.codes_ == other.codes_).mean() > 0.98
            assert np.isfinite(plain.decision_function(X)).all()

    def test_errors(self, digits):
        X = digits[0][:20]
        for settings, message in (
            ({"n_bits": 20}, "20 bits need 20 eigenvectors of a graph, and that of n_samples = 20 has 19"),
            ({"n_neighbors": 0}, "n_neighbors must be a positive integer: 0"),
            ({"metric": "manhattan"}, "metric must be"),
            ({"function": "kernel"}, "function must be None"),
        ):
            with pytest.raises(ValueError, match=message):
                STH(**{"n_bits": 4, **settings}).fit(X)
        assert STH(3, LinearFunction(), n_neighbors=500).fit(X).codes_.shape == (20, 3)
        assert len(np.unique(STH(2, LinearFunction()).fit(np.ones((9, 2))).transform(np.ones((3, 2))), axis=0)) == 1


def literal_sgh(X, anchors, n_bits, n_passes, order):
    """Jiang and Li, with S formed: bit by bit the top generalised eigenvector of the residual."""
    n = len(X)
    Z = X - X.mean(axis=0)
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    d = ((Z[:, None] - Z[anchors]) ** 2).sum(axis=2)
    width = d.mean()
    K = np.exp(-d / (2 * width))
    K -= K.mean(axis=0)
    z = Z @ Z.T  # rho = 2, unit rows: the exponent of S is z - 1, linear around 0
    S = 2 / np.e * ((np.e - 1 / np.e) / 2 * z + (np.e + 1 / np.e) / 2) - 1
    B, W = np.zeros((n, n_bits)), np.zeros((K.shape[1], n_bits))

    def solve(k):
        R = n_bits * S - np.delete(B, k, axis=1) @ np.delete(B, k, axis=1).T
        w = eigh(K.T @ R @ K, K.T @ K + 1e-6 * np.eye(K.shape[1]))[1][:, -1]
        W[:, k] = w / np.linalg.norm(w)
        B[:, k] = np.where(K @ w >= 0, 1, -1)

    for k in range(n_bits):
        solve(k)
    for _ in range(n_passes):
        for k in order:
            solve(k)
    return K @ W, S


class TestSGH:
    @pytest.mark.parametrize("n_passes", [0, 1])
    def test_bits_are_the_papers(self, digits, n_passes):
        X = digits[0][:250]
        hasher = SGH(8, n_anchors=30, n_passes=n_passes, random_state=3).fit(X)
        rng = np.random.RandomState(3)
        anchors = rng.permutation(250)[:30]
        margins, S = literal_sgh(X, anchors, 8, n_passes, rng.permutation(8))
        ours = hasher.decision_function(X)
        signs = np.sign((ours * margins).sum(axis=0))
        assert_allclose(ours, margins * signs, atol=1e-6)
        Z = X - X.mean(axis=0)
        Z /= np.linalg.norm(Z, axis=1, keepdims=True)
        gaussian = 2 * np.exp(-((Z[:, None] - Z) ** 2).sum(axis=2) / 2) - 1
        assert (S - gaussian).min() > -1e-12  # a chord of exp
        assert (S - gaussian).max() < 2 / np.e * (np.cosh(1) + np.sinh(1) * (np.log(np.sinh(1)) - 1)) + 1e-12

    def test_the_second_pass_and_more_bits_fit_better(self, digits):
        X = digits[0][:300]
        Z = X - X.mean(axis=0)
        Z /= np.linalg.norm(Z, axis=1, keepdims=True)
        S = 2 * np.exp(-((Z[:, None] - Z) ** 2).sum(axis=2) / 2) - 1

        def misfit(q, n_passes):
            B = SGH(q, n_passes=n_passes, random_state=0).fit(X).codes_.astype(int)
            return ((S - B @ B.T / q) ** 2).mean()

        assert misfit(16, 1) < misfit(16, 0)
        assert misfit(32, 1) < misfit(8, 1)

    def test_map_on_digits(self, digits):
        for q in (16, 64):
            assert map_of(SGH(q, random_state=0), digits) > map_of(LSH(q, random_state=0), digits) + 0.05

    def test_equal_rows_and_repeated_rows(self, digits):
        assert len(np.unique(SGH(3, random_state=0).fit(np.ones((10, 3))).codes_, axis=0)) == 1
        X = np.repeat(digits[0][:6], 10, axis=0)
        B = SGH(5, random_state=0).fit(X).codes_
        assert_array_equal(B, np.repeat(B[::10], 10, axis=0))

    def test_errors(self, digits):
        for settings, message in (
            ({"n_anchors": 0}, "n_anchors must be an integer of at least 1: 0"),
            ({"n_passes": -1}, "n_passes must be an integer of at least 0: -1"),
            ({"rho": 0}, "rho must be a finite number above 0: 0"),
        ):
            with pytest.raises(ValueError, match=message):
                SGH(4, **settings).fit(digits[0][:50])


@given(values=st.lists(st.integers(-3, 3), min_size=1, max_size=15))
def test_halves_are_as_equal_as_distinct_values_allow(values):
    y = np.array(values, dtype=float)
    bit = _halves(y)
    cuts = [np.where(y > c, 1, -1) for c in np.unique(y)[:-1]]
    if not cuts:
        assert (bit == 1).all()
        return
    assert any(np.array_equal(bit, cut) for cut in cuts)
    assert abs(bit.sum()) == min(abs(cut.sum()) for cut in cuts)
    if len(np.unique(y)) == len(y):
        assert_array_equal(bit, np.where(y > np.median(y), 1, -1))


@pytest.mark.parametrize(
    "hasher",
    [
        AGH(6, n_anchors=30, random_state=0),
        STH(6, LinearFunction(), random_state=0),
        SGH(6, n_anchors=30, random_state=0),
    ],
    ids=lambda h: type(h).__name__,
)
class TestManners:
    def test_outputs(self, hasher, digits):
        X = digits[0][:300]
        hasher = clone(hasher).fit(X)
        margins = hasher.decision_function(X)
        assert margins.dtype == np.float64 and margins.shape == (300, 6)
        assert hasher.codes_.dtype == np.int8 and hasher.codes_.shape == (300, 6)
        assert_array_equal(packing.unpack(hasher.encode(X), 6), hasher.transform(X))

    def test_float32_read_only_sparse_and_units(self, hasher, digits):
        X = digits[0][:300]
        B = clone(hasher).fit(X).codes_
        frozen = X.astype(np.float32)
        frozen.setflags(write=False)
        assert (clone(hasher).fit(frozen).codes_ == B).mean() > 0.97
        assert clone(hasher).fit(sparse.csr_matrix(X)).codes_.shape == B.shape
        for scale in (2.0**-900, 2.0**900):
            assert_array_equal(clone(hasher).fit(scale * X).codes_, B)
            assert_array_equal(
                clone(hasher).fit(scale * X).transform(scale * digits[2]), clone(hasher).fit(X).transform(digits[2])
            )

    def test_errors(self, hasher, digits):
        with pytest.raises(ValueError, match="n_bits must be a positive integer"):
            clone(hasher).set_params(n_bits=0).fit(digits[0])
        with pytest.raises(ValueError, match="n_samples = 1"):
            clone(hasher).fit(digits[0][:1])

    def test_constant_features_change_nothing(self, hasher, digits):
        X = digits[0][:300]
        if isinstance(hasher, STH):
            hasher = clone(hasher).set_params(metric="euclidean")  # the cosine sees a constant
        more = np.c_[X, np.full((300, 2), 0.5)]
        assert (clone(hasher).fit(more).codes_ == clone(hasher).fit(X).codes_).mean() > 0.99


def test_more_bits_than_rows(digits):
    B = SGH(40, random_state=0).fit(digits[0][:6]).codes_
    assert B.shape == (6, 40) and len(np.unique(B, axis=0)) == 6

"""Kernels and validated widths of KernelFunction."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone

from hashers import packing
from hashers.functions import KernelFunction, LinearFunction
from hashers.functions._kernels import leave_one_out_error
from hashers.functions.base import join

KERNELS = ("rbf", "laplacian", "chi2", "polynomial")


def blobs(n=120, d=6, seed=0):
    """Three blobs of features of at least 0, a code for each; the first bit is constant."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    X = np.maximum(2 * np.eye(3, d)[y] + 0.25 * rng.normal(size=(n, d)), 0)
    return X, np.array([[1, 1, -1], [1, -1, 1], [1, -1, -1]])[y].astype(np.int8)


def literal(kernel, x, a, sigma, degree):
    if kernel == "rbf":
        return np.exp(-np.sum((x - a) ** 2) / (2 * sigma**2))
    if kernel == "laplacian":
        return np.exp(-np.sum(np.abs(x - a)) / sigma)
    if kernel == "chi2":
        return np.exp(-sum((u - v) ** 2 / (u + v) for u, v in zip(x, a) if u + v > 0) / sigma)
    return ((1 + x @ a / sigma**2) / 2) ** degree


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("unit", [True, False])
def test_kernels_equal_their_formulas(kernel, unit):
    X, B = blobs(40)
    f = KernelFunction(kernel=kernel, n_anchors=9, sigma=0.8, ridge=0.3, normalize=unit, degree=2, random_state=0).fit(
        X, B
    )
    length = np.abs(X).sum(axis=1) if kernel in ("laplacian", "chi2") else np.linalg.norm(X, axis=1)
    Z = X / length[:, None] if unit else X
    phi = np.array([[*(literal(kernel, z, a, 0.8, 2) for a in f.anchors_), 1.0] for z in Z])
    assert all(any(np.allclose(a, z) for z in Z) for a in f.anchors_)
    W = np.linalg.solve(phi.T @ phi + 0.3 * np.eye(10), phi.T @ B)
    np.testing.assert_allclose(f.decision_function(X), phi @ W, atol=1e-8)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("anchors", ["random", "kmeans"])
@pytest.mark.parametrize("sigma", ["auto", "validate", "nearest", "median"])
def test_every_kernel_learns(kernel, anchors, sigma):
    X, B = blobs(80)
    function = KernelFunction(kernel=kernel, n_anchors=20, anchors=anchors, sigma=sigma, random_state=0)
    f = clone(function).fit(X, B)
    assert (f.predict(X) == B).mean() > 0.97
    assert f.sigma_ > 0 and np.isfinite(f.sigma_)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(f)).decision_function(X), f.decision_function(X))
    single = clone(function).fit(X.astype(np.float32), B)
    assert (single.predict(X.astype(np.float32)) == B).mean() > 0.97
    design = function.design(X)
    first, second = design.fit(B[:, :2]), design.fit(B[:, [2]], np.ones(len(B)))
    np.testing.assert_allclose(first.decision_function(X), clone(function).fit(X, B[:, :2]).decision_function(X))
    assert join([(first, 1), (second, 0)]).sigma_ == first.sigma_ == second.sigma_
    if kernel == "chi2":
        return
    S = sparse.csr_array(X)
    spread = clone(function).fit(S, B)
    assert (spread.predict(S) == B).mean() > 0.97
    if anchors == "random":
        np.testing.assert_allclose(spread.decision_function(S), f.decision_function(X), atol=1e-6)


def test_chi2_says_what_it_takes():
    X, B = blobs()
    with pytest.raises(ValueError, match=r'kernel="chi2" takes dense X only.*laplacian.*toarray'):
        KernelFunction(kernel="chi2").fit(sparse.csr_matrix(X), B)
    X[5, 2] = -3.0
    with pytest.raises(ValueError, match=r'kernel="chi2" takes features of at least 0: -0\.\d+.*column 2'):
        KernelFunction(kernel="chi2").fit(X, B)


def test_widths_of_other_kernels():
    X, B = blobs(300)
    X = X + 0.1 * np.random.default_rng(1).random(X.shape)
    f = {
        s: KernelFunction(kernel="laplacian", n_anchors=50, sigma=s, random_state=0).fit(X, B)
        for s in ("auto", "nearest", "median")
    }
    unit = X / X.sum(axis=1, keepdims=True)
    d = np.abs(unit[:, None] - f["auto"].anchors_[None]).sum(axis=2)
    assert f["median"].sigma_ == pytest.approx(np.median(d), rel=1e-6)
    own = d.min(axis=1) < 1e-12
    nearest = np.where(own, np.sort(d, axis=1)[:, 1], d.min(axis=1)).mean()
    assert f["nearest"].sigma_ == pytest.approx(nearest, rel=1e-6)
    assert f["auto"].sigma_ == pytest.approx(np.sqrt(nearest * np.median(d)), rel=1e-6)
    p = KernelFunction(kernel="polynomial", normalize=False, n_anchors=50, random_state=0).fit(X, B)
    assert p.sigma_ == pytest.approx(np.sqrt((p.anchors_**2).sum(axis=1).mean()))


@given(seed=st.integers(0, 10**6), ridge=st.sampled_from([1e-2, 1.0]), weighted=st.booleans())
def test_leave_one_out_error_equals_leaving_one_out(seed, ridge, weighted):
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(2, 12)), int(rng.integers(1, 8))
    phi, T = rng.normal(size=(n, m)), packing.signs(rng.normal(size=(n, 3))).astype(float)
    root = np.sqrt(rng.integers(1, 4, n))[:, None] if weighted else np.ones((n, 1))
    tested = np.flatnonzero(rng.random(n) < 0.7)
    expected = 0.0
    for i in tested:
        P, Q = np.delete(phi * root, i, axis=0), np.delete(T * root, i, axis=0)
        W = np.linalg.solve(P.T @ P + ridge * np.eye(m), P.T @ Q)
        expected += root[i, 0] ** 2 * ((T[i] - phi[i] @ W) ** 2).sum()
    assert leave_one_out_error(phi * root, T * root, ridge, tested) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_leave_one_out_error_of_a_singular_system():
    assert leave_one_out_error(np.zeros((3, 2)), np.ones((3, 1)), 0.0, np.arange(3)) == np.inf


@pytest.mark.parametrize("anchors", ["random", "kmeans"])
@given(seed=st.integers(0, 10**6), n_anchors=st.integers(1, 40))
@settings(max_examples=15)
def test_leave_one_out_margins_equal_leaving_row_and_anchor_out(anchors, seed, n_anchors):
    X, _ = blobs(24, 4, seed)
    B = packing.signs(np.random.default_rng(seed).normal(size=(24, 3)))
    design = KernelFunction(n_anchors, anchors, normalize=False, random_state=seed).design(X)
    margins, whole = design.leave_one_out(B), design.fit(B)
    for i in range(24):
        kept = np.ones(whole.anchors_.shape[0], dtype=bool)
        if anchors == "random":
            kept = (whole.anchors_ != X[i]).any(axis=1)
        phi = np.c_[
            [[literal("rbf", x, a, whole.sigma_, 0) for a in whole.anchors_[kept]] for x in X]
            if kept.any()
            else X[:, :0],
            np.ones(24),
        ]
        P, T = np.delete(phi, i, axis=0), np.delete(B, i, axis=0)
        W = np.linalg.solve(P.T @ P + 1e-2 * np.eye(P.shape[1]), P.T @ T)
        np.testing.assert_allclose(margins[i], phi[i] @ W, rtol=1e-6, atol=1e-7)


def test_leave_one_out_margins_do_not_know_their_label():
    """Labels that are noise, and as many anchors as rows: fitted margins know them all."""
    rng = np.random.default_rng(0)
    X, B = rng.normal(size=(300, 5)), packing.signs(rng.normal(size=(300, 4)))
    design = KernelFunction(300, sigma=0.5, random_state=0).design(X)
    fitted = design.fit(B)
    assert (packing.signs(design.margins(fitted)) == B).mean() > 0.85
    assert abs((packing.signs(design.leave_one_out(B)) == B).mean() - 0.5) < 0.06


def test_no_leave_one_out_margins_where_a_row_leaves_nothing():
    X, B = blobs(20)
    assert KernelFunction(20, ridge=0.0, random_state=0).design(X).leave_one_out(B) is None
    assert LinearFunction().design(X).leave_one_out(B) is None
    same = KernelFunction(5, random_state=0).design(np.ones((20, 3))).leave_one_out(B)
    assert np.isfinite(same).all()


def test_margins_of_blocks_are_those_of_one_block(monkeypatch):
    X, B = blobs(120)
    whole = KernelFunction(30, random_state=0).design(X).leave_one_out(B)
    monkeypatch.setattr("hashers.functions.kernel.BLOCK", 50)
    monkeypatch.setattr("hashers.functions.kernel.KEPT", 0)
    parts = KernelFunction(30, random_state=0).design(X).leave_one_out(B)
    np.testing.assert_allclose(parts, whole, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("function", [KernelFunction(15, random_state=0), LinearFunction(ridge=1.0)])
def test_designs_fit_targets(function):
    X, B = blobs(60)
    T = np.random.default_rng(0).normal(size=(60, 2))
    design = function.design(X)
    design.fit(B)
    wanted = clone(function).fit_targets(X, T).decision_function(X)
    np.testing.assert_allclose(design.fit_targets(T).decision_function(X), wanted, rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="T must be finite"):
        design.fit_targets(np.full((60, 1), np.nan))


def far_apart(n=800, seed=0):
    """Two groups far apart; the bits lie in the fine structure of each, which the distances hide."""
    rng = np.random.default_rng(seed)
    fine = rng.uniform(-4, 4, (n, 2))
    B = np.c_[np.sin(2 * fine[:, 0]), np.sin(2 * fine[:, 1])] * np.where(rng.random((n, 2)) < 0.97, 1, -1)
    return np.c_[fine, 300.0 * rng.integers(0, 2, n)], packing.signs(B)


def test_validation_finds_what_distances_hide():
    X, B = far_apart()
    train, test = slice(0, 500), slice(500, None)
    found = {}
    for sigma in ("auto", "validate"):
        f = KernelFunction(n_anchors=100, sigma=sigma, normalize=False, random_state=0).fit(X[train], B[train])
        found[sigma] = f.sigma_, (f.predict(X[test]) == B[test]).mean()
    assert found["validate"][0] < found["auto"][0] / 2
    assert found["validate"][1] > found["auto"][1] + 0.1
    weight = np.r_[np.ones(400), np.zeros(100)]
    f = KernelFunction(n_anchors=100, sigma="validate", normalize=False, random_state=0)
    assert f.fit(X[train], B[train], sample_weight=weight).sigma_ == pytest.approx(
        clone(f).fit(X[:400], B[:400]).sigma_
    )


@pytest.mark.parametrize(
    ("errors", "step"), [([1, 0.92, 1, 0.905, 2], 0), ([1, 1, 1, 0.8, 0.85], 1), ([0.8] + 4 * [1], -2)]
)
def test_the_width_moves_only_to_a_clearly_lower_error(monkeypatch, errors, step):
    X, B = blobs()
    auto = KernelFunction(n_anchors=20, random_state=0).fit(X, B).sigma_
    left = list(errors)
    monkeypatch.setattr("hashers.functions.kernel.leave_one_out_error", lambda *_: left.pop(0))
    widths = [KernelFunction(n_anchors=20, sigma=s, random_state=0).fit(X, B).sigma_ for s in ("nearest", "median")]
    f = KernelFunction(n_anchors=20, sigma="validate", random_state=0).fit(X, B)
    chosen = f.sigma_
    ratio = max(np.sqrt(2), (widths[1] / widths[0]) ** 0.25)
    assert not left
    assert chosen == pytest.approx(auto * ratio**step)
    np.testing.assert_allclose(f.validation_[:, 0], auto * ratio ** np.arange(-2, 3))
    np.testing.assert_allclose(f.validation_[:, 1], np.array(errors) / ((120 - 20) * 3))


def test_other_kernels_do_not_pass_as_rbf_in_onnx():
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    from hashers import TSH
    from hashers.export import export_onnx

    X, _ = blobs()
    hasher = TSH(n_bits=4, function=KernelFunction(n_anchors=9, kernel="laplacian"), random_state=0)
    hasher.fit(X, np.argmax(X[:, :3], axis=1))
    with pytest.raises(ValueError, match=r"kernel='laplacian'\) cannot become an ONNX graph.*hashers.save"):
        export_onnx(hasher)


def test_validation_of_very_few_rows():
    for n in (1, 2, 3):
        X, B = blobs(n)
        f = KernelFunction(sigma="validate", random_state=0).fit(X, B)
        assert np.isfinite(f.decision_function(X)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel": "sigmoid"}, "kernel must be one of rbf, laplacian, chi2, polynomial: 'sigmoid'"),
        ({"degree": 0}, "degree must be a positive integer: 0"),
        ({"degree": 1.5}, "degree"),
        ({"kernel": "laplacian", "sigma": "sdh"}, "sigma='sdh' is for kernel=\"rbf\", not 'laplacian'"),
        ({"kernel": "polynomial", "sigma": "ksh"}, "sigma='ksh' is for"),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(ValueError, match=message):
        KernelFunction(**arguments).fit(*blobs(20))

"""The ridge of LinearFunction, chosen by generalised cross-validation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone

from hashers import packing
from hashers.functions import LinearFunction
from hashers.functions._ridge import EXPONENTS, Spectrum
from hashers.functions.base import join


def noisy(n=80, d=6, n_bits=4, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(2, 3, (n, d)) * (rng.random((n, d)) < 0.7)
    return X, packing.signs((X - X.mean(axis=0)) @ rng.normal(size=(d, n_bits)) + noise * rng.normal(size=(n, n_bits)))


def literal_gcv(X, b, weight, ridge):
    """n RSS / (n - df)^2 from the hat matrix itself."""
    n = np.count_nonzero(weight)
    mean = weight @ X / weight.sum()
    spread = np.sqrt(weight @ (X - mean) ** 2 / weight.sum())
    root = np.sqrt(weight)[:, None]
    Z = (X - mean) / np.where(spread > 1e-9, spread, 1) * root
    t = (b - weight @ b / weight.sum()) * root[:, 0]
    hat = Z @ np.linalg.solve(Z.T @ Z + ridge * np.eye(Z.shape[1]), Z.T)
    freedom = n - 1 - np.trace(hat)
    return n * ((t - hat @ t) ** 2).sum() / freedom**2


@given(seed=st.integers(0, 10**6), n=st.integers(3, 25), d=st.integers(1, 30), weighted=st.booleans())
def test_the_ridge_minimises_generalised_cross_validation(seed, n, d, weighted):
    """Primal (d <= n) and dual (d > n), dense and sparse, weighted; no ridge of the grid is better."""
    X, B = noisy(n, d, 3, seed)
    weight = np.random.default_rng(seed).integers(1, 4, n).astype(float) if weighted else np.ones(n)
    given_weight = weight if weighted else None
    for form in (np.asarray, sparse.csr_matrix):
        f = LinearFunction().fit(form(X), B, sample_weight=given_weight)
        for k, ridge in enumerate(f.ridge_):
            if (B[:, k] == B[0, k]).all():
                continue
            ours = literal_gcv(X, B[:, k], weight, ridge)
            if not np.isfinite(ours):
                continue
            for factor in 4.0 ** np.arange(-4, 5):  # smaller ones are lost in the rounding of the hat matrix
                if ridge * factor > 1e-5 * n * d and factor != 1:
                    assert ours <= literal_gcv(X, B[:, k], weight, ridge * factor) * (1 + 1e-4)
            fixed = LinearFunction(ridge=ridge).fit(form(X), B[:, [k]], sample_weight=given_weight)
            np.testing.assert_allclose(
                f.decision_function(form(X))[:, [k]], fixed.decision_function(form(X)), atol=1e-5
            )


def test_noise_asks_for_more_ridge():
    clean, noise = (LinearFunction().fit(*noisy(300, 20, 5, noise=s)).ridge_ for s in (0.1, 40.0))
    assert (noise > 4 * clean).all()


def test_a_ridge_beats_none_and_one_too_large_on_new_rows():
    X, B = noisy(600, 90, 5, seed=1, noise=20.0)
    error = {
        ridge: (LinearFunction(ridge=ridge).fit(X[:120], B[:120]).predict(X[120:]) != B[120:]).mean()
        for ridge in ("auto", 1e-6, 1e7)
    }
    assert error["auto"] < error[1e-6] - 0.02
    assert error["auto"] <= error[1e7]


def test_bits_do_not_depend_on_each_other():
    X, B = noisy()
    together = LinearFunction().fit(X, B)
    for k in range(4):
        alone = LinearFunction().fit(X, B[:, [k]])
        np.testing.assert_allclose(alone.decision_function(X)[:, 0], together.decision_function(X)[:, k], atol=1e-10)


@pytest.mark.parametrize("ridge", ["auto", 3.0])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("shape", [(80, 6), (10, 30)])
def test_design(ridge, form, shape):
    X, B = noisy(*shape)
    function = LinearFunction(ridge=ridge)
    design = function.design(form(X))
    weight = np.random.default_rng(3).random(len(B)) + 0.1
    parts = []
    for k, w in ((0, None), (1, weight), (2, None)):
        fitted = design.fit(B[:, [k]], w)
        direct = clone(function).fit(form(X), B[:, [k]], sample_weight=w)
        np.testing.assert_allclose(fitted.decision_function(X), direct.decision_function(X), atol=1e-8)
        np.testing.assert_allclose(design.margins(fitted), direct.decision_function(X), atol=1e-8)
        parts.append((fitted, 0))
    joined = join(parts)
    assert joined.ridge_.shape == (3,)
    expected = np.hstack([part.decision_function(X) for part, _ in parts])
    np.testing.assert_allclose(joined.decision_function(X), expected, atol=1e-12)


@pytest.mark.parametrize("solver", ["logistic", "svm"])
def test_design_of_classifiers(solver):
    X, B = noisy()
    function = LinearFunction(solver, random_state=0)
    design = function.design(X)
    parts = [(design.fit(B), k) for k in (2, 0)]
    expected = clone(function).fit(X, B).decision_function(X)[:, [2, 0]]
    np.testing.assert_allclose(join(parts).decision_function(X), expected, atol=1e-6)


def test_large_systems_choose_on_some_rows(monkeypatch):
    X, B = noisy(300, 40, noise=4.0)
    exact = LinearFunction().fit(X, B)
    monkeypatch.setattr("hashers.functions.linear.SPECTRUM", 39)
    rough = LinearFunction().fit(X, B)
    assert len(set(rough.ridge_)) == 1
    assert np.isfinite(rough.ridge_).all() and rough.ridge_[0] > 0
    assert (rough.predict(X) == exact.predict(X)).mean() > 0.9
    design = LinearFunction().design(X)
    np.testing.assert_allclose(design.fit(B).decision_function(X), rough.decision_function(X), atol=1e-9)
    monkeypatch.setattr("hashers.functions.linear.DIRECT", 39)
    iterative = LinearFunction().fit(X, B)
    np.testing.assert_allclose(iterative.decision_function(X), rough.decision_function(X), atol=1e-2)


def test_nothing_to_choose_from():
    for X, B in (([[1.0, 2.0]], [[1, -1]]), (np.ones((5, 2)), np.array([[1], [1], [-1], [1], [1]]))):
        f = LinearFunction().fit(X, B)
        assert (f.ridge_ == 1).all()
        assert (f.predict(X) == np.sign(np.mean(B, axis=0))).all()
    assert Spectrum(np.eye(3), 3).best_ridge(np.zeros((3, 1)), np.zeros(1)) == 1.0
    assert EXPONENTS[0] < -30


def test_wrong_ridge():
    for wrong in ("gcv", -1, np.nan, True):
        with pytest.raises(ValueError, match="ridge must be"):
            LinearFunction(ridge=wrong).fit(*noisy(20))
        with pytest.raises(ValueError, match="ridge must be"):
            LinearFunction(ridge=wrong).design(noisy(20)[0])

"""Functions fitted again and again: designs, joined functions, the callable that code learners get."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.tree import DecisionTreeClassifier

from hashers import ClassifierFunction, KernelFunction, LinearFunction
from hashers.functions import kernel
from hashers.functions.base import Design, join
from hashers.functions.refit import Refit

RNG = np.random.RandomState(3)
X = RNG.randn(90, 6)
B = np.where(RNG.randn(90, 5) > 0, 1, -1).astype(np.int8)
WEIGHT = RNG.rand(90)
FUNCTIONS = [
    KernelFunction(n_anchors=20, random_state=0),
    KernelFunction(n_anchors=200, anchors="kmeans", sigma="ksh", random_state=1),
    LinearFunction(),
    LinearFunction(solver="logistic"),
    ClassifierFunction(DecisionTreeClassifier(max_depth=3, random_state=0)),
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
@pytest.mark.parametrize("X", [X, X.astype(np.float32), sparse.csr_matrix(X)], ids=["float64", "float32", "csr"])
def test_a_design_fits_what_fit_fits(function, X):
    design = function.design(X)
    for columns, weight in (([0, 1, 2], None), ([3], None), ([1, 4], WEIGHT)):
        fitted = design.fit(B[:, columns], weight)
        if weight is None or not isinstance(function, KernelFunction):
            alone = type(function)(**function.get_params(deep=False)).fit(X, B[:, columns], weight)
            np.testing.assert_allclose(fitted.decision_function(X), alone.decision_function(X), atol=1e-6)
        np.testing.assert_allclose(design.margins(fitted), fitted.decision_function(X), atol=1e-9)
        assert fitted.n_bits_ == len(columns)
    assert not hasattr(function, "n_bits_")


def test_a_weighted_fit_counts_rows_as_repeated_ones_do():
    function = KernelFunction(n_anchors=90, sigma=1.0, random_state=0)
    design = function.design(X)
    design.fit(B)
    weight = np.where(np.arange(90) < 30, 2.0, 1.0)
    weighted = design.fit(B, weight)
    rows = np.concatenate([np.arange(90), np.arange(30)])
    phi = weighted._map(X[rows])
    expected = np.linalg.solve(phi.T @ phi + 1e-2 * np.eye(91), phi.T @ B[rows].astype(float))
    np.testing.assert_allclose(phi @ weighted.coef_, phi @ expected, atol=1e-6)


def test_a_design_too_large_to_keep_gives_the_same(monkeypatch):
    function = KernelFunction(n_anchors=20, random_state=0)
    kept = function.design(X)
    monkeypatch.setattr(kernel, "KEPT", 0)
    monkeypatch.setattr(kernel, "BLOCK", 16)
    made_again = function.design(X)
    for weight in (None, WEIGHT, None):
        first, second = kept.fit(B, weight), made_again.fit(B, weight)
        assert made_again.blocks.kept is None
        np.testing.assert_allclose(kept.margins(first), made_again.margins(second), atol=1e-8)


@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
def test_joined_bits_are_the_bits_of_their_functions(function):
    design = function.design(X)
    first, second = design.fit(B[:, :3]), design.fit(-B[:, [1, 4]])
    joined = join([(second, 1), (first, 0), (first, 2), (second, 0)])
    expected = np.stack([second.decision_function(X)[:, 1], first.decision_function(X)[:, 0],
                         first.decision_function(X)[:, 2], second.decision_function(X)[:, 0]], axis=1)  # fmt: skip
    np.testing.assert_allclose(joined.decision_function(X), expected, atol=1e-9)
    assert joined.n_bits_ == 4 and first.n_bits_ == 3


@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
def test_refit_gives_margins_of_all_points_and_learns_from_known_ones(function):
    known = np.arange(90) % 4 > 0
    refit = Refit(function, X, known)
    first = refit(B, [0, 2])
    second = refit(-B, np.array([1, 2]), sample_weight=WEIGHT)
    assert first.shape == second.shape == (90, 2) and refit.n_fits == 4
    flipped = np.where(known[:, None], B, -B)
    np.testing.assert_allclose(Refit(function, X, known)(flipped, [0, 2]), first)
    joined = refit.function([0, 1, 1])
    np.testing.assert_allclose(joined.decision_function(X), np.stack([first[:, 0], *second.T], axis=1), atol=1e-9)


def test_the_design_of_any_other_function_is_the_plain_one():
    assert type(LinearFunction("logistic").design(X)) is Design
    assert type(KernelFunction().design(X)) is kernel.KernelDesign

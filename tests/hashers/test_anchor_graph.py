"""Anchor graphs: against a literal transcription, extreme values, few rows."""

import numpy as np
import pytest
from scipy import sparse

from hashers._anchor_graph import anchor_graph, anchor_weights


def literal(X, anchors, s, sigma):
    """The weights point by point."""
    Z = np.zeros((len(X), len(anchors)))
    for i, x in enumerate(X):
        squares = ((x - anchors) ** 2).sum(axis=1)
        near = np.argsort(squares, kind="stable")[:s]
        weights = np.exp(-squares[near] / sigma**2)
        Z[i, near] = weights / weights.sum()
    return Z


@pytest.mark.parametrize("s", [1, 3, 50])
def test_equals_the_formula(s):
    X = np.random.RandomState(0).randn(120, 5) + 7
    Z, anchors, sigma = anchor_graph(X, n_anchors=12, n_nearest=s, random_state=0)
    assert Z.shape == (120, 12) and anchors.shape == (12, 5)
    distances = np.sort(np.sqrt(((X[:, None] - anchors) ** 2).sum(axis=2)), axis=1)
    assert sigma == pytest.approx(distances[:, min(s, 12) - 1].mean(), rel=1e-10)
    np.testing.assert_allclose(Z.toarray(), literal(X, anchors, min(s, 12), sigma), atol=1e-9)
    new = np.random.RandomState(1).randn(9, 5) + 7
    weights = anchor_weights(new, anchors, s, 2.5)
    np.testing.assert_allclose(weights.toarray(), literal(new, anchors, min(s, 12), 2.5), atol=1e-9)


def test_anchors_lower_the_misfit_of_random_rows():
    X = np.random.RandomState(0).randn(400, 3)
    _, anchors, _ = anchor_graph(X, n_anchors=10, random_state=0)

    def misfit(centres):
        return ((X[:, None] - centres) ** 2).sum(axis=2).min(axis=1).sum()

    assert all(misfit(anchors) < misfit(X[np.random.RandomState(k).permutation(400)[:10]]) for k in range(5))


def test_sparse_and_single_precision_give_the_same():
    X = np.abs(np.random.RandomState(0).randn(60, 6)).round(2) * (np.random.RandomState(1).rand(60, 6) < 0.5)
    Z, anchors, sigma = anchor_graph(X, n_anchors=8, random_state=0)
    Z_csr, anchors_csr, sigma_csr = anchor_graph(sparse.csr_matrix(X), n_anchors=8, random_state=0)
    assert sigma_csr == pytest.approx(sigma)
    np.testing.assert_allclose(anchors_csr, anchors, atol=1e-12)
    np.testing.assert_allclose(Z_csr.toarray(), Z.toarray(), atol=1e-9)
    Z32 = anchor_weights(X.astype(np.float32), anchors, 3, sigma)
    np.testing.assert_allclose(Z32.toarray(), Z.toarray(), atol=1e-5)


@pytest.mark.parametrize("scale", [1e-300, 1e-20, 1e20, 1e300])
def test_scale_does_not_matter(scale):
    X = np.random.RandomState(0).randn(50, 4)
    Z, _, sigma = anchor_graph(X, n_anchors=6, random_state=0)
    scaled, _, wide = anchor_graph(X * scale, n_anchors=6, random_state=0)
    assert wide == pytest.approx(sigma * scale, rel=1e-6)
    np.testing.assert_allclose(scaled.toarray(), Z.toarray(), atol=1e-6)


def test_far_points_have_weights_that_sum_to_one():
    X = np.random.RandomState(0).randn(50, 4)
    _, anchors, sigma = anchor_graph(X, n_anchors=6, random_state=0)
    weights = anchor_weights(np.array([[1e6, 0, 0, 0], [1e200, 0, 0, 0], [0, 0, 0, 0]]), anchors, 2, sigma)
    np.testing.assert_allclose(weights.sum(axis=1), 1)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_few_and_equal_rows(rows):
    X = np.random.RandomState(0).randn(rows, 3)
    Z, anchors, sigma = anchor_graph(np.repeat(X, 4, axis=0), n_anchors=300, n_nearest=1)
    assert len(anchors) == rows and sigma > 0
    assert (Z.toarray().max(axis=1) == 1).all()
    Z, anchors, _ = anchor_graph(np.repeat(X, 100, axis=0), n_anchors=7, random_state=0)
    assert len(anchors) <= rows
    np.testing.assert_allclose(Z.sum(axis=1), 1)


def test_same_seed_same_graph_and_input_unchanged():
    X = np.random.RandomState(0).randn(200, 4)[:, ::2]
    X.setflags(write=False)
    first, second = (anchor_graph(X, n_anchors=9, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first[0].toarray(), second[0].toarray())
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_anchors": 0}, "n_anchors must be a positive integer: 0"),
        ({"n_nearest": 1.5}, "n_nearest must be a positive integer: 1.5"),
        ({"sigma": -1}, "sigma must be a finite number above 0: -1"),
        ({"sigma": "wide"}, "sigma must be a number above 0 or \"auto\": 'wide'"),
    ],
)
def test_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        anchor_graph(np.eye(3), **settings)

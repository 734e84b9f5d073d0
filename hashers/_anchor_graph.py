"""Anchor graphs: each point joined to its nearest anchors, so that the neighbourhood graph is a thin sparse matrix.

W. Liu, J. He, S.-F. Chang, "Large graph construction for scalable semi-supervised learning", ICML 2010
(the kernel weights), as used in W. Liu, J. Wang, S. Kumar, S.-F. Chang, "Hashing with graphs", ICML 2011. The width is
the one of the authors' code: the mean distance to the farthest of the nearest anchors.
"""

import warnings
from numbers import Real

import numpy as np
from scipy import sparse
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import check_random_state

from hashers.functions.base import check_count, check_positive

__all__ = ["anchor_graph", "anchor_weights"]

BLOCK = 4096
"""Rows whose distances to all anchors are held at once."""

ROWS_PER_ANCHOR = 50
"""k-means looks at this many rows an anchor, at most."""

ITERATIONS = 10
"""Of k-means: anchors need not be its optimum."""


def anchor_graph(X, n_anchors=300, n_nearest=3, sigma="auto", random_state=None):
    """Choose anchors by k-means and join each row of X to the nearest of them.

    z_ij = exp(-||x_i - a_j||^2 / sigma^2) for the `n_nearest` anchors a_j nearest to x_i, divided by their sum.

    Parameters
    ----------
    X : ndarray or csr matrix of shape (n_samples, n_features), float32 or float64
        Finite features, as `hashers.functions.base.check_features` gives them.
    n_anchors : int
        Anchors; fewer where X has fewer distinct rows.
    n_nearest : int
        Anchors that a point is joined to; all of them where there are fewer.
    sigma : float or "auto"
        Width; "auto" is the mean distance of the rows to their `n_nearest`-th nearest anchor.
    random_state : int, RandomState instance or None
        Rows that k-means looks at (50 an anchor at most) and starts from.

    Returns
    -------
    Z : csr_array of shape (n_samples, n_anchors), float64
        Weights; each row holds `n_nearest` of them, which sum to 1.
    anchors : ndarray of shape (n_anchors, n_features), float64
    sigma : float
        The width used.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    O(n m d) time for m anchors, distances for 4,096 rows at a time; the n x n graph Z diag(Z'1)^-1 Z' is never formed.

    Examples
    --------
    >>> X = np.array([[0.0], [0.2], [1.0], [1.2]])
    >>> Z, anchors, sigma = anchor_graph(X, n_anchors=2, n_nearest=1, random_state=0)
    >>> np.sort(anchors.ravel()).round(1)
    array([0.1, 1.1])
    >>> Z.sum(axis=1)
    array([1., 1., 1., 1.])
    """
    for name, value in (("n_anchors", n_anchors), ("n_nearest", n_nearest)):
        check_count(value, name)
    if isinstance(sigma, Real):
        sigma = check_positive(sigma, "sigma")
    elif sigma != "auto":
        raise ValueError(f'sigma must be a number above 0 or "auto": {sigma!r}.')
    rng = check_random_state(random_state)
    anchors = _centres(X, int(n_anchors), rng)
    index, squares, exponent = _nearest(X, anchors, int(n_nearest))
    if isinstance(sigma, str):
        mean = float(np.sqrt(squares[:, -1]).mean())
        sigma = float(np.ldexp(mean, exponent))
        if not 0 < sigma < np.inf:
            sigma = 1.0  # every row is an anchor
    return _weights(index, squares, exponent, sigma, len(anchors)), anchors, sigma


def anchor_weights(X, anchors, n_nearest, sigma):
    """Weights that join points to given anchors: rows of the anchor graph for points that it was not built from.

    Parameters
    ----------
    X : ndarray or csr matrix of shape (n_samples, n_features)
        Finite features.
    anchors : ndarray of shape (n_anchors, n_features)
    n_nearest : int
        Anchors that a point is joined to; all of them where there are fewer.
    sigma : float
        Width.

    Returns
    -------
    Z : csr_array of shape (n_samples, n_anchors), float64
        Rows sum to 1, however far a point is from its anchors.
    """
    index, squares, exponent = _nearest(X, np.asarray(anchors, dtype=np.float64), n_nearest)
    return _weights(index, squares, exponent, sigma, len(anchors))


def _centres(X, n_anchors, rng):
    """Distinct k-means centres of a sample of the rows, float64; the distinct rows themselves where they are few."""
    from sklearn.cluster import KMeans

    n = X.shape[0]
    limit = ROWS_PER_ANCHOR * n_anchors
    rows = X if n <= limit else X[np.sort(rng.permutation(n)[:limit])]
    rows = rows.astype(np.float64)
    exponent = _exponent(rows)
    rows = _scaled(rows, exponent)
    if n <= n_anchors:
        centres = rows.toarray() if sparse.issparse(rows) else rows
    else:
        kmeans = KMeans(n_anchors, n_init=1, max_iter=ITERATIONS, random_state=rng.randint(2**31 - 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fewer distinct rows than anchors
            centres = kmeans.fit(rows).cluster_centers_
    distinct = np.unique(np.round(centres, 12), axis=0, return_index=True)[1]  # equal but for rounding are equal
    return np.ldexp(centres[distinct], exponent)


def _exponent(*matrices):
    """Power of two that brings the largest absolute value of all to between 1/2 and 1."""
    largest = max(abs(M).max() if M.shape[0] and M.shape[1] else 0.0 for M in matrices)
    return int(np.frexp(float(largest))[1])


def _scaled(X, exponent):
    """X divided by 2**exponent."""
    if not sparse.issparse(X):
        return np.ldexp(X, -exponent)
    X = X.copy()
    X.data = np.ldexp(X.data, -exponent)
    return X


def _nearest(X, anchors, n_nearest):
    """Nearest anchors of each row, nearest first: index and squared distance (n, s), over 4**exponent."""
    n, s = X.shape[0], min(n_nearest, len(anchors))
    exponent = _exponent(X, anchors)
    centre = np.zeros(anchors.shape[1]) if sparse.issparse(X) else np.ldexp(anchors, -exponent).mean(axis=0)
    anchors = np.ldexp(anchors, -exponent) - centre
    index, squares = np.empty((n, s), dtype=np.int64), np.empty((n, s))
    for start in range(0, n, BLOCK):
        block = _scaled(X[start : start + BLOCK].astype(np.float64), exponent)
        if not sparse.issparse(block):
            block -= centre
        distances = euclidean_distances(block, anchors, squared=True)
        chosen = np.argpartition(distances, s - 1, axis=1)[:, :s]
        values = np.take_along_axis(distances, chosen, axis=1)
        order = np.lexsort((chosen, values), axis=1)
        index[start : start + BLOCK] = np.take_along_axis(chosen, order, axis=1)
        squares[start : start + BLOCK] = np.take_along_axis(values, order, axis=1)
    return index, squares, exponent


def _weights(index, squares, exponent, sigma, n_anchors):
    """The sparse matrix of weights; distances count from the nearest anchor, so that no row underflows."""
    n, s = index.shape
    width = max(float(np.ldexp(sigma, -exponent)), np.finfo(np.float64).tiny)
    excess = squares - squares[:, :1]
    with np.errstate(over="ignore", under="ignore"):
        values = np.exp(-((np.sqrt(excess) / width) ** 2))
    values /= values.sum(axis=1, keepdims=True)
    order = np.argsort(index, axis=1)
    columns, values = np.take_along_axis(index, order, axis=1), np.take_along_axis(values, order, axis=1)
    pointers = np.arange(0, n * s + 1, s)
    return sparse.csr_array((values.ravel(), columns.ravel(), pointers), shape=(n, n_anchors))

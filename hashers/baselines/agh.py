"""Anchor graph hashing: eigenvectors of a graph that joins points through anchors, cut once or twice.

W. Liu, J. Wang, S. Kumar and S.-F. Chang, "Hashing with graphs", ICML 2011.
"""

import numpy as np

from hashers._anchor_graph import anchor_graph, anchor_weights
from hashers.baselines._base import UnsupervisedHasher

__all__ = ["AGH"]

SMALLEST = 1e-8
"""Eigenvalues up to this are rounding: their eigenvectors cannot be extended to new points."""

ROUNDING = 1e-9
"""Margins below are 0; the mean square of an eigenvector's values is 1."""


class AGH(UnsupervisedHasher):
    """Signs of the smoothest functions on an anchor graph.

    A = Z diag(Z'1)^-1 Z' joins points that share anchors, Z from `hashers._anchor_graph`; its eigenvectors
    Y = sqrt(n) Z W (equations 6 to 8), largest eigenvalues first, without the constant one, extend to new points
    through their own row of Z. With one layer a bit is the sign of an eigenvector. With two, each of half as many
    eigenvectors gives a second bit, which cuts its positive side at b+ and its negative side at b-, such that the cut
    is smooth on the graph and balanced (equations 11 to 14).

    Parameters
    ----------
    n_bits : int
        Code length.
    n_layers : {1, 2}
        2 gives as many bits from half the eigenvectors; an odd bit is one of the first layer.
    n_anchors : int
        Anchors, by k-means; fewer where X has fewer distinct rows. There are fewer eigenvectors than anchors.
    n_nearest : int
        Anchors that a point is joined to.
    sigma : float or "auto"
        Width of the kernel exp(-d^2 / sigma^2); "auto" is the mean distance to the `n_nearest`-th nearest anchor.
    random_state : int, RandomState instance or None
        Seed of k-means.

    Attributes
    ----------
    anchors_ : ndarray of shape (n_anchors, n_features), float64
    sigma_ : float
        The width used, of features divided by ``2**exponent_`` as the anchors are.
    projection_ : ndarray of shape (n_anchors, k), float64
        W times sqrt(n); k is n_bits, or half of it rounded up with two layers.
    eigenvalues_ : ndarray of shape (k,), float64
        Of A, falling, in (0, 1].
    thresholds_ : ndarray of shape (2, n_bits - k), float64
        b+ and b- of the eigenvectors that give a second bit.
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Codes of the training points.
    exponent_ : int
        Features are divided by ``2**exponent_`` first; 0 for values of ordinary size.
    n_bits_, n_features_in_ : int

    Notes
    -----
    O(n m d + m^3) time for m anchors; memory for 4,096 x m distances and m x m eigenvectors; O(m d) to encode a row.

    Where we differ from the authors' code: it leaves out every eigenvalue above 0.999. Where clusters are far apart,
    the eigenvectors that tell them apart are among these; we leave out the constant eigenvector only.

    References
    ----------
    Liu, Wang, Kumar and Chang, "Hashing with graphs", ICML 2011.

    Examples
    --------
    >>> X = np.r_[np.zeros((5, 2)), np.ones((5, 2))] + np.linspace(0, 0.1, 10)[:, None]
    >>> AGH(n_bits=1, n_anchors=4, random_state=0).fit(X).codes_[:, 0] * AGH(1, random_state=0).fit(X).codes_[0, 0]
    array([ 1,  1,  1,  1,  1, -1, -1, -1, -1, -1], dtype=int8)
    """

    def __init__(self, n_bits=32, n_layers=1, n_anchors=300, n_nearest=3, sigma="auto", random_state=None):
        self.n_bits = n_bits
        self.n_layers = n_layers
        self.n_anchors = n_anchors
        self.n_nearest = n_nearest
        self.sigma = sigma
        self.random_state = random_state

    def _learn(self, X, n_bits, rng):
        if self.n_layers not in (1, 2):
            raise ValueError(f"n_layers must be 1 or 2: {self.n_layers!r}.")
        n_vectors = n_bits if self.n_layers == 1 else -(-n_bits // 2)
        sigma = self.sigma if isinstance(self.sigma, str) else self.sigma / 2.0**self.exponent_
        Z, self.anchors_, self.sigma_ = anchor_graph(X, self.n_anchors, self.n_nearest, sigma, rng)
        size = np.asarray(Z.sum(axis=0)).ravel()
        self.eigenvalues_, self.projection_ = _eigenvectors(Z, size, n_vectors, n_bits)
        Y = Z @ self.projection_
        pairs = [_thresholds(Z, size, Y[:, k]) for k in range(n_bits - n_vectors)]
        self.thresholds_ = np.array(pairs).reshape(-1, 2).T.copy()

    def _margins(self, X):
        Y = anchor_weights(X, self.anchors_, self.n_nearest, self.sigma_) @ self.projection_
        again = Y[:, : self.thresholds_.shape[1]]
        margins = np.c_[Y, np.where(again >= 0, again - self.thresholds_[0], self.thresholds_[1] - again)]
        margins[np.abs(margins) < ROUNDING] = 0  # a side that is one cluster is cut at its own value
        return margins


def _eigenvectors(Z, size, k, n_bits):
    """The k largest eigenvalues of A but for that of the constant, and W sqrt(n), so that Z W sqrt(n) has columns of
    length sqrt(n); `size` is Z'1."""
    from scipy.linalg import eigh

    n, m = Z.shape
    used = size > 0
    root = np.sqrt(size[used])
    small = (Z.T @ Z).toarray()[np.ix_(used, used)] / np.outer(root, root)
    constant = root / np.sqrt(n)
    small -= 2 * np.outer(constant, constant)  # its eigenvalue 1 becomes -1, the others stay
    values, vectors = eigh(small)
    usable = int((values > SMALLEST).sum())
    if k > usable:
        raise ValueError(
            f"{n_bits} bits need {k} eigenvectors of the anchor graph, which has {usable}: n_samples = {n}, "
            f"{m} distinct anchors. Ask for fewer bits, for more anchors (n_anchors), or for n_layers=2."
        )
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    signs = np.sign(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(k)])
    projection = np.zeros((m, k))
    projection[used] = vectors * (signs * np.sqrt(n / values)) / root[:, None]
    return np.minimum(values, 1.0), projection


def _thresholds(Z, size, y):
    """b+ and b- of one eigenvector y.

    With g = |y|, f = g - b+ on the positive side and g + b- on the other, they minimise f'(I - A)f such that f sums
    to 0. Since (I - A)1 = 0 the first depends on c = b+ + b- only.
    """
    positive = y >= 0
    n, n_positive = len(y), int(positive.sum())
    half = float(y[positive].sum())  # the other side sums to as much, negated
    joined = Z.T @ positive.astype(np.float64)
    weight = np.where(size > 0, size, 1.0)
    between = n_positive - float(joined @ (joined / weight))
    if between <= SMALLEST * n:  # no edge crosses: every c is as good, and the mean of each side is balanced
        return half / max(1, n_positive), -half / max(1, n - n_positive)
    c = (half - float(joined @ ((Z.T @ np.abs(y)) / weight))) / between
    return (2 * half + (n - n_positive) * c) / n, (n_positive * c - 2 * half) / n

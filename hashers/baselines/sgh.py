"""Scalable graph hashing: all pairwise similarities approximated by few features, one spectral problem a bit.

Q.-Y. Jiang and W.-J. Li, "Scalable graph hashing with feature transformation", IJCAI 2015.
"""

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cholesky, eigh, solve_triangular

from hashers.baselines._base import BLOCK, UnsupervisedHasher
from hashers.functions.base import check_count, check_positive

__all__ = ["SGH"]

GAMMA = 1e-6
"""Ridge of the kernel's scalar products, the authors'."""


class SGH(UnsupervisedHasher):
    """Signs of kernel features, bit by bit against what the bits so far leave of a similarity of all points.

    min ||q S - B B'||^2, b_k = sign(K w_k), S_ij = 2 exp(-||x_i - x_j||^2 / rho) - 1. S is never formed: on [-1, 1]
    exp(z) is replaced by its chord ((e^2 - 1) z + e^2 + 1) / 2 e, so that S becomes P(X) Q(X)' of rank d + 2 (equations
    4 and 5). Bit k is the largest generalised eigenvector of K'(q S - sum over the other bits of b b')K and K'K, first
    with the bits before it, then once more each with all others (algorithm 1).

    Parameters
    ----------
    n_bits : int
        Code length.
    n_anchors : int
        Random training rows that the kernel looks at; all where there are fewer.
    rho : float
        Width of the similarity, for rows of unit length; 2 makes z the cosine.
    n_passes : int
        Times that each bit is solved again, given all others.
    random_state : int, RandomState instance or None
        Choice of the anchors, order of the bits in later passes.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,), float64
        Rows are centred by it, then scaled to unit length.
    anchors_ : ndarray of shape (n_anchors, n_features), float64
        Of unit length.
    width_ : float
        Mean squared distance of rows to anchors; the kernel is exp(-d^2 / (2 width)).
    kernel_mean_ : ndarray of shape (n_anchors,), float64
    coef_ : ndarray of shape (n_anchors, n_bits), float64
        Weights of the centred kernel.
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Codes of the training points.
    exponent_ : int
        Features are divided by ``2**exponent_`` first; 0 for values of ordinary size.
    n_bits_, n_features_in_ : int

    Notes
    -----
    O(n m (d + m + n_bits) + n_bits m^3) time and O(n m) memory for m anchors.

    Where we differ from the authors' code: rows are centred and normalised by the estimator; the generalised problem
    is brought to an ordinary one by one Cholesky factorisation for all bits.

    References
    ----------
    Jiang and Li, "Scalable graph hashing with feature transformation", IJCAI 2015.

    Examples
    --------
    >>> X = np.random.RandomState(0).normal(size=(100, 5))
    >>> SGH(n_bits=6, n_anchors=20, random_state=0).fit_transform(X).shape
    (100, 6)
    """

    def __init__(self, n_bits=32, n_anchors=300, rho=2.0, n_passes=1, random_state=None):
        self.n_bits = n_bits
        self.n_anchors = n_anchors
        self.rho = rho
        self.n_passes = n_passes
        self.random_state = random_state

    def _learn(self, X, n_bits, rng):
        for name, least in (("n_anchors", 1), ("n_passes", 0)):
            check_count(getattr(self, name), name, least)
        rho = check_positive(self.rho, "rho")
        n = X.shape[0]
        self.mean_ = np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
        self.anchors_ = self._unit(X[rng.permutation(n)[: self.n_anchors]])
        K = np.empty((n, len(self.anchors_)))
        for start in range(0, n, BLOCK):
            K[start : start + BLOCK] = _squared_distances(self._unit(X[start : start + BLOCK]), self.anchors_)
        width = float(K.mean())
        self.width_ = width if width > 0 else 1.0
        K /= -2 * self.width_
        np.exp(K, out=K)
        self.kernel_mean_ = K.mean(axis=0)
        K -= self.kernel_mean_
        features = np.zeros((K.shape[1], X.shape[1] + 1))
        for start in range(0, n, BLOCK):
            features += K[start : start + BLOCK].T @ _transformed(self._unit(X[start : start + BLOCK]), rho)
        self.coef_ = _sequential(K, features, n_bits, self.n_passes, rng)

    def _margins(self, X):
        K = np.exp(_squared_distances(self._unit(X), self.anchors_) / (-2 * self.width_))
        return (K - self.kernel_mean_) @ self.coef_

    def _unit(self, X):
        """Centred rows of unit length, float64; a row at the mean stays 0."""
        rows = (X.toarray() if sparse.issparse(X) else X) - self.mean_
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(length > 0, length, 1.0)


def _squared_distances(rows, anchors):
    """Squared distances (n, m), never negative."""
    squares = np.einsum("ij,ij->i", rows, rows)[:, None] + np.einsum("ij,ij->i", anchors, anchors)
    return np.maximum(squares - 2 * rows @ anchors.T, 0)


def _transformed(rows, rho):
    """P(X) of equation 4 without its last column, 1 in P and -1 in Q, whose product with a centred kernel is 0."""
    shrink = np.exp(-np.einsum("ij,ij->i", rows, rows) / rho)[:, None]
    linear, constant = np.sqrt(2 * (np.e**2 - 1) / (np.e * rho)), np.sqrt((np.e**2 + 1) / np.e)
    return np.c_[linear * shrink * rows, constant * shrink]


def _sequential(K, features, n_bits, n_passes, rng):
    """Weights (m, n_bits) of all bits, algorithm 1 in the coordinates where K'K is the identity; `features` is K'P."""
    gram, m = K.T @ K, K.shape[1]
    ridge = GAMMA
    while True:
        try:
            L = cholesky(gram + ridge * np.eye(m), lower=True)
            break
        except LinAlgError:
            ridge *= 10
    features = solve_triangular(L, features, lower=True)
    residual = n_bits * (features @ features.T)
    coef, rounded = np.empty((m, n_bits)), np.empty((m, n_bits))

    def solve(k):
        top = eigh(residual, subset_by_index=[m - 1, m - 1])[1][:, 0]
        w = solve_triangular(L, top, lower=True, trans="T")
        w *= np.copysign(1 / np.linalg.norm(w), w[np.argmax(np.abs(w))])
        coef[:, k] = w
        rounded[:, k] = solve_triangular(L, K.T @ np.where(K @ w >= 0, 1.0, -1.0), lower=True)

    for k in range(n_bits):
        solve(k)
        residual -= np.outer(rounded[:, k], rounded[:, k])
    for _ in range(n_passes):
        for k in rng.permutation(n_bits):
            residual += np.outer(rounded[:, k], rounded[:, k])
            solve(k)
            residual -= np.outer(rounded[:, k], rounded[:, k])
    return coef

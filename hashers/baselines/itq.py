"""Iterative quantisation: principal components, rotated so that their signs lose least.

Y. Gong and S. Lazebnik, "Iterative quantization: a procrustean approach to learning binary codes", CVPR 2011.
"""

import numpy as np

from hashers import packing
from hashers.baselines._base import UnsupervisedHasher, centred_product, principal_axes
from hashers.functions.base import check_count

__all__ = ["ITQ"]


class ITQ(UnsupervisedHasher):
    """Signs of rotated principal components.

    min over B in {-1, +1}^{n x q} and R'R = I of ||B - V R||^2, V the centred features projected on their q leading
    principal axes (equation 2), by turns: B = sign(V R), then R from the singular vectors of B'V.

    Parameters
    ----------
    n_bits : int
        Code length; may exceed the number of features, see Notes.
    max_iter : int
        Turns; ends earlier where no code changes any more, which gives the same rotation.
    random_state : int, RandomState instance or None
        Seed of the first rotation.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,), float64
    coef_ : ndarray of shape (n_features, n_bits), float64
        Principal axes times rotation.
    rotation_ : ndarray of shape (k, n_bits), float64
        Orthonormal rows; k = min(n_bits, n_features, n_samples) axes.
    loss_ : ndarray of shape (n_iter,), float64
        ||B - V R||^2 / (n n_bits) before each turn of R; it never rises.
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Codes of the training points.
    exponent_ : int
        Features are divided by ``2**exponent_`` first, margins are of the result; 0 for values of ordinary size.
    n_iter_, n_bits_, n_features_in_ : int

    Notes
    -----
    O(n d min(n, d) + max_iter n n_bits^2) time, O(min(n, d)^2 + n n_bits) memory beside X. The turns are in the
    precision of X, all else in float64.

    More bits than principal axes: V is padded with columns of zeros, which is the same as a rotation with orthonormal
    rows only. The codes are well defined, but the bits share what the axes hold, so longer codes gain little.

    Where we differ from the authors' code: the first rotation is drawn uniformly (Haar) by a QR decomposition instead
    of a singular value decomposition, which is the same distribution; we stop when nothing changes.

    References
    ----------
    Gong and Lazebnik, "Iterative quantization: a procrustean approach to learning binary codes", CVPR 2011.

    Examples
    --------
    >>> X = [[0.0, 0.0], [0.1, 0.0], [1.0, 1.0], [1.1, 1.0]]
    >>> B = ITQ(n_bits=2, random_state=0).fit_transform(X)
    >>> np.array_equal(B[0], B[1]), np.array_equal(B[0], -B[2])
    (True, True)
    """

    def __init__(self, n_bits=32, max_iter=50, random_state=None):
        self.n_bits = n_bits
        self.max_iter = max_iter
        self.random_state = random_state

    def _learn(self, X, n_bits, rng):
        check_count(self.max_iter, "max_iter", least=0)
        self.mean_, axes, _ = principal_axes(X, n_bits, rng)
        V = centred_product(X, self.mean_, axes)
        first, corner = np.linalg.qr(rng.standard_normal((n_bits, n_bits)))
        first *= np.sign(np.diagonal(corner))
        self.rotation_, self.loss_ = _rotate(V.astype(X.dtype, copy=False), first[: V.shape[1]], self.max_iter)
        self.n_iter_ = len(self.loss_)
        self.coef_ = axes @ self.rotation_
        return packing.signs(V @ self.rotation_)

    def _margins(self, X):
        return centred_product(X, self.mean_, self.coef_)


def _rotate(V, R, max_iter):
    """Turn B and R until B stays; R (k, q) float64 with orthonormal rows, and the loss before each turn of R."""
    from scipy.linalg import svd

    n, q = V.shape[0], R.shape[1]
    square = float(np.einsum("ij,ij->", V, V, dtype=np.float64))
    total = V.sum(axis=0, dtype=np.float64)[:, None]
    losses, last = [], None
    for _ in range(max_iter):
        positive = V @ R.astype(V.dtype) >= 0
        if last is not None and np.array_equal(positive, last):
            break
        cross = 2 * (V.T @ positive.astype(V.dtype)).astype(np.float64) - total  # V'B
        losses.append((n * q + square - 2 * float(np.sum(cross * R))) / (n * q))
        left, _, right = svd(cross, full_matrices=False, check_finite=False)
        R, last = left @ right, positive
    return R, np.array(losses)

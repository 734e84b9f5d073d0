"""Spectral hashing: eigenfunctions of a uniform distribution along the principal axes, thresholded at 0.

Y. Weiss, A. Torralba and R. Fergus, "Spectral hashing", NIPS 2008.
"""

import numpy as np

from hashers.baselines._base import UnsupervisedHasher, centred_product, principal_axes

__all__ = ["SH"]

NEGLIGIBLE = 1e-9
"""Ranges below this share of the widest are rounding."""


class SH(UnsupervisedHasher):
    """Signs of sinusoids along principal axes.

    The points are taken for uniform in the box [a_i, b_i] of their principal components. The Laplacian eigenfunctions
    of the box that depend on one axis are Phi_j(x) = sin(pi / 2 + j pi (x_i - a_i) / (b_i - a_i)), and those with the
    smallest eigenvalues, hence the lowest frequencies j pi / (b_i - a_i), give one bit each (section 3.1).

    Parameters
    ----------
    n_bits : int
        Code length; may exceed the number of features, for an axis gives several bits.
    random_state : int, RandomState instance or None
        Start of the Lanczos iterations for more than 3,000 rows and features; nothing else is random.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,), float64
    components_ : ndarray of shape (n_features, k), float64
        Principal axes, k = min(n_bits, n_features, n_samples).
    axis_ : ndarray of shape (n_bits,), int64
        Axis of each bit.
    mode_ : ndarray of shape (n_bits,), int64
        Half waves j of each bit over the range of its axis.
    low_, range_ : ndarray of shape (k,), float64
        a_i and b_i - a_i, from the training points.
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Codes of the training points.
    exponent_ : int
        Features are divided by ``2**exponent_`` first; 0 for values of ordinary size.
    n_bits_, n_features_in_ : int

    Notes
    -----
    O(n d min(n, d)) time, O(min(n, d)^2) memory beside X; O(d k) to encode a row. Margins are values of Phi in
    [-1, 1]; outside the box the sinusoids go on, as in the authors' code. Axes without variance get no bit; where no
    axis has any, all bits are +1.

    The assumption of a uniform box fails for clustered data, and wide axes win many bits: MAP can fall with more bits.

    References
    ----------
    Weiss, Torralba and Fergus, "Spectral hashing", NIPS 2008.

    Examples
    --------
    >>> SH(n_bits=3).fit_transform([[0.0], [1.0], [2.0], [3.0]])
    array([[ 1,  1,  1],
           [ 1, -1, -1],
           [-1, -1,  1],
           [-1,  1, -1]], dtype=int8)
    """

    def __init__(self, n_bits=32, random_state=None):
        self.n_bits = n_bits
        self.random_state = random_state

    def _learn(self, X, n_bits, rng):
        self.mean_, self.components_, _ = principal_axes(X, n_bits, rng)
        projected = centred_product(X, self.mean_, self.components_)
        self.low_ = projected.min(axis=0)
        self.range_ = projected.max(axis=0) - self.low_
        self.axis_, self.mode_ = _lowest_modes(self.range_, n_bits)

    def _margins(self, X):
        projected = centred_product(X, self.mean_, self.components_)
        width = np.where(self.range_ > 0, self.range_, 1.0)
        phase = ((projected - self.low_) / width)[:, self.axis_] * self.mode_
        return np.where(self.range_[self.axis_] > 0, np.cos(np.pi * phase), 1.0)


def _lowest_modes(width, n_bits):
    """Axis and number of half waves of the `n_bits` lowest frequencies; lower axes first where they are equal."""
    used = np.flatnonzero(width > NEGLIGIBLE * width.max()) if width.max() > 0 else np.zeros(1, dtype=np.int64)
    widest = width[used].max()
    axis, mode = [], []
    for i in used:
        most = n_bits if width[i] == widest else int(np.ceil((n_bits + 1) * width[i] / widest)) - 1
        axis.append(np.full(most, i))
        mode.append(np.arange(1, most + 1))
    axis, mode = np.concatenate(axis), np.concatenate(mode)
    frequency = mode / np.where(width > 0, width, 1.0)[axis]
    lowest = np.lexsort((axis, frequency))[:n_bits]
    return axis[lowest], mode[lowest]

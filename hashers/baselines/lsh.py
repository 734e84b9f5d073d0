"""Locality-sensitive hashing by random projections.

M. S. Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002: two points differ in a
bit with the probability angle / pi.
"""

import numpy as np

from hashers.baselines._base import UnsupervisedHasher, centred_product

__all__ = ["LSH"]


class LSH(UnsupervisedHasher):
    """Signs of random projections of the centred features; labels are not looked at.

    b_k(x) = sign(w_k'(x - mean)), w_k normally distributed.

    Parameters
    ----------
    n_bits : int
        Code length.
    random_state : int, RandomState instance or None
        Seed of the projections.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,), float64
    coef_ : ndarray of shape (n_features, n_bits), float64
        Projections.
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Codes of the training points.
    exponent_ : int
        Features are divided by ``2**exponent_`` first, margins are of the result; 0 for values of ordinary size.
    n_bits_, n_features_in_ : int

    Notes
    -----
    O(n d n_bits) to encode n rows, 4,096 of them in float64 at a time.

    References
    ----------
    Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002.

    Examples
    --------
    >>> LSH(n_bits=4, random_state=0).fit_transform([[0.0, 1.0], [0.0, 2.0]])
    array([[-1,  1, -1,  1],
           [ 1, -1,  1, -1]], dtype=int8)
    """

    _min_rows = 1

    def __init__(self, n_bits=32, random_state=None):
        self.n_bits = n_bits
        self.random_state = random_state

    def _learn(self, X, n_bits, rng):
        self.mean_ = np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
        self.coef_ = rng.standard_normal((X.shape[1], n_bits))

    def _margins(self, X):
        return centred_product(X, self.mean_, self.coef_)

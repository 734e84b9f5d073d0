"""Locality-sensitive hashing by random projections.

M. S. Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002: two points differ in a
bit with the probability angle / pi.
"""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from hashers import packing
from hashers.functions.base import check_features

__all__ = ["LSH"]


class LSH(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
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
    n_bits_, n_features_in_ : int

    Notes
    -----
    O(n d n_bits) to encode n rows.

    References
    ----------
    Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002.

    Examples
    --------
    >>> LSH(n_bits=4, random_state=0).fit_transform([[0.0, 1.0], [0.0, 2.0]])
    array([[-1,  1, -1,  1],
           [ 1, -1,  1, -1]], dtype=int8)
    """

    def __init__(self, n_bits=32, random_state=None):
        self.n_bits = n_bits
        self.random_state = random_state

    def fit(self, X, y=None):
        """Draw the projections.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self : LSH
        """
        if isinstance(self.n_bits, bool) or not isinstance(self.n_bits, Integral) or self.n_bits < 1:
            raise ValueError(f"n_bits must be a positive integer: {self.n_bits!r}.")
        X = check_features(self, X, reset=True)
        self.mean_ = np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
        self.coef_ = check_random_state(self.random_state).standard_normal((X.shape[1], int(self.n_bits)))
        self.n_bits_ = int(self.n_bits)
        self.codes_ = packing.signs(X @ self.coef_ - self.mean_ @ self.coef_)
        return self

    def decision_function(self, X):
        """Projections, whose signs are the codes; shape (n_samples, n_bits), float64."""
        check_is_fitted(self)
        return check_features(self, X, reset=False) @ self.coef_ - self.mean_ @ self.coef_

    def transform(self, X):
        """Codes in {-1, +1}; shape (n_samples, n_bits), int8."""
        return packing.signs(self.decision_function(X))

    def encode(self, X):
        """Packed codes; shape (n_samples, ceil(n_bits / 8)), uint8, bit order "little"."""
        return packing.pack(self.transform(X))

    @property
    def _n_features_out(self):
        return self.n_bits_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags

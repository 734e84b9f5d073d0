"""What unsupervised hashers share: validation, blocks of rows, codes and bytes, behind scikit-learn's manners.

A method gives `_learn`, which fits it to validated features, and `_margins`, the real outputs of a block of rows.
"""

from abc import abstractmethod

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from hashers import packing
from hashers._saving import SaveMixin
from hashers.functions.base import TAME, check_count, check_features

__all__ = ["UnsupervisedHasher", "centred_product", "largest_exponent", "principal_axes", "scaled"]

BLOCK = 4096
"""Rows that are held in float64 at once."""

DIRECT = 3000
"""Largest matrix of scalar products whose eigenvectors are computed directly; beyond it by Lanczos iterations."""


class UnsupervisedHasher(SaveMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base of hashers that learn from features alone.

    Children set in `__init__` at least `n_bits`, and give `_learn` and `_margins`.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Codes of the training points.
    exponent_ : int
        Features are divided by ``2**exponent_`` first, margins are of the result; 0 unless the largest absolute
        training value is above 2**40 or below 2**-40.
    n_bits_ : int
        Code length.
    n_features_in_ : int
        Features of X.
    """

    _min_rows = 2

    def fit(self, X, y=None):
        """Learn the hash functions.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features; finite. float32 is kept, other types become float64.
        y : ignored
            There for pipelines.

        Returns
        -------
        self : UnsupervisedHasher

        Raises
        ------
        ValueError
            If X holds NaN or infinity or has too few rows, or a parameter is out of its range.
        """
        n_bits = check_count(self.n_bits, "n_bits")
        X = check_features(self, X, reset=True)
        if X.shape[0] < self._min_rows:
            raise ValueError(
                f"X has n_samples = {X.shape[0]}: {type(self).__name__} learns from the differences of rows and needs "
                f"at least {self._min_rows}."
            )
        exponent = largest_exponent(X)
        self.exponent_ = exponent if abs(exponent) > TAME else 0
        X = scaled(X, self.exponent_)
        codes = self._learn(X, n_bits, check_random_state(getattr(self, "random_state", None)))
        self.n_bits_ = n_bits
        self.codes_ = packing.signs(self._all_margins(X)) if codes is None else codes
        return self

    def decision_function(self, X):
        """Real margins, whose signs are the codes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        margins : ndarray of shape (n_samples, n_bits), float64
        """
        check_is_fitted(self)
        return self._all_margins(scaled(check_features(self, X, reset=False), self.exponent_))

    def transform(self, X):
        """Hash points: codes in {-1, +1}, +1 where the margin is at least 0; shape (n_samples, n_bits), int8."""
        return packing.signs(self.decision_function(X))

    def encode(self, X):
        """Hash points to bytes, bit order "little"; shape (n_samples, ceil(n_bits / 8)), uint8."""
        return packing.pack(self.transform(X))

    @property
    def _n_features_out(self):
        return self.n_bits_

    @abstractmethod
    def _learn(self, X, n_bits, rng):
        """Fit to validated, scaled features; return codes of the rows, or None for those that the margins give."""

    @abstractmethod
    def _margins(self, X):
        """Margins (n, n_bits) float64 of a block of validated, scaled rows."""

    def _all_margins(self, X):
        margins = np.empty((X.shape[0], self.n_bits_))
        with np.errstate(over="ignore", invalid="ignore"):  # rows far out of the training range: NaN margins are told
            for start in range(0, X.shape[0], BLOCK):
                margins[start : start + BLOCK] = self._margins(X[start : start + BLOCK])
        return margins

    def __sklearn_is_fitted__(self):
        return hasattr(self, "codes_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def largest_exponent(X):
    """The power of two just above the largest absolute value of a dense or csr X; 0 for all zeros."""
    largest = max(abs(float(X.max())), abs(float(X.min()))) if X.shape[1] else 0.0
    return int(np.frexp(largest)[1])


def scaled(X, exponent):
    """X divided by ``2**exponent``; X itself for 0."""
    if not exponent:
        return X
    if not sparse.issparse(X):
        return np.ldexp(X, -exponent)
    X = X.copy()
    X.data = np.ldexp(X.data, -exponent)
    return X


def centred_product(X, mean, coef):
    """``(X - mean) @ coef`` in float64, a block of rows at a time; a sparse X stays sparse."""
    if sparse.issparse(X):
        return X @ coef - mean @ coef
    product = np.empty((X.shape[0], coef.shape[1]))
    for start in range(0, X.shape[0], BLOCK):
        np.matmul(X[start : start + BLOCK] - mean, coef, out=product[start : start + BLOCK])
    return product


def principal_axes(X, n_axes, rng):
    """Mean and leading principal axes.

    Parameters
    ----------
    X : ndarray or csr matrix of shape (n_samples, n_features)
    n_axes : int
    rng : RandomState
        Start of the Lanczos iterations, which replace a direct method where n and d exceed 3,000.

    Returns
    -------
    mean : ndarray of shape (n_features,), float64
    axes : ndarray of shape (n_features, k), float64
        Orthonormal columns, k = min(n_axes, n_features, n_samples), largest variance first. The entry of largest
        absolute value of each is positive.
    variance : ndarray of shape (k,), float64
        Divided by n, not n - 1; never negative.

    Notes
    -----
    O(n d min(n, d)) time, O(min(n, d)^2) memory beside X; sums in float64.
    """
    n, d = X.shape
    mean = np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
    k = min(n_axes, n, d)
    if min(n, d) > DIRECT:
        axes, values = _lanczos(X, mean, k, rng)
    elif d <= n:
        values, axes = _top(_covariance(X, mean), k)
    else:
        values, left = _top(_gram(X, mean), k)
        axes = np.linalg.qr(_transposed_product(X, mean, left))[0]
    signs = np.sign(axes[np.argmax(np.abs(axes), axis=0), np.arange(k)])
    return mean, axes * np.where(signs == 0, 1, signs), np.maximum(values, 0) / n


def _covariance(X, mean):
    """Centred scalar products of columns, float64, summed over blocks of rows."""
    if sparse.issparse(X):
        X = X.astype(np.float64)
        product = (X.T @ X).toarray()
        return product - X.shape[0] * np.outer(mean, mean)
    total = np.zeros((X.shape[1], X.shape[1]))
    for start in range(0, X.shape[0], BLOCK):
        block = X[start : start + BLOCK] - mean
        total += block.T @ block
    return total


def _gram(X, mean):
    """Centred scalar products of rows, float64."""
    if not sparse.issparse(X):
        block = X - mean
        return block @ block.T
    X = X.astype(np.float64)
    product, shift = (X @ X.T).toarray(), X @ mean
    return product - shift[:, None] - shift + mean @ mean


def _transposed_product(X, mean, left):
    """``(X - mean).T @ left`` in float64."""
    if sparse.issparse(X):
        return X.T @ left - np.outer(mean, left.sum(axis=0))
    total = np.zeros((X.shape[1], left.shape[1]))
    for start in range(0, X.shape[0], BLOCK):
        total += (X[start : start + BLOCK] - mean).T @ left[start : start + BLOCK]
    return total


def _top(matrix, k):
    """The k largest eigenvalues, falling, and their eigenvectors."""
    from scipy.linalg import eigh

    m = len(matrix)
    values, vectors = eigh(matrix, subset_by_index=[m - k, m - 1], check_finite=False, overwrite_a=True)
    return values[::-1], vectors[:, ::-1]


def _lanczos(X, mean, k, rng):
    """Axes and eigenvalues by products with X, which is never centred as a whole."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    def product(v):
        v = v.reshape(-1, 1)
        if sparse.issparse(X):
            return _transposed_product(X, mean, centred_product(X, mean, v)).ravel()
        total = np.zeros(X.shape[1])
        for start in range(0, X.shape[0], BLOCK):
            block = X[start : start + BLOCK] - mean
            total += block.T @ (block @ v[:, 0])
        return total

    operator: LinearOperator = LinearOperator((X.shape[1], X.shape[1]), matvec=product, dtype=np.float64)  # pyright: ignore
    values, axes = eigsh(operator, k=k, v0=rng.standard_normal(X.shape[1]))
    return axes[:, ::-1], values[::-1]

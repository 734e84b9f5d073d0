"""Linear hash functions: ridge regression of all bits at once, or a linear classifier per bit."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone

from hashers import packing
from hashers.functions._ridge import NormalEquations, Spectrum
from hashers.functions.base import ClassifierFunction, Design, HashFunction, balanced, check_positive

__all__ = ["LinearFunction"]

BLOCK = 4096
"""Rows of X held in float64 at once."""

COLUMNS = 512
"""Columns of X held in float64 at once, where there are more columns than rows."""

DIRECT = 8000
"""Largest system of normal equations that is formed: 0.5 GiB of float64."""


SPECTRUM = 1500
"""Largest Gram matrix whose spectrum chooses the ridge; beyond, the spectrum of that many rows does."""


class LinearFunction(HashFunction):
    """Hash functions that are linear in standardised features.

    Minimises sum_i w_i ||b_i - W'z_i - a||^2 + ridge ||W||^2, z the features with mean 0 and variance 1.

    Parameters
    ----------
    solver : {"ridge", "logistic", "svm"}
        Ridge regression, one system for all bits; or scikit-learn's LogisticRegression or LinearSVC, a bit at a time.
    ridge : float or "auto"
        Weight of the penalty with solver "ridge", beside a variance of n per feature; the intercept is not penalised.
        "auto" takes, for each bit, the one of least generalised cross-validation error on the training rows.
    C : float
        Inverse strength of the penalty with the other solvers.
    n_jobs : int, optional
        Bits fitted at once with the other solvers.
    random_state : int, RandomState instance or None
        For solver "svm".

    Attributes
    ----------
    coef_ : ndarray of shape (n_features, n_bits), float64
        Weights of the raw (unstandardised) features.
    intercept_ : ndarray of shape (n_bits,), float64
    ridge_ : ndarray of shape (n_bits,), float64
        The ridge of each bit, with solver "ridge".

    Notes
    -----
    O(n d min(n, d)) time, O(min(n, d)^2) memory beside X, sums in float64. Sparse X is never centred in memory; where
    both n and d exceed 8,000 the system is solved by conjugate gradients. A constant feature gets weight 0, a constant
    bit its value.

    Examples
    --------
    >>> X = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]]
    >>> function = LinearFunction(ridge=1e-6).fit(X, [[-1, 1], [-1, -1], [1, 1], [1, -1]])
    >>> function.predict([[2.5, 1.0]])
    array([[1, 1]], dtype=int8)
    """

    @property
    def _per_bit(self):
        return ("coef_", "intercept_", "ridge_") if self.solver == "ridge" else ("coef_", "intercept_")

    def __init__(self, solver="ridge", ridge="auto", C=1.0, n_jobs=None, random_state=None):
        self.solver = solver
        self.ridge = ridge
        self.C = C
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def takes_targets(self):
        return self.solver == "ridge"

    def _fit(self, X, B, weight):
        self._check_parameters()
        X, exponent = balanced(X, axis=0)
        rows = _Rows(X, np.ones(len(B)) if weight is None else weight)
        B = B.astype(np.float64)
        if self.solver == "ridge":
            coef, intercept = self._regress(rows, B, self._system(rows))
        else:
            coef, intercept = self._classify(rows, B)
        self._finish(coef, intercept, rows, B, exponent)

    def _design(self, X):
        self._check_parameters()
        return LinearDesign(self, X) if self.solver == "ridge" else Design(self, X)

    def _check_parameters(self):
        if self.solver not in ("ridge", "logistic", "svm"):
            raise ValueError(f'solver must be "ridge", "logistic" or "svm": {self.solver!r}.')
        if isinstance(self.ridge, str):
            if self.ridge != "auto":
                raise ValueError(f'ridge must be a number of at least 0 or "auto": {self.ridge!r}.')
        else:
            check_positive(self.ridge, "ridge", zero=True)

    def _system(self, rows):
        """What the ridge needs of the rows alone, whatever the codes; None where nothing does, or is too large."""
        if self.ridge == "auto":
            return Spectrum(rows.gram(), rows.n, rows.dual) if rows.size <= SPECTRUM else None
        return NormalEquations(rows.gram(), float(self.ridge)) if rows.size <= DIRECT else None

    def _regress(self, rows, B, system):
        """Ridge weights and intercepts of standardised features."""
        mean, T = rows.centred(B)
        if isinstance(system, Spectrum):
            R = rows.right(T)
            self.ridge_ = system.best_ridge(R, rows.weight @ T**2)
            return rows.coef(system.solve(R, self.ridge_)), mean
        ridge = _ridge_of_some(rows, B) if self.ridge == "auto" else float(self.ridge)
        self.ridge_ = np.full(B.shape[1], ridge)
        if rows.size > DIRECT:
            return _conjugate_gradients(rows, B, ridge)
        system = system or NormalEquations(rows.gram(), ridge)
        return rows.coef(system.solve(rows.right(T))), mean

    def _finish(self, coef, intercept, rows, B, exponent):
        """Weights of the raw features from those of the standardised ones."""
        coef = coef / rows.scale[:, None]
        self.intercept_ = intercept - rows.mean @ coef
        with np.errstate(over="ignore"):
            self.coef_ = np.ldexp(coef, -exponent[:, None])
        wrong = ~np.isfinite(self.coef_).all(axis=1)
        if wrong.any():
            j = int(np.argmax(wrong))
            raise ValueError(
                f"column {j} of X is too small: its values are below 2**{exponent[j]}, so that its weights overflow "
                "float64. Scale it up, for example by sklearn.preprocessing.StandardScaler."
            )
        constant = (B[:1] == B).all(axis=0)
        self.coef_[:, constant] = 0.0
        self.intercept_[constant] = B[0, constant]

    def _classify(self, rows, B):
        """Weights and intercepts of standardised features from one classifier per bit."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.svm import LinearSVC

        C = check_positive(self.C, "C")
        if self.solver == "logistic":
            classifier = LogisticRegression(C=C, max_iter=1000)
        else:
            classifier = LinearSVC(C=C, dual="auto", max_iter=10_000, random_state=self.random_state)
        Z, shift = rows.standardised()
        fitted: Any = ClassifierFunction(classifier, n_jobs=self.n_jobs).fit(Z, B, rows.weight).estimators_
        coef, intercept = np.zeros((Z.shape[1], B.shape[1])), np.empty(B.shape[1])
        for k, bit in enumerate(fitted):
            if isinstance(bit, float):
                intercept[k] = bit
            else:
                coef[:, k], intercept[k] = bit.coef_[0], bit.intercept_[0]
        return coef, intercept + shift @ coef

    def _margins(self, X):
        margins = np.empty((X.shape[0], self.n_bits_))
        with np.errstate(over="ignore", invalid="ignore"):
            if sparse.issparse(X):
                margins[:] = X @ self.coef_
            else:
                for part in _blocks(X):
                    margins[part] = X[part].astype(np.float64) @ self.coef_
            margins += self.intercept_
        wrong = ~np.isfinite(margins).all(axis=1)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(
                f"row {i} of X is too large for these functions: its margins overflow float64 "
                f"(largest absolute value {abs(X[[i]]).max():.3g}). Scale X as the rows of fit were scaled."
            )
        return margins


def _blocks(X):
    """Slices of rows that fit in float64 together."""
    return [slice(start, start + BLOCK) for start in range(0, X.shape[0], BLOCK)]


def _moments(X, weight):
    """Weighted mean and standard deviation of the columns, 1 where a column is constant; float64."""
    total = weight.sum()
    if sparse.issparse(X):
        X = X.astype(np.float64)
        mean = np.asarray(weight @ X).ravel() / total
        variance = np.asarray(weight @ X.multiply(X).tocsr()).ravel() / total - mean**2
    else:
        mean = sum(weight[part] @ X[part] for part in _blocks(X)) / total
        variance = sum(weight[part] @ (X[part] - mean) ** 2 for part in _blocks(X)) / total
    spread = np.sqrt(np.maximum(variance, 0))
    return mean, np.where(spread > 1e-7 * np.maximum(np.abs(mean), 1e-30), spread, 1.0)


class _Rows:
    """Rows standardised and times the root of their weights, never formed whole where that can be avoided.

    Attributes
    ----------
    dual : bool
        Whether the Gram matrix is that of the rows, there being more features than rows.
    n, size : int
        Rows that count; size of the Gram matrix.
    """

    def __init__(self, X, weight):
        self.X = X.astype(np.float64) if sparse.issparse(X) else X
        self.weight, self.root = weight, np.sqrt(weight)[:, None]
        self.mean, self.scale = _moments(X, weight)
        self.dual, self.size, self.n = X.shape[1] > X.shape[0], min(X.shape), np.count_nonzero(weight)

    def centred(self, B):
        """Weighted mean of the bits, and the bits less it."""
        mean = self.weight @ B / self.weight.sum()
        return mean, B - mean

    def some(self, n):
        """At most n of the rows that count, and where they are."""
        counted = np.flatnonzero(self.weight)
        chosen = np.sort(np.random.RandomState(0).permutation(counted)[:n])
        return chosen, _Rows(self.X[chosen], self.weight[chosen])

    def gram(self):
        """Z'Z, or Z Z' for `dual`; Z the rows."""
        if sparse.issparse(self.X):
            if not self.dual:
                G = (self.X.T @ (sparse.diags_array(self.weight) @ self.X)).toarray()
                G -= self.weight.sum() * np.outer(self.mean, self.mean)
                return G / np.outer(self.scale, self.scale)
            X, centre = self.X @ sparse.diags_array(1 / self.scale), self.mean / self.scale
            cross = X @ centre
            return ((X @ X.T).toarray() - cross[:, None] - cross + centre @ centre) * self.root * self.root.T
        G = np.zeros((self.size, self.size))
        if self.dual:
            for part in self._columns():
                Z = self._standardised(slice(None), part) * self.root
                G += Z @ Z.T
        else:
            for part in _blocks(self.X):
                Z = self._standardised(part, slice(None)) * self.root[part]
                G += Z.T @ Z
        return G

    def right(self, T):
        """Z'T, or T for `dual`, for targets times the root of their weights."""
        if self.dual:
            return T * self.root
        if sparse.issparse(self.X):
            return self.X.T @ (T * self.weight[:, None]) / self.scale[:, None]
        R = np.zeros((self.size, T.shape[1]))
        for part in _blocks(self.X):
            R += self._standardised(part, slice(None)).T @ (T[part] * self.weight[part, None])
        return R

    def coef(self, A):
        """Weights of the features from a solution of the normal equations."""
        if not self.dual:
            return A
        A = A * self.root
        if sparse.issparse(self.X):
            return (self.X.T @ A - np.outer(self.mean, A.sum(axis=0))) / self.scale[:, None]
        return np.concatenate([self._standardised(slice(None), part).T @ A for part in self._columns()])

    def standardised(self):
        """The rows without their weights, in the dtype of X, and the means left in: sparse rows are not centred."""
        if sparse.issparse(self.X):
            return self.X @ sparse.diags_array(1 / self.scale), self.mean / self.scale
        Z = (self.X - self.mean.astype(self.X.dtype)) / self.scale.astype(self.X.dtype)
        return Z, np.zeros_like(self.mean)

    def _standardised(self, rows, columns):
        return (self.X[rows, columns] - self.mean[columns]) / self.scale[columns]

    def _columns(self):
        d = self.X.shape[1]
        return [slice(start, start + COLUMNS) for start in range(0, d, COLUMNS)]


class LinearDesign(Design):
    """Moments and the spectrum, or the factor, of the Gram matrix of unweighted rows, made once."""

    def __init__(self, function, X):
        super().__init__(function, X)
        X, self.exponent = balanced(X, axis=0)
        self.rows = _Rows(X, np.ones(X.shape[0]))
        self.system = function._system(self.rows)

    def fit(self, B, sample_weight=None):
        B = packing.check_codes(B)
        fitted = clone(self.function)
        weight = fitted._check_weight(sample_weight, self.X.shape[0])
        fitted.n_features_in_, fitted.n_bits_ = self.X.shape[1], B.shape[1]
        if weight is not None:
            fitted._fit(self.X, B, weight)
            return fitted
        B = B.astype(np.float64)
        fitted._finish(*fitted._regress(self.rows, B, self.system), self.rows, B, self.exponent)
        return fitted


def _ridge_of_some(rows, B):
    """One ridge for all bits, chosen on some of the rows: the geometric mean of the best of each bit."""
    chosen, some = rows.some(SPECTRUM)
    _, T = some.centred(B[chosen])
    spectrum = Spectrum(some.gram(), some.n, some.dual)
    return float(np.exp(np.log(spectrum.best_ridge(some.right(T), some.weight @ T**2)).mean()))


def _conjugate_gradients(rows, B, ridge):
    """Ridge weights and intercepts of standardised features without forming a Gram matrix."""
    from sklearn.linear_model import Ridge

    Z, shift = rows.standardised()
    model = Ridge(alpha=ridge, solver="sparse_cg").fit(Z, B, sample_weight=rows.weight)
    coef = np.atleast_2d(model.coef_).T
    return coef, np.atleast_1d(model.intercept_) + shift @ coef

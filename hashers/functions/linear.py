"""Linear hash functions: ridge regression of all bits at once, or a linear classifier per bit."""

from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve, lstsq

from hashers.functions.base import ClassifierFunction, HashFunction, balanced, check_positive

__all__ = ["LinearFunction", "NormalEquations", "solve_normal_equations"]

BLOCK = 4096
"""Rows of X held in float64 at once."""

COLUMNS = 512
"""Columns of X held in float64 at once, where there are more columns than rows."""

DIRECT = 8000
"""Largest system of normal equations that is formed: 0.5 GiB of float64."""


def solve_normal_equations(G, R, ridge):
    """Solve ``(G + ridge I) W = R`` in float64: Cholesky, or least squares where the matrix is not positive definite.

    Parameters
    ----------
    G : ndarray of shape (m, m), float64
        Positive semidefinite up to rounding; overwritten.
    R : ndarray of shape (m, n_bits), float64
    ridge : float

    Returns
    -------
    W : ndarray of shape (m, n_bits), float64
    """
    return NormalEquations(G, ridge).solve(R)


class NormalEquations:
    """``(G + ridge I) W = R`` for many R: factorised once.

    Parameters
    ----------
    G : ndarray of shape (m, m), float64
        Positive semidefinite up to rounding; the ridge is added to it.
    ridge : float
    """

    def __init__(self, G, ridge):
        G[np.diag_indices_from(G)] += ridge
        self.G = G
        try:
            self.factor = cho_factor(G, lower=True, check_finite=False)
        except LinAlgError:
            self.factor = None

    def solve(self, R):
        """Solution for R of shape (m, n_bits); least squares where the matrix is not positive definite."""
        if self.factor is not None:
            W = cho_solve(self.factor, R, check_finite=False)
            if np.isfinite(W).all():
                return W
        solution: Any = lstsq(self.G, R, cond=len(self.G) * np.finfo(np.float64).eps, lapack_driver="gelsd")
        return solution[0]


class LinearFunction(HashFunction):
    """Hash functions that are linear in standardised features.

    Minimises sum_i w_i ||b_i - W'z_i - a||^2 + ridge ||W||^2, z the features with mean 0 and variance 1.

    Parameters
    ----------
    solver : {"ridge", "logistic", "svm"}
        Ridge regression, one system for all bits; or scikit-learn's LogisticRegression or LinearSVC, a bit at a time.
    ridge : float
        Weight of the penalty with solver "ridge", beside a variance of n per feature; the intercept is not penalised.
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

    _per_bit = ("coef_", "intercept_")

    def __init__(self, solver="ridge", ridge=100.0, C=1.0, n_jobs=None, random_state=None):
        self.solver = solver
        self.ridge = ridge
        self.C = C
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X, B, weight):
        if self.solver not in ("ridge", "logistic", "svm"):
            raise ValueError(f'solver must be "ridge", "logistic" or "svm": {self.solver!r}.')
        ridge = check_positive(self.ridge, "ridge", zero=True)
        weight = np.ones(len(B)) if weight is None else weight
        X, exponent = balanced(X, axis=0)
        mean, scale = _moments(X, weight)
        B = B.astype(np.float64)
        if self.solver != "ridge":
            coef, intercept = self._classify(X, B, weight, mean, scale)
        elif min(X.shape) > DIRECT:
            coef, intercept = _conjugate_gradients(X, B, weight, mean, scale, ridge)
        else:
            target_mean = weight @ B / weight.sum()
            solve = _dual if X.shape[1] > X.shape[0] else _primal
            coef = solve(X, B - target_mean, weight, mean, scale, ridge)
            intercept = target_mean
        coef = coef / scale[:, None]
        self.intercept_ = intercept - mean @ coef
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

    def _classify(self, X, B, weight, mean, scale):
        """Weights and intercepts of standardised features from one classifier per bit."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.svm import LinearSVC

        C = check_positive(self.C, "C")
        if self.solver == "logistic":
            classifier = LogisticRegression(C=C, max_iter=1000)
        else:
            classifier = LinearSVC(C=C, dual="auto", max_iter=10_000, random_state=self.random_state)
        shift = np.zeros_like(mean) if sparse.issparse(X) else mean
        Z = (
            X @ sparse.diags_array(1 / scale)
            if sparse.issparse(X)
            else (X - mean.astype(X.dtype)) / scale.astype(X.dtype)
        )
        fitted: Any = ClassifierFunction(classifier, n_jobs=self.n_jobs).fit(Z, B, weight).estimators_
        coef, intercept = np.zeros((X.shape[1], B.shape[1])), np.empty(B.shape[1])
        for k, bit in enumerate(fitted):
            if isinstance(bit, float):
                intercept[k] = bit
            else:
                coef[:, k], intercept[k] = bit.coef_[0], bit.intercept_[0]
        return coef, intercept + ((mean - shift) / scale) @ coef

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


def _primal(X, T, weight, mean, scale, ridge):
    """Ridge weights from the d x d normal equations of centred targets `T`."""
    if sparse.issparse(X):
        X = X.astype(np.float64)
        weighted = sparse.diags_array(weight) @ X
        G = (X.T @ weighted).toarray() - weight.sum() * np.outer(mean, mean)
        G /= np.outer(scale, scale)
        return solve_normal_equations(G, (weighted.T @ T) / scale[:, None], ridge)
    G = np.zeros((X.shape[1], X.shape[1]))
    R = np.zeros((X.shape[1], T.shape[1]))
    root = np.sqrt(weight)[:, None]
    for part in _blocks(X):
        Z = (X[part] - mean) / scale * root[part]
        G += Z.T @ Z
        R += Z.T @ (T[part] * root[part])
    return solve_normal_equations(G, R, ridge)


def _dual(X, T, weight, mean, scale, ridge):
    """Ridge weights from the n x n system ``(Z Z' + ridge I) A = T``, for more features than rows."""
    root = np.sqrt(weight)[:, None]
    if sparse.issparse(X):
        X = X.astype(np.float64) @ sparse.diags_array(1 / scale)
        centre = mean / scale
        cross = X @ centre
        K = (X @ X.T).toarray() - cross[:, None] - cross + centre @ centre
        A = root * solve_normal_equations(K * root * root.T, T * root, ridge)
        return X.T @ A - np.outer(centre, A.sum(axis=0))
    columns = [slice(start, start + COLUMNS) for start in range(0, X.shape[1], COLUMNS)]
    K = np.zeros((len(X), len(X)))
    for part in columns:
        Z = (X[:, part] - mean[part]) / scale[part] * root
        K += Z @ Z.T
    A = root * solve_normal_equations(K, T * root, ridge)
    return np.concatenate([((X[:, part] - mean[part]) / scale[part]).T @ A for part in columns])


def _conjugate_gradients(X, B, weight, mean, scale, ridge):
    """Ridge weights without forming a Gram matrix; intercepts as for standardised features."""
    from sklearn.linear_model import Ridge

    Z = X @ sparse.diags_array(1 / scale) if sparse.issparse(X) else (X - mean.astype(X.dtype)) / scale.astype(X.dtype)
    model = Ridge(alpha=ridge, solver="sparse_cg").fit(Z, B, sample_weight=weight)
    shift = mean / scale if sparse.issparse(X) else np.zeros_like(mean)
    coef = np.atleast_2d(model.coef_).T
    return coef, np.atleast_1d(model.intercept_) + shift @ coef

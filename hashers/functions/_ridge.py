"""Ridge regression of many bits on one Gram matrix, by a factor, or by a spectrum that also chooses the ridge."""

from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh, lstsq

__all__ = ["NormalEquations", "Spectrum", "solve_normal_equations"]

EXPONENTS = np.arange(-40, 21)
"""Binary exponents of the ridges that generalised cross-validation looks at, relative to the largest eigenvalue."""


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


class Spectrum:
    """``(G + ridge I) W = R`` for many R and ridges, and the ridge of least generalised cross-validation error.

    Parameters
    ----------
    G : ndarray of shape (m, m), float64
        Positive semidefinite up to rounding; overwritten. Either Z'Z, with ``R = Z'T``, or Z Z', with ``R = T``, for n
        rows Z and targets T that both have mean 0 (rows and targets times the root of their weights, if any).
    n : int
        Rows that count.
    dual : bool
        Whether G is Z Z'.

    References
    ----------
    Golub, Heath and Wahba, "Generalized cross-validation as a method for choosing a good ridge parameter",
    Technometrics 1979.
    """

    def __init__(self, G, n, dual=False):
        values, self.vectors = eigh(G, overwrite_a=True, check_finite=False)
        self.values = np.where(values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0), values, 0.0)
        self.n, self.dual = n, dual

    def best_ridge(self, R, total):
        """For each bit, the ridge that minimises ``n RSS(r) / (n - df(r))^2``.

        Parameters
        ----------
        R : ndarray of shape (m, n_bits), float64
        total : ndarray of shape (n_bits,), float64
            Sum of squares of each column of T.

        Returns
        -------
        ridge : ndarray of shape (n_bits,), float64
            A power of two times the largest eigenvalue; 1 where nothing depends on it.

        Notes
        -----
        RSS(r) = sum_k (r / (s_k + r))^2 c_k + rest, where c_k is the square of t along the k-th left singular vector of
        Z and rest what lies outside them; df(r) = 1 + sum_k s_k / (s_k + r), the 1 for the mean.
        """
        used = self.values > 0
        if not used.any():
            return np.ones(len(total))
        values = self.values[used]
        energy = (self.vectors[:, used].T @ R) ** 2
        if not self.dual:
            energy /= values[:, None]
        ridges = values[-1] * 2.0**EXPONENTS
        shrunk = ridges[:, None] / (values + ridges[:, None])
        left = shrunk**2 @ energy + np.maximum(total - energy.sum(axis=0), 0)
        freedom = np.maximum(self.n - 1 - (1 - shrunk).sum(axis=1), 1e-9 * self.n)
        best = np.argmin(left / freedom[:, None] ** 2, axis=0)
        return np.where(total > 0, ridges[best], 1.0)

    def solve(self, R, ridge):
        """Solution for R of shape (m, n_bits) and a ridge above 0 for each bit, shape (n_bits,)."""
        return self.vectors @ ((self.vectors.T @ R) / (self.values[:, None] + ridge))

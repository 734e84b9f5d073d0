"""Kernels by anchors: how far scaled rows are from anchors, what a kernel makes of it, and how well that predicts."""

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cholesky, solve_triangular

__all__ = ["KERNELS", "leave_one_out_error", "squared_norms"]


def squared_norms(X):
    """Squared Euclidean length of each row; shape (n,), dtype of X."""
    if sparse.issparse(X):
        return np.asarray(X.multiply(X).sum(axis=1)).ravel().astype(X.dtype)
    return np.einsum("ij,ij->i", X, X)


class Rbf:
    """exp(-|x - a|^2 / (2 sigma^2))."""

    norm = "l2"
    median_share = np.sqrt(0.5)

    def gaps(self, X, anchors):
        """Squared distances; shape (n, n_anchors), dtype of X, never negative."""
        gaps = _products(X, anchors)
        gaps *= -2
        gaps += squared_norms(X)[:, None]
        gaps += squared_norms(anchors)
        return np.maximum(gaps, 0, out=gaps)

    def lengths(self, gaps):
        return np.sqrt(gaps)

    def values(self, gaps, sigma, degree):
        gaps /= -2 * sigma**2
        return np.exp(gaps, out=gaps)


class Laplacian:
    """exp(-|x - a|_1 / sigma)."""

    norm = "l1"
    median_share = 1.0

    def gaps(self, X, anchors):
        """City-block distances; shape (n, n_anchors)."""
        from sklearn.metrics.pairwise import manhattan_distances

        if sparse.issparse(X) or sparse.issparse(anchors):
            return manhattan_distances(sparse.csr_matrix(X), sparse.csr_matrix(anchors))
        return manhattan_distances(X, anchors)

    def lengths(self, gaps):
        return gaps

    def values(self, gaps, sigma, degree):
        gaps /= -sigma
        return np.exp(gaps, out=gaps)


class ChiSquared(Laplacian):
    """exp(-sum_j (x_j - a_j)^2 / (x_j + a_j) / sigma), for features of at least 0."""

    def gaps(self, X, anchors):
        """Chi-squared distances; shape (n, n_anchors)."""
        from sklearn.metrics.pairwise import additive_chi2_kernel

        if sparse.issparse(X) or sparse.issparse(anchors):
            raise ValueError('kernel="chi2" takes dense X only. Use kernel="laplacian", or pass X.toarray().')
        if X.min(initial=0) < 0:
            i, j = np.unravel_index(np.argmin(X), X.shape)
            raise ValueError(
                f'kernel="chi2" takes features of at least 0: {X[i, j]:.3g}, as scaled, at row {i} of a block, column '
                f'{j}. Use kernel="laplacian", or shift the features.'
            )
        return np.maximum(-additive_chi2_kernel(X, anchors), 0)


class Polynomial:
    """((1 + x.a / sigma^2) / 2)^degree."""

    norm = "l2"

    def gaps(self, X, anchors):
        """Inner products; shape (n, n_anchors)."""
        return _products(X, anchors)

    def values(self, gaps, sigma, degree):
        gaps /= 2 * sigma**2
        gaps += 0.5
        return np.power(gaps, degree, out=gaps)


KERNELS = {"rbf": Rbf(), "laplacian": Laplacian(), "chi2": ChiSquared(), "polynomial": Polynomial()}


def leave_one_out_error(phi, T, ridge, tested):
    """Mean squared leave-one-out error of ridge regression, in closed form.

    Parameters
    ----------
    phi : ndarray of shape (n, m), float64
        Rows, times the root of their weights.
    T : ndarray of shape (n, n_bits), float64
        Targets, times the root of their weights.
    ridge : float
    tested : ndarray of int
        Rows whose errors count.

    Returns
    -------
    error : float
        Sum over tested rows and bits of ((t_i - f_i) / (1 - h_i))^2, h_i = phi_i' (phi'phi + ridge I)^-1 phi_i;
        infinite where the matrix is singular.

    Notes
    -----
    One Gram matrix, one factor and one triangular solution for the tested rows: O(n m^2).
    """
    G = phi.T @ phi
    G[np.diag_indices_from(G)] += ridge
    try:
        L = cholesky(G, lower=True, check_finite=False)
    except LinAlgError:
        return np.inf
    half = solve_triangular(L, phi.T @ T, lower=True, check_finite=False)
    U = solve_triangular(L, phi[tested].T, lower=True, check_finite=False)
    left = 1 - np.einsum("ij,ij->j", U, U)
    if not (left > 0).all():
        return np.inf
    return float((((T[tested] - U.T @ half) / left[:, None]) ** 2).sum())


def _products(X, anchors):
    product = X @ anchors.T
    return product.toarray() if sparse.issparse(product) else np.asarray(product)

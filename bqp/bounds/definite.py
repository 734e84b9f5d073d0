"""Proofs in floating point that a symmetric matrix is positive semidefinite, up to a slack that the proof states.

A computed eigenvalue proves nothing: a Ritz value lies above the smallest eigenvalue. What proves are factorisations,
with their worst rounding allowed for. gamma_n = n eps / (1 - n eps), eps = 2^-53; the bounds on single factorisations
are in N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2002, chapters 8 to 10.

- *Cholesky, dense* (S. M. Rump, "Verification of positive definiteness", BIT 46, 2006): a factorisation that runs to
  completion is exact for M + E with ||E|| <= alpha tr(M), alpha = gamma_{n+1} / (1 - gamma_{n+1}).
- *LU without exchanges, sparse*: L U = M + E with |E| <= gamma |L| |U|. Where U has a positive diagonal D, L D L' is
  positive semidefinite and L U = L D (L' + F) with F = D^-1 U - L', which is computed, and tiny. So M is positive
  semidefinite up to the norms of the symmetric parts of E and L D F, bounded by row and column sums of products of
  absolute values (ours; nothing is assumed about the order of sums, so that SuperLU's supernodes are covered).
- *Diagonal plus low rank*: D + W S W' with D > 0 and W of p columns. If R'R >= K = W' D^-1 W, then D^{-1/2} W = X R
  with X'X <= I, so that lambda_min(R S R') >= -tau gives D + W S W' >= (1 - tau) D for tau >= 0: a p x p matrix
  decides, in O(n p^2), and what it lacks is made up by a multiple of D (ours; DESIGN speaks of the inertia of the
  capacitance matrix, which decides the same but says nothing of how much is missing).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

__all__ = ["CapacitanceProof", "cholesky_proof", "gamma", "lowest_ritz_value", "lu_proof"]

_UNIT = np.finfo(np.float64).eps / 2.0
_BLOCK = 1024  # rows whose products are summed by themselves, so that long sums round little

Solve = Callable[[np.ndarray], np.ndarray]


def gamma(n: int) -> float:
    """n eps / (1 - n eps) with a reserve of a tenth for the rounding of whatever is multiplied by it."""
    return 1.1 * n * _UNIT / (1.0 - n * _UNIT)


def cholesky_proof(M: np.ndarray) -> tuple[float, Solve] | None:
    """``(slack, solve)`` such that M + slack I is positive semidefinite, or None where no proof was found.

    Parameters
    ----------
    M : ndarray of shape (n, n), float64, C-contiguous
        Symmetric; the upper triangle is overwritten by the factor.

    Notes
    -----
    n^3 / 3 operations, no memory beyond M. `solve` applies the inverse of M (approximately) and reads M.
    """
    n = len(M)
    diagonal = M.diagonal()
    if not np.all(diagonal > 0.0):
        return None
    trace = float(diagonal.sum())
    factor, info = la.lapack.dpotrf(M.T, lower=1, clean=0, overwrite_a=1)
    if info != 0 or not np.all(np.isfinite(factor.diagonal())):
        return None
    alpha = gamma(n + 1) / (1.0 - gamma(n + 1))
    underflow = 4.0 * n * n * np.finfo(np.float64).tiny
    return 1.1 * alpha * trace + underflow, lambda b: la.cho_solve((factor, True), b, check_finite=False)


def lu_proof(M: sp.csc_array) -> tuple[float, Solve] | None:
    """As `cholesky_proof` for a sparse matrix; time and memory are those of SuperLU with minimum degree ordering."""
    from scipy.sparse.linalg import splu

    if not np.all(M.diagonal() > 0.0):
        return None
    try:
        lu = splu(M, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True, "Equil": False})
    except RuntimeError:  # exactly singular
        return None
    L, U = sp.csr_array(lu.L), sp.csr_array(lu.U)
    pivots = U.diagonal()
    if not np.array_equal(lu.perm_r, lu.perm_c) or not np.all(pivots > 0.0) or not np.all(np.isfinite(U.data)):
        return None
    lower, upper = abs(L), abs(U)
    ones = np.ones(M.shape[0])
    asymmetry = abs(sp.csr_array(sp.diags_array(1.0 / pivots) @ U) - sp.csr_array(L.T))
    by_rows = gamma(2 * M.shape[0] + 16) * (lower @ (upper @ ones)) + lower @ (pivots * (asymmetry @ ones))
    by_columns = gamma(2 * M.shape[0] + 16) * (upper.T @ (lower.T @ ones)) + asymmetry.T @ (pivots * (lower.T @ ones))
    slack = 1.1 * 0.5 * float(np.max(by_rows + by_columns)) + np.finfo(np.float64).tiny
    return (slack, lu.solve) if np.isfinite(slack) else None


class CapacitanceProof:
    """How much of D is missing for D + W S W' to be positive semidefinite.

    Parameters
    ----------
    blocks : callable
        ``blocks(a, b)`` gives rows a:b of W, shape (b - a, p), float64, exact.
    S : ndarray of shape (p, p)
        Symmetric.
    n : int
    """

    def __init__(self, blocks: Callable[[int, int], np.ndarray], S: np.ndarray, n: int):
        self.blocks, self.S, self.n = blocks, S, n

    def missing(self, D: np.ndarray, extra: np.ndarray | None = None, signs: np.ndarray | None = None) -> float:
        """The least tau - 1 >= 0 found such that D + W S W' + (tau - 1) D is positive semidefinite; inf if none was.

        `extra` are indices i at which ``signs`` (of that length) is added to the diagonal besides D_i: variables
        whose own diagonal is negative, which D cannot hold.
        """
        S = self.S
        p = len(S)
        if extra is None or signs is None:
            extra, signs = np.zeros(0, np.int64), np.zeros(0)
        m = len(extra)
        K = np.zeros((p + m, p + m))
        place = np.full(self.n, -1)
        if m:
            S = la.block_diag(S, np.diag(signs))
            place[extra] = p + np.arange(m)
            K[p + np.arange(m), p + np.arange(m)] = 1.0 / D[extra]
        for a in range(0, self.n, _BLOCK):
            W = self.blocks(a, min(a + _BLOCK, self.n))
            scaled = W / D[a : a + _BLOCK, None]
            K[:p, :p] += W.T @ scaled
            if m:
                mine = np.flatnonzero(place[a : a + _BLOCK] >= 0)
                columns = place[a + mine]
                K[:p, columns] = scaled[mine].T
                K[columns, :p] = scaled[mine]
        kept = np.flatnonzero(K.diagonal() > 0.0)  # a column of zeros contributes nothing
        p = len(kept)
        if p == 0:
            return 0.0
        K, S = K[np.ix_(kept, kept)], S[np.ix_(kept, kept)]
        # |K - computed| <= gamma k k', k the roots of the diagonal: within p gamma of Diag(K), in the order of matrices
        rounding = gamma(_BLOCK + self.n // _BLOCK + 16) + gamma(p + 1)
        K[np.diag_indices(p)] *= 1.0 + 2.0 * p * rounding
        try:
            R = la.cholesky(K, check_finite=False)
        except la.LinAlgError:
            return np.inf
        T = R @ S @ R.T
        absolute = np.abs(R)
        error = gamma(2 * p + 16) * float((absolute @ (np.abs(S) @ absolute.T)).sum(axis=1).max())
        T = 0.5 * (T + T.T)
        if not np.isfinite(error) or not np.all(np.isfinite(T)):
            return np.inf
        tau = max(0.5, -float(la.eigvalsh(T, subset_by_index=(0, 0), check_finite=False)[0]) * (1.0 + 1e-12))
        for _ in range(60):
            proof = cholesky_proof(T + tau * np.eye(p))
            if proof is not None:
                return max(0.0, (tau - 1.0) + proof[0] + 1.01 * error + 4.0 * _UNIT * tau)
            tau += max(error, 1e-12 * tau)
            error *= 2.0
        return np.inf


def lowest_ritz_value(product: Callable[[np.ndarray], np.ndarray], n: int, n_steps: int) -> float:
    """An upper bound on the smallest eigenvalue, near it: Lanczos with full reorthogonalisation, at most `n_steps`.

    It proposes; it proves nothing.
    """
    n_steps = min(n, n_steps)
    basis = np.zeros((n_steps, n))
    alpha, beta = np.zeros(n_steps), np.zeros(n_steps)
    v = np.random.default_rng(0).standard_normal(n)
    v /= np.linalg.norm(v)
    for j in range(n_steps):
        basis[j] = v
        w = product(v)
        alpha[j] = v @ w
        for _ in range(2):
            w = w - basis[: j + 1].T @ (basis[: j + 1] @ w)
        beta[j] = np.linalg.norm(w)
        if not beta[j] > 1e-12 * (abs(alpha[: j + 1]).max() + beta[: j + 1].max()):
            n_steps = j + 1
            break
        v = w / beta[j]
    if n_steps == 1:
        return float(alpha[0])
    return float(la.eigh_tridiagonal(alpha[:n_steps], beta[: n_steps - 1], select="i", select_range=(0, 0))[0][0])

"""The common ground of the eigenvalue and the semidefinite bound.

With one more spin x_0 that multiplies the linear term, and the diagonal moved to the constant, the energy is
``constant + z'Az`` over z in {-1, +1}^(n+1), A symmetric with zero diagonal. For any vector y,

    z'Az = sum(y) + z'(A - Diag(y))z >= sum(y) + (n + 1) min(0, lambda_min(A - Diag(y))),

so that every y gives a valid bound, however it was found.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

from bqp.problem import BQP
from bqp.rounding import evaluation_rounding

__all__ = ["dual_bound", "evaluation_rounding", "homogenise"]


def homogenise(problem: BQP) -> tuple[np.ndarray, float]:
    """``(A, constant)``; without a linear term no spin is added. A is written out: (n + 1)**2 * 8 bytes."""
    spin = problem.to_spin()
    Q = spin.Q.to_dense()
    constant = spin.offset + float(np.trace(Q))
    np.fill_diagonal(Q, 0.0)
    if not spin.c.any():
        return Q, constant
    A = np.zeros((spin.n + 1, spin.n + 1))
    A[:-1, :-1] = Q
    A[-1, :-1] = A[:-1, -1] = spin.c / 2
    return A, constant


def dual_bound(A: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """A proven lower bound on z'Az over spins from the dual vector y, and the shift that made it valid.

    A computed eigenvalue proves nothing; a Cholesky factorisation that succeeds does, once the rounding that it can
    have made is allowed for (S. M. Rump, "Verification of positive definiteness", BIT 46, 2006). So the smallest
    eigenvalue only proposes the shift, which is confirmed, or enlarged until it is.
    """
    n = len(A)
    if n == 0:
        return 0.0, 0.0
    M = A - np.diag(y)
    scale = float(np.abs(M).sum(axis=1).max())
    if scale == 0.0:
        return float(np.sum(y)), 0.0
    eps = np.finfo(np.float64).eps
    smallest = float(scipy.linalg.eigh(M, eigvals_only=True, subset_by_index=(0, 0), check_finite=False)[0])
    margin = 8.0 * n * eps * scale
    shift = min(0.0, smallest) - margin
    while True:
        diagonal = np.diagonal(M) - shift
        rounding = 4.0 * (n + 2) * eps * float(np.abs(diagonal).sum())
        shifted = M.copy()
        np.fill_diagonal(shifted, diagonal - rounding)
        try:
            np.linalg.cholesky(shifted)
            break
        except np.linalg.LinAlgError:
            margin *= 4.0
            shift -= margin
    summing = 4.0 * n * eps * (float(np.abs(y).sum()) + n * abs(shift))
    return float(np.sum(y)) + n * shift - summing, shift

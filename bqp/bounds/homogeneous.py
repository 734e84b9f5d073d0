"""The common ground of the eigenvalue and the semidefinite bound.

With one more spin x_0 that multiplies the linear term, and the diagonal moved to the constant, the energy is
``constant + z'Az`` over z in {-1, +1}^(n+1), A symmetric with zero diagonal. For any vector y,

    z'Az = sum(y) + z'(A - Diag(y))z >= sum(y) + (n + 1) min(0, lambda_min(A - Diag(y))),

so that every y gives a valid bound, however it was found. `bqp.bounds.storages` keeps A in the shape of the problem.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import scipy.linalg as la

from bqp.bounds.definite import Solve, cholesky_proof, lowest_ritz_value
from bqp.problem import BQP
from bqp.rounding import evaluation_rounding

__all__ = [
    "LANCZOS_STEPS",
    "Homogeneous",
    "clock",
    "dual_bound",
    "dual_value",
    "evaluation_rounding",
    "homogenise",
    "lowered",
    "power_of_two",
    "repaired",
]

LANCZOS_STEPS = 60
_EIGH_UP_TO = 200  # spins up to which LAPACK's eigenvalue is as quick as Lanczos
_EPS = np.finfo(np.float64).eps


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


def clock(time_limit: float | None) -> Callable[[], bool]:
    """Whether so many seconds from now are over; the limit is checked as that of a solver is."""
    from bqp.solvers.run import Budget

    Budget(time_limit)
    if time_limit is None:
        return lambda: False
    end = time.perf_counter() + float(time_limit)
    return lambda: time.perf_counter() >= end


def lowered(constant: float, value: float) -> float:
    """A lower bound on constant + value, the rounding of their sum included."""
    return float(constant + value - _EPS * (abs(constant) + abs(value)))


class Homogeneous(ABC):
    """A symmetric matrix A with zero diagonal, in units of `scale`: energies are ``constant + scale * z'Az``.

    Attributes
    ----------
    n : int
        Size, the extra spin included; it comes last.
    scale : float
        A power of two, so that entries of A are at most 1.
    """

    n: int
    constant: float
    scale: float

    @abstractmethod
    def product(self, V: np.ndarray) -> np.ndarray:
        """A V for V of shape (n,) or (n, k), float64."""

    @abstractmethod
    def sweeper(self, V: np.ndarray, norms: np.ndarray) -> Callable[[float], float]:
        """A function of omega that makes one sweep of the mixing method over V (float32 or float64) in place."""

    def estimate(self, y: np.ndarray) -> float:
        """About what `prove` will find, and hardly ever less; a look by Lanczos that proves nothing."""
        if self.n == 0:
            return 0.0
        lowest = lowest_ritz_value(lambda v: self.product(v) - y * v, self.n, LANCZOS_STEPS)
        return float(y.sum()) + self.n * min(0.0, lowest)

    @abstractmethod
    def prove(self, y: np.ndarray, rtol: float = 1e-7) -> tuple[float, float]:
        """A proven lower bound on z'Az over spins from the dual vector y, and what its repair cost for each spin.

        Costs below `rtol` of sum |y| are not worth another factorisation.
        """


def dual_bound(
    A: np.ndarray,
    y: np.ndarray,
    rtol: float = 1e-7,
    *,
    product: Callable[[np.ndarray], np.ndarray] | None = None,
    overwrite: bool = False,
) -> tuple[float, float]:
    """A proven lower bound on z'Az over spins from the dual vector y, and the shift <= 0 that made it valid.

    Parameters
    ----------
    A : ndarray of shape (n, n), float64
        Symmetric; <A, zz'> is bounded, a diagonal included.
    y : ndarray of shape (n,)
    rtol : float
        A better shift is sought until no more than this part of sum |y| can be gained.
    product : callable, optional
        ``product(v)`` is A v, where there is a quicker way than the matrix.
    overwrite : bool
        Whether A may serve as working space; else one more matrix is held.

    Notes
    -----
    Lanczos and inverse iteration propose shifts, Cholesky factorisations confirm them (`bqp.bounds.definite`): usually
    two or three, of n**3 / 3 operations each.
    """
    if len(A) == 0:
        return 0.0, 0.0
    size = max(float(np.abs(A[a : a + 256]).sum(axis=1).max()) for a in range(0, len(A), 256)) + float(np.abs(y).max())
    if size == 0.0:
        return 0.0, 0.0
    unit = 1.0 if 1e-100 < size < 1e100 else power_of_two(size)  # squares must stay in range
    if unit != 1.0:
        A, y, size, overwrite = A / unit, y / unit, size / unit, True
    work = A if overwrite else A.copy()
    own = A.diagonal() - y
    upper_is_spoilt = [False]

    def proof(shift):
        if upper_is_spoilt[0]:
            if overwrite:
                _mirror(work)
            else:
                work[:] = A
        upper_is_spoilt[0] = True
        np.fill_diagonal(work, own - shift)
        return cholesky_proof(work)

    if product is None or unit != 1.0:
        matrix = A.copy() if overwrite else A
        product = matrix.__matmul__
    multiply, lowest = product, None
    if len(A) <= _EIGH_UP_TO:
        lowest = float(la.eigvalsh(A - np.diag(y), subset_by_index=(0, 0), check_finite=False)[0])
    value, shift = repaired(proof, lambda v: multiply(v) - y * v, y, size, rtol, lowest)
    return value * unit, shift * unit


def repaired(
    proof: Callable, product: Callable, y: np.ndarray, size: float, rtol: float, lowest: float | None = None
) -> tuple[float, float]:
    """The value sum(y) + n shift for the least negative shift that `proof` confirms, as near as `rtol` asks for.

    `lowest` is the smallest eigenvalue, where it is known but for rounding.
    """
    n = len(y)
    if size == 0.0:
        return 0.0, 0.0
    total = float(np.abs(y).sum())
    worth = rtol * total / n  # a change of the shift that matters
    least = 64.0 * n * _EPS * size
    if lowest is not None:
        shift = min(0.0, lowest) - least
    else:
        shift = min(0.0, 1.1 * lowest_ritz_value(product, n, LANCZOS_STEPS)) - max(0.5 * worth, least)
    step = 4.0
    while True:
        found = proof(shift)
        if found is not None:
            break
        shift, step = step * shift, 2.0 * step
        if not np.isfinite(shift):  # unreachable: a diagonally dominant matrix is factorised
            return -np.inf, -np.inf
    best = shift - found[0]
    # inverse iteration sees how far the factorised matrix is from singular
    for _ in range(0 if lowest is not None else 4):
        nearest = -lowest_ritz_value(lambda v, solve=found[1]: -_applied(solve, v), n, 12)
        room = 1.0 / nearest if nearest > 0.0 else 0.0
        if not room > max(0.5 * worth, 2.0 * least) or shift >= 0.0:
            break
        tighter = min(0.0, shift + room) - max(0.05 * room, 0.1 * worth, least)
        if not tighter > shift:
            break
        found = proof(tighter)
        if found is None:
            break
        shift, best = tighter, max(best, tighter - found[0])
    diagonal = 4.0 * _EPS * (float(np.abs(y).max()) + abs(shift))
    best = min(0.0, best - diagonal)
    return dual_value(y, n * best, n * abs(best)), best


def dual_value(y: np.ndarray, repair: float, magnitude: float) -> float:
    """sum(y) + repair, lowered by what the sums may have been rounded."""
    return float(np.sum(y)) + repair - 4.0 * len(y) * _EPS * (float(np.abs(y).sum()) + magnitude)


def _applied(solve: Solve, v: np.ndarray) -> np.ndarray:
    return np.asarray(solve(v))


def _mirror(work: np.ndarray) -> None:
    """Copy the lower triangle of a square array to the upper one, in blocks."""
    step = 256
    for a in range(0, len(work), step):
        b = min(a + step, len(work))
        work[a:b, b:] = work[b:, a:b].T
        corner = work[a:b, a:b]
        i, j = np.triu_indices(b - a, 1)
        corner[i, j] = corner[j, i]


def power_of_two(value: float) -> float:
    """The least power of two >= value; 1 for 0."""
    if not value > 0.0:
        return 1.0
    mantissa, exponent = np.frexp(value)
    return float(np.ldexp(1.0, int(exponent) - (mantissa == 0.5))) if exponent <= 1023 else float(np.ldexp(1.0, 1023))

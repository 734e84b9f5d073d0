"""The semidefinite bound on the squared pairwise losses of all bits at once.

Codes enter the loss sum w_ij (q S_ij - b_i.b_j)^2 through their Gram matrix, which is positive semidefinite with
diagonal q. Over groups g with total weights A_g this leaves (docs/mathematics.md has the proofs)

    minimise sum_gh w_gh (t_gh - H_gh)^2,   w_gh = A_g A_h V_gh,   H psd, H_gg = q, or <= q where a group stays apart.

The problem is convex. A low-rank factor of H finds a nearly optimal point (S. Burer, R. Monteiro, "A nonlinear
programming algorithm for solving semidefinite programs via low-rank factorization", Mathematical Programming 95, 2003),
its gradient gives multipliers y, and y gives a bound that holds however rough the point is: for V = 1 the dual function
of a nearest-matrix problem (J. Malick, "A dual approach to semidefinite least-squares problems", SIAM J. Matrix Anal.
Appl. 26, 2004), else the tangent at H, with y lowered until the slack matrix is positive semidefinite.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as la
from scipy.optimize import minimize

from bqp.solution import Bound
from bqp.supervision import GroupedSimilarity

__all__ = ["semidefinite_bound"]

_EPS = np.finfo(np.float64).eps


def semidefinite_bound(S: GroupedSimilarity, n_bits: int, max_iterations: int | None = None) -> Bound:
    """Lower bound on ``S.ksh_objective`` over all codes of `n_bits` bits.

    Parameters
    ----------
    S : GroupedSimilarity
    n_bits : int
    max_iterations : int, optional
        Of L-BFGS on the low-rank factor. Default 300 up to 1,000 groups, 60 beyond.

    Returns
    -------
    bound : Bound
        ``certificate`` holds the multipliers ("y", in the scaled form of the proof), the value of the relaxation at the
        point found ("relaxation", an upper bound on what any such bound can reach) and "groups", the groups in use.

    Notes
    -----
    An iteration costs O(C^2 k) for C groups and a factor of rank k (64, or sqrt(2 C)); the bound one eigenproblem.
    Milliseconds for 10 groups, a second for 500, ten for 2,600. Memory about 6 C^2 numbers.
    """
    from threadpoolctl import threadpool_limits

    problem = _Relaxation(S, float(n_bits))
    if max_iterations is None:
        max_iterations = 300 if problem.C <= 1000 else 60
    with threadpool_limits(1):
        R = problem.solve(max_iterations)
        H = R @ R.T
        y = problem.multipliers(R, H)
        value = problem.dual_value(y) if S.V is None else problem.tangent_value(H, y)
        relaxation = problem.constant + float(np.sum(problem.w * (problem.t - H) ** 2))
    value += problem.constant
    value -= 1e-13 * (problem.constant + float(np.sum(problem.w * problem.t**2)))  # rounding of the sums themselves
    return Bound(max(0.0, value), "semidefinite", {"y": y, "relaxation": relaxation, "groups": problem.used})


class _Relaxation:
    """minimise sum_gh w_gh (t_gh - H_gh)^2 + constant over psd H with H_gg = q (fixed groups) or H_gg <= q (free)."""

    def __init__(self, S: GroupedSimilarity, q: float):
        self.q = q
        known = S.known
        used = np.flatnonzero(np.bincount(S.groups[known], minlength=S.n_groups))
        a = np.ones(S.n) if S.weights is None else S.weights
        members = np.bincount(S.groups[known], minlength=S.n_groups)[used]
        squares = np.bincount(S.groups, weights=a * a, minlength=S.n_groups)[used]
        A = S.mass[used]
        own = S.T.diagonal()[used].astype(np.float64)
        V = 1.0 if S.V is None else S.V[np.ix_(used, used)]
        self.used, self.A, self.C = used, A, len(used)
        self.w = V * np.outer(A, A)
        self.t = q * S.T[np.ix_(used, used)].astype(np.float64)
        self.fixed = (own >= 1.0) | (members == 1)
        # in a free group each point has q with itself: the mean over the other pairs is what is left
        mean = (q * own * (A * A - squares) + q * squares) / (A * A)
        self.t[np.diag_indices(self.C)] = np.where(self.fixed, q, mean)
        inside = np.where(own >= 1.0, A * A, squares) * (1.0 if S.V is None else np.diagonal(V))
        self.constant = float(inside @ (q * own - q) ** 2)
        self.row_weight = self.w.sum(axis=1)

    # ---- a good point ------------------------------------------------------------------------------------------

    def solve(self, max_iterations: int) -> np.ndarray:
        """Factor R with H = R R', nearly optimal; rows of length sqrt(q), or shorter in free groups."""
        C, q = self.C, self.q
        k = min(C, max(64, int(np.ceil(np.sqrt(2.0 * C))) + 1))
        length = np.sqrt(self.row_weight / self.row_weight.mean())  # a heavy row takes shorter steps
        start = np.random.Generator(np.random.PCG64(0)).standard_normal((C, k))
        start *= (length / np.linalg.norm(start, axis=1))[:, None]
        unit = float(np.sum(self.w)) * q * q

        def rows(u):
            squared = np.einsum("gk,gk->g", u, u)
            stretch = np.sqrt(q / (squared + np.where(self.fixed, 0.0, length**2)))
            return u * stretch[:, None], stretch

        def value_and_gradient(flat):
            u = flat.reshape(C, k)
            R, stretch = rows(u)
            error = R @ R.T
            error -= self.t
            weighted = self.w * error
            value = float(np.vdot(weighted, error))
            slope = 4.0 * (weighted @ R)
            along = np.einsum("gk,gk->g", slope, u) * stretch**3 / q
            return value / unit, ((slope * stretch[:, None] - u * along[:, None]) / unit).ravel()

        options = {"maxiter": max_iterations, "maxcor": 20, "ftol": 1e-12, "gtol": 1e-12}
        found = minimize(value_and_gradient, start.ravel(), jac=True, method="L-BFGS-B", options=options)
        return rows(found.x.reshape(C, k))[0]

    def multipliers(self, R: np.ndarray, H: np.ndarray) -> np.ndarray:
        """y with (M - Diag(y)) R = 0 in the mean of each row, M the gradient at H; at most 0 for free groups."""
        M = -2.0 * self.w * (self.t - H)
        y = np.einsum("gk,gk->g", M @ R, R) / self.q
        return np.where(self.fixed, y, np.minimum(y, 0.0))

    # ---- bounds from multipliers -------------------------------------------------------------------------------

    def dual_value(self, y: np.ndarray) -> float:
        """The dual function for w_gh = A_g A_h, lowered by what the eigenvalues may be wrong."""
        root = np.sqrt(self.A)
        K = root[:, None] * self.t * root
        z = y / (2.0 * self.A)
        K[np.diag_indices(self.C)] += z
        values = la.eigvalsh(K)
        error = 8.0 * self.C * _EPS * float(np.abs(values).max())
        negative = np.maximum(-values - error, 0.0)
        excess = self.t.diagonal() - self.q  # 0 for fixed groups
        return float(negative @ negative - z @ z - 2.0 * (self.A * excess) @ z)

    def tangent_value(self, H: np.ndarray, y: np.ndarray) -> float:
        """The tangent at H with y lowered until M - Diag(y) is positive semidefinite, for any weights."""
        M = -2.0 * self.w * (self.t - H)
        linear = float(np.sum(self.w * (self.t**2 - H**2)))  # value minus <M, H>
        best = -np.inf
        for scale in (self.row_weight, self.A * self.A, self.A):
            root = 1.0 / np.sqrt(scale)
            slack = root[:, None] * (M - np.diag(y)) * root
            size = float(np.abs(slack).max()) * self.C
            shift = min(0.0, float(la.eigvalsh(slack)[0])) - 8.0 * self.C * _EPS * size
            while size > 0.0 and not _is_psd(slack, shift):
                shift -= 8.0 * self.C * _EPS * size + abs(shift)
            best = max(best, linear + self.q * float(y.sum() + shift * scale.sum()))
        return best


def _is_psd(slack: np.ndarray, shift: float) -> bool:
    """Whether a Cholesky factorisation of slack - shift I goes through."""
    try:
        la.cholesky(slack - shift * np.eye(len(slack)), lower=True, overwrite_a=True)
    except la.LinAlgError:
        return False
    return True

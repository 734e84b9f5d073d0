"""The semidefinite bound on the squared pairwise losses of all bits at once.

Codes enter the loss sum w_ij (q S_ij - b_i.b_j)^2 through their Gram matrix, which is positive semidefinite with
diagonal q. Over groups g with total weights A_g this leaves (docs/mathematics.md has the proofs)

    minimise sum_gh w_gh (t_gh - H_gh)^2,   w_gh = A_g A_h V_gh,   H psd, H_gg = q, or <= q where a group stays apart.

The problem is convex. A low-rank factor of H finds a nearly optimal point (S. Burer, R. Monteiro, "A nonlinear
programming algorithm for solving semidefinite programs via low-rank factorization", Mathematical Programming 95, 2003),
its gradient gives multipliers y, and y gives a bound that holds however rough the point is: for V = 1 the dual function
of a nearest-matrix problem (J. Malick, "A dual approach to semidefinite least-squares problems", SIAM J. Matrix Anal.
Appl. 26, 2004), else the tangent at H, with y lowered until the slack matrix is positive semidefinite.

Inner products of codes have the parity of q, so that each square may be replaced by its chords between lattice points
(ours). Any slopes M then bound a pair by M_gh G plus the least of (t - G)^2 - M_gh G over the lattice. The chords'
corners are rounded off, (u/width)^2 within `width` of a lattice point, so that L-BFGS finds slopes that fit.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as la
from scipy.optimize import minimize

from bqp.errors import BackendNotFound, BQPError
from bqp.solution import Bound
from bqp.supervision import GroupedSimilarity

__all__ = ["semidefinite_bound"]

_EPS = np.finfo(np.float64).eps
_CHORDS_UP_TO = 300  # groups: a second more
_WIDTHS = (0.3, 0.05)  # of the rounded corners; 1 is the square itself
_SINGLE_FROM = 500  # groups from which the factor is found in single precision


def semidefinite_bound(
    S: GroupedSimilarity, n_bits: int, max_iterations: int | None = None, backend: str = "auto"
) -> Bound:
    """Lower bound on ``S.ksh_objective`` over all codes of `n_bits` bits.

    Parameters
    ----------
    S : GroupedSimilarity
    n_bits : int
    max_iterations : int, optional
        Of L-BFGS on the low-rank factor. Default 300 up to 1,000 groups, 30 beyond.
    backend : {"auto", "cvxpy"}
        What finds the point: the low-rank factor, or cvxpy as a reference (up to about 100 groups). Either way the
        bound is proven from its gradient.

    Returns
    -------
    bound : Bound
        ``certificate`` holds the multipliers ("y", in the scaled form of the proof), the value of the relaxation at the
        point found ("relaxation", an upper bound on what any such bound without chords can reach), "groups", the groups
        in use, and "chords", whether chords gave the value (tried up to 300 groups, and at the given slopes elsewhere).

    Notes
    -----
    An iteration costs O(C^2 k) for C groups and a factor of rank k (64, or sqrt(2 C)); the bound one eigenproblem.
    Milliseconds for 10 groups, a second for 500, ten for 2,600. Memory about 6 C^2 numbers.
    """
    from threadpoolctl import threadpool_limits

    problem = _Relaxation(S, float(n_bits))
    if max_iterations is None:
        max_iterations = 300 if problem.C <= 1000 else 30
    with threadpool_limits(1):
        R = problem.solve(max_iterations) if backend == "auto" else problem.solve_cvxpy()
        H = R @ R.T
        y = problem.multipliers(R, problem.slopes(H))
        value = problem.dual_value(y) if S.V is None else problem.tangent_value(H, y)
        relaxation = problem.constant + float(np.sum(problem.w * (problem.t - H) ** 2))
        chords = False
        if backend == "auto" and problem.C <= _CHORDS_UP_TO:
            for width in _WIDTHS:
                R = problem.solve(max_iterations, R, width)
                slopes = problem.slopes(R @ R.T, width)
                z = problem.multipliers(R, slopes)
                better = problem.chord_value(slopes, z)
                if better > value:
                    value, y, chords = better, z, True
    value += problem.constant
    value -= 1e-13 * (problem.constant + float(np.sum(problem.w * problem.t**2)))  # rounding of the sums themselves
    certificate = {"y": y, "relaxation": relaxation, "groups": problem.used, "chords": chords}
    return Bound(max(0.0, float(value)), "semidefinite", certificate)


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

    def solve(self, max_iterations: int, start: np.ndarray | None = None, width: float = 1.0) -> np.ndarray:
        """Factor R with H = R R', nearly optimal; rows of length sqrt(q), or shorter in free groups.

        `start` gives another such factor to begin with, `width` rounds the chords of the squares (1: the squares).
        """
        C, q = self.C, self.q
        number = np.float32 if C >= _SINGLE_FROM and width == 1.0 else np.float64
        k = min(C, max(64, int(np.ceil(np.sqrt(2.0 * C))) + 1))
        length = np.sqrt(self.row_weight / self.row_weight.mean())  # a heavy row takes shorter steps
        if start is None:
            u0 = np.random.Generator(np.random.PCG64(0)).standard_normal((C, k))
            u0 *= (length / np.linalg.norm(u0, axis=1))[:, None]
        else:
            k = start.shape[1]
            squared = np.einsum("gk,gk->g", start, start)
            inside = np.maximum(1e-9, 1.0 - squared / q)  # of a free group: |u|^2 = length^2 squared / (q - squared)
            u0 = start * (length / np.sqrt(np.where(self.fixed, squared, q * inside)))[:, None]
        unit = float(np.sum(self.w)) * q * q
        w, t = (self.w / unit).astype(number), self.t.astype(number)

        def rows(u):
            squared = np.einsum("gk,gk->g", u, u)
            stretch = np.sqrt(q / (squared + np.where(self.fixed, 0.0, length**2)))
            return u * stretch[:, None], stretch

        def value_and_gradient(flat):
            u = flat.reshape(C, k)
            R, stretch = rows(u)
            narrow = R.astype(number, copy=False)
            H = narrow @ narrow.T
            if width == 1.0:
                H -= t
                weighted = w * H
                value = float(np.vdot(weighted, H))
                slope = 4.0 * (weighted @ narrow).astype(np.float64)
            else:
                value = float(np.sum(w * self.chords(H, width)))
                slope = 2.0 * (self.slopes(H, width) / unit) @ R
            along = np.einsum("gk,gk->g", slope, u) * stretch**3 / q
            return value, (slope * stretch[:, None] - u * along[:, None]).ravel()

        options = {"maxiter": max_iterations, "maxcor": 20, "ftol": 1e-12, "gtol": 1e-12}
        found = minimize(value_and_gradient, u0.ravel(), jac=True, method="L-BFGS-B", options=options)
        return rows(found.x.reshape(C, k))[0]

    def solve_cvxpy(self) -> np.ndarray:
        """As `solve`, by cvxpy: a square factor."""
        cp = import_cvxpy()
        H = cp.Variable((self.C, self.C), PSD=True)
        limits = [H[g, g] == self.q if fixed else H[g, g] <= self.q for g, fixed in enumerate(self.fixed)]
        root = np.sqrt(self.w / float(np.sum(self.w)))
        program = cp.Problem(cp.Minimize(cp.sum_squares(cp.multiply(root, H - self.t)) / self.q**2), limits)
        try:
            program.solve()
        except cp.error.SolverError as error:
            raise BQPError(f"cvxpy found no solution for {self.C} groups: {error}. Use backend='auto'.") from error
        point = np.asarray(H.value, dtype=np.float64)
        values, vectors = la.eigh((point + point.T) / 2.0)
        R = vectors * np.sqrt(np.maximum(values, 0.0))
        squared = np.einsum("gk,gk->g", R, R)
        return R * np.sqrt(np.where(self.fixed, self.q, np.minimum(squared, self.q)) / squared)[:, None]

    # ---- squares, and their chords between lattice points ------------------------------------------------------

    def _from_lattice(self, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest inner product of codes to each H, and the step from there."""
        nearest = np.clip(2.0 * np.rint((H - self.q) / 2.0) + self.q, -self.q, self.q)
        return nearest, H - nearest

    def chords(self, H: np.ndarray, width: float) -> np.ndarray:
        """The rounded chords of (t - H)^2 between lattice points; the diagonal keeps the square."""
        nearest, step = self._from_lattice(H)
        far = self.t - nearest
        size = np.abs(step)
        corner = np.where(size <= width, size * size / width, 2.0 * size - width)
        value = far * far - 2.0 * far * step + corner
        np.fill_diagonal(value, (self.t.diagonal() - H.diagonal()) ** 2)
        return value

    def slopes(self, H: np.ndarray, width: float = 1.0) -> np.ndarray:
        """The weighted gradient M of the squares (width 1) or of their rounded chords at H."""
        M = -2.0 * (self.t - H)
        if width < 1.0:
            nearest, step = self._from_lattice(H)
            corners = -2.0 * (self.t - nearest) + 2.0 * np.clip(step / width, -1.0, 1.0)
            np.fill_diagonal(corners, M.diagonal())
            M = corners
        return self.w * M

    def multipliers(self, R: np.ndarray, M: np.ndarray) -> np.ndarray:
        """y with (M - Diag(y)) R = 0 in the mean of each row, M the gradient there; at most 0 for free groups."""
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
        linear = float(np.sum(self.w * (self.t**2 - H**2)))  # value minus <M, H>
        return linear + self.repaired(self.slopes(H), y)

    def chord_value(self, M: np.ndarray, y: np.ndarray) -> float:
        """Each pair at the least of w (t - G)^2 - M G over the lattice (its diagonal: over all G), with y lowered.

        Valid for any symmetric M: sum w (t - G)^2 >= sum of these + <M, G>, and <M, G> >= q sum y.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(self.w > 0.0, M / self.w, 0.0)
        M = self.w * slope
        at = self._from_lattice(self.t + slope / 2.0)[0]  # the parabola's lowest point, brought to the lattice
        least = self.w * ((self.t - at) ** 2 - slope * at)
        free = self.w.diagonal() * -(slope.diagonal() * self.t.diagonal() + slope.diagonal() ** 2 / 4.0)
        whole = self.w.diagonal() * ((self.t.diagonal() - self.q) ** 2 - slope.diagonal() * self.q)
        np.fill_diagonal(least, np.where(self.fixed, whole, free))
        rounding = 64.0 * _EPS * float(np.sum(self.w * (self.t**2 + at**2) + np.abs(M) * self.q))
        return float(least.sum() - rounding + self.repaired(M, y))

    def repaired(self, M: np.ndarray, y: np.ndarray) -> float:
        """q sum(y), lowered until M - Diag(y) is positive semidefinite: a lower bound on <M, H> for all feasible H."""
        best = -np.inf
        for scale in (self.row_weight, self.A * self.A, self.A):
            root = 1.0 / np.sqrt(scale)
            slack = root[:, None] * (M - np.diag(y)) * root
            size = float(np.abs(slack).max()) * self.C
            shift = min(0.0, float(la.eigvalsh(slack)[0])) - 8.0 * self.C * _EPS * size
            while size > 0.0 and not _is_psd(slack, shift):
                shift -= 8.0 * self.C * _EPS * size + abs(shift)
            best = max(best, self.q * float(y.sum() + shift * scale.sum()))
        return best


def _is_psd(slack: np.ndarray, shift: float) -> bool:
    """Whether a Cholesky factorisation of slack - shift I goes through."""
    try:
        la.cholesky(slack - shift * np.eye(len(slack)), lower=True, overwrite_a=True)
    except la.LinAlgError:
        return False
    return True


def import_cvxpy():
    """cvxpy, or an error that names the extra."""
    try:
        import cvxpy
    except ImportError as error:
        raise BackendNotFound("backend='cvxpy' needs cvxpy: pip install cvxpy.") from error
    return cvxpy

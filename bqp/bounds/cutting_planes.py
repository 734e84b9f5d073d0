"""The semidefinite bound tightened by clique inequalities.

F. Rendl, G. Rinaldi, A. Wiegele, "Solving max-cut to optimality by intersecting semidefinite and polyhedral
relaxations", Mathematical Programming 121, 2010 (the relaxation); S. Burer, R. D. C. Monteiro, "A nonlinear programming
algorithm for solving semidefinite programs via low-rank factorization", Mathematical Programming 95, 2003 (augmented
Lagrangian over X = VV').

With multipliers gamma >= 0 of the cuts and any y,

    z'Az = sum gamma_t (b_t'z)**2 + z'Mz  >=  sum gamma_t + sum y + n min(0, lambda_min(M - Diag(y))),

where M = A - sum gamma_t b_t b_t'; so that an augmented Lagrangian stopped anywhere proves a bound. The first paper
works with interior points and bundles on the dense X; here all work before the proof is of low rank: a step costs
O(nnz(A) k + cuts k).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from bqp.bounds.cliques import CutPool
from bqp.bounds.homogeneous import clock, dual_bound, evaluation_rounding, homogenise
from bqp.problem import BQP
from bqp.rng import RandomLike, as_seed_sequence, streams
from bqp.solution import Bound

__all__ = ["CliqueRelaxation", "semidefinite_cuts_bound"]

_CHUNK_SECONDS = 0.1  # between two looks at the clock, or one iteration
_MEMORY = 10  # pairs of L-BFGS
_NOISE = 0.03  # keeps V from losing rank
_STIFFNESS = 8.0  # penalty, in units of the mean row sum of |A| over n
_TOLERANCE, _FINEST = 1e-3, 1e-6  # of the gradient at first and at last, in units of the mean row sum of |A|
_ITERATIONS, _MOST_ITERATIONS = 160, 640  # of one round, at first and at last


class CliqueRelaxation:
    """``min <A, VV'>`` over unit rows of V and cuts ``|V'b_t|**2 >= 1``, improved round by round.

    Parameters
    ----------
    A : ndarray of shape (n, n), float64, symmetric with zero diagonal
    rng : numpy Generator
    pool : CutPool, optional
        Cuts and multipliers to start from.
    V : ndarray of shape (n, k), optional
        Unit rows to start from.

    Attributes
    ----------
    bound : float
        Proven lower bound on z'Az, the best of all rounds.
    estimate : float
        Value of the relaxation at the present multipliers, if V were its exact solution.
    """

    def __init__(
        self, A: np.ndarray, rng: np.random.Generator, pool: CutPool | None = None, V: np.ndarray | None = None
    ):
        n = len(A)
        self.A, self.rng, self.pool = A, rng, pool if pool is not None else CutPool()
        csr = sp.csr_array(A)
        self._csr = csr.indptr.astype(np.int64), csr.indices.astype(np.int64), csr.data.astype(np.float64)
        k = min(n, 8 * int(np.ceil((2.0 * np.sqrt(2.0 * n) + 10) / 8)))
        self.V = rng.standard_normal((n, k))
        if V is not None:
            m = min(k, V.shape[1])
            self.V *= _NOISE
            self.V[:, :m] += V[:, :m]
        self.V /= np.linalg.norm(self.V, axis=1, keepdims=True)
        self.scale = float(np.abs(A).sum() / max(1, n)) or 1.0
        self.sigma = _STIFFNESS * self.scale / max(1, n)
        self.bound, self.estimate = -np.inf, -np.inf
        self.tolerance, self.max_iterations = _TOLERANCE, _ITERATIONS
        self.rounds = 0
        self.certificate: dict = {}

    def round(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Minimise the augmented Lagrangian, move the multipliers, prove what that gives.

        Where the proof loses more than the estimate gained, the next rounds minimise more finely.
        """
        from bqp.kernels.cliques import clique_matrix, cut_squares, minimise_lagrangian

        start, member, sign, gamma = self.pool.flat()
        if self.rounds:
            self.V += _NOISE * self.rng.standard_normal(self.V.shape)
            self.V /= np.linalg.norm(self.V, axis=1, keepdims=True)
        memory = np.zeros((_MEMORY, *self.V.shape)), np.zeros((_MEMORY, *self.V.shape)), np.zeros(_MEMORY)
        P, state, left, chunk = np.empty(self.V.shape), np.zeros(5), self.max_iterations, 1
        while left > 0:
            began = time.perf_counter()
            asked = min(chunk, left)
            _, _, done = minimise_lagrangian(
                *self._csr, self.V, start, member, sign, gamma, self.sigma, self.tolerance * self.scale,
                *memory, P, state, asked,
            )  # fmt: skip
            left -= done
            if done < asked or stopping():
                break
            elapsed = max(1e-9, time.perf_counter() - began)  # the state resumes: chunks change nothing but the wait
            chunk = max(1, min(4 * chunk, int(chunk * _CHUNK_SECONDS / elapsed)))
        self.rounds += 1
        squares, M = np.empty(len(gamma)), np.empty_like(self.A)
        cut_squares(start, member, sign, self.V, squares)
        gamma = np.maximum(0.0, gamma + self.sigma * (1.0 - squares))
        clique_matrix(self.A, start, member, sign, gamma, M)
        self.pool.set_gamma(gamma)
        y = np.einsum("ir,ir->i", self.V, M @ self.V)
        total = float(gamma.sum())
        gain, self.estimate = total + float(y.sum()) - self.estimate, total + float(y.sum())
        value, shift = dual_bound(M, y)
        # M was summed in float64: each of its entries is off by at most eps times the sum of what entered it.
        magnitude = float(np.abs(self.A).sum() + (gamma * np.diff(start) ** 2).sum())
        value += total - np.finfo(np.float64).eps * (len(gamma) + 2) * magnitude
        if self.estimate - value > gain:
            self.tolerance = max(_FINEST, 0.5 * self.tolerance)
            self.max_iterations = min(_MOST_ITERATIONS, int(1.2 * self.max_iterations))
        if value > self.bound:
            self.bound = value
            self.certificate = {"y": y, "gamma": gamma, "start": start, "member": member, "sign": sign, "shift": shift}
        self._slack = squares - 1.0

    def separate(self, limit: int | None = None, stopping: Callable[[], bool] = lambda: False) -> int:
        """Drop cuts that do nothing, and add violated ones; returns the number added."""
        n = len(self.A)
        limit = 5 * n if limit is None else limit
        gamma = self.pool.flat()[3]
        self.pool.keep((gamma > 1e-4 * self.scale / n) | (self._slack < 0.02))
        return self.pool.separate(self.V, limit, wide_below=n, stopping=stopping)

    def roundings(self, count: int) -> tuple[np.ndarray, float]:
        """The best of random hyperplane roundings, each followed by a one-flip descent, and its z'Az."""
        from bqp.kernels.cliques import descend_signs

        normals = self.rng.standard_normal((self.V.shape[1], count))
        normals[:, 0] = self.V[0]
        Z = np.where(self.V @ normals >= 0.0, 1.0, -1.0).T.copy()
        energies = descend_signs(self.A, Z)
        best = int(np.argmin(energies))
        return (Z[best] * Z[best, 0]).astype(np.int8), float(energies[best])


def semidefinite_cuts_bound(
    problem: BQP, *, max_rounds: int = 40, time_limit: float | None = None, rng: RandomLike = 0
) -> Bound:
    """Semidefinite bound with triangle, pentagonal and heptagonal inequalities, by cutting planes.

    Parameters
    ----------
    problem : BQP
    max_rounds : int
        Rounds of cuts; each proves a bound, the best is returned. Rounds end early when little is gained.
    time_limit : float, seconds, optional
        No round begins after it, and the one that runs is cut short; its proof comes on top.
    rng : None, int, SeedSequence or Generator
        For the start.

    Returns
    -------
    Bound
        ``certificate``: the dual vector ``y``, multipliers ``gamma`` and cuts (``start``, ``member``, ``sign``) on the
        homogenised matrix, ``shift``, ``rounds``.

    Notes
    -----
    A round looks at all n**3 / 6 triangles and factorises a dense matrix: about 0.05 s at n = 100, 0.5 s at n = 250.
    Memory O(n**2 + cuts).

    Examples
    --------
    >>> import numpy as np, bqp
    >>> cycle = np.roll(np.eye(5), 1, axis=1)
    >>> problem = bqp.BQP.from_maxcut(cycle + cycle.T)
    >>> -round(bqp.lower_bound(problem, method="semidefinite_cuts").value, 3)
    4.0
    """
    from bqp.solvers.base import check_count

    max_rounds = check_count("max_rounds", max_rounds)
    stopping = clock(time_limit)
    A, constant = homogenise(problem)
    constant -= evaluation_rounding(problem)
    if len(A) == 0 or not A.any():
        return Bound(constant, "semidefinite_cuts", {"rounds": 0})
    relaxation = CliqueRelaxation(A, streams(as_seed_sequence(rng), 1)[0])
    history = []
    for _ in range(max_rounds):
        relaxation.round(stopping=stopping)
        history.append(relaxation.bound)
        if len(history) > 6 and history[-1] - history[-6] <= 1e-5 * abs(history[-1]):
            break
        if stopping():
            break
        relaxation.separate(stopping=stopping)
    certificate = {**relaxation.certificate, "rounds": relaxation.rounds}
    return Bound(float(constant + relaxation.bound), "semidefinite_cuts", certificate)

"""Semidefinite start and augmented Lagrangian: two solvers of two-step hashing for the program of one bit, in turn.

T.-T. Do, A.-D. Doan, D.-T. Nguyen, N.-M. Cheung, "Binary Hashing with Semidefinite Relaxation and Augmented
Lagrangian", ECCV 2016: a bit is relaxed to a semidefinite program and rounded; or the binary constraint is kept, in an
augmented Lagrangian. Known from the abstract only, the text was not at hand: that the constraint is x_i^2 = 1 is
recalled, the schedule is that of J. Nocedal, S. Wright, "Numerical Optimization", 2006, framework 17.3. Ours: the
relaxation by the mixing method and rounded by hyperplanes (M. X. Goemans, D. P. Williamson, Journal of the ACM 42,
1995), as the start of the augmented Lagrangian; linear terms by one more variable; any form of Q.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bqp.bounds.homogeneous import homogenise
from bqp.errors import ParameterError
from bqp.problem import BQP
from bqp.solvers._box import Aborted, Box, signs
from bqp.solvers.base import Solver, check_count
from bqp.solvers.run import WalkResult, run_walks

__all__ = ["AugmentedLagrangian"]

_STARTS = ("auto", "semidefinite", "spectral", "x0")
_SEMIDEFINITE_UP_TO = 1000  # variables: Q is written out, and a sweep costs n^2 sqrt(2 n)
_SWEEPS, _FLAT = 200, 1e-4  # of the mixing method, which need not be exact
_INNER = 50  # iterations of L-BFGS for one Lagrangian
_MET = 1e-3  # |x_i^2 - 1| below this counts as 0
_PROGRESS, _GROWTH = 0.5, 4.0  # the penalty grows where the violation did not fall to this part of the last


class AugmentedLagrangian(Solver):
    """Minimise ``x'Qx + c'x - sum_i lambda_i (x_i^2 - 1) + mu/2 sum_i (x_i^2 - 1)^2`` over real x, and round.

    Multipliers follow ``lambda_i -= mu (x_i^2 - 1)`` after each minimisation, and mu grows, until x is at a corner.

    Parameters
    ----------
    start : {"auto", "semidefinite", "spectral", "x0"}
        Where the first descent begins. "semidefinite": the leading direction of the relaxation's vectors, whose
        roundings are candidates as well; "spectral": the signs of the smallest eigenvector; "x0": at `x0` where one is
        given; "auto": "semidefinite" up to 1,000 variables, else "spectral".
    max_iterations : int
        Most minimisations, each of at most 50 iterations of L-BFGS.
    n_roundings : int
        Random hyperplanes that round the relaxation.
    n_restarts : int, optional
        Number of starts; after the first `x0` (if given) and uniform points of the box. Default 1, or as many as the
        time or moves allow.

    Notes
    -----
    Q's diagonal is left out and Q is scaled to largest entry 1. Scores of 0 round to +1. A rounded point replaces the
    start only if its energy is lower. One product with Q an evaluation: O(n^2) dense, O(nnz) sparse, O(n r) low rank;
    only the semidefinite start writes Q out. A move is an iteration of L-BFGS. Nothing is proven here
    (`bqp.lower_bound` has the relaxation's bound), and results are not 1-opt.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> from bqp.solvers import AugmentedLagrangian
    >>> Q = np.array([[0, 1, -2], [1, 0, 1], [-2, 1, 0]])
    >>> AugmentedLagrangian().solve(bqp.BQP(Q)).energy
    -8.0
    """

    name: ClassVar[str] = "augmented_lagrangian"

    def __init__(
        self, start: str = "auto", max_iterations: int = 20, n_roundings: int = 50, n_restarts: int | None = None
    ):
        if start not in _STARTS:
            raise ParameterError(f"start must be one of {', '.join(_STARTS)}, got {start!r}.")
        self.start = start
        self.max_iterations = check_count("max_iterations", max_iterations)
        self.n_roundings = check_count("n_roundings", n_roundings, least=0)
        self.n_restarts = None if n_restarts is None else check_count("n_restarts", n_restarts)

    def _search(self, problem, run, x0, seeds, n_jobs):
        lagrangian = _Lagrangian(problem)
        start = self.start
        if start == "auto":
            start = "semidefinite" if problem.n <= _SEMIDEFINITE_UP_TO else "spectral"
        if start == "x0" and x0 is None:
            start = "spectral"

        def walk(k, rng, cap, abort):
            made = [0]
            best, energy = np.ones(problem.n, dtype=np.int8), np.inf

            def consider(x):
                nonlocal best, energy
                value = float(problem.energy(x))
                if value < energy:
                    best, energy = x, value

            try:
                with run.catching_interrupts():
                    if x0 is not None and k == (0 if start == "x0" else 1):
                        z = x0.astype(np.float64)
                    elif k == 0 and start == "semidefinite":
                        z, roundings = lagrangian.semidefinite(problem, self.n_roundings, rng, abort)
                        for x in roundings:
                            consider(x)
                    elif k == 0:
                        z = lagrangian.spectral(rng, abort).astype(np.float64)
                    else:
                        z = rng.uniform(-1.0, 1.0, problem.n)
                    consider(signs(z))
                    if run.callback is not None:
                        run.offer(best, energy)
                        run.tick(0)
                    consider(signs(lagrangian.descend(z, self.max_iterations, cap, made, abort)))
            except Aborted:
                pass
            if not np.isfinite(energy):
                energy = float(problem.energy(best))
            return WalkResult(best, energy, made[0], not abort())

        open_ended = run.budget.is_open_ended
        run_walks(run, walk, seeds, n_jobs, self.n_restarts or (None if open_ended else 1))


class _Lagrangian(Box):
    """The augmented Lagrangian of x'Qx + c'x, Q without its diagonal and over a common scale."""

    def semidefinite(self, problem: BQP, n_roundings: int, rng: np.random.Generator, abort):
        """The leading direction of the relaxation's unit vectors, in [-1, 1]^n, and what hyperplanes round them to."""
        from bqp.kernels.mixing import mixing_sweep

        A = homogenise(problem)[0] / self.scale
        m = len(A)
        k = min(m, int(np.ceil(np.sqrt(2.0 * m))) + 1)
        V = rng.standard_normal((m, k))
        V /= np.linalg.norm(V, axis=1, keepdims=True)
        norms = np.zeros(m)
        for _ in range(_SWEEPS):
            if abort():
                raise Aborted
            if mixing_sweep(A, V, norms) <= _FLAT * norms.sum():
                break

        def anchored(scores):
            return scores[: self.n] * np.where(scores[self.n :].sum(axis=0) < 0, -1.0, 1.0)

        leading = anchored(V @ np.linalg.eigh(V.T @ V)[1][:, -1])
        planes = anchored(V @ rng.standard_normal((k, n_roundings)))
        return leading, [signs(scores) for scores in planes.T]

    def descend(self, z, max_iterations: int, cap: int | None, made: list[int], abort) -> np.ndarray:
        """Minimise, move the multipliers, let the penalty grow; until every |x_i^2 - 1| is small."""
        from scipy.optimize import minimize

        c = self.c / self.scale
        force = np.abs(2.0 * self.product(z) + c)
        mu = max(0.25 * float(force.mean()), 1e-3)
        multipliers = np.zeros(self.n)
        last = np.inf

        def value_and_gradient(x):
            if abort():
                raise Aborted
            Qx, g = self.product(x), x * x - 1.0
            value = float(x @ Qx + c @ x - multipliers @ g + 0.5 * mu * (g @ g))
            return value / self.n, (2.0 * Qx + c - 2.0 * multipliers * x + 2.0 * mu * g * x) / self.n

        def count(_):
            made[0] += 1

        for _ in range(max_iterations):
            left = _INNER if cap is None else min(_INNER, cap - made[0])
            if left <= 0:
                break
            z = minimize(
                value_and_gradient, z, jac=True, method="L-BFGS-B", callback=count,
                options={"maxiter": left, "ftol": 1e-10, "gtol": 1e-6},
            ).x  # fmt: skip
            g = z * z - 1.0
            violation = float(np.abs(g).max())
            if violation <= _MET:
                break
            multipliers -= mu * g
            if violation > _PROGRESS * last:
                mu *= _GROWTH
            last = violation
        return z

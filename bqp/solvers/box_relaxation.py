"""Spectral start and box-constrained descent: the solver of two-step hashing.

G. Lin, C. Shen, D. Suter, A. van den Hengel, "A General Two-Step Approach to Learning-Based Hashing", ICCV 2013: the
signs of the eigenvector of the smallest eigenvalue, then L-BFGS-B (R. Byrd, P. Lu, J. Nocedal, C. Zhu, "A limited
memory algorithm for bound constrained optimization", SIAM J. Scientific Computing 16, 1995) on z'Qz over the box
[-1, 1]^n, rounded by sign. Ours: linear terms by one more variable, any form of Q, Q scaled to largest entry 1, further
starts.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bqp.errors import ParameterError
from bqp.problem import BQP
from bqp.solvers.base import Solver, check_count
from bqp.solvers.run import WalkResult, run_walks

__all__ = ["BoxRelaxation"]

_DENSE_UP_TO = 64  # variables: the whole eigenproblem is quicker than Lanczos, and the same for every form
_STARTS = ("spectral", "x0")


class _Aborted(Exception):
    """The run is over while a backend is at work."""


class BoxRelaxation(Solver):
    """Round the smallest eigenvector, descend in the box [-1, 1]^n, round again.

    Parameters
    ----------
    start : {"spectral", "x0"}
        Where the first descent begins: at the signs of the eigenvector, or at `x0` where one is given.
    max_iterations : int
        Of L-BFGS-B for one start; 30 as published.
    n_restarts : int, optional
        Number of starts; after the first `x0` (if given) and random signs. Default 1 as published, or as many as the
        time or moves allow.

    Notes
    -----
    Q's diagonal is left out, so that the relaxation has an optimum at a corner of the box. Scores of 0 round to +1. A
    rounded point replaces the start only if its energy is lower. One product with Q an evaluation: O(n^2) dense, O(nnz)
    sparse, O(n r) low rank; structured forms are never written out. Lanczos takes some tens of products. A move is an
    iteration of L-BFGS-B. Nothing is proven, and results are not 1-opt.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> from bqp.solvers import BoxRelaxation
    >>> Q = np.array([[0, 1, -2], [1, 0, 1], [-2, 1, 0]])
    >>> BoxRelaxation().solve(bqp.BQP(Q)).energy
    -8.0
    """

    name: ClassVar[str] = "box_relaxation"

    def __init__(self, start: str = "spectral", max_iterations: int = 30, n_restarts: int | None = None):
        if start not in _STARTS:
            raise ParameterError(f"start must be one of {', '.join(_STARTS)}, got {start!r}.")
        self.start = start
        self.max_iterations = check_count("max_iterations", max_iterations)
        self.n_restarts = None if n_restarts is None else check_count("n_restarts", n_restarts)

    def _search(self, problem, run, x0, seeds, n_jobs):
        box = _Box(problem)

        def walk(k, rng, cap, abort):
            made = [0]
            best, energy = np.ones(problem.n, dtype=np.int8), np.inf
            try:
                with run.catching_interrupts():
                    if k == 0 and not (self.start == "x0" and x0 is not None):
                        x = box.spectral(rng, abort)
                    elif x0 is not None and k == (0 if self.start == "x0" else 1):
                        x = x0
                    else:
                        x = (2 * rng.integers(0, 2, problem.n, dtype=np.int8) - 1).astype(np.int8)
                    best, energy = x, float(problem.energy(x))
                    if run.callback is not None:
                        run.offer(best, energy)
                        run.tick(0)
                    z = box.descend(
                        x, self.max_iterations if cap is None else min(cap, self.max_iterations), made, abort
                    )
                    rounded = _signs(z)
                    value = float(problem.energy(rounded))
                    if value < energy:
                        best, energy = rounded, value
            except _Aborted:
                pass
            if not np.isfinite(energy):
                energy = float(problem.energy(best))
            return WalkResult(best, energy, made[0], not abort())

        open_ended = run.budget.is_open_ended
        run_walks(run, walk, seeds, n_jobs, self.n_restarts or (None if open_ended else 1))


def _signs(z: np.ndarray) -> np.ndarray:
    return np.where(z >= 0, 1, -1).astype(np.int8)


class _Box:
    """x'Qx + c'x without Q's diagonal, over a common scale."""

    def __init__(self, problem: BQP):
        self.n, self.c = problem.n, problem.c
        self.diagonal = problem.Q.diagonal().astype(np.float64)
        self.form = problem.Q
        self.scale = max(self.form.max_abs(), float(np.abs(self.c).max(initial=0.0)))
        if not 0.0 < self.scale < np.inf:
            self.scale = 1.0
        self.dense: np.ndarray | None = None
        if self.n <= _DENSE_UP_TO:
            self.dense = self.form.to_dense().astype(np.float64) / self.scale
            np.fill_diagonal(self.dense, 0.0)

    def product(self, z: np.ndarray) -> np.ndarray:
        """Q z over the scale."""
        if self.dense is not None:
            return self.dense @ z
        return (self.form.matvec(z) - self.diagonal * z) / self.scale

    def spectral(self, rng: np.random.Generator, abort) -> np.ndarray:
        """Signs of the smallest eigenvector; with a linear term, of [[Q, c/2], [c'/2, 0]], its last entry positive."""
        import scipy.linalg as la
        from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

        half = 0.5 * self.c / self.scale
        linear = bool(self.c.any())
        n = self.n + linear

        def product(v):
            if abort():
                raise _Aborted
            v = np.asarray(v, dtype=np.float64).ravel()
            if not linear:
                return self.product(v)
            return np.append(self.product(v[:-1]) + half * v[-1], half @ v[:-1])

        if n <= _DENSE_UP_TO and self.dense is not None:
            A = np.column_stack([product(column) for column in np.eye(n)])
            vector = la.eigh(A, subset_by_index=[0, 0])[1][:, 0]
        else:
            operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
            try:
                vector = eigsh(operator, k=1, which="SA", v0=rng.standard_normal(n), tol=1e-6, maxiter=100)[1][:, 0]
            except ArpackNoConvergence as error:
                vectors = error.eigenvectors
                vector = vectors[:, 0] if vectors.shape[1] else rng.standard_normal(n)
        anchor = vector[-1] if linear else vector[np.argmax(np.abs(vector))]
        vector = vector[: self.n] * (1.0 if anchor >= 0 else -1.0)
        return _signs(vector)

    def descend(self, x: np.ndarray, max_iterations: int, made: list[int], abort) -> np.ndarray:
        """L-BFGS-B on z'Qz / n + c'z / n from the corner x; ``made[0]`` counts iterations."""
        from scipy.optimize import minimize

        c = self.c / self.scale

        def value_and_gradient(z):
            if abort():
                raise _Aborted
            Qz = self.product(z)
            return float(z @ Qz + c @ z) / self.n, (2.0 * Qz + c) / self.n

        def count(_):
            made[0] += 1

        options = {"maxiter": max_iterations, "ftol": 1e-4 * np.finfo(np.float64).eps, "gtol": 1e-5}
        found = minimize(
            value_and_gradient, x.astype(np.float64), jac=True, method="L-BFGS-B", bounds=[(-1.0, 1.0)] * self.n,
            callback=count, options=options,
        )  # fmt: skip
        return found.x

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
from bqp.solvers._box import Aborted, Box, signs
from bqp.solvers.base import Solver, check_count
from bqp.solvers.run import WalkResult, run_walks

__all__ = ["BoxRelaxation"]

_STARTS = ("spectral", "x0")


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
        box = Box(problem)

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
                    rounded = signs(z)
                    value = float(problem.energy(rounded))
                    if value < energy:
                        best, energy = rounded, value
            except Aborted:
                pass
            if not np.isfinite(energy):
                energy = float(problem.energy(best))
            return WalkResult(best, energy, made[0], not abort())

        open_ended = run.budget.is_open_ended
        run_walks(run, walk, seeds, n_jobs, self.n_restarts or (None if open_ended else 1))

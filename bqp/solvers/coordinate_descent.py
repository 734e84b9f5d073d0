"""Coordinate descent (one-flip local search, iterated conditional modes).

J. Besag, "On the statistical analysis of dirty pictures", Journal of the Royal Statistical Society B 48, 1986: set one
variable at a time to its best value given the others, until none changes.
"""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from bqp.errors import ParameterError
from bqp.solvers.base import Solver, check_count
from bqp.solvers.run import WalkResult, run_walks
from bqp.solvers.walks import StructuredStorage, prepare

__all__ = ["CoordinateDescent"]

_ORDERS = ("cyclic", "random", "greedy")
_CHUNK_SECONDS = 0.05


class CoordinateDescent(Solver):
    """Flip single variables while that lowers ``x'Qx + c'x``, from many starts.

    Parameters
    ----------
    order : {"cyclic", "random", "greedy"}
        Visit the variables in turn, in a fresh random order each sweep, or always flip the one that gains most.
    n_restarts : int, optional
        Number of descents; the first starts at `x0` if given, the others at random. Default 10 (up to 100
        below 1,000 variables, where they cost little), or as many as the
        time or moves allow.

    Notes
    -----
    A sweep costs one look at each variable plus one row for each flip: O(n + flips * n) dense, O(n + flips * degree)
    sparse; O(n r) for structured forms, whose rows are never formed. Energies never rise. The result is a local
    optimum: no single flip improves it. A variable whose flip changes nothing keeps its value.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> from bqp.solvers import CoordinateDescent
    >>> Q = np.ones((6, 6)) - np.eye(6)
    >>> CoordinateDescent().solve(bqp.BQP(Q), rng=0).energy
    -6.0
    """

    name: ClassVar[str] = "coordinate_descent"

    def __init__(self, order: str = "cyclic", n_restarts: int | None = None):
        if order not in _ORDERS:
            raise ParameterError(f"order must be one of {', '.join(_ORDERS)}, got {order!r}.")
        self.order = order
        self.n_restarts = None if n_restarts is None else check_count("n_restarts", n_restarts)

    def _search(self, problem, run, x0, seeds, n_jobs):
        storage = prepare(problem)
        run.stats["storage"] = storage.kind
        structured = isinstance(storage, StructuredStorage)
        rate = [2e5 if structured else 2e7]  # visits a second, measured as we go

        def walk_from(k, rng, cap, abort):
            if k == 0 and x0 is not None:
                x = x0
            else:
                x = (2 * rng.integers(0, 2, size=problem.n, dtype=np.int8) - 1).astype(np.int8)
            walk, made = storage.start(x), [0]
            with run.catching_interrupts():
                self._descend(walk, rng, cap, abort, run, rate, made)
            walk.settle()
            finished = not abort() and (cap is None or made[0] < cap)
            return WalkResult(walk.best_x[: problem.n], walk.best_energy, made[0], finished)

        limit = self.n_restarts or (None if run.budget.is_open_ended else max(10, min(100, 10_000 // problem.n)))
        run_walks(run, walk_from, seeds, n_jobs, limit)

    def _descend(self, walk, rng, cap, abort, run, rate, made: list[int]) -> None:
        """Descend until nothing improves; ``made[0]`` counts the moves, for whoever interrupts."""
        n = walk.n
        limit = np.iinfo(np.int64).max if cap is None else cap
        if self.order == "greedy":
            finished = False
            while not finished and made[0] < limit and not abort():
                chunk = max(1, int(rate[0] * _CHUNK_SECONDS) // n)
                finished, moves = walk.descend_greedy(min(chunk, limit - made[0]))
                made[0] += moves
                self._show(walk, run, made[0])
            return
        order = np.arange(n, dtype=np.int32)
        unchanged = 0  # visits since the last flip; n of them end the descent
        while unchanged < n and made[0] < limit and not abort():
            if self.order == "random":
                rng.shuffle(order)
            position, before_sweep = 0, made[0]
            while position < n and made[0] < limit and not abort():
                stop = min(n, position + max(128, int(rate[0] * _CHUNK_SECONDS)))
                began = time.perf_counter()
                reached, moves = walk.descend(order, position, stop, limit - made[0])
                rate[0] = max(1e4, 0.5 * rate[0] + 0.5 * (reached - position) / max(1e-6, time.perf_counter() - began))
                made[0] += moves
                position = reached
                self._show(walk, run, made[0])
            unchanged = n if made[0] == before_sweep and position == n else 0

    @staticmethod
    def _show(walk, run, moves) -> None:
        """Let the run see where the walk stands; a descent is at its best by construction."""
        if run.callback is not None or run.budget.time_limit is not None:
            walk.settle()
            run.offer(walk.best_x[: walk.n], walk.best_energy)
        run.tick(moves)

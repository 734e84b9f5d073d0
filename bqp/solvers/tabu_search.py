"""Tabu search with restarts by path relinking over an elite set.

F. Glover, "Tabu search", ORSA Journal on Computing 1, 1989; G. Palubeckis, "Multistart tabu search strategies for the
unconstrained binary quadratic optimization problem", Annals of Operations Research 131, 2004 (stop rule and scale of
the tenure); Y. Wang, Z. Lü, F. Glover, J.-K. Hao, "Path relinking for unconstrained binary quadratic programming",
European Journal of Operational Research 223, 2012 (walking between elites, starting from the middle third of the path).
Here the deltas of an elite are kept, so that a walk begins in O(n), and walks run in epochs of four whose elites are
taken in at the end, so that threads do not change the answer.
"""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from bqp.errors import ParameterError
from bqp.solvers.base import Solver, check_count
from bqp.solvers.elite import Elite, EliteSet
from bqp.solvers.run import WalkResult, run_walks
from bqp.solvers.walks import DenseWalk, prepare

__all__ = ["TabuSearch"]

_CHUNK_SECONDS = 0.05
_DEFAULT_WALKS = 16


class TabuSearch(Solver):
    """One-flip tabu search on ``x'Qx + c'x``, restarted from paths between elite solutions.

    A move flips the best variable that is not tabu, or a tabu one that gives a new best. A walk ends after `stall`
    moves without gain. The first `elite_size` walks start with a descent from a random assignment; each later one
    starts from the best point in the middle third of a greedy path from one elite to another. When every pair has had
    its path, all elites but the best give way to new ones.

    Parameters
    ----------
    tenure : int, optional
        Moves for which a flipped variable stays tabu, plus a random number below 10. Default: n // 100 + 10 for dense
        problems, n // 40 + 20 for sparse ones.
    stall : int, optional
        Moves without gain that end a walk. Default: max(5 n, 5000), and 20 n for sparse problems.
    elite_size : int
        Distinct solutions kept.
    n_restarts : int, optional
        Number of walks. Default 16, or as many as the time or moves allow.

    Notes
    -----
    A move costs one row: n dense, degree + n / 8 or so sparse, n r structured. Memory: the rows in the narrowest exact
    integers (int8 for coefficients up to 127), 16 n bytes a walk. Elites are chosen between epochs of walks, so the
    answer does not depend on the number of threads.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> from bqp.solvers import TabuSearch
    >>> Q = np.random.default_rng(0).integers(-9, 10, (40, 40))
    >>> problem = bqp.BQP.from_qubo(Q)
    >>> solution = TabuSearch().solve(problem, max_moves=20_000, rng=0)
    >>> solution.energy == problem.energy(solution.x)
    True
    """

    name: ClassVar[str] = "tabu_search"

    def __init__(
        self,
        tenure: int | None = None,
        stall: int | None = None,
        elite_size: int = 8,
        n_restarts: int | None = None,
    ):
        self.tenure = None if tenure is None else check_count("tenure", tenure)
        self.stall = None if stall is None else check_count("stall", stall)
        self.elite_size = check_count("elite_size", elite_size)
        if self.elite_size < 2:
            raise ParameterError("elite_size must be at least 2: a path needs two ends.")
        self.n_restarts = None if n_restarts is None else check_count("n_restarts", n_restarts)

    def _search(self, problem, run, x0, seeds, n_jobs):
        n = problem.n
        storage = prepare(problem)
        sparse = storage.kind == "sparse"
        tenure = self.tenure if self.tenure is not None else (n // 40 + 20 if sparse else n // 100 + 10)
        tenure, spread = min(tenure, max(1, n // 4)), min(10, max(1, n // 4))
        stall = self.stall or (max(20 * n, 5000) if sparse else max(5 * n, 5000))
        run.stats.update(
            storage=storage.kind, row_dtype=str(getattr(storage, "row_dtype", "")), tenure=tenure, stall=stall
        )
        target = -np.inf if run.budget.target is None else run.budget.target
        elite = EliteSet(self.elite_size, apart=min(tenure, n // 4), mirrored=not np.any(problem.c))
        (planning,) = seeds.spawn(1)
        choices = np.random.default_rng(planning)
        starts: dict[int, tuple[Elite, Elite] | None] = {}
        deltas: dict[int, np.ndarray] = {}
        rate = [1e5]  # moves a second, measured as we go

        def advance(walk, limit, abort, made, *settings) -> None:
            """Tabu moves in chunks of about 50 ms until made[0], which counts them, reaches the limit."""
            while made[0] < limit and not abort():
                chunk = int(min(limit - made[0], max(100, rate[0] * _CHUNK_SECONDS)))
                began = time.perf_counter()
                moves = walk.tabu(chunk, *settings)
                rate[0] = 0.5 * rate[0] + 0.5 * moves / max(1e-6, time.perf_counter() - began)
                made[0] += moves
                if run.callback is not None or run.budget.time_limit is not None:
                    run.offer(walk.best_x[:n], walk.best_energy)
                run.tick(made[0])
                if moves < chunk:
                    break

        def plan(first, count):
            starts.clear()
            starts.update(zip(range(first, first + count), elite.plan(count, choices)))

        def walk_from(k, rng, cap, abort):
            limit = np.iinfo(np.int64).max if cap is None else cap
            made, pair = [0], starts[k]
            if k == 0 and x0 is not None:
                walk = storage.start(x0)
            elif pair is None:
                walk = storage.start((2 * rng.integers(0, 2, size=n, dtype=np.int8) - 1).astype(np.int8))
                walk.sink(limit, abort, made)
            else:
                walk = storage.start(pair[0].x, pair[0].delta)
                self._relink(walk, elite.towards(pair[0].x, pair[1].x), limit, advance, abort, rng, made)
            walk.begin_tabu(int(rng.integers(1, 2**62)))
            with run.catching_interrupts():
                advance(walk, limit, abort, made, tenure, spread, stall, target)
                if walk.exact:
                    walk.move_to(walk.best_x[:n])
                    deltas[k] = walk.delta[:n].copy()
            return WalkResult(walk.best_x[:n].copy(), walk.best_energy, made[0], not abort() and made[0] < limit)

        def commit(k, result):
            elite.offer(result.energy, result.x, deltas.pop(k, None))
            run.stats["rebuilds"] = elite.n_rebuilds

        limit = self.n_restarts or (None if run.budget.is_open_ended else _DEFAULT_WALKS)
        run_walks(run, walk_from, seeds, n_jobs, limit, commit, epoch_size=4, plan=plan)

    @staticmethod
    def _relink(walk, goal: np.ndarray, limit: int, advance, abort, rng, made: list[int]) -> None:
        """Walk greedily towards `goal`, each flip once; leave `walk` at the best point of the middle third."""
        n = walk.n
        distance = int(np.count_nonzero(walk.x[:n] != goal))
        third = distance // 3
        if third == 0:
            flips = rng.permutation(n)[: max(1, n // 10)]
            start = walk.x[:n].copy()
            start[flips] = -start[flips]
            walk.move_to(start)
            return
        if isinstance(walk, DenseWalk):
            ahead = rng.permutation(np.flatnonzero(walk.x[:n] != goal))
            stop = min(2 * third, limit)
            walk.path(ahead, min(third, stop - 1), stop)
            made[0] += stop
            return
        walk.begin_tabu(int(rng.integers(1, 2**62)))
        walk.stamp[:n][walk.x[:n] == goal] = 2**31 - 1  # only the differing variables may move, and only once
        forever = 2**31 - 2
        advance(walk, min(third, limit), abort, made, forever, 0, 2**62, -np.inf, False)
        walk.settle()
        walk.energies[1] = np.inf  # the best of the middle third is wanted, wherever it lies
        advance(walk, min(made[0] + third, limit), abort, made, forever, 0, 2**62, -np.inf, False)
        walk.move_to(walk.best_x[:n].copy())

"""Tabu search with restarts by path relinking over an elite set.

F. Glover, "Tabu search", ORSA Journal on Computing 1, 1989; G. Palubeckis, "Multistart tabu search strategies for the
unconstrained binary quadratic optimization problem", Annals of Operations Research 131, 2004 (stop rule and scale of
the tenure); Y. Wang, Z. Lü, F. Glover, J.-K. Hao, "Path relinking for unconstrained binary quadratic programming",
European Journal of Operational Research 223, 2012 (walking between elites, starting from the middle third of the path).
"""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from bqp.errors import ParameterError
from bqp.solvers.base import Solver, check_count
from bqp.solvers.run import WalkResult, run_walks
from bqp.solvers.walks import prepare

__all__ = ["TabuSearch"]

_CHUNK_SECONDS = 0.05
_DEFAULT_WALKS = 16


class TabuSearch(Solver):
    """One-flip tabu search on ``x'Qx + c'x``, restarted from paths between elite solutions.

    A move flips the best variable that is not tabu, or a tabu one that gives a new best. A walk ends after `stall`
    moves without gain. The first `elite_size` walks start with a descent from a random assignment; each later one
    starts from the best point in the middle third of a greedy path from one elite to another.

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
        elite: list[tuple[float, bytes]] = []
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

        def walk_from(k, rng, cap, abort):
            limit = np.iinfo(np.int64).max if cap is None else cap
            made = [0]
            if k == 0 and x0 is not None:
                walk = storage.start(x0)
            elif k < self.elite_size or len(elite) < 2:
                walk = storage.start((2 * rng.integers(0, 2, size=n, dtype=np.int8) - 1).astype(np.int8))
                walk.sink(limit, abort, made)
            else:
                first, second = rng.choice(len(elite), size=2, replace=False)
                walk = storage.start(np.frombuffer(elite[first][1], dtype=np.int8))
                goal = np.frombuffer(elite[second][1], dtype=np.int8)
                self._relink(walk, goal, limit, advance, abort, rng, made)
            walk.begin_tabu(int(rng.integers(1, 2**62)))
            with run.catching_interrupts():
                advance(walk, limit, abort, made, tenure, spread, stall, target)
            return WalkResult(walk.best_x[:n].copy(), walk.best_energy, made[0], not abort() and made[0] < limit)

        def commit(k, result):
            entry = (result.energy, result.x.tobytes())
            if entry not in elite:
                elite.append(entry)
                elite.sort()
                del elite[self.elite_size :]

        limit = self.n_restarts or (None if run.budget.is_open_ended else _DEFAULT_WALKS)
        run_walks(run, walk_from, seeds, n_jobs, limit, commit, epoch_size=4)

    @staticmethod
    def _relink(walk, goal: np.ndarray, limit: int, advance, abort, rng, made: list[int]) -> None:
        """Walk greedily towards `goal`, each flip once; leave `walk` at the best point of the middle third."""
        n = walk.n
        distance = int(np.count_nonzero(walk.x[:n] != goal))
        third = distance // 3
        if third == 0:
            flips = rng.permutation(n)[: max(1, n // 10)]
            walk.x[flips] = -walk.x[flips]
            walk.rebuild()
            return
        walk.begin_tabu(int(rng.integers(1, 2**62)))
        walk.stamp[:n][walk.x[:n] == goal] = 2**31 - 1  # only the differing variables may move, and only once
        forever = 2**31 - 2
        advance(walk, min(third, limit), abort, made, forever, 0, 2**62, -np.inf, False)
        walk.settle()
        walk.energies[1] = np.inf  # the best of the middle third is wanted, wherever it lies
        advance(walk, min(made[0] + third, limit), abort, made, forever, 0, 2**62, -np.inf, False)
        walk.x[:] = walk.best_x
        walk.rebuild()

"""Simulated annealing with an automatic temperature range and sweeps that grow longer.

S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, "Optimization by simulated annealing", Science 220, 1983; S. V. Isakov,
I. N. Zintchenko, T. F. Ronnow, M. Troyer, "Optimised simulated annealing for Ising spin glasses", Computer Physics
Communications 192, 2015 (sequential sweeps, long runs; their temperatures are given and their inverses linear).
"""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from bqp.errors import ParameterError
from bqp.solvers.base import Solver, check_count
from bqp.solvers.run import WalkResult, run_walks
from bqp.solvers.walks import prepare

__all__ = ["SimulatedAnnealing"]

_CHUNK_SECONDS = 0.05
_FIRST_SWEEPS = 100
_LONGEST_SWEEPS = 100_000
_DEFAULT_WALKS = 15
_HOT = 0.5  # times the root mean square change of energy at a random assignment
_COLD = 0.0002  # mean acceptance of uphill flips at a local optimum
_MOVES_A_VISIT = 0.2  # flips per look at a variable over a whole schedule, about


class SimulatedAnnealing(Solver):
    """Metropolis sweeps over ``x'Qx + c'x`` at falling temperatures, each followed by a descent; many runs.

    Parameters
    ----------
    n_sweeps : int, optional
        Sweeps of each run. Default: 100 in the first run, and four times as many in each epoch of runs, up to 100,000
        or what the budget allows: long runs reach what many short ones do not.
    hot, cold : float, optional
        First and last temperature, in units of energy. Default: 0.5 times the root mean square change of energy of a
        flip at a random assignment; the temperature at which one in 5,000 uphill flips at a local optimum is accepted.
    n_restarts : int, optional
        Number of runs. Default 15, or as many as the time or moves allow.

    Notes
    -----
    The temperature falls geometrically. A sweep looks at each variable in turn, O(n), and pays a row for each flip:
    degree (sparse), n (dense), O(r) a look (structured). The first choice for sparse problems: on max-cut graphs of a
    few thousand nodes it goes further than tabu search; for dense ones tabu search is better. Runs are independent, so
    the answer does not depend on the number of threads. A move is a flip.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> from bqp.solvers import SimulatedAnnealing
    >>> ring = np.roll(np.eye(50), 1, axis=1)
    >>> SimulatedAnnealing().solve(bqp.BQP.from_maxcut(ring + ring.T), rng=0).objective
    50.0
    """

    name: ClassVar[str] = "simulated_annealing"

    def __init__(
        self,
        n_sweeps: int | None = None,
        hot: float | None = None,
        cold: float | None = None,
        n_restarts: int | None = None,
    ):
        self.n_sweeps = None if n_sweeps is None else check_count("n_sweeps", n_sweeps)
        self.hot, self.cold = _check_temperature("hot", hot), _check_temperature("cold", cold)
        if hot is not None and cold is not None and hot < cold:
            raise ParameterError(f"hot must be at least cold: {hot!r} < {cold!r}.")
        self.n_restarts = None if n_restarts is None else check_count("n_restarts", n_restarts)

    def _temperatures(self, storage, rng) -> tuple[float, float]:
        """First and last temperature."""
        hot, cold = self.hot, self.cold
        if hot is None or cold is None:
            found = _scales(storage, rng)
            hot = max(found[0], cold or 0.0) if hot is None else hot
            cold = min(found[1], hot) if cold is None else cold
        return hot, cold

    def _search(self, problem, run, x0, seeds, n_jobs):
        n = problem.n
        storage = prepare(problem)
        hot, cold = self._temperatures(storage, np.random.Generator(np.random.PCG64(seeds.spawn(1)[0])))
        run.stats.update(storage=storage.kind, hot=hot, cold=cold)
        rate = [2e7 / n]  # sweeps a second, measured as we go

        def sweeps_of(k: int, cap: int | None) -> int:
            if self.n_sweeps is not None:
                return self.n_sweeps
            wanted = min(_FIRST_SWEEPS * 4 ** _epoch(k), _LONGEST_SWEEPS)
            if run.budget.time_limit is not None:
                left = run.budget.time_limit - run.elapsed
                wanted = min(wanted, max(_FIRST_SWEEPS, int(0.9 * left * rate[0])))
            if cap is not None:
                wanted = min(wanted, int(cap / (_MOVES_A_VISIT * n)))
            return wanted

        def walk_from(k, rng, cap, abort):
            limit = np.iinfo(np.int64).max if cap is None else cap
            if k == 0 and x0 is not None:
                x = x0
            else:
                x = (2 * rng.integers(0, 2, size=n, dtype=np.int8) - 1).astype(np.int8)
            n_sweeps = sweeps_of(k, cap)
            temperatures = np.geomspace(hot, cold, n_sweeps) / storage.unit
            state = np.array([rng.integers(1, 2**62) | 1], dtype=np.int64)
            walk, made = storage.start(x), [0]
            with run.catching_interrupts():
                sweep = 0
                while sweep < n_sweeps and made[0] < limit and not abort():
                    stop = min(n_sweeps, sweep + max(1, int(rate[0] * _CHUNK_SECONDS)))
                    began = time.perf_counter()
                    reached, moves = walk.anneal(temperatures, sweep, stop, limit - made[0], state)
                    rate[0] = 0.5 * rate[0] + 0.5 * (reached - sweep) / max(1e-6, time.perf_counter() - began)
                    sweep = reached
                    made[0] += moves
                    run.tick(made[0])
                walk.sink(limit, abort, made)
            walk.settle()
            return WalkResult(walk.best_x[:n].copy(), walk.best_energy, made[0], not abort() and made[0] < limit)

        limit = self.n_restarts or (None if run.budget.is_open_ended else _DEFAULT_WALKS)
        run_walks(run, walk_from, seeds, n_jobs, limit, epoch_size=4)


def _scales(storage, rng: np.random.Generator) -> tuple[float, float]:
    """Temperatures at which little is frozen, and nearly everything, from a random assignment and a local optimum."""
    x = (2 * rng.integers(0, 2, size=storage.n, dtype=np.int8) - 1).astype(np.int8)
    hot = _HOT * float(np.sqrt(np.mean(np.square(storage.problem.flip_deltas(x)))))
    walk = storage.start(x)
    walk.sink(np.iinfo(np.int64).max, lambda: False, [0])
    uphill = storage.problem.flip_deltas(walk.x[: storage.n])
    uphill = uphill[uphill > 0]
    if not hot > 0 or not len(uphill):
        return (hot, hot) if hot > 0 else (1.0, 1.0)
    low, high = np.log(1e-12 * hot), np.log(hot)
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.exp(-uphill / np.exp(middle)).mean() < _COLD else (low, middle)
    return hot, float(np.exp(low))


def _epoch(k: int) -> int:
    """Which epoch walk k belongs to: epochs have 1, 2, 4, 4, ... walks."""
    return 0 if k < 1 else 1 if k < 3 else 2 + (k - 3) // 4


def _check_temperature(name: str, value) -> float | None:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if value is not None and not (number and np.isfinite(value) and value > 0):
        raise ParameterError(
            f"{name} must be a finite number above 0, a temperature in units of energy, got {value!r}."
        )
    return None if value is None else float(value)

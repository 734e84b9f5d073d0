"""Simulated annealing of a population, whose members are annealed again or recombined.

S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, "Optimization by simulated annealing", Science 220, 1983; S. V. Isakov,
I. N. Zintchenko, T. F. Ronnow, M. Troyer, "Optimised simulated annealing for Ising spin glasses", Computer Physics
Communications 192, 2015 (sequential sweeps, inverse temperatures that rise linearly); J. Houdayer, O. C. Martin,
"Renormalization for discrete optimization", Physical Review Letters 83, 1999 (the recombination; they merge once per
generation of a fixed population, we draw two to six parents for each child and let length and population grow).
What is fresh, reheated or a child, and when, is decided in `population`.
"""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from bqp.errors import ParameterError
from bqp.solvers.base import Solver, check_count
from bqp.solvers.population import LONG_SWEEPS, Population
from bqp.solvers.recombination import Recombination
from bqp.solvers.run import WalkResult, run_walks
from bqp.solvers.walks import prepare

__all__ = ["SimulatedAnnealing"]

_CHUNK_SECONDS = 0.05
_FEWEST_SWEEPS = 100
_DEFAULT_WALKS = 51  # two cycles after the first three walks
_HOT = 0.8  # times the root mean square change of energy at a random assignment
_COLD = 0.0005  # mean acceptance of uphill flips at a local optimum
_COLDEST = 0.03  # times the same root mean square
_WIDE = 60.0  # ratio of temperatures from which they fall geometrically
_MOVES_A_VISIT = 0.15  # flips per look at a variable over a whole schedule, about
_CHILD_HOT = 0.4  # first temperature of a child, times that of a fresh run
_WARM = (0.15, 0.3)  # that of a reheated run lies between
_SHORTER = 4  # a fresh run is so many times as long as children and reheated runs
_FEWEST_LATER_SWEEPS = 200
_CYCLE = 14  # length of a focusing cycle in fresh runs, about
_FRESH_SHARE = 0.4  # of what is left, for the fresh runs of a focusing cycle


class SimulatedAnnealing(Solver):
    """Metropolis sweeps over ``x'Qx + c'x`` at falling temperatures, each followed by a descent; a population of runs.

    Runs come in cycles. Some start at random, then come children of two to six of them, in which what the parents agree
    on is merged and the rest is annealed (`Recombination`). Where the best child gains more over the best run than that
    one over the best of the cycle before, the next cycle has twice as many runs, twice as long. Elsewhere cycles have
    four runs from random starts, longer than those before, and then the better of their results are
    annealed again from lower temperatures, until that gains nothing (`Population`).

    Parameters
    ----------
    n_sweeps : int, optional
        Sweeps of each run from a random start; children and reheated runs have a quarter, at least 200. Default: 100 in
        the first runs, and more in each cycle, up to 400,000 or what the budget allows: long runs reach what many short
        ones do not.
    hot, cold : float, optional
        First and last temperature, in units of energy. Default: 0.8 times the root mean square change of energy of a
        flip at a random assignment; the temperature at which one in 2,000 uphill flips at a local optimum is accepted,
        but not below 0.03 times that mean.
    n_restarts : int, optional
        Number of runs of all kinds. Default 51, or as many as the time or moves allow.
    recombine : bool, default True
        Whether there are children; structured forms (low rank, groups) and matrices of more than 20 million entries go
        without.
    reheat : bool, default True
        Whether members are annealed again, from a temperature between 0.15 and 0.3 times `hot`.

    Notes
    -----
    The inverse temperature rises linearly; if hot is more than 60 times cold, the temperature falls geometrically. A
    sweep looks at each variable in turn, O(n), and pays a row for each flip: degree (sparse), n (dense), O(r) a look
    (structured). The first choice for sparse problems and for those with a few strong couplings a variable. Parents are
    chosen between epochs of runs, so the answer does not depend on the number of threads. A move is a flip, in a
    child of a group. Memory: n bytes a member of the population, 12 bytes a nonzero in each child.

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
        recombine: bool = True,
        reheat: bool = True,
    ):
        self.n_sweeps = None if n_sweeps is None else check_count("n_sweeps", n_sweeps)
        self.hot, self.cold = _check_temperature("hot", hot), _check_temperature("cold", cold)
        if hot is not None and cold is not None and hot < cold:
            raise ParameterError(f"hot must be at least cold: {hot!r} < {cold!r}.")
        self.n_restarts = None if n_restarts is None else check_count("n_restarts", n_restarts)
        for option, value in (("recombine", recombine), ("reheat", reheat)):
            if not isinstance(value, bool | np.bool_):
                raise ParameterError(f"{option} must be True or False, got {value!r}.")
        self.recombine, self.reheat = bool(recombine), bool(reheat)

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
        recombination = Recombination(storage) if self.recombine and Recombination.suits(storage) else None
        population = Population(recombination is not None, not problem.c.any(), self.reheat)
        run.stats.update(storage=storage.kind, hot=hot, cold=cold)
        rate = [2e7 / n]  # sweeps a second, measured as we go

        def plan(first: int, count: int) -> None:
            """Where the time left does not hold this focusing cycle and the next one, let this one fill it."""
            length = population.n_sweeps
            if run.budget.time_limit is None or first != population.begin or not population.focuses:
                return
            room = n_jobs * (run.budget.time_limit - run.elapsed) * rate[0] / _CYCLE
            if length * (1 + _SHORTER) > room:
                population.n_sweeps = max(length, min(int(room), LONG_SWEEPS))

        def sweeps_of(cap: int | None, fresh: bool) -> int:
            """Length of a run: that of its cycle, or what the budget allows."""
            wanted, share = self.n_sweeps or population.n_sweeps, 0.9
            if not fresh:
                wanted = max(_FEWEST_LATER_SWEEPS, wanted // _SHORTER)
            if self.n_sweeps is not None:
                return wanted
            if fresh and (population.focuses or population.pays):  # leave enough for the other runs
                share = (_FRESH_SHARE if population.focuses else 0.5) * n_jobs / population.n_fresh
            if run.budget.time_limit is not None:
                left = run.budget.time_limit - run.elapsed
                wanted = min(wanted, max(_FEWEST_SWEEPS, int(share * left * rate[0])))
            if cap is not None:
                share = _FRESH_SHARE if fresh and population.focuses else 1.0
                wanted = min(wanted, int(share * cap / (_MOVES_A_VISIT * n)))
            return max(1, wanted)

        def walk_from(k, rng, cap, abort):
            limit, made = np.iinfo(np.int64).max if cap is None else cap, [0]
            parents = population.parents(k, rng)
            n_sweeps = sweeps_of(cap, fresh=parents is None)
            if parents is None:
                x = x0 if k == 0 and x0 is not None else (2 * rng.integers(0, 2, size=n) - 1).astype(np.int8)
                walk = storage.start(x)
                anneal(walk, schedule(hot, cold, n_sweeps), rng, limit, abort, made)
            else:
                warm = hot * (_CHILD_HOT if len(parents) > 1 else rng.uniform(*_WARM))
                temperatures = schedule(max(cold, warm), cold, n_sweeps)
                if len(parents) > 1:
                    walk = breed(parents, temperatures, rng, limit, abort, made)
                else:
                    walk = storage.start(parents[0])
                    anneal(walk, temperatures, rng, limit, abort, made)
            walk.settle()
            return WalkResult(walk.best_x[:n].copy(), walk.best_energy, made[0], not abort() and made[0] < limit)

        def breed(parents, temperatures, rng, limit, abort, made):
            assert recombination is not None
            x = parents[0]
            with run.catching_interrupts():
                x = recombination.child(parents, temperatures, rng, limit, abort, made)
                run.tick(made[0])
            walk = storage.start(x)
            with run.catching_interrupts():
                walk.sink(limit, abort, made)
            return walk

        def anneal(walk, temperatures, rng, limit, abort, made) -> None:
            state = np.array([rng.integers(1, 2**62) | 1], dtype=np.int64)
            temperatures = temperatures / storage.unit
            sweep, n_sweeps = 0, len(temperatures)
            with run.catching_interrupts():
                while sweep < n_sweeps and made[0] < limit and not abort():
                    stop = min(n_sweeps, sweep + max(1, int(rate[0] * _CHUNK_SECONDS)))
                    began = time.perf_counter()
                    reached, moves = walk.anneal(temperatures, sweep, stop, limit - made[0], state)
                    rate[0] = 0.5 * rate[0] + 0.5 * (reached - sweep) / max(1e-6, time.perf_counter() - began)
                    sweep = reached
                    made[0] += moves
                    run.tick(made[0])
                walk.sink(limit, abort, made)

        limit = self.n_restarts or (None if run.budget.is_open_ended else _DEFAULT_WALKS)
        run_walks(run, walk_from, seeds, n_jobs, limit, population.commit, epoch_size=4, plan=plan)
        run.stats.update(
            n_reheated=population.n_reheated, n_children=population.n_children, n_better_children=population.n_better
        )


def schedule(hot: float, cold: float, n_sweeps: int) -> np.ndarray:
    """Temperatures (n_sweeps,) from hot to cold: linear in their inverses, or geometric over a wide range."""
    if hot > _WIDE * cold:
        return np.geomspace(hot, cold, n_sweeps)
    return 1.0 / np.linspace(1.0 / hot, 1.0 / cold, n_sweeps)


def _scales(storage, rng: np.random.Generator) -> tuple[float, float]:
    """Temperatures at which little is frozen, and nearly everything, from a random assignment and a local optimum."""
    x = (2 * rng.integers(0, 2, size=storage.n, dtype=np.int8) - 1).astype(np.int8)
    size = float(np.sqrt(np.mean(np.square(storage.problem.flip_deltas(x)))))
    walk = storage.start(x)
    walk.sink(np.iinfo(np.int64).max, lambda: False, [0])
    uphill = storage.problem.flip_deltas(walk.x[: storage.n])
    uphill = uphill[uphill > 0]
    if not size > 0 or not len(uphill):
        return (_HOT * size, _HOT * size) if size > 0 else (1.0, 1.0)
    low, high = np.log(_COLDEST * size), np.log(_HOT * size)
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.exp(-uphill / np.exp(middle)).mean() < _COLD else (low, middle)
    return _HOT * size, float(np.exp(low))


def _check_temperature(name: str, value) -> float | None:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if value is not None and not (number and np.isfinite(value) and value > 0):
        raise ParameterError(
            f"{name} must be a finite number above 0, a temperature in units of energy, got {value!r}."
        )
    return None if value is None else float(value)

"""The course of one run: its budget, its incumbent, its trace and its observers.

Search code works with running energies; whatever enters the incumbent is re-evaluated by the problem first, so that a
drifting sum can never be reported.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from bqp.callbacks import Callback, Event
from bqp.errors import ParameterError
from bqp.problem import BQP
from bqp.rng import streams
from bqp.rounding import evaluation_rounding
from bqp.solution import Solution, Status, Trace

__all__ = ["Budget", "Run", "WalkResult", "run_walks"]

_POLL_SECONDS = 0.05
_IDLE_WALKS = 64  # walks in a row that found nothing to move, after which a budget of moves is not waited for


@dataclass(frozen=True)
class Budget:
    """When to stop: seconds, moves, or an energy that is good enough; None for no limit."""

    time_limit: float | None = None
    max_moves: int | None = None
    target: float | None = None

    def __post_init__(self):
        if self.time_limit is not None and not (_is_number(self.time_limit) and self.time_limit >= 0):
            raise ParameterError(f"time_limit must be a number of seconds >= 0, got {self.time_limit!r}.")
        whole = isinstance(self.max_moves, int | np.integer) and not isinstance(self.max_moves, bool)
        if self.max_moves is not None and (not whole or self.max_moves < 0):
            raise ParameterError(f"max_moves must be an integer >= 0, got {self.max_moves!r}.")
        if self.target is not None and (not _is_number(self.target) or np.isnan(self.target)):
            raise ParameterError(f"target must be a number, an energy, got {self.target!r}.")

    @property
    def is_open_ended(self) -> bool:
        """Whether the caller set a limit that the search should use up."""
        return self.time_limit is not None or self.max_moves is not None


def _is_number(value) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


class Run:
    """State of one search over spins, shared by its walks.

    Parameters
    ----------
    problem : BQP
        The caller's own, in either domain: what is offered is evaluated there.
    budget : Budget
    callback : callable or None
    n_solutions : int
        How many distinct assignments the pool keeps.
    lift : callable
        Turns a spin assignment into the domain of `problem`.
    """

    def __init__(
        self,
        problem: BQP,
        budget: Budget,
        callback: Callback | None = None,
        n_solutions: int = 1,
        lift: Callable[[np.ndarray], np.ndarray] = lambda x: x,
    ):
        self.problem, self.budget, self.callback, self.n_solutions, self.lift = (
            problem, budget, callback, n_solutions, lift,
        )  # fmt: skip
        self.started = time.perf_counter()
        self.energy = np.inf
        self.x: np.ndarray | None = None
        self.lower_bound = -np.inf
        self.n_moves = 0
        self.n_restarts = 0
        self.status: Status | None = None
        self.stats: dict[str, Any] = {}
        self._rows: list[tuple[float, int, float, float]] = []
        self._pool: dict[bytes, float] = {}
        self._lock = threading.RLock()
        self._owner = threading.get_ident()
        self._changed = False
        self._live_moves = 0
        self._moves_shown = 0
        self._drift = evaluation_rounding(problem)

    # ---- budget ------------------------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    @property
    def stopping(self) -> bool:
        """Whether walks should come to an end now: time is up, or somebody asked to stop."""
        if self.status is None and self.budget.time_limit is not None and self.elapsed >= self.budget.time_limit:
            self.status = Status.TIME_LIMIT
        return self.status is not None

    def stop(self, status: Status) -> None:
        if self.status is None:
            self.status = status

    @contextmanager
    def catching_interrupts(self) -> Iterator[None]:
        """Let Ctrl-C inside end the run, but not before the walk has brought home what it has."""
        try:
            yield
        except KeyboardInterrupt:
            self.status = Status.STOPPED

    @property
    def moves_left(self) -> int | None:
        return None if self.budget.max_moves is None else max(0, self.budget.max_moves - self.n_moves)

    def account(self, moves: int) -> None:
        """Book a finished walk of so many moves."""
        self.n_moves += moves
        self.n_restarts += 1
        self._live_moves = 0

    # ---- incumbent ---------------------------------------------------------------------------------------------

    def offer(self, x: np.ndarray, energy: float | None = None) -> float:
        """Show an assignment; it becomes the incumbent if its re-evaluated energy is better. Returns that energy.

        `energy`, if given, is the walk's own running value: worse ones are turned away without an evaluation.
        """
        if energy is not None and self.n_solutions == 1 and self._clearly_worse(energy):
            return energy
        exact = float(self.problem.energy(self.lift(x)))
        with self._lock:
            if self.n_solutions > 1:
                self._remember(x, exact)
            if exact < self.energy or self.x is None:
                self.energy, self.x = exact, np.array(x, dtype=np.int8)
                moves = self.n_moves + self._live_moves  # with several threads, of whichever showed itself last
                moves = max(moves, self._rows[-1][1]) if self._rows else moves
                self._rows.append((self.elapsed, moves, exact, self.lower_bound))
                self._changed = True
        return exact

    def _clearly_worse(self, energy: float) -> bool:
        return energy > self.energy + 1e-9 * (1.0 + abs(self.energy)) + self._drift

    def _remember(self, x: np.ndarray, energy: float) -> None:
        self._pool[np.asarray(x, dtype=np.int8).tobytes()] = energy
        if len(self._pool) > 4 * self.n_solutions:
            self._pool = dict(self._best_of_pool())

    def _best_of_pool(self) -> list[tuple[bytes, float]]:
        return sorted(self._pool.items(), key=lambda item: (item[1], item[0]))[: self.n_solutions]

    def _fill_pool(self) -> None:
        """Where the search has seen too few assignments, add the best neighbours of those it has."""
        wanted, asked = min(self.n_solutions, 2 ** min(self.problem.n, 62)), set()
        while len(self._pool) < wanted:
            key = next((key for key, _ in self._best_of_pool() if key not in asked), None)
            if key is None:
                return
            asked.add(key)
            x = np.frombuffer(key, dtype=np.int8)
            for i in np.argsort(self.problem.flip_deltas(self.lift(x)), kind="stable")[: self.n_solutions]:
                neighbour = x.copy()
                neighbour[i] = -neighbour[i]
                self._pool.setdefault(neighbour.tobytes(), float(self.problem.energy(self.lift(neighbour))))

    def prove(self, lower_bound: float) -> None:
        """Raise the proven lower bound: what was found in exact arithmetic, or without a look at rounding."""
        if lower_bound - self._drift > self.lower_bound:
            self.lower_bound = lower_bound - self._drift
            self._changed = True

    def tick(self, moves: int = 0) -> None:
        """Called by walks between chunks: let observers see the incumbent, and let them stop the run."""
        self._live_moves = moves
        if threading.get_ident() != self._owner or self.callback is None or self.x is None:
            return
        if self.status is Status.STOPPED:
            return
        if self._changed or moves:
            self._changed = False
            self._moves_shown = max(self._moves_shown, self.n_moves + moves)  # walks of an epoch are booked at its end
            event = Event(self.elapsed, self._moves_shown, self.energy, self.lower_bound, lambda x=self.x: self.lift(x))
            if self.callback(event):
                self.stop(Status.STOPPED)

    def solution(self, solver: str, default: Status) -> Solution:
        """The result in the caller's domain."""
        assert self.x is not None
        x, energy = self.lift(self.x), self.energy
        lower_bound = min(self.lower_bound, energy)
        status = self.status or default
        if lower_bound == energy:
            status = Status.OPTIMAL
        pool = None
        if self.n_solutions > 1:
            self._remember(self.x, self.energy)
            self._fill_pool()
            pool = np.array([self.lift(np.frombuffer(key, dtype=np.int8)) for key, _ in self._best_of_pool()])
        rows = [(when, min(moves, self.n_moves), e, bound) for when, moves, e, bound in self._rows]
        return Solution(
            x, energy, status, lower_bound, solver, self.problem.sense, pool,
            n_moves=self.n_moves, n_restarts=self.n_restarts, time=self.elapsed,
            trace=Trace.from_rows(rows), stats=self.stats,
        )  # fmt: skip


@dataclass(frozen=True)
class WalkResult:
    """What one walk brings home: its best assignment, the moves it made, whether it ended by its own rule."""

    x: np.ndarray
    energy: float
    moves: int
    finished: bool


WalkFunction = Callable[[int, np.random.Generator, int | None, Callable[[], bool]], WalkResult]


def run_walks(
    run: Run,
    walk: WalkFunction,
    seeds: np.random.SeedSequence,
    n_jobs: int,
    max_walks: int | None,
    commit: Callable[[int, WalkResult], None] | None = None,
    epoch_size: int = 8,
    plan: Callable[[int, int], None] | None = None,
) -> None:
    """Run independent walks in epochs until the budget is spent, `max_walks` are done or the target is met.

    Walk k gets the k-th child of `seeds`; an epoch has 1, 2, 4, ... up to `epoch_size` walks, whatever the number of
    threads, and its results are committed in order of k. So the answer does not depend on `n_jobs`. Before an epoch,
    ``plan(first k, number of walks)`` may decide what its walks do.
    """
    target = run.budget.target
    k, size, idle = 0, 1, 0
    while not run.stopping and (max_walks is None or k < max_walks):
        left = run.moves_left
        count = size if max_walks is None else min(size, max_walks - k)
        if left is not None:
            if (left < count and k > 0) or left == 0:
                run.stop(Status.MAX_MOVES)
                return
            count = min(count, left)
        cap = None if left is None else left // count
        if plan is not None:
            plan(k, count)
        results = _run_epoch(run, walk, k, streams(seeds, count), cap, n_jobs)
        for index, result in enumerate(results):
            if result is None:
                continue
            run.account(result.moves)
            idle = 0 if result.moves else idle + 1
            exact = run.offer(result.x, result.energy)
            if commit is not None:
                commit(k + index, WalkResult(result.x, exact, result.moves, result.finished))
            if target is not None and exact <= target:
                run.stop(Status.TARGET_REACHED)
                break
        run.tick()
        if idle >= _IDLE_WALKS and max_walks is None:
            break
        k += count
        size = min(2 * size, epoch_size)
    if run.budget.max_moves is not None and run.n_moves >= run.budget.max_moves and not run.stopping:
        run.stop(Status.MAX_MOVES)


def _run_epoch(run, walk, first, rngs, cap, n_jobs) -> list[WalkResult | None]:
    """Results in order; a walk behind one that met the target is dropped, so that the answer is that of n_jobs = 1."""
    target = run.budget.target
    met_by = [len(rngs)]  # index of the first walk that met the target

    def one(index: int) -> WalkResult | None:
        if index > met_by[0] or (index > 0 and run.stopping):
            return None
        result = walk(first + index, rngs[index], cap, lambda: run.stopping or index > met_by[0])
        if target is not None and result.energy <= target:
            met_by[0] = min(met_by[0], index)
        return result

    results: list[WalkResult | None] = [None] * len(rngs)
    if n_jobs == 1 or len(rngs) == 1:
        with run.catching_interrupts():
            for index in range(len(rngs)):
                results[index] = one(index)
        return results
    executor = ThreadPoolExecutor(max_workers=min(n_jobs, len(rngs)))
    futures: list[Future] = []
    try:
        with run.catching_interrupts():
            futures += [executor.submit(one, index) for index in range(len(rngs))]
            pending = set(futures)
            while pending:
                _, pending = wait(pending, timeout=_POLL_SECONDS)
                run.tick()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    for index, future in enumerate(futures):
        results[index] = None if future.cancelled() else future.result()
    if target is None:
        return results
    return [result if index <= met_by[0] else None for index, result in enumerate(results)]

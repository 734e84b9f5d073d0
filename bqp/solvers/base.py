"""What every solver is: an object that holds the algorithm, and a `solve` that takes the problem and the budget."""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from bqp.callbacks import Callback
from bqp.errors import ParameterError, ProblemError
from bqp.problem import BQP
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solution import Solution, Status
from bqp.solvers.run import Budget, Run

__all__ = ["Solver", "check_callback", "check_count", "resolve_n_jobs"]


class Solver(ABC):
    """Base of all solvers.

    A subclass has a `name` (its registry key), an `__init__` whose keyword arguments are the algorithm's own settings,
    and `_search(problem, run, x0, seeds, n_jobs)`, which works in the spin domain, shows assignments to
    ``run.offer``, bounds to ``run.prove``, and looks at ``run.stopping`` at least ten times a second.
    """

    name: ClassVar[str]
    finish_status: ClassVar[Status] = Status.LOCAL_OPTIMUM

    @abstractmethod
    def _search(
        self, problem: BQP, run: Run, x0: np.ndarray | None, seeds: np.random.SeedSequence, n_jobs: int
    ) -> None:
        """Search a spin problem with n >= 1 until the run's budget or the algorithm's own end."""

    def solve(
        self,
        problem: BQP,
        *,
        time_limit: float | None = None,
        max_moves: int | None = None,
        target: float | None = None,
        x0: np.ndarray | None = None,
        n_solutions: int = 1,
        rng: RandomLike = None,
        n_jobs: int = 1,
        callback: Callback | None = None,
    ) -> Solution:
        """Solve `problem` as it is, without reductions (`bqp.solve` makes them).

        Parameters
        ----------
        problem : BQP
        time_limit : float, seconds; max_moves : int; target : float, an energy
            Stop when the first of them is met. A run limited by seconds is not reproducible.
        x0 : array of shape (n,), optional
            Start; the answer is never worse.
        n_solutions : int
            Keep the best distinct assignments found in ``solution.pool``.
        rng : None, int, SeedSequence or Generator
        n_jobs : int
            Threads; -1 for one a core. The answer does not depend on it, unless time limits the run.
        callback : callable, optional
            Gets an `Event`; returning True stops.

        Returns
        -------
        Solution
            The incumbent, whatever stopped the run, Ctrl-C too.
        """
        if not isinstance(problem, BQP):
            raise ProblemError(f"problem must be a BQP, got {type(problem).__name__}. Build one with bqp.BQP(Q, c).")
        budget = Budget(time_limit, max_moves, target)
        n_solutions = check_count("n_solutions", n_solutions)
        n_jobs = resolve_n_jobs(n_jobs)
        check_callback(callback)
        seeds = as_seed_sequence(rng)
        start = None
        if x0 is not None:
            start = problem.check_assignment(x0, "x0")
            if start.ndim != 1:
                raise ProblemError(f"x0 must have shape ({problem.n},), got {start.shape}.")
        spin = problem.to_spin()
        lift = _identity
        if problem.domain == "binary":
            lift = _to_binary
            start = None if start is None else (2 * start - 1).astype(np.int8)
        run = Run(problem, budget, callback, n_solutions, lift)
        if start is not None:
            run.offer(start)
        if problem.n == 0:
            run.offer(np.empty(0, np.int8))
            run.prove(run.energy)
        elif target is not None and run.energy <= target:
            run.stop(Status.TARGET_REACHED)
        else:
            try:
                self._search(spin, run, start, seeds, n_jobs)
                run.tick()
            except KeyboardInterrupt:
                run.status = Status.STOPPED
        if run.x is None:  # stopped before anything was seen
            run.offer(np.ones(problem.n, np.int8))
        if target is not None and run.energy <= target and run.status in (None, Status.MAX_MOVES, Status.TIME_LIMIT):
            run.status = Status.TARGET_REACHED
        return run.solution(self.name, self.finish_status)

    def for_part(self, k: int) -> Solver:
        """The solver for the k-th of several independent parts; one that keeps files gives each part its own."""
        return self

    @classmethod
    def options(cls) -> list[str]:
        """Names of the algorithm's own settings."""
        return [p for p in inspect.signature(cls.__init__).parameters if p != "self"]

    def settings(self) -> dict[str, Any]:
        """The settings in force, for tables."""
        return {name: getattr(self, name) for name in self.options() if hasattr(self, name)}

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.settings().items())
        return f"{type(self).__name__}({inside})"


def _identity(x: np.ndarray) -> np.ndarray:
    return x.copy()


def _to_binary(x: np.ndarray) -> np.ndarray:
    return ((x + 1) // 2).astype(np.int8)


def check_count(name: str, value, least: int = 1) -> int:
    """An integer >= least, or a ParameterError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ParameterError(f"{name} must be an integer >= {least}, got {value!r}.")
    return int(value)


def check_callback(callback) -> None:
    """A callable or None, or a ParameterError."""
    if callback is not None and not callable(callback):
        raise ParameterError(f"callback must be a function of one Event, or None, got {callback!r}.")


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Number of threads: None is 1, -1 is one a core."""
    if n_jobs is None:
        return 1
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs == 0 or n_jobs < -1:
        raise ParameterError(f"n_jobs must be a positive integer or -1 for one thread a core, got {n_jobs!r}.")
    if n_jobs == -1:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return int(n_jobs)

"""Watching and stopping a run.

A callback is any callable that takes an `Event`; returning True stops the run, which then returns its incumbent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bqp.solution import Trace

__all__ = ["Callback", "Event", "LogProgress", "Recorder", "StopAtTarget", "chain"]

Callback = Callable[["Event"], bool | None]


@dataclass(frozen=True)
class Event:
    """The state of a run.

    Attributes
    ----------
    time : float, seconds since the start
    n_moves : int
    energy : float, of the incumbent
    lower_bound : float
    """

    time: float
    n_moves: int
    energy: float
    lower_bound: float
    _assignment: Callable[[], np.ndarray] = field(repr=False, default=lambda: np.empty(0, np.int8))

    @property
    def x(self) -> np.ndarray:
        """The incumbent in the problem's own domain, shape (n,), int8; built when asked for."""
        return self._assignment()


class Recorder:
    """Keep time, moves, energy and bound of every event.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> recorder = bqp.callbacks.Recorder()
    >>> _ = bqp.solve(bqp.BQP(np.ones((4, 4))), solver="tabu_search", rng=0, callback=recorder, reductions=())
    >>> len(recorder.trace) > 0
    True
    """

    def __init__(self):
        self.rows: list[tuple[float, int, float, float]] = []

    def __call__(self, event: Event) -> None:
        self.rows.append((event.time, event.n_moves, event.energy, event.lower_bound))

    @property
    def trace(self) -> Trace:
        return Trace.from_rows(self.rows)


class StopAtTarget:
    """Stop as soon as the energy is at most `target`."""

    def __init__(self, target: float):
        self.target = target

    def __call__(self, event: Event) -> bool:
        return event.energy <= self.target


class LogProgress:
    """Send a line to the logger "bqp" at most every `interval` seconds."""

    def __init__(self, interval: float = 1.0, level: int = logging.INFO):
        self.interval, self.level, self.last = interval, level, -np.inf

    def __call__(self, event: Event) -> None:
        if event.time - self.last >= self.interval:
            self.last = event.time
            logging.getLogger("bqp").log(
                self.level, "%.1f s, %d moves, energy %.10g, bound %.10g",
                event.time, event.n_moves, event.energy, event.lower_bound,
            )  # fmt: skip


def chain(*callbacks: Callback | None) -> Callback | None:
    """One callback that calls all of them (None is skipped) and stops when any asks for it."""
    present = [callback for callback in callbacks if callback is not None]
    if len(present) <= 1:
        return present[0] if present else None

    def call_all(event: Event) -> bool:
        return any([bool(callback(event)) for callback in present])

    return call_all

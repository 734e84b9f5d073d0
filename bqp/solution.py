"""What a solver returns: plain data that can check itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from bqp.errors import BQPError

__all__ = ["Bound", "Solution", "Status", "Trace"]


class Status(Enum):
    """Why a solver stopped; `advice` says in one sentence what to do next.

    OPTIMAL is proven: exactly for integral data of moderate size (then the gap is 0), and up to the gap that is stated
    where the data themselves had to be rounded.
    """

    OPTIMAL = "optimal"
    LOCAL_OPTIMUM = "local_optimum"
    TARGET_REACHED = "target_reached"
    MAX_MOVES = "max_moves"
    TIME_LIMIT = "time_limit"
    STOPPED = "stopped"
    NUMERICAL = "numerical"

    @property
    def advice(self) -> str:
        return _ADVICE[self]


_ADVICE = {
    Status.OPTIMAL: "Proven optimal: nothing is left to do.",
    Status.LOCAL_OPTIMUM: "The search ended by its own rule; a time_limit or more restarts may find better.",
    Status.TARGET_REACHED: "The target was met; lower it to search on.",
    Status.MAX_MOVES: "The budget of moves is spent; raise max_moves or pass the solution as x0 to go on.",
    Status.TIME_LIMIT: "Time is up; raise time_limit or pass the solution as x0 to go on.",
    Status.STOPPED: "Stopped by the callback or by Ctrl-C; x is the best found so far.",
    Status.NUMERICAL: "Rounding limits what can be proven; rescale the data or give integers.",
}


@dataclass(frozen=True)
class Bound:
    """A proven lower bound on the energy.

    Attributes
    ----------
    value : float
        No assignment has a lower energy.
    kind : str
        How it was obtained: "trivial", "spectral", "semidefinite", "max_flow", "enumeration".
    certificate : dict
        The numbers that prove it, for whoever wants to check (a dual vector, a shift, a cut).
    """

    value: float
    kind: str
    certificate: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    """The course of a run, one entry per improvement.

    Attributes
    ----------
    time : ndarray, seconds since the start
    n_moves : ndarray, int64
    energy : ndarray, never rising
    lower_bound : ndarray, never falling

    Examples
    --------
    >>> import numpy as np, bqp
    >>> trace = bqp.solve(bqp.BQP(np.eye(3)), rng=0).trace
    >>> bool(np.all(np.diff(trace.energy) <= 0))
    True
    """

    time: np.ndarray
    n_moves: np.ndarray
    energy: np.ndarray
    lower_bound: np.ndarray

    @classmethod
    def from_rows(cls, rows: list[tuple[float, int, float, float]]) -> Trace:
        columns = list(zip(*rows)) if rows else [(), (), (), ()]
        return cls(
            np.array(columns[0], dtype=np.float64),
            np.array(columns[1], dtype=np.int64),
            np.array(columns[2], dtype=np.float64),
            np.array(columns[3], dtype=np.float64),
        )

    def __len__(self) -> int:
        return len(self.time)

    def as_dict(self) -> dict[str, np.ndarray]:
        """Columns by name, ready for a data frame or a plot."""
        return {"time": self.time, "n_moves": self.n_moves, "energy": self.energy, "lower_bound": self.lower_bound}


@dataclass(frozen=True)
class Solution:
    """The best assignment found, and what is known about it.

    Attributes
    ----------
    x : ndarray of shape (n,), int8
        Assignment in the problem's domain.
    energy : float
        Recomputed from the problem in float64; equals ``problem.energy(x)``.
    status : Status
    lower_bound : float
        Proven; -inf where nothing is known.
    solver : str
        Registry name.
    sense : {"min", "max"}
        The user's sense, for `objective` and `bound`.
    pool : ndarray of shape (k, n), int8, or None
        The best distinct assignments, best first, when ``n_solutions > 1`` was asked for.
    n_moves, n_restarts : int
    time : float, seconds
    trace : Trace or None
    stats : dict
        What the solver has to say: reductions made, why "auto" chose it, settings in force.
    """

    x: np.ndarray
    energy: float
    status: Status
    lower_bound: float = -np.inf
    solver: str = ""
    sense: str = "min"
    pool: np.ndarray | None = None
    n_moves: int = 0
    n_restarts: int = 0
    time: float = 0.0
    trace: Trace | None = None
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def objective(self) -> float:
        """Value in the user's sense."""
        return self.energy if self.sense == "min" else -self.energy

    @property
    def bound(self) -> float:
        """Bound in the user's sense: below the objective for "min", above it for "max"."""
        return self.lower_bound if self.sense == "min" else -self.lower_bound

    @property
    def gap(self) -> float:
        """``energy - lower_bound``, absolute; inf where nothing is proven."""
        return self.energy - self.lower_bound

    @property
    def relative_gap(self) -> float:
        """``gap / |lower_bound|`` (0 when the gap is 0)."""
        return relative_gap(self.energy, self.lower_bound)

    def is_optimal(self, atol: float = 0.0) -> bool:
        """Whether the gap is at most `atol` (or the status says that optimality is proven)."""
        return self.status is Status.OPTIMAL or self.gap <= atol

    def check(self, problem) -> None:
        """Raise BQPError unless x is an assignment of `problem` with the stated energy, above the stated bound."""
        energy = problem.energy(self.x)
        if energy != self.energy:
            raise BQPError(f"the solution states energy {self.energy!r}, its x has {energy!r}.")
        if self.lower_bound > self.energy:
            raise BQPError(f"the solution states lower bound {self.lower_bound!r} above its energy {self.energy!r}.")

    def __repr__(self) -> str:
        return (
            f"Solution(objective={self.objective:.10g}, bound={self.bound:.10g}, status={self.status.value!r}, "
            f"solver={self.solver!r}, n={len(self.x)}, n_moves={self.n_moves}, time={self.time:.3g})"
        )


def relative_gap(value: float, lower_bound: float) -> float:
    """``(value - lower_bound) / |lower_bound|``: 0 when they are equal, inf where nothing is proven."""
    gap = value - lower_bound
    if gap == 0.0:
        return 0.0
    if not np.isfinite(gap):
        return np.inf
    with np.errstate(over="ignore"):
        return float(np.float64(gap) / max(abs(lower_bound), np.finfo(np.float64).tiny))

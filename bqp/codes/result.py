"""What a code learner returns: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bqp.solution import Solution, relative_gap

__all__ = ["CodeResult", "CodeTrace"]


@dataclass(frozen=True)
class CodeTrace:
    """The course of a code learner, one entry per step.

    Attributes
    ----------
    time : ndarray, seconds since the start
    step : ndarray, int64, bit problems solved so far
    objective : ndarray
        The method's objective; what an entry measures is said by each method.
    """

    time: np.ndarray
    step: np.ndarray
    objective: np.ndarray

    @classmethod
    def from_rows(cls, rows: list[tuple[float, int, float]]) -> CodeTrace:
        columns = list(zip(*rows)) if rows else [(), (), ()]
        return cls(
            np.array(columns[0], dtype=np.float64),
            np.array(columns[1], dtype=np.int64),
            np.array(columns[2], dtype=np.float64),
        )

    def __len__(self) -> int:
        return len(self.time)

    def as_dict(self) -> dict[str, np.ndarray]:
        """Columns by name, ready for a data frame or a plot."""
        return {"time": self.time, "step": self.step, "objective": self.objective}


@dataclass(frozen=True)
class CodeResult:
    """Codes, what they cost, and what is proven about them.

    Attributes
    ----------
    B : ndarray of shape (n, n_bits), int8
        Codes of -1 and +1, one row a point.
    objective : float
        The method's own loss over all ordered pairs, diagonal included, on the full problem.
    lower_bound : float
        Proven for `objective`: no codes of this length have a lower one. -inf where nothing is known.
    ksh_objective, ksh_lower_bound : float
        The common yardstick sum w_ij (q S_ij - b_i.b_j)^2 of these codes, and a proven lower bound on it.
    n_bits : int
    loss, method : str
    trace : CodeTrace
    bits : tuple of Solution
        The last solve of each bit, with energy, bound and status; x is over the merged points where points were merged.
    weights : ndarray of shape (n_bits,) or None
        Weights of the bits, for methods that learn them.
    time : float, seconds
    stats : dict
        What the method has to say: points merged, solver and why, cycles made, what stopped it.
    """

    B: np.ndarray
    objective: float
    lower_bound: float
    ksh_objective: float
    ksh_lower_bound: float
    n_bits: int
    loss: str
    method: str
    trace: CodeTrace
    bits: tuple[Solution, ...] = ()
    weights: np.ndarray | None = None
    time: float = 0.0
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """``objective - lower_bound``, absolute; inf where nothing is proven."""
        return self.objective - self.lower_bound

    @property
    def relative_gap(self) -> float:
        """``gap / |lower_bound|`` (0 when the gap is 0)."""
        return relative_gap(self.objective, self.lower_bound)

    def __repr__(self) -> str:
        n, q = self.B.shape
        return (
            f"CodeResult(method={self.method!r}, n={n}, n_bits={q}, loss={self.loss!r}, "
            f"objective={self.objective:.8g}, lower_bound={self.lower_bound:.8g}, "
            f"relative_gap={self.relative_gap:.3g}, time={self.time:.3g})"
        )

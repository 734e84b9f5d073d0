"""What several code learners share: checked arguments, the course of a run, calls of `refit`, and signs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bqp.callbacks import Callback, Event
from bqp.codes.result import CodeTrace
from bqp.errors import ParameterError, ProblemError
from bqp.solvers.base import check_callback
from bqp.supervision import Similarity, check_codes

__all__ = ["Course", "Refit", "call_refit", "check_init", "check_mode", "check_similarity", "random_codes", "signs"]

Refit = Callable[..., Any]
"""``refit(B, bits, sample_weight=None) -> F``: fit the functions of these bits, return their outputs (n, len(bits))."""

MODES = ("default", "published")


def check_similarity(S) -> None:
    """A Similarity, or a ProblemError that says how to make one."""
    if not isinstance(S, Similarity):
        raise ProblemError(
            f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.from_labels."
        )


def check_mode(mode) -> bool:
    """Whether the mode is "published"; ParameterError for an unknown one."""
    if mode not in MODES:
        raise ParameterError(f"mode must be one of {', '.join(MODES)}, got {mode!r}.")
    return mode == "published"


def check_init(init, n: int, n_bits: int) -> np.ndarray | None:
    """Start codes of shape (n, n_bits) as int8, or None."""
    if init is None:
        return None
    init = check_codes(init, n, "init")
    if init.shape[1] != n_bits:
        raise ProblemError(f"init must have {n_bits} columns, one a bit, got {init.shape[1]}.")
    return init


def random_codes(rng: np.random.Generator, n: int, n_bits: int) -> np.ndarray:
    """Signs of standard normal numbers, shape (n, n_bits), int8: the start of most published methods."""
    return np.where(rng.standard_normal((n, n_bits)) > 0, 1, -1).astype(np.int8)


def signs(scores: np.ndarray, keep: np.ndarray | None = None, atol: float = 0.0) -> np.ndarray:
    """Signs as int8; where ``|score| <= atol`` the value of `keep`, or +1 without it."""
    out = np.where(np.asarray(scores) >= 0, 1, -1).astype(np.int8)
    if keep is None:
        return out
    return np.where(np.abs(scores) <= atol, keep, out).astype(np.int8)


def call_refit(refit: Refit, B: np.ndarray, bits: Sequence[int], sample_weight: np.ndarray | None = None) -> np.ndarray:
    """Outputs of the functions fitted to these bits, checked: shape (n, len(bits)), float64, finite."""
    F = refit(B, bits) if sample_weight is None else refit(B, bits, sample_weight=sample_weight)
    try:
        F = np.asarray(F, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"refit must return real numbers: {error}.") from error
    if F.ndim == 1 and len(bits) == 1:
        F = F[:, None]
    if F.shape != (len(B), len(bits)):
        raise ProblemError(
            f"refit must return shape ({len(B)}, {len(bits)}), one column a bit that it was asked for, got {F.shape}."
        )
    finite = np.isfinite(F)
    if not finite.all():
        i, k = divmod(int(np.argmin(finite)), F.shape[1])
        raise ProblemError(
            f"refit returned {F[i, k]} at ({i}, {k}), bit {bits[k]}. Its outputs must be finite: scale the features, "
            "or give the regression a ridge."
        )
    return F


class Course:
    """Clock, trace and observers of one run.

    Attributes
    ----------
    stopped : str or None
        "callback", "time_limit" or "interrupted" once the run should end.
    rows : list of (time, step, objective)
    """

    def __init__(self, callback: Callback | None, time_limit: float | None):
        check_callback(callback)
        if time_limit is not None and not time_limit >= 0:
            raise ParameterError(f"time_limit must be a number of seconds >= 0, got {time_limit!r}.")
        self.callback, self.time_limit = callback, time_limit
        self.started = time.perf_counter()
        self.rows: list[tuple[float, int, float]] = []
        self.stopped: str | None = None

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    def time_left(self, shares: int = 1) -> float | None:
        """Seconds left for one of so many equal shares, None without a limit."""
        return None if self.time_limit is None else max(0.0, self.time_limit - self.elapsed) / max(1, shares)

    def report(
        self,
        step: int,
        objective: float,
        codes: Callable[[], np.ndarray],
        lower_bound: float = -np.inf,
        in_trace: bool = True,
    ) -> bool:
        """Note a step, show it to the callback, look at the clock; returns whether to stop."""
        now = self.elapsed
        if in_trace:
            self.rows.append((now, step, float(objective)))
        if self.callback is not None and self.callback(Event(now, step, float(objective), lower_bound, codes)):
            self.stopped = self.stopped or "callback"
        if self.stopped is None and self.time_limit is not None and now >= self.time_limit:
            self.stopped = "time_limit"
        return self.stopped is not None

    def interrupt(self) -> None:
        """Ctrl-C came."""
        self.stopped = "interrupted"

    @property
    def trace(self) -> CodeTrace:
        return CodeTrace.from_rows(self.rows)

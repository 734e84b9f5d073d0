"""Apply reductions one after the other until none finds anything, and undo them all in one call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bqp.errors import ParameterError
from bqp.problem import BQP
from bqp.reductions.base import Reduced, Reduction
from bqp.reductions.components import Components
from bqp.reductions.domain import SpinDomain
from bqp.reductions.exchangeable import ExchangeableVariables
from bqp.reductions.fixed import FixedVariables

__all__ = ["reduce_problem", "resolve_steps"]

_BY_NAME: dict[str, type[Reduction]] = {step.name: step for step in (FixedVariables, ExchangeableVariables, Components)}
_MAX_ROUNDS = 8


def resolve_steps(reductions: str | Sequence[str | Reduction], keep_all: bool = False) -> list[Reduction]:
    """Reduction objects for "auto" (all of them), a name, or a sequence of names and objects; () for none.

    With `keep_all` "auto" takes only those under which every assignment survives.
    """
    if isinstance(reductions, str):
        if reductions == "auto":
            return [step() for step in _BY_NAME.values() if step.keeps_all or not keep_all]
        reductions = (reductions,)
    if not isinstance(reductions, Iterable):
        raise ParameterError(
            f"reductions must be 'auto' or a sequence of names, got {reductions!r}; pass () to switch them off."
        )
    steps = []
    for item in reductions:
        if isinstance(item, Reduction):
            steps.append(item)
        elif isinstance(item, str) and item in _BY_NAME:
            steps.append(_BY_NAME[item]())
        else:
            raise ParameterError(
                f"unknown reduction {item!r}; known are {', '.join(_BY_NAME)} ('auto' for all, () for none)."
            )
    return steps


def reduce_problem(problem: BQP, steps: Sequence[Reduction]) -> tuple[Reduced, list[str]]:
    """Bring a problem into the spin domain and apply `steps` in rounds until nothing changes.

    Returns
    -------
    reduced : Reduced
        From the original problem to all the final parts at once.
    notes : list of str
        One line for each step that did something.
    """
    notes: list[str] = []
    reduced = SpinDomain().apply(problem) or _untouched(problem)
    for _ in range(_MAX_ROUNDS):
        changed = False
        for step in steps:
            outcomes = [step.apply(part) for part in reduced.parts]
            if any(outcome is not None for outcome in outcomes):
                changed = True
                done = [outcome.note for outcome in outcomes if outcome is not None]
                notes.append(done[0] if len(done) == 1 else f"{step.name}: {len(done)} parts reduced, first: {done[0]}")
                reduced = _compose(reduced, outcomes)
        if not changed:
            break
    return reduced, notes


def _untouched(problem: BQP) -> Reduced:
    return Reduced((problem,), 0.0, lambda parts: parts[0], lambda x: [x])


def _compose(outer: Reduced, inner: list[Reduced | None]) -> Reduced:
    """Replace each part of `outer` by the parts of the matching `inner` (None: unchanged)."""
    steps = [step if step is not None else _untouched(part) for step, part in zip(inner, outer.parts)]
    counts = [len(step.parts) for step in steps]
    bounds = np.cumsum([0, *counts])

    def lift(assignments: list[np.ndarray]) -> np.ndarray:
        return outer.lift([step.lift(assignments[a:b]) for step, a, b in zip(steps, bounds[:-1], bounds[1:])])

    def restrict(x: np.ndarray) -> list[np.ndarray]:
        return [y for step, part in zip(steps, outer.restrict(x)) for y in step.restrict(part)]

    return Reduced(
        tuple(part for step in steps for part in step.parts),
        outer.constant + sum(step.constant for step in steps),
        lift,
        restrict,
    )

"""Apply reductions one after the other until none finds anything, and undo them all in one call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bqp.errors import ParameterError
from bqp.problem import BQP
from bqp.reductions.base import Reduced, Reduction
from bqp.reductions.components import Components
from bqp.reductions.domain import SpinDomain
from bqp.reductions.dominated_pairs import DominatedPairs
from bqp.reductions.exchangeable import ExchangeableVariables
from bqp.reductions.fixed import FixedVariables
from bqp.reductions.low_degree import LowDegree
from bqp.reductions.persistency import Persistency

__all__ = ["REGISTRY", "reduce_problem", "resolve_steps"]

REGISTRY: dict[str, type[Reduction]] = {
    step.name: step
    for step in (FixedVariables, ExchangeableVariables, LowDegree, DominatedPairs, Persistency, Components)
}
_MAX_ROUNDS = 12


def resolve_steps(reductions: str | Sequence[str | Reduction], keep_all: bool = False) -> list[Reduction]:
    """Reduction objects for "auto" (all of them), a name, or a sequence of names and objects; () for none.

    With `keep_all` "auto" takes only those under which every assignment survives.
    """
    if isinstance(reductions, str):
        if reductions == "auto":
            return [step() for step in REGISTRY.values() if step.keeps_all or not keep_all]
        reductions = (reductions,)
    if not isinstance(reductions, Iterable):
        raise ParameterError(
            f"reductions must be 'auto' or a sequence of names, got {reductions!r}; pass () to switch them off."
        )
    steps = []
    for item in reductions:
        if isinstance(item, Reduction):
            steps.append(item)
        elif isinstance(item, str) and item in REGISTRY:
            steps.append(REGISTRY[item]())
        else:
            raise ParameterError(
                f"unknown reduction {item!r}; known are {', '.join(REGISTRY)} ('auto' for all, () for none)."
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
    settled: list[frozenset[int]] = [frozenset()] * len(reduced.parts)  # steps that find nothing in a part
    for _ in range(_MAX_ROUNDS):
        changed = False
        for k, step in enumerate(steps):
            outcomes = [None if k in done else step.apply(part) for part, done in zip(reduced.parts, settled)]
            found = [outcome.note for outcome in outcomes if outcome is not None]
            if found:
                changed = True
                notes.append(
                    found[0] if len(found) == 1 else f"{step.name}: {len(found)} parts reduced, first: {found[0]}"
                )
                reduced = _compose(reduced, outcomes)
            following: list[frozenset[int]] = []
            for outcome, done in zip(outcomes, settled):
                if outcome is None:
                    following.append(done | {k})
                elif isinstance(step, Components):  # what was settled for the whole is settled for its components
                    following += [done | {k}] * len(outcome.parts)
                else:
                    following += [frozenset()] * len(outcome.parts)
            settled = following
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
        rounding=outer.rounding + sum(step.rounding for step in steps),
    )

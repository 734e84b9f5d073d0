"""Lower bounds on the energy, each in its own file; every value is proven, rounding included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bqp.bounds.semidefinite import semidefinite_bound
from bqp.bounds.spectral import spectral_bound
from bqp.bounds.trivial import trivial_bound
from bqp.errors import ParameterError, ProblemError
from bqp.problem import BQP
from bqp.rounding import energy_grid
from bqp.solution import Bound

__all__ = ["REGISTRY", "lower_bound", "semidefinite_bound", "spectral_bound", "trivial_bound"]

REGISTRY: dict[str, Callable[..., Bound]] = {
    "semidefinite": semidefinite_bound,
    "spectral": spectral_bound,
    "trivial": trivial_bound,
}

WRITE_OUT_BELOW = 5000  # the matrix bounds write Q out and factorise it


def lower_bound(problem: BQP, method: str = "auto", **options) -> Bound:
    """A proven lower bound on the energy of every assignment.

    Parameters
    ----------
    problem : BQP
    method : {"auto", "semidefinite", "spectral", "trivial"}
        "auto" takes the better of "semidefinite" and "trivial" up to n = 5,000, and "trivial" beyond.
    **options
        Settings of the method.

    Returns
    -------
    Bound
        In energy, raised to the next energy that integral data allow; for a problem with ``sense="max"`` its negative
        bounds the objective from above.

    Raises
    ------
    ParameterError
        Unknown method.
    ProblemError
        A matrix bound asked for beyond n = 5,000.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> problem = bqp.BQP(np.ones((3, 3)) - np.eye(3))
    >>> bqp.lower_bound(problem).value <= bqp.solve(problem).energy
    True
    """
    if not isinstance(problem, BQP):
        raise ProblemError(f"problem must be a BQP, got {type(problem).__name__}. Build one with bqp.BQP(Q, c).")
    if method == "auto":
        best = trivial_bound(problem)
        if problem.n <= WRITE_OUT_BELOW:
            tighter = semidefinite_bound(problem, **options)
            best = max(best, tighter, key=lambda bound: bound.value)
        return _on_grid(problem, best)
    if method not in REGISTRY:
        raise ParameterError(f"unknown bound {method!r}; known are auto, {', '.join(REGISTRY)}.")
    if method != "trivial" and problem.n > WRITE_OUT_BELOW:
        raise ProblemError(
            f"the {method} bound writes Q out, up to n = {WRITE_OUT_BELOW}; this problem has n = {problem.n}. "
            "Use method='trivial', or reduce the problem first."
        )
    return _on_grid(problem, REGISTRY[method](problem, **options))


def _on_grid(problem: BQP, bound: Bound) -> Bound:
    """Raise a bound to the next value that an energy can have, where energies lie on a grid (integral data)."""
    grid = energy_grid(problem)
    if grid is None:
        return bound
    origin, step = grid
    position = (bound.value - origin) / step
    raised = origin + step * float(np.ceil(position - 1e-9 * max(1.0, abs(position))))
    return replace(bound, value=raised) if raised > bound.value else bound

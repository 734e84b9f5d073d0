"""Lower bounds on the energy, each in its own file; every value is proven, rounding included."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from bqp.bounds.cutting_planes import semidefinite_cuts_bound
from bqp.bounds.odd_cycles import mean_degree, odd_cycles_bound
from bqp.bounds.roof_dual import roof_dual_bound
from bqp.bounds.semidefinite import semidefinite_bound
from bqp.bounds.spectral import spectral_bound
from bqp.bounds.trivial import trivial_bound
from bqp.errors import ParameterError, ProblemError
from bqp.forms import Sparse
from bqp.problem import BQP
from bqp.rounding import energy_grid
from bqp.solution import Bound

__all__ = [
    "REGISTRY",
    "lower_bound",
    "odd_cycles_bound",
    "roof_dual_bound",
    "semidefinite_bound",
    "semidefinite_cuts_bound",
    "spectral_bound",
    "trivial_bound",
]

REGISTRY: dict[str, Callable[..., Bound]] = {
    "semidefinite": semidefinite_bound,
    "semidefinite_cuts": semidefinite_cuts_bound,
    "odd_cycles": odd_cycles_bound,
    "roof_dual": roof_dual_bound,
    "spectral": spectral_bound,
    "trivial": trivial_bound,
}

AUTO_DENSE_UP_TO = 5000  # the largest dense matrix that "auto" factorises: some ten seconds
AUTO_ROOF_DUAL_ENTRIES = 100_000  # stored pairs of a sparse problem up to which "auto" also looks at the roof dual
AUTO_ROOF_DUAL_DEGREE = 6.0  # and their mean number: beyond, the roof dual is far below
AUTO_CYCLES_DEGREE, AUTO_CYCLES_FROM = 7.0, 60  # mean degree up to which, variables from which, "auto" tries odd cycles
AUTO_CYCLES_PAIRS, AUTO_CYCLES_ROUNDS = 1600, 10  # the most pairs and linear terms, and rounds: a second at most


def lower_bound(problem: BQP, method: str = "auto", **options) -> Bound:
    """A proven lower bound on the energy of every assignment.

    Parameters
    ----------
    problem : BQP
    method : {"auto", "semidefinite", "semidefinite_cuts", "odd_cycles", "roof_dual", "spectral", "trivial"}
        "auto" takes the best of what is affordable: "trivial"; "semidefinite" wherever the structure lets it be proven
        in seconds (dense up to n = 5,000, sparse whose factorisation stays sparse, low rank and groups of any size);
        "roof_dual" for sparse problems with few pairs a variable; ten rounds of "odd_cycles" from 60 variables on where
        pairs and linear terms come to at most 7 a variable and 1,600 in all.
    **options
        Settings of the method ("auto" hands them to "semidefinite").

    Returns
    -------
    Bound
        In energy, raised to the next energy that integral data allow; for a problem with ``sense="max"`` its negative
        bounds the objective from above. ``bound.kind`` says what "auto" found best.

    Raises
    ------
    ParameterError
        Unknown method.
    ProblemError
        A problem too large for the method; "auto" takes a weaker bound instead.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> problem = bqp.BQP(np.ones((3, 3)) - np.eye(3))
    >>> bqp.lower_bound(problem).value <= bqp.solve(problem).energy
    True
    """
    if not isinstance(problem, BQP):
        raise ProblemError(f"problem must be a BQP, got {type(problem).__name__}. Build one with bqp.BQP(Q, c).")
    if method != "auto" and method not in REGISTRY:
        raise ParameterError(f"unknown bound {method!r}; known are auto, {', '.join(REGISTRY)}.")
    _check_options("semidefinite" if method == "auto" else method, options)
    if method == "auto":
        found = [trivial_bound(problem)]
        if _is_thin(problem):
            found.append(roof_dual_bound(problem))
        degree = mean_degree(problem)
        if problem.n >= AUTO_CYCLES_FROM and degree <= min(AUTO_CYCLES_DEGREE, 2.0 * AUTO_CYCLES_PAIRS / problem.n):
            found.append(odd_cycles_bound(problem, max_rounds=AUTO_CYCLES_ROUNDS))
        with suppress(ProblemError):  # too large: what there is must do
            found.append(semidefinite_bound(problem, **{"dense_up_to": AUTO_DENSE_UP_TO, **options}))
        return raised_to_grid(problem, max(found, key=lambda bound: bound.value))
    if method == "semidefinite_cuts" and problem.n > AUTO_DENSE_UP_TO:
        raise ProblemError(
            f"the {method} bound writes Q out, up to n = {AUTO_DENSE_UP_TO}; this problem has n = {problem.n}. "
            "Use method='semidefinite', or reduce the problem first."
        )
    return raised_to_grid(problem, REGISTRY[method](problem, **options))


def _check_options(method: str, options: dict) -> None:
    known = [name for name in inspect.signature(REGISTRY[method]).parameters if name != "problem"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        takes = ", ".join(known) if known else "none"
        raise ParameterError(f"unknown option {unknown[0]!r} for the {method} bound; it takes {takes}.")


def _is_thin(problem: BQP) -> bool:
    form = problem.Q
    if not isinstance(form, Sparse):
        return False
    return form.Q.nnz <= min(2 * AUTO_ROOF_DUAL_ENTRIES, AUTO_ROOF_DUAL_DEGREE * form.n)


def raised_to_grid(problem: BQP, bound: Bound) -> Bound:
    """Raise a bound to the next value that an energy can have, where energies lie on a grid (`bqp.rounding`)."""
    grid = energy_grid(problem)
    return bound if grid is None else replace(bound, value=grid.raised(bound.value))

"""What float64 can do to an energy: nothing for integral data of moderate size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bqp.forms import Dense, Form, Grouped, LowRank, Sparse, Sum
from bqp.problem import BQP

__all__ = ["evaluation_rounding", "sums_are_exact"]

_EXACT_BELOW = 2.0**47  # sums of multiples of 1/32 (a change of domain divides by 4) below this are exact


def evaluation_rounding(problem: BQP) -> float:
    """What evaluating an energy in float64, in whatever order and domain, can be off by.

    0 where `sums_are_exact`; else 4 (n + 4) eps times the sum of all magnitudes, which covers a change of domain, a
    merge of variables and the fixing of some on the way.
    """
    if sums_are_exact(problem):
        return 0.0
    form = problem.Q
    magnitude = float(form.abs_row_sums().sum() + np.abs(form.diagonal()).sum() + np.abs(problem.c).sum())
    return 4.0 * (problem.n + 4) * np.finfo(np.float64).eps * (magnitude + abs(problem.offset))


def sums_are_exact(problem: BQP) -> bool:
    """Whether all sums that make up an energy are exact: multiples of 1/8 throughout, and small enough.

    One look at the form's own arrays.
    """
    total = problem.Q.magnitude() + float(np.abs(problem.c).sum()) + abs(problem.offset)
    if not total < _EXACT_BELOW:
        return False
    if not all(_is_integral(values) for values in _factors(problem.Q)):
        return False
    return all(
        _is_integral(8.0 * values) for values in (*_coefficients(problem.Q), problem.c, np.array(problem.offset))
    )


def _factors(form: Form) -> Iterator[np.ndarray]:
    """Arrays that enter products with one another."""
    for part in form.parts if isinstance(form, Sum) else (form,):
        if isinstance(part, LowRank):
            yield part.U
        elif isinstance(part, Grouped) and part.a is not None:
            yield part.a


def _coefficients(form: Form) -> Iterator[np.ndarray]:
    for part in form.parts if isinstance(form, Sum) else (form,):
        if isinstance(part, LowRank):
            yield part.d
        elif isinstance(part, Grouped):
            yield part.M
        elif isinstance(part, Dense):
            yield part.Q
        elif isinstance(part, Sparse):
            yield part.Q.data
        else:
            yield part.to_dense()


def _is_integral(values: np.ndarray) -> bool:
    return values.dtype.kind in "iu" or bool(np.all(values == np.rint(values)))

"""What float64 can do to an energy: nothing for integral data of moderate size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from bqp.forms import Dense, Form, Grouped, LowRank, Sparse, Sum
from bqp.problem import BQP

__all__ = [
    "common_unit",
    "energy_grid",
    "evaluation_rounding",
    "off_diagonal_blocks",
    "smallest_unit",
    "sums_are_exact",
]

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
    """Whether all sums that make up an energy are exact: multiples of `smallest_unit` throughout.

    One look at the form's own arrays.
    """
    unit = smallest_unit(problem)
    if unit == 0.0 or not all(_is_integral(values) for values in _factors(problem.Q)):
        return False
    return all(
        _is_integral(values, 1.0 / unit) for values in (*_coefficients(problem.Q), problem.c, np.array(problem.offset))
    )


def smallest_unit(problem: BQP) -> float:
    """The power of two of which all coefficients must be multiples for sums to be exact: 1/8, 1/1024 for moderate
    numbers, 0 for numbers so large that no multiple is promised."""
    total = problem.Q.magnitude() + float(np.abs(problem.c).sum()) + abs(problem.offset)
    if not total < _EXACT_BELOW:
        return 0.0
    return 2.0**-10 if total < _EXACT_BELOW / 128.0 else 2.0**-3


def energy_grid(problem: BQP) -> tuple[float, float] | None:
    """``(origin, step)`` such that every energy is origin plus a whole multiple of step; None where there is no step.

    Looks at written-out and sparse forms with exact sums; the step is a power of two.
    """
    spin = problem.to_spin()
    if not isinstance(spin.Q, Dense | Sparse) or not sums_are_exact(problem):
        return None
    pairs = off_diagonal_blocks(spin.Q.Q) if isinstance(spin.Q, Dense) else [_off_diagonal(spin.Q)]
    step, integral = common_unit(pairs, spin.c)
    return (float(spin.energy(np.ones(spin.n, np.int8))), step) if integral else None


def off_diagonal_blocks(Q: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks of rows as float64 copies, with the diagonal set to 0."""
    step = max(1, (1 << 22) // max(1, Q.shape[1]))
    for a in range(0, len(Q), step):
        block = Q[a : a + step].astype(np.float64)
        rows = np.arange(len(block))
        block[rows, a + rows] = 0.0
        yield block


def common_unit(pairs: Iterable[np.ndarray], c: np.ndarray) -> tuple[float, bool]:
    """The largest power of two that divides all 4 Q_ij and 2 c_i, and whether there is one (else 1, False)."""
    bits = np.int64(0)
    shift = 2.0**10
    for block, factor in chain(((block, 4.0) for block in pairs), [(c, 2.0)]):
        scaled = block * (factor * shift)
        if np.abs(scaled).max(initial=0.0) >= 2.0**62:
            return 1.0, False
        whole = scaled.astype(np.int64)
        if not np.array_equal(whole, scaled):
            return 1.0, False
        bits |= np.bitwise_or.reduce(np.abs(whole), axis=None)
    if bits == 0:
        return 1.0, True
    return float(int(bits) & -int(bits)) / shift, True


def _off_diagonal(form: Sparse) -> np.ndarray:
    entry = form.Q.tocoo()
    return entry.data[entry.row != entry.col]


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


def _is_integral(values: np.ndarray, factor: float = 1.0) -> bool:
    """Whether all values times a factor >= 1, a power of two, are whole; in blocks that stay in cache."""
    if values.dtype.kind in "iu":
        return True
    flat = values.reshape(-1)
    for a in range(0, flat.size, 1 << 16):
        block = flat[a : a + (1 << 16)] * factor
        if not np.array_equal(block, np.rint(block)):
            return False
    return True

"""What float64 can do to an energy: nothing for integral data of moderate size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np

from bqp.forms import Dense, Form, Grouped, LowRank, Sparse, Sum
from bqp.problem import BQP

__all__ = [
    "EnergyGrid",
    "common_unit",
    "energy_grid",
    "evaluation_rounding",
    "off_diagonal_blocks",
    "smallest_unit",
    "sums_are_exact",
]

_EXACT_BELOW = 2.0**47  # sums of multiples of 1/32 (a change of domain divides by 4) below this are exact
_MOST_DIGITS = 6  # behind the point: finer decimals have no grid worth knowing
_LEAST = 5e-324  # what a product of subnormal size is off by, at most


def evaluation_rounding(problem: BQP) -> float:
    """What evaluating an energy in float64, in whatever order and domain, can be off by.

    0 where `sums_are_exact`; else 4 (n + 4) eps times the sum of all magnitudes, which covers a change of domain, a
    merge of variables and the fixing of some on the way, and some units of the last place of subnormal numbers a pair,
    to which eps times a magnitude below 1e-292 says nothing.
    """
    if sums_are_exact(problem):
        return 0.0
    form = problem.Q
    magnitude = float(form.abs_row_sums().sum() + np.abs(form.diagonal()).sum() + np.abs(problem.c).sum())
    relative = 4.0 * (problem.n + 4) * np.finfo(np.float64).eps * (magnitude + abs(problem.offset))
    return relative + 16.0 * (problem.n + 4) ** 2 * _LEAST


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


class EnergyGrid(NamedTuple):
    """Energies that the data allow: all lie within `spread` of ``origin + k step``, k whole.

    `spread` is 0 for whole numbers and short binary fractions. For decimals (multiples of 0.1, say), which float64
    rounds, it is what that can amount to, far less than a step.

    Notes
    -----
    Where the spread is 0, no tolerance is subtracted, and none need be: rounding to nearest keeps order, and energies
    are exact in float64. For a bound b <= E = origin + k step, ``fl(b - origin) <= E - origin = k step`` and
    ``fl(fl(b - origin) / step) <= k``; so the next whole number is at most k, and what comes out is at most E.
    """

    origin: float
    step: float
    spread: float = 0.0

    def raised(self, bound: float) -> float:
        """The least energy that the data allow at or above a proven bound: a bound, too, and never lower."""
        if not math.isfinite(bound):
            return bound
        k = math.ceil((bound - self.spread - self.origin) / self.step)
        return max(bound, self.origin + self.step * k - self.spread)

    def closing(self, energy: float) -> float:
        """The least bound that says of a set of assignments: none has an energy lower than this one by a step.

        What it leaves open is a gap of twice the spread: between assignments on the same point of the grid.
        """
        return math.nextafter(energy - self.step + 2.0 * self.spread, math.inf)


def energy_grid(problem: BQP) -> EnergyGrid | None:
    """The grid on which the energies of a problem lie; None where there is none that is known.

    Looks at written-out and sparse forms: at exact sums, else at multiples of 0.1, 0.01, ... 1e-6.

    Notes
    -----
    From one assignment to another, the energy changes by whole multiples of the common divisor g of all 4 Q_ij and
    2 c_i (of the spin problem). Flipping spin i changes it by ``-x_i (sum_j 4 Q_ij x_j + 2 c_i)``, which has the parity
    of the sum with all x_j = 1, in units of g: where that is even for every i, the step is 2 g. So it is for unit
    couplings on a graph of even degrees. A look at all entries, and one product with Q.
    """
    spin = problem.to_spin()
    if not isinstance(spin.Q, Dense | Sparse):
        return None
    if not sums_are_exact(problem):
        return _decimal_grid(problem, spin)
    unit, integral = common_unit(_pairs(spin), spin.c)
    if not integral:
        return None
    step = _doubled(spin, unit * max(1, _common_divisor(spin, 1.0 / unit)))
    return EnergyGrid(float(spin.energy(np.ones(spin.n, np.int8))), step)


def _decimal_grid(problem: BQP, spin: BQP) -> EnergyGrid | None:
    """Multiples of a power of ten, up to what float64 rounds; how far all data together are from them is measured."""
    rounding = evaluation_rounding(problem)
    largest = 2.0 * float(np.abs(spin.c).max(initial=0.0))
    for pair in _pairs(spin):
        largest = max(largest, 4.0 * float(np.abs(pair).max(initial=0.0)))
    for digits in range(1, _MOST_DIGITS + 1):
        scale = 10.0**digits
        if not largest * scale < _EXACT_BELOW:
            return None
        distance = _distance(2.0 * spin.c, scale)
        distance += sum(0.5 * _distance(4.0 * pair, scale) for pair in _pairs(spin))  # each is stored twice
        if distance <= rounding:
            step = _doubled(spin, max(1, _common_divisor(spin, scale)) / scale)
            spread = 1.01 * distance + 4.0 * rounding  # of the origin, an energy, the step, and of `raised` itself
            if 8.0 * spread <= step:
                return EnergyGrid(float(spin.energy(np.ones(spin.n, np.int8))), step, spread)
            return None
    return None


def _distance(values: np.ndarray, scale: float) -> float:
    """At least the sum of the distances of the values from multiples of 1 / scale."""
    nearest = np.rint(values * scale) / scale
    return float(np.abs(values - nearest).sum() + np.finfo(np.float64).eps * np.abs(values).sum())


def _common_divisor(spin: BQP, factor: float) -> int:
    """The greatest common divisor of all 4 Q_ij and 2 c_i times a factor that makes them whole; 0 if all are 0."""
    divisor = 0
    for block in chain((4.0 * pair for pair in _pairs(spin)), [2.0 * spin.c]):
        whole = np.rint(block.reshape(-1) * factor).astype(np.int64)
        for part in (whole[:1000], whole):  # most data are through after a glance
            divisor = int(np.gcd.reduce(part, initial=divisor))
            if divisor == 1:
                return 1
    return divisor


def _doubled(spin: BQP, step: float) -> float:
    """The step, or twice that where every flip from the assignment of ones changes the energy by even multiples."""
    change = (4.0 * (spin.Q.matvec(np.ones(spin.n)) - spin.Q.diagonal()) + 2.0 * spin.c) / step
    return step if np.any(np.remainder(np.rint(change), 2.0)) else 2.0 * step


def _pairs(spin: BQP) -> Iterator[np.ndarray]:
    """The off-diagonal entries of a dense or sparse form, in blocks."""
    return off_diagonal_blocks(spin.Q.Q) if isinstance(spin.Q, Dense) else iter([_off_diagonal(spin.Q)])


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

"""Sums of forms."""

from __future__ import annotations

from collections.abc import Sequence

from bqp.errors import ProblemError
from bqp.forms.base import Form

__all__ = ["Sum"]


class Sum(Form):
    """The sum of forms of one size; nested sums are flattened."""

    name = "sum"

    def __init__(self, parts: Sequence[Form]):
        flat: list[Form] = []
        for part in parts:
            flat.extend(part.parts if isinstance(part, Sum) else [part])
        sizes = {part.n for part in flat}
        if len(sizes) != 1:
            raise ProblemError(f"the parts of a Sum must have one size, got n = {sorted(sizes) or 'no part at all'}.")
        self.parts: tuple[Form, ...] = tuple(flat)
        self.n = flat[0].n

    @property
    def nbytes(self):
        return sum(part.nbytes for part in self.parts)

    def _map(self, method, *args) -> Sum:
        return Sum([getattr(part, method)(*args) for part in self.parts])

    def _add(self, method, *args):
        total = getattr(self.parts[0], method)(*args)
        for part in self.parts[1:]:
            total = total + getattr(part, method)(*args)
        return total

    def matvec(self, x):
        return self._add("matvec", x)

    def quadratic(self, x):
        return self._add("quadratic", x)

    def diagonal(self):
        return self._add("diagonal")

    def rows(self, index):
        return self._add("rows", index)

    def scaled(self, factor):
        return self._map("scaled", factor)

    def submatrix(self, index):
        return self._map("submatrix", index)

    def aggregate(self, labels, n_groups):
        return self._map("aggregate", labels, n_groups)

    def abs_row_sums(self):
        return self._add("abs_row_sums")

    def twin_keys(self):
        return [key for part in self.parts for key in part.twin_keys()]

    def max_abs(self):
        return self._add("max_abs")

    def pair_values(self, i, j):
        return self._add("pair_values", i, j)

"""Exchangeable variables: equal rows, equal linear term.

The energy depends on a group of m such variables only through s, the sum of its x_i, as v s**2 + (linear in s) with v
their common coupling. If v <= 0 (they attract) that is concave in s, so some optimum has all m equal: the group becomes
one variable of weight m. If v > 0 (they repel) the best s may lie anywhere between, and the group stays apart.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bqp.forms import Dense
from bqp.problem import BQP
from bqp.reductions.base import Reduced, Reduction

__all__ = ["ExchangeableVariables"]

_WRITE_OUT_BELOW = 1024


class ExchangeableVariables(Reduction):
    """Merge each group of attracting exchangeable variables into one.

    Notes
    -----
    Groups come from the labels of `Grouped`, from equal rows of U in `LowRank`, and from hashes of rows (confirmed
    entry by entry) in `Dense` and `Sparse`: O(size of the form) and a sort.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> labels = np.array([0, 1, 0, 1, 1])
    >>> same = (labels[:, None] == labels).astype(float)
    >>> reduced = ExchangeableVariables().apply(bqp.BQP(1 - 2 * same))
    >>> reduced.parts[0].n, reduced.lift([np.array([1, -1])])
    (2, array([ 1, -1,  1, -1, -1], dtype=int8))
    """

    name: ClassVar[str] = "exchangeable"

    def apply(self, problem: BQP) -> Reduced | None:
        n = problem.n
        labels, n_groups = _combined(n, [*problem.Q.twin_keys(), problem.c])
        if n_groups == n:
            return None
        order = np.argsort(labels, kind="stable")
        sizes = np.bincount(labels, minlength=n_groups)
        starts = np.cumsum(sizes) - sizes
        several = np.flatnonzero(sizes > 1)
        first, second = order[starts[several]], order[starts[several] + 1]
        repel = np.zeros(n_groups, bool)
        repel[several] = problem.Q.pair_values(first, second) > 0.0
        if repel.any():  # their members become groups of one
            apart = repel[labels]
            labels = labels.copy()
            labels[apart] = n_groups + np.arange(int(apart.sum()))
            labels = np.unique(labels, return_inverse=True)[1]
            n_groups = int(labels.max()) + 1
            if n_groups == n:
                return None
        form = problem.Q.aggregate(labels, n_groups)
        if n_groups <= _WRITE_OUT_BELOW:
            form = Dense(form.to_dense(), check=False)
        c = np.bincount(labels, weights=problem.c, minlength=n_groups)
        part = BQP.from_energy(form, c, 0.0, "spin", problem.sense)
        sizes = np.bincount(labels, minlength=n_groups)

        def restrict(x: np.ndarray) -> list[np.ndarray]:
            majority = np.bincount(labels, weights=x.astype(np.float64), minlength=n_groups)
            return [np.where(majority >= 0, 1, -1).astype(np.int8)]

        return Reduced(
            (part,), problem.offset, lambda parts: np.asarray(parts[0], dtype=np.int8)[labels], restrict,
            f"{n} variables merged into {n_groups} (largest group {int(sizes.max())})",
        )  # fmt: skip


def _combined(n: int, keys: list[np.ndarray]) -> tuple[np.ndarray, int]:
    """Label 0..C-1 of each variable so that equal labels mean equality in every key."""
    labels, count = np.zeros(n, np.int64), min(n, 1)
    for key in keys:
        if count == n:
            break
        values, inverse = np.unique(key, return_inverse=True)
        if len(values) == 1:
            continue
        values, labels = np.unique(labels * len(values) + inverse, return_inverse=True)
        count = len(values)
    return labels, count

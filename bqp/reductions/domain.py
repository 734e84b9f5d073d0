"""Change of domain: {0, 1} to {-1, +1}."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bqp.problem import BQP
from bqp.reductions.base import Reduced, Reduction

__all__ = ["SpinDomain"]


class SpinDomain(Reduction):
    """Write a binary problem in spins, x = (1 + s) / 2, with the same energies.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> reduced = SpinDomain().apply(bqp.BQP(np.eye(2), domain="binary"))
    >>> reduced.parts[0].domain, reduced.lift([np.array([1, -1])])
    ('spin', array([1, 0], dtype=int8))
    """

    name: ClassVar[str] = "domain"
    keeps_all: ClassVar[bool] = True

    def apply(self, problem: BQP) -> Reduced | None:
        if problem.domain == "spin":
            return None
        return Reduced(
            parts=(problem.to_spin(),),
            constant=0.0,
            lift=lambda parts: ((parts[0] + 1) // 2).astype(np.int8),
            restrict=lambda x: [(2 * x - 1).astype(np.int8)],
            note="binary to spin",
        )

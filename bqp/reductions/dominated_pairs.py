"""Pairs of variables of which some joint states are never needed.

M. Lewis, F. Glover, "Quadratic unconstrained binary optimization problem preprocessing: theory and empirical analysis",
Networks 70, 2017; F. Glover, M. Lewis, G. Kochenberger, "Logical and inequality implications for reducing the size and
difficulty of quadratic unconstrained binary optimization problems", European J. Operational Research 265, 2018. Ours:
their rules are conclusions from one table, which of the four states of a pair beats which whatever the rest may be, and
the moves that change both variables at once are bounded by sums of |Q_ik ± Q_jk| and not by the sum of two bounds.
"""

from __future__ import annotations

from typing import ClassVar

from bqp.problem import BQP
from bqp.reductions.base import Reduced, Reduction
from bqp.reductions.shrinking import shrink

__all__ = ["DominatedPairs"]


class DominatedPairs(Reduction):
    """Fix or merge variables when two of the four states of a pair are beaten by the others.

    Notes
    -----
    Pairs that are coupled are looked at, again after each change near them, until nothing is found: O(m) for the first
    look, O(degree) more for a pair that may tell something. Written-out forms only.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> Q = np.array([[0, 5, 1, 0], [5, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]])
    >>> reduced = DominatedPairs().apply(bqp.BQP(Q))  # 0 and 1 differ; so do 0 and 2 after that, and 2 and 3
    >>> reduced.parts, reduced.lift([])
    ((), array([-1,  1,  1, -1], dtype=int8))
    """

    name: ClassVar[str] = "dominated_pairs"

    def apply(self, problem: BQP) -> Reduced | None:
        return shrink(problem, False, True, "rules for pairs")

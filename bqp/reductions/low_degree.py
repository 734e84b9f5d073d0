"""Variables with at most three neighbours are minimised out.

E. Boros, P. L. Hammer, "Pseudo-Boolean optimization", Discrete Applied Mathematics 123, 2002 (the basic algorithm of
variable elimination, Hammer, Rosenberg, Rudeanu 1963); A. Charfreitag, M. Jünger, S. Mallach, P. Mutzel, "McSparse:
exact solutions of sparse maximum cut and sparse unconstrained binary quadratic optimization problems", ALENEX 2022
(degree three by a triangle). Ours: the linear term is a neighbour like any other, so that one formula covers all
degrees, and integral data stay on a grid that float64 holds exactly.
"""

from __future__ import annotations

from typing import ClassVar

from bqp.problem import BQP
from bqp.reductions.base import Reduced, Reduction
from bqp.reductions.shrinking import shrink

__all__ = ["LowDegree"]


class LowDegree(Reduction):
    """Eliminate variables of degree 0 to 3, the linear term counted as a neighbour, until none is left.

    Notes
    -----
    With ``a, b, c`` the weights of its neighbours p, q, r, the least energy of a variable is ``-|a p + b q + c r|``, an
    even function of three spins, which is a constant plus weights on the pairs (p, q), (p, r), (q, r). Degree 2 keeps
    the unit of integral data; degree 3 may halve it, and is left alone where float64 could no longer add exactly. O(m)
    for sparse problems; structured forms are left as they are.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> chain = bqp.BQP(np.eye(5, k=1) + np.eye(5, k=-1))
    >>> reduced = LowDegree().apply(chain)
    >>> reduced.parts, reduced.constant, chain.energy(reduced.lift([]))
    ((), -8.0, -8.0)
    """

    name: ClassVar[str] = "low_degree"

    def apply(self, problem: BQP) -> Reduced | None:
        return shrink(problem, True, False, "elimination at degree three or less")

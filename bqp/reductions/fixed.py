"""Variables whose linear term outweighs all their couplings.

P. L. Hammer, S. Rudeanu, "Boolean Methods in Operations Research", Springer, 1968 (first-order persistency in its
simplest form): if |c_i| >= 2 sum_j |Q_ij|, some optimum has x_i = -sign(c_i), whatever the other variables are.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bqp.problem import BQP
from bqp.reductions.base import Reduced, Reduction

__all__ = ["FixedVariables"]


class FixedVariables(Reduction):
    """Fix the variables that their linear term decides, and put them into the linear term of the others.

    O(size of the form) for each of the rounds, which end when nothing more is fixed.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> reduced = FixedVariables().apply(bqp.BQP([[0, 1], [1, 0]], c=[5, 0]))
    >>> reduced.parts, reduced.constant, reduced.lift([])
    ((), -7.0, array([-1,  1], dtype=int8))
    """

    name: ClassVar[str] = "fixed"

    def apply(self, problem: BQP) -> Reduced | None:
        free = np.arange(problem.n)
        value = np.zeros(problem.n, np.int8)
        form, c, constant = problem.Q, problem.c, problem.offset
        while len(free):
            decided = np.abs(c) >= 2.0 * form.abs_row_sums()
            if not decided.any():
                break
            x = np.where(decided, np.where(c > 0, -1.0, 1.0), 0.0)
            product = form.matvec(x)
            constant += float(x @ product) + float(c @ x)
            value[free[decided]] = x[decided]
            rest = ~decided
            free, c = free[rest], (c + 2.0 * product)[rest]
            form = form.submatrix(np.flatnonzero(rest))
        if len(free) == problem.n:
            return None
        parts = (BQP.from_energy(form, c, 0.0, "spin", problem.sense),) if len(free) else ()

        def lift(assignments: list[np.ndarray]) -> np.ndarray:
            x = value.copy()
            if len(free):
                x[free] = assignments[0]
            return x

        return Reduced(
            parts, constant, lift, lambda x: [x[free]] if len(free) else [],
            f"{problem.n - len(free)} of {problem.n} variables fixed by their linear term",
        )  # fmt: skip

"""The bound that costs one look at the data: every term at its least."""

from __future__ import annotations

import numpy as np

from bqp.bounds.homogeneous import evaluation_rounding
from bqp.problem import BQP
from bqp.solution import Bound

__all__ = ["trivial_bound"]


def trivial_bound(problem: BQP) -> Bound:
    """``constant - sum |c_i| - sum over i != j of |Q_ij|`` in the spin domain; any form and any size.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> bqp.lower_bound(bqp.BQP(np.array([[0, 1], [1, 0]]), c=[1, 0]), method="trivial").value
    -3.0
    """
    spin = problem.to_spin()
    constant = spin.offset + float(spin.Q.diagonal().sum())
    spread = float(np.abs(spin.c).sum() + spin.Q.abs_row_sums().sum())
    return Bound(float(constant - spread - evaluation_rounding(problem)), "trivial", {"spread": spread})

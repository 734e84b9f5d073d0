"""The eigenvalue bound: ``x'Ax >= n lambda_min(A)``."""

from __future__ import annotations

import numpy as np

from bqp.bounds.homogeneous import dual_bound, evaluation_rounding, homogenise
from bqp.problem import BQP
from bqp.solution import Bound

__all__ = ["spectral_bound"]


def spectral_bound(problem: BQP) -> Bound:
    """Smallest eigenvalue of the homogenised matrix times its size, confirmed by a Cholesky factorisation.

    One eigenvalue and one factorisation, O(n**3) time and O(n**2) memory.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> value = bqp.lower_bound(bqp.BQP(np.ones((4, 4)) - np.eye(4)), method="spectral").value
    >>> round(value, 6)
    -4.0
    """
    A, constant = homogenise(problem)
    value, shift = dual_bound(A, np.zeros(len(A)))
    return Bound(float(constant + value - evaluation_rounding(problem)), "spectral", {"shift": shift})

"""The eigenvalue bound: ``x'Ax >= n lambda_min(A)``.

C. Delorme, S. Poljak, "Laplacian eigenvalues and the maximum cut problem", Mathematical Programming 62, 1993, without
their correcting vector (the best such vector gives the semidefinite bound).
"""

from __future__ import annotations

import numpy as np

from bqp.bounds.homogeneous import evaluation_rounding, lowered
from bqp.bounds.storages import DENSE_UP_TO, homogeneous
from bqp.problem import BQP
from bqp.solution import Bound

__all__ = ["spectral_bound"]


def spectral_bound(problem: BQP, *, dense_up_to: int = DENSE_UP_TO) -> Bound:
    """Smallest eigenvalue of the homogenised matrix times its size, confirmed by a factorisation.

    Any form; structured ones are never written out. Lanczos and inverse iteration propose the eigenvalue, and the
    factorisation that `bqp.bounds.definite` has for the form proves it (low rank: up to a multiple of its diagonal).

    Parameters
    ----------
    problem : BQP
    dense_up_to : int
        Largest dense matrix that may be factorised.

    Returns
    -------
    Bound
        ``certificate["shift"]``: the proven lower bound on the smallest eigenvalue.

    Raises
    ------
    ProblemError
        Too large to be factorised (see `bqp.bounds.storages`).

    Notes
    -----
    Two to four factorisations: O(n**3) time and O(n**2) memory dense, SuperLU's sparse, O(n r**2) and O(n r)
    structured.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> value = bqp.lower_bound(bqp.BQP(np.ones((4, 4)) - np.eye(4)), method="spectral").value
    >>> round(value, 6)
    -4.0
    """
    from threadpoolctl import threadpool_limits

    matrix = homogeneous(problem, dense_up_to=dense_up_to)
    with threadpool_limits(1):
        value, shift = matrix.prove(np.zeros(matrix.n))
    value = lowered(matrix.constant - evaluation_rounding(problem), value * matrix.scale)
    return Bound(value, "spectral", {"shift": shift * matrix.scale})

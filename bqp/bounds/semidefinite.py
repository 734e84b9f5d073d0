"""The semidefinite bound by the mixing method.

M. X. Goemans, D. P. Williamson, "Improved approximation algorithms for maximum cut and satisfiability problems using
semidefinite programming", Journal of the ACM 42, 1995 (the relaxation); P.-W. Wang, W.-C. Chang, J. Z. Kolter, "The
mixing method: low-rank coordinate descent for semidefinite programming with diagonal constraints", 2017 (the solver).
"""

from __future__ import annotations

import numpy as np

from bqp.bounds.homogeneous import dual_bound, evaluation_rounding, homogenise
from bqp.problem import BQP
from bqp.rng import RandomLike, as_seed_sequence, streams
from bqp.solution import Bound

__all__ = ["semidefinite_bound"]


def semidefinite_bound(problem: BQP, *, max_sweeps: int = 2000, rtol: float = 1e-7, rng: RandomLike = 0) -> Bound:
    """Bound from ``min <A, V V'>`` over unit rows of V (n x k, k about sqrt(2 n)), repaired so that it is proven.

    Parameters
    ----------
    problem : BQP
    max_sweeps : int
        Sweeps over all vectors; an early end still gives a valid, weaker bound.
    rtol : float
        Sweeping ends when a sweep lowers the objective by less than this part of its magnitude.
    rng : None, int, SeedSequence or Generator
        For the start.

    Returns
    -------
    Bound
        ``certificate["y"]``: the dual vector; ``["shift"]``: what its repair cost for each variable; ``["V"]``.

    Notes
    -----
    A sweep costs O(n**2 k), the repair one eigenvalue and one Cholesky factorisation; memory O(n**2).

    Examples
    --------
    >>> import numpy as np, bqp
    >>> cycle = np.roll(np.eye(5), 1, axis=1)
    >>> problem = bqp.BQP.from_maxcut(cycle + cycle.T)
    >>> -round(semidefinite_bound(problem).value, 3), -bqp.lower_bound(problem).value  # cuts are whole numbers
    (4.523, 4.0)
    """
    from bqp.kernels.mixing import mixing_sweep

    A, constant = homogenise(problem)
    constant -= evaluation_rounding(problem)
    n = len(A)
    if n == 0 or not A.any():
        return Bound(constant, "semidefinite", {"y": np.zeros(n), "shift": 0.0, "V": np.ones((n, 1))})
    k = min(n, int(np.ceil(np.sqrt(2.0 * n))) + 1)
    V = streams(as_seed_sequence(rng), 1)[0].standard_normal((n, k))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    norms = np.zeros(n)
    for _ in range(max_sweeps):
        decrease = mixing_sweep(A, V, norms)
        if decrease <= rtol * norms.sum():
            break
    # At a fixed point A V = -Diag(norms) V, so that y = -norms makes A - Diag(y) positive semidefinite.
    y = -np.linalg.norm(A @ V, axis=1)
    value, shift = dual_bound(A, y)
    return Bound(float(constant + value), "semidefinite", {"y": y, "shift": shift, "V": V})

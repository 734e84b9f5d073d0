"""Sweeps of the mixing method: cyclic updates of unit vectors v_i = -g_i / |g_i|, g_i = sum_j Q_ij v_j."""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["mixing_sweep"]


@jit_kernel(fastmath={"reassoc", "contract", "nsz"})
def mixing_sweep(Q, V, norms):
    """One sweep over a dense symmetric Q with zero diagonal; V (n, k) and norms (n,), the |g_i|, are overwritten.

    Returns the decrease of the sum over i != j of Q_ij v_i . v_j.
    """
    n, k = V.shape
    g = np.empty(k)
    decrease = 0.0
    for i in range(n):
        g[:] = 0.0
        for j in range(n):
            q = Q[i, j]
            if q != 0.0:
                for r in range(k):
                    g[r] += q * V[j, r]
        total = 0.0
        before = 0.0
        for r in range(k):
            total += g[r] * g[r]
            before += g[r] * V[i, r]
        norm = np.sqrt(total)
        norms[i] = norm
        if norm > 0.0:
            decrease += 2.0 * (before + norm)
            for r in range(k):
                V[i, r] = -g[r] / norm
    return decrease

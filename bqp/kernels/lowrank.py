"""Products with int8 code matrices, without a float copy of them."""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["lowrank_apply", "lowrank_diagonal", "lowrank_project"]

_FAST = {"reassoc", "contract", "nsz"}


@jit_kernel(fastmath=_FAST)
def lowrank_project(U, x, out):
    """out[r] = sum_i U[i, r] x[i]."""
    out[:] = 0.0
    for i in range(U.shape[0]):
        for r in range(out.shape[0]):
            out[r] += U[i, r] * x[i]


@jit_kernel(fastmath=_FAST)
def lowrank_apply(U, t, out):
    """out[i] = sum_r U[i, r] t[r]."""
    for i in range(U.shape[0]):
        total = 0.0
        for r in range(t.shape[0]):
            total += U[i, r] * t[r]
        out[i] = total


@jit_kernel(fastmath=_FAST)
def lowrank_diagonal(U, d, out):
    """out[i] = sum_r d[r] U[i, r]**2, squared in float64."""
    for i in range(U.shape[0]):
        total = 0.0
        for r in range(d.shape[0]):
            value = np.float64(U[i, r])
            total += d[r] * value * value
        out[i] = total

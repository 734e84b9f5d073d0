"""Enumeration in Gray-code order: each step flips one variable and updates the deltas of the low ones."""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["enumerate_low_bits"]


@jit_kernel
def enumerate_low_bits(Q, c, x, n_low, keep_energies, keep_codes):
    """Visit all 2**n_low settings of the first `n_low` variables, the others fixed as in `x` (float64 +-1).

    Keeps the best assignments: `keep_energies` (k,) ascending, inf where empty, and `keep_codes` (k,) uint64 with bit i
    set where x_i = +1. Energies are x'Qx + c'x with Q's diagonal left out. `x` is changed.
    """
    n = x.shape[0]
    k = keep_energies.shape[0]
    x[:n_low] = -1.0
    # step[i, j] = 8 Q_ij; delta_i = -2 x_i (2 f_i + c_i)
    delta = np.zeros(64)
    energy = 0.0
    code = np.uint64(0)
    for i in range(n):
        f = 0.0
        for j in range(n):
            if j != i:
                f += Q[i, j] * x[j]
        energy += x[i] * (f + c[i])
        if i < n_low:
            delta[i] = -2.0 * x[i] * (2.0 * f + c[i])
        if x[i] > 0:
            code |= np.uint64(1) << np.uint64(i)
    low = np.zeros((n_low, 64))
    for i in range(n_low):
        for j in range(n_low):
            if j != i:
                low[i, j] = 8.0 * Q[i, j]
    width = 32 if n_low <= 32 else 64
    spins = np.zeros(64)
    spins[:n_low] = x[:n_low]
    step = np.uint64(0)
    last = (np.uint64(1) << np.uint64(n_low)) - np.uint64(1)
    while True:
        if energy < keep_energies[k - 1]:
            at = k - 1
            while at > 0 and energy < keep_energies[at - 1]:
                keep_energies[at] = keep_energies[at - 1]
                keep_codes[at] = keep_codes[at - 1]
                at -= 1
            keep_energies[at] = energy
            keep_codes[at] = code
        if step == last:
            return
        step += np.uint64(1)
        i = 0  # the number of trailing zeros of `step` is the variable that the Gray code flips
        rest = step
        while rest & np.uint64(1) == np.uint64(0):
            rest >>= np.uint64(1)
            i += 1
        energy += delta[i]
        spins[i] = -spins[i]
        code ^= np.uint64(1) << np.uint64(i)
        kept = -delta[i]
        factor = -spins[i]
        row = low[i]
        for j in range(width):
            delta[j] += factor * row[j] * spins[j]
        delta[i] = kept

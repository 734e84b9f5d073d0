"""Coordinate descent on a symmetric factorisation of a similarity, entries in [-1, 1]."""

from bqp.kernels._jit import jit_kernel

__all__ = ["factor_sweep"]


@jit_kernel
def factor_sweep(H, groups, T, sums, G, q, order):
    """One Newton step in each entry of `order`; returns by how much ||q S - H H'||^2 fell.

    S_ij = T[g_i, g_j]; `H` (n, q) float64, `sums` (groups, q) sums of its rows by group, `G` = H'H: updated in place.
    Entry p of `order` is row p // q, column p % q.
    """
    n_bits, n_groups = H.shape[1], T.shape[0]
    fall = 0.0
    for k in range(order.shape[0]):
        i, j = order[k] // n_bits, order[k] % n_bits
        g = groups[i]
        old = H[i, j]
        field, length = 0.0, 0.0
        for h in range(n_groups):
            field -= T[g, h] * sums[h, j]
        field *= q
        for m in range(n_bits):
            field += H[i, m] * G[m, j]
            length += H[i, m] * H[i, m]
        slope = 4.0 * field
        curvature = 4.0 * (G[j, j] + old * old + length - q * T[g, g])
        if curvature > 0.0:
            d = -slope / curvature
        elif slope < 0.0:
            d = 2.0
        else:
            d = -2.0
        d = min(max(d, -1.0 - old), 1.0 - old)
        delta = d * (slope + d * (0.5 * curvature + d * (4.0 * old + d)))
        if delta >= 0.0:
            continue
        fall -= delta
        for m in range(n_bits):
            G[m, j] += d * H[i, m]
        for m in range(n_bits):
            G[j, m] += d * H[i, m]
        G[j, j] += d * d
        H[i, j] = old + d
        sums[g, j] += d
    return fall

"""x'Qx along a path from all -1 to all +1 that flips the variables in a given order, every point of it at once.

``out[k]`` is the value after k flips, so that all n + 1 roundings of a vector by a threshold cost one pass over Q.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["path_dense", "path_grouped", "path_sparse"]


@jit_kernel
def path_sparse(indptr, indices, data, position, out):
    """Q as CSR; ``position[i]`` is when i is flipped. Adds to `out` (n + 1,): O(nnz)."""
    n = position.shape[0]
    total = 0.0
    change = np.zeros(n + 2)
    for i in range(n):
        for a in range(indptr[i], indptr[i + 1]):
            j, q = indices[a], data[a]
            total += q
            if position[i] < position[j]:  # apart from when i is flipped until j is; each pair is met twice
                change[position[i] + 1] -= 4.0 * q
                change[position[j] + 1] += 4.0 * q
    running = total
    for k in range(n + 1):
        running += change[k]
        out[k] += running


@jit_kernel
def path_dense(Q, order, out):
    """Q written out. Adds to `out` (n + 1,): O(n**2)."""
    n = order.shape[0]
    position = np.empty(n, np.int64)
    for k in range(n):
        position[order[k]] = k
    value = 0.0
    for i in range(n):
        for j in range(n):
            value += Q[i, j]
    out[0] += value
    for k in range(n):
        i = order[k]
        field = 0.0
        for j in range(n):
            if j != i:
                field += Q[i, j] if position[j] < k else -Q[i, j]
        value += 4.0 * field
        out[k + 1] += value


@jit_kernel
def path_grouped(groups, M, a, order, out):
    """Q_ij = a_i a_j M[g_i, g_j]. Adds to `out` (n + 1,): O(n C)."""
    n, n_groups = order.shape[0], M.shape[0]
    sums = np.zeros(n_groups)
    for i in range(n):
        sums[groups[i]] -= a[i]
    value = 0.0
    for g in range(n_groups):
        for h in range(n_groups):
            value += M[g, h] * sums[g] * sums[h]
    out[0] += value
    for k in range(n):
        i = order[k]
        g = groups[i]
        field = 0.0
        for h in range(n_groups):
            field += M[g, h] * sums[h]
        value += 4.0 * a[i] * (field + a[i] * M[g, g])
        sums[g] += 2.0 * a[i]
        out[k + 1] += value

"""Sweeps of the mixing method: cyclic updates of unit vectors v_i towards -g_i / |g_i|, g_i = sum_{j != i} A_ij v_j.

Each update may go further: v_i becomes the direction of -(1 + omega) g_i / |g_i| - omega v_i. At omega = 0 that is the
minimiser of the objective in v_i; up to 1 the objective never rises (docs/mathematics.md, section 4), so that this is a
safe successive over-relaxation: a quarter of the sweeps. Numbers are
float32 or float64, as V is.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["mixing_block", "mixing_sweep", "mixing_sweep_sparse", "mixing_sweep_structured"]

_FAST = {"reassoc", "contract", "nsz"}


@jit_kernel(fastmath=_FAST)
def _turn(g, v, omega, change):
    """Turn v, write what it changed by, and leave g's storage to the caller; returns (|g|, fall of 2 g.v)."""
    number = v.dtype.type
    squares, along = number(0.0), number(0.0)
    for r in range(v.shape[0]):
        squares += g[r] * g[r]
        along += g[r] * v[r]
    norm = np.sqrt(squares)
    if not norm > number(0.0):
        change[:] = number(0.0)
        return 0.0, 0.0
    ahead, back = number(-(1.0 + omega)) / norm, number(-omega)
    length = number(0.0)
    for r in range(v.shape[0]):
        step = ahead * g[r] + back * v[r]
        change[r] = step
        length += step * step
    inverse = number(1.0) / np.sqrt(length)
    after = number(0.0)
    for r in range(v.shape[0]):
        step = change[r] * inverse
        after += g[r] * step
        change[r] = step - v[r]
        v[r] = step
    return np.float64(norm), 2.0 * (np.float64(along) - np.float64(after))


@jit_kernel(fastmath=_FAST)
def mixing_sweep(Q, V, norms, omega=0.0):
    """One sweep over a dense symmetric Q with zero diagonal; V (n, k) and norms (n,), the |g_i|, are overwritten.

    Returns the decrease of the sum over i != j of Q_ij v_i . v_j.
    """
    n, k = V.shape
    g, change = np.empty(k, V.dtype), np.empty(k, V.dtype)
    decrease = 0.0
    for i in range(n):
        g[:] = 0.0
        for j in range(n):
            q = Q[i, j]
            if q != 0.0:
                for r in range(k):
                    g[r] += q * V[j, r]
        norms[i], fall = _turn(g, V[i], omega, change)
        decrease += fall
    return decrease


@jit_kernel(fastmath=_FAST)
def mixing_block(Q, G, V, changes, norms, first, omega):
    """The part of a sweep that updates rows first : first + len(G), given G = Q[those rows] @ V, which is overwritten.

    `changes` (len(G), k) is working space. Returns the decrease as `mixing_sweep` does.
    """
    k = V.shape[1]
    decrease = 0.0
    for p in range(G.shape[0]):
        g = G[p]
        for s in range(p):
            q = Q[first + p, first + s]
            if q != 0.0:
                for r in range(k):
                    g[r] += q * changes[s, r]
        norms[first + p], fall = _turn(g, V[first + p], omega, changes[p])
        decrease += fall
    return decrease


@jit_kernel(fastmath=_FAST)
def mixing_sweep_sparse(indptr, indices, data, V, norms, omega):
    """As `mixing_sweep`, on CSR rows without a diagonal."""
    n, k = V.shape
    g, change = np.empty(k, V.dtype), np.empty(k, V.dtype)
    decrease = 0.0
    for i in range(n):
        g[:] = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            q, other = data[p], V[indices[p]]
            for r in range(k):
                g[r] += q * other[r]
        norms[i], fall = _turn(g, V[i], omega, change)
        decrease += fall
    return decrease


@jit_kernel(fastmath=_FAST)
def mixing_sweep_structured(U, d, groups, a, M, diagonal, border, V, t, field, pull, norms, omega):
    """As `mixing_sweep` for Q = U diag(d) U' + a a' o M[g, g'], plus a border row and column; Q is never written out.

    `groups` must be sorted: then the fields of other groups are brought up to date once a group. Empty arrays switch a
    part off. V has n rows, and one more if `border` (n,), the entries Q[n, :n], is not empty. t (r, k) is d o U'V,
    field (C, k) is M times the group sums of a o V, pull (k,) is border'V; all three are kept up to date.
    """
    n, k = U.shape[0], V.shape[1]
    n_groups, n_columns = field.shape[0], t.shape[0]
    bordered = border.shape[0] > 0
    g, change, moved = np.empty(k, V.dtype), np.empty(k, V.dtype), np.zeros(k, V.dtype)
    decrease = 0.0
    for i in range(n):
        v = V[i]
        own = diagonal[i]
        for r in range(k):
            g[r] = -own * v[r]
        for c in range(n_columns):
            u, row = U[i, c], t[c]
            for r in range(k):
                g[r] += u * row[r]
        if n_groups > 0:
            row = field[groups[i]]
            for r in range(k):
                g[r] += a[i] * row[r]
        if bordered:
            for r in range(k):
                g[r] += border[i] * V[n, r]
        norms[i], fall = _turn(g, v, omega, change)
        decrease += fall
        for c in range(n_columns):
            u, row = d[c] * U[i, c], t[c]
            for r in range(k):
                row[r] += u * change[r]
        if bordered:
            for r in range(k):
                pull[r] += border[i] * change[r]
        if n_groups > 0:
            h = groups[i]
            row, weight = field[h], a[i]
            own = weight * M[h, h]
            for r in range(k):
                row[r] += own * change[r]
                moved[r] += weight * change[r]
            if i + 1 == n or groups[i + 1] != h:
                for other in range(n_groups):
                    if other != h:
                        m, row = M[other, h], field[other]
                        for r in range(k):
                            row[r] += m * moved[r]
                moved[:] = 0.0
    if bordered:
        norms[n], fall = _turn(pull.copy(), V[n], omega, change)
        decrease += fall
    return decrease

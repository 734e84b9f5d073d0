"""One bit of a few sampled points: min x'Qx + p'x over {-1, +1}^m, for m so small that everything stays in cache."""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["balanced_assignment", "descend_bit"]


@jit_kernel
def balanced_assignment(Q, p, best):
    """The balanced heuristic of COSDISH, written to `best` (m,) int8: H - 1 of the m variables get +1.

    With x = 2c - 1 and a last variable fixed at 1 the energy is c'Rc up to a constant, R of order m + 1 with zero
    diagonal and H = round((m + 1) / 2) ones. Every row of R proposes the H - 1 of the m variables with the smallest
    entries (its own first), in order of their number where entries are equal; the proposal with the smallest c'Rc is
    taken, the first of equal ones.
    """
    m = best.shape[0]
    R = np.zeros((m + 1, m + 1))
    for i in range(m):
        total = 0.0
        for j in range(m):
            if j != i:
                R[i, j] = 4.0 * Q[i, j]
                total += Q[i, j]
        R[i, m] = p[i] - 2.0 * total
        R[m, i] = R[i, m]
    size = 0.0
    for i in range(m + 1):
        for j in range(m + 1):
            size += abs(R[i, j])
    tol = 1e-12 * size  # what is lower by less is equal but for rounding
    H = (m + 2) // 2
    chosen = np.empty(H, np.int64)
    lowest = np.inf
    for i in range(m + 1):
        key = R[i, :m].copy()
        if i < m:
            key[i] = -np.inf
        order = np.argsort(key, kind="mergesort")
        for a in range(H - 1):
            chosen[a] = order[a]
        chosen[H - 1] = m
        energy = 0.0
        for a in range(H):
            row = R[chosen[a]]
            for b in range(a):
                energy += row[chosen[b]]
        if energy < lowest - tol:
            lowest = energy
            best[:] = -1
            for a in range(H - 1):
                best[chosen[a]] = 1


@jit_kernel
def descend_bit(Q, p, x, tol):
    """Flip the variable that gains most until none gains more than `tol`; returns the energy x'Qx + p'x.

    Q (m, m) is symmetric with zero diagonal; x (m,) is written to.
    """
    m = x.shape[0]
    field = np.empty(m)
    for i in range(m):
        total = 0.0
        for j in range(m):
            total += Q[i, j] * x[j]
        field[i] = total
    while True:
        best, gain = -1, -tol
        for i in range(m):
            delta = -2.0 * x[i] * (2.0 * field[i] + p[i])
            if delta < gain:
                best, gain = i, delta
        if best < 0:
            break
        x[best] = -x[best]
        step = 2.0 * x[best]
        for j in range(m):
            field[j] += step * Q[best, j]
    energy = 0.0
    for i in range(m):
        energy += x[i] * (field[i] + p[i])
    return energy

"""Descent on many small problems that share a matrix: one row of codes each, kept in cache from start to end.

Row i minimises b'Ab - 2 l_i'b over b in {-1, +1}^q. Its fields are h = l_i - A b without the diagonal of A; setting
b_k to the sign of h_k is the best choice given the other bits, and changes the fields by a row of A.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["descend_margin_rows", "descend_residual_rows", "descend_rows"]


@jit_kernel
def descend_rows(A, fields, B, tol, max_sweeps):
    """Sweep each row until none of its bits changes; returns the number of changes.

    A (q, q) has a zero diagonal. `fields` (N, q) belongs to B (N, q) and is kept up to date. A field of at most `tol`
    is a tie, which keeps the bit (+1 where it holds 0).
    """
    q = B.shape[1]
    total = 0
    for i in range(B.shape[0]):
        b, h = B[i], fields[i]
        for _ in range(max_sweeps):
            changes = 0
            for k in range(q):
                old = b[k]
                new = old
                if h[k] > tol:
                    new = 1
                elif h[k] < -tol:
                    new = -1
                elif old == 0:
                    new = 1
                if new != old:
                    b[k] = new
                    step = np.float64(new - old)
                    row = A[k]
                    for r in range(q):
                        h[r] -= step * row[r]
                    changes += 1
            total += changes
            if changes == 0:
                break
    return total


@jit_kernel
def descend_margin_rows(W, label, mass, pull, B, scores, tol, max_sweeps):
    """As `descend_rows` for mass_i max(0, max over c != y of 1 + W_c.b - W_y.b) - pull_i.b, row by row.

    W (q, C), label and mass (N,), pull (N, q); `scores` (N, C) holds B W and is kept up to date. A bit is flipped where
    that lowers the sum by more than `tol`; returns the number of flips.
    """
    q, C = W.shape
    total = 0
    for i in range(B.shape[0]):
        b, s, y = B[i], scores[i], label[i]
        now = 0.0
        for c in range(C):
            if c != y:
                now = max(now, 1.0 + s[c] - s[y])
        for _ in range(max_sweeps):
            changes = 0
            for k in range(q):
                step = -2.0 * b[k]
                w = W[k]
                own = s[y] + step * w[y]
                then = 0.0
                for c in range(C):
                    if c != y:
                        then = max(then, 1.0 + (s[c] + step * w[c]) - own)
                if mass[i] * (then - now) - step * pull[i, k] < -tol:
                    b[k] = -b[k]
                    for c in range(C):
                        s[c] += step * w[c]
                    now = then
                    changes += 1
            total += changes
            if changes == 0:
                break
    return total


@jit_kernel(fastmath={"reassoc", "contract", "nsz"})
def _weighted_dot(r, w, x):
    total = 0.0
    if w.shape[0] > 0:
        for j in range(r.shape[0]):
            total += w[j] * r[j] * x[j]
    else:
        for j in range(r.shape[0]):
            total += r[j] * x[j]
    return total


@jit_kernel
def _residual_of(t, columns, b, r):
    for j in range(r.shape[0]):
        r[j] = t[j]
    for k in range(b.shape[0]):
        c = columns[k]
        value = np.float64(b[k])
        for j in range(r.shape[0]):
            r[j] -= value * c[j]


@jit_kernel
def descend_residual_rows(targets, weights, squares, table_row, columns, pull, proposals, B, tol, max_sweeps, residual):
    """As `descend_rows` for sum_j w_j (t_j - b.c_j)^2 - 2 pull_i.b, whose matrix differs from row to row.

    `targets` and `weights` (R, m), the latter empty for ones, and `squares` (R, q), the sums w_j c_jk^2, are read in
    row table_row[i]. `columns` (q, m) holds the c_j as float64. `pull` (N, q) and `proposals` (R, q) may be empty; a
    row starts at its proposal where that is better by more than `tol`. `residual` (2, m) is scratch.
    """
    q, m = columns.shape
    total = 0
    for i in range(B.shape[0]):
        t = targets[table_row[i]]
        w = weights[table_row[i]] if weights.shape[0] > 0 else weights[0:0].reshape(-1)
        square = squares[table_row[i]]
        b = B[i]
        r = residual[0]
        _residual_of(t, columns, b, r)
        if proposals.shape[0] > 0:
            other = proposals[table_row[i]]
            r2 = residual[1]
            _residual_of(t, columns, other, r2)
            gain = _weighted_dot(r, w, r) - _weighted_dot(r2, w, r2)
            if pull.shape[0] > 0:
                for k in range(q):
                    gain += 2.0 * pull[i, k] * (other[k] - b[k])
            if gain > tol:
                for k in range(q):
                    total += other[k] != b[k]
                    b[k] = other[k]
                r = r2
        for _ in range(max_sweeps):
            changes = 0
            for k in range(q):
                c = columns[k]
                old = b[k]
                field = _weighted_dot(r, w, c) + old * square[k]
                if pull.shape[0] > 0:
                    field += pull[i, k]
                new = old
                if field > tol:
                    new = 1
                elif field < -tol:
                    new = -1
                elif old == 0:
                    new = 1
                if new != old:
                    b[k] = new
                    step = np.float64(new - old)
                    for j in range(m):
                        r[j] -= step * c[j]
                    changes += 1
            total += changes
            if changes == 0:
                break
    return total

"""One-flip descent.

The state of a walk over a dense or sparse problem is x and delta, delta_i the energy change of flipping i; flipping i
negates delta_i and adds -8 x_i' x_j Q_ij to every other delta_j (x_i' the new value). All numbers are in the problem's
unit: rows hold Q over a common power of two, `mult` is 8 over it. Over structured problems (low rank + groups +
sparse) the state is x, the weighted projections d o U'x and the group fields, so that a visit costs O(r) and no row
is formed. `energy[0]` is the running energy relative to the start of the walk.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = [
    "descend_dense",
    "descend_dense_greedy",
    "descend_sparse",
    "descend_sparse_greedy",
    "descend_structured",
    "descend_structured_greedy",
    "structured_deltas",
]


@jit_kernel
def _flip_dense(Q, mult, x, delta, i):
    number = delta.dtype.type
    x[i] = -x[i]
    step = number(-mult * x[i])
    old = delta[i]
    row = Q[i]
    for j in range(delta.shape[0]):
        delta[j] = number(delta[j] + number(step * number(x[j])) * number(row[j]))
    delta[i] = -old


@jit_kernel
def descend_dense(Q, mult, x, delta, order, start, stop, tol, max_moves, energy):
    """Visit order[start:stop], flipping whatever improves by more than `tol`; returns (next position, moves)."""
    moves = 0
    position = start
    while position < stop and moves < max_moves:
        i = order[position]
        if delta[i] < -tol:
            energy[0] += delta[i]
            _flip_dense(Q, mult, x, delta, i)
            moves += 1
        position += 1
    return position, moves


@jit_kernel
def descend_dense_greedy(Q, mult, x, delta, n, tol, max_moves, energy):
    """Flip the best variable until none improves or `max_moves` are made; returns (finished, moves)."""
    moves = 0
    while moves < max_moves:
        best = 0
        for i in range(1, n):
            if delta[i] < delta[best]:
                best = i
        if not delta[best] < -tol:
            return True, moves
        energy[0] += delta[best]
        _flip_dense(Q, mult, x, delta, best)
        moves += 1
    return False, moves


@jit_kernel
def _flip_sparse(indptr, indices, data, mult, x, delta, i):
    number = delta.dtype.type
    x[i] = -x[i]
    step = number(-mult * x[i])
    for p in range(indptr[i], indptr[i + 1]):
        j = indices[p]
        delta[j] = number(delta[j] + number(step * number(x[j])) * number(data[p]))
    delta[i] = -delta[i]


@jit_kernel
def descend_sparse(indptr, indices, data, mult, x, delta, order, start, stop, tol, max_moves, energy):
    """As `descend_dense`, on CSR rows without a diagonal."""
    moves = 0
    position = start
    while position < stop and moves < max_moves:
        i = order[position]
        if delta[i] < -tol:
            energy[0] += delta[i]
            _flip_sparse(indptr, indices, data, mult, x, delta, i)
            moves += 1
        position += 1
    return position, moves


@jit_kernel
def descend_sparse_greedy(indptr, indices, data, mult, x, delta, n, tol, max_moves, energy):
    """As `descend_dense_greedy`, on CSR rows without a diagonal."""
    moves = 0
    while moves < max_moves:
        best = 0
        for i in range(1, n):
            if delta[i] < delta[best]:
                best = i
        if not delta[best] < -tol:
            return True, moves
        energy[0] += delta[best]
        _flip_sparse(indptr, indices, data, mult, x, delta, best)
        moves += 1
    return False, moves


@jit_kernel(fastmath={"reassoc", "contract", "nsz"})
def _dot(U, i, t):
    total = 0.0
    for r in range(t.shape[0]):
        total += U[i, r] * t[r]
    return total


@jit_kernel
def _flip_structured(U, d, groups, a, M, x, t, field, i):
    x[i] = -x[i]
    change = 2.0 * x[i]
    for r in range(t.shape[0]):
        t[r] += change * d[r] * U[i, r]
    if groups.shape[0] > 0:
        weight = a[i] if a.shape[0] > 0 else 1.0
        row = M[groups[i]]
        for h in range(field.shape[0]):
            field[h] += change * weight * row[h]


@jit_kernel
def descend_structured(
    U, d, groups, a, M, indptr, indices, data, diagonal, c, x, t, field, order, start, stop, tol, max_moves, energy
):
    """As `descend_dense` for Q = U diag(d) U' + a a' o M[g, g'] + csr; empty arrays switch a part off.

    t is d o U'x and field M (sums of a x over groups); both are kept up to date. The delta is written out here and in
    `structured_deltas`: a helper that takes a dozen arrays costs 60 ns a call, ten times the work itself.
    """
    moves = 0
    position = start
    while position < stop and moves < max_moves:
        i = order[position]
        total = _dot(U, i, t)
        if groups.shape[0] > 0:
            weight = a[i] if a.shape[0] > 0 else 1.0
            total += weight * field[groups[i]]
        if indptr.shape[0] > 0:
            for p in range(indptr[i], indptr[i + 1]):
                total += data[p] * x[indices[p]]
        delta = -2.0 * x[i] * (2.0 * (total - diagonal[i] * x[i]) + c[i])
        if delta < -tol:
            energy[0] += delta
            _flip_structured(U, d, groups, a, M, x, t, field, i)
            moves += 1
        position += 1
    return position, moves


@jit_kernel
def structured_deltas(U, groups, a, indptr, indices, data, diagonal, c, x, t, field, out):
    """Write the delta of every variable to `out`, O(n r)."""
    for i in range(x.shape[0]):
        total = _dot(U, i, t)
        if groups.shape[0] > 0:
            weight = a[i] if a.shape[0] > 0 else 1.0
            total += weight * field[groups[i]]
        if indptr.shape[0] > 0:
            for p in range(indptr[i], indptr[i + 1]):
                total += data[p] * x[indices[p]]
        out[i] = -2.0 * x[i] * (2.0 * (total - diagonal[i] * x[i]) + c[i])


@jit_kernel
def descend_structured_greedy(
    U, d, groups, a, M, indptr, indices, data, diagonal, c, x, t, field, tol, max_moves, energy
):
    """Flip the best variable until none improves; every move costs a look at all n variables, O(n r)."""
    delta = np.empty(x.shape[0])
    moves = 0
    while moves < max_moves:
        structured_deltas(U, groups, a, indptr, indices, data, diagonal, c, x, t, field, delta)
        best = np.argmin(delta)
        if not delta[best] < -tol:
            return True, moves
        energy[0] += delta[best]
        _flip_structured(U, d, groups, a, M, x, t, field, best)
        moves += 1
    return False, moves

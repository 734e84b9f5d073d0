"""Metropolis sweeps at falling temperatures.

State as in `descent`: x and delta (dense and sparse), x and the projections (structured), in the problem's unit. A flip
is made when ``delta < T e`` with e exponentially distributed, which has the probability min(1, exp(-delta / T)). The
draws of e come from a table, so that the loop has no logarithm and no exponential; ``state[0]`` is the random word. A
flip that changes nothing is made half of the time: always, and sweeps in one direction would carry domain walls along
without letting them meet.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["anneal_dense", "anneal_sparse", "anneal_structured"]


@jit_kernel
def anneal_dense(Q, mult, x, delta, n, temperatures, start, stop, exponentials, max_moves, state, energy):
    """Sweeps start:stop, one a temperature; returns (next sweep, moves). A sweep cut short by `max_moves` is lost."""
    number = delta.dtype.type
    mask = np.uint64(exponentials.shape[0] - 1)
    largest = exponentials[exponentials.shape[0] - 1]
    word, one = np.uint64(state[0]), np.uint64(1)
    moves = 0
    sweep = start
    while sweep < stop and moves < max_moves:
        T = temperatures[sweep]
        bar = T * largest
        for i in range(n):
            d = delta[i]
            if d >= bar and d > 0:
                continue
            if d >= 0:
                word ^= word << np.uint64(13)
                word ^= word >> np.uint64(7)
                word ^= word << np.uint64(17)
                if d >= T * exponentials[np.int64((word >> np.uint64(20)) & mask)] or (d == 0 and word & one):
                    continue
            if moves >= max_moves:
                break
            x[i] = -x[i]
            step = number(-mult * x[i])
            row = Q[i]
            for j in range(delta.shape[0]):
                delta[j] = number(delta[j] + number(step * number(x[j])) * number(row[j]))
            energy[0] += d
            delta[i] = -d
            moves += 1
        sweep += 1
    state[0] = np.int64(word)
    return sweep, moves


@jit_kernel
def anneal_sparse(
    indptr, indices, data, mult, x, delta, n, temperatures, start, stop, exponentials, max_moves, state, energy
):
    """As `anneal_dense`, on CSR rows without a diagonal."""
    number = delta.dtype.type
    mask = np.uint64(exponentials.shape[0] - 1)
    largest = exponentials[exponentials.shape[0] - 1]
    word, one = np.uint64(state[0]), np.uint64(1)
    moves = 0
    sweep = start
    while sweep < stop and moves < max_moves:
        T = temperatures[sweep]
        bar = T * largest
        for i in range(n):
            d = delta[i]
            if d >= bar and d > 0:
                continue
            if d >= 0:
                word ^= word << np.uint64(13)
                word ^= word >> np.uint64(7)
                word ^= word << np.uint64(17)
                if d >= T * exponentials[np.int64((word >> np.uint64(20)) & mask)] or (d == 0 and word & one):
                    continue
            if moves >= max_moves:
                break
            x[i] = -x[i]
            step = number(-mult * x[i])
            for p in range(indptr[i], indptr[i + 1]):
                j = indices[p]
                delta[j] = number(delta[j] + number(step * number(x[j])) * number(data[p]))
            energy[0] += d
            delta[i] = -d
            moves += 1
        sweep += 1
    state[0] = np.int64(word)
    return sweep, moves


@jit_kernel(fastmath={"reassoc", "contract", "nsz"})
def _dot(U, i, t):
    total = 0.0
    for r in range(t.shape[0]):
        total += U[i, r] * t[r]
    return total


@jit_kernel
def anneal_structured(
    U, d, groups, a, M, indptr, indices, data, diagonal, c, x, t, field,
    temperatures, start, stop, exponentials, max_moves, state, energy,
):  # fmt: skip
    """As `anneal_dense`, for Q = U diag(d) U' + a a' o M[g, g'] + csr; empty arrays switch a part off."""
    mask = np.uint64(exponentials.shape[0] - 1)
    word, one = np.uint64(state[0]), np.uint64(1)
    moves = 0
    sweep = start
    while sweep < stop and moves < max_moves:
        T = temperatures[sweep]
        for i in range(x.shape[0]):
            total = _dot(U, i, t)
            weight = 1.0
            if groups.shape[0] > 0:
                weight = a[i] if a.shape[0] > 0 else 1.0
                total += weight * field[groups[i]]
            if indptr.shape[0] > 0:
                for p in range(indptr[i], indptr[i + 1]):
                    total += data[p] * x[indices[p]]
            delta = -2.0 * x[i] * (2.0 * (total - diagonal[i] * x[i]) + c[i])
            if delta >= 0:
                word ^= word << np.uint64(13)
                word ^= word >> np.uint64(7)
                word ^= word << np.uint64(17)
                if delta >= T * exponentials[np.int64((word >> np.uint64(20)) & mask)] or (delta == 0 and word & one):
                    continue
            if moves >= max_moves:
                break
            x[i] = -x[i]
            change = 2.0 * x[i]
            for r in range(t.shape[0]):
                t[r] += change * d[r] * U[i, r]
            if groups.shape[0] > 0:
                row = M[groups[i]]
                for h in range(field.shape[0]):
                    field[h] += change * weight * row[h]
            energy[0] += delta
            moves += 1
        sweep += 1
    state[0] = np.int64(word)
    return sweep, moves

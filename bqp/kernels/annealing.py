"""Metropolis sweeps at falling temperatures.

State as in `descent`: x and delta (dense), x and the projections (structured); x and the fields for CSR rows. All in
the problem's unit. A flip is made when ``delta < T e`` with e exponentially distributed, which has the probability
min(1, exp(-delta / T)). The draws of e come from a table, so that the loop has no logarithm and no exponential;
``state[0]`` is the random word. A flip that changes nothing is made half of the time: always, and sweeps in one
direction would carry domain walls along without letting them meet.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["BLOCK", "anneal_dense", "anneal_sparse", "anneal_structured"]

BLOCK = 16  # variables tested at once


@jit_kernel
def anneal_dense(Q, mult, x, delta, n, temperatures, start, stop, draws, max_moves, state, energy):
    """Sweeps start:stop, one a temperature; returns (next sweep, moves). A sweep cut short by `max_moves` is lost.

    `draws` are exponentials in random order, of the type of `temperatures`; each block of variables starts at a random
    place of them. A block is tested as a whole first (vectorised), and looked at one by one only if something in it
    may flip, which at low temperatures is rare; the walk is that of a plain loop. Padded deltas are larger than any.
    """
    number, real = delta.dtype.type, temperatures.dtype.type
    blocks = delta[: BLOCK * ((n + BLOCK - 1) // BLOCK)].reshape((n + BLOCK - 1) // BLOCK, BLOCK)
    word = np.uint64(state[0])
    moves = 0
    sweep = start
    while sweep < stop and moves < max_moves:
        T = temperatures[sweep]
        for b in range(blocks.shape[0]):
            word = word * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            place = np.int64(word >> np.uint64(50))
            deltas, ways = blocks[b], draws[place : place + BLOCK]
            hits = np.int32(0)
            for k in range(BLOCK):
                hits += np.int32(real(deltas[k]) < real(T * ways[k]))
            if hits == 0:
                continue
            for k in range(BLOCK):
                d = deltas[k]
                if real(d) >= real(T * ways[k]) or (d == 0 and (word >> np.uint64(20 + k)) & np.uint64(1)):
                    continue
                if moves >= max_moves:
                    break
                i = BLOCK * b + k
                x[i] = -x[i]
                step = number(-mult * x[i])
                row = Q[i]
                for j in range(delta.shape[0]):
                    delta[j] = number(delta[j] + number(step * number(x[j])) * number(row[j]))
                energy[0] += d
                delta[i] = number(-d)
                moves += 1
        sweep += 1
    state[0] = np.int64(word)
    return sweep, moves


@jit_kernel
def anneal_sparse(indptr, indices, data, x, field, temperatures, start, stop, draws, max_moves, state, energy):
    """Sweeps start:stop on CSR rows without a diagonal; returns (next sweep, moves). A sweep cut short is lost.

    x and field have the type of `data` and the shape (blocks, `BLOCK`), padded with x = -1 and a field larger than any
    other; field_i = sum_j data_ij x_j + c_i, so that flipping i costs -x_i field_i and its row needs no look at x_j.
    Draws and blocks as in `anneal_dense`.
    """
    number, real = field.dtype.type, temperatures.dtype.type
    flat = field.reshape(field.size)
    word = np.uint64(state[0])
    moves = 0
    sweep = start
    while sweep < stop and moves < max_moves:
        T = temperatures[sweep]
        for b in range(field.shape[0]):
            word = word * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            place = np.int64(word >> np.uint64(50))
            xs, fields, ways = x[b], field[b], draws[place : place + BLOCK]
            hits = np.int32(0)
            for k in range(BLOCK):
                hits += np.int32(real(number(-xs[k] * fields[k])) < real(T * ways[k]))
            if hits == 0:
                continue
            for k in range(BLOCK):
                d = number(-xs[k] * fields[k])
                if real(d) >= real(T * ways[k]) or (d == 0 and (word >> np.uint64(20 + k)) & np.uint64(1)):
                    continue
                if moves >= max_moves:
                    break
                i = BLOCK * b + k
                step = number(-2 * xs[k])
                xs[k] = -xs[k]
                for p in range(indptr[i], indptr[i + 1]):
                    j = indices[p]
                    flat[j] = number(flat[j] + step * data[p])
                energy[0] += d
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

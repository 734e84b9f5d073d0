"""One-flip tabu search: the update of all deltas is fused with the search for the next move.

Dense rows are one pass over the deltas, which vectorises because nothing in it asks who is tabu: the few tabu variables
keep their true deltas in a list of their own, and in the pass they stand at `big` with a coefficient of 0. Deltas are
as narrow as their values: int16 doubles the lanes, and where no bound promises that they fit they are looked at every
`GUARD` moves, between which they cannot grow out of the type.

Sparse and structured rows are padded to blocks of 128, so that the inner loops have a constant trip count. Each block
keeps its least delta over all variables and over those that are free (not tabu); a move looks at the block minima, then
inside the winning block. Everywhere a tabu variable may move if that gives a new best (aspiration).

`counters`: [iteration, iteration of the last improvement, random state]; `energy`: [current, best, least
gain that counts] relative to the start, in the problem's unit; without the third the drift of inexact sums would look
like progress for ever. `best_x` follows `energy[1]`. All state is the caller's, so a run resumes.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["BLOCK", "GUARD", "fields_dense", "flip_dense", "path_dense", "tabu_dense", "tabu_sparse", "tabu_structured"]

BLOCK = 128
GUARD = 8  # moves between two looks at whether narrow deltas still fit
_SEGMENT = 1024  # deltas searched at a time for the one that is least
_NOWHERE = 2**15 - 1


@jit_kernel
def _next_random(counters):
    """Xorshift64: the next non-negative pseudo-random integer, below 2**62."""
    s = np.uint64(counters[2])
    s ^= s << np.uint64(13)
    s ^= s >> np.uint64(7)
    s ^= s << np.uint64(17)
    counters[2] = np.int64(s)
    return np.int64(s >> np.uint64(2))


@jit_kernel
def _update_block(row, step, x, delta, stamp, now, big, b):
    """Add step * x_j * row_j to the deltas of block b; return its least delta and its least free delta.

    All arrays are (blocks, 128): the inner index is then known to be non-negative, which numba needs to vectorise.
    """
    number = delta.dtype.type
    least = big
    least_free = big
    for k in range(BLOCK):
        value = number(delta[b, k] + number(step * number(x[b, k])) * number(row[b, k]))
        delta[b, k] = value
        free = value if stamp[b, k] <= now else big
        least = min(least, value)
        least_free = min(least_free, free)
    return least, least_free


@jit_kernel
def _scan_block(delta, stamp, now, big, b):
    least = big
    least_free = big
    for k in range(BLOCK):
        value = delta[b, k]
        free = value if stamp[b, k] <= now else big
        least = min(least, value)
        least_free = min(least_free, free)
    return least, least_free


@jit_kernel
def _choose(delta, stamp, now, block_least, block_free, energy, aspirate, big, counters):
    """Pick the next variable: the best one if it gives a new best, else the best free one; ties at random; -1: none."""
    n_blocks = block_least.shape[0]
    random = _next_random(counters)
    shift = random % n_blocks
    least = big
    least_free = big
    at = -1
    at_free = -1
    for k in range(n_blocks):
        b = k + shift
        if b >= n_blocks:
            b -= n_blocks
        if block_least[b] < least:
            least, at = block_least[b], b
        if block_free[b] < least_free:
            least_free, at_free = block_free[b], b
    any_variable = aspirate and at >= 0 and energy[0] + least < energy[1] - energy[2]
    block = at if any_variable else at_free
    if block < 0:
        return -1
    wanted = least if any_variable else least_free
    offset = (random >> 20) % BLOCK
    for k in range(BLOCK):
        j = block * BLOCK + ((k + offset) & (BLOCK - 1))
        if delta[j] == wanted and (any_variable or stamp[j] <= now):
            return j
    return -1


@jit_kernel
def _account(x, best_x, delta, stamp, i, tenure, spread, energy, counters):
    """Book the move of variable i (already negated in x): energy, best, tabu stamp."""
    energy[0] += delta[i]
    delta[i] = -delta[i]
    counters[0] += 1
    wait = tenure
    if spread > 0:
        wait += _next_random(counters) % spread
    stamp[i] = np.int32(min(counters[0] + wait, 2**31 - 1))
    if energy[0] < energy[1] - energy[2]:
        energy[1] = energy[0]
        counters[1] = counters[0]
        return True
    return False


@jit_kernel
def _update_all(row, step, free, delta, big):
    """Add step * x_j * row_j to the delta of every free variable; return the least of them."""
    number = delta.dtype.type
    least = big
    for k in range(delta.shape[0]):
        value = number(delta[k] + number(step * number(free[k])) * number(row[k]))
        delta[k] = value
        least = min(least, value)
    return least


@jit_kernel
def _place(part, wanted):
    """The first place of a value in a short array; `_NOWHERE`: it is not there. No branches, so that it vectorises."""
    at = np.int16(_NOWHERE)
    for k in range(part.shape[0]):
        at = min(at, np.int16(k) if part[k] == wanted else np.int16(_NOWHERE))
    return np.int64(at)


@jit_kernel
def _find(delta, wanted, offset):
    """The place of a value, the first one from `offset` on and around; -1: it is not there."""
    lo, stop = offset, delta.shape[0]
    for _ in range(2):
        while lo < stop:
            hi = min(lo + _SEGMENT, stop)
            at = _place(delta[lo:hi], wanted)
            if at != _NOWHERE:
                return lo + at
            lo = hi
        lo, stop = np.int64(0), offset
    return np.int64(-1)


@jit_kernel
def _all_within(delta, big, true, m, limit):
    """Whether all deltas, but those that stand at `big`, and the m true ones of the tabu lie in [-limit, limit]."""
    number = delta.dtype.type
    largest = number(0)
    least = number(0)
    for k in range(delta.shape[0]):
        value = delta[k]
        largest = max(largest, value if value != big else number(0))
        least = min(least, value)
    for k in range(m):
        if true[k] > limit or true[k] < -limit:
            return False
    return largest <= limit and least >= -limit


@jit_kernel
def tabu_dense(
    Q, mult, x, delta, stamp, best_x, energy, counters, tenure, spread, max_moves, stall, target, aspirate, big, limit
):
    """Make up to `max_moves` moves on padded dense rows Q (n, n_pad); stop at the target or after `stall` without gain.

    `limit` is 0, or the largest magnitude of a delta from which `GUARD` moves cannot leave the type of `delta`; all
    must lie within it at the start. Ties are broken at random. Returns (moves made, whether all deltas fit: if not,
    go on with wider ones).
    """
    n = Q.shape[0]
    number = delta.dtype.type
    free = np.zeros(delta.shape[0], np.int8)  # x, and 0 where tabu
    listed = np.empty(n, np.int64)  # the tabu variables, in no order, and their deltas
    true = np.empty(n, np.float64)
    m = 0
    for j in range(n):
        if stamp[j] > counters[0]:
            listed[m], true[m] = j, delta[j]
            delta[j] = big
            m += 1
        else:
            free[j] = x[j]
    least = big
    for k in range(delta.shape[0]):
        least = min(least, delta[k])
    least_tabu, at = np.inf, -1
    for k in range(m):
        if true[k] < least_tabu or (true[k] == least_tabu and listed[k] < listed[at]):
            least_tabu, at = true[k], k
    moves = 0
    fits = True
    while moves < max_moves and energy[1] > target and counters[0] - counters[1] < stall:
        moves += 1
        random = _next_random(counters)
        i = -1
        d = 0.0
        if aspirate and at >= 0 and least_tabu < least and energy[0] + least_tabu < energy[1] - energy[2]:
            i, d = listed[at], true[at]
            m -= 1
            listed[at], true[at] = listed[m], true[m]
        elif least < big:
            i, d = _find(delta, least, random % n), np.float64(least)
        counters[0] += 1
        step = number(0)
        if i >= 0:  # else all are tabu, and time passes
            x[i] = -x[i]
            energy[0] += d
            wait = tenure
            if spread > 0:
                wait += _next_random(counters) % spread
            stamp[i] = np.int32(min(counters[0] + wait, 2**31 - 1))
            step = number(-mult * x[i])
        row = Q[max(i, 0)]
        least_tabu, at = np.inf, -1
        k = 0
        while k < m:
            j = listed[k]
            value = true[k]
            if stamp[j] <= counters[0]:  # released; the pass below brings its delta up to date
                delta[j] = number(value)
                free[j] = x[j]
                m -= 1
                listed[k], true[k] = listed[m], true[m]
                continue
            value += np.float64(step) * np.float64(x[j]) * np.float64(row[j])
            true[k] = value
            if value < least_tabu or (value == least_tabu and j < listed[at]):
                least_tabu, at = value, k
            k += 1
        if i >= 0:
            delta[i] = big
            free[i] = 0
            listed[m], true[m] = i, -d
            m += 1
        least = _update_all(row, step, free, delta, big)
        if energy[0] < energy[1] - energy[2]:
            energy[1] = energy[0]
            counters[1] = counters[0]
            best_x[:] = x
        if limit > 0 and moves % GUARD == 0 and not _all_within(delta, big, true, m, limit):
            fits = False
            break
    for k in range(m):
        delta[listed[k]] = number(true[k])
    return moves, fits


@jit_kernel
def _flip(Q, mult, x, delta, i, energy):
    number = delta.dtype.type
    d = delta[i]
    energy[0] += d
    x[i] = -x[i]
    step = number(-mult * x[i])
    row = Q[i]
    for j in range(delta.shape[0]):
        delta[j] = number(delta[j] + number(step * number(x[j])) * number(row[j]))
    delta[i] = -d


@jit_kernel
def flip_dense(Q, mult, x, delta, which, energy):
    """Flip the variables `which` in turn."""
    for i in which:
        _flip(Q, mult, x, delta, i, energy)


@jit_kernel
def path_dense(Q, mult, x, delta, ahead, lo, hi, energy):
    """Flip `hi` of the variables `ahead`, each time the best of those left; stay at the best point after `lo` flips.

    `ahead` is put in the order of the flips. Returns the flips that were kept.
    """
    best, at = np.inf, 0
    for made in range(hi):
        k = made
        for other in range(made + 1, ahead.shape[0]):
            if delta[ahead[other]] < delta[ahead[k]]:
                k = other
        ahead[made], ahead[k] = ahead[k], ahead[made]
        _flip(Q, mult, x, delta, ahead[made], energy)
        if made >= lo and energy[0] < best:
            best, at = energy[0], made + 1
    for made in range(hi - 1, at - 1, -1):
        _flip(Q, mult, x, delta, ahead[made], energy)
    return at


@jit_kernel
def fields_dense(Q, x, out):
    """Q x for rows of small integers, whose sums int32 must hold."""
    for i in range(out.shape[0]):
        row = Q[i]
        total = np.int32(0)
        for j in range(x.shape[0]):
            total = np.int32(total + np.int32(np.int32(row[j]) * np.int32(x[j])))
        out[i] = total


@jit_kernel
def tabu_sparse(
    indptr, indices, data, mult, x, delta, stamp, best_x, energy, counters,
    tenure, spread, max_moves, stall, target, aspirate, big,
):  # fmt: skip
    """As `tabu_dense`, on CSR rows without a diagonal; a move costs its degree and one scan of the deltas."""
    n_blocks = delta.shape[0] // BLOCK
    block_least = np.empty(n_blocks, delta.dtype)
    block_free = np.empty(n_blocks, delta.dtype)
    delta2 = delta.reshape(n_blocks, BLOCK)
    stamp2 = stamp.reshape(n_blocks, BLOCK)
    number = delta.dtype.type
    moves = 0
    while moves < max_moves and energy[1] > target and counters[0] - counters[1] < stall:
        for b in range(n_blocks):
            block_least[b], block_free[b] = _scan_block(delta2, stamp2, np.int32(counters[0]), big, b)
        i = _choose(delta, stamp, counters[0], block_least, block_free, energy, aspirate, big, counters)
        moves += 1
        if i < 0:
            counters[0] += 1
            continue
        x[i] = -x[i]
        improved = _account(x, best_x, delta, stamp, i, tenure, spread, energy, counters)
        step = number(-mult * x[i])
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            delta[j] = number(delta[j] + number(step * number(x[j])) * number(data[p]))
        if improved:
            best_x[:] = x
    return moves


@jit_kernel(fastmath={"reassoc", "contract", "nsz"})
def _structured_row(U, d, groups, a, M, indptr, indices, data, n, i, weighted, row):
    """Write row i of the structured matrix to `row`, with 0 at i itself."""
    rank = d.shape[0]
    for r in range(rank):
        weighted[r] = d[r] * U[i, r]
    for j in range(n):
        total = 0.0
        for r in range(rank):
            total += U[j, r] * weighted[r]
        row[j] = total
    if groups.shape[0] > 0:
        from_group = M[groups[i]]
        if a.shape[0] > 0:
            for j in range(n):
                row[j] += a[i] * a[j] * from_group[groups[j]]
        else:
            for j in range(n):
                row[j] += from_group[groups[j]]
    if indptr.shape[0] > 0:
        for p in range(indptr[i], indptr[i + 1]):
            row[indices[p]] += data[p]
    row[i] = 0.0


@jit_kernel
def tabu_structured(
    U, d, groups, a, M, indptr, indices, data, n, x, delta, stamp, best_x, energy, counters,
    tenure, spread, max_moves, stall, target, aspirate, big,
):  # fmt: skip
    """As `tabu_dense` for Q = U diag(d) U' + a a' o M[g, g'] + csr: each move writes one row, O(n r)."""
    n_blocks = delta.shape[0] // BLOCK
    block_least = np.empty(n_blocks, delta.dtype)
    block_free = np.empty(n_blocks, delta.dtype)
    delta2 = delta.reshape(n_blocks, BLOCK)
    stamp2 = stamp.reshape(n_blocks, BLOCK)
    x2 = x.reshape(n_blocks, BLOCK)
    row = np.zeros(delta.shape[0])
    row2 = row.reshape(n_blocks, BLOCK)
    weighted = np.empty(d.shape[0])
    for b in range(n_blocks):
        block_least[b], block_free[b] = _scan_block(delta2, stamp2, np.int32(counters[0]), big, b)
    moves = 0
    while moves < max_moves and energy[1] > target and counters[0] - counters[1] < stall:
        i = _choose(delta, stamp, counters[0], block_least, block_free, energy, aspirate, big, counters)
        moves += 1
        step = 0.0
        improved = False
        if i < 0:
            counters[0] += 1
        else:
            x[i] = -x[i]
            improved = _account(x, best_x, delta, stamp, i, tenure, spread, energy, counters)
            _structured_row(U, d, groups, a, M, indptr, indices, data, n, i, weighted, row)
            step = -8.0 * x[i]
        for b in range(n_blocks):
            least, free = _update_block(row2, step, x2, delta2, stamp2, np.int32(counters[0]), big, b)
            block_least[b] = least
            block_free[b] = free
        if improved:
            best_x[:] = x
    return moves

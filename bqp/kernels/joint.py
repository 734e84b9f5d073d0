"""Local search on all bits of all points at once, and exact bits of a few points.

A point i with code b_i meets the others through its fields f_k: flipping bit k of it changes the loss by
8 a_i b_ik f_k. For squared losses with weights a_i a_j the fields follow from two small arrays, the targets summed per
group and the second moments of the codes, so that a look at all bits of a point costs O(q^2) whatever n is. Any other
loss is read from a table over (target, inner product), in O(neighbours) a look. Both orders of a pair count.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["descend_points", "descend_table_points", "single_deltas", "solve_bits", "swap_points", "swap_table_points"]


@jit_kernel(fastmath={"reassoc", "contract", "nsz"})
def _dot(row, b):
    total = 0.0
    for m in range(b.shape[0]):
        total += row[m] * b[m]
    return total


@jit_kernel
def _fields(own_target, q, weight, total, pull, moments, b, fields):
    """Fields of one point without its own part: pull and moments hold it, and the bit's own moment is left out."""
    for k in range(b.shape[0]):
        rest = _dot(moments[k], b)
        fields[k] = pull[k] - weight * own_target * b[k] - rest + weight * q * b[k] + (total - weight) * b[k]


@jit_kernel
def _follow(targets, scale, weight, b, was, pulls, moments):
    """Carry the change of one point from code `was` to `b` into pulls and moments; returns the bits changed."""
    q = b.shape[0]
    changed = 0
    for k in range(q):
        if b[k] != was[k]:
            changed += 1
            step = scale * weight * (b[k] - was[k])
            column = pulls[k]
            for h in range(targets.shape[0]):
                column[h] += step * targets[h]
            for m in range(q):
                if b[m] == was[m] or m <= k:
                    value = moments[k, m] + weight * (b[k] * b[m] - was[k] * was[m])
                    moments[k, m] = value
                    moments[m, k] = value
    return changed


@jit_kernel
def descend_points(T, scale, groups, a, total, pulls, moments, B, order, start, stop, tol, gain):
    """Settle the points order[start:stop] one after another; returns the number of bits changed.

    T (C, C) targets, `scale` the factor r in (r t - G)^2; a (n,) weights, `total` their sum; pulls (q, C), r times
    (sums of a b over groups) T; moments (q, q), the sum of a b b'; both are kept up to date. Single bits are flipped
    in turn while that gains more than `tol`, then the pair of bits of the point that gains most, and so on.
    ``gain[0]`` collects the change of the loss.
    """
    q = B.shape[1]
    b, was, fields, pull = np.empty(q), np.empty(q), np.empty(q), np.empty(q)
    changed = 0
    for position in range(stop - start):
        i = order[start + position]
        g, weight = groups[i], a[i]
        for k in range(q):
            b[k] = B[i, k]
            was[k] = b[k]
            pull[k] = pulls[k, g]
        _fields(scale * T[g, g], np.float64(q), weight, total, pull, moments, b, fields)
        unit = 8.0 * weight
        flips = 0
        while True:
            moved = False
            for k in range(q):
                delta = unit * b[k] * fields[k]
                if delta < -tol:
                    gain[0] += delta
                    step = -2.0 * b[k]
                    row, mine = moments[k], weight * was[k]
                    for m in range(q):
                        if m != k:
                            fields[m] -= step * (row[m] - mine * was[m])
                    b[k] = -b[k]
                    moved = True
                    flips += 1
            if flips >= 64 * q:
                break
            if moved:
                continue
            best, first, second = -tol, -1, -1
            for k in range(q):  # no single bit gains: try two
                alone = b[k] * fields[k]
                row, mine = moments[k], weight * was[k]
                for m in range(k):
                    both = unit * (alone + b[m] * fields[m] + 2.0 * b[k] * b[m] * (row[m] - mine * was[m]))
                    if both < best:
                        best, first, second = both, k, m
            if first < 0:
                break
            gain[0] += best
            for k in (first, second):
                step = -2.0 * b[k]
                row, mine = moments[k], weight * was[k]
                for m in range(q):
                    if m != k:
                        fields[m] -= step * (row[m] - mine * was[m])
                b[k] = -b[k]
            flips += 2
        if flips > 0:
            for k in range(q):
                B[i, k] = np.int8(b[k])
            changed += _follow(T[g], scale, weight, b, was, pulls, moments)
    return changed


@jit_kernel
def _deltas_of(T, scale, groups, weight, total, pulls, moments, b, g, pull, code, fields, out):
    """Write the change of the loss by each single flip of one point to `out` (q,)."""
    for k in range(b.shape[0]):
        code[k] = b[k]
        pull[k] = pulls[k, g]
    _fields(scale * T[g, g], np.float64(b.shape[0]), weight, total, pull, moments, code, fields)
    for k in range(b.shape[0]):
        out[k] = 8.0 * weight * code[k] * fields[k]


@jit_kernel
def single_deltas(T, scale, groups, a, total, pulls, moments, B, deltas):
    """Write the change of the loss by each single flip to `deltas` (n, q)."""
    q = B.shape[1]
    pull, code, fields = np.empty(q), np.empty(q), np.empty(q)
    for i in range(B.shape[0]):
        _deltas_of(T, scale, groups, a[i], total, pulls, moments, B[i], groups[i], pull, code, fields, deltas[i])


@jit_kernel
def _product(x, y):
    total = np.int32(0)
    for k in range(x.shape[0]):
        total += np.int32(x[k]) * np.int32(y[k])
    return total


@jit_kernel
def swap_points(T, scale, groups, a, total, pulls, moments, B, deltas, start, stop, tol, gain):
    """Flip a bit of two points at once where that gains, for the points start:stop and those before each.

    `deltas` may be stale while moves are made: a candidate is confirmed with fresh ones. Returns the moves made; none
    in a pass that starts with fresh deltas means that no pair gains.
    """
    q = B.shape[1]
    pull, code, fields, was = np.empty(q), np.empty(q), np.empty(q), np.empty(q)
    moves = 0
    for row in range(stop - start):
        i = start + row
        mine, b = deltas[i], B[i]
        for j in range(i):
            other, c = deltas[j], B[j]
            target = scale * T[groups[i], groups[j]] - _product(b, c)
            unit = 16.0 * a[i] * a[j]
            least = np.inf
            for k in range(q):
                least = min(least, mine[k] + other[k])
            if least - unit * (np.abs(target) + 1.0) >= -tol:
                continue
            for k in range(q):
                if mine[k] + other[k] - unit * (b[k] * c[k] * target + 1.0) < -tol:
                    for side in range(2):
                        p = i if side == 0 else j
                        _deltas_of(
                            T,
                            scale,
                            groups,
                            a[p],
                            total,
                            pulls,
                            moments,
                            B[p],
                            groups[p],
                            pull,
                            code,
                            fields,
                            deltas[p],
                        )
                    delta = mine[k] + other[k] - unit * (b[k] * c[k] * target + 1.0)
                    if delta < -tol:
                        gain[0] += delta
                        moves += 1
                        for side in range(2):
                            p = i if side == 0 else j
                            for m in range(q):
                                was[m] = B[p, m]
                                code[m] = was[m]
                            code[k] = -code[k]
                            B[p, k] = -B[p, k]
                            _follow(T[groups[p]], scale, a[p], code, was, pulls, moments)
                        for side in range(2):
                            p = i if side == 0 else j
                            _deltas_of(
                                T,
                                scale,
                                groups,
                                a[p],
                                total,
                                pulls,
                                moments,
                                B[p],
                                groups[p],
                                pull,
                                code,
                                fields,
                                deltas[p],
                            )
                        target = scale * T[groups[i], groups[j]] - _product(b, c)
    return moves


@jit_kernel
def _table_delta(begin, end, indices, kinds, targets, weights, table, slope, B, i, k):
    """The change of the loss by flipping bit k of point i."""
    q = B.shape[1]
    delta = 0.0
    for p in range(begin, end):
        j = indices[p]
        at = q + _product(B[i], B[j])
        to = at - 2 * np.int64(B[i, k]) * np.int64(B[j, k])
        row = table[kinds[p]]
        delta += weights[p] * (row[to] - row[at] + targets[p] * (slope[to] - slope[at]))
    return 2.0 * delta


@jit_kernel
def descend_table_points(
    indptr, indices, kinds, targets, weights, table, slope, B, order, start, stop, tol, index, bits, deltas, write, gain
):
    """As `descend_points`, single bits only, for listed pairs of any loss.

    A pair costs table[kind, G + q] + target slope[G + q]. CSR rows without a diagonal, each pair in both rows. `index`
    (d,) int64 and `bits` (q, d) int8 are scratch for the longest row. With `write` the deltas of the points visited
    are written to `deltas` (n, q), and nothing moves.
    """
    q = B.shape[1]
    changed = 0
    for position in range(stop - start):
        i = order[start + position]
        begin = indptr[i]
        degree = indptr[i + 1] - begin
        b = B[i]
        for p in range(degree):
            other = B[indices[begin + p]]
            index[p] = q + _product(b, other)
            for k in range(q):
                bits[k, p] = other[k]
        moved, sweeps = True, 0
        while moved and sweeps < 64:
            moved, sweeps = False, sweeps + 1
            for k in range(q):
                step, column = 2 * np.int64(b[k]), bits[k]
                delta = 0.0
                for p in range(degree):
                    row, at = table[kinds[begin + p]], index[p]
                    to = at - step * column[p]
                    value = row[to] - row[at] + targets[begin + p] * (slope[to] - slope[at])
                    delta += weights[begin + p] * value
                delta *= 2.0
                if write:
                    deltas[i, k] = delta
                elif delta < -tol:
                    gain[0] += delta
                    for p in range(degree):
                        index[p] -= step * column[p]
                    b[k] = -b[k]
                    changed += 1
                    moved = True
    return changed


@jit_kernel
def swap_table_points(indptr, indices, kinds, targets, weights, table, slope, B, deltas, start, stop, tol, gain):
    """As `swap_points`, for listed pairs; two points without a pair never gain where neither does alone."""
    q = B.shape[1]
    moves = 0
    for line in range(stop - start):
        i = start + line
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j >= i:
                continue
            row = table[kinds[p]]
            for k in range(q):
                at = q + _product(B[i], B[j])
                to = at - 2 * np.int64(B[i, k]) * np.int64(B[j, k])
                own = 4.0 * weights[p] * (row[to] - row[at] + targets[p] * (slope[to] - slope[at]))
                if deltas[i, k] + deltas[j, k] - own < -tol:
                    for side in range(2):
                        r = i if side == 0 else j
                        deltas[r, k] = _table_delta(
                            indptr[r], indptr[r + 1], indices, kinds, targets, weights, table, slope, B, r, k
                        )
                    delta = deltas[i, k] + deltas[j, k] - own
                    if delta < -tol:
                        gain[0] += delta
                        moves += 1
                        B[i, k] = -B[i, k]
                        B[j, k] = -B[j, k]
                        for side in range(2):  # what the flips mean for flipping back; the other bits stay stale
                            r = i if side == 0 else j
                            deltas[r, k] = _table_delta(
                                indptr[r], indptr[r + 1], indices, kinds, targets, weights, table, slope, B, r, k
                            )
    return moves


@jit_kernel
def solve_bits(kinds, weights, table, G, B, counted, bits, places, starts, tol, gain):
    """Solve each of `bits` exactly given the counted ones, by enumeration; returns the number of bits replaced.

    kinds and weights (n, n), table (kinds, 2 q + 1) over G + q, G (n, n) int64 the inner products over the counted
    bits. A counted bit is replaced only by one that is better by more than `tol`; a bit not yet counted takes an
    optimum and counts from now on. places (len(bits), n) int64 holds an order of the points for each bit and starts
    (len(bits), n) spins in that order: assignments are visited in Gray code order from there, the last point held,
    and the first of equal energies is taken.
    """
    n, q = B.shape
    A = np.zeros((n, n))
    rows = np.zeros((n, 32))
    delta, spins = np.zeros(32), np.zeros(32)
    x = np.empty(n)
    replaced = 0
    for position in range(bits.shape[0]):
        k, place = bits[position], places[position]
        if counted[k]:
            for i in range(n):
                for j in range(n):
                    G[i, j] -= B[i, k] * B[j, k]
        for i in range(n):
            for j in range(n):
                if i != j:
                    row = table[kinds[i, j]]
                    at = q + G[i, j]
                    A[i, j] = 0.5 * weights[i, j] * (row[at + 1] - row[at - 1])
        for i in range(n):
            x[i] = starts[position, i]
        energy = 0.0
        for i in range(n):
            spins[i] = x[i]
            field = 0.0
            for j in range(n):
                value = A[place[i], place[j]]
                rows[i, j] = 8.0 * value
                field += value * x[j]
            energy += x[i] * field
            delta[i] = -4.0 * x[i] * field
        best, best_code, code = energy, np.uint64(0), np.uint64(0)
        for step in range(1, np.int64(1) << (n - 1)):  # the last spin stands for the global sign
            i, rest = 0, step
            while rest & 1 == 0:
                rest >>= 1
                i += 1
            energy += delta[i]
            spins[i] = -spins[i]
            code ^= np.uint64(1) << np.uint64(i)
            kept, factor, row = -delta[i], -spins[i], rows[i]
            for j in range(32):
                delta[j] += factor * row[j] * spins[j]
            delta[i] = kept
            if energy < best:
                best, best_code = energy, code
        for i in range(n):
            flipped = (best_code >> np.uint64(i)) & np.uint64(1)
            delta[i] = -x[i] if flipped else x[i]
        for i in range(n):
            x[place[i]] = delta[i]
        value, old = 0.0, 0.0
        for i in range(n):
            for j in range(n):
                value += A[i, j] * x[i] * x[j]
                old += A[i, j] * B[i, k] * B[j, k]
        if not counted[k] or value < old - tol:
            gain[0] += value - old
            for i in range(n):
                B[i, k] = np.int8(x[i])
            replaced += 1
        counted[k] = True
        for i in range(n):
            for j in range(n):
                G[i, j] += B[i, k] * B[j, k]
    return replaced

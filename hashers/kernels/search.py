"""Exact search in packed codes: the nearest k, everything within a radius, the best k for real-valued queries.

Database words lie transposed, (n_words, n), so that the distances of a chunk are one loop over contiguous words. Only
chunks that hold an item below the query's threshold are looked at twice. The threshold follows from counts by distance
(with k items at d or below, a later item at d is never wanted), so nothing is sorted and ties keep database order. The
state of a search lives in arrays of the caller: databases come block by block.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel
from hashers.kernels.hamming import popcount

__all__ = ["best", "finish_best", "finish_nearest", "group_hits", "nearest", "within"]

CHUNK = 256
"""Items whose distances are held at once."""

TILE = 16384
"""Words of the database per tile: 128 KiB, which stay in the second-level cache while queries pass."""


@jit_kernel
def _chunk_distances(query, words, start, size, scratch):
    """Distances of one query to the items ``start:start + size``, into `scratch`; returns the least."""
    word = query[0]
    row = words[0, start : start + size]
    for i in range(size):
        scratch[i] = popcount(word ^ row[i])
    for w in range(1, query.shape[0]):
        word = query[w]
        row = words[w, start : start + size]
        for i in range(size):
            scratch[i] += popcount(word ^ row[i])
    low = scratch[0]
    for i in range(1, size):
        low = min(low, scratch[i])
    return low


@jit_kernel
def _compact(distance, position, held, k, threshold, below):
    """Keep the items below `threshold` and the first ones at it, k together, in their order; returns how many."""
    room = k - below
    kept = 0
    for i in range(held):
        keep = distance[i] < threshold
        if distance[i] == threshold and room > 0:
            room -= 1
            keep = True
        if keep:
            distance[kept] = distance[i]
            position[kept] = position[i]
            kept += 1
    return kept


@jit_kernel
def nearest(query, words, start, stop, first, k, scratch, counts, state, distance, position):
    """Continue the search of the k nearest with one block of the database.

    Parameters
    ----------
    query : ndarray of shape (n_query, n_words), uint64
    words : ndarray of shape (n_words, n), uint64
        Read only.
    start, stop : int
        The block: the items ``start:stop`` of `words`.
    first : int
        Position in the database of item 0 of `words`.
    k : int
    scratch : ndarray of shape (CHUNK,), uint16 or int64
        Written; its type holds n_bits.
    counts : ndarray of shape (n_query, n_bits + 1), int64
        Items held at each distance, exact below the threshold; zero before the first block.
    state : ndarray of shape (n_query, 3), int64
        Threshold (only items below it are wanted; n_bits + 1 before the first block), items below it, items held.
    distance, position : ndarray of shape (n_query, capacity), int32, int64
        Items held, in database order; capacity at least k + 1.

    Notes
    -----
    O(n_query n n_words), and O(k log n) items held on the way for items in random order.
    """
    capacity = distance.shape[1]
    tile = max(CHUNK, TILE // words.shape[0])
    for tile_start in range(start, stop, tile):
        tile_stop = min(tile_start + tile, stop)
        for a in range(query.shape[0]):
            threshold = state[a, 0]
            below = state[a, 1]
            held = state[a, 2]
            for chunk in range(tile_start, tile_stop, CHUNK):
                size = min(CHUNK, tile_stop - chunk)
                if _chunk_distances(query[a], words, chunk, size, scratch) >= threshold:
                    continue
                for i in range(size):
                    d = np.int64(scratch[i])
                    if d >= threshold:
                        continue
                    if held == capacity:
                        held = _compact(distance[a], position[a], held, k, threshold, below)
                    distance[a, held] = d
                    position[a, held] = first + chunk + i
                    held += 1
                    counts[a, d] += 1
                    below += 1
                    while below >= k:
                        threshold -= 1
                        below -= counts[a, threshold]
            state[a, 0] = threshold
            state[a, 1] = below
            state[a, 2] = held


@jit_kernel
def finish_nearest(k, counts, state, distance, position, out_distance, out_position):
    """Order what `nearest` holds: by distance, then by database order.

    Parameters
    ----------
    k : int
        At most the number of items seen.
    counts, state, distance, position : ndarray
        As `nearest` left them; overwritten.
    out_distance, out_position : ndarray of shape (n_query, k), int32, int64
        Written.
    """
    for a in range(state.shape[0]):
        held = _compact(distance[a], position[a], state[a, 2], k, state[a, 0], state[a, 1])
        place = counts[a]
        place[:] = 0
        for i in range(held):
            place[distance[a, i]] += 1
        total = 0
        for d in range(place.shape[0]):
            size = place[d]
            place[d] = total
            total += size
        for i in range(held):
            d = distance[a, i]
            out_distance[a, place[d]] = d
            out_position[a, place[d]] = position[a, i]
            place[d] += 1


@jit_kernel
def within(query, words, start, stop, first, radius, scratch, step, used, out_query, out_distance, out_position):
    """Collect the items of one block within a radius; returns when the buffers may not hold another tile.

    Parameters
    ----------
    query, words, start, stop, first, scratch
        As in `nearest`.
    radius : int
    step : int
        Where to start: pairs of tile and query, tiles outside. 0 at first, then what was returned.
    used : int
        Entries of the buffers in use.
    out_query, out_distance, out_position : ndarray of shape (capacity,), int64, int32, int64
        Written from `used` on; of a query, in database order. The capacity is at least TILE.

    Returns
    -------
    step, used : int
        The block is done when `step` is the number of tiles times the number of queries.
    """
    n_query = query.shape[0]
    capacity = out_query.shape[0]
    tile = max(CHUNK, TILE // words.shape[0])
    n_steps = -(-(stop - start) // tile) * n_query
    while step < n_steps and used + tile <= capacity:
        a = step % n_query
        tile_start = start + step // n_query * tile
        tile_stop = min(tile_start + tile, stop)
        for chunk in range(tile_start, tile_stop, CHUNK):
            size = min(CHUNK, tile_stop - chunk)
            if _chunk_distances(query[a], words, chunk, size, scratch) > radius:
                continue
            for i in range(size):
                if scratch[i] <= radius:
                    out_query[used] = a
                    out_distance[used] = scratch[i]
                    out_position[used] = first + chunk + i
                    used += 1
        step += 1
    return step, used


@jit_kernel
def group_hits(query, distance, position, counts, out_distance, out_position):
    """Order hits by query, then distance, then as they came, by counting.

    Parameters
    ----------
    query, distance, position : ndarray of shape (m,), int64, int32, int64
    counts : ndarray of shape (n_query, radius + 1), int64
        Zero on entry; on return, the end of each group.
    out_distance, out_position : ndarray of shape (m,), int32, int64
        Written.
    """
    for i in range(query.shape[0]):
        counts[query[i], distance[i]] += 1
    total = 0
    for a in range(counts.shape[0]):
        for d in range(counts.shape[1]):
            size = counts[a, d]
            counts[a, d] = total
            total += size
    for i in range(query.shape[0]):
        place = counts[query[i], distance[i]]
        out_distance[place] = distance[i]
        out_position[place] = position[i]
        counts[query[i], distance[i]] += 1


@jit_kernel
def _worse(score_a, position_a, score_b, position_b):
    """Whether item a ranks behind item b."""
    return score_a < score_b or (score_a == score_b and position_a > position_b)


@jit_kernel
def _sift_down(score, position, root, size):
    """Restore the heap, worst item on top, below `root`."""
    s = score[root]
    p = position[root]
    while True:
        child = 2 * root + 1
        if child >= size:
            break
        if child + 1 < size and _worse(score[child + 1], position[child + 1], score[child], position[child]):
            child += 1
        if not _worse(score[child], position[child], s, p):
            break
        score[root] = score[child]
        position[root] = position[child]
        root = child
    score[root] = s
    position[root] = p


@jit_kernel
def _chunk_levels(sign, mask, words, start, size, scratch):
    """Weighted distances of one query in whole levels, from the binary digits of the levels; returns the least."""
    for w in range(sign.shape[0]):
        word = sign[w]
        row = words[w, start : start + size]
        m0 = mask[0, w]
        m1 = mask[1, w]
        m2 = mask[2, w]
        m3 = mask[3, w]
        for i in range(size):
            x = word ^ row[i]
            level = popcount(x & m0) + 2 * popcount(x & m1) + 4 * popcount(x & m2) + 8 * popcount(x & m3)
            scratch[i] = level if w == 0 else scratch[i] + level
    low = scratch[0]
    for i in range(1, size):
        low = min(low, scratch[i])
    return low


@jit_kernel
def best(sign, mask, step, top, tables, words, start, stop, first, scratch, state, score, position):
    """Continue the search of the k highest scores sum_k m_k b_k with one block of the database.

    A score is sum |m_k| less twice the |m_k| of the bits that differ from the sign of m_k. These |m_k|, rounded down to
    multiples l_k of a step, l_k of four binary digits, sum up by four popcounts and bound the score from above.

    Parameters
    ----------
    sign : ndarray of shape (n_query, n_words), uint64
        Signs of the margins, packed.
    mask : ndarray of shape (n_query, 4, n_words), uint64
        Binary digits of the levels l_k, packed.
    step, top : ndarray of shape (n_query,), float64
        Items whose levels sum to s score at most ``top - 2 * step * s``, rounding included.
    tables : ndarray of shape (n_query, 8 * n_words, 256), float64
        ``tables[a, b, x]`` is what byte `x` at place `b` adds to the score.
    words, start, stop, first
        As in `nearest`.
    scratch : ndarray of shape (CHUNK,)
        Written; its type holds 15 n_bits.
    state : ndarray of shape (n_query, 2), int64
        Sum of levels from which on an item cannot matter (15 n_bits + 1 before the first block); items held (0).
    score, position : ndarray of shape (n_query, k), float64, int64
        Heaps, the worst item on top.

    Notes
    -----
    Four popcounts a word for all items; table lookups, 8 a word, only where the bound leaves a chance.
    """
    n_words = words.shape[0]
    k = score.shape[1]
    tile = max(CHUNK, TILE // n_words)
    for tile_start in range(start, stop, tile):
        tile_stop = min(tile_start + tile, stop)
        for a in range(sign.shape[0]):
            table = tables[a]
            limit = state[a, 0]
            held = state[a, 1]
            for chunk in range(tile_start, tile_stop, CHUNK):
                size = min(CHUNK, tile_stop - chunk)
                if _chunk_levels(sign[a], mask[a], words, chunk, size, scratch) >= limit:
                    continue
                for i in range(size):
                    if np.int64(scratch[i]) >= limit:
                        continue
                    total = 0.0
                    for w in range(n_words):
                        word = words[w, chunk + i]
                        for b in range(8):
                            total += table[8 * w + b, np.int64(word & np.uint64(255))]
                            word >>= np.uint64(8)
                    if held < k:
                        score[a, held] = total
                        position[a, held] = first + chunk + i
                        held += 1
                        if held < k:
                            continue
                        for root in range(k // 2 - 1, -1, -1):
                            _sift_down(score[a], position[a], root, k)
                    elif total > score[a, 0]:
                        score[a, 0] = total
                        position[a, 0] = first + chunk + i
                        _sift_down(score[a], position[a], 0, k)
                    else:
                        continue
                    while limit > 0 and top[a] - 2 * step[a] * (limit - 1) <= score[a, 0]:
                        limit -= 1
            state[a, 0] = limit
            state[a, 1] = held


@jit_kernel
def finish_best(score, position):
    """Sort the full heaps that `best` left, in place: by falling score, then by database order."""
    for a in range(score.shape[0]):
        for last in range(score.shape[1] - 1, 0, -1):
            s = score[a, 0]
            p = position[a, 0]
            score[a, 0] = score[a, last]
            position[a, 0] = position[a, last]
            score[a, last] = s
            position[a, last] = p
            _sift_down(score[a], position[a], 0, last)

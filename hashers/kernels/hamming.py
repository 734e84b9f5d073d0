"""Hamming distances counted, never sorted: histograms of distance and relevance, one pass over the database.

A code of q bits is ``ceil(q / 64)`` words of 64 bits, and the distance of two codes is the population count of their
exclusive or. `popcount` compiles to the hardware instruction (``popcntq`` on x86-64). One query keeps four histograms
side by side, since hashed codes repeat and a single one would wait for its own last store.
"""

from typing import Any

import numpy as np
from numba import config, types
from numba.extending import intrinsic

from bqp.kernels._jit import jit_kernel

__all__ = [
    "count_classes",
    "count_label_sets",
    "popcount",
    "shared_labels",
    "stable_classes",
    "stable_label_sets",
    "stable_row",
    "weighted_distances",
]

TILE = 16384
"""Database items per tile: 128 KiB of 64-bit codes, which stay in the second-level cache while queries pass."""


def _popcount(typingctx, word):
    """Count the set bits of one 64-bit word (LLVM ``ctpop``)."""
    if not isinstance(word, types.Integer):
        return None

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


def _popcount_interpreted(word):
    """Count the set bits of one word in the interpreter, for runs with NUMBA_DISABLE_JIT=1."""
    return int(word).bit_count()


popcount: Any = _popcount_interpreted if getattr(config, "DISABLE_JIT", False) else intrinsic(_popcount)


@jit_kernel
def _count_range(query, database, start, stop, histogram):
    """Add the distances of `query` to rows ``start:stop`` to the four histograms (4, n_bits + 1)."""
    n_words = query.shape[0]
    quarter = (stop - start) // 4
    if n_words == 1:
        word = query[0]
        for i in range(start, start + 4 * quarter, 4):
            histogram[0, popcount(word ^ database[i, 0])] += 1
            histogram[1, popcount(word ^ database[i + 1, 0])] += 1
            histogram[2, popcount(word ^ database[i + 2, 0])] += 1
            histogram[3, popcount(word ^ database[i + 3, 0])] += 1
    else:
        for i in range(start, start + 4 * quarter, 4):
            d0 = d1 = d2 = d3 = 0
            for w in range(n_words):
                word = query[w]
                d0 += popcount(word ^ database[i, w])
                d1 += popcount(word ^ database[i + 1, w])
                d2 += popcount(word ^ database[i + 2, w])
                d3 += popcount(word ^ database[i + 3, w])
            histogram[0, d0] += 1
            histogram[1, d1] += 1
            histogram[2, d2] += 1
            histogram[3, d3] += 1
    for i in range(start + 4 * quarter, stop):
        d0 = 0
        for w in range(n_words):
            d0 += popcount(query[w] ^ database[i, w])
        histogram[0, d0] += 1


@jit_kernel
def count_classes(query, query_class, database, class_start, counts):
    """Count items by distance and class agreement; the database is sorted by class.

    Parameters
    ----------
    query : ndarray of shape (n_query, n_words), uint64
        Words of the query codes; read only.
    query_class : ndarray of shape (n_query,), int64
        Class of each query, an index into `class_start`.
    database : ndarray of shape (n_database, n_words), uint64
        Words of the database codes, rows sorted by class; read only.
    class_start : ndarray of shape (n_classes + 1,), int64
        Class c holds the rows ``class_start[c]:class_start[c + 1]``.
    counts : ndarray of shape (n_query, n_bits + 1, 2), int64
        Written: items of another class (level 0) and of the query's class (level 1) at each distance; zero on entry.

    Notes
    -----
    O(n_query n_database n_words); a relevance test per item is not needed.
    """
    n_database = database.shape[0]
    n_bins = counts.shape[1]
    other = np.zeros((4, n_bins), np.int64)
    same = np.zeros((4, n_bins), np.int64)
    for first in range(0, n_database, TILE):
        last = min(first + TILE, n_database)
        for a in range(query.shape[0]):
            c = query_class[a]
            low = min(max(class_start[c], first), last)
            high = min(max(class_start[c + 1], first), last)
            other[:] = 0
            same[:] = 0
            _count_range(query[a], database, first, low, other)
            _count_range(query[a], database, low, high, same)
            _count_range(query[a], database, high, last, other)
            for d in range(n_bins):
                counts[a, d, 0] += other[0, d] + other[1, d] + other[2, d] + other[3, d]
                counts[a, d, 1] += same[0, d] + same[1, d] + same[2, d] + same[3, d]


@jit_kernel
def count_label_sets(query, query_labels, database, database_labels, counts):
    """Count items by distance and number of shared labels.

    Parameters
    ----------
    query, database : ndarray of shape (n_query, n_words), (n_database, n_words), uint64
        Words of the codes; read only.
    query_labels, database_labels : ndarray of shape (n_query, m), (n_database, m), uint64
        Bit masks of the label sets; read only.
    counts : ndarray of shape (n_query, n_bits + 1, n_levels), int64
        Written: items at each distance with 0, 1, ... labels in common with the query; zero on entry.
    """
    n_database, n_words = database.shape
    n_masks = database_labels.shape[1]
    for first in range(0, n_database, TILE):
        last = min(first + TILE, n_database)
        for a in range(query.shape[0]):
            for i in range(first, last):
                d = 0
                for w in range(n_words):
                    d += popcount(query[a, w] ^ database[i, w])
                shared = 0
                for w in range(n_masks):
                    shared += popcount(query_labels[a, w] & database_labels[i, w])
                counts[a, d, shared] += 1


@jit_kernel
def weighted_distances(query, database, table, out):
    """Weighted Hamming distances of one packed query to packed codes, byte by byte through a table.

    Parameters
    ----------
    query : ndarray of shape (n_bytes,), uint8
    database : ndarray of shape (n, n_bytes), uint8
    table : ndarray of shape (n_bytes, 256), float64
        ``table[b, x]`` is the weight of the bits set in byte `x` at place `b`.
    out : ndarray of shape (n,), float64
        Written.
    """
    for i in range(database.shape[0]):
        total = 0.0
        for b in range(query.shape[0]):
            total += table[b, query[b] ^ database[i, b]]
        out[i] = total


@jit_kernel
def shared_labels(query, database, out):
    """Count the labels that each database item shares with one query.

    Parameters
    ----------
    query : ndarray of shape (m,), uint64
    database : ndarray of shape (n, m), uint64
        Bit masks of label sets; read only.
    out : ndarray of shape (n,), int64
        Written.
    """
    for i in range(database.shape[0]):
        shared = 0
        for w in range(query.shape[0]):
            shared += popcount(query[w] & database[i, w])
        out[i] = shared


@jit_kernel
def _distances(query, database, out):
    """Hamming distances of one query (n_words,) to all codes (n, n_words); `out` (n,) int64 is written."""
    for i in range(database.shape[0]):
        d = 0
        for w in range(query.shape[0]):
            d += popcount(query[w] ^ database[i, w])
        out[i] = d


@jit_kernel
def stable_row(group, level, k, gain, discount, position, relevant, sums, level_totals):
    """Score one query with ties in database order: walk the database once, ranks follow from the sizes of the groups.

    Parameters
    ----------
    group : ndarray of shape (n,), int64
        Distance, or its rank among the distinct ones, of each database item; below ``len(position) - 1``.
    level : ndarray of shape (n,), int64
        Relevance level; above 0 is relevant.
    k : int
        Only ranks up to `k` count.
    gain, discount : ndarray of shape (n_levels,), (n + 1,), float64
        Gain of a level, discount of a rank.
    position, relevant : ndarray of shape (n_groups + 1,), int64
        Scratch, written.
    sums : ndarray of shape (3,), float64
        Written: sum of the precisions at relevant ranks, relevant items, discounted gain, all up to rank `k`.
    level_totals : ndarray of shape (n_levels,), int64
        Written: items of each level.
    """
    n = group.shape[0]
    position[:] = 0
    relevant[:] = 0
    level_totals[:] = 0
    for i in range(n):
        level_totals[level[i]] += 1
        position[group[i] + 1] += 1
        if level[i] > 0:
            relevant[group[i] + 1] += 1
    for g in range(position.shape[0] - 1):
        position[g + 1] += position[g]
        relevant[g + 1] += relevant[g]
    precision = 0.0
    dcg = 0.0
    hits = 0
    for i in range(n):
        g = group[i]
        position[g] += 1
        rank = position[g]
        if level[i] > 0:
            relevant[g] += 1
            if rank <= k:
                precision += relevant[g] / rank
                dcg += gain[level[i]] * discount[rank]
                hits += 1
    sums[0] = precision
    sums[1] = hits
    sums[2] = dcg


@jit_kernel
def stable_classes(query, query_class, database, database_class, k, gain, discount, sums, level_totals):
    """Score queries with ties in database order, by class; `sums` and `level_totals` as in `stable_row`, by query."""
    n, n_words = database.shape
    group = np.empty(n, np.int64)
    level = np.empty(n, np.int64)
    position = np.empty(64 * n_words + 2, np.int64)
    relevant = np.empty(64 * n_words + 2, np.int64)
    for a in range(query.shape[0]):
        _distances(query[a], database, group)
        for i in range(n):
            level[i] = 1 if database_class[i] == query_class[a] else 0
        stable_row(group, level, k, gain, discount, position, relevant, sums[a], level_totals[a])


@jit_kernel
def stable_label_sets(query, query_labels, database, database_labels, k, gain, discount, sums, level_totals):
    """Score queries with ties in database order, by label sets; outputs as in `stable_classes`."""
    n, n_words = database.shape
    group = np.empty(n, np.int64)
    level = np.empty(n, np.int64)
    position = np.empty(64 * n_words + 2, np.int64)
    relevant = np.empty(64 * n_words + 2, np.int64)
    for a in range(query.shape[0]):
        _distances(query[a], database, group)
        shared_labels(query_labels[a], database_labels, level)
        stable_row(group, level, k, gain, discount, position, relevant, sums[a], level_totals[a])

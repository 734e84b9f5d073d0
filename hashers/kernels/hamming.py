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
def count_label_sets(query, query_labels, database, database_set, sets, counts):
    """Count items by distance and number of shared labels.

    Parameters
    ----------
    query, database : ndarray of shape (n_query, n_words), (n_database, n_words), uint64
        Words of the codes; read only.
    query_labels : ndarray of shape (n_query, m), uint64
        Bit masks of the label sets of the queries; read only.
    database_set : ndarray of shape (n_database,), int64
        Label set of each item, an index into `sets`.
    sets : ndarray of shape (n_sets, m), uint64
        Bit masks of the distinct label sets of the database; read only.
    counts : ndarray of shape (n_query, n_bits + 1, n_levels), int64
        Written: items at each distance with 0, 1, ... labels in common with the query; zero on entry.

    Notes
    -----
    O(n_sets m + n_database n_words) a query: labels are compared once for each distinct set.
    """
    n_database, n_words = database.shape
    shared = np.empty(sets.shape[0], np.int64)
    for a in range(query.shape[0]):
        for s in range(sets.shape[0]):
            level = 0
            for w in range(sets.shape[1]):
                level += popcount(query_labels[a, w] & sets[s, w])
            shared[s] = level
        for i in range(n_database):
            d = 0
            for w in range(n_words):
                d += popcount(query[a, w] ^ database[i, w])
            counts[a, d, shared[database_set[i]]] += 1

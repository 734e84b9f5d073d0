"""Items counted by Hamming distance and relevance, block of queries by block: the input of every retrieval measure.

The loops are in `hashers.kernels.hamming`, labels in `relevance`, the measures in `ranking`.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from joblib import effective_n_jobs

from hashers import packing
from hashers.kernels import hamming

__all__ = ["Counter", "for_blocks", "pack_codes"]

BLOCK_BYTES = 2**24
"""Bytes of counts that one block of queries may hold."""
BLOCK_QUERIES = 256
"""Queries of a block at most; enough to use each tile of the database many times."""


def pack_codes(B_query, B_database, n_bits=None):
    """Validate the codes of both sides and pack them.

    Parameters
    ----------
    B_query, B_database : array-like
        Codes in {-1, +1}; or packed bytes when `n_bits` is given.
    n_bits : int, optional
        Code length of packed bytes.

    Returns
    -------
    query, database : ndarray of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    """
    if n_bits is not None:
        query = packing.check_packed(B_query, n_bits, "B_query")
        return query, packing.check_packed(B_database, n_bits, "B_database"), int(n_bits)
    query, database = packing.check_codes(B_query, "B_query"), packing.check_codes(B_database, "B_database")
    if query.shape[1] != database.shape[1]:
        raise ValueError(
            f"B_query has {query.shape[1]} bits and B_database {database.shape[1]}: codes of one length are needed, "
            "made by one hasher."
        )
    return packing.pack(query), packing.pack(database), query.shape[1]


def for_blocks(function, n, block, n_jobs=None) -> list[Any]:
    """Call ``function(start, stop)`` over blocks of at most `block` queries, in threads where asked for.

    Returns
    -------
    results : list
        In the order of the blocks.
    """
    workers = min(effective_n_jobs(n_jobs), n)
    n_blocks = max(-(-n // block), 1 if workers <= 1 else min(n, 4 * workers))
    edges = np.linspace(0, n, n_blocks + 1).astype(int)
    if workers <= 1:
        return [function(start, stop) for start, stop in pairwise(edges)]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, edges[:-1], edges[1:]))


class Counter:
    """A database ready to be counted by distance and relevance, for any block of queries.

    Parameters
    ----------
    query, database : ndarray of shape (n, n_bytes), uint8
        Packed codes.
    n_bits : int
    relevance : hashers.metrics.relevance.Relevance

    Attributes
    ----------
    block : int
        Queries that one block should hold at most.
    """

    def __init__(self, query, database, n_bits, relevance):
        self.query, self.database = packing.to_words(query), packing.to_words(database)
        self.n_bits, self.relevance = n_bits, relevance
        self.block = int(np.clip(BLOCK_BYTES // (8 * (n_bits + 1) * relevance.n_levels), 1, BLOCK_QUERIES))
        if not relevance.is_set:
            order = np.argsort(relevance.database, kind="stable")
            sizes = np.bincount(relevance.database, minlength=len(relevance.classes))
            self.class_start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            self.by_class = np.ascontiguousarray(self.database[order])

    def count(self, start, stop):
        """Count for the queries ``start:stop``.

        Returns
        -------
        counts : ndarray of shape (stop - start, n_bits + 1, n_levels), int64
        """
        counts = np.zeros((stop - start, self.n_bits + 1, self.relevance.n_levels), np.int64)
        query, labels = self.query[start:stop], self.relevance.query[start:stop]
        if self.relevance.is_set:
            hamming.count_label_sets(query, labels, self.database, self.relevance.database, self.relevance.sets, counts)
        else:
            hamming.count_classes(query, labels, self.by_class, self.class_start, counts)
        return counts

"""Items counted by Hamming distance and relevance: the input of every retrieval measure.

Validation, relevance and threads live here; the loops are in `hashers.kernels.hamming`, the measures in
`hashers._ranking`.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from joblib import effective_n_jobs
from scipy import sparse

from hashers import packing
from hashers.kernels import hamming

__all__ = ["Relevance", "count", "pack_codes", "stable_scores", "stable_tables", "weighted_counts"]


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


def _as_labels(y, name, n, side):
    """Labels as a plain array of one or two dimensions with `n` rows."""
    array = y.toarray() if sparse.issparse(y) else np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name} must be (n,) labels or (n, L) 0/1 label sets: its shape is {np.shape(array)}. "
            "Pass one label or one row of flags per item."
        )
    if array.shape[0] != n:
        raise ValueError(f"{name} has {array.shape[0]} rows and B_{side} has {n}: one label or label set per code.")
    return array


def _check_no_nan(array, name):
    missing = array != array  # true for NaN and NaT, whatever the dtype
    if array.dtype == object:
        missing = np.array([bool(v is None or v != v) for v in array.ravel()]).reshape(array.shape)
    if np.any(missing):
        place = tuple(int(p) for p in np.argwhere(missing)[0])
        raise ValueError(f"{name} holds a missing value (NaN or None) at {place}. Drop these items before measuring.")


def _check_known(array, name, unlabeled):
    """Refuse items whose label is unknown: whether they are relevant cannot be told."""
    if unlabeled is None or (array.dtype.kind not in "iufO" and not isinstance(unlabeled, str)):
        return
    unknown = np.asarray(array == unlabeled)
    if unknown.any():
        values = set(np.unique(array).tolist()) if array.dtype != object else set(array.tolist())
        binary = values <= {-1, 1}
        raise ValueError(
            f"{name} has {int(unknown.sum())} labels equal to {unlabeled!r}, first at {int(np.argmax(unknown))}, which "
            "marks an unknown label. "
            + (
                f"If {unlabeled!r} is a class, pass unlabeled=None."
                if binary
                else f"Drop these items, or pass unlabeled=None if {unlabeled!r} is a class."
            )
        )


class Relevance:
    """Who is relevant to whom: equal class, or labels in common.

    Parameters
    ----------
    y_query, y_database : array-like of shape (n,) or (n, L)
        Labels of any comparable kind, or 0/1 label sets.
    n_query, n_database : int
        Expected numbers of items.
    unlabeled : object
        Label that means unknown; its presence is an error. None switches the check off.

    Attributes
    ----------
    is_set : bool
        Whether labels are sets.
    n_levels : int
        Relevance takes the values 0..n_levels - 1: 2 for classes, shared labels + 1 for sets.
    query, database : ndarray
        int64 class numbers, shape (n,), or uint64 bit masks of label sets, shape (n, ceil(L / 64)).
    """

    def __init__(self, y_query, y_database, n_query, n_database, unlabeled=-1):
        query = _as_labels(y_query, "y_query", n_query, "query")
        database = _as_labels(y_database, "y_database", n_database, "database")
        if query.ndim != database.ndim or query.shape[1:] != database.shape[1:]:
            raise ValueError(
                f"y_query has shape {query.shape} and y_database {database.shape}: both must be (n,) labels or both "
                "(n, L) label sets over the same L labels."
            )
        for array, name in ((query, "y_query"), (database, "y_database")):
            _check_no_nan(array, name)
        self.is_set = query.ndim == 2
        if self.is_set:
            self.query, query_size = self._masks(query, "y_query")
            self.database, database_size = self._masks(database, "y_database")
            self.n_levels = int(min(query_size, database_size)) + 1
            return
        for array, name in ((query, "y_query"), (database, "y_database")):
            _check_known(array, name, unlabeled)
        if (query.dtype.kind in "US") != (database.dtype.kind in "US") and object not in (query.dtype, database.dtype):
            raise ValueError(
                f"y_query has dtype {query.dtype} and y_database {database.dtype}: labels of one kind needed."
            )
        try:
            self.classes, codes = np.unique(np.concatenate([query, database]), return_inverse=True)
        except TypeError as error:
            raise ValueError(f"labels cannot be compared with each other: {error}. Use one type of label.") from error
        codes = codes.reshape(-1).astype(np.int64)
        self.query, self.database = codes[:n_query], codes[n_query:]
        self.n_levels = 2

    @staticmethod
    def _masks(Y, name):
        if Y.dtype.kind not in "biuf":
            raise ValueError(f"{name} has dtype {Y.dtype}: label sets are 0/1 flags.")
        wrong = (Y != 0) & (Y != 1)
        if wrong.any():
            row, column = (int(p) for p in np.argwhere(wrong)[0])
            raise ValueError(
                f"{name} must hold 0 and 1 only: {Y[row, column]} at ({row}, {column}). "
                "Pass (n,) labels if each item has one class."
            )
        if Y.shape[1] == 0:
            raise ValueError(f"{name} has no labels: its shape is {Y.shape}.")
        flags = Y.astype(bool)
        return packing.to_words(np.packbits(flags, axis=1, bitorder="little")), flags.sum(axis=1).max()

    def levels(self, a):
        """Relevance of every database item to query `a`; shape (n_database,), int64."""
        if self.is_set:
            shared = np.empty(len(self.database), np.int64)
            hamming.shared_labels(self.query[a], self.database, shared)
            return shared
        return (self.database == self.query[a]).astype(np.int64)


def _for_blocks(function, n, n_jobs):
    """Call ``function(start, stop)`` over blocks of queries; in threads where asked for."""
    workers = min(effective_n_jobs(n_jobs), n)
    if workers <= 1:
        return [function(0, n)]
    edges = np.linspace(0, n, min(n, 4 * workers) + 1).astype(int)
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, edges[:-1], edges[1:]))


def count(query, database, n_bits, relevance, n_jobs=None):
    """Count database items by distance and relevance for every query.

    Parameters
    ----------
    query, database : ndarray of shape (n, n_bytes), uint8
        Packed codes.
    n_bits : int
    relevance : Relevance
    n_jobs : int, optional
        Threads over blocks of queries.

    Returns
    -------
    counts : ndarray of shape (n_query, n_bits + 1, n_levels), int64
    """
    query, database = packing.to_words(query), packing.to_words(database)
    counts = np.zeros((len(query), n_bits + 1, relevance.n_levels), np.int64)
    if relevance.is_set:

        def run(start, stop):
            part = slice(start, stop)
            hamming.count_label_sets(query[part], relevance.query[part], database, relevance.database, counts[part])

    else:
        order = np.argsort(relevance.database, kind="stable")
        sizes = np.bincount(relevance.database, minlength=len(relevance.classes))
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        database = np.ascontiguousarray(database[order])

        def run(start, stop):
            part = slice(start, stop)
            hamming.count_classes(query[part], relevance.query[part], database, starts, counts[part])

    _for_blocks(run, len(query), n_jobs)
    return counts


def stable_scores(query, database, relevance, k=None, gains=None, n_jobs=None):
    """Score every query with ties broken by database order, in two passes over the database and no sort.

    Parameters
    ----------
    query, database : ndarray of shape (n, n_bytes), uint8
        Packed codes.
    relevance : Relevance
    k : int, optional
        Only the first `k` ranks count.
    gains : ndarray of shape (n_levels,), optional
        Gain of each relevance level; 0/1 when left out.
    n_jobs : int, optional
        Threads over blocks of queries.

    Returns
    -------
    sums : ndarray of shape (n_query, 3), float64
        Sum of the precisions at relevant ranks, relevant items, discounted gain, all within the first `k` ranks.
    level_totals : ndarray of shape (n_query, n_levels), int64
        Database items of each relevance level.
    """
    query, database = packing.to_words(query), packing.to_words(database)
    limit, gains, discounts = stable_tables(len(database), relevance, k, gains)
    sums = np.zeros((len(query), 3))
    level_totals = np.zeros((len(query), relevance.n_levels), np.int64)
    kernel = hamming.stable_label_sets if relevance.is_set else hamming.stable_classes

    def run(start, stop):
        part = slice(start, stop)
        labels = relevance.query[part], database, relevance.database
        kernel(query[part], *labels, limit, gains, discounts, sums[part], level_totals[part])

    _for_blocks(run, len(query), n_jobs)
    return sums, level_totals


def stable_tables(n_database, relevance, k=None, gains=None):
    """Rank limit, gain of each level and discount of each rank, as the kernels take them."""
    discounts = np.zeros(n_database + 1)
    discounts[1:] = 1.0 / np.log2(np.arange(2, n_database + 2))
    gains = np.arange(relevance.n_levels) > 0 if gains is None else gains
    return n_database if k is None else int(k), np.asarray(gains, dtype=float), discounts


def weighted_counts(query, database, n_bits, relevance, weights, visit, n_jobs=None):
    """Rank the database by weighted Hamming distance, one query at a time.

    Parameters
    ----------
    query, database : ndarray of shape (n, n_bytes), uint8
        Packed codes.
    n_bits : int
    relevance : Relevance
    weights : array-like of shape (n_bits,)
        Distance that a differing bit adds; finite, negative ones allowed.
    visit : callable
        ``visit(counts, group, level)`` gets the counts (1, n_groups, n_levels) of one query, the distance rank and the
        relevance level of each database item, each (n,) int64; what it returns is collected.
    n_jobs : int, optional
        Threads over blocks of queries.

    Returns
    -------
    results : list
        What `visit` returned, by query.

    Notes
    -----
    O(n + m log m) a query, m distinct database codes. Distances that differ by less than 1e-12 of the sum of absolute
    weights are a tie: sums of the same weights in another order agree to that.
    """
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (n_bits,):
        raise ValueError(f"weights must have shape ({n_bits},), one per bit: its shape is {weights.shape}.")
    if not np.isfinite(weights).all():
        k = int(np.argmax(~np.isfinite(weights)))
        raise ValueError(f"weights must be finite: {weights[k]} at bit {k}. Use 0 to leave a bit out.")
    padded = np.zeros(8 * database.shape[1])
    padded[:n_bits] = weights
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(float)
    table = np.ascontiguousarray(padded.reshape(-1, 8) @ bits.T)
    distinct, inverse = np.unique(database, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    tolerance = 1e-12 * np.abs(weights).sum()

    def run(start, stop):
        results = []
        distances = np.empty(len(distinct))
        rank = np.empty(len(distinct), np.int64)
        for a in range(start, stop):
            hamming.weighted_distances(query[a], distinct, table, distances)
            order = np.argsort(distances)
            rank[order] = np.concatenate([[0], np.cumsum(np.diff(distances[order]) > tolerance)])
            group, level = rank[inverse], relevance.levels(a)
            n_groups, n_levels = int(rank[order[-1]]) + 1, relevance.n_levels
            counts = np.bincount(group * n_levels + level, minlength=n_groups * n_levels)
            results.append(visit(counts.reshape(1, n_groups, n_levels), group, level))
        return results

    return [result for block in _for_blocks(run, len(query), n_jobs) for result in block]

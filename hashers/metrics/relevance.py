"""Who is relevant to whom: labels and label sets, validated, as class numbers or bit masks."""

import numpy as np
from scipy import sparse

from hashers import packing
from hashers.kernels import ranking

__all__ = ["Relevance", "distinct_rows"]

BLOCK = 2**22
"""Flags of label sets looked at together."""


def _as_labels(y, name, n):
    """Labels as a plain array of one or two dimensions with `n` rows."""
    array = sparse.csr_array(y) if sparse.issparse(y) else np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = (array.toarray() if sparse.issparse(array) else array)[:, 0]
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name} must be (n,) labels or (n, L) 0/1 label sets: its shape is {np.shape(array)}. "
            "Pass one label or one row of flags per item."
        )
    if array.shape[0] != n:
        codes = "B" + name.removeprefix("y")
        raise ValueError(f"{name} has {array.shape[0]} rows and {codes} has {n}: one label or label set per code.")
    return array


def _check_no_nan(array, name):
    if sparse.issparse(array):
        array = array.data
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
    names : tuple of str
        What to call the two sides in a message.

    Attributes
    ----------
    is_set : bool
        Whether labels are sets.
    n_levels : int
        Relevance takes the values 0..n_levels - 1: 2 for classes, shared labels + 1 for sets.
    query : ndarray
        int64 class numbers, shape (n,), or uint64 bit masks of label sets, shape (n, ceil(L / 64)).
    database : ndarray of shape (n,), int64
        Class numbers, or positions in `sets`.
    sets : ndarray of shape (n_sets, ceil(L / 64)), uint64
        Bit masks of the distinct label sets of the database; with label sets only.
    """

    def __init__(self, y_query, y_database, n_query, n_database, unlabeled=-1, names=("y_query", "y_database")):
        query = _as_labels(y_query, names[0], n_query)
        database = _as_labels(y_database, names[1], n_database)
        if query.ndim != database.ndim or query.shape[1:] != database.shape[1:]:
            raise ValueError(
                f"y_query has shape {query.shape} and y_database {database.shape}: both must be (n,) labels or both "
                "(n, L) label sets over the same L labels."
            )
        for array, name in zip((query, database), names):
            _check_no_nan(array, name)
        self.is_set = query.ndim == 2
        if self.is_set:
            self.query, query_size = self._masks(query, names[0])
            masks, database_size = self._masks(database, names[1])
            self.sets, self.database = distinct_rows(masks)
            self.n_levels = min(query_size, database_size) + 1
            return
        for array, name in zip((query, database), names):
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
        """Label sets as bit masks, and the size of the largest set; blocks of rows, so that no dense copy is made."""
        if Y.dtype.kind not in "biuf":
            raise ValueError(f"{name} has dtype {Y.dtype}: label sets are 0/1 flags.")
        n, n_labels = Y.shape
        if n_labels == 0:
            raise ValueError(f"{name} has no labels: its shape is {Y.shape}.")
        masks, largest = np.empty((n, -(-n_labels // 64)), np.uint64), 0
        step = max(1, BLOCK // n_labels)
        for start in range(0, n, step):
            block = Y[start : start + step]
            block = block.toarray() if sparse.issparse(block) else block
            flags = block.astype(bool)
            if Y.dtype != bool and not np.array_equal(flags, block):
                row, column = (int(p) for p in np.argwhere(flags != block)[0])
                raise ValueError(
                    f"{name} must hold 0 and 1 only: {block[row, column]} at ({start + row}, {column}). "
                    "Pass (n,) labels if each item has one class."
                )
            masks[start : start + step] = packing.to_words(np.packbits(flags, axis=1, bitorder="little"))
            largest = max(largest, int(flags.sum(axis=1).max()))
        return masks, largest

    def levels(self, a):
        """Relevance of every database item to query `a`; shape (n_database,), int64."""
        if self.is_set:
            shared = np.empty(len(self.sets), np.int64)
            ranking.shared_labels(self.query[a], self.sets, shared)
            return shared[self.database]
        return (self.database == self.query[a]).astype(np.int64)


def distinct_rows(masks):
    """Distinct rows of uint64 words, and the place of each row among them."""
    words = np.ascontiguousarray(masks)
    keys = words[:, 0] if words.shape[1] == 1 else words.view(f"V{8 * words.shape[1]}")[:, 0]
    first, place = np.unique(keys, return_index=True, return_inverse=True)[1:]
    return words[first], place.reshape(-1).astype(np.int64)

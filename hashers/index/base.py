"""What every index shares: codes and ids checked once, queries in either form, results with ids."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

from hashers import packing

__all__ = ["Index", "Neighbors", "Ranked", "Within", "check_ids", "packed_codes"]


class Neighbors(NamedTuple):
    """The nearest items of each query.

    Attributes
    ----------
    distances : ndarray of shape (n_query, k), int32
        Hamming distances in bits, rising along a row.
    ids : ndarray of shape (n_query, k), int64
        -1, with distance -1, where an approximate index found fewer than k.
    """

    distances: np.ndarray
    ids: np.ndarray


class Ranked(NamedTuple):
    """The best items of each real-valued query.

    Attributes
    ----------
    scores : ndarray of shape (n_query, k), float64
        sum_k m_k b_k, falling along a row.
    ids : ndarray of shape (n_query, k), int64
    """

    scores: np.ndarray
    ids: np.ndarray


class Within(NamedTuple):
    """The items within a radius of each query; those of query a are ``ids[offsets[a]:offsets[a + 1]]``.

    Attributes
    ----------
    offsets : ndarray of shape (n_query + 1,), int64
    distances : ndarray of shape (m,), int32
        Rising within a query.
    ids : ndarray of shape (m,), int64
    """

    offsets: np.ndarray
    distances: np.ndarray
    ids: np.ndarray


def packed_codes(codes, n_bits=None, name="codes"):
    """Validate codes in either form and return them packed.

    Parameters
    ----------
    codes : array-like of shape (n, n_bits) in {-1, +1}, or (n, ceil(n_bits / 8)) uint8 with `n_bits`
    n_bits : int, optional
        Code length; needed for packed bytes, checked for others.
    name : str
        What to call the array in a message.

    Returns
    -------
    packed : ndarray of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int

    Raises
    ------
    ValueError
        If the codes have another length, hold other values, or are empty.
    """
    codes = np.asarray(codes)
    if n_bits is not None and codes.dtype == np.uint8:  # uint8 holds no -1, so these are bytes
        return packing.check_packed(codes, n_bits, name), int(n_bits)
    packed = packing.pack(packing.check_codes(codes, name))
    if n_bits is not None and codes.shape[1] != n_bits:
        raise ValueError(f"{name} has {codes.shape[1]} bits, {n_bits} are expected: codes of one hasher are needed.")
    return packed, codes.shape[1]


def check_ids(ids, n):
    """Validate ids and return a copy of them as int64; None stays None, which means positions."""
    if ids is None:
        return None
    array = np.asarray(ids)
    if array.shape != (n,):
        raise ValueError(f"ids must have shape ({n},), one per code: its shape is {array.shape}.")
    if array.dtype.kind not in "iu":
        raise ValueError(f"ids must be integers: the dtype is {array.dtype}. Keep other keys beside, by position.")
    if array.dtype == np.uint64 and (array > np.iinfo(np.int64).max).any():
        raise ValueError("ids must fit in int64: some exceed 2**63 - 1.")
    return array.astype(np.int64)


class Index(ABC):
    """Base of all indexes over binary codes.

    Parameters
    ----------
    n : int
        Codes.
    n_bits : int
    ids : ndarray of shape (n,), int64, or None
        None numbers the codes by position.

    Attributes
    ----------
    n_bits : int
        Code length.
    """

    def __init__(self, n, n_bits, ids):
        self._n, self.n_bits, self._ids = int(n), int(n_bits), ids

    def __len__(self):
        return self._n

    def __repr__(self):
        return f"{type(self).__name__}({self._n} codes of {self.n_bits} bits)"

    @property
    def ids(self):
        """Id of each code, in database order; shape (n,), int64."""
        return np.arange(self._n, dtype=np.int64) if self._ids is None else self._ids.copy()

    @abstractmethod
    def search(self, queries, k=10, asymmetric=False) -> Any:
        """Find the `k` nearest codes of each query."""

    def within(self, queries, radius) -> Any:
        """Find the codes within a Hamming radius of each query."""
        raise ValueError(f"{type(self).__name__} has no search by radius. Use BinaryIndex.")

    def _refuse_asymmetric(self, asymmetric):
        if asymmetric:
            raise ValueError(f"{type(self).__name__} compares codes only: no real-valued queries. Use BinaryIndex.")

    def _packed_queries(self, queries):
        """Packed queries (n_query, n_bytes); no queries are fine."""
        queries = np.asarray(queries)
        if queries.ndim == 2 and queries.shape[0] == 0:
            width = -(-self.n_bits // 8) if queries.dtype == np.uint8 else self.n_bits
            if queries.shape[1] != width:
                raise ValueError(f"queries have {queries.shape[1]} columns, {width} are expected.")
            return np.empty((0, -(-self.n_bits // 8)), np.uint8)
        return packed_codes(queries, self.n_bits, "queries")[0]

    def _check_k(self, k):
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ValueError(f"k must be a positive integer: {k!r}.")
        if k > self._n:
            raise ValueError(f"k={k}, but the index holds {self._n} codes. Pass k=min(k, len(index)).")
        return int(k)

    def _check_radius(self, radius):
        if isinstance(radius, bool) or not isinstance(radius, int | np.integer) or radius < 0:
            raise ValueError(f"radius must be an integer of at least 0, in bits, inclusive: {radius!r}.")
        return min(int(radius), self.n_bits)

    def _named(self, positions):
        """Ids of positions; -1 stays."""
        if self._ids is None:
            return positions
        return np.where(positions < 0, np.int64(-1), self._ids[positions])

"""Indexes of faiss and usearch over binary codes, with ids, behind the same calls as our exact one.

Both libraries are imported on use (extra ``index``). faiss: Douze et al., "The Faiss library", 2024; its graph index
and that of usearch follow Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
hierarchical navigable small world graphs", 2018.
"""

from typing import Any

import numpy as np
from joblib import effective_n_jobs
from threadpoolctl import threadpool_limits

from bqp.errors import BackendNotFound
from hashers.index.base import Index, Neighbors, Within, check_ids, packed_codes
from hashers.index.exact import BinaryIndex

__all__ = ["FaissIndex", "UsearchIndex", "build_index"]

KINDS = ("exact", "faiss-flat", "faiss-ivf", "faiss-hnsw", "faiss-hash", "usearch")


def build_index(codes, kind="exact", n_bits=None, ids=None, n_jobs=None, **settings):
    """Build an index of any kind.

    Parameters
    ----------
    codes : array-like of shape (n, n_bits), or (n, ceil(n_bits / 8)) uint8 with `n_bits`
    kind : {"exact", "faiss-flat", "faiss-ivf", "faiss-hnsw", "faiss-hash", "usearch"}
        "exact" and "faiss-flat" find the true neighbours, the others trade recall for time.
    n_bits : int, optional
        Code length; needed for packed codes.
    ids : array-like of shape (n,), int, optional
    n_jobs : int, optional
        Threads.
    **settings
        Of `FaissIndex` or `UsearchIndex`.

    Returns
    -------
    index : BinaryIndex, FaissIndex or UsearchIndex

    Raises
    ------
    ValueError
        If the kind or a setting is unknown.
    BackendNotFound
        If the library is not installed.

    Examples
    --------
    >>> build_index([[1, 1], [-1, 1]], ids=[5, 6]).search([[-1, 1]], k=1).ids
    array([[6]])
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r} of index. Known are {', '.join(KINDS)}.")
    if kind == "exact":
        if settings:
            raise ValueError(f'kind "exact" takes no settings: {", ".join(settings)}.')
        return BinaryIndex(codes, n_bits=n_bits, ids=ids, n_jobs=n_jobs)
    if kind == "usearch":
        return UsearchIndex(codes, n_bits=n_bits, ids=ids, n_jobs=n_jobs, **settings)
    return FaissIndex(codes, kind=kind.removeprefix("faiss-"), n_bits=n_bits, ids=ids, n_jobs=n_jobs, **settings)


class FaissIndex(Index):
    """faiss's binary indexes.

    Parameters
    ----------
    codes : array-like of shape (n, n_bits), or (n, ceil(n_bits / 8)) uint8 with `n_bits`
        Padded with zero bits to whole bytes, which changes no distance.
    kind : {"flat", "ivf", "hnsw", "hash"}
        "flat" is exact; "ivf" looks at the codes nearest to the nearest of `n_lists` centres; "hnsw" walks a graph;
        "hash" looks at the codes that agree with the query in the first `n_hash_bits` bits but for `n_flips`.
    n_bits : int, optional
        Code length; needed for packed codes.
    ids : array-like of shape (n,), int, optional
        Any int64, repeats allowed; positions by default.
    n_jobs : int, optional
        Threads of faiss. The graph of "hnsw" depends on it.
    n_lists : int, optional
        "ivf": lists; about ``4 sqrt(n)`` by default, at most a 39th of the codes.
    n_probes : int
        "ivf": lists looked at.
    connectivity, expansion_add, expansion_search : int
        "hnsw": links of a node, candidates while building and while searching.
    n_hash_bits : int, optional
        "hash": bits of a bucket; ``log2(n / 4)`` by default, at most n_bits.
    n_flips : int
        "hash": bits of the bucket that may differ.

    Attributes
    ----------
    index : faiss.IndexBinary
        faiss's object; its labels are positions.

    Raises
    ------
    ValueError
        If codes or ids are not as told, or the kind is unknown.
    BackendNotFound
        If faiss is not installed.

    Notes
    -----
    Results are ordered by distance, then database order; which items of the last distance come is faiss's choice.
    """

    def __init__(
        self,
        codes,
        kind="flat",
        n_bits=None,
        ids=None,
        n_jobs=None,
        n_lists=None,
        n_probes=8,
        connectivity=16,
        expansion_add=128,
        expansion_search=64,
        n_hash_bits=None,
        n_flips=1,
    ):
        packed, n_bits = packed_codes(codes, n_bits)
        super().__init__(len(packed), n_bits, check_ids(ids, len(packed)))
        self.kind, self.n_jobs = kind, n_jobs
        n, dimension = len(packed), 8 * packed.shape[1]
        faiss = _faiss()
        if kind == "flat":
            index = faiss.IndexBinaryFlat(dimension)
        elif kind == "ivf":
            most = max(1, n // 39)  # faiss warns of lists with fewer training codes
            n_lists = min(round(4 * n**0.5), most) if n_lists is None else _count(n_lists, "n_lists", n)
            self._quantizer = faiss.IndexBinaryFlat(dimension)
            index = faiss.IndexBinaryIVF(self._quantizer, dimension, n_lists)
            index.nprobe = min(n_lists, _count(n_probes, "n_probes"))
        elif kind == "hnsw":
            index = faiss.IndexBinaryHNSW(dimension, _count(connectivity, "connectivity"))
            index.hnsw.efConstruction = _count(expansion_add, "expansion_add")
            index.hnsw.efSearch = _count(expansion_search, "expansion_search")
        elif kind == "hash":
            default = max(1, int(np.log2(max(2, n / 4))))
            bits = min(default, n_bits) if n_hash_bits is None else _count(n_hash_bits, "n_hash_bits", min(n_bits, 62))
            index = faiss.IndexBinaryHash(dimension, bits)
            index.nflip = min(bits, _count(n_flips, "n_flips", least=0))
        else:
            raise ValueError(f'kind must be "flat", "ivf", "hnsw" or "hash": {kind!r}.')
        self.index: Any = index
        with threadpool_limits(effective_n_jobs(n_jobs), user_api="openmp"):
            if kind == "ivf":
                index.train(packed)
            index.add(packed)

    def search(self, queries, k=10, asymmetric=False):
        """Find the nearest `k` codes of each query; see `BinaryIndex.search`."""
        self._refuse_asymmetric(asymmetric)
        k = self._check_k(k)
        queries = self._packed_queries(queries)
        if len(queries) == 0:
            return Neighbors(np.empty((0, k), np.int32), np.empty((0, k), np.int64))
        with threadpool_limits(effective_n_jobs(self.n_jobs), user_api="openmp"):
            distances, positions = self.index.search(queries, k)
        return Neighbors(*_ordered(self, distances, positions))

    def within(self, queries, radius):
        """Find the codes within a Hamming radius; see `BinaryIndex.within`. Kind "hnsw" cannot."""
        radius = self._check_radius(radius)
        if self.kind == "hnsw":
            raise ValueError('kind "hnsw" has no search by radius in faiss. Use "flat", or BinaryIndex.')
        queries = self._packed_queries(queries)
        if len(queries) == 0:
            return Within(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))
        with threadpool_limits(effective_n_jobs(self.n_jobs), user_api="openmp"):
            offsets, distances, positions = self.index.range_search(queries, radius + 1)  # faiss excludes the radius
        owner = np.repeat(np.arange(len(queries)), np.diff(offsets.astype(np.int64)))
        order = np.lexsort((positions, distances, owner))
        return Within(offsets.astype(np.int64), distances[order].astype(np.int32), self._named(positions[order]))


class UsearchIndex(Index):
    """usearch's graph index over binary codes.

    Parameters
    ----------
    codes : array-like of shape (n, n_bits), or (n, ceil(n_bits / 8)) uint8 with `n_bits`
    n_bits : int, optional
        Code length; needed for packed codes.
    ids : array-like of shape (n,), int, optional
        Any int64, repeats allowed; positions by default.
    n_jobs : int, optional
        Threads of usearch. The graph depends on it.
    connectivity, expansion_add, expansion_search : int
        Links of a node, candidates while building and while searching.

    Attributes
    ----------
    index : usearch.index.Index
        usearch's object; its keys are positions.

    Raises
    ------
    ValueError
        If codes or ids are not as told.
    BackendNotFound
        If usearch is not installed.

    Notes
    -----
    Approximate. Results are ordered by distance, then database order.
    """

    def __init__(
        self, codes, n_bits=None, ids=None, n_jobs=None, connectivity=16, expansion_add=128, expansion_search=64
    ):
        packed, n_bits = packed_codes(codes, n_bits)
        super().__init__(len(packed), n_bits, check_ids(ids, len(packed)))
        self.n_jobs = n_jobs
        usearch = _usearch()
        self.index: Any = usearch.Index(
            ndim=8 * packed.shape[1],
            metric="hamming",
            dtype="b1",
            connectivity=_count(connectivity, "connectivity", least=2),
            expansion_add=_count(expansion_add, "expansion_add"),
            expansion_search=_count(expansion_search, "expansion_search"),
        )
        self.index.add(np.arange(len(packed)), packed, threads=effective_n_jobs(n_jobs))

    def search(self, queries, k=10, asymmetric=False):
        """Find the nearest `k` codes of each query, approximately; see `BinaryIndex.search`."""
        self._refuse_asymmetric(asymmetric)
        k = self._check_k(k)
        queries = self._packed_queries(queries)
        distances, positions = np.full((len(queries), k), -1, np.int32), np.full((len(queries), k), -1, np.int64)
        if len(queries):
            twice = np.concatenate([queries, queries]) if len(queries) == 1 else queries  # a batch, whatever the number
            found = self.index.search(twice, k, threads=effective_n_jobs(self.n_jobs))
            for a in range(len(queries)):
                count = int(found.counts[a])
                distances[a, :count] = found.distances[a, :count]
                positions[a, :count] = found.keys[a, :count]
        return Neighbors(*_ordered(self, distances, positions))


def _ordered(index, distances, positions):
    """Rows by distance, then position; what was not found, last, as -1."""
    missing = positions < 0
    key = np.where(missing, np.iinfo(np.int32).max, distances)
    order = np.lexsort((positions, key), axis=1)
    distances = np.where(missing, -1, distances).astype(np.int32)
    return np.take_along_axis(distances, order, 1), index._named(np.take_along_axis(positions, order, 1))


def _count(value, name, most=None, least=1):
    """Validate a whole number of a setting."""
    good = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least
    if not good or (most is not None and value > most):
        limits = f"of at least {least}" + ("" if most is None else f" and at most {most}")
        raise ValueError(f"{name} must be an integer {limits}: {value!r}.")
    return int(value)


def _faiss():
    try:
        import faiss
    except ImportError as error:
        raise BackendNotFound("faiss is not installed. Install the extra: pip install 'bqp[index]'.") from error
    return faiss


def _usearch():
    try:
        import usearch.index
    except ImportError as error:
        raise BackendNotFound("usearch is not installed. Install the extra: pip install 'bqp[index]'.") from error
    return usearch.index

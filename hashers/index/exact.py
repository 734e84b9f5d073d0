"""Exact search by popcounts, without any library: the nearest k, a radius, and real-valued queries.

Asymmetric distances follow Gordo, Perronnin, Gong and Lazebnik, "Asymmetric distances for binary embeddings", IEEE
Transactions on Pattern Analysis and Machine Intelligence 36(1), 2014: the query is not rounded to bits.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from joblib import effective_n_jobs

from hashers import packing
from hashers.index.base import Index, Neighbors, Ranked, Within, check_ids, packed_codes
from hashers.index.files import load_codes, save_codes
from hashers.kernels import search as kernels

__all__ = ["BinaryIndex"]

BLOCK = 2**20
"""Words of the database that one kernel call passes over: 8 MiB."""

QUERIES = 64
"""Queries that one kernel call takes: with `BLOCK`, a call lasts about 30 ms."""

STATE = 256 * 2**20
"""Bytes of search state held at once; more queries are answered in batches, each of which passes over the codes."""

LARGEST = 1e300
"""Sums of margins up to this size leave room for bounds."""


class BinaryIndex(Index):
    """Exact search in binary codes.

    Parameters
    ----------
    codes : array-like of shape (n, n_bits), or (n, ceil(n_bits / 8)) uint8 with `n_bits`
        Codes in {-1, +1}, or packed (see `hashers.packing`). Copied, except for a read-only memory map, which is read
        block by block at each search, so that it may exceed memory.
    n_bits : int, optional
        Code length; needed for packed codes.
    ids : array-like of shape (n,), int, optional
        What `search` and `within` name the codes by; any int64, repeats allowed. Positions by default.
    n_jobs : int, optional
        Threads over queries; the answer does not depend on it.

    Raises
    ------
    ValueError
        If codes hold anything but -1 and +1 (or padding bits are set), are empty, or ids do not fit.

    Notes
    -----
    Ties: items at equal distance, or of equal score, keep the order of the database.

    Time O(n_query n n_bits / 64): one popcount a word (about 0.4 ns), no sort; the k nearest are selected by counting
    distances. Memory ``8 n ceil(n_bits / 64)`` bytes for codes in memory, up to 256 MiB while searching beyond the
    result. Of a memory map 8 MiB are touched at a time; it is read once per batch of queries (one batch for up to
    10,000 queries at k = 1,000).

    Examples
    --------
    >>> index = BinaryIndex([[1, 1, 1], [1, 1, -1], [-1, -1, -1]], ids=[30, 10, 20])
    >>> index.search([[1, 1, 1]], k=2)
    Neighbors(distances=array([[0, 1]], dtype=int32), ids=array([[30, 10]]))
    >>> index.within([[1, 1, -1], [-1, -1, 1]], radius=1)
    Within(offsets=array([0, 2, 3]), distances=array([0, 1, 1], dtype=int32), ids=array([10, 30, 20]))
    >>> index.search([[0.5, 0.1, -2.0]], k=2, asymmetric=True)
    Ranked(scores=array([[2.6, 1.4]]), ids=array([[10, 20]]))
    """

    def __init__(self, codes, n_bits=None, ids=None, n_jobs=None):
        mapped = isinstance(codes, np.memmap) and not codes.flags.writeable and n_bits is not None
        if mapped:
            for start in range(0, max(1, len(codes)), BLOCK):
                packing.check_packed(codes[start : start + BLOCK], n_bits, "codes")
            packed = np.asarray(codes)
        else:
            packed, n_bits = packed_codes(codes, n_bits)
        super().__init__(len(packed), n_bits, check_ids(ids, len(packed)))
        self._packed: Any = packed if mapped else None
        self._words: Any = None if mapped else _transposed_words(packed, copy=True)
        self.n_jobs = n_jobs

    @classmethod
    def open(cls, path, mmap=True, verify=True, n_jobs=None):
        """Open a file of codes that `hashers.index.save_codes` or the command line wrote.

        Parameters
        ----------
        path : str or Path
            Packed file, or CODES.npz (which is read into memory).
        mmap : bool
            Whether the codes stay in the file.
        verify : bool
            Whether the checksum of the codes is compared, which reads the file once.
        n_jobs : int, optional

        Returns
        -------
        index : BinaryIndex

        Raises
        ------
        CodeFileError
            If the file is truncated, damaged, foreign or of an unknown version.
        """
        codes = load_codes(path, mmap=mmap, verify=verify)
        return cls(codes.packed, codes.n_bits, codes.ids, n_jobs=n_jobs)

    def save(self, path):
        """Write codes and ids to a packed file, or to an npz file where the name ends in ``.npz``."""
        save_codes(path, self.packed, n_bits=self.n_bits, ids=self._ids)

    @property
    def packed(self):
        """Packed codes in database order; shape (n, ceil(n_bits / 8)), uint8."""
        if self._packed is not None:
            return self._packed
        words = np.ascontiguousarray(self._words.T).astype("<u8", copy=False)
        return np.ascontiguousarray(words.view(np.uint8)[:, : -(-self.n_bits // 8)])

    def search(self, queries, k=10, asymmetric=False):
        """Find the nearest, or the best scored, `k` codes of each query.

        Parameters
        ----------
        queries : array-like of shape (n_query, n_bits), or packed (n_query, ceil(n_bits / 8)) uint8
            Codes; with `asymmetric` the real margins of a hasher's `decision_function`.
        k : int
            At most the number of codes.
        asymmetric : bool
            Whether codes are ranked by ``sum_k m_k b_k``, which a bit near its threshold hardly changes. Margins of
            +-w_k rank by the Hamming distance with weights w_k.

        Returns
        -------
        result : Neighbors(distances, ids), or Ranked(scores, ids) with `asymmetric`
            Arrays of shape (n_query, k); ties in database order.

        Raises
        ------
        ValueError
            If queries have another length, hold other values, or k exceeds the number of codes.

        Notes
        -----
        Asymmetric: scores are sums over bytes of table entries in float64, and a table is looked up only for items that
        may enter the best k: four popcounts bound a score by the margins of the bits that differ, each rounded down to
        one of 16 levels. Three to four times the time of a search by distance. Order is by the sums as they come out:
        two codes whose scores differ by rounding alone come in the order of their last digits, while `hashers.metrics`
        takes scores within 1e-12 of the sum of absolute margins for a tie.
        """
        k = self._check_k(k)
        if asymmetric:
            return self._best(self._margins(queries), k)
        query = np.array(packing.to_words(self._packed_queries(queries)))
        distances = np.empty((len(query), k), np.int32)
        positions = np.empty((len(query), k), np.int64)
        capacity = 2 * k + 64
        for batch in _batches(len(query), 12 * capacity + 8 * (self.n_bits + 4)):
            chunks = []
            for part in _chunks(batch):
                size = part.stop - part.start
                state = np.zeros((size, 3), np.int64)
                state[:, 0] = self.n_bits + 1
                counts = np.zeros((size, self.n_bits + 1), np.int64)
                held = np.empty((size, capacity), np.int32), np.empty((size, capacity), np.int64)
                chunks.append((part, counts, state, *held))

            def visit(chunk, block):
                part, counts, state, distance, position = chunk
                words, start, stop, first = block
                scratch = self._scratch(self.n_bits)
                kernels.nearest(query[part], words, start, stop, first, k, scratch, counts, state, distance, position)

            def finish(chunk):
                part, counts, state, distance, position = chunk
                kernels.finish_nearest(k, counts, state, distance, position, distances[part], positions[part])

            self._pass_over(chunks, visit, finish)
        return Neighbors(distances, self._named(positions))

    def within(self, queries, radius):
        """Find all codes within a Hamming radius of each query.

        Parameters
        ----------
        queries : array-like of shape (n_query, n_bits), or packed (n_query, ceil(n_bits / 8)) uint8
        radius : int
            In bits, inclusive.

        Returns
        -------
        result : Within(offsets, distances, ids)
            By query, then by distance, then by database order. Memory grows with the number of hits.

        Raises
        ------
        ValueError
            If queries have another length or hold other values, or the radius is negative.
        """
        radius = self._check_radius(radius)
        query = np.array(packing.to_words(self._packed_queries(queries)))
        chunks = [(part, []) for part in _chunks(range(len(query)))]

        def visit(chunk, block):
            part, hits = chunk
            words, start, stop, first = block
            step, n_steps = 0, _n_tiles(words, start, stop) * (part.stop - part.start)
            capacity = 4 * kernels.TILE
            while step < n_steps:
                owner, distance = np.empty(capacity, np.int64), np.empty(capacity, np.int32)
                position, scratch = np.empty(capacity, np.int64), self._scratch(self.n_bits)
                step, used = kernels.within(
                    query[part], words, start, stop, first, radius, scratch, step, 0, owner, distance, position
                )
                hits.append([column[:used].copy() for column in (owner, distance, position)])
                capacity = min(2 * capacity, 64 * kernels.TILE)

        grouped = {}

        def finish(chunk):
            part, hits = chunk
            owner, distance, position = (np.concatenate(columns) for columns in zip(*hits))
            hits.clear()
            counts = np.zeros((part.stop - part.start, radius + 1), np.int64)
            distances, positions = np.empty_like(distance), np.empty_like(position)
            kernels.group_hits(owner, distance, position, counts, distances, positions)
            grouped[part.start] = np.diff(counts[:, -1], prepend=0), distances, positions

        self._pass_over(chunks, visit, finish)
        if not grouped:
            return Within(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))
        sizes, distances, positions = (np.concatenate(column) for column in zip(*(grouped[s] for s in sorted(grouped))))
        return Within(np.concatenate([[0], np.cumsum(sizes)]), distances, self._named(positions))

    def _best(self, margins, k):
        n_words = -(-self.n_bits // 64)
        scores = np.empty((len(margins), k))
        positions = np.empty((len(margins), k), np.int64)
        for batch in _batches(len(margins), 8 * (8 * n_words * 256 + 4 * n_words)):
            chunks = []
            for part in _chunks(batch):
                sign = packing.to_words(packing.pack(packing.signs(margins[part])))
                state = np.zeros((len(sign), 2), np.int64)
                state[:, 0] = 15 * self.n_bits + 1
                chunks.append((part, sign, *_levels(margins[part]), _byte_tables(margins[part], n_words), state))

            def visit(chunk, block):
                part, sign, mask, step, top, tables, state = chunk
                words, start, stop, first = block
                scratch = self._scratch(15 * self.n_bits)
                held = scores[part], positions[part]
                kernels.best(sign, mask, step, top, tables, words, start, stop, first, scratch, state, held[0], held[1])

            self._pass_over(chunks, visit, lambda chunk: kernels.finish_best(scores[chunk[0]], positions[chunk[0]]))
        return Ranked(scores, self._named(positions))

    def _margins(self, queries):
        margins = np.asarray(queries)
        if margins.dtype.kind not in "iuf" or margins.ndim != 2 or margins.shape[1] != self.n_bits:
            raise ValueError(
                f"asymmetric queries must be real margins of shape (n_query, {self.n_bits}): the shape is "
                f"{margins.shape}, the dtype {margins.dtype}. Pass hasher.decision_function(X)."
            )
        margins = margins.astype(np.float64)
        with np.errstate(over="ignore"):
            total = np.abs(margins).sum(axis=1)
        wrong = ~(total < LARGEST)
        if wrong.any():
            a = int(np.argmax(wrong))
            raise ValueError(
                f"the margins of query {a} hold NaN or infinity, or their sum exceeds {LARGEST:g}. "
                "Check its features, or scale the margins: the ranking stays."
            )
        return margins

    @staticmethod
    def _scratch(largest):
        return np.empty(kernels.CHUNK, np.uint16 if largest < 2**16 else np.int64)

    def _blocks(self):
        """Blocks of the database as the kernels take them: words, start and stop in them, position of item 0."""
        size = max(kernels.CHUNK, BLOCK // -(-self.n_bits // 64))
        for start in range(0, self._n, size):
            stop = min(start + size, self._n)
            if self._packed is None:
                yield self._words, start, stop, 0
            else:
                yield _transposed_words(self._packed[start:stop], copy=False), 0, stop - start, start

    def _pass_over(self, chunks, visit, finish):
        """Call ``visit(chunk, block)`` for each chunk of queries and block of the database, then `finish`."""
        workers = max(1, min(effective_n_jobs(self.n_jobs), len(chunks)))
        if workers == 1:
            for block in self._blocks():
                for chunk in chunks:
                    visit(chunk, block)
            for chunk in chunks:
                finish(chunk)
            return
        with ThreadPoolExecutor(workers) as pool:
            for block in self._blocks():
                list(pool.map(lambda chunk: visit(chunk, block), chunks))  # noqa: B023
            list(pool.map(finish, chunks))


def _transposed_words(packed, copy):
    """Words (n_words, n), contiguous along items; read only, as the words of a memory map are: one type for kernels."""
    words = packing.to_words(packed).T
    words = np.array(words, order="C") if copy else np.ascontiguousarray(words)
    words.flags.writeable = False
    return words


def _n_tiles(words, start, stop):
    """Tiles of a block, as the kernels cut it."""
    return -(-(stop - start) // max(kernels.CHUNK, kernels.TILE // len(words)))


def _batches(n_query, n_bytes):
    """Ranges of queries whose state, `n_bytes` each, fits in memory together; at least one query each."""
    size = max(1, STATE // n_bytes)
    size -= size % QUERIES if size > QUERIES else 0
    return [range(start, min(start + size, n_query)) for start in range(0, n_query, size)]


def _chunks(batch):
    """Slices of a range of queries, one kernel call each."""
    return [slice(start, min(start + QUERIES, batch.stop)) for start in range(batch.start, batch.stop, QUERIES)]


def _byte_tables(margins, n_words):
    """What each value of each byte of a code adds to the score; shape (n_query, 8 * n_words, 256)."""
    padded = np.zeros((len(margins), 64 * n_words))
    padded[:, : margins.shape[1]] = margins
    margin = padded.reshape(len(margins), 8 * n_words, 8, 1)
    table = np.zeros((len(margins), 8 * n_words, 1))
    for bit in range(8):  # the same sums for a query alone as among others, which a product does not promise
        table = np.concatenate([table - margin[:, :, bit], table + margin[:, :, bit]], axis=2)
    return table


def _levels(margins):
    """Sizes of margins rounded down to levels 0..15: their binary digits as packed masks, the step, the top score."""
    size = np.abs(margins)
    total = size.sum(axis=1)
    step = np.minimum(size.max(axis=1), 3 * size.mean(axis=1)) / 15
    level = np.minimum(15, np.floor(size / np.where(step > 0, step, 1)[:, None]))
    level = np.where(level * step[:, None] > size, level - 1, level).astype(np.uint8)
    digits = (level[:, None, :] >> np.arange(4, dtype=np.uint8)[:, None]) & 1
    packed = np.packbits(digits, axis=2, bitorder="little")
    mask = packing.to_words(packed.reshape(-1, packed.shape[2])).reshape(len(margins), 4, -1)
    slack = 16 * margins.shape[1] * np.finfo(np.float64).eps * total  # what sums of n_bits terms may lose
    return mask, step, total + slack

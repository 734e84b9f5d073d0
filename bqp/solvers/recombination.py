"""Children of several assignments: what all parents agree on is merged, and the rest annealed.

J. Houdayer, O. C. Martin, "Renormalization for discrete optimization", Physical Review Letters 83, 1999 (blocks of
spins that a population agrees on become one spin each); Z. Zhu, A. J. Ochoa, H. G. Katzgraber, "Efficient cluster
algorithm for spin glasses in any space dimension", Physical Review Letters 115, 2015 (two replicas exchange connected
clusters on which they differ); R. Tinós, D. Whitley, F. Chicano, "Partition crossover for pseudo-Boolean optimization",
FOGA 2015 (the best child of all choices of such clusters).

With two parents the merged problem is one over the connected clusters of agreement and disagreement, so its descent is
the partition crossover; with more parents the blocks are smaller and the merged problem is worth annealing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp

from bqp.solvers.walks import DenseStorage, SparseStorage, Storage, random_draws

__all__ = ["Recombination"]

_STRONG = 0.1  # of the largest entry of either row: pairs below it do not tie variables together
_MOST_ENTRIES = 20_000_000  # beyond, a merge costs more than it brings
_ANNEAL_VISITS = 4_000_000  # looked at before the clock is


class Recombination:
    """Anneal what several assignments do not agree on.

    Parameters
    ----------
    storage : DenseStorage or SparseStorage
        Of the problem; rows are used as CSR, 12 bytes a nonzero beside a dense storage.

    Notes
    -----
    Edges tie variables together if they are at least a tenth of the largest in one of their two rows: on problems whose
    couplings decay, groups follow the strong ones though every pair is coupled. A child costs O(n + nnz) and the
    annealing of the merged problem, in the number type of the storage where its sums are exact, else float64.
    """

    def __init__(self, storage: Storage):
        assert isinstance(storage, DenseStorage | SparseStorage)
        self.storage, self.n = storage, storage.n
        if isinstance(storage, DenseStorage):
            rows = sp.csr_array(storage.rows[:, : self.n])
            indptr, indices, data = rows.indptr, rows.indices, rows.data
        else:
            indptr, indices, data = storage.indptr, storage.indices, storage.data
        size = np.abs(data.astype(np.float64))
        c = storage.problem.c * (2.0 / storage.unit)
        whole = storage.dtype.kind == "i" and size.sum() + np.abs(c).sum() < 2.0**29
        self.dtype = np.dtype(np.int32 if whole else np.float64)
        self.big = self.dtype.type(2**30 if whole else 1e300)
        self.indptr, self.indices = indptr.astype(np.int32), indices.astype(np.int32)
        self.data, self.c = data.astype(self.dtype), c.astype(self.dtype)
        self.strong = self._strong_edges(size)

    @staticmethod
    def suits(storage: Storage) -> bool:
        """Whether the problem is written out and small enough to be merged."""
        if isinstance(storage, SparseStorage):
            return storage.n > 1 and len(storage.indices) <= _MOST_ENTRIES
        return isinstance(storage, DenseStorage) and storage.n > 1 and storage.n**2 <= _MOST_ENTRIES

    def _strong_edges(self, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = np.repeat(np.arange(self.n), np.diff(self.indptr))
        largest = np.zeros(self.n)
        np.maximum.at(largest, rows, size)
        kept = (size > 0) & (size >= _STRONG * np.minimum(largest[rows], largest[self.indices]))
        indptr = np.zeros(self.n + 1, np.int32)
        indptr[1:] = np.cumsum(np.bincount(rows[kept], minlength=self.n))
        return indptr, self.indices[kept]

    def merge(self, parents: Sequence[np.ndarray]) -> tuple[np.ndarray, int]:
        """Group of each variable, (n,) int32, and how many groups there are; up to 62 parents of shape (n,)."""
        from bqp.kernels.merging import agreeing_groups

        patterns = np.zeros(self.n, np.int64)
        for k, other in enumerate(parents[1:]):
            patterns |= (other != parents[0]).astype(np.int64) << k
        label, queue = np.empty(self.n, np.int32), np.empty(self.n, np.int32)
        return label, int(agreeing_groups(*self.strong, patterns, label, queue))

    def merged(self, x: np.ndarray, label: np.ndarray, n_groups: int):
        """(indptr, indices, data, c) of the problem over groups, +1 everywhere standing for x; in its unit."""
        from bqp.kernels.merging import merged_rows

        indptr, c = np.empty(n_groups + 1, np.int32), np.empty(n_groups, self.dtype)
        indices, data = np.empty_like(self.indices), np.empty_like(self.data)
        scratch = np.empty(self.n, np.int32), np.empty(n_groups, np.int32)
        end = merged_rows(
            self.indptr, self.indices, self.data, x, self.c, label, indptr, indices, data, c, *scratch
        )  # fmt: skip
        return indptr, indices[:end], data[:end], c

    def child(
        self,
        parents: Sequence[np.ndarray],
        temperatures: np.ndarray,
        rng: np.random.Generator,
        limit: int,
        abort: Callable[[], bool],
        made: list[int],
    ) -> np.ndarray:
        """Anneal the merged problem from the first parent; returns an assignment, not yet a local optimum.

        Parameters
        ----------
        parents : sequence of ndarray of shape (n,), int8
            Spins; the child starts at the first.
        temperatures : ndarray of float64, units of energy
            One a sweep.
        limit, abort, made
            ``made[0]`` counts the moves (flips of groups), up to `limit`; the sweeps end early if ``abort()``.
        """
        from bqp.kernels.annealing import BLOCK, anneal_sparse

        label, n_groups = self.merge(parents)
        if n_groups < 2:
            return parents[0].copy()
        indptr, indices, data, c = self.merged(parents[0], label, n_groups)
        shape = (-(-n_groups // BLOCK), BLOCK)
        y, field = np.full(shape, -1, self.dtype), np.full(shape, self.big)
        y.ravel()[:n_groups] = 1
        rows = np.repeat(np.arange(n_groups), np.diff(indptr))
        sums = np.bincount(rows, data.astype(np.float64), minlength=n_groups)
        field.ravel()[:n_groups] = (sums + c).astype(self.dtype)
        draws = random_draws(self.dtype)
        scaled = (temperatures / self.storage.unit).astype(draws.dtype)
        state, energy = np.array([rng.integers(1, 2**62) | 1], dtype=np.int64), np.zeros(1)
        chunk, sweep = max(1, _ANNEAL_VISITS // n_groups), 0
        while sweep < len(scaled) and made[0] < limit and not abort():
            sweep, moves = anneal_sparse(
                indptr, indices, data, y, field, scaled, sweep, min(len(scaled), sweep + chunk), draws,
                limit - made[0], state, energy,
            )  # fmt: skip
            made[0] += int(moves)
        return (parents[0] * y.ravel()[label].astype(np.int8)).astype(np.int8)

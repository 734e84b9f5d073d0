"""Supervision by triplets: the anchor should be nearer to the positive than to the negative."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from bqp.errors import ParameterError, ProblemError
from bqp.rng import RandomLike, as_seed_sequence
from bqp.supervision.base import Similarity, check_weights
from bqp.supervision.grouped import GroupedSimilarity
from bqp.supervision.pairs import MatrixSimilarity, PairSimilarity
from bqp.supervision.sampling import GroupPool

__all__ = ["Triplets", "from_triplets", "sample_triplets"]


class Triplets:
    """Triplets (anchor, positive, negative) of n points, with weights; no target for any pair.

    Attributes
    ----------
    index : ndarray of shape (m, 3), int32
        Anchor, positive and negative of each triplet.
    weights : ndarray of shape (m,), float64, or None for ones
    n : int
        Points.
    total_weight : float

    Notes
    -----
    Memory 12 to 20 bytes a triplet. A triplet given twice counts twice.
    """

    structure = "triplets"

    def __init__(self, index: np.ndarray, weights: np.ndarray | None, n: int):
        self.index, self.weights, self.n = index, weights, n
        self.total_weight = float(len(index)) if weights is None else float(weights.sum())
        if not self.total_weight > 0:
            raise ProblemError("no triplet has a positive weight; give at least one.")

    def __len__(self) -> int:
        return len(self.index)

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays."""
        return self.index.nbytes + (0 if self.weights is None else self.weights.nbytes)

    @property
    def known(self) -> np.ndarray:
        """Which points are part of at least one triplet of positive weight, shape (n,), bool."""
        known = np.zeros(self.n, dtype=bool)
        known[self.index if self.weights is None else self.index[self.weights > 0]] = True
        return known

    def restrict(self, index) -> Triplets:
        """The triplets that lie within the points `index`, which are renumbered in that order."""
        index = np.asarray(index)
        place = np.full(self.n, -1, dtype=np.int32)
        place[index] = np.arange(len(index))
        inside = place[self.index]
        kept = np.all(inside >= 0, axis=1)
        return Triplets(inside[kept], None if self.weights is None else self.weights[kept], len(index))

    def __repr__(self) -> str:
        return f"Triplets(n={self.n}, m={len(self)}, {self.nbytes / 2**20:.3g} MiB)"


def from_triplets(T, n: int, weights=None) -> Triplets:
    """Supervision by triplets.

    Parameters
    ----------
    T : array of shape (m, 3), int
        Anchor, positive and negative, three different points in 0..n-1.
    n : int
        Number of points; points without a triplet are allowed.
    weights : array of shape (m,), optional
        Weights >= 0, default 1.

    Returns
    -------
    triplets : Triplets

    Raises
    ------
    ProblemError
        Not three columns of integers; an index out of range; two equal points in a triplet; NaN; a negative weight.

    Examples
    --------
    >>> from bqp import losses, supervision
    >>> T = supervision.from_triplets([[0, 1, 2]], n=3)
    >>> losses.triplet.value(T, [[1, 1], [1, 1], [-1, 1]])     # distances 0 and 1, margin 1
    0.0
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ProblemError(f"n must be a positive integer, the number of points, got {n!r}.")
    try:
        array = np.asarray(T)
    except ValueError as error:
        raise ProblemError(f"T must have three columns: {error}.") from error
    if array.ndim != 2 or array.shape[1] != 3:
        raise ProblemError(f"T must have shape (m, 3): anchor, positive, negative. Got {array.shape}.")
    if len(array) == 0:
        raise ProblemError("T holds no triplet; give at least one.")
    if not np.issubdtype(array.dtype, np.integer):
        raise ProblemError(f"T must hold integers, the numbers of points, got dtype {array.dtype}.")
    if array.min() < 0 or array.max() >= n:
        place = np.unravel_index(int(np.argmax((array < 0) | (array >= n))), array.shape)
        raise ProblemError(f"T must lie in 0..{n - 1} since n is {n}, got {array[place]} at ({place[0]}, {place[1]}).")
    index = np.ascontiguousarray(array, dtype=np.int32)
    a, p, q = index.T
    equal = (a == p) | (a == q) | (p == q)
    if equal.any():
        row = int(np.argmax(equal))
        raise ProblemError(
            f"triplet {row} is {tuple(index[row].tolist())}: anchor, positive and negative must be three points. "
            "Leave it out."
        )
    return Triplets(index, check_weights(weights, (len(index),)), int(n))


def sample_triplets(S: Similarity, n_per_anchor: int = 500, rng: RandomLike = 0) -> Triplets:
    """Draw triplets from a similarity: for each anchor a random similar and a random dissimilar point, again and again.

    Parameters
    ----------
    S : Similarity
        Similar is a positive target, dissimilar one that is not; unknown pairs are not drawn.
    n_per_anchor : int
        Triplets of each point that has a partner of both kinds, drawn independently (B. Zhuang et al., CVPR 2016: 500).
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    triplets : Triplets
        Over the same points, without weights.

    Raises
    ------
    ProblemError
        No point has both a similar and a dissimilar partner (one class only, for example).

    Notes
    -----
    O(n m + C^2) grouped, O(nnz + n m) for pairs and matrices, m triplets a point; never n x n.

    Examples
    --------
    >>> from bqp import supervision
    >>> len(supervision.sample_triplets(supervision.from_labels([0, 0, 1, 1]), 3))
    12
    """
    if isinstance(n_per_anchor, bool) or not isinstance(n_per_anchor, int | np.integer) or n_per_anchor < 1:
        raise ParameterError(f"n_per_anchor must be an integer >= 1, got {n_per_anchor!r}.")
    generator = np.random.Generator(np.random.PCG64(as_seed_sequence(rng)))
    m = int(n_per_anchor)
    drawn = []
    if isinstance(S, GroupedSimilarity):
        similar, dissimilar = GroupPool(S, True), GroupPool(S, False)
        for g in np.flatnonzero(similar.counts):
            positive = similar.draw(int(g), m, generator, distinct=False)
            negative = dissimilar.draw(int(g), m, generator, distinct=False)
            if positive.shape[1] and negative.shape[1]:
                anchor = np.repeat(similar.members(int(g)), m)
                drawn.append((anchor, positive.ravel(), negative.ravel()))
    elif isinstance(S, PairSimilarity | MatrixSimilarity):
        positives, negatives = _partners(S)
        anchors = np.flatnonzero((np.diff(positives.indptr) > 0) & (np.diff(negatives.indptr) > 0))
        if len(anchors):
            drawn.append((np.repeat(anchors, m), *(_draw(t, anchors, m, generator) for t in (positives, negatives))))
    else:
        raise ProblemError(f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.")
    if not drawn:
        raise ProblemError(
            "no point has both a similar and a dissimilar partner, so there is no triplet to draw. "
            "Give at least two classes, one of them with two known points."
        )
    columns = [np.concatenate(part) for part in zip(*drawn)]
    index = np.column_stack(columns).astype(np.int32)
    return Triplets(index, None, S.n)


def _partners(S: PairSimilarity | MatrixSimilarity) -> tuple[sp.csr_array, sp.csr_array]:
    """Patterns of the similar and of the dissimilar known pairs of two points."""
    if isinstance(S, PairSimilarity):
        known = S.rows != S.indices
        if S.weights is not None:
            known &= S.weights > 0
        rows, columns, similar = S.rows[known], S.indices[known], S.targets[known] > 0
        parts = [(rows[side], columns[side]) for side in (similar, ~similar)]
    else:
        known = np.ones(S.S.shape, dtype=bool) if S.W is None else S.W > 0
        np.fill_diagonal(known, False)
        parts = [np.nonzero(known & side) for side in (S.S > 0, S.S <= 0)]
    tables = [sp.csr_array((np.ones(len(i), np.int8), (i, j)), shape=(S.n, S.n)) for i, j in parts]
    return tables[0], tables[1]


def _draw(table: sp.csr_array, anchors: np.ndarray, m: int, rng: np.random.Generator) -> np.ndarray:
    """m independent partners of each anchor, flat."""
    counts = np.diff(table.indptr)[anchors]
    picks = rng.integers(0, counts[:, None], (len(anchors), m))
    return table.indices[table.indptr[anchors][:, None] + picks].ravel()

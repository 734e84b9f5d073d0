"""A random part of the pairs of a similarity: so many similar and so many dissimilar partners a point.

G. Lin, C. Shen, Q. Shi, A. van den Hengel, D. Suter, "Fast Supervised Hashing with Decision Trees for High-Dimensional
Data", CVPR 2014: 100 of each kind.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bqp.errors import ParameterError, ProblemError
from bqp.rng import RandomLike, as_seed_sequence
from bqp.supervision.base import BLOCK_ENTRIES, Similarity
from bqp.supervision.grouped import GroupedSimilarity
from bqp.supervision.pairs import MatrixSimilarity, PairSimilarity, from_pairs

__all__ = ["GroupPool", "draw_distinct", "sample_pairs"]


def sample_pairs(S: Similarity, n_similar: int = 100, n_dissimilar: int = 100, rng: RandomLike = 0) -> PairSimilarity:
    """Draw partners for every point, similar and dissimilar ones, and forget all other pairs.

    Parameters
    ----------
    S : Similarity
        A pair is similar where its target is positive, dissimilar where it is not; unknown pairs and the pairs (i, i)
        are never drawn.
    n_similar, n_dissimilar : int
        Partners a point, without repetition; all of them where there are no more.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    pairs : PairSimilarity
        Over the same points, with the targets and weights that S has there. Both directions of a drawn pair are in it,
        so a point has more partners than it drew.

    Raises
    ------
    ParameterError
        A count that is not an integer >= 0, or both 0.
    ProblemError
        No known pair of two points.

    Notes
    -----
    Grouped: O(n m log m + C^2) time, O(n m) memory for m partners a point; never n x n. Pairs: a sort of them.

    Examples
    --------
    >>> from bqp import supervision
    >>> pairs = supervision.sample_pairs(supervision.from_labels([0, 0, 0, 1, 1, 1]), 1, 1, rng=0)
    >>> pairs.n, bool((pairs.targets > 0).any()), bool((pairs.targets < 0).any())
    (6, True, True)
    """
    counts = (_count("n_similar", n_similar), _count("n_dissimilar", n_dissimilar))
    if max(counts) == 0:
        raise ParameterError("n_similar and n_dissimilar are both 0; ask for at least one pair a point.")
    generator = np.random.Generator(np.random.PCG64(as_seed_sequence(rng)))
    if isinstance(S, GroupedSimilarity):
        drawn = list(_from_groups(S, counts, generator))
    elif isinstance(S, PairSimilarity):
        drawn = [_from_pairs(S, counts, generator)]
    elif isinstance(S, MatrixSimilarity):
        drawn = list(_from_matrix(S, counts, generator))
    else:
        raise ProblemError(f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.")
    i = np.concatenate([rows for rows, _ in drawn]) if drawn else np.empty(0, np.int64)
    j = np.concatenate([columns for _, columns in drawn]) if drawn else np.empty(0, np.int64)
    if len(i) == 0:
        raise ProblemError("S has no known pair of two points to draw from. Give at least two known points.")
    s, w = S.pair_values(i, j)
    return from_pairs(i, j, s, S.n, weights=None if np.all(w == 1.0) else w)


class GroupPool:
    """The partners of the points of each group of a grouped similarity, on one side of the target 0.

    Parameters
    ----------
    S : GroupedSimilarity
    similar : bool
        Partners with a positive target, or with one that is not.
    """

    def __init__(self, S: GroupedSimilarity, similar: bool):
        self.S, self.similar = S, similar
        order = np.argsort(S.groups, kind="stable")
        order = order if S.weights is None else order[S.weights[order] > 0]
        self.order = order
        self.counts = np.bincount(S.groups[order], minlength=S.n_groups)
        self.start = np.concatenate([[0], np.cumsum(self.counts)])

    def members(self, g: int) -> np.ndarray:
        """The known points of group g."""
        return self.order[self.start[g] : self.start[g + 1]]

    def draw(self, g: int, m: int, rng: np.random.Generator, distinct: bool = True) -> np.ndarray:
        """Partners of each member of group g, shape (members, min(m, partners)).

        `distinct`: without repetition; else m independent draws (or none, if there is no partner).
        """
        S = self.S
        allowed = (S.T[g] > 0) == self.similar
        if S.V is not None:
            allowed = allowed & (S.V[g] > 0)
        allowed = np.flatnonzero(allowed & (self.counts > 0))
        counts = self.counts[allowed]
        ends = np.cumsum(counts)
        own = np.flatnonzero(allowed == g)
        size = int(counts.sum()) - len(own)  # the point itself is no partner of its own
        n = int(self.counts[g])
        if size <= 0:
            return np.empty((n, 0), dtype=np.int64)
        if distinct:
            drawn = draw_distinct(rng, n, size, m)
        else:
            drawn = rng.integers(0, size, (n, m))
        if len(own):
            own_place = ends[own[0]] - counts[own[0]] + np.arange(n)
            drawn = drawn + (drawn >= own_place[:, None])
        which = np.searchsorted(ends, drawn, side="right")
        return self.order[self.start[allowed[which]] + drawn - (ends - counts)[which]]


def draw_distinct(rng: np.random.Generator, n: int, size: int, m: int) -> np.ndarray:
    """n rows of min(m, size) distinct integers from 0..size-1, every subset as likely as any other."""
    if m >= size:
        return np.broadcast_to(np.arange(size), (n, size))
    if size <= 3 * m:
        out = np.empty((n, m), dtype=np.int64)
        step = max(1, BLOCK_ENTRIES // size)
        for a in range(0, n, step):
            keys = rng.random((min(step, n - a), size))
            out[a : a + step] = np.argpartition(keys, m - 1, axis=1)[:, :m]
        return out
    out = rng.integers(0, size, (n, m))
    while True:  # what repeats is drawn again: the first m distinct values of an endless series
        out.sort(axis=1)
        again = np.zeros(out.shape, dtype=bool)
        again[:, 1:] = out[:, 1:] == out[:, :-1]
        n_again = int(again.sum())
        if n_again == 0:
            return out
        out[again] = rng.integers(0, size, n_again)


def _from_groups(S: GroupedSimilarity, counts, rng) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for similar, m in zip((True, False), counts):
        if m == 0:
            continue
        pool = GroupPool(S, similar)
        for g in np.flatnonzero(pool.counts):
            partners = pool.draw(int(g), m, rng)
            yield np.repeat(pool.members(int(g)), partners.shape[1]), partners.ravel()


def _from_pairs(S: PairSimilarity, counts, rng) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = S.rows, S.indices
    usable = rows != columns
    if S.weights is not None:
        usable &= S.weights > 0
    rows, columns, similar = rows[usable], columns[usable], S.targets[usable] > 0
    order = np.lexsort((rng.random(len(rows)), similar, rows))
    rows, columns, similar = rows[order], columns[order], similar[order]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (similar[1:] != similar[:-1])
    first = np.flatnonzero(new)
    rank = np.arange(len(rows)) - np.repeat(first, np.diff(np.append(first, len(rows))))
    kept = rank < np.where(similar, counts[0], counts[1])
    return rows[kept].astype(np.int64), columns[kept].astype(np.int64)


def _from_matrix(S: MatrixSimilarity, counts, rng) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    step = max(1, BLOCK_ENTRIES // S.n)
    for a in range(0, S.n, step):
        targets = S.S[a : a + step]
        usable = np.ones(targets.shape, dtype=bool) if S.W is None else S.W[a : a + step] > 0
        local = np.arange(len(targets))
        usable[local, a + local] = False
        keys = rng.random(targets.shape)
        for similar, m in zip((True, False), counts):
            candidate = usable & ((targets > 0) == similar)
            key = np.where(candidate, keys, 2.0)
            if m < S.n:
                key = np.where(key <= np.sort(key, axis=1)[:, m - 1 : m] if m else key < 0.0, key, 2.0)
            rows, columns = np.nonzero(key < 2.0)
            yield rows + a, columns


def _count(name: str, value) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ParameterError(f"{name} must be an integer >= 0, got {value!r}.")
    return int(value)

"""Blocks of points that attract each other: what a block descent goes through.

G. Lin, C. Shen, Q. Shi, A. van den Hengel, D. Suter, "Fast Supervised Hashing with Decision Trees for High-Dimensional
Data", CVPR 2014, section 2.3: inside a block of mutually similar points every pair weight of a bit's problem is <= 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from bqp.errors import ProblemError
from bqp.losses import Loss
from bqp.supervision import GroupedSimilarity, MatrixSimilarity, PairSimilarity, Similarity

__all__ = ["check_blocks", "greedy_blocks", "similar_blocks"]


def similar_blocks(S: Similarity, loss: Loss, rng: np.random.Generator, limit: int | None = None) -> list[np.ndarray]:
    """Blocks of mutually similar points: classes, labels of label sets (overlapping), or greedy ones.

    Parameters
    ----------
    S : Similarity
    loss : Loss
        Says which targets attract.
    rng : Generator
        Order in which greedy blocks grow (pairs and matrices).
    limit : int, optional
        Most points of a greedy block.

    Returns
    -------
    blocks : list of ndarray, int
        Together they hold every known point; points that are in no block of their kind are blocks of one.
    """
    if isinstance(S, GroupedSimilarity):
        return _class_blocks(S, loss)
    if isinstance(S, PairSimilarity):
        signs = np.where(loss.attracts(S.targets), -1, 1).astype(np.int8)
        if S.weights is not None:
            signs[S.weights == 0] = 0
        indptr, indices = S.indptr, S.indices
    elif isinstance(S, MatrixSimilarity):
        pattern = np.where(loss.attracts(S.S), np.int8(-1), np.int8(1))
        if S.W is not None:
            pattern[S.W == 0] = 0
        np.fill_diagonal(pattern, 0)
        table = sp.csr_array(pattern)
        indptr, indices, signs = table.indptr, table.indices, table.data
    else:
        raise ProblemError(f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.")
    blocks = greedy_blocks(indptr, indices, signs, rng, limit)
    known = np.asarray(S.known)
    known_parts = [block[known[block]] for block in blocks]
    return [block for block in known_parts if len(block)]


def _class_blocks(S: GroupedSimilarity, loss: Loss) -> list[np.ndarray]:
    known = np.flatnonzero(S.known)
    order = known[np.argsort(S.groups[known], kind="stable")]
    ends = np.cumsum(np.bincount(S.groups[known], minlength=S.n_groups))
    members = np.split(order, ends[:-1])
    attracts = loss.attracts(S.T.astype(np.float64))
    blocks = []
    covered = np.zeros(S.n_groups, dtype=bool)
    sets = S.classes if S.classes is not None and S.classes.ndim == 2 else np.empty((S.n_groups, 0))
    for label in range(sets.shape[1]):
        groups = np.flatnonzero(sets[:, label] == 1)
        if len(groups) and attracts[np.ix_(groups, groups)].all():
            covered[groups] = True
            blocks.append(np.sort(np.concatenate([members[g] for g in groups])))
    for g in np.flatnonzero(~covered):
        if attracts[g, g]:
            blocks.append(members[g])
        else:
            blocks.extend(members[g][:, None])
    return [block for block in blocks if len(block)]


def greedy_blocks(
    indptr: np.ndarray, indices: np.ndarray, signs: np.ndarray, rng: np.random.Generator, limit: int | None = None
) -> list[np.ndarray]:
    """Disjoint blocks without a repelling pair, grown from random roots; they hold every point.

    Parameters
    ----------
    indptr, indices : ndarrays, int
        Symmetric CSR pattern; a diagonal must have sign <= 0.
    signs : ndarray of shape (nnz,), int8
        -1 for a pair that attracts, +1 for one that repels, 0 for neither.
    rng : Generator
        Draws the order of the points: roots, and what joins after the neighbours of the root.
    limit : int, optional
        Most points of a block.

    Notes
    -----
    O(nnz + n times the number of blocks) time, O(n) memory.
    """
    from bqp.kernels.blocks import grow_block

    n = len(indptr) - 1
    free = rng.permutation(n).astype(np.int32)
    forbidden, block_of = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
    b, n_free = 0, n
    while n_free:
        n_free = grow_block(indptr, indices, signs, free, n_free, b, limit or n, forbidden, block_of)
        b += 1
    order = np.argsort(block_of, kind="stable")
    return np.split(order, np.cumsum(np.bincount(block_of, minlength=b))[:-1])


def check_blocks(blocks: Sequence, S: Similarity) -> list[np.ndarray]:
    """Blocks given by the caller as index arrays; known points in none of them become blocks of one."""
    checked = []
    covered = np.zeros(S.n, dtype=bool)
    for k, block in enumerate(blocks):
        block = np.asarray(block)
        if block.ndim != 1 or not block.size or not np.issubdtype(block.dtype, np.integer):
            raise ProblemError(
                f"blocks must hold non-empty vectors of point numbers, got shape {block.shape} of {block.dtype} at {k}."
            )
        if block.min() < 0 or block.max() >= S.n:
            place = int(np.argmax((block < 0) | (block >= S.n)))
            raise ProblemError(f"block {k} must hold points in 0..{S.n - 1}, got {block[place]} at ({place}).")
        checked.append(np.unique(block).astype(np.int64))
        covered[block] = True
    return checked + list(np.flatnonzero(S.known & ~covered)[:, None])

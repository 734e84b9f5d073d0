"""Which rows come together in a batch, for losses that look at the pairs inside it.

In a batch of random rows a pair is similar with the chance that two points share a label: 1 in 100 for a hundred equal
classes, and most similar pairs are of the largest class where they differ in size. Batches are made so that each row
has rows of both kinds with it.
"""

import math

import numpy as np
from scipy import sparse

__all__ = ["BalancedBatches", "NeighbourBatches", "RandomBatches", "make_batches"]

FEWEST = 2
"""Rows of a label in a batch, at least: one is no pair."""


class RandomBatches:
    """Every row once, in random order.

    Parameters
    ----------
    rows : ndarray of int
    batch_size : int
        Most rows of a batch.
    """

    def __init__(self, rows, batch_size):
        self.rows, self.n_batches = rows, max(1, math.ceil(len(rows) / batch_size))

    def __call__(self, stream):
        """Batches of an epoch, a list of int arrays; `stream` is a numpy Generator."""
        return np.array_split(stream.permutation(self.rows), self.n_batches)


class BalancedBatches:
    """As many rows of each label, in as many batches as all rows would need.

    With more labels than half of `batch_size`, a batch holds two rows of some labels, which take turns. Each label
    hands out its rows in random order and starts again when all have been had.

    Parameters
    ----------
    members : list of ndarray of int
        The rows of each label; a row may have several.
    batch_size : int
        Rows of a batch, where there are as many.
    """

    def __init__(self, members, batch_size):
        self.members = [rows for rows in members if len(rows)]
        self.rows = np.unique(np.concatenate(self.members))
        self.n_batches = max(1, math.ceil(len(self.rows) / batch_size))
        self.size = min(batch_size, len(self.rows))
        self.share = max(FEWEST, self.size // len(self.members))

    def __call__(self, stream):
        """Batches of an epoch, a list of int arrays; `stream` is a numpy Generator."""
        queues = [_Turns(rows, stream) for rows in self.members]
        labels = _Turns(np.arange(len(queues)), stream)
        batches = []
        for _ in range(self.n_batches):
            batch: dict[int, None] = {}
            for turn in range(len(queues) + self.size):  # labels that overlap or are small give less than their share
                queue = queues[labels.next()]
                want = min(len(batch) + (self.share if turn < len(queues) else 1), self.size)
                for _ in range(len(queue.items)):
                    if len(batch) >= want:
                        break
                    batch[queue.next()] = None
                if len(batch) >= self.size:
                    break
            rows = np.fromiter(batch, dtype=np.int64)
            rest = stream.permutation(np.setdiff1d(self.rows, rows))[: self.size - len(rows)]  # for labels of few rows
            batches.append(np.concatenate([rows, rest]))
        return batches


class NeighbourBatches:
    """Rows, and with each of them one that is similar to it and one that is not, as far as known pairs give them.

    Parameters
    ----------
    S : bqp.supervision.PairSimilarity
    batch_size : int
        Most rows of a batch.
    """

    def __init__(self, S, batch_size):
        weight = np.ones(len(S.indices)) if S.weights is None else S.weights
        apart = (weight > 0) & (S.rows != S.indices)
        self.kinds = []
        for chosen in (apart & (S.targets > 0), apart & (S.targets <= 0)):
            places = (S.rows[chosen], S.indices[chosen])
            self.kinds.append(sparse.csr_array((np.ones(int(chosen.sum())), places), shape=(S.n, S.n)))
        self.rows = np.flatnonzero(sum(np.diff(kind.indptr) for kind in self.kinds))
        self.anchors = max(1, batch_size // (1 + len(self.kinds)))
        self.n_batches = max(1, math.ceil(len(self.rows) / batch_size))

    def __call__(self, stream):
        """Batches of an epoch, a list of int arrays; `stream` is a numpy Generator."""
        turns = _Turns(self.rows, stream)
        batches = []
        for _ in range(self.n_batches):
            anchors = np.array([turns.next() for _ in range(min(self.anchors, len(self.rows)))])
            parts = [anchors]
            for kind in self.kinds:
                count = kind.indptr[anchors + 1] - kind.indptr[anchors]
                place = kind.indptr[anchors] + (stream.random(len(anchors)) * count).astype(np.int64)
                parts.append(kind.indices[place[count > 0]])
            batches.append(np.unique(np.concatenate(parts)).astype(np.int64))
        return batches


class _Turns:
    """Items in random order, again and again."""

    def __init__(self, items, stream):
        self.items, self.stream = items, stream
        self.order, self.place = stream.permutation(items), 0

    def next(self):
        if self.place == len(self.order):
            self.order, self.place = self.stream.permutation(self.items), 0
        self.place += 1
        return int(self.order[self.place - 1])


def make_batches(S, batch_size, balanced=True):
    """The batches that suit a similarity.

    Parameters
    ----------
    S : bqp.supervision.Similarity
    batch_size : int
    balanced : bool
        Labels, label sets and groups: `BalancedBatches`; pairs: `NeighbourBatches` either way; else `RandomBatches`.

    Returns
    -------
    batches : callable
        ``batches(stream)`` gives the batches of an epoch. Only rows with supervision occur.
    """
    known = np.flatnonzero(S.known)
    if S.structure == "pairs":
        return NeighbourBatches(S, batch_size)
    if not balanced or S.structure != "grouped":
        return RandomBatches(known, batch_size)
    groups, classes = S.groups[known], getattr(S, "classes", None)
    if classes is None or classes.ndim == 1:
        return BalancedBatches([known[groups == g] for g in np.unique(groups)], batch_size)
    sets = classes[groups] > 0
    members = [known[sets[:, k]] for k in range(sets.shape[1])]
    return BalancedBatches([*members, known[~sets.any(axis=1)]], batch_size)

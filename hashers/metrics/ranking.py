"""Measures of rankings that hold ties, from sums by query; the sums come from `hashers.kernels.ranking`.

A ranking is a row of groups, nearest first, and a group is a tie. Inside a tie ranks are uniformly random, so a measure
is its exact expectation over tie orders; or relevant items come first, or last, or in the order of the database.

References
----------
He, Cakir, Bargal and Sclaroff, "Hashing as tie-aware learning to rank", CVPR 2018 (closed forms of AP and NDCG).
McSherry and Najork, "Computing information retrieval performance measures efficiently in the presence of tied scores",
ECIR 2008.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hashers.kernels import ranking

__all__ = ["DIVISORS", "TIES", "RankSums", "gain_table", "score_stable", "score_ties", "tables"]

TIES = ("expected", "stable", "optimistic", "pessimistic")
DIVISORS = ("found", "min", "relevant")
_RULES = {"expected": 0, "optimistic": 1, "pessimistic": 2}


@dataclass(frozen=True)
class RankSums:
    """What a tie rule gives for a set of queries, at several rank limits at once.

    Attributes
    ----------
    limits : tuple of (int or None)
        Ranks that count; None is the whole ranking. In descending order.
    sums : ndarray of shape (n_query, n_limits, 4), float64
        Precisions at relevant ranks, relevant items, discounted gain, average precision over the items found.
    level_totals : ndarray of shape (n_query, n_levels), int64
        Database items of each relevance level.
    gains : ndarray of shape (n_levels,), float64
        Gain of a level, for NDCG.
    """

    limits: tuple
    sums: np.ndarray
    level_totals: np.ndarray
    gains: np.ndarray

    @property
    def n_relevant(self):
        """Relevant items in the database, by query."""
        return self.level_totals[:, 1:].sum(axis=1)

    def average_precision(self, k=None, divisor="found"):
        """Average precision by query; shape (n_query,)."""
        precision, _, _, ratio = self._at(k)
        if k is not None and divisor == "found":
            return ratio
        by = self.n_relevant if k is None or divisor == "relevant" else np.minimum(self.n_relevant, k)
        return precision / np.maximum(by, 1)

    def ndcg(self, k=None):
        """NDCG by query, 0 where nothing is relevant; shape (n_query,)."""
        dcg = self._at(k)[2]
        n_database = int(self.level_totals[0].sum())
        discounts = tables(n_database)[1]
        upto = np.cumsum(self.level_totals[:, ::-1], axis=1)
        if k is not None:
            upto = np.minimum(upto, k)
        ideal = np.diff(discounts[upto], axis=1, prepend=0.0) @ self.gains[::-1]
        return dcg / np.where(ideal > 0, ideal, 1.0)

    def precision(self, k):
        """Share of relevant items among the first `k` ranks, or in the whole database where it is smaller."""
        return self._at(k)[1] / np.minimum(k, self.level_totals.sum(axis=1))

    def recall(self, k):
        """Share of the relevant items that the first `k` ranks hold; 0 where nothing is relevant."""
        return self._at(k)[1] / np.maximum(self.n_relevant, 1)

    def _at(self, k):
        return self.sums[:, self.limits.index(k)].T

    @classmethod
    def join(cls, parts):
        """The sums of several blocks of queries as one."""
        first = parts[0]
        return cls(
            first.limits,
            np.concatenate([part.sums for part in parts]),
            np.concatenate([part.level_totals for part in parts]),
            first.gains,
        )


@lru_cache(maxsize=4)
def tables(n):
    """Prefix sums of 1 / rank and of 1 / log2(1 + rank), and the latter's terms, for ranks 0..n; read-only, cached."""
    ranks = np.arange(1, n + 1, dtype=np.longdouble)
    harmonic, discounts, terms = np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1)
    terms[1:] = 1.0 / np.log2(ranks + 1)
    harmonic[1:] = np.cumsum(1.0 / ranks)
    discounts[1:] = np.cumsum(1.0 / np.log2(ranks + 1))
    for table in (harmonic, discounts, terms):
        table.setflags(write=False)
    return harmonic, discounts, terms


def gain_table(gain, n_levels):
    """Gain of each relevance level.

    Parameters
    ----------
    gain : {"exponential", "linear"} or array-like
        ``2**v - 1``; v; or the gains of levels 0, 1, ..., rising from 0, the last one for all levels behind it.
    n_levels : int

    Returns
    -------
    gains : ndarray of shape (n_levels,), float64
        Exponential gains beyond 2**1000 are scaled down, all of them: NDCG does not change.
    """
    levels = np.arange(n_levels, dtype=float)
    if isinstance(gain, str) and gain in ("exponential", "linear"):
        if gain == "linear":
            return levels
        shift = max(0.0, levels[-1] - 1000)
        return 2.0 ** (levels - shift) - 2.0**-shift
    told = None
    if not isinstance(gain, str):
        try:
            told = np.asarray(gain, dtype=float)
        except (TypeError, ValueError):
            told = None
    if told is None or told.ndim != 1 or len(told) < 2:
        raise ValueError(
            f'gain must be "exponential", "linear", or a list of gains by number of labels in common: {gain!r}.'
        )
    if not np.isfinite(told).all() or told[0] != 0 or (np.diff(told) < 0).any() or told[1] <= 0:
        raise ValueError(f"gain must rise from 0 for items without a label in common: {told.tolist()}.")
    return told[np.minimum(np.arange(n_levels), len(told) - 1)]


def _limits(ks, n_database):
    """Rank limits as the kernels take them; beyond the database all of it counts."""
    return np.array([n_database if k is None else min(int(k), n_database) for k in ks], dtype=np.int64)


def order_limits(ks):
    """Distinct rank limits, None (everything) first, then descending."""
    distinct = dict.fromkeys(None if k is None else int(k) for k in ks)
    return tuple(sorted(distinct, key=lambda k: -np.inf if k is None else -k))


def score_ties(counts, ties, ks, gains):
    """Score rankings whose ties have no order of their own.

    Parameters
    ----------
    counts : ndarray of shape (n_query, n_groups, n_levels), int64
    ties : sequence of {"expected", "optimistic", "pessimistic"}
    ks : tuple of (int or None)
        From `order_limits`.
    gains : ndarray of shape (n_levels,)

    Returns
    -------
    sums : dict of str to RankSums
        By tie rule.
    """
    n_database = int(counts[0].sum())
    counts = np.ascontiguousarray(counts)
    harmonic, discounts, _ = tables(n_database)
    sums = np.zeros((len(ties), len(counts), len(ks), 4))
    level_totals = np.zeros((len(counts), counts.shape[2]), np.int64)
    rules = np.array([_RULES[rule] for rule in ties], dtype=np.int64)
    ranking.score_ties(counts, rules, _limits(ks, n_database), gains, harmonic, discounts, sums, level_totals)
    return {rule: RankSums(ks, sums[r], level_totals, gains) for r, rule in enumerate(ties)}


def score_stable(counter, counts, start, stop, ks, gains):
    """Score the queries ``start:stop`` of a `hashers.metrics.counting.Counter` with ties in database order.

    Parameters
    ----------
    counts : ndarray of shape (stop - start, n_bits + 1, n_levels), int64
        From ``counter.count(start, stop)``.

    Returns
    -------
    sums : RankSums
    """
    n_database, relevance = len(counter.database), counter.relevance
    sums = np.zeros((stop - start, len(ks), 4))
    query, labels = counter.query[start:stop], relevance.query[start:stop]
    rest = counts, _limits(ks, n_database), gains, tables(n_database)[2], sums
    if relevance.is_set:
        ranking.stable_label_sets(query, labels, counter.database, relevance.database, relevance.sets, *rest)
    else:
        ranking.stable_classes(query, labels, counter.database, relevance.database, *rest)
    return RankSums(ks, sums, counts.sum(axis=1), gains)

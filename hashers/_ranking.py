"""Retrieval measures from counts alone: how many items, of which relevance, lie at each distance.

Everything here is numpy over arrays (n_query, n_bins, n_levels): level 0 is irrelevant, level v > 0 says v labels in
common. A bin is a tie. Ranks inside a tie are uniformly random, so a measure is its exact expectation over tie orders;
the optimistic and pessimistic orders are the same formula on bins split by level.

References
----------
He, Cakir, Bargal and Sclaroff, "Hashing as tie-aware learning to rank", CVPR 2018 (closed forms of AP and NDCG).
McSherry and Najork, "Computing information retrieval performance measures efficiently in the presence of tied scores",
ECIR 2008.
"""

from functools import lru_cache

import numpy as np
from scipy.special import gammaln

__all__ = ["average_precision", "discount_sums", "hits_at_k", "ideal_dcg", "ndcg", "split_ties"]


@lru_cache(maxsize=4)
def harmonic_numbers(n):
    """Harmonic numbers H_0..H_n, float64 (summed in extended precision); read-only and cached."""
    table = np.zeros(n + 1)
    table[1:] = np.cumsum(1.0 / np.arange(1, n + 1, dtype=np.longdouble))
    table.setflags(write=False)
    return table


@lru_cache(maxsize=4)
def discount_sums(n):
    """Prefix sums of the discounts 1 / log2(1 + rank), ranks 1..n, float64; read-only and cached."""
    table = np.zeros(n + 1)
    table[1:] = np.cumsum(1.0 / np.log2(np.arange(2, n + 2, dtype=np.longdouble)))
    table.setflags(write=False)
    return table


def split_ties(counts, ties, values):
    """Turn counts by bin and level into bins with a sum of values each, splitting ties where their order is known.

    Parameters
    ----------
    counts : ndarray of shape (n_query, n_bins, n_levels), int64
        Items at each distance and level.
    ties : {"expected", "optimistic", "pessimistic"}
        Order inside a tie: random, most relevant first, least relevant first.
    values : ndarray of shape (n_levels,)
        Value of an item of each level: 0/1 relevance, or gains.

    Returns
    -------
    total : ndarray of shape (n_query, m), int64
        Items in each bin; m is n_bins, or ``n_bins * n_levels`` for ordered ties.
    value : ndarray of shape (n_query, m)
        Sum of the values of the items in each bin.
    """
    if ties == "expected":
        return counts.sum(axis=2), counts @ values
    ordered, values = (counts[:, :, ::-1], values[::-1]) if ties == "optimistic" else (counts, values)
    return ordered.reshape(len(counts), -1), (ordered * values).reshape(len(counts), -1)


def _prefix(values):
    """Sum over the bins before each bin."""
    return np.cumsum(values, axis=1) - values


def _taken(total, k):
    """Items before each bin and how many of the bin fall within the first `k` ranks (all of them for None)."""
    before = _prefix(total)
    return before, total if k is None else np.clip(k - before, 0, total)


def hits_at_k(total, relevant, k):
    """Expected number of relevant items among the first `k`; shape (n_query,), float64."""
    taken = _taken(total, k)[1]
    return (relevant * (taken / np.maximum(total, 1))).sum(axis=1)


def _tie_sums(size, relevant, taken, before, relevant_before, harmonic):
    """Expected sum of precisions at the relevant items among the first `taken` ranks of each tie.

    Rank t = 0, 1, ... of a tie of `size` items holds a relevant one with probability p / size, and then finds on
    average ``relevant_before + 1 + t (p - 1) / (size - 1)`` relevant items up to itself among ``before + 1 + t``: a
    constant plus a multiple of 1 / rank, so two harmonic numbers give the sum.
    """
    slope = np.where(size > 1, (relevant - 1) / np.maximum(size - 1, 1), 0.0)
    spread = harmonic[before + taken] - harmonic[before]
    sums = (relevant_before + 1 - slope * (before + 1)) * spread + slope * taken
    return relevant / np.maximum(size, 1) * sums


def average_precision(total, relevant, k=None, divisor="found"):
    """Expected average precision of each query over random orders inside ties.

    Parameters
    ----------
    total, relevant : ndarray of shape (n_query, n_bins), int64
        Items and relevant items in each bin, in ranking order.
    k : int, optional
        Only the first `k` ranks count.
    divisor : {"found", "min", "relevant"}
        With `k`, divide by the relevant items found in the first `k`, by ``min(k, relevant)``, or by all relevant.

    Returns
    -------
    scores : ndarray of shape (n_query,), float64
        0 where nothing relevant is found.

    Notes
    -----
    O(1) a bin. With `k` and divisor "found" the expectation is that of a ratio: the relevant items among the ranks of
    the tie cut by `k` are hypergeometric, and given their number the order is uniform again, so the expectation is a
    finite sum of closed forms, O(k) a query.
    """
    n_relevant = relevant.sum(axis=1)
    before, taken = _taken(total, k)
    relevant_before = _prefix(relevant)
    harmonic = harmonic_numbers(int(total.sum(axis=1).max()))
    sums = _tie_sums(total, relevant, taken, before, relevant_before, harmonic)
    if k is None or divisor == "relevant":
        return sums.sum(axis=1) / np.maximum(n_relevant, 1)
    if divisor == "min":
        return sums.sum(axis=1) / np.maximum(np.minimum(n_relevant, k), 1)

    cut = (taken > 0) & (taken < total) & (relevant > 0) & (relevant < total)
    found = np.where(taken < total, relevant * taken // np.maximum(total, 1), relevant).sum(axis=1)
    scores = sums.sum(axis=1) / np.maximum(found, 1)
    log_factorial = gammaln(np.arange(1.0, 2.0 + int(total.max())))
    for a in np.flatnonzero(cut.any(axis=1)):
        b = int(np.argmax(cut[a]))
        size, good, drawn = int(total[a, b]), int(relevant[a, b]), int(taken[a, b])
        hits = np.arange(max(0, drawn - (size - good)), min(drawn, good) + 1)
        chance = _hypergeometric(size, good, drawn, hits, log_factorial)
        inside = _tie_sums(drawn, hits, drawn, before[a, b], relevant_before[a, b], harmonic)
        ratio = (sums[a, :b].sum() + inside) / np.maximum(relevant_before[a, b] + hits, 1)
        scores[a] = chance @ ratio
    return scores


def _hypergeometric(size, good, drawn, hits, log_factorial):
    """Probability of `hits` good items among `drawn` of `size`, of which `good` are good; normalised to sum 1."""
    log_chance = -(
        log_factorial[hits]
        + log_factorial[good - hits]
        + log_factorial[drawn - hits]
        + log_factorial[size - good - drawn + hits]
    )
    chance = np.exp(log_chance - log_chance.max())
    return chance / chance.sum()


def _dcg(total, gain_sum, k):
    """Expected discounted cumulative gain: mean gain of each tie times the discounts of its ranks."""
    before, taken = _taken(total, k)
    discounts = discount_sums(int(total.sum(axis=1).max()))
    return (gain_sum / np.maximum(total, 1) * (discounts[before + taken] - discounts[before])).sum(axis=1)


def ideal_dcg(counts, k, gains):
    """Discounted cumulative gain of the best order of all items; shape (n_query,), float64."""
    levels = counts.sum(axis=1)[:, ::-1]
    return _dcg(levels, levels * gains[::-1], k)


def ndcg(counts, ties, k, gains):
    """Normalised discounted cumulative gain of each query.

    Parameters
    ----------
    counts : ndarray of shape (n_query, n_bins, n_levels), int64
    ties : {"expected", "optimistic", "pessimistic"}
    k : int or None
        Only the first `k` ranks count, in the ideal order too.
    gains : ndarray of shape (n_levels,), float64
        Gain of each level, rising, 0 for level 0.

    Returns
    -------
    scores : ndarray of shape (n_query,), float64
        0 for a query without relevant items.
    """
    ideal = ideal_dcg(counts, k, gains)
    return _dcg(*split_ties(counts, ties, gains), k) / np.where(ideal > 0, ideal, 1.0)

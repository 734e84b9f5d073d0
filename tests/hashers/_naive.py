"""Numpy twins of the measures, slow and obviously right: rank, then apply the textbook."""

import numpy as np


def relevance(y_query, y_database):
    """Levels (n_query, n_database): 0/1 for labels, number of shared labels for label sets."""
    y_query, y_database = np.asarray(y_query), np.asarray(y_database)
    if y_query.ndim == 2:
        return y_query.astype(int) @ y_database.astype(int).T
    return (y_query[:, None] == y_database[None, :]).astype(int)


def distances(B_query, B_database, weights=None):
    """Weighted Hamming distances (n_query, n_database)."""
    weights = np.ones(B_query.shape[1]) if weights is None else np.asarray(weights)
    return ((B_query[:, None, :] != B_database[None, :, :]) * weights).sum(axis=2)


def textbook_ap(levels, k=None, divisor="found"):
    """Average precision of one ranking, given its relevance levels in order."""
    hit = np.asarray(levels) > 0
    n_relevant = hit.sum()
    top = hit[:k]
    precision = np.cumsum(top) / np.arange(1, len(top) + 1)
    by = {"found": top.sum(), "relevant": n_relevant, "min": min(n_relevant, k or len(hit))}[divisor]
    return (precision * top).sum() / by if top.any() else 0.0


def textbook_ndcg(levels, k=None, linear=False):
    """NDCG of one ranking, given its relevance levels in order."""
    gains = np.asarray(levels, float) if linear else 2.0 ** np.asarray(levels) - 1
    discount = 1 / np.log2(np.arange(2, len(gains) + 2))
    ideal = (np.sort(gains)[::-1] * discount)[:k].sum()
    return (gains * discount)[:k].sum() / ideal if ideal > 0 else 0.0


def rankings(d, levels, ties, rng=None):
    """Levels of one query in ranking order, ties broken as told ("random" needs `rng`)."""
    key = {
        "stable": np.arange(len(d)),
        "optimistic": -levels,
        "pessimistic": levels,
        "random": None if rng is None else rng.permutation(len(d)),
    }[ties]
    return levels[np.lexsort((key, np.round(d, 9)))]

"""Each measure on its own, as a function of codes and labels."""

import numpy as np

from hashers.metrics.counts import (
    DistanceCounts,
    ball_curve,
    check_divisor,
    check_k,
    check_radius,
    check_ties,
    pick,
)
from hashers.metrics.task import RetrievalTask

__all__ = [
    "average_precision",
    "distance_counts",
    "mean_average_precision",
    "mean_ndcg",
    "precision_at_k",
    "precision_at_radius",
    "precision_recall",
    "recall_at_k",
    "recall_at_radius",
]


def distance_counts(B_query, B_database, y_query, y_database, *, n_bits=None, unlabeled=-1, n_jobs=None):
    """Count the database by Hamming distance and relevance, for each query.

    Parameters
    ----------
    B_query, B_database : array-like of shape (n, n_bits), int8
        Codes in {-1, +1}; or packed bytes (n, ceil(n_bits / 8)) uint8, bit order "little", when `n_bits` is given.
    y_query, y_database : array-like of shape (n,) or (n, L)
        Labels of any comparable kind, or 0/1 label sets. A label that only one side has is fine.
    n_bits : int, optional
        Code length of packed codes.
    unlabeled : object
        Label that marks an unknown class; such items raise an error. None takes every label as a class.
    n_jobs : int, optional
        Threads over blocks of queries; the result does not depend on it.

    Returns
    -------
    counts : DistanceCounts

    Raises
    ------
    ValueError
        If codes hold anything but -1 and +1, lengths or shapes differ, a side is empty, or a label is missing.

    Notes
    -----
    O(n_query n_database ceil(n_bits / 64)) with one population count a word; O(n_query n_bits) memory beside the codes.
    """
    return DistanceCounts(RetrievalTask(B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs).counts())


def average_precision(
    B_query,
    B_database,
    y_query,
    y_database,
    k=None,
    ties="expected",
    weights=None,
    *,
    query_margins=None,
    divisor="found",
    n_bits=None,
    unlabeled=-1,
    n_jobs=None,
):
    """Average precision of each query; arguments as in `mean_average_precision`, shape (n_query,) float64."""
    check_ties(ties)
    check_k(k)
    check_divisor(divisor)
    task = RetrievalTask(
        B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs, weights, query_margins=query_margins
    )
    return task.rank([ties], [k])[0][ties].average_precision(k, divisor)


def mean_average_precision(
    B_query,
    B_database,
    y_query,
    y_database,
    k=None,
    ties="expected",
    weights=None,
    *,
    query_margins=None,
    divisor="found",
    n_bits=None,
    unlabeled=-1,
    n_jobs=None,
):
    """Mean average precision of ranking the database by Hamming distance to each query.

    AP = (1 / R) sum over relevant items of (relevant items up to it) / (its rank); MAP is its mean over all queries.

    Parameters
    ----------
    B_query, B_database : array-like of shape (n, n_bits), int8
        Codes in {-1, +1}; or packed bytes (n, ceil(n_bits / 8)) uint8, bit order "little", when `n_bits` is given.
    y_query, y_database : array-like of shape (n,) or (n, L)
        Labels of any comparable kind (relevant = equal), or 0/1 label sets (relevant = at least one in common).
    k : int, optional
        Only the first `k` ranks count (MAP@k); all of them by default and for `k` beyond the database.
    ties : {"expected", "stable", "optimistic", "pessimistic"}
        Order inside a tie: average over all orders, exactly; order of the database; relevant first; relevant last.
    weights : array-like of shape (n_bits,), optional
        Rank by weighted Hamming distance, the sum of the weights of differing bits.
    query_margins : array-like of shape (n_query, n_bits), optional
        Rank by ``margins @ (weights * b)``, largest first: real-valued outputs of the queries, such as
        ``hasher.decision_function(X_query)``, against binary codes b. B_query may then be None.
    divisor : {"found", "min", "relevant"}
        What MAP@k divides a query's sum by: relevant items found in its first `k` (as the public codes of deep and
        supervised hashing do), ``min(k, R)``, or R. Without `k` they are the same.
    n_bits : int, optional
        Code length of packed codes.
    unlabeled : object
        Label that marks an unknown class; such items raise an error. None takes every label as a class.
    n_jobs : int, optional
        Threads over blocks of queries; the result does not depend on it.

    Returns
    -------
    score : float
        In [0, 1]. A query without relevant items counts 0.

    Raises
    ------
    ValueError
        If codes hold anything but -1 and +1, lengths or shapes differ, a side is empty, a label is missing, or an
        option is unknown.

    Notes
    -----
    O(n_query n_database) population counts, no sort; 1,000 queries against 69,000 codes of 64 bits take about 0.05 s.
    With `weights` or `query_margins`, O(n + m log m) a query for m distinct database codes (it sorts distances);
    distances closer than 1e-12 of the largest possible one are a tie. "expected" with `k` and
    divisor "found" is the expectation of the ratio, summed over the hypergeometric number of relevant items before the
    cut. There, and only there, more relevant items can lower the value (their own precision is below the mean so far),
    so "pessimistic" <= "expected" <= "optimistic" is certain only for full rankings and the other divisors.

    References
    ----------
    He, Cakir, Bargal and Sclaroff, "Hashing as tie-aware learning to rank", CVPR 2018.

    Examples
    --------
    >>> B_query, B_database = [[1, 1]], [[1, -1], [1, 1], [-1, 1], [-1, -1]]
    >>> round(mean_average_precision(B_query, B_database, ["cat"], ["cat", "dog", "dog", "cat"]), 4)
    0.4583
    >>> mean_average_precision(B_query, B_database, ["cat"], ["cat", "dog", "dog", "cat"], ties="stable")
    0.5
    """
    scores = average_precision(
        B_query,
        B_database,
        y_query,
        y_database,
        k,
        ties,
        weights,
        query_margins=query_margins,
        divisor=divisor,
        n_bits=n_bits,
        unlabeled=unlabeled,
        n_jobs=n_jobs,
    )
    return float(scores.mean())


def mean_ndcg(
    B_query,
    B_database,
    y_query,
    y_database,
    k=None,
    ties="expected",
    weights=None,
    *,
    query_margins=None,
    gain="exponential",
    n_bits=None,
    unlabeled=-1,
    n_jobs=None,
):
    """Mean normalised discounted cumulative gain of ranking the database by Hamming distance to each query.

    DCG = sum over ranks r of gain(r) / log2(1 + r), divided by that of the best order.

    Parameters
    ----------
    B_query, B_database, y_query, y_database, k, ties, weights, query_margins, n_bits, unlabeled, n_jobs
        As in `mean_average_precision`; `k` cuts the ideal order as well.
    gain : {"exponential", "linear"} or array-like
        Gain of an item with v labels in common: ``2**v - 1``, v, or entry v of a list that rises from 0 (its last entry
        for more labels). With (n,) labels v is 0 or 1.

    Returns
    -------
    score : float
        In [0, 1]. A query without relevant items counts 0 (some codes count it 1).

    Examples
    --------
    >>> Y = [[1, 1], [1, 0], [0, 0]]
    >>> mean_ndcg([[1, 1]], [[1, 1], [1, -1], [-1, -1]], [[1, 1]], Y)
    1.0
    """
    check_ties(ties)
    check_k(k)
    task = RetrievalTask(
        B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs, weights, query_margins=query_margins
    )
    return float(task.rank([ties], [k], gain)[0][ties].ndcg(k).mean())


def precision_at_k(
    B_query,
    B_database,
    y_query,
    y_database,
    k=100,
    ties="expected",
    weights=None,
    *,
    query_margins=None,
    n_bits=None,
    unlabeled=-1,
    n_jobs=None,
):
    """Mean share of relevant items among the first `k` of each ranking.

    Parameters
    ----------
    B_query, B_database, y_query, y_database, ties, weights, query_margins, n_bits, unlabeled, n_jobs
        As in `mean_average_precision`.
    k : int
        Ranks that count; for `k` beyond the database the share is of the whole database.

    Returns
    -------
    score : float

    Examples
    --------
    >>> precision_at_k([[1, 1]], [[1, 1], [1, -1], [-1, 1]], [0], [0, 0, 1], k=2)
    0.75
    """
    check_ties(ties)
    check_k(k, optional=False)
    task = RetrievalTask(
        B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs, weights, query_margins=query_margins
    )
    return float(task.rank([ties], [k])[0][ties].precision(k).mean())


def recall_at_k(
    B_query,
    B_database,
    y_query,
    y_database,
    k=100,
    ties="expected",
    weights=None,
    *,
    query_margins=None,
    n_bits=None,
    unlabeled=-1,
    n_jobs=None,
):
    """Mean share of a query's relevant items that its first `k` ranks hold.

    Parameters
    ----------
    B_query, B_database, y_query, y_database, ties, weights, query_margins, n_bits, unlabeled, n_jobs
        As in `mean_average_precision`.
    k : int
        Ranks that count.

    Returns
    -------
    score : float
        A query without relevant items counts 0.

    Examples
    --------
    >>> recall_at_k([[1, 1]], [[1, 1], [1, -1], [-1, 1]], [0], [0, 0, 1], k=2)
    0.75
    """
    check_ties(ties)
    check_k(k, optional=False)
    task = RetrievalTask(
        B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs, weights, query_margins=query_margins
    )
    return float(task.rank([ties], [k])[0][ties].recall(k).mean())


def precision_at_radius(
    B_query,
    B_database,
    y_query,
    y_database,
    radius=2,
    empty="zero",
    weights=None,
    *,
    n_bits=None,
    unlabeled=-1,
    n_jobs=None,
):
    """Mean precision among the items within a Hamming radius of each query (hash lookup).

    Parameters
    ----------
    B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs
        As in `mean_average_precision`.
    radius : int, or float with `weights`
        Radius in bits, inclusive; with `weights` in their unit.
    empty : {"zero", "skip"}
        A query whose ball holds nothing counts 0, or leaves the mean. With "skip" and nothing but empty balls the
        result is NaN.
    weights : array-like of shape (n_bits,), optional
        Balls of the weighted Hamming distance, the sum of the weights of differing bits.

    Returns
    -------
    score : float

    Examples
    --------
    >>> precision_at_radius([[1, 1, 1, 1]], [[1, 1, 1, -1], [1, 1, -1, -1], [-1, -1, -1, -1]], [0], [0, 1, 1])
    0.5
    """
    task = RetrievalTask(B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs, weights)
    return pick(*_one_ball(task, radius), empty)


def recall_at_radius(
    B_query, B_database, y_query, y_database, radius=2, weights=None, *, n_bits=None, unlabeled=-1, n_jobs=None
):
    """Mean share of a query's relevant items that lie within a Hamming radius of it.

    Parameters
    ----------
    B_query, B_database, y_query, y_database, radius, weights, n_bits, unlabeled, n_jobs
        As in `precision_at_radius`.

    Returns
    -------
    score : float
        A query without relevant items counts 0.

    Examples
    --------
    >>> recall_at_radius([[1, 1, 1, 1]], [[1, 1, 1, -1], [-1, -1, -1, -1]], [0], [0, 0])
    0.5
    """
    task = RetrievalTask(B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs, weights)
    curve, place = _one_ball(task, radius)
    return float(curve.recall[place])


def precision_recall(B_query, B_database, y_query, y_database, weights=None, *, n_bits=None, unlabeled=-1, n_jobs=None):
    """Precision and recall within every Hamming radius 0..n_bits, macro means over queries.

    Parameters
    ----------
    B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs
        As in `mean_average_precision`.
    weights : array-like of shape (n_bits,), optional
        Balls of the weighted Hamming distance; the radii are then n_bits + 1 equal steps over all possible distances.

    Returns
    -------
    curve : PrecisionRecall
        With both conventions for empty balls.

    Examples
    --------
    >>> curve = precision_recall([[1, 1]], [[1, -1], [1, -1], [-1, -1]], [0], [0, 1, 0])
    >>> curve.precision.round(2), curve.precision_nonempty.round(2), curve.recall
    (array([0.  , 0.5 , 0.67]), array([ nan, 0.5 , 0.67]), array([0. , 0.5, 1. ]))
    """
    task = RetrievalTask(B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs, weights)
    if task.is_real:
        return ball_curve(*task.balls())
    return DistanceCounts(task.counts()).precision_recall()


def _one_ball(task, radius):
    """The curve of balls and the place of a radius in it."""
    radius = check_radius(radius, weighted=task.is_real)
    if task.is_real:
        return ball_curve(*task.balls(np.array([radius], dtype=float))), 0
    return DistanceCounts(task.counts()).precision_recall(), min(int(radius), task.n_bits)

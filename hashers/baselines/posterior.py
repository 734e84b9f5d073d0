"""The topline of hashing by classification: items ranked by how probably they share the query's class.

A. Sablayrolles, M. Douze, N. Usunier and H. Jegou, "How should we evaluate supervised hashing?", ICASSP 2017.
"""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

from hashers.baselines._classes import ClassScorer

__all__ = ["Posterior", "logistic_curves", "rank_by_scores"]

HELD_OUT = 5
"""One row in so many is held out to calibrate the scores."""

FEWEST = 20
"""Rows below which nothing is held out."""

BLOCK_ENTRIES = 2**22
"""Scores of pairs that are held at once: 32 MiB."""

RELATIVE_TIE = 1e-12
"""Scores closer than this share of the query's largest are a tie: the same products summed in another order."""


class Posterior(ClassScorer):
    """Class probabilities of each item, and the ranking by their inner product: real numbers, not a hash.

    If p(x) are true posteriors, p(x)'p(z) is the probability that x and z are of one class, so no ranking by the same
    classifier is better. Codes are made of less; where they come near it, nothing is left to gain.

    Parameters
    ----------
    function : HashFunction or classifier, optional
        What scores the classes, as for `OneHot`. Default `KernelFunction(n_anchors=1000)`.
    calibration : {"held-out", "none"}
        How scores s (about 1 for the right class, 0 for others) become probabilities. "held-out": softmax(t s), t by
        maximum likelihood on a fifth of the training rows, scored by a function fitted to the others; with label sets
        a logistic curve of two numbers for each label, drawn towards that of all labels. "none": max(s, 0).
        Classifiers with `predict_proba` give their own probabilities.
    similarity : {"inner", "cosine"}
        Of class probabilities, in `average_precision`.
    random_state : int, RandomState instance or None
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class of each column of `probabilities`.
    slope_, offset_ : ndarray of shape (n_classes,), float64
        Calibration: softmax, or logistic curves, of ``slope_ * s + offset_``; NaN where there is none.
    function_ : HashFunction or classifier
        Fitted to all rows with a label.
    is_set_ : bool
        Whether y held label sets.
    n_features_in_ : int

    Notes
    -----
    Twice the cost of the function with "held-out", for it is fitted twice.

    References
    ----------
    Sablayrolles, Douze, Usunier and Jegou, "How should we evaluate supervised hashing?", ICASSP 2017 (the topline).
    J. Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers, 1999.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> posterior = Posterior(random_state=0).fit(X[:1000], y[:1000])
    >>> posterior.probabilities(X[1000:]).shape
    (797, 10)
    >>> bool(posterior.average_precision(X[1700:], X[:1000], y[1700:], y[:1000]).mean() > 0.9)
    True
    """

    def __init__(self, function=None, calibration="held-out", similarity="inner", random_state=None, unlabeled=-1):
        self.function = function
        self.calibration = calibration
        self.similarity = similarity
        self.random_state = random_state
        self.unlabeled = unlabeled

    def _learn(self, X, Y, known, rng):
        for name, value, words in (
            ("calibration", self.calibration, ("held-out", "none")),
            ("similarity", self.similarity, ("inner", "cosine")),
        ):
            if value not in words:
                raise ValueError(f'{name} must be "{words[0]}" or "{words[1]}": {value!r}.')
        if not known.all():
            X, Y = X[known], Y[known]
        seed = int(rng.randint(2**31 - 1))
        function = self._fit_function(X, Y, seed)
        self.slope_ = self.offset_ = np.full(Y.shape[1], np.nan)
        if self.calibration == "held-out" and not self._scores(function, X[:1])[1]:
            self._calibrate(X, Y, rng.permutation(X.shape[0]), seed)
        self.function_ = function

    def _calibrate(self, X, Y, order, seed):
        n = len(order)
        held = np.sort(order[: n // HELD_OUT])
        rest = np.sort(order[n // HELD_OUT :])
        if n < FEWEST or len(np.unique(Y[rest], axis=0)) < 2:
            self.slope_, self.offset_ = np.ones(Y.shape[1]), np.zeros(Y.shape[1])
            return
        scores = self._scores(self._fit_function(X[rest], Y[rest], seed), X[held])[0]
        if self.is_set_:
            self.slope_, self.offset_ = logistic_curves(scores, Y[held])
        else:
            self.slope_, self.offset_ = np.full(Y.shape[1], _temperature(scores, Y[held])), np.zeros(Y.shape[1])

    def probabilities(self, X):
        """Class probabilities.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes), float64
            Rows sum to 1; with label sets each entry is the probability of one label. With ``calibration="none"``
            scores of at least 0 that sum to anything.
        """
        X = self._check_new(X)
        scores, ready = self._scores(self.function_, X)
        if ready or np.isnan(self.slope_[0]):
            return np.maximum(scores, 0)
        scores = self.slope_ * scores + self.offset_
        return expit(scores) if self.is_set_ else softmax(scores, axis=1)

    def embed(self, X):
        """Vectors whose inner products are the similarity: class probabilities, of unit length for "cosine".

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes), float64
        """
        P = self.probabilities(X)
        if self.similarity == "inner":
            return P
        length = np.linalg.norm(P, axis=1, keepdims=True)
        return P / np.where(length > 0, length, 1.0)

    def average_precision(self, X_query, X_database, y_query, y_database, ties="expected", n_jobs=None):
        """Average precision of each query, the database ranked by similarity of class probabilities.

        Parameters
        ----------
        X_query, X_database : array-like or sparse matrix of shape (n, n_features)
        y_query, y_database : array-like of shape (n,) or (n, L)
            Relevant = equal label, or at least one label in common.
        ties : {"expected", "stable", "optimistic", "pessimistic"}
            As in `hashers.metrics.mean_average_precision`.
        n_jobs : int, optional
            Threads over blocks of queries; the result does not depend on it.

        Returns
        -------
        scores : ndarray of shape (n_query,), float64
        """
        query, database = self.embed(X_query), self.embed(X_database)
        return rank_by_scores(query, database, y_query, y_database, (ties,), self.unlabeled, n_jobs)[ties]


def rank_by_scores(P_query, P_database, y_query, y_database, ties=("expected",), unlabeled=-1, n_jobs=None):
    """Average precision of each query, the database ranked by inner products of real vectors, largest first.

    Parameters
    ----------
    P_query, P_database : ndarray of shape (n, m), float64
    y_query, y_database : array-like of shape (n,) or (n, L)
        Labels of any comparable kind (relevant = equal), or 0/1 label sets (relevant = at least one in common).
    ties : sequence of {"expected", "stable", "optimistic", "pessimistic"}
        Products closer than 1e-12 of the query's largest are a tie.
    unlabeled : object
        Label that marks an unknown class; such items raise an error. None takes every label as a class.
    n_jobs : int, optional
        Threads over blocks of queries; the result does not depend on it.

    Returns
    -------
    scores : dict of str to ndarray of shape (n_query,), float64
        By tie rule. A query without relevant items scores 0.

    Notes
    -----
    O(n_database (m + log n_database)) a query; products exist for 4 million pairs at a time.

    Examples
    --------
    >>> rank_by_scores([[1.0]], [[0.3], [0.9], [0.3]], [7], [7, 8, 9])["expected"].round(4)
    array([0.4167])
    """
    from hashers.metrics import counting, ranking
    from hashers.metrics.relevance import Relevance

    wrong = [rule for rule in ties if rule not in ranking.TIES]
    if wrong:
        raise ValueError(f"unknown ties {wrong[0]!r}. Known are {', '.join(ranking.TIES)}.")
    P_query, P_database = (np.asarray(P, dtype=np.float64) for P in (P_query, P_database))
    relevance = Relevance(y_query, y_database, len(P_query), len(P_database), unlabeled)
    gains = ranking.gain_table("linear", relevance.n_levels)

    def run(start, stop):
        products = P_query[start:stop] @ P_database.T
        return [
            _one_query(row, relevance.levels(start + a), relevance.n_levels, ties, gains)
            for a, row in enumerate(products)
        ]

    block = max(1, BLOCK_ENTRIES // len(P_database))
    parts = [one for part in counting.for_blocks(run, len(P_query), block, n_jobs) for one in part]
    return {rule: np.array([one[rule] for one in parts]) for rule in ties}


def _one_query(products, levels, n_levels, ties, gains):
    """Average precision of one ranking by tie rule."""
    from hashers.metrics import ranking

    order = np.argsort(-products, kind="stable" if "stable" in ties else None)
    steps = np.diff(-products[order]) > RELATIVE_TIE * np.abs(products).max()
    group = np.concatenate([[0], np.cumsum(steps)])
    counts = np.bincount(group * n_levels + levels[order], minlength=(int(group[-1]) + 1) * n_levels)
    counts = counts.reshape(1, -1, n_levels)
    random = [rule for rule in ties if rule != "stable"]
    scored = ranking.score_ties(counts, random, (None,), gains) if random else {}
    found = {rule: float(scored[rule].average_precision()[0]) for rule in random}
    if "stable" in ties:
        hits = np.flatnonzero(levels[order[np.lexsort((order, group))]] > 0)
        found["stable"] = float((np.arange(1, len(hits) + 1) / (hits + 1)).sum() / max(1, len(hits)))
    return found


def _temperature(scores, Y):
    """t that maximises the likelihood of the classes under softmax(t s); between 1e-2 and 1e3."""

    def loss(log_t):
        return -float(log_softmax(np.exp(log_t) * scores, axis=1)[Y].mean())

    result: Any = minimize_scalar(loss, bounds=(np.log(1e-2), np.log(1e3)), method="bounded")
    return float(np.exp(result.x))


def logistic_curves(scores, Y, strength=10.0, n_iter=30):
    """Slope and offset of a logistic curve for each label, by penalised maximum likelihood.

    Newton's method, first on all labels together, then on each with a penalty ``strength / 2`` times the squared
    distance to the common curve, as if that many rows spoke for it.
    """
    slope, offset = np.full(1, 5.0), np.full(1, -2.5)
    slope, offset = _newton(scores.reshape(-1, 1), Y.reshape(-1, 1), slope, offset, 1e-3, n_iter)
    C = scores.shape[1]
    return _newton(scores, Y, np.full(C, slope[0]), np.full(C, offset[0]), strength, n_iter)


def _newton(scores, Y, slope, offset, strength, n_iter):
    """Damped Newton steps for every column at once, each with a penalty towards where it starts."""
    slope0, offset0 = slope, offset

    def loss(slope, offset):
        margins = slope * scores + offset
        fit = np.logaddexp(0, margins).sum(axis=0) - np.where(Y, margins, 0.0).sum(axis=0)
        return fit + strength / 2 * ((slope - slope0) ** 2 + (offset - offset0) ** 2)

    value = loss(slope, offset)
    for _ in range(n_iter):
        P = expit(slope * scores + offset)
        error, weight = P - Y, P * (1 - P)
        g_slope = (error * scores).sum(axis=0) + strength * (slope - slope0)
        g_offset = error.sum(axis=0) + strength * (offset - offset0)
        h_ss = (weight * scores**2).sum(axis=0) + strength
        h_so, h_oo = (weight * scores).sum(axis=0), weight.sum(axis=0) + strength
        determinant = h_ss * h_oo - h_so**2
        step_slope = (h_oo * g_slope - h_so * g_offset) / determinant
        step_offset = (h_ss * g_offset - h_so * g_slope) / determinant
        size = np.ones_like(slope)
        for _ in range(20):
            new_slope, new_offset = slope - size * step_slope, offset - size * step_offset
            new_value = loss(new_slope, new_offset)
            worse = new_value > value
            if not worse.any():
                break
            size = np.where(worse, size / 2, size)
        slope, offset = np.where(worse, slope, new_slope), np.where(worse, offset, new_offset)
        if (value - np.minimum(value, new_value) <= 1e-9 * np.abs(value)).all():
            break
        value = np.minimum(value, new_value)
    return slope, offset

"""Rankings by real numbers: weighted Hamming distance, and margins of the query against binary database codes.

Query a ranks database code b by ``sum_k w_k m_ak b_k``, largest first: m are the margins (asymmetric search), or the
query's own signs (weighted Hamming distance), w the weights of bits. Up to a constant and a factor 2 this is minus a
distance that adds ``|w_k m_ak|`` for every bit that disagrees with the sign of ``w_k m_ak``, which a table of 256
entries a byte sums in ``n_bits / 8`` look-ups.
"""

import numpy as np

from hashers import packing
from hashers.kernels import ranking
from hashers.metrics.ranking import RankSums, _limits, score_ties, tables
from hashers.metrics.relevance import distinct_rows

__all__ = ["RealRanking", "bit_scores", "check_margins", "check_weights", "unit"]

RELATIVE_TIE = 1e-12
"""Distances closer than this share of the sum of absolute scores are a tie: sums of the same terms in another order."""


def check_weights(weights, n_bits):
    """Validated weights as float64 (n_bits,)."""
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (n_bits,):
        raise ValueError(f"weights must have shape ({n_bits},), one per bit: its shape is {weights.shape}.")
    if not np.isfinite(weights).all():
        k = int(np.argmax(~np.isfinite(weights)))
        raise ValueError(f"weights must be finite: {weights[k]} at bit {k}. Use 0 to leave a bit out.")
    return weights


def check_margins(query_margins, n_bits=None):
    """Validated margins as float64 (n_query, n_bits)."""
    margins = np.asarray(query_margins)
    if margins.ndim != 2 or 0 in margins.shape or margins.dtype.kind not in "iuf":
        raise ValueError(
            f"query_margins must be (n_query, n_bits) real numbers: its shape is {margins.shape}, its dtype "
            f"{margins.dtype}. Pass hasher.decision_function(X_query)."
        )
    if n_bits is not None and margins.shape[1] != n_bits:
        raise ValueError(
            f"query_margins has {margins.shape[1]} columns and B_database {n_bits} bits: one margin per bit is needed, "
            "from the hasher that made the codes."
        )
    finite = np.isfinite(margins)
    if not finite.all():
        row, bit = (int(p) for p in np.argwhere(~finite)[0])
        raise ValueError(f"query_margins must be finite: {margins[row, bit]} at ({row}, {bit}).")
    return margins.astype(float)


def bit_scores(query, n_bits, weights=None, margins=None):
    """What a bit of +1 is worth to each query.

    Parameters
    ----------
    query : ndarray of shape (n_query, n_bytes), uint8
        Packed codes; not looked at where margins are given.
    n_bits : int
    weights : ndarray of shape (n_bits,), optional
    margins : ndarray of shape (n_query, n_bits), optional

    Returns
    -------
    scores : ndarray of shape (n_query, n_bits), float64
        Rows of margins, and weights, are brought to a largest absolute value of 1, which changes no order.
    """
    scores = packing.unpack(query, n_bits).astype(float) if margins is None else margins / _largest(margins)
    return scores if weights is None else scores * (weights / unit(weights))


def unit(weights):
    """The weight that `bit_scores` scales to 1."""
    return float(_largest(weights[None, :])[0, 0])


def _largest(values):
    """Largest absolute value of each row, kept as a column; 1 where a row is all zeros."""
    largest = np.abs(values).max(axis=1, keepdims=True)
    return np.where(largest > 0, largest, 1.0)


class RealRanking:
    """A database ready to be ranked by real-valued distances, one query at a time.

    Parameters
    ----------
    scores : ndarray of shape (n_query, n_bits), float64
        From `bit_scores`.
    database : ndarray of shape (n_database, n_bytes), uint8
        Packed codes.
    relevance : hashers.metrics.relevance.Relevance

    Notes
    -----
    O(n + m log m) a query for m distinct codes: the sort is one of 64-bit integers that hold a distance and a position.
    """

    def __init__(self, scores, database, relevance):
        self.scores, self.relevance = scores, relevance
        distinct, self.code = distinct_rows(packing.to_words(database))
        self.distinct = distinct.astype("<u8").view(np.uint8)
        self.index_bits = max(1, (len(self.distinct) - 1).bit_length())

    def distances(self, a):
        """Distances of query `a` to the distinct codes, least possible value 0, and their largest possible value."""
        table = np.empty((self.distinct.shape[1], 256))
        score = np.zeros(8 * self.distinct.shape[1])
        score[: self.scores.shape[1]] = self.scores[a]
        ranking.distance_table(score, table)
        distances = np.empty(len(self.distinct))
        ranking.real_distances(self.distinct, table, distances)
        return distances, float(np.abs(score).sum())

    def groups(self, a):
        """Rank the database for query `a`.

        Returns
        -------
        group, level : ndarray of shape (n_database,), int64
            Tie, nearest 0, and relevance level of each item.
        counts : ndarray of shape (n_groups, n_levels), int64
        """
        distances, largest = self.distances(a)
        rank, tolerance = np.empty(len(distances), np.int64), RELATIVE_TIE * largest
        n_groups = ranking.tie_ranks(self._ascending(distances, largest), distances, tolerance, rank)
        level = self.relevance.levels(a)
        group, counts = np.empty(len(level), np.int64), np.zeros((n_groups, self.relevance.n_levels), np.int64)
        ranking.count_groups(rank, self.code, level, group, counts)
        return group, level, counts

    def score(self, a, ties, ks, gains):
        """Sums of query `a` by tie rule, as `hashers.metrics.ranking.score_ties` gives them."""
        group, level, counts = self.groups(a)
        scored = score_ties(counts[None], [rule for rule in ties if rule != "stable"], ks, gains)
        if "stable" in ties:
            sums = np.zeros((1, len(ks), 4))
            ranking.stable_groups(group, level, counts, _limits(ks, len(level)), gains, tables(len(level))[2], sums[0])
            level_totals = np.bincount(level, minlength=counts.shape[1])[None]
            scored["stable"] = RankSums(ks, sums, level_totals, gains)
        return scored

    def balls(self, a, radii):
        """Items and relevant items whose distance exceeds that of the best possible code by at most each radius.

        Parameters
        ----------
        radii : ndarray of shape (n_radii,), float64
            Ascending.

        Returns
        -------
        found : ndarray of shape (n_radii + 1, 2), int64
            Irrelevant and relevant items that lie within a radius and not within the one before; last, beyond all.
        """
        distances, largest = self.distances(a)
        ring = np.searchsorted(radii + RELATIVE_TIE * largest, distances)[self.code]
        found = np.bincount(2 * ring + (self.relevance.levels(a) > 0), minlength=2 * len(radii) + 2)
        return found.reshape(-1, 2)

    def _ascending(self, distances, largest):
        """Positions of the distinct codes, nearest first."""
        if largest == 0 or self.index_bits > 22:
            return np.argsort(distances)
        keys = np.empty(len(distances), np.int64)
        scale = 2.0 ** (62 - self.index_bits) / (largest * (1 + 1e-9))
        ranking.sort_keys(distances, scale, self.index_bits, keys)
        keys.sort()
        keys &= (1 << self.index_bits) - 1
        return keys

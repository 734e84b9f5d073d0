"""One retrieval task, validated once: codes or margins of queries, codes of the database, who is relevant to whom."""

import numpy as np

from hashers import packing
from hashers.metrics import counting, ranking, real_ranking
from hashers.metrics.relevance import Relevance

__all__ = ["RetrievalTask"]

REAL_BLOCK = 16
"""Queries of a block where each has a ranking of its own length."""


class RetrievalTask:
    """Queries against a database, ready to be ranked.

    Parameters
    ----------
    B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs
        As in `hashers.metrics.mean_average_precision`; B_query may be None where margins are given.
    weights : array-like of shape (n_bits,), optional
    query_margins : array-like of shape (n_query, n_bits), optional
    """

    def __init__(
        self, B_query, B_database, y_query, y_database, n_bits, unlabeled, n_jobs, weights=None, query_margins=None
    ):
        margins = None if query_margins is None else real_ranking.check_margins(query_margins, n_bits)
        if B_query is None:
            if margins is None:
                raise ValueError("B_query is None: pass the codes of the queries, or query_margins=.")
            B_query = packing.signs(margins)
            B_query = B_query if n_bits is None else packing.pack(B_query)
        self.query, self.database, self.n_bits = counting.pack_codes(B_query, B_database, n_bits)
        if margins is not None:
            real_ranking.check_margins(margins, self.n_bits)
            if len(margins) != len(self.query):
                raise ValueError(
                    f"query_margins has {len(margins)} rows and B_query {len(self.query)}: both are about the same "
                    "queries. Pass B_query=None to use the signs of the margins."
                )
        self.weights = None if weights is None else real_ranking.check_weights(weights, self.n_bits)
        self.margins, self.n_jobs = margins, n_jobs
        self.n_query, self.n_database = len(self.query), len(self.database)
        self.relevance = Relevance(y_query, y_database, self.n_query, self.n_database, unlabeled)
        self.is_real = self.weights is not None or margins is not None

    def counts(self):
        """Items by Hamming distance and level; shape (n_query, n_bits + 1, n_levels), int64."""
        counter = self._counter()
        return np.concatenate(counting.for_blocks(counter.count, self.n_query, counter.block, self.n_jobs))

    def rank(self, ties, ks, gain="exponential"):
        """Rank and score.

        Parameters
        ----------
        ties : sequence of str
            Tie rules.
        ks : sequence of (int or None)
            Rank limits.
        gain : {"exponential", "linear"} or array-like

        Returns
        -------
        sums : dict of str to RankSums
            By tie rule.
        counts : ndarray of shape (n_query, n_bits + 1, 2), int64, or None
            Irrelevant and relevant items by Hamming distance; None where the ranking is by real numbers.
        """
        ks, gains = ranking.order_limits(ks), ranking.gain_table(gain, self.relevance.n_levels)
        if self.is_real:
            real = self._real()
            parts = counting.for_blocks(
                lambda start, stop: [real.score(a, ties, ks, gains) for a in range(start, stop)],
                self.n_query,
                REAL_BLOCK,
                self.n_jobs,
            )
            scored, counts = [sums for part in parts for sums in part], None
        else:
            counter = self._counter()
            parts = counting.for_blocks(
                lambda start, stop: _score_block(counter, start, stop, ties, ks, gains),
                self.n_query,
                counter.block,
                self.n_jobs,
            )
            scored, counts = [part[0] for part in parts], np.concatenate([part[1] for part in parts])
        return {rule: ranking.RankSums.join([sums[rule] for sums in scored]) for rule in ties}, counts

    def balls(self, radii=None):
        """Items within each radius of weighted Hamming distance.

        Parameters
        ----------
        radii : ndarray of shape (n_radii,), optional
            Ascending; n_bits + 1 equal steps over all possible distances by default.

        Returns
        -------
        radii : ndarray of shape (n_radii,)
        total, relevant : ndarray of shape (n_query, n_radii), int64
        n_relevant : ndarray of shape (n_query,), int64
        """
        assert self.weights is not None and self.margins is None
        real, scale = self._real(), real_ranking.unit(self.weights)
        lowest = float(np.minimum(self.weights, 0).sum())
        if radii is None:
            radii = np.linspace(lowest, float(np.maximum(self.weights, 0).sum()), self.n_bits + 1)
        shifted = (radii - lowest) / scale

        parts = counting.for_blocks(
            lambda start, stop: [real.balls(a, shifted) for a in range(start, stop)],
            self.n_query,
            REAL_BLOCK,
            self.n_jobs,
        )
        rings = np.stack([found for part in parts for found in part])
        within = np.cumsum(rings, axis=1)
        return radii, within[:, :-1].sum(axis=2), within[:, :-1, 1], within[:, -1, 1]

    def _counter(self):
        return counting.Counter(self.query, self.database, self.n_bits, self.relevance)

    def _real(self):
        scores = real_ranking.bit_scores(self.query, self.n_bits, self.weights, self.margins)
        return real_ranking.RealRanking(scores, self.database, self.relevance)


def _score_block(counter, start, stop, ties, ks, gains):
    """Sums of a block of queries by tie rule, and its counts of irrelevant and relevant items by Hamming distance."""
    counts = counter.count(start, stop)
    sums = ranking.score_ties(counts, [rule for rule in ties if rule != "stable"], ks, gains)
    if "stable" in ties:
        sums["stable"] = ranking.score_stable(counter, counts, start, stop, ks, gains)
    return sums, np.stack([counts[:, :, 0], counts[:, :, 1:].sum(axis=2)], axis=2)

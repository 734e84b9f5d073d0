"""Items by distance and relevance as a public object, and what follows from it; see `hashers.metrics`."""

from dataclasses import dataclass

import numpy as np

from hashers.metrics.ranking import DIVISORS, TIES, gain_table, order_limits, score_ties

__all__ = ["DistanceCounts", "PrecisionRecall", "ball_curve", "check_divisor", "check_k", "check_radius", "check_ties"]


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall of Hamming balls, macro means over queries.

    Attributes
    ----------
    radius : ndarray of shape (n_bits + 1,), int64 (float64 for weighted distances)
        Radius of the ball in bits, inclusive.
    precision : ndarray of shape (n_bits + 1,), float64
        A query with an empty ball counts 0.
    precision_nonempty : ndarray of shape (n_bits + 1,), float64
        Mean over the queries whose ball holds something; NaN where no ball does.
    recall : ndarray of shape (n_bits + 1,), float64
        A query without relevant items counts 0.
    nonempty : ndarray of shape (n_bits + 1,), float64
        Share of queries whose ball holds something.
    """

    radius: np.ndarray
    precision: np.ndarray
    precision_nonempty: np.ndarray
    recall: np.ndarray
    nonempty: np.ndarray


def ball_curve(radius, total, relevant, n_relevant):
    """Curve of balls from the items inside them.

    Parameters
    ----------
    radius : ndarray of shape (n_radii,)
    total, relevant : ndarray of shape (n_query, n_radii), int64
        Items and relevant items within each radius.
    n_relevant : ndarray of shape (n_query,), int64
        Relevant items in the database.

    Returns
    -------
    curve : PrecisionRecall
    """
    precision = relevant / np.maximum(total, 1)
    filled = (total > 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        nonempty = precision.sum(axis=0) / np.where(filled > 0, filled, np.nan)
    return PrecisionRecall(
        radius=radius,
        precision=precision.mean(axis=0),
        precision_nonempty=nonempty,
        recall=(relevant / np.maximum(n_relevant, 1)[:, None]).mean(axis=0),
        nonempty=filled / len(total),
    )


@dataclass(frozen=True)
class DistanceCounts:
    """Database items counted by Hamming distance and relevance, for each query; several measures can share one.

    Attributes
    ----------
    counts : ndarray of shape (n_query, n_bits + 1, n_levels), int64
        ``counts[a, d, v]`` items at distance d of query a have relevance v: 0 or 1 for labels, the number of labels in
        common for label sets.

    Examples
    --------
    >>> from hashers.metrics import distance_counts
    >>> counts = distance_counts([[1, 1]], [[1, 1], [1, -1], [-1, 1]], [0], [0, 0, 1])
    >>> counts.total, counts.relevant
    (array([[1, 2, 0]]), array([[1, 1, 0]]))
    >>> counts.average_precision().round(4), counts.average_precision(ties="pessimistic").round(4)
    (array([0.9167]), array([0.8333]))
    """

    counts: np.ndarray

    @property
    def n_bits(self):
        """Code length."""
        return self.counts.shape[1] - 1

    @property
    def total(self):
        """Items at each distance; shape (n_query, n_bits + 1), int64."""
        return self.counts.sum(axis=2)

    @property
    def relevant(self):
        """Relevant items at each distance; shape (n_query, n_bits + 1), int64."""
        return self.counts[:, :, 1:].sum(axis=2)

    def average_precision(self, k=None, ties="expected", divisor="found"):
        """Average precision of each query; shape (n_query,). Arguments as in `mean_average_precision`."""
        check_divisor(divisor)
        return self._sums(k, ties).average_precision(k, divisor)

    def ndcg(self, k=None, ties="expected", gain="exponential"):
        """NDCG of each query; shape (n_query,). Arguments as in `mean_ndcg`."""
        return self._sums(k, ties, gain).ndcg(k)

    def precision_at_k(self, k, ties="expected"):
        """Share of relevant items among the first `k`, by query; shape (n_query,)."""
        check_k(k, optional=False)
        return self._sums(k, ties).precision(k)

    def recall_at_k(self, k, ties="expected"):
        """Share of the relevant items that the first `k` hold, by query; shape (n_query,)."""
        check_k(k, optional=False)
        return self._sums(k, ties).recall(k)

    def precision_at_radius(self, radius=2, empty="zero"):
        """Mean precision in a Hamming ball; arguments as in the function `precision_at_radius`."""
        radius = check_radius(radius)
        return pick(self.precision_recall(), min(int(radius), self.n_bits), empty)

    def recall_at_radius(self, radius=2):
        """Mean share of the relevant items that lie in a Hamming ball; as the function `recall_at_radius`."""
        return float(self.precision_recall().recall[min(int(check_radius(radius)), self.n_bits)])

    def precision_recall(self):
        """Precision and recall at every radius."""
        total, relevant = np.cumsum(self.total, axis=1), np.cumsum(self.relevant, axis=1)
        return ball_curve(np.arange(self.n_bits + 1), total, relevant, relevant[:, -1])

    def mean_distances(self):
        """Mean distance of the relevant and of the other pairs (query, database item); NaN where there are none.

        Returns
        -------
        relevant, irrelevant : float
            In bits.

        Examples
        --------
        >>> from hashers.metrics import distance_counts
        >>> distance_counts([[1, 1]], [[1, 1], [1, -1], [-1, -1]], [0], [0, 0, 1]).mean_distances()
        (0.5, 2.0)
        """
        return mean_distances(self.total, self.relevant)

    def _sums(self, k, ties, gain="exponential"):
        if ties == "stable":
            raise ValueError(
                'ties="stable" needs the order of the database, which counts do not hold. Call the function of '
                "hashers.metrics with the codes."
            )
        check_ties(ties)
        check_k(k)
        return score_ties(self.counts, [ties], order_limits([k]), gain_table(gain, self.counts.shape[2]))[ties]


def mean_distances(total, relevant):
    """Mean distance of relevant and of other pairs, from counts (n_query, n_bits + 1) of all and of relevant items."""
    means, distance = [], np.arange(total.shape[1])
    for counts in (relevant.sum(axis=0), (total - relevant).sum(axis=0)):
        n = int(counts.sum())
        means.append(float(counts @ distance) / n if n else float("nan"))
    return tuple(means)


def pick(curve, place, empty):
    """Precision of a curve at a place, by the convention for empty balls."""
    if empty not in ("zero", "skip"):
        raise ValueError(f'empty must be "zero" or "skip": {empty!r}.')
    return float((curve.precision if empty == "zero" else curve.precision_nonempty)[place])


def check_ties(ties):
    """Refuse a tie rule that does not exist."""
    if not isinstance(ties, str) or ties not in TIES:
        raise ValueError(f"ties must be one of {', '.join(TIES)}: {ties!r}.")


def check_divisor(divisor):
    """Refuse a divisor that does not exist."""
    if not isinstance(divisor, str) or divisor not in DIVISORS:
        raise ValueError(f"divisor must be one of {', '.join(DIVISORS)}: {divisor!r}.")


def check_k(k, optional=True):
    """Refuse what is no number of ranks."""
    if k is None and not optional:
        raise ValueError("k must be a positive integer: None. Pass the number of ranks that count.")
    if k is not None and (isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1):
        raise ValueError(f"k must be a positive integer, or None for the whole ranking: {k!r}.")


def check_radius(radius, weighted=False):
    """Validated radius: bits, or a real number where distances are weighted."""
    kinds = int | np.integer | float | np.floating if weighted else int | np.integer
    if isinstance(radius, bool) or not isinstance(radius, kinds) or not radius >= 0 or not np.isfinite(radius):
        what = "a finite number of at least 0, in the unit of the weights" if weighted else "an integer of at least 0"
        raise ValueError(f"radius must be {what}{'' if weighted else ', in bits'}: {radius!r}.")
    return float(radius) if weighted else int(radius)

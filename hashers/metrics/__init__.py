"""Retrieval measures for binary codes, exact, from counts per distance: never n x n, never a sort.

Hamming distances take n_bits + 1 values, so rankings are full of ties, and a measure depends on who wins a tie. `ties`
says: "expected" averages over all orders inside ties in closed form, "stable" follows the order of the database (what
a stable sort gives), "optimistic" and "pessimistic" put relevant items first and last.

`query_margins` ranks by real-valued outputs of the queries against binary codes of the database (asymmetric search).
`evaluate` gives every measure at once, with the protocol.

Common arguments: codes are ``(n, n_bits)`` int8 in {-1, +1}, or packed uint8 bytes together with ``n_bits=``; labels
are ``(n,)`` of any comparable kind (relevant = equal) or ``(n, L)`` 0/1 label sets (relevant = at least one in common).
Queries without a relevant item score 0 and stay in every mean.

References
----------
He, Cakir, Bargal and Sclaroff, "Hashing as tie-aware learning to rank", CVPR 2018.

Examples
--------
>>> from hashers import metrics
>>> metrics.mean_average_precision([[1, 1]], [[1, 1], [1, -1], [-1, -1]], ["cat"], ["cat", "dog", "cat"]).__round__(4)
0.8333
"""

from hashers.metrics.counts import DistanceCounts, PrecisionRecall
from hashers.metrics.evaluation import Evaluation, Protocol, evaluate
from hashers.metrics.ranking import DIVISORS, TIES
from hashers.metrics.scores import (
    average_precision,
    distance_counts,
    mean_average_precision,
    mean_ndcg,
    precision_at_k,
    precision_at_radius,
    precision_recall,
    recall_at_k,
    recall_at_radius,
)
from hashers.metrics.statistics import CodeStatistics, code_statistics

__all__ = [
    "DIVISORS",
    "TIES",
    "CodeStatistics",
    "DistanceCounts",
    "Evaluation",
    "PrecisionRecall",
    "Protocol",
    "average_precision",
    "code_statistics",
    "distance_counts",
    "evaluate",
    "mean_average_precision",
    "mean_ndcg",
    "precision_at_k",
    "precision_at_radius",
    "precision_recall",
    "recall_at_k",
    "recall_at_radius",
]

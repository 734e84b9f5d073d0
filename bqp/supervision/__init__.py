"""Supervision for code learning: labels, label sets, pairs and matrices as one structured similarity.

Every constructor returns a `Similarity`: a target S_ij (+1 similar, -1 dissimilar, real values allowed) and a weight
W_ij >= 0 for each pair of points. An unknown pair has weight 0. Nothing of size n x n is formed unless the caller
passes it.
"""

from bqp.supervision.base import Collapse, Similarity, check_codes
from bqp.supervision.grouped import GroupedSimilarity, from_groups, from_label_sets, from_labels
from bqp.supervision.pairs import MatrixSimilarity, PairSimilarity, from_matrix, from_pairs
from bqp.supervision.sampling import sample_pairs
from bqp.supervision.triplets import Triplets, from_triplets, sample_triplets

__all__ = [
    "Collapse",
    "GroupedSimilarity",
    "MatrixSimilarity",
    "PairSimilarity",
    "Similarity",
    "Triplets",
    "check_codes",
    "from_groups",
    "from_label_sets",
    "from_labels",
    "from_matrix",
    "from_pairs",
    "from_triplets",
    "sample_pairs",
    "sample_triplets",
]

"""Retrieval splits, cross-validation folds of queries, and a scorer for mean average precision."""

from hashers.model_selection.scoring import MapScorer, make_map_scorer
from hashers.model_selection.splits import RetrievalFold, RetrievalSplit, retrieval_split

__all__ = ["MapScorer", "RetrievalFold", "RetrievalSplit", "make_map_scorer", "retrieval_split"]

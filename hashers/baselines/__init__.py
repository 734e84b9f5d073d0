"""Baselines: what a supervised hasher must clear."""

from hashers.baselines.lsh import LSH

__all__ = ["LSH"]

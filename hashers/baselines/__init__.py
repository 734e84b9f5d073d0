"""Baselines: what a supervised hasher must clear."""

from hashers.baselines.itq import ITQ
from hashers.baselines.lsh import LSH
from hashers.baselines.sh import SH

__all__ = ["ITQ", "LSH", "SH"]

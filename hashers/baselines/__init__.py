"""Baselines: what a supervised hasher must clear."""

from hashers.baselines.itq import ITQ
from hashers.baselines.lsh import LSH
from hashers.baselines.one_hot import OneHot
from hashers.baselines.posterior import Posterior
from hashers.baselines.sh import SH

__all__ = ["ITQ", "LSH", "SH", "OneHot", "Posterior"]

"""Baselines: what a supervised hasher must clear."""

from hashers.baselines.agh import AGH
from hashers.baselines.itq import ITQ
from hashers.baselines.lsh import LSH
from hashers.baselines.one_hot import OneHot
from hashers.baselines.posterior import Posterior
from hashers.baselines.sgh import SGH
from hashers.baselines.sh import SH
from hashers.baselines.sth import STH

__all__ = ["AGH", "ITQ", "LSH", "SGH", "SH", "STH", "OneHot", "Posterior"]

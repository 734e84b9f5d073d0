"""Pairwise losses of binary codes: the value of a loss, and the BQP that one bit of it gives."""

from bqp.losses import triplet
from bqp.losses.bits import TARGETS, BitProblems, bit_problem, target_of_bit, value
from bqp.losses.pairwise import REGISTRY, Bre, Exponential, Hinge, Ksh, Likelihood, Loss, get

__all__ = [
    "REGISTRY",
    "TARGETS",
    "BitProblems",
    "Bre",
    "Exponential",
    "Hinge",
    "Ksh",
    "Likelihood",
    "Loss",
    "bit_problem",
    "get",
    "target_of_bit",
    "triplet",
    "value",
]

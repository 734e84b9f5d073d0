"""Make a problem smaller without losing the optimum: apply, solve the parts, lift the answer."""

from bqp.reductions.base import Reduced, Reduction
from bqp.reductions.components import Components
from bqp.reductions.domain import SpinDomain
from bqp.reductions.dominated_pairs import DominatedPairs
from bqp.reductions.exchangeable import ExchangeableVariables
from bqp.reductions.fixed import FixedVariables
from bqp.reductions.low_degree import LowDegree
from bqp.reductions.persistency import Persistency
from bqp.reductions.pipeline import REGISTRY, reduce_problem, resolve_steps

__all__ = [
    "REGISTRY",
    "Components",
    "DominatedPairs",
    "ExchangeableVariables",
    "FixedVariables",
    "LowDegree",
    "Persistency",
    "Reduced",
    "Reduction",
    "SpinDomain",
    "reduce_problem",
    "resolve_steps",
]

"""Make a problem smaller without losing the optimum: apply, solve the parts, lift the answer."""

from bqp.reductions.base import Reduced, Reduction
from bqp.reductions.components import Components
from bqp.reductions.domain import SpinDomain
from bqp.reductions.exchangeable import ExchangeableVariables
from bqp.reductions.fixed import FixedVariables
from bqp.reductions.pipeline import reduce_problem, resolve_steps

__all__ = [
    "REGISTRY",
    "Components",
    "ExchangeableVariables",
    "FixedVariables",
    "Reduced",
    "Reduction",
    "SpinDomain",
    "reduce_problem",
    "resolve_steps",
]

REGISTRY: dict[str, type[Reduction]] = {step.name: step for step in (FixedVariables, ExchangeableVariables, Components)}

"""Step 2 of two-step hashing: functions that map features to the bits of given codes."""

from hashers.functions.base import ClassifierFunction, HashFunction, as_function
from hashers.functions.kernel import KernelFunction
from hashers.functions.linear import LinearFunction
from hashers.functions.net import NetFunction
from hashers.functions.thresholds import BalancedFunction
from hashers.functions.trees import TreesFunction

__all__ = [
    "BalancedFunction",
    "ClassifierFunction",
    "HashFunction",
    "KernelFunction",
    "LinearFunction",
    "NetFunction",
    "TreesFunction",
    "as_function",
]

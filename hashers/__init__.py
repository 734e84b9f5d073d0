"""Supervised hashing in two steps: binary codes from labels, then one function per bit, and exact retrieval measures.

Names are loaded on use: ``from hashers import TSH``, ``from hashers import metrics``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashers import datasets, functions, metrics, packing
    from hashers.base import Hasher
    from hashers.functions import ClassifierFunction, KernelFunction, LinearFunction
    from hashers.methods import TSH

__all__ = [
    "TSH",
    "ClassifierFunction",
    "Hasher",
    "KernelFunction",
    "LinearFunction",
    "datasets",
    "functions",
    "metrics",
    "packing",
]

_HOMES = {
    "TSH": "hashers.methods",
    "ClassifierFunction": "hashers.functions",
    "Hasher": "hashers.base",
    "KernelFunction": "hashers.functions",
    "LinearFunction": "hashers.functions",
}


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"hashers.{name}")
    raise AttributeError(f"module 'hashers' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])

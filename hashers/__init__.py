"""Supervised hashing in two steps: binary codes from labels, then one function per bit, and exact retrieval measures.

Names are loaded on use: ``from hashers import TSH``, ``from hashers import metrics``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashers import datasets, deep, functions, index, metrics, model_selection, packing
    from hashers.base import Hasher
    from hashers.baselines import AGH, ITQ, LSH, SGH, SH, STH, OneHot, Posterior
    from hashers.deep import ADSH, CNNH, DDSH, DSDH, FTDSH, DeepHash
    from hashers.errors import CodeFileError, MissingModule, ModelFileError
    from hashers.export import export_onnx
    from hashers.functions import (
        BalancedFunction,
        ClassifierFunction,
        KernelFunction,
        LinearFunction,
        NetFunction,
        TreesFunction,
    )
    from hashers.index import BinaryIndex
    from hashers.methods import (
        COSDISH,
        DGH,
        FSDH,
        HBMP,
        KSH,
        LFH,
        MLH,
        SDH,
        TSH,
        AffHash,
        FastHash,
        FeatureAwareHash,
        HadamardHash,
        TripletHash,
    )
    from hashers.persistence import load, save

__all__ = [
    "ADSH",
    "AGH",
    "CNNH",
    "COSDISH",
    "DDSH",
    "DGH",
    "DSDH",
    "FSDH",
    "FTDSH",
    "HBMP",
    "ITQ",
    "KSH",
    "LFH",
    "LSH",
    "MLH",
    "SDH",
    "SGH",
    "SH",
    "STH",
    "TSH",
    "AffHash",
    "BalancedFunction",
    "BinaryIndex",
    "ClassifierFunction",
    "CodeFileError",
    "DeepHash",
    "FastHash",
    "FeatureAwareHash",
    "HadamardHash",
    "Hasher",
    "KernelFunction",
    "LinearFunction",
    "MissingModule",
    "ModelFileError",
    "NetFunction",
    "OneHot",
    "Posterior",
    "TreesFunction",
    "TripletHash",
    "datasets",
    "deep",
    "export_onnx",
    "functions",
    "index",
    "load",
    "metrics",
    "model_selection",
    "packing",
    "save",
]

_HOMES = {
    "AGH": "hashers.baselines",
    "ITQ": "hashers.baselines",
    "LSH": "hashers.baselines",
    "SGH": "hashers.baselines",
    "SH": "hashers.baselines",
    "STH": "hashers.baselines",
    "OneHot": "hashers.baselines",
    "Posterior": "hashers.baselines",
    "ADSH": "hashers.deep",
    "CNNH": "hashers.deep",
    "DDSH": "hashers.deep",
    "DSDH": "hashers.deep",
    "DeepHash": "hashers.deep",
    "FTDSH": "hashers.deep",
    "export_onnx": "hashers.export",
    "BinaryIndex": "hashers.index",
    "CodeFileError": "hashers.errors",
    "MissingModule": "hashers.errors",
    "ModelFileError": "hashers.errors",
    "save": "hashers.persistence",
    "load": "hashers.persistence",
    "AffHash": "hashers.methods",
    "COSDISH": "hashers.methods",
    "DGH": "hashers.methods",
    "FSDH": "hashers.methods",
    "FastHash": "hashers.methods",
    "FeatureAwareHash": "hashers.methods",
    "HBMP": "hashers.methods",
    "HadamardHash": "hashers.methods",
    "KSH": "hashers.methods",
    "LFH": "hashers.methods",
    "MLH": "hashers.methods",
    "SDH": "hashers.methods",
    "TSH": "hashers.methods",
    "TripletHash": "hashers.methods",
    "BalancedFunction": "hashers.functions",
    "ClassifierFunction": "hashers.functions",
    "Hasher": "hashers.base",
    "KernelFunction": "hashers.functions",
    "LinearFunction": "hashers.functions",
    "NetFunction": "hashers.functions",
    "TreesFunction": "hashers.functions",
}


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"hashers.{name}")
    raise AttributeError(f"module 'hashers' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])

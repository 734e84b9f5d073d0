"""Supervised hashing methods: one file, one class, one paper."""

from hashers.methods.affhash import AffHash
from hashers.methods.cosdish import COSDISH
from hashers.methods.dgh import DGH
from hashers.methods.fasthash import FastHash
from hashers.methods.featureaware import FeatureAwareHash
from hashers.methods.fsdh import FSDH
from hashers.methods.hadamard import HadamardHash
from hashers.methods.hbmp import HBMP
from hashers.methods.ksh import KSH
from hashers.methods.lfh import LFH
from hashers.methods.mlh import MLH
from hashers.methods.sdh import SDH
from hashers.methods.triplet import TripletHash
from hashers.methods.tsh import TSH

__all__ = [
    "COSDISH",
    "DGH",
    "FSDH",
    "HBMP",
    "KSH",
    "LFH",
    "MLH",
    "SDH",
    "TSH",
    "AffHash",
    "FastHash",
    "FeatureAwareHash",
    "HadamardHash",
    "TripletHash",
]

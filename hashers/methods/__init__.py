"""Supervised hashing methods: one file, one class, one paper."""

from hashers.methods.affhash import AffHash
from hashers.methods.cosdish import COSDISH
from hashers.methods.fasthash import FastHash
from hashers.methods.fsdh import FSDH
from hashers.methods.hadamard import HadamardHash
from hashers.methods.hbmp import HBMP
from hashers.methods.sdh import SDH
from hashers.methods.triplet import TripletHash
from hashers.methods.tsh import TSH

__all__ = [
    "COSDISH",
    "FSDH",
    "HBMP",
    "SDH",
    "TSH",
    "AffHash",
    "FastHash",
    "HadamardHash",
    "TripletHash",
]

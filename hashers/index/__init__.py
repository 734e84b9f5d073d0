"""Search in binary codes: exact, without any library, and through faiss or usearch; codes on disk."""

from hashers.index.base import Index, Neighbors, Ranked, Within
from hashers.index.exact import BinaryIndex
from hashers.index.files import CodeFile, CodeWriter, load_codes, save_codes
from hashers.index.libraries import FaissIndex, UsearchIndex, build_index

__all__ = [
    "BinaryIndex",
    "CodeFile",
    "CodeWriter",
    "FaissIndex",
    "Index",
    "Neighbors",
    "Ranked",
    "UsearchIndex",
    "Within",
    "build_index",
    "load_codes",
    "save_codes",
]

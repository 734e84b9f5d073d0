"""Search in binary codes: exact, without any library, and through faiss or usearch; codes on disk."""

from hashers.index.base import Index, Neighbors, Ranked, Within
from hashers.index.exact import BinaryIndex
from hashers.index.files import CodeFile, CodeWriter, load_codes, save_codes

__all__ = [
    "BinaryIndex",
    "CodeFile",
    "CodeWriter",
    "Index",
    "Neighbors",
    "Ranked",
    "Within",
    "load_codes",
    "save_codes",
]

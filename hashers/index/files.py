"""Codes on disk: a packed file that is memory-mapped, and npz.

A packed file is

- 8 bytes of signature, ``\\x93HCODES\\n``;
- the version of the format and the length of the header, each uint32, little endian;
- the header: JSON in ASCII, padded with spaces so that the codes start at a multiple of 64 bytes. It holds ``n``,
  ``n_bits``, ``bitorder`` ("little"), ``has_ids``, and ``sha256``, the digest of all bytes behind the header;
- 32 bytes: the SHA-256 of everything before;
- the codes, ``ceil(n_bits / 8)`` bytes each, bit order "little", zero padding;
- with ids, zero bytes up to a multiple of 8 bytes behind the start of the codes, then n int64, little endian.

An npz file holds ``codes`` (packed uint8), ``n_bits``, ``bitorder`` and, with ids, ``ids``.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hashers import packing
from hashers._atomic import atomic_file
from hashers.errors import CodeFileError
from hashers.index.base import check_ids, packed_codes

__all__ = ["CodeFile", "CodeWriter", "load_codes", "save_codes"]

MAGIC = b"\x93HCODES\n"
VERSION = 1
START = 512
"""Where the codes of a file that we write begin; a reader takes it from the header's length."""

BLOCK = 2**22
"""Bytes that are read or written at once."""


class CodeFile(NamedTuple):
    """Codes from disk.

    Attributes
    ----------
    packed : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Bit order "little", zero padding; a read-only memory map where asked for.
    n_bits : int
    ids : ndarray of shape (n,), int64, or None
    """

    packed: np.ndarray
    n_bits: int
    ids: np.ndarray | None


class CodeWriter:
    """Write a packed file block by block; it appears under its name when complete.

    Parameters
    ----------
    path : str or Path
    n_bits : int
        Code length.

    Notes
    -----
    As a context manager. Without an error the file replaces `path` at the end, in one step; after an error nothing is
    left. Memory: one block, and 8 bytes per code where ids are given.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "database.codes"
    >>> with CodeWriter(path, n_bits=3) as writer:
    ...     writer.append([[1, 1, -1]])
    ...     writer.append([[-1, 1, -1], [1, 1, 1]])
    >>> load_codes(path).packed.ravel()
    memmap([3, 2, 7], dtype=uint8)
    """

    def __init__(self, path, n_bits):
        if isinstance(n_bits, bool) or int(n_bits) != n_bits or n_bits < 1:
            raise ValueError(f"n_bits must be a positive integer: {n_bits!r}.")
        self.path, self.n_bits = Path(path), int(n_bits)

    def __enter__(self):
        self._context = atomic_file(self.path)
        self._file = self._context.__enter__()
        self._file.write(bytes(START))
        self._digest = hashlib.sha256()
        self._n, self._ids = 0, []
        return self

    def append(self, codes, ids=None):
        """Write more codes.

        Parameters
        ----------
        codes : array-like of shape (m, n_bits) in {-1, +1}, or packed (m, ceil(n_bits / 8)) uint8
        ids : array-like of shape (m,), int, optional
            For all blocks, or for none.
        """
        packed = packed_codes(codes, self.n_bits)[0]
        ids = check_ids(ids, len(packed))
        if self._n and (ids is None) == bool(self._ids):
            raise ValueError("ids must come with every block, or with none.")
        for start in range(0, len(packed), BLOCK):
            self._write(packed[start : start + BLOCK].tobytes())
        self._n += len(packed)
        if ids is not None:
            self._ids.append(ids)

    def __exit__(self, kind, error, traceback):
        try:
            if kind is None:
                self._finish()
        except BaseException as failure:
            self._context.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._context.__exit__(kind, error, traceback)

    def _write(self, data):
        self._digest.update(data)
        self._file.write(data)

    def _finish(self):
        if self._n == 0:
            raise ValueError(f"{self.path}: no codes were appended. A file of codes holds at least one.")
        if self._ids:
            self._write(bytes(-self._n * -(-self.n_bits // 8) % 8))
            for ids in self._ids:
                self._write(ids.astype("<i8").tobytes())
        header = {
            "n": self._n,
            "n_bits": self.n_bits,
            "bitorder": "little",
            "has_ids": bool(self._ids),
            "sha256": self._digest.hexdigest(),
        }
        text = json.dumps(header).encode("ascii").ljust(START - len(MAGIC) - 8 - 32)
        head = MAGIC + VERSION.to_bytes(4, "little") + len(text).to_bytes(4, "little") + text
        self._file.seek(0)
        self._file.write(head + hashlib.sha256(head).digest())


def save_codes(path, codes, n_bits=None, ids=None):
    """Write codes to a file.

    Parameters
    ----------
    path : str or Path
        A name in ``.npz`` gives an npz file, any other a packed file, which can be memory-mapped.
    codes : array-like of shape (n, n_bits), or packed (n, ceil(n_bits / 8)) uint8 with `n_bits`
    n_bits : int, optional
    ids : array-like of shape (n,), int, optional

    Raises
    ------
    ValueError
        If codes or ids are not as told.

    Notes
    -----
    The file appears under its name when complete.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "codes.npz"
    >>> save_codes(path, [[1, -1, 1], [-1, -1, 1]], ids=[7, 8])
    >>> load_codes(path)
    CodeFile(packed=array([[5],
           [4]], dtype=uint8), n_bits=3, ids=array([7, 8]))
    """
    packed, n_bits = packed_codes(codes, n_bits)
    ids = check_ids(ids, len(packed))
    if Path(path).suffix.lower() != ".npz":
        with CodeWriter(path, n_bits) as writer:
            writer.append(packed, ids)
        return
    arrays: dict[str, Any] = {"codes": packed, "n_bits": np.int64(n_bits), "bitorder": np.str_("little")}
    if ids is not None:
        arrays["ids"] = ids
    with atomic_file(path) as file:
        np.savez(file, **arrays)


def load_codes(path, mmap=True, verify=True):
    """Read codes that `save_codes`, `CodeWriter` or the command line wrote.

    Parameters
    ----------
    path : str or Path
        Packed file or npz file, told apart by content.
    mmap : bool
        Whether the codes of a packed file stay in the file. Those of an npz file are read.
    verify : bool
        Whether the checksum of codes and ids is compared (about 1 s a gigabyte). Header and size always are.

    Returns
    -------
    codes : CodeFile(packed, n_bits, ids)

    Raises
    ------
    CodeFileError
        If the file is truncated, damaged, foreign or of an unknown version.
    OSError
        If it cannot be opened.

    Notes
    -----
    Npz files of codes in bit order "big" (`numpy.packbits`'s default) are turned into "little".
    """
    with open(path, "rb") as file:
        start = file.read(len(MAGIC))
        if start == MAGIC:
            return _read_packed(Path(path), file, mmap, verify)
    if start[:2] == b"PK":
        return _read_npz(path)
    raise CodeFileError(
        f"{path} is no file of codes: its first bytes are {start[:8]!r}. "
        "Write one with hashers.index.save_codes or hashers encode."
    )


def _error(path, reason, advice="Copy or write it again."):
    return CodeFileError(f"{path}: {reason}. {advice}")


def _read_header(path, file, size):
    """Checked header of a packed file, and where the codes begin."""
    head = file.read(8)
    if len(head) < 8:
        raise _error(path, f"the file ends in its header, after {size} bytes")
    version, length = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:], "little")
    if version != VERSION:
        reason = f"version {version} of the format; this hashers reads version {VERSION}"
        raise _error(path, reason, "Install a newer hashers.")
    start = len(MAGIC) + 8 + length + 32
    if length > 2**20 or start > size:
        raise _error(path, f"the header claims {length} bytes, the file has {size}: it is truncated or damaged")
    text, digest = file.read(length), file.read(32)
    if hashlib.sha256(MAGIC + head + text).digest() != digest:
        raise _error(path, "the header does not match its checksum: it was damaged or edited")
    try:
        header = json.loads(text)
        wrong = header["bitorder"] != "little" or header["n"] < 1 or header["n_bits"] < 1
        if wrong or type(header["has_ids"]) is not bool or len(header["sha256"]) != 64:
            raise ValueError(f"unusable values {header}")
    except (ValueError, KeyError, TypeError) as error:
        raise _error(path, f"the header cannot be read ({type(error).__name__}: {error})") from error
    return header, start


def _read_packed(path, file, mmap, verify):
    size = os.fstat(file.fileno()).st_size
    header, start = _read_header(path, file, size)
    n, n_bits, has_ids = header["n"], header["n_bits"], header["has_ids"]
    n_bytes = -(-n_bits // 8)
    ids_at = start + n * n_bytes + (-n * n_bytes) % 8
    expected = ids_at + 8 * n if has_ids else start + n * n_bytes
    if size != expected:
        state = "truncated" if size < expected else "longer than it should be"
        what = f"{n} codes of {n_bits} bits{' with ids' if has_ids else ''}"
        raise _error(path, f"{what} need {expected} bytes, the file has {size}: it is {state}")
    if verify:
        actual = hashlib.sha256()
        while block := file.read(BLOCK):
            actual.update(block)
        if actual.hexdigest() != header["sha256"]:
            raise _error(path, "the codes do not match their checksum: the file was damaged or edited")
    ids = None
    if has_ids:
        file.seek(ids_at)
        ids = np.fromfile(file, "<i8", n).astype(np.int64, copy=False)
    if mmap:
        packed = np.memmap(path, np.uint8, "r", offset=start, shape=(n, n_bytes))
    else:
        file.seek(start)
        packed = np.fromfile(file, np.uint8, n * n_bytes).reshape(n, n_bytes)
    return CodeFile(packed, n_bits, ids)


def _read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # damage surfaces as a dozen kinds of error of zipfile, zlib and numpy
        raise CodeFileError(f"{path} cannot be read as an npz file: {error}. Copy or write it again.") from error
    if "codes" not in arrays or "n_bits" not in arrays:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise CodeFileError(
            f"{path} holds {found}; codes and n_bits are wanted. Write it with hashers encode or "
            "hashers.index.save_codes."
        )
    try:
        order = str(arrays.get("bitorder", "little"))
        if order not in ("little", "big"):
            raise ValueError(f'bitorder must be "little" or "big": {order!r}')
        codes, n_bits = arrays["codes"], int(arrays["n_bits"])
        if order == "big" and codes.dtype == np.uint8:
            codes = np.packbits(np.unpackbits(codes, axis=-1, bitorder="big"), axis=-1, bitorder="little")
        packed, n_bits = packed_codes(codes, n_bits)
        ids = check_ids(arrays.get("ids"), len(packed))
    except (ValueError, TypeError) as error:
        raise CodeFileError(
            f"{path}: {str(error).rstrip('.')}. Write it again with hashers.index.save_codes."
        ) from error
    return CodeFile(packing.check_packed(packed, n_bits), n_bits, ids)

"""A file as bytes, with the errors that name the path, the line, what came and what is expected."""

import gzip
import lzma
import math
import os
import zlib
from pathlib import Path

import numpy as np

from bqp.errors import FormatError

__all__ = ["Source", "compression_of", "number", "read_bytes", "write_bytes"]

_MAGIC = {"gz": b"\x1f\x8b", "xz": b"\xfd7zXZ\x00"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors put it before UTF-8 text
_SHOWN = 60  # characters of a line that an error quotes


def compression_of(path):
    """Return ``"gz"``, ``"xz"`` or ``""`` from the last suffix of `path`."""
    suffix = Path(path).suffix.lower().lstrip(".")
    return suffix if suffix in _MAGIC else ""


def read_bytes(path):
    """Read a file, decompressing gz and xz.

    The first bytes of the file decide, so that a compressed file under a plain name is read too; a name ending in
    ``.gz`` or ``.xz`` promises that compression.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    data : bytes

    Raises
    ------
    FormatError
        If the file is missing, unreadable, a directory, or corrupt.
    """
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file. Check the path (the working directory is {os.getcwd()}).") from None
    except IsADirectoryError:
        raise FormatError(f"{path}: is a directory. Pass the path of one file inside it.") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error}).") from error
    promised = compression_of(path)
    kind = next((name for name, magic in _MAGIC.items() if data.startswith(magic)), "")
    if promised and kind != promised:
        raise FormatError(
            f"{path}: is named .{promised}, but its first bytes {data[:6]!r} are not those of {promised} data. "
            f"Rename it, or fetch it again."
        )
    try:
        if kind:
            data = gzip.decompress(data) if kind == "gz" else lzma.decompress(data)
        return data.removeprefix(_BYTE_ORDER_MARK)
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise FormatError(
            f"{path}: the {kind} data are corrupt or cut short ({error}). Fetch the file again."
        ) from error


def write_bytes(path, data):
    """Write `data` (bytes), compressed as the suffix of `path` says; equal data give equal files."""
    kind = compression_of(path)
    if kind == "gz":
        data = gzip.compress(data, mtime=0)
    elif kind == "xz":
        data = lzma.compress(data)
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise FormatError(
            f"{os.fspath(path)}: cannot be written ({error.strerror or error}). Pass a path in a directory that exists "
            f"and that you may write to."
        ) from error


def number(token):
    """Return the finite float that `token` (str) spells, or None; underscores and hexadecimal do not count."""
    if "_" in token:
        return None
    try:
        value = float(token)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class Source:
    """The text of one file and a place in it.

    Parameters
    ----------
    path : str or path-like
        Named in the errors.
    data : bytes
        Decompressed content.
    format : str
        Name of the format that the file is read as; named in the errors.
    comments : bytes
        Each of these characters, at the start of a token, makes the rest of its line a comment.

    Attributes
    ----------
    position : int
        Offset of the next line to read.
    line : int
        Number of that line, counted from 1.
    """

    def __init__(self, path, data, format, comments=b""):
        self.path = os.fspath(path)
        self.data = data
        self.format = format
        self.comments = comments
        self.position = 0
        self.line = 1
        self._check_text()

    def _check_text(self):
        codes = np.frombuffer(self.data, dtype=np.uint8)
        if codes.size == 0:
            raise self.error(f"the file is empty; a {self.format} file is expected.")
        if codes.max() < 128 and codes.min() > 0:
            return
        try:
            if codes.min() == 0:
                raise UnicodeDecodeError("utf-8", self.data, self.data.index(0), self.data.index(0) + 1, "zero byte")
            self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            remedy = " An npz file is read with format='npz'." if self.data.startswith(b"PK") else ""
            raise self.error(
                f"not a text file: byte {self.data[error.start]:#04x} at offset {error.start} is not UTF-8 text. "
                f"A {self.format} file is plain text, or that compressed by gzip or xz.{remedy}"
            ) from None

    def error(self, message, line=None):
        """Return (not raise) a `FormatError` that names the file and, if given, the line."""
        place = self.path if line is None else f"{self.path}, line {line}"
        return FormatError(f"{place}: {message}")

    def next_line(self, expected):
        """Return the tokens (list of str) of the next line that holds any, and its number; move past it.

        `expected` says what was due, for the error at the end of the file.
        """
        data, size = self.data, len(self.data)
        while self.position < size:
            end = data.find(b"\n", self.position)
            end = size if end < 0 else end
            raw, number_ = data[self.position : end], self.line
            self.position, self.line = min(end + 1, size), self.line + 1
            tokens = raw.decode("utf-8").split()
            if tokens and tokens[0].encode()[0] not in self.comments:
                return tokens, number_
        raise self.error(f"the file ends where {expected} is expected; it is cut short. Fetch the file again.")

    def peek(self, expected):
        """Return what `next_line` would, and stay."""
        place = self.position, self.line
        try:
            return self.next_line(expected)
        finally:
            self.position, self.line = place

    def line_of_entry(self, start, k):
        """Return the number of the line of entry `k`, from 0, of the list that begins at `start` (position, line)."""
        place = self.position, self.line
        self.position, self.line = start
        for _ in range(k):
            self.next_line("an entry")
        line = self.next_line("an entry")[1]
        self.position, self.line = place
        return line

    def quote(self, line):
        """Return line number `line` as it stands, shortened, for an error."""
        start = 0
        for _ in range(line - 1):
            start = self.data.index(b"\n", start) + 1
        end = self.data.find(b"\n", start)
        text = self.data[start : len(self.data) if end < 0 else end][: 4 * _SHOWN].decode("utf-8", "replace").strip()
        return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")

    def finish(self, announced):
        """Raise unless nothing but blank lines and comments is left; `announced` says what should have been all."""
        try:
            tokens, line = self.next_line("")
        except FormatError:
            return
        raise self.error(
            f"{' '.join(tokens)[:_SHOWN]!r} came after {announced}, where the file should end. Correct the count, or "
            f"remove the lines that are too many.",
            line,
        )

    def integer(self, token, what, line, lowest=0):
        """Return `token` as an int of at least `lowest`, or raise an error that names `what`."""
        digits = token.removeprefix("+")
        if digits.isascii() and digits.isdigit() and int(digits) >= lowest:
            return int(digits)
        raise self.error(f"{what} must be an integer of at least {lowest}, but {token[:_SHOWN]!r} came.", line)

    def real(self, token, what, line):
        """Return `token` as a finite float, or raise an error that names `what`."""
        value = number(token)
        if value is None:
            raise self.error(f"{what} must be a finite number, but {token[:_SHOWN]!r} came.", line)
        return value

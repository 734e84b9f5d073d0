"""Features and labels from npz, npy, csv and parquet files, block by block or whole.

Csv and parquet: every column that is neither a label nor ignored is a feature, or those that a model was fitted to, in
its order; a parquet column may hold one list of numbers a row. Npz: the keys of `hashers.datasets.load` where the file
has them, or a sparse matrix of `scipy.sparse.save_npz`. Npy: a two-dimensional array.
"""

from __future__ import annotations

import csv
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Table", "open_table"]

BLOCK_BYTES = 2**25
"""Bytes of features that one block holds, about."""
SUFFIXES = (".npz", ".npy", ".csv", ".parquet")


class Table(ABC):
    """A file of features.

    Parameters
    ----------
    path : Path
    labels : str or None
        Columns, a member, or a file of labels, as the option --labels names them.
    ignore : tuple of str
        Columns that are no features; patterns.
    only_labels : bool
        Whether the file (csv, parquet) may hold labels and nothing else.
    wanted : sequence of str, optional
        Names of the features, in order, for files whose columns have names; other columns are then no features.

    Attributes
    ----------
    parts : dict of str to ndarray
        Row indices "query", "database", "train" where an npz file holds a split.
    n : int or None
        Rows; None where it takes a pass to know (csv).
    """

    def __init__(
        self,
        path: Path,
        labels: str | None = None,
        ignore: tuple[str, ...] = (),
        only_labels: bool = False,
        wanted: Sequence[str] | None = None,
    ):
        self.path, self.labels, self.ignore, self.only_labels, self.wanted = path, labels, ignore, only_labels, wanted
        self.parts: dict[str, np.ndarray] = {}
        self.n: int | None = None
        self._inspect()

    @abstractmethod
    def _inspect(self) -> None:
        """Read what the head of the file says: rows, columns, parts."""

    @abstractmethod
    def _blocks(self, rows: int | None) -> Iterator[tuple[Any, np.ndarray | None]]:
        """Yield features (m, d) and the labels (m, L) that stand in columns of the same file, if any."""

    def feature_names(self) -> list[str] | None:
        """Names of the features that were read last; None where columns have none, or not each its own."""
        return None

    def blocks(self, rows: int | None = None) -> Iterator[np.ndarray]:
        """Yield blocks of features, (m, d)."""
        for X, _ in self._blocks(rows):
            yield X

    def read_labelled(self) -> tuple[Any, np.ndarray]:
        """All features and labels; an error where there are none."""
        X, y = self.read()
        if y is None:
            raise ValueError(f"{self.path}: labels are needed. Name them by --labels COLUMN, KEY or FILE.")
        return X, y

    def read(self) -> tuple[Any, np.ndarray | None]:
        """All features and, where there are any, labels.

        Raises
        ------
        ValueError
            If lengths differ.
        """
        from scipy import sparse

        parts = list(self._blocks(None))
        if sparse.issparse(parts[0][0]):
            X = sparse.vstack([block for block, _ in parts], format="csr")
        else:
            X = parts[0][0] if len(parts) == 1 else np.concatenate([block for block, _ in parts])
        y = None
        if parts[0][1] is not None:
            y = _joined([labels for _, labels in parts])
        else:
            y = self._outside_labels()
        if y is not None and len(y) != X.shape[0]:
            raise ValueError(f"{self.path} has {X.shape[0]} rows and there are {len(y)} labels: one per row is needed.")
        return X, y

    def _outside_labels(self) -> np.ndarray | None:
        return None if self.labels is None else _label_file(self.labels, self.path)


def open_table(
    path: Path, labels: str | None = None, ignore: str | None = None, wanted: Sequence[str] | None = None
) -> Table:
    """Open a file of features by its suffix.

    Parameters
    ----------
    path : Path
    labels : str, optional
        A file, ``FILE`` or ``FILE:NAME``; or names or patterns of columns (csv, parquet), or a key (npz).
    ignore : str, optional
        Names or patterns of columns, separated by commas.
    wanted : sequence of str, optional
        Names of the features that a model was fitted to; columns with names are then matched by them.

    Raises
    ------
    ValueError
        If the kind of file is unknown or its content is not as told.
    FileNotFoundError
        If there is no such file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}.")
    kinds = {".npz": _Npz, ".npy": _Npy, ".csv": _Csv, ".parquet": _Parquet}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path}: the kind of file is told by its name, which must end in {', '.join(SUFFIXES)}.")
    ignored = tuple(word.strip() for word in ignore.split(",")) if ignore else ()
    if ignored and kind in (_Npz, _Npy):
        raise ValueError(f"--ignore names columns, which {path} does not have.")
    return kind(path, labels, ignored, wanted=wanted)


def _rows_of(rows, n_features, itemsize=8):
    return rows or max(1, BLOCK_BYTES // max(1, n_features * itemsize))


def _check_matrix(shape, dtype, name):
    if len(shape) != 2 or 0 in shape or dtype.kind not in "biuf":
        raise ValueError(f"{name} must be an (n, d) array of numbers: its shape is {tuple(shape)}, its dtype {dtype}.")


class _Npy(Table):
    def _inspect(self):
        try:
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{self.path} cannot be read as an npy file: {error}. Is it complete?") from error
        _check_matrix(array.shape, array.dtype, str(self.path))
        self.n, self._width, self._size = *array.shape, array.dtype.itemsize

    def _blocks(self, rows):
        assert self.n is not None
        step = _rows_of(rows, self._width, self._size)
        for start in range(0, self.n, step):
            # mapped anew for each block, so that pages already read do not pile up
            yield np.array(np.load(self.path, mmap_mode="r", allow_pickle=False)[start : start + step]), None


class _Npz(Table):
    def _inspect(self):
        from hashers import datasets

        try:
            with np.load(self.path, allow_pickle=False) as archive:
                self._keys = archive.files
                small = {key: archive[key] for key in archive.files if key not in ("X", "Y", "labels", "data")}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            if isinstance(error, PermissionError):
                raise
            raise ValueError(f"{self.path} cannot be read as an npz file: {error}. Is it complete?") from error
        self._sparse = {"indices", "indptr", "format", "shape"} <= set(small)
        if self._sparse:
            self.n = int(small["shape"][0])
            return
        if "X" not in self._keys:
            raise ValueError(f"{self.path}: the key X is missing; it has {', '.join(sorted(self._keys)) or 'none'}.")
        shape, dtype = self._header()
        _check_matrix(shape, dtype, f"{self.path}: X")
        self.n, self._width, self._size = *shape, dtype.itemsize
        self.parts = {
            key: datasets._indices(small[key], key, shape[0], self._fail)
            for key in ("query", "database", "train")
            if key in small
        }
        source = next((s for s in datasets.SOURCES.values() if Path(s.file).name == self.path.name), None)
        image = datasets._image_shape(small, source, shape[1], self._fail) is not None
        self._decode = lambda X: datasets._features({**small, "X": X}, source, image, self._fail)

    def _fail(self, message):
        raise ValueError(f"{self.path}: {message}")

    def _header(self):
        with zipfile.ZipFile(self.path) as archive, archive.open("X.npy") as file:
            shape, _, dtype = _npy_header(file)
        return shape, dtype

    def _blocks(self, rows):
        from scipy import sparse

        if self._sparse:
            X = sparse.csr_array(sparse.load_npz(self.path))
            step = rows or 2**14
            for start in range(0, X.shape[0], step):
                yield X[start : start + step], None
            return
        step = _rows_of(rows, self._width, max(4, self._size))
        for X in self._arrays(step):
            yield self._decode(X), None

    def _arrays(self, step):
        """Blocks of X, read as a stream; a compressed member is never held whole."""
        with zipfile.ZipFile(self.path) as archive, archive.open("X.npy") as file:
            shape, by_columns, dtype = _npy_header(file)
            if by_columns or dtype.hasobject:
                with np.load(self.path, allow_pickle=False) as whole:
                    X = whole["X"]
                for start in range(0, len(X), step):
                    yield np.ascontiguousarray(X[start : start + step])
                return
            row_bytes = dtype.itemsize * shape[1]
            for start in range(0, shape[0], step):
                n = min(step, shape[0] - start)
                data = file.read(n * row_bytes)
                if len(data) != n * row_bytes:
                    self._fail("X ends before its last row. Copy the file again.")
                yield np.frombuffer(data, dtype).reshape(n, shape[1])

    def _outside_labels(self):
        key = self.labels
        if key is None:
            key = next((name for name in ("labels", "Y", "y") if name in self._keys), None)
            if key is None:
                return None
        if key in self._keys:
            with np.load(self.path, allow_pickle=False) as archive:
                y = archive[key]
            return y.astype(np.int64) if y.dtype.kind in "biu" and y.ndim == 1 else y
        return _label_file(key, self.path)


def _npy_header(file):
    """Shape, order and dtype at the head of an open npy stream."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)


class _Columns(Table):
    """What csv and parquet share: which columns are labels, which features."""

    _has_head = True
    _columns: list[str]
    _feature_columns: list[int]

    def feature_names(self):
        if not self._has_head:
            return None
        names = [name for k in self._feature_columns for name in self._names_in(k)]
        return names if len(set(names)) == len(names) else None

    def _names_in(self, k):
        """Names of the features in column k."""
        return [self._columns[k]]

    def _choose(self, columns):
        """Positions of label columns and of feature columns."""
        labels, self._from_columns = [], False
        if self.labels is not None and not _is_file(self.labels):
            labels = _matching(columns, self.labels.split(","), f"{self.path}: --labels")
            self._from_columns = True
        ignored = set(_matching(columns, self.ignore, f"{self.path}: --ignore"))
        features = [k for k in range(len(columns)) if k not in ignored and k not in set(labels)]
        if self.wanted is not None and self._has_head and not self.only_labels:
            return labels, self._matched(columns, features)
        if not features and not self.only_labels:
            raise ValueError(f"{self.path} has no columns left for features.")
        return labels, features

    def _matched(self, columns, features):
        """Positions of the wanted columns, in the order of the model."""
        wanted = list(dict.fromkeys(_column_of(name, columns) for name in self.wanted or ()))
        places = {}
        for k in features:
            places.setdefault(columns[k], []).append(k)
        missing = [name for name in wanted if name not in places]
        if missing:
            hidden = [name for name in missing if name in columns]
            if hidden:
                raise ValueError(
                    f"{self.path}: the model was fitted to column {hidden[0]!r}, which --labels or --ignore names. "
                    "Leave it out there."
                )
            raise ValueError(
                f"{self.path} lacks {len(missing)} of the {len(wanted)} columns that the model was fitted to: "
                f"{_some(missing)}. It has {_some(columns)}. Name its columns as in the data of fit."
            )
        double = next((name for name in wanted if len(places[name]) > 1), None)
        if double is not None:
            raise ValueError(f"{self.path} has two columns {double!r}, which the model was fitted to. Rename one.")
        return [places[name][0] for name in wanted]

    def _outside_labels(self):
        return None if self._from_columns else super()._outside_labels()


class _Csv(_Columns):
    def _inspect(self):
        with self._open() as file:
            first = next(csv.reader(file), None)
        if not first:
            raise ValueError(f"{self.path} is empty.")
        self._has_head = not all(_is_number(cell) for cell in first)
        self._columns = [c.strip() for c in first] if self._has_head else [str(k) for k in range(len(first))]
        self._label_columns, self._feature_columns = self._choose(self._columns)

    def _open(self):
        return open(self.path, newline="", encoding="utf-8-sig", errors="strict")

    def _blocks(self, rows):
        step = _rows_of(rows, len(self._columns), 64)  # text takes more memory than numbers
        empty = True
        with self._open() as file:
            reader = csv.reader(file)
            try:
                if self._has_head:
                    next(reader)
                while block := [(reader.line_num, row) for row in islice(reader, step)]:
                    block = [(line, row) for line, row in block if row]
                    if block:
                        empty = False
                        yield self._numbers(block), self._labels(block)
            except (csv.Error, UnicodeDecodeError) as error:
                raise ValueError(f"{self.path}, line {reader.line_num + 1}: {error}.") from error
        if empty:
            raise ValueError(f"{self.path} has no rows below its head.")

    def _numbers(self, block):
        for line, row in block:
            if len(row) != len(self._columns):
                raise ValueError(
                    f"{self.path}, line {line}: {len(row)} cells, the first line has {len(self._columns)}."
                )
        try:
            cells = [[float(row[k]) for k in self._feature_columns] for _, row in block]
            return np.array(cells).reshape(len(block), len(self._feature_columns))
        except ValueError:
            line, k, cell = next(
                (line, k, row[k]) for line, row in block for k in self._feature_columns if not _is_number(row[k])
            )
            if not cell.strip():
                raise ValueError(
                    f"{self.path}, line {line}: the cell in column {self._columns[k]!r} is empty: fill it, drop it, or "
                    "leave the column out by --ignore."
                ) from None
            raise ValueError(
                f"{self.path}, line {line}: {cell!r} in column {self._columns[k]!r} is no number. Name the column by "
                "--labels or --ignore if it is no feature."
            ) from None

    def _labels(self, block):
        if not self._label_columns:
            return None
        return np.array([[row[k].strip() for k in self._label_columns] for _, row in block])


class _Parquet(_Columns):
    def _inspect(self):
        try:
            from pyarrow import ArrowException
            from pyarrow.parquet import ParquetFile
        except ImportError as error:
            from bqp.errors import BackendNotFound

            raise BackendNotFound(
                "parquet files need pyarrow, which is not installed. Install the extra: pip install 'bqp[parquet]'."
            ) from error
        try:
            self._file = ParquetFile(self.path)
        except ArrowException as error:
            raise ValueError(f"{self.path} cannot be read as a parquet file: {error}.") from error
        self._columns = self._file.schema_arrow.names
        self.n = self._file.metadata.num_rows
        if self.n == 0:
            raise ValueError(f"{self.path} has no rows.")
        self._label_columns, self._feature_columns = self._choose(self._columns)
        self._widths: dict[int, int] = {}  # of the columns that hold lists, once read

    def _names_in(self, k):
        name = self._columns[k]
        return [name] if k not in self._widths else [f"{name}[{j}]" for j in range(self._widths[k])]

    def _blocks(self, rows):
        step = rows or max(1, BLOCK_BYTES // (64 * len(self._columns)))
        for batch in self._file.iter_batches(step):
            columns = [self._column(batch, k) for k in self._feature_columns]
            X = np.concatenate(columns, axis=1) if columns else np.empty((len(batch), 0))
            labels = None
            if self._label_columns:
                labels = np.stack([batch.column(k).to_numpy(zero_copy_only=False) for k in self._label_columns], axis=1)
            yield X, labels

    def _column(self, batch, k):
        """One column as (m, 1), or (m, d) where it holds lists of numbers."""
        import pyarrow

        column, name = batch.column(k), self._columns[k]
        kind = column.type
        if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind) or pyarrow.types.is_fixed_size_list(kind):
            values = column.flatten().to_numpy(zero_copy_only=False)
            width = len(values) // max(1, len(column))
            if column.null_count or values.dtype.kind not in "biuf" or any(len(row) != width for row in column):
                raise ValueError(f"{self.path}: the lists of column {name!r} must be numbers, as many in every row.")
            self._widths[k] = width
            return values.reshape(len(column), width)
        values = column.to_numpy(zero_copy_only=False)
        if values.dtype.kind not in "biuf":
            raise ValueError(
                f"{self.path}: column {name!r} holds {kind}, no numbers. Name it by --labels or --ignore if it is no "
                "feature."
            )
        return values[:, None]


def _column_of(name, columns):
    """The column that a feature comes from: itself, or the list it is an entry of, ``NAME[3]``."""
    head = name.rpartition("[")[0]
    return head if name not in columns and name.endswith("]") and head in columns else name


def _some(names):
    """A few names, for messages."""
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _matching(columns, patterns, what):
    """Positions of the columns that the patterns name, in the order of the patterns."""
    chosen = []
    for pattern in map(str.strip, patterns):
        found = [k for k, name in enumerate(columns) if name == pattern] or [
            k for k, name in enumerate(columns) if fnmatchcase(name, pattern)
        ]
        if not found:
            raise ValueError(f"{what}: there is no column {pattern!r}, and no such file. Columns: {_some(columns)}.")
        chosen += [k for k in found if k not in chosen]
    return chosen


def _is_file(text):
    """Whether a text names a file, or ``FILE:NAME``."""
    return any(Path(part).is_file() for part in (text, text.rpartition(":")[0]) if part)


def _label_file(text, data_path):
    """Labels from ``FILE`` or ``FILE:NAME``."""
    if not _is_file(text):
        raise ValueError(f"--labels: there is no file {text!r}, and {data_path} has no such key or column.")
    name = None
    path = Path(text)
    if not path.is_file():
        head, _, name = text.rpartition(":")
        path = Path(head)
    if path.suffix.lower() == ".npy":
        try:
            return np.load(path, allow_pickle=False)
        except ValueError as error:
            raise ValueError(f"--labels: {path} cannot be read: {error}.") from error
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            key = name or next((key for key in ("labels", "Y", "y") if key in archive.files), archive.files[0])
            if key not in archive.files:
                raise ValueError(f"--labels: {path} has no key {key!r}; it has {', '.join(archive.files)}.")
            return archive[key]
    if path.suffix.lower() in (".csv", ".parquet"):
        table = (_Csv if path.suffix.lower() == ".csv" else _Parquet)(path, name or "*", only_labels=True)
        return _joined([labels for _, labels in table._blocks(None)])
    raise ValueError(f"--labels: {path} must end in {', '.join(SUFFIXES)}.")


def _joined(blocks):
    """Label columns as one array, (n,) for one column; integers or numbers where all of them are."""
    y = np.concatenate(blocks)
    y = y[:, 0] if y.shape[1] == 1 else y
    if y.dtype.kind not in "OUS":
        return y
    for kind in (np.int64, np.float64):
        try:
            return y.astype(kind)
        except (ValueError, TypeError):
            continue
    return y

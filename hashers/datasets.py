"""Labelled data for retrieval: one call gives features, labels and a split into queries, database and training rows.

Nothing is downloaded except for ``"openml:NAME"``. Files are looked for in ``path``, then in the folder named by the
environment variable ``HASHERS_DATA``, then in ``../shared/data`` beside the working directory and beside the project.
"""

import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

__all__ = ["Dataset", "available", "load"]

SHARED = "the queries are held out, every other row is the database, the training rows are part of the database"


@dataclass(frozen=True)
class _Source:
    """Where a named data set lives and how its features are read."""

    file: str
    text: str
    divide: float = 1.0
    image_shape: tuple[int, ...] | None = None


SOURCES = {
    "fashion-mnist": _Source("fashion-mnist/fashion_mnist.npz", "70,000 clothes, 28 x 28 pixels / 255", 255, (28, 28)),
    "cifar10-gist": _Source("cifar10/cifar10_gist.npz", "60,000 photographs, GIST descriptors"),
    "cifar10-deep": _Source("cifar10/cifar10_deep.npz", "60,000 photographs, network features"),
    "newsgroups": _Source("newsgroups/newsgroups_minilm.npz", "18,674 posts, sentence embeddings"),
    "tmc2007": _Source("tmc2007/tmc2007_500.npz", "28,596 safety reports, 500 binary terms"),
    "corel5k": _Source("corel5k/corel5k_deep.npz", "4,999 photographs, network features"),
    "scene": _Source("scene/scene.npz", "2,407 landscapes, colour moments"),
}


@dataclass(frozen=True)
class Dataset:
    """A retrieval task.

    Attributes
    ----------
    name : str
    X : ndarray of shape (n, d), float32
        Features of all rows.
    y : ndarray of shape (n,) or (n, L)
        Class numbers, or 0/1 label sets.
    query, database, train : ndarray, int64
        Row indices: `query` and `database` are disjoint, `train` lies in `database`.
    class_names : list of str
        Names of classes or labels; empty where there are none.
    image_shape : tuple of int or None
        Height and width where a row of X is an image.
    description : str
        What the rows are, the split, and who is relevant to whom.

    Examples
    --------
    >>> data = load("digits")
    >>> data.X.shape, len(data.query), len(data.database), data.n_classes, data.is_multilabel
    ((1797, 64), 300, 1497, 10, False)
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    query: np.ndarray
    database: np.ndarray
    train: np.ndarray
    class_names: list[str] = field(default_factory=list)
    image_shape: tuple[int, ...] | None = None
    description: str = ""

    @property
    def is_multilabel(self):
        """Whether `y` holds label sets."""
        return self.y.ndim == 2

    @property
    def n_classes(self):
        """Number of classes, or of labels."""
        return self.y.shape[1] if self.is_multilabel else len(np.unique(self.y))

    def part(self, which):
        """Features and labels of one part.

        Parameters
        ----------
        which : {"query", "database", "train"}

        Returns
        -------
        X, y : ndarray
            Copies of the rows.
        """
        if which not in ("query", "database", "train"):
            raise ValueError(f'which must be "query", "database" or "train": {which!r}.')
        rows = getattr(self, which)
        return self.X[rows], self.y[rows]


def available():
    """Names that `load` knows, besides ``"openml:NAME"`` and paths of npz files.

    Returns
    -------
    names : list of str
    """
    return ["digits", *SOURCES]


def load(name, path=None):
    """Load a data set.

    Parameters
    ----------
    name : str
        One of `available()`; ``"openml:NAME"`` (needs internet); or the path of an npz file, or of a folder with one,
        with the keys listed under Notes.
    path : str or Path, optional
        For a named set: its file, its folder, or a folder of such folders; instead of the search. For another name:
        the npz file or folder that the name is given to.

    Returns
    -------
    data : Dataset

    Raises
    ------
    FileNotFoundError
        If no file is found; the message lists the places tried.
    ValueError
        If the name is unknown, or the file is truncated, lacks a key, or holds a wrong type, shape or index.
    ConnectionError
        If OpenML cannot be reached.

    Notes
    -----
    An npz file holds `X` (n, d) numbers; `labels` (n,) or `Y` (n, L) 0/1; int indices `query` and `database`, disjoint,
    and optionally `train` within `database` (all of it by default); optionally `class_names` or `label_names`, `scale`
    and `offset`, `image_shape`. Features become float32: ``(X - offset) * scale`` where these are stored; pixels
    (Fashion-MNIST; any uint8 file with `image_shape` and no `scale`) are divided by 255, digits by 16; other features
    stay as they are.

    Examples
    --------
    >>> data = load("digits")
    >>> float(data.X.max()), data.image_shape, data.class_names[:3]
    (1.0, (8, 8), ['0', '1', '2'])
    """
    if isinstance(name, Path):
        name = str(name)
    if not isinstance(name, str) or not name:
        raise ValueError(f"name must be a string: {name!r}. Known names: {', '.join(available())}.")
    if name == "digits" and path is None:
        return _digits()
    if name.startswith("openml:"):
        return _openml(name.removeprefix("openml:"))
    source = SOURCES.get(name)
    if source is not None:
        return _read(name, _find(name, source, path), source)
    place = Path(path if path is not None else name)
    if path is None and not place.exists() and place.suffix != ".npz" and len(place.parts) == 1:
        raise ValueError(
            f"unknown data set {name!r}. Known names: {', '.join(available())}, openml:NAME, or the path of an npz "
            "file."
        )
    file = _npz_in(place)
    if file is None:
        raise FileNotFoundError(f"no npz file at {place}. Pass the path of an npz file, or of a folder that holds one.")
    known = next((source for source in SOURCES.values() if Path(source.file).name == file.name), None)
    return _read(name if path is not None else file.stem, file, known)


def _digits():
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.data))
    return Dataset(
        name="digits",
        X=(digits.data / 16).astype(np.float32),
        y=digits.target.astype(np.int64),
        query=order[:300].astype(np.int64),
        database=order[300:].astype(np.int64),
        train=order[300:].astype(np.int64),
        class_names=[str(c) for c in digits.target_names],
        image_shape=(8, 8),
        description="1,797 digits, 8 x 8 pixels / 16 (scikit-learn). Split: RandomState(0).permutation(1797), the "
        "first 300 are queries, the other 1,497 are database and training rows. Relevant: same digit.",
    )


def _openml(name):
    """A data set from OpenML with a split of ours: a tenth of the rows, at most 1,000, are queries."""
    from sklearn.datasets import fetch_openml

    try:
        bunch = fetch_openml(name, version=1, as_frame=False, parser="liac-arff")
    except OSError as error:
        raise ConnectionError(
            f"cannot fetch {name!r} from OpenML: {error}. Check the connection, or use a local set: "
            f"{', '.join(available())}."
        ) from error
    X, y = np.asarray(bunch.data), np.asarray(bunch.target)
    if X.dtype.kind not in "iuf":
        raise ValueError(f"openml:{name} has features of type {X.dtype}: only numeric features can be used.")
    classes, y = np.unique(y.astype(str), return_inverse=True)
    order = np.random.RandomState(0).permutation(len(X)).astype(np.int64)
    n_query = max(1, min(1000, len(X) // 10))
    return Dataset(
        name=f"openml:{name}",
        X=X.astype(np.float32),
        y=y.reshape(-1).astype(np.int64),
        query=order[:n_query],
        database=order[n_query:],
        train=order[n_query:],
        class_names=[str(c) for c in classes],
        description=f"{name} from OpenML, version 1, features as they are. Split: RandomState(0).permutation, the "
        f"first {n_query} rows are queries, the others are database and training rows. Relevant: same class.",
    )


def _npz_in(place, file=None):
    """The npz file meant by a path: itself, the one in a folder by name, or the only one there; else None."""
    if place.is_file():
        return place
    if file is not None:
        return next((p for p in (place / file, place / Path(file).name) if p.is_file()), None)
    files = sorted(place.glob("*.npz")) if place.is_dir() else []
    return files[0] if len(files) == 1 else None


def _find(name, source, path):
    """The file of a named set, searched in the documented order."""
    if path is not None:
        places = [Path(path)]
    else:
        variable = os.environ.get("HASHERS_DATA")
        places = [Path(variable)] if variable else []
        places += [Path.cwd().parent / "shared" / "data", Path(__file__).resolve().parents[2] / "shared" / "data"]
    for place in places:
        file = _npz_in(place, source.file)
        if file is not None:
            return file
    tried = ", ".join(dict.fromkeys(str(place / source.file) for place in places))
    raise FileNotFoundError(
        f"data set {name!r} not found; tried {tried}. Set HASHERS_DATA to the folder that holds {source.file}, or pass "
        "path=."
    )


def _read(name, file, source):
    """Read and check an npz file."""
    try:
        with zipfile.ZipFile(file):
            pass
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(f"{file} cannot be read as an npz file: {error}. Is it complete? Copy it again.") from error

    def fail(message):
        raise ValueError(f"{file}: {message}")

    missing = [key for key in ("X", "query", "database") if key not in arrays]
    if "labels" not in arrays and "Y" not in arrays:
        missing.append("labels or Y")
    if missing:
        fail(f"the keys {', '.join(missing)} are missing; it has {', '.join(sorted(arrays)) or 'none'}.")
    X, y = arrays["X"], arrays["labels"] if "labels" in arrays else arrays["Y"]
    if X.ndim != 2 or X.dtype.kind not in "biuf" or X.size == 0:
        fail(f"X must be an (n, d) array of numbers: its shape is {X.shape}, its dtype {X.dtype}.")
    if y.ndim != (1 if "labels" in arrays else 2) or len(y) != len(X):
        fail(f"labels must be (n,), Y (n, L), for the {len(X)} rows of X: the shape is {y.shape}.")
    if y.ndim == 2 and (y.dtype.kind not in "biuf" or not ((y == 0) | (y == 1)).all()):
        fail("Y must hold 0 and 1 only.")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        fail("labels hold NaN or infinity.")
    rows = {key: _indices(arrays[key], key, len(X), fail) for key in ("query", "database", "train") if key in arrays}
    rows.setdefault("train", rows["database"])
    both = np.intersect1d(rows["query"], rows["database"])
    if both.size:
        fail(f"query and database overlap: row {both[0]} is in both ({both.size} in all). Queries must be held out.")
    outside = np.setdiff1d(rows["train"], rows["database"])
    if outside.size:
        fail(f"train must lie in database: row {outside[0]} does not ({outside.size} in all).")

    image_shape = _image_shape(arrays, source, X.shape[1], fail)
    X = _features(arrays, source, image_shape is not None, fail)
    if not np.isfinite(X).all():
        row, column = (int(p) for p in np.argwhere(~np.isfinite(X))[0])
        fail(f"X must be finite: {X[row, column]} at ({row}, {column}).")
    names = arrays.get("class_names", arrays.get("label_names", np.empty(0, str)))
    relevant = "same class" if y.ndim == 1 else "at least one label in common"
    return Dataset(
        name=name,
        X=X,
        y=y.astype(np.int64) if y.dtype.kind in "biu" and y.ndim == 1 else y,
        **rows,
        class_names=[str(c) for c in names],
        image_shape=image_shape,
        description=f"{source.text if source else f'{len(X):,} rows of {file.name}'}. Split of the file: {SHARED} "
        f"({len(rows['query']):,} / {len(rows['database']):,} / {len(rows['train']):,}). Relevant: {relevant}.",
    )


def _indices(rows, key, n, fail):
    """Validated row indices as int64."""
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or rows.size == 0:
        fail(f"{key} must be a list of integer row indices: its shape is {rows.shape}, its dtype {rows.dtype}.")
    wrong = (rows.astype(np.int64) < 0) | (rows.astype(np.int64) >= n)
    if wrong.any():
        fail(f"{key} has an index out of range: {rows[wrong][0]} at {int(np.argmax(wrong))}, X has {n} rows.")
    if len(np.unique(rows)) < len(rows):
        values, counts = np.unique(rows, return_counts=True)
        fail(f"{key} names row {values[counts > 1][0]} more than once.")
    return rows.astype(np.int64)


def _image_shape(arrays, source, n_features, fail):
    shape = source.image_shape if source else None
    if "image_shape" in arrays:
        shape = tuple(int(s) for s in arrays["image_shape"].ravel())
    if shape is not None and np.prod(shape) != n_features:
        fail(f"image_shape {shape} does not fit {n_features} features.")
    return shape


def _features(arrays, source, is_image, fail):
    """Features as float32, decoded."""
    with np.errstate(over="ignore"):  # infinity is told by its place later
        X = arrays["X"].astype(np.float32)
    for key in ("offset", "scale"):
        if key in arrays and (arrays[key].dtype.kind not in "iuf" or arrays[key].size not in (1, X.shape[1])):
            fail(f"{key} must be one number or one per feature: its shape is {arrays[key].shape}.")
    if "offset" in arrays:
        X -= arrays["offset"].astype(np.float32).ravel()
    if "scale" in arrays:
        X *= arrays["scale"].astype(np.float32).ravel()
    elif source is not None and source.divide != 1:
        X /= np.float32(source.divide)
    elif is_image and arrays["X"].dtype == np.uint8:
        X /= np.float32(255)
    return X

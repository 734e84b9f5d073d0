"""Rows of features for a net: arrays, memory maps and torch datasets behind one door, read a batch at a time."""

import hashlib
import sys

import numpy as np
from scipy import sparse
from sklearn.utils.validation import validate_data

from hashers.functions.base import TAME, check_finite

__all__ = ["Rows", "Scaling", "check_rows", "hold_out"]

BLOCK = 4096
"""Rows looked at together where all rows are."""


class Rows:
    """Features of n points, of which any batch can be had as float32.

    Indexing with a mask or an array of rows gives the features of these rows as another `Rows`: nothing is read.

    Parameters
    ----------
    source : ndarray of shape (n, d) or torch.utils.data.Dataset
        A memory map stays on disk. An item of a dataset is a tensor or array of features of any shape, or a tuple that
        begins with one (what follows, such as a label, is ignored).
    index : ndarray of int, optional
        Rows of `source` in use; default all.

    Attributes
    ----------
    shape : tuple of int
        (n, d); d counts the features of an item of any shape.
    """

    def __init__(self, source, index=None):
        self.source, self.index = source, index
        self.is_array = isinstance(source, np.ndarray)
        n = len(source) if index is None else len(index)
        d = source.shape[1] if self.is_array else self._item(0).size
        self.shape = n, d

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, chosen):
        chosen = np.asarray(chosen)
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        return Rows(self.source, chosen if self.index is None else self.index[chosen])

    def __array__(self, dtype=None, copy=None):
        """All rows at once, for functions that are no nets."""
        return self.take(np.arange(len(self))).astype(dtype, copy=False)

    def take(self, rows):
        """Features of some rows, shape (len(rows), d), in the dtype of an array, float32 from a dataset."""
        rows = np.asarray(rows) if self.index is None else self.index[rows]
        if self.is_array:
            return np.asarray(self.source[rows])
        return np.stack([self._item(i) for i in rows]) if len(rows) else np.empty((0, self.shape[1]), np.float32)

    def blocks(self):
        """Slices of rows that are read together, in order."""
        return [slice(start, min(start + BLOCK, len(self))) for start in range(0, len(self), BLOCK)]

    def _item(self, i):
        item = self.source[int(i)]
        item = item[0] if isinstance(item, tuple | list) else item
        item = item.detach().cpu().numpy() if hasattr(item, "detach") else np.asarray(item)
        return item.astype(np.float32).ravel()


def check_rows(estimator, X, reset):
    """Validate features for a net: two-dimensional, dense, real and finite; nothing is copied that has a numeric dtype.

    Parameters
    ----------
    estimator : BaseEstimator
        Receives ``n_features_in_`` (and the feature names) with `reset`, is compared with them otherwise.
    X : Rows, array-like or memory map of shape (n_samples, n_features), or torch.utils.data.Dataset
    reset : bool

    Returns
    -------
    rows : Rows

    Raises
    ------
    ValueError
        If X is sparse, of another shape, empty, or holds NaN or infinity; the message names the first place.
    """
    if isinstance(X, Rows):
        rows = X
    elif _is_dataset(X):
        if not hasattr(X, "__len__") or len(X) == 0:
            raise ValueError("the dataset has no length or no items: pass one with __len__ and at least one item.")
        rows = Rows(X)
    else:
        if sparse.issparse(X):
            raise TypeError(
                f"nets take dense features, and X is a sparse {type(X).__name__}. Pass X.toarray() if it fits in "
                "memory, reduce it (sklearn.decomposition.TruncatedSVD), or use LinearFunction, which takes sparse X."
            )
        X = validate_data(estimator, X, dtype="numeric", reset=reset, ensure_all_finite=False)
        if X.dtype.kind not in "biuf" or X.dtype == np.float16:
            X = X.astype(np.float32 if X.dtype == np.float16 else np.float64)
        return _finite(Rows(X))
    if reset:
        estimator.n_features_in_ = rows.shape[1]
    elif rows.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {rows.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input."
        )
    return rows


def _finite(rows):
    """Raise where an array holds NaN or infinity; looks at a block of rows at a time."""
    if rows.source.dtype.kind == "f":
        for part in rows.blocks():
            try:
                check_finite(rows.source[part])
            except ValueError:
                check_finite(rows.source)  # for the place in all of X
    return rows


def hold_out(rows, share, seed):
    """Rows to train on, in order, and a share of them held out, in random order.

    Parameters
    ----------
    rows : ndarray of int
    share : float
    seed : int

    Raises
    ------
    ValueError
        If no rows are left on one side.
    """
    n_held = round(share * len(rows)) if 0 < share < 1 else 0
    if n_held == 0 or n_held == len(rows):
        raise ValueError(
            f"validation={share!r} holds {n_held} of {len(rows)} rows out: give a share above 0 and below 1 that "
            "leaves rows on both sides, or None."
        )
    order = np.random.default_rng(seed).permutation(rows)
    return np.sort(order[n_held:]), order[:n_held]


def _is_dataset(X):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(X, torch.utils.data.Dataset)


class Scaling:
    """Features less their mean, divided by their standard deviation: z = (x / 2**exponent - mean) / scale, float32.

    Parameters
    ----------
    exponent : ndarray of shape (d,), int32
        0 but for features of extreme size.
    mean, scale : ndarray of shape (d,), float64

    Notes
    -----
    Of images, all pixels of a channel are one feature.
    """

    def __init__(self, exponent, mean, scale):
        self.exponent, self.mean, self.scale = exponent, mean, scale
        self.narrow = mean.astype(np.float32), scale.astype(np.float32)

    @classmethod
    def of(cls, rows, image_shape=None, weight=None):
        """The scaling of `rows`; two passes over them, a block at a time; rows of weight 0 do not count.

        Parameters
        ----------
        rows : Rows
        image_shape : tuple of int, optional
            (channels, height, width).
        weight : ndarray of shape (n,), optional
        """
        d = rows.shape[1]
        channels = d if image_shape is None else image_shape[0]
        pixels = d // channels

        def parts():
            for part in rows.blocks():
                counted = np.arange(part.start, part.stop)
                if weight is not None:
                    counted = counted[weight[part] > 0]
                yield rows.take(counted).astype(np.float64).reshape(len(counted), channels, pixels)

        largest = np.max([np.abs(x).max(axis=(0, 2), initial=0.0) for x in parts()], axis=0)
        exponent = np.frexp(largest)[1]
        exponent = np.where(np.abs(exponent) > TAME, exponent, 0).astype(np.int32)
        n = len(rows) if weight is None else int(np.count_nonzero(weight))
        mean = sum(np.ldexp(x, -exponent[:, None]).sum(axis=(0, 2)) for x in parts()) / (n * pixels)
        squares = sum(((np.ldexp(x, -exponent[:, None]) - mean[:, None]) ** 2).sum(axis=(0, 2)) for x in parts())
        spread = np.sqrt(squares / (n * pixels))
        scale = np.where(spread > 1e-7 * np.maximum(np.abs(mean), 1e-30), spread, 1.0)
        return cls(*(np.repeat(a, pixels) for a in (exponent, mean, scale)))

    @classmethod
    def none(cls, d):
        """Features as they are."""
        return cls(np.zeros(d, np.int32), np.zeros(d), np.ones(d))

    def fingerprint(self):
        """A hash of the numbers."""
        parts = (self.exponent.astype("<i4"), self.mean.astype("<f8"), self.scale.astype("<f8"))
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def __call__(self, x):
        """Scaled features of a batch, shape (b, d), float32; may hold infinity where float32 is too narrow."""
        if x.dtype in (np.uint8, np.float32) and not self.exponent.any():
            mean, scale = self.narrow
            return (x.astype(np.float32) - mean) / scale
        with np.errstate(over="ignore", invalid="ignore"):
            return ((np.ldexp(x.astype(np.float64), -self.exponent) - self.mean) / self.scale).astype(np.float32)

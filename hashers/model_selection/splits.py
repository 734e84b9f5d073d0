"""Splits for retrieval: queries held out, the rest is the database, training rows are a part of the database.

References
----------
Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011 (iterative
stratification: rarest label first). We add that a part never exceeds its size, so that counts are exact.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from hashers.functions.base import check_count

__all__ = ["RetrievalFold", "RetrievalSplit", "known_rows", "retrieval_split"]


class RetrievalSplit(NamedTuple):
    """Rows of a retrieval task.

    Attributes
    ----------
    query, database : ndarray of int64
        Disjoint, together all rows; ascending.
    train : ndarray of int64
        A part of `database`; ascending.
    """

    query: np.ndarray
    database: np.ndarray
    train: np.ndarray


def retrieval_split(y, n_query=1000, n_train=None, *, per_class=False, stratify=True, unlabeled=-1, random_state=0):
    """Split rows into queries, database and training rows.

    Parameters
    ----------
    y : array-like or sparse matrix of shape (n,) or (n, L)
        Labels of any comparable kind, or 0/1 label sets.
    n_query : int or float
        Queries: a number, or a share of the rows below 1. With `per_class` a number for every class, or label.
    n_train : int or float, optional
        Training rows: a number, or a share of the database; all of the database by default. With `per_class` a number
        for every class, or label.
    per_class : bool
        Count by class: the published splits of CIFAR-10 are ``n_query=100, n_train=500``. With label sets every label
        is in at least that many queries, rare labels first; an item counts for all of its labels.
    stratify : bool
        Whether each part has each class, or each label, in the proportion of all rows. With classes, one member of
        each stays in the database whatever the numbers.
    unlabeled : object
        Label that marks an unknown class; such rows raise an error, for nothing is known to be relevant to them.
    random_state : int, RandomState or None

    Returns
    -------
    split : RetrievalSplit(query, database, train)

    Raises
    ------
    ValueError
        If there are fewer rows, or fewer members of a class, than asked for.

    Notes
    -----
    The same arguments give the same split. O(n log n) with classes, O(n L) with label sets (a Python loop over rows).

    Examples
    --------
    >>> split = retrieval_split([0, 0, 0, 0, 1, 1, 1, 1], n_query=2, n_train=4)
    >>> len(split.query), len(split.database), len(split.train)
    (2, 6, 4)
    """
    y, known = _labels(y, unlabeled)
    if not known.all():
        raise ValueError(
            f"y has {int((~known).sum())} rows with an unknown label, first at {int(np.argmin(known))}: they can be "
            "neither queries nor judged in a database. Drop them, or pass unlabeled=None where they are a class."
        )
    rng = check_random_state(random_state)
    rows = np.arange(len(y), dtype=np.int64)
    if per_class:
        chosen = _choose_per_class(y, check_count(n_query, "n_query"), rng, "queries", spare=1)
    else:
        chosen = _choose(y, _number(n_query, len(y), "n_query"), stratify, rng, keep_one=True)
    query, database = rows[chosen], rows[~chosen]
    if len(database) == 0:
        raise ValueError(f"n_query={n_query!r} leaves no database: there are {len(y)} rows.")
    if n_train is None:
        return RetrievalSplit(query, database, database.copy())
    if per_class:
        inside = _choose_per_class(y[database], check_count(n_train, "n_train"), rng, "training rows")
    else:
        inside = _choose(y[database], _number(n_train, len(database), "n_train"), stratify, rng, everyone=True)
    return RetrievalSplit(query, database, database[inside])


class RetrievalFold(BaseEstimator):
    """Cross-validation in which the test rows are queries and the training rows the database.

    Usable as ``cv=`` of scikit-learn's searches, together with `make_map_scorer`.

    Parameters
    ----------
    n_splits : int, default=5
        Splits; at least 2 without `n_query`.
    n_query : int or float, optional
        Queries of each split, drawn anew; a number or a share of the labelled rows. By default the rows are dealt out
        once: every labelled row is a query in one split.
    n_train : int or float, optional
        Training rows of each split, of those that are no queries; all by default.
    stratify : bool, default=True
        Whether each part has each class, or each label of label sets, in the proportion of all rows.
    unlabeled : object, default=-1
        Label that marks an unknown class; label sets mark it by a row of -1. Such rows are always trained on, never
        queries. None takes every label as a class.
    random_state : int, RandomState or None, default=0

    Examples
    --------
    >>> y = [0, 0, 0, 1, 1, 1]
    >>> for train, query in RetrievalFold(n_splits=3).split(None, y):
    ...     print(len(train), sorted(y[row] for row in query))
    4 [0, 1]
    4 [0, 1]
    4 [0, 1]
    """

    def __init__(self, n_splits=5, n_query=None, n_train=None, stratify=True, unlabeled=-1, random_state=0):
        self.n_splits = n_splits
        self.n_query = n_query
        self.n_train = n_train
        self.stratify = stratify
        self.unlabeled = unlabeled
        self.random_state = random_state

    def split(self, X, y=None, groups=None):
        """Yield the rows of each split.

        Parameters
        ----------
        X : object
            Not looked at, except for its length where y is None is refused.
        y : array-like or sparse matrix of shape (n,) or (n, L)
        groups : object
            Not used.

        Yields
        ------
        train, query : ndarray of int64
            Ascending.
        """
        if y is None:
            raise ValueError("RetrievalFold needs y: queries are drawn by label. Pass the labels or label sets.")
        y, known = _labels(y, self.unlabeled)
        n_splits = check_count(self.n_splits, "n_splits")
        rows, rng = np.flatnonzero(known), check_random_state(self.random_state)
        if self.n_query is None:
            if not 2 <= n_splits <= len(rows):
                raise ValueError(
                    f"n_splits={n_splits} with {len(rows)} labelled rows: at least 2 splits and a row for each are "
                    "needed. Pass n_query to draw queries anew for each split."
                )
            part = _deal(y[known], n_splits, self.stratify, rng)
            chosen = (part == k for k in range(n_splits))
        else:
            n_query = _number(self.n_query, len(rows), "n_query")
            chosen = (_choose(y[known], n_query, self.stratify, rng, keep_one=True) for _ in range(n_splits))
        for mask in chosen:
            query = rows[mask]
            train = np.setdiff1d(np.arange(len(y)), query)
            if len(train) == 0:
                raise ValueError(f"n_query={self.n_query!r} leaves no training rows: there are {len(y)} rows.")
            if self.n_train is not None:
                inside = _choose(
                    y[train], _number(self.n_train, len(train), "n_train"), self.stratify, rng, everyone=True
                )
                train = train[inside]
            yield train, query

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of splits."""
        return self.n_splits


def known_rows(y, unlabeled=-1):
    """Whether each row of labels or label sets is known; shape (n,), bool."""
    return _labels(y, unlabeled)[1]


def _labels(y, unlabeled):
    """Labels as class numbers (n,), or label sets as int8 (n, L), and which rows are known."""
    y = y.toarray() if sparse.issparse(y) else np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2) or len(y) == 0:
        raise ValueError(f"y must be (n,) labels or (n, L) 0/1 label sets of some rows: its shape is {y.shape}.")
    if y.ndim == 2:
        unknown = (y == -1).all(axis=1)
        if y.dtype.kind not in "biuf" or not ((y == 0) | (y == 1))[~unknown].all():
            raise ValueError("label sets y must hold 0 and 1 only, or -1 throughout a row that is unknown.")
        return np.where(unknown[:, None], 0, y).astype(np.int8), ~unknown
    missing = y != y
    if y.dtype == object:
        missing = np.array([v is None or v != v for v in y], dtype=bool)
    if np.any(missing):
        raise ValueError(f"y holds a missing value (NaN or None) at {int(np.argmax(missing))}. Drop these rows.")
    try:
        numbers = np.unique(y, return_inverse=True)[1].reshape(-1)
    except TypeError as error:
        raise ValueError(f"labels cannot be compared with each other: {error}. Use one type of label.") from error
    is_number = y.dtype.kind in "iufO" or isinstance(unlabeled, str)
    known = np.ones(len(y), dtype=bool) if unlabeled is None or not is_number else np.asarray(y != unlabeled)
    return numbers, known


def _choose(y, n_chosen, stratify, rng, keep_one=False, everyone=False):
    """Mask of `n_chosen` rows, stratified by class or by labels where asked for.

    `keep_one` leaves one row of each class out, `everyone` allows all rows to be chosen.
    """
    n = len(y)
    if n_chosen > n or (n_chosen == n and not everyone):
        raise ValueError(f"{n_chosen} rows asked for, there are {n}. Ask for fewer.")
    mask = np.zeros(n, dtype=bool)
    if not stratify:
        mask[rng.permutation(n)[:n_chosen]] = True
    elif y.ndim == 2:
        mask = _iterative(y, np.array([n_chosen, n - n_chosen]), rng) == 0
    else:
        sizes = np.unique(y, return_counts=True)[1]
        room = sizes - 1 if keep_one else sizes
        if n_chosen > room.sum():
            raise ValueError(
                f"{n_chosen} queries asked for, but one member of each of the {len(sizes)} classes stays in the "
                f"database, which leaves {int(room.sum())}. Ask for fewer, or pass stratify=False."
            )
        for members, share in zip(_members(y, rng), _shares(sizes, room, n_chosen, rng)):
            mask[members[:share]] = True
    return mask


def _choose_per_class(y, n_chosen, rng, what, spare=0):
    """Mask with `n_chosen` rows of each class, or at least that many with each label; `spare` more must exist."""
    mask = np.zeros(len(y), dtype=bool)
    if y.ndim == 1:
        groups = _members(y, rng)
    else:
        order = rng.permutation(len(y))
        groups = [order[y[order, label] == 1] for label in np.argsort(y.sum(axis=0), kind="stable")]
        groups = [members for members in groups if len(members)]
    for members in groups:
        if len(members) < n_chosen + spare:
            left = f" and {spare} left for the database" if spare else ""
            raise ValueError(
                f"{n_chosen} {what} of each class asked for{left}, but one class has {len(members)} rows. "
                "Ask for fewer, or count in total with per_class=False."
            )
        missing = n_chosen - int(mask[members].sum())
        if missing > 0:
            mask[members[~mask[members]][:missing]] = True
    return mask


def _members(y, rng):
    """Rows of each class, in order of the classes, each in random order."""
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(y[order])) + 1)


def _shares(sizes, room, total, rng):
    """Whole numbers that sum to `total`, proportional to `sizes`, at most `room`; largest remainders are rounded up."""
    ideal = total * sizes / sizes.sum()
    shares = np.minimum(np.floor(ideal).astype(np.int64), room)
    chance = rng.permutation(len(sizes))
    while (left := total - int(shares.sum())) > 0:
        order = np.lexsort((chance, shares - ideal))
        order = order[shares[order] < room[order]][:left]
        shares[order] += 1
    return shares


def _deal(y, n_parts, stratify, rng):
    """Part of each row, parts of equal size (within one)."""
    n = len(y)
    part = np.empty(n, dtype=np.int64)
    if stratify and y.ndim == 2:
        return _iterative(y, np.bincount(np.arange(n) % n_parts, minlength=n_parts), rng)
    order = np.concatenate(_members(y, rng)) if stratify else rng.permutation(n)
    part[order] = np.arange(n) % n_parts
    return part


def _iterative(Y, sizes, rng):
    """Part of each row such that every label is spread in proportion to the sizes; rarest label first.

    Each row of the label with fewest rows left goes to the part that wants most of that label, then to the one with
    most room; a part that is full takes no more.
    """
    n, n_parts = len(Y), len(sizes)
    share = sizes / sizes.sum()
    wanted = share[:, None] * Y.sum(axis=0)
    room = sizes.astype(np.int64).copy()
    part = np.full(n, -1, dtype=np.int64)
    left = Y.sum(axis=0).astype(np.int64)
    order = rng.permutation(n)
    by_label = [order[Y[order, label] == 1] for label in range(Y.shape[1])]
    while left.any():
        label = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
        for row in by_label[label]:
            if part[row] >= 0:
                continue
            open_parts = np.flatnonzero(room > 0)
            need = wanted[open_parts, label]
            best = open_parts[need >= need.max() - 1e-9]
            best = best[room[best] == room[best].max()]
            chosen = best[0] if len(best) == 1 else best[rng.randint(len(best))]
            part[row] = chosen
            room[chosen] -= 1
            labels = Y[row] == 1
            wanted[chosen, labels] -= 1
            left[labels] -= 1
    rest = order[part[order] < 0]
    part[rest] = np.repeat(np.arange(n_parts), room)[rng.permutation(len(rest))]
    return part


def _number(value, n, name):
    """A number of rows from a number or a share of `n`."""
    if isinstance(value, float | np.floating) and 0 < value < 1:
        return max(1, round(value * n))
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a positive integer, or a share between 0 and 1: {value!r}.")
    return int(value)

"""Mean average precision as a scorer for scikit-learn's searches: queries are the test fold, the database is the rest.

A scorer is called with an estimator and the test fold only, while retrieval needs a database. So this one holds the
data and the splits, and recognises a fold by the content of its rows; thus it knows exactly which rows, in which order,
the estimator was fitted to. Nothing is stored in the estimator, and workers in other processes need no shared state.
"""

import hashlib

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing

from hashers.model_selection.splits import RetrievalFold, known_rows

__all__ = ["MapScorer", "make_map_scorer"]


def make_map_scorer(
    X,
    y,
    cv=None,
    *,
    database="hashed",
    asymmetric=False,
    weighted=False,
    k=None,
    ties="expected",
    divisor="found",
    unlabeled=-1,
    n_jobs=None,
):
    """Make a scorer for `GridSearchCV`, `cross_val_score` and the like.

    Parameters
    ----------
    X, y : array-like
        All rows, as they are given to the search: features (ndarray, sparse matrix, pandas frame or list) and labels or
        label sets.
    cv : splitter, iterable of (train, query), or int, optional
        Splits of the search; an int, or None for 5, means ``RetrievalFold(cv)``. Pass ``cv=scorer.splits`` to the
        search: they are drawn once.
    database : {"hashed", "learned"}
        Codes of the training fold that the queries are ranked against: those of the functions, or ``codes_`` of the
        fitted hasher, which have seen the labels.
    asymmetric : bool
        Rank by ``decision_function`` of the queries instead of their codes.
    weighted : bool
        Rank by weighted Hamming distance where the hasher has ``weights_``.
    k, ties, divisor : see `hashers.metrics.mean_average_precision`
    unlabeled : object
        Label that marks an unknown class; such rows may be trained on, but are in no database.
    n_jobs : int, optional
        Threads that rank.

    Returns
    -------
    scorer : MapScorer
        ``scorer(estimator, X_query, y_query)``, larger is better.

    Raises
    ------
    ValueError
        If lengths differ, an option is unknown, or two splits have the same queries and different training rows.

    Notes
    -----
    The estimator is a hasher or a pipeline that ends in one. Each call hashes its training fold again. Rows that are no
    query fold of `splits` are new queries: they are ranked against all rows, which is what a refitted search was fitted
    to; so ``search.score(X_new, y_new)`` works. If most of them are rows of X, the search has splits of its own, which
    is an error: pass ``cv=scorer.splits``. Training scores (``return_train_score=True``) are refused, except with
    two folds, where one fold's training rows are the other's queries and the numbers mean nothing.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from hashers import TSH, LinearFunction
    >>> X, y = load_iris(return_X_y=True)
    >>> scorer = make_map_scorer(X, y, cv=3)
    >>> search = GridSearchCV(TSH(function=LinearFunction(), random_state=0), {"n_bits": [2, 8]}, scoring=scorer,
    ...                       cv=scorer.splits)
    >>> search.fit(X, y).best_params_
    {'n_bits': 8}
    """
    return MapScorer(X, y, cv, database, asymmetric, weighted, k, ties, divisor, unlabeled, n_jobs)


class MapScorer:
    """What `make_map_scorer` returns; arguments as there.

    Attributes
    ----------
    splits : list of (train, query)
        Row indices, int64.
    """

    def __init__(
        self,
        X,
        y,
        cv=None,
        database="hashed",
        asymmetric=False,
        weighted=False,
        k=None,
        ties="expected",
        divisor="found",
        unlabeled=-1,
        n_jobs=None,
    ):
        if database not in ("hashed", "learned"):
            raise ValueError(f'database must be "hashed" or "learned": {database!r}.')
        self.X = X.tocsr() if sparse.issparse(X) else X
        self.y = y.toarray() if sparse.issparse(y) else np.asarray(y)
        n = self.X.shape[0] if hasattr(self.X, "shape") else len(self.X)
        if len(self.y) != n:
            raise ValueError(f"X has {n} rows and y {len(self.y)}: one label or label set per row is needed.")
        self.known = known_rows(self.y, unlabeled)
        if cv is None or isinstance(cv, int | np.integer):
            cv = RetrievalFold(n_splits=5 if cv is None else cv, unlabeled=unlabeled)
        folds = cv.split(self.X, self.y) if hasattr(cv, "split") else list(cv)
        self.splits = [tuple(np.asarray(rows, dtype=np.int64) for rows in fold) for fold in folds]
        self.database, self.asymmetric, self.weighted = database, asymmetric, weighted
        self.measure = {"k": k, "ties": ties, "divisor": divisor, "unlabeled": unlabeled, "n_jobs": n_jobs}
        self._queries: dict[str, int] = {}
        self._trains: set[str] = set()
        self._rows: set[str] | None = None
        for number, (train, query) in enumerate(self.splits):
            key = _digest(_safe_indexing(self.X, query))
            other = self._queries.setdefault(key, number)
            if other != number and not np.array_equal(self.splits[other][0], train):
                raise ValueError(
                    f"splits {other} and {number} have the same queries and different training rows: a scorer sees the "
                    "queries only. Use splits whose queries differ, such as RetrievalFold."
                )
            self._trains.add(_digest(_safe_indexing(self.X, train)))

    def __call__(self, estimator, X_query, y_query=None):
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : Hasher, or Pipeline that ends in one
        X_query, y_query : array-like
            Query fold of a split, or new rows with labels.

        Returns
        -------
        score : float
            Mean average precision.
        """
        from hashers import metrics

        key = _digest(X_query)
        if key in self._queries:
            train, query = self.splits[self._queries[key]]
            y_query = self.y[query]
        elif key in self._trains:
            raise ValueError(
                "the rows to score are the training fold: they cannot be queries of their own database. Leave "
                "return_train_score=False."
            )
        else:
            self._refuse_known_rows(X_query)
            train = np.arange(len(self.y))
            if y_query is None:
                raise ValueError("new queries need their labels: y is None.")
        rows = np.flatnonzero(self.known[train])
        weights = getattr(_last_step(estimator), "weights_", None) if self.weighted else None
        margins = np.asarray(estimator.decision_function(X_query)) if self.asymmetric else None
        return metrics.mean_average_precision(
            None if self.asymmetric else np.asarray(estimator.transform(X_query)),
            self._codes(estimator, train, rows),
            y_query,
            self.y[train[rows]],
            weights=weights,
            query_margins=margins,
            **self.measure,
        )

    def _refuse_known_rows(self, X_query):
        """Raise where most of some rows that are no query fold are rows of X: they would find themselves first."""
        if self._rows is None:
            self._rows = {_digest(_safe_indexing(self.X, [i])) for i in range(len(self.y))}
        n = X_query.shape[0] if hasattr(X_query, "shape") else len(X_query)
        known = sum(_digest(_safe_indexing(X_query, [i])) in self._rows for i in range(n))
        if 2 * known > n:
            raise ValueError(
                f"{known} of the {n} rows to score are rows of X, but not a query fold of this scorer: they would rank "
                "themselves. Pass cv=scorer.splits to the search."
            )

    def _codes(self, estimator, train, rows):
        """Database codes of the rows ``train[rows]``."""
        if self.database == "hashed":
            return np.asarray(estimator.transform(_safe_indexing(self.X, train[rows])))
        hasher = _last_step(estimator)
        codes = getattr(hasher, "codes_", None)
        if codes is None or len(codes) != len(train):
            found = "none" if codes is None else f"{len(codes)}"
            raise ValueError(
                f'database="learned" needs the learned codes of the {len(train)} training rows; '
                f'{type(hasher).__name__} has {found}. Use database="hashed", or pass cv=scorer.splits to the search.'
            )
        return codes[rows]

    def __repr__(self):
        told = {**self.measure, "asymmetric": self.asymmetric, "weighted": self.weighted}
        settings = ", ".join(f"{name}={value!r}" for name, value in told.items() if value not in (None, False))
        return f"make_map_scorer(X, y, {len(self.splits)} splits, database={self.database!r}, {settings})"


def _last_step(estimator):
    """The hasher inside pipelines and fitted searches."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
        else:
            return estimator


def _digest(X):
    """Content of rows as a short text; the container does not matter, types and order do."""
    if sparse.issparse(X):
        X = sparse.csr_array(X)
        parts = [X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)]
    else:
        parts = [X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X)]
    digest = hashlib.sha256(str(X.shape if hasattr(X, "shape") else len(X)).encode())
    for part in parts:
        if part.dtype.kind in "OUS":
            digest.update("\x1f".join(map(repr, part.ravel().tolist())).encode("utf-8", "surrogatepass"))
        else:
            digest.update(str(part.dtype).encode())
            digest.update(np.ascontiguousarray(part).data if part.size else b"")
    return digest.hexdigest()

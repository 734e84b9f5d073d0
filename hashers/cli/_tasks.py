"""Files of the user as data sets for `hashers compare`: features, labels, and which rows are queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hashers.cli._tables import SUFFIXES, open_table
from hashers.datasets import Dataset

__all__ = ["dataset_of"]

MOST_QUERIES = 1000


def dataset_of(
    name: str,
    path: Path | None = None,
    labels: str | None = None,
    ignore: str | None = None,
    n_query: int | None = None,
) -> Dataset:
    """A data set by name, or from a file as the other commands read it.

    Parameters
    ----------
    name : str
        What `hashers.datasets.load` takes, or the path of an npz, npy, csv or parquet file.
    path : Path, optional
        Where the named set lies; as in `hashers.datasets.load`.
    labels, ignore : str, optional
        As in `hashers.cli._tables.open_table`.
    n_query : int, optional
        Queries to draw from a file that names none; a tenth of the labelled rows by default, at most 1,000.

    Raises
    ------
    ValueError
        If there are no labels, labels or features are not as they must be, or an option does not apply.
    """
    from hashers import datasets

    file = Path(name)
    told = labels is not None or ignore is not None or n_query is not None
    if path is not None or file.suffix.lower() not in SUFFIXES or not file.is_file():
        if told:
            raise ValueError(
                "--labels, --ignore and --queries describe a file: name one by --dataset "
                f"(it must end in {', '.join(SUFFIXES)}), not {name!r}{' with --data' if path is not None else ''}."
            )
        return datasets.load(name, path=path)
    table = open_table(file, labels, ignore)
    if file.suffix.lower() == ".npz" and not told and {"query", "database"} <= set(table.parts):
        return datasets.load(name)
    X, y = table.read_labelled()
    return Dataset(name=file.stem, **_checked(X, y, file), **_split(y, table.parts, n_query, file))


def _checked(X, y, file):
    """Features as float32 and labels as numbers, with the names of classes."""
    from scipy import sparse

    with np.errstate(over="ignore"):
        X = X.astype(np.float32)
    values = X.data if sparse.issparse(X) else X
    if wrong := int((~np.isfinite(values)).sum()):
        raise ValueError(
            f"{file}: every feature must be a finite number that float32 holds, and {wrong} are not. Drop those rows, "
            "fill them in, or scale them."
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{file}: labels hold NaN or infinity. Mark unknown labels by -1.")
    if y.ndim == 2:
        if y.dtype.kind not in "biuf" or not np.isin(y, (-1, 0, 1)).all():
            raise ValueError(
                f"{file}: {y.shape[1]} columns of labels are label sets and must hold 0 and 1. Name one column for "
                "classes."
            )
        return {"X": X, "y": y.astype(np.int8)}
    if y.dtype.kind in "biu" and set(np.unique(y)) != {-1, 1}:  # two classes, none of them unknown
        return {"X": X, "y": y.astype(np.int64)}
    names, y = np.unique(y.astype(str) if y.dtype.kind == "O" else y, return_inverse=True)
    return {"X": X, "y": y.reshape(-1).astype(np.int64), "class_names": [str(c) for c in names]}


def _split(y, parts, n_query, file):
    """Rows of queries, database and training, and a sentence about them."""
    from hashers.model_selection import retrieval_split

    relevant = "same class" if y.ndim == 1 else "at least one label in common"
    if "query" in parts:
        if n_query is not None:
            raise ValueError(f"{file} names its queries. Leave --queries out.")
        query = parts["query"]
        database = parts.get("database", np.setdiff1d(np.arange(len(y)), query))
        train, how = parts.get("train", database), "Split of the file"
        both = np.intersect1d(query, database)
        if both.size:
            raise ValueError(f"{file}: query and database overlap: row {both[0]} is in both. Queries must be held out.")
        outside = np.setdiff1d(train, database)
        if outside.size:
            raise ValueError(f"{file}: train must lie in database: row {outside[0]} does not.")
    else:
        n_query = max(1, min(MOST_QUERIES, len(y) // 10)) if n_query is None else n_query
        query, database, train = retrieval_split(y, n_query=n_query, random_state=0)
        how = "Queries drawn at random, stratified (seed 0); the other rows are database and training rows"
    sizes = f"{len(query):,} / {len(database):,} / {len(train):,}"
    description = f"{len(y):,} rows of {file.name}. {how} ({sizes}). Relevant: {relevant}."
    return {"query": query, "database": database, "train": train, "description": description}

"""``hashers evaluate``: every retrieval measure of a model on labelled data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from hashers.cli._shared import check_jobs, load_model, names, print_json, progress, stoppable, take_column_names, whole
from hashers.cli._tables import open_table

__all__ = ["evaluate"]


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="From hashers fit.")],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Labelled features: the database, and the queries by its split.")
    ],
    queries: Annotated[
        Path | None, typer.Option(help="Labelled features of the queries; by default the rows `query` of an npz file.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="FILE|COLUMNS|KEY", help="Labels of DATA, as in hashers fit.")
    ] = None,
    query_labels: Annotated[
        str | None, typer.Option(metavar="FILE|COLUMNS|KEY", help="Labels of --queries; as --labels by default.")
    ] = None,
    ignore: Annotated[str | None, typer.Option(metavar="COLUMNS", help="Columns that are no features.")] = None,
    database: Annotated[
        str,
        typer.Option(
            metavar="hashed|learned",
            help="Database codes: of the hash functions; or those learned for the training rows, which are then ranked "
            "alone (they have seen their labels).",
        ),
    ] = "hashed",
    asymmetric: Annotated[
        bool, typer.Option("--asymmetric", help="Rank by the real outputs of the model for the queries.")
    ] = False,
    weighted: Annotated[bool, typer.Option("--weighted", help="Rank by the weights of the bits (hbmp).")] = False,
    k: Annotated[str, typer.Option("-k", "--k", help="Comma-separated rank limits.")] = "100,1000",
    radius: Annotated[int, typer.Option(help="Hamming radius in bits.")] = 2,
    jobs: Annotated[int, typer.Option(help="Threads; -1 for one a core.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, nothing else.")] = False,
):
    """Rank a database for every query and print all measures, with the protocol.

    Queries are held out: rows that the model was fitted to must not be among them.
    """
    from hashers import metrics

    check_jobs(jobs)
    ks = [whole(word, "-k") for word in names(k, "-k")]
    if database not in ("hashed", "learned"):
        raise ValueError(f"--database must be hashed or learned: {database!r}.")
    hasher, last = load_model(model)
    columns = take_column_names(hasher)
    weights = getattr(last, "weights_", None)
    if weighted and weights is None:
        raise ValueError(f"--weighted: {model} has no weights of bits.")
    with stoppable("nothing was measured"):
        (X_query, y_query), (X_database, y_database) = _sides(
            data, queries, labels, query_labels, ignore, columns, database == "learned"
        )
        if database == "learned":
            B_database = _learned(last, X_database, data)
        else:
            B_database = _hash(hasher, X_database, as_json)
        result = metrics.evaluate(
            np.asarray(hasher.transform(X_query)),
            B_database,
            y_query,
            y_database,
            k=ks,
            radius=radius,
            weights=weights if weighted else None,
            query_margins=hasher.decision_function(X_query) if asymmetric else None,
            database=database,
            n_jobs=jobs,
        )
    if as_json:
        print_json({"model": str(model), "data": str(data), **result.to_dict()})
    else:
        sys.stdout.write(f"{result}\n")


def _sides(data, queries, labels, query_labels, ignore, columns, learned):
    """Features and labels of the queries and of the database."""
    table = open_table(data, labels, ignore, columns)
    if queries is None and "query" not in table.parts:
        raise ValueError(f"{data} names no queries (a key `query` of an npz file): pass --queries FILE.")
    X, y = table.read_labelled()
    rows = table.parts.get("database")
    if learned:
        rows = table.parts.get("train", rows)
    database = (X, y) if rows is None else (X[rows], y[rows])
    if queries is None:
        chosen = table.parts["query"]
        return (X[chosen], y[chosen]), database
    other = open_table(queries, labels if query_labels is None else query_labels, ignore, columns)
    return other.read_labelled(), database


def _learned(hasher, X, data):
    codes = getattr(hasher, "codes_", None)
    if codes is None or len(codes) != X.shape[0]:
        found = "no learned codes" if codes is None else f"learned codes of {len(codes):,} rows"
        raise ValueError(f"--database learned: the model has {found}, {data} has {X.shape[0]:,} training rows.")
    return codes


def _hash(hasher, X, quiet, rows=2**13):
    parts = []
    with progress("hashing", X.shape[0], quiet) as advance:
        for start in range(0, X.shape[0], rows):
            block = X[start : start + rows]
            parts.append(np.asarray(hasher.transform(block)))
            advance(block.shape[0])
    return np.concatenate(parts)

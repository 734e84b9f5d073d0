"""``hashers search``: the nearest codes of each query, exactly."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from hashers.cli._shared import check_jobs, check_output, load_model, print_json, stoppable, take_column_names
from hashers.cli._tables import open_table

__all__ = ["search"]


def search(
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="The database, from hashers encode.")],
    queries: Annotated[
        Path,
        typer.Argument(
            metavar="QUERIES", help="Codes from hashers encode; or, with --model, features (npz, npy, ...)."
        ),
    ],
    k: Annotated[int, typer.Option("-k", "--k", help="Nearest items of each query.")] = 10,
    radius: Annotated[
        int | None, typer.Option(help="All items within that many bits instead of the nearest -k.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Hash QUERIES by this model first.")] = None,
    asymmetric: Annotated[
        bool, typer.Option("--asymmetric", help="Rank by the real outputs of the model for the queries; needs --model.")
    ] = False,
    labels: Annotated[
        str | None, typer.Option(metavar="COLUMNS", help="Columns of QUERIES that hold labels: no features.")
    ] = None,
    ignore: Annotated[str | None, typer.Option(metavar="COLUMNS", help="Columns that are no features.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the arrays to an npz file instead of printing.")] = None,
    jobs: Annotated[int, typer.Option(help="Threads; -1 for one a core.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, nothing else.")] = False,
):
    """Search codes: one line a hit, with query, rank, id and Hamming distance (or score, larger is nearer).

    Ids are rows of the database file, unless it holds ids of its own. Items at equal distance keep its order.
    """
    from hashers.index import BinaryIndex

    check_jobs(jobs)
    if output is not None:
        check_output(output, "--output")
    if asymmetric and (model is None or radius is not None):
        raise ValueError("--asymmetric needs --model, whose real outputs it ranks by, and -k instead of --radius.")
    index = BinaryIndex.open(codes, n_jobs=jobs)
    with stoppable("nothing was found"):
        sides = _queries(queries, model, asymmetric, index.n_bits, open_options=(labels, ignore))
        began = time.perf_counter()
        if radius is not None:
            within = index.within(sides, radius)
            offsets, values, ids = within.offsets, within.distances, within.ids
        else:
            if k < 1:
                raise ValueError(f"-k must be at least 1: {k}.")
            found = index.search(sides, k=min(k, len(index)), asymmetric=asymmetric)
            values, ids = found[0].ravel(), found.ids.ravel()
            offsets = np.arange(len(found.ids) + 1) * found.ids.shape[1]
        seconds = time.perf_counter() - began
    name = "scores" if asymmetric else "distances"
    if output is not None:
        np.savez(output, **{"offsets": offsets, "ids": ids, name: values})
    hits = [
        {"query": a, "ids": ids[start:stop].tolist(), name: values[start:stop].tolist()}
        for a, (start, stop) in enumerate(pairwise(offsets))
    ]
    if as_json:
        record = {"n_query": len(hits), "n_database": len(index), "n_bits": index.n_bits, "seconds": seconds}
        where = {"hits": hits} if output is None else {"output": str(output)}
        print_json({**record, **where})
    elif output is None:
        _print_hits(hits, name)
    else:
        sys.stdout.write(f"{output}: {len(ids):,} hits of {len(hits):,} queries, {seconds:.2f} s\n")


def _queries(path, model, asymmetric, n_bits, open_options):
    """Packed codes or margins of the queries."""
    from hashers.index import load_codes

    if model is None:
        found = load_codes(path)
        if found.n_bits != n_bits:
            raise ValueError(f"{path} holds codes of {found.n_bits} bits, the database of {n_bits}: hash both alike.")
        return found.packed
    hasher = load_model(model)[0]
    blocks = open_table(path, open_options[0], open_options[1], take_column_names(hasher)).blocks()
    sides = np.concatenate([(hasher.decision_function if asymmetric else hasher.transform)(X) for X in blocks])
    if sides.shape[1] != n_bits:
        raise ValueError(f"{model} gives {sides.shape[1]} bits, the database has {n_bits}: hash both alike.")
    return sides


def _print_hits(hits, name):
    sys.stdout.write(f"{'query':>8} {'rank':>6} {'id':>12} {name[:-1]:>10}\n")
    for hit in hits:
        lines = (
            f"{hit['query']:>8} {rank:>6} {item:>12} {value:>10.6g}\n"
            for rank, (item, value) in enumerate(zip(hit["ids"], hit[name]), start=1)
        )
        sys.stdout.writelines(lines)

"""``hashers encode``: a model and features to a file of codes, in blocks, so that the features may exceed memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from hashers.cli._shared import (
    check_output,
    load_model,
    print_facts,
    print_json,
    progress,
    stoppable,
    take_column_names,
)
from hashers.cli._tables import open_table

__all__ = ["encode"]


def encode(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="From hashers fit.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Features: npz, npy, csv or parquet.")],
    codes: Annotated[
        Path,
        typer.Argument(
            metavar="CODES", help="File to write: npz by its name, else packed, which searches map to memory."
        ),
    ],
    labels: Annotated[
        str | None, typer.Option(metavar="COLUMNS", help="Columns that hold labels: no features, not looked at.")
    ] = None,
    ignore: Annotated[str | None, typer.Option(metavar="COLUMNS", help="Columns that are no features.")] = None,
    rows: Annotated[
        str, typer.Option(metavar="all|query|database|train", help="Rows of an npz file, by its split.")
    ] = "all",
    block: Annotated[int | None, typer.Option(help="Rows hashed at once; 32 MiB of features by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, nothing else.")] = False,
):
    """Hash every row of a file.

    DATA is read and hashed in blocks: memory does not grow with its length. Columns with names (csv, parquet) are
    matched with those that the model was fitted to. CODES appears when complete; Ctrl-C leaves no file.
    """
    from hashers.index import CodeWriter, save_codes

    check_output(codes, "CODES")
    if block is not None and block < 1:
        raise ValueError(f"--block must be at least 1: {block}.")
    hasher, last = load_model(model)
    table = open_table(data, labels, ignore, take_column_names(hasher))
    if rows != "all" and rows not in table.parts:
        raise ValueError(
            f"--rows must be all, or a part that {data} has ({', '.join(table.parts) or 'none'}): {rows!r}."
        )
    wanted = None if rows == "all" else table.parts[rows]
    n_bits = int(last.n_bits_)
    began = time.perf_counter()
    with stoppable("no codes were written") as interrupted:
        if codes.suffix.lower() == ".npz" or wanted is not None:
            parts = list(_hash(hasher, table, block, as_json))
            packed = np.concatenate(parts)
            if not interrupted:
                save_codes(codes, packed if wanted is None else packed[wanted], n_bits)
            n = len(packed) if wanted is None else len(wanted)
        else:
            n = 0
            with CodeWriter(codes, n_bits) as writer:
                for part in _hash(hasher, table, block, as_json):
                    writer.append(part)
                    n += len(part)
    record = {
        "codes": str(codes),
        "model": str(model),
        "data": str(data),
        "n": n,
        "n_bits": n_bits,
        "bitorder": "little",
        "bytes": codes.stat().st_size,
        "seconds": time.perf_counter() - began,
    }
    if as_json:
        print_json(record)
        return
    print_facts(
        [
            ("codes", f"{codes}, {record['bytes']:,} bytes"),
            ("hashed", f"{n:,} rows of {data} to {n_bits} bits"),
            ("seconds", f"{record['seconds']:.2f}"),
        ]
    )


def _hash(hasher, table, block, quiet):
    """Yield packed codes, block by block."""
    from hashers import packing

    with progress("hashing", table.n, quiet) as advance:
        for X in table.blocks(block):
            yield packing.pack(np.asarray(hasher.transform(X)))
            advance(X.shape[0])

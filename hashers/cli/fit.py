"""``hashers fit``: features and labels of a file to a model on disk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from hashers.cli._shared import check_jobs, check_output, console, print_facts, print_json, stoppable
from hashers.cli._tables import open_table
from hashers.cli.compare import methods_help
from hashers.registry import FUNCTIONS, make_function, parse_method

__all__ = ["fit"]


def fit(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Features: npz, npy, csv or parquet.")],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="File to write.")],
    method: Annotated[str, typer.Option(help=methods_help())] = "tsh",
    bits: Annotated[int, typer.Option(help="Code length.")] = 32,
    function: Annotated[
        str | None, typer.Option(help=f"Hash function: {', '.join(FUNCTIONS)}; default kernel.", show_default=False)
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|COLUMNS|KEY",
            help="Labels: a file, FILE or FILE:NAME; columns of DATA, several for 0/1 label sets, patterns such as "
            "tag_* allowed; or a key of an npz file (labels or Y by default). A class of -1 is unknown.",
        ),
    ] = None,
    ignore: Annotated[str | None, typer.Option(metavar="COLUMNS", help="Columns that are no features.")] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="train|database|all",
            help="Rows of an npz file to learn from: train where it has a split, else all.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    jobs: Annotated[int, typer.Option(help="Threads; -1 for one a core.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, nothing else.")] = False,
):
    """Learn a hasher from labelled features and write it to a file, without pickle.

    Methods without supervision (lsh, itq, ...) need no labels. Ctrl-C writes nothing.
    """
    from hashers.persistence import save

    check_jobs(jobs)
    check_output(model, "MODEL")
    if bits < 1:
        raise ValueError(f"--bits must be at least 1: {bits}.")
    if seed < 0:
        raise ValueError(f"--seed must be at least 0: {seed}.")
    spec = parse_method(method)
    if not spec.entry.has_codes:
        raise ValueError(
            f"{method} ranks by real numbers and makes no codes: nothing to encode. Compare it with compare."
        )
    if function is not None and not spec.entry.takes_function:
        raise ValueError(f"{method} takes no hash function: leave out --function {function}.")
    step_two = make_function("kernel" if function is None else function, seed)
    table = open_table(data, labels, ignore)
    chosen = _part(table, rows)
    X, y = table.read()
    if chosen is not None:
        X, y = X[chosen], None if y is None else y[chosen]
    hasher = spec.make(bits, step_two if spec.entry.takes_function else None, jobs, seed)
    if y is None and hasher.__sklearn_tags__().target_tags.required:
        raise ValueError(f"{method} needs labels, and {data} names none: pass --labels FILE, COLUMNS or KEY.")
    if not as_json and console(stderr=True).is_terminal and "verbose" in hasher.get_params():
        hasher.set_params(verbose=1)
    with stoppable("no model was written") as interrupted:
        began = time.perf_counter()
        hasher.fit(X, y)
        seconds = time.perf_counter() - began
        if not interrupted:
            if (names := table.feature_names()) is not None:
                hasher.feature_names_in_ = np.array(names, dtype=object)
            hasher.set_params(**({"verbose": 0} if "verbose" in hasher.get_params() else {}))
            save(hasher, model)
    result = getattr(hasher, "result_", None)
    record = {
        "model": str(model),
        "data": str(data),
        "method": method,
        "function": function if spec.entry.takes_function else None,
        "n_bits": int(hasher.n_bits_),
        "seed": seed,
        "n_samples": int(X.shape[0]),
        "n_features": int(X.shape[1]),
        "objective": None if result is None else float(result.objective),
        "ksh_objective": None if result is None else float(result.ksh_objective),
        "seconds": seconds,
    }
    if as_json:
        print_json(record)
        return
    step = f", {function} functions" if record["function"] else ""
    facts = [
        ("model", str(model)),
        ("method", f"{method}{step}, {record['n_bits']} bits, seed {seed}"),
        ("fitted to", f"{record['n_samples']:,} rows, {record['n_features']:,} features of {data}"),
        ("seconds", f"{seconds:.2f}"),
    ]
    if result is not None:
        facts.insert(3, ("objective", f"{record['objective']:.6g}"))
    print_facts(facts)


def _part(table, rows):
    """Row indices to fit to, None for all."""
    if rows not in (None, "train", "database", "all"):
        raise ValueError(f"--rows must be train, database or all: {rows!r}.")
    if rows is None:
        rows = next((name for name in ("train", "database") if name in table.parts), "all")
    if rows == "all":
        return None
    if rows not in table.parts:
        raise ValueError(f"--rows {rows}: {table.path} has no key {rows!r}.")
    return table.parts[rows]

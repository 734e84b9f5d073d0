"""Our hashers beside public implementations of the same methods, on the same splits: MAP and training time.

Run ``python -m benchmarks.reference`` (all: hours; ``--datasets fashion-mnist --seeds 2`` for a look). The marks in
`reference_marks.csv` were measured with the authors' (or the best public) code on the same splits, queries and training
rows: mean over their seeds, half their spread, process CPU seconds of training on one core, kernel map excluded; of two
kernel widths the better. Tie-aware MAP over the full ranking; queries against the *hashed* database (digits: against
the training rows, hashed). Every finished cell is appended to the JSON file, so that a run can go on where it stopped.

A cell passes if our mean is at least the mark less max(0.007, two combined standard errors).
"""

import argparse
import csv
import json
import os
import time
from pathlib import Path

import numpy as np

from hashers import datasets, metrics, registry
from hashers.functions import KernelFunction

MARKS = Path(__file__).with_name("reference_marks.csv")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+")
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--functions", nargs="+")
    parser.add_argument("--bits", nargs="+", type=int)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/reference.json"))
    parser.add_argument("--table", action="store_true", help="only print the table of what the file holds")
    arguments = parser.parse_args()
    rows = json.loads(arguments.json.read_text()) if arguments.json.exists() else []
    marks = [mark for mark in read_marks() if is_wanted(mark, arguments)]
    if not arguments.table:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        for name in dict.fromkeys(mark["dataset"] for mark in marks):
            run_dataset(name, [m for m in marks if m["dataset"] == name], rows, arguments)
    print_table(marks, rows)


def read_marks():
    with open(MARKS, newline="") as file:
        for row in csv.DictReader(file):
            yield {
                **row, "n_bits": int(row["n_bits"]), "map": float(row["map"]), "spread": float(row["spread"]),
                "n_seeds": int(row["n_seeds"]), "cpu_seconds": float(row["cpu_seconds"] or "nan"),
            }  # fmt: skip


def is_wanted(mark, arguments):
    wanted = {"dataset": arguments.datasets, "method": arguments.methods, "function": arguments.functions,
              "n_bits": arguments.bits}  # fmt: skip
    return all(values is None or mark[name] in values for name, values in wanted.items())


def run_dataset(name, marks, rows, arguments):
    data = datasets.load(name)
    parts = {part: data.part(part) for part in ("train", "query", "database")}
    done = {(row["dataset"], row["method"], row["function"], row["n_bits"], row["seed"]) for row in rows}
    for seed, mark in ((seed, mark) for seed in range(arguments.seeds) for mark in marks):
        key = (name, mark["method"], mark["function"], mark["n_bits"], seed)
        if key in done:
            continue
        try:
            score, seconds = measure(parts, mark, seed)
        except ValueError as error:
            print(f"{key}: {error}", flush=True)
            continue
        row = dict(zip(("dataset", "method", "function", "n_bits", "seed"), key), map=score, cpu_seconds=seconds)
        rows.append(row)
        print(f"{key}: MAP {score:.4f}, {seconds:.2f} CPU s", flush=True)
        partial = arguments.json.with_suffix(".tmp")
        partial.write_text(json.dumps(rows, indent=0))
        os.replace(partial, arguments.json)


def measure(parts, mark, seed):
    """Hashed MAP, and CPU seconds of training without the kernel map and the choice of its width."""
    (X, y), (X_query, y_query), (X_database, y_database) = (parts[p] for p in ("train", "query", "database"))
    spec = registry.parse_method(mark["method"])
    function = registry.make_function(mark["function"], seed) if spec.entry.takes_function else None
    hasher = spec.make(mark["n_bits"] or None, function, 1, seed)
    began = time.process_time()
    hasher.fit(X, y)
    seconds = time.process_time() - began - seconds_of_map(hasher, X)
    B_query, B_database = hasher.transform(X_query), hasher.transform(X_database)
    return metrics.mean_average_precision(B_query, B_database, y_query, y_database), seconds


def seconds_of_map(hasher, X):
    """CPU seconds of choosing anchors and width, and of the kernel values of the training rows."""
    function = getattr(hasher, "function_", None)
    if not isinstance(function, KernelFunction):
        return 0.0
    began = time.process_time()
    fresh = KernelFunction(**function.get_params())
    fresh.design(X).fit(np.ones((X.shape[0], 1), dtype=np.int8))
    whole = time.process_time() - began
    phi = np.ones((X.shape[0], function.anchors_.shape[0] + 1))
    began = time.process_time()
    phi.T @ phi
    return max(0.0, whole - (time.process_time() - began))


def print_table(marks, rows):
    print("dataset        method           function  bits   mark          ours (seeds)           verdict  CPU s, ratio")
    ours, theirs, failed = [], [], 0
    for mark in marks:
        cell = [row for row in rows if all(row[k] == mark[k] for k in ("dataset", "method", "function", "n_bits"))]
        if not cell:
            continue
        scores = np.array([row["map"] for row in cell])
        error = np.hypot(scores.std(ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else 0.0,
                         mark["spread"] / np.sqrt(mark["n_seeds"]))  # fmt: skip
        passed = scores.mean() >= mark["map"] - max(0.007, 2 * error)
        failed += not passed
        ours.append(scores.mean())
        theirs.append(mark["map"])
        seconds = float(np.median([row["cpu_seconds"] for row in cell]))
        ratio = f", {mark['cpu_seconds'] / seconds:6.1f} x" if np.isfinite(mark["cpu_seconds"]) and seconds > 0 else ""
        print(
            f"{mark['dataset']:14} {mark['method']:16} {mark['function']:9} {mark['n_bits']:4}   "
            f"{mark['map']:.4f}   {scores.mean():.4f} +- {scores.std():.4f} ({len(scores)})   "
            f"{'ok' if passed else 'BELOW':7} {seconds:7.2f}{ratio}"
        )
    if ours:
        print(
            f"{len(ours)} cells, {failed} below; mean over cells: ours {np.mean(ours):.4f}, marks {np.mean(theirs):.4f}"
        )


if __name__ == "__main__":
    main()

"""How time and memory of code learning grow with n, q and C, with fitted exponents.

    python -m benchmarks.scaling                 n to 300,000, a minute
    python -m benchmarks.scaling --full          n to 3,000,000, five seeds

Labels of C balanced classes. `merged` is `codes.learn`, one code a class; `points` is a pass over the bits of unmerged
points by coordinate descent (`codes.bitwise` with reductions off), where every point has a code of its own. CPU
seconds, median over seeds; peak of traced allocations in MiB, in a run of its own; the exponent is the slope of log
seconds over the upper half of the range, with two standard errors where three or more sizes give them.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
import tracemalloc
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.rows import Rows, table
from bqp import codes, supervision

KEY = ("method", "varied", "n", "q", "classes", "seed")
METHODS = {
    "merged": lambda S, q, seed: codes.learn(S, q, n_kicks=0, rng=seed, certify=False),
    "points": lambda S, q, seed: codes.bitwise(
        S, q, solver="coordinate_descent", reductions=(), n_restarts=1, rng=seed, certify=False
    ),
}
BASE = {"n": 20_000, "q": 32, "classes": 10}
QUICK = {"n": [10_000, 30_000, 100_000, 300_000], "q": [8, 16, 32, 64], "classes": [5, 20, 80, 320]}
FULL = {"n": [10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000], "q": [8, 16, 32, 64, 128],
        "classes": [5, 20, 80, 320, 1280]}  # fmt: skip


def run(method: str, n: int, q: int, classes: int, seed: int) -> dict:
    """Seconds and memory of one size."""
    S = supervision.from_labels(np.random.default_rng(seed).permutation(np.arange(n) % classes))
    began = time.process_time()
    result = METHODS[method](S, q, seed)
    seconds = time.process_time() - began
    del result
    gc.collect()
    tracemalloc.start()
    METHODS[method](S, q, seed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"cpu": round(seconds, 4), "peak_mib": round(peak / 2**20, 2)}


def make(rows: Rows, sizes: dict, seeds) -> None:
    """The runs that are missing."""
    run("merged", 500, 8, 5, 0), run("points", 500, 8, 5, 0)  # compiles
    for method in METHODS:
        for varied, values in sizes.items():
            for value in values:
                for seed in seeds:
                    key = {"method": method, "varied": varied, **BASE, varied: value, "seed": seed}
                    if not rows.has(key):
                        rows.add({**key, **run(method, **{**BASE, varied: value}, seed=seed)})


def exponent(x, y) -> tuple[float, float]:
    """Slope of log y over log x in the upper half of x, and two standard errors (NaN for two points)."""
    x, y = np.log(np.asarray(x, float)), np.log(np.maximum(np.asarray(y, float), 1e-9))
    start = min(len(x) // 2, len(x) - 2)
    x, y = x[start:], y[start:]
    slope = np.polyfit(x, y, 1)
    rest = y - np.polyval(slope, x)
    error = np.sqrt(rest @ rest / (len(x) - 2) / ((x - x.mean()) @ (x - x.mean()))) if len(x) > 2 else np.nan
    return float(slope[0]), float(2 * error)


def lines(rows: Rows) -> list[list[str]]:
    """Method, what is varied, from, to, seconds and MiB at the largest, exponents of both."""
    shown = []
    for method in METHODS:
        for varied in BASE:
            mine = rows.where(method=method, varied=varied)
            values = sorted({row[varied] for row in mine})
            if len(values) < 2:
                continue
            median = lambda column: [np.median([r[column] for r in mine if r[varied] == v]) for v in values]  # noqa: E731, B023
            cpu, peak = median("cpu"), median("peak_mib")
            (slope, error), (memory, _) = exponent(values, cpu), exponent(values, peak)
            text = f"{slope:.2f}" + (f" ± {error:.2f}" if np.isfinite(error) else "")
            shown.append([method, varied, f"{values[0]:,}", f"{values[-1]:,}", f"{cpu[-1]:.2f}", text, f"{peak[-1]:.1f}", f"{memory:.2f}"])  # fmt: skip  # noqa: E501
    return shown


HEAD = ["method", "varied", "from", "to", "CPU s at the largest", "exponent", "MiB", "exponent of memory"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rows", type=Path, help="file of JSON lines to keep rows in")
    arguments = parser.parse_args()
    rows = Rows(arguments.rows, KEY)
    make(rows, FULL if arguments.full else QUICK, range(arguments.seeds or (5 if arguments.full else 1)))
    print(table(HEAD, lines(rows)))


if __name__ == "__main__":
    main()

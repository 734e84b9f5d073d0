"""Public instances with best-known values, for benchmarks: where they are and how each family is read.

The folder is `BQP_INSTANCES`, or `../shared/instances` beside the checkout; its `index.csv` names file, sense and best
known value. `generated` makes Palubeckis' problems from their published generator, so that something runs anywhere;
`generated.csv` in the folder names some of them, with the best values seen.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

import bqp
from bqp.kernels._jit import jit_kernel

__all__ = ["generated", "instance_folder", "load", "names"]


def instance_folder() -> Path | None:
    """The folder of instances, or None where there is none."""
    places = [os.environ.get("BQP_INSTANCES"), Path(__file__).resolve().parents[2] / "shared" / "instances"]
    return next((Path(place) for place in places if place and Path(place).is_dir()), None)


def _rows(file: str) -> list[dict[str, str]]:
    folder = instance_folder()
    if folder is None:
        raise FileNotFoundError("no instances: set BQP_INSTANCES to a folder with an index.csv")
    with open(folder / file, newline="") as lines:
        return list(csv.DictReader(lines))


def names(*prefixes: str) -> list[str]:
    """All instances whose names begin with one of `prefixes`, by size; a whole name means itself."""
    everything = [row for file in ("index.csv", "generated.csv") for row in _rows(file)]
    known = {row["name"] for row in everything}
    parts = tuple(prefix for prefix in prefixes if prefix not in known)
    rows = [row for row in everything if row["name"] in prefixes or (parts and row["name"].startswith(parts))]
    return [row["name"] for row in sorted(rows, key=lambda row: int(row["n"]))]


def load(name: str) -> tuple[bqp.BQP, float]:
    """The problem called `name` in either index, and its best known value in energy."""
    for row in _rows("generated.csv"):
        if row["name"] == name:
            problem = generated(int(row["n"]), int(row["density_percent"]), int(row["seed"]))
            return problem, -max(float(row[key]) for key in ("published_best", "best_reached") if row[key] != "-")
    row = next((row for row in _rows("index.csv") if row["name"] == name), None)
    folder = instance_folder()
    if row is None or folder is None:
        raise KeyError(f"no instance {name!r} in {folder}")
    problem = bqp.read(folder / row["file"], format={"cut": "rudy"}.get(row["format"], row["format"]))
    best = float(row["best_known"])
    return problem, -best if problem.sense == "max" else best


@jit_kernel
def _draw_all(C, density, seed):
    state = np.int64(seed)
    for i in range(C.shape[0]):
        state = 16807 * state % 2147483647
        C[i, i] = np.floor(201 * (state / 2.0**31) - 100)
        for j in range(i + 1, C.shape[0]):
            state = 16807 * state % 2147483647
            if 100 * (state / 2.0**31) <= density:
                state = 16807 * state % 2147483647
                C[i, j] = C[j, i] = np.floor(201 * (state / 2.0**31) - 100)


def generated(n: int, density: int, seed: int) -> bqp.BQP:
    """Palubeckis' generator (2004): maximise x'Cx over {0, 1}^n, integers in [-100, 100], `density` in percent."""
    C = np.zeros((n, n))
    _draw_all(C, density, seed)
    return bqp.BQP(C, domain="binary", sense="max")

"""Public instances with best-known values, for benchmarks: where they are and how each family is read.

The folder is `BQP_INSTANCES`, or `../shared/instances` beside the checkout; its `index.csv` names file, sense and best
known value. `generated` makes Palubeckis' problems from their published generator, so that something runs anywhere.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

import bqp

__all__ = ["generated", "instance_folder", "load"]


def instance_folder() -> Path | None:
    """The folder of instances, or None where there is none."""
    places = [os.environ.get("BQP_INSTANCES"), Path(__file__).resolve().parents[2] / "shared" / "instances"]
    return next((Path(place) for place in places if place and Path(place).is_dir()), None)


def load(name: str) -> tuple[bqp.BQP, float]:
    """The problem called `name` in the index, and its best known value in energy."""
    folder = instance_folder()
    if folder is None:
        raise FileNotFoundError("no instances: set BQP_INSTANCES to a folder with an index.csv")
    with open(folder / "index.csv", newline="") as lines:
        row = next(row for row in csv.DictReader(lines) if row["name"] == name)
    problem = bqp.read(folder / row["file"], format={"cut": "rudy"}.get(row["format"], row["format"]))
    best = float(row["best_known"])
    return problem, -best if problem.sense == "max" else best


def generated(n: int, density: int, seed: int) -> bqp.BQP:
    """Palubeckis' generator (2004): maximise x'Cx over {0, 1}^n, integers in [-100, 100], `density` in percent."""
    modulus, state = 2**31 - 1, seed
    C = np.zeros((n, n))

    def draw() -> float:
        nonlocal state
        state = 16807 * state % modulus
        return state / 2.0**31

    for i in range(n):
        C[i, i] = np.floor(201 * draw() - 100)
        for j in range(i + 1, n):
            if 100 * draw() <= density:
                C[i, j] = C[j, i] = np.floor(201 * draw() - 100)
    return bqp.BQP(C, domain="binary", sense="max")

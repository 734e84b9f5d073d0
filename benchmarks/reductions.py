"""What each reduction removes, on the files of a folder of instances.

Run ``python -m benchmarks.reductions DIR [PATTERN ...]`` with the folder that holds ``index.csv`` (see
`benchmarks.instances`; default patterns bqp50 bqp100 gka imgseg). One row a file: variables, how many each step of
"auto" removes, what is left in how many parts, and the CPU seconds of it all; then the same with probing.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np

import bqp
from bqp.reductions import Persistency, reduce_problem, resolve_steps
from bqp.reductions.base import Reduction

DEFAULT = ("bqp50-", "bqp100-", "gka", "imgseg")


class Counting(Reduction):
    """A step that notes how many variables it removes."""

    def __init__(self, step: Reduction, removed: dict[str, int]):
        self.step, self.removed, self.name = step, removed, step.name

    def apply(self, problem):
        reduced = self.step.apply(problem)
        if reduced is not None:
            self.removed[self.name] += problem.n - sum(part.n for part in reduced.parts)
        return reduced


def rows_of(folder: Path, patterns: tuple[str, ...]):
    with open(folder / "index.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if any(row["name"].startswith(pattern) for pattern in patterns):
                kind = "rudy" if row["format"] == "cut" else row["format"]
                yield row["name"], bqp.read(folder / row["file"], format=kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("../shared/instances"))
    parser.add_argument("patterns", nargs="*", default=DEFAULT, help="first letters of names")
    arguments = parser.parse_args()
    if not (arguments.folder / "index.csv").exists():
        parser.error(f"{arguments.folder} holds no index.csv")
    names = [step.name for step in resolve_steps("auto") if step.name != "components"]
    print(f"{'instance':20}{'n':>7}" + "".join(f"{name[:12]:>13}" for name in names), end="")
    print(f"{'left':>7}{'parts':>7}{'cpu s':>8}{'probing':>9}{'cpu s':>8}")
    shares = []
    warm = bqp.BQP(np.eye(4, k=1) + np.eye(4, k=-1), [1.0, 2.0, 0.0, 0.0])
    reduce_problem(warm, resolve_steps("auto"))
    for name, problem in rows_of(arguments.folder, tuple(arguments.patterns)):
        removed = dict.fromkeys([*names, "components"], 0)
        steps = [Counting(step, removed) for step in resolve_steps("auto")]
        began = time.process_time()
        reduced, _ = reduce_problem(problem, steps)
        spent = time.process_time() - began
        left = sum(part.n for part in reduced.parts)
        began = time.process_time()
        auto = resolve_steps("auto")
        deeper = [Persistency(probing=True, quick=False) if step.name == "persistency" else step for step in auto]
        deep = sum(part.n for part in reduce_problem(problem, deeper)[0].parts)
        probed = time.process_time() - began
        shares.append(left / max(1, problem.n))
        print(f"{name:20}{problem.n:7}" + "".join(f"{removed[name]:13}" for name in names), end="")
        print(f"{left:7}{len(reduced.parts):7}{spent:8.3f}{deep:9}{probed:8.3f}", flush=True)
    if shares:
        print(f"median share of variables left: {np.median(shares):.2f} over {len(shares)} files")


if __name__ == "__main__":
    main()

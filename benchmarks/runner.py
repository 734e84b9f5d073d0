"""The suite: objective, data sets, solvers, and the parts (a) to (g) of which `python -m benchmarks` runs a version.

    python -m benchmarks                       all parts, short: under 15 minutes on a quiet machine; report at the end
    python -m benchmarks --parts a g           some of them
    python -m benchmarks --parts a --full      one part in full (hours for a, d, e)
    python -m benchmarks --report              only the report of the rows that are there

Part (a) is run here: every solver on every problem, seed and time limit, one row a run, in `bqp_solvers.jsonl`. Its
objective is recomputed in float64 from the assignment (`Problem.energy`), never taken from a solver. Part (e) makes the
rows of `hashers compare`, part (g) those of `benchmarks.scaling`. The other parts are scripts of their own: what they
print is kept in a row with the command, its seconds, versions, processor and commit. Kernels are compiled before any
clock starts; the cold first call is the business of `benchmarks.startup`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import bqp
from benchmarks import bit_problems, instances, peers, scaling
from benchmarks.heuristics import generated_graph, generated_torus
from benchmarks.rows import PACKAGES, Rows, clock

RESULTS = Path(__file__).resolve().parent / "results"
OURS = ("auto", "tabu_search", "simulated_annealing", "coordinate_descent", "exact")
KEY_A = ("problem", "solver", "limit", "seed")
KEY_E = ("dataset", "method", "function", "n_bits", "seed")


# ---- (a) objective, data sets, solvers -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """A problem of the suite, and the value to reach (None where nobody knows one)."""

    name: str
    family: str
    problem: bqp.BQP
    best: float | None

    def energy(self, x: np.ndarray) -> float:
        """The objective: recomputed here, in float64."""
        return float(self.problem.energy(np.asarray(x, dtype=np.int8)))


def problems(full: bool) -> Iterator[Problem]:
    """Bit problems of hashing runs, public instances where the folder is, generated ones everywhere."""
    for name in bit_problems.names():
        yield Problem(name, "bits of hashing runs", *bit_problems.load(name))
    if instances.instance_folder() is not None:
        chosen = ["bqp100-1", "be100.1", "bqp1000-1", "G43", "G32", "t2g20_5555"]
        if full:
            chosen += [
                "gka1d",
                "g05_60.0",
                "pm1s_80.0",
                "be250.1",
                "bqp250-1",
                "G1",
                "G22",
                "G39",
                "G51",
                "rb2500-1",
                "p3000.1",
            ]
        for name in chosen:
            yield Problem(name, "public instances", *instances.load(name))
    yield Problem("dense_500", "generated", instances.generated(500, 100, 1), None)
    yield Problem("graph_1000", "generated", generated_graph(1000, 6, 1), None)
    yield Problem("torus_900", "generated", generated_torus(30, 1), None)


def solve_with(solver: str, entry: Problem, limit: float, seed: int) -> peers.Answer:
    """One of ours or of the others."""
    target = -np.inf if entry.best is None else entry.best
    if solver in peers.PEERS:
        return peers.PEERS[solver][1](entry.problem, limit, target, seed)
    found = bqp.solve(
        entry.problem, solver, time_limit=limit, target=target if entry.best is not None else None, rng=seed
    )
    return peers.Answer(found.x, found.lower_bound, {"took": found.solver, "n_moves": found.n_moves})


def run_solvers(rows: Rows, full: bool) -> None:
    """Part (a): the runs that are missing. Solvers that prove get the longest limit only, on up to 150 variables."""
    limits, seeds = ((0.1, 1.0, 10.0), range(5)) if full else ((0.1, 0.5), range(2))
    others = peers.available()
    packages = (*PACKAGES, *sorted({peers.PEERS[name][0] for name in others} - {""}))
    for entry in problems(full):
        for solver in (*OURS, *others):
            proves = solver == "exact" or solver in peers.PROVERS
            if proves and entry.problem.n > (250 if full else 150):
                continue
            warm = False
            for limit in (limits[-1] * 4,) if proves else limits:
                for seed in range(1) if proves else seeds:
                    key = {"problem": entry.name, "solver": solver, "limit": limit, "seed": seed}
                    if rows.has(key):
                        continue
                    if not warm and solver not in others:
                        bqp.solve(entry.problem, solver, time_limit=0.05, rng=99)
                    warm = True
                    with clock() as seconds:
                        try:
                            answer = solve_with(solver, entry, limit, seed)
                        except (RuntimeError, ValueError, MemoryError, subprocess.CalledProcessError) as error:
                            answer = peers.Answer(None, settings={"error": f"{type(error).__name__}: {error}"[:200]})
                    energy = None if answer.x is None else entry.energy(answer.x)
                    if (
                        energy is not None
                        and entry.best is not None
                        and answer.lower_bound > entry.best + 1e-6 * abs(entry.best)
                    ):
                        raise SystemExit(
                            f"{solver} claims a bound of {answer.lower_bound} on {entry.name}: {entry.best} is known"
                        )
                    rows.add(
                        {
                            **key, "family": entry.family, "n": entry.problem.n, "energy": energy, "best": entry.best,
                            "bound": answer.lower_bound if np.isfinite(answer.lower_bound) else None,
                            "settings": answer.settings, **seconds,
                        }, packages,
                    )  # fmt: skip


# ---- (e) hashing methods -------------------------------------------------------------------------------------------


def run_hashers(rows: Rows, full: bool) -> None:
    """Part (e): methods x functions x data sets x bits, MAP against hashed and learned codes."""
    from hashers import datasets
    from hashers.compare import Comparison

    names = ["digits", "fashion-mnist", "cifar10-deep", "tmc2007"] if full else ["digits"]
    methods = (
        ["lsh", "itq", "hadamard", "cosdish", "fsdh", "sdh", "tsh", "hbmp", "lfh", "one-hot"]
        if full
        else ["lsh", "itq", "cosdish", "sdh", "tsh", "hbmp"]
    )
    bits, seeds = ((16, 32, 64), range(5)) if full else ((16, 32), range(2))
    for name in names:
        try:
            data = datasets.load(name)
        except FileNotFoundError:
            continue
        known = set(_known_methods())
        comparison = Comparison(
            data, [m for m in methods if m in known], bits, ["linear", "kernel"], seeds=list(seeds), n_jobs=1
        )
        comparison.warm_up()
        for task in comparison.tasks:
            key = {
                "dataset": name, "method": task.method.text, "function": task.function, "n_bits": task.n_bits,
                "seed": task.seed,
            }  # fmt: skip
            if not rows.has(key):
                rows.add({**comparison.run(task).row, **key})


def _known_methods():
    from hashers import registry

    return registry.METHODS


# ---- parts that are scripts ----------------------------------------------------------------------------------------

SCRIPTS: dict[str, list[tuple[list[str], list[str]]]] = {  # part: (short command, full command)
    "a": [
        (["benchmarks.startup"], ["benchmarks.startup"]),
        (["benchmarks.micro.flips", "--repeats", "2", "--sizes", "1000"], ["benchmarks.micro.flips"]),
        (["benchmarks.proofs", "--generated", "--time-limit", "1", "--jobs", "1"],
         ["benchmarks.proofs", "--marks", "--peers", "highs", "cpsat", "scip"]),
    ],
    "b": [(["benchmarks.max_flow", "--seeds", "2"], ["benchmarks.max_flow", "--full"])],
    "c": [
        (["benchmarks.semidefinite_bounds", "--sizes", "50", "--seeds", "2"],
         ["benchmarks.semidefinite_bounds", "--sizes", "50", "100", "200", "--large"]),
    ],
    "d": [(["benchmarks.codes_learn", "--marks"], ["benchmarks.codes_learn"])],
    "e": [],
    "f": [
        (["benchmarks.micro.evaluation", "--queries", "200", "--peer-queries", "10"], ["benchmarks.micro.evaluation"]),
        (["benchmarks.micro.search", "--queries", "200", "--repeats", "2"], ["benchmarks.micro.search"]),
    ],
    "g": [([], ["benchmarks.codes_fullscale", "--all"])],
}  # fmt: skip
PARTS = tuple(SCRIPTS)
LIMIT = 300.0  # seconds of a short script; a full one has no limit


def run_script(rows: Rows, part: str, command: list[str], limit: float | None) -> bool:
    """Run ``python -m command``, keep what it prints; returns whether it succeeded."""
    began = time.perf_counter()
    try:
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=limit)
        code, text = done.returncode, done.stdout + (done.stderr if done.returncode else "")
    except subprocess.TimeoutExpired as error:
        code, text = -1, str(error.stdout or "") + f"\nstopped after {limit:.0f} s"
    row = {"part": part, "command": "python -m " + " ".join(command), "code": code, "output": text}
    rows.rows = [r for r in rows.rows if r["command"] != row["command"]]
    rows.add({**row, "wall": round(time.perf_counter() - began, 1)})
    return code == 0


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--full", action="store_true", help="hours: as the tables of the documents were made")
    parser.add_argument("--report", action="store_true", help="run nothing, make the report")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    arguments = parser.parse_args(argv)
    warnings.simplefilter("default")
    place = arguments.folder / ("full" if arguments.full else "short")
    solvers, hashing = Rows(place / "bqp_solvers.jsonl", KEY_A), Rows(place / "hashing.jsonl", KEY_E)
    sizes, printed = Rows(place / "scaling.jsonl", scaling.KEY), Rows(place / "printed.jsonl", ("command",))
    failed = []
    for part in () if arguments.report else arguments.parts:
        began = time.perf_counter()
        for short, full in SCRIPTS[part]:
            command = full if arguments.full else short
            if command and not run_script(printed, part, command, None if arguments.full else LIMIT):
                failed.append(command[0])
        if part == "a":
            run_solvers(solvers, arguments.full)
        elif part == "e":
            run_hashers(hashing, arguments.full)
        elif part == "g":
            scaling.make(sizes, scaling.FULL if arguments.full else scaling.QUICK, range(5 if arguments.full else 1))
        print(f"part ({part}): {time.perf_counter() - began:.0f} s", flush=True)
    from benchmarks.report import write_report

    page = write_report(place / "index.html", solvers, hashing, sizes, printed)
    print(f"report: {page}")
    if failed:
        print(f"failed: {', '.join(failed)} (what they printed is in the report)")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())

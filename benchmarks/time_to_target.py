"""Time to the best known value on dense problems, ours and dwave-samplers' tabu search in the same call.

Run: ``python -m benchmarks.time_to_target [--instances rb2500-1 p3000 ...] [--seeds 5] [--seconds 10] [--n-jobs 1]``.
A name without a match is a prefix: ``bqp`` takes all that begin so. Seconds are those of the limit on the clock;
``--clock cpu`` counts it in CPU seconds over `n_jobs`, which is what a free machine would show (ours only). The times
are medians over seeds, CPU time and wall time, ``inf`` where fewer than half of the seeds got there. The time of ours
counts from the problem to its answer: conversion to spins, rows of integers, search. `mark` is the CPU time of MQLib's
best heuristic, measured elsewhere (shared/PEERS_BQP.md). ``--gap`` is the distance in percent that counts as the
target. ``--json FILE`` keeps a line a run and makes none twice. Kernels are compiled before any clock starts.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np

import bqp
from benchmarks.heuristics import cpu_clock
from benchmarks.instances import generated, instance_folder, load, names
from benchmarks.rows import Rows

MARKS = {"bqp1000-1": 0.03, "rb2500-1": 0.94, "p3000.1": 3.1}


def ours(problem: bqp.BQP, target: float, seconds: float, seed: int, n_jobs: int) -> float:
    """Energy that tabu search reaches."""
    options = {"target": target, "time_limit": seconds, "rng": seed, "n_jobs": n_jobs, "reductions": ()}
    return bqp.solve(problem, "tabu_search", **options).energy


def dwave_tabu(problem, target: float, seconds: float, seed: int) -> float:
    """Energy that ``TabuSampler`` reaches; its target is looked at between restarts."""
    from dwave.samplers import TabuSampler

    sample = TabuSampler().sample(problem, timeout=int(1000 * seconds), seed=seed, energy_threshold=target)
    return float(sample.first.energy)


def measure(key: dict, method: Callable[[int], float], target: float, seeds: int, rows: Rows) -> dict[str, str]:
    """Hits, median CPU and wall seconds to the target, worst gap in percent."""
    for seed in range(seeds):
        if rows.has({**key, "seed": seed}):
            continue
        began, began_cpu = time.perf_counter(), time.process_time()
        energy = method(seed)
        took = {"cpu_s": time.process_time() - began_cpu, "wall_s": time.perf_counter() - began}
        gap = 100.0 * (energy - target) / max(1.0, abs(target))
        rows.add({**key, "seed": seed, "gap": gap, **took}, packages=("numpy", "numba", "dwave-samplers"))
    made = [row for row in rows.where(**key) if row["seed"] < seeds]
    hits = [row["gap"] <= key["until"] + 1e-7 for row in made]
    cpu, wall = ([row[c] if hit else np.inf for row, hit in zip(made, hits)] for c in ("cpu_s", "wall_s"))
    return {
        "hits": f"{sum(hits)}/{seeds}",
        "cpu s": f"{np.median(cpu):.3f}",
        "wall s": f"{np.median(wall):.3f}",
        "worst gap %": f"{max(0.0, *(row['gap'] for row in made)):.4f}",
    }


def problems_of(wanted: list[str]) -> Iterator[tuple[str, bqp.BQP, float]]:
    """The named instances; without the folder a generated one, its target from a run of ours."""
    if instance_folder() is None:
        warnings.warn("no instance folder (BQP_INSTANCES): a generated problem stands in", stacklevel=1)
        problem = generated(1000, 10, 1)
        yield "generated", problem, bqp.solve(problem, "tabu_search", time_limit=5, rng=99, reductions=()).energy
        return
    for name in dict.fromkeys(name for prefix in wanted for name in names(prefix)):
        yield name, *load(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", nargs="+", default=["bqp1000-1", "rb2500-1", "p3000.1"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="what the limit of ours counts")
    parser.add_argument("--gap", type=float, default=0.0, help="percent of the best known value that may be missing")
    parser.add_argument("--json", type=Path, help="keep a line a run here; go on from those that are there")
    parser.add_argument("--peer-seeds", type=int, default=3, help="0: ours alone")
    arguments = parser.parse_args()
    peer = arguments.peer_seeds > 0
    if peer:
        try:
            import dwave.samplers  # noqa: F401
        except ImportError:
            print("dwave-samplers is not installed (pip install 'bqp[bench]'): no peer")
            peer = False
    columns = ("hits", "cpu s", "wall s", "worst gap %")
    print(f"{'instance':>12} {'solver':>12} " + " ".join(f"{c:>11}" for c in columns) + f" {'MQLib cpu s':>11}")
    rows = Rows(arguments.json, ["instance", "method", "seconds", "n_jobs", "clock", "until", "seed"])
    for name, problem, target in problems_of(arguments.instances):
        ours(problem, -np.inf, 0.01, 0, 1)
        stop = target + 0.01 * arguments.gap * abs(target)
        key = {"instance": name, "seconds": arguments.seconds, "until": arguments.gap}

        def tabu_search(seed: int) -> float:
            with cpu_clock(arguments.n_jobs) if arguments.clock == "cpu" else nullcontext():
                return ours(problem, stop, arguments.seconds, seed, arguments.n_jobs)  # noqa: B023

        mine = {**key, "method": "tabu_search", "n_jobs": arguments.n_jobs, "clock": arguments.clock}
        results = {"tabu_search": measure(mine, tabu_search, target, arguments.seeds, rows)}
        if peer:
            model = problem.to_bqm()  # as users have it: its building is not timed
            results["dwave tabu"] = measure(
                {**key, "method": "dwave tabu", "n_jobs": 1, "clock": "wall"},
                lambda seed: dwave_tabu(model, stop, arguments.seconds, seed),  # noqa: B023
                target,
                arguments.peer_seeds,
                rows,
            )
        for label, row in results.items():
            mark = MARKS.get(name, "")
            print(f"{name:>12} {label:>12} " + " ".join(f"{row[c]:>11}" for c in columns) + f" {mark:>11}", flush=True)


if __name__ == "__main__":
    main()

"""Time to the best known value on dense problems, ours and dwave-samplers' tabu search in the same call.

Run: ``python -m benchmarks.time_to_target [--instances rb2500-1 p3000 ...] [--seeds 5] [--seconds 10] [--n-jobs 1]``.
A name without a match is a prefix: ``bqp`` takes all that begin so. Seconds are those of the limit on the clock; the
times are medians over seeds, CPU time and wall time, ``inf`` where fewer than half of the seeds got there. The time of
ours counts from the problem to its answer: conversion to spins, rows of integers, search. `mark` is the CPU time of
MQLib's best heuristic, measured elsewhere (shared/PEERS_BQP.md). Kernels are compiled before any clock starts.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

import bqp
from benchmarks.instances import generated, instance_folder, load, names

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


def measure(method, target: float, seeds: int) -> dict[str, str]:
    """Hits, median CPU and wall seconds to the target, worst gap in percent."""
    cpu, wall, gaps = [], [], []
    for seed in range(seeds):
        began, began_cpu = time.perf_counter(), time.process_time()
        energy = method(seed)
        reached = energy <= target + 1e-9 * abs(target)
        cpu.append(time.process_time() - began_cpu if reached else np.inf)
        wall.append(time.perf_counter() - began if reached else np.inf)
        gaps.append(100.0 * (energy - target) / max(1.0, abs(target)))
    return {
        "hits": f"{np.isfinite(cpu).sum()}/{seeds}",
        "cpu s": f"{np.median(cpu):.3f}",
        "wall s": f"{np.median(wall):.3f}",
        "worst gap %": f"{max(max(gaps), 0.0):.4f}",
    }


def problems_of(wanted: list[str]) -> list[tuple[str, bqp.BQP, float]]:
    """The named instances; without the folder a generated one, its target from a run of ours."""
    if instance_folder() is None:
        warnings.warn("no instance folder (BQP_INSTANCES): a generated problem stands in", stacklevel=1)
        problem = generated(1000, 10, 1)
        return [("generated", problem, bqp.solve(problem, "tabu_search", time_limit=5, rng=99, reductions=()).energy)]
    chosen = list(dict.fromkeys(name for prefix in wanted for name in names(prefix)))
    return [(name, *load(name)) for name in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", nargs="+", default=["bqp1000-1", "rb2500-1", "p3000.1"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--n-jobs", type=int, default=1)
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
    for name, problem, target in problems_of(arguments.instances):
        ours(problem, -np.inf, 0.01, 0, 1)
        results = {
            "tabu_search": measure(
                lambda seed: ours(problem, target, arguments.seconds, seed, arguments.n_jobs),  # noqa: B023
                target,
                arguments.seeds,
            )
        }
        if peer:
            model = problem.to_bqm()  # as users have it: its building is not timed
            results["dwave tabu"] = measure(
                lambda seed: dwave_tabu(model, target, arguments.seconds, seed),  # noqa: B023
                target,
                arguments.peer_seeds,
            )
        for label, row in results.items():
            mark = MARKS.get(name, "")
            print(f"{name:>12} {label:>12} " + " ".join(f"{row[c]:>11}" for c in columns) + f" {mark:>11}", flush=True)


if __name__ == "__main__":
    main()

"""Time to the best known value on public instances, beside dwave-samplers.

Run: ``python -m benchmarks.solvers [--seconds 5] [--seeds 5] [--instances bqp1000-1 ...]``. One thread each, wall time,
medians over seeds (a miss counts as the limit and is marked); the peer runs on the same instance in the same call.
Without the instances, generated ones stand in and the target is the best of all runs of a first pass.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

import bqp
from benchmarks.instances import generated, instance_folder, load

DEFAULT = ["bqp250-1", "be250.1", "bqp1000-1", "G1", "G43"]


def ours(problem: bqp.BQP, solver: str, target: float, seconds: float, seed: int) -> tuple[float, float]:
    began = time.perf_counter()
    solution = bqp.solve(problem, solver, target=target, time_limit=seconds, rng=seed, reductions=())
    return time.perf_counter() - began, solution.energy


def dwave_tabu(problem: bqp.BQP, target: float, seconds: float, seed: int) -> tuple[float, float]:
    from dwave.samplers import TabuSampler

    model = problem.to_bqm()
    began = time.perf_counter()
    sample = TabuSampler().sample(model, timeout=int(1000 * seconds), seed=seed, energy_threshold=target)
    return time.perf_counter() - began, float(sample.first.energy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--instances", nargs="+", default=DEFAULT)
    parser.add_argument("--generated", nargs="*", default=["2500:10:25001"], help="n:density:seed")
    arguments = parser.parse_args()
    problems: dict[str, tuple[bqp.BQP, float | None]] = {}
    if instance_folder() is not None:
        problems.update({name: load(name) for name in arguments.instances})
    else:
        warnings.warn("no instance folder (BQP_INSTANCES); generated problems only", stacklevel=1)
    for spec in arguments.generated:
        n, density, seed = map(int, spec.split(":"))
        problems[f"generated {spec}"] = (generated(n, density, seed), None)
    methods = {
        "tabu_search": lambda p, t, s, k: ours(p, "tabu_search", t, s, k),
        "coordinate_descent": lambda p, t, s, k: ours(p, "coordinate_descent", t, s, k),
    }
    try:
        import dwave.samplers

        methods[f"dwave tabu {dwave.samplers.__version__}"] = dwave_tabu
    except ImportError:
        print("dwave-samplers is not installed (pip install 'bqp[bench]'): no peer")
    print(f"{'instance':>24} {'solver':>22} {'median s':>9} {'hits':>6} {'worst gap %':>12}  {'x tabu_search':>13}")
    for name, (problem, best) in problems.items():
        bqp.solve(problem, "tabu_search", max_moves=100, rng=0, reductions=())  # compiled before any clock starts
        bqp.solve(problem, "coordinate_descent", max_moves=100, rng=0, reductions=())
        target = best
        if target is None:
            target = bqp.solve(problem, "tabu_search", time_limit=2 * arguments.seconds, rng=99, reductions=()).energy
        reference = None
        for label, method in methods.items():
            runs = [method(problem, target, arguments.seconds, seed) for seed in range(arguments.seeds)]
            hits = sum(energy <= target for _, energy in runs)
            seconds = float(np.median([s if e <= target else max(s, arguments.seconds) for s, e in runs]))
            gap = 100.0 * max(energy - target for _, energy in runs) / abs(target)
            reference = reference or seconds
            mark = "" if 2 * hits > len(runs) else ">"
            print(
                f"{name:>24} {label:>22} {mark + format(seconds, '.3f'):>9} {hits:>3}/{len(runs):<2} {gap:>12.4f}"
                f"  {mark + format(seconds / reference, '.1f'):>13}",
                flush=True,
            )


if __name__ == "__main__":
    main()

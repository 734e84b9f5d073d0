"""What ``solver="auto"`` and the heuristics of dwave-samplers reach on families of instances, in one call.

Run: ``python -m benchmarks.heuristics [--seconds 5] [--seeds 5] [--n-jobs 1] [--families torus] [--instances G22]``.
Each run stops at the best known value or at the limit on the clock. `gap` is in percent of the best known value (a
negative one improves on it), `cpu` and `wall` are seconds until the run stopped, all medians over seeds; ``>`` marks
those of which fewer than half got there. dwave's annealing has no limit of its own: it is called for 1,000 sweeps,
again and again with new seeds. Without the instances, a torus and a random graph are generated; their target is the
best of a longer run of ours. Kernels are compiled before any clock starts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

import bqp
from benchmarks.instances import instance_folder, load

FAMILIES = {
    "random": ["G1", "G9", "G22", "G43", "G55", "G60", "G70"],
    "torus": ["G11", "G32", "G48", "G57", "G77", "t2g20_5555", "t3g7_5555", "sg3dl141000"],
    "planar": ["G14", "G18", "G35", "G39", "G51", "G63"],
    "ising": ["ising2.5-100_5555", "ising2.5-300_5555", "ising3.0-200_6666"],
    "dense": ["bqp250-1", "bqp1000-1", "be250.1", "gka1d", "g05_100.0", "pm1s_100.0"],
    "qplib": ["QPLIB_3506", "QPLIB_3850", "QPLIB_5922"],
}
QUICK = ["G43", "G32", "G39", "t2g20_5555", "ising2.5-300_5555", "bqp1000-1"]
Method = Callable[[bqp.BQP, float, float, int], tuple[float, str]]


def generated_graph(n: int, degree: int, seed: int) -> bqp.BQP:
    """Max-cut of a random graph with weights of +1 and -1."""
    rng = np.random.default_rng(seed)
    i, j = rng.integers(0, n, (2, n * degree // 2))
    A = sp.coo_array((rng.choice([-1.0, 1.0], len(i)), (i, j)), shape=(n, n)).tocsr()
    A.setdiag(0)
    return bqp.BQP.from_maxcut(sp.csr_array(A + A.T))


def generated_torus(side: int, seed: int) -> bqp.BQP:
    """Max-cut of a square torus with weights of +1 and -1."""
    rng = np.random.default_rng(seed)
    node = np.arange(side * side).reshape(side, side)
    i, j = np.tile(node.ravel(), 2), np.concatenate([np.roll(node, 1, axis).ravel() for axis in (0, 1)])
    A = sp.csr_array((rng.choice([-1.0, 1.0], len(i)), (i, j)), shape=(side**2, side**2))
    return bqp.BQP.from_maxcut(A + A.T)


def ours(n_jobs: int) -> Method:
    def run(problem, target, seconds, seed):
        solution = bqp.solve(problem, target=target, time_limit=seconds, rng=seed, n_jobs=n_jobs)
        return solution.energy, solution.solver

    return run


def dwave_tabu(problem, target, seconds, seed) -> tuple[float, str]:
    from dwave.samplers import TabuSampler

    sample = TabuSampler().sample(problem.to_bqm(), timeout=int(1000 * seconds), seed=seed, energy_threshold=target)
    return float(sample.first.energy), "dwave tabu"


def dwave_annealing(problem, target, seconds, seed) -> tuple[float, str]:
    from dwave.samplers import SimulatedAnnealingSampler

    model, best, began, k = problem.to_bqm(), np.inf, time.perf_counter(), 0
    while k == 0 or (best > target and time.perf_counter() - began < seconds):
        sample = SimulatedAnnealingSampler().sample(model, num_reads=1, num_sweeps=1000, seed=1000 * seed + k)
        best, k = min(best, float(sample.first.energy)), k + 1
    return best, "dwave annealing"


def row(name: str, label: str, method: Method, problem: bqp.BQP, target: float, seconds: float, seeds: int) -> str:
    """Run the seeds of one method on one instance; a line of the table."""
    gaps, cpu, wall, chosen = [], [], [], label
    for seed in range(seeds):
        began, began_cpu = time.perf_counter(), time.process_time()
        energy, chosen = method(problem, target, seconds, seed)
        cpu.append(time.process_time() - began_cpu)
        wall.append(time.perf_counter() - began)
        gaps.append(100.0 * (energy - target) / max(1.0, abs(target)))
    hits = sum(gap <= 1e-9 for gap in gaps)
    mark = "" if 2 * hits >= seeds else ">"
    return (
        f"{name:>18} {problem.n:>6} {chosen:>34} {np.median(gaps):>8.4f} {max(gaps):>8.4f} {hits:>3}/{seeds:<2} "
        f"{mark + format(np.median(cpu), '.2f'):>8} {mark + format(np.median(wall), '.2f'):>8}"
    )


def problems_of(wanted: list[str], seconds: float) -> list[tuple[str, bqp.BQP, float]]:
    if instance_folder() is not None:
        return [(name, *load(name)) for name in wanted]
    made = {"graph 1000": generated_graph(1000, 6, 1), "torus 30 x 30": generated_torus(30, 1)}
    return [(name, p, bqp.solve(p, time_limit=4 * seconds, rng=99).energy) for name, p in made.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--n-jobs", type=int, default=1, help="threads of ours; the peers have one")
    parser.add_argument("--families", nargs="*", choices=FAMILIES, default=[])
    parser.add_argument("--instances", nargs="*", default=[])
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    wanted = [name for family in arguments.families for name in FAMILIES[family]] + arguments.instances
    methods: dict[str, Method] = {"auto": ours(arguments.n_jobs)}
    if not arguments.no_peers:
        try:
            import dwave.samplers  # noqa: F401

            methods.update({"dwave tabu": dwave_tabu, "dwave annealing": dwave_annealing})
        except ImportError:
            print("dwave-samplers is not installed (pip install 'bqp[bench]'): no peers")
    print(
        f"{'instance':>18} {'n':>6} {'solver':>34} {'gap %':>8} {'worst':>8} {'hits':>6} {'cpu s':>8} {'wall s':>8}",
        flush=True,
    )
    for name, problem, target in problems_of(wanted or QUICK, arguments.seconds):
        bqp.solve(problem, time_limit=0.3, rng=0)
        for label, method in methods.items():
            print(row(name, label, method, problem, target, arguments.seconds, arguments.seeds), flush=True)


if __name__ == "__main__":
    main()

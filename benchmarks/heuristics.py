"""What ``solver="auto"`` and the heuristics of dwave-samplers reach on families of instances, in one call.

Run: ``python -m benchmarks.heuristics [--seconds 5] [--seeds 5] [--n-jobs 1] [--families torus] [--instances G22]``.
Each run stops at the best known value or at the limit. `gap` is in percent of the best known value (a negative one
improves on it), `cpu` and `wall` are seconds until the run stopped, all medians over seeds; ``>`` marks those of which
fewer than half got there. ``--marks`` runs the instances that have a mark, each with its seconds (`mark`), and adds the
gap that is allowed; ``--until mark`` stops them there. ``--clock cpu`` counts the limit of ours in CPU seconds over
`n_jobs`, which is what a free machine would show: on a shared one the clock on the wall measures the others.
``--json FILE`` keeps a line a run and makes none twice. dwave's annealing has no limit of its own: it is called for
1,000 sweeps, again and again with new seeds. Without the instances, a torus and a random graph are generated; their
target is the best of a longer run of ours. Kernels are compiled before any clock starts.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import bqp
from benchmarks.instances import instance_folder, load, names
from benchmarks.rows import Rows

FAMILIES = {
    "random": ["G1", "G9", "G22", "G43", "G55", "G60", "G70"],
    "torus": ["G11", "G32", "G48", "G57", "G77", "t2g20_5555", "t3g7_5555", "sg3dl141000"],
    "planar": ["G14", "G18", "G35", "G39", "G51", "G63"],
    "ising": ["ising2.5-100_5555", "ising2.5-300_5555", "ising3.0-200_6666"],
    "dense": ["bqp250-1", "bqp1000-1", "be250.1", "gka1d", "g05_100.0", "pm1s_100.0"],
    "qplib": ["QPLIB_3506", "QPLIB_3850", "QPLIB_5922"],
}
QUICK = ["G43", "G32", "G39", "t2g20_5555", "ising2.5-300_5555", "bqp1000-1"]
REACHED = ["G1", "G2", "G4", "G6", "G7", "G9", "G22", "G43", "G44", "G46", "G48"]  # the best known value is asked for
DENSE = ["bqp", "gka", "be", "rb2500", "p3000", "p4000", "p5000", "p6000", "p7000"]
ISING = ["t2g", "t3g", "ising"]
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


@contextmanager
def cpu_clock(n_jobs: int) -> Iterator[None]:
    """Let time limits count the CPU seconds of this process over `n_jobs`: what a free machine would show."""
    clock = time.perf_counter
    time.perf_counter = lambda: time.process_time() / n_jobs
    try:
        yield
    finally:
        time.perf_counter = clock


def ours(n_jobs: int, on_cpu: bool = False) -> Method:
    def run(problem, target, seconds, seed):
        with cpu_clock(n_jobs) if on_cpu else nullcontext():
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


def mark(name: str) -> tuple[float, float]:
    """The mark of an instance: seconds on two threads, and the gap in percent that it allows."""
    if name == "G22":
        return 30.0, 0.0
    if name.startswith("G") and name[1:].isdigit() and name not in REACHED:
        return (10.0, 0.2) if int(name[1:]) <= 54 else (30.0, 0.2)
    return 10.0, 0.02 if name.startswith(("p5000", "p6000", "p7000")) else 0.0


def run_seeds(key: dict, method: Method, problem: bqp.BQP, target: float, seeds: int, rows: Rows) -> list[dict]:
    """The rows of all seeds of one method on one instance, run until a gap; those that are kept are not run again."""
    stop = target + 0.01 * key["until"] * abs(target)
    for seed in range(seeds):
        if rows.has({**key, "seed": seed}):
            continue
        began, began_cpu = time.perf_counter(), time.process_time()
        energy, chosen = method(problem, stop, key["seconds"], seed)
        rows.add(
            {
                **key,
                "seed": seed,
                "n": problem.n,
                "solver": chosen,
                "gap": 100.0 * (energy - target) / max(1.0, abs(target)),
                "cpu_s": round(time.process_time() - began_cpu, 3),
                "wall_s": round(time.perf_counter() - began, 3),
                "load": round(os.getloadavg()[0], 1),
            },
            packages=("numpy", "numba", "dwave-samplers"),
        )
    return [row for row in rows.where(**key) if row["seed"] < seeds]


def line(rows: list[dict], allowed: float | None) -> str:
    """A line of the table."""
    gaps, cpu, wall = ([row[column] for row in rows] for column in ("gap", "cpu_s", "wall_s"))
    hits = sum(gap <= row["until"] + 1e-9 for gap, row in zip(gaps, rows))
    sign = "" if 2 * hits >= len(rows) else ">"
    first = rows[0]
    text = (
        f"{first['instance']:>18} {first['n']:>6} {first['solver']:>34} {np.median(gaps):>8.4f} {max(gaps):>8.4f} "
        f"{hits:>3}/{len(rows):<2} {sign + format(np.median(cpu), '.2f'):>8} {sign + format(np.median(wall), '.2f'):>8}"
    )
    if allowed is None:
        return text
    return f"{text} {allowed:>8.3f} {'kept' if np.median(gaps) <= allowed + 1e-9 else 'MISSED':>7}"


def problems_of(wanted: list[str], seconds: float) -> Iterator[tuple[str, bqp.BQP, float]]:
    if instance_folder() is not None:
        yield from ((name, *load(name)) for name in dict.fromkeys(wanted))
        return
    made = {"graph 1000": generated_graph(1000, 6, 1), "torus 30 x 30": generated_torus(30, 1)}
    yield from ((name, p, bqp.solve(p, time_limit=4 * seconds, rng=99).energy) for name, p in made.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--n-jobs", type=int, default=1, help="threads of ours; the peers have one")
    parser.add_argument("--families", nargs="*", choices=FAMILIES, default=[])
    parser.add_argument("--instances", nargs="*", default=[])
    parser.add_argument("--marks", nargs="*", choices=["gset", "dense", "ising"], help="the instances that have a mark")
    parser.add_argument("--until", choices=["best", "mark"], default="best", help="the gap at which runs stop")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="what limits count")
    parser.add_argument("--json", type=Path, help="keep a line a run here; go on from those that are there")
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    wanted = [name for family in arguments.families for name in FAMILIES[family]] + arguments.instances
    if arguments.marks is not None and instance_folder() is not None:
        groups = {"gset": ["G"], "dense": DENSE, "ising": ISING}
        wanted += names(*(prefix for group in arguments.marks or groups for prefix in groups[group]))
    methods: dict[str, Method] = {"auto": ours(arguments.n_jobs, arguments.clock == "cpu")}
    if not arguments.no_peers:
        try:
            import dwave.samplers  # noqa: F401

            methods.update({"dwave tabu": dwave_tabu, "dwave annealing": dwave_annealing})
        except ImportError:
            print("dwave-samplers is not installed (pip install 'bqp[bench]'): no peers")
    head = f"{'instance':>18} {'n':>6} {'solver':>34} {'gap %':>8} {'worst':>8} {'hits':>6} {'cpu s':>8} {'wall s':>8}"
    print(head if arguments.marks is None else f"{head} {'allowed':>8}", flush=True)
    rows = Rows(arguments.json, ["instance", "method", "seconds", "n_jobs", "clock", "until", "seed"])
    for name, problem, target in problems_of(wanted or QUICK, arguments.seconds):
        bqp.solve(problem, time_limit=0.05, rng=0)
        seconds, allowed = (arguments.seconds, None) if arguments.marks is None else mark(name)
        for label, method in methods.items():
            mine = label == "auto"
            clock, n_jobs = (arguments.clock, arguments.n_jobs) if mine else ("wall", 1)
            key = {"instance": name, "method": label, "seconds": seconds, "n_jobs": n_jobs, "clock": clock}
            key["until"] = allowed or 0.0 if arguments.until == "mark" else 0.0
            print(line(run_seeds(key, method, problem, target, arguments.seeds, rows), allowed), flush=True)


if __name__ == "__main__":
    main()

"""The semidefinite bound: ours, SCS and Clarabel (through cvxpy) beside each other.

Run: ``python -m benchmarks.semidefinite_bounds [--sizes 50 100 200] [--seeds 3] [--large]``. One thread; medians of CPU
and wall time over seeds, compiled beforehand. Every bound is repaired and proven in the same way; "behind" is how far
it lies below the lowest value of the relaxation that ours reaches, over the sum of the dual vector. cvxpy solves the
dual (maximise sum(y)), for which it is quickest; its time to set the problem up is part of it, as for a user.
``--large`` adds n = 1,000 and 2,000 dense, bqp1000-1 and G22 (where the instances are) and 69,000 points with low rank
plus groups.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import bqp
from benchmarks.instances import instance_folder, load
from bqp.bounds.semidefinite import semidefinite_bound
from bqp.forms import Grouped, LowRank, Sum


def glass(n: int, seed: int) -> bqp.BQP:
    """Dense, couplings and linear terms uniform in -100..100."""
    rng = np.random.default_rng((n, seed))
    A = np.triu(rng.integers(-100, 101, (n, n)), 1)
    return bqp.BQP(A + A.T, rng.integers(-100, 101, n))


def code_bit(n: int, seed: int, n_bits: int = 32, n_classes: int = 10) -> bqp.BQP:
    """One bit of a code over n points: codes so far repel, classes attract (as in `bqp.codes`)."""
    rng = np.random.default_rng((n, seed))
    labels = rng.integers(0, n_classes, n)
    B = (2 * rng.integers(0, 2, (n_classes, n_bits)) - 1)[labels] * np.where(rng.random((n, n_bits)) < 0.1, -1, 1)
    M = -float(n_bits) * (2 * np.eye(n_classes) - 1)
    return bqp.BQP(Sum([LowRank(B.astype(np.int8)), Grouped(labels, M)]))


def timed(call) -> tuple[bqp.Bound, float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    found = call()
    return found, time.process_time() - cpu, time.perf_counter() - wall


def compare(label: str, make, seeds: int, methods: dict) -> None:
    reference = None
    for name, method in methods.items():
        rows = []
        for seed in range(seeds):
            problem = make(seed)
            best = timed(lambda p=problem: semidefinite_bound(p)) if name == "ours" else None
            found, cpu, wall = best or timed(lambda p=problem, m=method: m(p))
            ours = found if best else semidefinite_bound(problem)
            size = float(np.abs(ours.certificate["y"]).sum())
            rows.append((cpu, wall, (ours.certificate["relaxation"] - found.value) / size, found.value))
        cpu, wall, behind, value = (float(np.median(column)) for column in zip(*rows))
        reference = reference or cpu
        print(f"{label:>24} {name:>10} {value:>16.2f} {behind:>10.1e} {cpu:>9.3f} {wall:>9.3f} {cpu / reference:>9.1f}",
              flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[50, 100])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clarabel-up-to", type=int, default=50)
    parser.add_argument("--scs-up-to", type=int, default=200)
    parser.add_argument("--points", type=int, default=69_000)
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    for problem in (glass(20, 0), glass(250, 0), code_bit(1000, 0), bqp.BQP(glass(400, 0).Q.to_sparse())):
        semidefinite_bound(problem)  # compiled before any clock starts
    if arguments.sizes:
        semidefinite_bound(glass(10, 0), backend="cvxpy")
    print(
        f"{'problem':>24} {'solver':>10} {'proven bound':>16} {'behind':>10} {'cpu s':>9} {'wall s':>9} {'x ours':>9}"
    )
    for n in arguments.sizes:
        methods = {"ours": semidefinite_bound}
        if n <= arguments.scs_up_to:
            methods["SCS"] = lambda p: semidefinite_bound(p, backend="cvxpy", solver="SCS")
        if n <= arguments.clarabel_up_to:
            methods["Clarabel"] = lambda p: semidefinite_bound(p, backend="cvxpy", solver="CLARABEL")
        compare(f"dense n={n}", lambda seed, n=n: glass(n, seed), arguments.seeds, methods)
    if not arguments.large:
        return
    ours = {"ours": semidefinite_bound}
    for n in (1000, 2000):
        compare(f"dense n={n}", lambda seed, n=n: glass(n, seed), arguments.seeds, ours)
    if instance_folder() is not None:
        for name in ("bqp1000-1", "G22"):
            compare(name, lambda seed, name=name: load(name)[0], arguments.seeds, ours)
    compare(f"low rank n={arguments.points}", lambda seed: code_bit(arguments.points, seed), 1, ours)


if __name__ == "__main__":
    main()

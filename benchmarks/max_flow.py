"""Maximum flows: our own conversion and cut beside scipy's bare call, and the backends beside each other.

Run ``python -m benchmarks.max_flow`` (half a minute; ``--full`` adds 2,000 dense variables, networkx on 500; ortools is
there if it is installed). Submodular problems; every row is the median of `--seeds`, in CPU seconds from a `BQP` to its
assignment, energy and proof included, and over scipy's `maximum_flow` alone on a graph that is ready.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import scipy.sparse as sp

import bqp
from bqp.errors import BackendNotFound
from bqp.flow import check_backend
from bqp.solvers import GraphCut
from bqp.solvers.graph_cut import submodular_gauge


def dense(n: int, rng: np.random.Generator) -> bqp.BQP:
    """Every pair attracts, unary terms of the size of a row."""
    upper = -np.triu(rng.integers(1, 20, (n, n)), 1).astype(float)
    return bqp.BQP(upper + upper.T, rng.integers(-10 * n, 10 * n + 1, n))


def sparse(n: int, rng: np.random.Generator) -> bqp.BQP:
    """Five pairs a variable."""
    row, column = rng.integers(0, n, (2, 5 * n))
    keep = row != column
    half = sp.coo_array(
        (-rng.integers(1, 20, keep.sum()).astype(float), (row[keep], column[keep])), shape=(n, n)
    ).tocsr()
    return bqp.BQP(sp.csr_array(half + half.T), rng.integers(-100, 101, n))


def grid(side: int, rng: np.random.Generator) -> bqp.BQP:
    """Neighbours on a square grid."""
    index = np.arange(side * side).reshape(side, side)
    row = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    column = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    weight = -rng.integers(1, 20, len(row)).astype(float)
    half = sp.coo_array((weight, (row, column)), shape=(index.size, index.size)).tocsr()
    return bqp.BQP(sp.csr_array(half + half.T), rng.integers(-100, 101, index.size))


def ready_graph(problem: bqp.BQP) -> sp.csr_array:
    """What a user of scipy builds by hand."""
    n = problem.n
    pairs = problem.Q.Q if sp.issparse(problem.Q.Q) else sp.csr_array(problem.Q.Q)
    entry = pairs.tocoo()
    up, down = np.flatnonzero(problem.c < 0), np.flatnonzero(problem.c > 0)
    tail = np.concatenate([entry.row, np.full(len(up), n), down])
    head = np.concatenate([entry.col, up, np.full(len(down), n + 1)])
    capacity = np.concatenate([-4.0 * entry.data, -2.0 * problem.c[up], 2.0 * problem.c[down]])
    return sp.csr_array((capacity.astype(np.int32), (tail, head)), shape=(n + 2, n + 2))


def clocked(function, *arguments, **options) -> tuple[float, float, object]:
    cpu, wall = time.process_time(), time.perf_counter()
    value = function(*arguments, **options)
    return time.process_time() - cpu, time.perf_counter() - wall, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    cases = {"dense n=500": (dense, 500), "sparse n=5000": (sparse, 5000), "grid 256x256": (grid, 256)}
    backends = ["dinic", "scipy"]
    if arguments.full:
        cases["dense n=2000"] = (dense, 2000)
        backends.append("networkx")
    try:
        backends.append(check_backend("ortools"))
    except BackendNotFound:
        print("ortools is not installed: left out")
    print(f"{'problem':16}{'what':12}{'cpu s':>9}{'wall s':>9}{'/ bare':>8}  medians of {arguments.seeds} seeds")
    for name, (make, size) in cases.items():
        times: dict[str, list[tuple[float, float]]] = {}
        energies: dict[int, set[float]] = {}
        for seed in range(arguments.seeds):
            problem = make(size, np.random.default_rng(seed))
            graph, n = ready_graph(problem), problem.n
            assert not len(submodular_gauge(sp.csr_array(problem.Q.Q))[1])
            bare = clocked(sp.csgraph.maximum_flow, graph, n, n + 1, method="dinic")
            times.setdefault("scipy bare", []).append(bare[:2])
            for backend in backends:
                if backend == "networkx" and (seed or size != 500):
                    continue
                solver = GraphCut(backend=backend)
                if seed == 0:
                    solver.solve(problem)
                cpu, wall, solution = clocked(solver.solve, problem)
                assert solution.status is bqp.Status.OPTIMAL
                times.setdefault(backend, []).append((cpu, wall))
                energies.setdefault(seed, set()).add(solution.energy)
        assert all(len(found) == 1 for found in energies.values()), "the backends disagree"
        base = float(np.median([cpu for cpu, _ in times["scipy bare"]]))
        for what, measured in times.items():
            cpu, wall = np.median(measured, axis=0)
            print(f"{name:16}{what:12}{cpu:9.4f}{wall:9.4f}{cpu / base:8.2f}")


if __name__ == "__main__":
    main()

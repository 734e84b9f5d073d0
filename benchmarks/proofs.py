"""Proven optima: branch and bound beside general solvers (HiGHS, CP-SAT, SCIP) on instances of known families.

Run ``python -m benchmarks.proofs [FAMILY-OR-NAME ...] [--time-limit 120] [--jobs 2] [--peers highs cpsat scip]``.
Without names: a few of each family that other packages use to show what they can prove. ``--generated`` makes problems
of the same families instead (fresh numbers, five seeds), so that it runs anywhere. Each line: status, objective, bound
in the user's sense, gap in percent, nodes, CPU and wall seconds. Peers get the same time limit and as many threads; one
that is not installed is skipped, with a word. Compiled beforehand.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import bqp
from benchmarks.instances import instance_folder, load, names

DEFAULT = (
    "bqp100-1", "gka1d", "gka5d", "g05_60.0", "g05_80.0", "pm1s_80.0", "pm1d_80.0", "w01_100.0", "pw01_100.0",
    "be100.1", "be120.3.1", "bqp250-1", "be250.1",
)  # fmt: skip
PEERS = ("highs", "cpsat", "scip")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="names, or beginnings of names")
    parser.add_argument("--time-limit", type=float, default=120.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=())
    parser.add_argument("--generated", action="store_true")
    arguments = parser.parse_args()
    bqp.solve(generated("g05", 30, 0), solver="exact", rng=0)  # compiles
    print(f"{'problem':14s} {'n':>4s} {'solver':8s} {'status':12s} {'objective':>11s} {'bound':>13s} {'gap %':>7s} "
          f"{'nodes':>6s} {'CPU s':>8s} {'wall s':>7s}  best known")  # fmt: skip
    for label, problem, best in problems(arguments):
        run(label, problem, best, "ours", lambda p: ours(p, arguments), arguments)
        for peer in arguments.peers:
            run(label, problem, best, peer, lambda p, peer=peer: globals()[peer](p, arguments), arguments)


def problems(arguments):
    if arguments.generated or instance_folder() is None:
        for family, n in (("g05", 60), ("g05", 80), ("pm1d", 80), ("be", 100), ("be3", 120), ("bqp", 250)):
            for seed in range(5):
                yield f"{family}_{n}_{seed}", generated(family, n, seed), None
        return
    for name in names(*(arguments.names or DEFAULT)):
        yield name, *load(name)


def generated(family: str, n: int, seed: int) -> bqp.BQP:
    """A problem made as those of the Biq Mac library are: numbers uniform, density as the family says."""
    rng = np.random.default_rng((n, seed))
    density = {"g05": 0.5, "pm1d": 0.99, "be": 1.0, "be3": 0.3, "bqp": 0.1}[family]
    mask = np.triu(rng.random((n, n)) < density, 1)
    if family in ("g05", "pm1d"):
        W = mask * (1 if family == "g05" else rng.choice([-1, 1], (n, n)))
        return bqp.BQP.from_maxcut((W + W.T).astype(float))
    W = mask * rng.integers(-100 if family == "bqp" else -50, 101 if family == "bqp" else 51, (n, n))
    return bqp.BQP((W + W.T).astype(float), rng.integers(-100, 101, n).astype(float), domain="binary")


def run(label, problem, best, solver, call, arguments):
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        status, energy, bound, nodes = call(problem)
    except ImportError as error:
        print(f"{label:14s} {problem.n:4d} {solver:8s} not installed: {error}")
        return
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    sign = -1.0 if problem.sense == "max" else 1.0
    gap = 100.0 * (energy - bound) / max(1e-9, abs(energy))
    known = "" if best is None else f"{sign * best:.0f}"
    print(f"{label:14s} {problem.n:4d} {solver:8s} {status:12s} {sign * energy:11.0f} {sign * bound:13.2f} {gap:7.2f} "
          f"{nodes:6d} {cpu:8.2f} {wall:7.2f}  {known}", flush=True)  # fmt: skip


def ours(problem, arguments):
    found = bqp.solve(problem, solver="exact", time_limit=arguments.time_limit, n_jobs=arguments.jobs, rng=0)
    return found.status.value, found.energy, found.lower_bound, int(found.stats.get("nodes", 0))


def highs(problem, arguments):
    """The same linearisation in HiGHS, as ``backend="milp"`` hands it over; one thread."""
    found = bqp.solve(problem, solver="exact", backend="milp", time_limit=arguments.time_limit)
    return found.status.value, found.energy, found.lower_bound, int(found.stats.get("nodes", 0))


def _terms(problem):
    """Energy over 0/1: constant, linear part, and pairs (i, j, weight) with i < j."""
    spin = problem.to_spin()
    Q = spin.Q.to_dense()
    constant = spin.offset + float(np.trace(Q))
    np.fill_diagonal(Q, 0.0)
    linear = 2.0 * spin.c - 4.0 * Q.sum(axis=1)
    rows, columns = np.nonzero(np.triu(Q, 1))
    pairs = [(int(i), int(j), 8.0 * float(Q[i, j])) for i, j in zip(rows, columns)]
    return constant + float(Q.sum()) - float(spin.c.sum()), linear, pairs


def cpsat(problem, arguments):
    from ortools.sat.python import cp_model

    offset, linear, pairs = _terms(problem)
    model = cp_model.CpModel()
    x = [model.new_bool_var(f"x{i}") for i in range(problem.n)]
    terms = [int(round(value)) * variable for value, variable in zip(linear, x)]
    for i, j, weight in pairs:
        y = model.new_bool_var("")
        model.add_bool_or([x[i].negated(), x[j].negated(), y])
        model.add_implication(y, x[i])
        model.add_implication(y, x[j])
        terms.append(int(round(weight)) * y)
    model.minimize(sum(terms))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = arguments.time_limit
    solver.parameters.num_workers = arguments.jobs
    status = solver.solve(model)
    name = {cp_model.OPTIMAL: "optimal", cp_model.FEASIBLE: "time_limit"}.get(status, "nothing")
    found = solver.objective_value if name != "nothing" else np.inf
    return name, offset + found, offset + solver.best_objective_bound, int(solver.num_branches)


def scip(problem, arguments):
    from pyscipopt import Model, quicksum

    offset, linear, pairs = _terms(problem)
    model = Model()
    model.hideOutput()
    model.setParam("limits/time", arguments.time_limit)
    x = [model.addVar(vtype="B") for _ in range(problem.n)]
    value = model.addVar(lb=None, ub=None)
    model.addCons(quicksum(w * x[i] * x[j] for i, j, w in pairs) + quicksum(a * v for a, v in zip(linear, x)) <= value)
    model.setObjective(value, "minimize")
    model.optimize()
    status = "optimal" if model.getStatus() == "optimal" else "time_limit"
    return status, offset + model.getObjVal(), offset + model.getDualbound(), int(model.getNNodes())


if __name__ == "__main__":
    main()

"""Proven optima: branch and bound beside general solvers (HiGHS, CP-SAT, SCIP) on instances of known families.

Run ``python -m benchmarks.proofs [NAME-OR-BEGINNING ...] [--time-limit 60] [--jobs 2] [--peers highs cpsat scip]``.
Without names: one instance a kind, under a minute in all. ``--marks`` takes the groups of `GROUPS` with the time that
each is given there, the first ``--first`` instances of each. ``--generated`` makes problems of the same families
instead (fresh numbers, five seeds), so that it runs anywhere. With ``--json FILE`` rows are kept as they are made, and
those that the file has are not made again; at the end all are printed as a table, medians a group.

Each line: status, objective, bound in the user's sense, gap in percent, nodes, CPU and wall seconds. Peers get the same
time limit and as many threads; one that is not installed is skipped, with a word. Compiled beforehand.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import time
from pathlib import Path

import numpy as np

import bqp
from benchmarks.instances import instance_folder, load, names
from benchmarks.rows import Rows

DEFAULT = ("bqp100-1", "gka1d", "pm1s_80.0", "w01_100.0", "pw01_100.0", "g05_60.0", "be100.1", "t2g15_5555")
PEERS = ("highs", "cpsat", "scip")
PEER_PACKAGES = ("highspy", "ortools", "pyscipopt")
GROUPS = {  # beginnings of names, and seconds for each
    "n <= 100, 10 %": (("bqp50", "bqp100", "gka1a", "gka2a", "gka4a", "gka8a", "gka1d", "gka7c"), 120),
    "pm1s_80": (("pm1s_80",), 120),
    "pm1s_100": (("pm1s_100",), 120),
    "w01_100": (("w01_100",), 120),
    "pw01_100": (("pw01_100",), 120),
    "bqp250": (("bqp250",), 120),
    "g05_60": (("g05_60",), 600),
    "g05_80": (("g05_80",), 600),
    "pm1d_80": (("pm1d_80",), 600),
    "be100": (("be100",), 600),
    "be120.3": (("be120.3",), 600),
    "be120.8": (("be120.8",), 600),
    "be150": (("be150",), 600),
    "be250": (("be250",), 600),
    "w05, pw05": (("w05_100", "pw05_100"), 600),
    "g05_100": (("g05_100",), 600),
    "pm1d_100": (("pm1d_100",), 600),
    "w09, pw09": (("w09_100", "pw09_100"), 600),
    "be200": (("be200",), 600),
    "torus, plane": (("t2g",), 120),
    "torus, space": (("t3g",), 600),
    "chain": (("ising",), 120),
    "torus, unit": (("G11", "G12", "G32", "G33"), 600),
}


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help="names, or beginnings of names")
    parser.add_argument("--time-limit", type=float, help="seconds; default 60, or what the group is given")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=())
    parser.add_argument("--generated", action="store_true")
    parser.add_argument("--marks", action="store_true", help="the groups of the marks")
    parser.add_argument("--groups", nargs="*", choices=list(GROUPS), help="of these only, with --marks")
    parser.add_argument("--first", type=int, default=3, help="instances a group, with --marks; 0 for all")
    parser.add_argument(
        "--cpu", action="store_true", help="limits in CPU seconds of all threads (ours), for a busy machine"
    )
    parser.add_argument("--json", type=Path, help="keep rows here; those that it has are not made again")
    parser.add_argument("--table", action="store_true", help="only print what the file holds")
    arguments = parser.parse_args()
    rows = Rows(arguments.json, ["problem", "solver", "limit", "jobs"])
    if not arguments.table:
        bqp.solve(generated("g05", 30, 0), solver="exact", rng=0)  # compiles
        print(HEAD)
        make(rows, arguments)
    if arguments.json:
        print_table(rows)


def make(rows, arguments):
    solvers = {"ours": ours_by_cpu if arguments.cpu else ours, **{peer: globals()[peer] for peer in arguments.peers}}
    for group, label, seconds, read in problems(arguments):
        for solver, call in solvers.items():
            if rows.has({"problem": label, "solver": solver, "limit": seconds, "jobs": arguments.jobs}):
                continue
            row = run(group, label, solver, call, read, seconds, arguments.jobs)
            if row is not None:
                rows.add(row, packages=("numpy", "scipy", "numba", *PEER_PACKAGES))


def problems(arguments):
    """(group, label, seconds, function that gives problem and best known energy)"""
    limit = arguments.time_limit
    if arguments.generated or instance_folder() is None:
        for family, n in (("g05", 60), ("g05", 80), ("pm1d", 80), ("be", 100), ("be3", 120), ("bqp", 250)):
            for seed in range(5):
                yield (
                    f"{family}_{n}", f"{family}_{n}_{seed}", limit or 60.0,
                    lambda family=family, n=n, seed=seed: (generated(family, n, seed), None),
                )  # fmt: skip
        return
    if arguments.marks:
        for group in arguments.groups or GROUPS:
            beginnings, seconds = GROUPS[group]
            members = [name for beginning in beginnings for name in names(beginning)]
            for name in members[: arguments.first or None]:
                yield group, name, limit or float(seconds), lambda name=name: load(name)
        return
    for name in names(*(arguments.names or DEFAULT)):
        yield (
            next((g for g, (starts, _) in GROUPS.items() if name.startswith(starts)), ""),
            name,
            limit or 60.0,
            (lambda name=name: load(name)),
        )


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


HEAD = (
    f"{'problem':14s} {'n':>5s} {'solver':8s} {'status':12s} {'objective':>11s} {'bound':>13s} {'gap %':>7s} "
    f"{'nodes':>6s} {'CPU s':>8s} {'wall s':>7s}  best known"
)


def run(group, label, solver, call, read, seconds, jobs):
    problem, best = read()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        status, energy, bound, nodes = call(problem, seconds, jobs)
    except ImportError as error:
        print(f"{label:14s} {problem.n:5d} {solver:8s} not installed: {error}")
        return None
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    sign = -1.0 if problem.sense == "max" else 1.0
    gap = 100.0 * (energy - bound) / max(1e-9, abs(energy))
    known = "" if best is None else f"{sign * best:.0f}"
    print(f"{label:14s} {problem.n:5d} {solver:8s} {status:12s} {sign * energy:11.0f} {sign * bound:13.2f} {gap:7.2f} "
          f"{nodes:6d} {cpu:8.2f} {wall:7.2f}  {known}", flush=True)  # fmt: skip
    if best is not None and (bound > best + 1e-9 * abs(best) or (status == "optimal" and energy > best)):
        raise SystemExit(f"{label}: {solver} claims {energy} within {bound}, but {best} is known")
    return {
        "group": group, "problem": label, "n": problem.n, "solver": solver, "limit": seconds, "jobs": jobs,
        "status": status, "objective": sign * energy, "bound": sign * bound, "gap": gap, "nodes": nodes,
        "cpu": round(cpu, 2), "wall": round(wall, 2), "best": None if best is None else sign * best,
    }  # fmt: skip


def print_table(rows):
    """One line a group, limit and solver: how many were proven, medians of the time and the gap."""
    print(f"\n{'group':16s} {'solver':8s} {'limit s':>8s} {'proven':>8s} {'CPU s':>8s} {'wall s':>8s} {'nodes':>7s} "
          f"{'gap %':>7s} {'largest':>8s}")  # fmt: skip
    keys = sorted({(row["group"], row["solver"], row["limit"], row["jobs"]) for row in rows})
    for key in keys:
        mine = [row for row in rows if (row["group"], row["solver"], row["limit"], row["jobs"]) == key]
        proven = sum(row["status"] == "optimal" for row in mine)
        cpu, wall, nodes, gap = (
            statistics.median(row[name] for row in mine) for name in ("cpu", "wall", "nodes", "gap")
        )
        print(f"{key[0]:16s} {key[1]:8s} {key[2]:8.0f} {proven:3d} / {len(mine):2d} {cpu:8.2f} {wall:8.2f} "
              f"{nodes:7.0f} {gap:7.2f} {max(row['gap'] for row in mine):8.2f}")  # fmt: skip


def ours(problem, seconds, jobs):
    found = bqp.solve(problem, solver="exact", time_limit=seconds, n_jobs=jobs, rng=0)
    return found.status.value, found.energy, found.lower_bound, int(found.stats.get("nodes", 0))


def ours_by_cpu(problem, seconds, jobs):
    """The limit as a timer of the process, whose signal stops the search as Ctrl-C does."""
    signal.signal(signal.SIGPROF, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        found = bqp.solve(problem, solver="exact", n_jobs=jobs, rng=0)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
    return found.status.value, found.energy, found.lower_bound, int(found.stats.get("nodes", 0))


def highs(problem, seconds, jobs):
    """The same linearisation in HiGHS, as ``backend="milp"`` hands it over; one thread."""
    found = bqp.solve(problem, solver="exact", backend="milp", time_limit=seconds)
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


def cpsat(problem, seconds, jobs):
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
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = jobs
    status = solver.solve(model)
    name = {cp_model.OPTIMAL: "optimal", cp_model.FEASIBLE: "time_limit"}.get(status, "nothing")
    found = solver.objective_value if name != "nothing" else np.inf
    return name, offset + found, offset + solver.best_objective_bound, int(solver.num_branches)


def scip(problem, seconds, jobs):
    from pyscipopt import Model, quicksum

    offset, linear, pairs = _terms(problem)
    model = Model()
    model.hideOutput()
    model.setParam("limits/time", seconds)
    x = [model.addVar(vtype="B") for _ in range(problem.n)]
    value = model.addVar(lb=None, ub=None)
    model.addCons(quicksum(w * x[i] * x[j] for i, j, w in pairs) + quicksum(a * v for a, v in zip(linear, x)) <= value)
    model.setObjective(value, "minimize")
    model.optimize()
    status = "optimal" if model.getStatus() == "optimal" else "time_limit"
    return status, offset + model.getObjVal(), offset + model.getDualbound(), int(model.getNNodes())


if __name__ == "__main__":
    main()

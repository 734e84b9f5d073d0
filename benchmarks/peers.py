"""Solvers of others behind one call: what an annealer, a tabu search or a MIP solver makes of a `bqp.BQP`.

Each is ``call(problem, seconds, target, seed) -> Answer``: an assignment in the problem's own domain (or None), a lower
bound where the solver proves one, and its settings. `available` says which are installed and in what version. None of
them is told more than a user would tell it; building its model is part of its time. Annealers without a time limit are
called again and again with new seeds until the time is over, so they overrun by up to one call.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import bqp

__all__ = ["PEERS", "Answer", "available", "version"]

ADVICE = "pip install 'bqp[bench]'"


@dataclass(frozen=True)
class Answer:
    """What a solver says: ``x`` in the problem's domain or None, a bound on the energy, settings as text."""

    x: np.ndarray | None
    lower_bound: float = -np.inf
    settings: dict = field(default_factory=dict)


def _in_domain(problem: bqp.BQP, sample) -> np.ndarray:
    """An assignment of a dimod sample, variables 0..n-1."""
    x = np.array([sample[i] for i in range(problem.n)], dtype=np.int8)
    if problem.domain == "spin":
        return x if x.min(initial=1) < 0 or x.max(initial=-1) < 1 else np.where(x > 0, 1, -1).astype(np.int8)
    return ((x + 1) // 2 if x.min(initial=0) < 0 else x).astype(np.int8)


def _again(problem: bqp.BQP, seconds: float, target: float, once: Callable[[int], np.ndarray]) -> np.ndarray:
    """The best of calls with new seeds until the time is over or the target is met."""
    began, best, least, k = time.perf_counter(), None, np.inf, 0
    while best is None or (least > target and time.perf_counter() - began < seconds):
        x = once(k)
        energy = problem.energy(x)
        if energy < least:
            best, least = x, energy
        k += 1
    return best


def dwave_tabu(problem, seconds, target, seed):
    from dwave.samplers import TabuSampler

    timeout, model = int(1000 * seconds), problem.to_bqm().binary.copy()
    offset, model.offset = model.offset, 0.0  # the sampler compares its threshold with energies that lack it
    found = TabuSampler().sample(model, timeout=timeout, seed=seed, energy_threshold=target - offset)
    return Answer(_in_domain(problem, found.first.sample), settings={"timeout_ms": timeout})


def _dwave(sampler_name: str, **options):
    def call(problem, seconds, target, seed):
        from dwave import samplers

        sampler, model = getattr(samplers, sampler_name)(), problem.to_bqm()
        once = lambda k: _in_domain(problem, sampler.sample(model, seed=1000 * seed + k, **options).first.sample)  # noqa: E731
        return Answer(_again(problem, seconds, target, once), settings=options)

    return call


def openjij(problem, seconds, target, seed):
    import openjij as oj

    sampler, model = oj.SASampler(), problem.to_bqm().spin
    linear, pairs = dict(model.linear), dict(model.quadratic)
    options = {"num_reads": 1, "num_sweeps": 1000}

    def once(k):
        found = sampler.sample_ising(linear, pairs, seed=1000 * seed + k, **options)
        return _in_domain(problem, found.first.sample)

    return Answer(_again(problem, seconds, target, once), settings=options)


def simulated_bifurcation(problem, seconds, target, seed):
    import simulated_bifurcation as sb
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    binary = problem.to_binary()
    Q = torch.tensor(binary.Q.to_dense() + np.diag(binary.c), dtype=torch.float32)
    options = {"agents": 64, "max_steps": 2000, "mode": "discrete"}
    x = sb.minimize(Q, domain="binary", verbose=False, **options)[0].numpy().astype(np.int8)
    return Answer(
        (2 * x - 1).astype(np.int8) if problem.domain == "spin" else x, settings=options | {"dtype": "float32"}
    )


def highs(problem, seconds, target, seed):
    found = bqp.solve(problem, solver="exact", backend="milp", time_limit=seconds)
    return Answer(found.x, found.lower_bound, {"model": "pairs linearised"})


def _proofs(name: str):
    def call(problem, seconds, target, seed):
        from benchmarks import proofs

        if name == "cpsat":
            _, linear, products = proofs._terms(problem)
            weights = np.array([*linear, *(weight for _, _, weight in products)])
            if not np.array_equal(weights, np.round(weights)):
                return Answer(None, settings={"left out": "takes integers only"})
        _, energy, bound, _ = getattr(proofs, name)(problem, seconds, 1)
        proven = np.isfinite(energy) and bound > -1e19  # stopped before its first bound, a solver reports 0 or -1e20
        return Answer(None, bound if proven else -np.inf, {"threads": 1})

    return call


def mqlib(problem, seconds, target, seed):
    heuristic = os.environ.get("MQLIB_HEURISTIC", "PALUBECKIS2004bMST2")
    binary = problem.to_binary()
    Q = np.asarray(binary.Q.to_dense()) + np.diag(binary.c)
    i, j = np.nonzero(np.triu(Q))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "problem.txt"  # MQLib maximises; an entry i < j counts twice
        lines = [f"{a + 1} {b + 1} {-Q[a, b]!r}" for a, b in zip(i, j)]
        path.write_text("\n".join([f"{problem.n} {len(i)}", *lines]) + "\n")
        command = [os.environ["MQLIB"], "-fQ", str(path), "-h", heuristic, "-r", str(seconds), "-s", str(seed), "-ps"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    tokens = text.split("Solution:")[-1].split()
    x = np.array([int(token) for token in tokens if token in ("0", "1")][-problem.n :], dtype=np.int8)
    return Answer((2 * x - 1).astype(np.int8) if problem.domain == "spin" else x, settings={"heuristic": heuristic})


PEERS: dict[str, tuple[str, Callable]] = {  # name: (package on the index, call)
    "dwave tabu": ("dwave-samplers", dwave_tabu),
    "dwave annealing": ("dwave-samplers", _dwave("SimulatedAnnealingSampler", num_reads=1, num_sweeps=1000)),
    "dwave steepest descent": ("dwave-samplers", _dwave("SteepestDescentSampler", num_reads=20)),
    "openjij": ("openjij", openjij),
    "simulated bifurcation": ("simulated-bifurcation", simulated_bifurcation),
    "highs": ("highspy", highs),
    "cpsat": ("ortools", _proofs("cpsat")),
    "scip": ("pyscipopt", _proofs("scip")),
    "mqlib": ("", mqlib),
}
PROVERS = ("highs", "cpsat", "scip")


def version(name: str) -> str:
    """The version of a peer, "" where it is not there."""
    package = PEERS[name][0]
    if not package:
        return Path(os.environ["MQLIB"]).name if os.environ.get("MQLIB") else ""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def available() -> dict[str, str]:
    """Names and versions of the peers that are here; warns of those that are not, once."""
    found = {name: version(name) for name in PEERS}
    missing = sorted(name for name, text in found.items() if not text)
    if missing:
        warnings.warn(f"not installed, left out: {', '.join(missing)} ({ADVICE}; MQLIB names its binary)", stacklevel=2)
    return {name: text for name, text in found.items() if text}

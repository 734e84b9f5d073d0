"""Fresh processes: the kernel cache, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

COUNT_MISSES = """
import json, sys
import numpy as np
import bqp

rng = np.random.default_rng(0)
A = rng.integers(-9, 10, (40, 40))
bqp.solve(bqp.BQP(A + A.T), solver="tabu_search", max_moves=200, rng=0)
bqp.solve(bqp.BQP((A + A.T)[:12, :12]), solver="exact", rng=0)

from numba.core.dispatcher import Dispatcher
misses, hits = {}, 0
for name, module in list(sys.modules.items()):
    if name.startswith("bqp.kernels"):
        for kernel in vars(module).values():
            if isinstance(kernel, Dispatcher) and kernel.py_func.__module__ == name:
                hits += sum(kernel.stats.cache_hits.values())
                if kernel.stats.cache_misses:
                    misses[f"{name}.{kernel.py_func.__name__}"] = sum(kernel.stats.cache_misses.values())
sys.stdout.write(json.dumps([misses, hits]))
"""


def run(program, folder, **environment):
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder), **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path):
    misses, _ = run(COUNT_MISSES, tmp_path)
    assert len(misses) >= 4, f"a first process compiles what it runs, here only {misses}"
    misses, hits = run(COUNT_MISSES, tmp_path)
    assert not misses, f"compiled again in a second process: {misses}"
    assert hits >= 4


INTERRUPTED = """
import json, sys
import numpy as np
import bqp

rng = np.random.default_rng(0)
A = rng.integers(-99, 100, (300, 300))
problem = bqp.BQP(A + A.T, sense="max")
solver, n_jobs, callback = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "watched"
bqp.solve(problem, solver=solver, max_moves=500, rng=0, reductions=())  # compiles
sys.stdout.write("ready\\n")
sys.stdout.flush()
solution = bqp.solve(
    problem, solver=solver, max_moves=10**15, rng=0, n_jobs=n_jobs, reductions=(),
    callback=(lambda event: None) if callback else None,
    **({"stall": 10**12} if solver == "tabu_search" else {}),  # its first walk never ends
)
random = problem.energy(rng.choice([-1, 1], (200, 300))).min()
ones = problem.energy(np.ones(300))
sys.stdout.write(json.dumps({
    "status": solution.status.value, "true": problem.energy(solution.x) == solution.energy, "n_moves": solution.n_moves,
    "energy": solution.energy, "random": random, "ones": ones,
}) + "\\n")
"""


@pytest.mark.parametrize(
    ("solver", "n_jobs", "watched"),
    [
        ("tabu_search", 1, "alone"),
        ("tabu_search", 2, "alone"),
        ("tabu_search", 2, "watched"),
        ("coordinate_descent", 1, "alone"),
        ("coordinate_descent", 2, "alone"),
    ],
)
def test_ctrl_c_returns_the_incumbent(solver, n_jobs, watched):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, solver, str(n_jobs), watched],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        time.sleep(0.5)
        assert process.poll() is None, "it ended by itself"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    report = json.loads(out)
    assert report["status"] == "stopped" and report["true"]
    assert report["n_moves"] > 0
    assert report["energy"] < min(report["random"], report["ones"]), "the walk under way was lost"

"""Import time, the first solve ever (with compilation) and the first solve of a second process.

Run: ``python -m benchmarks.startup``. Each number is a fresh process; the compile cache is a temporary folder, so that
"first ever" means it. The peer of the import is numpy alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

_IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
_SOLVE = """
import time
began = time.perf_counter()
import numpy as np
import bqp
Q = np.random.default_rng(0).integers(-9, 10, (200, 200))
solution = bqp.solve(bqp.BQP.from_qubo(Q), solver={solver!r}, max_moves=20_000, rng=0)
print(time.perf_counter() - began)
"""


def _run(code: str, cache: str) -> float:
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    output = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(output.stdout.split()[-1])


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        for module in ("numpy", "bqp"):
            times = [_run(_IMPORT.format(module), cache) for _ in range(5)]
            print(f"import {module:6s} {statistics.median(times):6.2f} s (median of 5, warm)")
    for solver in ("auto", "coordinate_descent"):
        with tempfile.TemporaryDirectory() as cache:
            code = _SOLVE.format(solver=solver)
            first = _run(code, cache)
            second = statistics.median(_run(code, cache) for _ in range(3))
        print(
            f"solve(solver={solver!r}): first ever {first:.2f} s, in a second process {second:.2f} s (import included)"
        )
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "bqp.cli", "--help"], capture_output=True, check=True)
    print(f"bqp --help {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()

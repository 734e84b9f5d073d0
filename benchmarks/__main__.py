"""Run a short version of every benchmark: ``python -m benchmarks`` (about ten minutes on two cores)."""

from __future__ import annotations

import subprocess
import sys
import time

SCRIPTS = [
    ["benchmarks.startup"],
    ["benchmarks.micro.flips", "--repeats", "3"],
    ["benchmarks.solvers", "--seconds", "3", "--seeds", "3"],
    ["benchmarks.codes_fullscale"],
    ["benchmarks.micro.evaluation"],
    ["benchmarks.step2_map"],
]


def main() -> int:
    failed = []
    for script in SCRIPTS:
        print(f"\n== python -m {' '.join(script)}", flush=True)
        began = time.perf_counter()
        if subprocess.run([sys.executable, "-m", *script]).returncode != 0:
            failed.append(script[0])
        print(f"-- {time.perf_counter() - began:.0f} s", flush=True)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())

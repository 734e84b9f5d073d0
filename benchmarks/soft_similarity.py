"""What ``similarity="confusion"`` adds: MAP of methods that learn from labels, or from what their function confuses.

Run ``python -m benchmarks.soft_similarity`` (scene, a minute); the table of docs/hashers.md is that of
``--datasets scene tmc2007 corel5k cifar10-deep newsgroups fashion-mnist cifar10-gist --methods tsh hbmp --seeds 3``.

Splits of the shared files, tie-aware MAP of queries against the database, both hashed; function `KernelFunction()`,
the seed draws anchors, folds and codes. Medians over seeds of MAP, and of CPU and wall seconds of `fit`. Nothing is
chosen on queries.
"""

import argparse
import time

import numpy as np

from hashers import datasets, metrics
from hashers.functions import KernelFunction
from hashers.registry import parse_method


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=["scene"])
    parser.add_argument("--methods", nargs="+", default=["tsh"])
    parser.add_argument("--bits", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{'data':<14} {'method':<8} bits   given confusion  CPU and wall s of fit: given, confusion")
    for name in arguments.datasets:
        data = datasets.load(name)
        parts = [data.part(part) for part in ("train", "query", "database")]
        for method in arguments.methods:
            for n_bits in arguments.bits:
                given, soft = (
                    np.median(
                        [run(f"{method}-{kind}", n_bits, seed, *parts) for seed in range(arguments.seeds)], axis=0
                    )
                    for kind in ("given", "confusion")
                )
                seconds = f"{given[1]:.2f} {given[2]:.2f}, {soft[1]:.2f} {soft[2]:.2f}"
                print(f"{name:<14} {method:<8} {n_bits:>4} {given[0]:>7.4f} {soft[0]:>9.4f} {seconds:>37}", flush=True)


def run(method, n_bits, seed, train, query, database):
    """MAP, CPU seconds and wall seconds."""
    hasher = parse_method(method).make(n_bits, KernelFunction(), random_state=seed)
    wall, process = time.perf_counter(), time.process_time()
    hasher.fit(*train)
    wall, process = time.perf_counter() - wall, time.process_time() - process
    codes = [hasher.transform(X) for X, _ in (query, database)]
    return metrics.mean_average_precision(*codes, query[1], database[1]), process, wall


if __name__ == "__main__":
    main()

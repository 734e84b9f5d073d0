"""Binary matrix pursuit: published against default objective over five seeds, times, exponent and memory.

    python -m benchmarks.codes_matrix_pursuit

Equal footing: the distinct label sets, each once, self pairs masked (the published objective), the same q, as many bits
inferred as kept. "full" rows count every pair of training points.
"""

import time
import tracemalloc

import numpy as np

from bqp import codes, supervision
from hashers import datasets

SEEDS = range(5)


def label_sets():
    """(name, similarity over all training points, similarity over distinct label sets)."""
    y = np.arange(69_000) % 10
    yield "10 classes, n = 69,000", supervision.from_labels(y), supervision.from_labels(np.arange(10))
    for name in ("scene", "corel5k"):
        try:
            Y = datasets.load(name).part("train")[1]
        except FileNotFoundError:
            Y = (np.random.default_rng(0).random((2000, 12)) < 0.15).astype(int)
            name += " (synthetic)"
        Y = Y[Y.any(axis=1)]
        yield name, supervision.from_label_sets(Y), supervision.from_label_sets(np.unique(Y, axis=0))


def timed(S, q, **settings):
    began = time.process_time()
    result = codes.matrix_pursuit(S, q, certify=False, **settings)
    return result, time.process_time() - began


def compare(name, S, q, weighted, seeds):
    scale = S.total_weight * q * q
    theirs = [timed(S, q, weighted=weighted, mode="published", max_iter=q, rng=seed) for seed in seeds]
    ours = [timed(S, q, weighted=weighted, rng=seed) for seed in seeds]
    values = [[result.objective / scale for result, _ in runs] for runs in (theirs, ours)]
    seconds = [np.mean([s for _, s in runs]) for runs in (theirs, ours)]
    print(
        f"{name:28} q {q:3} {'weighted' if weighted else 'plain':8} published {np.mean(values[0]):.5f} "
        f"(best {min(values[0]):.5f}) default {np.mean(values[1]):.5f} (worst {max(values[1]):.5f}) "
        f"seconds {seconds[0]:.3f} / {seconds[1]:.3f}  {'ok' if max(values[1]) <= min(values[0]) + 1e-12 else 'WORSE'}"
    )


def main():
    codes.matrix_pursuit(supervision.from_label_sets(np.eye(30, dtype=int)), 2, init=np.ones((30, 2)))  # compiles
    for name, full, distinct in label_sets():
        for q in (16, 32, 64) if distinct.n <= 100 else (32,):
            for weighted in (True, False):
                seeds = SEEDS if distinct.n <= 100 else [0]
                compare(name, distinct, q, weighted, seeds)
                compare(name + " full", full, q, weighted, seeds)
    print("\npublished, weighted, 16 bits: distinct label sets, CPU seconds, peak MiB")
    rng = np.random.default_rng(1)
    sizes, seconds = (500, 1000, 2000), []
    for C in sizes:
        Y = np.unique((rng.random((4 * C, 40)) < 0.08).astype(int), axis=0)[1:]
        S = supervision.from_label_sets(rng.permutation(Y)[:C])
        tracemalloc.start()
        _, spent = timed(S, 16, mode="published", max_iter=16)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        seconds.append(spent)
        print(f"{C:6} {spent:8.2f} {peak:8.0f}  ({peak * 2**20 / C**2:.0f} bytes a pair)")
    print(f"exponent in C: {np.polyfit(np.log(sizes), np.log(seconds), 1)[0]:.2f}")


if __name__ == "__main__":
    main()

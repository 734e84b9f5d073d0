"""COSDISH and ADSH's V-step: default against published codes, seconds, exponent in n, memory.

Run: ``python -m benchmarks.codes_column_sampling``. One BLAS thread, CPU seconds. The yardstick is sum w (q s - b.b)^2
over n^2 q^2 on the full problem; "published" is the better of the authors' last and best codes.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
import tracemalloc

import numpy as np

from bqp import codes, supervision
from hashers import datasets

Q = 64


def timed(work, *arguments, **options):
    began = time.process_time()
    result = work(*arguments, **options)
    return result, time.process_time() - began


def row(S, q: int, n_seeds: int) -> str:
    """Default against published codes over some seeds."""
    columns = []
    for seed in range(n_seeds):
        ours, t1 = timed(codes.column_sampling, S, q, rng=seed, certify=False)
        theirs, t2 = timed(codes.column_sampling, S, q, rng=seed, certify=False, mode="published")
        columns.append((ours.objective, min(theirs.objective, theirs.stats["best_objective"]), t1, t2))
    a, b, t1, t2 = np.array(columns).T
    scale = S.n**2 * q**2
    return (
        f"q={q:3d} ours {a.mean() / scale:.5f} published {b.mean() / scale:.5f} worst ratio {np.max(a / b):.4f} "
        f"no higher {np.sum(a <= b)}/{n_seeds}  {t1.mean():.2f} s, {t2.mean():.2f} s"
    )


def equal_footing(n: int, n_seeds: int) -> None:
    y = np.random.default_rng(0).integers(0, 10, n)
    skewed = np.random.default_rng(1).choice(20, n, p=np.arange(1, 21) / 210)
    T = np.where(y[:500, None] == y[:500], 1, -1)
    sets = [
        ("10 classes", supervision.from_labels(y)), ("20, skewed", supervision.from_labels(skewed)),
        ("matrix", supervision.from_matrix(T)),
    ]  # fmt: skip
    for name in ("scene", "tmc2007", "corel5k"):
        try:
            sets.append((name, supervision.from_label_sets(datasets.load(name).y)))
        except FileNotFoundError as error:
            print(f"{name} is not here: {error}")
    print(f"ksh yardstick, means over {n_seeds} seeds")
    for name, S in sets:
        for q in (16, 32, 64):
            print(f"  {name:10s} n={S.n:6d} {row(S, q, n_seeds)}", flush=True)


def published_time() -> None:
    for n in (5_000, 20_000, 69_000):
        S = supervision.from_labels(np.random.default_rng(0).integers(0, 10, n))
        _, seconds = timed(codes.column_sampling, S, Q, mode="published")
        _, ours = timed(codes.column_sampling, S, Q)
        print(f"COSDISH 10 x 3, n={n}, q={Q}: published {seconds:.2f} s, default {ours:.2f} s")


def v_steps() -> None:
    sizes, times, peaks, m = (17_250, 34_500, 69_000), [], [], 2000
    for n in sizes:
        rng = np.random.default_rng(0)
        S = supervision.from_labels(rng.integers(0, 10, n))
        omega, V = rng.choice(n, m, replace=False), np.where(rng.random((n, Q)) < 0.5, 1, -1).astype(np.int8)
        U = np.tanh(rng.normal(size=(m, Q)))
        times.append(min(timed(codes.v_step, U, S, omega, V)[1] for _ in range(3)))
        tracemalloc.start()
        codes.v_step(U, S, omega, V)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        print(
            f"ADSH V-step n={n}, m={m}, q={Q}: {times[-1]:.3f} s, peak {peaks[-1] / 2**20:.0f} MiB, "
            f"{peaks[-1] / (n * Q):.1f} bytes a bit"
        )
    exponents = [np.polyfit(np.log(sizes), np.log(values), 1)[0] for values in (times, peaks)]
    print(f"  exponents in n: time {exponents[0]:.2f}, memory {exponents[1]:.2f}")


def memory() -> None:
    for n in (17_250, 69_000):
        S = supervision.from_labels(np.random.default_rng(0).integers(0, 10, n))
        tracemalloc.start()
        codes.column_sampling(S, Q, mode="published", n_rounds=1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"COSDISH published, n={n}: peak {peak / 2**20:.0f} MiB, {peak / (n * Q):.1f} bytes a bit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for mode in ("default", "published"):  # compile
        codes.column_sampling(supervision.from_labels([0, 1, 2, 1]), 3, mode=mode)
    codes.v_step(np.ones((1, 2)), supervision.from_labels([0, 1]), [0])
    published_time()
    v_steps()
    memory()
    equal_footing(options.n, options.seeds)


if __name__ == "__main__":
    main()

"""SDH, FSDH and HC-SDH: default against published codes, seconds a sweep, exponent in n, memory.

Run: ``python -m benchmarks.codes_discrete_cyclic``. One BLAS thread, CPU seconds. The features are 1,000 Gaussian
anchors on Gaussian blobs, ten classes; "features given" means that they are computed beforehand, and that the F-step
(a ridge of 1e-2) factors their Gram matrix once.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
import tracemalloc

import numpy as np
import scipy.linalg as la

from bqp import codes, supervision
from bqp.codes._rows import sweep_rows
from hashers import datasets

Q = 64


def blobs(n: int, n_anchors: int = 1000, seed: int = 0):
    """Labels and kernel features of ten overlapping classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 10
    centres = rng.normal(0.0, 1.0, (10, 32))
    X = centres[y] + rng.normal(0.0, 1.0, (n, 32))
    X /= np.linalg.norm(X, axis=1)[:, None]
    anchors = X[rng.choice(n, min(n, n_anchors), replace=False)]
    squared = 2.0 - 2.0 * X @ anchors.T
    return y, np.hstack([np.exp(-squared / (2 * 0.4**2)), np.ones((n, 1))])


class Ridge:
    """The F-step of SDH on fixed features."""

    def __init__(self, features):
        self.features = features
        gram = features.T @ features
        gram[np.diag_indices(len(gram))] += 1e-2
        self.factor = la.cho_factor(gram)

    def __call__(self, B, bits, sample_weight=None):
        return self.features @ la.cho_solve(self.factor, self.features.T @ B.astype(np.float64))


def timed(work, *arguments, **options):
    began = time.process_time()
    result = work(*arguments, **options)
    return result, time.process_time() - began


def row(S, refit, variant: str, q: int, n_seeds: int) -> str:
    """Default against published codes: objectives, the lower bound, the worst ratio and how often ours is no higher."""
    columns = []
    for seed in range(n_seeds):
        options = {"n_bits": q, "variant": variant, "refit": refit, "rng": seed, "certify": False}
        ours, t1 = timed(codes.discrete_cyclic, S, **options)
        theirs, t2 = timed(codes.discrete_cyclic, S, mode="published", **options)
        least = min(theirs.objective, theirs.stats["best_objective"])
        columns.append((ours.objective, least, t1, t2, ours.lower_bound))
    a, b, t1, t2, bound = np.array(columns).T
    return (
        f"{variant:5s} q={q:3d} ours {a.mean():11.5g} published {b.mean():11.5g} bound {bound.max():11.5g} "
        f"worst ratio {np.max(a / b):.4f} no higher {np.sum(a <= b)}/{n_seeds}  {t1.mean():.2f} s, {t2.mean():.2f} s"
    )


def equal_footing(n: int, n_seeds: int) -> None:
    y, features = blobs(n)
    S = supervision.from_labels(y)
    sets = [("blobs", S, Ridge(features)), ("blobs", S, None)]
    for name in ("scene", "tmc2007", "corel5k"):
        try:
            sets.append((name, supervision.from_label_sets(datasets.load(name).y), None))
        except FileNotFoundError as error:
            print(f"{name} is not here: {error}")
    print(f"own objective, means over {n_seeds} seeds")
    for name, S, refit in sets:
        for variant in ("sdh", "fsdh"):
            for q in (16, 32, 64):
                terms = "nu |B - F|^2" if refit else "labels only"
                print(f"  {name:8s} n={S.n:6d} {terms:12s} {row(S, refit, variant, q, n_seeds)}", flush=True)


def dcc(n: int, max_sweeps: int) -> tuple[float, int]:
    """Seconds and changes of one B-step from random codes, fields included."""
    rng = np.random.default_rng(1)
    W = rng.normal(0, 0.1, (Q, 10))
    y, F = rng.integers(0, 10, n), rng.normal(0, 1, (n, Q))
    start = np.where(rng.standard_normal((n, Q)) > 0, 1, -1).astype(np.int8)
    best = np.inf
    for _ in range(3):
        B = start.copy()
        changes, seconds = timed(sweep_rows, W @ W.T, np.ascontiguousarray(W.T), y, F, 1e-5, B, max_sweeps)
        best = min(best, seconds)
    return best, changes


def sweeps() -> None:
    sizes, times = (17_250, 34_500, 69_000), []
    print(f"DCC with a feature term, q = {Q}, one core: random codes, fields included")
    for n in sizes:
        one, _ = dcc(n, 1)
        ten, changes = dcc(n, 10)
        times.append(one)
        print(f"  n={n:6d}: one sweep {one:.3f} s, up to ten sweeps {ten:.3f} s ({changes} changes)")
    print(f"  exponent in n {np.polyfit(np.log(sizes), np.log(times), 1)[0]:.2f}")


def published_time() -> None:
    y, features = blobs(5000)
    S = supervision.from_labels(y)
    ridge, factor_time = timed(Ridge, features)
    result, seconds = timed(codes.discrete_cyclic, S, Q, refit=ridge, mode="published")
    print(f"published SDH n=5000 q=64, ridge on 1,001 features: {seconds:.2f} s, {result.stats['n_rounds']} rounds")
    print(f"  (the Gram matrix and its factor, once: {factor_time:.2f} s)")


def memory() -> None:
    sizes, peaks = (17_250, 34_500, 69_000), []
    for n in sizes:
        rng = np.random.default_rng(2)
        S = supervision.from_labels(rng.integers(0, 10, n))
        F = rng.normal(0, 1, (n, Q))
        tracemalloc.start()
        codes.discrete_cyclic(S, Q, refit=lambda B, bits, F=F: F, mode="published", max_iterations=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        print(f"peak memory n={n}: {peaks[-1] / 2**20:.0f} MiB beside F, {peaks[-1] / (n * Q):.1f} bytes a bit")
    print(f"  exponent in n {np.polyfit(np.log(sizes), np.log(peaks), 1)[0]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    codes.discrete_cyclic([0, 1, 2], 4, refit=lambda B, bits: B * 0.5)  # compile
    sweeps()
    published_time()
    memory()
    equal_footing(options.n, options.seeds)


if __name__ == "__main__":
    main()

"""FastHash's code step: published against default on one loss and length, times, growth with n, memory.

Run ``python -m benchmarks.codes_block_graph_cut`` (about eight minutes). Labels of Fashion-MNIST (10 balanced classes)
and the label sets of scene where the shared data are there, else synthetic ones. Both modes are measured by the loss
over all pairs of the full data; seconds are CPU seconds, one thread.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import numpy as np

from bqp import codes, supervision
from hashers import datasets


def supervision_of(name: str, n: int | None) -> tuple[str, supervision.Similarity]:
    """Labels of the training part, or synthetic ones: ten classes, or 90 label sets over 6 labels."""
    try:
        _, y = datasets.load(name).part("train")
    except Exception as error:  # the shared files are not everywhere
        print(f"{name}: synthetic labels instead ({type(error).__name__})")
        rng = np.random.default_rng(0)
        y = np.arange(n or 5000) % 10 if name != "scene" else (rng.random((n or 1200, 6)) < 0.25).astype(int)
    y = np.asarray(y)[:n]
    if y.ndim == 2:
        return f"{name}, {len(y)} label sets", supervision.from_label_sets(y)
    return f"{name}, {len(y)} labels", supervision.from_labels(y)


def equal_footing(name: str, n: int | None, n_bits: int, seeds: int) -> None:
    title, S = supervision_of(name, n)
    for loss in ("hinge", "ksh"):
        scale = S.total_weight * (n_bits**2 if loss == "ksh" else 1)
        rows: dict[str, list[tuple[float, ...]]] = {"published": [], "default": []}
        for seed in range(seeds):
            for mode, found in rows.items():
                began = time.process_time()
                result = codes.block_graph_cut(S, n_bits, loss=loss, mode=mode, rng=seed, certify=False)
                found.append((result.objective / scale, time.process_time() - began))
        worse = sum(ours[0] > theirs[0] for ours, theirs in zip(rows["default"], rows["published"]))
        text = "; ".join(
            f"{mode} {np.mean([v for v, _ in found]):.6f} (worst {max(v for v, _ in found):.6f}), "
            f"{np.mean([s for _, s in found]):.2f} s"
            for mode, found in rows.items()
        )
        print(f"{title}, {n_bits} bits, {loss}: {text}; default above published in {worse} of {seeds}", flush=True)


def with_functions(n_bits: int, seeds: int) -> None:
    """Training digits, every third pixel, one weighted least-squares function a bit: both modes alternate with it."""
    X, y = datasets.load("digits").part("train")
    X = np.hstack([(X - X.mean(axis=0))[:, ::3] / 16.0, np.ones((len(X), 1))])
    S = supervision.from_labels(y)

    def refit(B, bits, sample_weight=None):
        root = np.sqrt(np.ones(len(B)) if sample_weight is None else sample_weight)[:, None]
        return X @ np.linalg.lstsq(root * X, root * B[:, bits], rcond=None)[0]

    for loss in ("hinge", "ksh"):
        rows: dict[str, list[tuple[float, ...]]] = {"published": [], "default": []}
        for seed in range(seeds):
            for mode, found in rows.items():
                began = time.process_time()
                result = codes.block_graph_cut(
                    S, n_bits, loss=loss, mode=mode, refit=refit, rng=seed, certify=False
                )  # fmt: skip
                scale = S.total_weight * (n_bits**2 if loss == "ksh" else 1)
                found.append((result.objective / scale, time.process_time() - began))
        worse = sum(ours[0] > theirs[0] for ours, theirs in zip(rows["default"], rows["published"]))
        text = "; ".join(
            f"{mode} {np.mean([v for v, _ in found]):.6f}, {np.mean([s for _, s in found]):.2f} s"
            for mode, found in rows.items()
        )
        print(f"digits with functions, {n_bits} bits, {loss}: {text}; default above published in {worse} of {seeds}")


def mark(n_bits: int = 64, n: int = 5000) -> None:
    S = supervision.from_labels(np.arange(n) % 10)
    codes.block_graph_cut(supervision.from_labels([0, 0, 1]), 2, mode="published")  # kernels compiled
    began, wall = time.process_time(), time.perf_counter()
    result = codes.block_graph_cut(S, n_bits, mode="published", certify=False)
    seconds, wall = time.process_time() - began, time.perf_counter() - wall
    print(
        f"published, n = {n}, {n_bits} bits, {result.stats['n_pairs']:,} stored pairs: {seconds:.1f} CPU s, "
        f"{wall:.1f} s elapsed (mark: 30 s on one core)",
        flush=True,
    )


def growth(sizes: list[int], n_bits: int = 24) -> None:
    """Uncollapsed ksh on all pairs, with functions that blur the classes, so that little merges."""
    seconds = []
    for n in sizes:
        y = np.arange(n) % 10
        S = supervision.from_labels(y)
        X = np.eye(10)[y] + 0.35 * np.random.default_rng(0).standard_normal((n, 10))

        def refit(B, bits, sample_weight=None, X=X):
            return X @ np.linalg.lstsq(X, B[:, bits].astype(float), rcond=None)[0]

        began = time.process_time()
        result = codes.block_graph_cut(S, n_bits, refit=refit, certify=False, exact_up_to=500)
        seconds.append(time.process_time() - began)
        tracemalloc.start()
        codes.block_graph_cut(S, n_bits, refit=refit, certify=False, exact_up_to=500)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        last = result.bits[-1].stats
        print(
            f"all pairs, n = {n}, {n_bits} bits, with refit: {seconds[-1]:.2f} CPU s, peak {peak / 2**20:.0f} MiB, "
            f"{peak / n:.0f} bytes a point, last bit: {last['n_exact']} of {last['n_blocks']} blocks proven",
            flush=True,
        )
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    print(f"exponent in n: {slope:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="FastHash's code step, published and default.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 69_000])
    arguments = parser.parse_args()
    mark()
    for n_bits in arguments.bits:
        equal_footing("fashion-mnist", 2000, n_bits, arguments.seeds)
        equal_footing("scene", None, n_bits, arguments.seeds)
        with_functions(n_bits, arguments.seeds)
    growth(arguments.sizes)


if __name__ == "__main__":
    main()

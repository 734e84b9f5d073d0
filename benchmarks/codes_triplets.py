"""Codes from triplets: published against default on the same triplets, times, growth with n, memory.

Run ``python -m benchmarks.codes_triplets`` (about five minutes). Triplets are drawn from the labels of Fashion-MNIST or
the label sets of scene where the shared data are there, else from synthetic ones; seconds are CPU seconds.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import numpy as np

from benchmarks.codes_block_graph_cut import supervision_of
from bqp import codes, supervision


def equal_footing(name: str, n: int, n_bits: int, seeds: int, n_per_anchor: int) -> None:
    title, S = supervision_of(name, n)
    rows: dict[str, list[tuple[float, ...]]] = {"published": [], "default": []}
    for seed in range(seeds):
        T = supervision.sample_triplets(S, n_per_anchor, rng=seed)
        for mode, found in rows.items():
            began = time.process_time()
            result = codes.triplets(T, n_bits, mode=mode, rng=seed)
            share = S.ksh_objective(result.B) / (S.n * n_bits) ** 2
            found.append((result.objective / len(T), share, time.process_time() - began))
    worse = sum(ours[0] > theirs[0] for ours, theirs in zip(rows["default"], rows["published"]))
    text = "; ".join(
        f"{mode} loss a triplet {np.mean([v for v, _, _ in found]):.5f}, ksh {np.mean([v for _, v, _ in found]):.4f}, "
        f"{np.mean([v for _, _, v in found]):.2f} s"
        for mode, found in rows.items()
    )
    print(
        f"{title}, {n_per_anchor} a point, {n_bits} bits: {text}; default above published in {worse} of {seeds}",
        flush=True,
    )


def growth(sizes: list[int], n_bits: int = 8, n_per_anchor: int = 20) -> None:
    for mode in ("published", "default"):
        seconds = []
        for n in sizes:
            T = supervision.sample_triplets(supervision.from_labels(np.arange(n) % 10), n_per_anchor, rng=0)
            began = time.process_time()
            result = codes.triplets(T, n_bits, mode=mode)
            seconds.append(time.process_time() - began)
            tracemalloc.start()
            codes.triplets(T, 2, mode=mode, max_cycles=0)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            print(
                f"{mode}, n = {n}, {len(T):,} triplets, {n_bits} bits: {seconds[-1]:.2f} CPU s, "
                f"{result.stats['n_cycles']} cycles, peak {peak / 2**20:.0f} MiB, {peak / len(T):.0f} bytes a triplet",
                flush=True,
            )
        print(f"exponent in n: {np.polyfit(np.log(sizes), np.log(seconds), 1)[0]:.2f}")


def full_size(n: int = 5000, n_bits: int = 64) -> None:
    T = supervision.sample_triplets(supervision.from_labels(np.arange(n) % 10), 500, rng=0)
    began = time.process_time()
    result = codes.triplets(T, n_bits, mode="published")
    print(
        f"published, n = {n}, {len(T):,} triplets, {n_bits} bits: {time.process_time() - began:.1f} CPU s, "
        f"loss a triplet {result.objective / len(T):.5f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Codes from triplets, published and default.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 6000, 18_000])
    arguments = parser.parse_args()
    codes.triplets(supervision.from_triplets([[0, 1, 2]], 3), 2, mode="published")  # kernels compiled
    for n_bits in arguments.bits:
        equal_footing("fashion-mnist", 1000, n_bits, arguments.seeds, 100)
        equal_footing("scene", 1000, n_bits, arguments.seeds, 100)
    growth(arguments.sizes)
    full_size()


if __name__ == "__main__":
    main()

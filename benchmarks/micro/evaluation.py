"""Seconds to measure MAP, and everything: counting here, sorting in numpy, and faiss's search where it is installed.

Run ``python -m benchmarks.micro.evaluation``. Random codes (no two alike: the worst case for real-valued queries), ten
classes, 1,000 queries against 69,000 items; the numpy peer runs on `--peer-queries` of them and is scaled up. Then
label sets of 374 labels. Wall time is the smallest of three; CPU time counts all threads and suffers less from other
programs.
"""

import argparse
import time
from importlib.util import find_spec

import numpy as np

from hashers import metrics, packing


def best_of(function, repeats=3):
    """Smallest wall time of a few runs, in seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def timed(function, repeats=3):
    """Smallest wall time and smallest CPU time of a few runs, as text."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        function()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return f"{min(walls):.2f} s, CPU {min(cpus):.2f} s"


def everything(n_query, n_database, n_bits=64, n_labels=374):
    """Times of `metrics.evaluate` by Hamming distance, by margins, and with label sets."""
    rng = np.random.default_rng(0)
    y_query, y_database = (rng.integers(0, 10, n) for n in (n_query, n_database))
    margins = rng.normal(size=(n_query, n_bits))
    B_query, B_database = packing.signs(margins), packing.signs(rng.normal(size=(n_database, n_bits)))
    prototypes = packing.signs(rng.normal(size=(10, n_bits)))
    clustered = prototypes[y_database] * np.where(rng.random((n_database, n_bits)) < 0.02, -1, 1).astype(np.int8)
    sets = (rng.random((4000, n_labels)) < 3.5 / n_labels).astype(np.uint8)  # as many distinct ones as corel5k has
    Y_query, Y_database = (sets[rng.integers(0, len(sets), n)] for n in (n_query, n_database))
    few = B_query[:2], B_database[:9]
    for y in ((y_query, y_database), (Y_query, Y_database)):  # compiles
        metrics.evaluate(*few, y[0][:2], y[1][:9])
        metrics.evaluate(*few, y[0][:2], y[1][:9], query_margins=margins[:2])
    print(f"metrics.evaluate, {n_query} x {n_database} x {n_bits} bits, 2 threads; mark: under 1 s")
    for name, B, y, options in (
        ("Hamming distance, random codes", B_database, (y_query, y_database), {}),
        ("Hamming distance, codes of ten clusters", clustered, (y_query, y_database), {}),
        (f"Hamming distance, {n_labels} labels", clustered, (Y_query, Y_database), {}),
        ("margins, random codes", B_database, (y_query, y_database), {"query_margins": margins}),
        (f"margins, {len(np.unique(packing.pack(clustered), axis=0)):,} distinct codes", clustered,
         (y_query, y_database), {"query_margins": margins}),
    ):  # fmt: skip
        print(f"  {name}: {timed(lambda: metrics.evaluate(B_query, B, *y, n_jobs=2, **options))}", flush=True)  # noqa: B023


def sorted_map(B_query, B_database, y_query, y_database):
    """What most public codes do: all distances by a product, a stable sort of each row, textbook AP."""
    q = B_query.shape[1]
    database = B_database.astype(np.float32)
    ranks = np.arange(1, len(database) + 1)
    total = 0.0
    for b, label in zip(B_query.astype(np.float32), y_query):
        order = np.argsort((q - database @ b) / 2, kind="stable")
        hit = y_database[order] == label
        total += (np.cumsum(hit)[hit] / ranks[hit]).mean()
    return total / len(y_query)


def faiss_distances(packed_query, packed_database, k):
    """The nearest `k` of each query by faiss's flat binary index: distances without any measure."""
    import faiss

    index = faiss.IndexBinaryFlat(8 * packed_database.shape[1])
    index.add(packed_database)
    return lambda: index.search(packed_query, k)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--database", type=int, default=69_000)
    parser.add_argument("--peer-queries", type=int, default=50)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    y_query, y_database = (rng.integers(0, 10, n) for n in (arguments.queries, arguments.database))
    part = slice(0, arguments.peer_queries)
    print(f"{arguments.queries} queries, {arguments.database} items, seconds; mark to beat: 0.3 at 64 bits, two cores")
    for n_bits in (32, 64, 128):
        B_query, B_database = (packing.signs(rng.normal(size=(len(y), n_bits))) for y in (y_query, y_database))
        data = B_query, B_database, y_query, y_database
        metrics.mean_average_precision(B_query[:2], B_database[:9], y_query[:2], y_database[:9])
        metrics.mean_average_precision(B_query[:2], B_database[:9], y_query[:2], y_database[:9], ties="stable")
        one = best_of(lambda: metrics.mean_average_precision(*data, n_jobs=1))  # noqa: B023
        two = best_of(lambda: metrics.mean_average_precision(*data, n_jobs=2))  # noqa: B023
        stable = best_of(lambda: metrics.mean_average_precision(*data, ties="stable", n_jobs=2))  # noqa: B023
        few = B_query[part], B_database, y_query[part], y_database
        scale = len(y_query) / len(few[0])
        peer = scale * best_of(lambda: sorted_map(*few), repeats=1)  # noqa: B023
        agree = abs(sorted_map(*few) - metrics.mean_average_precision(*few, ties="stable"))
        line = f"{n_bits:4d} bits: expected ties {one:.3f} (1 thread) {two:.3f} (2), stable {stable:.3f} (2), "
        line += f"numpy sort {peer:.1f}: {peer / two:.0f} times ours; stable agrees to {agree:.0e}"
        if find_spec("faiss") is not None:
            run = faiss_distances(packing.pack(B_query), packing.pack(B_database), 100)
            line += f"; faiss top 100 {best_of(run):.3f}"
        print(line, flush=True)
    everything(arguments.queries, arguments.database)


if __name__ == "__main__":
    main()

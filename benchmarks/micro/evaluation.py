"""Seconds to measure MAP: counting distances here, sorting them in numpy, and faiss's search where it is installed.

Run ``python -m benchmarks.micro.evaluation``. Random codes, ten classes, 1,000 queries against 69,000 items; the numpy
peer runs on `--peer-queries` of them and is scaled up.
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


if __name__ == "__main__":
    main()

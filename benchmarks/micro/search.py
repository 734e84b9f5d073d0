"""Search in packed codes: ours against faiss's flat binary index, CPU seconds on one thread.

Run ``python -m benchmarks.micro.search``. Two kinds of codes of 64 bits: "uniform" random bits, and "clustered" ones
(2,000 centres, each bit flipped with probability 0.1), which tie and collide as learned codes do. Every answer is
compared: distances must be equal.
"""

import argparse
import time
from importlib.util import find_spec

import numpy as np

from hashers.index import BinaryIndex


def cpu_seconds(function, repeats=5):
    """Median CPU time of a few runs, in seconds."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        result = function()
        times.append(time.process_time() - started)
    return float(np.median(times)), result


def make_codes(kind, n, rng, n_bytes=8):
    """Packed codes of one kind."""
    if kind == "uniform":
        return rng.integers(0, 256, (n, n_bytes), dtype=np.uint8)
    centres = rng.integers(0, 2, (2000, 8 * n_bytes), dtype=np.uint8)
    bits = centres[rng.integers(0, len(centres), n)]
    bits ^= (rng.random(bits.shape, dtype=np.float32) < 0.1).view(np.uint8)
    return np.packbits(bits, axis=1, bitorder="little")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    faiss = None
    if find_spec("faiss") is not None:
        import faiss

        faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    print("codes of 64 bits; CPU seconds of all queries on one thread; ratio = faiss / ours")
    print(f"{'codes':10s} {'n':>9s} {'queries':>7s} {'task':22s} {'ours':>8s} {'faiss':>8s} {'ratio':>6s}")
    for kind in ("uniform", "clustered"):
        for n in (69_000, 1_000_000):
            n_query = arguments.queries if n < 100_000 else max(1, arguments.queries // 10)
            codes = make_codes(kind, n + n_query, rng)
            queries, codes = codes[:n_query], codes[n_query:]
            margins = rng.normal(size=(n_query, 64)) * (2.0 * np.unpackbits(queries, axis=1, bitorder="little") - 1)
            index = BinaryIndex(codes, n_bits=64, n_jobs=1)
            peer = None
            if faiss is not None:
                peer = faiss.IndexBinaryFlat(64)
                peer.add(codes)
            tasks = [
                (f"search k={k}", lambda k=k: index.search(queries, k), lambda k=k: peer.search(queries, k))  # noqa: B023
                for k in (10, 100)
            ]
            tasks.append(
                ("within 2", lambda: index.within(queries, 2), lambda: peer.range_search(queries, 3))  # noqa: B023
            )
            tasks.append(("asymmetric k=10", lambda: index.search(margins, 10, asymmetric=True), None))  # noqa: B023
            tasks.append(("asymmetric k=100", lambda: index.search(margins, 100, asymmetric=True), None))  # noqa: B023
            for name, run, run_peer in tasks:
                run()  # compile
                ours, result = cpu_seconds(run, arguments.repeats)
                line = f"{kind:10s} {n:9d} {n_query:7d} {name:22s} {ours:8.4f}"
                if run_peer is not None and peer is not None:
                    theirs, answer = cpu_seconds(run_peer, arguments.repeats)
                    line += f" {theirs:8.4f} {theirs / ours:6.2f}"
                    same = (
                        np.array_equal(answer[0], result.offsets)
                        if name.startswith("within")
                        else np.array_equal(answer[0], result.distances)
                    )
                    line += "" if same else "   DISTANCES DIFFER"
                print(line, flush=True)


if __name__ == "__main__":
    main()

"""Flips per second of the dense one-flip tabu move, beside the bandwidth of the memory it reads.

Run: ``python -m benchmarks.micro.flips [--repeats 5] [--sizes 1000 2500 7000]``. A move reads one row of n entries
and updates n deltas. "bytes/flip" is what it must read and write (row, deltas in and out, spins), "least ns" the time
that copying as many bytes takes at the bandwidth of copying an array as large as the matrix, measured in the same
run, and "limit M/s" the rate of a move that were nothing but that copy (deltas that stay in cache let a move pass
it). "read GB/s" is the rate of summing random rows of the same matrix (same bytes, nothing else to do), "of
bandwidth" the rows that tabu search moves over that. A plain numpy move (update all deltas, take the least free one)
is the peer. "wide" is the same walk with int32 deltas. "two threads" is the rate of each of two walks that run at
once and share the matrix. "asked" is the mark. Medians over repeats, in CPU seconds of the
thread that works.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import bqp
from bqp.kernels._jit import jit_kernel
from bqp.solvers.walks import DenseStorage


@jit_kernel(fastmath={"reassoc"})
def _read_rows(rows, picks):
    total = np.int64(0)
    for p in range(picks.shape[0]):
        row = rows[picks[p]]
        for j in range(row.shape[0]):
            total += row[j]
    return total


def _numpy_moves(Q: np.ndarray, x: np.ndarray, delta: np.ndarray, n_moves: int, tenure: int) -> None:
    stamp = np.zeros(len(x), np.int64)
    for move in range(n_moves):
        i = int(np.argmin(np.where(stamp <= move, delta, np.inf)))
        x[i] = -x[i]
        kept = -delta[i]
        delta -= (8.0 * x[i]) * x * Q[i]
        delta[i] = kept
        stamp[i] = move + tenure


MARKS = {(1000, 0.1): 2.2, (1000, 1.0): 2.2, (2500, 0.1): 2.5, (7000, 0.1): 0.7, (7000, 1.0): 0.7}  # M flips/s


def _copy_rate(n_bytes: int, repeats: int) -> float:
    """Bytes read and written a second when an array of so many bytes is copied."""
    source = np.ones(n_bytes, np.uint8)
    target = np.empty_like(source)
    turns = max(1, 50_000_000 // n_bytes)

    def copies():
        for _ in range(turns):
            np.copyto(target, source)

    copies()
    return 2.0 * n_bytes * turns / _median(copies, repeats)


def _median(function, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        function()
        times.append(time.thread_time() - began)
    return float(np.median(times))


def measure(n: int, density: float, repeats: int, seconds: float = 0.2) -> dict[str, float | int | str]:
    """One row of the table for random integer coefficients in [-100, 100]."""
    rng = np.random.default_rng(n)
    Q = np.triu(rng.integers(-100, 101, (n, n)) * (rng.random((n, n)) < density)).astype(np.float64)
    problem = bqp.BQP(Q + Q.T, domain="binary").to_spin()
    storage = DenseStorage(problem, problem.Q)
    walk = storage.start(rng.choice([-1, 1], n))
    walk.begin_tabu(1)
    settings = (n // 100 + 10, 10, 2**40)
    walk.tabu(1000, *settings)  # compiled and warm
    began = time.thread_time()
    walk.tabu(2000, *settings)
    n_moves = max(2000, int(2000 * seconds / (time.thread_time() - began)))
    per_move = _median(lambda: walk.tabu(n_moves, *settings), repeats) / n_moves
    with ThreadPoolExecutor(2) as pool:
        walks = [storage.start(rng.choice([-1, 1], n)) for _ in range(2)]
        for other in walks:
            other.begin_tabu(2)
        jobs = [pool.submit(_median, lambda other=other: other.tabu(n_moves, *settings), repeats) for other in walks]
        per_move_of_two = float(np.mean([job.result() for job in jobs])) / n_moves
    limit, storage.narrow_limit = storage.narrow_limit, 0
    walk.tabu(1000, *settings)
    per_move_wide = _median(lambda: walk.tabu(n_moves, *settings), repeats) / n_moves
    storage.narrow_limit = limit
    picks = rng.integers(0, n, n_moves)
    _read_rows(storage.rows, picks[:10])
    per_row = _median(lambda: _read_rows(storage.rows, picks), repeats) / n_moves
    x, delta = walk.x[:n].astype(np.float64), problem.flip_deltas(walk.x[:n])
    spin_rows = problem.Q.to_dense()
    per_numpy = _median(lambda: _numpy_moves(spin_rows, x, delta, 300, 20), repeats) / 300
    row_bytes = storage.rows[0].nbytes
    narrow = np.abs(walk.delta[:n]).max() <= storage.narrow_limit
    moved = row_bytes + len(walk.x) * (1 + 2 * (2 if narrow else walk.delta.itemsize))
    copied = _copy_rate(storage.rows.nbytes, repeats)
    return {
        "n": n,
        "density": density,
        "row": str(storage.row_dtype),
        "matrix MiB": round(storage.rows.nbytes / 2**20, 1),
        "M flips/s": round(1e-6 / per_move, 3),
        "two threads": round(1e-6 / per_move_of_two, 3),
        "wide": round(1e-6 / per_move_wide, 3),
        "rows GB/s": round(1e-9 * row_bytes / per_move, 2),
        "read GB/s": round(1e-9 * row_bytes / per_row, 2),
        "of bandwidth": round(per_row / per_move, 3),
        "bytes/flip": moved,
        "copy GB/s": round(1e-9 * copied, 2),
        "least ns": round(1e9 * moved / copied),
        "limit M/s": round(1e-6 * copied / moved, 2),
        "asked": MARKS.get((n, density), ""),
        "x numpy": round(per_numpy / per_move, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2500, 7000])
    arguments = parser.parse_args()
    for k, (n, density) in enumerate((n, d) for n in arguments.sizes for d in (0.1, 1.0)):
        row = measure(n, density, arguments.repeats)
        if k == 0:
            print("  ".join(f"{name:>12}" for name in row))
        print("  ".join(f"{value!s:>12}" for value in row.values()), flush=True)


if __name__ == "__main__":
    main()

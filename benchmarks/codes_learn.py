"""The recommended entry `codes.learn`: gaps and times, and every learner's published mode beside the default one.

    python -m benchmarks.codes_learn            marks and table (three minutes)
    python -m benchmarks.codes_learn --marks    marks alone

1. Ten balanced classes, n = 69,000: seconds in total (warm) and certified gap of `ksh` codes.
2. Multi-label sets of ../shared/data, all points: seconds (codes, total) and gap for 16, 32, 64 bits. What has no file
   is left out.
3. Published and default mode of each learner, five seeds, same similarity, same q: its own objective, over the
   published mean; then the ksh yardstick of published codes over that of `learn`. "worst" divides our worst seed by
   their best.

Seconds are those of the wall and, in brackets, of the process, which do not grow when the machine is busy.
"""

import argparse
import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from bqp import codes, supervision
from hashers import datasets

GAPS = {16: 1.3, 32: 0.4, 64: 0.1, 128: 0.05}  # percent
SECONDS, SECONDS_SETS = 2.0, 60.0
SEEDS = range(5)


def timed(call):
    """(result, wall seconds, process seconds)."""
    wall, process = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - process


def label_sets():
    """(name, label sets of all points)."""
    for name in ("scene", "tmc2007", "corel5k"):
        try:
            data = datasets.load(name)
        except FileNotFoundError:
            continue
        yield name, np.vstack([np.asarray(data.part(part)[1]) for part in ("query", "database")])


def marks() -> None:
    warm = supervision.from_label_sets(np.eye(30, dtype=int))
    codes.learn(supervision.from_labels(np.arange(100) % 10), 4)
    codes.learn(warm, 4, n_kicks=2)
    print("1. ten balanced classes, n = 69,000")
    S = supervision.from_labels(np.arange(69_000) % 10)
    for q, mark in GAPS.items():
        runs = [timed(lambda q=q, seed=seed: codes.learn(S, q, rng=seed)) for seed in SEEDS]
        gap = max(100 * result.relative_gap for result, _, _ in runs)
        wall, process = max(wall for _, wall, _ in runs), max(process for _, _, process in runs)
        good = gap <= mark and wall <= SECONDS
        print(
            f"  q {q:3}  gap {gap:.3f} % (mark {mark} %)  {wall:.2f} s ({process:.2f}), mark {SECONDS} s  "
            f"{'ok' if good else 'MISSED'}"
        )
    print("2. label sets, all points")
    for name, Y in label_sets():
        S = supervision.from_label_sets(Y)
        for q in (16, 32, 64):
            result, wall, process = timed(lambda S=S, q=q: codes.learn(S, q))
            print(
                f"  {name:8} n {S.n:6,}  merged {result.stats['n_points']:5,}  q {q:3}  "
                f"objective/n^2q^2 {result.objective / S.n**2 / q**2:.5f}  gap {100 * result.relative_gap:5.2f} %  "
                f"codes {result.stats['codes_time']:5.1f} s, total {wall:5.1f} s ({process:.1f}), mark {SECONDS_SETS} s"
                f"  {'ok' if wall <= SECONDS_SETS else 'MISSED'}"
            )


def learners(S, labels, q):
    """(name, call of mode and seed)."""
    T = supervision.sample_triplets(S, 20, rng=0)
    yield "bitwise ksh", lambda mode, seed: codes.bitwise(S, q, mode=mode, rng=seed, certify=False)
    yield (
        "bitwise hinge",
        lambda mode, seed: codes.bitwise(S, q, loss="hinge", mode=mode, rng=seed, certify=False, **cyclic(mode)),
    )
    yield "block_graph_cut", lambda mode, seed: codes.block_graph_cut(S, q, loss="ksh", mode=mode, rng=seed)
    yield "column_sampling", lambda mode, seed: codes.column_sampling(S, q, mode=mode, rng=seed, certify=False)
    yield (
        "matrix_pursuit",
        lambda mode, seed: codes.matrix_pursuit(S, q, weighted=False, mode=mode, rng=seed, certify=False),
    )
    yield "discrete_cyclic", lambda mode, seed: codes.discrete_cyclic(S, q, mode=mode, rng=seed, certify=False)
    yield (
        "FSDH",
        lambda mode, seed: codes.discrete_cyclic(S, q, variant="fsdh", mode=mode, rng=seed, certify=False),
    )
    yield "triplets", lambda mode, seed: codes.triplets(T, q, mode=mode, rng=seed, similarity=S)


def cyclic(mode):
    return {} if mode == "published" else {"order": "cyclic"}


def table() -> None:
    print("3. published against default (own objective), and against learn (ksh)")
    rng = np.random.default_rng(0)
    problems = [("10 classes", np.arange(600) % 10), ("12 unbalanced", rng.geometric(0.25, 600).clip(max=12))]
    problems += [(name, Y[rng.permutation(len(Y))[:600]]) for name, Y in label_sets() if name != "corel5k"]
    for name, labels in problems:
        S = (supervision.from_labels if labels.ndim == 1 else supervision.from_label_sets)(labels)
        for q in (16, 32):
            learned = [timed(lambda S=S, q=q, seed=seed: codes.learn(S, q, rng=seed, certify=False)) for seed in SEEDS]
            ksh = [result.ksh_objective for result, _, _ in learned]
            print(f"  {name}, q = {q}: learn {np.mean([t for _, _, t in learned]):.2f} s")
            for method, call in learners(S, labels, q):
                theirs = [timed(lambda call=call, seed=seed: call("published", seed)) for seed in SEEDS]
                ours = [timed(lambda call=call, seed=seed: call("default", seed)) for seed in SEEDS]
                values = [np.array([result.objective for result, _, _ in runs]) for runs in (theirs, ours)]
                scale = max(abs(values[0].mean()), 1e-300)
                published_ksh = np.array([result.ksh_objective for result, _, _ in theirs])
                worst = values[1].max() / max(values[0].min(), 1e-300)
                good = values[1].mean() <= values[0].mean() * (1 + 1e-9) and max(ksh) <= published_ksh.min()
                ratio, spread = values[1].mean() / scale, values[0].std() / scale
                print(
                    f"    {method:16} published 1 ({spread:.4f})  default {ratio:.4f}  worst {worst:.4f}  "
                    f"ksh: published/learn {published_ksh.mean() / np.mean(ksh):.4f}  "
                    f"seconds {np.mean([t for _, _, t in theirs]):.2f} / {np.mean([t for _, _, t in ours]):.2f}  "
                    f"{'ok' if good else 'WORSE'}",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--marks", action="store_true", help="marks alone")
    parser.add_argument("--table", action="store_true", help="the table alone")
    options = parser.parse_args()
    if not options.table:
        marks()
    if not options.marks:
        table()


if __name__ == "__main__":
    main()

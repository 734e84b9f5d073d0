"""MAP of real-valued queries against binary codes (asymmetric search) beside Hamming distance: the gain in points.

Run ``python -m benchmarks.asymmetric`` (about ten minutes). Split of the shared files; database hashed, training rows
only to fit; relevant = same class, or a label in common; expected ties; `TSH` with `KernelFunction`, several seeds.
"""

import argparse
import time

import numpy as np

from hashers import TSH, KernelFunction, datasets, metrics, packing

DATASETS = ["fashion-mnist", "cifar10-deep", "newsgroups", "tmc2007"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=DATASETS)
    parser.add_argument("--bits", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    print("| data | bits | MAP, Hamming | MAP, margins | gain, points | of each seed | CPU s, both | distinct codes |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.datasets:
        data = datasets.load(name)
        (X_query, y_query), (X_database, y_database), (X, y) = map(data.part, ("query", "database", "train"))
        for n_bits in arguments.bits:
            scores, seconds, distinct = [], [], []
            for seed in range(arguments.seeds):
                hasher = TSH(n_bits=n_bits, function=KernelFunction(), random_state=seed).fit(X, y)
                margins, B_database = hasher.decision_function(X_query), hasher.transform(X_database)
                sides, clock, pair = (B_database, y_query, y_database), [time.process_time()], []
                for query in ({"query_margins": None}, {"query_margins": margins}):
                    score = metrics.mean_average_precision(
                        packing.signs(margins), *sides, **query, n_jobs=arguments.jobs
                    )
                    pair.append(score)
                    clock.append(time.process_time())
                scores.append(pair)
                seconds.append(np.diff(clock))
                distinct.append(len(np.unique(packing.pack(B_database), axis=0)))
            plain, real = np.mean(scores, axis=0)
            gains = 100 * np.diff(scores, axis=1)[:, 0]
            each = " ".join(f"{gain:+.2f}" for gain in gains)
            spent = " / ".join(f"{s:.2f}" for s in np.median(seconds, axis=0))
            print(
                f"| {name} | {n_bits} | {plain:.4f} | {real:.4f} | {gains.mean():+.2f} | {each} | {spent} | "
                f"{int(np.median(distinct)):,} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

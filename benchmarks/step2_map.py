"""MAP of TSH with kernel functions on Fashion-MNIST: 64 bits, hashed queries against the hashed database.

Run ``python -m benchmarks.step2_map`` (about three minutes). Split of the shared file: 1,000 queries, 69,000 database
rows, 5,000 training rows or all 69,000; relevant = same class; expected ties; one line a seed.
"""

import argparse
import time

import numpy as np

from hashers import TSH, KernelFunction, datasets, metrics

MARKS = {"train": 0.755, "database": 0.78}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--anchors", type=int, default=1000)
    parser.add_argument("--parts", nargs="+", default=list(MARKS), choices=list(MARKS))
    arguments = parser.parse_args()
    data = datasets.load(arguments.dataset)
    X_query, y_query = data.part("query")
    X_database, y_database = data.part("database")
    print(data.description)
    for part in arguments.parts:
        X, y = data.part(part)
        scores = []
        for seed in range(arguments.seeds):
            clock = [time.perf_counter()]
            function = KernelFunction(n_anchors=arguments.anchors)
            hasher = TSH(n_bits=arguments.bits, function=function, random_state=seed, n_jobs=2).fit(X, y)
            clock.append(time.perf_counter())
            B_query, B_database = hasher.transform(X_query), hasher.transform(X_database)
            clock.append(time.perf_counter())
            scores.append(metrics.mean_average_precision(B_query, B_database, y_query, y_database, n_jobs=2))
            clock.append(time.perf_counter())
            fit, encode, evaluate = np.diff(clock)
            n_distinct_bits = len(np.unique(hasher.codes_ * hasher.codes_[:1], axis=1).T)
            print(
                f"train on {len(y)}, seed {seed}: MAP {scores[-1]:.4f}, sigma {hasher.function_.sigma_:.3f}, "
                f"{n_distinct_bits} distinct bits; seconds: codes {hasher.result_.time:.2f}, fit {fit:.1f}, "
                f"encode {encode:.1f}, evaluate {evaluate:.2f}",
                flush=True,
            )
        mark = f" (mark: {MARKS[part]})" if (arguments.dataset, arguments.bits) == ("fashion-mnist", 64) else ""
        print(f"train on {len(y)}: MAP {np.mean(scores):.4f} +- {np.std(scores):.4f} over {len(scores)} seeds{mark}")


if __name__ == "__main__":
    main()

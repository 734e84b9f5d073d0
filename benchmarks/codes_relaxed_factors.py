"""CNNH's codes against near-optimal ones: ``python -m benchmarks.codes_relaxed_factors``.

Balanced classes; ksh objective of `codes.relaxed_factors` over that of `codes.learn`, and over the proven bound;
medians over seeds, CPU seconds.
"""

import argparse
import time

import numpy as np

from bqp import codes, supervision


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--bits", type=int, nargs="+", default=[12, 32, 64])
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    codes.relaxed_factors(supervision.from_labels([0, 1]), 2)  # compile
    print("| classes | bits | above codes.learn | above the bound | sweeps | CPU s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for n_classes in arguments.classes:
        S = supervision.from_labels(np.arange(arguments.points) % n_classes)
        for q in arguments.bits:
            best = codes.learn(S, q)
            rows = []
            for seed in range(arguments.seeds):
                start = time.process_time()
                result = codes.relaxed_factors(S, q, rng=seed, certify=False)
                spent = time.process_time() - start
                ratios = [result.objective / value - 1 for value in (best.objective, best.ksh_lower_bound)]
                rows.append([*(100 * ratio for ratio in ratios), result.stats["n_sweeps"], spent])
            above, above_bound, sweeps, cpu = np.median(rows, axis=0)
            print(f"| {n_classes} | {q} | {above:.2f} % | {above_bound:.2f} % | {sweeps:.0f} | {cpu:.2f} |", flush=True)


if __name__ == "__main__":
    main()

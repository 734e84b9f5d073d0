"""Step 1 of TSH: the joint search beside bits in turn, cyclic and sequential; objective, MAP and seconds.

Run ``python -m benchmarks.tsh_orders`` (scene, half a minute); the table of docs/hashers.md is that of
``--datasets fashion-mnist tmc2007 --seeds 2`` and ``--datasets corel5k --seeds 1``.

Splits of the shared files, codes of the training rows without certificate, tie-aware MAP of queries against the
database, both hashed by `KernelFunction()`. The objective is that of ksh, divided by n**2 n_bits**2. Medians over
seeds; seconds of step 1 alone, CPU and wall, kernels compiled before.
"""

import argparse
import time

import numpy as np

from bqp import codes, supervision
from hashers import datasets, metrics
from hashers.functions import KernelFunction

ORDERS = ("joint", "cyclic", "sequential")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=["scene"])
    parser.add_argument("--orders", nargs="+", default=list(ORDERS), choices=ORDERS)
    parser.add_argument("--bits", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    warm = supervision.from_label_sets(np.eye(30, dtype=int))
    for order in arguments.orders:
        learn(warm, 4, order, 0)
    print(f"{'data':<14} {'bits':>4} {'order':<10} {'objective':>9} {'MAP':>6} {'CPU s':>7} {'wall s':>7}")
    for name in arguments.datasets:
        data = datasets.load(name)
        (X, y), query, database = (data.part(part) for part in ("train", "query", "database"))
        S = supervision.from_label_sets(y) if np.ndim(y) == 2 else supervision.from_labels(y)
        for n_bits in arguments.bits:
            for order in arguments.orders:
                rows = []
                for seed in range(arguments.seeds):
                    wall, process = time.perf_counter(), time.process_time()
                    result = learn(S, n_bits, order, seed)
                    wall, process = time.perf_counter() - wall, time.process_time() - process
                    function = KernelFunction(random_state=seed).fit(X, result.B)
                    B = [function.predict(Z) for Z, _ in (query, database)]
                    score = metrics.mean_average_precision(*B, query[1], database[1])
                    rows.append((result.objective / (len(X) * n_bits) ** 2, score, process, wall))
                objective, score, process, wall = np.median(rows, axis=0)
                print(
                    f"{name:<14} {n_bits:>4} {order:<10} {objective:>9.5f} {score:>6.4f} {process:>7.2f} {wall:>7.2f}",
                    flush=True,
                )


def learn(S, n_bits, order, seed):
    """Codes as `TSH` learns them."""
    if order == "joint":
        return codes.learn(S, n_bits, rng=seed, certify=False)
    return codes.bitwise(S, n_bits, order=order, rng=seed, certify=False)


if __name__ == "__main__":
    main()

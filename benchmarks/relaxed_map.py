"""MAP and CPU seconds of KSH, LFH and DGH beside the reference numbers: hashed queries against the hashed database.

    python -m benchmarks.relaxed_map                            # Fashion-MNIST, five seeds: about twenty minutes
    python -m benchmarks.relaxed_map --dataset newsgroups --bits 16 --methods ksh,lfh --seeds 2

The split of the shared file: training rows with labels, held-out queries, the whole database hashed; relevant = same
class, or a label in common; expected ties. CPU seconds of learning codes and functions, the kernel map included.
"""

import argparse
import time

import numpy as np

from hashers import DGH, KSH, LFH, datasets, metrics

METHODS = {
    "ksh": lambda q, seed: KSH(n_bits=q, random_state=seed),
    "ksh-cycles": lambda q, seed: KSH(n_bits=q, n_cycles=2, random_state=seed),
    "ksh-published": lambda q, seed: KSH(n_bits=q, mode="published", sigma="ksh", normalize=False, random_state=seed),
    "lfh": lambda q, seed: LFH(n_bits=q, random_state=seed),
    "lfh-factors": lambda q, seed: LFH(n_bits=q, regress="factors", random_state=seed),
    "lfh-published": lambda q, seed: LFH(n_bits=q, mode="published", regress="factors", random_state=seed),
    "dgh": lambda q, seed: DGH(n_bits=q, random_state=seed),
    "dgh-published": lambda q, seed: DGH(n_bits=q, mode="published", init="I", random_state=seed),
}

REFERENCE = {  # REFERENCE.md: MAP on the hashed database by bits (LFH: its codes with kernel functions), CPU s
    ("fashion-mnist", "ksh"): ({16: 0.684}, {16: 73.0}),
    ("fashion-mnist", "lfh"): ({16: 0.562, 32: 0.737, 64: 0.756}, {16: 1.8, 32: 1.8, 64: 2.2}),
    ("cifar10-deep", "ksh"): ({16: 0.557}, {16: 61.1}),
    ("cifar10-deep", "lfh"): ({16: 0.434, 32: 0.601, 64: 0.642}, {16: 0.55, 32: 0.71, 64: 1.2}),
    ("cifar10-gist", "ksh"): ({16: 0.265}, {16: 64.3}),
    ("cifar10-gist", "lfh"): ({16: 0.261, 32: 0.338, 64: 0.389}, {16: 1.6, 32: 1.8, 64: 2.3}),
    ("newsgroups", "ksh"): ({16: 0.397}, {16: 62.3}),
    ("newsgroups", "lfh"): ({16: 0.244, 32: 0.296, 64: 0.475}, {16: 0.61, 32: 0.80, 64: 1.3}),
    ("tmc2007", "lfh"): ({16: 0.624, 32: 0.651, 64: 0.648}, {16: 0.81, 32: 0.99, 64: 1.5}),
    ("corel5k", "lfh"): ({16: 0.433, 32: 0.436, 64: 0.458}, {16: 13.5, 32: 13.7, 64: 13.7}),
    ("scene", "lfh"): ({16: 0.764, 32: 0.770, 64: 0.768}, {16: 0.19, 32: 0.26, 64: 0.40}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--bits", default="16,32,64")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    data = datasets.load(arguments.dataset)
    (X, y), (X_query, y_query), (X_database, y_database) = (data.part(p) for p in ("train", "query", "database"))
    print(data.description)
    for q in map(int, arguments.bits.split(",")):
        for name in arguments.methods.split(","):
            scores, seconds = [], []
            for seed in range(arguments.seeds):
                began = time.process_time()
                hasher = METHODS[name](q, seed).fit(X, y)
                seconds.append(time.process_time() - began)
                B_query, B_database = hasher.transform(X_query), hasher.transform(X_database)
                scores.append(metrics.mean_average_precision(B_query, B_database, y_query, y_database))
            marks, times = REFERENCE.get((arguments.dataset, name.split("-")[0]), ({}, {}))
            mark = f"  reference {marks[q]:.3f}, {times[q]:.2f} s" if q in marks else ""
            print(
                f"{name:14} q {q:3}  MAP {np.mean(scores):.4f} +- {np.std(scores):.4f}  CPU s {np.median(seconds):.2f}"
                f"{mark}",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Functions x data sets: MAP of the same codes hashed by each function, and the CPU seconds it takes.

Run ``python -m benchmarks.functions`` (about twenty minutes on a quiet core; ``--datasets digits scene`` takes one).
Codes are those of two-step hashing (`bqp.codes.bitwise`, labels of the training rows only, label sets in one pass);
queries and the whole database are hashed by the functions; relevant = same class, or a label in common; expected ties.
The split is that of `hashers.datasets`. One line a data set and function: mean and standard deviation over the seeds
(of the codes and of the function), median CPU seconds of fitting and of hashing all rows.
"""

import argparse
import time

import numpy as np

from bqp import codes, supervision
from hashers import datasets, metrics, packing
from hashers.functions import BalancedFunction, KernelFunction, LinearFunction, TreesFunction

DATASETS = [
    "digits",
    "fashion-mnist",
    "cifar10-gist",
    "cifar10-deep",
    "newsgroups",
    "tmc2007",
    "corel5k",
    "scene",
]

FUNCTIONS = {
    "linear": lambda seed: LinearFunction(),
    "linear-100": lambda seed: LinearFunction(ridge=100.0),
    "logistic": lambda seed: LinearFunction("logistic", C=0.01),
    "kernel": lambda seed: KernelFunction(random_state=seed),
    "kernel-sdh": lambda seed: KernelFunction(sigma="sdh", random_state=seed),
    "kernel-nearest": lambda seed: KernelFunction(sigma="nearest", random_state=seed),
    "kernel-median": lambda seed: KernelFunction(sigma="median", random_state=seed),
    "kernel-validate": lambda seed: KernelFunction(sigma="validate", random_state=seed),
    "kernel-laplacian": lambda seed: KernelFunction(kernel="laplacian", random_state=seed),
    "kernel-chi2": lambda seed: KernelFunction(kernel="chi2", random_state=seed),
    "kernel-polynomial": lambda seed: KernelFunction(kernel="polynomial", random_state=seed),
    "kernel-kmeans": lambda seed: KernelFunction(anchors="kmeans", random_state=seed),
    "kernel-all": lambda seed: KernelFunction(n_anchors=10**6, random_state=seed),
    "kernel-half": lambda seed: BalancedFunction(KernelFunction(random_state=seed)),
    "kernel-share": lambda seed: BalancedFunction(KernelFunction(random_state=seed), share="codes"),
    "trees": lambda seed: TreesFunction(random_state=seed),
    "trees-sklearn": lambda seed: TreesFunction("sklearn", random_state=seed),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=DATASETS)
    parser.add_argument("--functions", nargs="+", default=["linear", "kernel", "trees"], choices=list(FUNCTIONS))
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.datasets:
        data = datasets.load(name)
        print(f"{data.description}\n{len(data.train)} training rows, {arguments.bits} bits", flush=True)
        learned = [learn(data, arguments.bits, seed) for seed in range(arguments.seeds)]
        for function in arguments.functions:
            runs = [measure(data, B, FUNCTIONS[function](seed)) for seed, B in enumerate(learned)]
            scores, fit, hashing = zip(*runs)
            print(
                f"{name:14s} {function:15s} MAP {np.mean(scores):.4f} +- {np.std(scores):.4f} over {len(scores)} seeds"
                f"  CPU s: fit {np.median(fit):6.2f}  hash {np.median(hashing):6.2f}",
                flush=True,
            )


def learn(data, n_bits, seed):
    """Codes of the training rows."""
    _, y = data.part("train")
    S = supervision.from_label_sets(y) if data.is_multilabel else supervision.from_labels(y)
    order = "sequential" if data.is_multilabel else "cyclic"
    return codes.bitwise(S, n_bits=n_bits, order=order, rng=seed).B


def measure(data, B, function):
    """MAP of hashed queries against the hashed database; CPU seconds of fitting and of hashing both."""
    (X, _), (X_query, y_query), (X_database, y_database) = map(data.part, ("train", "query", "database"))
    clock = [time.process_time()]
    function.fit(X, B)
    clock.append(time.process_time())
    B_query, B_database = (packing.signs(function.decision_function(part)) for part in (X_query, X_database))
    clock.append(time.process_time())
    score = metrics.mean_average_precision(B_query, B_database, y_query, y_database)
    return score, clock[1] - clock[0], clock[2] - clock[1]


if __name__ == "__main__":
    main()

"""Settings of TreesFunction, compared on training rows alone: MAP of held-out training rows, and CPU seconds.

Run ``python -m benchmarks.trees_settings`` (about ten minutes on a quiet core). Codes of the training rows by two-step
hashing; functions are fitted to four fifths of the rows; the last fifth is hashed, one half of it queries the other,
and the other the one; relevant = same class, or a label in common; expected ties. Queries and the rest of the database
take no part.
"""

import argparse
import time

import numpy as np

from benchmarks.functions import learn
from hashers import datasets, metrics
from hashers.functions import KernelFunction, TreesFunction

SETTINGS = [
    {},
    {"n_estimators": 100},
    {"n_estimators": 100, "n_leaves": 31},
    {"n_estimators": 400, "learning_rate": 0.1},
    {"learning_rate": 0.1},
    {"learning_rate": 0.1, "n_leaves": 31},
    {"n_leaves": 31},
    {"n_leaves": 7},
    {"n_leaves": 7, "learning_rate": 0.3},
    {"learning_rate": 0.3},
    {"min_samples_leaf": 5},
    {"max_bins": 255},
    {"feature_fraction": 0.1},
    {"feature_fraction": 0.3},
    {"engine": "sklearn"},
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=["digits", "scene", "newsgroups", "fashion-mnist"])
    parser.add_argument("--bits", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--settings", nargs="+", type=int, default=range(len(SETTINGS)), help="which, by number")
    arguments = parser.parse_args()
    for name in arguments.datasets:
        data = datasets.load(name)
        X, y = data.part("train")
        B = learn(data, arguments.bits, 0)
        print(f"{name}: {len(y)} training rows, {arguments.bits} bits", flush=True)
        report("kernel", [held_out(KernelFunction(random_state=s), X, y, B, s) for s in range(arguments.seeds)])
        for k in arguments.settings:
            runs = [held_out(TreesFunction(random_state=s, **SETTINGS[k]), X, y, B, s) for s in range(arguments.seeds)]
            text = " ".join(f"{key}={value}" for key, value in SETTINGS[k].items())
            report(f"trees {text or '(default)'}", runs)


def held_out(function, X, y, B, seed):
    """MAP among held-out training rows, and CPU seconds of the fit."""
    order = np.random.default_rng(seed).permutation(len(y))
    n = len(y) // 10
    one, other, rest = order[:n], order[n : 2 * n], order[2 * n :]
    start = time.process_time()
    function.fit(X[rest], B[rest])
    seconds = time.process_time() - start
    codes = {half: function.predict(X[rows]) for half, rows in (("one", one), ("other", other))}
    there = metrics.mean_average_precision(codes["one"], codes["other"], y[one], y[other])
    back = metrics.mean_average_precision(codes["other"], codes["one"], y[other], y[one])
    return (there + back) / 2, seconds


def report(text, runs):
    scores, seconds = zip(*runs)
    print(f"  {text:45s} MAP {np.mean(scores):.4f}  fit {np.median(seconds):6.2f} CPU s", flush=True)


if __name__ == "__main__":
    main()

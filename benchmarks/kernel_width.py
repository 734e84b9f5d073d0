"""Widths of KernelFunction: leave-one-out error of training rows against MAP, for the five widths of sigma="validate".

Run ``python -m benchmarks.kernel_width`` (about ten minutes on a quiet core). Codes of the training rows by two-step
hashing; hashed queries against the hashed database; relevant = same class, or a label in common; expected ties. A line
a data set and seed: widths, errors relative to that of "auto" (the third), MAP of each; then the MAP of "auto", of the
width of least error, and of SDH's 0.4.
"""

import argparse

import numpy as np

from benchmarks.functions import DATASETS, learn, measure
from hashers import datasets
from hashers.functions import KernelFunction


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=DATASETS)
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    for name in arguments.datasets:
        data = datasets.load(name)
        X, _ = data.part("train")
        for seed in range(arguments.seeds):
            B = learn(data, arguments.bits, seed)
            chosen = KernelFunction(sigma="validate", random_state=seed).fit(X, B)
            widths, errors = chosen.validation_.T
            scores = [
                measure(data, B, KernelFunction(sigma=float(sigma), random_state=seed))[0] for sigma in (*widths, 0.4)
            ]
            print(
                f"{name:14s} seed {seed}  widths {numbers(widths)}  errors {numbers(errors / errors[2])}"
                f"  MAP {numbers(scores[:5], 4)}  auto {scores[2]:.4f}  least error {scores[np.argmin(errors)]:.4f}"
                f"  0.4 {scores[5]:.4f}  chosen {chosen.sigma_:.3f}",
                flush=True,
            )


def numbers(values, digits=3):
    return " ".join(f"{value:.{digits}f}" for value in values)


if __name__ == "__main__":
    main()

"""Baselines on the shared data: MAP and CPU seconds of training, beside the marks of `reference_marks.csv`.

Run ``python -m benchmarks.baselines`` (an hour; ``--datasets digits newsgroups --seeds 1`` for a look). Split of the
shared files; relevant = same class, or a label in common; hashed queries against the hashed database, expected ties;
mean over seeds of MAP, median of CPU seconds of `fit` with one BLAS thread (set OPENBLAS_NUM_THREADS=1). "posterior"
ranks by real numbers: no hash. Its marks are of raw kernel ridge scores, the better of inner product and cosine.
"""

import argparse
import time
import warnings

import numpy as np

from benchmarks.reference import read_marks
from hashers import datasets, metrics, registry

METHODS = ("lsh", "itq", "sh", "agh", "agh-two-layer", "sgh", "sth", "mlh", "one-hot", "posterior")
SCORES = {
    "fashion-mnist": 0.817, "cifar10-gist": 0.421, "cifar10-deep": 0.668, "newsgroups": 0.580, "tmc2007": 0.707,
    "corel5k": 0.651, "scene": 0.796,
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=["digits", *SCORES])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--bits", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    marks = {(m["dataset"], m["method"], m["n_bits"]): m for m in read_marks()}
    for name in arguments.datasets:
        data = datasets.load(name)
        parts = {part: data.part(part) for part in ("train", "query", "database")}
        print(f"\n{data.description}\n{'method':14} bits    MAP  spread    mark    CPU s    mark", flush=True)
        for method in map(registry.parse_method, arguments.methods):
            for n_bits in arguments.bits if method.entry.takes_bits else [0]:
                report(name, parts, method, n_bits, arguments.seeds, marks)


def report(name, parts, method, n_bits, n_seeds, marks):
    found = []
    for seed in range(n_seeds):
        function = registry.make_function("kernel", seed) if method.entry.takes_function else None
        hasher = method.make(n_bits, function, 1, seed)
        try:
            found.append(measure(hasher, parts, method.entry.has_codes))
        except ValueError as error:
            print(f"{method.text:14} {n_bits:4}  {error}", flush=True)
            return
    scores, seconds = np.array(found).T
    mark = marks.get((name, method.text, n_bits))
    known = mark["map"] if mark else SCORES.get(name) if method.text == "posterior" else None
    cpu = mark["cpu_seconds"] if mark else float("nan")
    text = f"{known:7.3f}" if known is not None else " " * 7
    print(
        f"{method.text:14} {n_bits or '':4} {scores.mean():6.3f}  {scores.std():6.3f} {text} {np.median(seconds):8.2f} "
        f"{'' if np.isnan(cpu) else f'{cpu:7.2f}'}",
        flush=True,
    )


def measure(hasher, parts, has_codes):
    (X, y), (X_query, y_query), (X_database, y_database) = (parts[part] for part in ("train", "query", "database"))
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hasher.fit(X, y)
    seconds = time.process_time() - began
    if not has_codes:
        return hasher.average_precision(X_query, X_database, y_query, y_database).mean(), seconds
    B_query, B_database = hasher.transform(X_query), hasher.transform(X_database)
    return metrics.mean_average_precision(B_query, B_database, y_query, y_database), seconds


if __name__ == "__main__":
    main()

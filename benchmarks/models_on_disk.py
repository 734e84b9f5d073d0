"""Size of saved models, and milliseconds to save and to load them; outputs are compared bit for bit.

Run ``python -m benchmarks.models_on_disk``. TSH on the training rows of a data set, CPU time, medians of five.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import hashers
from hashers import datasets
from hashers.functions import KernelFunction, LinearFunction, TreesFunction
from hashers.methods import TSH


def cpu_milliseconds(function, repeats=5):
    """Median CPU time, and the last result."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        result = function()
        times.append(1e3 * (time.process_time() - started))
    return float(np.median(times)), result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--bits", type=int, default=32)
    arguments = parser.parse_args()
    data = datasets.load(arguments.dataset)
    X, y = data.part("train")
    X_new = data.part("query")[0]
    folder = Path(tempfile.mkdtemp())
    print(f"{arguments.dataset}, {len(X)} training rows, {X.shape[1]} features, {arguments.bits} bits")
    print(f"{'function':9s} {'MiB':>7s} {'save ms':>8s} {'load ms':>8s}  same margins and codes")
    for function in (LinearFunction(), KernelFunction(random_state=0), TreesFunction(random_state=0)):
        hasher = TSH(n_bits=arguments.bits, function=function, order="sequential", random_state=0).fit(X, y)
        path = folder / "model"
        saving, _ = cpu_milliseconds(lambda: hashers.save(hasher, path))  # noqa: B023
        loading, loaded = cpu_milliseconds(lambda: hashers.load(path))  # noqa: B023
        same = np.array_equal(loaded.decision_function(X_new), hasher.decision_function(X_new))
        same = same and np.array_equal(loaded.codes_, hasher.codes_)
        size = path.stat().st_size / 2**20
        print(f"{type(function).__name__[:-8].lower():9s} {size:7.2f} {saving:8.0f} {loading:8.0f}  {same}", flush=True)
        path.unlink()
    folder.rmdir()


if __name__ == "__main__":
    main()

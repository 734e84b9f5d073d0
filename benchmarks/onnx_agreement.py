"""How far ONNX graphs are from `decision_function`: largest difference over the largest margin, codes that differ.

Run ``python -m benchmarks.onnx_agreement``. TSH with 32 bits on the training rows of each data set, its queries as new
rows; linear and kernel functions (1,000 anchors), float32 features; onnxruntime on one thread.
"""

import argparse
import time

import numpy as np

from hashers import datasets
from hashers.export import export_onnx
from hashers.functions import KernelFunction, LinearFunction
from hashers.methods import TSH


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", default="digits,fashion-mnist,cifar10-deep,newsgroups")
    parser.add_argument("--bits", type=int, default=32)
    arguments = parser.parse_args()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    print(f"{'data':14s} {'function':9s} {'difference':>10s} {'bits differ':>11s} {'ours ms':>8s} {'graph ms':>8s}")
    for name in arguments.datasets.split(","):
        data = datasets.load(name)
        X, y = data.part("train")
        X_new = data.part("query")[0]
        for function in (LinearFunction(), KernelFunction(random_state=0)):
            hasher = TSH(n_bits=arguments.bits, function=function, order="sequential", random_state=0).fit(X, y)
            model = export_onnx(hasher).SerializeToString()
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            seconds, results = [], []
            for run in (
                lambda: hasher.decision_function(X_new),  # noqa: B023
                lambda: session.run(["margins"], {"X": X_new})[0],  # noqa: B023
            ):
                run()
                started = time.process_time()
                results.append(run())
                seconds.append(1e3 * (time.process_time() - started))
            ours, graph = results
            difference = np.abs(ours - graph).max() / np.abs(ours).max()
            flips = int(((ours >= 0) != (graph >= 0)).sum())
            line = f"{name:14s} {type(function).__name__[:-8].lower():9s} {difference:10.1e} {flips:5d}/{ours.size:5d} "
            print(line + f"{seconds[0]:8.1f} {seconds[1]:8.1f}", flush=True)


if __name__ == "__main__":
    main()

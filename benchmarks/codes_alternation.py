"""Alternation with a kernel function: time, monotone penalised objective, loss of h(X); up to 69,000 points.

    python -m benchmarks.codes_alternation

`KernelRefit` shows how a refit keeps what depends on the features alone: kernel values and the Cholesky factor are made
once, so that a fit of all bits is two products.
"""

import resource
import time

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from bqp import codes, losses, supervision
from hashers import datasets
from hashers.functions import KernelFunction

N_BITS = 16


class KernelRefit:
    """Ridge regression on kernel values (float32, 4 n m bytes for m anchors); the factor is reused at every call."""

    def __init__(self, X, n_anchors=500, ridge=1e-2):
        function = KernelFunction(n_anchors=n_anchors, ridge=ridge, random_state=0)
        function.fit(X, np.ones((len(X), 1), dtype=np.int8))
        blocks = range(0, len(X), 4096)
        self.phi = np.concatenate([function._map(X[a : a + 4096]).astype(np.float32) for a in blocks])
        gram = np.zeros((self.phi.shape[1],) * 2)
        for a in blocks:
            part = self.phi[a : a + 4096].astype(np.float64)
            gram += part.T @ part
        self.factor = cho_factor(gram + ridge * np.eye(len(gram)))
        self.seconds, self.calls = 0.0, 0

    def __call__(self, B, bits, sample_weight=None):
        began = time.process_time()
        right = (self.phi.T @ B[:, bits].astype(np.float32)).astype(np.float64)
        F = self.phi @ cho_solve(self.factor, right).astype(np.float32)
        self.seconds += time.process_time() - began
        self.calls += 1
        return F


def features(n):
    try:
        data = datasets.load("fashion-mnist")
        X, y = data.part("database")
    except FileNotFoundError:
        rng = np.random.default_rng(0)
        y = rng.integers(0, 10, 69_000)
        X = (rng.standard_normal((10, 50))[y] + rng.standard_normal((len(y), 50))).astype(np.float32)
    chosen = np.random.default_rng(1).permutation(len(X))[:n]
    return X[chosen], y[chosen]


def monotone(result):
    stands = np.diff(result.stats["trace_mu"]) == 0
    rises = np.diff(result.trace.objective)[stands] / np.abs(result.trace.objective[1:][stands])
    return bool(np.all(rises <= 1e-9))


def run(n, refit, y, **settings):
    S = supervision.from_labels(y)
    refit.seconds = 0.0
    began = time.process_time()
    result = codes.alternation(S, N_BITS, refit, certify=False, **settings)
    spent = time.process_time() - began
    scale = float(n) ** 2 * N_BITS**2
    stats = result.stats
    print(
        f"n {n:6} {settings.get('mode', 'default'):9} {stats['solver']:20} outer {stats['n_outer']:3} ended "
        f"{stats['ended']:10} loss Z {result.objective / scale:.4f} loss h(X) {stats['hashed_objective'] / scale:.4f} "
        f"misfit {stats['trace_misfit'][-1] / 4 / n / N_BITS:.4f} monotone {monotone(result)} CPU s {spent:.1f} "
        f"(refit {refit.seconds:.1f})"
    )
    return spent, result


def main():
    X, y = features(69_000)
    refit = KernelRefit(X[:5000])
    first = codes.bitwise(supervision.from_labels(y[:5000]), N_BITS, order="cyclic").B
    h = np.where(refit(first, list(range(N_BITS))) >= 0, 1, -1)
    loss = losses.value(supervision.from_labels(y[:5000]), h) / 5000**2 / N_BITS**2
    print(f"two steps, n = 5,000: loss h(X) {loss:.4f}")
    for solver in ("auto", "cut", "quad"):
        run(5000, refit, y[:5000], solver=solver)
    for solver in ("quad", "cut"):
        run(5000, refit, y[:5000], solver=solver, mode="published", max_outer=5)
    sizes, seconds = (17_250, 34_500, len(X)), []
    for n in sizes:
        refit = KernelRefit(X[:n])
        seconds.append(run(n, refit, y[:n], max_outer=20)[0] - refit.seconds)
    print(f"exponent in n without refit: {np.polyfit(np.log(sizes), np.log(seconds), 1)[0]:.2f}")
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB, kernel included")


if __name__ == "__main__":
    main()

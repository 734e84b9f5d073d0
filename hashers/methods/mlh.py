"""Minimal loss hashing: linear hash functions by stochastic gradients of a bound on a hinge-like loss of pairs.

M. Norouzi and D. J. Fleet, "Minimal loss hashing for compact binary codes", ICML 2011.
"""

import time
from contextlib import suppress
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from hashers.base import Hasher
from hashers.baselines._base import centred_product, largest_exponent, principal_axes, scaled
from hashers.functions.base import TAME, check_count, check_positive
from hashers.functions.linear import LinearFunction

__all__ = ["MLH"]

PARTNERS = 100
"""Similar and dissimilar partners a point that batches draw from."""

RECALL = 0.3
"""Share of similar pairs within the automatic radius, before learning."""

MOMENTUM = 0.9
SPREAD = 0.1
"""Standard deviation of the first weights."""

CHUNK = 3e7
"""Elementary steps of one call of the kernel: some 30 milliseconds."""

N_TRACE = 20
"""Entries of the trace."""


class MLH(Hasher):
    """Minimal loss hashing: b = sign(W z), z the leading principal components, codes and functions at once.

    Loss of a pair at Hamming distance m, with a radius r (equation 4, scaled as in the authors' code):
    max(0, m - r + 1) / (q - r + 1) if similar, max(0, r + 1 - m) / (r + 1) if not. It is bounded by
    max over codes g, h of [loss(g, h) + g'W z_i + h'W z_j] less that of the codes themselves without the loss
    (equation 6). The maximum is found exactly by sorting bits (section 4.1), and gives the gradient.

    Parameters
    ----------
    n_bits : int
        Code length.
    n_components : int
        Principal components that the functions look at.
    radius : int, optional
        r, from 1 to n_bits. By default the radius within which 0.3 of the similar pairs lie before learning.
    n_steps : int
        Batches; the step size falls linearly to 0.
    batch_size : int
        Pairs of a batch, half of them similar.
    step_size, decay : float
        Of the gradient, and of the weights.
    random_state : int, RandomState instance or None
        First weights, pairs, batches.
    verbose : int
        1 shows a bar on the standard error stream.
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        What the functions give for the training points: codes are not learned apart from functions.
    result_ : bqp.codes.CodeResult
        Its objective is the loss over the pairs that batches draw from, both directions; its trace has mean losses of
        batches. There is no bound.
    function_ : LinearFunction
        Weights of the raw features.
    radius_ : int
    n_bits_, n_features_in_ : int

    Notes
    -----
    O(n_steps batch_size n_bits (n_components + n_bits)) time; 200 pairs a point are drawn once, whatever the size
    of the problem. Weights of pairs are not looked at.

    Where we differ from the authors' code: partners are drawn for every point instead of uniform pairs; the radius and
    the weight decay are not searched on a validation part; 5,000 batches of 100 pairs instead of 500,000.

    References
    ----------
    Norouzi and Fleet, "Minimal loss hashing for compact binary codes", ICML 2011.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = MLH(n_bits=16, n_steps=200, random_state=0).fit(X[:500], y[:500])
    >>> hasher.transform(X[500:]).shape, hasher.encode(X[500:]).shape
    ((1297, 16), (1297, 2))
    """

    function = None
    n_jobs = None

    def __init__(
        self,
        n_bits=32,
        n_components=64,
        radius=None,
        n_steps=5000,
        batch_size=100,
        step_size=0.1,
        decay=1e-4,
        random_state=None,
        verbose=0,
        unlabeled=-1,
    ):
        self.n_bits = n_bits
        self.n_components = n_components
        self.radius = radius
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.step_size = step_size
        self.decay = decay
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled

    def _default_function(self):
        return LinearFunction()

    def _learn(self, X, S, function, n_bits, n_jobs, rng, progress):
        self._check_parameters(n_bits)
        start, generator = time.perf_counter(), np.random.default_rng(rng)
        known = np.flatnonzero(S.known)
        exponent = largest_exponent(X)
        exponent = exponent if abs(exponent) > TAME else 0
        rows = scaled(X if len(known) == X.shape[0] else X[known], exponent)
        mean, axes, _ = principal_axes(rows, self.n_components, np.random.RandomState(rng))
        Z = centred_product(rows, mean, axes)
        length = float(np.linalg.norm(Z, axis=1).mean())
        Z /= length if length > 0 else 1.0
        pools = _pools(S, known, rng)
        W = SPREAD * generator.standard_normal((n_bits, Z.shape[1]))
        self.radius_ = self._radius(Z @ W.T, pools[0], generator)
        losses = hinge_tables(n_bits, self.radius_)
        trace, n_steps = self._descend(W, Z, pools, losses, generator, start)
        with np.errstate(over="ignore"):
            coef = np.ldexp(axes @ W.T / (length if length > 0 else 1.0), -exponent)
        if not np.isfinite(coef).all():
            raise ValueError(
                f"X is too small: its values are below 2**{exponent}, so that weights overflow float64. Scale it up, "
                "for example by sklearn.preprocessing.StandardScaler."
            )
        function = _linear(coef, -np.ldexp(mean, exponent) @ coef, X)
        B = function.predict(X)
        result = _result(B, S, Z @ W.T, known, pools, losses, trace, time.perf_counter() - start)
        if n_steps < self.n_steps:
            result.stats.update(stopped="interrupted", n_steps=n_steps)
        progress.say(f"functions of {n_bits} bits in {result.time:.2f} s, radius {self.radius_}")
        return result, function

    def _check_parameters(self, n_bits):
        for name, least in (("n_components", 1), ("n_steps", 0), ("batch_size", 1)):
            check_count(getattr(self, name), name, least)
        check_positive(self.step_size, "step_size")
        check_positive(self.decay, "decay", zero=True)
        r = self.radius
        if r is not None and (isinstance(r, bool) or not isinstance(r, int | np.integer) or not 1 <= r <= n_bits):
            raise ValueError(f"radius must be an integer from 1 to n_bits = {n_bits}, or None: {r!r}.")

    def _radius(self, margins, similar, generator):
        if self.radius is not None:
            return int(self.radius)
        if not len(similar):
            return max(1, margins.shape[1] // 4)
        chosen = similar[generator.integers(len(similar), size=min(len(similar), 20_000))]
        B = margins >= 0
        distances = (B[chosen[:, 0]] != B[chosen[:, 1]]).sum(axis=1)
        return int(np.clip(np.quantile(distances, RECALL), 1, margins.shape[1]))

    def _descend(self, W, Z, pools, losses, generator, start):
        """Stochastic gradient steps; W is written to. Returns rows (time, step, mean loss of batches), and steps."""
        from hashers.kernels.minimal_loss import descend_pairs

        sizes = _batch_sizes(pools, self.batch_size)
        batch, every = sum(sizes), max(1, self.n_steps // N_TRACE)
        most = max(1, int(CHUNK / (batch * W.shape[0] * (4 * W.shape[1] + W.shape[0]))))
        rates = self.step_size * (1 - np.arange(self.n_steps) / max(1, self.n_steps))
        totals, change, trace, step = np.empty(self.n_steps), np.zeros_like(W), [], 0
        Z = np.ascontiguousarray(Z)
        with threadpool_limits(1), suppress(KeyboardInterrupt):  # what was learned so far is kept
            while step < self.n_steps:
                end = min(self.n_steps, step + most, (step // every + 1) * every)
                drawn = [
                    np.concatenate([pool[generator.integers(len(pool), size=m)] for pool, m in zip(pools, sizes) if m])
                    for _ in range(step, end)
                ]
                settings = losses, rates[step:end], float(self.decay), MOMENTUM
                descend_pairs(Z, np.stack(drawn), sizes[0], *settings, W, change, totals[step:end])
                step = end
                if step % every == 0:
                    mean = float(totals[step - every : step].mean()) / batch
                    trace.append((time.perf_counter() - start, step, mean))
        return trace, step


def hinge_tables(n_bits, radius):
    """Loss of a similar and of a dissimilar pair at distances 0..n_bits; shape (2, n_bits + 1), float64."""
    distance = np.arange(n_bits + 1)
    similar = np.maximum(0, distance - radius + 1) / (n_bits - radius + 1)
    return np.stack([similar, np.maximum(0, radius + 1 - distance) / (radius + 1)])


def _pools(S, known, rng):
    """Similar and dissimilar pairs, (m, 2) int64 each, as positions among the known points."""
    from bqp import supervision

    pairs = supervision.sample_pairs(S, PARTNERS, PARTNERS, rng=rng)
    position = np.zeros(S.n, dtype=np.int64)
    position[known] = np.arange(len(known))
    both = np.column_stack([position[pairs.rows], position[pairs.indices]])
    similar = np.asarray(pairs.targets) > 0
    return both[similar], both[~similar]


def _batch_sizes(pools, batch_size):
    """Similar and dissimilar pairs of a batch: half each, where there are both."""
    n_similar = batch_size if not len(pools[1]) else batch_size - batch_size // 2 if len(pools[0]) else 0
    return [n_similar, batch_size - n_similar]


def _linear(coef, intercept, X):
    """A fitted linear function with these weights of the raw features."""
    function = LinearFunction()
    function.coef_, function.intercept_ = coef, intercept
    function.ridge_ = np.zeros(coef.shape[1])
    function.n_bits_, function.n_features_in_ = coef.shape[1], X.shape[1]
    return function


def _result(B, S, margins, known, pools, losses, trace, seconds):
    from bqp.codes import CodeResult
    from bqp.codes.result import CodeTrace

    signs, objective = margins >= 0, 0.0
    for pool, loss in zip(pools, losses):
        for start in range(0, len(pool), 2**18):
            i, j = pool[start : start + 2**18].T
            objective += float(loss[(signs[i] != signs[j]).sum(axis=1)].sum())
    known_only: Any = S if len(known) == S.n else S.restrict(known)
    return CodeResult(
        B=B,
        objective=objective,
        lower_bound=-np.inf,
        ksh_objective=float(known_only.ksh_objective(B[known])),
        ksh_lower_bound=-np.inf,
        n_bits=B.shape[1],
        loss="minimal loss hinge",
        method="minimal_loss",
        trace=CodeTrace.from_rows(trace),
        time=seconds,
        stats={"n_pairs": sum(map(len, pools))},
    )

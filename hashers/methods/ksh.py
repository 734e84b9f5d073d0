"""Supervised hashing with kernels: codes are the signs of kernel functions, found bit after bit.

Liu, Wang, Ji, Jiang and Chang, "Supervised hashing with kernels", CVPR 2012.
"""

import time

import numpy as np
from sklearn.utils import check_random_state

from bqp.callbacks import Event
from hashers.base import Hasher
from hashers.functions import KernelFunction
from hashers.functions.base import check_count
from hashers.methods._ksh_bits import KSHBits

__all__ = ["KSH"]

BLOCK = 4096
"""Rows whose kernel values are made at once."""

SAMPLE = 5000
"""Rows that anchors and width come from."""

LABELED = {"default": 20_000, "published": 2000}


class KSH(Hasher):
    """Supervised hashing with kernels.

    Minimises ``sum_ij w_ij (q s_ij - b_i.b_j)^2`` over functions, not codes: b_ik = sgn(sum_j a_jk kappa(x_i, z_j)),
    kappa a centred radial basis function at anchors z_j. A bit starts at the top generalised eigenvector of the
    residual similarity and follows a smoothed sign uphill; the better of both is kept. There is no second step.

    Parameters
    ----------
    n_bits : int
        Code length.
    n_anchors : int
        Random training rows, out of 5,000; all where there are fewer.
    sigma : float or {"auto", "nearest", "median", "sdh", "ksh"}
        Width, see `KernelFunction`; "ksh" is that of the authors.
    normalize : bool
        Whether rows are scaled to unit length first.
    n_labeled : int, optional
        Labelled rows to learn from, drawn at random where there are more. Default 20,000, published 2,000.
    max_iterations : int, optional
        Steps on the smoothed problem, for each bit. Default 30 of L-BFGS, published 500 of accelerated gradient.
    n_cycles : int, optional
        Further passes in which each bit is found again given all others, and replaced where that lowers the objective.
        Default 1, published 0.
    mode : {"default", "published"}
        "published" takes the authors' steps, and an unknown pair as one of target 0; sigma "ksh" and normalize=False
        are their settings.
    random_state : int, RandomState instance or None
        Anchors and rows.
    verbose : int
        1 shows a bar on the standard error stream.
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.
    similarity : {"given", "confusion"}
        What pairs ought to be: what `fit` was given; or, for labels and label sets, what out-of-fold scores of
        kernel functions can tell apart, see `hashers.targets.out_of_fold_similarity`.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Codes of the training points, which are what the functions give.
    result_ : bqp.codes.CodeResult
        Objective and bounds over the training points; ``stats["smoothed"]`` counts the bits that smoothing gave.
    function_ : KernelFunction
        Anchors, width and coefficients; the constant holds the centring.
    n_bits_, n_features_in_ : int

    Notes
    -----
    For l labelled rows and m anchors a bit costs O(l m) for each step on the smoothed problem, and O(m^3) for its
    start: the similarity enters through sums over label sets and is never written out. Memory O(l m + m^2).

    Where we differ from the authors: all labelled rows, L-BFGS in coordinates in which K'K is the identity and in
    single precision instead of accelerated gradient with a loose stop, a pass over the bits given all others, unit
    rows. In both modes 1e-6 of the mean diagonal is added to K'K, and a tie codes to +1. `benchmarks/relaxed_map.py`
    has the figures.

    References
    ----------
    Liu, Wang, Ji, Jiang and Chang, "Supervised hashing with kernels", CVPR 2012.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = KSH(n_bits=8, n_anchors=100, random_state=0).fit(X[:300], y[:300])
    >>> hasher.transform(X[300:]).shape, bool((hasher.codes_ == hasher.transform(X[:300])).all())
    ((1497, 8), True)
    """

    function = None  # the coefficients are the function

    def __init__(
        self,
        n_bits=32,
        n_anchors=300,
        sigma="auto",
        normalize=True,
        n_labeled=None,
        max_iterations=None,
        n_cycles=None,
        mode="default",
        random_state=None,
        verbose=0,
        unlabeled=-1,
        similarity="given",
    ):
        self.n_bits = n_bits
        self.n_anchors = n_anchors
        self.sigma = sigma
        self.normalize = normalize
        self.n_labeled = n_labeled
        self.max_iterations = max_iterations
        self.n_cycles = n_cycles
        self.mode = mode
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled
        self.similarity = similarity

    n_jobs = None  # one thread

    def _default_function(self):
        return KernelFunction(n_anchors=self.n_anchors, sigma=self.sigma, normalize=self.normalize)

    def _learn(self, X, S, function, n_bits, n_jobs, rng, progress):
        if self.sigma == "validate":
            raise ValueError(
                'sigma="validate" measures how well codes are met, and there are none yet. Use sigma="auto".'
            )
        if self.mode not in LABELED:
            raise ValueError(f"mode must be one of {', '.join(LABELED)}: {self.mode!r}.")
        published = self.mode == "published"
        n_labeled = LABELED[self.mode] if self.n_labeled is None else check_count(self.n_labeled, "n_labeled", 1)
        steps = 500 if published else 30
        steps = steps if self.max_iterations is None else check_count(self.max_iterations, "max_iterations", 0)
        n_cycles = int(not published) if self.n_cycles is None else check_count(self.n_cycles, "n_cycles", 0)
        known = np.flatnonzero(S.known)
        draws = check_random_state(rng)
        rows = np.sort(draws.permutation(known)[:n_labeled])
        began = time.perf_counter()
        sample = np.sort(draws.permutation(X.shape[0])[:SAMPLE])
        function.fit(X[sample], draws.choice([-1, 1], size=(len(sample), 1)))  # for anchors and width
        m = function.n_bits_ = function.anchors_.shape[0]
        function.coef_ = np.vstack([np.eye(m), np.zeros((1, m))])  # margins are kernel values
        mean, K = np.zeros(m), np.empty((len(rows), m))
        for start in range(0, X.shape[0], BLOCK):
            values = function.decision_function(X[start : start + BLOCK])
            mean += values.sum(axis=0) / X.shape[0]
            inside = slice(*np.searchsorted(rows, [start, start + BLOCK]))
            K[inside] = values[rows[inside] - start]
        K -= mean
        small = S if len(rows) == S.n else S.restrict(rows)
        bits = KSHBits(K, small, n_bits, published)
        trace = []

        def report(done):
            now, value = time.perf_counter() - began, small.ksh_objective(bits.B[:, :done])
            if done == n_bits:
                trace.append((now, len(trace) + 1, value))
            event = Event(now, done, value, -np.inf, lambda: bits.B)
            return progress.callback is not None and bool(progress.callback(event))

        bits.greedy(steps, report)
        for _ in range(n_cycles):
            if not bits.cycle(steps, report):
                break
        function.coef_, function.n_bits_ = np.vstack([bits.A, -mean @ bits.A]), n_bits
        B = function.predict(X)
        return _result(S, B, bits, trace, time.perf_counter() - began), function


def _result(S, B, bits, trace, seconds):
    """Objective and bounds over all training points; the trace is over the labelled rows."""
    from bqp import losses
    from bqp.codes import CodeResult, CodeTrace
    from bqp.codes.bounds import bounds_of

    objective = S.ksh_objective(B)
    lower_bound, ksh_lower_bound = bounds_of(S, bits.q, losses.Ksh(), objective, objective)
    return CodeResult(
        B=B, objective=objective, lower_bound=lower_bound, ksh_objective=objective, ksh_lower_bound=ksh_lower_bound,
        n_bits=bits.q, loss="ksh", method="ksh", trace=CodeTrace.from_rows(trace), time=seconds,
        stats={"smoothed": bits.smoothed, "n_labeled": len(bits.K)},
    )  # fmt: skip

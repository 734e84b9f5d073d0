"""Deep discrete supervised hashing: sampled points by binary quadratic programs, a net for the others.

Q.-Y. Jiang, X. Cui, W.-J. Li, "Deep Discrete Supervised Hashing", IEEE TIP 27, 2018 (equations 5 to 10). The step for
the sampled points is `bqp.codes.omega_step`, which COSDISH has as well.

Ours: codes start near the optimum of the KSH loss instead of at random ones; bits of the sampled points are each given
all others, and the step never goes uphill; AdamW in one cycle over all rounds. A pull of the net to the exact bits of
its points is there to be tried: it lowers MAP on Fashion-MNIST.
"""

import time

import numpy as np

from hashers.deep.asymmetric import AsymmetricLoss, squared_error
from hashers.deep.net_run import DeepHasher, NetRun, code_result, start_codes
from hashers.functions.base import check_count, check_positive
from hashers.packing import signs

__all__ = ["DDSH"]

N_SAMPLED, N_ROUNDS, N_ALTERNATIONS = 100, 50, 3
"""As published: points of a sample, samples, and steps on each of them with one epoch of the net."""

MOST_SWEEPS = 20


class DDSH(DeepHasher):
    """Deep discrete supervised hashing.

    Minimises ``sum_j sum_i (q s_ij - b_i.b_j)^2`` over sampled points j and all points i; the codes of the points that
    are not sampled are the signs of a net. S is 1 for similar pairs and minus the ratio of similar to dissimilar pairs
    of the sample for dissimilar ones; weights of pairs count.

    Parameters
    ----------
    n_bits : int
        Code length q.
    function : NetFunction, optional
        Settings of net and training; its `loss` plays no part, and its `epochs` becomes the number of all rounds.
    n_sampled : int
        Points of a sample, at most half of those with supervision.
    n_rounds : int, optional
        Samples. Default the epochs of `function` over `n_alternations`, published 50.
    n_alternations : int, optional
        Steps for the sampled points, each with an epoch of the net, on one sample. Default and published 3.
    pull : float
        Weight of ``|b_i - h_i|^2 / q`` in the loss of the net ("default"), beside the mean of
        ``(s_ij - h_i.b_j / q)^2``; h_i is the tanh of the net and b_i the exact bits of point i given the sampled ones.
    solver : str or Solver
        What solves a bit of the sampled points, see `bqp.codes.omega_step`.
    mode : {"default", "published"}
        "published": random codes to begin with, the authors' heuristic for bits given those before, no `pull`.
    n_jobs : int, optional
        Threads of the exact bits.
    random_state : int, RandomState instance or None
    verbose : int
        1 shows a bar on the standard error stream.
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Learned codes: those of the last sample, and what the net gives for all other points. The paper hashes queries
        and database alike: ``database_codes(X)``.
    result_ : bqp.codes.CodeResult
        ``objective`` and `trace` hold the objective after each step for the sampled points, given the others.
    function_ : NetFunction
    n_bits_, n_features_in_ : int

    Notes
    -----
    An epoch of the net reads the points that are not sampled; with labels a batch costs O(b q^2) beside it. Nothing of
    size n x n.

    Examples
    --------
    >>> from hashers.functions import NetFunction
    >>> DDSH(n_bits=16, function=NetFunction(epochs=5)).n_sampled
    100
    """

    def __init__(
        self,
        n_bits=32,
        function=None,
        n_sampled=N_SAMPLED,
        n_rounds=None,
        n_alternations=None,
        pull=0.0,
        solver="auto",
        mode="default",
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
    ):
        self.n_bits = n_bits
        self.function = function
        self.n_sampled = n_sampled
        self.n_rounds = n_rounds
        self.n_alternations = n_alternations
        self.pull = pull
        self.solver = solver
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled

    def _learn(self, X, S, function, n_bits, n_jobs, rng, progress):
        from bqp import codes
        from bqp.codes._columns import soft_ratio
        from bqp.codes._common import check_mode, random_codes

        began = time.perf_counter()
        self._check_net(function)
        published = check_mode(self.mode)
        known = np.flatnonzero(S.known)
        n_rounds, n_alternations, sampled = self._settings(function, len(known), published)
        pull = 0.0 if published else check_positive(self.pull, "pull", zero=True)
        n_steps = n_rounds * n_alternations
        run = NetRun(self, X, S, function, n_bits, rng, progress, epochs=n_steps)

        def step(k, state, is_new):
            if is_new:
                if "B" not in state:
                    state["B"] = (
                        random_codes(np.random.default_rng(rng), S.n, n_bits)
                        if published
                        else start_codes(S, n_bits, rng, n_jobs)
                    )
                    state["values"] = np.empty(0)
                else:  # the net's own codes of the points it was trained on; the sampled ones keep theirs
                    state["B"][state["others"]] = signs(run.outputs(state["others"]))
                if k % n_alternations == 0:
                    stream = np.random.default_rng([rng, k])
                    state["omega"] = np.sort(known[stream.choice(len(known), sampled, replace=False)])
                    state["others"] = np.setdiff1d(known, state["omega"])
                B, omega = state["B"], state["omega"]
                B[omega] = codes.omega_step(S, omega, B, solver=self.solver, mode=self.mode, rng=rng + k)
            omega, others = state["omega"], state["others"]
            C, ratio = state["B"][omega], soft_ratio(S, omega)
            if is_new:
                value = squared_error(S, np.arange(S.n), state["B"], omega, C, ratio)
                state["values"] = np.append(state["values"], value)
            exact = None
            if pull:
                exact = codes.v_step(
                    C.astype(np.float64), S, omega, state["B"], gamma=0.0, n_sweeps=MOST_SWEEPS, n_jobs=n_jobs
                )
            return AsymmetricLoss(S, omega, C, exact, ratio, pull, run.trainer.device), others

        run.alternate(n_steps, step)
        state = run.trainer.extra
        B = signs(run.outputs())
        B[state["omega"]] = state["B"][state["omega"]]
        stats = {"mode": self.mode, "n_sampled": sampled, "n_rounds": n_rounds, "n_alternations": n_alternations}
        result = code_result(S, B, "ddsh", "ksh", state["values"], began, run.trainer.stopped, **stats)
        return result, run.finish()

    def _settings(self, function, n, published):
        """Rounds, alternations in a round, and sampled points."""
        sampled = min(check_count(self.n_sampled, "n_sampled"), max(1, n // 2))
        n_alternations = N_ALTERNATIONS
        if self.n_alternations is not None:
            n_alternations = check_count(self.n_alternations, "n_alternations")
        if self.n_rounds is not None:
            return check_count(self.n_rounds, "n_rounds"), n_alternations, sampled
        n_rounds = N_ROUNDS if published else max(1, round(function.n_epochs(n) / n_alternations))
        return n_rounds, n_alternations, sampled

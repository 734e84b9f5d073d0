"""Asymmetric deep supervised hashing: a net for sampled points, discrete codes for all.

Q.-Y. Jiang, W.-J. Li, "Asymmetric Deep Supervised Hashing", AAAI 2018 (equations 3 to 10). The V-step is
`bqp.codes.v_step`.

Ours: codes start near the optimum of the KSH loss instead of at 0; the pull between the net and the codes has a weight
that holds for any number of points; V-steps run until no bit changes; AdamW in one cycle over all rounds.
"""

import time

import numpy as np

from hashers.deep.asymmetric import AsymmetricLoss, squared_error
from hashers.deep.net_run import DeepHasher, NetRun, code_result, start_codes
from hashers.functions.base import check_count, check_positive

__all__ = ["ADSH"]

PUBLISHED = {"n_rounds": 50, "n_epochs": 3, "n_sampled": 2000, "gamma": 200.0}
N_SAMPLED = 5000
MOST_SWEEPS = 20


class ADSH(DeepHasher):
    """Asymmetric deep supervised hashing.

    Minimises ``|U V' - q S|^2 + gamma |V_Omega - U|^2`` over codes V of all points and a net f with U = tanh(f) on a
    sample Omega of the points, drawn anew each round. S is 1 for similar pairs and minus the ratio of similar to
    dissimilar pairs of the sample for dissimilar ones; weights of pairs count.

    Parameters
    ----------
    n_bits : int
        Code length q.
    function : NetFunction, optional
        Settings of net and training; its `loss` plays no part, and its `epochs` becomes the number of all rounds.
    n_sampled : int, optional
        Points of Omega, at most those with supervision. Default 5000, published 2000.
    n_rounds : int, optional
        Samples. Default so many that the net sees as many rows as with the epochs of `function`; published 50.
    n_epochs : int, optional
        Epochs of the net on each sample. Default 1, published 3.
    gamma : float, optional
        Default n / 5 for n points with supervision, published 200.
    mode : {"default", "published"}
        "published": V begins without values and is swept once a round, as the authors do; the last V is kept.
    n_jobs : int, optional
        Threads of the V-step.
    random_state : int, RandomState instance or None
    verbose : int
        1 shows a bar on the standard error stream.
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        V, the learned codes, to which the paper compares hashed queries: ``database_codes(X, "learned")``. New points
        and ``database_codes(X)`` have the signs of the net.
    result_ : bqp.codes.CodeResult
        ``objective`` and `trace` hold the objective after each V-step, on the sample of that round.
    function_ : NetFunction
    n_bits_, n_features_in_ : int

    Notes
    -----
    A V-step on labels of C classes costs O(C m q + n q^2), a batch O(b q^2) beside the net; nothing of size n x n.
    It follows each round, so that the last one makes the codes that are kept.

    The paper's net step differs between its two programs; this is the one with real U throughout. Its learning rates
    are for fine-tuning a large net, and left to `function`.

    Examples
    --------
    >>> from hashers.functions import NetFunction
    >>> ADSH(n_bits=16, function=NetFunction(epochs=5)).mode
    'default'
    """

    def __init__(
        self,
        n_bits=32,
        function=None,
        n_sampled=None,
        n_rounds=None,
        n_epochs=None,
        gamma=None,
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
        self.n_epochs = n_epochs
        self.gamma = gamma
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled

    def _learn(self, X, S, function, n_bits, n_jobs, rng, progress):
        from bqp import codes
        from bqp.codes._columns import soft_ratio
        from bqp.codes._common import check_mode

        began = time.perf_counter()
        self._check_net(function)
        published = check_mode(self.mode)
        known = np.flatnonzero(S.known)
        sampled, n_rounds, n_epochs, gamma = self._settings(function, len(known), published)
        run = NetRun(self, X, S, function, n_bits, rng, progress, epochs=n_rounds * n_epochs)
        trainer = run.trainer

        def v_step(state):
            omega = state["omega"]
            U = np.tanh(run.outputs(omega))
            V = None if published and not state["V"].any() else state["V"]
            sweeps = 1 if published else MOST_SWEEPS
            state["V"] = codes.v_step(U, S, omega, V, gamma=gamma, n_sweeps=sweeps, n_jobs=n_jobs)
            value = squared_error(S, omega, U, np.arange(S.n), state["V"], soft_ratio(S, omega))
            value += gamma * float(np.square(state["V"][omega] - U).sum())
            state["values"] = np.append(state.get("values", np.empty(0)), value)

        def step(k, state, is_new):
            if is_new:
                if k:
                    v_step(state)
                else:
                    state["V"] = np.zeros((S.n, n_bits), np.int8) if published else start_codes(S, n_bits, rng, n_jobs)
                stream = np.random.default_rng([rng, k])
                state["omega"] = np.sort(known[stream.choice(len(known), sampled, replace=False)])
            omega = state["omega"]
            V, pull = state["V"], gamma / (S.n * n_bits)
            return AsymmetricLoss(S, np.arange(S.n), V, V, soft_ratio(S, omega), pull, trainer.device), omega

        run.alternate(n_rounds, step)
        run.conclude(v_step)
        V = trainer.extra["V"]
        if not V.any():  # interrupted before there were any codes
            raise KeyboardInterrupt
        stats = {"mode": self.mode, "n_sampled": sampled, "n_rounds": n_rounds, "gamma": gamma}
        result = code_result(S, V, "adsh", "ksh", trainer.extra.get("values", ()), began, trainer.stopped, **stats)
        return result, run.finish()

    def _settings(self, function, n, published):
        """Sampled points, rounds, epochs a round and gamma."""

        def count(name, default):
            value = getattr(self, name)
            return (PUBLISHED[name] if published else default()) if value is None else check_count(value, name)

        sampled = min(count("n_sampled", lambda: N_SAMPLED), n)
        n_epochs = count("n_epochs", lambda: 1)
        n_rounds = count("n_rounds", lambda: max(1, round(function.n_epochs(n) * n / (sampled * n_epochs))))
        if self.gamma is None:
            return sampled, n_rounds, n_epochs, PUBLISHED["gamma"] if published else n / 5.0
        return sampled, n_rounds, n_epochs, check_positive(self.gamma, "gamma", zero=True)

"""Deep supervised discrete hashing: likelihood of pairs for a net, and codes from which labels can be predicted.

Q. Li, Z. Sun, R. He, T. Tan, "Deep Supervised Discrete Hashing", NIPS 2017 (equations 6 to 13). The discrete step is
`bqp.codes.discrete_cyclic`, with the outputs of the net for its feature term.

Ours: codes start near the optimum of the KSH loss among those that predict labels as well as the class codes
(`bqp.codes.predictable_codes`); codes and label map alternate until nothing changes; pairs are those of balanced
batches instead of a batch and outdated outputs of all points; every term is a mean, so that weights hold for any n and
q; AdamW in one cycle over all rounds.
"""

import time
from typing import Any

import numpy as np

from hashers.deep.batches import make_batches
from hashers.deep.losses import DPSH, PairSource
from hashers.deep.net_run import DeepHasher, NetRun, code_result
from hashers.functions.base import check_count, check_positive

__all__ = ["DSDH"]

PUBLISHED = {"mu": 1e-2, "nu": 1.0, "eta": 1e-2, "n_rounds": 150}
DEFAULT = {"mu": 10.0, "nu": 1e-2, "eta": 1.0}
LEAST, LARGEST = -100.0, 50.0
"""Bounds of theta in the published likelihood."""


class DSDH(DeepHasher):
    """Deep supervised discrete hashing.

    Minimises over a net u_i = f(x_i), codes B and a label map W: likelihood of pairs ``log(1 + e^theta) - s theta``,
    theta = u_i.u_j / 2, plus ``mu |Y - B W|^2 + nu |W|^2 + eta |B - U|^2``; Y holds the 0/1 label vectors. "default":
    means over pairs, points, and the bits of points; "published": sums over points for B and W, means for the net.

    Parameters
    ----------
    n_bits : int
        Code length q.
    function : NetFunction, optional
        Settings of net and training; its `loss` plays no part, and its `epochs` becomes the number of all rounds.
    mu, nu, eta : float, optional
        Default 10, 0.01 and 1 (with a small mu codes follow whatever the net says); published 0.01, 1 and 0.01.
    n_rounds : int, optional
        Rounds of equally many epochs of the net, with a discrete step before the first, between them and after the
        last. Default two epochs a round; published 150 rounds of one epoch, none before the first.
    mode : {"default", "published"}
        "published": random codes; after each round of the net one W, and up to ten sweeps of discrete coordinate
        descent given it; pairs of a batch with outdated outputs of all points (0 at first); the last codes are kept.
    n_jobs : int, optional
        Threads of the discrete step.
    random_state : int, RandomState instance or None
    verbose : int
        1 shows a bar on the standard error stream.
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Learned codes B, after the last epoch; ``database_codes(X)`` has the signs of the net, as the paper does.
    result_ : bqp.codes.CodeResult
        ``objective`` and `trace` hold the terms of B and W after each discrete step, as sums over points.
    function_ : NetFunction
    n_bits_, n_features_in_ : int

    Notes
    -----
    Needs labels or label sets: pairs have no label vectors. A discrete step costs O(n q^2); published batches O(b n q).
    Learning rates of the paper are for fine-tuning a large net, and left to `function`.

    Examples
    --------
    >>> from hashers.functions import NetFunction
    >>> DSDH(n_bits=16, function=NetFunction(epochs=5)).eta is None
    True
    """

    _needs_labels = True

    def __init__(
        self,
        n_bits=32,
        function=None,
        mu=None,
        nu=None,
        eta=None,
        n_rounds=None,
        mode="default",
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
    ):
        self.n_bits = n_bits
        self.function = function
        self.mu = mu
        self.nu = nu
        self.eta = eta
        self.n_rounds = n_rounds
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled

    def _learn(self, X, S, function, n_bits, n_jobs, rng, progress):
        from bqp.codes._common import check_mode

        began = time.perf_counter()
        self._check_net(function)
        published = check_mode(self.mode)
        mu, nu, eta = (self._weight(name, published) for name in ("mu", "nu", "eta"))
        known = np.flatnonzero(S.known)
        n_epochs = function.n_epochs(len(known))
        n_rounds = PUBLISHED["n_rounds"] if published else max(1, n_epochs // 2)
        n_rounds = n_rounds if self.n_rounds is None else check_count(self.n_rounds, "n_rounds")
        per_round = 1 if published else max(1, round(n_epochs / n_rounds))
        run = NetRun(self, X, S, function, n_bits, rng, progress, epochs=n_rounds * per_round)
        pull = eta / mu if published else eta / (n_bits * mu)
        ridge = nu / mu if published else nu * len(known) / mu
        codes_of = _CodeStep(S, n_bits, pull, ridge, mu, published, rng, n_jobs)
        batches = None if published else make_batches(S, run.trainer.batch_size)

        def step(k, state, is_new):
            if is_new:
                if "B" not in state:
                    state["values"] = np.empty(0)
                    state["U"] = np.zeros((S.n if published else 0, n_bits), np.float32)
                codes_of(state, None if k == 0 else state["U"] if published else run.outputs())
            return (_StaleLoss if published else _PairLoss)(S, state, eta, run.trainer.device), batches or known

        run.alternate(n_rounds, step)
        run.conclude(lambda state: codes_of(state, state["U"] if published else run.outputs()))
        state = run.trainer.extra
        stats = {"mode": self.mode, "n_rounds": n_rounds, "mu": mu, "nu": nu, "eta": eta}
        result = code_result(S, state["B"], "dsdh", "likelihood", state["values"], began, run.trainer.stopped, **stats)
        return result, run.finish()

    def _weight(self, name, published):
        value = getattr(self, name)
        if value is None:
            return (PUBLISHED if published else DEFAULT)[name]
        return check_positive(value, name, zero=name == "eta")


class _CodeStep:
    """B and W given the outputs U of the net: ``|Y - B W|^2 + ridge |W|^2 + pull |B - U|^2``, times mu."""

    def __init__(self, S, n_bits, pull, ridge, mu, published, rng, n_jobs):
        self.S, self.n_bits, self.mu, self.published, self.rng = S, n_bits, mu, published, rng
        self.settings: dict[str, Any] = {
            "n_bits": n_bits, "nu": pull, "regularization": ridge, "n_jobs": n_jobs, "certify": False,
        }  # fmt: skip

    def __call__(self, state, U):
        """Put new codes in `state`, and their objective at the end of its values."""
        from bqp import codes

        B = state.get("B")
        if B is None:
            B = self._start()
            if self.published:  # the net comes first
                state["B"] = B
                return
        refit = None if U is None else lambda B, bits: np.asarray(U, dtype=np.float64)[:, bits]
        if self.published:
            result = codes.discrete_cyclic(
                self.S, init=B, refit=refit, mode="published", max_iterations=1, **self.settings
            )
        else:
            result = codes.discrete_cyclic(self.S, init=B, refit=refit, **self.settings)
        if result.stats.get("stopped") == "interrupted":
            raise KeyboardInterrupt
        state["B"] = result.B
        state["values"] = np.append(state["values"], self.mu * result.objective)

    def _start(self):
        from bqp import codes
        from bqp.codes._common import random_codes
        from bqp.codes.predictable import predictable_codes

        if self.published:
            return random_codes(np.random.default_rng(self.rng), self.S.n, self.n_bits)
        settings, ridge = {**self.settings, "nu": 0.0}, self.settings["regularization"]
        plain = codes.discrete_cyclic(self.S, rng=self.rng, **settings)
        if plain.stats.get("stopped") == "interrupted":
            raise KeyboardInterrupt
        found = predictable_codes(self.S, self.n_bits, 1.01 * plain.objective, ridge, self.rng, self.settings["n_jobs"])
        return plain.B if found is None else found


class _PairLoss:
    """Likelihood of the pairs of a batch, and the mean of (b - u)^2 times eta."""

    def __init__(self, S, state, eta, device):
        from hashers.deep._torch import import_torch

        self.source, self.likelihood, self.eta = PairSource(S), DPSH(eta=0.0), eta
        self.B = import_torch().from_numpy(state["B"].astype(np.float32)).to(device)

    def __call__(self, outputs, rows):
        pairs = self.source.batch(rows.cpu().numpy(), outputs)
        return self.likelihood(outputs, pairs) + self.eta * (self.B[rows] - outputs).square().mean()


class _StaleLoss:
    """Likelihood of the pairs of a batch with the outputs of all points as they were last seen, as published."""

    def __init__(self, S, state, eta, device):
        from hashers.deep._torch import import_torch

        self.torch, self.S, self.state, self.eta, self.device = import_torch(), S, state, eta, device
        self.B = self.torch.from_numpy(state["B"].astype(np.float32)).to(device)
        self.known = np.flatnonzero(S.known)

    def __call__(self, outputs, rows):
        torch, rows = self.torch, rows.cpu().numpy()
        U = self.state["U"]
        U[rows] = outputs.detach().cpu().numpy()
        similar = np.asarray(self.S.T)[self.S.groups[rows]][:, self.S.groups[self.known]] > 0
        similar = torch.from_numpy(similar.astype(np.float32)).to(self.device)
        stale = torch.from_numpy(np.ascontiguousarray(U[self.known])).to(self.device)
        theta = (0.5 * (outputs @ stale.T)).clamp(LEAST, LARGEST)
        likelihood = (torch.nn.functional.softplus(theta) - similar * theta).mean()
        return likelihood + self.eta * (self.B[rows] - outputs).square().mean()

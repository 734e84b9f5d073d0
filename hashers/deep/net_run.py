"""A net in training by the loss of a hasher, instead of a function that is fitted to finished codes."""

import time

import joblib
import numpy as np

from bqp.callbacks import Event
from bqp.codes.result import CodeResult, CodeTrace
from hashers.deep._torch import quiet_torch
from hashers.deep.base import NetFeatures

__all__ = ["DeepHasher", "NetRun", "code_result", "start_codes"]

SOME_ROWS = 64
"""Rows of X that enter the fingerprint of a run."""


class DeepHasher(NetFeatures):
    """Base of hashers that train a net themselves; children give `_learn` and open a `NetRun` in it.

    `function` is a `NetFunction` that holds the settings of net and training; what it would be fitted to (its `loss`)
    plays no part.
    """

    def _check_net(self, function, validation=False):
        """Raise where the function is no net, or has settings that this method does not heed."""
        from hashers.functions.net import NetFunction

        name = type(self).__name__
        if not isinstance(function, NetFunction):
            raise ValueError(
                f"{name} trains a net by its own loss: function must be a NetFunction, not a "
                f"{type(function).__name__}. For another function use a two-step method such as TSH."
            )
        if function.validation is not None and (not validation or isinstance(function.validation, tuple | list)):
            wanted = "a share of the rows, or None" if validation else "None"
            raise ValueError(
                f"validation of the NetFunction is {type(function.validation).__name__}; with {name}, whose codes are "
                f"not known before training, it must be {wanted}."
            )
        if function.patience is not None and function.validation is None:
            raise ValueError(
                "patience counts epochs without a better validation loss, and there are no validation rows. "
                + ("Give validation as well." if validation else f"Leave it out with {name}.")
            )


class NetRun:
    """A net in training on the rows of a hasher.

    Parameters
    ----------
    hasher : DeepHasher
    X : hashers.deep.rows.Rows
    S : bqp.supervision.Similarity
    function : NetFunction
        The hasher's own; it ends as the trained function.
    n_bits : int
    seed : int
    progress : object
        Of `Hasher._learn`.
    epochs : int, optional
        Of the whole run; default as `function` has them.
    make_head : callable, optional
        ``make_head()`` gives a torch module that is trained beside the net and then dropped.

    Attributes
    ----------
    trainer : hashers.deep.training.Trainer
    head : torch.nn.Module or None
    """

    def __init__(self, hasher, X, S, function, n_bits, seed, progress, epochs=None, make_head=None):
        self.function, self.n_bits, self.progress = function, n_bits, progress
        if epochs is not None:
            function.set_params(epochs=epochs)
        self.net = function.net(X.shape[1], n_bits)
        weight = None if np.all(S.known) else np.asarray(S.known, dtype=np.float64)
        self.scaling = function.scaling(X, weight)
        self.shown = -1
        made = self.net if make_head is None else _WithHead(self.net, make_head)
        mark = _fingerprint(hasher, X, S, self.net, function.validation)
        self.trainer = function.trainer(made, X, self.scaling, seed, mark, self._show)
        self.head = None if make_head is None else self.trainer.module.head

    def outputs(self, rows=None):
        """Outputs of the net as it is, shape (n, n_bits), float64."""
        return self.trainer.outputs(rows).astype(np.float64)

    def alternate(self, n_rounds, step):
        """Discrete steps and epochs of the net in turn; goes on from a checkpoint where there is one.

        Parameters
        ----------
        n_rounds : int
            The epochs of the run are split evenly among them.
        step : callable
            ``step(k, state, is_new)`` prepares round k: with `is_new` it takes the discrete step, from `state` (a dict
            of arrays, kept in checkpoints, which it changes); else the step was taken before the run was killed. It
            gives the loss and the rows of the round, as `Trainer.fit` takes them.

        Notes
        -----
        Ctrl-C in a step leaves the state as it was before; in the first one, when there is nothing yet, it is raised.
        """
        trainer = self.trainer
        per_round = trainer.epochs // n_rounds
        trainer.resume()
        while trainer.epoch < per_round * n_rounds and not trainer.stopped:
            k, done = divmod(trainer.epoch, per_round)
            before = {name: array.copy() for name, array in trainer.extra.items()}
            try:
                loss, rows = step(k, trainer.extra, done == 0)
            except KeyboardInterrupt:
                if not before:
                    raise
                trainer.extra, trainer.stopped = before, "interrupt"
                return
            trainer.fit(loss, rows, until=(k + 1) * per_round)

    def conclude(self, step):
        """Take a last discrete step, ``step(state)``; Ctrl-C leaves the state as it was before."""
        trainer = self.trainer
        before = {name: array.copy() for name, array in trainer.extra.items()}
        try:
            step(trainer.extra)
        except KeyboardInterrupt:
            trainer.extra, trainer.stopped = before, "interrupt"

    def finish(self):
        """Keep the net in the function, and return that."""
        self.net.keep(self.trainer.module if self.head is None else self.trainer.module.net, self.scaling)
        self.function.bits_ = [(self.net, k) for k in range(self.n_bits)]
        self.function.n_bits_, self.function.n_features_in_ = self.n_bits, self.net.n_features
        self.function.history_ = self.trainer.history
        return self.function

    def _show(self, event):
        """Say at each epoch how far the training is."""
        if self.trainer.epoch != self.shown:
            self.shown = self.trainer.epoch
            if self.progress.callback is not None:
                done = int(self.trainer.progress * self.n_bits)
                self.progress.callback(Event(event.time, done, event.energy, event.lower_bound))
            self.progress.say(f"net, epoch {self.shown + 1} of {self.trainer.epochs}, loss {event.energy:.4g}")


def start_codes(S, n_bits, rng, n_jobs):
    """Codes near the optimum of the KSH loss."""
    from bqp import codes

    result = codes.learn(S, n_bits, rng=rng, n_jobs=n_jobs, certify=False)
    if result.stats.get("stopped") == "interrupted":  # no net yet that could be kept
        raise KeyboardInterrupt
    return result.B


def code_result(S, B, method, loss, values, began, stopped, **stats):
    """A `CodeResult` whose objective is the last of `values`, one a round, all of which are its trace."""
    seconds = time.perf_counter() - began
    values = np.asarray(values, dtype=np.float64)
    steps = np.arange(1, len(values) + 1)
    if stopped:
        stats["stopped"] = "interrupted" if stopped == "interrupt" else stopped
    return CodeResult(
        B=B,
        objective=float(values[-1]) if len(values) else float("nan"),
        lower_bound=-np.inf,
        ksh_objective=float(S.ksh_objective(B)),
        ksh_lower_bound=-np.inf,
        n_bits=B.shape[1],
        loss=loss,
        method=method,
        trace=CodeTrace(seconds * steps / max(len(steps), 1), steps, values),
        time=seconds,
        stats=stats,
    )


class _WithHead:
    """A net as `NetFunction.trainer` asks for it, with a second module whose parameters are trained as well."""

    def __init__(self, net, make_head):
        self.inner, self.make_head, self.image_shape = net, make_head, net.image_shape

    def untrained(self, seed):
        """A module with the parts `net` and `head` that gives the outputs of the first."""
        with quiet_torch(seed) as torch:

            class WithHead(torch.nn.Module):
                def __init__(self, net, head):
                    super().__init__()
                    self.net, self.head = net, head

                def forward(self, x):
                    return self.net(x)

            return WithHead(self.inner.untrained(seed), self.make_head())


def _fingerprint(hasher, X, S, net, validation):
    """A hash of what a run depends on beside the trainer's settings: method, supervision, net, some of X."""
    left_out = ("function", "verbose", "n_jobs", "random_state")
    parameters = hasher.get_params(deep=False).items()
    settings = sorted((name, repr(value)) for name, value in parameters if name not in left_out)
    some = X.take(np.unique(np.linspace(0, len(X) - 1, SOME_ROWS).astype(int)))
    return joblib.hash((type(hasher).__name__, settings, S, some, net.description(), validation))

"""A net trained end to end by one of the losses of deep hashing.

The losses and their papers: `hashers.deep.losses`. The form of them all, a loss of pairs on relaxed codes and a term
that pulls these to -1 and +1: X. Luo et al., "A Survey on Deep Hashing Methods", ACM TKDD 17, 2023.
"""

import time

import numpy as np

from hashers import packing
from hashers.deep import losses
from hashers.deep.batches import make_batches
from hashers.deep.losses.base import QUANTIZATIONS, PairSource, quantization_error
from hashers.deep.net_run import DeepHasher, NetRun, code_result
from hashers.deep.rows import hold_out
from hashers.functions.base import check_positive

__all__ = ["DeepHash"]

BATCHES = ("balanced", "random")


class DeepHash(DeepHasher):
    """Deep hashing by a loss of choice.

    Minimises the mean over batches of ``loss(f(X), pairs) + quantization_weight * hq(f(X))`` over the weights of a net
    f; codes are the signs of f.

    Parameters
    ----------
    n_bits : int
        Code length.
    loss : str or HashLoss
        "dpsh", "dhn", "dsh", "hashnet", "greedyhash", "dch", "mmhh", "triplet", "mihash", "talr" or "dmdh"; or an
        object with settings of your own, such as ``hashers.deep.losses.DSH(margin=2.0)``. "greedyhash" needs labels;
        all others learn from pairs and matrices as well.
    quantization : {None, "squared", "absolute"}
        hq, beside the term that belongs to the loss: mean of (|h| - 1)^2 or of ||h| - 1| over relaxed codes h.
    quantization_weight : float
    function : NetFunction, optional
        Settings of net and training; its `loss` plays no part. ``NetFunction(image_shape=(28, 28))`` takes rows for
        images. `validation` may be a share of the rows: the weights with the least loss on them are kept.
    batches : {"balanced", "random"}
        "balanced": each label (or label set's label) has as many rows in a batch as any other. Pairs come with
        neighbours of both kinds either way.
    random_state : int, RandomState instance or None
    verbose : int
        1 shows a bar on the standard error stream.
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        What the net gives for the training points: there are no other learned codes.
    result_ : bqp.codes.CodeResult
        ``objective`` is the mean loss in the last epoch, `trace` that of every epoch.
    function_ : NetFunction
        The trained net; ``function_.history_`` tells of each epoch.
    n_bits_, n_features_in_ : int

    Raises
    ------
    BackendNotFound
        From `fit`, where torch is not installed.

    Notes
    -----
    Why balanced batches: a loss sees the pairs inside a batch. Of a hundred classes a random batch of 128 rows has
    about one similar pair a row, of unequal classes mostly those of the largest, and losses of rankings and triplets
    get nothing from a row without one.

    A batch of b costs its b forward and backward passes and O(b^2 q), "mihash" and "talr" O(b^2 q) memory, "triplet"
    O(b^3). A checkpoint of `function` is taken up by a later `fit` of the same data with the same result, bit for bit
    on the CPU; Ctrl-C keeps the net as it is.

    Examples
    --------
    >>> from hashers.functions import NetFunction
    >>> hasher = DeepHash(n_bits=16, loss="hashnet", function=NetFunction(epochs=5), random_state=0)
    >>> hasher.loss, hasher.batches
    ('hashnet', 'balanced')
    """

    def __init__(
        self,
        n_bits=32,
        loss="dpsh",
        quantization=None,
        quantization_weight=0.1,
        function=None,
        batches="balanced",
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
    ):
        self.n_bits = n_bits
        self.loss = loss
        self.quantization = quantization
        self.quantization_weight = quantization_weight
        self.function = function
        self.batches = batches
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled

    def _learn(self, X, S, function, n_bits, n_jobs, rng, progress):
        began = time.perf_counter()
        self._check_net(function, validation=True)
        loss = losses.get(self.loss)
        if self.quantization not in QUANTIZATIONS:
            raise ValueError(f'quantization must be None, "squared" or "absolute": {self.quantization!r}.')
        strength = check_positive(self.quantization_weight, "quantization_weight", zero=True)
        if self.batches not in BATCHES:
            raise ValueError(f"batches must be one of {', '.join(BATCHES)}: {self.batches!r}.")
        source = PairSource(S)
        if loss.needs_labels and not source.n_labels:
            raise ValueError(
                f"the loss {type(loss).__name__} predicts labels, and pairs, groups or a matrix of similarities have "
                'none. Call fit with labels or label sets, or use a loss of pairs such as "dpsh".'
            )
        make_head = (lambda: loss.make_head(n_bits, source.n_labels)) if loss.needs_labels else None
        run = NetRun(self, X, S, function, n_bits, rng, progress, make_head=make_head)
        trainer = run.trainer
        term = _BatchLoss(loss, source, self.quantization, strength, run.head, trainer.epochs)
        train, held = np.flatnonzero(S.known), None
        if function.validation is not None:
            train, held = hold_out(train, function.validation, rng)
        inside = S if held is None and len(train) == S.n else S.restrict(train)
        local = make_batches(inside, trainer.batch_size, self.batches == "balanced")
        trainer.resume()
        trainer.fit(
            term,
            lambda stream: [train[batch] for batch in local(stream)],
            validate=None if held is None else lambda: trainer.mean_loss(term, held, batch_size=trainer.batch_size),
        )
        B = packing.signs(run.outputs())
        values = [entry["loss"] for entry in trainer.history]
        result = code_result(S, B, "deephash", type(loss).__name__, values, began, trainer.stopped)
        return result, run.finish()


class _BatchLoss:
    """A loss as the trainer calls it."""

    def __init__(self, loss, source, quantization, strength, head, epochs):
        self.loss, self.source, self.head = loss, source, head
        self.quantization, self.strength = quantization, strength
        self.epochs, self.progress = epochs, 1.0

    def start_epoch(self, share):
        """Schedules reach their last value in the last epoch."""
        self.progress = min(1.0, share + 1.0 / self.epochs)

    def __call__(self, outputs, rows):
        pairs = self.source.batch(rows.cpu().numpy(), outputs)
        value = self.loss(outputs, pairs, self.progress, self.head)
        if self.quantization is None:
            return value
        H = self.loss.codes(outputs, self.progress)
        return value + self.strength * quantization_error(H, pairs.known, self.quantization)

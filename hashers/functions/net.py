"""A neural net as a hash function: all bits share its layers, each has its own margin.

Two-step hashing with nets: R. Xia, Y. Pan, H. Lai, C. Liu and S. Yan, "Supervised hashing for image retrieval via image
representation learning", AAAI 2014; B. Zhuang, G. Lin, C. Shen and I. Reid, "Fast training of triplet-based deep binary
embedding networks", CVPR 2016. The head of slices: H. Lai et al., CVPR 2015 (see `hashers.deep.modules`).
"""

import hashlib
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from hashers import packing
from hashers.functions.base import HashFunction, check_count, check_positive, check_targets

__all__ = ["NetFunction"]

MODULES = ("auto", "mlp", "conv")
EPOCH_ROWS = 1000.0
"""Default epochs are this over the root of the number of rows, between the following two."""
EPOCHS = 8, 100


class NetFunction(HashFunction):
    """A net with one output a bit, trained by AdamW.

    Minimises the weighted mean over rows i and bits k of l(b_ik, f_k(x_i)), l the logistic, hinge or squared loss.

    Parameters
    ----------
    module : {"auto", "mlp", "conv"} or torch.nn.Module
        "mlp": hidden layers, normalised and rectified. "conv": a plain net of 3 x 3 convolutions for images. "auto":
        "conv" with `image_shape`, else "mlp". A module of your own gives features (b, width) for (b, n_features), for
        (b, channels, height, width) with `image_shape`; if its last layer is `torch.nn.Linear`, that is replaced by
        the layer of bits, else it is followed by it. Copied; training starts from its weights, and parameters with
        ``requires_grad=False`` stay as they are.
    image_shape : tuple of int, optional
        (height, width) or (channels, height, width) of a row of X.
    head : {"linear", "divide"}
        "divide": each bit sees its own slice of the last features.
    loss : {"logistic", "hinge", "squared"}
        "squared" also takes real targets (`fit_targets`).
    n_hidden : sequence of int, optional
        Hidden layers; default (512, 256) of "mlp", (256,) of "conv", behind the convolutions.
    n_channels : sequence of int
        Channels of the convolutions of "conv"; 2 x 2 pixels are pooled after the first, the third, ..., the last.
    dropout : float
        Share of hidden features that training leaves out at random.
    epochs : int, optional
        Passes over the rows; default 1000 / sqrt(rows), at least 8 and at most 100.
    batch_size : int
    learning_rate : float
        Largest one.
    weight_decay : float
    schedule : {"one_cycle", "constant"}
    validation : float or tuple (X, B), optional
        A share of the rows, held out at random, or other rows with their codes: the weights of the epoch with the least
        loss on them are kept. Default none: the last weights.
    patience : int, optional
        Epochs without a lower loss on the validation rows after which training ends; default never.
    augment : "auto" or sequence of {"flip", "shift"}
        Random changes of images in training. "auto": ("shift",) with `image_shape`, else none. Add "flip" where a
        mirror image is of the same class.
    max_shift : int
        Pixels.
    standardize : "auto" or bool
        Whether features are brought to mean 0 and deviation 1 (each channel of images as a whole). "auto": for all but
        modules of your own.
    device : str
        "auto": a CUDA device where there is one, else the CPU.
    mixed_precision : bool
        Whether a CUDA device computes in half precision; no effect on the CPU.
    n_threads : int, optional
        Threads on the CPU; default what torch is set to. Sums of another number of threads are rounded otherwise.
    checkpoint : str or Path, optional
        File that is written after each epoch and that a later `fit` of the same data goes on from; with an int as
        `random_state`.
    callback : callable, optional
        Gets a `bqp.callbacks.Event` after each batch (``energy`` is the mean loss of the epoch so far); returning True
        stops.
    warm_start : bool
        Whether `fit` starts from the weights of the last one (with as many features).
    random_state : int, RandomState instance or None
    verbose : int
        1 shows a bar on the standard error stream.

    Attributes
    ----------
    bits_ : list of (TrainedNet, int)
        By bit, a net and which of its outputs gives the margin.
    history_ : list of dict
        ``epoch``, ``loss``, ``validation``, ``learning_rate`` of each epoch.
    n_bits_, n_features_in_ : int

    Raises
    ------
    BackendNotFound
        From `fit` and `decision_function`, where torch is not installed.

    Notes
    -----
    X may be uint8 or float32 and is then not copied; memory maps are read a batch at a time; a torch ``Dataset``
    gives features, or tuples that begin with them. A sparse X is refused. Ctrl-C ends training and keeps the best
    weights so far. On the CPU a seed gives the same net, bit for bit, for one number of threads. Net and margins are
    float32: a margin may differ in its last digits with the rows that share its batch.

    Examples
    --------
    >>> function = NetFunction(epochs=20, random_state=0)
    >>> function.head, function.module
    ('linear', 'auto')
    """

    _per_bit = ("bits_",)

    def __init__(
        self,
        module="auto",
        image_shape=None,
        head="linear",
        loss="logistic",
        n_hidden=None,
        n_channels=(32, 64, 64, 128),
        dropout=0.1,
        epochs=None,
        batch_size=128,
        learning_rate=2e-3,
        weight_decay=1e-2,
        schedule="one_cycle",
        validation=None,
        patience=None,
        augment="auto",
        max_shift=2,
        standardize="auto",
        device="auto",
        mixed_precision=True,
        n_threads=None,
        checkpoint=None,
        callback=None,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.module = module
        self.image_shape = image_shape
        self.head = head
        self.loss = loss
        self.n_hidden = n_hidden
        self.n_channels = n_channels
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.validation = validation
        self.patience = patience
        self.augment = augment
        self.max_shift = max_shift
        self.standardize = standardize
        self.device = device
        self.mixed_precision = mixed_precision
        self.n_threads = n_threads
        self.checkpoint = checkpoint
        self.callback = callback
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @property
    def takes_targets(self):
        return self.loss == "squared"

    def net(self, n_features, n_outputs):
        """The net of these settings, untrained.

        Parameters
        ----------
        n_features, n_outputs : int

        Returns
        -------
        net : hashers.deep.trained.TrainedNet
            ``net.untrained(seed)`` is its torch module.
        """
        from hashers.deep.augmentation import check_image_shape
        from hashers.deep.modules import conv_layers, head_layers, mlp_layers
        from hashers.deep.trained import TrainedNet

        _check_choice(self.head, "head", ("linear", "divide"))
        shape = None if self.image_shape is None else check_image_shape(self.image_shape, n_features)
        own = {"image_shape": shape, "n_features": n_features, "n_outputs": n_outputs, "head": self.head}
        if not isinstance(self.module, str):
            return TrainedNet(module=_check_module(self.module), **own)
        _check_choice(self.module, "module", MODULES)
        kind = ("mlp" if shape is None else "conv") if self.module == "auto" else self.module
        dropout = check_positive(self.dropout, "dropout", zero=True)
        if dropout >= 1:
            raise ValueError(f"dropout must be a share below 1: {self.dropout!r}.")
        if kind == "conv" and shape is None:
            raise ValueError('module="conv" needs image_shape, (height, width) or (channels, height, width) of a row.')
        n_hidden = self.n_hidden if self.n_hidden is not None else (512, 256) if kind == "mlp" else (256,)
        n_hidden = [check_count(n, "n_hidden", least=1) for n in n_hidden]
        if kind == "mlp":
            layers, width = mlp_layers(n_features, n_hidden, dropout)
        else:
            n_channels = [check_count(n, "n_channels", least=1) for n in self.n_channels]
            layers, width = conv_layers(shape, n_channels, n_hidden, dropout)
        return TrainedNet(layers=layers + head_layers(width, n_outputs, self.head), **own)

    def trainer(self, net, rows, scaling, seed, fingerprint="", callback=None):
        """A `hashers.deep.training.Trainer` of these settings.

        Parameters
        ----------
        net : hashers.deep.trained.TrainedNet
        rows : hashers.deep.rows.Rows
        scaling : hashers.deep.rows.Scaling
        seed : int
        fingerprint : str
            See `Trainer`.
        callback : callable, optional
            Called beside that of the settings.

        Returns
        -------
        trainer : Trainer
        """
        from bqp.callbacks import chain
        from hashers.deep.augmentation import Augmentation
        from hashers.deep.training import SCHEDULES, Trainer

        _check_choice(self.schedule, "schedule", SCHEDULES)
        patience = None if self.patience is None else check_count(self.patience, "patience", least=1)
        n_threads = None if self.n_threads is None else check_count(self.n_threads, "n_threads", least=1)
        augmentation = None
        if net.image_shape is not None:
            kinds = ("shift",) if isinstance(self.augment, str) and self.augment == "auto" else self.augment
            max_shift = check_count(self.max_shift, "max_shift", least=0)
            augmentation = Augmentation(kinds or (), net.image_shape, max_shift)
        elif not (isinstance(self.augment, str) and self.augment == "auto") and self.augment:
            raise ValueError(f"augment={self.augment!r} changes images: give image_shape, or leave it out.")
        return Trainer(
            net.untrained(seed),
            rows,
            scaling=scaling,
            epochs=self.n_epochs(len(rows)),
            batch_size=check_count(self.batch_size, "batch_size", least=1),
            learning_rate=check_positive(self.learning_rate, "learning_rate"),
            weight_decay=check_positive(self.weight_decay, "weight_decay", zero=True),
            schedule=self.schedule,
            patience=patience,
            augmentation=augmentation,
            device=self.device,
            mixed_precision=self.mixed_precision,
            seed=seed,
            n_threads=n_threads,
            callback=chain(self.callback, callback),
            checkpoint=self.checkpoint,
            fingerprint=fingerprint,
        )

    def n_epochs(self, n):
        """Epochs for n rows."""
        if self.epochs is None:
            return int(np.clip(EPOCH_ROWS / np.sqrt(n), *EPOCHS))
        return check_count(self.epochs, "epochs", least=1)

    def scaling(self, rows, weight=None):
        """The `hashers.deep.rows.Scaling` of these settings for training rows."""
        from hashers.deep.augmentation import check_image_shape
        from hashers.deep.rows import Scaling

        d = rows.shape[1]
        wanted = isinstance(self.module, str) if isinstance(self.standardize, str) else bool(self.standardize)
        if isinstance(self.standardize, str) and self.standardize != "auto":
            raise ValueError(f'standardize must be "auto", True or False: {self.standardize!r}.')
        if not wanted:
            return Scaling.none(d)
        return Scaling.of(rows, None if self.image_shape is None else check_image_shape(self.image_shape, d), weight)

    def _check_features(self, X, reset):
        from hashers.deep.rows import check_rows

        return check_rows(self, X, reset)

    def _fit(self, X, B, weight):
        from hashers.deep.bit_loss import BIT_LOSSES, BitLoss
        from hashers.deep.progress import EpochBar

        _check_choice(self.loss, "loss", BIT_LOSSES)
        n, q = B.shape
        if self.loss != "squared" or B.dtype == np.int8:
            factor, targets = np.ones(q), B
        else:
            factor = np.sqrt((B**2).mean(axis=0))
            factor[factor == 0] = 1.0
            targets = B / factor
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        train, validation = self._split(n, weight, seed)
        net = self.net(X.shape[1], q)
        scaling = self.scaling(X, weight)
        held_codes = np.asarray(self.validation[1]) if isinstance(self.validation, tuple | list) else validation
        mark = _fingerprint(net, self.loss, X, targets, weight, held_codes)
        with EpochBar(self.verbose) as bar:
            trainer = self.trainer(net, X, scaling, seed, mark, bar.callback)
            bar.trainer = trainer
            if self.warm_start and hasattr(self, "bits_") and self.bits_[0][0].n_features == X.shape[1]:
                self.bits_[0][0].start(trainer.module)
            loss = BitLoss(targets, weight, self.loss, trainer.device)
            validate = self._validate(trainer, loss, train, validation, factor)
            trainer.resume()
            trainer.fit(loss, train, validate=validate)
        self.history_ = trainer.history
        net.keep(trainer.module, scaling, factor)
        self.bits_ = [(net, k) for k in range(q)]

    def _split(self, n, weight, seed):
        """Rows to train on, and rows held out (None without, or with validation rows of one's own)."""
        from hashers.deep.rows import hold_out

        counted = np.arange(n) if weight is None else np.flatnonzero(weight > 0)
        share = self.validation
        if isinstance(share, tuple | list) and len(share) != 2:
            raise ValueError(f"validation must be a share, a tuple (X, B), or None: {len(share)} entries came.")
        if share is None or isinstance(share, tuple | list):
            return counted, None
        if isinstance(share, bool) or not isinstance(share, Real) or not 0 < float(share) < 1:
            raise ValueError(f"validation must be a share between 0 and 1, a tuple (X, B), or None: {share!r}.")
        train, held = hold_out(counted, share, seed)
        return train, np.sort(held)

    def _validate(self, trainer, loss, train, held, factor):
        """The callable that gives the loss on validation rows, or None."""
        from hashers.deep.bit_loss import BitLoss

        if held is not None:
            return lambda: trainer.mean_loss(loss, held)
        if self.validation is None:
            if self.patience is not None:
                raise ValueError("patience counts epochs without a better validation loss: give validation as well.")
            return None
        X, B = self.validation
        source = self._check_features(X, reset=False)
        targets: Any = check_targets(B) / factor if self.takes_targets else packing.check_codes(B, "B of validation")
        if targets.shape != (len(source), self.n_bits_):
            raise ValueError(
                f"the codes for validation have shape {targets.shape}: {len(source)} rows and {self.n_bits_} bits are "
                "needed."
            )
        other = BitLoss(targets, None, self.loss, trainer.device)
        return lambda: trainer.mean_loss(other, np.arange(len(source)), source)

    def _margins(self, X):
        nets: dict[int, list[int]] = {}
        for k, (net, _) in enumerate(self.bits_):
            nets.setdefault(id(net), []).append(k)
        margins = np.empty((len(X), self.n_bits_))
        for bits in nets.values():
            outputs = self.bits_[bits[0]][0].outputs(X, self.device, self.n_threads)
            margins[:, bits] = outputs[:, [self.bits_[k][1] for k in bits]]
        wrong = ~np.isfinite(margins).all(axis=1)
        if wrong.any():
            raise ValueError(
                f"the net gives NaN or infinity for row {int(np.argmax(wrong))} of X: its features are NaN, or too far "
                "from those of fit for float32. Scale X as the rows of fit were scaled."
            )
        return margins

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags


def _fingerprint(net, loss, rows, targets, weight, held):
    """A hash of what a run depends on beside the trainer's settings: net, loss, targets, weights, some features."""
    seal = hashlib.sha256(repr((net.description(), loss)).encode())
    some = np.unique(np.linspace(0, len(rows) - 1, 64).astype(int))
    for array in (targets, weight, held, rows.take(some)):
        seal.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return seal.hexdigest()


def _check_module(module):
    """A torch module, not a class."""
    from hashers.deep._torch import import_torch

    torch = import_torch()
    if isinstance(module, type) or not isinstance(module, torch.nn.Module):
        raise ValueError(f"module must be one of {', '.join(MODULES)}, or an instance of torch.nn.Module: {module!r}.")
    return module


def _check_choice(value, name, choices):
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}: {value!r}.")

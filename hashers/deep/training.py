"""Train a net: a plain loop over epochs and batches, which a kill, an interrupt or a second fit does not disturb.

AdamW (I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019) with a one-cycle learning rate
(L. N. Smith and N. Topin, "Super-convergence", 2018, with the cosines of the common implementations). A loss is any
callable that gets the outputs of a batch and the rows it is made of, so that targets of bits, pairs inside a batch and
a fixed set of codes all look the same from here:

    def loss(outputs, rows):        # tensor (b, q) with gradient; int64 tensor (b,), rows of the training features
        return ((outputs - targets[rows]) ** 2).mean()

    trainer = Trainer(module, Rows(X), epochs=20, seed=0)
    trainer.fit(loss)                               # all epochs; or a few at a time, from present weights:
    trainer.fit(loss, until=5)
    trainer.fit(other_loss, rows=chosen, until=20)
    U = trainer.outputs()

Everything random in an epoch follows from the seed and the number of the epoch: a run resumed at an epoch goes on as if
nothing had happened.
"""

import logging
import math
import time
from pathlib import Path

import numpy as np

from bqp.callbacks import Event
from hashers.deep._torch import import_torch, quiet_torch
from hashers.deep.checkpoints import read_checkpoint, write_checkpoint
from hashers.deep.rows import Rows, Scaling

__all__ = ["SCHEDULES", "Trainer", "choose_device", "one_cycle"]

logger = logging.getLogger("hashers")

SCHEDULES = ("one_cycle", "constant")

HASHED = {
    "fingerprint": " (a hash of rows, supervision, net and settings of the method)",
    "scaling": " (a hash of means and deviations of the features)",
}
"""What settings that are hashes are made of."""


def one_cycle(share, warm=0.3, start=25.0, end=1e4):
    """Factor of the largest learning rate when a share of the training is done.

    Up from 1 / `start` by half a cosine until the share `warm`, then down to 1 / (`start` `end`).

    Examples
    --------
    >>> [round(one_cycle(share), 3) for share in (0.0, 0.3, 0.65, 1.0)]
    [0.04, 1.0, 0.5, 0.0]
    """
    low, least = 1 / start, 1 / (start * end)
    if share < warm:
        return low + (1 - low) * (1 - math.cos(math.pi * share / warm)) / 2
    done = min((share - warm) / (1 - warm), 1.0)
    return least + (1 - least) * (1 + math.cos(math.pi * done)) / 2


def choose_device(device="auto"):
    """A `torch.device`: the one named, or "auto": the current CUDA device where there is one, else the CPU.

    Raises
    ------
    ValueError
        If the device is unknown or not there.
    """
    torch = import_torch()
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, TypeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f'device {device!r} cannot be used ({first}). Use "auto" or "cpu".') from error
    return chosen


class Trainer:
    """A module with its optimiser, its training features and the state of a run.

    Parameters
    ----------
    module : torch.nn.Module
        Takes a float32 tensor (b, n_features), gives outputs (b, n_outputs). Moved to the device, trained in place.
    rows : Rows
        Training features.
    scaling : Scaling, optional
        Applied to each batch; default none.
    epochs : int
        Epochs of the whole run, over all calls of `fit`: the learning rate follows the share that is done.
    batch_size : int
        Most rows of a batch. The rows of an epoch are split evenly.
    learning_rate : float
        Largest learning rate.
    weight_decay : float
        Of AdamW.
    schedule : {"one_cycle", "constant"}
    patience : int, optional
        Epochs without a better validation value after which `fit` ends; default never.
    augmentation : Augmentation, optional
        Of images.
    device : str or torch.device
        "auto", "cpu", "cuda", ...
    mixed_precision : bool
        Whether a CUDA device computes in bfloat16 (float16 with scaled gradients where it has none); no effect on CPU.
    seed : int
        Order of rows, augmentation, dropout.
    n_threads : int, optional
        Threads of torch on the CPU; default as they are. Sums of another number of threads are rounded otherwise: one
        seed gives one result for one number of threads.
    callback : callable, optional
        Called after each batch with an `Event`: ``n_moves`` counts batches, ``energy`` is the mean loss of the epoch so
        far. Returning True stops.
    checkpoint : str or Path, optional
        File that is replaced after each epoch, and from which `resume` goes on.
    fingerprint : str
        What else the run depends on (a hash of its targets, say): a checkpoint of another fingerprint is refused.

    Attributes
    ----------
    epoch : int
        Epochs done, over all calls of `fit`.
    history : list of dict
        Of each epoch: ``epoch``, ``loss``, ``validation`` (None without), ``learning_rate`` at its end.
    stopped : str
        "", or what ended the run: "callback" or "interrupt". A stopped trainer trains no more.
    extra : dict of str to ndarray
        Kept in checkpoints: the state of a method around the net (codes, say). Set it before `fit`.
    device : torch.device

    Notes
    -----
    An epoch reads each row once; memory is that of the module, three times its weights for the optimiser, one batch,
    and with validation a copy of the best weights. On the CPU the same seed gives the same weights, bit for bit,
    also when the run was killed and resumed. Global random states and torch's number of threads are restored.

    Ctrl-C ends `fit` without an error: the module keeps its best weights so far, its present ones without validation.
    """

    def __init__(
        self,
        module,
        rows,
        *,
        scaling=None,
        epochs=30,
        batch_size=128,
        learning_rate=2e-3,
        weight_decay=1e-2,
        schedule="one_cycle",
        patience=None,
        augmentation=None,
        device="auto",
        mixed_precision=True,
        seed=0,
        n_threads=None,
        callback=None,
        checkpoint=None,
        fingerprint="",
    ):
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}: {schedule!r}.")
        self.torch = import_torch()
        self.device = choose_device(device)
        self.module = module.to(self.device)
        if augmentation is not None:  # images: the layout that convolutions prefer
            self.module = self.module.to(memory_format=self.torch.channels_last)
        self.rows = rows if isinstance(rows, Rows) else Rows(rows)
        self.scaling = Scaling.none(self.rows.shape[1]) if scaling is None else scaling
        self.epochs, self.batch_size, self.schedule, self.patience = epochs, batch_size, schedule, patience
        self.learning_rate, self.augmentation = learning_rate, augmentation
        self.seed, self.n_threads, self.callback = seed, n_threads, callback
        self.checkpoint = checkpoint
        if checkpoint is not None and not Path(checkpoint).absolute().parent.is_dir():
            raise FileNotFoundError(f"checkpoint {checkpoint}: its folder does not exist. Create it, or name another.")
        self.parameters = [p for p in self.module.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError("the module has no parameters to train: every one is missing or has requires_grad=False.")
        self.optimizer = self.torch.optim.AdamW(self.parameters, lr=learning_rate, weight_decay=weight_decay)
        self.amp = self._precision(mixed_precision)
        self.scaler = self.torch.amp.GradScaler("cuda", enabled=self.amp is self.torch.float16)
        self.settings = {
            "rows": list(self.rows.shape),
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "schedule": schedule,
            "patience": patience,
            "augmentation": None if augmentation is None else augmentation.settings(),
            "seed": seed,
            "scaling": self.scaling.fingerprint(),
            "fingerprint": fingerprint,
        }
        self.epoch = self.n_batches = self.stale = 0
        self.best: dict | None = None
        self.best_value = math.inf
        self.history: list[dict] = []
        self.stopped = ""
        self.extra: dict[str, np.ndarray] = {}
        self.started = time.perf_counter()

    def fit(self, loss, rows=None, until=None, validate=None):
        """Train from present weights.

        Parameters
        ----------
        loss : callable
            ``loss(outputs, rows)``: outputs of a batch, float32 tensor (b, n_outputs); its rows, int64 tensor (b,) on
            the device. Returns the mean loss of the batch, a tensor with one element. If it has a method
            ``start_epoch(share)``, that is called before each epoch with the share of all epochs that is done.
        rows : array-like of int, or callable, optional
            Rows to train on; default all. Or ``rows(stream)``, the batches of an epoch as a list of int arrays, given a
            numpy Generator that follows from the seed and the epoch.
        until : int, optional
            Train until `epoch` is this; default `epochs`.
        validate : callable, optional
            ``validate()`` gives a number after each epoch, the smaller the better (see `mean_loss`). The module ends
            with the weights of the best epoch of this call.

        Returns
        -------
        self : Trainer

        Raises
        ------
        ValueError
            If the loss is NaN or infinite; weights are those before that batch.
        """
        if not callable(rows):
            rows = np.arange(len(self.rows)) if rows is None else np.asarray(rows)
        until = self.epochs if until is None else until
        with quiet_torch(n_threads=self.n_threads, device=self.device):
            try:
                while self.epoch < until and not self.stopped and not self._exhausted():
                    self._train_epoch(loss, rows)
                    if self.stopped:
                        break
                    self._end_epoch(validate)
            except KeyboardInterrupt:
                self.stopped = "interrupt"
                logger.info("interrupted in epoch %d", self.epoch + 1)
            finally:
                self.module.eval()
        self._keep_best()
        return self

    def outputs(self, rows=None, source=None, batch_size=1024):
        """Outputs of the module as it is, in evaluation mode.

        Parameters
        ----------
        rows : array-like of int, optional
            Default all.
        source : Rows, optional
            Other features than the training ones.
        batch_size : int

        Returns
        -------
        outputs : ndarray of shape (n, n_outputs), float32
        """
        source = self.rows if source is None else source
        rows = np.arange(len(source)) if rows is None else np.asarray(rows)
        parts = []
        with quiet_torch(n_threads=self.n_threads), self.torch.no_grad():
            self.module.eval()
            for start in range(0, max(len(rows), 1), batch_size):
                x = self._batch(source, rows[start : start + batch_size])
                parts.append(self._forward(x).cpu().numpy())
        return np.concatenate(parts)

    def mean_loss(self, loss, rows, source=None, batch_size=1024):
        """Mean of a loss over rows, in evaluation mode; `loss` gets positions in `source` (default: training rows)."""
        source = self.rows if source is None else source
        rows = np.asarray(rows)
        total = 0.0
        with quiet_torch(n_threads=self.n_threads), self.torch.no_grad():
            self.module.eval()
            for start in range(0, len(rows), batch_size):
                part = rows[start : start + batch_size]
                value = loss(self._forward(self._batch(source, part)), self._index(part))
                total += float(value) * len(part)
        return total / len(rows)

    @property
    def progress(self):
        """Share of all epochs that is done."""
        return self.epoch / self.epochs

    def resume(self):
        """Go on from the checkpoint, if there is one.

        Returns
        -------
        resumed : bool
            Whether there was one: module, optimiser, history and `extra` are then as at the end of its last epoch.

        Raises
        ------
        ValueError
            If it belongs to another run; the message names what differs.
        ModelFileError
            If it is damaged.
        """
        found = None if self.checkpoint is None else read_checkpoint(self.checkpoint)
        if found is None:
            return False
        state, tensors = found
        for name, mine in self.settings.items():
            theirs = state["settings"].get(name)
            if theirs != mine:
                about = HASHED.get(name, "")
                raise ValueError(
                    f"the checkpoint {self.checkpoint} belongs to another run: its {name}{about} is {theirs!r}, here "
                    f"it is {mine!r}. Name another file, or delete it to start anew."
                )
        parts = {"module": {}, "best": {}, "extra": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, _, key = name.partition("/")
            parts[part][key] = tensor
        self.module.load_state_dict(parts["module"])
        self.best = parts["best"] or None
        self.extra = {key: tensor.numpy() for key, tensor in parts["extra"].items()}
        self._load_optimizer(parts["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.n_batches, self.stale = state["epoch"], state["n_batches"], state["stale"]
        self.history = state["history"]
        self.best_value = math.inf if state["best_value"] is None else state["best_value"]
        logger.info("resumed at epoch %d from %s", self.epoch, self.checkpoint)
        return True

    def save_checkpoint(self):
        """Write the state of the run to `checkpoint`; `fit` does so after each epoch."""
        parts = {"module": self.module.state_dict(), "best": self.best or {}, "optimizer": self._optimizer_state()}
        parts["extra"] = {key: self.torch.from_numpy(np.ascontiguousarray(a)) for key, a in self.extra.items()}
        tensors = {f"{part}/{key}": tensor for part, entries in parts.items() for key, tensor in entries.items()}
        state = {
            "settings": self.settings,
            "epoch": self.epoch,
            "n_batches": self.n_batches,
            "stale": self.stale,
            "history": self.history,
            "best_value": None if math.isinf(self.best_value) else self.best_value,
            "scaler": self.scaler.state_dict(),
        }
        write_checkpoint(self.checkpoint, state, tensors)

    def _train_epoch(self, loss, rows):
        """One pass over the rows in random order, or over the batches that `rows` gives."""
        stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, self.epoch])))
        self.torch.manual_seed(int(stream.integers(2**62)))
        if hasattr(loss, "start_epoch"):
            loss.start_epoch(self.progress)
        if callable(rows):
            batches = rows(stream)
        else:
            batches = np.array_split(stream.permutation(rows), max(1, math.ceil(len(rows) / self.batch_size)))
        total, seen = 0.0, 0
        self.module.train()
        if min(map(len, batches)) == 1:  # a batch of one row has no variance
            _freeze_statistics(self.module, self.torch)
        for k, batch in enumerate(batches):
            self._set_learning_rate((self.epoch + k / len(batches)) / self.epochs)
            x = self._batch(self.rows, batch)
            if self.augmentation is not None:
                x = self.augmentation(x, stream)
            total += self._step(loss, x, self._index(batch)) * len(batch)
            seen += len(batch)
            self.n_batches += 1
            if self.callback is not None:
                event = Event(time.perf_counter() - self.started, self.n_batches, total / seen, -math.inf)
                if self.callback(event):
                    self.stopped = "callback"
                    return
        rate = self.optimizer.param_groups[0]["lr"]
        self.history.append({"epoch": self.epoch + 1, "loss": total / seen, "validation": None, "learning_rate": rate})

    def _step(self, loss, x, rows):
        """One step of the optimiser; returns the loss before it."""
        with self.torch.inference_mode(False), self.torch.enable_grad():
            value = loss(self._forward(x), rows)
            number = float(value.detach())
            if not math.isfinite(number):
                raise ValueError(
                    f"the loss is {number} in epoch {self.epoch + 1} at a learning rate of "
                    f"{self.optimizer.param_groups[0]['lr']:.3g}. Lower learning_rate, and look for NaN, infinity or "
                    "values of extreme size in what a dataset or module gives."
                )
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(value).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return number

    def _end_epoch(self, validate):
        """Count the epoch, validate, keep the best weights, write the checkpoint."""
        self.epoch += 1
        entry = self.history[-1]
        if validate is not None:
            value = entry["validation"] = float(validate())
            if not math.isfinite(value):
                raise ValueError(
                    f"the validation value is {value} after epoch {self.epoch}: it must be a finite number. Look for "
                    "NaN or infinity in the validation rows."
                )
            if value < self.best_value:
                self.best_value, self.stale = value, 0
                self.best = {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}
            else:
                self.stale += 1
        logger.info(
            "epoch %d of %d: loss %.5g, validation %s", self.epoch, self.epochs, entry["loss"], entry["validation"]
        )
        if self.checkpoint is not None:
            self.save_checkpoint()

    def _exhausted(self):
        return self.patience is not None and self.stale >= self.patience

    def _keep_best(self):
        """Load the best weights of this call; the next call may have another loss, so it compares anew."""
        if self.best is not None:
            self.module.load_state_dict(self.best)
        self.best, self.best_value, self.stale = None, math.inf, 0

    def _set_learning_rate(self, share):
        factor = one_cycle(share) if self.schedule == "one_cycle" else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * factor

    def _batch(self, source, rows):
        x = self.scaling(source.take(rows))
        return self.torch.from_numpy(np.ascontiguousarray(x)).to(self.device)

    def _index(self, rows):
        return self.torch.from_numpy(np.asarray(rows, dtype=np.int64)).to(self.device)

    def _forward(self, x):
        if self.amp is None:
            return self.module(x)
        with self.torch.autocast("cuda", dtype=self.amp):
            outputs = self.module(x)
        return outputs.float()

    def _precision(self, mixed):
        if not mixed or self.device.type != "cuda":
            return None
        return self.torch.bfloat16 if self.torch.cuda.is_bf16_supported() else self.torch.float16

    def _optimizer_state(self):
        states = [self.optimizer.state.get(p, {}) for p in self.parameters]
        return {f"{k}/{name}": tensor for k, state in enumerate(states) for name, tensor in state.items()}

    def _load_optimizer(self, tensors):
        """Fill the optimiser's state; what is as large as a parameter gets its layout in memory."""
        for name, tensor in tensors.items():
            k, _, key = name.partition("/")
            parameter = self.parameters[int(k)]
            if tensor.shape == parameter.shape and key != "step":
                tensor = self.torch.empty_like(parameter, requires_grad=False).copy_(tensor)
            self.optimizer.state[parameter][key] = tensor


def _freeze_statistics(module, torch):
    """Let batch normalisation use and keep its running statistics."""
    for part in module.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.eval()

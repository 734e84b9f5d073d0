"""A bar of epochs on the standard error stream."""

__all__ = ["EpochBar"]


class EpochBar:
    """Shows how far a `Trainer` is; nothing for ``verbose=0``.

    Attributes
    ----------
    trainer : Trainer
        Set it before training.
    callback : callable or None
        For the trainer.
    """

    def __init__(self, verbose):
        self.verbose, self.trainer = verbose, None
        self.bar = self.task = None

    def __enter__(self):
        if self.verbose:
            from rich.console import Console
            from rich.progress import Progress

            self.bar = Progress(console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task("net", total=1.0)
            self.bar.start()
        return self

    def __exit__(self, *exception):
        if self.bar is not None:
            self.bar.stop()

    @property
    def callback(self):
        return None if self.bar is None else self._update

    def _update(self, event):
        if self.bar is not None and self.trainer is not None and self.task is not None:
            text = f"net, epoch {self.trainer.epoch + 1} of {self.trainer.epochs}, loss {event.energy:.4g}"
            self.bar.update(self.task, completed=self.trainer.progress, description=text)

"""A bar of epochs."""

from hashers.bar import Bar

__all__ = ["EpochBar"]


class EpochBar(Bar):
    """Shows how far a `Trainer` is.

    Attributes
    ----------
    trainer : Trainer
        Set it before training.
    """

    def __init__(self, verbose):
        super().__init__(verbose, "net", 1.0)
        self.trainer = None

    def state(self, event):
        trainer = self.trainer
        return trainer.progress, f"net, epoch {trainer.epoch + 1} of {trainer.epochs}, loss {event.energy:.4g}"

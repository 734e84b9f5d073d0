"""A bar on the standard error stream for ``verbose >= 1``, fed by events of a run."""

__all__ = ["Bar"]


class Bar:
    """Shows how far a run is; children give `state`.

    Parameters
    ----------
    verbose : int
        0 shows nothing.
    label : str
        What the bar says before the first event.
    total : float
        What `state` counts up to.

    Attributes
    ----------
    callback : callable or None
        For the run; None where nothing is shown.
    """

    def __init__(self, verbose, label, total):
        self.verbose, self.label, self.total = verbose, label, total
        self.bar = None

    def __enter__(self):
        if self.verbose:
            from rich.console import Console
            from rich.progress import Progress

            self.bar = Progress(console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task(self.label, total=self.total)
            self.bar.start()
        return self

    def __exit__(self, *exception):
        if self.bar is not None:
            self.bar.stop()

    @property
    def callback(self):
        return None if self.bar is None else self._update

    def _update(self, event):
        if self.bar is not None:
            completed, text = self.state(event)
            self.bar.update(self.task, completed=completed, description=text)

    def state(self, event):
        """What is done after an event, and the text beside it."""
        return event.n_moves, self.label

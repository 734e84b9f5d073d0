"""The method `save` of everything that has one."""

__all__ = ["SaveMixin"]


class SaveMixin:
    """Gives an estimator `save`."""

    def save(self, path):
        """Write the fitted model to a file, without pickle; `hashers.load` reads it.

        Parameters
        ----------
        path : str or Path
            Replaced in one step when the file is complete.

        Raises
        ------
        ValueError
            If something in the model cannot be written without pickle; the message names it.
        """
        from hashers.persistence import save

        save(self, path)

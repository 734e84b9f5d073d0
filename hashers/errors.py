"""Exceptions about files of this package; errors in arguments are plain `ValueError`."""

from bqp.errors import BackendNotFound

__all__ = ["BackendNotFound", "CodeFileError", "MissingModule", "ModelFileError"]


class CodeFileError(ValueError):
    """A file of codes is truncated, damaged, foreign, or of an unknown version."""


class ModelFileError(ValueError):
    """A model file is truncated, damaged, foreign, of an unknown version, or names a class that is not allowed."""


class MissingModule(ModelFileError):
    """A model file needs the user's own torch module, which holds code and is therefore not in the file."""

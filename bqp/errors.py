"""Every exception and warning that `bqp` raises.

`BQPError` is the root. A wrong call raises; a hard problem returns a status (see `bqp.solution.Status`).
"""

__all__ = ["BQPError", "BQPWarning", "BackendNotFound", "FormatError", "ParameterError", "ProblemError"]


class BQPError(Exception):
    """Root of every exception raised on purpose by `bqp`."""


class ProblemError(BQPError, ValueError):
    """The problem data are unusable: shape, symmetry, NaN or infinity, domain, or a class a solver cannot take."""


class ParameterError(BQPError, ValueError):
    """A parameter has a wrong value or an unknown name."""


class FormatError(BQPError, ValueError):
    """A file cannot be read as the format it is said to be."""


class BackendNotFound(BQPError, ImportError):
    """An optional library is needed; the message names the extra to install."""


class BQPWarning(UserWarning):
    """A lossy conversion or a doubtful setting; the message says what to do about it."""

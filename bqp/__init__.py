"""Binary quadratic programs, for two-step supervised hashing and for whoever has a QUBO or a max-cut."""

from typing import TYPE_CHECKING

from bqp import callbacks
from bqp.bounds import lower_bound
from bqp.errors import (
    BackendNotFound,
    BQPError,
    BQPWarning,
    FormatError,
    ParameterError,
    ProblemError,
)
from bqp.io import read, write
from bqp.problem import BQP, to_bqm
from bqp.solution import Bound, Solution, Status, Trace
from bqp.solve import available_solvers, solve

if TYPE_CHECKING:
    from bqp.sampler import BQPSampler

__version__ = "0.1.0"

__all__ = [
    "BQP",
    "BQPError",
    "BQPSampler",
    "BQPWarning",
    "BackendNotFound",
    "Bound",
    "FormatError",
    "ParameterError",
    "ProblemError",
    "Solution",
    "Status",
    "Trace",
    "available_solvers",
    "callbacks",
    "lower_bound",
    "read",
    "solve",
    "to_bqm",
    "write",
]


def __getattr__(name):
    if name == "BQPSampler":  # needs dimod, which is optional
        from bqp.sampler import BQPSampler

        return BQPSampler
    raise AttributeError(f"module 'bqp' has no attribute {name!r}")

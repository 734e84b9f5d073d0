"""Binary quadratic programs, for two-step supervised hashing and for whoever has a QUBO or a max-cut."""

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
from bqp.problem import BQP
from bqp.solution import Bound, Solution, Status, Trace
from bqp.solve import available_solvers, solve

__version__ = "0.1.0"

__all__ = [
    "BQP",
    "BQPError",
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
    "write",
]

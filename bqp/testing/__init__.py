"""Contracts, references and random problems, for testing solvers and bounds: ours and yours.

`check_solver` and `check_bound` put a solver or a bound through the contract that `bqp.solve` relies on; `reference`
holds slow answers that are obviously right; `strategies` (needs hypothesis) draws problems.

Examples
--------
>>> from bqp.solvers import CoordinateDescent
>>> from bqp.testing import check_solver
>>> check_solver(CoordinateDescent, only=["empty", "start", "target"])
"""

from bqp.testing.bound_checks import BOUND_CHECKS, check_bound
from bqp.testing.solver_checks import SOLVER_CHECKS, check_solver

__all__ = ["BOUND_CHECKS", "SOLVER_CHECKS", "check_bound", "check_solver"]

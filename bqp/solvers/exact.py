"""Proven optima: by enumeration, branch and bound on semidefinite or linear bounds, or a general MIP solver."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import ClassVar

from bqp.errors import ParameterError, ProblemError
from bqp.problem import BQP
from bqp.solution import Status
from bqp.solvers.base import Solver, check_count

__all__ = ["Exact"]

_ENUMERATE_BELOW = 22  # "auto": up to here enumeration is the quicker proof
_HARD_LIMIT = 40
_LARGEST_TREE = 3000
_SPARSE_FROM, _SPARSE_DEGREE = 60, 7.0  # variables and mean degree from which, and up to which, odd cycles prove
_BACKENDS = ("auto", "enumeration", "branch_and_bound", "odd_cycles", "milp")


class Exact(Solver):
    """Find an optimum and prove it.

    Parameters
    ----------
    backend : {"auto", "enumeration", "branch_and_bound", "odd_cycles", "milp"}
        "enumeration" looks at every assignment. "branch_and_bound" proves by semidefinite bounds with clique cuts; it
        starts from a tabu search and can be stopped at any moment with a valid bound. "odd_cycles" branches on a
        linear relaxation with odd-cycle cuts, for sparse problems. "milp" hands a linearisation to HiGHS
        (`scipy.optimize.milp`), which does well on small sparse problems only. "auto" enumerates up to 22 variables, up
        to `max_n` where several solutions or random ties are asked for; beyond, it takes "odd_cycles" from 60 variables
        on where pairs and linear terms come to at most 7 a variable, else "branch_and_bound".
    max_n : int
        The most variables that are enumerated, since the time doubles with every one (at most 40).
    ties : {"first", "random"}
        Which of several optima enumeration returns: the first in a fixed order, or one that depends on the seed
        (variables are permuted and flipped at random before they are enumerated). Code learners want the second, since
        bits that break their ties alike repeat each other.
    rtol : float
        Data without a common unit only: branch and bound closes a node whose bound is this part of the incumbent's
        magnitude below it. The bound of the solution says what was proven.
    checkpoint : str or path, optional
        Branch and bound of either kind: the file that keeps the open nodes, rewritten every few seconds. If it exists,
        the search goes on from it; it is removed when the search is complete. Where `bqp.solve` finds several
        independent parts, each has a file of its own (``NAME.part0.npz``).

    Notes
    -----
    Branch and bound handles 60 to 250 variables; how long it takes depends on the data far more than on n
    (``benchmarks/proofs.py``). A node is n numbers of a byte; the next 256 (fewer for large n) also hold vectors
    and cuts to start from, 256 MB between them at most, the others start from the cuts of the root. With odd cycles a
    node is a byte for each pair. ``max_moves`` counts assignments in enumeration, nodes in branch and bound. With
    ``n_solutions=k`` enumeration's pool holds the k best, the others' the best that were seen.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> from bqp.solvers import Exact
    >>> Exact().solve(bqp.BQP(np.array([[0, 1], [1, 0]]), c=[1, 0])).status
    <Status.OPTIMAL: 'optimal'>
    """

    name: ClassVar[str] = "exact"
    finish_status: ClassVar[Status] = Status.OPTIMAL

    def __init__(
        self,
        backend: str = "auto",
        max_n: int = 30,
        ties: str = "first",
        rtol: float = 1e-9,
        checkpoint: str | PathLike | None = None,
    ):
        if backend not in _BACKENDS:
            raise ParameterError(f"backend must be one of {', '.join(_BACKENDS)}, got {backend!r}.")
        if ties not in ("first", "random"):
            raise ParameterError(f"ties must be 'first' or 'random', got {ties!r}.")
        if isinstance(rtol, bool) or not isinstance(rtol, int | float) or not 0 <= rtol < 1:
            raise ParameterError(f"rtol must be a number in [0, 1), got {rtol!r}.")
        if checkpoint is not None and not isinstance(checkpoint, str | PathLike):
            raise ParameterError(f"checkpoint must be a path, got {checkpoint!r}.")
        self.backend, self.ties, self.rtol, self.checkpoint = backend, ties, rtol, checkpoint
        self.max_n = check_count("max_n", max_n)
        if self.max_n > _HARD_LIMIT:
            raise ParameterError(f"max_n must be at most {_HARD_LIMIT}: 2**{self.max_n} assignments take days.")

    def for_part(self, k: int) -> Solver:
        if self.checkpoint is None:
            return self
        path = Path(self.checkpoint)
        return type(self)(**{**self.settings(), "checkpoint": path.with_name(f"{path.stem}.part{k}{path.suffix}")})

    def _search(self, problem, run, x0, seeds, n_jobs):
        backend = self._resolve(problem, run.n_solutions)
        if self.checkpoint is not None and self.backend in ("enumeration", "milp"):
            raise ParameterError(f"checkpoint is for branch_and_bound; backend {backend!r} keeps none.")
        if backend == "enumeration":
            from bqp.solvers._enumeration import enumerate_all

            if problem.n > self.max_n:
                raise ProblemError(
                    f"exact enumeration takes at most {self.max_n} variables, this problem has {problem.n}. Use "
                    "backend='branch_and_bound', or raise max_n (the time doubles with each variable)."
                )
            enumerate_all(problem, run, seeds, n_jobs, self.ties)
        elif backend == "odd_cycles":
            from bqp.solvers._cycles import search_cycles

            checkpoint = None if self.checkpoint is None else Path(self.checkpoint)
            search_cycles(problem, run, x0, seeds, n_jobs, self.rtol, checkpoint)
        elif backend == "milp":
            from bqp.solvers._milp import solve_milp

            solve_milp(problem, run)
        else:
            from bqp.solvers._tree import search_tree

            if problem.n > _LARGEST_TREE:
                raise ProblemError(
                    f"branch and bound writes Q out, up to n = {_LARGEST_TREE}; this problem has {problem.n} "
                    "variables. Use a heuristic, and bqp.lower_bound for a bound."
                )
            checkpoint = None if self.checkpoint is None else Path(self.checkpoint)
            search_tree(problem, run, x0, seeds, n_jobs, self.rtol, checkpoint)

    def _resolve(self, problem: BQP, n_solutions: int) -> str:
        if self.backend != "auto":
            return self.backend
        limit = self.max_n if n_solutions > 1 or self.ties == "random" else min(_ENUMERATE_BELOW, self.max_n)
        if problem.n <= limit:
            return "enumeration"
        from bqp.bounds.odd_cycles import mean_degree

        thin = problem.n >= _SPARSE_FROM and mean_degree(problem) <= _SPARSE_DEGREE
        return "odd_cycles" if thin else "branch_and_bound"

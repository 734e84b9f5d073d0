"""The contract of a solver, as a list of checks that any solver can be put through."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from bqp.errors import BQPError
from bqp.forms import Form, Grouped, LowRank, Sparse, Sum
from bqp.problem import BQP
from bqp.solution import Solution, Status
from bqp.testing import reference

__all__ = ["SOLVER_CHECKS", "Subject", "check_solver", "inspect_solution"]


@dataclass(frozen=True)
class Subject:
    """What is tested, and the problems it takes.

    Attributes
    ----------
    make : callable
        Returns a fresh solver object.
    submodular : bool
        Whether only attracting pairs are given to it.
    """

    make: Callable[[], Any]
    submodular: bool = False

    def solve(self, problem: BQP, **arguments) -> Solution:
        arguments = {"rng": 0, "max_moves": 300, **arguments}
        solution = self.make().solve(problem, **arguments)
        inspect_solution(problem, solution)
        return solution

    @property
    def enumerates(self) -> bool:
        """Whether the solver looks at all assignments, and so takes small problems only."""
        return getattr(self.make(), "name", "") == "exact"

    def matrix(self, n: int, seed: int = 0, most: int = 5) -> np.ndarray:
        rng = np.random.default_rng((seed, n))
        A = np.triu(rng.integers(-most, most + 1, (n, n)).astype(float))
        Q = A + np.triu(A, 1).T
        if self.submodular:
            Q = np.where(np.eye(n, dtype=bool), Q, -np.abs(Q))
        return Q

    def problem(self, n: int, seed: int = 0, domain: str = "spin", sense: str = "min", offset: float = 0.0) -> BQP:
        sign = -1.0 if sense == "max" else 1.0
        c = np.random.default_rng((seed, n, 1)).integers(-9, 10, n)
        return BQP(sign * self.matrix(n, seed), sign * c, offset, domain, sense)


def require(condition: object, message: str) -> None:
    """Fail with `message` unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def inspect_solution(problem: BQP, solution: Solution) -> None:
    """What holds for every solution of every run."""
    x = solution.x
    low = -1 if problem.domain == "spin" else 0
    require(isinstance(x, np.ndarray) and x.dtype == np.int8, f"x must be an int8 array, got {type(x)} {x.dtype}")
    require(x.shape == (problem.n,), f"x must have shape ({problem.n},), got {x.shape}")
    require(np.isin(x, (low, 1)).all(), f"x leaves the domain {problem.domain!r}: {x}")
    require(solution.energy == problem.energy(x), f"energy {solution.energy!r} is not that of x, {problem.energy(x)!r}")
    require(isinstance(solution.status, Status), f"status must be a Status, got {solution.status!r}")
    require(not np.isnan(solution.lower_bound), "lower_bound is nan")
    require(
        solution.lower_bound <= solution.energy, f"bound {solution.lower_bound!r} above the energy {solution.energy!r}"
    )
    require(solution.sense == problem.sense, f"sense {solution.sense!r} differs from the problem's {problem.sense!r}")
    require(solution.objective == problem.objective(x), f"objective {solution.objective!r} is not that of x")
    trace = solution.trace
    if trace is not None and len(trace):
        require(np.all(np.diff(trace.energy) <= 0), f"the trace rises: {trace.energy}")
        require(trace.energy[-1] == solution.energy, f"the trace ends at {trace.energy[-1]!r}, not {solution.energy!r}")
        require(np.all(np.diff(trace.n_moves) >= 0), f"moves of the trace fall: {trace.n_moves}")
        require(
            trace.n_moves[-1] <= solution.n_moves, f"the trace counts {trace.n_moves[-1]} of {solution.n_moves} moves"
        )
        require(np.all(np.diff(trace.time) >= 0), f"times of the trace fall: {trace.time}")


# ---- solvers ---------------------------------------------------------------------------------------------------


def check_empty(subject: Subject) -> None:
    """n = 0: the empty assignment, the offset, optimal."""
    for domain in ("spin", "binary"):
        solution = subject.solve(BQP(np.zeros((0, 0)), offset=2.5, domain=domain))
        require(solution.energy == 2.5 and solution.status is Status.OPTIMAL, f"n = 0 gave {solution}")


def check_one_variable(subject: Subject) -> None:
    """n = 1: the linear term decides, and the diagonal too over {0, 1}."""
    for c in (-1.0, 0.0, 1.0):
        solution = subject.solve(BQP([[7.0]], c=[c]))
        require(solution.energy == 7.0 - abs(c), f"n = 1, c = {c}: {solution}")
        solution = subject.solve(BQP([[2.0]], c=[3 * c], domain="binary"))
        require(solution.energy == min(0.0, 2.0 + 3 * c), f"n = 1 binary, c = {3 * c}: {solution}")


def check_zero_matrix(subject: Subject) -> None:
    """Q = 0: all energies are equal, or the linear term decides alone; the run ends."""
    require(subject.solve(BQP(np.zeros((5, 5)), offset=-2.0)).energy == -2.0, "Q = 0, c = 0")
    solution = subject.solve(BQP(np.zeros((5, 5)), c=[1, -2, 3, 0, -5]))
    require(solution.energy == -11.0, f"Q = 0: {solution}")


def check_inputs(subject: Subject) -> None:
    """float32, integers, read-only and non-contiguous arrays mean the same, and stay as they were."""
    Q, c = subject.matrix(9), np.arange(9) - 4.0
    wide = np.zeros((9, 18))
    wide[:, ::2] = Q
    read_only = Q.copy()
    read_only.setflags(write=False)
    variants = {
        "float32": Q.astype(np.float32), "int": Q.astype(np.int64), "int8": Q.astype(np.int8), "read-only": read_only,
        "strided": wide[:, ::2], "fortran": np.asfortranarray(Q), "sparse": sp.csr_array(Q), "coo": sp.coo_array(Q),
    }  # fmt: skip
    expected = subject.solve(BQP(Q, c))
    start = np.ones(9, np.int8)
    start.setflags(write=False)
    for name, variant in variants.items():
        before = variant.toarray() if sp.issparse(variant) else np.array(variant)
        problem = BQP(variant, c)
        solution = subject.solve(problem)
        require(np.array_equal(solution.x, expected.x), f"{name} input gave another answer than float64")
        subject.solve(problem, x0=start)
        after = variant.toarray() if sp.issparse(variant) else variant
        require(np.array_equal(before, after), f"the {name} input was changed")
        require(np.all(start == 1), "x0 was changed")


def check_forms(subject: Subject) -> None:
    """Every shape of Q, both domains and both senses give true energies and statuses."""
    rng = np.random.default_rng(5)
    groups, a = np.array([0, 1, 2, 0, 1, 2, 0]), np.array([1.0, 2, 1, 1, 3, 1, 1])
    M = -np.ones((3, 3)) if subject.submodular else np.array([[0.0, 2, -1], [2, -1, 3], [-1, 3, 1]])
    U = np.ones((7, 2), np.int8) if subject.submodular else rng.integers(-3, 4, (7, 2)).astype(np.int8)
    d = np.array([-1.0, -2.0]) if subject.submodular else np.array([1.0, -2.0])
    shapes: list[Form] = [LowRank(U, d), LowRank(U.astype(np.float32), d), Grouped(groups, M), Grouped(groups, M, a)]
    shapes += [Sparse(sp.csr_array(subject.matrix(7))), Sum([Grouped(groups, M), LowRank(U, d)])]
    for form in shapes:
        for domain in ("spin", "binary"):
            for sense in ("min", "max"):
                problem = BQP(
                    form if sense == "min" else form.scaled(-1.0), rng.integers(-9, 10, 7), 1.5, domain, sense
                )
                _check_truth(problem, subject.solve(problem))


def check_statuses(subject: Subject) -> None:
    """OPTIMAL only where enumeration agrees, bounds below the optimum, energies above."""
    for seed in range(6):
        for domain in ("spin", "binary"):
            _check_truth(problem := subject.problem(8, seed, domain, offset=-3.0), subject.solve(problem))
            _check_truth(problem := subject.problem(8, seed, domain, "max"), subject.solve(problem, max_moves=20))
    zero_field = BQP(subject.matrix(8))
    _check_truth(zero_field, subject.solve(zero_field))


def _check_truth(problem: BQP, solution: Solution) -> None:
    optimum = reference.optimum(problem)
    require(solution.energy >= optimum, f"energy {solution.energy} below the optimum {optimum} of {problem}")
    require(solution.lower_bound <= optimum, f"bound {solution.lower_bound} above the optimum {optimum} of {problem}")
    if solution.status is Status.OPTIMAL:
        require(solution.energy == optimum, f"OPTIMAL at {solution.energy}, the optimum is {optimum} of {problem}")


def check_floats(subject: Subject) -> None:
    """Rounded sums: the bound holds in exact arithmetic; OPTIMAL is optimal up to that rounding."""
    for seed, scale in enumerate((1.0, 1e-3, 1e6, 1e13)):
        rng = np.random.default_rng(seed)
        weights = scale * rng.random((6, 6))
        Q = -(weights + weights.T) if subject.submodular else (weights + weights.T) - scale
        problem = BQP(Q, scale * rng.standard_normal(6), scale / 3, ("spin", "binary")[seed % 2])
        _check_exact(problem, subject.solve(problem))


def check_magnitudes(subject: Subject) -> None:
    """Numbers from 1e-150 to 1e150, and large integers beside small ones."""
    for scale in (1e150, 1e-150, 2.0**40, 1e13):
        problem = BQP(scale * subject.matrix(6), scale * np.array([1.0, -2, 0, 1, 3, -1]), scale)
        _check_exact(problem, subject.solve(problem))
    Q = subject.matrix(6)
    Q[0, 1] = Q[1, 0] = -1e13
    _check_exact(problem := BQP(Q, np.array([1.0, -2, 0, 1, 3, -1])), subject.solve(problem))
    _check_exact(problem := BQP(subject.matrix(6), offset=1e16), subject.solve(problem))


def _check_exact(problem: BQP, solution: Solution) -> None:
    best, found = reference.exact_optimum(problem), reference.exact_energy(problem, solution.x)
    require(solution.lower_bound <= best, f"bound {solution.lower_bound!r} above the exact optimum {float(best)!r}")
    if solution.status is Status.OPTIMAL:
        size = np.abs(problem.Q.to_dense()).sum() + np.abs(problem.c).sum() + abs(problem.offset)
        require(float(found - best) <= 1e-12 * size, f"OPTIMAL, but {float(found - best)!r} above the optimum")


def check_start(subject: Subject) -> None:
    """The answer is never worse than x0, whatever the budget."""
    for domain in ("spin", "binary"):
        problem = subject.problem(10, 3, domain)
        X, energies = reference.all_energies(problem)
        for x0 in (X[np.argmin(energies)], X[np.argsort(energies)[5]]):
            for arguments in ({}, {"max_moves": 0}, {"max_moves": 1}, {"time_limit": 0.0, "max_moves": None}):
                solution = subject.solve(problem, x0=x0, **arguments)
                require(solution.energy <= problem.energy(x0), f"worse than x0 with {arguments}: {solution}")


def check_reproducible(subject: Subject) -> None:
    """Same seed, same moves: same answer, on one thread or two; global random state untouched."""
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    for n, max_moves in ((12, 300), (70, 3000)):
        if n <= 20 or not subject.enumerates:
            problem = subject.problem(n)
            first, *others = [subject.solve(problem, rng=7, n_jobs=n_jobs, max_moves=max_moves) for n_jobs in (1, 1, 2)]
            for other in others:
                same = np.array_equal(first.x, other.x) and first.n_moves == other.n_moves
                require(same and first.status is other.status, f"same seed, other answer: {first} and {other}")
    require(np.array_equal(state, np.random.get_state()[1]), "the global random state was used")  # noqa: NPY002


def check_callback(subject: Subject) -> None:
    """Events tell the truth; the run stops when the callback returns True, and returns what it has."""
    problem = subject.problem(12, 1, "binary")
    energies: list[float] = []

    def watch(event) -> None:
        require(problem.energy(event.x) == event.energy, "an event's energy is not that of its x")
        require(event.lower_bound <= event.energy and event.time >= 0 and event.n_moves >= 0, f"an odd event {event}")
        energies.append(event.energy)

    solution = subject.solve(problem, callback=watch)
    require(energies, "the callback was never called")
    require(np.all(np.diff(energies) <= 0), f"the incumbent got worse: {energies}")
    require(solution.energy <= energies[-1], "the answer is worse than the last event")
    for n_jobs in (1, 2):
        calls: list[float] = []
        solution = subject.solve(problem, callback=lambda event: calls.append(event.energy) or True, n_jobs=n_jobs)  # noqa: B023
        require(len(calls) == 1, f"{len(calls)} events, though the first one asked to stop")
        require(solution.status in (Status.STOPPED, Status.OPTIMAL), f"stopped by the callback, but {solution.status}")
        require(solution.energy <= calls[0], "the answer is worse than the incumbent of the event")


def check_interrupt(subject: Subject) -> None:
    """A KeyboardInterrupt, here out of the callback, ends the run with its incumbent."""
    problem = subject.problem(12, 2)
    for n_jobs in (1, 2):
        seen: list[float] = []

        def interrupt(event):
            seen.append(event.energy)  # noqa: B023
            raise KeyboardInterrupt

        solution = subject.solve(problem, callback=interrupt, n_jobs=n_jobs)
        require(solution.status in (Status.STOPPED, Status.OPTIMAL), f"interrupted, but {solution.status}")
        require(solution.energy <= seen[0], "the incumbent was lost")


def check_target(subject: Subject) -> None:
    """TARGET_REACHED if and only if the energy is at or below the target (a proof of optimality may say more)."""
    problem = subject.problem(10, 4)
    energies = np.sort(reference.all_energies(problem)[1])
    for target in (energies[-1], energies[len(energies) // 2], energies[0], energies[0] - 1.0):
        for x0 in (None, np.ones(10, np.int8)):
            solution = subject.solve(problem, target=target, x0=x0)
            reached = solution.status in (Status.TARGET_REACHED, Status.OPTIMAL)
            if solution.energy <= target:
                require(reached, f"energy {solution.energy} <= target {target}, but {solution.status}")
            else:
                require(
                    solution.status is not Status.TARGET_REACHED, f"{solution.status} at {solution.energy} > {target}"
                )


def check_max_moves(subject: Subject) -> None:
    """No more moves than allowed, and the same answer each time."""
    problem = subject.problem(12, 6)
    for limit in (0, 1, 10, 100, 1000):
        first, second = (subject.solve(problem, max_moves=limit) for _ in range(2))
        require(first.n_moves <= limit, f"{first.n_moves} moves, {limit} allowed")
        require(np.array_equal(first.x, second.x) and first.n_moves == second.n_moves, f"max_moves={limit} varies")
    subject.solve(problem, time_limit=0.0, max_moves=None)


def check_pool(subject: Subject) -> None:
    """``n_solutions`` keeps distinct assignments, best first."""
    for domain in ("spin", "binary"):
        problem = subject.problem(6, 8, domain)
        for k in (2, 5, 100):
            solution = subject.solve(problem, n_solutions=k)
            require(solution.pool is not None, "no pool")
            pool = np.asarray(solution.pool)
            require(pool.dtype == np.int8 and pool.shape[1:] == (6,) and 1 <= len(pool) <= k, f"pool {pool.shape}")
            require(len(np.unique(pool, axis=0)) == len(pool), "the pool repeats itself")
            energies = np.array([problem.energy(x) for x in pool])
            require(np.all(np.diff(energies) >= 0), f"the pool is not sorted: {energies}")
            require(
                energies[0] == solution.energy, f"the pool starts at {energies[0]}, the answer is {solution.energy}"
            )
    require(subject.solve(problem).pool is None, "a pool nobody asked for")


def check_offset(subject: Subject) -> None:
    """An offset moves energies and bounds and nothing else."""
    plain, moved = (subject.solve(subject.problem(9, 5, offset=offset)) for offset in (0.0, 1024.0))
    require(np.array_equal(plain.x, moved.x) and plain.status is moved.status, "an offset changed the answer")
    require(moved.energy == plain.energy + 1024.0, "an offset changed the energy by something else")
    require(moved.lower_bound == plain.lower_bound + 1024.0, "an offset changed the bound by something else")


def check_wrong_calls(subject: Subject) -> None:
    """Wrong arguments raise a BQPError before anything is done."""
    problem = subject.problem(4)
    for arguments in (
        {"time_limit": -1.0}, {"max_moves": -1}, {"max_moves": 1.5}, {"target": float("nan")}, {"n_jobs": 0},
        {"n_solutions": 0}, {"rng": "seed"}, {"rng": -1}, {"x0": np.zeros(4)}, {"x0": np.ones(3)},
        {"x0": np.ones((2, 4))}, {"time_limit": "1"}, {"target": "low"}, {"callback": 3},
    ):  # fmt: skip
        try:
            subject.make().solve(problem, **arguments)
        except BQPError as error:
            require(str(error), "an error without a message")
        else:
            raise AssertionError(f"{arguments} was accepted")


SOLVER_CHECKS: dict[str, Callable[[Subject], None]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_empty, check_one_variable, check_zero_matrix, check_inputs, check_forms, check_statuses, check_floats,
        check_magnitudes, check_start, check_reproducible, check_callback, check_interrupt, check_target,
        check_max_moves, check_pool, check_offset, check_wrong_calls,
    )
}  # fmt: skip


def check_solver(solver, *, problems: str = "any", only: Sequence[str] | None = None) -> None:
    """Put a solver through the contract that `bqp.solve` and its users rely on.

    Parameters
    ----------
    solver : class, Solver or callable
        A class or a function that returns a solver object, or the object itself.
    problems : {"any", "submodular"}
        The problems that it takes.
    only : sequence of str, optional
        Names of checks, default all of `SOLVER_CHECKS`.

    Raises
    ------
    AssertionError
        What broke, prefixed by the name of the check.

    Examples
    --------
    >>> from bqp.solvers import GraphCut
    >>> from bqp.testing import check_solver
    >>> check_solver(GraphCut, problems="submodular", only=["empty", "statuses"])
    """
    if problems not in ("any", "submodular"):
        raise ValueError(f"problems must be 'any' or 'submodular', got {problems!r}.")
    make = solver if inspect.isclass(solver) or not hasattr(solver, "solve") else lambda: solver
    run_checks(SOLVER_CHECKS, Subject(make, problems == "submodular"), only)


def run_checks(checks: dict[str, Callable], subject, only) -> None:
    """Run the checks of these names (None: all), with the name before each failure."""
    for name in checks if only is None else only:
        try:
            checks[name](subject)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error

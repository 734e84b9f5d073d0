"""The front door: reduce, choose, solve, lift, certify."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from bqp.callbacks import Callback, Event
from bqp.errors import ParameterError, ProblemError
from bqp.forms import Dense, Sparse
from bqp.problem import BQP
from bqp.reductions import reduce_problem, resolve_steps
from bqp.rng import RandomLike, as_seed_sequence
from bqp.rounding import evaluation_rounding
from bqp.solution import Solution, Status, Trace
from bqp.solvers import REGISTRY, Exact, Solver
from bqp.solvers.base import check_callback, check_count, resolve_n_jobs
from bqp.solvers.graph_cut import is_submodular
from bqp.solvers.run import Budget

__all__ = ["available_solvers", "choose_solver", "solve"]

EXACT_UP_TO = 24  # a tenth of a second
TINY_PART = 12  # components up to this size are enumerated, whatever solver was named
GRAPH_CUT_ENTRIES = 5_000_000
TABU_COST = 10_000_000_000  # operations that a tabu walk of 5 n moves may cost: some ten seconds
SPARSE_BELOW = 0.05  # of all variables: the share that one of them may feel on a problem to be annealed
ANNEAL_UP_TO = 1_000_000  # variables
ANNEAL_SWEEPS = 100  # that a time limit must allow
ANNEAL_MOVES = 20  # times n that a limit in moves must allow
VISITS_A_SECOND = 1e8  # variables that a sweep looks at

_SEVERITY = (Status.STOPPED, Status.TIME_LIMIT, Status.MAX_MOVES, Status.NUMERICAL, Status.LOCAL_OPTIMUM)


def available_solvers() -> list[str]:
    """Names that ``solve(solver=...)`` takes, besides "auto".

    Examples
    --------
    >>> import bqp
    >>> "tabu_search" in bqp.available_solvers()
    True
    """
    return list(REGISTRY)


def solve(
    problem: BQP,
    solver: str | Solver = "auto",
    time_limit: float | None = None,
    max_moves: int | None = None,
    target: float | None = None,
    x0: np.ndarray | None = None,
    n_solutions: int = 1,
    reductions="auto",
    rng: RandomLike = None,
    n_jobs: int = 1,
    certify: bool = False,
    callback: Callback | None = None,
    **options: Any,
) -> Solution:
    """Minimise the energy of a binary quadratic program.

    The problem is reduced (variables are fixed, merged and eliminated, and components taken apart; see
    `bqp.reductions`), each part is solved, and the answers are lifted back and re-evaluated.

    Parameters
    ----------
    problem : BQP
    solver : str or Solver
        "auto", a name from `available_solvers`, or a solver object. ``solution.stats["choice"]`` says what "auto" took
        and why. Components of up to 12 variables beside larger ones are enumerated in any case.
    time_limit : float, seconds; max_moves : int; target : float, an energy
        Stop when the first of them is met; without any, the solver stops by its own rule.
    x0 : array of shape (n,), optional
        Start, in the problem's domain; the answer is never worse.
    n_solutions : int
        Keep this many distinct assignments in ``solution.pool``; more than 1 leaves out the reductions that drop
        alternatives, unless they are asked for by name.
    reductions : "auto", or a sequence of names
        "fixed", "exchangeable", "low_degree", "dominated_pairs", "persistency", "components"; () switches them off.
    rng : None, int, SeedSequence or Generator
    n_jobs : int
        Threads, -1 for one a core. With the same seed and a limit in moves (or none) the answer is the same for every
        number of threads; a time limit makes it depend on the machine.
    certify : bool
        Also compute a lower bound (`bqp.lower_bound`) for what is not proven optimal.
    callback : callable, optional
        Gets an `Event`; returning True stops.
    **options
        Settings of the solver, for example ``order="greedy"`` for "coordinate_descent".

    Returns
    -------
    Solution
        The incumbent, whatever stopped the run, Ctrl-C too; ``solution.status`` says what did.

    Raises
    ------
    ParameterError
        Unknown solver, option or reduction; a limit that is not a number.
    ProblemError
        x0 of a wrong shape or with values outside the domain; a problem that the chosen solver cannot take.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> problem = bqp.BQP.from_maxcut(np.ones((5, 5)) - np.eye(5))
    >>> solution = bqp.solve(problem, rng=0)
    >>> solution.objective, solution.status.value
    (6.0, 'optimal')
    """
    if not isinstance(problem, BQP):
        raise ProblemError(f"problem must be a BQP, got {type(problem).__name__}. Build one with bqp.BQP(Q, c).")
    started = time.perf_counter()
    Budget(time_limit, max_moves, target)  # checks
    n_solutions = check_count("n_solutions", n_solutions)
    n_jobs = resolve_n_jobs(n_jobs)
    check_callback(callback)
    chosen = _resolve_solver(solver, options)
    seeds = as_seed_sequence(rng)
    start = None
    if x0 is not None:
        start = problem.check_assignment(x0, "x0")
        if start.ndim != 1:
            raise ProblemError(f"x0 must have shape ({problem.n},), got {start.shape}.")
    steps = resolve_steps(reductions, keep_all=n_solutions > 1)
    interrupted = False
    try:
        reduced, notes = reduce_problem(problem, steps)
    except KeyboardInterrupt:
        interrupted = True
        reduced, notes = reduce_problem(problem, ())
    effort = _Effort(reduced.parts, started, time_limit, max_moves, target)
    lifting = _Lifting(problem, reduced, start, callback, started, n_solutions)
    lifting.stopped = interrupted
    solutions: list[Solution] = []
    seed_of_part = seeds.spawn(max(1, len(reduced.parts)))
    for k, part in enumerate(reduced.parts):
        spent = Status.STOPPED if lifting.stopped else effort.spent(solutions)
        if spent is not None:
            solutions.append(lifting.unsolved(k, spent))
            continue
        moves_left = effort.moves_left(k, solutions)
        try:
            tiny = len(reduced.parts) > 1 and part.n <= TINY_PART and (moves_left is None or moves_left >= 2**part.n)
            if tiny:
                part_solver, reason = Exact(), f"a part of {part.n} variables: enumeration"
            else:
                part_solver, reason = (
                    chosen if chosen is not None else choose_solver(part, options, moves_left, effort.time_left(k))
                )
            if len(reduced.parts) > 1:
                part_solver = part_solver.for_part(k)
            found = part_solver.solve(
                part,
                time_limit=effort.time_left(k),
                max_moves=moves_left,
                target=effort.target_of(k, solutions, reduced.constant),
                x0=None if start is None else lifting.starts[k],
                n_solutions=n_solutions,
                rng=seed_of_part[k],
                n_jobs=n_jobs,
                callback=lifting.callback_for(k),
            )
        except KeyboardInterrupt:  # before the search began; a search brings its own incumbent home
            lifting.stopped = True
            solutions.append(lifting.unsolved(k, Status.STOPPED))
            continue
        found.stats.setdefault("choice", reason)
        solutions.append(found)
        lifting.advance(k, found)
    solution = lifting.assemble(solutions, notes, target)
    if certify and solution.status is not Status.OPTIMAL:
        solution = _certified(problem, solution)
    return replace(solution, time=time.perf_counter() - started)


def choose_solver(
    problem: BQP,
    options: dict[str, Any] | None = None,
    max_moves: int | None = None,
    time_limit: float | None = None,
) -> tuple[Solver, str]:
    """The solver that "auto" takes for a (reduced, spin) problem and a budget, and why.

    Parameters
    ----------
    problem : BQP
    options : dict, optional
        Settings; the chosen solver gets those that it knows, and the reason names the others.
    max_moves : int, optional
    time_limit : float, optional
        Seconds.

    Returns
    -------
    solver : Solver
    reason : str

    Notes
    -----
    O(n) and a look at 64 rows, besides the test for `graph_cut`.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> from bqp.solve import choose_solver
    >>> near = np.roll(np.eye(200), 1, axis=1) + np.roll(np.eye(200), 2, axis=1)
    >>> choose_solver(bqp.BQP(near + near.T))[0].name
    'simulated_annealing'
    """
    name, reason = _choose(problem, max_moves, time_limit)
    options = options or {}
    known = {key: value for key, value in options.items() if key in REGISTRY[name].options()}
    ignored = sorted(set(options) - set(known))
    if ignored:
        owners = [", ".join(cls.name for cls in REGISTRY.values() if key in cls.options()) for key in ignored]
        listed = "; ".join(f"{key} (of {owner})" for key, owner in zip(ignored, owners))
        reason += f". Ignored, since {name} does not know them: {listed}"
    return _build(name, known), reason


def _choose(problem: BQP, max_moves: int | None, time_limit: float | None) -> tuple[str, str]:
    n, form = problem.n, problem.Q
    written_out = isinstance(form, Dense | Sparse)
    if n <= EXACT_UP_TO and (max_moves is None or max_moves >= 2**n):
        return "exact", f"n = {n} <= {EXACT_UP_TO}: enumeration proves the optimum"
    if written_out and _n_entries(form) <= GRAPH_CUT_ENTRIES and is_submodular(problem):
        return "graph_cut", "all pairs attract (after flipping signs): one max-flow is exact"
    many = n <= ANNEAL_UP_TO and (time_limit is None or time_limit * VISITS_A_SECOND >= ANNEAL_SWEEPS * n)
    if written_out and many and (max_moves is None or max_moves >= ANNEAL_MOVES * n):
        degree = _effective_degree(form)
        if degree < SPARSE_BELOW * n:
            return "simulated_annealing", (
                f"n = {n}, a variable feels about {degree:.3g} others, less than {SPARSE_BELOW:.0%} of all: "
                "annealing goes further than tabu search on sparse problems"
            )
    if 5 * n * _move_cost(form) > TABU_COST:
        return "coordinate_descent", f"n = {n}: a tabu walk would take too long, sweeps are cheap"
    why = "not submodular" if n > EXACT_UP_TO else "too few moves to enumerate, not submodular"
    return "tabu_search", f"n = {n}, {why}: the strongest heuristic here"


def _effective_degree(form: Dense | Sparse) -> float:
    """How many others a variable feels: (sum |Q_ij|)^2 / sum Q_ij^2 over its row, the median of up to 64 rows."""
    degrees = []
    for i in np.unique(np.linspace(0, form.n - 1, 64).astype(np.int64)):
        if isinstance(form, Sparse):
            entries = slice(form.Q.indptr[i], form.Q.indptr[i + 1])
            size = np.abs(form.Q.data[entries][form.Q.indices[entries] != i])
        else:
            size = np.abs(np.delete(form.Q[i], i).astype(np.float64))
        if size.any():
            size = size / size.max()
            degrees.append(size.sum() ** 2 / np.square(size).sum())
    return float(np.median(degrees)) if degrees else 0.0


def _n_entries(form) -> int:
    return form.Q.nnz if isinstance(form, Sparse) else form.n**2


def _move_cost(form) -> int:
    """Operations of one tabu move: a row and a look at all deltas (vectorised, an eighth each)."""
    if isinstance(form, Dense | Sparse):
        return form.n // 8
    return form.n * sum(getattr(part, "rank", 1) for part in getattr(form, "parts", (form,)))


def _resolve_solver(solver, options) -> tuple[Solver, str] | None:
    """(solver, reason), or None for "auto"."""
    if isinstance(solver, Solver):
        if options:
            raise ParameterError(f"options {sorted(options)} go into the {type(solver).__name__} object itself.")
        return solver, "given by the caller"
    if solver == "auto":
        known = sorted({name for cls in REGISTRY.values() for name in cls.options()})
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise ParameterError(f"unknown option {unknown[0]!r}; the solvers know {', '.join(known)}.")
        return None
    if not isinstance(solver, str) or solver not in REGISTRY:
        raise ParameterError(f"unknown solver {solver!r}; known are auto, {', '.join(REGISTRY)}.")
    return _build(solver, options), "named by the caller"


def _build(name: str, options: dict[str, Any]) -> Solver:
    cls = REGISTRY[name]
    unknown = sorted(set(options) - set(cls.options()))
    if unknown:
        raise ParameterError(f"unknown option {unknown[0]!r} for {name}; it knows {', '.join(cls.options())}.")
    return cls(**options)


class _Effort:
    """Shares time and moves among the parts, by their sizes."""

    def __init__(self, parts, started, time_limit, max_moves, target):
        self.sizes = np.array([part.n for part in parts], dtype=np.float64)
        self.started, self.time_limit, self.max_moves, self.target = started, time_limit, max_moves, target

    def _share(self, k: int) -> float:
        return float(self.sizes[k] / max(1.0, self.sizes[k:].sum()))

    def time_left(self, k: int) -> float | None:
        if self.time_limit is None:
            return None
        return max(0.0, self.time_limit - (time.perf_counter() - self.started)) * self._share(k)

    def moves_left(self, k: int, solutions) -> int | None:
        if self.max_moves is None:
            return None
        left = max(0, self.max_moves - sum(solution.n_moves for solution in solutions))
        return int(np.ceil(left * self._share(k)))

    def target_of(self, k: int, solutions, constant: float) -> float | None:
        """Only the last part can tell whether the total meets the target."""
        if self.target is None or k + 1 < len(self.sizes):
            return None
        return self.target - constant - sum(solution.energy for solution in solutions)

    def spent(self, solutions) -> Status | None:
        """Which limit leaves nothing for the parts to come; None while there is something left."""
        if self.time_limit is not None and solutions and time.perf_counter() - self.started >= self.time_limit:
            return Status.TIME_LIMIT
        if self.max_moves is not None and sum(s.n_moves for s in solutions) >= self.max_moves > 0:
            return Status.MAX_MOVES
        return None


class _Lifting:
    """Turns what happens in the parts into what the caller sees."""

    def __init__(self, problem: BQP, reduced, start, callback, started: float, n_solutions: int):
        self.problem, self.reduced, self.start, self.callback = problem, reduced, start, callback
        self.started, self.n_solutions = started, n_solutions
        if start is None:
            self.starts = [np.ones(part.n, np.int8) for part in reduced.parts]
        else:
            self.starts = reduced.restrict(start)
        self.current = list(self.starts)
        alone = len(reduced.parts) == 1  # then nobody asks for the energy of its start
        self.energies = [np.nan if alone else float(p.energy(x)) for p, x in zip(reduced.parts, self.current)]
        self.bounds = [-np.inf] * len(self.current)
        self.moves = 0
        self.stopped = False
        self.rows: list[tuple[float, int, float, float]] = []

    def unsolved(self, k: int, status: Status) -> Solution:
        energy = float(self.reduced.parts[k].energy(self.current[k]))
        return Solution(self.current[k], energy, status, solver="none", sense=self.problem.sense)

    @cached_property
    def rounding(self) -> float:
        """What the reductions and the sum over parts can be off by."""
        return evaluation_rounding(self.problem) + self.reduced.rounding

    def _others(self, k: int) -> float:
        return self.reduced.constant + sum(energy for j, energy in enumerate(self.energies) if j != k)

    def callback_for(self, k: int) -> Callback | None:
        if self.callback is None:
            return None
        others, moves, delay = self._others(k), self.moves, time.perf_counter() - self.started
        bound = self.reduced.constant + sum(b for j, b in enumerate(self.bounds) if j != k)

        def translated(event: Event) -> bool:
            def assignment() -> np.ndarray:
                parts = list(self.current)
                parts[k] = event.x
                return self.reduced.lift(parts)

            stop = self.callback(
                Event(
                    delay + event.time,
                    moves + event.n_moves,
                    others + event.energy,
                    min(bound + event.lower_bound - self.rounding, others + event.energy),
                    assignment,
                )
            )
            self.stopped = self.stopped or bool(stop)
            return bool(stop)

        return translated

    def advance(self, k: int, found: Solution) -> None:
        others, delay = self._others(k), time.perf_counter() - self.started - found.time
        if found.trace is not None:
            for when, n_moves, energy in zip(found.trace.time, found.trace.n_moves, found.trace.energy):
                self.rows.append((delay + when, self.moves + int(n_moves), others + energy, -np.inf))
        self.current[k], self.energies[k], self.bounds[k] = found.x, found.energy, found.lower_bound
        self.moves += found.n_moves
        self.stopped = self.stopped or found.status is Status.STOPPED

    def assemble(self, solutions: list[Solution], notes: list[str], target: float | None) -> Solution:
        problem = self.problem
        x = np.asarray(self.reduced.lift([solution.x for solution in solutions]), dtype=np.int8)
        energy = solutions[0].energy if self.reduced.parts == (problem,) else float(problem.energy(x))
        if self.start is not None:
            start_energy = float(problem.energy(self.start))
            if start_energy < energy or (start_energy == energy and not solutions):
                x, energy = self.start, start_energy
        bound = self.reduced.constant + sum(solution.lower_bound for solution in solutions)
        if bound > -np.inf:
            bound = min(bound - self.rounding, energy)
        status = self._status(solutions, energy, bound, target)
        elapsed = time.perf_counter() - self.started
        self.rows.append((elapsed, self.moves, energy, bound))
        rows = _monotone(self.rows, energy)
        names = list(dict.fromkeys(solution.solver for solution in solutions)) or ["reductions"]
        stats: dict[str, Any] = {"reductions": notes, "n_parts": len(solutions)}
        if len(solutions) == 1:
            stats.update(solutions[0].stats)
        elif solutions:
            largest = max(solutions, key=lambda solution: len(solution.x))
            stats.update(largest.stats)
            stats["solvers"] = {name: sum(s.solver == name for s in solutions) for name in names}
        stats.setdefault("choice", "stopped before a part was solved" if solutions else "nothing was left to solve")
        return Solution(
            x, energy, status, bound, "+".join(names), problem.sense, self._pool(solutions, x),
            n_moves=self.moves, n_restarts=sum(s.n_restarts for s in solutions), time=elapsed,
            trace=Trace.from_rows(rows), stats=stats,
        )  # fmt: skip

    @staticmethod
    def _status(solutions, energy, bound, target) -> Status:
        statuses = {solution.status for solution in solutions}
        if bound == energy or statuses <= {Status.OPTIMAL}:
            return Status.OPTIMAL
        if target is not None and energy <= target:
            return Status.TARGET_REACHED
        return next((status for status in _SEVERITY if status in statuses), Status.LOCAL_OPTIMUM)

    def _pool(self, solutions: list[Solution], x: np.ndarray) -> np.ndarray | None:
        """The best combinations of the parts' pools, distinct and lifted; x among them."""
        if self.n_solutions == 1:
            return None
        combined: list[tuple[float, list[np.ndarray]]] = [(0.0, [])]
        for part, solution in zip(self.reduced.parts, solutions):
            pool = solution.pool if solution.pool is not None else solution.x[None]
            energies = part.energy(pool)
            combined = [(value + e, [*xs, y]) for value, xs in combined for y, e in zip(pool, energies)]
            combined = sorted(combined, key=lambda item: item[0])[: self.n_solutions]
        lifted = {x.tobytes(): x}  # x first, then by the energy of the problem itself
        for _, xs in combined:
            y = np.asarray(self.reduced.lift(xs), dtype=np.int8)
            lifted.setdefault(y.tobytes(), y)
        pool = np.array(list(lifted.values()))
        return pool[np.argsort(self.problem.energy(pool), kind="stable")][: self.n_solutions]


def _monotone(rows, final: float):
    """Rows sorted by time, keeping those that improve the energy (and the first), down to the final one."""
    kept: list[tuple[float, int, float, float]] = []
    for when, moves, energy, bound in rows:
        energy = max(energy, final)  # sums over parts may be off in the last bit
        if not kept or energy < kept[-1][2]:
            kept.append((when, moves, energy, bound))
        elif bound > kept[-1][3]:
            kept[-1] = (kept[-1][0], kept[-1][1], kept[-1][2], bound)
    return kept


def _certified(problem: BQP, solution: Solution) -> Solution:
    from bqp.bounds import lower_bound

    bound = lower_bound(problem)
    value = min(max(solution.lower_bound, bound.value), solution.energy)
    status = Status.OPTIMAL if value == solution.energy else solution.status
    stats = {**solution.stats, "bound": bound.kind}
    return replace(solution, lower_bound=value, status=status, stats=stats)

"""Codes bit by bit: the first step of two-step hashing.

G. Lin, C. Shen, D. Suter, A. van den Hengel, "A General Two-Step Approach to Learning-Based Hashing", ICCV 2013 (TSH):
each bit is a binary quadratic program given the bits before it. The targets "stagewise" and "full" are those of the
authors' code, as is the solver of `mode="published"`; "residual" is that of W. Liu et al., "Supervised Hashing with
Kernels", CVPR 2012, section 3.3. Ours: all points at once instead of a sample, points with equal labels merged, any
solver, cycles over the bits with all others fixed (R. Raziperchikolaei, M. Carreira-Perpinan, "Optimizing
affinity-based binary hashing using auxiliary coordinates", NIPS 2016, has the same step), and kicks out of local
optima.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bqp import losses
from bqp.callbacks import Callback, Event
from bqp.codes._common import check_mode
from bqp.codes.bounds import bounds_of
from bqp.codes.result import CodeResult, CodeTrace
from bqp.errors import ParameterError, ProblemError
from bqp.losses.bits import WRITE_OUT_BELOW, BitProblems, target_of_bit
from bqp.problem import BQP
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solution import Solution, Status
from bqp.solve import EXACT_UP_TO, solve
from bqp.solvers import BoxRelaxation, CoordinateDescent, Exact, Solver
from bqp.solvers.base import check_count
from bqp.supervision import Collapse, Similarity, check_codes

__all__ = ["bitwise"]

_ORDERS = ("sequential", "cyclic")
_KICKS = 10  # default number of kicks where a bit problem takes well under a millisecond
_KICKS_UP_TO = 16  # variables
_KICKED_BITS = 4
_DESCENTS = 3  # starts of each bit over many unmerged points
_RESTARTS = 4  # starts of each bit elsewhere


def bitwise(
    S: Similarity,
    n_bits: int = 32,
    loss: str | losses.Loss = "ksh",
    solver: str | Solver = "auto",
    target: str = "residual",
    order: str = "sequential",
    reductions: str | Sequence = "auto",
    rng: RandomLike = 0,
    n_jobs: int = 1,
    callback: Callback | None = None,
    init=None,
    max_cycles: int = 20,
    n_kicks: int | None = None,
    time_limit: float | None = None,
    certify: bool | str = "auto",
    mode: str = "default",
    **options: Any,
) -> CodeResult:
    """Learn codes that minimise ``sum_ij w_ij l(s_ij, b_i.b_j, q)``, one binary quadratic program a bit.

    Parameters
    ----------
    S : Similarity
        From `bqp.supervision`.
    n_bits : int
        Code length q.
    loss : str or Loss
        "ksh", "bre", "hinge", "exponential", "likelihood" or a `bqp.losses.Loss`.
    solver : str or Solver
        What solves a bit: "auto", a name from `bqp.available_solvers`, or a solver object. "auto" enumerates up to 24
        points (after merging), takes what `bqp.solve` takes up to 4,096 and the best of three coordinate descents
        beyond.
    target : {"residual", "stagewise", "full"}
        What the bits not yet solved count in the sequential pass: nothing, with targets for all q bits; nothing, with
        targets for the bits so far; as agreeing. Published mode has no "residual" and takes "full" for it.
    order : {"sequential", "cyclic"}
        One pass, or further cycles over the bits, each given all others, until no bit improves.
    reductions : "auto", or a sequence of names
        "auto" merges the points of a group where that keeps the optimum, and lets `bqp.solve` reduce the bits of
        pairs and matrices. A sequence names reductions of `bqp.solve`, and "collapse" for the merging; () switches all
        off.
    rng : None, int, SeedSequence or Generator
    n_jobs : int
        Threads inside each solve. Same seed, same answer for every number of them (without a time limit).
    callback : callable, optional
        Called after each bit with an `Event`: ``n_moves`` counts bit problems solved, ``energy`` is the objective (in
        the sequential pass the energy of the bit's problem) and ``x`` the codes so far, shape (n, q). Returning True
        stops.
    init : array of shape (n, q), optional
        Codes of -1 and +1. "sequential": each bit starts its search there. "cyclic": replaces the sequential pass; the
        answer is never worse (than `init` with merged points given their majority sign).
    max_cycles : int
        Most cycles over the bits for one start.
    n_kicks : int, optional
        For "cyclic": how often to redraw a few random bits of the best codes, cycle again and keep what is better.
        Default 10 where at most 16 points are left after merging, else 0.
    time_limit : float, optional
        Seconds for the codes (the certificate comes on top). The answer then depends on the machine.
    certify : bool or "auto"
        Whether to compute the semidefinite bound of `codes.lower_bound`, for `ksh` and `bre` on grouped similarities;
        "auto" does up to 1,000 groups (about two seconds). Else the bound is the pairwise one.
    mode : {"default", "published"}
        "published": the authors' first step. Pairs as they are given, one pass, and for each bit the signs of the
        smallest eigenvector improved by L-BFGS-B in the box (`bqp.solvers.BoxRelaxation`). Their recommended loss is
        "hinge"; sampled pairs come from `supervision.sample_pairs`.
    **options
        Settings of the solver, for example ``n_restarts=4``.

    Returns
    -------
    result : CodeResult
        ``trace.objective`` holds, for "sequential", the energy of each bit's problem (the loss of the bits so far as
        the target counts them; the last entry is the objective); for "cyclic" the objective after each solve, from
        the first complete codes on: it never rises. After Ctrl-C, a callback's stop or the time limit the bits not
        yet solved are those of `init`, or else repeat the solved ones in turn. Points without a known pair take the
        majority sign in each bit.

    Raises
    ------
    ParameterError
        Unknown loss, target, order, solver or option; a count that is not a positive integer.
    ProblemError
        `init` of a wrong shape or value; a loss without low-rank structure on too many unmerged points.

    Notes
    -----
    A bit over n points of C groups costs O(n (C + q)) a sweep where points are not merged, and O(C'^2) a few times
    where they are, C' the merged points. Memory O(n q) bytes; O(C'^2) when merged; O(pairs) for pairs. A bit's status
    OPTIMAL means that it is proven best given the others.

    Examples
    --------
    >>> from bqp import codes, supervision
    >>> S = supervision.from_labels([0, 0, 1, 1, 2, 2])
    >>> result = codes.bitwise(S, n_bits=6, order="cyclic")
    >>> result.objective, {bit.status.value for bit in result.bits}
    (384.0, {'optimal'})
    """
    started = time.perf_counter()
    if not isinstance(S, Similarity):
        raise ProblemError(
            f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.from_labels."
        )
    n_bits = check_count("n_bits", n_bits)
    max_cycles = check_count("max_cycles", max_cycles)
    loss = losses.get(loss)
    published = check_mode(mode)
    if published:
        if solver != "auto" or options or order != "sequential" or reductions != "auto" or init is not None:
            raise ParameterError(
                "mode='published' has its own solver, one pass and unmerged pairs; leave `solver`, `order`, "
                "`reductions`, `init` and options out."
            )
        solver, reductions = BoxRelaxation(), ()
    target_of_bit(target, 0, n_bits)  # checks the name
    if published and target == "residual":
        target = "full"
    if order not in _ORDERS:
        raise ParameterError(f"order must be one of {', '.join(_ORDERS)}, got {order!r}.")
    if time_limit is not None and not time_limit >= 0:
        raise ParameterError(f"time_limit must be a number of seconds >= 0, got {time_limit!r}.")
    if certify not in (True, False, "auto"):
        raise ParameterError(f"certify must be True, False or 'auto', got {certify!r}.")
    merge, steps = _split_reductions(reductions)
    collapse = S.collapse(loss) if merge else S.drop_unknown()
    if init is not None:
        init = check_codes(init, S.n, "init")
        if init.shape[1] != n_bits:
            raise ProblemError(f"init must have {n_bits} columns, one a bit, got {init.shape[1]}.")
        init = collapse.project(init)
    small = collapse.similarity
    if n_kicks is None:
        n_kicks = _KICKS if small.n <= _KICKS_UP_TO else 0
    n_kicks = check_count("n_kicks", n_kicks, least=0)
    inner, why = _inner_solver(solver, options, small, merge)
    learner = _Learner(collapse, loss, n_bits, inner, steps, options, rng, n_jobs, callback, started, time_limit)
    learner.run(target, order, init, max_cycles, n_kicks)
    objective = losses.value(small, learner.B, loss)
    ksh_objective = objective if loss == losses.Ksh() else small.ksh_objective(learner.B)
    lower_bound, ksh_lower_bound = bounds_of(S, n_bits, loss, objective, ksh_objective, certify)
    stats = {
        "mode": mode, "n_points": small.n, "merged": not collapse.is_identity, "solver": why, "target": target,
        "order": order, **learner.stats,
    }  # fmt: skip
    return CodeResult(
        B=collapse.lift(learner.B), objective=objective, lower_bound=lower_bound, ksh_objective=ksh_objective,
        ksh_lower_bound=ksh_lower_bound, n_bits=n_bits, loss=loss.name, method="bitwise",
        trace=CodeTrace.from_rows(learner.rows), bits=tuple(s for s in learner.solutions if s is not None),
        time=time.perf_counter() - started, stats=stats,
    )  # fmt: skip


def _split_reductions(reductions) -> tuple[bool, Any]:
    """Whether to merge points, and what to tell `bqp.solve`."""
    if isinstance(reductions, str):
        return reductions in ("auto", "collapse"), () if reductions == "collapse" else reductions
    if reductions is None:
        raise ParameterError("reductions must be 'auto' or a sequence of names; pass () to switch them off.")
    names = tuple(reductions)
    return "collapse" in names, tuple(name for name in names if name != "collapse")


def _inner_solver(solver, options, small: Similarity, merged: bool) -> tuple[str | Solver, str]:
    """The solver of every bit, and why."""
    if solver != "auto":
        return solver, "named by the caller"
    if small.n <= EXACT_UP_TO and not options:
        return Exact(ties="random"), f"exact: {small.n} points, enumeration proves each bit"
    if small.n > WRITE_OUT_BELOW and not set(options) - {"order", "n_restarts"}:
        descent = CoordinateDescent(**{"n_restarts": _DESCENTS, **options})
        return descent, f"coordinate_descent: {small.n} points are many for single tabu moves"
    return "auto", f"auto: {small.n} points, chosen by bqp.solve for each bit (n_restarts {_RESTARTS} unless given)"


class _Learner:
    """State of one run over the merged points."""

    def __init__(
        self, collapse: Collapse, loss, n_bits, solver, steps, options, rng, n_jobs, callback, started, time_limit
    ):
        self.collapse, self.loss, self.n_bits = collapse, loss, n_bits
        self.solver, self.steps, self.n_jobs, self.callback = solver, steps, n_jobs, callback
        self.options = {} if isinstance(solver, Solver) else dict(options)
        if solver == "auto":
            self.options.setdefault("n_restarts", _RESTARTS)
        if steps == "auto" and collapse.similarity.structure == "grouped":
            self.steps = ()  # what could be merged is merged, and all pairs are coupled
        self.seeds = as_seed_sequence(rng)
        self.kick_rng = np.random.Generator(np.random.PCG64(self.seeds.spawn(1)[0]))
        self.started, self.time_limit = started, time_limit
        self.bits = BitProblems.of(collapse.similarity, loss, n_bits)
        self.B = self.bits.B
        self.solutions: list[Solution | None] = [None] * n_bits
        self.rows: list[tuple[float, int, float]] = []
        self.step = 0
        self.stopped: str | None = None
        self.stats: dict[str, Any] = {}

    # ---- one bit -----------------------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    def solve_bit(self, problem: BQP, x0, bits_to_share: int) -> Solution:
        limit = None if self.time_limit is None else max(0.0, self.time_limit - self.elapsed) / max(1, bits_to_share)
        solution = solve(
            problem, solver=self.solver, x0=x0, reductions=self.steps, rng=self.seeds.spawn(1)[0], n_jobs=self.n_jobs,
            time_limit=limit, **self.options,
        )  # fmt: skip
        self.step += 1
        if solution.status is Status.STOPPED:
            self.stopped = "interrupted"
        return solution

    def report(self, energy: float, in_trace: bool = True, B: np.ndarray | None = None) -> None:
        """Note the objective, let the callback see it, look at the clock."""
        now = self.elapsed
        if in_trace:
            self.rows.append((now, self.step, energy))
        if self.callback is not None:
            codes = self.B if B is None else B
            event = Event(now, self.step, energy, -np.inf, lambda: self.collapse.lift(codes.copy()))
            if self.callback(event):
                self.stopped = "callback"
        if self.stopped is None and self.time_limit is not None and now >= self.time_limit:
            self.stopped = "time_limit"

    # ---- the course --------------------------------------------------------------------------------------------

    def run(self, target, order, init, max_cycles, n_kicks) -> None:
        cyclic = order == "cyclic"
        solved = 0
        try:
            if cyclic and init is not None:
                self.bits.load(init, np.ones(self.n_bits, dtype=bool))
                solved = self.n_bits
            else:
                for k in range(self.n_bits):
                    self.sequential_step(k, target, None if init is None else init[:, k], in_trace=not cyclic)
                    solved = k + 1
                    if self.stopped:
                        break
        except KeyboardInterrupt:
            self.stopped = "interrupted"
        if solved < self.n_bits:
            self.fill(solved, init)
        elif cyclic and self.stopped is None:
            self.improve(max_cycles, n_kicks)
        if self.stopped:
            self.stats.update(stopped=self.stopped, n_bits_solved=solved)

    def sequential_step(self, k: int, target: str, x0, in_trace: bool) -> None:
        r, shift = target_of_bit(target, k, self.n_bits)
        solution = self.solve_bit(self.bits.problem(r, shift), x0, self.n_bits - k)
        self.bits.add(k, solution.x, solution.energy)
        self.solutions[k] = solution
        self.report(solution.energy, in_trace)

    def fill(self, solved: int, init) -> None:
        """Give the bits from `solved` on the columns of `init`, or repeat the solved ones in turn."""
        for k in range(solved, self.n_bits):
            if init is not None:
                self.B[:, k] = init[:, k]
            elif solved:
                self.B[:, k] = self.B[:, k % solved]
            self.solutions[k] = None

    def improve(self, max_cycles: int, n_kicks: int) -> None:
        """Cycles from the present codes, then kicks; B ends as the best codes seen."""
        objective = self.bits.value(self.n_bits)
        best = self.B.copy()
        self.stats.update(n_cycles=0, n_kicks=0, n_kicks_kept=0)
        try:
            self.report(objective)
            objective = self.cycles(objective, max_cycles, np.inf)
            best, best_solutions = self.B.copy(), list(self.solutions)
            while self.stopped is None and self.stats["n_kicks"] < n_kicks and self.n_bits > 1:
                self.stats["n_kicks"] += 1
                kicked = best.copy()
                chosen = self.kick_rng.choice(self.n_bits, size=min(_KICKED_BITS, self.n_bits // 2), replace=False)
                kicked[:, chosen] = 2 * self.kick_rng.integers(0, 2, (len(best), len(chosen)), dtype=np.int8) - 1
                self.bits.load(kicked, np.ones(self.n_bits, dtype=bool))
                reached = self.cycles(self.bits.value(self.n_bits), max_cycles, objective, best)
                if reached < objective - self.tolerance(objective):
                    objective, best, best_solutions = reached, self.B.copy(), list(self.solutions)
                    self.stats["n_kicks_kept"] += 1
            self.solutions = best_solutions
        except KeyboardInterrupt:
            self.stopped = "interrupted"
        if losses.value(self.collapse.similarity, best, self.loss) <= losses.value(
            self.collapse.similarity, self.B, self.loss
        ):
            self.B[:] = best

    def cycles(self, objective: float, max_cycles: int, incumbent: float, best: np.ndarray | None = None) -> float:
        """Solve bit after bit given all others until a whole cycle improves none; returns the objective reached.

        The trace holds the better of this and the `incumbent`. A bit is replaced only by a strictly better one.
        """
        unchanged, k = 0, 0
        for visit in range(max_cycles * self.n_bits):
            if unchanged == self.n_bits or self.stopped:
                break
            old = self.B[:, k].copy()
            self.bits.remove(k)
            problem = self.bits.problem(self.n_bits)
            solution = self.solve_bit(problem, old, self.n_bits - k)
            if solution.energy < objective - self.tolerance(objective):
                objective, unchanged = solution.energy, 0
                self.bits.add(k, solution.x, solution.energy)
            else:
                unchanged += 1
                energy = float(problem.energy(old))
                solution = replace(solution, x=old, energy=energy, lower_bound=min(solution.lower_bound, energy))
                self.bits.add(k, old, energy)
            self.solutions[k] = solution
            self.stats["n_cycles"] = max(self.stats["n_cycles"], visit // self.n_bits + 1)
            if best is None or objective < incumbent - self.tolerance(incumbent):
                self.report(objective)
            else:
                self.report(incumbent, B=best)
            k = (k + 1) % self.n_bits
        return objective

    def tolerance(self, objective: float) -> float:
        """Improvements up to this are taken for rounding."""
        return 0.0 if isinstance(self.loss, losses.Ksh) and objective == np.rint(objective) else 1e-12 * abs(objective)

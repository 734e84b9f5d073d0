"""Codes and hash functions in turn: the method of auxiliary coordinates for affinity-based hashing.

R. Raziperchikolaei, M. A. Carreira-Perpinan, "Optimizing affinity-based binary hashing using auxiliary coordinates",
NIPS 2016 (MAC, AffHash): minimise the pairwise loss over codes Z that are tied to the functions' outputs h(X) by a
penalty mu ||Z - h(X)||^2, with mu rising; Z is solved bit by bit given all other bits, h is fitted to Z. Ours: all
pairs where the structure allows it, any solver, steps that never raise the penalised objective, a schedule without
units.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bqp import losses
from bqp.callbacks import Callback
from bqp.codes._common import Course, Refit, call_refit, check_init, check_mode, check_similarity, signs
from bqp.codes.bitwise import bitwise
from bqp.codes.block_descent import EXACT_UP_TO as CUT_UP_TO
from bqp.codes.block_descent import BlockDescent
from bqp.codes.blocks import similar_blocks
from bqp.codes.bounds import bounds_of
from bqp.codes.result import CodeResult
from bqp.errors import ParameterError
from bqp.losses.bits import WRITE_OUT_BELOW, BitProblems
from bqp.problem import BQP
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solution import Solution, Status
from bqp.solve import EXACT_UP_TO, solve
from bqp.solvers import CoordinateDescent, Exact, Solver
from bqp.solvers.base import check_count
from bqp.supervision import GroupedSimilarity, Similarity, sample_pairs

__all__ = ["alternation"]

OWN_SOLVERS = ("quad", "cut")
_STRUCTURED_FROM = 500  # points from which a squared loss on groups is not written out
_SAMPLED = 100  # similar and dissimilar partners a point where a loss has no structured form
_PUBLISHED_SAMPLED = (100, 500)
_PUBLISHED_MU = {"cut": 0.3, "quad": 0.01}
_PUBLISHED_FACTOR = 1.4
_PUBLISHED_OUTER = 100
_FIRST_SHARE, _LAST_SHARE = 0.05, 1.2  # of the median and of the largest local field, for the default schedule
_QUAD_ITERATIONS = 100
_ROUNDING = 1e-12


def alternation(
    S: Similarity,
    n_bits: int = 32,
    refit: Refit | None = None,
    loss: str | losses.Loss = "ksh",
    solver: str | Solver = "auto",
    mu: float | None = None,
    factor: float | None = None,
    max_outer: int | None = None,
    max_passes: int | None = None,
    validation: Callable[[np.ndarray, np.ndarray], float] | None = None,
    patience: int | None = None,
    mode: str = "default",
    init=None,
    rng: RandomLike = 0,
    n_jobs: int = 1,
    callback: Callback | None = None,
    time_limit: float | None = None,
    certify: bool | str = "auto",
    **options: Any,
) -> CodeResult:
    """Minimise ``sum_ij w_ij l(s_ij, z_i.z_j, q) + mu sum_i ||z_i - h(x_i)||^2`` over codes z and functions h.

    Parameters
    ----------
    S : Similarity
        From `bqp.supervision`.
    n_bits : int
        Code length q.
    refit : callable
        ``refit(B, bits) -> F``: fit the functions of these bits to the columns ``B[:, bits]``, return their real
        outputs on the training points, shape (n, len(bits)); h is the sign (0 counts as +1). It is called with all
        bits at once and always for the same points, so whatever depends on the features alone (kernel values, the
        Cholesky factor of the normal equations) can be made once and kept.
    loss : str or Loss
        Any pairwise loss.
    solver : str or Solver
        What solves a bit: "auto" (enumeration up to 24 points, else coordinate descent from the present bit), "quad"
        (L-BFGS on the box from the present bit, then signs, taken if better), "cut" (minimum cuts of blocks of similar
        points, `codes.block_graph_cut`), a name from `bqp.available_solvers`, or a solver object.
    mu, factor : float, optional
        First penalty weight, and what it is multiplied by after each round. Default: from 0.05 times the median to 1.2
        times the largest local field of the bits at the start, in `max_outer` steps. Published: 0.3 ("cut") or 0.01
        ("quad"), times 1.4.
    max_outer : int, optional
        Most values of mu: each has a Z step and a fit of h. Default 20 (published: 100).
    max_passes : int, optional
        Most passes over the bits in a Z step, which ends when no bit changes. Default 2 (published: 1).
    validation : callable, optional
        ``validation(B, F) -> float``: precision of the present codes and outputs, higher is better. The run stops when
        it has not risen `patience` rounds in a row; the default mode returns the best round.
    patience : int, optional
        Default 2 (published: 1).
    mode : {"default", "published"}
        "published", as recalled from the paper (no code was found): 100 similar and 500 dissimilar partners a point,
        other pairs unknown (pairs given as pairs are taken as they are); solver "quad" unless another is named; a
        new function always replaces the old one; the last codes are returned.
    init : array of shape (n, q), optional
        First codes. Default: `bitwise` (the problem for mu = 0), cyclic; sequential when published.
    rng : None, int, SeedSequence or Generator
    n_jobs : int
        Threads inside each solve. Same seed, same answer for every number of them.
    callback : callable, optional
        Called after each bit and each fit with an `Event`; ``energy`` is the penalised objective. True stops.
    time_limit : float, optional
        Seconds, looked at between bits. The answer then depends on the machine.
    certify : bool or "auto"
        As in `bitwise`.
    **options
        Settings of a solver that is named.

    Returns
    -------
    result : CodeResult
        B holds Z, and ``objective`` is its loss over all pairs of S. ``trace.objective`` is the penalised objective on
        the pairs in use, after each bit and each fit; ``stats["trace_mu"]``, ``["trace_loss"]``, ``["trace_misfit"]``
        (the sum ||Z - h(X)||^2) lie beside it. While mu stands it never rises in the default mode.
        ``stats["refit_calls"]`` holds, for each bit, the number of the call of `refit` that made its function, from 0;
        ``stats["validation"]`` the precisions; ``stats["ended"]`` why the rounds ended: "Z = h(X)", "validation",
        "max_outer"; ``stats["hashed_objective"]`` the loss of h(X) itself.

    Raises
    ------
    ParameterError
        Unknown loss, solver, mode; `refit` missing; mu < 0; factor < 1; a count out of range.
    ProblemError
        `init` or what `refit` returns is of a wrong shape or value.

    Notes
    -----
    For z and h of -1 and +1 the penalty of a bit is ``2 mu (n - h'z)``: exactly linear, c = -2 mu h. It breaks the
    symmetry inside groups, so that points are not merged. `ksh` and `bre` on labels cost O(n (C + q)) a sweep and
    memory O(n q); other losses on more than 4,096 points of a grouped similarity use 100 + 100 sampled partners each.
    A function replaces the old one of its bit only if it lowers the bit's misfit (default mode): else the penalised
    objective could rise. For mu = 0 the Z step is that of ``bitwise(order="cyclic")``; for mu to infinity Z = h(X).

    Examples
    --------
    >>> import numpy as np
    >>> from bqp import codes, supervision
    >>> X = np.array([[0.0, 1], [0.1, 1], [1, 1], [1.1, 1]])
    >>> S = supervision.from_labels([0, 0, 1, 1])
    >>> def refit(B, bits, sample_weight=None):
    ...     return X @ np.linalg.lstsq(X, B[:, bits].astype(float), rcond=None)[0]
    >>> result = codes.alternation(S, n_bits=4, refit=refit)
    >>> result.objective, result.stats["ended"]
    (0.0, 'Z = h(X)')
    """
    course = Course(callback, time_limit)
    check_similarity(S)
    published = check_mode(mode)
    n_bits = check_count("n_bits", n_bits)
    loss = losses.get(loss)
    if not callable(refit):
        raise ParameterError(f"refit must be a function of (B, bits), got {refit!r}: alternation fits hash functions.")
    if validation is not None and not callable(validation):
        raise ParameterError(f"validation must be a function of (B, F), or None, got {validation!r}.")
    for name, value, least in (("mu", mu, 0.0), ("factor", factor, 1.0)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and np.isfinite(value) and value >= least):
            raise ParameterError(f"{name} must be a finite number >= {least:g}, got {value!r}.")
    if published and isinstance(solver, str) and solver == "auto":
        solver = "quad"
    if solver in OWN_SOLVERS and options:
        raise ParameterError(f"unknown option {next(iter(options))!r}: {solver} has none.")
    max_outer = check_count("max_outer", (_PUBLISHED_OUTER if published else 20) if max_outer is None else max_outer)
    max_passes = check_count("max_passes", (1 if published else 2) if max_passes is None else max_passes)
    patience = check_count("patience", (1 if published else 2) if patience is None else patience)
    init = check_init(init, S.n, n_bits)
    pair_seed, block_seed, start_seed, bit_seed = as_seed_sequence(rng).spawn(4)
    work = S
    unstructured = isinstance(S, GroupedSimilarity) and S.n > WRITE_OUT_BELOW and loss.quadratic_scale(1.0) is None
    if (published and S.structure != "pairs") or unstructured:
        counts = _PUBLISHED_SAMPLED if published else (_SAMPLED, _SAMPLED)
        work = sample_pairs(S, *counts, pair_seed)
    if init is None:
        order = "sequential" if published else "cyclic"
        init = bitwise(work if published else S, n_bits, loss, order=order, rng=start_seed, n_jobs=n_jobs,
                       time_limit=time_limit, certify=False).B  # fmt: skip
    run = _Alternation(work, loss, n_bits, refit, solver, options, block_seed, bit_seed, n_jobs, course, published)
    run.alternate(init, mu, factor, max_outer, max_passes, validation, patience)
    B = run.B
    objective = losses.value(S, B, loss)
    ksh_objective = objective if loss == losses.Ksh() else S.ksh_objective(B)
    lower_bound, ksh_lower_bound = bounds_of(S, n_bits, loss, objective, ksh_objective, certify)
    stats = {
        "mode": mode, "solver": solver if isinstance(solver, str) else solver.name,
        "n_pairs": len(work.indices) if work is not S and work.structure == "pairs" else None,
        "hashed_objective": losses.value(S, run.h, loss), **run.stats,
    }  # fmt: skip
    if course.stopped:
        stats["stopped"] = course.stopped
    return CodeResult(
        B=B, objective=objective, lower_bound=lower_bound, ksh_objective=ksh_objective,
        ksh_lower_bound=ksh_lower_bound, n_bits=n_bits, loss=loss.name, method="alternation", trace=course.trace,
        bits=tuple(bit for bit in run.bits if bit is not None), time=course.elapsed, stats=stats,
    )  # fmt: skip


class _Alternation:
    """Codes, outputs and the penalised objective of one run."""

    def __init__(
        self, work, loss, n_bits, refit, solver, options, block_seed, bit_seed, n_jobs, course: Course, published
    ):
        self.work, self.n_bits, self.refit, self.course, self.published = work, n_bits, refit, course, published
        squared = loss.quadratic_scale(1.0) is not None
        self.problems = BitProblems.of(
            work, loss, n_bits, write_out=None if not squared else work.n <= _STRUCTURED_FROM
        )
        self.solver, self.options, self.n_jobs, self.seeds = solver, options, n_jobs, bit_seed
        if isinstance(solver, str) and solver == "auto" and not options:
            self.solver = Exact() if work.n <= EXACT_UP_TO else CoordinateDescent(n_restarts=1)
        self.blocks: list[np.ndarray] = []
        self.block_rng = np.random.Generator(np.random.PCG64(block_seed))
        if solver == "cut":
            self.blocks = similar_blocks(work, loss, self.block_rng, CUT_UP_TO)
        self.bits: list[Solution | None] = [None] * n_bits
        self.h = np.ones((work.n, n_bits), dtype=np.int8)
        self.F = np.zeros((work.n, n_bits))
        self.misfit = np.zeros(n_bits)  # ||z_k - h_k||^2 of each bit
        self.calls = np.full(n_bits, -1)
        self.mu = self.value = 0.0
        self.step = self.n_calls = 0
        self.columns: list[tuple[float, float, float]] = []
        self.stats: dict[str, Any] = {"n_outer": 0, "ended": "max_outer", "validation": []}

    @property
    def B(self) -> np.ndarray:
        return self.problems.B

    def show(self) -> bool:
        """Note the penalised objective and its parts; returns whether to stop."""
        misfit = float(self.misfit.sum())
        self.columns.append((self.mu, self.value, misfit))
        B = self.B
        return self.course.report(self.step, self.value + self.mu * misfit, lambda: B.copy())

    # ---- the course --------------------------------------------------------------------------------------------

    def alternate(self, init, mu, factor, max_outer, max_passes, validation, patience) -> None:
        self.problems.load(init, np.ones(self.n_bits, dtype=bool))
        self.value = self.problems.value(self.n_bits)
        best: tuple[float, np.ndarray, np.ndarray, np.ndarray] | None = None
        stale = 0
        try:
            self.fit()
            self.mu, factor = self.schedule(mu, factor, max_outer)
            for outer in range(max_outer):
                if self.show():  # the objective at the new mu
                    break
                for _ in range(max_passes):
                    if not self.one_pass() or self.course.stopped:
                        break
                if self.course.stopped:
                    break
                self.fit()
                self.stats["n_outer"] = outer + 1
                if self.show():
                    break
                if validation is not None:
                    precision = float(validation(self.B.copy(), self.F.copy()))
                    self.stats["validation"].append(precision)
                    if best is None or precision > best[0]:
                        best, stale = (precision, self.B.copy(), self.h.copy(), self.calls.copy()), 0
                    else:
                        stale += 1
                if not self.misfit.any():
                    self.stats["ended"] = "Z = h(X)"
                    break
                if stale >= patience:
                    self.stats["ended"] = "validation"
                    break
                if outer + 1 < max_outer:
                    self.mu *= factor
        except KeyboardInterrupt:
            self.course.interrupt()
        if best is not None and not self.published:
            self.B[:], self.h, self.calls = best[1], best[2], best[3]
        columns = np.array(self.columns, dtype=np.float64).reshape(-1, 3)
        self.stats.update(
            trace_mu=columns[:, 0], trace_loss=columns[:, 1], trace_misfit=columns[:, 2], refit_calls=self.calls,
            factor=factor, mu=self.mu,
        )  # fmt: skip

    def schedule(self, mu, factor, max_outer) -> tuple[float, float]:
        """The first mu and its factor. A flip changes the loss by 4 |f_i| or so and the penalty by 4 mu."""
        if self.published:
            first = _PUBLISHED_MU.get(str(self.solver), _PUBLISHED_MU["quad"]) if mu is None else mu
            return float(first), float(_PUBLISHED_FACTOR if factor is None else factor)
        if mu is None or factor is None:
            fields = []
            for k in range(min(4, self.n_bits)):
                x = self.B[:, k].copy()
                self.problems.remove(k)
                fields.append(np.abs(self.problems.problem(self.n_bits).Q.fields(x)))
                self.problems.add(k, x)
            fields = np.concatenate(fields)
            felt = fields[fields > 0]
            first = _FIRST_SHARE * float(np.median(felt)) if len(felt) else 1.0
            mu = first if mu is None else float(mu)
            last = _LAST_SHARE * float(fields.max())
            if factor is None:
                factor = 1.0
                if 0 < mu < last and max_outer > 1:
                    factor = (last / mu) ** (1.0 / (max_outer - 1))
        return float(mu), float(factor)

    # ---- the Z step --------------------------------------------------------------------------------------------

    def one_pass(self) -> bool:
        """Solve every bit once given all others; returns whether one changed."""
        changed = False
        for k in range(self.n_bits):
            changed |= self.solve_bit(k)
            if self.show():
                break
        return changed

    def solve_bit(self, k: int) -> bool:
        """Replace bit k if a better one is found; returns whether it changed."""
        old = self.B[:, k].copy()
        new = old
        self.problems.remove(k)
        try:
            loss_part = self.problems.problem(self.n_bits)  # its energy is the loss
            c = -2.0 * self.mu * self.h[:, k]
            problem = BQP(loss_part.Q, c=c)
            solution = self.minimise(problem, old)
            x = solution.x
            self.step += 1
            if not np.array_equal(x, old):
                before, after = float(loss_part.energy(old)), float(loss_part.energy(x))
                misfit = 2.0 * float(np.sum(1.0 - self.h[:, k] * x))
                change = after - before + self.mu * (misfit - self.misfit[k])
                size = abs(before) + self.mu * (misfit + self.misfit[k])
                if change < -_ROUNDING * size or (self.published and change < 0):
                    new, self.value = x, after
                    self.misfit[k] = misfit
                    self.bits[k] = solution
        finally:
            self.problems.add(k, new)
        return new is not old

    def minimise(self, problem: BQP, x0: np.ndarray) -> Solution:
        if self.solver == "quad":
            x = _box_signs(problem, x0)
            return Solution(x, float(problem.energy(x)), Status.LOCAL_OPTIMUM, solver="quad")
        if self.solver == "cut":
            descent = BlockDescent(problem, x0, CUT_UP_TO, attracting=True)
            passes = 1 if self.published else 20
            descent.run(self.blocks, self.block_rng, passes, lambda: self.course.time_left() == 0.0)
            return Solution(descent.x, float(problem.energy(descent.x)), Status.LOCAL_OPTIMUM, solver="cut")
        solution = solve(
            problem, solver=self.solver, x0=x0, reductions=(), rng=self.seeds.spawn(1)[0], n_jobs=self.n_jobs,
            **self.options,
        )  # fmt: skip
        if solution.status is Status.STOPPED:
            self.course.interrupt()
        return solution

    # ---- the h step --------------------------------------------------------------------------------------------

    def fit(self) -> None:
        """Fit the functions to Z; a bit keeps its old function unless the new one lowers its misfit."""
        F = call_refit(self.refit, self.B.copy(), list(range(self.n_bits)))
        h = signs(F)
        misfit = 4.0 * np.count_nonzero(h != self.B, axis=0)
        better = np.ones(self.n_bits, bool) if self.published or self.n_calls == 0 else misfit < self.misfit
        self.h[:, better], self.F[:, better] = h[:, better], F[:, better]
        self.misfit[better] = misfit[better]
        self.calls[better] = self.n_calls
        self.n_calls += 1


def _box_signs(problem: BQP, x0: np.ndarray) -> np.ndarray:
    """A local minimum over the box [-1, 1]^n (L-BFGS-B from x0), truncated; zeros keep the sign of x0.

    The diagonal of Q, a constant over spins, is left out.
    """
    from scipy.optimize import minimize

    diagonal = problem.Q.diagonal()

    def energy(z: np.ndarray) -> tuple[float, np.ndarray]:
        product = problem.Q.matvec(z) - diagonal * z
        return float(z @ product + problem.c @ z), 2.0 * product + problem.c

    found = minimize(
        energy, x0.astype(np.float64), jac=True, method="L-BFGS-B", bounds=[(-1.0, 1.0)] * problem.n,
        options={"maxiter": _QUAD_ITERATIONS},
    )  # fmt: skip
    return signs(found.x, keep=x0)

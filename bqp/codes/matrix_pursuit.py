"""Binary matrix pursuit: codes and bit weights that rebuild a similarity from rank-one matrices.

F. Cakir, K. He, S. Sclaroff, "Hashing with Binary Matrix Pursuit", ECCV 2018 (HBMP): bit after bit, the sign vector
that correlates best with the residual similarity; in the weighted form all bit weights are refitted by least squares.
The authors round the top eigenvector of the residual. Ours: any solver of the binary quadratic program
``max y'(W o R)y``, pairs that count as often as the data say, and cycles over the bits with all others given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bqp import losses
from bqp.callbacks import Callback
from bqp.codes._common import Course, check_init, check_mode, check_similarity
from bqp.codes._pursuit import MaskedTarget, least_squares_weights, merge_points, top_eigenvector_signs
from bqp.codes.bounds import bounds_of
from bqp.codes.result import CodeResult
from bqp.errors import ParameterError
from bqp.rng import RandomLike, as_seed_sequence, streams
from bqp.solution import Solution, Status
from bqp.solve import solve
from bqp.solvers import Solver
from bqp.solvers.base import check_count
from bqp.supervision import Similarity

__all__ = ["matrix_pursuit"]

TOP_EIGENVECTOR = "top_eigenvector"
_MAX_ITER = 32  # the authors' default number of bits inferred
_REDRAWS = 1000
_RESTARTS = 4
_MANY_POINTS = 500
_CYCLES_SMALL, _CYCLES_LARGE = 20, 1
_ROUNDING = 1e-12


def matrix_pursuit(
    S: Similarity,
    n_bits: int = 32,
    weighted: bool = True,
    solver: str | Solver = "auto",
    mode: str = "default",
    max_iter: int | None = None,
    tol: float = 1e-6,
    max_cycles: int | None = None,
    init=None,
    rng: RandomLike = 0,
    n_jobs: int = 1,
    callback: Callback | None = None,
    time_limit: float | None = None,
    certify: bool | str = "auto",
    **options: Any,
) -> CodeResult:
    """Learn codes and bit weights that minimise ``sum_{i != j} w_ij (q S_ij - q sum_k v_k b_ik b_jk)^2``.

    Parameters
    ----------
    S : Similarity
        From `bqp.supervision`; targets may be any real numbers (multi-level similarity).
    n_bits : int
        Code length q.
    weighted : bool
        Fit the weights v of the bits. False: every bit weighs 1 / q, which is the `ksh` loss without self pairs.
    solver : str or Solver
        What finds a bit: "auto" (that of `bqp.solve`, started at the top eigenvector), "top_eigenvector" (its signs
        and nothing else, the authors' choice and what "auto" means in the published mode), a name from
        `bqp.available_solvers`, or a solver object.
    mode : {"default", "published"}
        "published" is the authors' code: every distinct label set counts once, with self pairs masked; a bit found
        before, or that correlates negatively, is redrawn at random; a first guess of the new weight, then a refit of
        all, kept if the residual drops; unweighted, the target is multiplied by `max_iter` and the eigenproblem is not
        masked.
    max_iter : int, optional
        Published mode: bits inferred, of which the first `n_bits` are kept, with the weights they have among all.
        Default 32, or `n_bits` where that is more.
    tol : float
        Stop adding bits once the masked residual norm ||S - X|| is below this (published: after n_bits bits only).
    max_cycles : int, optional
        Default mode: most cycles over the bits after the pursuit, each bit solved again given the others. Default 20
        up to 500 points after merging, else 1.
    init : array of shape (n, q), optional
        Default mode: codes to start the cycles from, instead of the pursuit. The answer is never worse (points of a
        group take their majority sign first).
    rng : None, int, SeedSequence or Generator
    n_jobs : int
        Threads inside each solve. Same seed, same answer for every number of them (without a time limit).
    callback : callable, optional
        Called after each bit with an `Event`; ``energy`` is the entry of the trace. Returning True stops.
    time_limit : float, optional
        Seconds for the codes. The answer then depends on the machine.
    certify : bool or "auto"
        As in `bitwise`: whether the bound of the ksh yardstick is the semidefinite one.
    **options
        Settings of the solver.

    Returns
    -------
    result : CodeResult
        ``objective`` is the formula above over all ordered pairs i != j of the data in both modes; with weights 1 / q
        it is the ksh loss less its self pairs. ``weights`` holds v, or None if not `weighted`.

        ``trace.objective`` is q^2 (published unweighted: 1) times the squared residual after each step, on the points
        that the method counts. Default weighted: it never rises; default unweighted: it starts at the first complete
        codes and never rises.

        ``stats["residual_norms"]`` has the masked residual norm ||S - X|| before and after each bit of the pursuit
        (published unweighted: of max_iter S - X), ``stats["gains"]`` the correlation |y'(W o R)y| of each bit, and
        ``stats["progress_holds"]`` says that every weighted step lowered the squared residual by what theory promises
        (Notes).

        Once the residual is gone (``stats["n_bits_weighted"]`` bits), further bits have weight 0 and are chosen for
        plain Hamming distances; after Ctrl-C, a callback's stop or the time limit they repeat the solved ones.

    Raises
    ------
    ParameterError
        Unknown mode, solver or option; a count that is not a positive integer; `init` in the published mode;
        `max_iter` below `n_bits`.
    ProblemError
        `init` of a wrong shape or value.

    Notes
    -----
    Progress: let N = sum W and D = y'(W o R)y > 0. The best weight of the new bit alone is D / N and lowers ||R||^2
    by D^2 / N, and a refit of all weights does at least that, so that ||R_t||^2 = ||R_0||^2 prod (1 - rho^2) at most,
    with rho = D / (sqrt(N) ||R||). For unit weights a random y has E D = 0 and E D^2 = 2 ||R||^2, and
    hypercontractivity (E D^4 <= 81 (E D^2)^2) turns that into max D >= sqrt(2) ||R|| / 18: a bit solved to optimality
    always gains, and the residual falls geometrically. (Where pairs inside groups count, no y may correlate positively;
    the default mode then takes the bit of most negative correlation, with a negative weight.) The authors' first guess
    D / (||S|| C^2) gains less, and is kept only if the refit fails.

    With C points after merging, a bit costs a few products of O(C^2) and its solve, the refit O(C t) for t bits
    (O(C^2 t) with weights of pairs of classes) and O(t^3); never a regression over pairs. Memory 24 bytes a pair:
    O(C^2), or O(pairs) for pairs. Points of a group share a code; groups that are not similar to themselves (the empty
    label set) stay unmerged up to 4,096 points in the default mode.

    Where the published mode departs: a degenerate top eigenspace gives the projection of a seeded normal vector on it,
    instead of what the LAPACK build returns; after 1,000 redraws in vain the eigenvector's signs are taken (the
    authors' loop does not end); arithmetic is in double precision. Like their code, it takes the vector of all -1 for
    found before from the second bit on.

    Examples
    --------
    >>> from bqp import codes, supervision
    >>> S = supervision.from_labels([0, 0, 1, 1, 2, 2])
    >>> result = codes.matrix_pursuit(S, n_bits=4)
    >>> result.B.shape, result.weights.shape, bool(result.stats["progress_holds"])
    ((6, 4), (4,), True)
    """
    course = Course(callback, time_limit)
    check_similarity(S)
    n_bits = check_count("n_bits", n_bits)
    published = check_mode(mode)
    if not isinstance(tol, int | float) or isinstance(tol, bool) or not tol >= 0:
        raise ParameterError(f"tol must be a number >= 0, got {tol!r}.")
    if not isinstance(weighted, bool | np.bool_):
        raise ParameterError(f"weighted must be True or False, got {weighted!r}.")
    init = check_init(init, S.n, n_bits)
    if published and init is not None:
        raise ParameterError("mode='published' starts from nothing: leave init out, or use mode='default'.")
    max_iter = max(_MAX_ITER, n_bits) if max_iter is None else check_count("max_iter", max_iter)
    if published and max_iter < n_bits:
        raise ParameterError(f"max_iter must be at least n_bits = {n_bits}, got {max_iter}: those bits are kept.")
    if max_cycles is not None:
        max_cycles = check_count("max_cycles", max_cycles, least=0)
    collapse, target = merge_points(S, unique=published)
    if init is not None:
        init = collapse.project(init)
    pursuit = _Pursuit(S, collapse, target, n_bits, weighted, solver, options, rng, n_jobs, course, published)
    if published and weighted:
        pursuit.published_weighted(max_iter, tol)
    elif published:
        pursuit.published_unweighted(max_iter)
    else:
        if max_cycles is None:
            max_cycles = _CYCLES_SMALL if target.n <= _MANY_POINTS else _CYCLES_LARGE
        pursuit.improved(tol, max_cycles, init)
    B, v = pursuit.finish()
    B = collapse.lift(B)
    ksh_objective = S.ksh_objective(B)
    _, ksh_lower_bound = bounds_of(S, n_bits, losses.Ksh(), ksh_objective, ksh_objective, certify)
    if weighted:
        objective, lower_bound = _weighted_objective(S, B, v), 0.0
    else:
        selves = _self_terms(S, n_bits)
        objective = ksh_objective - selves
        lower_bound = min(max(0.0, ksh_lower_bound - selves - _ROUNDING * abs(selves)), objective)
    stats = {
        "n_points": target.n, "merged": not collapse.is_identity, "mode": mode, "weighted": bool(weighted),
        "solver": pursuit.solver_name, "nbytes": target.nbytes, **pursuit.stats,
    }  # fmt: skip
    if course.stopped:
        stats["stopped"] = course.stopped
    return CodeResult(
        B=B, objective=objective, lower_bound=lower_bound, ksh_objective=ksh_objective,
        ksh_lower_bound=ksh_lower_bound, n_bits=n_bits, loss="pursuit", method="matrix_pursuit", trace=course.trace,
        bits=tuple(s for s in pursuit.solutions[:n_bits] if s is not None), weights=v if weighted else None,
        time=course.elapsed, stats=stats,
    )  # fmt: skip


def _self_terms(S: Similarity, n_bits: int) -> float:
    """The terms (i, i) of the ksh loss: sum_i w_ii (q S_ii - q)^2."""
    i = np.arange(S.n)
    targets, weights = S.pair_values(i, i)
    return float(np.sum(weights * (n_bits * targets - n_bits) ** 2))


def _weighted_objective(S: Similarity, B: np.ndarray, v: np.ndarray) -> float:
    """The weighted objective over all pairs i != j of the data, for codes that are equal within merged groups."""
    collapse, target = merge_points(S, unique=False)
    _, first = np.unique(collapse.labels, return_index=True)
    codes = B[first[-target.n :]]  # the label -1 of unknown points comes first
    return float(B.shape[1]) ** 2 * target.squared_norm(target.residual(codes, v))


class _Pursuit:
    """Bits, weights and residual over the merged points."""

    def __init__(
        self, S, collapse, target: MaskedTarget, n_bits, weighted, solver, options, rng, n_jobs, course, published
    ):
        self.S, self.collapse, self.target, self.n_bits, self.weighted = S, collapse, target, n_bits, weighted
        self.n_jobs, self.course = n_jobs, course
        if published and isinstance(solver, str) and solver == "auto":
            solver = TOP_EIGENVECTOR
        self.solver, self.options = solver, dict(options)
        self.solver_name = solver if isinstance(solver, str) else solver.name
        if solver == TOP_EIGENVECTOR and options:
            raise ParameterError(f"unknown option {next(iter(options))!r}: top_eigenvector has none.")
        if solver == "auto":
            self.options.setdefault("n_restarts", _RESTARTS)
        self.seeds = as_seed_sequence(rng)
        self.start_rng, self.redraw_rng = streams(self.seeds, 2)
        self.B = np.empty((target.n, 0), dtype=np.int8)
        self.v = np.empty(0)
        self.gram = np.empty((0, 0))
        self.right = np.empty(0)
        self.solutions: list[Solution | None] = []
        self.stats: dict[str, Any] = {"residual_norms": [], "gains": [], "progress_holds": True}
        self.step = 0

    # ---- one bit -----------------------------------------------------------------------------------------------

    def top(self, residual, tol: float = 1e-10) -> np.ndarray:
        """Signs of the top eigenvector of the residual."""
        start = self.start_rng.standard_normal(self.target.n)
        return top_eigenvector_signs(self.target.as_operator(residual), start, tol)

    def solve_bit(self, residual, sign: float, x0, shares: int) -> Solution:
        """The sign vector y of largest ``sign * y'(W o R)y`` that the solver finds."""
        problem = self.target.problem(residual, sign)
        self.step += 1
        if self.solver == TOP_EIGENVECTOR:
            x = x0 if x0 is not None else self.top(sign * residual)
            return Solution(x, float(problem.energy(x)), Status.LOCAL_OPTIMUM, solver=TOP_EIGENVECTOR)
        solution = solve(
            problem, solver=self.solver, x0=x0, reductions=(), rng=self.seeds.spawn(1)[0], n_jobs=self.n_jobs,
            time_limit=self.course.time_left(shares), **self.options,
        )  # fmt: skip
        if solution.status is Status.STOPPED:
            self.course.interrupt()
        return solution

    def extend(self, y: np.ndarray, solution: Solution | None) -> None:
        """Append a bit: one more row of the Gram matrix."""
        t = self.B.shape[1]
        self.B = np.hstack([self.B, y[:, None]])
        grown = np.empty((t + 1, t + 1))
        grown[:t, :t] = self.gram
        grown[t, :] = grown[:, t] = self.target.gram_row(self.B, y)
        self.gram = grown
        self.right = np.append(self.right, self.target.right_side(y))
        self.solutions.append(solution)

    def replace(self, k: int, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Codes, Gram matrix and right side with bit k replaced."""
        B, gram, right = self.B.copy(), self.gram.copy(), self.right.copy()
        B[:, k] = y
        gram[k, :] = gram[:, k] = self.target.gram_row(B, y)
        right[k] = self.target.right_side(y)
        return B, gram, right

    def refit(self, guess: np.ndarray, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """The better of guessed (with their residual) and refitted weights: weights, residual, squared norm."""
        norm = self.target.squared_norm(residual)
        if not self.weighted:
            return guess, residual, norm
        fitted = least_squares_weights(self.gram, self.right)
        other = self.target.residual(self.B, fitted)
        other_norm = self.target.squared_norm(other)
        return (fitted, other, other_norm) if other_norm < norm else (guess, residual, norm)

    def note_progress(self, before: float, gain: float, after: float, promised: float) -> None:
        """Record a step of the pursuit, and check that it gained what it must."""
        self.stats["gains"].append(gain)
        self.stats["residual_norms"].append(float(np.sqrt(after)))
        if gain > 0:
            holds = after <= before - promised + 1e-9 * (before + self.scale_of_rounding)
            self.stats["progress_holds"] = bool(self.stats["progress_holds"] and holds)

    def codes(self) -> np.ndarray:
        return self.collapse.lift(self.padded()[0])

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """The first n_bits bits and weights; where fewer are there, they repeat in turn with weight 0."""
        t = self.B.shape[1]
        if t >= self.n_bits:
            return np.ascontiguousarray(self.B[:, : self.n_bits]), self.v[: self.n_bits].copy()
        B = np.ones((self.target.n, self.n_bits), dtype=np.int8)
        v = np.zeros(self.n_bits)
        for k in range(self.n_bits if t else 0):
            B[:, k] = self.B[:, k % t]
        v[:t] = self.v
        return B, v

    # ---- the authors' course -----------------------------------------------------------------------------------

    def published_weighted(self, max_iter: int, tol: float) -> None:
        target, C = self.target, self.target.n
        self.weighted, q2 = True, float(self.n_bits) ** 2
        residual = target.residual(self.B, self.v)
        norm2 = target.squared_norm(residual)
        self.scale_of_rounding = norm2
        L = float(np.sqrt(norm2))
        self.stats.update(residual_norms=[L], n_redrawn=0, n_redraws_in_vain=0)
        try:
            for t in range(max_iter):
                if np.sqrt(norm2) < tol and t > self.n_bits:
                    break
                y, solution = self.authors_bit(residual)
                gain = target.products(residual, y)
                guess = gain / (L * C**2) if L > 0 else 0.0
                self.extend(y, solution)
                guessed = residual.copy()
                target.add_bit(guessed, y, -guess)
                self.v, residual, after = self.refit(np.append(self.v, guess), guessed)
                self.note_progress(norm2, gain, after, 2 * guess * gain - guess**2 * target.total)
                norm2 = after
                if self.course.report(self.step, q2 * norm2, self.codes):
                    break
        except KeyboardInterrupt:
            self.course.interrupt()

    def authors_bit(self, residual) -> tuple[np.ndarray, Solution]:
        """Their step: the eigenvector's signs, redrawn while found before or of negative correlation."""
        if self.solver == TOP_EIGENVECTOR:
            x0 = self.top(residual)
        else:
            x0 = self.top(residual, tol=1e-6)
        solution = self.solve_bit(residual, 1.0, x0, self.n_bits - min(self.n_bits - 1, self.B.shape[1]))
        y = first = solution.x
        draws = 0
        while self.is_old(y) or self.target.products(residual, y) < 0:
            if draws == _REDRAWS:
                self.stats["n_redraws_in_vain"] += 1
                return first, solution
            y = (2 * self.redraw_rng.integers(0, 2, self.target.n, dtype=np.int8) - 1).astype(np.int8)
            draws += 1
        self.stats["n_redrawn"] += draws > 0
        return y, solution

    def is_old(self, y: np.ndarray) -> bool:
        """Whether y is a bit already there; all -1 counts as one after the first bit (their empty first column)."""
        if self.B.shape[1] == 0:
            return False
        return bool(np.all(y == -1) or (y[:, None] == self.B).all(axis=0).any())

    def published_unweighted(self, max_iter: int) -> None:
        target = self.target
        self.scale_of_rounding = 0.0
        target.scale(float(max_iter))
        masked = target.residual(self.B, self.v)
        self.stats["residual_norms"].append(float(np.sqrt(target.squared_norm(masked))))
        _, unmasked = merge_points(self.S, unique=True, mask_selves=False)
        unmasked.scale(float(max_iter))
        whole = unmasked.residual(self.B, self.v)
        try:
            for _ in range(max_iter):
                solution = self.solve_bit(whole, 1.0, self.top(whole), 1)
                y = solution.x
                self.stats["gains"].append(unmasked.products(whole, y))
                unmasked.add_bit(whole, y, -1.0)
                target.add_bit(masked, y, -1.0)
                self.B = np.hstack([self.B, y[:, None]])
                self.v = np.full(self.B.shape[1], 1.0 / self.n_bits)
                self.solutions.append(solution)
                norm2 = target.squared_norm(masked)
                self.stats["residual_norms"].append(float(np.sqrt(norm2)))
                if self.course.report(self.step, norm2, self.codes):
                    break
        except KeyboardInterrupt:
            self.course.interrupt()
        del self.stats["progress_holds"]

    # ---- our course --------------------------------------------------------------------------------------------

    def improved(self, tol: float, max_cycles: int, init) -> None:
        target, q = self.target, self.n_bits
        target.scale(float(q))  # so that squared residuals are objectives, and weights count 1 for 1 / q
        norm2 = target.squared_norm(target.residual(self.B, self.v))
        self.scale_of_rounding = norm2
        self.stats["residual_norms"].append(float(np.sqrt(norm2)) / q)
        self.stats["n_cycles"] = 0
        try:
            if init is not None:
                for k in range(q):
                    self.extend(init[:, k], None)
                self.v = np.ones(q)
                residual = target.residual(self.B, self.v)
                self.v, residual, norm2 = self.refit(self.v, residual)
            else:
                residual, norm2 = self.pursue(tol * q, norm2)
            self.stats["n_bits_weighted"] = self.B.shape[1]
            if self.course.stopped is None and self.B.shape[1] < q:
                self.fill()
            elif self.course.stopped is None:
                self.cycles(residual, norm2, max_cycles)
        except KeyboardInterrupt:
            self.course.interrupt()
        self.stats["gains"] = [gain / q for gain in self.stats["gains"]]
        self.stats["residual_norms"][1:] = [norm / q for norm in self.stats["residual_norms"][1:]]
        self.v = self.v / q

    def pursue(self, tol: float, norm2: float) -> tuple[np.ndarray, float]:
        target, q = self.target, self.n_bits
        residual = target.residual(self.B, self.v)
        gone = max(tol, 1e-13 * np.sqrt(self.scale_of_rounding))
        while self.B.shape[1] < q and not (self.weighted and np.sqrt(norm2) <= gone):
            for sign in (1.0, -1.0) if self.weighted else (1.0,):  # a negative weight only where none else gains
                found = self.try_bit(residual, norm2, sign)
                if found is not None:
                    break
            if found is None:
                break
            residual, norm2 = found
            if self.course.report(self.step, norm2, self.codes, in_trace=self.weighted):
                break
        return residual, norm2

    def try_bit(self, residual, norm2: float, sign: float) -> tuple[np.ndarray, float] | None:
        """Add the bit that correlates best with sign times the residual; None if it gains nothing."""
        target = self.target
        solution = self.solve_bit(residual, sign, self.top(sign * residual, tol=1e-3), self.n_bits - self.B.shape[1])
        y = solution.x
        gain = target.products(residual, y)
        if self.weighted and sign * gain <= 0:
            return None
        step = gain / target.total if self.weighted else 1.0
        before = self.B, self.gram, self.right
        self.extend(y, solution)
        changed = residual.copy()
        target.add_bit(changed, y, -step)
        v, changed, after = self.refit(np.append(self.v, step), changed)
        if self.weighted and not after < norm2 * (1 - _ROUNDING):
            self.B, self.gram, self.right = before
            self.solutions.pop()
            return None
        self.v = v
        self.note_progress(norm2, sign * gain, after, 2 * step * gain - step**2 * target.total)
        return changed, after

    def fill(self) -> None:
        """Bits of weight 0 once the residual is gone: those that plain Hamming distances gain most from."""
        ones = np.ones(self.B.shape[1])
        residual = self.target.residual(self.B, ones)
        for t in range(self.B.shape[1], self.n_bits):
            solution = self.solve_bit(residual, 1.0, self.top(residual, tol=1e-3), self.n_bits - t)
            self.extend(solution.x, solution)
            self.target.add_bit(residual, solution.x, -1.0)
            self.v = np.append(self.v, 0.0)
            if self.course.stopped is not None:
                break

    def cycles(self, residual, norm2: float, max_cycles: int) -> None:
        """Solve bit after bit given the others until a whole cycle improves none; the objective never rises."""
        target, q = self.target, self.n_bits
        self.course.report(self.step, norm2, self.codes)
        unchanged = 0
        for visit in range(max_cycles * q):
            if unchanged == q or self.course.stopped is not None:
                break
            k = visit % q
            old, v_k = self.B[:, k], self.v[k]
            target.add_bit(residual, old, v_k)
            sign = 1.0 if v_k >= 0 else -1.0
            solution = self.solve_bit(residual, sign, old, q - k)
            accepted = False
            if not np.array_equal(solution.x, old):
                kept = self.B, self.gram, self.right
                self.B, self.gram, self.right = self.replace(k, solution.x)
                target.add_bit(residual, solution.x, -v_k)
                fitted, changed, after = self.refit(self.v, residual)
                accepted = after < norm2 - _ROUNDING * (norm2 + 1e-3 * self.scale_of_rounding)
                if accepted:
                    self.v, residual, norm2, unchanged = fitted, changed, after, 0
                    self.solutions[k] = solution
                else:
                    target.add_bit(residual, solution.x, v_k)
                    self.B, self.gram, self.right = kept
            if not accepted:
                target.add_bit(residual, old, -v_k)
                unchanged += 1
            self.stats["n_cycles"] = visit // q + 1
            self.course.report(self.step, norm2, self.codes)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes and weights of the merged points; the numbers of the pursuit as arrays."""
        for name in ("gains", "residual_norms"):
            self.stats[name] = np.array(self.stats[name], dtype=np.float64)
        return self.padded()

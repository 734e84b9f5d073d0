"""Codes from sampled columns of the similarity, and the same step for networks.

W.-C. Kang, W.-J. Li, Z.-H. Zhou, "Column Sampling Based Discrete Supervised Hashing", AAAI 2016 (COSDISH: equations 4
to 8 for the sampled points, 9 for the others);
Q.-Y. Jiang, X. Cui, W.-J. Li, "Deep Discrete Supervised Hashing", IEEE TIP 27, 2018 (DDSH: COSDISH's step for the
sampled points, a network for the others);
Q.-Y. Jiang, W.-J. Li, "Asymmetric Deep Supervised Hashing", AAAI 2018 (ADSH: a network for the sampled points, exact
bits for all).

Ours: points with equal labels merged; each bit given all others instead of those before it; the present bit, the
authors' heuristic and one-flip descents from both compete, so that no step goes uphill on the sampled columns; the
other points in descents on the squared loss, not only the sign for all bits at once; then sweeps over blocks of points
that lower the full objective, whose best codes are returned. COSDISH's solver is written without its Cholesky factor:
the cluster of least scatter is the assignment of least energy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bqp import losses
from bqp.callbacks import Callback
from bqp.codes._columns import Columns, SampledBits, check_columns, soft_ratio, sweep_residual_rows
from bqp.codes._common import Course, check_init, check_mode, check_similarity, random_codes, signs
from bqp.codes._rows import RELATIVE_TIE, blocks_of, sweep_rows
from bqp.codes.bounds import bounds_of
from bqp.codes.result import CodeResult
from bqp.errors import ParameterError, ProblemError
from bqp.forms import Dense
from bqp.problem import BQP
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solve import solve
from bqp.solvers import Solver
from bqp.solvers.base import check_count, resolve_n_jobs
from bqp.supervision import Collapse, GroupedSimilarity, Similarity

__all__ = ["column_sampling", "omega_step", "v_step"]

_PUBLISHED_TIE = 1e-5
_MOST_SWEEPS = 20


def column_sampling(
    S: Similarity,
    n_bits: int = 32,
    n_columns: int | None = None,
    n_rounds: int = 10,
    n_alternations: int = 3,
    max_polish: int = 10,
    soft_labels: bool = True,
    solver: str | Solver = "auto",
    mode: str = "default",
    init=None,
    rng: RandomLike = 0,
    n_jobs: int = 1,
    callback: Callback | None = None,
    time_limit: float | None = None,
    certify: bool | str = "auto",
    **options: Any,
) -> CodeResult:
    """Learn codes that minimise ``sum_ij w_ij (q s_ij - b_i.b_j)^2`` over a few sampled columns j at a time.

    Each round samples columns (points), and alternates between their bits, one small binary quadratic program each, and
    the codes of all other points.

    Parameters
    ----------
    S : Similarity
        Of any kind, with weights and unknown pairs.
    n_bits : int
        Code length q.
    n_columns : int, optional
        Points sampled a round; default q, at most the number of points with a known pair.
    n_rounds, n_alternations : int
        Samples, and alternations on each. Where a sample has all (merged) points, "default" takes n_rounds descents
        from different starts instead.
    max_polish : int
        "default" only: most sweeps over all points at the end, n_columns of them at a time given all others.
    soft_labels : bool
        Multiply the negative targets of a sample by the ratio of its similar to its dissimilar pairs. Without this the
        sampled columns have a worthless optimum where most pairs are dissimilar: all sampled points at c, all others at
        -c. The full objective, which decides, has the targets themselves.
    solver : str or Solver
        What solves a bit of the sampled points: "auto" takes the best of the present bit, the authors' heuristic and
        one-flip descents from both; a name from `bqp.available_solvers` or an object starts from the best of these.
        "published" has its own.
    mode : {"default", "published"}
        "published" repeats the authors' steps and returns the last codes: soft labels, each bit given those before it,
        exactly floor(m / 2) of the m sampled points at +1, the other points at the sign of S_Ga B_Om, where
        |score| < 1e-5 keeps the bit. Its draws are those of ``np.random.default_rng(rng)`` for an int: ``init`` as
        ``standard_normal((n, q)) > 0``, then ``choice(n, n_columns, replace=False)`` a round (numbers of points with
        a known pair).
    init : array of shape (n, q), optional
        Start codes. "default" is never worse.
    rng : None, int, SeedSequence or Generator
    n_jobs : int
        Threads over blocks of points. Same seed, same answer for every number of them.
    callback : callable, optional
        Called after each alternation with an `Event`: ``n_moves`` counts alternations, ``energy`` is the objective and
        ``x`` the codes. Returning True stops.
    time_limit : float, optional
        Seconds, looked at after each alternation.
    certify : bool or "auto"
        As in `codes.bitwise`.
    **options
        Settings of a named solver.

    Returns
    -------
    result : CodeResult
        ``objective`` is ``ksh_objective``, on the full problem. ``trace.objective`` holds it after each alternation: of
        the best codes so far in "default", where it never rises; of the present codes in "published", where it may
        (``stats["best_objective"]`` and ``stats["best_B"]`` keep the best).

    Raises
    ------
    ParameterError
        Unknown mode, solver or option; a count out of range.
    ProblemError
        `S` of another type; a wrong `init`.

    Notes
    -----
    An alternation costs O(n m q) and q programs of m variables, O(m^2 log m + m^3) each; with weights that differ from
    pair to pair O(n m q^2) at worst. Memory O(n q) bytes for labels and label sets of C groups beside O(C m) numbers,
    O(n (m + q)) for pairs and matrices; never n x n.

    Examples
    --------
    >>> from bqp import codes, supervision
    >>> S = supervision.from_labels([0, 0, 1, 1, 2, 2])
    >>> codes.column_sampling(S, n_bits=6).objective
    384.0
    """
    check_similarity(S)
    n_bits = check_count("n_bits", n_bits)
    published = check_mode(mode)
    n_rounds = check_count("n_rounds", n_rounds)
    n_alternations = check_count("n_alternations", n_alternations)
    max_polish = check_count("max_polish", max_polish, least=0)
    n_columns = n_bits if n_columns is None else check_count("n_columns", n_columns)
    if certify not in (True, False, "auto"):
        raise ParameterError(f"certify must be True, False or 'auto', got {certify!r}.")
    course = Course(callback, time_limit)
    init = check_init(init, S.n, n_bits)
    seeds = as_seed_sequence(rng)
    generator = np.random.Generator(np.random.PCG64(seeds))
    bits = _Bits(published, solver, options, seeds)
    collapse = Collapse(S, np.arange(S.n, dtype=np.int32)) if published else S.collapse("ksh")
    run = _Run(collapse, n_bits, n_columns, bits, published, generator, resolve_n_jobs(n_jobs), course)
    try:
        run.begin(random_codes(run.rng, run.S.n, n_bits) if init is None else collapse.project(init))
        if published:
            run.alternate(n_rounds, n_alternations, soft_labels)
        elif run.n_columns < len(run.known):
            run.alternate(n_rounds, n_alternations, soft_labels)
            run.polish(run.best, max_polish)
        else:  # the sample is the problem: rounds are restarts
            run.restart(n_rounds, max_polish)
    except KeyboardInterrupt:
        course.interrupt()
    state = run.B if published and run.is_whole else run.best
    B = collapse.lift(state.copy())
    stats: dict[str, Any] = {
        "mode": mode, "n_points": collapse.similarity.n, "n_columns": run.n_columns, "n_steps": run.step,
    }  # fmt: skip
    if published:
        stats.update(best_objective=run.least, best_B=run.best)
    if course.stopped:
        stats["stopped"] = course.stopped
    objective = S.ksh_objective(B)
    lower_bound, ksh_lower_bound = bounds_of(S, n_bits, losses.Ksh(), objective, objective, certify)
    return CodeResult(
        B=B, objective=objective, lower_bound=lower_bound, ksh_objective=objective, ksh_lower_bound=ksh_lower_bound,
        n_bits=n_bits, loss="ksh", method="column_sampling", trace=course.trace, time=course.elapsed, stats=stats,
    )  # fmt: skip


class _Run:
    """The present codes of the (merged) points, the best so far, and the steps that lead from one to the next."""

    def __init__(
        self, collapse: Collapse, n_bits: int, n_columns: int, bits: _Bits, published: bool, rng, n_jobs, course: Course
    ):
        self.collapse, self.S, self.n_bits = collapse, collapse.similarity, n_bits
        self.bits, self.published, self.rng, self.n_jobs, self.course = bits, published, rng, n_jobs, course
        self.known = np.flatnonzero(self.S.known)
        self.n_columns = min(n_columns, len(self.known))
        self.step = 0
        self.is_whole = True  # False in the midst of an alternation

    def begin(self, B: np.ndarray) -> None:
        self.B = B.copy()
        self.best, self.least = B.copy(), self.S.ksh_objective(B)
        self.note(self.least)

    def note(self, objective: float) -> bool:
        """Keep the codes if they are the best, tell the course; returns whether to stop."""
        if objective < self.least:
            self.best, self.least = self.B.copy(), objective
        shown, value = (self.B, objective) if self.published else (self.best, self.least)
        return self.course.report(self.step, value, lambda: self.collapse.lift(shown.copy()))

    def alternate(self, n_rounds: int, n_alternations: int, soft_labels: bool) -> None:
        """Rounds of sampled columns: the bits of the sampled points, then the codes of all others."""
        for _ in range(n_rounds):
            if self.course.stopped:
                return
            omega = self.known[self.rng.choice(len(self.known), self.n_columns, replace=False)]
            columns = Columns.of(self.S, omega, soft_ratio(self.S, omega) if soft_labels else 1.0)
            others = np.setdiff1d(np.arange(self.S.n), omega)
            for _ in range(n_alternations):
                self.is_whole = False
                self.B[omega] = self.bits.step(SampledBits(columns, omega, others, self.B), self.B[omega])
                _other_points(columns, others, self.B[omega], self.B, self.published, self.n_jobs)
                self.is_whole = True
                self.step += 1
                if self.note(self.S.ksh_objective(self.B)):
                    return

    def polish(self, B: np.ndarray, max_sweeps: int) -> None:
        """From codes B: sweeps of blocks of points, each given all others, that lower the full objective."""
        self.B = B.copy()
        every = np.arange(self.S.n)
        for _ in range(max_sweeps):
            if self.course.stopped:
                return
            changed = False
            order = self.rng.permutation(self.known)
            for a in range(0, len(order), self.n_columns):
                if self.course.time_left() == 0.0:
                    break  # `note` stops the run
                omega = np.sort(order[a : a + self.n_columns])
                columns, others = Columns.of(self.S, omega), np.setdiff1d(every, omega)
                C = self.bits.cycle(SampledBits(columns, omega, others, self.B, both=True), self.B[omega])
                changed = changed or not np.array_equal(C, self.B[omega])
                self.B[omega] = C
            self.step += 1
            if self.note(self.S.ksh_objective(self.B)) or not changed:
                return

    def restart(self, n_rounds: int, max_sweeps: int) -> None:
        """Descents on the full objective from the first codes and from random ones."""
        for k in range(n_rounds):
            if self.course.stopped:
                return
            self.polish(random_codes(self.rng, self.S.n, self.n_bits) if k else self.best, max_sweeps)


def _other_points(columns: Columns, others, C, B: np.ndarray, published: bool, n_jobs: int) -> None:
    """The Gamma step: codes of the points that are not sampled, written to B."""
    q = B.shape[1]
    if columns.a is not None:
        others = others[columns.a[others] > 0]  # a point of unknown label keeps its codes
    if published:
        scores = columns.scores(C.astype(np.float64))
        for block in blocks_of(len(others)):
            points = others[block]
            found = scores[columns.table_row[points]]
            B[points] = np.where(np.abs(found) < _PUBLISHED_TIE, B[points], signs(found))
        return
    part = Columns(columns.targets, columns.weights, columns.table_row[others], None)
    codes, proposals = B[others], signs(columns.scores(C.astype(np.float64)))
    sweep_residual_rows(part, C, q, codes, _MOST_SWEEPS, n_jobs, proposals=proposals)
    B[others] = codes


class _Bits:
    """The Omega step: the bits of the sampled points, one program each."""

    def __init__(self, published: bool, solver, options: dict, seeds: np.random.SeedSequence):
        self.published, self.solver, self.options, self.seeds = published, solver, options, seeds
        if solver == "auto" or published:
            if options:
                raise ParameterError(f"unknown option {sorted(options)[0]!r}; options belong to a named solver.")
            if published and solver != "auto":
                raise ParameterError(f"mode='published' has its own solver; leave solver='auto', got {solver!r}.")

    def step(self, sampled: SampledBits, present: np.ndarray) -> np.ndarray:
        """New codes of the sampled points, (m, q) int8; in the default mode never worse than the present ones."""
        q = sampled.q
        fresh = self.sweep(sampled, present, [np.arange(q) < k for k in range(q)])
        if self.published:
            return fresh
        return self.cycle(sampled, fresh if sampled.value(fresh) < sampled.value(present) else present)

    def cycle(self, sampled: SampledBits, present: np.ndarray) -> np.ndarray:
        """Each bit once, given all others: never worse."""
        q = sampled.q
        return self.sweep(sampled, present, [np.arange(q) != k for k in range(q)])

    def sweep(self, sampled: SampledBits, C: np.ndarray, counted: list[np.ndarray]) -> np.ndarray:
        """Each bit once, given the counted ones."""
        C = C.copy()
        for k in range(C.shape[1]):
            Q, p = sampled.program(C, counted[k], k)
            C[:, k] = self.solve(Q, p, C[:, k])
        return C

    def solve(self, Q: np.ndarray, p: np.ndarray, present: np.ndarray) -> np.ndarray:
        """An assignment for min x'Qx + p'x; but for the published mode never worse than the present one."""
        import bqp.kernels.columns as kernels

        balanced = np.empty(len(p), dtype=np.int8)
        kernels.balanced_assignment(Q, p, balanced)
        if self.published:
            return balanced
        tol = RELATIVE_TIE * float(np.abs(Q).sum() + np.abs(p).sum())
        best, least = present.copy(), float(present @ (Q @ present) + p @ present)
        for start in (present.copy(), balanced):
            energy = kernels.descend_bit(Q, p, start, tol)
            if energy < least - tol:
                best, least = start, energy
        if self.solver != "auto":
            found = solve(
                BQP(Dense(Q, check=False), p), solver=self.solver, x0=best, rng=self.seeds.spawn(1)[0], **self.options
            )
            if found.energy < least - tol:
                best = found.x
        return best


def omega_step(
    S: Similarity,
    omega,
    B,
    soft_labels: bool = True,
    solver: str | Solver = "auto",
    mode: str = "default",
    rng: RandomLike = 0,
    **options: Any,
) -> np.ndarray:
    """Codes of the sampled points given those of all others: the Omega step of COSDISH and DDSH.

    Minimise ``sum_{j in omega} sum_i w_ij (q s_ij - b_i.b_j)^2`` over the codes b_j of the sampled points.

    Parameters
    ----------
    S : Similarity
    omega : array of shape (m,), int
        The sampled points.
    B : array of shape (n, q)
        Codes of all points; read only. In DDSH the others are the signs of the network's outputs.
    soft_labels, solver, mode, rng, **options
        As in `column_sampling`; here the labels are soft by default, as DDSH has them. "default" takes each bit given
        all others and never raises the sum; "published" each bit given those before it.

    Returns
    -------
    C : ndarray of shape (m, q), int8

    Raises
    ------
    ParameterError, ProblemError
        As in `column_sampling`; `omega` out of range or with a point twice.

    Examples
    --------
    >>> import numpy as np
    >>> from bqp import codes, supervision
    >>> S = supervision.from_labels([0, 0, 1, 1])
    >>> B = np.array([[1, 1], [1, -1], [-1, -1], [-1, -1]])
    >>> codes.omega_step(S, [1, 2], B)
    array([[ 1,  1],
           [-1, -1]], dtype=int8)
    """
    check_similarity(S)
    omega = check_columns(omega, S.n)
    B = check_init(B, S.n, np.shape(B)[-1] if np.ndim(B) == 2 else 1)
    assert B is not None
    bits = _Bits(check_mode(mode), solver, options, as_seed_sequence(rng))
    columns = Columns.of(S, omega, soft_ratio(S, omega) if soft_labels else 1.0)
    return bits.step(SampledBits(columns, omega, np.setdiff1d(np.arange(S.n), omega), B), B[omega])


def v_step(
    U,
    S: Similarity,
    omega,
    V=None,
    gamma: float = 200.0,
    soft_labels: bool = True,
    n_sweeps: int = 1,
    n_jobs: int = 1,
) -> np.ndarray:
    """Codes of all points given the real codes of the sampled ones: the V-step of ADSH, exact bit by bit.

    Minimise ``sum_{j in omega} sum_i w_ij (q s_ij - v_i.u_j)^2 + gamma sum_{j in omega} |v_j - u_j|^2`` over V.

    Parameters
    ----------
    U : array of shape (m, q)
        Outputs of the network on the sampled points, in [-1, 1] where they are tanh.
    S : Similarity
    omega : array of shape (m,), int
        The sampled points, in the order of U.
    V : array of shape (n, q), optional
        Present codes; read only. None starts as the authors do: no bit has a value, and the first sweep gives it one.
    gamma : float, >= 0
    soft_labels : bool
        As in `column_sampling`; on by default, as ADSH has them.
    n_sweeps : int
        Sweeps over the bits; the authors make one. A point stops when none of its bits changes.
    n_jobs : int
        Threads over blocks of points.

    Returns
    -------
    V : ndarray of shape (n, q), int8
        From given codes the objective never rises; a tie keeps the bit, or gives +1 where it has no value.

    Raises
    ------
    ParameterError
        `gamma` or `n_sweeps` out of range.
    ProblemError
        U or V of a wrong shape or value; `omega` out of range or with a point twice.

    Notes
    -----
    Labels and label sets of C groups cost O(C m q + n q^2), pairs and matrices O(n m q) more; weights between pairs
    O(n m q) a sweep. Memory O(n q) bytes, O(C m) numbers or one block of 2,048 x m.

    Examples
    --------
    >>> import numpy as np
    >>> from bqp import codes, supervision
    >>> S = supervision.from_labels([0, 0, 1])
    >>> codes.v_step(np.array([[0.9, -0.2], [-0.8, 0.3]]), S, [0, 2])
    array([[ 1, -1],
           [ 1, -1],
           [-1,  1]], dtype=int8)
    """
    check_similarity(S)
    omega = check_columns(omega, S.n)
    U = _check_outputs(U, len(omega))
    q = U.shape[1]
    if isinstance(gamma, bool) or not isinstance(gamma, int | float | np.number) or not 0 <= float(gamma) < np.inf:
        raise ParameterError(f"gamma must be a finite number >= 0, got {gamma!r}.")
    gamma = float(gamma)
    n_sweeps, n_jobs = check_count("n_sweeps", n_sweeps), resolve_n_jobs(n_jobs)
    V = check_init(V, S.n, q)
    V = np.zeros((S.n, q), dtype=np.int8) if V is None else V.copy()
    ratio = soft_ratio(S, omega) if soft_labels else 1.0
    for block in [slice(0, S.n)] if isinstance(S, GroupedSimilarity) else blocks_of(S.n):
        sampled = np.flatnonzero((omega >= block.start) & (omega < block.stop))
        columns = Columns.of(S, omega, ratio, block)
        _exact_bits(columns, U, omega[sampled] - block.start, gamma * U[sampled], V[block], n_sweeps, n_jobs)
    return V


def _exact_bits(
    columns: Columns, U: np.ndarray, sampled: np.ndarray, pull: np.ndarray, V: np.ndarray, n_sweeps: int, n_jobs: int
) -> None:
    """Sweep the rows of V in place; `pull` (s, q) belongs to the rows `sampled`."""
    q = U.shape[1]
    before = V.copy()
    a = np.ones(len(V)) if columns.a is None else columns.a
    pull = pull / np.where(a[sampled] > 0, a[sampled], 1.0)[:, None]
    if columns.weights is None or (columns.weights == columns.weights[0]).all():
        weighted = U if columns.weights is None else U * columns.weights[0][:, None]
        base = q * (columns.targets @ weighted)
        table_row = columns.table_row.astype(np.int64)
        base = np.vstack([base, base[table_row[sampled]] + pull])
        table_row[sampled] = len(columns.targets) + np.arange(len(sampled))
        sweep_rows(U.T @ weighted, base, table_row, None, 0.0, V, n_sweeps, n_jobs)
    else:
        everywhere = np.zeros(V.shape)
        everywhere[sampled] = pull
        sweep_residual_rows(columns, U, q, V, n_sweeps, n_jobs, pull=everywhere)
    unknown = np.flatnonzero(a == 0)  # no pair: what is left is the pull, or nothing
    if len(unknown):
        everywhere = np.zeros(V.shape)
        everywhere[sampled] = pull
        kept = np.where(before[unknown] == 0, 1, before[unknown])
        V[unknown] = signs(everywhere[unknown], keep=kept)


def _check_outputs(U, m: int) -> np.ndarray:
    try:
        U = np.asarray(U, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"U must hold real numbers: {error}.") from error
    if U.ndim != 2 or U.shape[0] != m or U.shape[1] == 0:
        raise ProblemError(f"U must have shape ({m}, q), one row a sampled point, got {U.shape}.")
    finite = np.isfinite(U)
    if not finite.all():
        i, k = np.unravel_index(int(np.argmin(finite)), U.shape)
        raise ProblemError(f"U must be finite, got {U[i, k]} at ({i}, {k}). Lower the network's learning rate.")
    return U

"""Codes bit by bit with block graph cuts, interleaved with the hash functions: the code step of FastHash.

G. Lin, C. Shen, Q. Shi, A. van den Hengel, D. Suter, "Fast Supervised Hashing with Decision Trees for High-Dimensional
Data", CVPR 2014 (journal version: G. Lin, C. Shen, A. van den Hengel, IEEE TPAMI 37, 2015). Each bit is the binary
quadratic program of two-step hashing; blocks of mutually similar points are solved exactly in turn, and the bit is
replaced by the outputs of its classifier before the next one. Ours: all pairs where the structure allows it instead of
a sample, passes until nothing improves, cycles over the bits, and a bit that is only ever replaced by a better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from warnings import warn

import numpy as np

from bqp import losses
from bqp.callbacks import Callback
from bqp.codes._common import Course, Refit, call_refit, check_init, check_mode, check_similarity, signs
from bqp.codes.block_descent import EXACT_UP_TO, BlockDescent
from bqp.codes.blocks import check_blocks, similar_blocks
from bqp.codes.bounds import bounds_of
from bqp.codes.result import CodeResult
from bqp.errors import BQPWarning, ParameterError, ProblemError
from bqp.forms import Dense, Sparse
from bqp.losses.bits import WRITE_OUT_BELOW, BitProblems, target_of_bit
from bqp.problem import BQP
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solution import Solution, Status
from bqp.solvers.base import check_count, resolve_n_jobs
from bqp.supervision import Collapse, GroupedSimilarity, Similarity, sample_pairs
from bqp.supervision.base import BLOCK_ENTRIES, group_sums

__all__ = ["block_graph_cut", "pair_strengths"]

_SAMPLED = 100  # similar and dissimilar partners a point, as published
_PUBLISHED_PASSES = 2
_PASSES = 20
_CYCLES, _CYCLES_OF_MANY = 20, 2  # up to 1,000 points after merging, and beyond
_CYCLES_WITH_FUNCTIONS = 4
_PUBLISHED_START_UP_TO = 10_000  # points; its sample takes 10 kB a point
_RESTARTS = 4  # starts of each bit over few points


def block_graph_cut(
    S: Similarity,
    n_bits: int = 32,
    loss: str | losses.Loss | None = None,
    target: str | None = None,
    refit: Refit | None = None,
    mode: str = "default",
    blocks: str | Sequence = "auto",
    n_similar: int | None = None,
    n_dissimilar: int | None = None,
    max_passes: int | None = None,
    max_cycles: int | None = None,
    n_restarts: int | None = None,
    exact_up_to: int = EXACT_UP_TO,
    merge: bool = True,
    init=None,
    rng: RandomLike = 0,
    n_jobs: int = 1,
    callback: Callback | None = None,
    time_limit: float | None = None,
    certify: bool | str = "auto",
) -> CodeResult:
    """Learn codes that minimise ``sum_ij w_ij l(s_ij, b_i.b_j, q)``, each bit by exact cuts of blocks of points.

    Parameters
    ----------
    S : Similarity
        From `bqp.supervision`.
    n_bits : int
        Code length q.
    loss : str or Loss, optional
        Default "ksh"; "hinge" when published.
    target : {"residual", "stagewise", "full"}, optional
        What the bits not yet solved count, as in `codes.bitwise`. Default "residual"; "stagewise" with `refit`, where
        it does better, and when published.
    refit : callable, optional
        ``refit(B, bits, sample_weight=w) -> F``: fit the functions of these bits to the columns ``B[:, bits]``, return
        their real outputs on the training points, shape (n, len(bits)). After each bit the signs of F (0 counts as +1)
        replace it. w has mean 1 and is ``sum_j |A_ij|`` of the bit's problem. A column of B may be constant.
    mode : {"default", "published"}
        "published": the authors' code. 100 similar and 100 dissimilar partners a point in both directions, all other
        pairs unknown; hinge loss; stagewise target; each bit from all ones, two passes over the blocks in random order;
        repelling pairs inside a block count 0, with a warning; no merging, no cycles.
    blocks : "auto", or a sequence of index arrays
        "auto": classes; one block a label for label sets (they overlap); greedy blocks without a dissimilar pair for
        pairs and matrices. Points in none of them are blocks of one.
    n_similar, n_dissimilar : int, optional
        Partners drawn for each point (`supervision.sample_pairs`). Default: all pairs count, unless published, or the
        loss is not squared and more than 4,096 unmerged points of a grouped similarity would have to be written out;
        then 100 each.
    max_passes : int, optional
        Most passes over the blocks for one bit; default 20 (2 when published).
    max_cycles : int, optional
        Most cycles over the bits after the first pass, each bit given all others. Default 20 up to 1,000 points (after
        merging), 2 beyond; 4 with `refit`; 0 when published. With `refit`, a bit is replaced only if the outputs of its
        new function lower the objective. Else the bit is kept, and so must be the function of an earlier call:
        ``stats["refit_calls"][k]`` is the number (from 0) of the call that made column k. Up to 10,000 points the
        published pass is made too, and is where cycles go on from if it still is the better: with `refit` the default
        is never worse than published with the same seed.
    n_restarts : int, optional
        Starts of each bit in the first pass, the first from `init` or all ones, the others random; the best counts.
        Default 4 up to 1,000 points (after merging), else 1.
    exact_up_to : int
        Largest block (after merging equal rows) that is cut exactly. A larger one is proven constant where that can be,
        else descended in, with its gap in ``bits[k].stats``.
    merge : bool
        Merge points of a group where that keeps the optimum (never with `refit`, sampled pairs or `blocks`).
    init : array of shape (n, q), optional
        Start of each bit; default all ones.
    rng : None, int, SeedSequence or Generator
        Child 0 draws the pairs, child 1 the greedy blocks, child 2 the order of the blocks and the random starts.
    n_jobs : int
        Threads over starts. Same seed, same answer for every number of them.
    callback : callable, optional
        Called after each bit with an `Event`: ``n_moves`` counts bits solved, ``energy`` is the energy of the bit's
        problem, in cycles the objective; ``x`` the codes. Returning True stops.
    time_limit : float, optional
        Seconds. The answer then depends on the machine.
    certify : bool or "auto"
        Semidefinite bound, as in `codes.bitwise`.

    Returns
    -------
    result : CodeResult
        `objective` counts all pairs of S. With `refit`, B holds the signs of the functions' outputs, and
        ``bits[k].x`` the bit that the function of bit k was fitted to. ``trace.objective`` is measured on the pairs in
        use (all, or the sample); default: from the first complete codes on, never rising; published: the energy of each
        bit's problem at the column kept.

    Raises
    ------
    ParameterError
        Unknown loss, target, mode; a count out of range.
    ProblemError
        `init`, `blocks` or what `refit` returns is of a wrong shape or value.

    Notes
    -----
    A pass over classes of n points costs O(n (C + q)) and the cuts, O(m^2) memory for a block of m merged points. A
    sample takes 25 bytes a pair. Points that no known pair mentions take no part (without `refit`: majority code).

    Examples
    --------
    >>> from bqp import codes, supervision
    >>> S = supervision.from_labels([0, 0, 1, 1, 2, 2])
    >>> codes.block_graph_cut(S, n_bits=6).objective
    384.0
    >>> codes.block_graph_cut(S, n_bits=6, mode="published").loss
    'hinge'
    """
    course = Course(callback, time_limit)
    check_similarity(S)
    published = check_mode(mode)
    n_bits = check_count("n_bits", n_bits)
    loss = losses.get(loss if loss is not None else "hinge" if published else "ksh")
    target = target if target is not None else "stagewise" if published or refit is not None else "residual"
    target_of_bit(target, 0, n_bits)  # checks the name
    if refit is not None and not callable(refit):
        raise ParameterError(f"refit must be a function of (B, bits, sample_weight), got {refit!r}.")
    if certify not in (True, False, "auto"):
        raise ParameterError(f"certify must be True, False or 'auto', got {certify!r}.")
    if isinstance(blocks, str) and blocks != "auto":
        raise ParameterError(f"blocks must be 'auto' or a sequence of index arrays, got {blocks!r}.")
    exact_up_to = check_count("exact_up_to", exact_up_to)
    n_jobs = resolve_n_jobs(n_jobs)
    init = check_init(init, S.n, n_bits)
    seeds = as_seed_sequence(rng).spawn(3)
    own_blocks = not isinstance(blocks, str)
    sampled = published or n_similar is not None or n_dissimilar is not None
    collapse = S.drop_unknown() if refit is None and not own_blocks else Collapse(S, np.arange(S.n, dtype=np.int32))
    if merge and refit is None and not sampled and not own_blocks:
        collapse = S.collapse(loss)
    work: Similarity = collapse.similarity
    too_large = isinstance(work, GroupedSimilarity) and work.n > WRITE_OUT_BELOW and loss.quadratic_scale(1.0) is None
    if own_blocks:
        parts = check_blocks(blocks, work)
    else:
        parts = similar_blocks(work, loss, np.random.Generator(np.random.PCG64(seeds[1])), exact_up_to)
    if sampled or too_large:
        counts = [_SAMPLED if m is None else m for m in (n_similar, n_dissimilar)]
        work = sample_pairs(work, counts[0], counts[1], seeds[0])
    few = work.n <= 1000
    default_cycles = _CYCLES if few else _CYCLES_OF_MANY
    if published or refit is not None:
        default_cycles = 0 if published else _CYCLES_WITH_FUNCTIONS
    max_cycles = check_count("max_cycles", default_cycles if max_cycles is None else max_cycles, least=0)
    init = None if init is None else collapse.project(init)

    def learner_of(pairs: Similarity, as_published: bool) -> _Learner:
        passes, starts = (_PUBLISHED_PASSES, 1) if as_published else (_PASSES, _RESTARTS if few else 1)
        return _Learner(
            pairs, loss, n_bits, parts, collapse, course, refit, as_published, exact_up_to, not own_blocks, n_jobs,
            np.random.Generator(np.random.PCG64(seeds[2])),
            check_count("max_passes", passes if max_passes is None else max_passes),
            check_count("n_restarts", starts if n_restarts is None else n_restarts),
        )  # fmt: skip

    learner, first, pairs = learner_of(work, published), None, None
    if refit is not None and not published and S.n <= _PUBLISHED_START_UP_TO:
        pairs = work if sampled or too_large else _published_pairs(work, seeds[0])
    if pairs is not None:
        first = learner_of(pairs, True)
        first.is_start = True
        first.learn(target, init, 0)
        learner.step, learner.n_calls = first.step, first.n_calls
    if first is not None and course.stopped:
        learner = first
    else:
        learner.learn(target, init, max_cycles, first)
    B = collapse.lift(learner.B)
    objective = losses.value(S, B, loss)
    if first is not None and first is not learner and (sampled or too_large):  # more pairs than it was measured on
        value = losses.value(S, first.B, loss)
        if value < objective:
            learner.take(first)
            B, objective = collapse.lift(first.B), value
    ksh_objective = objective if loss == losses.Ksh() else S.ksh_objective(B)
    lower_bound, ksh_lower_bound = bounds_of(S, n_bits, loss, objective, ksh_objective, certify)
    stats = {
        "mode": mode, "target": target, "n_points": work.n, "merged": not collapse.is_identity,
        "n_pairs": len(work.indices) if work.structure == "pairs" else None, "n_blocks": len(parts),
        "largest_block": max(len(part) for part in parts), **learner.stats,
    }  # fmt: skip
    if course.stopped:
        stats["stopped"] = course.stopped
    return CodeResult(
        B=B, objective=objective, lower_bound=lower_bound, ksh_objective=ksh_objective,
        ksh_lower_bound=ksh_lower_bound, n_bits=n_bits, loss=loss.name, method="block_graph_cut", trace=course.trace,
        bits=tuple(bit for bit in learner.bits if bit is not None), time=course.elapsed, stats=stats,
    )  # fmt: skip


def _published_pairs(S: Similarity, seed: np.random.SeedSequence) -> Similarity | None:
    """The published sample, or None where no two points make a pair."""
    try:
        return sample_pairs(S, _SAMPLED, _SAMPLED, seed)
    except ProblemError:
        return None


def pair_strengths(S: Similarity, problem: BQP, B: np.ndarray, r: float, shift: float, scale: float) -> np.ndarray:
    """How much each point is pulled at: sum over j != i of |A_ij| of the problem of a further bit, shape (n,).

    Exact for every form. For structured problems of a squared loss with all targets of magnitude 1 or more the sign of
    A_ij is that of -S_ij (the inner products of the bits B counted so far stay below r), which gives the sums in
    O(n q + C^2 q); other targets cost O(n^2) in blocks of rows.
    """
    form = problem.Q
    if isinstance(form, Dense | Sparse):
        return form.abs_row_sums()
    assert isinstance(S, GroupedSimilarity)
    V = np.ones(S.T.shape) if S.V is None else S.V
    if np.all((np.abs(S.T) >= 1) | (V == 0)):
        sign = V * np.sign(S.T)
        base = (V * (r * np.abs(S.T) - shift * np.sign(S.T))) @ S.mass
        total = base[S.groups]
        if B.shape[1]:
            total = total - np.einsum("ik,ik->i", (sign @ group_sums(B, S.groups, S.n_groups, S.weights))[S.groups], B)
        return 2.0 * scale * (total if S.weights is None else S.weights * total) - np.abs(form.diagonal())
    out = np.empty(problem.n)
    step = max(1, BLOCK_ENTRIES // problem.n)
    for a in range(0, problem.n, step):
        index = np.arange(a, min(a + step, problem.n))
        rows = np.abs(form.rows(index))
        out[index] = rows.sum(axis=1) - rows[np.arange(len(index)), index]
    return out


class _Learner:
    """State of one run over the points in use."""

    def __init__(
        self, work, loss, n_bits, parts, collapse, course, refit, published, exact_up_to, attracting, n_jobs, rng,
        max_passes, n_restarts,
    ):  # fmt: skip
        self.work, self.loss, self.n_bits, self.parts, self.collapse = work, loss, n_bits, parts, collapse
        self.course, self.refit, self.published, self.exact_up_to = course, refit, published, exact_up_to
        self.attracting, self.n_jobs, self.rng = attracting, n_jobs, rng
        self.max_passes, self.n_restarts = max_passes, n_restarts
        self.problems = BitProblems.of(work, loss, n_bits)
        self.B = self.problems.B
        self.bits: list[Solution | None] = [None] * n_bits
        self.calls = np.full(n_bits, -1)  # which call of refit made each column
        self.n_calls = self.step = 0
        self.is_start = False  # a published pass inside the default mode
        self.stats: dict[str, Any] = {"n_cycles": 0}

    # ---- one bit -----------------------------------------------------------------------------------------------

    def solve(self, problem: BQP, x0: np.ndarray, n_restarts: int) -> Solution:
        """The best of some block descents, the first from x0."""
        starts = [x0]
        for _ in range(n_restarts - 1):
            starts.append((2 * self.rng.integers(0, 2, problem.n, dtype=np.int8) - 1).astype(np.int8))
        streams = [self.rng] if n_restarts == 1 else self.rng.spawn(n_restarts)
        if self.n_jobs > 1 and n_restarts > 1:
            with ThreadPoolExecutor(self.n_jobs) as pool:
                found = list(pool.map(lambda pair: self.descend(problem, *pair), zip(starts, streams)))
        else:
            found = [self.descend(problem, x, stream) for x, stream in zip(starts, streams)]
        self.step += 1
        return min(found, key=lambda solution: solution.energy)

    def descend(self, problem: BQP, x0: np.ndarray, rng: np.random.Generator) -> Solution:
        descent = BlockDescent(problem, x0, self.exact_up_to, self.attracting)
        if self.published:
            for _ in range(self.max_passes):
                for k in rng.permutation(len(self.parts)):
                    descent.solve_block(self.parts[k], uphill=True)
            n_passes = self.max_passes
        else:
            n_passes = descent.run(self.parts, rng, self.max_passes, self.out_of_time)
        stats = {
            "n_passes": n_passes, "n_blocks": descent.n_blocks, "n_exact": descent.n_exact,
            "n_clipped": descent.n_clipped, "largest_gap": descent.largest_gap,
        }  # fmt: skip
        energy = float(problem.energy(descent.x))
        return Solution(descent.x, energy, Status.LOCAL_OPTIMUM, solver="block_graph_cut", stats=stats)

    def out_of_time(self) -> bool:
        limit = self.course.time_limit
        return limit is not None and self.course.elapsed >= limit

    def outputs(self, k: int, x: np.ndarray, problem: BQP, r: float, shift: float) -> np.ndarray:
        """Signs of the function of bit k, fitted to x."""
        scale = self.loss.quadratic_scale(r) or 1.0
        counted = np.ascontiguousarray(self.B[:, np.flatnonzero(self.problems.counted)])
        weight = pair_strengths(self.work, problem, counted, r, shift, scale)
        mean = float(weight.mean())
        B = self.B.copy()
        B[:, k] = x
        assert self.refit is not None
        F = call_refit(self.refit, B, [k], np.maximum(weight, 0.0) / mean if mean > 0 else np.ones(len(x)))
        self.n_calls += 1
        return signs(F[:, 0])

    # ---- the course --------------------------------------------------------------------------------------------

    def learn(self, target: str, init: np.ndarray | None, max_cycles: int, other: _Learner | None = None) -> None:
        """A pass over the bits, and cycles; then cycles from the codes of `other`, where these are better."""
        solved = 0
        try:
            if init is not None:
                self.B[:] = init
            for k in range(self.n_bits):
                self.first(k, target, self.B[:, k].copy())
                solved = k + 1
                if self.course.stopped:
                    break
            if solved == self.n_bits and self.course.stopped is None and not self.published:
                self.cycle(max_cycles)
                if other is not None and self.course.stopped is None:
                    mine, theirs = self.problems.value(self.n_bits), losses.value(self.work, other.B, self.loss)
                    if theirs < mine - 1e-12 * abs(mine):
                        self.take(other)
                        self.cycle(max_cycles)
        except KeyboardInterrupt:
            self.course.interrupt()
        if solved < self.n_bits and other is not None:
            self.take(other)
        elif solved < self.n_bits:
            if init is None:  # repeat the solved bits in turn
                for k in range(solved, self.n_bits):
                    self.B[:, k] = self.B[:, k % solved] if solved else 1
            self.stats["n_bits_solved"] = solved
        if self.refit is not None:
            self.stats["refit_calls"] = self.calls
        clipped = sum(bit.stats["n_clipped"] for bit in self.bits if bit is not None)
        if clipped and self.published and not self.is_start:
            warn(
                f"{clipped} repelling pairs inside blocks counted 0, as in the published code. Keep dissimilar pairs "
                "out of `blocks`, or use mode='default', which takes no step that raises the energy of a bit.",
                BQPWarning,
                stacklevel=4,
            )

    def take(self, other: _Learner) -> None:
        """The codes of another learner, with what is known of them."""
        self.problems.load(other.B, np.ones(self.n_bits, dtype=bool))
        self.calls, self.bits = other.calls.copy(), list(other.bits)
        self.stats.update(start="published", refit_calls=self.calls)

    def first(self, k: int, target: str, x0: np.ndarray) -> None:
        """Solve bit k given the bits before it."""
        r, shift = target_of_bit(target, k, self.n_bits)
        problem = self.problems.problem(r, shift)
        solution = self.solve(problem, x0, self.n_restarts)
        x, energy = solution.x, solution.energy
        if self.refit is not None:
            x = self.outputs(k, x, problem, r, shift)
            self.calls[k] = self.n_calls - 1
            energy = float(problem.energy(x))
        self.problems.add(k, x, energy)
        self.bits[k] = solution
        self.show(energy, in_trace=self.published and not self.is_start)

    def cycle(self, max_cycles: int) -> None:
        """Solve bit after bit given all others until a whole cycle improves none; never uphill."""
        objective = self.problems.value(self.n_bits)
        tolerance = 1e-12 * abs(objective)
        self.show(objective)
        unchanged, k, made = 0, 0, self.stats["n_cycles"]
        for visit in range(max_cycles * self.n_bits):
            if unchanged == self.n_bits or self.course.stopped:
                break
            old = self.B[:, k].copy()
            self.problems.remove(k)
            kept = False
            try:
                problem = self.problems.problem(self.n_bits)
                solution = self.solve(problem, old, 1)
                x, energy = solution.x, solution.energy
                if self.refit is not None:
                    x = self.outputs(k, x, problem, self.n_bits, 0)
                    energy = float(problem.energy(x))
                kept = energy < objective - tolerance
            finally:  # Ctrl-C or an error of refit: the codes stay whole
                if not kept:
                    self.problems.add(k, old)
            if kept:
                objective, unchanged = energy, 0
                self.problems.add(k, x, energy)
                self.bits[k] = solution
                self.calls[k] = self.n_calls - 1
            else:
                unchanged += 1
            self.stats["n_cycles"] = made + visit // self.n_bits + 1
            self.show(objective)
            k = (k + 1) % self.n_bits

    def show(self, energy: float, in_trace: bool = True) -> None:
        B = self.B
        self.course.report(self.step, energy, lambda: self.collapse.lift(B.copy()), in_trace=in_trace)

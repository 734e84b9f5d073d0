"""Codes from triplets: the inference step of fast training of triplet-based embeddings.

B. Zhuang, G. Lin, C. Shen, I. Reid, "Fast Training of Triplet-Based Deep Binary Embedding Networks", CVPR 2016 (FTH).
Each bit is the exact binary quadratic program of the triplet hinge loss (`bqp.losses.triplet`), solved by cuts of
blocks that are grown anew for every bit; groups of bits alternate with the hash functions. Ours: any solver, all bits
again given all others, and a bit or group that is only ever replaced by a better one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bqp.callbacks import Callback
from bqp.codes._common import Course, Refit, call_refit, check_init, check_mode, check_similarity, signs
from bqp.codes.block_descent import EXACT_UP_TO, BlockDescent
from bqp.codes.blocks import greedy_blocks
from bqp.codes.bounds import bounds_of
from bqp.codes.result import CodeResult
from bqp.errors import ParameterError, ProblemError
from bqp.losses import Ksh, triplet
from bqp.losses.triplet import TripletBits
from bqp.problem import BQP
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solution import Solution, Status
from bqp.solve import solve
from bqp.solvers import Solver
from bqp.solvers.base import check_count
from bqp.supervision import Similarity, Triplets, sample_triplets

__all__ = ["triplets"]

BLOCKS = "block_graph_cut"  # the name of the block descent among the solvers
_PUBLISHED_TRIPLETS = 500
_TRIPLETS = 100
_AUTO_UP_TO = 1000  # points up to which "auto" leaves the choice to bqp.solve
_CYCLES = 20
_CYCLES_WITH_FUNCTIONS = 2  # each fits every function again
_PASSES = 20


def triplets(
    T: Triplets | Similarity,
    n_bits: int = 32,
    margin: float = 0.5,
    solver: str | Solver = "auto",
    refit: Refit | None = None,
    mode: str = "default",
    group_size: int = 8,
    n_per_anchor: int | None = None,
    similarity: Similarity | None = None,
    max_cycles: int | None = None,
    exact_up_to: int = EXACT_UP_TO,
    init=None,
    rng: RandomLike = 0,
    n_jobs: int = 1,
    callback: Callback | None = None,
    time_limit: float | None = None,
    **options: Any,
) -> CodeResult:
    """Learn codes that minimise ``sum_t w_t max(0, margin q - (d(a, n) - d(a, p)))`` over triplets (a, p, n).

    Parameters
    ----------
    T : Triplets or Similarity
        From `supervision.from_triplets`; from a similarity, triplets are drawn (`supervision.sample_triplets`).
    n_bits : int
        Code length q.
    margin : float
        How much farther the negative should be, as a share of the bits: 0.5 as published. Bit k is found with the
        margin of k bits, and again with that of all q bits in the cycles.
    solver : str or Solver
        Default mode: "auto", a name from `bqp.available_solvers`, a solver object, or "block_graph_cut". "auto" is what
        `bqp.solve` takes up to 1,000 points, and descent over greedy blocks with single flips beyond.
    refit : callable, optional
        ``refit(B, bits) -> F``: fit the functions of a group of bits to the columns ``B[:, bits]``, return their real
        outputs, shape (n, len(bits)). The signs of F (0 counts as +1) replace the group before the next one.
    mode : {"default", "published"}
        "published": blocks grown greedily from the signs of each bit's problem, each bit from all ones, one pass of
        exact cuts in random order, no cycles; 500 triplets an anchor where they are drawn.
    group_size : int
        Bits a group; inside a group the distances use the bits just found. Only matters with `refit`.
    n_per_anchor : int, optional
        Triplets drawn for each point of a similarity. Default 100; 500 when published.
    similarity : Similarity, optional
        For the ksh yardstick of the result, where T is given as triplets.
    max_cycles : int, optional
        Most cycles over the bits after the first pass, each bit given all others at full margin. Default 20; 2 with
        `refit`; 0 when published. With `refit`, a group is replaced only if the outputs of its new functions lower the
        objective. Else it is kept, and so must be the functions of an earlier call: ``stats["refit_calls"][k]`` is the
        number (from 0) of the call that made column k.
    exact_up_to : int
        Most points of a block.
    init : array of shape (n, q), optional
        Start of each bit; default all ones.
    rng : None, int, SeedSequence or Generator
        Child 0 draws the triplets, child 1 the greedy blocks, child 2 the order of the blocks and the solvers' seeds.
    n_jobs : int
        Threads inside each solve. Same seed, same answer for every number of them.
    callback : callable, optional
        Called after each bit with an `Event`: ``n_moves`` counts bits solved, ``energy`` is the energy of the bit's
        problem, in cycles the objective; ``x`` the codes. Returning True stops.
    time_limit : float, optional
        Seconds. The answer then depends on the machine.
    **options
        Settings of the solver.

    Returns
    -------
    result : CodeResult
        `objective` is the loss over the triplets in use. `lower_bound` sums over pairs of triplets that contradict each
        other, 0 where none do. `ksh_objective` is nan and `ksh_lower_bound` -inf where there is no similarity.
        ``trace.objective``, default: from the first complete codes on, never rising; published: the energy of each
        bit's problem, and the loss of the codes so far after each group with `refit`.

    Raises
    ------
    ParameterError
        Unknown mode, solver or option; margin not in (0, 1]; a count out of range.
    ProblemError
        T is neither triplets nor a similarity; `init` or what `refit` returns is of a wrong shape or value.

    Notes
    -----
    A bit costs O(m) for m triplets to set up, O(pairs + n blocks) for the blocks, and its solve. Memory: 400 bytes a
    triplet at the peak, while the pattern of pairs is found, 60 and 24 a pair afterwards; never n x n unless all pairs
    share a triplet.

    Examples
    --------
    >>> from bqp import codes, supervision
    >>> T = supervision.from_triplets([[0, 1, 2], [2, 3, 0], [4, 5, 1]], n=6)
    >>> codes.triplets(T, n_bits=4).objective
    0.0
    """
    course = Course(callback, time_limit)
    published = check_mode(mode)
    n_bits = check_count("n_bits", n_bits)
    group_size = check_count("group_size", group_size)
    exact_up_to = check_count("exact_up_to", exact_up_to)
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0.0 < margin <= 1.0:
        raise ParameterError(f"margin must lie in (0, 1], a share of the bits, got {margin!r}.")
    if refit is not None and not callable(refit):
        raise ParameterError(f"refit must be a function of (B, bits), got {refit!r}.")
    if published and (solver not in ("auto", BLOCKS) or options):
        raise ParameterError("mode='published' uses its own block cuts; leave `solver` and its options out.")
    seeds = as_seed_sequence(rng).spawn(3)
    if isinstance(T, Similarity):
        similarity = T if similarity is None else similarity
        default = _PUBLISHED_TRIPLETS if published else _TRIPLETS
        T = sample_triplets(T, default if n_per_anchor is None else n_per_anchor, seeds[0])
    elif not isinstance(T, Triplets):
        raise ProblemError(
            f"T must be Triplets or a Similarity, got {type(T).__name__}. Build them with supervision.from_triplets."
        )
    elif n_per_anchor is not None:
        raise ParameterError("n_per_anchor is for drawing triplets from a similarity; these are given.")
    if similarity is not None:
        check_similarity(similarity)
        if similarity.n != T.n:
            raise ProblemError(f"similarity must have {T.n} points, as the triplets have, got {similarity.n}.")
    init = check_init(init, T.n, n_bits)
    default_cycles = 0 if published else _CYCLES if refit is None else _CYCLES_WITH_FUNCTIONS
    max_cycles = check_count("max_cycles", default_cycles if max_cycles is None else max_cycles, least=0)
    if solver == "auto" and T.n > _AUTO_UP_TO and not options:
        solver = BLOCKS
    learner = _Learner(T, n_bits, float(margin), solver, options, refit, published, exact_up_to, seeds, n_jobs, course)
    learner.learn(init, group_size, max_cycles)
    B = learner.B
    objective = triplet.value(T, B, margin * n_bits)
    ksh_objective, ksh_lower_bound = np.nan, -np.inf
    if similarity is not None:
        ksh_objective = similarity.ksh_objective(B)
        ksh_lower_bound = bounds_of(similarity, n_bits, Ksh(), ksh_objective, ksh_objective)[1]
    stats = {
        "mode": mode, "margin": float(margin), "n_points": T.n, "n_triplets": len(T),
        "n_pairs": learner.problems.n_pairs, "solver": getattr(solver, "name", solver), **learner.stats,
    }  # fmt: skip
    if course.stopped:
        stats["stopped"] = course.stopped
    return CodeResult(
        B=B, objective=objective, lower_bound=min(objective, _lower_bound(T, margin * n_bits)),
        ksh_objective=ksh_objective, ksh_lower_bound=ksh_lower_bound, n_bits=n_bits, loss="triplet", method="triplets",
        trace=course.trace, bits=tuple(bit for bit in learner.bits if bit is not None), time=course.elapsed,
        stats=stats,
    )  # fmt: skip


def _lower_bound(T: Triplets, margin: float) -> float:
    """Pairs of triplets (a, p, n), (a, n, p), each used once, cost max(0, m - u) + max(0, m + u) >= 2 m."""
    a, p, q = T.index.astype(np.int64).T
    w = np.ones(len(T)) if T.weights is None else T.weights
    keys, which = np.unique((a * T.n + np.minimum(p, q)) * T.n + np.maximum(p, q), return_inverse=True)
    forward = np.bincount(which.ravel(), weights=np.where(p < q, w, 0.0), minlength=len(keys))
    backward = np.bincount(which.ravel(), weights=np.where(p < q, 0.0, w), minlength=len(keys))
    bound = 2.0 * margin * float(np.minimum(forward, backward).sum())
    return bound if 2.0 * bound == np.rint(2.0 * bound) else bound * (1.0 - 1e-12)


class _Learner:
    """State of one run."""

    def __init__(
        self, T, n_bits, margin, solver, options, refit, published, exact_up_to, seeds, n_jobs, course
    ):  # fmt: skip
        self.T, self.n_bits, self.margin, self.solver = T, n_bits, margin, solver
        self.options, self.refit, self.published, self.exact_up_to = options, refit, published, exact_up_to
        self.blocks_rng = np.random.Generator(np.random.PCG64(seeds[1]))
        self.rng = np.random.Generator(np.random.PCG64(seeds[2]))
        self.n_jobs, self.course = n_jobs, course
        self.problems = TripletBits(T, n_bits)
        self.B = self.problems.B
        self.bits: list[Solution | None] = [None] * n_bits
        self.calls = np.full(n_bits, -1)  # which call of refit made each column
        self.n_calls = self.step = 0
        self.stats: dict[str, Any] = {"n_cycles": 0}

    # ---- one bit -----------------------------------------------------------------------------------------------

    def solve(self, problem: BQP, x0: np.ndarray) -> Solution:
        """Solve one bit from x0; never worse than x0, unless published."""
        self.step += 1
        if self.published or self.solver == BLOCKS:
            return self.cut_blocks(problem, x0)
        options = dict(self.options)
        if self.solver == "auto":
            options.setdefault("n_restarts", 4)
        seed = np.random.SeedSequence(self.rng.integers(0, 2**32, size=4, dtype=np.uint32).tolist())
        solution = solve(
            problem, solver=self.solver, x0=x0, rng=seed, n_jobs=self.n_jobs, time_limit=self.course.time_left(),
            **options,
        )  # fmt: skip
        if solution.status is Status.STOPPED:
            self.course.interrupt()
        return solution

    def cut_blocks(self, problem: BQP, x0: np.ndarray) -> Solution:
        """Blocks from the signs of the problem, one pass of cuts (published) or passes until nothing improves."""
        A = problem.Q.to_sparse()
        repels = np.sign(A.data).astype(np.int8)
        blocks = greedy_blocks(A.indptr, A.indices, repels, self.blocks_rng, self.exact_up_to)
        descent = BlockDescent(problem, x0, self.exact_up_to, attracting=True)
        if self.published:
            for k in self.rng.permutation(len(blocks)):
                descent.solve_block(blocks[k], uphill=True)
        else:
            descent.run(blocks, self.rng, _PASSES, lambda: self.course.time_left() == 0.0)
        stats = {
            "n_blocks": len(blocks), "n_exact": descent.n_exact, "n_solved": descent.n_blocks,
            "largest_gap": descent.largest_gap,
        }  # fmt: skip
        energy = float(problem.energy(descent.x))
        return Solution(descent.x, energy, Status.LOCAL_OPTIMUM, solver=BLOCKS, stats=stats)

    def outputs(self, bits: list[int]) -> np.ndarray:
        """Signs of the functions of these bits, fitted to their columns."""
        assert self.refit is not None
        F = call_refit(self.refit, self.B.copy(), bits)
        self.n_calls += 1
        return signs(F)

    def replace(self, bits: list[int], columns: np.ndarray) -> None:
        """Put other values in counted bits."""
        for column, k in enumerate(bits):
            self.problems.remove(k)
            self.problems.add(k, columns[:, column])

    # ---- the course --------------------------------------------------------------------------------------------

    def learn(self, init: np.ndarray | None, group_size: int, max_cycles: int) -> None:
        if init is not None:
            self.B[:] = init
        groups = [list(range(a, min(a + group_size, self.n_bits))) for a in range(0, self.n_bits, group_size)]
        solved = 0
        try:
            for group in groups:
                for k in group:
                    solution = self.solve(self.problems.problem(self.margin * (k + 1)), self.B[:, k].copy())
                    self.problems.add(k, solution.x)
                    self.bits[k] = solution
                    solved = k + 1
                    self.show(solution.energy, in_trace=self.published)
                    if self.course.stopped:
                        break
                if self.course.stopped:
                    break
                if self.refit is not None:
                    self.replace(group, self.outputs(group))
                    self.calls[group] = self.n_calls - 1
                    self.show(self.problems.value(self.margin * solved), in_trace=self.published)
                if self.course.stopped:
                    break
            if solved == self.n_bits and self.course.stopped is None and not self.published:
                self.cycle(groups, max_cycles)
        except KeyboardInterrupt:
            self.course.interrupt()
        if solved < self.n_bits:
            if init is None:  # repeat the solved bits in turn
                for k in range(solved, self.n_bits):
                    self.B[:, k] = self.B[:, k % solved] if solved else 1
            self.stats["n_bits_solved"] = solved
        if self.refit is not None:
            self.stats["refit_calls"] = self.calls

    def cycle(self, groups: list[list[int]], max_cycles: int) -> None:
        """Groups (without functions: single bits) again, given all others, until a whole cycle improves none."""
        full = self.margin * self.n_bits
        objective = self.problems.value(full)
        self.show(objective)
        if self.refit is None:
            groups = [[k] for k in range(self.n_bits)]
        unchanged = 0
        for visit in range(max_cycles * len(groups)):
            if unchanged == len(groups) or self.course.stopped:
                break
            group = groups[visit % len(groups)]
            self.stats["n_cycles"] = visit // len(groups) + 1
            old, before = self.B[:, group].copy(), objective
            solutions, kept = {}, False
            try:
                for k in group:
                    column = self.B[:, k].copy()
                    self.problems.remove(k)
                    try:
                        solutions[k] = self.solve(self.problems.problem(full), column)
                        column = solutions[k].x
                    finally:  # Ctrl-C: the codes stay whole
                        self.problems.add(k, column)
                if self.refit is not None:
                    self.replace(group, self.outputs(group))
                reached = self.problems.value(full)
                kept = reached < objective - 1e-12 * objective
            finally:
                if not kept:
                    self.replace(group, old)
            if kept:
                objective = reached
                self.calls[group] = self.n_calls - 1
                for k, solution in solutions.items():
                    self.bits[k] = solution
            unchanged = 0 if objective < before else unchanged + 1
            self.show(objective)

    def show(self, energy: float, in_trace: bool = True) -> None:
        B = self.B
        self.course.report(self.step, energy, lambda: B.copy(), in_trace=in_trace)

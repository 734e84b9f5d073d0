"""Codes that predict the labels: discrete cyclic coordinate descent (DCC), and two methods that need none.

F. Shen, C. Shen, W. Liu, H. T. Shen, "Supervised Discrete Hashing", CVPR 2015 (SDH; DCC is equation 13 there);
J. Gui, T. Liu, Z. Sun, D. Tao, T. Tan, "Fast Supervised Discrete Hashing", IEEE TPAMI 40, 2018 (FSDH);
M. Koutaki, K. Shirai, M. Ambai, "Hadamard Coding for Supervised Discrete Hashing", IEEE TIP 27, 2018 (HC-SDH).

Ours: all points at once, row by row instead of bit by bit (a row of B is a problem of its own once W and F stand, so
that both orders give the same codes); points with equal labels merged where no feature term tells them apart; several
starts, Hadamard codes and the published rounds among them, and kicks out of local optima; a step is taken only where it
lowers the objective; and lower bounds. For single labels, equal codes in a class and mutually orthogonal class codes
attain the bound: they are optimal for nu = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bqp import losses
from bqp.callbacks import Callback
from bqp.codes._class_codes import is_published_order
from bqp.codes._common import Course, Refit, call_refit, check_init, check_mode, random_codes, signs
from bqp.codes._label_models import MODELS, LabelModel, LabelRows, label_rows, misfits
from bqp.codes.bounds import bounds_of
from bqp.codes.result import CodeResult
from bqp.errors import ParameterError, ProblemError
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solvers.base import check_count, resolve_n_jobs

__all__ = ["discrete_cyclic"]

_VARIANTS = ("sdh", "fsdh", "hadamard")
_LOSSES = ("squared", "hinge")
_PUBLISHED_ITERATIONS = 5
_MOST_ITERATIONS = 50
_RESTARTS = ((64, 60), (256, 20), (1000, 8), (np.inf, 1))  # (label sets up to, starts beside the class codes)
_HINGE_RESTARTS = 10  # at most: a machine a round
_KICKED_BITS = 4
_HINGE_UP_TO = 5_000  # points on which the published rounds with the hinge loss lead to a start: a machine a round
_PUBLISHED_TOLERANCE = 1e-5
_MOST_SWEEPS = 100  # of one B-step; a row comes to rest after a few
_STALLED = 1e-9  # a relative improvement below this ends a descent with a feature term


def discrete_cyclic(
    S,
    n_bits: int = 32,
    variant: str = "sdh",
    loss: str = "squared",
    nu: float = 1e-5,
    regularization: float = 1.0,
    refit: Refit | None = None,
    mode: str = "default",
    init=None,
    max_iterations: int | None = None,
    n_restarts: int | None = None,
    rng: RandomLike = 0,
    n_jobs: int = 1,
    callback: Callback | None = None,
    time_limit: float | None = None,
    certify: bool | str = "auto",
) -> CodeResult:
    """Learn codes from which a linear map predicts the labels.

    ``sdh``: minimise ``sum_i a_i |y_i - W'b_i|^2 + lambda |W|^2 + nu |B - F|^2`` over B in {-1, +1} and W, where y_i is
    the 0/1 label vector of point i, a_i its weight and F what the hash functions give on the training points. With
    ``loss="hinge"`` the first two terms are ``sum_i a_i max(0, max_{c != y_i} 1 + w_c.b_i - w_{y_i}.b_i)`` and
    ``lambda/2 |W|^2``. ``fsdh``: ``sum_i a_i |b_i - W'y_i|^2 + lambda |W|^2 + nu |B - F|^2``. ``hadamard``: no descent,
    point i takes row y_i of a Hadamard matrix; the objective is that of ``sdh``.

    Parameters
    ----------
    S : Similarity, or array of shape (n,) or (n, L)
        From `supervision.from_labels` or `from_label_sets` (`from_groups` reads each group as a class). An array goes
        through these. Point weights count; a point of unknown label follows its hash functions alone. Pairs, matrices
        and weights between classes have no label vectors and are refused.
    n_bits : int
        Code length q.
    variant : {"sdh", "fsdh", "hadamard"}
    loss : {"squared", "hinge"}
        Of ``sdh``. "hinge" needs single labels and scikit-learn.
    nu : float, >= 0
        Weight of the feature term; without `refit` there is none.
    regularization : float, > 0
        lambda.
    refit : callable, optional
        ``refit(B, bits) -> F``: fit the hash functions of `bits` to the codes B, return their outputs (n, len(bits)) on
        the training points. A ridge of 1e-2 in it gives the published F-step.
    mode : {"default", "published"}
        "published" repeats the authors' steps from ``init`` or the signs of normal draws (those of
        ``np.random.default_rng(rng)`` for an int) and returns the last codes: at most 5 rounds of up to 10 sweeps of
        DCC, then W, then F; for the hinge loss b_i = sgn(2 nu f_i + sum_c (w_{y_i} - w_c) / nu). A zero keeps the bit
        where the authors' sign(0) would leave a 0. "default" sweeps until no bit changes and tries several starts.
    init : array of shape (n, q), optional
        The only start. "default" is never worse than it.
    max_iterations : int, optional
        Most rounds from one start; 0 takes starts as they are. Default 5 for "published", 50 for "default".
    n_restarts : int, optional
        Starts of "default" beside the class codes: a quarter of them random codes, the first of which leads through
        the published rounds (hinge loss without `refit`: up to 5,000 points), the others the best codes with four bits
        redrawn. Default 60 over at most 64 merged label sets (10 with the hinge loss), 20 up to 256, 8 up to 1,000,
        else 1. With `refit` the class codes are those of such a search without it.
    rng : None, int, SeedSequence or Generator
    n_jobs : int
        Threads over blocks of rows. Same seed, same answer for every number of them.
    callback : callable, optional
        Called after each round with an `Event`: ``n_moves`` counts rounds, ``energy`` is the objective and ``x`` the
        codes. Returning True stops.
    time_limit : float, optional
        Seconds, looked at after each round (with the hinge loss on many points a round takes seconds).
    certify : bool or "auto"
        As in `codes.bitwise`, for ``ksh_lower_bound``.

    Returns
    -------
    result : CodeResult
        ``trace.objective`` holds the objective after each round: of the best codes so far in "default", where it never
        rises, of the present codes in "published", where the F-step and the published hinge step may take it uphill
        (``stats["best_objective"]`` and ``stats["best_B"]`` keep the best). ``lower_bound`` holds whatever F is.
        ``stats["W"]`` is the linear map of the codes returned, (q, L), or (L, q) for ``fsdh``.

    Raises
    ------
    ParameterError
        Unknown variant, loss or mode; a count or weight out of range; a code length without a published Hadamard
        matrix.
    ProblemError
        Supervision without label vectors; label sets or a single class for the hinge loss; fewer bits than labels for
        ``hadamard``; a wrong `init`; outputs of `refit` of a wrong shape or not finite.

    Notes
    -----
    A round costs O(n q^2) for the fields, W and the objective, O(n q) a sweep, and what `refit` costs. Memory O(n q):
    codes of one byte a bit, F of eight, and blocks of 2,048 rows. Without `refit` all of it is over the distinct label
    sets. "default" keeps the old outputs of a bit unless the new ones lower its misfit, so that its objective falls.

    Examples
    --------
    >>> from bqp import codes, supervision
    >>> S = supervision.from_labels([0, 0, 1, 1, 2, 2])
    >>> result = codes.discrete_cyclic(S, n_bits=8)
    >>> round(result.objective, 6), round(result.gap, 6)
    (0.352941, 0.0)
    """
    S, rows = label_rows(S)
    n_bits = check_count("n_bits", n_bits)
    published = check_mode(mode)
    _check_choice("variant", variant, _VARIANTS)
    _check_choice("loss", loss, _LOSSES)
    _check_choice("certify", certify, (True, False, "auto"))
    if variant != "sdh" and loss != "squared":
        raise ParameterError(f"loss={loss!r} belongs to variant='sdh'; variant={variant!r} has the squared loss.")
    nu = _check_weight("nu", nu, zero=True)
    regularization = _check_weight("regularization", regularization, zero=False)
    if published and loss == "hinge" and nu == 0:
        raise ParameterError("the published step of the hinge loss divides by nu; give nu > 0 or mode='default'.")
    if refit is not None and not callable(refit):
        raise ParameterError(f"refit must be a function (B, bits) -> outputs, or None, got {refit!r}.")
    if max_iterations is None:
        max_iterations = _PUBLISHED_ITERATIONS if published else _MOST_ITERATIONS
    max_iterations = check_count("max_iterations", max_iterations, least=0)
    course = Course(callback, time_limit)
    n_jobs = resolve_n_jobs(n_jobs)
    init = check_init(init, S.n, n_bits)
    refit = refit if nu > 0 else None
    merged = refit is None and not published
    rng = np.random.Generator(np.random.PCG64(as_seed_sequence(rng)))
    kind_of_model = MODELS["fsdh" if variant == "fsdh" else loss]
    points = model = kind_of_model(rows, regularization, nu, n_jobs)
    if n_restarts is None:
        n_restarts = _restarts(points) if merged else 1
    n_restarts = check_count("n_restarts", n_restarts, least=0)
    if merged:
        init = None if init is None else _best_members(points, init)
        model = kind_of_model(rows.merge(), regularization, nu, n_jobs)
    lift = rows.unmerge if merged else np.copy
    run = _Run(model, n_bits, refit, course, published, lift)
    if variant == "hadamard":
        run.offer(_class_codes(rows, model.rows, n_bits, published))
    elif published:
        run.repeat(random_codes(rng, rows.n, n_bits) if init is None else init, max_iterations)
    elif init is not None:
        run.descend(init, max_iterations)
    else:
        run.search(points, rng, n_restarts, max_iterations)
    state = run.last if published else run.best
    assert state is not None
    B = lift(state.B)
    ksh_objective = S.ksh_objective(B)
    _, ksh_lower_bound = bounds_of(S, n_bits, losses.Ksh(), ksh_objective, ksh_objective, certify)
    stats: dict[str, Any] = {
        "variant": variant, "mode": mode, "n_rows": model.rows.n, "n_rounds": run.step, "n_starts": run.n_starts,
        "W": state.W,
    }  # fmt: skip
    if published:
        assert run.best is not None
        stats.update(best_objective=run.best.objective, best_B=lift(run.best.B))
    if course.stopped:
        stats["stopped"] = course.stopped
    return CodeResult(
        B=B, objective=state.objective, lower_bound=min(model.lower_bound(n_bits), state.objective),
        ksh_objective=ksh_objective, ksh_lower_bound=ksh_lower_bound, n_bits=n_bits, loss=loss,
        method="discrete_cyclic", trace=course.trace, time=course.elapsed, stats=stats,
    )  # fmt: skip


def _check_choice(name: str, value, choices: tuple) -> None:
    if value not in choices:
        raise ParameterError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}.")


def _check_weight(name: str, value, zero: bool) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise ParameterError(f"{name} must be a finite number {'>= 0' if zero else '> 0'}, got {value!r}.")
    return number


def _restarts(model: LabelModel) -> int:
    count = next(count for most, count in _RESTARTS if model.rows.n_kinds <= most)
    return min(count, _HINGE_RESTARTS) if model.name == "hinge" else count


def _class_codes(points: LabelRows, rows: LabelRows, n_bits: int, published: bool) -> np.ndarray:
    """Hadamard codes of these rows; a point of unknown label takes the majority sign in each bit."""
    if points.n_labels > n_bits:
        raise ProblemError(
            f"a Hadamard code needs a bit for each of the {points.n_labels} labels, got n_bits={n_bits}. Give more "
            "bits, or use another method (variant='sdh')."
        )
    if published and not is_published_order(n_bits):
        raise ParameterError(
            f"the published codes need n_bits of 2^k, 12 2^k or 20 2^k, got {n_bits}. Use mode='default', which puts "
            "Hadamard matrices beside each other."
        )
    if published and points.sets is not None:
        raise ProblemError("the published Hadamard codes need one label a point, got label sets. Use mode='default'.")
    codes = points.class_codes(n_bits)
    return codes if rows is not points else points.unmerge(codes)


def _best_members(model: LabelModel, init: np.ndarray) -> np.ndarray:
    """The code of the best member of each kind, given the W of all: merging `init` so does not raise the objective."""
    rows = model.rows
    loss = model.row_losses(init, model.fit(init))
    known = np.arange(rows.n) if rows.mass is None else np.flatnonzero(rows.mass > 0)
    order = known[np.lexsort((loss[known], rows.kind[known]))]
    _, first = np.unique(rows.kind[order], return_index=True)
    return init[order[first]]


def _has_converged(B: np.ndarray, F: np.ndarray, before: np.ndarray) -> bool:
    """The authors' rule, with the outputs in place of the projection: no misfit is left, or the outputs stand still."""
    if np.sqrt(misfits(B, F).sum()) < _PUBLISHED_TOLERANCE * np.sqrt(B.size):
        return True
    return bool(np.linalg.norm(F - before) < _PUBLISHED_TOLERANCE * np.linalg.norm(before))


@dataclass(frozen=True)
class _State:
    """Codes, the linear map and the outputs fitted to them, and the objective."""

    B: np.ndarray
    W: np.ndarray
    F: np.ndarray | None
    objective: float


class _Run:
    """Descents of one model, and the best and the last state they came to."""

    def __init__(
        self, model: LabelModel, n_bits: int, refit: Refit | None, course: Course, published: bool, lift: Callable
    ):
        self.model, self.n_bits, self.refit, self.course, self.published = model, n_bits, refit, course, published
        self.lift = lift  # codes of all points from those of the rows
        self.bits = np.arange(n_bits)
        self.step = self.n_starts = 0
        self.best: _State | None = None
        self.last: _State | None = None

    def outputs(self, B: np.ndarray) -> np.ndarray | None:
        if self.refit is None:
            return None
        shown = B.view()
        shown.flags.writeable = False
        return call_refit(self.refit, shown, self.bits)  # pyright: ignore[reportArgumentType]

    def state(self, B: np.ndarray, W: np.ndarray, F: np.ndarray | None) -> _State:
        return _State(B, W, F, self.model.objective(B, W, F))

    def note(self, state: _State) -> None:
        """Take a state for the last one, and for the best if it is; tell the course."""
        self.last = state
        if self.best is None or state.objective < self.best.objective:
            self.best = state
        shown = state if self.published else self.best
        self.course.report(self.step, shown.objective, lambda: self.lift(shown.B))

    def offer(self, B: np.ndarray) -> _State:
        """The state of start codes, with W and F fitted to them."""
        self.n_starts += 1
        state = self.state(B, self.model.fit(B), self.outputs(B))
        self.note(state)
        return state

    def repeat(self, B: np.ndarray, max_iterations: int) -> None:
        """The authors' rounds: B-step, W-step, F-step."""
        state = self.offer(B)
        try:
            for _ in range(max_iterations):
                if self.course.stopped:
                    break
                B = state.B.copy()
                changes = self.model.published_step(B, state.W, state.F)
                before, F = state.F, self.outputs(B)
                state = self.state(B, self.model.fit(B), F)
                self.step += 1
                self.note(state)
                # without a feature term a round that changes nothing repeats itself
                if changes == 0 if F is None or before is None else _has_converged(B, F, before):
                    break
        except KeyboardInterrupt:
            self.course.interrupt()

    def descend(self, B: np.ndarray, max_iterations: int) -> None:
        """Rounds that lower the objective, until one does not."""
        state = self.offer(B)
        try:
            for _ in range(max_iterations):
                if self.course.stopped:
                    break
                B = state.B.copy()
                changes = self.model.step(B, state.W, state.F, _MOST_SWEEPS)
                F, replaced = self.kept_outputs(B, state.F)
                after = self.state(B, self.model.fit(B, state.W), F)
                self.step += 1
                if not after.objective < state.objective:
                    break
                gain = state.objective - after.objective
                state = after
                self.note(state)
                if gain <= _STALLED * state.objective or (changes == 0 and not replaced):
                    break
        except KeyboardInterrupt:
            self.course.interrupt()

    def kept_outputs(self, B: np.ndarray, before: np.ndarray | None) -> tuple[np.ndarray | None, bool]:
        """New outputs of the bits whose misfit they lower, the old ones of the others; whether any is new."""
        if before is None:
            return None, False
        F = self.outputs(B)
        assert F is not None
        better = misfits(B, F) < misfits(B, before)
        return np.where(better, F, before), bool(better.any())

    def search(self, points: LabelModel, rng: np.random.Generator, n_restarts: int, max_iterations: int) -> None:
        """Descents from class codes and from random codes, until the time is up or the bound is met.

        The first random start leads through the published rounds, so that the answer is never worse than theirs;
        without a feature term they are run on all points, which are then merged without loss.
        """
        rows = self.model.rows
        enough = self.model.lower_bound(self.n_bits) * (1.0 + 2.0 * _STALLED)
        fresh = (n_restarts + 3) // 4
        starts: list[Callable[[], np.ndarray]] = [lambda: self.random_start(rng)] * fresh
        starts += [lambda: self.kicked(rng)] * (n_restarts - fresh)
        merged = points is not self.model
        if n_restarts and not (merged and points.name == "hinge" and points.rows.n > _HINGE_UP_TO):
            starts[0] = lambda: self.published_start(points, rng)
        if self.refit is not None:
            starts.insert(1, lambda: rows.unmerge(self.label_codes(points, rng, max_iterations)))
        else:
            starts.insert(0, lambda: rows.class_codes(self.n_bits))
        for start in starts:
            self.descend(start(), max_iterations)
            if self.course.stopped or (self.best is not None and self.best.objective <= enough):
                break

    def random_start(self, rng: np.random.Generator) -> np.ndarray:
        """Random codes; for label sets the signs of sums of random vectors, one a label, so that sets that share labels
        share bits: what a first round of DCC makes of independent codes of many points."""
        rows = self.model.rows
        B = random_codes(rng, rows.n, self.n_bits)
        if rows.sets is None:
            return B
        vectors = np.sqrt(rows.label_gram().diagonal())[:, None] * rng.standard_normal((rows.n_labels, self.n_bits))
        return signs((rows.sets @ vectors)[rows.kind], keep=B)

    def kicked(self, rng: np.random.Generator) -> np.ndarray:
        """The best codes with some bits redrawn."""
        assert self.best is not None
        B = self.best.B.copy()
        bits = rng.choice(self.n_bits, size=max(1, min(_KICKED_BITS, self.n_bits // 2)), replace=False)
        B[:, bits] = self.random_start(rng)[:, bits]
        return B

    def label_codes(self, points: LabelModel, rng: np.random.Generator, max_iterations: int) -> np.ndarray:
        """The best codes of the label sets without the feature term, one a kind."""
        model = type(points)(points.rows.merge(), points.regularization, points.nu, points.n_jobs)
        course = Course(None, self.course.time_left())
        run = _Run(model, self.n_bits, None, course, False, np.copy)
        run.search(model, rng, _restarts(model), max_iterations)
        if course.stopped == "interrupted":
            self.course.interrupt()
        assert run.best is not None
        return run.best.B

    def published_start(self, points: LabelModel, rng: np.random.Generator) -> np.ndarray:
        """The best codes of the published rounds on all points; merging them does not raise their objective."""
        course = Course(None, self.course.time_left())
        run = _Run(points, self.n_bits, self.refit, course, True, np.copy)
        run.repeat(random_codes(rng, points.rows.n, self.n_bits), _PUBLISHED_ITERATIONS)
        if course.stopped == "interrupted":
            self.course.interrupt()
        assert run.best is not None
        return run.best.B if points is self.model else _best_members(points, run.best.B)

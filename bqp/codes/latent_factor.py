"""Codes from real-valued factors of a similarity: latent factor hashing.

P. Zhang, W. Zhang, W.-J. Li, M. Guo, "Supervised Hashing with Latent Factor Models", SIGIR 2014 (LFH): the posterior of
real factors U under a logistic likelihood, maximised by Newton steps on a lower bound, for sampled columns in the
stochastic form; the signs of U are the codes. The published mode follows the authors' code of that form. Ours: all
known pairs at once over the distinct label sets (L-BFGS), and a rotation of U, which leaves the posterior as it is,
chosen so that the signs lose little (by the alternation of Y. Gong, S. Lazebnik, "Iterative Quantization", CVPR 2011).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bqp import losses
from bqp.callbacks import Callback
from bqp.codes._columns import Columns
from bqp.codes._common import Course, check_mode, check_similarity, signs
from bqp.codes._rotation import best_rotation
from bqp.codes.bounds import bounds_of
from bqp.codes.refine import check_certify
from bqp.codes.result import CodeResult
from bqp.errors import ParameterError, ProblemError
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solvers.base import check_count
from bqp.supervision import GroupedSimilarity, MatrixSimilarity, PairSimilarity, Similarity
from bqp.supervision.base import BLOCK_ENTRIES

__all__ = ["latent_factor", "relaxed_objective"]

_PUBLISHED_ITERATIONS = 50
_MOST_ITERATIONS, _ITERATIONS_OF_MANY, _MANY_POINTS = 500, 60, 1000
_RESTARTS, _RESTARTS_UP_TO = 4, 256  # starts, up to this many merged points; 1 beyond
_START = 0.1  # standard deviation of random starts: U = 0 is a saddle
_ROTATIONS, _ROTATIONS_OF_MANY = 40, 10  # random ones, each with its refinement; the latter beyond 256 points
_KEPT_ENTRIES = 1 << 20  # targets and weights of this many pairs are written out once
_FLAT = 1e-8  # a relative decrease below this ends the descent


class _Stopped(Exception):
    """The run is over while scipy is at work."""


def latent_factor(
    S: Similarity,
    n_bits: int = 32,
    beta: float = 30.0,
    mode: str = "default",
    init=None,
    max_iterations: int | None = None,
    n_restarts: int | None = None,
    n_rotations: int | None = None,
    rng: RandomLike = 0,
    callback: Callback | None = None,
    time_limit: float | None = None,
    certify: bool | str = "auto",
) -> CodeResult:
    """Learn real factors U whose inner products explain the similarity; the codes are their signs.

    Minimises ``sum_{i != j} w_ij (log(1 + exp T_ij) - p_ij T_ij) + q / (2 beta) |U|^2`` over real U of shape (n, q),
    with T = U U'/2 and p = (1 + S)/2: the relaxed objective.

    Parameters
    ----------
    S : Similarity
        From `bqp.supervision`; targets in [-1, 1].
    n_bits : int
        Code length q.
    beta : float, > 0
        q times the prior variance of U. Published: 30.
    mode : {"default", "published"}
        "published" is the authors' stochastic code on all points: each iteration samples q columns (half of the points
        where there are no more than q), and moves all other points by one Newton step with the curvature bound
        ``U_s'U_s/8 + q/beta I`` of the sampled U_s. Weights multiply the gradient and must be at most 1.
        "default" minimises over points merged by label set, and rotates.
    init : array of shape (n, q), optional
        Real start U. "default" starts from its means over merged points. Without it U is drawn from a normal
        distribution (the authors' estimator starts from principal components of the features).
    max_iterations : int, optional
        Default 50 for "published"; for "default" 500 iterations of L-BFGS, 60 beyond 1,000 merged points.
    n_restarts : int, optional
        Default mode without `init`: random starts. Default 4 up to 256 merged points, else 1.
    n_rotations : int, optional
        Default mode: random rotations tried, each as it is and after 30 rounds of iterative quantization, for the
        least likelihood loss of the codes; 0 keeps U as it came. Default 40 up to 256 merged points, else 10.
    rng : None, int, SeedSequence or Generator
    callback : callable, optional
        Called after each iteration with an `Event`: ``n_moves`` counts iterations, ``energy`` is the entry of the trace
        and ``x`` the signs of the present U. Returning True stops.
    time_limit : float, optional
        Seconds, looked at after each iteration.
    certify : bool or "auto"
        As in `codes.bitwise`, for ``ksh_lower_bound``.

    Returns
    -------
    result : CodeResult
        ``objective`` is the `losses.Likelihood` of the codes, all ordered pairs, diagonal included. ``trace.objective``
        holds the relaxed objective: in "default" of the best U so far, where it never rises; in "published" before each
        step, estimated without bias from the pairs of the sampled columns.

        ``stats["U"]`` (n, q) is the U whose signs are the codes, rotated in "default", of zeros at points that no known
        pair mentions; ``stats["relaxed_objective"]`` its exact objective ("default").

    Raises
    ------
    ParameterError
        A wrong mode, beta or count.
    ProblemError
        Targets outside [-1, 1]; a wrong `init`; weights above 1 in the published mode.

    Notes
    -----
    Default: O(C^2 q) an iteration over C merged points, memory O(C q) and blocks of C^2; with ten classes 0.1 s.
    Merging is a restriction: the argument that serves the codes needs equal lengths, so it does not exclude a better U
    that differs inside a group; what we find is far below the published U (`benchmarks/codes_latent_factor.py`).
    Published: O(n q^2) an iteration, memory O(n q). For pairs O(nnz q), for a matrix O(n^2 q).

    The minimum over C classes has rank at most C - 1; a rotation spreads it over all q bits.

    Examples
    --------
    >>> from bqp import codes, supervision
    >>> S = supervision.from_labels([0, 0, 0, 1, 1, 1, 2, 2])
    >>> result = codes.latent_factor(S, n_bits=16)
    >>> result.stats["U"].shape, len(np.unique(result.B, axis=0))
    ((8, 16), 3)
    """
    check_similarity(S)
    n_bits = check_count("n_bits", n_bits)
    published = check_mode(mode)
    check_certify(certify)
    if isinstance(beta, bool) or not isinstance(beta, int | float | np.number) or not 0 < beta < np.inf:
        raise ParameterError(f"beta must be a positive number, got {beta!r}.")
    course = Course(callback, time_limit)
    init = _check_start(init, S.n, n_bits)
    _check_targets(S)
    rng = np.random.Generator(np.random.PCG64(as_seed_sequence(rng)))
    loss = losses.Likelihood()
    precision = n_bits / float(beta)
    collapse = S.drop_unknown() if published else S.collapse(loss)
    small, labels = collapse.similarity, collapse.labels
    if max_iterations is None:
        many = _ITERATIONS_OF_MANY if small.n > _MANY_POINTS else _MOST_ITERATIONS
        max_iterations = _PUBLISHED_ITERATIONS if published else many
    max_iterations = check_count("max_iterations", max_iterations)
    if n_restarts is None:
        n_restarts = _RESTARTS if small.n <= _RESTARTS_UP_TO else 1
    n_restarts = check_count("n_restarts", n_restarts)
    if n_rotations is None:
        n_rotations = _ROTATIONS if small.n <= _RESTARTS_UP_TO else _ROTATIONS_OF_MANY
    n_rotations = check_count("n_rotations", n_rotations, least=0)
    stats: dict[str, Any] = {"mode": mode, "n_points": small.n}

    def lift(U: np.ndarray) -> np.ndarray:
        return np.where(labels[:, None] >= 0, U[labels], 0.0)

    if published:
        _check_unit_weights(small)
        start = None if init is None else init[labels >= 0]
        U = _sampled_newton(small, n_bits, precision, start, max_iterations, rng, course, lift)
    else:
        relaxed = _Relaxed(S, small, labels, precision)
        starts = [_START * rng.standard_normal((small.n, n_bits)) for _ in range(1 if init is not None else n_restarts)]
        if init is not None:
            starts = [relaxed.means(init, labels)]
        U, value = _descend(relaxed, starts, max_iterations, course, lift)
        if n_rotations and course.stopped is None:
            U = best_rotation(U, relaxed.counts, lambda B: losses.value(small, B, loss), n_rotations, rng)
        stats.update(relaxed_objective=value, n_starts=len(starts))
    stats["U"] = lift(U)
    B = collapse.lift(signs(U))
    if course.stopped:
        stats["stopped"] = course.stopped
    objective, ksh_objective = losses.value(S, B, loss), S.ksh_objective(B)
    lower_bound, ksh_lower_bound = bounds_of(S, n_bits, loss, objective, ksh_objective, certify)
    return CodeResult(
        B=B, objective=objective, lower_bound=lower_bound, ksh_objective=ksh_objective,
        ksh_lower_bound=ksh_lower_bound, n_bits=n_bits, loss="likelihood", method="latent_factor", trace=course.trace,
        time=course.elapsed, stats=stats,
    )  # fmt: skip


def relaxed_objective(S: Similarity, U, beta: float = 30.0) -> float:
    """The relaxed objective of `latent_factor` at U, over all known pairs of distinct points.

    Parameters
    ----------
    S : Similarity
    U : array of shape (n, q)
        Real factors.
    beta : float

    Returns
    -------
    value : float

    Notes
    -----
    Nothing is merged: O(n^2 q) time in blocks of rows for groups, O(nnz q) for pairs.
    """
    U = np.asarray(U, dtype=np.float64)
    relaxed = _Relaxed(S, S, np.arange(S.n), U.shape[1] / float(beta))
    return relaxed.value_and_gradient(U)[0]


# ---- the authors' course -------------------------------------------------------------------------------------------


def _sampled_newton(S, n_bits, precision, start, n_iterations, rng, course, lift) -> np.ndarray:
    """The stochastic form: q sampled columns an iteration, one Newton step for all points outside."""
    from scipy.special import expit

    n = S.n
    U = rng.standard_normal((n, n_bits)) if start is None else start.copy()
    m = n_bits if n_bits < n else max(1, n // 2)
    try:
        for step in range(1, n_iterations + 1):
            omega = rng.choice(n, m, replace=False)
            rest = np.delete(np.arange(n), omega)
            columns = Columns.of(S, omega)
            rows = columns.table_row[rest]
            p = 0.5 * (1.0 + columns.targets[rows])
            w = 1.0 if columns.weights is None else columns.weights[rows]
            if columns.a is not None:
                w = w * columns.a[rest, None]
            C = U[omega]
            T = 0.5 * U[rest] @ C.T
            share = n * (n - 1) / max(1, len(rest) * m)
            estimate = share * float(np.sum(w * (np.logaddexp(0.0, T) - p * T))) + 0.5 * precision * np.vdot(U, U)
            gradient = (w * (p - expit(T))) @ C - precision * U[rest]
            curvature = C.T @ C / 8.0 + precision * np.eye(n_bits)
            U[rest] += np.linalg.solve(curvature, gradient.T).T
            if course.report(step, estimate, lambda: signs(lift(U))):
                break
    except KeyboardInterrupt:
        course.interrupt()
    return U


# ---- all pairs at once ---------------------------------------------------------------------------------------------


class _Relaxed:
    """The relaxed objective over merged points: value and gradient, pairs in blocks of rows."""

    def __init__(self, S: Similarity, small: Similarity, labels: np.ndarray, precision: float):
        from scipy.sparse import csr_array

        self.n, self.precision = small.n, precision
        known = labels >= 0
        self.counts = np.bincount(labels[known], minlength=small.n).astype(np.float64)
        self.small = small
        self.pairs = None
        if isinstance(small, PairSimilarity):
            apart = np.flatnonzero(small.rows != small.indices)
            self.pairs = small.rows[apart], small.indices[apart]
            self.p = 0.5 * (1.0 + small.targets[apart])
            self.w = np.ones(len(apart)) if small.weights is None else small.weights[apart]
            self.csr = lambda values: csr_array((values, self.pairs), shape=(self.n, self.n))
            row_weights = np.bincount(self.pairs[0], weights=self.w, minlength=self.n)
        else:
            self.selves = np.zeros(small.n)
            if isinstance(S, GroupedSimilarity) and isinstance(small, GroupedSimilarity):
                a = np.ones(int(known.sum())) if S.weights is None else S.weights[known]
                total = np.bincount(labels[known], weights=a, minlength=small.n)
                self.selves = total**2 - np.bincount(labels[known], weights=a**2, minlength=small.n)
                if small.V is not None:
                    self.selves *= small.V[small.groups, small.groups]
            step = max(1, BLOCK_ENTRIES // max(1, small.n))
            self.blocks = [slice(a, min(a + step, small.n)) for a in range(0, small.n, step)]
            self.kept = [self._written_out(rows) for rows in self.blocks] if small.n**2 <= _KEPT_ENTRIES else None
            row_weights = np.zeros(small.n)
            for b, rows in enumerate(self.blocks):
                w = self._block(b)[1]
                row_weights[rows] += w.sum(axis=1)
                row_weights[rows.stop :] += w[:, rows.stop - rows.start :].sum(axis=0)
        self.scale = np.sqrt(row_weights + precision * self.counts)

    def means(self, U: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Means of U over the merged points."""
        sums = np.zeros((self.n, U.shape[1]))
        np.add.at(sums, labels[labels >= 0], U[labels >= 0])
        return sums / self.counts[:, None]

    def _block(self, b: int) -> tuple[np.ndarray, np.ndarray]:
        return self._written_out(self.blocks[b]) if self.kept is None else self.kept[b]

    def _written_out(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """p and w of some rows, columns from the first of these on: both are symmetric.

        The diagonal of w holds the pairs of distinct points that were merged into one.
        """
        small, others = self.small, slice(rows.start, self.n)
        if isinstance(small, GroupedSimilarity):
            g, h = small.groups[rows], small.groups[others]
            p = 0.5 * (1.0 + small.T[g][:, h])
            w = np.ones(p.shape) if small.V is None else small.V[g][:, h]
            if small.weights is not None:
                w = w * small.weights[others] * small.weights[rows, None]
        else:
            assert isinstance(small, MatrixSimilarity)
            p = 0.5 * (1.0 + small.S[rows, others])
            w = np.ones(p.shape) if small.W is None else small.W[rows, others].copy()
        i = np.arange(rows.stop - rows.start)
        w[i, i] = self.selves[rows]
        return p, w

    def value_and_gradient(self, U: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = self.precision * self.counts[:, None] * U
        value = 0.5 * float(np.vdot(gradient, U))
        if self.pairs is not None:
            T = np.empty(len(self.p))
            step = max(1, BLOCK_ENTRIES // max(1, U.shape[1]))
            for a in range(0, len(T), step):
                i, j = (index[a : a + step] for index in self.pairs)
                T[a : a + step] = 0.5 * np.einsum("pr,pr->p", U[i], U[j])
            loss, slope = _logistic(T, self.p)
            return value + float(self.w @ loss), gradient + self.csr(self.w * slope) @ U
        for b, rows in enumerate(self.blocks):
            p, w = self._block(b)
            loss, slope = _logistic(0.5 * U[rows] @ U[rows.start :].T, p)
            loss *= w
            slope *= w
            m = rows.stop - rows.start
            value += float(loss[:, :m].sum()) + 2.0 * float(loss[:, m:].sum())
            gradient[rows] += slope @ U[rows.start :]
            gradient[rows.stop :] += slope[:, m:].T @ U[rows]
        return value, gradient


def _logistic(T: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log(1 + exp T) - p T and its derivative, from one exponential."""
    small = np.exp(-np.abs(T))
    loss = np.log1p(small)
    loss += np.maximum(T, 0.0)
    loss -= p * T
    slope = np.where(T >= 0, 1.0, small)
    slope /= 1.0 + small
    slope -= p
    return loss, slope


def _descend(relaxed: _Relaxed, starts, max_iterations, course, lift) -> tuple[np.ndarray, float]:
    """The best U of L-BFGS from each start, and its relaxed objective."""
    from scipy.optimize import minimize

    best_U, best = starts[0], np.inf
    scale = np.where(relaxed.scale > 0, relaxed.scale, 1.0)[:, None]
    unit = max(1.0, float(np.sum(scale**2)))
    step = 0

    def value_and_gradient(v):
        nonlocal best_U, best
        U = v.reshape(relaxed.n, -1) / scale
        value, gradient = relaxed.value_and_gradient(U)
        if value < best:
            best_U, best = U, value
        return value / unit, (gradient / scale).ravel() / unit

    def after_iteration(_):
        nonlocal step
        step += 1
        if course.report(step, best, lambda: signs(lift(best_U))):
            raise _Stopped

    options = {"maxiter": max_iterations, "maxfun": 4 * max_iterations, "ftol": _FLAT, "gtol": 1e-9}
    try:
        for start in starts:
            minimize(
                value_and_gradient, (start * scale).ravel(), jac=True, method="L-BFGS-B", callback=after_iteration,
                options=options,
            )  # fmt: skip
    except _Stopped:
        pass
    except KeyboardInterrupt:
        course.interrupt()
    return best_U, best


# ---- arguments -----------------------------------------------------------------------------------------------------


def _check_start(init, n: int, n_bits: int) -> np.ndarray | None:
    if init is None:
        return None
    try:
        U = np.array(init, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"init must hold real numbers: {error}.") from error
    if U.shape != (n, n_bits):
        raise ProblemError(
            f"init must have shape ({n}, {n_bits}), one row a point and one column a bit, got {U.shape}."
        )
    if not np.isfinite(U).all():
        i, k = np.unravel_index(int(np.argmin(np.isfinite(U))), U.shape)
        raise ProblemError(f"init must be finite, got {U[i, k]} at ({i}, {k}). Drop or fill in such rows.")
    return U


def _check_targets(S: Similarity) -> None:
    if isinstance(S, GroupedSimilarity):
        used = S.mass > 0
        targets, weights = S.T[used][:, used], None if S.V is None else S.V[used][:, used]
    elif isinstance(S, MatrixSimilarity):
        targets, weights = S.S, S.W
    elif isinstance(S, PairSimilarity):
        targets, weights = S.targets, S.weights
    else:
        raise ProblemError(f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.")
    known = targets if weights is None else targets[weights > 0]
    low, high = float(known.min()), float(known.max())
    if low < -1 or high > 1:
        wrong = low if low < -1 else high
        raise ProblemError(
            f"targets must lie in [-1, 1], since (1 + s)/2 is the chance that a pair is similar, got {wrong}. "
            "Divide them by their largest absolute value."
        )


def _check_unit_weights(S: Similarity) -> None:
    """The curvature bound of the published step holds for pair weights of at most 1."""
    if isinstance(S, GroupedSimilarity):
        largest = (1.0 if S.V is None else float(S.V.max())) * (
            1.0 if S.weights is None else float(S.weights.max()) ** 2
        )
    elif isinstance(S, MatrixSimilarity):
        largest = 1.0 if S.W is None else float(S.W.max())
    else:
        assert isinstance(S, PairSimilarity)
        largest = 1.0 if S.weights is None else float(S.weights.max())
    if largest > 1:
        raise ProblemError(
            f"the published step needs weights of at most 1, got {largest}. Divide the weights by it, or use "
            "mode='default'."
        )

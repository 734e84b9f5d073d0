"""Codes that vary little along an anchor graph, without labels: discrete graph hashing.

W. Liu, C. Mu, S. Kumar, S.-F. Chang, "Discrete Graph Hashing", NIPS 2014 (DGH): alternate between codes (signed
gradient ascent) and a balanced, decorrelated real matrix near them. The text was not at hand: the steps are those of a
public port (github.com/zavareh89/unsupervised-hashing) and, for the rotated start, recalled and derived below. Ours:
A B follows B in the inner loop (the port computes it once, so that its loop is one step), then single flips, and both
starts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bqp.callbacks import Callback
from bqp.codes._common import Course, check_mode, signs
from bqp.codes.result import CodeResult
from bqp.errors import ParameterError, ProblemError
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solvers.base import check_count
from bqp.supervision import check_codes

__all__ = ["discrete_graph"]

_PUBLISHED_ROUNDS = 20
_MOST_ROUNDS = 100
_INNER = 300  # signed gradient steps of one B-step, as published
_STALLED = 1e-4  # published: a relative gain below this ends the run
_PUBLISHED_RANK, _RANK = 1e-4, 1e-9  # eigenvalues of (JB)'JB below this, relative to the largest, count as 0
_ROTATIONS = 100  # alternations of the rotated start
_SWEEPS = 50  # of single flips
_ROUNDING = 1e-12


def discrete_graph(
    Z,
    n_bits: int = 32,
    rho: float = 0.1,
    init="auto",
    mode: str = "default",
    max_iterations: int | None = None,
    rng: RandomLike = 0,
    callback: Callback | None = None,
    time_limit: float | None = None,
) -> CodeResult:
    """Learn balanced codes that neighbours share.

    Maximises ``tr(B'AB) + rho tr(B'Y)`` over B in {-1, +1} and real Y with Y'1 = 0, Y'Y = n I. A = Z Lambda^-1 Z' is
    the anchor graph, Lambda = diag(Z'1); it is never formed.

    Parameters
    ----------
    Z : sparse matrix or array of shape (n, m)
        Weights that join n points to m anchors, at least 0, each row summing to 1.
    n_bits : int
        Code length q, at most n - 1.
    rho : float, >= 0
        Weight of the balance term.
    init : {"auto", "I", "R"} or array of shape (n, q)
        "I": Y = sqrt(n) V, B = sgn(V), where V are the q leading eigenvectors of A that are orthogonal to 1. "R": Y =
        sqrt(n) V R, B = sgn(V Theta R), Theta the eigenvalues of V and R a rotation that alternates with B to maximise
        tr(B'V Theta R), which is tr(B'AY) over sqrt(n). "auto": the better of both; in the published mode "R". An
        array: the start B; Y follows from it.
    mode : {"default", "published"}
        "published": one signed gradient step a round, up to 20 rounds, until a round gains less than 1e-4 of the
        objective; returns the last codes. "default": after these rounds others, of signed gradient steps until they
        change nothing and single flips, up to 100, until a round gains nothing.
    max_iterations : int, optional
        Most rounds from one start, of either kind.
    rng : None, int, SeedSequence or Generator
        Rotations of "R", and directions of Y that codes of lower rank leave free.
    callback : callable, optional
        Called after each round with an `Event`: ``energy`` is minus the objective above. Returning True stops.
    time_limit : float, optional
        Seconds, looked at after each round.

    Returns
    -------
    result : CodeResult
        ``objective`` is minus the formula, ``lower_bound`` minus (1 + rho) n q: A has eigenvalues of at most 1.
        ``trace.objective`` holds it for the start and after each round, of the best codes so far in "default", where it
        never rises. There is no similarity of +-1, so ``ksh_objective`` is nan. ``stats["Y"]`` (n, q), and
        ``stats["anchor_codes"]`` = Lambda^-1 Z'B (m, q), with which ``sgn(z' anchor_codes)`` codes a new point.

    Raises
    ------
    ParameterError
        A wrong mode, start or count; more than n - 1 bits.
    ProblemError
        Z with negative or infinite entries, or rows that do not sum to 1.

    Notes
    -----
    A round costs O((nnz + n q) q) and a few steps of O(nnz q); the start O(nnz s + m^3). Memory O(nnz + n q + m^2).

    Ascent: tr(B'AB) is convex, so its linearisation at B bounds it from below, and B -> sgn(2 A B + rho Y), with the
    old value where that is 0, maximises the bound. A flip of one entry gains more where the step stalls, since the
    linearisation contains the entry's own A_ii. Y has a closed form: JB = U S V' gives Y = sqrt(n) [U U0][V V0]', U0
    orthogonal to U and 1.

    With small rho the objective favours bits that are constant or repeat others: a constant bit has b'Ab = n, the most
    there is. The better it is maximised, the plainer that shows; rho = 0.1 is the port's, not a good choice everywhere.

    Examples
    --------
    >>> from bqp import codes
    >>> Z = np.repeat([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]], 4, axis=0)
    >>> result = codes.discrete_graph(Z, n_bits=2, rho=1.0)
    >>> len(np.unique(result.B, axis=0)), result.relative_gap < 0.2
    (3, True)
    """
    graph = _Graph(Z)
    n_bits = check_count("n_bits", n_bits)
    published = check_mode(mode)
    if isinstance(rho, bool) or not isinstance(rho, int | float | np.number) or not 0 <= rho < np.inf:
        raise ParameterError(f"rho must be a number of at least 0, got {rho!r}.")
    if n_bits > graph.n - 1:
        raise ParameterError(
            f"n_bits must be at most n - 1 = {graph.n - 1}, got {n_bits}: Y needs as many balanced directions. "
            "Give more points or fewer bits."
        )
    if max_iterations is None:
        max_iterations = _PUBLISHED_ROUNDS if published else _MOST_ROUNDS
    max_iterations = check_count("max_iterations", max_iterations)
    course = Course(callback, time_limit)
    rng = np.random.Generator(np.random.PCG64(as_seed_sequence(rng)))
    run = _Run(graph, n_bits, float(rho), published, course, rng)
    try:
        for B, Y in run.starts(init):
            B, Y = run.alternate(B, Y, min(max_iterations, _PUBLISHED_ROUNDS), published=True)
            if not published and not course.stopped:
                run.alternate(B, Y, max_iterations, published=False)
            if course.stopped:
                break
    except KeyboardInterrupt:
        course.interrupt()
    B, Y = run.kept
    stats: dict[str, Any] = {
        "mode": mode, "Y": Y, "anchor_codes": graph.anchor_codes(B), "n_anchors": graph.m, "starts": run.values,
    }  # fmt: skip
    if course.stopped:
        stats["stopped"] = course.stopped
    objective = -graph.value(B, Y, run.rho)
    return CodeResult(
        B=B, objective=objective, lower_bound=min(-(1.0 + run.rho) * graph.n * n_bits, objective),
        ksh_objective=float("nan"), ksh_lower_bound=-np.inf, n_bits=n_bits, loss="graph", method="discrete_graph",
        trace=course.trace, time=course.elapsed, stats=stats,
    )  # fmt: skip


class _Graph:
    """A = F F' with F = Z Lambda^-1/2, over the anchors that some point is joined to."""

    def __init__(self, Z):
        import scipy.sparse as sp

        try:
            Z = sp.csr_array(Z, dtype=np.float64, copy=True)
        except (TypeError, ValueError) as error:
            raise ProblemError(f"Z must be a matrix of real numbers, points by anchors: {error}.") from error
        if len(Z.shape) != 2 or Z.shape[0] == 0 or Z.shape[1] == 0:
            raise ProblemError(f"Z must have shape (n, m), a row a point and a column an anchor, got {Z.shape}.")
        Z.sum_duplicates()
        wrong = ~(np.isfinite(Z.data) & (Z.data >= 0))
        if wrong.any():
            place = int(np.argmax(wrong))
            i = int(np.searchsorted(Z.indptr, place, side="right")) - 1
            raise ProblemError(
                f"Z must hold finite weights of at least 0, got {Z.data[place]} at ({i}, {Z.indices[place]})."
            )
        sums = np.asarray(Z.sum(axis=1)).ravel()
        off = np.abs(sums - 1.0)
        if off.max() > 1e-6:
            i = int(np.argmax(off))
            raise ProblemError(f"each row of Z must sum to 1, row {i} sums to {sums[i]}. Divide each row by its sum.")
        self.n, self.m = Z.shape
        self.Z, self.mass = Z, np.asarray(Z.sum(axis=0)).ravel()
        self.root = np.sqrt(self.mass)
        inverse = np.divide(1.0, self.root, out=np.zeros(self.m), where=self.root > 0)
        self.F = sp.csr_array(Z.multiply(inverse[None, :]))
        self.diagonal = np.asarray(self.F.multiply(self.F).sum(axis=1)).ravel()

    def sums(self, B: np.ndarray) -> np.ndarray:
        """F'B, shape (m, q)."""
        return self.F.T @ B.astype(np.float64)

    def value(self, B: np.ndarray, Y: np.ndarray, rho: float, L: np.ndarray | None = None) -> float:
        """tr(B'AB) + rho tr(B'Y)."""
        L = self.sums(B) if L is None else L
        return float(np.vdot(L, L)) + rho * float(np.vdot(B.astype(np.float64), Y))

    def anchor_codes(self, B: np.ndarray) -> np.ndarray:
        """Lambda^-1 Z'B: the mean code of the points around each anchor, 0 where there are none."""
        total = self.Z.T @ B.astype(np.float64)
        return np.divide(total, self.mass[:, None], out=np.zeros_like(total), where=self.mass[:, None] > 0)

    def eigenvectors(self, q: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The q leading eigenvectors of A orthogonal to 1, and their eigenvalues; random directions beyond its rank."""
        import scipy.linalg as la

        M = (self.F.T @ self.F).toarray()
        M -= np.outer(self.root, self.root) / self.n  # F root = 1: this is the constant vector, of eigenvalue 1
        values, vectors = la.eigh(M, subset_by_index=[max(0, self.m - q), self.m - 1])
        values, vectors = values[::-1], vectors[:, ::-1]
        good = values > 1e-10
        values, vectors = values[good], vectors[:, good]
        largest = np.argmax(np.abs(vectors), axis=0)
        vectors = vectors * np.where(vectors[largest, np.arange(len(values))] >= 0, 1.0, -1.0)
        V = (self.F @ vectors) / np.sqrt(values)
        V = np.hstack([V, _complement(V, q - len(values), rng)])
        return V, np.append(values, np.zeros(q - len(values)))


def _complement(U: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k random orthonormal directions, orthogonal to the columns of U and to the constant vector."""
    n = len(U)
    if k == 0:
        return np.empty((n, 0))
    D = rng.standard_normal((n, k))
    for _ in range(2):  # the second time removes what rounding left
        D -= D.mean(axis=0)
        D -= U @ (U.T @ D)
        D, R = np.linalg.qr(D)
        D = D * np.where(np.diag(R) >= 0, 1.0, -1.0)  # what Gram-Schmidt gives
    return D


class _Run:
    """Alternation from each start, the best of it, and what it reports."""

    def __init__(self, graph: _Graph, q: int, rho: float, published: bool, course: Course, rng: np.random.Generator):
        self.graph, self.q, self.rho, self.published = graph, q, rho, published
        self.course, self.rng = course, rng
        self.best, self.step = -np.inf, 0
        self.values: dict[str, float] = {}
        self.name = ""

    def starts(self, init):
        """Pairs (B, Y)."""
        if not isinstance(init, str):
            B = check_codes(init, self.graph.n, "init")
            if B.shape[1] != self.q:
                raise ProblemError(f"init must have {self.q} columns, one a bit, got {B.shape[1]}.")
            self.name = "init"
            yield B.copy(), self.balanced(B)
            return
        if init not in ("auto", "I", "R"):
            raise ParameterError(f'init must be "auto", "I", "R" or codes of shape (n, {self.q}), got {init!r}.')
        V, theta = self.graph.eigenvectors(self.q, self.rng)
        root = np.sqrt(self.graph.n)
        if init in ("R", "auto"):
            B, R = self.rotated(V * theta)
            self.name = "R"
            yield B, root * V @ R
        if init == "I" or (init == "auto" and not self.published):
            self.name = "I"
            yield signs(V), root * V

    def rotated(self, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes B and a rotation R that alternate to maximise tr(B' scaled R), from a random rotation."""
        R = np.linalg.qr(self.rng.standard_normal((self.q, self.q)))[0]
        B = signs(scaled @ R)
        for _ in range(_ROTATIONS):
            left, _, right = np.linalg.svd(scaled.T @ B)
            R = left @ right
            new = signs(scaled @ R, keep=B)
            if np.array_equal(new, B):
                break
            B = new
        return B, R

    def alternate(self, B: np.ndarray, Y: np.ndarray, max_iterations: int, published: bool):
        """B-step and Y-step in turn until a round gains too little; returns the last B and Y."""
        graph = self.graph
        L = graph.sums(B)
        value = graph.value(B, Y, self.rho, L)
        if published:
            self.offer(B, Y, value)
        for _ in range(max_iterations):
            if self.course.stopped:
                break
            if published:
                B = signs(2.0 * (graph.F @ L) + self.rho * Y, keep=B)
                Y = self.balanced(B)
            else:
                B = self.climb(B, Y, L)
                fresh = self.balanced(B)
                Y = fresh if np.vdot(B, fresh) >= np.vdot(B, Y) else Y
            L = graph.sums(B)
            before, value = value, graph.value(B, Y, self.rho, L)
            self.step += 1
            self.offer(B, Y, value)
            if value - before < (_STALLED if published else _ROUNDING) * abs(before):
                break
        return B, Y

    def offer(self, B: np.ndarray, Y: np.ndarray, value: float) -> None:
        if self.published or value > self.best:
            self.kept = B, Y
        self.best = max(self.best, value)
        self.values[self.name] = value
        B = self.kept[0]
        self.course.report(self.step, -value if self.published else -self.best, lambda: B)

    def climb(self, B: np.ndarray, Y: np.ndarray, L: np.ndarray) -> np.ndarray:
        """Signed gradient steps until none changes B, then single flips."""
        from bqp.kernels.anchor import climb

        graph = self.graph
        for _ in range(_INNER):
            gradient = 2.0 * (graph.F @ L) + self.rho * Y
            new = signs(gradient, keep=B, atol=_ROUNDING)
            if np.array_equal(new, B):
                break
            B, L = new, graph.sums(new)
        columns = np.asfortranarray(B)
        for k in range(self.q):
            pull = np.ascontiguousarray(self.rho * Y[:, k])
            tol = _ROUNDING * (1.0 + float(np.abs(pull).max()))
            climb(
                graph.F.indptr, graph.F.indices, graph.F.data, graph.diagonal, pull, columns[:, k], L[:, k].copy(), tol,
                _SWEEPS,
            )  # fmt: skip
        return np.ascontiguousarray(columns)

    def balanced(self, B: np.ndarray) -> np.ndarray:
        """The Y of largest tr(B'Y): sqrt(n) [U U0][V V0]' where JB = U S V'."""
        centred = B - B.mean(axis=0)
        values, V = np.linalg.eigh(centred.T @ centred)
        values, V = values[::-1], V[:, ::-1]
        threshold = _PUBLISHED_RANK if self.published else _RANK
        r = int(np.sum(values > threshold * max(values[0], _ROUNDING * self.graph.n)))
        U = centred @ (V[:, :r] / np.sqrt(values[:r]))
        if not self.published:
            for _ in range(2):  # orthonormal to rounding: two Newton steps of the polar factor
                U = U @ (1.5 * np.eye(r) - 0.5 * (U.T @ U))
        U = np.hstack([U, _complement(U, self.q - r, self.rng)])
        return np.sqrt(self.graph.n) * U @ V.T

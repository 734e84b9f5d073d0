"""Search over all bits of all points at once, kept so that a move costs little: what `refine` and `learn` share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bqp import losses
from bqp.codes._common import Course
from bqp.errors import ProblemError
from bqp.losses.bits import WRITE_OUT_BELOW
from bqp.supervision import GroupedSimilarity, MatrixSimilarity, PairSimilarity, Similarity
from bqp.supervision.base import group_sums

__all__ = ["EXACT_BITS_UP_TO", "JointSearch", "improve"]

EXACT_BITS_UP_TO = 20  # points: a bit is enumerated in milliseconds
_SWAPS_UP_TO = 4096  # points, beyond which pairs of points are too many to look at
_TABLE_ENTRIES = 1 << 25
_CHUNK = 1 << 24  # elementary steps of one kernel call
_KICKED_BITS = 4
_KICKED_SHARE = (0.02, 0.2)  # of the points
_EPOCH = 2  # kicks tried from one incumbent, whatever the number of threads

Stop = Callable[[], bool]


class JointSearch(ABC):
    """Codes of all points with what is needed to price a move. Make one by ``JointSearch.of(S, loss, n_bits)``.

    Attributes
    ----------
    B : ndarray of shape (n, q), int8
    objective : float
        The running loss of B, up to a positive factor for squared losses other than `ksh`.
    tol : float
        Gains up to this are taken for rounding; 0 where all sums are exact.
    """

    kind: str

    def __init__(self, S: Similarity, loss: losses.Loss, n_bits: int):
        self.S, self.n, self.q = S, S.n, n_bits
        self.loss = losses.Ksh() if loss.quadratic_scale(n_bits) is not None else loss
        self.B = np.ones((S.n, n_bits), dtype=np.int8)
        self.gain = np.zeros(1)
        self.base = 0.0
        largest = float(np.max(np.abs(self.loss(_targets(S), np.array([[-n_bits], [n_bits]]), n_bits))))
        scale = largest * S.total_weight
        self.tol = 0.0 if isinstance(self.loss, losses.Ksh) and _is_integral(S) and scale < 2.0**50 else 1e-12 * scale

    @staticmethod
    def of(S: Similarity, loss: losses.Loss, n_bits: int, exact_up_to: int = EXACT_BITS_UP_TO) -> JointSearch:
        """Enumerated bits up to `exact_up_to` points, moments for squared losses on groups, tables elsewhere.

        Raises
        ------
        ProblemError
            A loss without moments on too many points of groups, or with too many distinct targets.
        """
        if S.n <= exact_up_to:
            return _FewPoints(S, loss, n_bits)
        if isinstance(S, GroupedSimilarity) and S.V is None and loss.quadratic_scale(n_bits) is not None:
            return _Moments(S, loss, n_bits)
        return _Tables(S, loss, n_bits)

    @property
    def objective(self) -> float:
        return self.base + float(self.gain[0])

    def load(self, B: np.ndarray) -> None:
        """Start from other codes."""
        self.B[:] = B
        self.base, self.gain[0] = losses.value(self.S, self.B, self.loss), 0.0
        self._rebuild()

    def take(self, other: JointSearch) -> None:
        """Copy the state of another search on the same problem."""
        self.B[:] = other.B
        self.base, self.gain[0] = other.base, other.gain[0]
        for mine, theirs in zip(self._state(), other._state()):
            mine[...] = theirs

    @abstractmethod
    def twin(self) -> JointSearch:
        """Another search on the same problem, sharing what does not change."""

    @abstractmethod
    def descend(self, rng: np.random.Generator, stop: Stop) -> None:
        """Moves of single points (few points: whole bits) until none gains. Never uphill."""

    def swap(self, stop: Stop) -> int:
        """A pass over pairs of points that flip one bit together; returns the moves. Never uphill."""
        return 0

    @abstractmethod
    def kick(self, rng: np.random.Generator) -> None:
        """Redraw a part of the codes."""

    def _rebuild(self) -> None:  # noqa: B027
        """State that follows from B."""

    def _state(self) -> tuple[np.ndarray, ...]:
        return ()

    def polish(self, rng: np.random.Generator, stop: Stop) -> None:
        """Descend and swap until neither gains."""
        self.descend(rng, stop)
        while not stop() and self.swap(stop):
            self.descend(rng, stop)

    def _kick_points(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        share = np.exp(rng.uniform(*np.log(_KICKED_SHARE)))
        points = rng.choice(self.n, size=min(self.n, max(2, int(share * self.n))), replace=False)
        return points, (2 * rng.integers(0, 2, (len(points), self.q), dtype=np.int8) - 1).astype(np.int8)


class _FewPoints(JointSearch):
    """Every bit given the others is solved by enumeration."""

    kind = "exact bits"

    def __init__(self, S, loss, n_bits, shared=None):
        super().__init__(S, loss, n_bits)
        if shared is None:
            targets, weights = S.to_dense()
            distinct, kinds = np.unique(targets, return_inverse=True)
            shared = kinds.reshape(targets.shape), weights, _table(self.loss, distinct, n_bits)
        self.shared: tuple[Any, Any, Any] = shared
        self.G = np.zeros((self.n, self.n), dtype=np.int64)
        self.counted = np.ones(n_bits, dtype=bool)
        self.exact = False  # whether no bit can be better given the others

    def twin(self):
        return _FewPoints(self.S, self.loss, self.q, self.shared)

    def _rebuild(self):
        codes = self.B.astype(np.int64)
        self.G[:] = codes @ codes.T
        self.counted[:] = True
        self.exact = False

    def _state(self):
        return (self.G, self.counted)

    def _solve(self, bits, rng) -> int:
        from bqp.kernels.joint import solve_bits

        shape = (len(bits), self.n)  # a random order and a random start break ties at random
        places = rng.permuted(np.broadcast_to(np.arange(self.n), shape), axis=1)
        starts = 2 * rng.integers(0, 2, shape, dtype=np.int8) - 1
        state = (self.G, self.B, self.counted, bits, places, starts, self.tol, self.gain)
        return solve_bits(*(*self.shared, *state))

    def greedy(self, rng: np.random.Generator) -> None:
        """Each bit optimal given those before it (the residual target of `bitwise`)."""
        self.G[:] = 0
        self.counted[:] = False
        for bits in self._batches():
            self._solve(bits, rng)
        self.load(self.B.copy())

    def _batches(self):
        step = max(1, _CHUNK >> (self.n + 1))
        return [np.arange(a, min(a + step, self.q)) for a in range(0, self.q, step)]

    def descend(self, rng, stop):
        unchanged, batches, at = 0, self._batches(), 0
        self.exact = False
        while unchanged < len(batches) and not stop():
            unchanged = 0 if self._solve(batches[at], rng) else unchanged + 1
            at = (at + 1) % len(batches)
        self.exact = unchanged == len(batches)

    def kick(self, rng):
        B = self.B.copy()
        bits = rng.choice(self.q, size=max(1, min(_KICKED_BITS, self.q // 2)), replace=False)
        B[:, bits] = 2 * rng.integers(0, 2, (self.n, len(bits)), dtype=np.int8) - 1
        self.load(B)


class _Moments(JointSearch):
    """Squared losses with weights a_i a_j: sums of targets per group, and second moments of the codes."""

    kind = "moments"

    def __init__(self, S, loss, n_bits, targets=None):
        super().__init__(S, loss, n_bits)
        self.T = S.T.astype(np.float64) if targets is None else targets  # one type, so that kernels compile once
        self.a = np.ones(S.n) if S.weights is None else S.weights
        self.total = float(self.a.sum())
        self.pulls = np.zeros((n_bits, S.n_groups))
        self.moments = np.zeros((n_bits, n_bits))

    def twin(self):
        return _Moments(self.S, self.loss, self.q, self.T)

    def _rebuild(self):
        sums = np.ascontiguousarray(group_sums(self.B, self.S.groups, self.S.n_groups, self.S.weights).T)
        self._add_targets(self.pulls, sums, None)
        self.moments[:] = 0.0
        for a in range(0, self.n, 8192):
            codes = self.B[a : a + 8192].astype(np.float64)
            self.moments += codes.T @ (self.a[a : a + 8192, None] * codes)

    def _add_targets(self, out, sums, groups) -> None:
        """Write q sums T[groups] to `out`, or add it where groups are given."""
        if groups is None:
            out[:] = self.q * (sums @ self.T)
        else:
            out += self.q * (sums @ self.T[groups])

    def _state(self):
        return (self.pulls, self.moments)

    @property
    def _arguments(self):
        S = self.S
        return self.T, float(self.q), S.groups, self.a, self.total, self.pulls, self.moments, self.B

    def descend(self, rng, stop):
        from bqp.kernels.joint import descend_points

        order = rng.permutation(self.n)
        step = max(1, _CHUNK // (4 * self.q * self.q + self.q * self.S.n_groups))
        changed = True
        while changed:
            changed = False
            for a in range(0, self.n, step):
                if stop():
                    return
                end = min(a + step, self.n)
                changed |= descend_points(*self._arguments, order, a, end, self.tol, self.gain) > 0

    def swap(self, stop):
        from bqp.kernels.joint import single_deltas, swap_points

        if self.n > _SWAPS_UP_TO:
            return 0
        deltas = np.empty((self.n, self.q))
        single_deltas(*self._arguments, deltas)
        moves, step = 0, max(1, _CHUNK // (self.n * self.q))
        for a in range(0, self.n, step):
            if stop():
                break
            moves += swap_points(*self._arguments, deltas, a, min(a + step, self.n), self.tol, self.gain)
        return moves

    def kick(self, rng):
        points, codes = self._kick_points(rng)
        change = codes.astype(np.float64) - self.B[points]
        before = self._exact_value()
        groups, place = np.unique(self.S.groups[points], return_inverse=True)
        sums = np.zeros((len(groups), self.q))
        np.add.at(sums, place.ravel(), change * self.a[points, None])
        self._add_targets(self.pulls, sums.T, groups)
        weighted = self.a[points, None]
        old, new = self.B[points].astype(np.float64), codes.astype(np.float64)
        self.moments += new.T @ (weighted * new) - old.T @ (weighted * old)
        self.B[points] = codes
        self.gain[0] += self._exact_value() - before

    def _exact_value(self) -> float:
        """The loss without what no code changes: sum of moments^2 less twice the targets met."""
        sums = group_sums(self.B, self.S.groups, self.S.n_groups, self.S.weights)
        return float(np.vdot(self.moments, self.moments)) - 2.0 * float(np.vdot(self.pulls, sums.T))


class _Tables(JointSearch):
    """Any loss on listed pairs, read from a table over (target, inner product)."""

    kind = "tables"

    def __init__(self, S, loss, n_bits, shared=None):
        super().__init__(S, loss, n_bits)
        if shared is None:
            indptr, indices, targets, weights = _listed(S, loss)
            slope = np.zeros(2 * n_bits + 1)
            if isinstance(self.loss, losses.Ksh):  # (q t - G)^2 less the constant is G^2 - 2 q t G
                G = np.arange(-n_bits, n_bits + 1, dtype=np.float64)
                kinds, table, slope = np.zeros(len(indices), dtype=np.int32), (G * G)[None], -2.0 * n_bits * G
            else:
                distinct, kinds = np.unique(targets, return_inverse=True)
                if len(distinct) * (2 * n_bits + 1) > _TABLE_ENTRIES:
                    raise ProblemError(
                        f"the loss {loss.name!r} is tabulated for each distinct target, and {len(distinct)} are too "
                        f"many for {n_bits} bits. Round the targets, or use the loss 'ksh' or 'bre'."
                    )
                kinds, table = kinds.ravel().astype(np.int32), _table(self.loss, distinct, n_bits)
            shared = (indptr, indices, kinds, targets, weights, table, slope)
        self.shared: tuple[Any, Any, Any, Any, Any, Any, Any] = shared
        degree = int(np.diff(shared[0]).max(initial=0))
        self.index, self.bits = np.empty(degree, dtype=np.int64), np.empty((n_bits, degree), dtype=np.int8)

    def twin(self):
        return _Tables(self.S, self.loss, self.q, self.shared)

    def _visit(self, order, deltas, write, stop) -> int:
        from bqp.kernels.joint import descend_table_points

        changed, step = 0, max(1, _CHUNK // max(1, self.index.size * self.q))
        for a in range(0, self.n, step):
            if stop():
                break
            part = (order, a, min(a + step, self.n), self.tol, self.index, self.bits, deltas, write, self.gain)
            changed += descend_table_points(*(*self.shared, self.B, *part))
        return changed

    def descend(self, rng, stop):
        order, nothing = rng.permutation(self.n), np.empty((0, self.q))
        while not stop() and self._visit(order, nothing, False, stop):
            pass

    def swap(self, stop):
        from bqp.kernels.joint import swap_table_points

        deltas = np.zeros((self.n, self.q))
        self._visit(np.arange(self.n), deltas, True, lambda: False)
        moves, step = 0, max(1, _CHUNK // max(1, self.index.size * self.q))
        for a in range(0, self.n, step):
            if stop():
                break
            part = (self.B, deltas, a, min(a + step, self.n), self.tol, self.gain)
            moves += swap_table_points(*(*self.shared, *part))
        return moves

    def kick(self, rng):
        points, codes = self._kick_points(rng)
        B = self.B.copy()
        B[points] = codes
        self.load(B)


def _listed(S: Similarity, loss: losses.Loss):
    """(indptr, indices, targets, weights) of all pairs of two points, both orders, without those of weight 0."""
    if isinstance(S, PairSimilarity):
        weights = np.ones(len(S.indices)) if S.weights is None else S.weights
        keep = (S.rows != S.indices) & (weights > 0)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(S.rows[keep], minlength=S.n))])
        return indptr.astype(np.int64), S.indices[keep], S.targets[keep].astype(np.float64), weights[keep]
    if isinstance(S, GroupedSimilarity) and S.n > WRITE_OUT_BELOW:
        raise ProblemError(
            f"the loss {loss.name!r} with these weights needs its pairs written out, and {S.n} points are too many "
            f"(limit {WRITE_OUT_BELOW}). Pass sampled pairs (supervision.from_pairs)."
        )
    if not isinstance(S, GroupedSimilarity | MatrixSimilarity):
        raise ProblemError(f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.")
    targets, weights = S.to_dense()
    keep = (weights > 0) & ~np.eye(S.n, dtype=bool)
    rows, columns = np.nonzero(keep)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=S.n))]).astype(np.int64)
    return indptr, columns.astype(np.int32), targets[keep].astype(np.float64), weights[keep].astype(np.float64)


def _table(loss: losses.Loss, targets: np.ndarray, q: int) -> np.ndarray:
    """The loss at r = q for every target and every inner product -q..q."""
    G = np.arange(-q, q + 1, dtype=np.float64)
    return np.ascontiguousarray(loss(targets[:, None].astype(np.float64), G[None, :], q), dtype=np.float64)


def _arrays(S: Similarity) -> tuple[np.ndarray, list[np.ndarray | None]]:
    if isinstance(S, GroupedSimilarity):
        return S.T, [S.V, S.weights]
    if isinstance(S, PairSimilarity):
        return S.targets, [S.weights]
    if isinstance(S, MatrixSimilarity):
        return S.S, [S.W]
    raise ProblemError(f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.")


def _targets(S: Similarity) -> np.ndarray:
    """The least and the largest target."""
    targets = _arrays(S)[0]
    return np.array([targets.min(), targets.max()], dtype=np.float64)


def _is_integral(S: Similarity) -> bool:
    """Whether targets and weights are multiples of 1/2, so that sums of their products are exact."""
    targets, weights = _arrays(S)
    return all(np.array_equal(2.0 * x, np.rint(2.0 * x)) for x in (targets, *weights) if x is not None)


def improve(
    search: JointSearch, n_kicks: int, seeds: np.random.SeedSequence, n_jobs: int, course: Course, show: Callable
) -> dict:
    """Polish, then kicks: each redraws a part of the best codes, descends, and stays if that is better.

    Kicks come in pairs from one incumbent, kick number k with the k-th child of `seeds`, so that the answer does not
    depend on the number of threads. `show()` is called after each step; `search` ends at the best codes.
    """

    def stop() -> bool:
        return course.stopped is not None or course.time_left() == 0.0

    stats = {"n_kicks": 0, "n_kicks_kept": 0}
    rng = np.random.Generator(np.random.PCG64(seeds.spawn(1)[0]))
    search.descend(rng, stop)
    show()
    workers = [search.twin() for _ in range(min(_EPOCH, n_kicks))]

    def one(worker: JointSearch, child: np.random.SeedSequence) -> bool:
        """Whether the kick was followed to its end."""
        stream = np.random.Generator(np.random.PCG64(child))
        worker.take(search)
        worker.kick(stream)
        worker.descend(stream, stop)
        return not stop()

    executor = ThreadPoolExecutor(max_workers=min(n_jobs, _EPOCH)) if n_jobs > 1 and workers else None
    try:
        while stats["n_kicks"] < n_kicks and not stop():
            count = min(_EPOCH, n_kicks - stats["n_kicks"])
            children = seeds.spawn(count)
            list((executor.map if executor else map)(one, workers[:count], children))
            stats["n_kicks"] += count
            best = min(workers[:count], key=lambda worker: worker.objective)
            if best.objective < search.objective - search.tol:
                search.take(best)
                stats["n_kicks_kept"] += 1
            show()
    finally:
        if executor is not None:
            executor.shutdown()
    search.polish(rng, stop)
    show()
    return stats

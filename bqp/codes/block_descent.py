"""The minimum of a binary quadratic program over one block of variables, and descent from block to block.

G. Lin, C. Shen, Q. Shi, A. van den Hengel, D. Suter, "Fast Supervised Hashing with Decision Trees for High-Dimensional
Data", CVPR 2014, section 2.3: a block whose pairs all attract is, given all other variables, one minimum cut. Ours:
equal rows are merged first, a block with one common pair weight is sorted, and a constant assignment is proven optimal
by a flow that is written down at once where one fits (docs/code_learning.md has the proofs).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bqp.forms import Dense, Form, Grouped, LowRank, Sparse, Sum
from bqp.problem import BQP
from bqp.solvers import CoordinateDescent
from bqp.solvers.graph_cut import minimum_cut
from bqp.solvers.walks import StructuredStorage
from bqp.supervision.base import BLOCK_ENTRIES

__all__ = ["EXACT_UP_TO", "BlockDescent", "constant_is_optimal", "sorted_minimum"]

EXACT_UP_TO = 2000  # variables of a block (after merging) up to which a minimum cut is made


@dataclass
class _Pairs:
    """minimise 2 sum_p value_p y_row y_column + h'y over m spins: a block written out, each pair once."""

    h: np.ndarray
    row: np.ndarray
    column: np.ndarray
    value: np.ndarray

    def energy(self, y: np.ndarray) -> float:
        return float(self.h @ y + 2.0 * (self.value @ (y[self.row] * y[self.column]).astype(np.float64)))

    def is_easy(self) -> bool:
        """Whether `minimum` needs no flow."""
        return bool(np.all(self.h >= 0.0) or np.all(self.h < 0.0)) or self.common_value() is not None

    def common_value(self) -> float | None:
        """The value that all pairs share, if all are there."""
        m = len(self.h)
        if len(self.value) != m * (m - 1) // 2 or not len(self.value) or not np.all(self.value == self.value[0]):
            return None
        return float(self.value[0])

    def minimum(self) -> tuple[np.ndarray, float]:
        """The least minimiser (fewest +1) for values <= 0, and what rounding may have cost."""
        if np.all(self.h >= 0.0):
            return np.full(len(self.h), -1, np.int8), 0.0
        if np.all(self.h < 0.0):
            return np.ones(len(self.h), np.int8), 0.0
        common = self.common_value()
        if common is not None:
            return sorted_minimum(common, self.h), 0.0
        plus, loss = minimum_cut(len(self.h), self.row, self.column, -4.0 * self.value, 2.0 * self.h)
        return np.where(plus, 1, -1).astype(np.int8), loss


def sorted_minimum(value: float, h: np.ndarray) -> np.ndarray:
    """The least minimiser of ``value * (sum y)**2 + h'y`` over spins for value <= 0, by sorting h; O(m log m).

    For a given number p of +1 the p smallest h are best, which leaves m + 1 candidates.
    """
    m = len(h)
    order = np.argsort(h, kind="stable")
    p = np.arange(m + 1)
    energies = value * (2.0 * p - m) ** 2 + 2.0 * np.concatenate([[0.0], np.cumsum(h[order])])
    y = np.full(m, -1, np.int8)
    y[order[: int(np.argmin(energies))]] = 1
    return y


def constant_is_optimal(rows, h: np.ndarray, sign: int) -> bool:
    """Whether a flow along single edges proves that ``sign * 1`` minimises ``y'Ay + h'y``, A_ij <= 0 off the diagonal.

    Each point that would rather leave sends what it gains by leaving, 2|h|, to the points that pay for leaving, in
    proportion to what they pay. If every edge carries it (capacity 4 |A_ij|), no set of points gains by leaving.
    `rows(index)` writes out rows of A; O(m^2) entries at most, a block of rows in memory.
    """
    pay = -sign * h  # half of what a point pays for leaving
    wants, pays = np.flatnonzero(pay < 0.0), np.flatnonzero(pay > 0.0)
    total = float(pay[pays].sum())
    if float(-pay[wants].sum()) > total:
        return False
    step = max(1, BLOCK_ENTRIES // max(1, len(h)))
    for a in range(0, len(wants), step):
        some = wants[a : a + step]
        if np.any(np.outer(-pay[some], pay[pays]) > (-2.0 * total) * rows(some)[:, pays]):
            return False
    return True


# ---- all blocks in turn --------------------------------------------------------------------------------------------


@dataclass
class _Step:
    """New values of a block and the change of energy; `gap` is the most that they can be above the minimum."""

    new: np.ndarray
    change: float
    gap: float
    tolerance: float
    n_clipped: int = 0


class BlockDescent:
    """Minimise x'Qx + c'x over one block of variables after another, all others fixed.

    Parameters
    ----------
    problem : BQP
        In the spin domain, of any form, with or without a linear term.
    x : array of shape (n,)
        Start; copied.
    exact_up_to : int
        Largest block (after merging equal rows) that is written out and cut; a larger one is sorted, proven constant,
        or descended in.
    attracting : bool
        That all pairs inside the blocks to come attract is known (`similar_blocks` sees to it for its loss), and need
        not be looked at where a block is not written out.

    Attributes
    ----------
    x : ndarray of shape (n,), int8
    n_blocks, n_exact, n_clipped : int
        Blocks looked at, those proven least (to within 1e-8 of the sum of the magnitudes in the block, since capacities
        have 30 bits), and repelling pairs set to 0 in them.
    largest_gap : float
        Most that a block, when it was left, could be above its minimum.

    Notes
    -----
    A block of m points costs O(m n) dense, its entries sparse, O(m r) structured, beside its cut. Structured problems
    are never written out beyond `exact_up_to` squared.
    """

    def __init__(self, problem: BQP, x: np.ndarray, exact_up_to: int = EXACT_UP_TO, attracting: bool = False):
        self.problem = problem
        self.x = np.array(x, dtype=np.int8)
        self.n_blocks = self.n_exact = self.n_clipped = 0
        self.largest_gap = self.tolerance = 0.0
        form = problem.Q
        view = _DenseView if isinstance(form, Dense) else _SparseView if isinstance(form, Sparse) else _StructuredView
        self._view: _View = view(problem, self.x, exact_up_to, attracting)

    def solve_block(self, block: np.ndarray, uphill: bool = False) -> bool:
        """Replace the block by its minimiser; returns whether x changed.

        By default only a lower energy replaces what stands. With `uphill`, the minimiser of the block with its
        repelling pairs set to 0 always does (for sparse problems the one with the fewest +1).
        """
        old = self.x[block]
        step = self._view.minimise(block, old)
        self.n_blocks += 1
        self.n_exact += int(step.gap <= 1e5 * step.tolerance)
        self.n_clipped += step.n_clipped
        self.largest_gap = max(self.largest_gap, step.gap)
        self.tolerance = max(self.tolerance, step.tolerance)
        flipped = np.flatnonzero(step.new != old)
        if len(flipped) == 0 or not (uphill or step.change < -step.tolerance):
            return False
        self.x[block] = step.new
        self._view.moved(block[flipped], 2.0 * step.new[flipped])
        return True

    def run(self, blocks: list[np.ndarray], rng: np.random.Generator, max_passes: int, stop=None) -> int:
        """Passes over the blocks in random order until none improves, then single flips; returns the passes made."""
        for made in range(1, max_passes + 1):
            improved = False
            for k in rng.permutation(len(blocks)):
                improved |= self.solve_block(blocks[k])
                if stop is not None and stop():
                    return made
            if not improved and not self.single_flips():
                return made
        return max_passes

    def single_flips(self) -> bool:
        """Descend by single flips from x if one improves; returns whether it did."""
        if not np.any(self.problem.flip_deltas(self.x) < -self.tolerance):
            return False
        found = CoordinateDescent(n_restarts=1).solve(self.problem, x0=self.x, rng=0).x
        flipped = np.flatnonzero(found != self.x)
        self.x[flipped] = found[flipped]
        self._view.moved(flipped, 2.0 * found[flipped])
        return len(flipped) > 0


class _View(ABC):
    """How the problem of a block is read off one kind of form."""

    def __init__(self, problem: BQP, x: np.ndarray, exact_up_to: int, attracting: bool):
        self.problem, self.x, self.exact_up_to, self.attracting = problem, x, exact_up_to, attracting

    @abstractmethod
    def minimise(self, block: np.ndarray, old: np.ndarray) -> _Step: ...

    def moved(self, index: np.ndarray, change: np.ndarray) -> None:  # noqa: B027 (views without sums of their own)
        """x has changed by `change` at `index`."""


class _SparseView(_View):
    def __init__(self, problem, x, exact_up_to, attracting):
        super().__init__(problem, x, exact_up_to, attracting)
        self.place = np.full(problem.n, -1, np.int32)

    def minimise(self, block, old):
        from bqp.kernels.blocks import block_pairs

        Q = self.problem.Q.Q
        room = int((Q.indptr[block + 1] - Q.indptr[block]).sum())
        row, column, value = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room)
        field = np.empty(len(block))
        count = block_pairs(Q.indptr, Q.indices, Q.data, block, self.place, self.x, row, column, value, field)
        h = 2.0 * field + self.problem.c[block]
        if len(block) == 1:
            return _single(h, old)
        return _solve_pairs(_Pairs(h, row[:count], column[:count], value[:count]), old, self.exact_up_to)


class _DenseView(_View):
    def __init__(self, problem, x, exact_up_to, attracting):
        super().__init__(problem, x, exact_up_to, attracting)
        self.fields = problem.Q.fields(x)

    def minimise(self, block, old):
        if len(block) == 1:
            return _single(2.0 * self.fields[block] + self.problem.c[block], old)
        A = self.problem.Q.Q[np.ix_(block, block)].astype(np.float64)
        np.fill_diagonal(A, 0.0)
        h = 2.0 * (self.fields[block] - A @ old) + self.problem.c[block]
        return _solve_dense(A, h, old, self.exact_up_to)

    def moved(self, index, change):
        Q = self.problem.Q.Q
        self.fields += change @ Q[index]
        self.fields[index] -= change * Q[index, index]


class _StructuredView(_View):
    """Low rank + groups (+ sparse): t = d o U'x and the group fields follow the moves."""

    def __init__(self, problem, x, exact_up_to, attracting):
        super().__init__(problem, x, exact_up_to, attracting)
        self.storage = s = StructuredStorage(problem, problem.Q)
        y = x.astype(np.float64)
        self.t = LowRank(s.U, s.d).project(y) if len(s.d) else np.empty(0)
        self.group_fields = Grouped.fields_of_groups(s.groups, s.M, s.a, y) if s.groups.size else np.empty(0)
        self.sparse = None
        if s.indptr.size:
            self.sparse = sp.csr_array((s.data, s.indices, s.indptr), shape=(problem.n, problem.n))

    def minimise(self, block, old):
        s, c = self.storage, self.problem.c[block]
        form = self._restricted(block)
        fields = s.U[block].astype(np.float64) @ self.t
        if s.groups.size:
            part = self.group_fields[s.groups[block]]
            fields += part * s.a[block] if s.a.size else part
        if self.sparse is not None:
            fields += self.sparse[block] @ self.x.astype(np.float64)
        h = 2.0 * (fields - form.matvec(old)) + c
        if len(block) == 1:
            return _single(h, old)
        kinds, first = _kinds([] if self.sparse is not None else form.twin_keys(), len(block))
        if len(first) == 1:  # one pair weight for all
            value = float(form.pair_values(np.array([0]), np.array([1]))[0])
            if value <= 0.0:
                h = c + (h - c).mean()  # the same but for rounding
                return self._step(form, h, sorted_minimum(value, h), old, 0.0)
        labels, first = _kinds([kinds, c], len(block))
        repels = form.diagonal()[first] > 0.0
        if np.any(repels[labels]):  # members of a kind that repels stay apart
            labels, first = _kinds([np.where(repels[labels], np.arange(len(labels)), -1 - labels)], len(labels))
        m = len(first)
        counts = np.bincount(labels, minlength=m).astype(np.float64)
        total = np.bincount(labels, weights=h, minlength=m)
        merged = self._restricted(block[first])
        if m <= self.exact_up_to:
            A = merged.to_dense() * np.outer(counts, counts)
            np.fill_diagonal(A, 0.0)
            majority = np.where(np.bincount(labels, weights=old, minlength=m) >= 0, 1, -1).astype(np.int8)
            small = _solve_dense(A, total, majority, self.exact_up_to)
            step = self._step(form, h, small.new[labels], old, small.gap)
            step.n_clipped = small.n_clipped
            return step
        if self.attracting:
            for sign in (-1, 1):
                if constant_is_optimal(lambda i: merged.rows(i) * counts[i, None] * counts, total, sign):
                    return self._step(form, h, np.full(len(block), sign, np.int8), old, 0.0)
        new, gap = _descend(form, h, old)
        return self._step(form, h, new, old, gap)

    def _restricted(self, index):
        """The principal submatrix, with just the groups in use."""
        s = self.storage
        parts: list[Form] = [LowRank(s.U[index], s.d)] if len(s.d) else []
        if s.groups.size:
            used, groups = np.unique(s.groups[index], return_inverse=True)
            parts.append(Grouped(groups, s.M[np.ix_(used, used)], s.a[index] if s.a.size else None))
        if self.sparse is not None:
            parts.append(Sparse(self.sparse[index][:, index], check=False))
        return Sum(parts)

    @staticmethod
    def _step(form, h, new, old, gap) -> _Step:
        # what the diagonal adds is the same for all assignments
        difference, total = new.astype(np.float64) - old, new.astype(np.float64) + old
        change = float(difference @ form.matvec(total) + h @ difference)
        scale = float(np.abs(h).sum()) + len(h) ** 2 * form.max_abs()
        return _Step(new, change, gap, 1e-13 * scale)

    def moved(self, index, change):
        s = self.storage
        if len(s.d):
            self.t += s.d * (change @ s.U[index].astype(np.float64))
        if s.groups.size:
            weighted = change * s.a[index] if s.a.size else change
            self.group_fields += s.M @ np.bincount(s.groups[index], weights=weighted, minlength=len(s.M))


def _kinds(keys: list[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Label of each point and the first point of each label, equal where all keys are equal; no key: all differ."""
    if not keys:
        return np.arange(n), np.arange(n)
    codes = [np.unique(key, return_inverse=True)[1].ravel() for key in keys]
    labels = codes[0]
    for code in codes[1:]:
        labels = np.unique(labels.astype(np.int64) * (int(code.max()) + 1) + code, return_inverse=True)[1].ravel()
    _, first = np.unique(labels, return_index=True)
    return labels, first


def _single(h: np.ndarray, old: np.ndarray) -> _Step:
    """A block of one: against its unary, -1 on a tie."""
    new = np.where(h < 0.0, 1, -1).astype(np.int8)
    return _Step(new, float(h[0] * (float(new[0]) - float(old[0]))), 0.0, 1e-13 * float(np.abs(h[0])))


def _solve_dense(A: np.ndarray, h: np.ndarray, old: np.ndarray, exact_up_to: int) -> _Step:
    """A block as a written-out matrix with zero diagonal."""
    if not np.any(A > 0.0):
        for sign in (-1, 1):
            if constant_is_optimal(lambda index: A[index], h, sign):
                new = np.full(len(h), sign, np.int8)
                difference, total = new.astype(np.float64) - old, new.astype(np.float64) + old
                tolerance = 1e-13 * float(np.abs(h).sum() + np.abs(A).sum())
                return _Step(new, float(difference @ (A @ total) + h @ difference), 0.0, tolerance)
    row, column = np.nonzero(np.triu(A, 1))
    return _solve_pairs(_Pairs(h, row, column, A[row, column]), old, exact_up_to)


def _solve_pairs(pairs: _Pairs, old: np.ndarray, exact_up_to: int) -> _Step:
    """A block as a list of pairs."""
    m, tolerance = len(old), 1e-13 * (float(np.abs(pairs.h).sum()) + 2.0 * float(np.abs(pairs.value).sum()))
    attracting = _Pairs(pairs.h, pairs.row, pairs.column, np.minimum(pairs.value, 0.0))
    n_clipped = int(np.count_nonzero(pairs.value > 0.0))
    if m <= exact_up_to or attracting.is_easy():
        new, gap = attracting.minimum()
        if n_clipped:  # a repelling pair can pay its weight back
            gap += pairs.energy(new) - attracting.energy(new) + 2.0 * float(np.maximum(pairs.value, 0.0).sum())
    else:
        half = sp.csr_array((pairs.value, (pairs.row, pairs.column)), shape=(m, m))
        new, gap = _descend(Sparse(half + half.T, check=False), pairs.h, old)
    return _Step(new, pairs.energy(new) - pairs.energy(old), gap, tolerance, n_clipped)


def _descend(form, h: np.ndarray, old: np.ndarray) -> tuple[np.ndarray, float]:
    """Single flips from the better of what stands and the two constants; the gap to the sum of all magnitudes."""
    problem = BQP.from_energy(form, h, 0.0)
    ones = np.ones(len(old), np.int8)
    start = min((old, ones, -ones), key=lambda y: float(problem.energy(y)))
    new = CoordinateDescent(n_restarts=1).solve(problem, x0=start, rng=0).x
    least = float(form.diagonal().sum()) - float(form.abs_row_sums().sum()) - float(np.abs(h).sum())
    return new, float(problem.energy(new)) - least

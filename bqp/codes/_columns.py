"""Sampled columns of a similarity, and the programs of their bits: the machinery of COSDISH, DDSH and ADSH."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bqp.codes._rows import RELATIVE_TIE, blocks_of, for_blocks
from bqp.errors import ProblemError
from bqp.supervision import GroupedSimilarity, MatrixSimilarity, PairSimilarity, Similarity
from bqp.supervision.base import BLOCK_ENTRIES, group_sums

__all__ = ["Columns", "SampledBits", "check_columns", "soft_ratio", "sweep_residual_rows"]


@dataclass(frozen=True)
class Columns:
    """Targets s_ij and weights w_ij = a_i v_ij of the pairs of some points i with the sampled points j.

    Attributes
    ----------
    targets : ndarray of shape (R, m), float64
    weights : ndarray of shape (R, m), float64, or None for ones
        v: without the factor a_i.
    table_row : ndarray of shape (n,), int
        The row of both that belongs to each point: its group, or its own.
    a : ndarray of shape (n,), float64, or None for ones
    """

    targets: np.ndarray
    weights: np.ndarray | None
    table_row: np.ndarray
    a: np.ndarray | None

    @classmethod
    def of(cls, S: Similarity, omega: np.ndarray, ratio: float = 1.0, points: slice = slice(None)) -> Columns:
        """The columns `omega` of S, negative targets times `ratio`; O(C m) numbers for groups, O(n m) otherwise."""
        if isinstance(S, GroupedSimilarity):
            groups = S.groups[omega]
            targets, weights = S.T[:, groups].astype(np.float64), None
            if S.V is not None:
                weights = S.V[:, groups]
            if S.weights is not None:
                weights = np.tile(S.weights[omega], (S.n_groups, 1)) if weights is None else weights * S.weights[omega]
            table_row, a = S.groups[points], None if S.weights is None else S.weights[points]
        elif isinstance(S, MatrixSimilarity):
            targets = S.S[points][:, omega].astype(np.float64)
            weights = None if S.W is None else S.W[points][:, omega]
            table_row, a = np.arange(len(targets)), None
        elif isinstance(S, PairSimilarity):
            values = np.ones(len(S.indices)) if S.weights is None else S.weights

            def written_out(data):  # rows of a symmetric matrix are its columns
                rows = sp.csr_array((data, S.indices, S.indptr), shape=(S.n, S.n))[omega]
                return np.ascontiguousarray(rows[:, points].toarray().T)

            targets, weights = written_out(S.targets.astype(np.float64)), written_out(values)
            table_row, a = np.arange(len(targets)), None
        else:
            raise ProblemError(f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.")
        if ratio != 1.0:
            targets = np.where(targets < 0, ratio * targets, targets)
        return cls(targets, weights, table_row, a)

    @property
    def weighted_targets(self) -> np.ndarray:
        """v_ij s_ij, shape (R, m)."""
        return self.targets if self.weights is None else self.weights * self.targets

    def sums(self, B: np.ndarray, points: np.ndarray) -> np.ndarray:
        """sum_i w_ij s_ij b_i over the given points i, shape (m, q)."""
        table = self.weighted_targets
        a = None if self.a is None else self.a[points]
        rows = self.table_row[points]
        if len(table) < len(self.table_row):
            return table.T @ group_sums(B[points], rows, len(table), a)
        total = np.zeros((table.shape[1], B.shape[1]))
        for block in blocks_of(len(points)):
            codes = B[points[block]].astype(np.float64)
            total += table[rows[block]].T @ (codes if a is None else codes * a[block, None])
        return total

    def scores(self, C: np.ndarray) -> np.ndarray:
        """sum_j v_ij s_ij c_j for every row of the table, shape (R, q)."""
        return self.weighted_targets @ C

    def grams(self, B: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(M, which, factor) with sum_i w_ij b_i b_i' = factor_j M[which_j], M of shape (u, q, q).

        One matrix where the weights are products a_i a_j, else one for each distinct column of weights.
        """
        m, q = self.targets.shape[1], B.shape[1]
        a = None if self.a is None else self.a[points]
        if self.weights is None or (self.weights == self.weights[0]).all():
            factor = np.ones(m) if self.weights is None else self.weights[0]
            return _gram(B, points, a)[None], np.zeros(m, dtype=np.int64), factor
        distinct, which = np.unique(self.weights, axis=1, return_inverse=True)
        M = np.empty((distinct.shape[1], q, q))
        rows = self.table_row[points]
        for u in range(distinct.shape[1]):
            w = distinct[rows, u] if a is None else distinct[rows, u] * a
            used = np.flatnonzero(w)
            M[u] = _gram(B, points[used], w[used])
        return M, which.ravel(), np.ones(m)


def _gram(B: np.ndarray, points: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """sum_i w_i b_i b_i', exact for integer weights."""
    total = np.zeros((B.shape[1], B.shape[1]))
    for block in blocks_of(len(points)):
        codes = B[points[block]].astype(np.float64)
        total += (codes if weights is None else codes * weights[block, None]).T @ codes
    return total


def soft_ratio(S: Similarity, omega: np.ndarray) -> float:
    """r = number of similar over number of dissimilar known pairs in the sampled columns; 1 if either is 0."""
    similar = dissimilar = 0.0
    step = S.n if isinstance(S, GroupedSimilarity) else max(1, 4 * BLOCK_ENTRIES // max(1, len(omega)))
    for block in blocks_of(S.n, step):
        columns = Columns.of(S, omega, points=block)
        known = None if columns.a is None else columns.a > 0
        counts = np.bincount(columns.table_row, weights=known, minlength=len(columns.targets))
        paired = True if columns.weights is None else columns.weights > 0
        similar += float(counts @ np.sum((columns.targets > 0) & paired, axis=1))
        dissimilar += float(counts @ np.sum((columns.targets < 0) & paired, axis=1))
    return similar / dissimilar if similar and dissimilar else 1.0


def check_columns(omega, n: int) -> np.ndarray:
    """Distinct point numbers as int64, or a ProblemError."""
    array = np.asarray(omega)
    if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        raise ProblemError(
            f"omega must be a vector of point numbers, got shape {array.shape}, dtype {array.dtype}. Give the sampled "
            "points as integers."
        )
    if array.min() < 0 or array.max() >= n:
        place = int(np.argmax((array < 0) | (array >= n)))
        raise ProblemError(f"omega must lie in 0..{n - 1} since S has {n} points, got {array[place]} at ({place}).")
    values, counts = np.unique(array, return_counts=True)
    if len(values) < len(array):
        twice = int(values[np.argmax(counts > 1)])
        raise ProblemError(f"omega must name each point once, got {twice} twice. Sample without replacement.")
    return array.astype(np.int64)


class SampledBits:
    """The codes C (m, q) of the sampled points as programs of single bits, given those of all other points.

    ``value(C)`` is sum_{j in omega} sum_i w_ij (q s_ij - b_i.c_j)^2 over all points i, less what C does not change.
    With ``both=True`` the points outside count twice, as they do among all ordered pairs: it is the full objective.
    """

    def __init__(self, columns: Columns, omega: np.ndarray, others: np.ndarray, B: np.ndarray, both: bool = False):
        self.q = B.shape[1]
        rows = columns.table_row[omega]
        self.targets = columns.targets[rows]
        self.weights = None if columns.weights is None else columns.weights[rows]
        if columns.a is not None:
            assert self.weights is not None  # point weights fill both
            self.weights = self.weights * columns.a[omega, None]
        self.sums = columns.sums(B, others)
        self.M, self.which, self.factor = columns.grams(B, others)
        if both:
            self.sums, self.factor = 2.0 * self.sums, 2.0 * self.factor

    def program(self, C: np.ndarray, counted: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(Q, p): bit k minimises x'Qx + p'x given the `counted` bits of C. Q has a zero diagonal."""
        G = C[:, counted].astype(np.float64)
        Q = -2.0 * (self.q * self.targets - G @ G.T)
        if self.weights is not None:
            Q *= self.weights
        np.fill_diagonal(Q, 0.0)
        inner = np.einsum("jc,jc->j", G, self.M[:, counted, k][self.which])
        return Q, -2.0 * (self.q * self.sums[:, k] - self.factor * inner)

    def value(self, C: np.ndarray) -> float:
        """The loss of the sampled columns up to a constant."""
        C = C.astype(np.float64)
        inside = (self.q * self.targets - C @ C.T) ** 2
        inside = inside.sum() if self.weights is None else np.vdot(inside, self.weights)
        squared = self.factor @ np.einsum("jc,jcd,jd->j", C, self.M[self.which], C)
        return float(inside - 2.0 * self.q * np.vdot(self.sums, C) + squared)


def sweep_residual_rows(
    columns: Columns,
    C: np.ndarray,
    q: int,
    B: np.ndarray,
    max_sweeps: int,
    n_jobs: int,
    pull: np.ndarray | None = None,
    proposals: np.ndarray | None = None,
) -> int:
    """Each row of B to a local minimum of ``sum_j v_ij (q s_ij - b_i.c_j)^2 - 2 pull_i.b_i``; returns the changes.

    A row starts from its row of `proposals` (R, q) where that is better. Unlike `sweep_rows` this serves weights that
    differ from pair to pair. O(n m q) a sweep.
    """
    import bqp.kernels.rows as kernels

    targets = np.ascontiguousarray(q * columns.targets)
    weights = np.empty((0, 0)) if columns.weights is None else np.ascontiguousarray(columns.weights)
    transposed = np.ascontiguousarray(C.T, dtype=np.float64)
    if columns.weights is None:
        squares = np.broadcast_to(np.sum(transposed**2, axis=1), (len(targets), B.shape[1]))
    else:
        squares = columns.weights @ (transposed**2).T
    squares = np.ascontiguousarray(squares)
    pull = np.empty((0, B.shape[1])) if pull is None else pull
    proposals = np.empty((0, B.shape[1]), dtype=np.int8) if proposals is None else proposals
    weight = 1.0 if columns.weights is None else float(columns.weights.max())
    reach = float(np.abs(transposed).sum(axis=0).max(initial=0.0)) + float(np.abs(targets).max(initial=0.0))
    largest = float(np.abs(transposed).sum(axis=1).max(initial=0.0))
    tol = RELATIVE_TIE * (weight * reach * largest + float(np.abs(pull).max(initial=0.0)))

    def work(block: slice) -> int:
        residual = np.empty((2, targets.shape[1]))
        return kernels.descend_residual_rows(
            targets, weights, squares, columns.table_row[block], transposed, pull[block], proposals, B[block], tol,
            max_sweeps, residual,
        )  # fmt: skip

    return for_blocks(work, len(B), n_jobs)

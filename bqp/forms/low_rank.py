"""Q = U diag(d) U'."""

from __future__ import annotations

import numpy as np

from bqp.checks import BLOCK_ENTRIES, check_exact_integers, check_finite
from bqp.errors import ProblemError
from bqp.forms.base import Form, indicator

__all__ = ["LowRank"]


class LowRank(Form):
    """Q = U diag(d) U'.

    Parameters
    ----------
    U : ndarray of shape (n, r)
        Any real dtype. int8 codes stay int8 (one byte an entry) and never overflow: every product is in float64.
        Not copied.
    d : ndarray of shape (r,), default ones
        Signed weights of the columns.
    """

    name = "low_rank"

    def __init__(self, U: np.ndarray, d: np.ndarray | None = None):
        U = np.asarray(U)
        if U.ndim != 2:
            raise ProblemError(f"U must have two dimensions (n, r), got shape {U.shape}.")
        if U.dtype not in (np.int8, np.float32, np.float64):
            check_exact_integers(U, "U")
            U = U.astype(np.float64)
        if U.dtype != np.int8:
            check_finite(U, "U")
        self.U = U
        self.d = np.ones(U.shape[1]) if d is None else np.array(d, dtype=np.float64)
        if self.d.shape != (U.shape[1],):
            raise ProblemError(f"d must have one weight a column of U: shape ({U.shape[1]},), got {self.d.shape}.")
        check_finite(self.d, "d")
        self.n, self.rank = U.shape

    @property
    def nbytes(self):
        return self.U.nbytes + self.d.nbytes

    def project(self, x: np.ndarray) -> np.ndarray:
        """The weighted projections d o U'x, shape (r,) or (r, k)."""
        return (self._sums(x).T * self.d).T

    def _sums(self, x: np.ndarray) -> np.ndarray:
        """U'x in float64; int8 columns are read as they are."""
        x = np.asarray(x, dtype=np.float64)
        t = np.zeros((self.rank, *x.shape[1:]))
        if x.ndim == 1 and self.U.dtype == np.int8:
            from bqp.kernels.lowrank import lowrank_project

            lowrank_project(self.U, np.ascontiguousarray(x), t)
            return t
        for a, b, block in self._blocks():
            t += block.T @ x[a:b]
        return t

    def matvec(self, x):
        x = np.asarray(x, dtype=np.float64)
        t = self.project(x)
        out = np.empty(x.shape)
        if x.ndim == 1 and self.U.dtype == np.int8:
            from bqp.kernels.lowrank import lowrank_apply

            lowrank_apply(self.U, t, out)
            return out
        for a, b, block in self._blocks():
            out[a:b] = block @ t
        return out

    def quadratic(self, x):
        t = self._sums(x)
        return float(t * self.d @ t)

    def _blocks(self):
        step = max(1, BLOCK_ENTRIES // max(1, self.rank))
        for a in range(0, self.n, step):
            b = min(a + step, self.n)
            yield a, b, self.U[a:b].astype(np.float64, copy=False)

    def diagonal(self):
        out = np.empty(self.n)
        if self.U.dtype == np.int8:
            from bqp.kernels.lowrank import lowrank_diagonal

            lowrank_diagonal(self.U, self.d, out)
            return out
        for a, b, block in self._blocks():
            out[a:b] = np.square(block) @ self.d
        return out

    def rows(self, index):
        return self.pair_block(np.asarray(index), slice(None))

    def pair_block(self, i, j) -> np.ndarray:
        """Block Q[i, j] for two index arrays (or slices)."""
        return (self.U[i].astype(np.float64) * self.d) @ self.U[j].astype(np.float64).T

    def scaled(self, factor):
        return LowRank(self.U, self.d * factor)

    def submatrix(self, index):
        return LowRank(self.U[index], self.d)

    def aggregate(self, labels, n_groups):
        P = indicator(labels, n_groups)
        return LowRank(np.asarray(P.T @ self.U.astype(np.float64)), self.d)

    def abs_row_sums(self):
        column = np.zeros(self.rank)
        for _, _, block in self._blocks():
            column += np.abs(block).sum(axis=0)
        out = np.empty(self.n)
        for a, b, block in self._blocks():
            mine = np.abs(block)
            out[a:b] = (mine * (column - mine)) @ np.abs(self.d)
            if self.U.dtype != np.int8:  # what the subtraction can lose
                out[a:b] += 4.0 * np.finfo(np.float64).eps * (mine * column) @ np.abs(self.d)
        return out

    def twin_keys(self):
        from bqp.kernels.twins import equal_row_labels

        return [equal_row_labels(self.U)] if self.rank else []

    def max_abs(self):
        largest = max(float(self.U.max(initial=0)), -float(self.U.min(initial=0)))
        return largest * largest * float(np.abs(self.d).sum())

    def pair_values(self, i, j):
        return np.einsum("ir,r,ir->i", self.U[i].astype(np.float64), self.d, self.U[j].astype(np.float64))

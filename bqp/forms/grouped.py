"""Q that depends on the groups of two variables alone."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from bqp.checks import check_finite, checked_dense, symmetric
from bqp.errors import ProblemError
from bqp.forms.base import Form, indicator
from bqp.forms.dense import Dense
from bqp.forms.low_rank import LowRank

__all__ = ["Grouped"]


class Grouped(Form):
    """Q_ij = a_i a_j M[g_i, g_j]: every entry depends on the groups of its two variables.

    Parameters
    ----------
    groups : ndarray of shape (n,), int
        Group of each variable, 0 <= g < C.
    M : ndarray of shape (C, C)
        Symmetric matrix over groups.
    a : ndarray of shape (n,), optional
        Weight of each variable, default 1.
    """

    name = "grouped"

    def __init__(self, groups: np.ndarray, M: np.ndarray, a: np.ndarray | None = None):
        groups = np.asarray(groups)
        M = np.array(M, dtype=np.float64)
        if M.size == 0:
            M = M.reshape(0, 0)
        M = np.asarray(checked_dense(M))
        if groups.ndim != 1 or not (np.issubdtype(groups.dtype, np.integer) or groups.size == 0):
            raise ProblemError(f"groups must be a vector of integers, got shape {groups.shape}, dtype {groups.dtype}.")
        if groups.size and (groups.min() < 0 or groups.max() >= len(M)):
            raise ProblemError(
                f"groups must lie in 0..{len(M) - 1} (M has {len(M)} rows), got {groups.min()}..{groups.max()}."
            )
        self.groups = np.ascontiguousarray(groups, dtype=np.int32)
        self.M = M
        self.n = len(groups)
        self.n_groups = len(M)
        self.a = None
        if a is not None:
            a = np.ascontiguousarray(a, dtype=np.float64)
            if a.shape != (self.n,):
                raise ProblemError(f"a must have shape ({self.n},), got {a.shape}.")
            check_finite(a, "a")
            self.a = a

    @property
    def nbytes(self):
        return self.groups.nbytes + self.M.nbytes + (0 if self.a is None else self.a.nbytes)

    def group_sums(self, x: np.ndarray) -> np.ndarray:
        """Sums of a_i x_i over each group, shape (C,) or (C, k)."""
        x = np.asarray(x, dtype=np.float64)
        if self.a is not None:
            x = (x.T * self.a).T
        if x.ndim == 1:
            return np.bincount(self.groups, weights=x, minlength=self.n_groups)
        return np.asarray(indicator(self.groups, self.n_groups).T @ x)

    @staticmethod
    def fields_of_groups(groups: np.ndarray, M: np.ndarray, a: np.ndarray, x: np.ndarray) -> np.ndarray:
        """M times the group sums of a o x (of x when `a` is empty), shape (C,)."""
        return M @ np.bincount(groups, weights=x * a if a.size else x, minlength=len(M))

    def matvec(self, x):
        out = (self.M @ self.group_sums(x))[self.groups]
        return out if self.a is None else (out.T * self.a).T

    def quadratic(self, x):
        s = self.group_sums(x)
        return float(s @ self.M @ s)

    def diagonal(self):
        out = self.M.diagonal()[self.groups]
        return out if self.a is None else out * self.a**2

    def rows(self, index):
        index = np.asarray(index)
        out = self.M[self.groups[index]][:, self.groups]
        return out if self.a is None else out * np.outer(self.a[index], self.a)

    def scaled(self, factor):
        return Grouped(self.groups, self.M * factor, self.a)

    def submatrix(self, index):
        return Grouped(self.groups[index], self.M, None if self.a is None else self.a[index])

    def aggregate(self, labels, n_groups):
        weight = np.ones(self.n) if self.a is None else self.a
        P = sp.csr_array((weight, (labels, self.groups)), shape=(n_groups, self.n_groups))  # sums duplicates
        return Dense(symmetric(np.asarray(P @ (P @ self.M).T)), check=False)

    def abs_row_sums(self):
        weight = np.ones(self.n) if self.a is None else np.abs(self.a)
        mass = np.bincount(self.groups, weights=weight, minlength=self.n_groups)
        own = np.abs(self.M.diagonal())
        others = np.abs(self.M)
        np.fill_diagonal(others, 0.0)
        return weight * ((others @ mass)[self.groups] + own[self.groups] * np.maximum(mass[self.groups] - weight, 0.0))

    def twin_keys(self):
        return [self.groups] if self.a is None else [self.groups, self.a]

    def max_abs(self):
        weight = 1.0 if self.a is None else float(np.abs(self.a).max(initial=0.0))
        return weight * weight * float(np.abs(self.M).max(initial=0.0))

    def pair_values(self, i, j):
        out = self.M[self.groups[i], self.groups[j]]
        return out if self.a is None else out * self.a[i] * self.a[j]

    def as_low_rank(self) -> LowRank:
        """The same matrix with U = the eigenvectors of M read at the groups (float64, rank at most C)."""
        present, groups = np.unique(self.groups, return_inverse=True)
        values, vectors = np.linalg.eigh(self.M[np.ix_(present, present)])
        keep = np.abs(values) > 1e-15 * np.abs(values).max(initial=0.0)
        U = vectors[groups][:, keep]
        return LowRank(U if self.a is None else U * self.a[:, None], values[keep])

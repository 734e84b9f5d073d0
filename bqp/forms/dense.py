"""Q written out."""

from __future__ import annotations

import numpy as np

from bqp.checks import BLOCK_ENTRIES, as_array, checked_dense, symmetric
from bqp.forms.base import Form, indicator

__all__ = ["Dense"]


class Dense(Form):
    """A written-out symmetric matrix; float32 is kept, everything else becomes float64.

    Parameters
    ----------
    Q : ndarray of shape (n, n)
        Copied and frozen. Integers above 2**53 are refused, since float64 cannot hold them.
    """

    name = "dense"

    def __init__(self, Q: np.ndarray, *, check: bool = True):
        Q = as_array(Q, "Q")
        if check:
            Q = checked_dense(Q)
        self.Q = np.ascontiguousarray(Q)
        self.Q.setflags(write=False)
        self.n = self.Q.shape[0]

    @property
    def nbytes(self) -> int:
        return self.Q.nbytes

    def matvec(self, x):
        x = np.asarray(x, dtype=np.float64)
        if self.Q.dtype == np.float64:
            return self.Q @ x
        out = np.empty(x.shape)
        step = max(1, BLOCK_ENTRIES // max(1, self.n))
        for a in range(0, self.n, step):
            out[a : a + step] = self.Q[a : a + step].astype(np.float64) @ x
        return out

    def diagonal(self):
        return self.Q.diagonal().astype(np.float64)

    def rows(self, index):
        return self.Q[index].astype(np.float64)

    def scaled(self, factor):
        return Dense(
            self.Q * self.Q.dtype.type(factor) if _is_power_of_two(factor) else self.to_dense() * float(factor),
            check=False,
        )

    def submatrix(self, index):
        return Dense(self.Q[np.ix_(index, index)], check=False)

    def aggregate(self, labels, n_groups):
        P = indicator(labels, n_groups)
        half = P.T @ (self.Q if self.Q.dtype == np.float64 else self.Q.astype(np.float64))
        return Dense(symmetric(np.asarray((P.T @ half.T).T)), check=False)

    def abs_row_sums(self):
        sums = np.empty(self.n)
        step = max(1, BLOCK_ENTRIES // max(1, self.n))
        for a in range(0, self.n, step):
            block = np.abs(self.Q[a : a + step])
            block[np.arange(len(block)), a + np.arange(len(block))] = (
                0.0  # subtracted, a large one would cancel the rest
            )
            sums[a : a + step] = block.sum(axis=1, dtype=np.float64)
        return sums

    def twin_keys(self):
        from bqp.kernels.twins import twin_labels_dense

        return [twin_labels_dense(self.Q)]

    def max_abs(self):
        return float(max(self.Q.max(initial=0.0), -self.Q.min(initial=0.0)))

    def pair_values(self, i, j):
        return self.Q[i, j].astype(np.float64)

    def to_dense(self):
        return self.Q.astype(np.float64)


def _is_power_of_two(factor: float) -> bool:
    mantissa, _ = np.frexp(abs(factor))
    return mantissa == 0.5

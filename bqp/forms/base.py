"""What every shape of Q answers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import scipy.sparse as sp

from bqp.checks import BLOCK_ENTRIES

__all__ = ["Form", "indicator"]


class Form(ABC):
    """Symmetric matrix known by its structure.

    Every form answers `matvec`, `diagonal`, `rows`, `fields`, `quadratic`, `update_fields`, `submatrix`, `aggregate`,
    `scaled`, `abs_row_sums` and `twin_keys`, in float64 and in the cost of its structure.
    """

    n: int
    name: str

    @property
    def shape(self) -> tuple[int, int]:
        return (self.n, self.n)

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes held by the form's arrays."""

    @abstractmethod
    def matvec(self, x: np.ndarray) -> np.ndarray:
        """Product Q @ x for x of shape (n,) or (n, k) and any real dtype; float64."""

    @abstractmethod
    def diagonal(self) -> np.ndarray:
        """Diagonal of Q, shape (n,), float64."""

    @abstractmethod
    def rows(self, index) -> np.ndarray:
        """Rows of Q written out, shape (len(index), n), float64."""

    @abstractmethod
    def scaled(self, factor: float) -> Form:
        """The form factor * Q."""

    @abstractmethod
    def submatrix(self, index: np.ndarray) -> Form:
        """Principal submatrix on the variables `index`."""

    @abstractmethod
    def aggregate(self, labels: np.ndarray, n_groups: int) -> Form:
        """The n_groups x n_groups matrix P'QP, with P[i, labels[i]] = 1: Q summed over blocks of groups."""

    @abstractmethod
    def abs_row_sums(self) -> np.ndarray:
        """For each i at least ``sum_{j != i} |Q_ij|`` (exact for Dense, Sparse, Grouped; a bound for the others)."""

    @abstractmethod
    def twin_keys(self) -> list[np.ndarray]:
        """Arrays of length n; variables that agree in all of them have equal rows apart from their own pair."""

    @abstractmethod
    def pair_values(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Entries Q[i, j] for two index arrays of equal length."""

    @abstractmethod
    def max_abs(self) -> float:
        """An upper bound on the magnitude of any entry, from one look at the form's own arrays."""

    def magnitude(self) -> float:
        """An upper bound on the sum of all |Q_ij|: n**2 times `max_abs`."""
        return float(self.n) ** 2 * self.max_abs()

    def quadratic(self, x: np.ndarray) -> float:
        """The number x'Qx."""
        x = np.asarray(x, dtype=np.float64)
        return float(np.sum(x * self.matvec(x)))

    def fields(self, x: np.ndarray) -> np.ndarray:
        """Local fields ``sum_{j != i} Q_ij x_j``, shape (n,)."""
        return self.matvec(x) - self.diagonal() * np.asarray(x, dtype=np.float64)

    def update_fields(self, fields: np.ndarray, i: int, change: float) -> None:
        """Add to `fields` (in place) the effect of adding `change` to x_i; the field of i itself stays."""
        row = self.rows(np.array([i]))[0]
        row[i] = 0.0
        fields += change * row

    def to_dense(self) -> np.ndarray:
        """The matrix written out, shape (n, n), float64: n**2 * 8 bytes."""
        return self.rows(np.arange(self.n))

    def to_sparse(self) -> sp.csr_array:
        """The non-zero entries as a CSR array (goes through blocks of written-out rows unless the form is sparse)."""
        step = max(1, BLOCK_ENTRIES // max(1, self.n))
        blocks = [sp.csr_array(self.rows(np.arange(a, min(a + step, self.n)))) for a in range(0, self.n, step)]
        return sp.csr_array(sp.vstack(blocks)) if blocks else sp.csr_array((0, 0))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.n}, {self.nbytes / 2**20:.3g} MiB)"


def indicator(labels: np.ndarray, n_groups: int) -> sp.csr_array:
    """The n x n_groups matrix with a 1 at (i, labels[i])."""
    n = len(labels)
    return sp.csr_array((np.ones(n), labels, np.arange(n + 1)), shape=(n, n_groups))

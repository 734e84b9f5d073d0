"""The shapes that Q may take, behind one protocol that gives the same answers whatever the shape.

A form is a symmetric n x n matrix that is asked for products, diagonals, rows and sums, and is written out only by
`to_dense`. Costs and memory are those of the structure: n**2 for `Dense`, the stored entries for `Sparse`, n r for
`LowRank`, n + C**2 for `Grouped`, and the sum of the parts for `Sum`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from bqp.checks import (
    BLOCK_ENTRIES,
    as_array,
    check_exact_integers,
    check_finite,
    check_square,
    checked_dense,
    require_symmetry,
    symmetric,
)
from bqp.errors import ProblemError

__all__ = ["Dense", "Form", "Grouped", "LowRank", "Sparse", "Sum", "as_form"]


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
        P = _indicator(labels, n_groups)
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


class Sparse(Form):
    """A symmetric scipy sparse matrix, held as CSR with sorted indices, no duplicates and no explicit zeros."""

    name = "sparse"

    def __init__(self, Q, *, check: bool = True):
        Q = sp.csr_array(Q, copy=check)
        if check:
            check_square(Q.shape)
            if not np.issubdtype(Q.dtype, np.number) and Q.dtype != bool:
                raise ProblemError(f"Q must hold real numbers, got dtype {Q.dtype}.")
            if np.iscomplexobj(Q.data):
                raise ProblemError(f"Q must be real, got dtype {Q.dtype}.")
            check_exact_integers(Q.data, "Q")
        Q = Q.astype(np.float64)
        Q.sum_duplicates()
        if check:
            finite = np.isfinite(Q.data)
            if not finite.all():
                entry = Q.tocoo()
                k = int(np.argmin(finite))
                raise ProblemError(
                    f"Q must be finite, got {entry.data[k]} at ({entry.row[k]}, {entry.col[k]}). Clean the data first."
                )
            difference = sp.coo_array(Q - Q.T)
            if difference.nnz:
                worst = int(np.argmax(np.abs(difference.data)))
                place = (int(difference.row[worst]), int(difference.col[worst]))
                require_symmetry(abs(difference.data[worst]), place, np.abs(Q.data).max(initial=0.0))
                Q = sp.csr_array((Q + Q.T) * 0.5)
        Q.eliminate_zeros()
        Q.sort_indices()
        if Q.indices.dtype != np.int32 and max(Q.nnz, Q.shape[0]) < 2**31:  # one type of index, one set of kernels
            Q = sp.csr_array((Q.data, Q.indices.astype(np.int32), Q.indptr.astype(np.int32)), shape=Q.shape)
        self.Q = Q
        self.n = Q.shape[0]

    @property
    def nbytes(self):
        return self.Q.data.nbytes + self.Q.indices.nbytes + self.Q.indptr.nbytes

    def matvec(self, x):
        return np.asarray(self.Q @ np.asarray(x, dtype=np.float64))

    def diagonal(self):
        return self.Q.diagonal()

    def rows(self, index):
        return self.Q[np.asarray(index)].toarray()

    def scaled(self, factor):
        return Sparse(self.Q * float(factor), check=False)

    def submatrix(self, index):
        return Sparse(self.Q[index][:, index], check=False)

    def aggregate(self, labels, n_groups):
        P = _indicator(labels, n_groups)
        return Sparse(P.T @ self.Q @ P, check=False)

    def abs_row_sums(self):
        entry = self.Q.tocoo()
        off = entry.row != entry.col
        return np.bincount(entry.row[off], weights=np.abs(entry.data[off]), minlength=self.n)

    def twin_keys(self):
        from bqp.kernels.twins import twin_labels_sparse

        return [twin_labels_sparse(self.Q.indptr, self.Q.indices, self.Q.data)]

    def max_abs(self):
        return float(np.abs(self.Q.data).max(initial=0.0))

    def magnitude(self):
        return float(np.abs(self.Q.data).sum())

    def pair_values(self, i, j):
        return sparse_entries(self.Q, i, j)

    def to_sparse(self):
        return self.Q.copy()


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
        P = _indicator(labels, n_groups)
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
        return np.asarray(_indicator(self.groups, self.n_groups).T @ x)

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


class Sum(Form):
    """The sum of forms of one size; nested sums are flattened."""

    name = "sum"

    def __init__(self, parts: Sequence[Form]):
        flat: list[Form] = []
        for part in parts:
            flat.extend(part.parts if isinstance(part, Sum) else [part])
        sizes = {part.n for part in flat}
        if len(sizes) != 1:
            raise ProblemError(f"the parts of a Sum must have one size, got n = {sorted(sizes) or 'no part at all'}.")
        self.parts: tuple[Form, ...] = tuple(flat)
        self.n = flat[0].n

    @property
    def nbytes(self):
        return sum(part.nbytes for part in self.parts)

    def _map(self, method, *args) -> Sum:
        return Sum([getattr(part, method)(*args) for part in self.parts])

    def _add(self, method, *args):
        total = getattr(self.parts[0], method)(*args)
        for part in self.parts[1:]:
            total = total + getattr(part, method)(*args)
        return total

    def matvec(self, x):
        return self._add("matvec", x)

    def quadratic(self, x):
        return self._add("quadratic", x)

    def diagonal(self):
        return self._add("diagonal")

    def rows(self, index):
        return self._add("rows", index)

    def scaled(self, factor):
        return self._map("scaled", factor)

    def submatrix(self, index):
        return self._map("submatrix", index)

    def aggregate(self, labels, n_groups):
        return self._map("aggregate", labels, n_groups)

    def abs_row_sums(self):
        return self._add("abs_row_sums")

    def twin_keys(self):
        return [key for part in self.parts for key in part.twin_keys()]

    def max_abs(self):
        return self._add("max_abs")

    def pair_values(self, i, j):
        return self._add("pair_values", i, j)


def sparse_entries(Q: sp.csr_array, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Entries Q[i, j] as a plain vector (scipy's releases differ in what fancy indexing returns)."""
    found = Q[i, j]
    return np.asarray(found.toarray() if sp.issparse(found) else found, dtype=np.float64).ravel()


def as_form(Q) -> Form:
    """Wrap an array, a scipy sparse matrix or a form; checks shape, symmetry, finiteness.

    Raises
    ------
    ProblemError
        Not square, not symmetric, not finite, or not numeric.
    """
    if isinstance(Q, Form):
        return Q
    if sp.issparse(Q):
        return Sparse(Q)
    return Dense(Q)


def _indicator(labels: np.ndarray, n_groups: int) -> sp.csr_array:
    n = len(labels)
    return sp.csr_array((np.ones(n), labels, np.arange(n + 1)), shape=(n, n_groups))


def _is_power_of_two(factor: float) -> bool:
    mantissa, _ = np.frexp(abs(factor))
    return mantissa == 0.5

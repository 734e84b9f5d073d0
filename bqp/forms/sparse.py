"""Q by its non-zero entries."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from bqp.checks import check_exact_integers, check_square, require_symmetry
from bqp.errors import ProblemError
from bqp.forms.base import Form, indicator

__all__ = ["Sparse", "sparse_entries"]


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
        P = indicator(labels, n_groups)
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


def sparse_entries(Q: sp.csr_array, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Entries Q[i, j] as a plain vector (scipy's releases differ in what fancy indexing returns)."""
    found = Q[i, j]
    return np.asarray(found.toarray() if sp.issparse(found) else found, dtype=np.float64).ravel()

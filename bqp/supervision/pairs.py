"""Similarity known on a list of pairs, or written out by the caller as a matrix."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from bqp.errors import ProblemError
from bqp.supervision.base import (
    BLOCK_ENTRIES,
    Similarity,
    as_numbers,
    check_codes,
    check_finite,
    check_symmetric,
    check_weights,
    compact,
)

__all__ = ["MatrixSimilarity", "PairSimilarity", "from_matrix", "from_pairs"]


class PairSimilarity(Similarity):
    """Targets and weights on a symmetric list of known pairs, in CSR order; all other pairs have weight 0.

    Attributes
    ----------
    indptr, indices : ndarray, int
        CSR structure with sorted columns; both (i, j) and (j, i) are stored, a self pair (i, i) once.
    targets : ndarray of shape (nnz,)
        int8 when all targets are small integers, float64 otherwise.
    weights : ndarray of shape (nnz,), float64, or None for ones

    Notes
    -----
    Memory 5 to 20 bytes a stored pair. Sums over pairs cost O(nnz q).
    """

    structure = "pairs"

    def __init__(self, indptr, indices, targets, weights, n: int):
        self.indptr, self.indices = indptr, indices
        self.targets = compact(targets)
        self.weights = weights
        self.n = n
        self.total_weight = float(len(indices)) if weights is None else float(weights.sum())
        if not self.total_weight > 0:
            raise ProblemError("no pair has a positive weight; give at least one known pair.")

    @property
    def nbytes(self):
        optional = 0 if self.weights is None else self.weights.nbytes
        return self.indptr.nbytes + self.indices.nbytes + self.targets.nbytes + optional

    @property
    def rows(self) -> np.ndarray:
        """Row of each stored pair, shape (nnz,), int32."""
        return np.repeat(np.arange(self.n, dtype=np.int32), np.diff(self.indptr))

    @property
    def known(self):
        if self.weights is None:
            return np.diff(self.indptr) > 0
        return np.bincount(self.rows, weights=self.weights, minlength=self.n) > 0

    def _csr(self, values) -> sp.csr_array:
        return sp.csr_array((values, self.indices, self.indptr), shape=(self.n, self.n))

    def pair_values(self, i, j):
        position = self._csr(np.arange(1, len(self.indices) + 1))[np.asarray(i), np.asarray(j)]
        position = np.asarray(position).ravel() - 1
        stored = position >= 0
        s, w = np.zeros(len(position)), np.zeros(len(position))
        w[stored] = 1.0 if self.weights is None else self.weights[position[stored]]
        s[stored] = self.targets[position[stored]]
        return np.where(w > 0, s, 0.0), w

    def to_dense(self):
        weights = np.ones(len(self.indices)) if self.weights is None else self.weights
        return self._csr(self.targets.astype(np.float64)).toarray(), self._csr(weights).toarray()

    def restrict(self, index):
        index = np.asarray(index)
        position = self._csr(np.arange(1, len(self.indices) + 1))[index][:, index]
        position.sort_indices()
        kept = position.data - 1
        weights = None if self.weights is None else self.weights[kept]
        return PairSimilarity(position.indptr, position.indices, self.targets[kept], weights, len(index))

    def pair_products(self, B: np.ndarray) -> np.ndarray:
        """b_i.b_j for every stored pair, shape (nnz,), int32; O(nnz q) in blocks."""
        out = np.empty(len(self.indices), dtype=np.int32)
        rows = self.rows
        step = max(1, 4 * BLOCK_ENTRIES // max(1, B.shape[1]))
        for a in range(0, len(out), step):
            i, j = rows[a : a + step], self.indices[a : a + step]
            out[a : a + step] = np.einsum("pr,pr->p", B[i], B[j], dtype=np.int32)
        return out

    def ksh_objective(self, B):
        B = check_codes(B, self.n)
        squares = (float(B.shape[1]) * self.targets - self.pair_products(B)) ** 2
        return float(squares.sum() if self.weights is None else squares @ self.weights)


class MatrixSimilarity(Similarity):
    """Targets and weights of all pairs, written out by the caller.

    Attributes
    ----------
    S : ndarray of shape (n, n)
        int8 when all targets are small integers, float64 otherwise.
    W : ndarray of shape (n, n), float64, or None for ones
    """

    structure = "matrix"

    def __init__(self, S, W=None):
        S = as_numbers(S, "S")
        if S.ndim != 2 or S.shape[0] != S.shape[1]:
            raise ProblemError(f"S must be a square matrix, got shape {S.shape}. For a list of pairs use from_pairs.")
        if S.size == 0:
            raise ProblemError("S is empty; give at least one point.")
        check_finite(S, "S", "Give an unknown pair the weight 0 and any finite target.")
        check_symmetric(S, "S")
        self.S = compact(S)
        self.W = check_weights(W, S.shape)
        if self.W is not None:
            check_symmetric(self.W, "weights")
        self.n = len(S)
        self.total_weight = float(self.n) ** 2 if self.W is None else float(self.W.sum())
        if not self.total_weight > 0:
            raise ProblemError("no pair has a positive weight; give at least one known pair.")

    @property
    def nbytes(self):
        return self.S.nbytes + (0 if self.W is None else self.W.nbytes)

    @property
    def known(self):
        return np.ones(self.n, dtype=bool) if self.W is None else self.W.any(axis=1)

    def pair_values(self, i, j):
        w = np.ones(len(np.asarray(i))) if self.W is None else self.W[i, j]
        return np.where(w > 0, self.S[i, j].astype(np.float64), 0.0), w

    def to_dense(self):
        W = np.ones((self.n, self.n)) if self.W is None else self.W.copy()
        return self.S.astype(np.float64), W

    def restrict(self, index):
        block = np.ix_(np.asarray(index), np.asarray(index))
        return MatrixSimilarity(self.S[block], None if self.W is None else self.W[block])

    def ksh_objective(self, B):
        B = check_codes(B, self.n)
        codes = B.astype(np.float64)
        total = 0.0
        step = max(1, BLOCK_ENTRIES // self.n)
        for a in range(0, self.n, step):
            squares = (B.shape[1] * self.S[a : a + step].astype(np.float64) - codes[a : a + step] @ codes.T) ** 2
            total += float(squares.sum() if self.W is None else np.sum(squares * self.W[a : a + step]))
        return total


def from_pairs(i, j, s, n: int, weights=None) -> PairSimilarity:
    """Similarity known on the given pairs only.

    Parameters
    ----------
    i, j : arrays of shape (m,), int
        The two points of each pair, in 0..n-1. The order carries no meaning: a pair counts in both directions.
    s : array of shape (m,) or scalar
        Targets: +1 similar, -1 dissimilar, any real number allowed.
    n : int
        Number of points; points without a pair are allowed.
    weights : array of shape (m,), optional
        Weights >= 0, default 1.

    Returns
    -------
    S : PairSimilarity
        A pair given twice with equal target and weight counts once. A self pair (i, i) counts once and adds a constant.

    Raises
    ------
    ProblemError
        An index out of range; a pair given twice with two targets or two weights; NaN; a negative weight.

    Examples
    --------
    >>> from bqp import supervision
    >>> S = supervision.from_pairs([0, 1], [1, 2], [1, -1], n=3)
    >>> S.ksh_objective([[1], [1], [1]])      # (1, 2) and (2, 1): (-1 - 1)^2 each
    8.0
    """
    n = _count(n)
    i, j = _index_vector(i, "i", n), _index_vector(j, "j", n)
    if len(i) != len(j):
        raise ProblemError(f"i and j must have one length, got {len(i)} and {len(j)}.")
    if len(i) == 0:
        raise ProblemError("no pair is given; give at least one.")
    s = as_numbers(s, "s")
    if s.ndim == 0:
        s = np.full(len(i), s)
    if s.shape != i.shape:
        raise ProblemError(f"s must have one target a pair, shape ({len(i)},), got {s.shape}.")
    check_finite(s, "s", "Leave unknown pairs out, or give them weight 0.")
    weights = check_weights(weights, i.shape)
    return _symmetric_pairs(i, j, compact(s), weights, n)


def from_matrix(S, weights=None) -> PairSimilarity | MatrixSimilarity:
    """Similarity given as a matrix of targets.

    Parameters
    ----------
    S : ndarray or scipy sparse matrix of shape (n, n)
        Symmetric targets. In a sparse matrix a stored entry is known (a stored 0 is the target 0) and an entry that is
        not stored is unknown.
    weights : ndarray or scipy sparse matrix of shape (n, n), optional
        Symmetric weights >= 0, default 1; 0 marks an unknown pair.

    Returns
    -------
    S : MatrixSimilarity for an ndarray, PairSimilarity for a sparse matrix

    Examples
    --------
    >>> import numpy as np
    >>> from bqp import supervision
    >>> supervision.from_matrix(np.array([[1, -1], [-1, 1]])).ksh_objective([[1], [-1]])
    0.0
    """
    if not sp.issparse(S):
        if weights is not None and sp.issparse(weights):
            weights = weights.toarray()
        return MatrixSimilarity(S, weights)
    if S.shape[0] != S.shape[1]:
        raise ProblemError(
            f"S must be a square matrix, got shape {tuple(S.shape)}. For a list of pairs use from_pairs."
        )
    entries = sp.coo_array(S)
    i, j = entries.coords
    s = as_numbers(entries.data, "S")
    n = S.shape[0]
    if len(s) == 0:
        raise ProblemError("S stores no entry, so that no pair is known; give at least one.")
    finite = np.isfinite(s)
    if not finite.all():
        k = int(np.argmin(finite))
        raise ProblemError(f"S must be finite, got {s[k]} at ({i[k]}, {j[k]}). Leave unknown pairs unstored.")
    if weights is not None:
        if tuple(weights.shape) != (n, n):
            raise ProblemError(f"weights must have shape ({n}, {n}), got {tuple(weights.shape)}.")
        weights = sp.csr_array(weights) if sp.issparse(weights) else np.asarray(weights)
        weights = check_weights(np.asarray(weights[i, j]).ravel(), (len(s),))
    result = _symmetric_pairs(i, j, compact(s), weights, n)
    if len(result.indices) != len(np.unique(i * np.int64(n) + j)):
        csr = sp.csr_array((np.ones(len(i)), (i, j)), shape=(n, n))
        lone = sp.coo_array(csr - csr.T)
        k = int(np.argmax(lone.data))
        a, b = int(lone.coords[0][k]), int(lone.coords[1][k])
        raise ProblemError(
            f"S must be symmetric: ({a}, {b}) is stored and ({b}, {a}) is not. Pass both or use from_pairs."
        )
    return result


def _count(n) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ProblemError(f"n must be a positive integer, the number of points, got {n!r}.")
    return int(n)


def _index_vector(i, name: str, n: int) -> np.ndarray:
    i = np.asarray(i)
    if i.ndim != 1 or (i.size and not np.issubdtype(i.dtype, np.integer)):
        raise ProblemError(f"{name} must be a vector of integers, got shape {i.shape}, dtype {i.dtype}.")
    if i.size and (i.min() < 0 or i.max() >= n):
        place = int(np.argmax((i < 0) | (i >= n)))
        raise ProblemError(f"{name} must lie in 0..{n - 1} since n is {n}, got {i[place]} at ({place}).")
    return i.astype(np.int64)


def _symmetric_pairs(i, j, s, weights, n: int) -> PairSimilarity:
    """Both directions of every pair in CSR order, each once; O(m log m)."""
    i, j = np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64)
    m = len(i)
    key = np.concatenate([i * n + j, j * n + i])
    order = np.argsort(key)  # of equal keys any may come first: their targets must agree
    key = key[order]
    source = order % m
    first = np.ones(2 * m, dtype=bool)
    first[1:] = key[1:] != key[:-1]
    kept = source[first][np.cumsum(first) - 1]  # for each entry: the one that stands for its pair
    for values, what in ((s, "targets"), (weights, "weights")):
        if values is not None and not np.array_equal(values[source], values[kept]):
            bad = int(np.argmax(values[source] != values[kept]))
            a, b = divmod(int(key[bad]), n)
            raise ProblemError(
                f"the pair ({a}, {b}) has two {what}, {values[kept[bad]]} and {values[source[bad]]}. "
                "A pair counts in both directions: give it once, or with equal values."
            )
    source, key = source[first], key[first]
    rows, columns = np.divmod(key, n)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    index_type = np.int32 if len(key) < 2**31 else np.int64
    return PairSimilarity(
        indptr.astype(index_type),
        columns.astype(index_type),
        s[source],
        None if weights is None else weights[source],
        n,
    )

"""The least-squares side of matrix pursuit: a masked target, its residual, and the weights of rank-one bits.

The target T and the weight W >= 0 live on pairs g != h (self pairs are masked: weight 0). For bits b_1..b_t with
weights v the model is X = sum_k v_k b_k b_k' and the squared residual ||T - X||_W^2 = sum W (T - X)^2. In v this is
least squares with the t x t Gram matrix G_kl = sum_gh W_gh (b_k b_l)_g (b_k b_l)_h and the right side
r_k = b_k'(W o T)b_k. Both grow by one row a bit, so that no matrix with one row a pair is ever formed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import scipy.sparse as sp

from bqp.forms import Dense, Sparse
from bqp.problem import BQP
from bqp.supervision import Collapse, GroupedSimilarity, MatrixSimilarity, PairSimilarity, Similarity
from bqp.supervision.base import BLOCK_ENTRIES

__all__ = ["MaskedTarget", "least_squares_weights", "merge_groups", "merge_points", "top_eigenvector_signs"]

UNMERGED_UP_TO = 4096  # points; above, every group is merged, whatever its inner target
_EIGH_UP_TO = 400
_CLUSTER = 1e-9  # eigenvalues this close (relative to the largest magnitude) count as one
_LANCZOS_STEPS, _LANCZOS_RESTARTS = 120, 20
_RANK = 1e-12  # eigenvalues of the Gram matrix below this times the largest are zero


def merge_points(S: Similarity, unique: bool, mask_selves: bool = True) -> tuple[Collapse, MaskedTarget]:
    """The points that pursuit works on, and their masked target (not yet scaled).

    With `unique` every group is one point, and every pair with a positive weight counts once (the published mode).
    Otherwise pairs of points keep their weights: the pair (g, h) of merged points weighs the sum of w_ij over i in g,
    j in h, i != j. `mask_selves` gives self pairs the weight 0.
    """
    if isinstance(S, PairSimilarity):
        collapse = S.drop_unknown()
        small = collapse.similarity
        assert isinstance(small, PairSimilarity)
        w = np.ones(len(small.indices)) if small.weights is None else small.weights.copy()
        if mask_selves:
            w[small.rows == small.indices] = 0.0
        return collapse, _SparseTarget(small, np.sign(w) if unique else w)
    if isinstance(S, MatrixSimilarity):
        collapse = S.drop_unknown()
        W = np.ones((S.n, S.n)) if S.W is None else S.W.copy()
        if mask_selves:
            np.fill_diagonal(W, 0.0)
        return collapse, _DenseTarget(S.S.astype(np.float64), np.sign(W) if unique else W)
    assert isinstance(S, GroupedSimilarity)
    collapse = S.collapse("ksh")
    if unique or collapse.similarity.n > max(UNMERGED_UP_TO, S.n_groups):
        collapse = merge_groups(S)
    small = collapse.similarity
    assert isinstance(small, GroupedSimilarity)
    T = small.T.astype(np.float64)[small.groups][:, small.groups]
    V = 1.0 if small.V is None else small.V[small.groups][:, small.groups]
    if unique:
        W = np.sign(V * np.ones_like(T))
        if mask_selves:
            np.fill_diagonal(W, 0.0)
        return collapse, _DenseTarget(T, W, mass=np.ones(len(T)) if small.V is None else None)
    a = np.ones(S.n) if S.weights is None else S.weights
    used = collapse.labels >= 0
    mass = np.bincount(collapse.labels[used], weights=a[used], minlength=small.n)
    selves = np.bincount(collapse.labels[used], weights=a[used] ** 2, minlength=small.n)
    W = np.outer(mass, mass)
    if mask_selves:
        W[np.diag_indices(small.n)] -= selves
    return collapse, _DenseTarget(T, V * W, mass=mass if small.V is None else None)


def merge_groups(S: GroupedSimilarity) -> Collapse:
    """Each group with a known point as one point."""
    known = S.known
    used, labels = np.unique(S.groups[known], return_inverse=True)
    full = np.full(S.n, -1, dtype=np.int32)
    full[known] = labels
    T = S.T[np.ix_(used, used)]
    V = None if S.V is None else S.V[np.ix_(used, used)]
    weights = np.bincount(labels, weights=None if S.weights is None else S.weights[known], minlength=len(used))
    return Collapse(GroupedSimilarity(np.arange(len(used)), T, V, weights.astype(np.float64)), full)


class MaskedTarget(ABC):
    """Targets and weights over pairs of m points, self pairs masked.

    Attributes
    ----------
    n : int
    total : float
        Sum of W: the squared norm of any one bit's b b'.
    """

    n: int
    total: float

    @abstractmethod
    def scale(self, factor: float) -> None:
        """Multiply the target by a factor."""

    @abstractmethod
    def residual(self, B: np.ndarray, v: np.ndarray) -> np.ndarray:
        """W o (T - sum_k v_k b_k b_k') on the stored pairs."""

    @abstractmethod
    def squared_norm(self, residual: np.ndarray) -> float:
        """||T - X||_W^2 from what `residual` returns."""

    @abstractmethod
    def products(self, residual: np.ndarray, y: np.ndarray) -> float:
        """y'(W o R)y."""

    @abstractmethod
    def add_bit(self, residual: np.ndarray, y: np.ndarray, factor: float) -> None:
        """Add factor W o yy' to the residual, in place."""

    @abstractmethod
    def gram_row(self, B: np.ndarray, y: np.ndarray) -> np.ndarray:
        """sum W (b_k y)(b_k y)' for every column of B."""

    @abstractmethod
    def right_side(self, y: np.ndarray) -> float:
        """y'(W o T)y."""

    @abstractmethod
    def problem(self, residual: np.ndarray, sign: float) -> BQP:
        """Minimise -sign y'(W o R)y, its numbers rounded to a grid of 26 bits (see `_on_a_grid`)."""

    @abstractmethod
    def as_operator(self, residual: np.ndarray):
        """The weighted residual as something to multiply with."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes held, the residual included."""


class _DenseTarget(MaskedTarget):
    """Written out: 24 bytes a pair with the residual."""

    def __init__(self, T: np.ndarray, W: np.ndarray, mass: np.ndarray | None = None):
        self.T, self.W, self.mass = T, np.asarray(W, dtype=np.float64), mass
        self.n = len(T)
        self.total = float(self.W.sum())
        if mass is not None:  # W = mass mass' but for its diagonal
            self.off = float(mass.sum()) ** 2 - self.total

    @property
    def nbytes(self):
        return 3 * self.T.nbytes

    def scale(self, factor):
        self.T *= factor

    def residual(self, B, v):
        R = self.T.copy()
        if B.shape[1]:
            codes = B.astype(np.float64)
            R -= (codes * v) @ codes.T
            R = 0.5 * (R + R.T)  # the product is symmetric up to rounding
        R *= self.W
        return R

    def _blocks(self):
        step = max(1, BLOCK_ENTRIES // self.n)
        for a in range(0, self.n, step):
            yield slice(a, a + step)

    def squared_norm(self, residual):
        total = 0.0
        for rows in self._blocks():
            W = self.W[rows]
            R = residual[rows]
            total += float(np.sum(np.divide(R * R, W, out=np.zeros_like(R), where=W > 0)))
        return total

    def products(self, residual, y):
        y = y.astype(np.float64)
        return float(y @ residual @ y)

    def add_bit(self, residual, y, factor):
        y = y.astype(np.float64)
        for rows in self._blocks():
            residual[rows] += factor * self.W[rows] * np.outer(y[rows], y)

    def gram_row(self, B, y):
        if self.mass is not None:
            return (B.T.astype(np.float64) @ (self.mass * y)) ** 2 - self.off
        P = B * y.astype(np.float64)[:, None]
        return np.einsum("ik,ik->k", P, self.W @ P)

    def right_side(self, y):
        y = y.astype(np.float64)
        return float(sum(y[rows] @ ((self.W[rows] * self.T[rows]) @ y) for rows in self._blocks()))

    def problem(self, residual, sign):
        return BQP(Dense(_on_a_grid(-sign * residual, np.abs(residual).sum(axis=1).max()), check=False))

    def as_operator(self, residual):
        return residual


class _SparseTarget(MaskedTarget):
    """On the stored pairs of a `PairSimilarity`."""

    def __init__(self, S: PairSimilarity, w: np.ndarray):
        self.S, self.w = S, w
        self.t = S.targets.astype(np.float64)
        self.n = S.n
        self.rows, self.columns = S.rows, S.indices
        self.total = float(w.sum())

    @property
    def nbytes(self):
        return self.S.nbytes + 3 * self.t.nbytes

    def scale(self, factor):
        self.t *= factor

    def _csr(self, data):
        return sp.csr_array((data, self.S.indices.copy(), self.S.indptr.copy()), shape=(self.n, self.n))

    def _pairs_of(self, y):
        return (y[self.rows] * y[self.columns]).astype(np.float64)  # int8 products of signs are signs

    def residual(self, B, v):
        R = self.t.copy()
        for k in range(B.shape[1]):
            R -= v[k] * self._pairs_of(B[:, k])
        return self.w * R

    def squared_norm(self, residual):
        return float(np.sum(np.divide(residual**2, self.w, out=np.zeros_like(residual), where=self.w > 0)))

    def products(self, residual, y):
        return float(residual @ self._pairs_of(y))

    def add_bit(self, residual, y, factor):
        residual += factor * self.w * self._pairs_of(y)

    def gram_row(self, B, y):
        weighted = self.w * self._pairs_of(y)
        return np.array([float(weighted @ self._pairs_of(B[:, k])) for k in range(B.shape[1])])

    def right_side(self, y):
        return float((self.w * self.t) @ self._pairs_of(y))

    def problem(self, residual, sign):
        largest = abs(self._csr(residual)).sum(axis=1).max()
        return BQP(Sparse(self._csr(_on_a_grid(-sign * residual, largest)), check=False))

    def as_operator(self, residual):
        return self._csr(residual)


def _on_a_grid(values: np.ndarray, row_sum: float) -> np.ndarray:
    """Values as multiples of a power of two of at most 2^-26 times a row sum; integers stay.

    Searches then run on integers: twice as fast, and without sums that drift.
    """
    unit = 2.0 ** (np.ceil(np.log2(max(row_sum, 1e-300))) - 26)
    return values if np.array_equal(values, np.rint(values)) else np.rint(values / unit) * unit


def least_squares_weights(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The least-squares weights of smallest norm: pinv(G) r, which is pinv of the design times the targets."""
    values, vectors = np.linalg.eigh(gram)
    keep = values > _RANK * max(1e-300, float(values[-1]))
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=keep)
    return vectors @ (inverse * (vectors.T @ right))


def top_eigenvector_signs(matrix, start: np.ndarray, tol: float = 1e-10) -> np.ndarray:
    """Signs (int8; 0 codes to -1, as the authors do) of the top eigenvector that is nearest to `start`.

    Where the top eigenvalue is degenerate, LAPACK's answer depends on the build. The projection of `start` on the top
    eigenspace does not: small matrices are decomposed and `start` is projected; larger ones go through Lanczos from
    `start`, whose Krylov space holds no other vector of the top eigenspace. `tol` is relative, for Lanczos only.
    """
    n = matrix.shape[0]
    u = _projected(matrix, start) if n <= _EIGH_UP_TO else _lanczos(matrix, start, tol)
    return np.where(u > _CLUSTER * np.abs(u).max(), 1, -1).astype(np.int8)


def _projected(matrix, start: np.ndarray) -> np.ndarray:
    """The projection of `start` on the top eigenspace, by a full decomposition."""
    values, vectors = np.linalg.eigh(matrix.toarray() if sp.issparse(matrix) else matrix)
    top = vectors[:, values >= values[-1] - _CLUSTER * float(np.abs(values).max())]
    return top @ (top.T @ start)


def _lanczos(matrix, start: np.ndarray, tol: float) -> np.ndarray:
    """The same by Lanczos with full orthogonalisation, restarted at its Ritz vector; positive along `start`."""
    u = start / np.linalg.norm(start)
    for _ in range(_LANCZOS_RESTARTS):
        basis = np.empty((_LANCZOS_STEPS, len(start)))
        diagonal, off = np.zeros(_LANCZOS_STEPS), np.zeros(_LANCZOS_STEPS)
        vector, size = u, 0.0
        for k in range(_LANCZOS_STEPS):
            basis[k] = vector
            w = matrix @ vector
            diagonal[k] = vector @ w
            for _ in range(2):  # once is not enough in floats
                w -= basis[: k + 1].T @ (basis[: k + 1] @ w)
            off[k] = np.linalg.norm(w)
            size = max(size, abs(diagonal[k]), off[k])
            if off[k] <= 1e-13 * size:
                break
            vector = w / off[k]
            if k % 10 == 9 and _ritz(diagonal, off, k)[1] <= tol * size:
                break
        s, error = _ritz(diagonal, off, k)
        u = basis[: k + 1].T @ s
        u /= np.linalg.norm(u)
        if error <= tol * size or off[k] <= 1e-13 * size:
            return u if u @ start >= 0 else -u
    return _projected(matrix, start)  # a cluster at the top


def _ritz(diagonal: np.ndarray, off: np.ndarray, k: int) -> tuple[np.ndarray, float]:
    """Top eigenvector of the tridiagonal matrix of steps 0..k, and the residual of its Ritz vector."""
    from scipy.linalg import eigh_tridiagonal

    _, s = eigh_tridiagonal(diagonal[: k + 1], off[:k], select="i", select_range=(k, k))
    return s[:, 0], float(off[k] * abs(s[-1, 0]))

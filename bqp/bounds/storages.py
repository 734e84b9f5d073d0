"""The homogenised matrix in the shape of its problem: written out, sparse, or low rank and groups with a border.

`homogeneous` chooses. Each shape knows its product, the sweeps of the mixing method, and how a dual vector is proven.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from bqp.bounds.definite import CapacitanceProof, lowest_ritz_value, lu_proof
from bqp.bounds.homogeneous import (
    LANCZOS_STEPS,
    Homogeneous,
    dual_bound,
    dual_value,
    homogenise,
    power_of_two,
    repaired,
)
from bqp.errors import ProblemError
from bqp.forms import Form, Grouped, LowRank, Sparse, Sum
from bqp.problem import BQP

__all__ = ["DENSE_UP_TO", "DenseHomogeneous", "SparseHomogeneous", "StructuredHomogeneous", "homogeneous"]

DENSE_UP_TO = 12_000  # spins: a matrix and its factor are 2.3 GB, and take a minute
SPARSE_DENSITY = 0.25  # below it, sweeps over CSR rows beat products of blocks
_ORDER_COST = 150  # SuperLU is worth its slower loops from this many spins for each entry of a mean row
_ALONE_UP_TO = 500  # negative diagonals that get a column of their own
_EPS = np.finfo(np.float64).eps


def homogeneous(problem: BQP, *, dense_up_to: int = DENSE_UP_TO) -> Homogeneous:
    """The homogenised matrix in the problem's own shape.

    Parameters
    ----------
    problem : BQP
    dense_up_to : int
        Largest dense matrix that may be factorised: A itself, or what is left of a sparse A that fills in, for which
        the widest level of a breadth-first search stands (more than there will be).

    Raises
    ------
    ProblemError
        A dense problem, or a sum of unlike parts, beyond `dense_up_to`; a large sparse one that would fill in.
    """
    spin = problem.to_spin()
    form = spin.Q
    diagonal = form.diagonal()
    constant = spin.offset + float(diagonal.sum())
    parts = form.parts if isinstance(form, Sum) else (form,)
    n = spin.n + bool(spin.c.any())
    if all(isinstance(part, Sparse) for part in parts):
        matrices = [part.Q for part in parts]
        Q = matrices[0] if len(matrices) == 1 else sp.csr_array(sum(matrices))
        return SparseHomogeneous(bordered(Q, diagonal, spin.c), constant, dense_up_to)
    n_columns = sum(_n_columns(part) for part in parts)
    if all(isinstance(part, LowRank | Grouped) for part in parts) and 4 * n_columns < spin.n:
        return StructuredHomogeneous(parts, diagonal, spin.c, constant)
    if n > dense_up_to:
        raise ProblemError(
            f"this bound writes a {form.name} problem like this one out, up to n = {dense_up_to}; it has n = {spin.n}. "
            "Use method='trivial', or reduce the problem first."
        )
    return DenseHomogeneous(*homogenise(spin))


class DenseHomogeneous(Homogeneous):
    """A written out; sparse rows for the sweeps where most entries are zero."""

    def __init__(self, A: np.ndarray, constant: float):
        self.n, self.constant = len(A), constant
        self.scale = power_of_two(float(np.abs(A).max(initial=0.0)))
        self.A = A
        self.A /= self.scale

    def product(self, V):
        return self.A @ V

    def sweeper(self, V, norms):
        if np.count_nonzero(self.A) < SPARSE_DENSITY * self.n**2:
            return _sparse_sweeper(sp.csr_array(self.A), V, norms)
        return _dense_sweeper(self.A.astype(V.dtype, copy=False), V, norms)

    def prove(self, y, rtol=1e-7):
        return dual_bound(self.A, y, rtol)


class SparseHomogeneous(Homogeneous):
    """A as CSR; proofs by a sparse factorisation, or a dense one where that is quicker."""

    def __init__(self, A: sp.csr_array, constant: float, dense_up_to: int):
        self.n, self.constant = A.shape[0], constant
        self.scale = power_of_two(float(np.abs(A.data).max(initial=0.0)))
        A.data /= self.scale
        self.A = A
        self.dense = self.n * max(300, self.n) <= _ORDER_COST * max(2 * self.n, A.nnz) and self.n <= dense_up_to
        if not self.dense and self.width > dense_up_to:
            raise ProblemError(
                f"the sparse matrix (n = {self.n}) would fill in when it is factorised: its levels are {self.width} "
                f"wide, above dense_up_to = {dense_up_to}. Use method='roof_dual' or 'trivial', or reduce the problem."
            )

    @cached_property
    def width(self) -> int:
        """Widest breadth-first level: no dense part of the factor need be larger."""
        from bqp.kernels.levels import level_width

        if self.n == 0:
            return 0
        level = np.full(self.n, -1, dtype=np.int64)
        start = int(np.argmin(np.diff(self.A.indptr)))
        return int(level_width(self.A.indptr, self.A.indices, start, level))

    def product(self, V):
        return np.asarray(self.A @ V)

    def sweeper(self, V, norms):
        return _sparse_sweeper(self.A, V, norms)

    def prove(self, y, rtol=1e-7):
        if self.dense:
            return dual_bound(self.A.toarray(), y, rtol, product=self.product, overwrite=True)
        size = float((abs(self.A) @ np.ones(self.n) + np.abs(y)).max(initial=0.0))

        def proof(shift):
            return lu_proof(sp.csc_array(self.A + sp.diags_array(-y - shift)))

        return repaired(proof, lambda v: self.product(v) - y * v, y, size, rtol)


class StructuredHomogeneous(Homogeneous):
    """Low rank plus groups without their diagonal, and a border; never written out: O(n r) memory."""

    def __init__(self, parts, diagonal: np.ndarray, c: np.ndarray, constant: float):
        groups = [part for part in parts if isinstance(part, Grouped)]
        low_rank = [part for part in parts if isinstance(part, LowRank)]
        n = len(diagonal)
        self.constant, self.bordered = constant, bool(c.any())
        self.n = n + self.bordered
        largest = sum(part.max_abs() for part in parts) + float(np.abs(c).max(initial=0.0)) / 2
        self.scale, self.is_zero = power_of_two(largest), largest == 0.0
        self.order = np.argsort(groups[0].groups, kind="stable") if groups else np.arange(n)
        pieces = [_unit_columns(part, self.scale) for part in low_rank]
        self.n_exact = sum(len(d) for _, d in pieces)
        pieces += [_unit_columns(part.as_low_rank(), self.scale) for part in groups[1:]]  # for the sweeps alone
        self.U = np.zeros(
            (n, sum(len(d) for _, d in pieces)), np.int8 if all(U.dtype == np.int8 for U, _ in pieces) else np.float64
        )
        column = 0
        for U, d in pieces:
            self.U[:, column : column + len(d)] = U[self.order]
            column += len(d)
        self.d = np.concatenate([d for _, d in pieces]) if pieces else np.zeros(0)
        self.grouped = [_unit_groups(part, self.order, self.scale) for part in groups]
        self.groups, self.a, self.M = (
            self.grouped[0] if groups else (np.zeros(0, np.int32), np.zeros(0), np.zeros((0, 0)))
        )
        self.diagonal = diagonal[self.order] / self.scale
        self.border = c[self.order] / 2 / self.scale if self.bordered else np.zeros(0)

    @cached_property
    def _membership(self) -> sp.csr_array:
        n = len(self.groups)
        return sp.csr_array((self.a, self.groups, np.arange(n + 1)), shape=(n, len(self.M)))

    def product(self, V):
        n = len(self.order)
        inner = V[:n][self.order]
        out = np.empty(V.shape)
        mixed = LowRank(self.U, self.d).matvec(inner) if len(self.d) else np.zeros(inner.shape)
        if len(self.M):
            mixed += np.asarray(self._membership @ (self.M @ np.asarray(self._membership.T @ inner)))
        mixed -= (inner.T * self.diagonal).T
        if self.bordered:
            mixed += np.multiply.outer(self.border, V[n])
            out[n] = self.border @ inner
        out[self.order] = mixed
        return out

    def sweeper(self, V, norms):
        from bqp.kernels.mixing import mixing_sweep_structured

        number = V.dtype
        n = len(self.order)
        U, d, a, M = (array.astype(number) for array in (self.U, self.d, self.a, self.M))
        diagonal, border = self.diagonal.astype(number), self.border.astype(number)
        inner = np.concatenate([self.order, np.arange(n, self.n)])

        def sweep(omega: float) -> float:
            mine, mine_norms = V[inner], np.zeros(self.n, number)
            t = (U.T @ mine[:n]) * d[:, None]
            field = np.asarray(M @ (self._membership.T @ mine[:n]).astype(number)) if len(M) else np.zeros_like(t[:0])
            pull = border @ mine[:n] if self.bordered else np.zeros(0, number)
            decrease = mixing_sweep_structured(
                U, d, self.groups, a, M, diagonal, border, mine, t, field, pull, mine_norms, omega
            )
            V[inner], norms[inner] = mine, mine_norms
            return decrease

        return sweep

    def prove(self, y, rtol=1e-7):
        if self.is_zero:
            return 0.0, 0.0
        n, extra = len(self.order), 2 * self.bordered
        sizes = [self.n_exact, *(len(M) for _, _, M in self.grouped), extra]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        S = la.block_diag(np.diag(self.d[: self.n_exact]), *(M for _, _, M in self.grouped), np.eye(extra)[::-1])
        S = S[: starts[-1], : starts[-1]]  # block_diag makes a row of an empty block

        def blocks(a, b):
            W = np.zeros((b - a, starts[-1]))
            stop = min(b, n)
            W[: stop - a, : self.n_exact] = self.U[a:stop, : self.n_exact]
            for start, (groups, weight, _) in zip(starts[1:], self.grouped):
                W[np.arange(stop - a), start + groups[a:stop]] = weight[a:stop]
            if self.bordered:
                W[: stop - a, -1] = self.border[a:stop]
                if b > n:
                    W[-1, -2] = 1.0
            return W

        inner = np.concatenate([self.order, np.arange(n, self.n)])
        # the diagonal was summed from products; what they can have lost is taken from D
        size = np.abs(self.U[:, : self.n_exact].astype(np.float64)) ** 2 @ np.abs(self.d[: self.n_exact])
        for groups, weight, M in self.grouped:
            size += weight**2 * np.abs(M.diagonal())[groups]
        lost = 4.0 * (self.n_exact + len(self.grouped) + 8) * _EPS * float(size.sum())  # its sum is in the constant
        own = -y[inner]
        own[:n] -= self.diagonal
        size = np.abs(y[inner]) + np.concatenate([size, np.zeros(self.n - n)])
        own -= 8.0 * (self.n_exact + len(self.grouped) + 8) * _EPS * size
        proof = CapacitanceProof(blocks, S, self.n)
        value, shift = _repaired_structured(proof, own, lambda v: self.product(v) - y * v, y, rtol)
        return value - lost, shift


def _repaired_structured(
    proof: CapacitanceProof, own: np.ndarray, product: Callable, y: np.ndarray, rtol: float
) -> tuple[float, float]:
    """As `repaired`, for D + W S W' with D = own - shift: what is missing is made up by a multiple of D."""
    n = len(y)
    size = 1.0 + float(np.abs(y).max(initial=0.0) + np.abs(own).max(initial=0.0))  # entries of A are at most 1
    if n == 0:
        return 0.0, 0.0
    total = float(np.abs(y).sum())
    floor = max(rtol * total / n, 64.0 * _EPS * size)
    tiny = 16.0 * _EPS * size
    negative = float(np.sort(own)[_ALONE_UP_TO]) if n > _ALONE_UP_TO else 0.0
    shift = min(0.0, 0.5 * lowest_ritz_value(product, n, LANCZOS_STEPS), negative) - floor
    best, cost = (-np.inf, np.inf), np.inf
    for _ in range(40):
        D = own - shift
        D -= 2.0 * _EPS * np.abs(D)
        held = np.greater(D, tiny)
        alone = np.flatnonzero(~held)
        signs = None
        if len(alone):
            usual = float(np.median(D[held])) if len(alone) < n else abs(shift)
            signs = D[alone] - usual - 2.0 * _EPS * (np.abs(D[alone]) + usual)
            D[alone] = usual
        missing = proof.missing(D, alone if len(alone) else None, signs)
        spent = n * abs(shift) + missing * float(D.sum()) * (1.0 + 4.0 * n * _EPS)
        if spent < cost:
            cost, best = spent, (dual_value(y, -spent, spent), -spent / n)
            if missing * float(D.sum()) <= rtol * total:
                break
        elif np.isfinite(cost):
            break
        shift *= 2.0
    return best


def bordered(Q: sp.csr_array, diagonal: np.ndarray, c: np.ndarray) -> sp.csr_array:
    """Q without its diagonal, and c / 2 as one more row and column where there is a linear term; a fresh matrix."""
    entry = Q.tocoo()
    off = entry.row != entry.col
    row, column, data = entry.row[off], entry.col[off], entry.data[off]
    n = len(c)
    linear = np.flatnonzero(c)
    if len(linear):
        last = np.full(len(linear), n)
        row, column = np.concatenate([row, linear, last]), np.concatenate([column, last, linear])
        data = np.concatenate([data, c[linear] / 2, c[linear] / 2])
        n += 1
    A = sp.csr_array((data, (row, column)), shape=(n, n))
    A.sort_indices()
    return A


def _n_columns(part: Form) -> int:
    return part.rank if isinstance(part, LowRank) else part.n_groups if isinstance(part, Grouped) else part.n


def _unit_columns(part: LowRank, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """U with columns of largest entry about 1 (int8 stays as it is) and the weights that go with it, over `scale`."""
    if part.U.dtype == np.int8:
        return part.U, part.d / scale
    unit = np.array([power_of_two(float(np.abs(column).max(initial=0.0))) for column in part.U.T])
    return part.U.astype(np.float64) / unit, part.d * unit / scale * unit


def _unit_groups(part: Grouped, order: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels in the given order, weights of at most about 1, the matrix over the groups that occur, over `scale`."""
    present, labels = np.unique(part.groups, return_inverse=True)
    weight = np.ones(part.n) if part.a is None else part.a
    unit = power_of_two(float(np.abs(weight).max(initial=0.0)))
    M = part.M[np.ix_(present, present)] * unit / scale * unit
    return labels[order].astype(np.int32), weight[order] / unit, M


def _dense_sweeper(A: np.ndarray, V: np.ndarray, norms: np.ndarray) -> Callable[[float], float]:
    """Products of blocks of rows by BLAS, and the blocks' own triangles by the kernel."""
    from bqp.kernels.mixing import mixing_block

    size = 64
    products, changes = np.empty((size, V.shape[1]), V.dtype), np.empty((size, V.shape[1]), V.dtype)

    def sweep(omega: float) -> float:
        decrease = 0.0
        for a in range(0, len(A), size):
            rows = A[a : a + size]
            G = products[: len(rows)]
            np.matmul(rows, V, out=G)
            decrease += mixing_block(A, G, V, changes, norms, a, omega)
        return decrease

    return sweep


def _sparse_sweeper(A: sp.csr_array, V: np.ndarray, norms: np.ndarray) -> Callable[[float], float]:
    from bqp.kernels.mixing import mixing_sweep_sparse

    data = A.data.astype(V.dtype)
    return lambda omega: mixing_sweep_sparse(A.indptr, A.indices, data, V, norms, omega)

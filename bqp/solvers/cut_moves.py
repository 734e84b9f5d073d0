"""Moves by maximum flows: the optimum of a balanced block given the rest, and the fusion of two assignments."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from bqp.flow import Network, Roof, maximum_flow, quantise

__all__ = ["CutMoves"]

_TOTAL_BITS = 51  # products of rows are in float64
_LOOKS = 20  # couplings looked at, for each that a block may have


class CutMoves:
    """The numbers of ``sum h_i x_i + sum over pairs J_ij x_i x_j``, whole, shared by all walks.

    Parameters
    ----------
    J : csr_array of shape (n, n)
        Symmetric, zero diagonal, sorted indices.
    h : ndarray of shape (n,)
    block_size : int
        Variables of a block, at most.
    """

    def __init__(self, J: sp.csr_array, h: np.ndarray, block_size: int):
        self.n, self.block_size = len(h), min(block_size, len(h))
        self.indptr, self.indices = J.indptr, J.indices
        (self.J, self.h), _, _ = quantise(J.data, np.asarray(h, dtype=np.float64), total_bits=_TOTAL_BITS)
        self.max_looks = max(100_000, _LOOKS * self.block_size)

    def start(self, x: np.ndarray, rng: np.random.Generator) -> Course:
        """A course of moves from `x` on."""
        return Course(self, x, rng)


def _row_of_each(indptr: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(indptr) - 1), indptr[1:] - indptr[:-1])


class Course:
    """Where one walk stands, and its moves; ``x`` never gets worse (in the whole numbers)."""

    def __init__(self, moves: CutMoves, x: np.ndarray, rng: np.random.Generator):
        self.moves, self.x, self.rng = moves, x.astype(np.int8), rng
        n = moves.n
        self.gauge, self.seen, self.place = np.zeros(n, np.int8), np.zeros(n, np.bool_), np.zeros(n, np.int64)
        self.frontier, self.block = np.empty(n, np.int64), np.empty(n, np.int64)
        self.state = np.array([rng.integers(1, 2**63)], dtype=np.uint64)

    def fields(self) -> np.ndarray:
        m = self.moves
        return m.h + (sp.csr_array((m.J, m.indices, m.indptr), shape=(m.n, m.n)) @ self.x.astype(np.int64))

    def _gain(self, members: np.ndarray, new: np.ndarray, pairs: tuple[np.ndarray, ...]) -> int:
        """Energy before minus energy after giving `members` new values."""
        old = self.x[members].astype(np.int64)
        new = new.astype(np.int64)
        indptr, indices, inner, outside = pairs
        rows = _row_of_each(indptr)
        before = int(outside @ old) + int(inner @ (old[rows] * old[indices])) // 2
        return before - int(outside @ new) - int(inner @ (new[rows] * new[indices])) // 2

    def cut_block(self) -> bool:
        """Give a fresh balanced block its optimum; returns whether the energy fell."""
        from bqp.kernels.balanced import block_network, grow_balanced

        m = self.moves
        size = grow_balanced(
            m.indptr, m.indices, m.J, self.gauge, self.seen, self.frontier, self.block, self.state, m.block_size,
            m.max_looks,
        )  # fmt: skip
        members = np.sort(self.block[:size])
        n_arcs = int((m.indptr[members + 1] - m.indptr[members]).sum())
        indptr, indices = np.empty(size + 1, m.indptr.dtype), np.empty(n_arcs, m.indices.dtype)
        capacity, excess = np.empty(n_arcs, np.int64), np.empty(size, np.int64)
        arcs = block_network(
            m.indptr, m.indices, m.J, m.h, self.x, self.gauge, members, self.place, indptr, indices, capacity, excess
        )
        gauge = self.gauge[members]
        network = Network.from_pattern(indptr, indices[:arcs], capacity[:arcs], excess)
        flow = maximum_flow(network)
        assert flow is not None
        new = np.where(flow.source_side(), gauge, -gauge).astype(np.int8)
        rows = _row_of_each(indptr)
        inner = -network.capacity * gauge[rows].astype(np.int64) * gauge[network.indices]
        gain = self._gain(members, new, (indptr, network.indices, inner, -excess * gauge))
        assert gain >= 0, "a cut made its block worse"
        self.x[members] = new
        return gain > 0

    def fuse(self, descended: Callable[[np.ndarray], np.ndarray]) -> bool:
        """Shake a random block, descend, and keep of the change what roof duality decides; whether the energy fell."""
        from bqp.kernels.balanced import grow_balanced

        m = self.moves
        size = grow_balanced(
            m.indptr, m.indices, m.J, self.gauge, self.seen, self.frontier, self.block, self.state,
            max(1, int(self.rng.integers(1, 1 + max(1, m.n // 8)))), m.max_looks,
        )  # fmt: skip
        proposal = self.x.copy()
        proposal[self.block[:size]] *= -1
        proposal = descended(proposal)
        members = np.flatnonzero(proposal != self.x)
        if not len(members):
            return False
        J = sp.csr_array((m.J.astype(np.float64), m.indices, m.indptr), shape=(m.n, m.n))
        inner = sp.csr_array(J[members][:, members])
        inner.sort_indices()
        old = self.x[members].astype(np.float64)
        outside = self.fields()[members] - (inner @ old).astype(np.int64)
        whole = inner.data.astype(np.int64)
        labels = Roof(inner, outside.astype(np.float64)).labels(weak=True)
        decided = np.where(labels != 0, labels, self.x[members]).astype(np.int8)
        pairs = inner.indptr, inner.indices, whole, outside
        gains = [(self._gain(members, new, pairs), k, new) for k, new in enumerate((decided, proposal[members]))]
        gain, _, new = max(gains, key=lambda item: item[:2])
        if gain >= 0:
            self.x[members] = new
        return gain > 0

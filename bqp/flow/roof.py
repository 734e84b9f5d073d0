"""Roof duality: a lower bound by one maximum flow over literals, and the variables that it decides.

P. L. Hammer, P. Hansen, B. Simeone, "Roof duality, complementation and persistency in quadratic 0-1 optimization",
Mathematical Programming 28, 1984; E. Boros, P. L. Hammer, "Pseudo-Boolean optimization", Discrete Applied Mathematics
123, 2002; V. Kolmogorov, C. Rother, "Minimizing nonsubmodular functions with graph cuts - a review", IEEE TPAMI 29,
2007; E. Boros, P. L. Hammer, G. Tavares, "Preprocessing of unconstrained quadratic binary optimization", RUTCOR
Research Report 10-2006 (probing). Ours: all of it in spins, where the network over literals is undirected and the bound
is the trivial one plus a flow; rounding that persistency survives; strong persistencies alone when probing, so that
what all probes find holds at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from bqp.errors import ProblemError
from bqp.flow.backends import Flow, augment, bits_of, maximum_flow
from bqp.flow.network import Network, quantise
from bqp.forms import Dense, Form, Sparse

__all__ = ["MAX_ENTRIES", "Roof", "persistent_labels", "written_out"]

MAX_ENTRIES = 50_000_000
_ROUNDS = 4  # of labels under rounding, each with the penalties of the round before


def written_out(form: Form, purpose: str, instead: str) -> sp.csr_array:
    """Off-diagonal entries of Q as CSR with sorted indices and no zeros, or a ProblemError if they are too many."""
    if isinstance(form, Sparse):
        Q = form.Q
    elif isinstance(form, Dense):
        return _off_diagonal(form.Q)
    elif form.n**2 <= MAX_ENTRIES:
        Q = form.to_sparse()
    else:
        raise ProblemError(
            f"{purpose} must write the pairs out, {form.n**2:.2g} entries here (limit {MAX_ENTRIES:.2g}). {instead}"
        )
    if Q.diagonal().any():
        Q = sp.csr_array(Q - sp.diags_array(Q.diagonal(), format="csr"))
        Q.eliminate_zeros()
    Q.sort_indices()
    return Q


def _off_diagonal(Q: np.ndarray) -> sp.csr_array:
    from bqp.kernels.flow import off_diagonal

    n = len(Q)
    index = np.int32 if n * n < 2**31 else np.int64
    indptr, indices, data = np.zeros(n + 1, index), np.empty(0, index), np.empty(0)
    count = off_diagonal(Q, indptr, indices, data, False)
    indices, data = np.empty(count, index), np.empty(count)
    off_diagonal(Q, indptr, indices, data, True)
    return sp.csr_array((data, indices, indptr), shape=(n, n))


class Roof:
    """The roof dual of ``sum h_i x_i + sum over pairs J_ij x_i x_j`` over spins.

    Parameters
    ----------
    J : csr_array of shape (n, n)
        Symmetric, zero diagonal, sorted indices; each pair counts once.
    h : ndarray of shape (n,)
    backend : str
        As in `bqp.flow.maximum_flow`.
    stopping : callable, optional
        Asked between phases of the flow; `complete` says whether it came to its end.

    Attributes
    ----------
    exact : bool
        Whether the whole numbers of the network are the data.
    complete : bool
    value : float
        A proven lower bound, rounding included (the trivial one if the flow was stopped).

    Notes
    -----
    2 n nodes and twice the arcs of J. Node i stands for x_i = +1, node n + i for x_i = -1; the value is
    ``flow - sum |h| - sum |J|``.
    """

    def __init__(self, J: sp.csr_array, h: np.ndarray, backend: str = "dinic", stopping: Callable | None = None):
        largest, total = bits_of(backend)
        self.n, self.backend, self.stopping = len(h), backend, stopping
        self.indptr, self.indices = J.indptr, J.indices
        # each pair is there twice, and once more among the literals' opposites; h twice
        (self.J, self.h), self.exponent, self.exact = quantise(
            J.data, np.asarray(h, dtype=np.float64), largest_bits=largest, total_bits=total - 2
        )
        self.slack = np.zeros(self.n, np.int64)  # what rounding can change in a flip of each variable, over two
        rounding = 0.0
        if not self.exact:
            off_J = np.abs(np.ldexp(J.data, -self.exponent) - self.J)
            off_h = np.abs(np.ldexp(h, -self.exponent) - self.h)
            sums = np.bincount(np.repeat(np.arange(self.n), np.diff(J.indptr)), weights=off_J, minlength=self.n)
            self.slack = np.ceil((off_h + sums) * (1.0 + 1e-9)).astype(np.int64) + 1
            rounding = float((off_J.sum() / 2.0 + off_h.sum()) * (1.0 + 1e-9)) + 1.0
        network = self._double(self.h)
        flow = maximum_flow(network, backend, stopping)
        self.complete = flow is not None
        self.flow: Flow = flow if flow is not None else Flow(network, 0, network.capacity, network.excess)
        self.base = self.flow.value - int(np.abs(self.h).sum()) - int(np.abs(self.J).sum()) // 2
        self.lost = int(np.ceil(rounding))
        self.value = self.in_energy(self.base)

    def in_energy(self, whole: int) -> float:
        """A whole bound as a float that is not above it, rounding of the data taken off."""
        whole = int(whole) - self.lost
        value = float(whole)
        if int(value) > whole:
            value = float(np.nextafter(value, -np.inf))
        return float(np.ldexp(value, self.exponent))

    conjugate: np.ndarray  # of each arc, the one between the opposite literals

    def _double(self, h: np.ndarray) -> Network:
        from bqp.kernels.flow import double_network

        nnz = len(self.indices)
        indptr, indices = np.empty(2 * self.n + 1, self.indptr.dtype), np.empty(2 * nnz, self.indices.dtype)
        capacity, self.conjugate = np.empty(2 * nnz, np.int64), np.empty(2 * nnz, self.indptr.dtype)
        double_network(self.indptr, self.indices, self.J, indptr, indices, capacity, self.conjugate)
        return Network.from_pattern(indptr, indices, capacity, np.concatenate([-h, h]))

    # ---- labels ------------------------------------------------------------------------------------------------

    def labels(self, weak: bool = False) -> np.ndarray:
        """-1 or +1 for variables that are decided, 0 for the others, shape (n,), int8.

        Strong labels are those of every optimum; weak ones those of some optimum, all at once. Where the data had to
        be rounded, the strong ones are given in either case.
        """
        if not self.complete:
            return np.zeros(self.n, np.int8)
        labels = self._labels(self.flow, weak and self.exact)
        if self.exact or not labels.any():
            return labels
        # Weaken each label by what rounding can be worth; what is still decided, and in the same way, is decided for
        # the data themselves.
        agreed = labels
        for _ in range(_ROUNDS):
            network = self._double(self.h + agreed * self.slack)
            flow = maximum_flow(network, self.backend, self.stopping)
            if flow is None:
                break
            again = self._labels(flow, False)
            if np.all((again == 0) | (again == agreed)):
                return again
            agreed = np.where(again == 0, agreed, again).astype(np.int8)
        return np.zeros(self.n, np.int8)

    def _labels(self, flow: Flow, weak: bool) -> np.ndarray:
        side = flow.source_side()
        labels = side[: self.n].astype(np.int8) - side[self.n :].astype(np.int8)
        if not weak or labels.all():
            return labels
        from bqp.kernels.flow import strong_components

        network = flow.network
        # a flow and its mirror image, added: symmetric, and maximal for twice the capacities
        mirrored = flow.residual[network.reverse[self.conjugate]]
        open_arcs = (flow.residual > 0) | (mirrored > 0)
        component = np.empty(network.n, np.int64)
        strong_components(network.indptr, network.indices, open_arcs, component)
        plus, minus = component[: self.n], component[self.n :]
        free = labels == 0
        labels[free & (plus < minus)] = 1  # the literal nearer the sinks: whatever it leads to is chosen too
        labels[free & (plus > minus)] = -1
        return labels

    # ---- probing -----------------------------------------------------------------------------------------------

    def force(self, i: int, sign: int, residual: np.ndarray, excess: np.ndarray) -> tuple[int, np.ndarray] | None:
        """Fix x_i = sign in a flow's state, in place; returns the gain of the bound (whole) and the labels that follow.

        The labels are strong under the condition. None if stopped on the way.
        """
        from bqp.kernels.flow import reach

        n, network = self.n, self.flow.network
        literal, opposite = (i, n + i) if sign > 0 else (n + i, i)
        big = np.int64(1) << np.int64(61)
        gained = max(0, -int(excess[literal])) + max(0, int(excess[opposite]))
        excess[literal], excess[opposite] = big, -big
        pushed = augment(network, residual, excess, self.stopping)
        if pushed is None:
            return None
        reached, queue = np.zeros(2 * n, np.bool_), np.empty(2 * n, np.int64)
        seeds = np.flatnonzero(excess > 0)
        queue[: len(seeds)] = seeds
        reach(network.indptr, network.indices, residual, reached, queue, len(seeds))
        return gained + pushed, reached[:n].astype(np.int8) - reached[n:].astype(np.int8)


def persistent_labels(J: sp.csr_array, h: np.ndarray, weak: bool = True, backend: str = "dinic") -> np.ndarray:
    """Labels (-1, 0, +1) that roof duality decides for ``sum h_i x_i + sum over pairs J_ij x_i x_j``.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from bqp.flow import persistent_labels
    >>> persistent_labels(sp.csr_array([[0.0, -2.0], [-2.0, 0.0]]), np.array([1.0, 0.0]))
    array([-1, -1], dtype=int8)
    """
    return Roof(J, h, backend).labels(weak)

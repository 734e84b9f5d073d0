"""One call for the maximum flow, whichever library computes it.

Every backend gets a `Network` of whole numbers and gives back its residual capacities, from which the cut is read by a
search here; none is trusted with floats, and none with numbers that it cannot hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bqp.errors import BackendNotFound, BQPError, ParameterError, ProblemError
from bqp.flow.network import TOTAL_BITS, Network

__all__ = ["BACKENDS", "Flow", "bits_of", "check_backend", "maximum_flow"]

BACKENDS = ("dinic", "scipy", "ortools", "networkx")
_SCIPY_BITS = 30  # scipy keeps capacities and flows in 32 bits and returns nonsense above, silently


@dataclass(frozen=True)
class Flow:
    """A maximum flow.

    Attributes
    ----------
    network : Network
    value : int
    residual : ndarray of shape (n_arcs,), int64
        What each arc can still carry.
    excess : ndarray of shape (n,), int64
        What source (> 0) or sink (< 0, negated) can still exchange with each node.
    """

    network: Network
    value: int
    residual: np.ndarray
    excess: np.ndarray

    def source_side(self) -> np.ndarray:
        """The minimum cut with the fewest nodes on the side of the source, (n,) bool; the same for every flow."""
        from bqp.kernels.flow import reach

        n = self.network.n
        reached, queue = np.zeros(n, np.bool_), np.empty(n, np.int64)
        seeds = np.flatnonzero(self.excess > 0)
        queue[: len(seeds)] = seeds
        reach(self.network.indptr, self.network.indices, self.residual, reached, queue, len(seeds))
        return reached


def check_backend(backend: str) -> str:
    """The name itself, or a ParameterError that lists the names, or a BackendNotFound that names the extra."""
    if backend not in BACKENDS:
        raise ParameterError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}.")
    if backend == "ortools":
        _ortools()
    return backend


def bits_of(backend: str) -> tuple[int, int]:
    """How many bits a backend has for one capacity and for the sum of all."""
    return (_SCIPY_BITS, TOTAL_BITS) if backend == "scipy" else (TOTAL_BITS, TOTAL_BITS)


def maximum_flow(network: Network, backend: str = "dinic", stopping: Callable[[], bool] | None = None) -> Flow | None:
    """A maximum flow of `network`.

    Parameters
    ----------
    network : Network
        Left as it is.
    backend : {"dinic", "scipy", "ortools", "networkx"}
        "dinic": Dinic's algorithm here, 64 bits. "scipy": ``scipy.sparse.csgraph.maximum_flow`` (Dinic), capacities
        below 2**30. "ortools": ``SimpleMaxFlow`` (push-relabel), 64 bits, extra ``flow``. "networkx": preflow-push in
        Python integers, two orders of magnitude slower, a reference.
    stopping : callable, optional
        Asked between the phases of "dinic"; the flow is given up, and None returned, once it is True.

    Raises
    ------
    ParameterError
        Unknown backend.
    BackendNotFound
        ortools is not installed.
    ProblemError
        Capacities that the backend cannot hold.

    Notes
    -----
    O(n**2 arcs) at worst, far less in practice. Memory: 8 bytes an arc for the residual, and the backend's own.

    Examples
    --------
    >>> import numpy as np
    >>> from bqp.flow import Network, maximum_flow
    >>> network = Network.from_pairs(3, [0, 1], [1, 2], np.array([5, 2]), np.array([9, 0, -9]))
    >>> flow = maximum_flow(network)
    >>> flow.value, flow.source_side()
    (2, array([ True,  True, False]))
    """
    bits, _ = bits_of(check_backend(backend))
    largest = max(int(network.capacity.max(initial=0)), int(np.abs(network.excess).max(initial=0)))
    if largest >= 2**bits:
        raise ProblemError(
            f"the largest capacity is {largest}, and {backend} holds less than 2**{bits}. Use backend='dinic', or "
            "scale the capacities first (bqp.flow.quantise)."
        )
    if backend == "dinic":
        return _dinic(network, stopping)
    return {"scipy": _scipy, "ortools": _with_ortools, "networkx": _networkx}[backend](network)


def _dinic(network: Network, stopping) -> Flow | None:
    flow = Flow(network, 0, network.capacity.astype(np.int64), network.excess.astype(np.int64))
    value = augment(network, flow.residual, flow.excess, stopping)
    return None if value is None else Flow(network, value, flow.residual, flow.excess)


def augment(network: Network, residual: np.ndarray, excess: np.ndarray, stopping=None) -> int | None:
    """Push what can still be pushed, in place; returns how much, or None if stopped on the way."""
    from bqp.kernels.flow import levels_to_sink, push_phase

    indptr, indices, reverse = network.indptr, network.indices, network.reverse
    level, queue, path = (np.empty(network.n, np.int32) for _ in range(3))
    path = np.empty(network.n, indices.dtype)
    current = np.empty(network.n, indptr.dtype)
    value = 0
    while levels_to_sink(indptr, indices, reverse, residual, excess, level, queue):
        value += int(push_phase(indptr, indices, reverse, residual, excess, level, current, path))
        if stopping is not None and stopping():
            return None
    return value


def _scipy(network: Network) -> Flow:
    from bqp.kernels.flow import with_terminals, without_terminals

    n = network.n
    n_arcs = len(network.indices) + 2 * int(np.count_nonzero(network.excess))
    indptr, indices, data = np.empty(n + 3, np.int32), np.empty(n_arcs, np.int32), np.empty(n_arcs, np.int32)
    with_terminals(network.indptr, network.indices, network.capacity, network.excess, indptr, indices, data)
    graph = sp.csr_array((data, indices, indptr), shape=(n + 2, n + 2))
    flow = sp.csgraph.maximum_flow(graph, n, n + 1, method="dinic").flow
    if not np.array_equal(flow.indices, indices):  # every arc has its reverse beside it, so that scipy adds none
        flow = sp.csr_array(flow)
        flow.sort_indices()
    if not (np.array_equal(flow.indices, indices) and np.array_equal(flow.indptr, indptr)):
        raise BQPError("scipy's flow has other arcs than the graph that it was given. Use backend='dinic'.")
    residual, excess = np.empty(len(network.indices), np.int64), np.zeros(n, np.int64)
    value = without_terminals(indptr, indices, data, flow.data, residual, excess)
    return Flow(network, int(value), residual, excess)


def _rows(network: Network) -> np.ndarray:
    return np.repeat(np.arange(network.n), np.diff(network.indptr))


def _from_net_flow(network: Network, net: np.ndarray, terminal: np.ndarray) -> Flow:
    """From the net flow of each arc, and what each terminal arc carries (n,)."""
    excess = network.excess - np.sign(network.excess) * terminal
    value = int(terminal[network.excess > 0].sum())
    return Flow(network, value, network.capacity - net, excess)


def _ortools():
    try:
        from ortools.graph.python import max_flow
    except ImportError as error:
        raise BackendNotFound("ortools is not installed. Install the extra: pip install 'bqp[flow]'.") from error
    return max_flow


def _with_ortools(network: Network) -> Flow:
    solver = _ortools().SimpleMaxFlow()
    n, m = network.n, len(network.indices)
    ends = np.flatnonzero(network.excess)
    giving = network.excess[ends] > 0
    tail = np.concatenate([_rows(network), np.where(giving, n, ends)]).astype(np.int32)
    head = np.concatenate([network.indices, np.where(giving, ends, n + 1)]).astype(np.int32)
    capacity = np.concatenate([network.capacity, np.abs(network.excess[ends])]).astype(np.int64)
    arcs = solver.add_arcs_with_capacity(tail, head, capacity)
    if not (network.excess > 0).any() or not (network.excess < 0).any():  # a node that no arc touches is unknown to it
        return Flow(network, 0, network.capacity.astype(np.int64), network.excess.astype(np.int64))
    status = solver.solve(n, n + 1)
    if status != solver.OPTIMAL:
        raise BQPError(f"ortools ended with status {status} instead of a maximum flow. Use backend='dinic'.")
    carried = np.asarray(solver.flows(arcs), dtype=np.int64)
    terminal = np.zeros(n, np.int64)
    terminal[ends] = carried[m:]
    return _from_net_flow(network, carried[:m] - carried[:m][network.reverse], terminal)


def _networkx(network: Network) -> Flow:
    import networkx as nx

    n = network.n
    graph = nx.DiGraph()
    graph.add_nodes_from([*range(n), "source", "sink"])
    row = _rows(network).tolist()
    for i, j, capacity in zip(row, network.indices.tolist(), network.capacity.tolist()):
        graph.add_edge(i, j, capacity=capacity)
    for i, excess in enumerate(network.excess.tolist()):
        if excess > 0:
            graph.add_edge("source", i, capacity=excess)
        elif excess < 0:
            graph.add_edge(i, "sink", capacity=-excess)
    _, carried = nx.maximum_flow(graph, "source", "sink", flow_func=nx.algorithms.flow.preflow_push)
    net = np.array([carried[i][j] for i, j in zip(row, network.indices.tolist())], dtype=np.int64)
    terminal = np.array([carried["source"].get(i, 0) + carried[i].get("sink", 0) for i in range(n)], dtype=np.int64)
    return _from_net_flow(network, net - net[network.reverse], terminal)

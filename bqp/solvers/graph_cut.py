"""Graph cut: submodular problems solved exactly by one maximum flow.

P. L. Hammer, "Some network flow problems solved with pseudo-Boolean programming", Operations Research 13, 1965;
V. Kolmogorov, R. Zabih, "What energy functions can be minimized via graph cuts?", IEEE TPAMI 26, 2004.
"""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from bqp.errors import ParameterError, ProblemError
from bqp.forms import Dense, Form, Sparse, sparse_entries
from bqp.problem import BQP
from bqp.solution import Status
from bqp.solvers.base import Solver
from bqp.solvers.walks import prepare

__all__ = ["GraphCut", "minimum_cut", "submodular_gauge"]

_BACKENDS = ("scipy", "networkx")
_LARGEST_CAPACITY = 2**30 - 1  # scipy keeps capacities and flows in 32 bits
_DESCENT_MOVES = 10_000
_MAX_ENTRIES = 50_000_000


class GraphCut(Solver):
    """Minimum of ``x'Qx + c'x`` by max-flow, for Q whose off-diagonal entries are <= 0 (attracting pairs).

    Problems that become so by flipping the sign of some variables (balanced sign patterns, bipartite max-cut among
    them) are recognised and solved too; anything else raises ProblemError.

    Parameters
    ----------
    backend : {"scipy", "networkx"}
        "scipy" runs Dinic's algorithm in 32-bit integers: data are scaled to 30 bits, and the bound says what the
        rounding can cost (nothing for integer data of that size). "networkx" (preflow-push) counts in Python integers
        of any size, exact for all data and two orders of magnitude slower.

    Notes
    -----
    One flow on n + 2 nodes and an edge for each non-zero pair; memory O(nnz). The minimum cut need not be unique: the
    one with the fewest variables on the side of the source (x = +1, before gauge flips) is returned.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> from bqp.solvers import GraphCut
    >>> chain = -np.eye(5, k=1) - np.eye(5, k=-1)
    >>> GraphCut().solve(bqp.BQP(chain, c=[3, 0, 0, 0, -1])).x
    array([-1, -1, -1, -1, -1], dtype=int8)
    """

    name: ClassVar[str] = "graph_cut"
    finish_status: ClassVar[Status] = Status.NUMERICAL

    def __init__(self, backend: str = "scipy"):
        if backend not in _BACKENDS:
            raise ParameterError(f"backend must be one of {', '.join(_BACKENDS)}, got {backend!r}.")
        self.backend = backend

    def _search(self, problem, run, x0, seeds, n_jobs):
        Q = _pairs(problem.Q)
        gauge, conflicts = submodular_gauge(Q)
        if len(conflicts):
            i, j = conflicts[0]
            raise ProblemError(
                f"graph_cut needs pairs that attract (Q_ij <= 0), possibly after flipping variables; "
                f"the pair ({i}, {j}) with Q_ij = {float(Q[i, j]):.6g} closes a cycle that no flipping repairs. "
                "Use solver='tabu_search'."
            )
        # In the gauge x = gauge * y the energy is  sum_{i<j} 2 q_ij y_i y_j + sum u_i y_i  with q_ij <= 0: a pair that
        # is cut pays 4 |q_ij|, and y_i = +1 pays 2 u_i more than y_i = -1.
        upper = sp.triu(Q, k=1).tocoo()
        pair_cost = 4.0 * np.abs(upper.data)
        preference = 2.0 * gauge * problem.c
        run.stats["backend"] = self.backend
        source_side, loss = minimum_cut(problem.n, upper.row, upper.col, pair_cost, preference, self.backend)
        x = (gauge * np.where(source_side, 1, -1)).astype(np.int8)
        if loss == 0.0:
            run.status = Status.OPTIMAL
        run.prove(run.offer(x) - loss)
        if loss > 0.0:  # the cut of rounded capacities need not be a local optimum of the true ones
            walk = prepare(problem).start(x)
            walk.descend_greedy(_DESCENT_MOVES)
            run.offer(walk.x[: problem.n])


def minimum_cut(
    n: int, row: np.ndarray, column: np.ndarray, pair_cost: np.ndarray, preference: np.ndarray, backend: str = "scipy"
) -> tuple[np.ndarray, float]:
    """The cut of n nodes that minimises ``sum of pair_cost over cut pairs + sum of preference over the source side``.

    Parameters
    ----------
    n : int
    row, column : ndarrays of shape (m,), int
        The pairs, each once.
    pair_cost : ndarray of shape (m,), float64
        What a pair pays when it is cut, at least 0.
    preference : ndarray of shape (n,), float64
        What a node pays for lying on the source side, of either sign.
    backend : {"scipy", "networkx"}
        As in `GraphCut`.

    Returns
    -------
    source_side : ndarray of shape (n,), bool
        The minimum cut with the fewest nodes on the source side.
    loss : float
        How far its value can lie above the minimum, because of rounding.
    """
    cut = _scipy_cut if backend == "scipy" else _networkx_cut
    return cut(n, row, column, pair_cost, preference)


def submodular_gauge(Q: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Signs g with g_i g_j Q_ij <= 0 for every pair, found along a spanning forest.

    Returns
    -------
    gauge : ndarray of shape (n,), int8
    conflicts : ndarray of shape (m, 2), int
        Pairs that violate it; empty exactly when the problem is submodular after flipping signs.
    """
    n = Q.shape[0]
    gauge = np.ones(n, np.int8)
    if not (Q.data > 0).any():
        return gauge, np.empty((0, 2), np.int64)
    _, component = sp.csgraph.connected_components(Q, directed=False)
    _, roots = np.unique(component, return_index=True)
    entry = Q.tocoo()
    tail = np.concatenate([entry.row, np.full(len(roots), n)])  # one more node joins the components: one search
    pattern = sp.csr_array((np.ones(len(tail)), (tail, np.concatenate([entry.col, roots]))), shape=(n + 1, n + 1))
    order, parent = sp.csgraph.breadth_first_order(pattern, n, directed=False)
    inner = order[1:][parent[order[1:]] != n]
    sign = np.where(sparse_entries(Q, parent[inner], inner) > 0, -1, 1)
    for node, above, s in zip(inner.tolist(), parent[inner].tolist(), sign.tolist()):
        gauge[node] = gauge[above] * s
    bad = np.flatnonzero(gauge[entry.row] * gauge[entry.col] * entry.data > 0)
    return gauge, np.column_stack([entry.row[bad], entry.col[bad]])


def _pairs(form: Form) -> sp.csr_array:
    """Off-diagonal entries as CSR."""
    if isinstance(form, Sparse):
        Q = form.Q
    elif isinstance(form, Dense):
        Q = sp.csr_array(form.Q.astype(np.float64))
    elif form.n**2 <= _MAX_ENTRIES:
        Q = form.to_sparse()
    else:
        raise ProblemError(
            f"graph_cut must write the pairs out, {form.n**2:.2g} entries here (limit {_MAX_ENTRIES:.2g}). "
            "Use solver='coordinate_descent' on structured problems of this size."
        )
    Q = sp.csr_array(Q - sp.diags_array(Q.diagonal(), format="csr"))
    Q.eliminate_zeros()
    Q.sort_indices()
    return Q


def _scipy_cut(n, row, column, pair_cost, preference) -> tuple[np.ndarray, float]:
    """`minimum_cut` by Dinic's algorithm on capacities of 30 bits."""
    source, sink = n, n + 1
    up = np.flatnonzero(preference < 0)  # y_i = +1 preferred: an edge from the source
    down = np.flatnonzero(preference > 0)
    tail = np.concatenate([row, column, np.full(len(up), source), down])
    head = np.concatenate([column, row, up, np.full(len(down), sink)])
    cost = np.concatenate([pair_cost, pair_cost, -preference[up], preference[down]])
    largest = cost.max(initial=0.0)
    if largest == 0.0:
        return np.zeros(n, bool), 0.0
    scale = _exact_scale(cost, largest)
    capacity = np.floor(cost * scale)
    keep = capacity > 0
    graph = sp.csr_array((capacity[keep].astype(np.int32), (tail[keep], head[keep])), shape=(n + 2, n + 2))
    flow = sp.csgraph.maximum_flow(graph, source, sink, method="dinic").flow
    residual = sp.csr_array(graph - flow)
    residual.data[residual.data < 0] = 0
    residual.eliminate_zeros()
    reached = sp.csgraph.breadth_first_order(residual, source, directed=True, return_predecessors=False)
    source_side = np.zeros(n + 2, bool)
    source_side[reached] = True
    # Rounding down costs each edge less than one unit, and a cut holds each undirected pair once.
    lost = float((cost * scale - capacity)[len(row) :].sum()) / scale
    return source_side[:n], lost


def _exact_scale(cost: np.ndarray, largest: float) -> float:
    """A power of two that makes all costs integers below 2**30, or the largest that keeps them below it."""
    scale = 2.0 ** (30 - np.frexp(largest)[1])
    while scale > 1.0 and np.array_equal(cost * (scale / 2), np.rint(cost * (scale / 2))):
        scale /= 2
    if largest * scale > _LARGEST_CAPACITY:
        scale /= 2
    return scale


def _networkx_cut(n, row, column, pair_cost, preference) -> tuple[np.ndarray, float]:
    """`minimum_cut`, exact for all floats: capacities are integers over their common denominator."""
    import networkx as nx

    costs = [Fraction(float(value)) for value in np.concatenate([pair_cost, np.abs(preference)])]
    denominator = max((value.denominator for value in costs), default=1)  # powers of two: the largest is common
    whole = [int(value * denominator) for value in costs]
    graph = nx.DiGraph()
    graph.add_nodes_from([*range(n), "source", "sink"])
    for i, j, capacity in zip(row.tolist(), column.tolist(), whole):
        graph.add_edge(i, j, capacity=capacity)
        graph.add_edge(j, i, capacity=capacity)
    for i, capacity in enumerate(whole[len(row) :]):
        if preference[i] < 0:
            graph.add_edge("source", i, capacity=capacity)
        elif preference[i] > 0:
            graph.add_edge(i, "sink", capacity=capacity)
    _, (reachable, _) = nx.minimum_cut(graph, "source", "sink", flow_func=nx.algorithms.flow.preflow_push)
    source_side = np.zeros(n, bool)
    source_side[[node for node in reachable if isinstance(node, int)]] = True
    return source_side, 0.0


def is_submodular(problem: BQP) -> bool:
    """Whether graph_cut takes this spin problem (looks at written-out or sparse pairs only)."""
    return len(submodular_gauge(_pairs(problem.Q))[1]) == 0

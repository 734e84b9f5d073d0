"""Graph cut: submodular problems solved exactly by one maximum flow, others by roof duality and cuts of blocks.

P. L. Hammer, "Some network flow problems solved with pseudo-Boolean programming", Operations Research 13, 1965;
V. Kolmogorov, R. Zabih, "What energy functions can be minimized via graph cuts?", IEEE TPAMI 26, 2004; C. Rother,
V. Kolmogorov, V. Lempitsky, M. Szummer, "Optimizing binary MRFs via extended roof duality", CVPR 2007 (probing and
improving); V. Lempitsky, C. Rother, S. Roth, A. Blake, "Fusion moves for Markov random field optimization", IEEE TPAMI
32, 2010.
Ours: blocks are grown so that one cut finds their optimum, given the rest; the papers take any block and what roof
duality decides of it, which here is done for proposals (the places where two assignments differ).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from bqp.errors import ParameterError
from bqp.flow import Network, Roof, check_backend, maximum_flow, quantise, written_out
from bqp.flow.backends import bits_of
from bqp.flow.probing import probe
from bqp.forms import Sparse
from bqp.forms.sparse import sparse_entries
from bqp.problem import BQP
from bqp.reductions.persistency import merge_and_fix
from bqp.rounding import evaluation_rounding
from bqp.solution import Status
from bqp.solvers.base import Solver, check_count
from bqp.solvers.cut_moves import CutMoves
from bqp.solvers.run import WalkResult, run_walks
from bqp.solvers.walks import prepare

__all__ = ["GraphCut", "is_submodular", "minimum_cut", "submodular_gauge"]

_DESCENT_MOVES = 10_000
_ROOF_ENTRIES = 8_000_000  # above: no roof dual, whose network has twice the arcs
_PROBING_EFFORT = 500_000_000  # arcs, some half a second
_PROBING_ROUNDS = 6
_INSTEAD = "Use solver='coordinate_descent' on structured problems of this size."


class GraphCut(Solver):
    """Minimum of ``x'Qx + c'x`` by max-flow: exact where one cut is, roof duality and block moves elsewhere.

    Where all pairs attract (off-diagonal Q <= 0), or do so after flipping the sign of some variables (balanced sign
    patterns, bipartite max-cut among them), one cut gives the optimum. Otherwise the roof dual gives a bound and fixes
    the variables that it decides, probing fixes and merges more, and cuts improve what is left: a block of variables
    that is balanced gets its optimum given the rest, and two assignments are fused where they differ.

    Parameters
    ----------
    backend : {"dinic", "scipy", "ortools", "networkx"}
        Of the one cut and of the roof dual, see `bqp.flow.maximum_flow`. "dinic" (here) and "ortools" hold 59 bits,
        "scipy" 30: data that do not fit are rounded, and the bound says what that can cost (nothing for integers of
        that size). "networkx" counts in Python integers for one cut, exact for all data.
    probing : bool
        Whether to fix each variable both ways and keep what follows either way, as far as half a second of it goes.
    block_size : int
        Variables of a block, at most.
    stall : int
        Cuts without gain after which a walk ends.
    n_restarts : int, optional
        Walks; default 4, or as many as the time or moves allow.

    Notes
    -----
    One flow on n + 2 nodes and an edge for each non-zero pair, twice that for the roof dual; memory O(nnz). The minimum
    cut need not be unique: the one with the fewest variables on the side of the source (x = +1, before gauge flips) is
    returned. A move is a cut of a block or a fusion. The status is OPTIMAL when one cut was exact, when everything is
    decided, or when the bound meets the energy.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> from bqp.solvers import GraphCut
    >>> chain = -np.eye(5, k=1) - np.eye(5, k=-1)
    >>> GraphCut().solve(bqp.BQP(chain, c=[3, 0, 0, 0, -1])).x
    array([-1, -1, -1, -1, -1], dtype=int8)
    >>> triangle = bqp.BQP(np.ones((3, 3)) - np.eye(3), c=[4, 1, 0])  # frustrated
    >>> GraphCut().solve(triangle).status
    <Status.OPTIMAL: 'optimal'>
    """

    name: ClassVar[str] = "graph_cut"

    def __init__(
        self,
        backend: str = "dinic",
        probing: bool = True,
        block_size: int = 4000,
        stall: int = 40,
        n_restarts: int | None = None,
    ):
        self.backend = check_backend(backend)
        if not isinstance(probing, bool):
            raise ParameterError(f"probing must be True or False, got {probing!r}.")
        self.probing = probing
        self.block_size, self.stall = check_count("block_size", block_size), check_count("stall", stall)
        self.n_restarts = None if n_restarts is None else check_count("n_restarts", n_restarts)

    def _search(self, problem, run, x0, seeds, n_jobs):
        Q = written_out(problem.Q, "graph_cut", _INSTEAD)
        run.stats["backend"] = self.backend
        gauge, conflicts = submodular_gauge(Q)
        if len(conflicts):
            self._search_frustrated(problem, Q, run, x0, seeds, n_jobs)
        else:
            self._cut_once(problem, Q, gauge, run)

    # ---- one cut -----------------------------------------------------------------------------------------------

    def _cut_once(self, problem, Q, gauge, run) -> None:
        # In the gauge x = gauge * y the energy is  sum_{i<j} 2 q_ij y_i y_j + sum u_i y_i  with q_ij <= 0: a pair that
        # is cut pays 4 |q_ij|, and y_i = +1 pays 2 u_i more than y_i = -1.
        preference = 2.0 * gauge * problem.c
        if self.backend == "networkx":
            upper = sp.triu(Q, k=1).tocoo()
            side, loss = _networkx_cut(problem.n, upper.row, upper.col, 4.0 * np.abs(upper.data), preference)
        else:
            found = _cut(Q.indptr, Q.indices, 4.0 * np.abs(Q.data), preference, self.backend, lambda: run.stopping)
            if found is None:
                return
            side, loss = found
        x = (gauge * np.where(side, 1, -1)).astype(np.int8)
        run.status = Status.OPTIMAL if loss == 0.0 else Status.NUMERICAL
        run.prove(run.offer(x) - loss)
        if loss > 0.0:  # the cut of rounded capacities need not be a local optimum of the true ones
            run.offer(_descended(problem, x))

    # ---- frustrated problems -----------------------------------------------------------------------------------

    def _search_frustrated(self, problem, Q, run, x0, seeds, n_jobs) -> None:
        offset = problem.offset + float(problem.Q.diagonal().sum())
        part = BQP.from_energy(Sparse(Q, check=False), problem.c, offset, "spin", problem.sense)
        lift, restrict, constant = _same, _same, 0.0
        if len(Q.data) <= _ROOF_ENTRIES:
            part, lift, restrict, constant = self._reduce(part, run)
            if part is None:
                return
        inner = None if x0 is None else restrict(x0)
        moves = CutMoves(_pairs(part), part.c, self.block_size)
        storage = prepare(part)

        def descended(x: np.ndarray) -> np.ndarray:
            walk = storage.start(x)
            walk.sink(np.iinfo(np.int64).max, lambda: run.stopping, [0])
            return walk.x[: part.n].copy()

        def walk(k, rng, cap, abort):
            made, idle, x = 0, 0, np.ones(part.n, np.int8)
            with run.catching_interrupts():
                x = inner if k == 0 and inner is not None else rng.choice(np.array([-1, 1], np.int8), part.n)
                x = descended(x)
                course = moves.start(x, rng)
                while idle < self.stall and (cap is None or made < cap) and not abort():
                    gained = course.cut_block() if made % 4 < 3 else course.fuse(descended)
                    x = course.x
                    made += 1
                    idle = 0 if gained else idle + 1
                    if run.callback is not None:
                        run.offer(lift(x))
                    run.tick(made)
                x = descended(x)
            energy = constant + float(part.energy(x))
            return WalkResult(lift(x), energy, made, idle >= self.stall)

        walks = self.n_restarts or (None if run.budget.is_open_ended else 4)
        run_walks(run, walk, seeds, n_jobs, walks)
        if run.status is None and run.lower_bound < run.energy:
            run.status = Status.LOCAL_OPTIMUM

    def _reduce(self, problem, run):
        """``(part, lift, restrict, constant)`` after roof duality and probing; part None: nothing is left to do."""
        part, constant, lift, restrict = problem, 0.0, _same, _same
        stopping = lambda: run.stopping  # noqa: E731
        keep_all = run.n_solutions > 1  # what is decided in some optimum only would lose the others
        n_fixed, n_rounds = 0, _PROBING_ROUNDS if self.probing else 0
        while True:
            roof = Roof(_pairs(part), part.c, self.backend, stopping)
            base = constant + part.offset + float(part.Q.diagonal().sum())  # a merge leaves a diagonal
            run.prove(base + roof.value)
            if not roof.complete:
                return part, lift, restrict, constant
            labels = roof.labels(weak=not keep_all)
            if labels.all():
                run.prove(run.offer(lift(labels)))
                run.status = Status.OPTIMAL
                return None, lift, restrict, constant
            guess = np.where(labels != 0, labels, 1).astype(np.int8)
            run.offer(lift(_descended(part, guess)))
            leader, sign = np.arange(part.n), np.ones(part.n, np.int8)
            if n_rounds > 0 and not run.stopping and not keep_all:
                n_rounds -= 1
                found = probe(
                    roof,
                    roof.labels(),
                    run.energy + evaluation_rounding(run.problem) - base,
                    _PROBING_EFFORT // _PROBING_ROUNDS,
                    stopping,
                )
                run.prove(base + found.value)
                if found.labels.any() or np.any(found.leader != leader):
                    labels, leader, sign = found.labels, found.leader, found.sign
                else:
                    n_rounds = 0
            if labels.all():  # by probing: in every optimum
                run.prove(run.offer(lift(labels)))
            if labels.all() or run.lower_bound >= run.energy:
                run.status = Status.OPTIMAL
                return None, lift, restrict, constant
            reduced = None if keep_all else merge_and_fix(part, labels, leader, sign)
            run.stats["n_fixed"] = n_fixed = n_fixed + (0 if reduced is None else part.n - reduced.parts[0].n)
            if reduced is None or run.stopping:
                return part, lift, restrict, constant
            lift, restrict = _lifted(lift, reduced.lift), _restricted(restrict, reduced.restrict)
            constant += reduced.constant
            part = reduced.parts[0]
            if n_rounds == 0 and not np.any(leader != np.arange(len(leader))):
                return part, lift, restrict, constant


def _pairs(part: BQP) -> sp.csr_array:
    """J_ij = 2 Q_ij of each pair of a sparse problem."""
    return sp.csr_array(written_out(part.Q, "graph_cut", _INSTEAD) * 2.0)


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _lifted(outer, inner):
    return lambda x: outer(inner([x]))


def _restricted(outer, inner):
    return lambda x: inner(outer(x))[0]


def _descended(problem: BQP, x: np.ndarray) -> np.ndarray:
    walk = prepare(problem).start(x)
    walk.descend_greedy(_DESCENT_MOVES)
    return walk.x[: problem.n].copy()


def minimum_cut(
    n: int, row: np.ndarray, column: np.ndarray, pair_cost: np.ndarray, preference: np.ndarray, backend: str = "dinic"
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
    backend : {"dinic", "scipy", "ortools", "networkx"}
        As in `GraphCut`.

    Returns
    -------
    source_side : ndarray of shape (n,), bool
        The minimum cut with the fewest nodes on the source side.
    loss : float
        How far its value can lie above the minimum, because of rounding.
    """
    if check_backend(backend) == "networkx":
        return _networkx_cut(n, row, column, pair_cost, preference)
    half = sp.coo_array((np.asarray(pair_cost, dtype=np.float64), (row, column)), shape=(n, n)).tocsr()
    both = sp.csr_array(half + half.T)
    both.sort_indices()
    found = _cut(both.indptr, both.indices, both.data, np.asarray(preference, dtype=np.float64), backend)
    assert found is not None
    return found


def _cut(indptr, indices, pair_cost, preference, backend, stopping=None) -> tuple[np.ndarray, float] | None:
    """`minimum_cut` on a symmetric pattern; None if stopped."""
    largest, total = bits_of(backend)
    (capacity, excess), exponent, exact = quantise(pair_cost, preference, largest_bits=largest, total_bits=total)
    flow = maximum_flow(Network.from_pattern(indptr, indices, capacity, -excess), backend, stopping)
    if flow is None:
        return None
    loss = 0.0
    if not exact:  # a cut holds each pair once; what it gains and the minimum loses by rounding adds up to this
        off = np.abs(np.ldexp(pair_cost, -exponent) - capacity).sum() / 2.0
        off += np.abs(np.ldexp(preference, -exponent) - excess).sum()
        loss = float(np.ldexp(off * (1.0 + 1e-9) + 1e-3, exponent))
    return flow.source_side(), loss


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


def _networkx_cut(n, row, column, pair_cost, preference) -> tuple[np.ndarray, float]:
    """`minimum_cut`, exact for all floats: capacities are Python integers over their common denominator."""
    from fractions import Fraction

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
    """Whether one cut solves this spin problem (looks at written-out or sparse pairs only)."""
    return len(submodular_gauge(written_out(problem.Q, "graph_cut", _INSTEAD))[1]) == 0

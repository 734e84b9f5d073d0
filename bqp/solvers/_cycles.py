"""Branch and cut on odd cycles: the proof behind `Exact` for sparse problems.

F. Barahona, M. Juenger, G. Reinelt, "Experiments in quadratic 0-1 programming", Mathematical Programming 44, 1989;
C. De Simone, M. Diehl, M. Juenger, P. Mutzel, G. Reinelt, G. Rinaldi, "Exact ground states of Ising spin glasses: new
experimental results with a branch-and-cut algorithm", Journal of Statistical Physics 80, 1995. As there, a node fixes
edges (whether their ends are equal), reduced costs fix more, and edges whose ends are joined by fixed ones follow. One
linear program serves all nodes, from the last basis, so that the tree is the same for any number of threads.
"""

from __future__ import annotations

import hashlib
import heapq
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph

from bqp.bounds.odd_cycles import CycleRelaxation, sparse_homogeneous
from bqp.problem import BQP
from bqp.solution import Status
from bqp.solvers._checkpoint import read_checkpoint, require_place, save_checkpoint
from bqp.solvers._frontier import Frontier
from bqp.solvers._tree import first_incumbent
from bqp.solvers.run import Run

__all__ = ["search_cycles"]

_FREE = -1
_ANNEAL_FROM = 150  # variables
_START_MOVES = 3000  # of the annealing before the tree, times n
_SAVE_EVERY = 5.0  # seconds
_LOOK_BACK = 5  # rounds over which progress is judged
_WORTH = 0.04  # part of the gap that these rounds must close: else branching is cheaper
_ROUND_EVERY = 4  # rounds between two assignments made from x
_FORMAT = "bqp branch and cut, version 1"


@dataclass(order=True)
class _Node:
    """Edges fixed to 0 (ends equal) or 1 (ends differ), -1 for free; `bound` is proven for z'Az."""

    bound: float
    number: int
    fixed: np.ndarray


def search_cycles(
    problem: BQP, run: Run, x0, seeds: np.random.SeedSequence, n_jobs: int, rtol: float, checkpoint: Path | None
) -> None:
    """Prove the optimum of a sparse spin problem, or stop with the best assignment and the least open bound.

    Parameters are those of `bqp.solvers._tree.search_tree`; a node counts as a move. Threads work on the first
    assignment only.
    """
    if checkpoint is not None:
        require_place(checkpoint)
    start_seed, tree_seed = (int(child.generate_state(1)[0]) for child in seeds.spawn(2))
    tree = _Tree(problem, run, rtol, np.random.default_rng(tree_seed))
    if checkpoint is not None and checkpoint.exists():
        tree.load(checkpoint)
    else:
        _first_incumbent(problem, run, x0, start_seed, n_jobs)
        tree.push(tree.root())
        tree.prove()
    if run.budget.target is not None and run.energy <= run.budget.target:
        run.stop(Status.TARGET_REACHED)
    saved = time.perf_counter()
    try:
        while tree.is_open and not run.stopping:
            if run.moves_left == 0:
                run.stop(Status.MAX_MOVES)
                break
            tree.step()
            run.tick()
            if run.budget.target is not None and run.energy <= run.budget.target and tree.is_open:
                run.stop(Status.TARGET_REACHED)
            if checkpoint is not None and time.perf_counter() - saved > _SAVE_EVERY:
                save_checkpoint(checkpoint, tree.arrays())
                saved = time.perf_counter()
    finally:
        run.stats.update(tree.statistics())
        if checkpoint is not None and tree.is_open:
            save_checkpoint(checkpoint, tree.arrays())
    if not tree.is_open:
        tree.close()
        if run.status is not Status.STOPPED:
            run.status = Status.OPTIMAL
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)


def _first_incumbent(problem: BQP, run: Run, x0, seed: int, n_jobs: int) -> None:
    """Annealing of a moment, which goes further than tabu search on large sparse problems."""
    if problem.n < _ANNEAL_FROM:
        return first_incumbent(problem, run, x0, seed, n_jobs)
    from bqp.solvers.simulated_annealing import SimulatedAnnealing

    left = None if run.budget.time_limit is None else max(0.0, 0.25 * (run.budget.time_limit - run.elapsed))
    found = SimulatedAnnealing().solve(
        problem, time_limit=left, max_moves=_START_MOVES * problem.n, target=run.budget.target, x0=x0, rng=seed,
        n_jobs=n_jobs,
    )  # fmt: skip
    run.offer(found.x)
    if found.status is Status.STOPPED:
        run.stop(Status.STOPPED)


class _Tree(Frontier):
    """A search over the edges of the homogenised graph."""

    def __init__(self, problem: BQP, run: Run, rtol: float, rng: np.random.Generator):
        self.A, constant = sparse_homogeneous(problem)
        super().__init__(problem, run, constant, float(np.abs(self.A.data).max(initial=0.0)), rtol)
        self.relaxation = CycleRelaxation(self.A, rng)
        self.held: _Node | None = None  # the node in work
        self.fixed_by_cost = 0

    # ---- assignments -------------------------------------------------------------------------------------------

    def assignment(self, z: np.ndarray) -> np.ndarray:
        n = self.problem.n
        return (z[:n] * z[n]).astype(np.int8) if len(z) > n else z.astype(np.int8)

    def round_to_assignment(self) -> None:
        """Spins along a spanning tree of the most decided edges, then a descent."""
        from bqp.solvers.coordinate_descent import CoordinateDescent

        ends, x = self.relaxation.ends, self.relaxation.x
        doubt = 1.0 - np.abs(2.0 * x - 1.0) + 1e-6
        n = self.relaxation.n
        tree = csgraph.minimum_spanning_tree(sp.csr_array((doubt, (ends[:, 0], ends[:, 1])), shape=(n, n))).tocoo()
        number = sp.csr_array((np.arange(1, len(x) + 1), (ends[:, 0], ends[:, 1])), shape=(n, n))
        differ = x[np.asarray(number[tree.row, tree.col]).ravel() - 1] > 0.5
        z = _spins(n, np.column_stack([tree.row, tree.col]), differ)[0]
        found = CoordinateDescent(n_restarts=1).solve(self.problem, x0=self.assignment(z), rng=0)
        self.run.offer(found.x)
        if found.status is Status.STOPPED:  # Ctrl-C while it ran
            self.run.stop(Status.STOPPED)

    # ---- the search --------------------------------------------------------------------------------------------

    @property
    def in_work(self) -> list[_Node]:
        return [] if self.held is None else [self.held]

    def root(self) -> _Node:
        return _Node(-float(np.abs(self.A.data).sum()), 0, np.full(len(self.relaxation.weights), _FREE, np.int8))

    def stopping(self) -> bool:
        self.run.tick()
        return self.run.stopping

    def step(self) -> None:
        """Bound the node with the least bound until it is closed, or until branching promises more."""
        node = self.held = self.heap[0]  # before it is taken: Ctrl-C between the two must not lose it
        heapq.heappop(self.heap)
        children = self._work_on(node)
        if node.number == 0:
            self.root_bound = min(node.bound, self.incumbent)
        if children is None:  # stopped
            heapq.heappush(self.heap, node)
        else:
            self.run.n_moves += 1
            self.nodes += 1
            if not children:  # what reduced costs struck is only known to reach the goal
                self.closed = min(self.closed, node.bound, self.goal)
            for fixed in children:
                self.push(_Node(node.bound, self.numbers, fixed))
        self.held = None
        self.prove()

    def _work_on(self, node: _Node) -> list[np.ndarray] | None:
        relaxation = self.relaxation
        self._set_box(node.fixed)
        history: list[float] = []
        while True:
            node.bound = max(node.bound, relaxation.bound)
            history.append(relaxation.bound)
            if len(history) % _ROUND_EVERY == 0:
                self.round_to_assignment()
            if node.bound >= self.goal:
                return []
            if self.stopping():
                return None
            if node.number == 0 and not self.heap:
                self.prove()
            if not self._fix_by_cost(node):
                node.bound = self.goal  # no cut is left in the node that is better
                return []
            if _hopeless(history, self.goal) or not relaxation.round(self.stopping):
                break
        self.round_to_assignment()
        if node.bound >= self.goal:
            return []
        if self.stopping():
            return None
        if np.all(node.fixed != _FREE):
            x = self.assignment(_spins(relaxation.n, relaxation.ends, node.fixed == 1)[0])
            node.bound = max(node.bound, self.run.offer(x) - self.constant)
            return []
        return self._children(node.fixed)

    def _set_box(self, fixed: np.ndarray) -> None:
        self.relaxation.set_box(np.where(fixed == 1, 1.0, 0.0), np.where(fixed == 0, 0.0, 1.0), self.stopping)

    def _fix_by_cost(self, node: _Node) -> bool:
        """Fix the edges whose other value the reduced costs exclude, and what follows; False where nothing is left."""
        relaxation = self.relaxation
        sure = (node.fixed == _FREE) & (relaxation.bound + np.abs(relaxation.reduced) >= self._above(self.goal))
        if not sure.any():
            return True
        fixed = node.fixed.copy()
        fixed[sure] = np.where(relaxation.reduced[sure] > 0, 0, 1)
        followed = self._closure(fixed)
        self.fixed_by_cost += int(sure.sum())
        if followed is None:
            return False
        node.fixed = followed
        lower, upper = np.where(followed == 1, 1.0, 0.0), np.where(followed == 0, 0.0, 1.0)
        relaxation.narrow_box(lower, upper)
        return True

    @staticmethod
    def _above(goal: float) -> float:
        """The goal and what adding a reduced cost to a bound may be rounded."""
        return goal + 4.0 * np.finfo(np.float64).eps * abs(goal)

    def _closure(self, fixed: np.ndarray) -> np.ndarray | None:
        """The fixed edges and those that they decide; None where they contradict one another."""
        ends, n = self.relaxation.ends, self.relaxation.n
        known = np.flatnonzero(fixed != _FREE)
        z, component = _spins(n, ends[known], fixed[known] == 1)
        if np.any((z[ends[known, 0]] != z[ends[known, 1]]) != (fixed[known] == 1)):
            return None
        follows = component[ends[:, 0]] == component[ends[:, 1]]
        return np.where(follows, z[ends[:, 0]] != z[ends[:, 1]], fixed).astype(np.int8)

    def _children(self, fixed: np.ndarray) -> list[np.ndarray]:
        """Both values of the edge that is the least decided and weighs the most; the likelier first."""
        x, weights = self.relaxation.x, np.abs(self.relaxation.weights)
        score = np.where(fixed == _FREE, np.minimum(x, 1.0 - x) * weights + 1e-9 * weights, -1.0)
        at = int(np.argmax(score))
        likely, children = int(x[at] > 0.5), []
        for value in (likely, 1 - likely):
            child = fixed.copy()
            child[at] = value
            followed = self._closure(child)
            assert followed is not None, "a free edge joins two components: both values go"
            children.append(followed)
        return children

    def statistics(self) -> dict:
        return {
            "method": "branch and cut on odd cycles", "nodes": self.nodes,
            "open_nodes": len(self.heap) + len(self.in_work), "most_open_nodes": self.most_open,
            "rounds": self.relaxation.rounds, "fixed_by_cost": self.fixed_by_cost,
            "root_gap": self.incumbent - self.root_bound,
        }  # fmt: skip

    # ---- checkpoints -------------------------------------------------------------------------------------------

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(self.relaxation.ends.tobytes() + self.relaxation.weights.tobytes())
        digest.update(np.array([self.constant, self.relaxation.n, self.problem.n]).tobytes())
        return digest.hexdigest()

    def arrays(self) -> dict[str, np.ndarray]:
        """Open nodes with their bounds and the incumbent."""
        nodes = self.heap + self.in_work
        return {
            "format": np.array(_FORMAT), "fingerprint": np.array(self._fingerprint()),
            "fixed": np.array([node.fixed for node in nodes], np.int8).reshape(-1, len(self.relaxation.weights)),
            "bounds": np.array([node.bound for node in nodes]),
            "numbers": np.array([node.number for node in nodes], np.int64),
            "x": np.asarray(self.run.x), "counts": np.array([self.nodes, self.numbers, self.most_open], np.int64),
            "values": np.array([self.closed, self.root_bound]),
        }  # fmt: skip

    def load(self, path: Path) -> None:
        arrays = read_checkpoint(
            path, _FORMAT, self._fingerprint(),
            {"x": (self.problem.n,), "fixed": (None, len(self.relaxation.weights)), "counts": (3,), "values": (2,)},
        )  # fmt: skip
        self.run.offer(arrays["x"])
        for bound, number, fixed in zip(arrays["bounds"], arrays["numbers"], arrays["fixed"]):
            self.push(_Node(float(bound), int(number), fixed))
        self.nodes, self.numbers, self.most_open = arrays["counts"].tolist()
        self.closed, self.root_bound = arrays["values"].tolist()
        self.prove()


def _hopeless(history: list[float], goal: float) -> bool:
    """Whether the last rounds closed too little of the gap to the goal."""
    if len(history) <= _LOOK_BACK or not np.isfinite(history[-1 - _LOOK_BACK]):
        return False
    return history[-1] - history[-1 - _LOOK_BACK] <= _WORTH * (goal - history[-1 - _LOOK_BACK])


def _spins(n: int, ends: np.ndarray, differ: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spins that agree with the edges where that is possible, and the component of each (up to a flip of each one).

    Two copies of each vertex, joined crosswise where the ends differ: copies that hang together are equal.
    """
    u, v = ends[:, 0], ends[:, 1]
    flip = differ.astype(np.int64)
    rows = np.concatenate([2 * u, 2 * u + 1])
    columns = np.concatenate([2 * v + flip, 2 * v + 1 - flip])
    graph = sp.csr_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(2 * n, 2 * n))
    _, labels = csgraph.connected_components(graph, directed=False)
    first, second = labels[0::2], labels[1::2]
    return np.where(first <= second, 1, -1).astype(np.int8), np.minimum(first, second)

"""Branch and bound with semidefinite bounds and clique cuts: the proof behind `Exact` beyond enumeration.

The nodes are processed best bound first, in batches of 1, 2, 4, 8 whatever the number of threads, and committed in
order; so the tree, and the answer, do not depend on it.
"""

from __future__ import annotations

import hashlib
import heapq
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from bqp.bounds.cliques import WIDTHS, CutPool
from bqp.bounds.homogeneous import homogenise
from bqp.problem import BQP
from bqp.solution import Status
from bqp.solvers._checkpoint import read_checkpoint, require_place, save_checkpoint
from bqp.solvers._frontier import Frontier
from bqp.solvers._nodes import Node, Outcome, process_node
from bqp.solvers.run import Run

__all__ = ["first_incumbent", "search_tree"]

_POLL_SECONDS = 0.05
_BATCH = 8
_SAVE_EVERY = 5.0  # seconds
_MOST_WARM, _LEAST_WARM = 512, 32  # nodes with vectors and cuts of their own, and
_WARM_BYTES, _CUT_BYTES = 1 << 28, 32  # what they may hold between them; of a cut
_START_MOVES = 2000  # of the tabu search before the tree, times n
_FORMAT = "bqp branch and bound, version 1"


def search_tree(
    problem: BQP, run: Run, x0, seeds: np.random.SeedSequence, n_jobs: int, rtol: float, checkpoint: Path | None
) -> None:
    """Prove the optimum of a spin problem, or stop with the best assignment and the least open bound.

    Parameters
    ----------
    problem : BQP, spin domain
    run : Run
        A node counts as a move.
    x0 : ndarray of shape (n,), int8, or None
    seeds, n_jobs
        As in `Solver`.
    rtol : float
        Where energies have no grid, nodes are closed at this part of the incumbent's magnitude.
    checkpoint : Path or None
        Where the open nodes are kept; read if it exists, removed when the search is complete.
    """
    if checkpoint is not None:
        require_place(checkpoint)
    tree = _Tree(problem, run, rtol)
    start_seed, node_seed = (int(child.generate_state(1)[0]) for child in seeds.spawn(2))
    if checkpoint is not None and checkpoint.exists():
        tree.load(checkpoint)
    else:
        first_incumbent(problem, run, x0, start_seed, n_jobs)
        tree.push(Node(-float(np.abs(tree.A).sum()), 0, tree.root()))
        tree.prove()
    if run.budget.target is not None and run.energy <= run.budget.target:
        run.stop(Status.TARGET_REACHED)
    with _single_threaded_blas(), ThreadPoolExecutor(max_workers=n_jobs) as executor:
        try:
            _work(tree, run, executor, node_seed, checkpoint)
        except BaseException:  # Ctrl-C between batches, a callback that raises: nodes in work need not be waited for
            run.stop(Status.STOPPED)
            raise
    if tree.is_open:
        if checkpoint is not None:
            save_checkpoint(checkpoint, tree.arrays())
    else:
        tree.close()
        if run.status is not Status.STOPPED:  # who asked to stop is not called again
            run.status = Status.OPTIMAL
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
    run.stats.update(tree.statistics())


def _work(tree: _Tree, run: Run, executor: ThreadPoolExecutor, seed: int, checkpoint: Path | None) -> None:
    """Batches of nodes until none is open or the run is over."""
    size, saved = 1, time.perf_counter()
    while tree.is_open and not run.stopping:
        left = run.moves_left
        if left == 0:
            return run.stop(Status.MAX_MOVES)
        batch = tree.pop(size if left is None else min(size, left))
        incumbent = tree.incumbent
        futures = [
            executor.submit(process_node, tree.A, node, incumbent, tree.closing, seed, lambda: run.stopping)
            for node in batch
        ]
        with run.catching_interrupts():
            pending = set(futures)
            while pending:
                _, pending = wait(pending, timeout=_POLL_SECONDS)
                run.tick()
        for node, outcome in zip(batch, [future.result() for future in futures]):
            tree.commit(node, outcome)
        tree.prove()  # not before: the nodes of the batch that are still to be committed count, too
        run.tick()
        if run.budget.target is not None and run.energy <= run.budget.target and tree.is_open:
            run.stop(Status.TARGET_REACHED)
        if checkpoint is not None and time.perf_counter() - saved > _SAVE_EVERY:
            save_checkpoint(checkpoint, tree.arrays())
            saved = time.perf_counter()
        size = min(2 * size, _BATCH)


class _Tree(Frontier):
    """A search on the homogenised matrix of a spin problem, with spin 0 fixed to +1."""

    def __init__(self, problem: BQP, run: Run, rtol: float):
        A, constant = homogenise(problem)
        super().__init__(problem, run, constant, float(np.abs(A).max(initial=0.0)), rtol)
        self.is_homogenised = len(A) > problem.n
        reference = len(A) - 1 if self.is_homogenised else int(np.argmax(np.abs(A).sum(axis=1)))
        self.order = np.concatenate([[reference], np.delete(np.arange(len(A)), reference)])
        self.A = np.ascontiguousarray(A[np.ix_(self.order, self.order)])
        self.rounds = self.n_warm = 0
        self.root_pool: CutPool | None = None

    # ---- assignments -------------------------------------------------------------------------------------------

    def root(self) -> np.ndarray:
        fixed = np.zeros(len(self.A), np.int8)
        fixed[0] = 1
        return fixed

    def assignment(self, z: np.ndarray) -> np.ndarray:
        spins = np.empty(len(z), np.int8)
        spins[self.order] = z
        return (spins[:-1] * spins[-1]).astype(np.int8) if self.is_homogenised else spins

    # ---- the search --------------------------------------------------------------------------------------------

    def push(self, node: Node) -> None:
        super().push(node)
        if node.V is not None and node.pool is not None:
            self.n_warm += 1
            size = node.V.nbytes + _CUT_BYTES * len(node.pool)
            room = max(_LEAST_WARM, min(_MOST_WARM, _WARM_BYTES // size))
            if self.n_warm > room:
                self._cool(room // 2)

    def pop(self, count: int) -> list[Node]:
        batch = []
        while self.is_open and len(batch) < count:
            batch.append(heapq.heappop(self.heap))
            self.n_warm -= batch[-1].V is not None
        return batch

    def _cool(self, kept: int) -> None:
        """Leave vectors and cuts of their own to the `kept` nodes that are next; the rest share the root's cuts."""
        self.n_warm = 0
        for place, node in enumerate(sorted(self.heap)):
            if place >= kept:
                node.V, node.pool = None, self.root_pool
            self.n_warm += node.V is not None

    def commit(self, node: Node, outcome: Outcome) -> None:
        self.run.n_moves += 1
        self.nodes += 1
        self.rounds += outcome.rounds
        self.run.offer(self.assignment(outcome.z), outcome.energy + self.constant)
        bound = max(node.bound, outcome.bound)
        if node.number == 0:
            self.root_bound, self.root_pool = bound, outcome.pool
        if not outcome.children:
            self.closed = min(self.closed, bound)
        for child in outcome.children:
            self.push(Node(bound, self.numbers, child, outcome.pool, outcome.V))

    def statistics(self) -> dict:
        return {
            "method": "branch and bound", "nodes": self.nodes, "open_nodes": len(self.heap),
            "most_open_nodes": self.most_open, "rounds": self.rounds, "root_gap": self.incumbent - self.root_bound,
        }  # fmt: skip

    # ---- checkpoints -------------------------------------------------------------------------------------------

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(self.A.tobytes() + self.order.tobytes())  # A alone fits other labellings, too
        digest.update(np.float64(self.constant).tobytes())
        return digest.hexdigest()

    def arrays(self) -> dict[str, np.ndarray]:
        """Open nodes with their bounds, the incumbent, and one pool of cuts for all."""
        pool = next((node.pool for node in self.heap if node.pool is not None), CutPool())
        arrays = {
            "format": np.array(_FORMAT), "fingerprint": np.array(self._fingerprint()),
            "fixed": np.array([node.fixed for node in self.heap], np.int8).reshape(-1, len(self.A)),
            "bounds": np.array([node.bound for node in self.heap]),
            "numbers": np.array([node.number for node in self.heap], np.int64),
            "x": self.run.x, "counts": np.array([self.nodes, self.rounds, self.numbers, self.most_open], np.int64),
            "values": np.array([self.closed, self.root_bound]),
        }  # fmt: skip
        for w in WIDTHS:
            arrays[f"members{w}"], arrays[f"signs{w}"] = pool.members[w], pool.signs[w]
            arrays[f"gamma{w}"] = pool.gamma[w]
        return arrays

    def load(self, path: Path) -> None:
        shapes = {"x": (self.problem.n,), "fixed": (None, len(self.A)), "counts": (4,), "values": (2,)}
        arrays, pool = read_checkpoint(path, _FORMAT, self._fingerprint(), shapes), CutPool()
        for w in WIDTHS:
            pool.members[w], pool.signs[w] = arrays[f"members{w}"], arrays[f"signs{w}"]
            pool.gamma[w] = arrays[f"gamma{w}"]
        self.run.offer(arrays["x"])
        self.root_pool = pool
        for bound, number, fixed in zip(arrays["bounds"], arrays["numbers"], arrays["fixed"]):
            self.push(Node(float(bound), int(number), fixed, pool))
        self.nodes, self.rounds, self.numbers, self.most_open = arrays["counts"].tolist()
        self.closed, self.root_bound = arrays["values"].tolist()
        self.prove()


def first_incumbent(problem: BQP, run: Run, x0, seed: int, n_jobs: int) -> None:
    """A tabu search of a few tenths of a second: nearly always the optimum, which the tree then only proves."""
    from bqp.solvers.tabu_search import TabuSearch

    left = None if run.budget.time_limit is None else max(0.0, 0.25 * (run.budget.time_limit - run.elapsed))
    found = TabuSearch().solve(
        problem, max_moves=_START_MOVES * problem.n, time_limit=left, target=run.budget.target, x0=x0, rng=seed,
        n_jobs=n_jobs,
    )  # fmt: skip
    run.offer(found.x)
    if found.status is Status.STOPPED:
        run.stop(Status.STOPPED)


def _single_threaded_blas():
    """Small matrices in several workers: threads inside BLAS only get in each other's way."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="blas")

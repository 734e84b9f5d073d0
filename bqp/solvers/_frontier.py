"""The open nodes of a search tree on z'Az, best bound first, and what they prove of the problem."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from bqp.problem import BQP
from bqp.rounding import energy_grid
from bqp.solvers.run import Run

__all__ = ["Frontier"]


class Frontier:
    """Open nodes, the least bound of those that were closed, and the bound of the run.

    Parameters
    ----------
    problem : BQP, spin domain
    run : Run
        Holds the incumbent; its energies are z'Az + `constant`.
    constant : float
    largest : float
        Magnitude of the largest entry of A.
    rtol : float
        Where energies have no grid, nodes are closed at this part of the incumbent's magnitude.

    Attributes
    ----------
    heap : list of nodes
        A node has a `bound` and a `number`, and is ordered by them.
    closed : float
        Least bound of a node that was pruned.
    numbers : int
        Of the next node.
    """

    def __init__(self, problem: BQP, run: Run, constant: float, largest: float, rtol: float):
        self.problem, self.run, self.constant = problem, run, constant
        self.largest, self.rtol = largest, rtol
        self.grid = energy_grid(problem)
        self.heap: list[Any] = []
        self.closed = np.inf
        self.numbers = self.nodes = self.most_open = 0
        self.root_bound = -np.inf

    @property
    def incumbent(self) -> float:
        return self.run.energy - self.constant

    def closing(self, energy: float) -> float:
        """The least bound on z'Az that says of a node: nothing better than this energy is there."""
        if self.grid is not None:
            return self.grid.closing(energy)
        return energy - self.rtol * max(abs(energy), self.largest)

    @property
    def goal(self) -> float:
        """The least bound on z'Az that closes a node."""
        return self.closing(self.incumbent)

    @property
    def in_work(self) -> list[Any]:
        """Nodes that are open and not in the heap."""
        return []

    @property
    def is_open(self) -> bool:
        return bool(self.in_work) or (bool(self.heap) and self.heap[0].bound < self.goal)

    def push(self, node: Any) -> None:
        """Add a node that took the next number."""
        heapq.heappush(self.heap, node)
        self.numbers += 1
        self.most_open = max(self.most_open, len(self.heap))

    def prove(self) -> None:
        """Raise the bound of the run to the least of all nodes."""
        bound = min([self.closed, *(node.bound for node in [*self.heap[:1], *self.in_work])]) + self.constant
        self.run.prove(min(self.run.energy, bound if self.grid is None else self.grid.raised(bound)))

    def close(self) -> None:
        """Nothing open can be better: the incumbent is proven."""
        self.closed = min([self.closed, *(node.bound for node in self.heap)])
        self.heap = []
        if self.grid is not None:
            self.run.prove(self.run.energy - 2.0 * self.grid.spread)
        else:
            self.run.prove(min(self.run.energy, self.closed + self.constant))

"""One node of the branch and bound: bound it by cutting planes, then prune it or split it.

F. Rendl, G. Rinaldi, A. Wiegele, "Solving max-cut to optimality by intersecting semidefinite and polyhedral
relaxations", Mathematical Programming 121, 2010. As there, a node fixes products of spins (here always with one
reference spin), its bound comes from cutting planes, and the most undecided variable is branched on. Unlike there the
bound is of low rank (`bqp.bounds.cutting_planes`), and a node hands cuts, multipliers and vectors on to its children.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bqp.bounds.cliques import CutPool
from bqp.bounds.cutting_planes import CliqueRelaxation

__all__ = ["Node", "Outcome", "process_node"]

_LEAF = 12  # free variables that are enumerated
_ROUNDS = 60


@dataclass(order=True)
class Node:
    """A part of the search space: spins fixed relative to spin 0, which is +1.

    `bound` is proven for it; `pool` (in the numbering of the whole problem) and `V` start its relaxation.
    """

    bound: float
    number: int
    fixed: np.ndarray
    pool: CutPool | None = None
    V: np.ndarray | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a node: its proven bound, the best assignment seen in it, and its children (none: pruned)."""

    bound: float
    z: np.ndarray
    energy: float
    children: tuple[np.ndarray, ...]
    pool: CutPool | None
    V: np.ndarray | None
    rounds: int


def process_node(
    A: np.ndarray,
    node: Node,
    incumbent: float,
    closing: Callable[[float], float],
    seed: int,
    stopping: Callable[[], bool],
) -> Outcome:
    """Bound a node until it is pruned, or until branching promises more.

    Parameters
    ----------
    A : ndarray of shape (n, n), symmetric with zero diagonal
        The energy is z'Az.
    node : Node
    incumbent : float
        Energy of the best assignment known.
    closing : callable
        ``closing(energy)`` is the least bound that says: nothing better than this energy is in the node.
    seed : int
    stopping : callable
        Asked about every 0.1 s; when it says True, the node comes back with itself as its only child.
    """
    fixed = _persistent(A, node.fixed)
    free = np.flatnonzero(fixed == 0)
    head, constant = _head(A, fixed, free)
    if len(free) <= _LEAF:
        z, energy = _enumerate(A[np.ix_(free, free)], head, constant, fixed, free)
        return Outcome(energy, z, energy, (), None, None, 0)
    sub = np.zeros((len(free) + 1, len(free) + 1))
    sub[1:, 1:] = A[np.ix_(free, free)]
    sub[0, 1:] = sub[1:, 0] = head
    variables = np.concatenate([[0], free])
    relaxation = CliqueRelaxation(
        sub, np.random.default_rng([seed, node.number]), _inherited(node.pool, fixed, free, len(A)),
        None if node.V is None else node.V[variables].astype(np.float64),
    )  # fmt: skip
    best_z, best = np.ones(len(sub), np.int8), np.inf
    history: list[float] = []
    bound = node.bound
    while True:
        relaxation.round(stopping=stopping)
        y, energy = relaxation.roundings(10)
        if energy + constant < best:
            best_z, best = y, energy + constant
        bound = max(bound, relaxation.bound + constant)
        goal = closing(min(incumbent, best))
        if bound >= goal:
            children = ()
            break
        if stopping():
            children = (fixed,)
            break
        history.append(relaxation.estimate + constant)
        added = relaxation.separate(stopping=stopping)
        if (added == 0 and history[-1] < goal) or _hopeless(history, goal, node.pool is None):
            children = _children(relaxation.V, fixed, free)
            break
    z = fixed.copy()
    z[free] = best_z[1:]
    V = np.zeros((len(A), relaxation.V.shape[1]), np.float32)
    V[variables] = relaxation.V
    return Outcome(bound, z, best, children, relaxation.pool.expanded(variables), V, relaxation.rounds)


def _persistent(A: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Fix what loses nothing: spins whose field from the fixed ones is at least all couplings to free ones."""
    fixed = fixed.copy()
    while True:
        free = np.flatnonzero(fixed == 0)
        if not len(free):
            return fixed
        rows = A[free]
        field = rows @ fixed
        sure = np.abs(field) >= np.abs(rows[:, free]).sum(axis=1)
        if not sure.any():
            return fixed
        fixed[free[sure]] = np.where(field[sure] > 0, -1, 1)


def _head(A: np.ndarray, fixed: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
    """Couplings of the free spins with spin 0 and its copies, and the energy among those."""
    field = A @ fixed.astype(np.float64)
    return field[free], float(fixed @ field)


def _enumerate(Q, head, constant, fixed, free) -> tuple[np.ndarray, float]:
    codes = np.arange(1 << len(free))
    Z = 2.0 * (codes[:, None] >> np.arange(len(free)) & 1) - 1.0
    energies = constant + ((Z @ Q) * Z).sum(axis=1) + 2.0 * (Z @ head)
    best = int(np.argmin(energies))
    z = fixed.copy()
    z[free] = Z[best]
    return z, float(energies[best])


def _inherited(pool: CutPool | None, fixed: np.ndarray, free: np.ndarray, n: int) -> CutPool | None:
    if pool is None:
        return None
    position = np.zeros(n, np.int64)
    position[free] = 1 + np.arange(len(free))
    return pool.restricted(position, np.where(fixed == 0, 1, fixed))


def _hopeless(history: list[float], goal: float, is_root: bool) -> bool:
    """Whether the relaxation, as it rises, will not reach the goal soon: then branching is cheaper than more cuts."""
    rounds = len(history)
    if rounds >= _ROUNDS:
        return True
    if rounds < (6 if is_root else 3):
        return False
    gain, before = history[-1] - history[-2], history[-2] - history[-3]
    ratio = min(0.85, max(0.0, gain / before)) if before > 0 else 0.0
    expected = history[-1] + max(0.0, gain) * ratio / (1.0 - ratio)
    if expected < goal:
        return True
    reached = sum(value >= goal for value in history[-12:])
    return reached >= 12


def _children(V: np.ndarray, fixed: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both values of the spin whose product with spin 0 is the least decided; the likelier one first."""
    product = V[1:] @ V[0]
    at = int(np.argmin(np.abs(product)))
    likely = 1 if product[at] >= 0 else -1
    children = []
    for sign in (likely, -likely):
        child = fixed.copy()
        child[free[at]] = sign
        children.append(child)
    return children[0], children[1]

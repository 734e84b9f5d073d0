"""Connected components: variables that no chain of couplings joins are solved apart."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from bqp.forms import Dense, Form, Grouped, LowRank, Sparse, Sum
from bqp.problem import BQP
from bqp.reductions.base import Reduced, Reduction

__all__ = ["Components", "component_labels"]


class Components(Reduction):
    """Split a problem into its connected components.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> Q = np.kron(np.eye(2), np.array([[0, 1], [1, 0]]))
    >>> [part.n for part in Components().apply(bqp.BQP(Q)).parts]
    [2, 2]
    """

    name: ClassVar[str] = "components"
    keeps_all: ClassVar[bool] = True

    def apply(self, problem: BQP) -> Reduced | None:
        labels = component_labels(problem.Q)
        n_parts = int(labels.max(initial=-1)) + 1
        if n_parts <= 1:
            return None
        order = np.argsort(labels, kind="stable")
        members = np.split(order, np.cumsum(np.bincount(labels))[:-1])
        members.sort(key=len, reverse=True)  # a limit then bites the small ones last
        parts = tuple(
            BQP.from_energy(problem.Q.submatrix(index), problem.c[index], 0.0, "spin", problem.sense)
            for index in members
        )

        def lift(assignments: list[np.ndarray]) -> np.ndarray:
            x = np.empty(problem.n, np.int8)
            for index, part in zip(members, assignments):
                x[index] = part
            return x

        return Reduced(
            parts, problem.offset, lift, lambda x: [x[index] for index in members],
            f"{n_parts} components, the largest of {len(members[0])} variables",
        )  # fmt: skip


def component_labels(form: Form) -> np.ndarray:
    """Component 0..k-1 of each variable, shape (n,).

    Exact for Dense, Sparse and Grouped; for LowRank and Sum couplings that cancel count as couplings, so that the
    components found may be unions of the true ones.
    """
    if isinstance(form, Sparse):
        return sp.csgraph.connected_components(form.Q, directed=False)[1]
    if isinstance(form, Dense):
        return _dense_labels(form.Q)
    if form.n == 0:
        return np.empty(0, np.int64)
    parts = form.parts if isinstance(form, Sum) else (form,)
    if any(_joins_all(part) for part in parts):
        return np.zeros(form.n, np.int64)
    # variables and what they hang on (columns of U, groups, components of a part) as one bipartite graph
    hangs = sp.csr_array(sp.hstack([_incidence(part) for part in parts]))
    n, m = hangs.shape
    graph = sp.block_array([[sp.csr_array((n, n)), hangs], [hangs.T, sp.csr_array((m, m))]], format="csr")
    labels = sp.csgraph.connected_components(graph, directed=False)[1][:n]
    return np.unique(labels, return_inverse=True)[1]


def _joins_all(part: Form) -> bool:
    if isinstance(part, LowRank):
        return part.n > 0 and any(np.all(part.U[:, r]) for r in range(part.rank) if part.d[r])
    if isinstance(part, Grouped):
        return part.n > 0 and part.a is None and bool((part.M != 0).all())
    return False


def _incidence(part: Form) -> sp.csr_array:
    if isinstance(part, LowRank):
        return sp.csr_array((part.U != 0) & (part.d != 0))
    if isinstance(part, Grouped):
        active = np.ones(part.n, bool) if part.a is None else part.a != 0
        present = np.unique(part.groups[active])
        linked = part.M[np.ix_(present, present)] != 0
        joint = sp.csgraph.connected_components(sp.csr_array(linked), directed=False)[1]
        label = np.zeros(part.n_groups, np.int64)
        label[present] = joint
        coupled = np.zeros(part.n_groups, bool)
        coupled[present] = linked.any(axis=1)
        use = np.flatnonzero(active & coupled[part.groups])
        shape = (part.n, max(1, int(joint.max(initial=0)) + 1))
        return sp.csr_array((np.ones(len(use)), (use, label[part.groups[use]])), shape=shape)
    labels = component_labels(part)
    return sp.csr_array((np.ones(part.n), labels, np.arange(part.n + 1)), shape=(part.n, int(labels.max()) + 1))


def _dense_labels(Q: np.ndarray) -> np.ndarray:
    """Breadth-first search over rows: each row is looked at once."""
    n = len(Q)
    labels = np.full(n, -1, np.int64)
    for root in range(n):
        if labels[root] >= 0:
            continue
        label = int(labels.max(initial=-1)) + 1
        labels[root] = label
        frontier = [root]
        while frontier:
            found = np.flatnonzero((Q[frontier.pop()] != 0) & (labels < 0))
            labels[found] = label
            frontier.extend(found.tolist())
            if not (labels < 0).any():
                return labels
    return labels

"""A problem as a graph that the kernels of `bqp.kernels.shrink` make smaller, and back."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from bqp.forms import Dense, Form, Sparse
from bqp.problem import BQP
from bqp.reductions.base import Reduced
from bqp.rounding import common_unit, off_diagonal_blocks, smallest_unit

__all__ = ["shrink", "upper_pairs"]

_DENSE_UP_TO = 4000  # variables of a written-out matrix that is searched for small degrees and strong pairs
_ROWS = 256
_WORK_PER_CALL = 4_000_000  # some 50 ms
_HALVINGS = 3  # of the unit of integral data, which degree three may cost
_WRITE_OUT_DENSITY = 0.3


def upper_pairs(form: Form) -> sp.coo_array | None:
    """The pairs above the diagonal of a written-out form; None for the others."""
    if isinstance(form, Sparse):
        return sp.triu(form.Q, k=1).tocoo()
    if isinstance(form, Dense) and form.n <= _DENSE_UP_TO:
        return sp.coo_array(np.triu(form.Q.astype(np.float64, copy=False), 1))
    return None


def shrink(problem: BQP, low_degree: bool, pairs: bool, note: str) -> Reduced | None:
    """Apply the rules until none fits; None if nothing changed, or the form is not written out."""
    from bqp.kernels.shrink import LOG_WIDTH, link_edges, shrink_graph

    n = problem.n
    if n == 0 or not _may_apply(problem, low_degree, pairs):
        return None
    upper = upper_pairs(problem.Q)
    if upper is None:
        return None
    m = len(upper.data)
    h = problem.c.copy()
    head, weight = np.empty(2 * m, np.int64), 2.0 * upper.data
    following, previous = np.empty(2 * m, np.int64), np.empty(2 * m, np.int64)
    first, degree, spread = np.full(n, -1, np.int64), np.zeros(n, np.int64), np.full(n, -1.0)
    link_edges(upper.row, upper.col, head, following, previous, first, degree)
    alive, waiting = np.ones(n, np.bool_), np.ones(n, np.bool_)
    queue, ends, free = np.argsort(degree, kind="stable"), np.array([0, n]), np.array([-1, 0])
    log = np.zeros(n, np.int64), np.zeros((n, LOG_WIDTH), np.int64), np.zeros((n, LOG_WIDTH)), np.zeros(n)
    sums, grain = np.zeros(2), _grain(problem)
    while not shrink_graph(
        h, alive, head, weight, following, previous, first, degree, spread, free, queue, waiting, ends, np.zeros(n),
        *log, sums, low_degree, pairs, grain, _WORK_PER_CALL,
    ):  # fmt: skip
        pass
    n_gone = int(free[1])
    if n_gone == 0:
        return None
    kept = np.flatnonzero(alive)
    constant = problem.offset + float(problem.Q.diagonal().sum()) + float(sums[0])
    parts = (_remaining(problem, kept, h, head, weight, following, free),) if len(kept) else ()
    log = tuple(column[:n_gone].copy() for column in log)

    def lift(assignments: list[np.ndarray]) -> np.ndarray:
        from bqp.kernels.shrink import undo_shrink

        x = np.ones(n, np.int8)
        if len(kept):
            x[kept] = assignments[0]
        undo_shrink(x, n_gone, *log)
        return x

    return Reduced(
        parts, constant, lift, lambda x: [x[kept]] if len(kept) else [],
        f"{n_gone} of {n} variables removed by {note}", float(sums[1]) * 2.0,
    )  # fmt: skip


def _may_apply(problem: BQP, low_degree: bool, pairs: bool) -> bool:
    """Whether some variable has a small degree, or a coupling and a linear term that outweigh its other couplings."""
    form = problem.Q
    if isinstance(form, Sparse):
        rows = [(0, form.Q)]
    elif isinstance(form, Dense) and form.n <= _DENSE_UP_TO:
        rows = [(a, form.Q[a : a + _ROWS]) for a in range(0, form.n, _ROWS)]
    else:
        return False
    linear, sums = np.abs(problem.c), 2.0 * form.abs_row_sums()
    if np.any(linear >= sums):
        return True
    for a, block in rows:
        stop = a + block.shape[0]
        if low_degree:
            degree = np.diff(block.indptr) if sp.issparse(block) else np.count_nonzero(block, axis=1)
            if np.any(degree + (linear[a:stop] != 0) <= 4):  # a diagonal entry may be among them
                return True
        if pairs:
            size = abs(block)
            largest = size.max(axis=1).toarray().ravel() if sp.issparse(size) else size.max(axis=1)
            if np.any(4.0 * largest + linear[a:stop] >= sums[a:stop] * (1.0 - 1e-12)):
                return True
    return False


def _remaining(problem: BQP, kept, h, head, weight, following, free) -> BQP:
    """The problem on the variables that are left."""
    unused = np.zeros(len(weight), bool)
    e = int(free[0])
    while e >= 0:
        unused[e] = True
        e = int(following[2 * e])
    edge = np.flatnonzero(~unused)
    place = np.full(problem.n, -1, np.int64)
    place[kept] = np.arange(len(kept))
    i, j, half = place[head[2 * edge + 1]], place[head[2 * edge]], 0.5 * weight[edge]
    shape = (len(kept), len(kept))
    Q = sp.coo_array((np.tile(half, 2), (np.concatenate([i, j]), np.concatenate([j, i]))), shape=shape).tocsr()
    form: Form = Sparse(Q, check=False)
    if isinstance(problem.Q, Dense) and 2 * len(edge) >= _WRITE_OUT_DENSITY * len(kept) ** 2:
        form = Dense(Q.toarray(), check=False)
    return BQP.from_energy(form, h[kept], 0.0, "spin", problem.sense)


def _grain(problem: BQP) -> float:
    """The unit that weights must keep so that energies stay exact; 0 for data whose sums are rounded anyway."""
    finest = smallest_unit(problem)
    if finest == 0.0:
        return 0.0
    if isinstance(problem.Q, Dense):
        unit, integral = common_unit(off_diagonal_blocks(problem.Q.Q), problem.c)
    else:
        entry = problem.Q.Q.tocoo()
        unit, integral = common_unit([entry.data[entry.row != entry.col]], problem.c)
    if not integral:
        return 0.0
    return max(2.0 * finest, 0.5 * unit / 2.0**_HALVINGS)  # pairs count as 2 Q_ij here

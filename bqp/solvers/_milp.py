"""Linearisation for a general MIP solver (HiGHS through scipy).

F. Glover, E. Woolsey, "Converting the 0-1 polynomial programming problem to a 0-1 linear program", Operations Research
22, 1974: every product x_i x_j becomes a variable between its two factors.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from bqp.problem import BQP
from bqp.rounding import energy_grid
from bqp.solution import Status
from bqp.solvers.run import Run

__all__ = ["solve_milp"]

_SOLVED, _LIMIT = 0, 1  # statuses of scipy.optimize.milp
_TOLERANCE = 1e-6  # of HiGHS's feasibility, relative to the sum of magnitudes


def solve_milp(problem: BQP, run: Run) -> None:
    """Minimise a spin problem over its 0/1 twin; the bound that HiGHS claims is lowered by what its tolerances allow.

    A node counts as a move. HiGHS looks at the clock itself; it cannot be stopped by a callback, and Ctrl-C waits for
    it.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    from bqp.bounds.trivial import trivial_bound

    run.prove(trivial_bound(problem).value)
    n = problem.n
    Q = problem.Q.to_sparse()
    Q = sp.csr_array(Q - sp.diags_array(Q.diagonal(), format="csr"))
    Q.eliminate_zeros()
    pair = sp.triu(Q, k=1).tocoo()
    row, column, weight = pair.row, pair.col, 8.0 * pair.data  # 2 Q_ij s_i s_j with s = 2x - 1
    linear = 2.0 * problem.c - 4.0 * np.asarray(Q.sum(axis=1)).ravel()
    m = len(weight)
    at = np.arange(m)
    # y >= x_i + x_j - 1 where the weight is positive, y <= x_i and y <= x_j where it is negative
    up, down = np.flatnonzero(weight > 0), np.flatnonzero(weight < 0)
    rows = np.concatenate([np.tile(np.arange(len(up)), 3), len(up) + np.tile(np.arange(2 * len(down)), 2)])
    columns = np.concatenate([row[up], column[up], n + at[up], row[down], column[down], np.tile(n + at[down], 2)])
    ones = np.ones(len(up))
    values = np.concatenate([ones, ones, -ones, -np.ones(2 * len(down)), np.ones(2 * len(down))])
    n_rows = len(up) + 2 * len(down)
    matrix = sp.csr_array((values, (rows, columns)), shape=(n_rows, n + m))
    upper = np.concatenate([ones, np.zeros(2 * len(down))])
    options: dict = {"mip_rel_gap": 0.0}
    if run.budget.time_limit is not None:
        options["time_limit"] = max(0.0, run.budget.time_limit - run.elapsed)
    if run.moves_left is not None:
        if run.moves_left == 0:
            return run.stop(Status.MAX_MOVES)
        options["node_limit"] = min(int(run.moves_left), 2**31 - 1)
    scale = float(np.abs(weight).sum() + np.abs(linear).sum()) or 1.0
    unit = scale / max(1, n + m) or scale  # HiGHS's tolerances are absolute
    result = milp(
        np.concatenate([linear, weight]) / unit,
        integrality=np.concatenate([np.ones(n), np.zeros(m)]),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, -np.inf, upper) if n_rows else None,
        options=options,
    )
    run.stats["method"] = "milp"
    run.n_moves = int(result.get("mip_node_count") or 0)
    run.stats["nodes"] = run.n_moves
    origin = float(problem.energy(-np.ones(n, np.int8)))
    if result.x is not None:
        run.offer(np.where(result.x[:n] > 0.5, 1, -1).astype(np.int8))
    else:
        run.offer(-np.ones(n, np.int8))
    claimed = result.get("mip_dual_bound")
    if claimed is not None and np.isfinite(claimed):
        bound = origin + unit * float(claimed) - _TOLERANCE * scale
        grid = energy_grid(problem)
        run.prove(min(run.energy, bound if grid is None else grid.raised(bound)))
    if result.status != _SOLVED and run.moves_left == 0:
        run.stop(Status.MAX_MOVES)
    elif result.status == _LIMIT:
        run.stop(Status.TIME_LIMIT)
    elif result.status != _SOLVED or run.lower_bound < run.energy:  # it gave up, or its tolerances leave a gap
        run.stop(Status.NUMERICAL)

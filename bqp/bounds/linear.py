"""A linear program over [0, 1] that grows by rows: HiGHS, kept warm where its own interface is at hand.

``scipy.optimize.linprog`` starts from nothing at each call. HiGHS itself goes on from the last basis, several times
quicker; its interface lies inside scipy from version 1.15 on. Nobody relies on what the solver says to be right:
callers prove their bounds from the multipliers.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import scipy.sparse as sp

__all__ = ["LinearProgram", "linear_program"]

_PLACES = ("scipy.optimize._highspy._core",)
_TOLERANCE = 1e-9
_ITERATIONS = 1000  # of the simplex method between two looks at the clock


def linear_program(cost: np.ndarray) -> LinearProgram:
    """Minimise ``cost'x`` over 0 <= x <= 1 and rows to come: warm where scipy has HiGHS's interface, else cold."""
    for place in _PLACES:
        with suppress(ImportError, AttributeError, TypeError):
            return WarmProgram(cost, importlib.import_module(place))
    return LinearProgram(cost)


class LinearProgram:
    """By `scipy.optimize.linprog`, from the beginning at each call.

    Attributes
    ----------
    rows : sparse array of shape (r, m); limits : ndarray of shape (r,)
        ``rows @ x <= limits``.
    lower, upper : ndarray of shape (m,)
    """

    def __init__(self, cost: np.ndarray):
        m = len(cost)
        self.cost = np.asarray(cost, dtype=np.float64)
        self.rows, self.limits = sp.csr_array((0, m)), np.empty(0)
        self.lower, self.upper = np.zeros(m), np.ones(m)

    def add_rows(self, rows: sp.csr_array, limits: np.ndarray) -> None:
        self.rows = sp.csr_array(sp.vstack([self.rows, rows])) if self.rows.shape[0] else rows
        self.limits = np.concatenate([self.limits, limits])

    def keep_rows(self, mask: np.ndarray) -> None:
        self.rows, self.limits = sp.csr_array(self.rows[np.flatnonzero(mask)]), self.limits[mask]

    def set_box(self, lower: np.ndarray, upper: np.ndarray) -> None:
        self.lower, self.upper = lower.copy(), upper.copy()

    def solve(self, stopping: Callable[[], bool]) -> tuple[np.ndarray, np.ndarray]:
        """x within its box, and a multiplier >= 0 for each row; near an optimum unless stopped."""
        from scipy.optimize import linprog

        result = linprog(
            self.cost, A_ub=self.rows if self.rows.shape[0] else None,
            b_ub=self.limits if self.rows.shape[0] else None,
            bounds=np.column_stack([self.lower, self.upper]), method="highs-ds",
        )  # fmt: skip
        if result.x is None:
            return self._within(np.where(self.cost > 0, 0.0, 1.0)), np.zeros(len(self.limits))
        multipliers = -result.ineqlin.marginals if self.rows.shape[0] else np.zeros(0)
        return self._within(result.x), np.maximum(0.0, np.asarray(multipliers, dtype=np.float64))

    def _within(self, x) -> np.ndarray:
        return np.clip(np.nan_to_num(np.asarray(x, dtype=np.float64), nan=0.5), self.lower, self.upper)


class WarmProgram(LinearProgram):
    """By HiGHS's own interface, the dual simplex method from the last basis."""

    def __init__(self, cost: np.ndarray, highs):
        super().__init__(cost)
        m = len(cost)
        model = highs.HighsLp()
        model.num_col_, model.num_row_ = m, 0
        model.col_cost_, model.col_lower_, model.col_upper_ = self.cost, self.lower, self.upper
        model.row_lower_ = model.row_upper_ = np.empty(0)
        model.a_matrix_.start_ = np.zeros(m + 1, np.int32)
        model.a_matrix_.index_, model.a_matrix_.value_ = np.empty(0, np.int32), np.empty(0)
        self._solver = highs._Highs()
        for name, value in (
            ("output_flag", False), ("presolve", "off"), ("solver", "simplex"), ("threads", 1),
            ("simplex_iteration_limit", _ITERATIONS), ("dual_feasibility_tolerance", _TOLERANCE),
            ("primal_feasibility_tolerance", _TOLERANCE),
        ):  # fmt: skip
            self._solver.setOptionValue(name, value)
        self._solver.passModel(model)
        self._limit_reached = highs.HighsModelStatus.kIterationLimit
        self._all = np.arange(m, dtype=np.int32)

    def add_rows(self, rows, limits):
        super().add_rows(rows, limits)
        self._solver.addRows(
            len(limits), np.full(len(limits), -np.inf), np.asarray(limits, np.float64), rows.nnz,
            rows.indptr[:-1].astype(np.int32), rows.indices.astype(np.int32), rows.data.astype(np.float64),
        )  # fmt: skip

    def keep_rows(self, mask):
        super().keep_rows(mask)
        gone = np.flatnonzero(~mask).astype(np.int32)
        if len(gone):
            self._solver.deleteRows(len(gone), gone)

    def set_box(self, lower, upper):
        changed = np.flatnonzero((lower != self.lower) | (upper != self.upper)).astype(np.int32)
        super().set_box(lower, upper)
        if len(changed):
            self._solver.changeColsBounds(len(changed), changed, self.lower[changed], self.upper[changed])

    def solve(self, stopping):
        while True:
            self._solver.run()
            if self._solver.getModelStatus() != self._limit_reached or stopping():
                break
        solution = self._solver.getSolution()
        x, dual = np.asarray(solution.col_value), np.asarray(solution.row_dual)
        if len(x) != len(self.cost):
            x = np.where(self.cost > 0, 0.0, 1.0)
        if len(dual) != len(self.limits) or not np.all(np.isfinite(dual)):
            dual = np.zeros(len(self.limits))
        return self._within(x), np.maximum(0.0, -dual)

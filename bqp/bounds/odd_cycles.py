"""The linear bound with odd-cycle inequalities, for sparse problems.

F. Barahona, A. R. Mahjoub, "On the cut polytope", Mathematical Programming 36, 1986 (the inequalities, which describe
the cut polytope of graphs without a K5 minor, and their separation); F. Barahona, M. Juenger, G. Reinelt, "Experiments
in quadratic 0-1 programming", Mathematical Programming 44, 1989 (cutting planes on them).

With x_e = 1 where the ends of edge e differ and 0 else, z'Az = sum w_e (1 - 2 x_e), w_e = 2 A_uv. A cycle C crosses
any cut an even number of times, so that for F in C of odd size ``x(F) - x(C - F) <= |F| - 1``. For multipliers
lambda >= 0 of such rows a_t x <= b_t and any box [l, u] that holds x,

    sum_e -2 w_e x_e  >=  -sum_t lambda_t b_t + sum_e min over [l_e, u_e] of (-2 w_e + sum_t lambda_t a_te) x_e,

whatever the solver of the linear program says. Ours: chords are cut off by the shorter of the two odd cycles that they
make; sources that a cycle covers already are left out; multipliers are put into the formula above, with a margin for
its own rounding, so that the program's tolerances do not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from bqp.bounds.homogeneous import clock, evaluation_rounding, lowered, power_of_two
from bqp.bounds.linear import linear_program
from bqp.bounds.storages import bordered
from bqp.errors import ProblemError
from bqp.flow.roof import written_out
from bqp.forms import Dense, Sparse
from bqp.problem import BQP
from bqp.rng import RandomLike, as_seed_sequence, streams
from bqp.solution import Bound

__all__ = ["MOST_EDGES", "CycleRelaxation", "mean_degree", "odd_cycles_bound", "sparse_homogeneous"]

MOST_EDGES = 200_000
_VIOLATED = 1e-4  # the least violation of a cycle that is worth a row
_LOOSE = 0.1  # rows that are slacker than that, without a multiplier, go
_UNIT = np.finfo(np.float64).eps / 2.0
_SOURCES = 256  # between two looks at the clock
_STALL, _STALLED = 10, 1e-6  # rounds that together gain less than this part of the bound are the last


def mean_degree(problem: BQP) -> float:
    """Pairs and linear terms that a variable takes part in, on average; infinite for structured forms."""
    form = problem.Q
    if isinstance(form, Sparse):
        pairs = form.Q.nnz - np.count_nonzero(form.diagonal())
    elif isinstance(form, Dense):
        pairs = np.count_nonzero(form.Q) - np.count_nonzero(form.diagonal())
    else:
        return np.inf
    return (pairs + 2 * np.count_nonzero(problem.c)) / max(1, problem.n)


def sparse_homogeneous(problem: BQP) -> tuple[sp.csr_array, float]:
    """``(A, constant)``: the energy is constant + z'Az, A in CSR without diagonal, the linear term's spin last."""
    spin = problem.to_spin()
    Q = written_out(spin.Q, "the bound by odd cycles", "Use method='semidefinite'.")
    diagonal = spin.Q.diagonal()
    A = bordered(sp.csr_array(Q), diagonal, spin.c)
    A.eliminate_zeros()
    if A.nnz > 2 * MOST_EDGES:
        raise ProblemError(
            f"the bound by odd cycles takes up to {MOST_EDGES} pairs and linear terms, this problem has {A.nnz // 2}. "
            "Use method='semidefinite'."
        )
    return A, spin.offset + float(diagonal.sum())


class CycleRelaxation:
    """``min z'Az`` as a linear program over edges, with odd cycles added round by round.

    Parameters
    ----------
    A : sparse array of shape (n, n), symmetric with zero diagonal
    rng : Generator
        For the order in which cycles are looked for.

    Attributes
    ----------
    ends : ndarray of shape (m, 2), int64
        The edges.
    weights : ndarray of shape (m,)
        ``2 A_uv``.
    x : ndarray of shape (m,)
        Where the program stands.
    bound : float
        Proven lower bound on z'Az within the box, the best since the box was set.
    reduced : ndarray of shape (m,)
        What the bound rises by, at least, if edge e goes from the end of [0, 1] that its sign asks for to the other:
        its size, in units of z'Az.
    """

    def __init__(self, A: sp.csr_array, rng: np.random.Generator):
        upper = sp.triu(A, k=1).tocoo()
        n, m = A.shape[0], upper.nnz
        self.n, self.rng = n, rng
        self.ends = np.column_stack([upper.row, upper.col]).astype(np.int64)
        self.weights = 2.0 * upper.data.astype(np.float64)
        self.scale = power_of_two(float(np.abs(self.weights).max(initial=0.0)))
        number = np.arange(m, dtype=np.int64)
        rows, columns = np.concatenate([self.ends, self.ends[:, ::-1]]).T.reshape(2, -1)
        order = np.lexsort((columns, rows))
        self._indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))]).astype(np.int64)
        self._indices, self._edges = columns[order], np.concatenate([number, number])[order]
        self.program = linear_program(-2.0 * self.weights / self.scale)
        self.total = math.fsum(self.weights.tolist())
        self.rounds = 0
        self.set_box(np.zeros(m), np.ones(m))

    def set_box(self, lower: np.ndarray, upper: np.ndarray, stopping: Callable[[], bool] = lambda: False) -> None:
        """Ask for lower <= x <= upper from now on; the rows stay, which hold everywhere."""
        self.program.set_box(lower, upper)
        self._stale = False
        self.x = np.where(self.weights > 0, upper, lower).astype(np.float64)
        self.bound, self.reduced, self.certificate = -np.inf, -2.0 * self.weights, {}
        if len(self.program.limits):
            self._solve(stopping)
        else:
            self._certify(np.zeros(0))

    def narrow_box(self, lower: np.ndarray, upper: np.ndarray) -> None:
        """A box within the present one: bound and reduced costs still hold, the next round moves x into it."""
        self.program.set_box(lower, upper)
        self.x, self._stale = np.clip(self.x, lower, upper), True

    def round(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Add the cycles that x violates, move x and the multipliers, prove what they give; False: there were none."""
        rows, limits = self.separate(stopping)
        self.rounds += 1
        moved = self._stale or len(limits) > 0
        if len(limits):
            self.program.add_rows(rows, limits)
        if moved:
            self._solve(stopping)
        return moved

    def _solve(self, stopping: Callable[[], bool]) -> None:
        self.x, multipliers = self.program.solve(stopping)
        self._stale = False
        self._certify(multipliers)
        slack = self.program.limits - self.program.rows @ self.x
        self.program.keep_rows((multipliers > 1e-9) | (slack < _LOOSE))

    def separate(self, stopping: Callable[[], bool] = lambda: False) -> tuple[sp.csr_array, np.ndarray]:
        """Rows and limits of violated cycles without chords; vertices of one cycle are no source of another."""
        from bqp.kernels.cycles import separate_cycles

        start, members = np.zeros(self.n + 1, np.int64), np.empty(20 * self.n + 1000, np.int64)
        covered, order, count = np.zeros(self.n, np.bool_), self.rng.permutation(self.n), 0
        for first in range(0, self.n, _SOURCES):
            count = separate_cycles(
                self._indptr, self._indices, self._edges, self.ends, self.x, order[first : first + _SOURCES], covered,
                _VIOLATED, start, members, count,
            )  # fmt: skip
            if stopping():
                break
        codes, sizes = members[: start[count]], np.diff(start[: count + 1])
        row = np.repeat(np.arange(count), sizes)
        signs = np.where(codes & 1, 1.0, -1.0)
        matrix = sp.csr_array((signs, (row, codes >> 1)), shape=(count, len(self.weights)))
        return matrix, np.bincount(row, weights=codes & 1, minlength=count) - 1.0

    def _certify(self, multipliers: np.ndarray) -> None:
        """Put the multipliers into the formula, and allow for what its products and sums over rows are rounded."""
        program = self.program
        price, size = program.cost.copy(), np.abs(program.cost)
        if len(multipliers):
            price += program.rows.T @ multipliers
            size = size + abs(program.rows).T @ multipliers
        deepest = int(np.bincount(program.rows.indices, minlength=1).max(initial=0))
        best = np.minimum(price * program.lower, price * program.upper)  # the box is of zeros and ones
        value = math.fsum([*(-multipliers * program.limits).tolist(), *best.tolist()])
        lost = (
            1.1 * _UNIT * ((deepest + 4) * float(size.sum()) + 2.0 * float(multipliers @ program.limits) + abs(value))
        )
        bound = lowered(self.total, self.scale * (value - lost))
        if bound > self.bound:
            sure = np.maximum(0.0, np.abs(price) - 2.0 * (deepest + 4) * _UNIT * size)
            self.bound, self.reduced = bound, self.scale * np.copysign(sure, price)
            self.certificate = {
                "ends": self.ends, "weights": self.weights, "rows": program.rows, "limits": program.limits,
                "multipliers": multipliers * self.scale,
            }  # fmt: skip


def odd_cycles_bound(
    problem: BQP, *, max_rounds: int = 300, time_limit: float | None = None, rng: RandomLike = 0
) -> Bound:
    """Bound from a linear program over edges with odd cycles: strong on sparse graphs, exact on planar ones.

    A linear term makes one more vertex that has an edge to each variable with a linear term; what is said of graphs is
    said of that one.

    Parameters
    ----------
    problem : BQP
        Any form whose pairs can be written out, up to 200,000 of them.
    max_rounds : int
        Rounds of cuts; fewer where none is violated, or ten of them gain a millionth of the bound.
    time_limit : float, seconds, optional
        No round begins after it, and the one that runs is cut short.
    rng : None, int, SeedSequence or Generator
        For the order in which cycles are looked for.

    Returns
    -------
    Bound
        ``certificate``: ``ends`` and ``weights`` of the edges, ``rows`` and ``limits`` of the cycles with their
        ``multipliers``, the edge values ``x``, ``rounds``. The formula at the top of `bqp.bounds.odd_cycles` gives the
        bound from them.

    Raises
    ------
    ProblemError
        Too many pairs.

    Notes
    -----
    A round costs a shortest path for each vertex that no cycle covers yet, and a warm start of the dual simplex method.
    A toroidal grid of 800 spins takes about 0.5 s, one of 2,000 spins some ten seconds. Memory O(pairs + cycles).

    Examples
    --------
    >>> import numpy as np, bqp
    >>> cycle = np.roll(np.eye(5), 1, axis=1)
    >>> problem = bqp.BQP.from_maxcut(cycle + cycle.T)
    >>> -bqp.lower_bound(problem, method="odd_cycles").value
    4.0
    """
    from bqp.solvers.base import check_count

    max_rounds = check_count("max_rounds", max_rounds)
    stopping = clock(time_limit)
    A, constant = sparse_homogeneous(problem)
    relaxation = CycleRelaxation(A, streams(as_seed_sequence(rng), 1)[0])
    history: list[float] = []
    while relaxation.rounds < max_rounds and not stopping() and relaxation.round(stopping):
        history.append(relaxation.bound)
        if len(history) > _STALL and history[-1] - history[-1 - _STALL] <= _STALLED * abs(history[-1]):
            break
    value = lowered(constant, relaxation.bound) - evaluation_rounding(problem)
    certificate = {**relaxation.certificate, "x": relaxation.x, "rounds": relaxation.rounds}
    return Bound(value, "odd_cycles", certificate)

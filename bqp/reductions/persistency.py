"""What roof duality decides: single variables, and after probing, pairs that are equal or opposite.

P. L. Hammer, P. Hansen, B. Simeone, "Roof duality, complementation and persistency in quadratic 0-1 optimization",
Mathematical Programming 28, 1984; E. Boros, P. L. Hammer, G. Tavares, "Preprocessing of unconstrained quadratic binary
optimization", RUTCOR Research Report 10-2006.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from bqp.errors import ParameterError
from bqp.forms import Dense, Form, Sparse
from bqp.problem import BQP
from bqp.reductions.base import Reduced, Reduction

__all__ = ["Persistency"]

_QUICK_ENTRIES = 1_000_000
_QUICK_RATIO = 0.1  # of sum |c_i| to sum |2 Q_ij| over ordered pairs, below which a roof dual decides nothing
_PROBING_EFFORT = {False: 0, True: 20_000_000_000}


class Persistency(Reduction):
    """Fix what the roof dual decides; with probing, also merge pairs.

    Parameters
    ----------
    probing : bool
        Fix every variable both ways (two flows each) and keep what both agree on. Default no. Needs data that 57 bits
        hold exactly.
    quick : bool
        Leave alone, at no cost, what has more than a million entries or linear terms too weak for a roof dual to
        decide anything. Default yes.

    Notes
    -----
    One flow on 2 n nodes, from milliseconds to a second within the limits of `quick`. Written-out forms only.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> Q = np.array([[0, 1, -1], [1, 0, 1], [-1, 1, 0]])
    >>> reduced = Persistency().apply(bqp.BQP(Q, c=[3, 0, 0]))
    >>> reduced.parts, reduced.lift([])
    ((), array([-1,  1, -1], dtype=int8))
    """

    name: ClassVar[str] = "persistency"

    def __init__(self, probing: bool = False, quick: bool = True):
        for name, value in (("probing", probing), ("quick", quick)):
            if not isinstance(value, bool):
                raise ParameterError(f"{name} must be True or False, got {value!r}.")
        self.probing, self.quick = probing, quick

    def apply(self, problem: BQP) -> Reduced | None:
        from bqp.flow.probing import probe
        from bqp.flow.roof import Roof, written_out

        if not isinstance(problem.Q, Dense | Sparse) or problem.n == 0 or (self.quick and not self._promises(problem)):
            return None
        J = written_out(problem.Q, "persistency", "Leave it out of the reductions.") * 2.0
        roof = Roof(J, problem.c)
        labels = roof.labels(weak=not self.probing)
        leader, sign = np.arange(problem.n), np.ones(problem.n, np.int8)
        if self.probing and not labels.all():
            found = probe(roof, labels, max_effort=_PROBING_EFFORT[True])
            labels, leader, sign = found.labels, found.leader, found.sign
        return merge_and_fix(problem, labels, leader, sign)

    def _promises(self, problem: BQP) -> bool:
        entries = problem.Q.Q.nnz if isinstance(problem.Q, Sparse) else problem.n**2
        if entries > _QUICK_ENTRIES:
            return False
        linear = float(np.abs(problem.c).sum())
        return linear > _QUICK_RATIO * 2.0 * float(problem.Q.abs_row_sums().sum())


def merge_and_fix(problem: BQP, labels: np.ndarray, leader: np.ndarray, sign: np.ndarray) -> Reduced | None:
    """Give labelled variables their value, and put ``x_i = sign_i x_leader_i`` for the others.

    Parameters
    ----------
    problem : BQP
        Spin, dense or sparse.
    labels : ndarray of shape (n,), int8
        0 for variables that are open.
    leader, sign : ndarrays of shape (n,)
        A leader leads itself; labels of a class agree with its signs.
    """
    n = problem.n
    tops = np.flatnonzero((labels == 0) & (leader == np.arange(n)))
    if len(tops) == n:
        return None
    place = np.full(n, -1, np.int64)
    place[tops] = np.arange(len(tops))
    fixed = labels.astype(np.float64)
    product = problem.Q.matvec(fixed)
    constant = problem.offset + float(fixed @ product) + float(problem.c @ fixed)
    free = np.flatnonzero(labels == 0)
    P = sp.csr_array((sign[free].astype(np.float64), (free, place[leader[free]])), shape=(n, len(tops)))
    c = np.asarray(P.T @ (problem.c + 2.0 * product))
    parts: tuple[BQP, ...] = ()
    if len(tops):
        Q = problem.Q.Q
        form: Form
        if isinstance(problem.Q, Sparse):
            form = Sparse(sp.csr_array(P.T @ Q @ P), check=False)
        else:
            half = np.asarray(P.T @ np.asarray(Q, dtype=np.float64))
            form = Dense(np.asarray((P.T @ half.T).T), check=False)
        parts = (BQP.from_energy(form, c, 0.0, "spin", problem.sense),)

    def lift(assignments: list[np.ndarray]) -> np.ndarray:
        x = labels.copy()
        if len(tops):
            x[free] = (np.asarray(assignments[0])[place[leader[free]]] * sign[free]).astype(np.int8)
        return x

    n_merged = len(free) - len(tops)
    merged = f", {n_merged} merged into others" if n_merged else ""
    return Reduced(
        parts, constant, lift, lambda x: [x[tops]] if len(tops) else [],
        f"{n - len(free)} of {n} variables fixed by roof duality{merged}",
    )  # fmt: skip

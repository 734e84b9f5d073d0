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
_PROBING_EFFORT = 20_000_000_000
_PROBED_ANYHOW = 64  # variables: some 20 ms, however many couplings
_PROBED_UP_TO = 150  # of at most so many couplings each: some 30 ms
_PROBED_DEGREE = 16


class Persistency(Reduction):
    """Fix what the roof dual decides; with probing, also merge pairs.

    Parameters
    ----------
    probing : {"auto", True, False}
        Fix every variable both ways (two flows each) and keep what both agree on. "auto" does so for up to 64
        variables, or 150 of at most 16 couplings on average. Needs data that 57 bits hold exactly.
    quick : bool
        Leave alone, at no cost, what has more than a million entries, or (without probing) linear terms too weak for a
        roof dual to decide anything. Default yes.

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

    def __init__(self, probing: bool | str = "auto", quick: bool = True):
        if not isinstance(probing, bool) and probing != "auto":
            raise ParameterError(f"probing must be 'auto', True or False, got {probing!r}.")
        if not isinstance(quick, bool):
            raise ParameterError(f"quick must be True or False, got {quick!r}.")
        self.probing, self.quick = probing, quick

    def apply(self, problem: BQP) -> Reduced | None:
        from bqp.flow.probing import probe
        from bqp.flow.roof import Roof, written_out

        if not isinstance(problem.Q, Dense | Sparse) or problem.n == 0:
            return None
        probing = self._probes(problem) if self.probing == "auto" else self.probing
        if self.quick and not self._promises(problem, bool(probing)):
            return None
        J = written_out(problem.Q, "persistency", "Leave it out of the reductions.") * 2.0
        roof = Roof(J, problem.c)
        labels = roof.labels(weak=not (probing and roof.exact))
        leader, sign = np.arange(problem.n), np.ones(problem.n, np.int8)
        if probing and roof.exact and not labels.all():
            found = probe(roof, labels, max_effort=_PROBING_EFFORT)
            labels, leader, sign = found.labels, found.leader, found.sign
            if not labels.any() and np.all(leader == np.arange(problem.n)):
                labels = roof.labels(weak=True)
        return merge_and_fix(problem, labels, leader, sign)

    def _probes(self, problem: BQP) -> bool:
        n = problem.n
        if n <= _PROBED_ANYHOW or n > _PROBED_UP_TO:
            return n <= _PROBED_ANYHOW
        entries = problem.Q.Q.nnz if isinstance(problem.Q, Sparse) else np.count_nonzero(problem.Q.Q)
        return bool(entries <= _PROBED_DEGREE * n)

    def _promises(self, problem: BQP, probing: bool) -> bool:
        entries = problem.Q.Q.nnz if isinstance(problem.Q, Sparse) else problem.n**2
        if entries > _QUICK_ENTRIES:
            return False
        if probing:
            return True
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

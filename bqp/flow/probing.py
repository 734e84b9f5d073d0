"""Probing: fix each variable both ways, and keep what both ways agree on.

E. Boros, P. L. Hammer, G. Tavares, "Preprocessing of unconstrained quadratic binary optimization", RUTCOR Research
Report 10-2006; C. Rother, V. Kolmogorov, V. Lempitsky, M. Szummer, "Optimizing binary MRFs via extended roof duality",
CVPR 2007. Ours: only strong persistencies count under each condition, so that every optimum obeys all that is found
and one round of probes needs no contraction on the way; a bound above the best known energy refutes its condition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bqp.flow.roof import Roof

__all__ = ["Probed", "probe"]


@dataclass(frozen=True)
class Probed:
    """What a round of probes found; it holds for every optimum (below `upper`, where one was given).

    Attributes
    ----------
    labels : ndarray of shape (n,), int8
        -1 or +1 for variables that are decided, 0 for the others.
    leader, sign : ndarrays of shape (n,), int64 and int8
        ``x_i = sign_i * x_leader_i``; a variable that nothing binds leads itself.
    value : float
        A lower bound, at least the roof dual.
    n_probed : int
        Variables probed before the effort was spent.
    """

    labels: np.ndarray
    leader: np.ndarray
    sign: np.ndarray
    value: float
    n_probed: int


def probe(
    roof: Roof,
    labels: np.ndarray,
    upper: float = np.inf,
    max_effort: int = 2_000_000_000,
    stopping: Callable[[], bool] | None = None,
) -> Probed:
    """Probe every variable that `labels` leaves open.

    Parameters
    ----------
    roof : Roof
        Exact and complete; anything else is given back with nothing found.
    labels : ndarray of shape (n,), int8
        Known strong labels.
    upper : float
        An energy that some assignment reaches: a condition whose bound exceeds it holds in no optimum.
    max_effort : int
        Arcs that may be copied or searched, about 1e9 a second; probing ends there.
    stopping : callable, optional

    Notes
    -----
    Two flows a variable, each from where the first one ended; O(n) on top of them.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from bqp.flow import Roof
    >>> cycle = sp.csr_array([[0.0, 9, 0, 0], [9, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0]])
    >>> found = probe(Roof(cycle, np.zeros(4)), np.zeros(4, np.int8))
    >>> found.leader[:2], found.sign[:2]
    (array([0, 0]), array([ 1, -1], dtype=int8))
    """
    n = roof.n
    labels = labels.copy()
    leader, sign = np.arange(n), np.ones(n, np.int8)
    if not (roof.exact and roof.complete):
        return Probed(labels, leader, sign, roof.value, 0)
    residual, excess = roof.flow.residual.copy(), roof.flow.excess.copy()
    base, effort, probed = roof.base, 0, 0
    cost = 8 * len(residual) + 40 * n
    best_of_all = roof.base
    for i in range(n):
        if labels[i] or leader[i] != i:
            continue
        effort += 2 * cost
        if effort > max_effort or (stopping is not None and stopping()):
            break
        outcomes = []
        for s in (1, -1):
            state = residual.copy(), excess.copy()
            outcome = roof.force(i, s, *state)
            if outcome is None:
                return Probed(labels, leader, sign, roof.in_energy(best_of_all), probed)
            outcomes.append((base + outcome[0], outcome[1], state))
        probed += 1
        best_of_all = max(best_of_all, min(outcomes[0][0], outcomes[1][0]))
        refuted = [roof.in_energy(bound) > upper for bound, _, _ in outcomes]
        if all(refuted):  # only if `upper` is no energy at all
            break
        if any(refuted):
            agreed = outcomes[1 if refuted[0] else 0][1]
            bound_to = np.zeros(n, np.int8)
        else:
            plus, minus = outcomes[0][1], outcomes[1][1]
            agreed = np.where(plus == minus, plus, 0).astype(np.int8)
            bound_to = np.where((plus == -minus) & (plus != 0), plus, 0).astype(np.int8)
        fresh = np.flatnonzero((agreed != 0) & (labels == 0))
        if len(fresh):  # they hold in every optimum: force them for good
            for j in fresh.tolist():
                gained = roof.force(j, int(agreed[j]), residual, excess)
                if gained is None:
                    return Probed(labels, leader, sign, roof.in_energy(best_of_all), probed)
                base += gained[0]
                labels[j] = agreed[j]
            best_of_all = max(best_of_all, base)
        for j in np.flatnonzero(bound_to).tolist():
            if j != i and labels[j] == 0:
                _join(leader, sign, j, i, int(bound_to[j]))
    _flatten(leader, sign)
    for i in np.flatnonzero(labels).tolist():  # a decided member decides its class
        top = leader[i]
        labels[top] = labels[i] * sign[i]
    decided = labels[leader] != 0
    labels[decided] = (labels[leader] * sign)[decided]
    return Probed(labels, leader, sign, roof.in_energy(best_of_all), probed)


def _find(leader: np.ndarray, sign: np.ndarray, i: int) -> tuple[int, int]:
    s = 1
    while leader[i] != i:
        s *= int(sign[i])
        i = int(leader[i])
    return i, s


def _join(leader: np.ndarray, sign: np.ndarray, j: int, i: int, s: int) -> None:
    """Note x_j = s x_i."""
    (a, sa), (b, sb) = _find(leader, sign, j), _find(leader, sign, i)
    if a != b:
        leader[a], sign[a] = b, sa * s * sb


def _flatten(leader: np.ndarray, sign: np.ndarray) -> None:
    for i in range(len(leader)):
        leader[i], sign[i] = _find(leader, sign, i)

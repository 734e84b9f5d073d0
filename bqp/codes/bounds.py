"""Lower bounds on the loss of any codes of a given length, for all bits at once."""

from __future__ import annotations

import numpy as np

from bqp import losses
from bqp.codes.relaxation import semidefinite_bound
from bqp.errors import ParameterError, ProblemError
from bqp.solution import Bound
from bqp.solvers.base import check_count
from bqp.supervision import GroupedSimilarity, MatrixSimilarity, PairSimilarity, Similarity

__all__ = ["bounds_of", "lower_bound", "pairwise_bound"]


CERTIFY_UP_TO = 1000  # groups: about two seconds
_SMALL_RANGE = 1024  # of integer targets, all of which are looked at: sorting millions of them takes a second


def lower_bound(S: Similarity, n_bits: int, loss: str | losses.Loss = "ksh", backend: str = "auto") -> Bound:
    """A proven lower bound on ``sum_ij w_ij l(s_ij, b_i.b_j, q)`` over all codes of `n_bits` bits.

    Parameters
    ----------
    S : Similarity
    n_bits : int
        Code length q.
    loss : str or Loss
    backend : {"auto", "cvxpy"}
        What solves the semidefinite relaxation: our low-rank factor, or cvxpy as a reference up to about 100 groups,
        without chords. Both are proven afterwards in the same way.

    Returns
    -------
    bound : Bound
        ``value`` on the scale of the loss, all ordered pairs with the diagonal. ``kind`` is "semidefinite" (grouped
        similarities with the squared losses `ksh` and `bre`) or "pairwise" (each pair at the best inner product that
        the parity of q allows), whichever is higher.

    Notes
    -----
    Pairwise: O(C^2) or O(pairs). Semidefinite: see `bqp.codes.relaxation`; ten seconds for 2,600 label sets.

    Examples
    --------
    >>> import numpy as np
    >>> from bqp import codes, supervision
    >>> S = supervision.from_labels(np.arange(100) % 10)
    >>> bound = codes.lower_bound(S, n_bits=16)
    >>> round(bound.value / (100**2 * 16**2), 6), bound.kind
    (0.7125, 'semidefinite')
    """
    if not isinstance(S, Similarity):
        raise ProblemError(
            f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.from_labels."
        )
    if backend not in ("auto", "cvxpy"):
        raise ParameterError(f"backend must be 'auto' or 'cvxpy', got {backend!r}.")
    return _best_bound(S, check_count("n_bits", n_bits), losses.get(loss), certify=True, backend=backend)


def bounds_of(
    S: Similarity, n_bits: int, loss: losses.Loss, objective: float, ksh_objective: float, certify: bool | str = "auto"
) -> tuple[float, float]:
    """Bounds on a loss and on the ksh yardstick, at most the objectives reached (which differ by rounding at most)."""
    ksh = _best_bound(S, n_bits, losses.Ksh(), certify).value
    scale = loss.quadratic_scale(n_bits)
    own = pairwise_bound(S, n_bits, loss).value if scale is None else scale * ksh
    return min(own, objective), min(ksh, ksh_objective)


def _best_bound(S: Similarity, n_bits: int, loss: losses.Loss, certify: bool | str, backend: str = "auto") -> Bound:
    bound = pairwise_bound(S, n_bits, loss)
    scale = loss.quadratic_scale(n_bits)
    if scale is None or not isinstance(S, GroupedSimilarity) or certify is False:
        return bound
    if certify == "auto" and S.n_groups > CERTIFY_UP_TO:
        return bound
    joint = semidefinite_bound(S, n_bits, backend=backend)
    if scale * joint.value <= bound.value:
        return bound
    return Bound(scale * joint.value, joint.kind, joint.certificate)


def pairwise_bound(S: Similarity, n_bits: int, loss: losses.Loss) -> Bound:
    """Every pair at its best inner product on the lattice -q, -q + 2, ..., q, and every point at q with itself."""
    lattice = np.arange(-n_bits, n_bits + 1, 2, dtype=np.float64)

    def least(targets: np.ndarray) -> np.ndarray:
        low, high = (int(targets.min()), int(targets.max())) if targets.dtype.kind == "i" and targets.size else (0, -1)
        if 0 <= high - low <= _SMALL_RANGE:
            distinct, inverse = np.arange(low, high + 1), targets.astype(np.intp) - low
        else:
            distinct, inverse = np.unique(targets, return_inverse=True)
        values = loss(distinct[:, None].astype(np.float64), lattice, n_bits).min(axis=1)
        return values[inverse.reshape(np.shape(targets))]

    def own(targets: np.ndarray) -> np.ndarray:
        return loss(targets.astype(np.float64), float(n_bits), n_bits)

    if isinstance(S, GroupedSimilarity):
        selves = np.bincount(S.groups, weights=None if S.weights is None else S.weights**2, minlength=S.n_groups)
        weight = np.outer(S.mass, S.mass)
        weight[np.diag_indices(S.n_groups)] -= selves
        V = 1.0 if S.V is None else S.V
        diagonal = selves * (1.0 if S.V is None else S.V.diagonal())
        value = np.sum(V * weight * least(S.T)) + diagonal @ own(S.T.diagonal())
    elif isinstance(S, PairSimilarity):
        terms = np.where(S.rows == S.indices, own(S.targets), least(S.targets))
        value = terms.sum() if S.weights is None else terms @ S.weights
    elif isinstance(S, MatrixSimilarity):
        terms = least(S.S)
        terms[np.diag_indices(S.n)] = own(S.S.diagonal())
        value = terms.sum() if S.W is None else np.sum(terms * S.W)
    else:
        raise ProblemError(f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.")
    value = float(value)
    return Bound(value if _is_exact(S, loss, value) else value - 1e-12 * abs(value), "pairwise")


def _is_exact(S: Similarity, loss: losses.Loss, value: float) -> bool:
    """Whether all terms were multiples of one power of two, and their sum small enough to be exact."""
    if not isinstance(loss, losses.Ksh):
        return False
    if isinstance(S, GroupedSimilarity):
        arrays = (S.T, S.V, S.weights)
    elif isinstance(S, PairSimilarity):
        arrays = (S.targets, S.weights)
    elif isinstance(S, MatrixSimilarity):
        arrays = (S.S, S.W)
    else:
        return False
    for e in (0, 1, 3):  # targets and weights in units of 2**-e: at most 5 factors in a term
        if all(np.array_equal(array * 2.0**e, np.rint(array * 2.0**e)) for array in arrays if array is not None):
            return value < 2.0 ** (53 - 5 * e)
    return False

"""Lower bounds on the loss of any codes of a given length, for all bits at once."""

from __future__ import annotations

import numpy as np

from bqp import losses
from bqp.errors import ProblemError
from bqp.solution import Bound
from bqp.solvers.base import check_count
from bqp.supervision import GroupedSimilarity, MatrixSimilarity, PairSimilarity, Similarity

__all__ = ["bounds_of", "lower_bound", "pairwise_bound"]


def lower_bound(S: Similarity, n_bits: int, loss: str | losses.Loss = "ksh") -> Bound:
    """A proven lower bound on ``sum_ij w_ij l(s_ij, b_i.b_j, q)`` over all codes of `n_bits` bits."""
    if not isinstance(S, Similarity):
        raise ProblemError(
            f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.from_labels."
        )
    return pairwise_bound(S, check_count("n_bits", n_bits), losses.get(loss))


def bounds_of(S, n_bits, loss, objective, ksh_objective):
    """Bounds on a loss and on the ksh yardstick, at most the objectives reached."""
    own = pairwise_bound(S, n_bits, loss).value
    ksh = own if loss == losses.Ksh() else pairwise_bound(S, n_bits, losses.Ksh()).value
    return min(own, objective), min(ksh, ksh_objective)


def pairwise_bound(S: Similarity, n_bits: int, loss: losses.Loss) -> Bound:
    """Every pair at its best inner product on the lattice -q, -q + 2, ..., q, and every point at q with itself."""
    lattice = np.arange(-n_bits, n_bits + 1, 2, dtype=np.float64)

    def least(targets: np.ndarray) -> np.ndarray:
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
    exact = isinstance(loss, losses.Ksh) and value == np.rint(value) and value < 2.0**53
    return Bound(value if exact else value - 1e-12 * abs(value), "pairwise")

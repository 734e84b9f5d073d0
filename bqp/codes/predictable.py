"""Class codes that preserve the similarity and from which a linear map still predicts the labels.

The objective of supervised discrete hashing (Shen, Shen, Liu and Shen, CVPR 2015) without its feature term,
``min over W of sum_g m_g |y_g - W'b_g|^2 + lambda |W|^2`` over label sets g of mass m_g, is
``lambda tr((lambda I + D K D)^-1 D Y Y' D)`` with K = B B' and D = diag(sqrt(m)). It asks for codes whose Gram matrix K
has no small eigenvalue, and hardly tells such codes apart. The optimum of the KSH loss has one (with balanced classes
the codes of all classes sum to nearly nothing), so its objective is enormous, and yet a few flips mend it.

With label sets the optimum of the KSH loss also gives one code to rare sets that share labels, and flips that take them
apart again are many. There the search comes from the other side: from codes that predict the labels, it lowers the sum
of both losses with a growing weight on similarity, as long as the objective allows.
"""

from __future__ import annotations

import numpy as np

from bqp.codes._common import check_init
from bqp.codes._label_models import LabelRows, SquaredLoss, label_rows
from bqp.codes.learn import learn
from bqp.errors import ParameterError
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solvers.base import check_count

__all__ = ["MOST_SETS", "gradual_codes", "is_gradual", "predictable_codes"]

MOST_SETS = 64
"""Distinct label sets up to which flips are looked for: each costs a look at C q candidates, O(C^2 q)."""

_LEAST_GAIN = 1e-3  # a flip must lower the logarithm of the objective by this

_FIRST_WEIGHT, _MOST_WEIGHT = 0.5, 1e5  # of the KSH loss over n q^2, beside the objective
_RISE, _FALL, _MOST_FALLS = 2.0, 0.25, 6
_HALVINGS = 2  # of the last rise, in logarithms
_ROUNDS = 3  # of a sweep over the sets and a new map, at each weight


def predictable_codes(
    S,
    n_bits: int = 32,
    objective: float = np.inf,
    regularization: float = 1.0,
    rng: RandomLike = 0,
    n_jobs: int = 1,
    init=None,
) -> np.ndarray | None:
    """Codes of low KSH loss whose label-regression objective is at most `objective`.

    Parameters
    ----------
    S : Similarity, or array of shape (n,) or (n, L)
        From `supervision.from_labels` or `from_label_sets`, as in `codes.discrete_cyclic`. Its targets between groups
        may be any real numbers: the KSH loss is theirs, the labels are those of the groups.
    n_bits : int
        Code length q.
    objective : float
        Bound on ``min over W of sum_i a_i |y_i - W'b_i|^2 + lambda |W|^2``.
    regularization : float, > 0
        lambda.
    rng : None, int, SeedSequence or Generator
        For `codes.learn`, where flips start; or the order in which label sets are visited.
    n_jobs : int
    init : array of shape (n, q), optional
        Codes of an objective of at most `objective`, to be made more similar: of each label set, those of its first
        point.

    Returns
    -------
    B : ndarray of shape (n, n_bits), int8, or None
        Without `init`: None if there are more than 64 distinct label sets, or flips do not get there. With `init`: None
        if its own objective is above the bound.

    Notes
    -----
    With `init` the sum of the objective and of c / (n q^2) times the KSH loss is lowered, n the total weight, by the
    moves of `codes.learn` within one label set (single bits, then pairs of bits) and new maps W in turn; c doubles as
    long as the objective stays within its bound, and the last doubling is halved in steps. On 2,649 label sets 64 bits
    take 1 s, most of it O(C^2) a bit that changes.

    Without `init`, from the codes of `codes.learn`, flips single bits of single label sets: each time the one that
    costs the least KSH loss for its gain in the logarithm of the objective; among those that reach the bound, the one
    with the least KSH loss. The objective of every flip comes from one inverse by the formula for changes of rank two.
    A flip costs O(C^2 q), C label sets; 10 classes and 64 bits take some 40 flips.

    Examples
    --------
    >>> import numpy as np
    >>> from bqp import codes, supervision
    >>> y = np.repeat(np.arange(6), 50)
    >>> S = supervision.from_labels(y)
    >>> published = codes.discrete_cyclic(S, n_bits=12, mode="published")
    >>> B = predictable_codes(S, n_bits=12, objective=published.objective)
    >>> result = codes.discrete_cyclic(S, n_bits=12, init=B)
    >>> result.objective <= published.objective, result.ksh_objective < published.ksh_objective
    (True, True)
    """
    S, rows = label_rows(S)
    n_bits = check_count("n_bits", n_bits)
    if not regularization > 0:
        raise ParameterError(f"regularization must be above 0, got {regularization!r}.")
    used = np.unique(S.groups[S.known])
    targets = np.asarray(S.T)[np.ix_(used, used)].astype(np.float64)
    init = check_init(init, S.n, n_bits)
    if init is not None:
        order = np.random.Generator(np.random.PCG64(as_seed_sequence(rng))).permutation(rows.n_kinds)
        path = _Path(_one_code_a_kind(init, rows), rows.merge(), targets, regularization, order)
        return rows.unmerge(path.B) if path.follow(objective) else None
    if rows.n_kinds > MOST_SETS:
        return None
    mass = rows.kind_mass()
    Y = np.eye(rows.n_kinds) if rows.sets is None else rows.sets.astype(np.float64)
    small = _one_code_a_kind(learn(S, n_bits, rng=rng, n_jobs=n_jobs, certify=False).B, rows)
    search = _Search(small, mass, Y, targets, regularization)
    while search.objective > objective:
        if not search.flip(objective):
            return None
    return rows.unmerge(search.B)


def is_gradual(S) -> bool:
    """Whether SDH and FSDH begin at codes that are made similar by degrees: label sets, or more than 64 classes."""
    return np.ndim(S.classes) == 2 or len(np.unique(S.groups[S.known])) > MOST_SETS


def gradual_codes(S, n_bits: int, regularization: float, rng: RandomLike, n_jobs: int) -> np.ndarray:
    """Codes made similar from those of the published rounds of SDH without features, shape (n, n_bits)."""
    from bqp.codes.discrete_cyclic import discrete_cyclic

    plain = {"n_bits": n_bits, "regularization": regularization, "n_jobs": n_jobs, "certify": False}
    published = discrete_cyclic(S, mode="published", rng=rng, **plain)
    merged = discrete_cyclic(S, init=published.stats["best_B"], max_iterations=0, **plain)
    B = predictable_codes(S, n_bits, merged.objective, regularization, rng, n_jobs, init=merged.B)
    return merged.B if B is None else B


def _one_code_a_kind(B, rows) -> np.ndarray:
    """The code of some known row of each kind; +1 throughout for a kind without any."""
    known = np.arange(rows.n) if rows.mass is None else np.flatnonzero(rows.mass > 0)
    small = np.ones((rows.n_kinds, B.shape[1]), dtype=np.int8)
    small[rows.kind[known]] = B[known]
    return small


class _Path:
    """Codes of label sets that grow more similar as long as they predict the labels."""

    def __init__(self, B: np.ndarray, rows: LabelRows, targets: np.ndarray, regularization: float, order: np.ndarray):
        self.B, self.rows, self.targets, self.order = B, rows, np.ascontiguousarray(targets), order
        self.mass = rows.kind_mass()
        self.total = float(self.mass.sum())
        self.model = SquaredLoss(rows, regularization, 0.0, 1)
        weighted = B.T.astype(np.float64) * self.mass
        self.moments = weighted @ B
        self.pulls = B.shape[1] * (weighted @ self.targets)

    def objective(self, B: np.ndarray) -> float:
        return self.model.objective(B, self.model.fit(B), None)

    def follow(self, bound: float) -> bool:
        """Raise the weight of similarity as far as the objective stays within `bound`; False if it is not at first."""
        if not self.objective(self.B) <= bound:
            return False
        weight = _FIRST_WEIGHT
        for _ in range(_MOST_FALLS):
            if self._try(weight, bound):
                break
            weight *= _FALL
        else:
            return True
        while weight < _MOST_WEIGHT and self._try(weight * _RISE, bound):
            weight *= _RISE
        step = _RISE
        for _ in range(_HALVINGS):
            step = step**0.5
            if self._try(weight * step, bound):
                weight *= step
        return True

    def _try(self, weight: float, bound: float) -> bool:
        """Lower the weighted sum of both losses from the present codes; kept within the bound only."""
        lowered = self._lowered(weight)
        if not self.objective(lowered[0]) <= bound:
            return False
        self.B, self.moments, self.pulls = lowered
        return True

    def _lowered(self, weight: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Codes, with the moments and pulls of their KSH loss.

        A flip of bit k of set g changes the sum of both losses, divided by c, by 8 m_g b_gk times a field: that of the
        KSH loss and (W y_g - W W'b_g)_k / 2 c without the bit's own part. The kernel's arrays hold both.
        """
        from bqp.kernels.joint import descend_points

        B, moments, pulls = self.B.copy(), self.moments.copy(), self.pulls.copy()
        q, C = B.shape[1], len(B)
        share = 0.5 * self.total * q * q / weight
        tol = 1e-12 * (2.0 * q * self.total) ** 2 * max(1.0, 1.0 / weight)
        groups, gain = np.arange(C), np.zeros(1)
        for _ in range(_ROUNDS):
            W = self.model.fit(B)
            pairs, labels = share * (W @ W.T), share * self.rows.of_kinds(W.T).T
            np.fill_diagonal(pairs, 0.0)
            moments += pairs
            pulls += labels
            arrays = self.targets, float(q), groups, self.mass, self.total, pulls, moments, B
            changed = descend_points(*arrays, self.order, 0, C, tol, gain)
            moments -= pairs
            pulls -= labels
            if not changed:
                break
        return B, moments, pulls


class _Search:
    """Codes of label sets, their objective, and the KSH loss for targets between them."""

    def __init__(self, B, mass, Y, targets, regularization):
        self.B, self.mass, self.regularization = B.copy(), mass, regularization
        self.root = np.sqrt(mass)
        self.target = self.root[:, None] * Y
        self.similar = targets
        self._renew()

    def _renew(self) -> None:
        C = len(self.B)
        B = self.B.astype(np.float64)
        self.K = B @ B.T
        A = self.root[:, None] * self.K * self.root + self.regularization * np.eye(C)
        self.P = np.linalg.inv(A)
        self.objective = self.regularization * float(np.sum(self.target * (self.P @ self.target)))

    def flip(self, bound: float) -> bool:
        """Make the best flip; False if none lowers the objective."""
        objective, ksh = self._candidates()
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.log(self.objective / objective)
        good = gain > _LEAST_GAIN
        if not good.any():
            return False
        reaches = good & (objective <= bound)
        cost = (
            np.where(reaches, ksh, np.inf) if reaches.any() else np.where(good, ksh / np.where(good, gain, 1), np.inf)
        )
        g, k = np.unravel_index(int(np.argmin(cost)), cost.shape)
        self.B[g, k] = -self.B[g, k]
        self._renew()
        return True

    def _candidates(self) -> tuple[np.ndarray, np.ndarray]:
        """Objective after, and change of the KSH loss by, flipping bit k of label set g; both of shape (C, q)."""
        B, P, root = self.B.astype(np.float64), self.P, self.root
        q = B.shape[1]
        # the flip adds e_g u' + u e_g' to A, u = -2 root_g b_gk (root o b_k without entry g)
        Z = root[:, None] * B
        R = P @ self.target
        R = R @ R.T
        pd, rd = np.diag(P)[:, None], np.diag(R)[:, None]
        factor = -2.0 * root[:, None] * B
        PZ, RZ = P @ Z, R @ Z
        Pgu = factor * (PZ - pd * Z)
        Rgu = factor * (RZ - rd * Z)
        zPz, zRz = np.sum(Z * PZ, axis=0), np.sum(Z * RZ, axis=0)
        Puu = factor**2 * (zPz - 2.0 * Z * PZ + pd * Z**2)
        Ruu = factor**2 * (zRz - 2.0 * Z * RZ + rd * Z**2)
        # (M^-1 + U'PU) = [[p, 1 + c], [1 + c, r]] with U = [e_g, u]
        c = 1.0 + Pgu
        determinant = pd * Puu - c * c
        change = (Puu * rd - 2.0 * c * Rgu + pd * Ruu) / determinant
        objective = np.maximum(self.regularization * (np.sum(self.target * (P @ self.target)) - change), 1e-300)
        # K_gh moves by -2 b_gk b_hk for all h but g
        E = self.K - q * self.similar
        W = np.outer(self.mass, self.mass)
        np.fill_diagonal(W, 0.0)
        ksh = 2.0 * (-4.0 * B * ((W * E) @ B) + 4.0 * W.sum(axis=1)[:, None])
        return objective, ksh

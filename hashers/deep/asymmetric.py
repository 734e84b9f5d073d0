"""Squared similarity loss of a net's outputs against fixed codes: the network half of ADSH and DDSH.

Q.-Y. Jiang, W.-J. Li, "Asymmetric Deep Supervised Hashing", AAAI 2018 (equation 2, given V);
Q.-Y. Jiang, X. Cui, W.-J. Li, "Deep Discrete Supervised Hashing", IEEE TIP 27, 2018 (equation 6).
"""

import numpy as np

from bqp.supervision.base import group_sums
from hashers.deep._torch import import_torch

__all__ = ["AsymmetricLoss", "pair_block", "squared_error"]

BLOCK = 1 << 20
"""Pairs looked at together."""


class AsymmetricLoss:
    """Mean over the rows i of a batch of ``sum_j w_ij (q t_ij - h_i.c_j)^2 / (m q^2) + pull |b_i - h_i|^2 / q``.

    h_i = tanh(u_i) are relaxed codes, c_j the codes of m fixed points; t_ij is s_ij, times `ratio` where negative.

    Parameters
    ----------
    S : bqp.supervision.Similarity
    points : ndarray of shape (m,), int
    C : ndarray of shape (m, q)
        Their codes.
    B : ndarray of shape (n, q), optional
        Codes that outputs are pulled to.
    ratio : float
    pull : float
    device : torch.device

    Notes
    -----
    With labels a batch costs O(b q^2), whatever m is: the sum is ``h'Gh - 2 q h.r + constant`` with G = C'AC and r the
    weighted sum of targets times codes for the label of i. Otherwise O(b m q), and b x m numbers.
    """

    def __init__(self, S, points, C, B=None, ratio=1.0, pull=0.0, device=None):
        torch = import_torch()
        self.S, self.points, self.ratio, self.q = S, points, ratio, C.shape[1]
        self.pull, self.device = pull, device

        def tensor(array):
            return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)

        self.tensor, self.codes, self.B = tensor, tensor(C), None if B is None else tensor(B)
        self.size = len(points) * float(self.q) ** 2
        self.collapsed = S.structure == "grouped" and S.V is None
        if self.collapsed:
            T = _softened(S.T, ratio)
            a = np.ones(S.n) if S.weights is None else S.weights
            groups, mass = S.groups[points], a[points]
            codes = C.astype(np.float64)
            self.gram = tensor(codes.T @ (codes * mass[:, None]) / self.size)
            sums = group_sums(np.ascontiguousarray(codes), groups, len(T), mass)
            self.sums = tensor(T @ sums * (self.q / self.size))
            self.constant = tensor(self.q**2 / self.size * (T**2 @ np.bincount(groups, mass, minlength=len(T))))
            self.groups = torch.from_numpy(S.groups.astype(np.int64)).to(device)
            self.mass = tensor(a)

    def __call__(self, outputs, rows):
        H = outputs.tanh()
        value = self.similarity_term(H, rows)
        if self.B is not None:
            value = value + self.pull * (self.B[rows] - H).square().mean()
        return value

    def similarity_term(self, H, rows):
        """The first term, for relaxed codes H of shape (b, q)."""
        if self.collapsed:
            groups = self.groups[rows]
            squares = ((H @ self.gram) * H).sum(dim=1) - 2.0 * (H * self.sums[groups]).sum(dim=1)
            return ((squares + self.constant[groups]) * self.mass[rows]).mean()
        targets, weights = pair_block(self.S, rows.cpu().numpy(), self.points)
        error = self.q * self.tensor(_softened(targets, self.ratio)) - H @ self.codes.T
        return (self.tensor(weights / self.size) * error.square()).sum() / len(rows)


def squared_error(S, rows, U, points, C, ratio=1.0):
    """``sum over rows i and points j of w_ij (q t_ij - u_i.c_j)^2``, t_ij = s_ij, times `ratio` where negative.

    Parameters
    ----------
    S : bqp.supervision.Similarity
    rows, points : ndarray of shape (b,) and (m,), int
    U, C : ndarray of shape (b, q) and (m, q)

    Returns
    -------
    error : float

    Notes
    -----
    O((b + m) q^2) with labels, else O(b m q) in blocks.
    """
    q, U, C = C.shape[1], np.asarray(U, dtype=np.float64), np.asarray(C, dtype=np.float64)
    if S.structure == "grouped" and S.V is None:
        T = _softened(S.T, ratio)
        a = np.ones(S.n) if S.weights is None else S.weights
        sums = [group_sums(np.ascontiguousarray(A), S.groups[k], len(T), a[k]) for A, k in ((U, rows), (C, points))]
        mass = [np.bincount(S.groups[k], a[k], minlength=len(T)) for k in (rows, points)]
        grams = [A.T @ (A * a[k][:, None]) for A, k in ((U, rows), (C, points))]
        cross = float(np.sum(sums[0] * (T @ sums[1])))
        return float(q * q * (mass[0] @ (T**2 @ mass[1])) - 2.0 * q * cross + np.sum(grams[0] * grams[1]))
    total, step = 0.0, max(1, BLOCK // len(points))
    for start in range(0, len(rows), step):
        targets, weights = pair_block(S, rows[start : start + step], points)
        total += float(np.sum(weights * (q * _softened(targets, ratio) - U[start : start + step] @ C.T) ** 2))
    return total


def pair_block(S, rows, points):
    """Targets and weights of the pairs of `rows` with `points`, two float64 arrays of shape (b, m)."""
    if S.structure == "grouped":
        g, h = S.groups[rows], S.groups[points]
        targets = S.T[g][:, h].astype(np.float64)
        weights = np.ones(targets.shape) if S.V is None else S.V[g][:, h]
        return targets, weights if S.weights is None else weights * np.outer(S.weights[rows], S.weights[points])
    if S.structure == "matrix":
        block = np.ix_(rows, points)
        targets = S.S[block].astype(np.float64)
        return targets, np.ones(targets.shape) if S.W is None else S.W[block]
    i, j = np.repeat(rows, len(points)), np.tile(points, len(rows))
    return tuple(values.reshape(len(rows), len(points)) for values in S.pair_values(i, j))


def _softened(targets, ratio):
    """Targets in float64, the negative ones times `ratio`."""
    targets = np.asarray(targets, dtype=np.float64)
    return np.where(targets < 0, ratio * targets, targets)

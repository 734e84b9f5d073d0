"""The bits of KSH: coefficients of kernel functions, bit after bit, on a similarity that is never written out.

Liu, Wang, Ji, Jiang and Chang, "Supervised hashing with kernels", CVPR 2012; the steps are those of the authors' code.
"""

import numpy as np
from scipy.linalg import eigh, lapack

from hashers import packing

__all__ = ["KSHBits", "TargetProducts"]

RIDGE = 1e-6
"""Added to K'K, times its mean diagonal: anchors may coincide."""

PUBLISHED_TOLERANCE = 1e-2
"""Published: a change of the smoothed cost per point below this ends the gradient steps of a bit."""

GAIN = 1e-9
"""Relative gain that a bit must bring to be replaced."""


class TargetProducts:
    """Products of the weighted target W o S and of the weights W with columns, for any similarity.

    Parameters
    ----------
    S : bqp.supervision.Similarity
    zero_targets : bool
        Whether an unknown pair is a known one with target 0, as published; else it has no weight.

    Attributes
    ----------
    a : ndarray of shape (n,), float64, or None
        Where the weights are products a_i a_j; None otherwise.
    """

    def __init__(self, S, zero_targets=False):
        from scipy.sparse import csr_array

        self.S, self.n = S, S.n
        self.a = np.ones(S.n) if zero_targets else None
        if S.structure == "grouped":
            self.points = np.ones(S.n) if S.weights is None else S.weights
            indptr = np.arange(S.n + 1)
            self.indicator = csr_array((self.points, S.groups, indptr), shape=(S.n, S.n_groups))
            self.targets = S.T.astype(np.float64) if S.V is None else S.T * S.V
            if S.V is None and not zero_targets:
                self.a = self.points
        elif S.structure == "pairs":
            weights = np.ones(len(S.indices)) if S.weights is None else S.weights
            self.weights = csr_array((weights, S.indices, S.indptr), shape=(S.n, S.n))
            self.targets = csr_array((weights * S.targets, S.indices, S.indptr), shape=(S.n, S.n))
        else:
            self.weights = np.ones((S.n, S.n)) if S.W is None else S.W
            self.targets = S.S.astype(np.float64) * self.weights
            if S.W is None and not zero_targets:
                self.a = np.ones(S.n)

    def target(self, V):
        """(W o S) V."""
        if self.S.structure == "grouped":
            return self.indicator @ (self.targets @ (self.indicator.T @ V))
        return self.targets @ V

    def weight(self, V):
        """W V."""
        if self.a is not None:
            sums = self.a @ V
            return self.a[:, None] * sums if V.ndim == 2 else self.a * sums
        if self.S.structure == "grouped":
            return self.indicator @ (self.S.V @ (self.indicator.T @ V))
        return self.weights @ V


class KSHBits:
    """Bits y = sgn(K a) that minimise ``sum_ij w_ij (q s_ij - sum_k y_ik y_jk)^2`` over coefficients a.

    Parameters
    ----------
    K : ndarray of shape (n, m), float64
        Centred kernel values.
    S : bqp.supervision.Similarity
    n_bits : int
    published : bool

    Attributes
    ----------
    A : ndarray of shape (m, n_bits), float64
    B : ndarray of shape (n, n_bits), int8
        Signs of K A.
    smoothed : int
        Bits that the smoothed problem gave, rather than the spectral one.
    """

    def __init__(self, K, S, n_bits, published):
        self.K, self.q, self.published = K, n_bits, published
        n, m = K.shape
        self.products = TargetProducts(S, zero_targets=published)
        G = K.T @ K
        G[np.diag_indices(m)] += RIDGE * max(np.trace(G) / m, np.finfo(np.float64).tiny)
        self.G = G
        self.lower = np.linalg.cholesky(G)
        self.M = n_bits * (K.T @ self.products.target(K))  # K'R K for the residual R
        self.A, self.B = np.zeros((m, n_bits)), np.ones((n, n_bits), dtype=np.int8)
        self.counted = np.zeros(n_bits, dtype=bool)
        self.smoothed = 0
        self.whitened = None

    # ---- the residual ----------------------------------------------------------------------------------------------

    def residual(self, v):
        """R v, with R = W o (q S - sum of y y' over the bits counted)."""
        B = self.B[:, self.counted].astype(np.float64)
        out = self.q * self.products.target(v)
        if self.products.a is not None:
            weighted = self.products.a[:, None] * B
            return out - weighted @ (weighted.T @ v)
        return out - np.einsum("nk,nk->n", B, self.products.weight(B * v[:, None]))

    def _count(self, k, sign):
        """Take bit k into the residual (sign 1) or out of it (-1)."""
        self.counted[k] = sign > 0
        y = self.B[:, k].astype(np.float64)
        if self.products.a is not None:
            column = self.K.T @ (self.products.a * y)
            self.M -= sign * np.outer(column, column)
        else:
            turned = y[:, None] * self.K
            self.M -= sign * (turned.T @ self.products.weight(turned))

    def value(self, y):
        """y'R y, which the bit maximises."""
        y = y.astype(np.float64)
        return float(y @ self.residual(y))

    # ---- one bit ---------------------------------------------------------------------------------------------------

    def spectral(self):
        """Top generalised eigenvector of K'R K a = lambda K'K a, scaled to a'K'K a = n."""
        m = len(self.M)
        reduced = lapack.dtrtrs(self.lower, 0.5 * (self.M + self.M.T), lower=1)[0]
        reduced = lapack.dtrtrs(self.lower, reduced.T, lower=1)[0]
        vector = eigh(0.5 * (reduced + reduced.T), subset_by_index=[m - 1, m - 1], check_finite=False)[1]
        a = lapack.dtrtrs(self.lower, vector, lower=1, trans=1)[0][:, 0]
        length = float(a @ self.G @ a)
        return a * np.sqrt(self.K.shape[0] / length) if length > 0 else a

    def smooth(self, a, max_iterations):
        """Coefficients that maximise phi(Ka)'R phi(Ka), phi(x) = 2 / (1 + exp(-x)) - 1, from a."""
        return self._nesterov(a, max_iterations) if self.published else self._quasi_newton(a, max_iterations)

    def _cost(self, a):
        """-phi(Ka)'R phi(Ka), and what its gradient needs."""
        phi = np.tanh(0.5 * (self.K @ a))
        product = self.residual(phi)
        return -float(phi @ product), phi, product

    def _gradient(self, phi, product):
        return -(self.K.T @ (product * (1.0 - phi**2)))

    def _nesterov(self, a, max_iterations):
        """The authors' accelerated gradient with backtracking."""
        previous, current = a, a
        cost = self._cost(a)[0]
        delta, following, beta = 0.0, 1.0, 1.0
        for _ in range(max_iterations):
            probe = current + (delta - 1.0) / following * (current - previous)
            at_probe, phi, product = self._cost(probe)
            gradient = self._gradient(phi, product)
            for j in range(51):
                b = 2.0**j * beta
                step = -gradient / b
                reached = self._cost(probe + step)[0]
                if reached <= at_probe + gradient @ step + 0.5 * b * (step @ step):
                    break
            else:
                break
            beta, previous, current = b, current, probe + step
            change, cost = abs(reached - cost), reached
            delta, following = following, 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * following**2))
            if change / len(self.K) <= PUBLISHED_TOLERANCE:
                break
        return current

    def _quasi_newton(self, a, max_iterations):
        """L-BFGS in coordinates in which K'K is the identity, kernel values in single precision."""
        from scipy.optimize import minimize

        if self.whitened is None:
            self.whitened = lapack.dtrtrs(self.lower, self.K.T, lower=1)[0].T.astype(np.float32)
        W = self.whitened
        n = len(W)
        unit = max(float(n) * n * self.q, 1.0)

        def value_and_gradient(u):
            phi = np.tanh(0.5 * (W @ u.astype(np.float32)).astype(np.float64))
            product = self.residual(phi)
            slope = (product * (1.0 - phi**2)).astype(np.float32)
            return -float(phi @ product) / unit, -(W.T @ slope).astype(np.float64) / unit

        options = {"maxiter": max_iterations, "ftol": 1e-6, "gtol": 1e-9}
        found = minimize(value_and_gradient, self.lower.T @ a, jac=True, method="L-BFGS-B", options=options).x
        return lapack.dtrtrs(self.lower, found, lower=1, trans=1)[0]

    def best(self, starts, max_iterations):
        """The coefficients of largest y'R y among the starts and what smoothing makes of the first."""
        candidates = [*starts, self.smooth(starts[0], max_iterations)]
        codes = [packing.signs(self.K @ a) for a in candidates]
        values = [self.value(y) for y in codes]
        place = int(np.argmax(values))
        return candidates[place], codes[place], values[place], place == len(candidates) - 1

    # ---- all bits --------------------------------------------------------------------------------------------------

    def greedy(self, max_iterations, report):
        """Bit after bit; `report(bits done)` returns whether to stop."""
        for k in range(self.q):
            self.A[:, k], self.B[:, k], _, smoothed = self.best([self.spectral()], max_iterations)
            self.smoothed += smoothed
            self._count(k, 1)
            if report(k + 1):
                return

    def cycle(self, max_iterations, report):
        """Each bit again given all others, replaced where that lowers the objective; returns the bits replaced."""
        replaced = 0
        for k in range(self.q):
            self._count(k, -1)
            present = self.value(self.B[:, k])
            a, y, value, _ = self.best([self.spectral(), self.A[:, k]], max_iterations)
            if value > present + GAIN * (abs(present) + 1.0):
                self.A[:, k], self.B[:, k] = a, y
                replaced += 1
            self._count(k, 1)
            if report(self.q):
                break
        return replaced

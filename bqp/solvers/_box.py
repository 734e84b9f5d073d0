"""A problem relaxed to the box [-1, 1]^n: products, the smallest eigenvector, descents from a corner."""

from __future__ import annotations

import numpy as np

from bqp.problem import BQP

__all__ = ["Aborted", "Box", "signs"]

DENSE_UP_TO = 64  # variables: the whole eigenproblem is quicker than Lanczos, and the same for every form


class Aborted(Exception):
    """The run is over while a library is at work on it."""


def signs(z: np.ndarray) -> np.ndarray:
    return np.where(z >= 0, 1, -1).astype(np.int8)


class Box:
    """x'Qx + c'x without Q's diagonal, over a common scale."""

    def __init__(self, problem: BQP):
        self.n, self.c = problem.n, problem.c
        self.diagonal = problem.Q.diagonal().astype(np.float64)
        self.form = problem.Q
        self.scale = max(self.form.max_abs(), float(np.abs(self.c).max(initial=0.0)))
        if not 0.0 < self.scale < np.inf:
            self.scale = 1.0
        self.dense: np.ndarray | None = None
        if self.n <= DENSE_UP_TO:
            self.dense = self.form.to_dense().astype(np.float64) / self.scale
            np.fill_diagonal(self.dense, 0.0)

    def product(self, z: np.ndarray) -> np.ndarray:
        """Q z over the scale."""
        if self.dense is not None:
            return self.dense @ z
        return (self.form.matvec(z) - self.diagonal * z) / self.scale

    def spectral(self, rng: np.random.Generator, abort) -> np.ndarray:
        """Signs of the smallest eigenvector; with a linear term, of [[Q, c/2], [c'/2, 0]], its last entry positive."""
        import scipy.linalg as la
        from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

        half = 0.5 * self.c / self.scale
        linear = bool(self.c.any())
        n = self.n + linear

        def product(v):
            if abort():
                raise Aborted
            v = np.asarray(v, dtype=np.float64).ravel()
            if not linear:
                return self.product(v)
            return np.append(self.product(v[:-1]) + half * v[-1], half @ v[:-1])

        if n <= DENSE_UP_TO and self.dense is not None:
            A = np.column_stack([product(column) for column in np.eye(n)])
            vector = la.eigh(A, subset_by_index=[0, 0])[1][:, 0]
        else:
            operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
            try:
                vector = eigsh(operator, k=1, which="SA", v0=rng.standard_normal(n), tol=1e-6, maxiter=100)[1][:, 0]
            except ArpackNoConvergence as error:
                vectors = error.eigenvectors
                vector = vectors[:, 0] if vectors.shape[1] else rng.standard_normal(n)
        anchor = vector[-1] if linear else vector[np.argmax(np.abs(vector))]
        vector = vector[: self.n] * (1.0 if anchor >= 0 else -1.0)
        return signs(vector)

    def descend(self, x: np.ndarray, max_iterations: int, made: list[int], abort) -> np.ndarray:
        """L-BFGS-B on z'Qz / n + c'z / n from the corner x; ``made[0]`` counts iterations."""
        from scipy.optimize import minimize

        c = self.c / self.scale

        def value_and_gradient(z):
            if abort():
                raise Aborted
            Qz = self.product(z)
            return float(z @ Qz + c @ z) / self.n, (2.0 * Qz + c) / self.n

        def count(_):
            made[0] += 1

        options = {"maxiter": max_iterations, "ftol": 1e-4 * np.finfo(np.float64).eps, "gtol": 1e-5}
        found = minimize(
            value_and_gradient, x.astype(np.float64), jac=True, method="L-BFGS-B", bounds=[(-1.0, 1.0)] * self.n,
            callback=count, options=options,
        )  # fmt: skip
        return found.x

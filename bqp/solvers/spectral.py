"""Spectral rounding: eigenvectors of the smallest eigenvalues, every threshold of each, then descent.

S. Poljak, F. Rendl, "Solving the max-cut problem using eigenvalues", Discrete Applied Mathematics 62, 1995 (signs of
the extreme eigenvector); L. Trevisan, "Max cut and the smallest eigenvalue", SIAM J. Computing 41, 2012 (thresholds).
Ours: all n + 1 thresholds of a vector, in both directions, by one pass over Q; several eigenvectors and random
combinations of them; linear terms by one more variable; any form of Q, by products.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bqp.forms import Dense, Form, Grouped, LowRank, Sparse, Sum
from bqp.problem import BQP
from bqp.solvers._box import Aborted
from bqp.solvers.base import Solver, check_count
from bqp.solvers.run import WalkResult, run_walks
from bqp.solvers.walks import prepare

__all__ = ["Spectral", "threshold_energies"]

_DENSE_UP_TO = 64  # variables: the whole eigenproblem is quicker than Lanczos, and the same for every form
_BLOCK_ROWS = 1 << 18


class Spectral(Solver):
    """Round eigenvectors of Q by their best threshold, and descend from there.

    Parameters
    ----------
    n_vectors : int
        Eigenvectors of the smallest eigenvalues; each is rounded, and random combinations of them after that.
    n_restarts : int, optional
        Roundings; default twice `n_vectors`, or as many as the time or moves allow.

    Notes
    -----
    Q's diagonal is left out; a linear term enters as one more variable, ``[[Q, c/2], [c'/2, 0]]``. Lanczos takes some
    tens of products with Q for each vector, and its vectors need not be exact. A rounding costs a sort and one pass
    over Q: O(n**2) dense, O(nnz) sparse, O(n r) structured, none of which is written out. Memory: about 20 vectors of
    length n. Nothing is proven (`bqp.lower_bound` has the eigenvalue bound). A move is a flip of the descent.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> from bqp.solvers import Spectral
    >>> ring = np.roll(np.eye(50), 1, axis=1)
    >>> Spectral().solve(bqp.BQP.from_maxcut(ring + ring.T), rng=0).objective
    50.0
    """

    name: ClassVar[str] = "spectral"

    def __init__(self, n_vectors: int = 4, n_restarts: int | None = None):
        self.n_vectors = check_count("n_vectors", n_vectors)
        self.n_restarts = None if n_restarts is None else check_count("n_restarts", n_restarts)

    def _search(self, problem, run, x0, seeds, n_jobs):
        if x0 is None:
            run.offer(np.where(problem.c > 0, -1, 1).astype(np.int8))  # until there is a vector
        vectors = None
        rng = np.random.Generator(np.random.PCG64(seeds.spawn(1)[0]))
        try:
            with run.catching_interrupts():
                vectors = eigenvectors(problem, self.n_vectors, rng, lambda: run.stopping)
        except Aborted:
            pass
        if vectors is None:
            return
        storage = prepare(problem)

        def walk(k, rng, cap, abort):
            made, limit = [0], np.iinfo(np.int64).max if cap is None else cap
            vector = vectors[k] if k < len(vectors) else rng.standard_normal(len(vectors)) @ vectors
            state = storage.start(best_threshold(problem, vector))
            with run.catching_interrupts():
                if run.callback is not None:
                    run.offer(state.x[: problem.n])
                    run.tick(0)
                state.sink(limit, abort, made)
            x = state.x[: problem.n].copy()
            return WalkResult(x, float(problem.energy(x)), made[0], not abort() and made[0] < limit)

        default = None if run.budget.is_open_ended else 2 * self.n_vectors
        run_walks(run, walk, seeds, n_jobs, self.n_restarts or default)


def eigenvectors(problem: BQP, count: int, rng: np.random.Generator, abort=lambda: False) -> np.ndarray:
    """Vectors of the smallest eigenvalues, shape (at most count, n), the linear term's variable turned to +1."""
    import scipy.linalg
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh

    n, form = problem.n, problem.Q
    diagonal = form.diagonal()
    largest = max(form.max_abs(), float(np.abs(problem.c).max(initial=0.0)))
    scale = largest if 0.0 < largest < np.inf else 1.0
    half, linear = 0.5 * problem.c / scale, bool(problem.c.any())
    size = n + linear

    def product(v):
        if abort():
            raise Aborted
        v = np.asarray(v, dtype=np.float64).ravel()
        z = v[:n]
        top = form.matvec(z) / scale - (diagonal / scale) * z
        return np.append(top + half * v[n], half @ z) if linear else top

    if size <= _DENSE_UP_TO:
        A = np.column_stack([product(column) for column in np.eye(size)])
        found = scipy.linalg.eigh(0.5 * (A + A.T), subset_by_index=[0, min(count, size) - 1])[1]
    else:
        operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
        try:
            found = eigsh(
                operator, k=min(count, size - 1), which="SA", v0=rng.standard_normal(size), tol=1e-3, maxiter=60
            )[1]  # fmt: skip
        except ArpackNoConvergence as error:
            found = error.eigenvectors
        except ArpackError:  # a start within an invariant space, Q = 0 for one
            found = np.empty((size, 0))
        if found.shape[1] == 0:
            found = rng.standard_normal((size, 1))
    order = np.argsort([float(v @ product(v)) / max(1e-300, float(v @ v)) for v in found.T], kind="stable")
    vectors = found.T[order]
    anchors = vectors[:, n] if linear else np.array([v[np.argmax(np.abs(v))] for v in vectors])
    return vectors[:, :n] * np.where(anchors >= 0.0, 1.0, -1.0)[:, None]


def best_threshold(problem: BQP, vector: np.ndarray) -> np.ndarray:
    """The best of the 2 n + 2 assignments ``x_i = +-1 exactly if vector_i exceeds t``, int8."""
    order = np.argsort(-vector, kind="stable")
    values, linear = threshold_energies(problem, order)
    best_up, best_down = int(np.argmin(values + linear)), int(np.argmin(values - linear))
    up = values[best_up] + linear[best_up] <= values[best_down] - linear[best_down]
    x = np.full(problem.n, -1, np.int8)
    x[order[: best_up if up else best_down]] = 1
    return x if up else (-x).astype(np.int8)


def threshold_energies(problem: BQP, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x'Qx and c'x after the first k variables of `order` have become +1, the others being -1; both of shape (n + 1,).

    Examples
    --------
    >>> import numpy as np, bqp
    >>> threshold_energies(bqp.BQP(np.array([[0, 1], [1, 0]]), c=[1, 0]), np.array([0, 1]))
    (array([ 2., -2.,  2.]), array([-1.,  1.,  1.]))
    """
    order = np.asarray(order, dtype=np.int64)
    quadratic = np.zeros(problem.n + 1)
    for part in problem.Q.parts if isinstance(problem.Q, Sum) else (problem.Q,):
        _add_path(part, order, quadratic)
    linear = np.concatenate([[0.0], np.cumsum(2.0 * problem.c[order])]) - float(problem.c.sum())
    return quadratic, linear


def _add_path(form: Form, order: np.ndarray, out: np.ndarray) -> None:
    from bqp.kernels import thresholds

    n = form.n
    if isinstance(form, Sparse):
        position = np.empty(n, np.int64)
        position[order] = np.arange(n)
        thresholds.path_sparse(form.Q.indptr, form.Q.indices, form.Q.data, position, out)
    elif isinstance(form, Dense):
        thresholds.path_dense(form.Q, order, out)
    elif isinstance(form, Grouped):
        weights = np.ones(n) if form.a is None else np.asarray(form.a, dtype=np.float64)
        thresholds.path_grouped(form.groups, form.M, weights, order, out)
    elif isinstance(form, LowRank):
        sums = -form.project(np.ones(n))  # weighted by d
        plain = np.where(form.d != 0.0, sums / np.where(form.d != 0.0, form.d, 1.0), 0.0)
        out[0] += float(plain @ sums)
        step = max(1, _BLOCK_ROWS // max(1, form.rank))
        for a in range(0, n, step):
            path = plain + 2.0 * np.cumsum(form.U[order[a : a + step]].astype(np.float64), axis=0)
            out[a + 1 : a + 1 + len(path)] += np.square(path) @ form.d
            plain = path[-1]
    else:
        thresholds.path_dense(form.to_dense(), order, out)

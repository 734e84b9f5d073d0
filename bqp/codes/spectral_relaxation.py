"""Codes as the signs of eigenvectors: the joint problem of all bits with real codes.

Drop the constraint that codes are +-1 from ``sum_ij a_i a_j (q s_ij - h_i.h_j)^2`` and it has a closed form: with the
eigenpairs (lambda_k, v_k) of sqrt(a_i) s_ij sqrt(a_j), the rows h_i = sqrt(q lambda_k / a_i) v_ik over the q largest
lambda_k > 0 (C. Eckart, G. Young, "The approximation of one matrix by another of lower rank", Psychometrika 1, 1936).
Signs of leading eigenvectors are how supervised hashing started: J. Wang, S. Kumar, S.-F. Chang, "Semi-Supervised
Hashing for Scalable Image Retrieval", CVPR 2010, whose relaxation this is without features. Ours: eigenvectors of the
label sets instead of the points, and a rotation, which leaves the relaxed loss as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bqp import losses
from bqp.callbacks import Callback
from bqp.codes._common import Course, check_mode, check_similarity, signs
from bqp.codes._pursuit import merge_groups
from bqp.codes._rotation import best_rotation
from bqp.codes.bounds import bounds_of
from bqp.codes.refine import check_certify
from bqp.codes.result import CodeResult
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solvers.base import check_count
from bqp.supervision import GroupedSimilarity, MatrixSimilarity, PairSimilarity, Similarity

__all__ = ["spectral_relaxation"]

_ROTATIONS = 20
_DENSE_UP_TO = 1000  # points: the whole eigenproblem, else Lanczos


def spectral_relaxation(
    S: Similarity,
    n_bits: int = 32,
    mode: str = "default",
    n_rotations: int | None = None,
    rng: RandomLike = 0,
    callback: Callback | None = None,
    time_limit: float | None = None,
    certify: bool | str = "auto",
) -> CodeResult:
    """Learn codes as signs of the real codes that minimise ``sum_ij w_ij (q S_ij - h_i.h_j)^2``.

    Parameters
    ----------
    S : Similarity
        From `bqp.supervision`. Exact for weights a_i a_j; other weights multiply the target, and unknown pairs count
        as targets of 0.
    n_bits : int
        Code length q.
    mode : {"default", "published"}
        "published": bit k is the signs of the k-th leading eigenvector; where there are fewer, they repeat in turn.
        "default": signs of the best rotation of the real codes, never worse than "published".
    n_rotations : int, optional
        Random rotations tried, each as it is and after 30 rounds of iterative quantization. Default 20.
    rng : None, int, SeedSequence or Generator
        Start of the eigenvectors, and the rotations.
    callback : callable, optional
        Called once with an `Event`, when the codes are there.
    time_limit : float, optional
        Seconds; looked at when the codes are there.
    certify : bool or "auto"
        As in `codes.bitwise`.

    Returns
    -------
    result : CodeResult
        ``objective`` is the ksh loss. ``stats["eigenvalues"]``, largest first; ``stats["H"]`` (n, q): the real codes,
        rotated in "default", of zeros at points that no known pair mentions; ``stats["relaxed_objective"]``: their
        loss, where the weights are a_i a_j. No codes have a lower one.

    Raises
    ------
    ParameterError
        A wrong mode or count.

    Notes
    -----
    O(C^3) for C label sets up to 1,000, some tens of products with the C x C targets beyond; pairs O(nnz) a product. A
    k-fold eigenvalue (ten balanced classes have a nine-fold one) leaves its eigenvectors free: "published" takes what
    the eigensolver gives.

    Examples
    --------
    >>> from bqp import codes, supervision
    >>> S = supervision.from_labels([0, 0, 0, 1, 1, 1, 2, 2])
    >>> result = codes.spectral_relaxation(S, n_bits=8)
    >>> len(np.unique(result.B, axis=0)), result.stats["relaxed_objective"] <= result.objective
    (3, True)
    """
    check_similarity(S)
    n_bits = check_count("n_bits", n_bits)
    published = check_mode(mode)
    check_certify(certify)
    n_rotations = check_count("n_rotations", _ROTATIONS if n_rotations is None else n_rotations, least=0)
    course = Course(callback, time_limit)
    rng = np.random.Generator(np.random.PCG64(as_seed_sequence(rng)))
    collapse = merge_groups(S) if isinstance(S, GroupedSimilarity) else S.drop_unknown()
    small = collapse.similarity
    problem = _Eigenproblem(small)
    values, vectors = problem.leading(n_bits, rng)
    B = signs(vectors[:, np.arange(n_bits) % vectors.shape[1]])
    H = np.zeros((small.n, n_bits))
    H[:, : len(values)] = vectors * np.sqrt(n_bits * np.maximum(values, 0.0)) / problem.root[:, None]
    if not published:
        counts = np.bincount(collapse.labels[collapse.labels >= 0], minlength=small.n).astype(np.float64)
        turned = best_rotation(H, counts, small.ksh_objective, n_rotations, rng)
        if small.ksh_objective(signs(turned)) <= small.ksh_objective(B):
            H, B = turned, signs(turned)
    B = collapse.lift(B)
    objective = S.ksh_objective(B)
    course.report(n_bits, objective, lambda: B)
    lower_bound, ksh_lower_bound = bounds_of(S, n_bits, losses.Ksh(), objective, objective, certify)
    labels = collapse.labels[:, None]
    stats: dict[str, Any] = {
        "mode": mode, "n_points": small.n, "eigenvalues": values,
        "H": np.where(labels >= 0, H[collapse.labels], 0.0),
    }  # fmt: skip
    if problem.exact:
        kept = np.maximum(values, 0.0)
        stats["relaxed_objective"] = n_bits**2 * (problem.squared_norm() - float(kept @ kept))
    if course.stopped:
        stats["stopped"] = course.stopped
    return CodeResult(
        B=B, objective=objective, lower_bound=lower_bound, ksh_objective=objective, ksh_lower_bound=ksh_lower_bound,
        n_bits=n_bits, loss="ksh", method="spectral_relaxation", trace=course.trace, time=course.elapsed, stats=stats,
    )  # fmt: skip


class _Eigenproblem:
    """sqrt(a_i) s_ij sqrt(a_j), or sqrt(a_i) v_ij s_ij sqrt(a_j) where weights are no products.

    Attributes
    ----------
    root : ndarray of shape (n,), float64
        sqrt(a_i).
    exact : bool
        Whether the eigenvectors give the least loss.
    """

    def __init__(self, S: Similarity):
        from scipy.sparse import csr_array

        self.root = np.ones(S.n)
        if isinstance(S, GroupedSimilarity):
            targets = S.T.astype(np.float64)[S.groups][:, S.groups]
            if S.V is not None:
                targets *= S.V[S.groups][:, S.groups]
            if S.weights is not None:
                self.root = np.sqrt(S.weights)
            self.matrix = targets * self.root * self.root[:, None]
            self.exact = S.V is None
        elif isinstance(S, PairSimilarity):
            values = S.targets.astype(np.float64) * (1.0 if S.weights is None else S.weights)
            self.matrix, self.exact = csr_array((values, S.indices, S.indptr), shape=(S.n, S.n)), False
        else:
            assert isinstance(S, MatrixSimilarity)
            self.matrix = S.S.astype(np.float64) * (1.0 if S.W is None else S.W)
            self.exact = S.W is None

    def squared_norm(self) -> float:
        return float(np.sum(np.square(self.matrix)))

    def leading(self, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The k largest eigenvalues (all, if fewer), falling, and their eigenvectors, largest entries positive."""
        import scipy.linalg as la
        from scipy.sparse import issparse
        from scipy.sparse.linalg import eigsh

        n = self.matrix.shape[0]
        k = min(k, n)
        start = rng.standard_normal(n)
        if n <= _DENSE_UP_TO or 2 * k >= n:
            matrix = self.matrix.toarray() if issparse(self.matrix) else self.matrix
            values, vectors = la.eigh(matrix, subset_by_index=[n - k, n - 1])
        else:
            values, vectors = eigsh(self.matrix, k=k, which="LA", v0=start)
        values, vectors = values[::-1], vectors[:, ::-1]
        largest = np.argmax(np.abs(vectors), axis=0)
        return values, vectors * np.where(vectors[largest, np.arange(k)] >= 0, 1.0, -1.0)

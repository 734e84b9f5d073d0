"""Codes as the signs of real codes in [-1, 1] whose inner products are the similarities.

R. Xia, Y. Pan, H. Lai, C. Liu, S. Yan, "Supervised hashing for image retrieval via image representation learning", AAAI
2014 (CNNH), the first of its two steps: minimise ||S - H H' / q||^2 over H in [-1, 1]^(n x q), one entry at a time by a
Newton step on the quartic that is left, cut off at the ends; then signs. Ours: H H' is never formed. A step needs row i
of q S - H H' times column j of H, which is q times a few sums of H over groups of equal points, less a row of H times
H'H: O(C + q) for C groups instead of O(n). A step that would raise the objective is left out (the second derivative may
be negative).
"""

from __future__ import annotations

import numpy as np

from bqp import losses
from bqp.callbacks import Callback
from bqp.codes._common import Course, check_similarity, signs
from bqp.codes.bounds import bounds_of
from bqp.codes.result import CodeResult
from bqp.errors import ProblemError
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solvers.base import check_count
from bqp.supervision import GroupedSimilarity, MatrixSimilarity, Similarity
from bqp.supervision.base import group_sums

__all__ = ["relaxed_factors"]

_SMALLEST_FALL = 1e-6
_CHUNK = 50_000  # entries a kernel call


def relaxed_factors(
    S: Similarity,
    n_bits: int = 32,
    max_sweeps: int = 10,
    rng: RandomLike = 0,
    callback: Callback | None = None,
    time_limit: float | None = None,
    certify: bool | str = "auto",
) -> CodeResult:
    """Learn codes as signs of the H in [-1, 1]^(n x q) that coordinate descent finds for ``||q S - H H'||^2``.

    Parameters
    ----------
    S : Similarity
        Of labels, label sets, or a whole matrix; without weights. Points without a label get random codes.
    n_bits : int
        Code length q.
    max_sweeps : int
        Passes over all entries, in random order; fewer where a pass lowers the objective by less than 1e-6 of it.
    rng : None, int, SeedSequence or Generator
        Start, uniform in [-1, 1], and orders.
    callback : callable, optional
        Called after each sweep with an `Event`: ``n_moves`` counts sweeps, ``energy`` is the relaxed objective, ``x``
        the codes. Returning True stops.
    time_limit : float, optional
        Seconds, looked at between chunks of entries. The answer then depends on the machine.
    certify : bool or "auto"
        Whether to compute the semidefinite bound; "auto": up to 1,000 groups.

    Returns
    -------
    result : CodeResult
        `objective` is the ksh objective of the signs. ``trace.objective``: the relaxed objective before the first and
        after each sweep, never rising.

    Raises
    ------
    ProblemError
        If the similarity has weights, or is of single pairs.

    Notes
    -----
    A sweep costs O(n q (C + q)) for C groups of points; C = n for a matrix. Memory O(n q + C^2).

    Examples
    --------
    >>> import numpy as np
    >>> from bqp import codes, supervision
    >>> result = codes.relaxed_factors(supervision.from_labels(np.arange(60) % 3), n_bits=8, rng=0)
    >>> result.B.shape, bool((np.diff(result.trace.objective) <= 0).all())
    ((60, 8), True)
    """
    check_similarity(S)
    course = Course(callback, time_limit)
    n_bits = check_count("n_bits", n_bits)
    max_sweeps = check_count("max_sweeps", max_sweeps)
    rng = np.random.Generator(np.random.PCG64(as_seed_sequence(rng)))
    known = np.flatnonzero(S.known)
    groups, T = _groups(S, known)
    H = rng.uniform(-1.0, 1.0, (S.n, n_bits))
    B = signs(H)
    n_sweeps = _descend(H[known], known, groups, T, B, max_sweeps, rng, course)
    objective = S.ksh_objective(B)
    lower_bound, ksh_lower_bound = bounds_of(S, n_bits, losses.Ksh(), objective, objective, certify)
    stats = {"n_sweeps": n_sweeps, "n_groups": len(T)}
    if course.stopped:
        stats["stopped"] = course.stopped
    return CodeResult(
        B=B, objective=objective, lower_bound=lower_bound, ksh_objective=objective, ksh_lower_bound=ksh_lower_bound,
        n_bits=n_bits, loss="ksh", method="relaxed_factors", trace=course.trace, time=course.elapsed, stats=stats,
    )  # fmt: skip


def _groups(S: Similarity, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group of each known point and targets between groups; every point by itself for a matrix."""
    if isinstance(S, GroupedSimilarity):
        weights = np.ones(len(known)) if S.weights is None else S.weights[known]
        if S.V is None and np.all(weights == 1.0):
            return S.groups[known], np.ascontiguousarray(S.T, dtype=np.float64)
    elif isinstance(S, MatrixSimilarity) and S.W is None:
        return np.arange(S.n, dtype=np.int32), np.ascontiguousarray(S.to_dense()[0], dtype=np.float64)
    raise ProblemError(
        "the factorisation wants the similarity of all pairs, without weights: labels, label sets or a full matrix. "
        "codes.learn takes pairs and weights."
    )


def _descend(H, known, groups, T, B, max_sweeps, rng, course) -> int:
    """Sweep until little changes; `B` follows. Returns the sweeps made."""
    from bqp.kernels.factors import factor_sweep

    n, q = H.shape
    number = np.bincount(groups, minlength=len(T)).astype(np.float64)
    constant = q * q * float(number @ (T * T) @ number)
    done = 0
    try:
        for done in range(max_sweeps + 1):
            G, sums = H.T @ H, group_sums(H, groups, len(T))  # anew each sweep: updates round
            value = constant - 2.0 * q * float(np.sum(sums * (T @ sums))) + float(np.sum(G * G))
            B[known] = signs(H)
            last = course.rows[-1][2] if course.rows else np.inf
            value = min(value, last)
            if course.report(done, value, B.copy) or last - value <= _SMALLEST_FALL * abs(value) or done == max_sweeps:
                break
            order = rng.permutation(n * q)
            for start in range(0, n * q, _CHUNK):
                factor_sweep(H, groups, T, sums, G, float(q), order[start : start + _CHUNK])
                if course.time_left() == 0.0:
                    break
    except KeyboardInterrupt:
        course.interrupt()
        B[known] = signs(H)
    return done

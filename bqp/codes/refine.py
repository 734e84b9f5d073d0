"""Local search on all bits of all points at once, from given codes.

Single flips and pairs of flips in a point, the same bit of two points, and whole bits where they can be enumerated.
The moves of a point are those of discrete cyclic coordinate descent (F. Shen, C. Shen, W. Liu, H. Shen, "Supervised
Discrete Hashing", CVPR 2015), here on the pairwise loss itself; whole bits are those of `bitwise(order="cyclic")`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bqp import losses
from bqp.callbacks import Callback
from bqp.codes._common import Course, check_similarity
from bqp.codes._joint import JointSearch, _FewPoints, improve
from bqp.codes.bounds import bounds_of
from bqp.codes.result import CodeResult
from bqp.errors import ParameterError, ProblemError
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solution import Solution, Status
from bqp.solvers.base import check_count, resolve_n_jobs
from bqp.supervision import Collapse, Similarity, check_codes

__all__ = ["refine"]


def refine(
    B,
    S: Similarity,
    loss: str | losses.Loss = "ksh",
    n_kicks: int = 0,
    rng: RandomLike = 0,
    n_jobs: int = 1,
    callback: Callback | None = None,
    time_limit: float | None = None,
    certify: bool | str = "auto",
) -> CodeResult:
    """Improve codes on ``sum_ij w_ij l(s_ij, b_i.b_j, q)`` until no move gains.

    Parameters
    ----------
    B : array of shape (n, q)
        Codes of -1 and +1; read only.
    S : Similarity
    loss : str or Loss
    n_kicks : int
        How often to redraw some points (up to 20 points after merging: some bits) of the best codes, descend again and
        keep what is better.
    rng : None, int, SeedSequence or Generator
        Order of the visits and kicks. Same seed, same answer for every `n_jobs`.
    n_jobs : int
        Threads, over kicks.
    callback : callable, optional
        Called with an `Event` after each step; ``energy`` is the objective, ``n_moves`` counts steps, ``x`` holds the
        codes. Returning True stops.
    time_limit : float, optional
        Seconds for the search (the certificate comes on top). The answer then depends on the machine.
    certify : bool or "auto"
        As in `bitwise`.

    Returns
    -------
    result : CodeResult
        Never worse than `B`. ``stats["local_optimum"]``: whether the search ended because nothing gains. Points that
        the loss lets merge start from their majority sign in each bit and end with equal codes.

    Notes
    -----
    Squared losses on groups (point weights allowed): a look at all bits and pairs of bits of a point costs O(q^2), a
    flip O(C + q), a pass over pairs of points O(n^2 q), the latter up to 4,096 points; memory O(n q + C q + C^2).
    Elsewhere a look at a point costs O(q) for each pair that it is in, memory 30 bytes a pair. Up to 20 points every
    bit is enumerated given the others, which covers any change within a bit.

    Examples
    --------
    >>> import numpy as np
    >>> from bqp import codes, supervision
    >>> S = supervision.from_labels([0, 0, 1, 1, 2, 2])
    >>> codes.refine(np.ones((6, 6)), S).objective
    384.0
    """
    check_similarity(S)
    course = Course(callback, time_limit)
    loss = losses.get(loss)
    B = check_codes(B, S.n)
    n_bits = B.shape[1]
    if n_bits == 0:
        raise ProblemError("B has no columns; a code needs at least one bit.")
    n_kicks = check_count("n_kicks", n_kicks, least=0)
    n_jobs = resolve_n_jobs(n_jobs)
    check_certify(certify)
    seeds = as_seed_sequence(rng)
    collapse = S.collapse(loss)
    search = JointSearch.of(collapse.similarity, loss, n_bits)
    search.load(collapse.project(B))
    given = losses.value(S, B, loss)
    stats = run_search(search, collapse, loss, n_kicks, seeds, n_jobs, course, ceiling=given)
    found = collapse.lift(search.B)
    if losses.value(S, found, loss) >= given:  # majority signs may lose what merged points had apart
        found = B.copy()
    stats["given"] = given
    return finish(found, S, collapse, search, loss, "refine", course, certify, stats)


def check_certify(certify) -> None:
    """True, False or "auto"."""
    if certify not in (True, False, "auto"):
        raise ParameterError(f"certify must be True, False or 'auto', got {certify!r}.")


def run_search(
    search: JointSearch,
    collapse: Collapse,
    loss: losses.Loss,
    n_kicks: int,
    seeds: np.random.SeedSequence,
    n_jobs: int,
    course: Course,
    ceiling: float = np.inf,
) -> dict[str, Any]:
    """`improve` with its steps shown to the course; returns what it has to say."""
    from threadpoolctl import threadpool_limits

    unit = loss.quadratic_scale(search.q) or 1.0
    last = [ceiling]

    def show() -> None:
        last[0] = min(last[0], unit * search.objective)
        course.report(len(course.rows) + 1, last[0], lambda: collapse.lift(search.B.copy()))

    stats: dict[str, Any] = {}
    try:
        with threadpool_limits(1):
            stats = improve(search, n_kicks, seeds, n_jobs, course, show)
    except KeyboardInterrupt:
        course.interrupt()
    if course.stopped:
        stats["stopped"] = course.stopped
    stats["local_optimum"] = course.stopped is None
    return stats


def finish(
    B: np.ndarray,
    S: Similarity,
    collapse: Collapse,
    search: JointSearch,
    loss: losses.Loss,
    method: str,
    course: Course,
    certify: bool | str,
    stats: dict[str, Any],
) -> CodeResult:
    """The result, with objective and bounds of the full problem."""
    objective = losses.value(S, B, loss)
    ksh_objective = objective if loss == losses.Ksh() else S.ksh_objective(B)
    codes_time = course.elapsed
    lower_bound, ksh_lower_bound = bounds_of(S, search.q, loss, objective, ksh_objective, certify)
    bits: tuple[Solution, ...] = ()
    if isinstance(search, _FewPoints) and search.exact and search.tol == 0.0:
        value = losses.value(collapse.similarity, search.B, loss)
        bits = tuple(
            Solution(search.B[:, k].copy(), value, Status.OPTIMAL, value, solver="exact") for k in range(search.q)
        )
    stats = {
        "n_points": search.n, "merged": not collapse.is_identity, "search": search.kind, "codes_time": codes_time,
        **stats,
    }  # fmt: skip
    return CodeResult(
        B=B, objective=objective, lower_bound=lower_bound, ksh_objective=ksh_objective,
        ksh_lower_bound=ksh_lower_bound, n_bits=search.q, loss=loss.name, method=method, trace=course.trace, bits=bits,
        time=course.elapsed, stats=stats,
    )  # fmt: skip

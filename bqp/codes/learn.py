"""The recommended way from a similarity to codes: merge, exact bits where they are few, joint search, certificate."""

from __future__ import annotations

import numpy as np

from bqp import losses
from bqp.callbacks import Callback
from bqp.codes._common import Course, check_init, check_similarity
from bqp.codes._joint import EXACT_BITS_UP_TO, JointSearch, _FewPoints
from bqp.codes.refine import check_certify, finish, run_search
from bqp.codes.result import CodeResult
from bqp.errors import ParameterError
from bqp.rng import RandomLike, as_seed_sequence
from bqp.solvers.base import check_count, resolve_n_jobs
from bqp.supervision import Similarity

__all__ = ["learn"]

_WORK = 2e8  # elementary steps of default kicks on few points: a fraction of a second
_KICKS = ((1000, 100), (4096, 15), (np.inf, 0))  # (points up to, default kicks)


def learn(
    S: Similarity,
    n_bits: int = 32,
    loss: str | losses.Loss = "ksh",
    init=None,
    n_kicks: int | None = None,
    exact_up_to: int = EXACT_BITS_UP_TO,
    rng: RandomLike = 0,
    n_jobs: int = 1,
    callback: Callback | None = None,
    time_limit: float | None = None,
    certify: bool | str = True,
) -> CodeResult:
    """Learn codes that minimise ``sum_ij w_ij l(s_ij, b_i.b_j, q)``, and prove how good they are.

    Points that may share a code are merged. Up to 20 points left: each bit exactly given those before it, then each
    given all others until none improves. More: random codes, then every point at a local optimum in single bits and
    pairs of bits. Then kicks out of local optima, a last pass over pairs of points, and the joint lower bound.

    Parameters
    ----------
    S : Similarity
        From `bqp.supervision`.
    n_bits : int
        Code length q.
    loss : str or Loss
        "ksh", "bre", "hinge", "exponential", "likelihood" or a `bqp.losses.Loss`.
    init : array of shape (n, q), optional
        Codes to start from; the answer is never worse than `init` with merged points given their majority sign.
    n_kicks : int, optional
        See `refine`. The default spends about half a second up to 20 points, 100 kicks up to 1,000 points, 15 up to
        4,096 and none beyond.
    exact_up_to : int
        Merged points up to which bits are found by enumeration, at most 20. It doubles in cost with every point: with
        20 classes it takes seconds and lowers the objective by .4 % at 16 bits, .002 % at 64; give 15 or less where
        the codes are only a start.
    rng : None, int, SeedSequence or Generator
        Same seed, same answer for every `n_jobs` (without a time limit).
    n_jobs : int
        Threads, over kicks.
    callback : callable, optional
        See `refine`.
    time_limit : float, optional
        Seconds for the codes (the certificate comes on top). The answer then depends on the machine.
    certify : bool or "auto"
        Whether to compute the semidefinite bound, for `ksh` and `bre` on grouped similarities; True whatever the size
        (ten seconds for 2,600 label sets).

    Returns
    -------
    result : CodeResult
        ``trace.objective`` never rises. ``bits`` is filled, each OPTIMAL given the others, where bits were enumerated
        in exact arithmetic. ``stats["codes_time"]``: seconds without the certificate.

    Raises
    ------
    ParameterError
        Unknown loss; a count that is not a positive integer.
    ProblemError
        `init` of a wrong shape or value; a loss without moments on too many unmerged points.

    Notes
    -----
    Costs and memory as for `refine`, plus those of `codes.lower_bound`.

    Examples
    --------
    >>> import numpy as np
    >>> from bqp import codes, supervision
    >>> result = codes.learn(supervision.from_labels(np.arange(1000) % 4), n_bits=9)
    >>> result.objective, result.relative_gap < 1e-9
    (27000000.0, True)
    """
    check_similarity(S)
    course = Course(callback, time_limit)
    n_bits = check_count("n_bits", n_bits)
    loss = losses.get(loss)
    init = check_init(init, S.n, n_bits)
    n_jobs = resolve_n_jobs(n_jobs)
    check_certify(certify)
    start_seed, seeds = as_seed_sequence(rng).spawn(2)
    stream = np.random.Generator(np.random.PCG64(start_seed))
    collapse = S.collapse(loss)
    exact_up_to = check_count("exact_up_to", exact_up_to, least=0)
    if exact_up_to > EXACT_BITS_UP_TO:
        raise ParameterError(f"exact_up_to must be at most {EXACT_BITS_UP_TO}, got {exact_up_to}: 2^points are tried.")
    search = JointSearch.of(collapse.similarity, loss, n_bits, exact_up_to)
    if n_kicks is None:
        n_kicks = _default_kicks(search)
    n_kicks = check_count("n_kicks", n_kicks, least=0)
    if init is not None:
        search.load(collapse.project(init))
    elif isinstance(search, _FewPoints):
        search.greedy(stream)
    else:
        search.load(2 * stream.integers(0, 2, (search.n, n_bits), dtype=np.int8) - 1)
    stats = run_search(search, collapse, loss, n_kicks, seeds, n_jobs, course)
    return finish(collapse.lift(search.B), S, collapse, search, loss, "learn", course, certify, stats)


def _default_kicks(search: JointSearch) -> int:
    if isinstance(search, _FewPoints):
        return int(np.clip(_WORK / (search.q * 32 * 2.0**search.n), 2, 200))
    return next(kicks for most, kicks in _KICKS if search.n <= most)

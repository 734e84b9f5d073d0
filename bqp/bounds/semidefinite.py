"""The semidefinite bound by the mixing method.

M. X. Goemans, D. P. Williamson, "Improved approximation algorithms for maximum cut and satisfiability problems using
semidefinite programming", Journal of the ACM 42, 1995 (the relaxation); P.-W. Wang, W.-C. Chang, J. Z. Kolter, "The
mixing method: low-rank coordinate descent for semidefinite programming with diagonal constraints", 2017 (the solver).
Ours: over-relaxed updates (`bqp.kernels.mixing`), which take a quarter of the sweeps; an end by the certified gap; and
proofs that follow the structure of the problem (`bqp.bounds.definite`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bqp.bounds.homogeneous import Homogeneous, clock, evaluation_rounding, lowered
from bqp.bounds.storages import DENSE_UP_TO, homogeneous
from bqp.bounds.trivial import trivial_bound
from bqp.errors import BackendNotFound, ParameterError, ProblemError
from bqp.forms import Dense, Form, Sparse, Sum
from bqp.problem import BQP
from bqp.rng import RandomLike, as_seed_sequence, streams
from bqp.solution import Bound

__all__ = ["Mixing", "default_rank", "semidefinite_bound"]

FULL_RANK_UP_TO = 5000  # spins up to which V has the sqrt(2 n) columns that leave no bad local optimum
CAPPED_RANK = 32
_FIRST_CHECK = 20  # sweeps
_FINE_UP_TO, _FINE = 500, 1e-7  # spins up to which a finer proof costs next to nothing
_SINGLE_FROM = 1e-6  # rtol from which float32 is precise enough
_SOLVERS = ("SCS", "CLARABEL")


def semidefinite_bound(
    problem: BQP,
    *,
    max_sweeps: int = 2000,
    rtol: float = 1e-5,
    rank: int | None = None,
    time_limit: float | None = None,
    backend: str = "mixing",
    solver: str = "SCS",
    dense_up_to: int = DENSE_UP_TO,
    rng: RandomLike = 0,
) -> Bound:
    """Bound from ``min <A, V V'>`` over unit rows of V (n x k), repaired so that it is proven.

    Parameters
    ----------
    problem : BQP
    max_sweeps : int
        Sweeps over all vectors; an early end still gives a valid, weaker bound.
    rtol : float
        Sweeping ends when the proven bound is within this part of the sum of the dual vector of what V reaches, which
        no bound of this kind can pass.
    rank : int, optional
        Columns of V; default about sqrt(2 n) up to n = 5,000 and 32 beyond.
    time_limit : float, optional
        Seconds after which no more sweeps are made; the proof comes on top.
    backend : {"mixing", "cvxpy"}
        What finds the dual vector. cvxpy is a reference for n up to a few hundred; its answer is repaired the same way.
    solver : {"SCS", "CLARABEL"}
        For cvxpy.
    dense_up_to : int
        Largest dense matrix that may be factorised; 12,000 take 2.3 GB and a minute.
    rng : None, int, SeedSequence or Generator
        For the start.

    Returns
    -------
    Bound
        ``certificate["y"]``: the dual vector of the homogenised problem; ``["shift"]``: what its repair cost for each
        variable, in units of y; ``["V"]``, ``["sweeps"]``; ``["relaxation"]``: the energy that V reaches, which no
        bound of this method can pass. A sum of low-rank and sparse parts beyond `dense_up_to` is bounded part by part,
        and has ``["parts"]`` instead.

    Raises
    ------
    ProblemError
        Too large to be factorised (see `bqp.bounds.storages`).
    ParameterError, BackendNotFound
        A wrong option; cvxpy is not installed.

    Notes
    -----
    A sweep costs O(n**2 k) dense, O(nnz k) sparse, O(n r k) for r columns of a structured form; 20 to 60 do. The proof
    costs two or three factorisations: n**3 / 3 operations dense (n = 1,000: 0.01 s each, 2,000: 0.07 s), SuperLU's time
    sparse, O(n r**2) structured. Memory: two matrices dense, n k + the factor sparse, n (k + r) structured.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> cycle = np.roll(np.eye(5), 1, axis=1)
    >>> problem = bqp.BQP.from_maxcut(cycle + cycle.T)
    >>> -round(semidefinite_bound(problem).value, 3), -bqp.lower_bound(problem).value  # cuts are whole numbers
    (4.523, 4.0)
    """
    from threadpoolctl import threadpool_limits

    from bqp.solvers.base import check_count

    max_sweeps = check_count("max_sweeps", max_sweeps)
    rank = None if rank is None else check_count("rank", rank)
    if not isinstance(rtol, int | float | np.integer | np.floating) or isinstance(rtol, bool) or not rtol >= 0:
        raise ParameterError(f"rtol must be a number >= 0, got {rtol!r}.")
    over = clock(time_limit)
    if backend not in ("mixing", "cvxpy"):
        raise ParameterError(f"backend must be 'mixing' or 'cvxpy', got {backend!r}.")
    seeds = as_seed_sequence(rng)
    if problem.n > dense_up_to and _is_mixed(problem.Q):
        return _sum_of_parts(problem, locals())
    matrix = homogeneous(problem, dense_up_to=dense_up_to)
    rounding = evaluation_rounding(problem)
    if backend == "cvxpy":
        return _by_cvxpy(matrix, rounding, solver)
    with threadpool_limits(1):
        mixing = Mixing(matrix, streams(seeds, 1)[0], rank, single=rtol >= _SINGLE_FROM)
        return mixing.bound(rounding, max_sweeps, rtol, over)


def _is_mixed(form: Form) -> bool:
    kinds = {isinstance(part, Sparse) for part in getattr(form, "parts", ())}
    return kinds == {True, False} and not any(isinstance(part, Dense) for part in form.parts)  # type: ignore[attr-defined]


def _sum_of_parts(problem: BQP, options: dict) -> Bound:
    """The bounds of the low-rank and of the sparse part, added; what neither is written out for."""
    spin = problem.to_spin()
    sparse = [part for part in spin.Q.parts if isinstance(part, Sparse)]  # type: ignore[attr-defined]
    others = [part for part in spin.Q.parts if not isinstance(part, Sparse)]  # type: ignore[attr-defined]
    names = ("max_sweeps", "rtol", "rank", "time_limit", "backend", "solver", "dense_up_to", "rng")
    given = {name: options[name] for name in names}
    first = semidefinite_bound(BQP.from_energy(Sum(others), spin.c, spin.offset), **given)
    rest = BQP.from_energy(Sum(sparse), np.zeros(spin.n), 0.0)
    try:
        second = semidefinite_bound(rest, **given)
    except ProblemError:  # it would fill in
        second = trivial_bound(rest)
    value = lowered(first.value - evaluation_rounding(problem), second.value)
    return Bound(value, "semidefinite", {"parts": [first.certificate, second.certificate]})


def default_rank(n: int) -> int:
    """About sqrt(2 n), a multiple of 8 for the sake of vector units; 32 for many spins."""
    if n > FULL_RANK_UP_TO:
        return CAPPED_RANK
    full = int(np.ceil(np.sqrt(2.0 * n))) + 1
    return min(n, -(-full // 8) * 8)


class Mixing:
    """Unit vectors V, one for each spin of a homogenised matrix, on their way to the minimum of <A, V V'>.

    Parameters
    ----------
    matrix : Homogeneous
    rng : Generator
        For the start.
    rank : int, optional
        Columns of V, default `default_rank`.
    single : bool
        Whether sweeps run in float32.
    """

    def __init__(self, matrix: Homogeneous, rng: np.random.Generator, rank: int | None = None, single: bool = True):
        k = min(max(1, matrix.n), rank or default_rank(matrix.n))
        V = rng.standard_normal((matrix.n, k))
        V /= np.linalg.norm(V, axis=1, keepdims=True)
        self.matrix = matrix
        self.V = V.astype(np.float32 if single else np.float64)
        self.norms = np.zeros(matrix.n, self.V.dtype)
        self.n_sweeps = 0
        self._sweep = matrix.sweeper(self.V, self.norms)

    def sweep(self) -> float:
        """One over-relaxed sweep; returns the decrease of <A, V V'>."""
        omega = max(0.7, 1.0 - 8.0 / (self.n_sweeps + 10.0))  # what is left to do is ever slower: measured
        self.n_sweeps += 1
        return float(self._sweep(omega))

    def vectors(self) -> np.ndarray:
        """V in float64, rows of length 1."""
        V = self.V.astype(np.float64)
        return V / np.linalg.norm(V, axis=1, keepdims=True)

    def settled(self, max_sweeps: int, rtol: float, stop: Callable[[], bool]) -> np.ndarray:
        """`vectors` once a sweep lowers the objective by less than `rtol` / 20 of the sum of the norms; no proof."""
        while self.n_sweeps < max_sweeps and not stop():
            if self.sweep() <= 0.05 * rtol * float(self.norms.sum()):
                break
        return self.vectors()

    def bound(self, rounding: float, max_sweeps: int, rtol: float, stop: Callable[[], bool]) -> Bound:
        """Sweep until the proven bound is within `rtol`, progress ends, or `stop` says so; then the best bound seen."""
        matrix = self.matrix
        value, shift, y, gap = -np.inf, 0.0, np.zeros(matrix.n), np.inf
        check, stalled = _FIRST_CHECK, 0
        finer = min(rtol, _FINE) if matrix.n <= _FINE_UP_TO else rtol
        while True:
            while self.n_sweeps < min(check, max_sweeps) and not stop():
                self.sweep()
            V = self.vectors()
            AV = matrix.product(V)
            primal = float(np.sum(AV * V))
            found = -np.linalg.norm(AV, axis=1)  # A V = -Diag(norms) V at a fixed point
            worth = rtol * float(np.abs(found).sum())
            last, gap = gap, primal - matrix.estimate(found)
            stalled = stalled + 1 if gap > 0.95 * last else 0
            over = self.n_sweeps >= max_sweeps or stalled >= 2 or stop()
            if gap <= worth or over:
                proven, repair = matrix.prove(found, finer)
                if proven > value or not np.isfinite(value):
                    value, shift, y = proven, repair, found
                if primal - value <= 2.0 * worth or over:
                    break
            check = -(-check * 3 // 2)
        scale = matrix.scale
        certificate = {
            "y": y * scale, "shift": shift * scale, "V": V, "sweeps": self.n_sweeps,
            "relaxation": matrix.constant + primal * scale,
        }  # fmt: skip
        return Bound(lowered(matrix.constant - rounding, value * scale), "semidefinite", certificate)


def _by_cvxpy(matrix: Homogeneous, rounding: float, solver: str) -> Bound:
    """The dual, maximise sum(y) with A - Diag(y) positive semidefinite, by SCS or Clarabel."""
    if solver not in _SOLVERS:
        raise ParameterError(f"solver must be one of {', '.join(_SOLVERS)} for backend='cvxpy', got {solver!r}.")
    try:
        import cvxpy
    except ImportError as error:
        raise BackendNotFound("backend='cvxpy' needs cvxpy: pip install cvxpy.") from error
    A = matrix.product(np.eye(matrix.n))
    y = cvxpy.Variable(matrix.n)
    program = cvxpy.Problem(cvxpy.Maximize(cvxpy.sum(y)), [0.5 * (A + A.T) - cvxpy.diag(y) >> 0])
    values = None
    if matrix.n and A.any():
        try:
            program.solve(solver=solver)
            values = y.value
        except cvxpy.error.SolverError as error:
            raise ProblemError(f"{solver} failed: {error} Use backend='mixing'.") from error
    values = np.zeros(matrix.n) if values is None or not np.all(np.isfinite(values)) else np.asarray(values)
    value, shift = matrix.prove(values)
    certificate = {"y": values * matrix.scale, "shift": shift * matrix.scale}
    return Bound(lowered(matrix.constant - rounding, value * matrix.scale), "semidefinite", certificate)

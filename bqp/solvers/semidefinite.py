"""The semidefinite relaxation, rounded by random hyperplanes and descended from.

M. X. Goemans, D. P. Williamson, "Improved approximation algorithms for maximum cut and satisfiability problems using
semidefinite programming", Journal of the ACM 42, 1995 (relaxation and rounding); P.-W. Wang, W.-C. Chang, J. Z. Kolter,
"The mixing method: low-rank coordinate descent for semidefinite programming with diagonal constraints", 2017 (how it is
solved). Ours: the descent after each rounding, and the proof of the bound (`bqp.bounds.semidefinite`).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bqp.errors import ParameterError, ProblemError
from bqp.problem import BQP
from bqp.solution import Status
from bqp.solvers.base import Solver, check_count
from bqp.solvers.run import Run, WalkResult, run_walks
from bqp.solvers.walks import prepare

__all__ = ["Semidefinite"]

_BATCH = 8  # hyperplanes of one walk, whose scores are one product
_SHARE_OF_SWEEPS = 0.5  # of a time limit
_CHUNK = 5  # sweeps between looks at the clock


class Semidefinite(Solver):
    """Solve the semidefinite relaxation, round it by hyperplanes, descend from each, and carry the proven bound.

    Parameters
    ----------
    n_roundings : int, optional
        Hyperplanes. Default 200, or as many as the time or moves allow.
    rtol : float
        Precision of the relaxation, as a part of the sum of its dual vector.
    max_sweeps : int
        Of the mixing method.
    rank : int, optional
        Length of the vectors; default about sqrt(2 n) up to n = 5,000, and 32 beyond.
    certify : bool
        Whether to prove the bound. Without it larger sparse problems can be taken, whose factorisation would fill in.

    Notes
    -----
    20 to 60 sweeps of O(n^2 k) dense, O(nnz k) sparse or O(n r k) structured, at most half of a time limit; two or
    three factorisations for the bound (see `bqp.bounds.semidefinite_bound`); then O(n k) and a descent for each
    hyperplane. Memory as the bound's. ``solution.lower_bound`` is proven. A move is a flip; the relaxation makes none.
    Where the bound, raised to the next energy that integral data allow, meets the incumbent, the status is OPTIMAL.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> ring = np.roll(np.eye(50), 1, axis=1)
    >>> solution = bqp.solve(bqp.BQP.from_maxcut(ring + ring.T), "semidefinite", rng=0)
    >>> solution.objective, solution.status.value
    (50.0, 'optimal')
    """

    name: ClassVar[str] = "semidefinite"

    def __init__(
        self,
        n_roundings: int | None = None,
        rtol: float = 1e-5,
        max_sweeps: int = 1000,
        rank: int | None = None,
        certify: bool = True,
    ):
        self.n_roundings = None if n_roundings is None else check_count("n_roundings", n_roundings)
        number = isinstance(rtol, int | float | np.integer | np.floating) and not isinstance(rtol, bool)
        if not number or not rtol >= 0:
            raise ParameterError(f"rtol must be a number >= 0, got {rtol!r}.")
        self.rtol = float(rtol)
        self.max_sweeps = check_count("max_sweeps", max_sweeps)
        self.rank = None if rank is None else check_count("rank", rank)
        if not isinstance(certify, bool | np.bool_):
            raise ParameterError(f"certify must be True or False, got {certify!r}.")
        self.certify = bool(certify)

    def _search(self, problem, run, x0, seeds, n_jobs):
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            V = np.zeros((0, 1))
            run.offer(np.ones(problem.n, np.int8) if x0 is None else x0)
            run.tick()
            with run.catching_interrupts():
                V = self._relax(problem, run, seeds.spawn(1)[0])
            if len(V) and not run.status and run.energy > run.lower_bound:
                self._round(problem, run, V, x0, seeds, n_jobs)

    def _relax(self, problem: BQP, run: Run, seed: np.random.SeedSequence) -> np.ndarray:
        """Unit vectors of the relaxation, after its bound has been shown to the run."""
        from bqp.bounds import raised_to_grid
        from bqp.bounds.semidefinite import Mixing
        from bqp.bounds.storages import DENSE_UP_TO, homogeneous

        dense_up_to = DENSE_UP_TO if self.certify else problem.n + 1
        try:
            matrix = homogeneous(problem, dense_up_to=dense_up_to)
        except ProblemError as error:
            raise ProblemError(f"{error} The option certify=False leaves the proof out.") from error
        mixing = Mixing(matrix, np.random.Generator(np.random.PCG64(seed)), self.rank, single=self.rtol >= 1e-6)
        limit = run.budget.time_limit
        until = np.inf if limit is None else run.elapsed + _SHARE_OF_SWEEPS * (limit - run.elapsed)

        def stop() -> bool:
            if mixing.n_sweeps % _CHUNK == 0:
                run.tick()
            return run.stopping or run.elapsed >= until

        if self.certify:
            bound = mixing.bound(0.0, self.max_sweeps, self.rtol, stop)
            run.prove(raised_to_grid(problem, bound).value)
            V = bound.certificate["V"]
        else:
            V = mixing.settled(self.max_sweeps, self.rtol, stop)
        run.stats.update(
            sweeps=mixing.n_sweeps, rank=V.shape[1], matrix=type(matrix).__name__.removesuffix("Homogeneous")
        )
        run.tick()
        return V

    def _round(self, problem: BQP, run: Run, V: np.ndarray, x0, seeds, n_jobs: int) -> None:
        storage, n = prepare(problem), problem.n
        open_ended = run.budget.is_open_ended
        wanted = self.n_roundings or (None if open_ended else 200)

        def walk(k, rng, cap, abort):
            limit, made = np.iinfo(np.int64).max if cap is None else cap, [0]
            count = _BATCH if wanted is None else min(_BATCH, wanted - k * _BATCH)
            scores = V @ rng.standard_normal((V.shape[1], count))
            if len(V) > n:
                scores *= np.where(scores[n] < 0, -1.0, 1.0)
            starts = [np.where(column >= 0, 1, -1).astype(np.int8) for column in scores[:n].T]
            if k == 0 and x0 is not None:
                starts.insert(0, x0)
            best, energy = starts[0], np.inf
            with run.catching_interrupts():
                for start in starts:
                    descent = storage.start(start)
                    try:
                        descent.sink(limit, abort, made)
                    finally:
                        descent.settle()
                        if descent.best_energy < energy:
                            best, energy = descent.best_x[:n].copy(), descent.best_energy
                    run.tick(made[0])
                    if abort() or made[0] >= limit:
                        break
            return WalkResult(best, energy, made[0], not abort() and made[0] < limit)

        def commit(k, result):
            if run.energy <= run.lower_bound:
                run.stop(Status.OPTIMAL)

        run_walks(run, walk, seeds, n_jobs, None if wanted is None else -(-wanted // _BATCH), commit)
        run.stats["roundings"] = _BATCH * run.n_restarts if wanted is None else min(wanted, _BATCH * run.n_restarts)

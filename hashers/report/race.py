"""One bit of the codes of this data set as an optimisation problem, solved by several solvers."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from hashers.compare import similarity

__all__ = ["Entry", "Race", "race"]

SECONDS = 1.0
WARM_UP_MOVES = 20
HEURISTICS = ("coordinate_descent", "simulated_annealing", "tabu_search")
OWN_RULE_UP_TO = 64  # variables up to which a solver stops by its own rule
SEMIDEFINITE_UP_TO = 400


@dataclass(frozen=True)
class Entry:
    """What one solver did.

    Attributes
    ----------
    solver : str
    reduced : bool
        Whether the problem was made smaller first.
    n : int
        Variables that the solver saw.
    energy, lower_bound : float
        -inf for a bound that is not known.
    status : str
    time : float, seconds
    n_moves : int
    trace : list of (float, float)
        Seconds and energy at each improvement.
    """

    solver: str
    reduced: bool
    n: int
    energy: float
    lower_bound: float
    status: str
    time: float
    n_moves: int
    trace: list[tuple[float, float]]

    @property
    def reached(self):
        """Seconds until the lowest energy was first seen."""
        return next((t for t, e in self.trace if e <= self.energy), self.time)


@dataclass(frozen=True)
class Race:
    """All solvers on one problem.

    Attributes
    ----------
    method : str
        Whose code the bit belongs to.
    bit, n_bits : int
        Number of the bit, from 1, and length of the code.
    n, n_reduced : int
        Variables before and after the reductions.
    n_parts : int
        Independent problems after the reductions.
    seconds : float
        Time that each solver had on the full problem.
    entries : list of Entry
    best : float
        Lowest energy seen.
    bound : float
        Highest proven bound; -inf where there is none.
    random : float
        Mean energy of a random assignment.
    """

    method: str
    bit: int
    n_bits: int
    n: int
    n_reduced: int
    n_parts: int
    seconds: float
    entries: list[Entry]
    best: float
    bound: float
    random: float

    @property
    def is_proven(self):
        """Whether the lowest energy is proven to be the minimum."""
        return self.bound >= self.best

    def excess(self, energy):
        """Energy above the lowest one, as a share of what a random assignment is above it."""
        span = self.random - self.best
        return (energy - self.best) / span if span > 0 else 0.0


def race(comparison, seconds=SECONDS, seed=0):
    """Solve the middle bit of the middle code length, as it is and with reductions.

    Parameters
    ----------
    comparison : hashers.compare.Comparison
        With finished runs.
    seconds : float
        Time limit of each solver on the full problem, and on what is left where that is more than 64 variables; such
        runs are not reproducible.
    seed : int

    Returns
    -------
    race : Race or None
        None where no method of the comparison learns codes.

    Notes
    -----
    The problem is the bit's own in the sum over pairs of (n_bits s - b.b')**2, with the bits before it as they were
    learned. Each solver compiles on a few moves before its clock starts.
    """
    import bqp
    from bqp import losses
    from bqp.reductions import reduce_problem, resolve_steps

    learned = [run for run in comparison.runs if run.learned]
    if not learned:
        return None
    lengths = sorted({run.task.n_bits for run in learned})
    run = next(run for run in learned if run.task.n_bits == lengths[len(lengths) // 2])
    n_bits = run.task.n_bits
    bit = n_bits // 2
    S = similarity(comparison.y[comparison.train])
    problem = losses.bit_problem(S, run.codes_train[:, :bit] if bit else np.ones((S.n, 0)), bit, n_bits=n_bits)
    reduced, _ = reduce_problem(problem, resolve_steps("auto"))
    sizes = [part.n for part in reduced.parts]
    entries = []
    for reductions in ((), "auto"):
        names = [name for name in HEURISTICS if name in bqp.available_solvers()]
        if reductions:
            names = ["auto", *names]
        for name in names:
            if reductions and any(entry.reduced and entry.solver == name for entry in entries):
                continue  # "auto" took it
            bqp.solve(problem, name, reductions=reductions, rng=seed, max_moves=WARM_UP_MOVES)
            limit = None if reductions and sum(sizes) <= OWN_RULE_UP_TO else seconds
            found = bqp.solve(problem, name, reductions=reductions, rng=seed, time_limit=limit)
            entries.append(_entry(found, bool(reductions), sum(sizes) if reductions else problem.n))
    bound = max(entry.lower_bound for entry in entries)
    best = min(entry.energy for entry in entries)
    if bound < best and max(sizes, default=0) <= SEMIDEFINITE_UP_TO:
        proof = _semidefinite(reduced)
        entries.append(proof)
        bound = max(bound, min(proof.lower_bound, best))
    return Race(
        method=run.task.method.text,
        bit=bit + 1,
        n_bits=n_bits,
        n=problem.n,
        n_reduced=sum(sizes),
        n_parts=len(sizes),
        seconds=seconds,
        entries=entries,
        best=best,
        bound=bound,
        random=float(problem.offset + problem.Q.diagonal().sum()),
    )


def _entry(solution, reduced, n):
    return Entry(
        solver=solution.solver,
        reduced=reduced,
        n=n,
        energy=float(solution.energy),
        lower_bound=float(solution.lower_bound),
        status=solution.status.value,
        time=float(solution.time),
        n_moves=int(solution.n_moves),
        trace=[(float(t), float(e)) for t, e in zip(solution.trace.time, solution.trace.energy)],
    )


def _semidefinite(reduced):
    """A bound on what is left after the reductions, where enumeration was too much."""
    import bqp

    started = time.perf_counter()
    value = reduced.constant + sum(float(bqp.lower_bound(part, method="semidefinite").value) for part in reduced.parts)
    elapsed = time.perf_counter() - started
    n = sum(part.n for part in reduced.parts)
    return Entry("semidefinite", True, n, float("inf"), value, "bound only", elapsed, 0, [])

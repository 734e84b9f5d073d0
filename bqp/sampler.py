"""The solvers as a sampler of D-Wave's Ocean tools: dimod models in, sample sets out."""

from __future__ import annotations

from typing import Any

import numpy as np

from bqp.errors import BackendNotFound, ParameterError
from bqp.problem import BQP
from bqp.rng import as_seed_sequence
from bqp.solution import Solution
from bqp.solve import solve
from bqp.solvers.base import check_count

try:
    import dimod
except ImportError as error:
    raise BackendNotFound("dimod is not installed. Install the extra: pip install 'bqp[dimod]'.") from error

__all__ = ["BQPSampler"]

_PARAMETERS = (
    "solver",
    "num_reads",
    "n_solutions",
    "initial_states",
    "seed",
    "time_limit",
    "max_moves",
    "target",
    "n_jobs",
    "certify",
    "options",
)


class BQPSampler(dimod.Sampler):
    """A `dimod.Sampler` over `bqp.solve`.

    It can stand wherever Ocean takes an unstructured sampler, composites included: `sample`, `sample_ising` and
    `sample_qubo` take models with variables of any name.

    Parameters
    ----------
    **defaults
        Arguments of `sample` to use when a call does not give them, for example ``solver="exact"``.

    Attributes
    ----------
    parameters : dict
        Names that `sample` takes.
    properties : dict
        ``solvers``: names for ``solver=``.

    Examples
    --------
    >>> import bqp
    >>> sampler = bqp.BQPSampler()
    >>> best = sampler.sample_ising({"a": -1}, {("a", "b"): 1}, seed=0).first
    >>> {name: int(spin) for name, spin in best.sample.items()}, float(best.energy)
    ({'a': 1, 'b': -1}, -2.0)
    """

    def __init__(self, **defaults: Any):
        _check_names(defaults)
        self._defaults = defaults

    @property
    def parameters(self) -> dict[str, list]:
        """Names that `sample` takes."""
        return {name: [] for name in _PARAMETERS}

    @property
    def properties(self) -> dict[str, Any]:
        """What the sampler can do: the names of the solvers."""
        from bqp.solvers import REGISTRY

        return {"solvers": ["auto", *REGISTRY]}

    def sample(self, bqm: dimod.BinaryQuadraticModel, **parameters: Any) -> dimod.SampleSet:
        """Minimise a model.

        Parameters
        ----------
        bqm : dimod.BinaryQuadraticModel
            Spin or binary, variables of any name.
        num_reads : int, default 1
            Independent runs, each with its own random stream and the whole of each limit.
        n_solutions : int, default 1
            Distinct assignments kept of each run, the best first; each is a row.
        initial_states : dimod.SampleSet or what ``dimod.as_samples`` takes, optional
            One start a run (all runs take the only one); in the model's own domain.
        seed : int, SeedSequence or Generator, optional
            The same seed and limits in moves give the same rows.
        solver, time_limit, max_moves, target, n_jobs, certify
            As in `bqp.solve`.
        options : dict, optional
            Settings of the solver, for example ``{"n_sweeps": 1000}``.

        Returns
        -------
        dimod.SampleSet
            Energies are those that the model gives. ``info`` holds ``solver``, ``status``, ``lower_bound`` (proven;
            None where there is none) and ``time``, seconds of all runs.

        Raises
        ------
        ParameterError
            For an unknown parameter, or a start that does not name every variable.
        """
        _check_names(parameters)
        settings = {"num_reads": 1, "n_solutions": 1, **self._defaults, **parameters}
        options = settings.pop("options", None) or {}
        num_reads = check_count("num_reads", settings.pop("num_reads"))
        seeds = as_seed_sequence(settings.pop("seed", None)).spawn(num_reads)
        starts = _starts(settings.pop("initial_states", None), bqm, num_reads)
        problem = BQP.from_bqm(bqm)
        runs = [solve(problem, x0=x0, rng=seed, **settings, **options) for x0, seed in zip(starts, seeds)]
        rows = np.concatenate([run.x[None, :] if run.pool is None else run.pool for run in runs])
        best = min(runs, key=lambda run: run.energy)
        samples = (rows, list(bqm.variables))
        return dimod.SampleSet.from_samples(samples, bqm.vartype, bqm.energies(samples), info=_info(best, runs))


def _check_names(parameters: dict[str, Any]) -> None:
    unknown = [name for name in parameters if name not in _PARAMETERS]
    if unknown:
        known = ", ".join(_PARAMETERS)
        raise ParameterError(
            f"unknown parameter {unknown[0]!r}. sample takes {known}; settings of one solver go into options={{...}}."
        )


def _starts(initial_states: Any, bqm: dimod.BinaryQuadraticModel, num_reads: int) -> list[np.ndarray | None]:
    """One start a run, columns in the order of the model's variables."""
    if initial_states is None:
        return [None] * num_reads
    states, labels = dimod.as_samples(initial_states)
    place = {label: column for column, label in enumerate(labels)}
    missing = [variable for variable in bqm.variables if variable not in place]
    if missing:
        raise ParameterError(f"initial_states must give every variable a value: {missing[0]!r} has none.")
    if len(states) not in (1, num_reads):
        raise ParameterError(
            f"initial_states has {len(states)} rows and num_reads is {num_reads}: give one start, or one a run."
        )
    states = np.asarray(states)[:, [place[variable] for variable in bqm.variables]]
    return [states[run % len(states)] for run in range(num_reads)]


def _info(best: Solution, runs: list[Solution]) -> dict[str, Any]:
    bound = max(run.lower_bound for run in runs)
    return {
        "solver": best.solver,
        "status": best.status.value,
        "lower_bound": bound if np.isfinite(bound) else None,
        "time": sum(run.time for run in runs),
    }

"""From data to rows: fit methods, hash, rank, measure. Prints nothing; `hashers.cli` and `hashers.report` show it.

Protocol: queries are held out; the hasher is fitted to the rows `train` of the database; each query ranks the database
by Hamming distance. Database codes are what the hash functions give ("hashed") or, for the training rows, the codes
that were learned from their labels ("learned"). Where the database holds more than the training rows, "learned" ranks
the training rows only. A method without codes (`hashers.registry.MethodEntry.has_codes`) ranks by real numbers that it
gives to queries and database alike; its row says so by having no code length.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hashers.registry import MethodSpec, make_function, parse_method

__all__ = ["DATABASES", "Comparison", "Run", "Task"]

DATABASES = ("hashed", "learned")
OF_CODES = (
    "objective",
    "lower_bound",
    "relative_gap",
    "ksh_objective",
    "ksh_lower_bound",
    "ksh_normalised",
    "ksh_gap",
)
RADIUS = 2
WARM_UP_ROWS = 64


@dataclass(frozen=True)
class Task:
    """One line of the table: what is fitted.

    Attributes
    ----------
    method : MethodSpec
    function : str
        A name of `hashers.registry.FUNCTIONS`; for methods that take none what the entry calls its own, such as
        "random".
    n_bits : int or None
        None for methods without codes.
    seed : int
    """

    method: MethodSpec
    function: str
    n_bits: int | None
    seed: int

    def __str__(self):
        length = "" if self.n_bits is None else f", {self.n_bits} bits"
        seed = f", seed {self.seed}" if self.seed else ""
        return f"{self.method.text}, {self.function}{length}{seed}"


@dataclass(frozen=True)
class Run:
    """A finished task.

    Attributes
    ----------
    task : Task
    row : dict
        The row of the table: names and meanings in `Comparison.run`.
    packed_query, packed_database : ndarray of shape (n, ceil(n_bits / 8)), uint8, or None
        Hashed codes; None for a method without codes, as are `codes_train` and `curve`.
    codes_train : ndarray of shape (n_train, n_bits), int8
        ``codes_`` of the hasher: learned where the method learns codes, hashed otherwise.
    average_precision : ndarray of shape (n_query,), float64
        Of each query against the hashed database, or the ranking by real numbers.
    curve : hashers.metrics.PrecisionRecall
        Of the hashed database.
    bits : list of dict
        For each bit problem: n, energy, lower_bound, status, solver, time; empty where no bit was solved.
    """

    task: Task
    row: dict[str, Any]
    packed_query: Any
    packed_database: Any
    codes_train: Any
    average_precision: np.ndarray
    curve: Any
    bits: list[dict[str, Any]] = field(default_factory=list)

    @property
    def learned(self):
        """Whether the method learned the codes of the training rows from their labels."""
        return self.row["objective"] is not None


class Comparison:
    """Methods x functions x code lengths x seeds on one data set.

    Parameters
    ----------
    dataset : hashers.datasets.Dataset
    methods : sequence of str
        In the notation of `hashers.registry.parse_method`.
    bits : sequence of int
        Methods with a bit for each class run once, with that length.
    functions : sequence of str
        Names of `hashers.registry.FUNCTIONS`.
    database : {"hashed", "learned"}
        Which database codes the columns `map`, `map_stable` and `precision_radius2` are about.
    seeds : sequence of int
    n_jobs : int
        Threads.
    n_train : int, optional
        Fit to that many rows of the training part only, drawn at random with the first seed.

    Attributes
    ----------
    tasks : list of Task
        In the order of the table: method, function, code length, seed.
    runs : list of Run
        Finished so far.
    refused : list of (Task, str)
        Taken off `tasks` by `run_all`: the method cannot do this, and why.
    y : ndarray of shape (n,) or (n, L)
        Labels as class numbers, -1 where unknown; or label sets.
    train : ndarray, int64
        Rows that the hashers are fitted to.
    train_is_database : bool

    Raises
    ------
    ValueError
        If a name is unknown, a list is empty, a number is out of range or two entries are the same.

    Examples
    --------
    >>> from hashers import datasets
    >>> comparison = Comparison(datasets.load("digits"), methods=["lsh"], bits=[8], seeds=[0])
    >>> [run.row["n_bits"] for run in comparison]
    [8]
    """

    def __init__(
        self,
        dataset,
        methods=("tsh", "lsh"),
        bits=(16, 32, 64),
        functions=("linear", "kernel"),
        database="hashed",
        seeds=(0,),
        n_jobs=1,
        n_train=None,
    ):
        if database not in DATABASES:
            raise ValueError(f"unknown database codes {database!r}. Known are {', '.join(DATABASES)}.")
        self.dataset, self.database, self.n_jobs = dataset, database, n_jobs
        self.y = _class_numbers(np.asarray(dataset.y))
        self.seeds = [_integer(seed, "seed", 0) for seed in _distinct(seeds, "seeds")]
        self.bits = [_integer(n_bits, "number of bits", 1) for n_bits in _distinct(bits, "bits")]
        for name in _distinct(functions, "functions"):
            make_function(name)
        self.train = self._choose_train(n_train)
        self.tasks = [
            Task(method, function, n_bits, seed)
            for method in map(parse_method, _distinct(methods, "methods"))
            for function in (functions if method.entry.takes_function else [method.entry.own_function])
            for n_bits in self._lengths(method.entry)
            for seed in self.seeds
        ]
        self.train_is_database = len(self.train) == len(dataset.database)
        self.runs: list[Run] = []
        self.refused: list[tuple[Task, str]] = []

    def __iter__(self) -> Iterator[Run]:
        return self.run_all()

    def run_all(
        self,
        on_start: Callable[[Task], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        on_refusal: Callable[[Task, str], None] | None = None,
    ) -> Iterator[Run]:
        """Run what is left of `tasks`, one after the other, and yield each finished run.

        Parameters
        ----------
        on_start : callable, optional
            Gets the task that begins.
        should_stop : callable, optional
            Asked after each run; a run during which it turned true is dropped, for solvers answer an interrupt with
            what they have so far.
        on_refusal : callable, optional
            Gets a task that its method refuses (fewer bits than labels, a missing package) and the reason; the task
            then leaves `tasks` for `refused`, and the others go on. Without it the error ends the run.
        """
        from bqp.errors import BackendNotFound

        for task in self.tasks[len(self.runs) :]:
            if on_start is not None:
                on_start(task)
            try:
                run = self.run(task)
            except (ValueError, BackendNotFound) as error:
                if on_refusal is None:
                    raise
                self.tasks.remove(task)
                self.refused.append((task, str(error)))
                on_refusal(task, str(error))
                continue
            if should_stop is not None and should_stop():
                return
            self.runs.append(run)
            yield run

    def warm_up(self):
        """Compile what the runs need, on a few rows, so that no time in the table holds compilation."""
        from bqp.errors import BackendNotFound

        chosen = _spread(self.train, WARM_UP_ROWS)
        seen = set()
        for task in self.tasks:
            if (key := (task.method.text, task.function)) in seen:
                continue
            seen.add(key)
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    self._measure(task, chosen, chosen, chosen)
                except (ValueError, BackendNotFound):
                    continue  # what is wrong with the data shows in the run itself, with its real place

    def run(self, task):
        """Fit, hash, rank and measure.

        Returns
        -------
        run : Run
            With ``run.row``: dataset, method, function, n_bits, seed, database; objective and lower_bound of the
            method's own loss, not normalised; ksh_objective and ksh_lower_bound, the yardstick that all methods share
            (sum over ordered pairs of training rows of (n_bits s - b.b')**2); ksh_normalised, ksh_gap (the former
            divided by n_train**2 n_bits**2; its relative distance to the bound); bits_optimal (bit problems proven
            optimal); map, map_stable, precision_radius2 (database codes as `database` says), map_hashed, map_learned,
            map_stable_hashed, map_stable_learned, precision_radius2_hashed, precision_radius2_learned; n_query,
            n_database, n_train, n_distinct (distinct database codes, hashed); seconds_codes, seconds_function,
            seconds_encode (queries and database), seconds_evaluate. What does not exist, or is not finite, is None: of
            a method without codes all that is about codes, while map, map_stable and their "hashed" twins are of its
            ranking by real numbers.
        """
        return self._measure(task, self.train, self.dataset.query, self.dataset.database)

    def _measure(self, task, train, query, database):
        from hashers import packing

        X, y = self.dataset.X, self.y
        function = make_function(task.function, task.seed) if task.method.entry.takes_function else None
        hasher = task.method.make(task.n_bits, function, self.n_jobs, task.seed)
        clock = _Clock()
        hasher.fit(X[train], y[train])
        seconds_fit = clock.lap()
        if not task.method.entry.has_codes:
            return self._measure_numbers(task, hasher, (train, query, database), seconds_fit)
        result = getattr(hasher, "result_", None)
        B_query, B_database = hasher.transform(X[query]), hasher.transform(X[database])
        seconds_encode = clock.lap()
        hashed = self._scores(B_query, B_database, y[query], y[database])
        seconds_evaluate = clock.lap()
        learned = None if result is None else self._scores(B_query, hasher.codes_, y[query], y[train])
        seconds_codes = 0.0 if result is None else float(result.time)
        solutions = [] if result is None else list(result.bits)
        row = {
            **self._heading(task),
            **_objectives(result, hasher.codes_, y[train]),
            "bits_optimal": None if result is None else sum(s.status.value == "optimal" for s in solutions),
            **_score_columns({"hashed": hashed, "learned": learned}, self.database),
            **_sizes(train, query, database),
            "n_distinct": len(np.unique(packing.pack(B_database), axis=0)),
            "seconds_codes": seconds_codes,
            "seconds_function": max(0.0, seconds_fit - seconds_codes),
            "seconds_encode": seconds_encode,
            "seconds_evaluate": seconds_evaluate,
        }
        return Run(
            task=task,
            row={name: _plain(value) for name, value in row.items()},
            packed_query=packing.pack(B_query),
            packed_database=packing.pack(B_database),
            codes_train=np.asarray(hasher.codes_, dtype=np.int8),
            average_precision=hashed.average_precision,
            curve=hashed.curve,
            bits=[_bit(solution) for solution in solutions],
        )

    def _measure_numbers(self, task, ranker, rows, seconds_fit):
        """The run of a fitted method that ranks by real numbers; `rows` are those of training, query, database."""
        from hashers.baselines.posterior import rank_by_scores

        train, query, database = rows
        X, y = self.dataset.X, self.y
        clock = _Clock()
        P_query, P_database = ranker.embed(X[query]), ranker.embed(X[database])
        seconds_encode = clock.lap()
        found = rank_by_scores(
            P_query, P_database, y[query], y[database], ties=("expected", "stable"), n_jobs=self.n_jobs
        )
        scores = _Scores(found["expected"], float(found["stable"].mean()), None, None)
        row = {
            **self._heading(task),
            **dict.fromkeys(OF_CODES),
            "bits_optimal": None,
            **_score_columns({"hashed": scores, "learned": None}, self.database),
            **_sizes(train, query, database),
            "n_distinct": None,
            "seconds_codes": 0.0,
            "seconds_function": seconds_fit,
            "seconds_encode": seconds_encode,
            "seconds_evaluate": clock.lap(),
        }
        return Run(task, row, None, None, None, found["expected"], None)

    def _heading(self, task):
        return {
            "dataset": self.dataset.name,
            "method": task.method.text,
            "function": task.function,
            "n_bits": task.n_bits,
            "seed": task.seed,
            "database": self.database,
        }

    def _lengths(self, entry):
        """Code lengths that a method runs with."""
        if not entry.has_codes:
            return [None]
        if entry.takes_bits:
            return self.bits
        y = self.y[self.train]
        return [y.shape[1] if y.ndim == 2 else len(np.unique(y[y >= 0]))]

    def _scores(self, B_query, B_database, y_query, y_database):
        from hashers import metrics

        counts = metrics.distance_counts(B_query, B_database, y_query, y_database, n_jobs=self.n_jobs)
        stable = metrics.mean_average_precision(
            B_query, B_database, y_query, y_database, ties="stable", n_jobs=self.n_jobs
        )
        return _Scores(
            counts.average_precision(), stable, counts.precision_at_radius(RADIUS), counts.precision_recall()
        )

    def _choose_train(self, n_train):
        train = np.asarray(self.dataset.train)
        if n_train is None:
            return train
        n_train = _integer(n_train, "number of training rows", 2)
        if n_train > len(train):
            raise ValueError(f"{n_train} training rows asked for, {self.dataset.name} has {len(train)}. Ask for fewer.")
        chosen = np.random.RandomState(self.seeds[0]).permutation(len(train))[:n_train]
        return train[np.sort(chosen)]


@dataclass(frozen=True)
class _Scores:
    """What one ranking of the database gives."""

    average_precision: np.ndarray
    map_stable: float
    precision_radius2: float | None
    curve: Any


def _score_columns(scores, database):
    """The columns of both kinds of database codes, and again those of the kind asked for."""
    columns = {}
    for codes in DATABASES:
        found = scores[codes]
        columns[f"map_{codes}"] = None if found is None else float(found.average_precision.mean())
        columns[f"map_stable_{codes}"] = None if found is None else found.map_stable
        columns[f"precision_radius2_{codes}"] = None if found is None else found.precision_radius2
    chosen = {name: columns[f"{name}_{database}"] for name in ("map", "map_stable", "precision_radius2")}
    return {**chosen, **columns}


class _Clock:
    def __init__(self):
        self.last = time.perf_counter()

    def lap(self):
        now = time.perf_counter()
        seconds, self.last = now - self.last, now
        return seconds


def similarity(y):
    """The supervision of labels (n,) or label sets (n, L), as one structured similarity."""
    from bqp import supervision

    return supervision.from_labels(y) if y.ndim == 1 else supervision.from_label_sets(y)


def _sizes(train, query, database):
    return {"n_query": len(query), "n_database": len(database), "n_train": len(train)}


def _objectives(result, codes, y):
    """Objectives and bounds of a code result, columns `OF_CODES`; the yardstick alone where none was learned."""
    n, q = codes.shape
    if result is None:
        objective = bound = ksh_bound = None
        ksh = similarity(y).ksh_objective(codes)
    else:
        objective, bound = result.objective, _plain(result.lower_bound)
        ksh, ksh_bound = result.ksh_objective, _plain(result.ksh_lower_bound)
    return {
        "objective": objective,
        "lower_bound": bound,
        "relative_gap": _relative_gap(objective, bound),
        "ksh_objective": ksh,
        "ksh_lower_bound": ksh_bound,
        "ksh_normalised": ksh / (n * n * q * q),
        "ksh_gap": _relative_gap(ksh, ksh_bound),
    }


def _relative_gap(value, bound):
    """Distance to the bound as a share of the bound; None where that says nothing."""
    if bound is None:
        return None
    if value == bound:
        return 0.0
    return (value - bound) / abs(bound) if bound else None


def _class_numbers(y):
    """Labels (n,) as 0, 1, ...; -1 stays the mark of an unknown one, unless the labels are just -1 and +1."""
    if y.ndim == 2:
        return y
    classes, numbers = np.unique(y, return_inverse=True)
    if classes.dtype.kind in "if" and classes[0] == -1 and classes.tolist() != [-1, 1]:
        return numbers - 1
    return numbers


def _bit(solution):
    return {
        "n": len(solution.x),
        "energy": float(solution.energy),
        "lower_bound": _plain(float(solution.lower_bound)),
        "status": solution.status.value,
        "solver": solution.solver,
        "time": float(solution.time),
    }


def _plain(value):
    """A value that JSON can hold: numpy scalars become Python's, what is not finite None."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _distinct(values, name):
    values = list(values)
    if not values:
        raise ValueError(f"{name} is empty. Name at least one.")
    for k, value in enumerate(values):
        if value in values[:k]:
            raise ValueError(f"{name} holds {value!r} twice. Name each once.")
    return values


def _integer(value, name, least):
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"the {name} must be an integer of at least {least}: {value!r}.")
    return int(value)


def _spread(rows, n):
    """At most n rows, evenly spaced."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(int))]

"""The table of `hashers compare` on a terminal, and the lines that replace it elsewhere."""

from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

__all__ = ["LiveTable", "PlainLines", "Silent", "cells", "protocol_lines"]

WIDE = 118
TIMES = ("codes", "function", "encode", "evaluate")
COLUMNS = ("method", "function", "bits", "objective", "bound", "gap", "MAP hashed", "MAP learned", "P@r2")
NOTE = (
    "objective: sum over pairs of training rows of (bits * s - b.b')^2, s = +1 for a relevant pair and -1 otherwise, "
    "divided by (rows * bits)^2; bound: proven, no codes of this length are lower. P@r2: precision within Hamming "
    "radius 2, hashed database. Times in seconds."
)


def protocol_lines(comparison):
    """The split, the rule of relevance, the rule for ties and what the database codes are, in a few plain sentences."""
    data = comparison.dataset
    n_query, n_database, n_train = len(data.query), len(data.database), len(comparison.train)
    relevance = "they share a label" if data.is_multilabel else "they have the same label"
    if comparison.train_is_database:
        learned = "learned: database codes are those learned from the labels of the database"
    else:
        learned = f"learned: codes learned from labels, ranking the {n_train:,} training rows only"
    return [
        f"{data.name}: {n_query:,} queries, database of {n_database:,}, fitted to {n_train:,} rows of it.",
        f"Relevant: {relevance}. Ties: mean over all orders. A query without relevant items counts 0.",
        f"hashed: database codes come from the hash functions, as query codes do; {learned}.",
    ]


def cells(row):
    """The cells of a row as text; the times apart."""
    return [
        row["method"],
        row["function"],
        "" if row["n_bits"] is None else str(row["n_bits"]),
        _number(row["ksh_normalised"], 4),
        _number(_bound(row), 4),
        "" if row["ksh_gap"] is None else f"{100 * row['ksh_gap']:.2f} %",
        _number(row["map_hashed"], 3),
        _number(row["map_learned"], 3),
        _number(row["precision_radius2_hashed"], 3),
    ], [_seconds(row[f"seconds_{name}"]) for name in TIMES]


def _bound(row):
    return None if row["ksh_lower_bound"] is None else row["ksh_lower_bound"] / (row["n_train"] * row["n_bits"]) ** 2


def _number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def _seconds(value):
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


class Silent:
    """Shows nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def say(self, text):
        """Ignore the text."""

    def add(self, run):
        """Ignore the run."""


class PlainLines(Silent):
    """One line a row, for pipes and logs."""

    def __init__(self, console: Console, comparison):
        self.console, self.comparison = console, comparison
        methods = [task.method.text for task in comparison.tasks]
        self.widths = [max(len("method"), *map(len, methods)), 8, 4, 9, 8, 8, 10, 11, 6, 7, 8, 7, 8]

    def __enter__(self):
        for line in protocol_lines(self.comparison):
            self._print(line)
        self._print(NOTE)
        self._row([*COLUMNS, *TIMES])
        return self

    def add(self, run):
        """Print the row."""
        left, times = cells(run.row)
        self._row([*left, *times])

    def _row(self, texts):
        padded = [
            text.ljust(width) if k < 2 else text.rjust(width) for k, (text, width) in enumerate(zip(texts, self.widths))
        ]
        self._print("  ".join(padded).rstrip())

    def _print(self, line):
        self.console.print(line, soft_wrap=True, markup=False, highlight=False)


class LiveTable(Silent):
    """A table that fills while a spinner names what runs.

    A narrow terminal gets one sum of times and no bound.
    """

    def __init__(self, console: Console, comparison):
        self.console, self.comparison = console, comparison
        self.wide = console.width >= WIDE
        self.table = Table(box=None, padding=(0, 2, 0, 0) if self.wide else (0, 1, 0, 0), header_style="bold")
        for k, name in enumerate(self._shown([*COLUMNS], [*TIMES] if self.wide else ["s"])):
            self.table.add_column(name, justify="left" if k < 2 else "right", overflow="fold")
        self.spinner = Spinner("dots", text="starting")
        self.last = None
        self.live = Live(self._view(), console=console, refresh_per_second=10, vertical_overflow="visible")

    def __enter__(self):
        for line in protocol_lines(self.comparison):
            self.console.print(Text(line, style="dim"))
        self.console.print()
        self.live.__enter__()
        return self

    def __exit__(self, *error):
        self.live.update(self.table)
        self.live.__exit__(*error)
        self.console.print(Text(NOTE, style="dim"))

    def say(self, text):
        """Name what runs, beside the spinner."""
        done, total = len(self.comparison.runs), len(self.comparison.tasks)
        self.spinner.update(text=Text(f"{done} of {total}: {text}"))
        self.live.update(self._view())

    def add(self, run):
        """Add the row; a rule separates methods."""
        left, times = cells(run.row)
        if not self.wide:
            times = [f"{sum(run.row[f'seconds_{name}'] for name in TIMES):.1f}"]
        key = (run.row["method"], run.row["function"])
        if self.last not in (None, key):
            self.table.add_section()
        self.last = key
        self.table.add_row(*self._shown(left, times))
        self.live.update(self._view())

    def _shown(self, left, times):
        """The cells that a narrow terminal has room for: no bound, one sum of times."""
        if not self.wide:
            left = [text for name, text in zip(COLUMNS, left) if name != "bound"]
        return [*left, *times]

    def _view(self):
        return Group(self.table, self.spinner)

"""Raw rows first: one JSON object a run in a file of lines, kept as it is made and not made again; tables come later.

A row says what was run (its key: data, method, settings, seed), what came out, and on what: versions, processor,
commit. `Rows` keeps them; `interval` and `table` turn columns of them into what is read.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["Rows", "clock", "environment", "interval", "pairs", "table"]

PACKAGES = ("numpy", "scipy", "numba", "scikit-learn", "lightgbm")


class Rows:
    """Rows of a file of JSON lines.

    Parameters
    ----------
    path : Path or None
        None keeps rows in memory only. A line that was cut short by a full disk or Ctrl-C is dropped.
    key : sequence of str
        The columns that name a run.

    Examples
    --------
    >>> rows = Rows(None, ["method", "seed"])
    >>> rows.add({"method": "lsh", "seed": 0, "map": 0.5}, packages=())
    >>> rows.has({"method": "lsh", "seed": 0}), rows.has({"method": "lsh", "seed": 1})
    (True, False)
    """

    def __init__(self, path: Path | None, key: Sequence[str]):
        self.path, self.key = path, tuple(key)
        self.rows: list[dict] = []
        if path is not None and path.exists():
            text = path.read_text()
            for line in text.splitlines():
                try:
                    self.rows.append(json.loads(line))
                except json.JSONDecodeError:
                    continue
            if text and not text.endswith("\n"):
                self._write(self.rows)

    def _write(self, rows: Iterable[dict], mode: str = "w") -> None:
        assert self.path is not None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, mode) as file:
            for row in rows:
                file.write(json.dumps(row, default=_plain) + "\n")

    def name(self, row: dict) -> tuple:
        """The key of a row."""
        return tuple(row.get(column) for column in self.key)

    def has(self, row: dict) -> bool:
        """Whether a run with this key is there."""
        return self.name(row) in {self.name(known) for known in self.rows}

    def add(self, row: dict, packages: Sequence[str] = PACKAGES) -> None:
        """Keep a row, with what it was made on."""
        row = {**row, **environment(tuple(packages))} if packages else dict(row)
        self.rows.append(row)
        if self.path is not None:
            self._write([row], "a")

    def where(self, **wanted) -> list[dict]:
        """The rows whose columns have these values."""
        return [row for row in self.rows if all(row.get(column) == value for column, value in wanted.items())]

    def __iter__(self) -> Iterator[dict]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"a row holds numbers, strings, lists and None, not {type(value).__name__}")


@cache
def environment(packages: tuple[str, ...] = PACKAGES) -> dict:
    """Versions of Python and `packages` (those that are installed), the processor, the commit."""
    versions = {"python": platform.python_version()}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"versions": versions, "processor": processor(), "commit": commit()}


@cache
def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@cache
def commit() -> str:
    """The commit of the checkout, or "" outside of one."""
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@contextmanager
def clock():
    """Seconds of the block: a dict with `cpu` and `wall` that is filled when the block ends."""
    taken: dict[str, float] = {}
    cpu, wall = time.process_time(), time.perf_counter()
    yield taken
    taken.update(cpu=round(time.process_time() - cpu, 4), wall=round(time.perf_counter() - wall, 4))


def interval(values, level: float = 0.95) -> tuple[float, float]:
    """Mean, and half the width of its confidence interval (Student's t); NaN for fewer than two values.

    Examples
    --------
    >>> mean, half = interval([1.0, 2.0, 3.0])
    >>> mean, round(half, 3)
    (2.0, 2.484)
    """
    from scipy.stats import t

    values = np.asarray(list(values), dtype=np.float64)
    if len(values) < 2:
        return (float(values.mean()) if len(values) else float("nan")), float("nan")
    half = t.ppf(0.5 + level / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def pairs(mine: Iterable[dict], theirs: Iterable[dict], on: Sequence[str], value: str) -> list[float]:
    """Differences mine - theirs of a column, for the runs that agree in the columns `on`."""
    others = {tuple(row[c] for c in on): row for row in theirs}
    found = ((row, others.get(tuple(row[c] for c in on))) for row in mine)
    return [row[value] - other[value] for row, other in found if other is not None]


def table(head: Sequence[str], lines: Iterable[Sequence]) -> str:
    """A table in Markdown: the first column to the left, the others to the right.

    Examples
    --------
    >>> print(table(["a", "b"], [["x", 1]]))
    | a | b |
    | :-- | --: |
    | x | 1 |
    """
    shown = [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines]
    marks = [":--", *(["--:"] * (len(head) - 1))]
    return "\n".join([f"| {' | '.join(head)} |", f"| {' | '.join(marks)} |", *shown])

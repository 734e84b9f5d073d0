"""What the commands share: errors in one line, Ctrl-C, the console, progress, JSON, words and numbers of options."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

__all__ = [
    "INTERRUPTED",
    "OneLineErrors",
    "check_jobs",
    "check_output",
    "console",
    "interrupts",
    "load_model",
    "names",
    "print_facts",
    "print_json",
    "progress",
    "stoppable",
    "take_column_names",
    "whole",
]

INTERRUPTED = 130


class OneLineErrors(TyperGroup):
    """A command group whose usage and data errors are one line on stderr and exit code 2."""

    def main(self, *args, standalone_mode=True, **extra):
        try:
            code = super().main(*args, standalone_mode=False, **extra)
        except Exception as error:
            from bqp.errors import BackendNotFound

            if not standalone_mode:
                raise
            if hasattr(error, "format_message"):  # a usage error, of click or of the copy inside typer
                message = f"{error.format_message().rstrip('.')}. See hashers --help or hashers COMMAND --help."
            elif isinstance(error, ValueError | BackendNotFound | OSError):
                message = str(error)
                if isinstance(error, OSError) and error.filename is not None:
                    message = f"{error.filename}: {error.strerror}."
            else:
                raise
            sys.stderr.write(f"hashers: {' '.join(message.split())}\n")
            sys.exit(2)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


@contextmanager
def interrupts() -> Iterator[list]:
    """A list that is filled by Ctrl-C, whoever catches the KeyboardInterrupt."""
    seen: list = []

    def note(number, frame):
        seen.append(number)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not in the main thread
        yield seen
        return
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def console(stderr=False):
    from rich.console import Console

    return Console(stderr=stderr)


def names(text: str, option: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise ValueError(f"{option} has an empty entry: {text!r}. Separate names by single commas.")
    return words


def whole(word: str, option: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise ValueError(f"{option} takes whole numbers, such as 16,32,64: {word!r} is none.") from None


@contextmanager
def stoppable(left: str) -> Iterator[list]:
    """Turn Ctrl-C into one line and exit code 130, even where a solver answered it with what it had.

    Parameters
    ----------
    left : str
        What is left behind, for the line: "no model was written".
    """
    with interrupts() as seen:
        try:
            yield seen
        except KeyboardInterrupt:
            seen = seen or [signal.SIGINT]
        if seen:
            sys.stderr.write(f"hashers: interrupted; {left}.\n")
            raise typer.Exit(INTERRUPTED)


@contextmanager
def progress(text: str, total: int | None, quiet: bool) -> Iterator[Any]:
    """A function that takes numbers of finished rows; shown on the standard error stream if that is a terminal."""
    screen = console(stderr=True)
    if quiet or not screen.is_terminal:
        yield lambda rows: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda rows: bar.advance(task, rows)


def print_json(value: Any) -> None:
    """Print JSON on stdout and nothing else."""
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def print_facts(facts: list[tuple[str, str]]) -> None:
    """Print names and values, one a line."""
    width = max(len(name) for name, _ in facts)
    for name, text in facts:
        console().print(f"{name:<{width}}  {text}", soft_wrap=True, markup=False, highlight=False)


def check_output(path: Path, option: str) -> Path:
    """Refuse, before the work, a file that cannot be written for want of a folder."""
    if not path.parent.is_dir():
        raise ValueError(f"{option}: there is no folder {path.parent}. Make it first, or name another one.")
    if path.is_dir():
        raise ValueError(f"{option}: {path} is a folder. Name a file.")
    return path


def check_jobs(jobs: int) -> int:
    """Refuse a number of threads that means nothing."""
    if jobs == 0 or jobs < -1:
        raise ValueError(f"--jobs must be a positive number of threads, or -1 for one a core: {jobs}.")
    return jobs


def load_model(path: Path) -> tuple[Any, Any]:
    """A saved estimator, and the hasher in it: itself, or the last step of a pipeline."""
    from hashers.persistence import load

    model: Any = load(path)
    return model, model[-1] if hasattr(model, "steps") else model


def take_column_names(model: Any) -> list[str] | None:
    """Names of the columns that a loaded model was fitted to, which it forgets: what it gets next is matched here."""
    names = getattr(model, "feature_names_in_", None)
    for part in (model, *(step for _, step in getattr(model, "steps", ()))):
        vars(part).pop("feature_names_in_", None)
    return None if names is None else list(names)

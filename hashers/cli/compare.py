"""``hashers compare``: arguments to `hashers.compare` and `hashers.report`."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashers.cli._shared import INTERRUPTED, check_jobs, console, interrupts, names, print_json, whole
from hashers.registry import FUNCTIONS, METHODS

if TYPE_CHECKING:
    from hashers.compare import Comparison

__all__ = ["compare", "methods_help"]


def methods_help():
    """The notation of methods, from the table of them."""
    words = []
    for name, entry in METHODS.items():
        words += [f"{key} of {name}: {', '.join(values)}." for key, values in entry.words.items()]
    return (
        f"Comma-separated NAME[-WORD ...][:SOLVER], or all: every name, and a line about those that the data do not "
        f"suit. Names: {', '.join(METHODS)}. Words, the default first; "
        f"{' '.join(words)} SOLVER: what solves a bit, any of bqp.available_solvers(). Example: "
        "tsh,tsh-hinge,tsh-sequential:tabu_search,lsh."
    )


def compare(
    dataset: Annotated[
        str, typer.Option(help="Name of a data set, or the path of an npz, npy, csv or parquet file.")
    ] = "digits",
    methods: Annotated[
        str,
        typer.Option(help=methods_help()),
    ] = "tsh,tsh-sequential,lsh",
    bits: Annotated[str, typer.Option(help="Comma-separated code lengths.")] = "16,32,64",
    functions: Annotated[
        str, typer.Option(help=f"Comma-separated hash functions: {', '.join(FUNCTIONS)}.")
    ] = "linear,kernel",
    database: Annotated[
        str,
        typer.Option(
            metavar="hashed|learned",
            help="Database codes of the columns map, map_stable and precision_radius2: those of the hash functions, or "
            "those learned for the training rows (then only the training rows are ranked).",
        ),
    ] = "hashed",
    report: Annotated[Path | None, typer.Option(help="Write DIR/index.html, one self-contained page.")] = None,
    seed: Annotated[int, typer.Option(help="First random seed.")] = 0,
    seeds: Annotated[int, typer.Option(help="Number of seeds: each row is run with seed, seed + 1, ...")] = 1,
    jobs: Annotated[int, typer.Option(help="Threads; -1 for one a core.")] = 1,
    data: Annotated[Path | None, typer.Option(help="Folder or .npz file that holds the data set.")] = None,
    train: Annotated[int | None, typer.Option(help="Fit to that many training rows only.")] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="FILE|COLUMNS|KEY", help="Labels of a file, as in hashers fit.")
    ] = None,
    ignore: Annotated[str | None, typer.Option(metavar="COLUMNS", help="Columns that are no features.")] = None,
    queries: Annotated[
        int | None,
        typer.Option(help="Queries to draw from a file that names none; by default a tenth, at most 1,000."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a list of rows as JSON on stdout, nothing else.")
    ] = False,
):
    """Learn codes, fit hash functions, measure retrieval; print a table and write a report.

    Queries are held out: those of the data set, or a tenth of the rows of a file that names none. A database item is
    relevant to a query if both have the same label, or one label in common. Items at equal distance are averaged over
    all their orders. Ctrl-C keeps the rows finished so far.
    """
    from hashers.cli._tasks import dataset_of
    from hashers.compare import Comparison

    check_jobs(jobs)
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1: {seeds}.")
    if report is not None:
        _make_folder(report)  # before the work, not after it
    chosen = names(methods, "--methods")
    everything = "all" in chosen
    if everything:
        chosen = list(dict.fromkeys(name for word in chosen for name in (METHODS if word == "all" else [word])))
    comparison = Comparison(
        dataset_of(dataset, data, labels, ignore, queries),
        methods=chosen,
        bits=[whole(word, "--bits") for word in names(bits, "--bits")],
        functions=names(functions, "--functions"),
        database=database,
        seeds=range(seed, seed + seeds),
        n_jobs=jobs,
        n_train=train,
    )
    with interrupts() as interrupted:
        try:
            _work(comparison, as_json, interrupted, everything)
        finally:
            page = _write_report(comparison, report, as_json) if report is not None and comparison.runs else None
    for task, reason in comparison.refused:
        sys.stderr.write(f"hashers: left out {task}: {reason}\n")
    if as_json:
        print_json([run.row for run in comparison.runs])
    elif page is not None:
        console().print(f"Report: {page}", soft_wrap=True, markup=False, highlight=False)
    if interrupted:
        sys.stderr.write(f"hashers: interrupted; {len(comparison.runs)} of {len(comparison.tasks)} rows finished.\n")
        raise typer.Exit(INTERRUPTED)


def _work(comparison: Comparison, quiet: bool, interrupted: list, tolerant: bool) -> None:
    """Run everything, showing a table as it fills (on a terminal), lines (elsewhere), or nothing (quiet).

    `tolerant`: go on after a method that refuses the data.
    """
    from hashers.progress import LiveTable, PlainLines, Silent

    screen = console()
    view: Any = (
        Silent() if quiet else LiveTable(screen, comparison) if screen.is_terminal else PlainLines(screen, comparison)
    )
    with view:
        try:
            view.say("compiling the kernels (at the first run only)")
            comparison.warm_up()
            for run in comparison.run_all(
                on_start=lambda task: view.say(str(task)),
                should_stop=lambda: bool(interrupted),
                on_refusal=(lambda task, reason: view.say(f"left out: {task}")) if tolerant else None,
            ):
                view.add(run)
        except KeyboardInterrupt:
            if not interrupted:
                interrupted.append(signal.SIGINT)


def _write_report(comparison: Comparison, folder: Path, quiet: bool) -> Path:
    from hashers.report import write_report

    screen = console(stderr=True)
    command = shlex.join(["hashers", *sys.argv[1:]])
    if quiet or not screen.is_terminal:
        return write_report(comparison, folder, command=command)
    with screen.status("writing the report"):
        return write_report(comparison, folder, command=command)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(f"--report: cannot make the folder {folder}: {reason}. Name another one.") from error

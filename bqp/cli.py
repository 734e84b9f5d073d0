"""The command line: ``bqp solve | info | compare | bound``.

Arguments become calls and results become text. Values are in the user's sense throughout: ``--target`` and every
objective and bound that is shown. The result goes to stdout and nothing else does; progress, warnings and errors go to
stderr. Exit codes: 0, 2 for a usage or data error (one line on stderr), 130 when stopped before there was a result.
"""

import contextlib
import json
import math
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from bqp.errors import BQPError, BQPWarning, ParameterError

__all__ = ["app", "main"]

app = typer.Typer(
    name="bqp",
    help="Binary quadratic programs: solve, bound, describe and compare.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[Path, typer.Argument(help="Problem file, plain, .gz or .xz.", show_default=False)]
Format = Annotated[
    str | None,
    typer.Option(
        help="File format: orlib (maximise x'Qx), biq (minimise x'Qx), rudy (maximise the cut), qplib, qubo, npz. "
        "Left out: told from the name or the content where they tell it.",
        show_default=False,
    ),
]
Index = Annotated[
    int | None, typer.Option(help="Which instance, from 1, of a file that holds several (orlib).", show_default=False)
]
TimeLimit = Annotated[float | None, typer.Option(help="Seconds for each run.", show_default=False)]
MaxMoves = Annotated[int | None, typer.Option(help="Moves for each run; reproducible.", show_default=False)]
Seed = Annotated[int, typer.Option(help="Seed of the random numbers.")]
Jobs = Annotated[int, typer.Option(help="Threads; -1 for one a core.")]
Reductions = Annotated[str, typer.Option(help="auto, none, or names with commas (fixed,exchangeable,components).")]
Certify = Annotated[bool, typer.Option("--certify", help="Also compute a bound for what is not proven optimal.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        import bqp

        typer.echo(f"bqp {bqp.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


# ---- commands --------------------------------------------------------------------------------------------------------


@app.command()
def solve(
    file: File,
    format: Format = None,
    index: Index = None,
    solver: Annotated[
        str, typer.Option(help="auto, or a name that `bqp solve` lists when it does not know it.")
    ] = "auto",
    time_limit: TimeLimit = None,
    max_moves: MaxMoves = None,
    target: Annotated[
        float | None, typer.Option(help="Stop at this objective, in the problem's own sense.", show_default=False)
    ] = None,
    seed: Seed = 0,
    jobs: Jobs = 1,
    reductions: Reductions = "auto",
    certify: Certify = False,
    option: Annotated[
        list[str] | None,
        typer.Option(help="Setting of the solver as key=value; may be repeated.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option(help="Also write the solution to this .npz or .json file.", show_default=False)
    ] = None,
) -> None:
    """Find a good solution, and say what is proven about it. Ctrl-C returns the best so far."""
    import bqp

    options, steps = _options(option or []), _reductions(reductions)
    if output is not None and (output.suffix not in (".npz", ".json") or not output.parent.is_dir()):
        raise ParameterError(
            f"--output must name a .npz or .json file in a directory that exists, got {str(output)!r}."
        )
    problem = bqp.read(file, format, index)
    with _progress(problem, file.name) as callback:
        solution = bqp.solve(
            problem,
            solver,
            time_limit=time_limit,
            max_moves=max_moves,
            target=None if target is None else _flip(target, problem.sense),
            reductions=steps,
            rng=seed,
            n_jobs=jobs,
            certify=certify,
            callback=callback,
            **options,
        )
    reduced, choice = solution.stats.get("reductions") or [], solution.stats.get("choice", "")
    record = {**_record(file, problem, solution, seed), "choice": choice, "reductions": reduced}
    record["x"] = solution.x.tolist()
    if output is not None:
        _save(output, record, solution)
    if as_json:
        _print_json(record)
        return
    _print_facts(
        f"{file.name}  {problem.n} variables, {_goal(problem)}",
        [
            ("objective", _text(record["objective"])),
            ("bound", _bound_text(record)),
            ("status", f"{record['status']}. {solution.status.advice}"),
            ("solver", f"{solution.solver} ({choice})"),
            ("reductions", "; ".join(reduced) if reduced else "none applied"),
            ("effort", f"{solution.time:.3g} s, {solution.n_moves} moves, {solution.n_restarts} restarts, seed {seed}"),
            ("x", _assignment_text(solution.x, problem.domain)),
        ],
    )


@app.command()
def info(file: File, format: Format = None, index: Index = None, as_json: AsJson = False) -> None:
    """Describe a problem: size, density, degrees, integrality, memory, and what the reductions make of it."""
    import bqp
    from bqp.io.summary import describe

    problem = bqp.read(file, format, index)
    facts = describe(problem)
    if as_json:
        _print_json({"file": str(file), **facts})
        return
    sizes = facts["reduced_sizes"]
    left = f"{sum(sizes)} variables in {len(sizes)} parts, the largest of {sizes[0]}" if sizes else "nothing"
    if len(sizes) == 1:
        left = f"{sizes[0]} variables"
    values = "{-1, +1}" if facts["domain"] == "spin" else "{0, 1}"
    _print_facts(
        f"{file.name}  {_goal(problem)}",
        [
            ("variables", f"{facts['n']} over {values}"),
            ("pairs", f"{facts['entries']} ({100 * facts['density']:.3g} %)"),
            ("linear terms", str(facts["linear"])),
            ("degree", f"{facts['degree_min']} to {facts['degree_max']}, mean {facts['degree_mean']:.4g}"),
            ("values", "whole numbers" if facts["integral"] else "real numbers"),
            ("offset", _text(facts["offset"])),
            ("stored", f"{facts['form']}, {_size(facts['memory'])}"),
            ("reductions", "; ".join(facts["reductions"]) or "find nothing"),
            ("left to solve", left),
        ],
    )


@app.command()
def compare(
    files: Annotated[list[Path], typer.Argument(help="Problem files.", show_default=False)],
    format: Format = None,
    solvers: Annotated[str, typer.Option(help="Names with commas.")] = "coordinate_descent,tabu_search",
    time_limit: TimeLimit = None,
    max_moves: MaxMoves = None,
    seed: Seed = 0,
    jobs: Jobs = 1,
    reductions: Reductions = "auto",
    certify: Certify = False,
    as_json: AsJson = False,
) -> None:
    """Run several solvers on several files; the best objective of each file is marked with a star."""
    import bqp

    names, steps = _names(solvers, bqp.available_solvers()), _reductions(reductions)
    problems = [bqp.read(file, format) for file in files]
    rows: list[dict] = []
    for file, problem in zip(files, problems):
        for name in names:
            row = _run(file, problem, name, seed, time_limit, max_moves, jobs, steps, certify)
            rows.append(row)
            if row["status"] == "stopped":
                break
        if rows[-1]["status"] == "stopped":
            break
    if all(row["error"] for row in rows):
        raise ParameterError(f"no solver could run: {rows[0]['file']} with {rows[0]['solver']}: {rows[0]['error']}")
    _mark_best(rows)
    if as_json:
        _print_json(rows)
        return
    _print_table(rows)


@app.command()
def bound(
    file: File,
    format: Format = None,
    index: Index = None,
    method: Annotated[
        str, typer.Option(help="auto, or a name that `bqp bound` lists when it does not know it.")
    ] = "auto",
    option: Annotated[
        list[str] | None,
        typer.Option(help="Setting of the method as key=value; may be repeated.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute a proven bound on the objective: below it for a minimum, above it for a maximum."""
    import time

    import bqp

    options = _options(option or [])
    problem = bqp.read(file, format, index)
    started = time.perf_counter()
    with _waiting(f"{file.name}: bounding"):
        found = bqp.lower_bound(problem, method=method, **options)
    record = {
        "file": str(file),
        "n": problem.n,
        "sense": problem.sense,
        "method": method,
        "kind": found.kind,
        "lower_bound": found.value,
        "bound": _flip(found.value, problem.sense),
        "time": time.perf_counter() - started,
    }
    if as_json:
        _print_json(record)
        return
    side = "no objective is lower" if problem.sense == "min" else "no objective is higher"
    _print_facts(
        f"{file.name}  {problem.n} variables, {_goal(problem)}",
        [("bound", f"{_text(record['bound'])} ({side})"), ("kind", found.kind), ("time", f"{record['time']:.3g} s")],
    )


# ---- arguments to calls ----------------------------------------------------------------------------------------------


def _flip(value, sense):
    """From the user's sense to an energy, and back."""
    return value if sense == "min" else -value


def _options(pairs):
    options = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise ParameterError(f"--option takes key=value, got {pair!r}.")
        try:
            value = json.loads(text)
        except ValueError:
            value = {"True": True, "False": False, "None": None}.get(text, text)
        options[key.strip().replace("-", "_")] = value
    return options


def _reductions(text) -> Any:
    if text in ("auto", "none"):
        return "auto" if text == "auto" else ()
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _names(text, known):
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in known and name != "auto"]
    if unknown or not names:
        raise ParameterError(f"unknown solver {', '.join(unknown) or text!r}; known are auto, {', '.join(known)}.")
    return names


def _run(file, problem, name, seed, time_limit, max_moves, jobs, steps, certify):
    """One row of `compare`; a solver that cannot take the problem gives a row with an error."""
    import bqp

    with _progress(problem, f"{file.name} · {name}") as callback:
        try:
            solution = bqp.solve(
                problem,
                name,
                time_limit=time_limit,
                max_moves=max_moves,
                reductions=steps,
                rng=seed,
                n_jobs=jobs,
                certify=certify,
                callback=callback,
            )
        except bqp.ProblemError as error:
            blank = dict.fromkeys(
                ("energy", "objective", "lower_bound", "bound", "gap", "relative_gap", "time", "n_moves")
            )
            row = {"file": str(file), "n": problem.n, "sense": problem.sense, "solver": name, "seed": seed}
            return {**row, "status": None, **blank, "error": str(error)}
    return {**_record(file, problem, solution, seed), "solver": name, "error": None}


# ---- results to text -------------------------------------------------------------------------------------------------


def _record(file, problem, solution, seed):
    return {
        "file": str(file),
        "n": problem.n,
        "domain": problem.domain,
        "sense": problem.sense,
        "solver": solution.solver,
        "seed": seed,
        "status": solution.status.value,
        "energy": solution.energy,
        "objective": solution.objective,
        "lower_bound": solution.lower_bound,
        "bound": solution.bound,
        "gap": solution.gap,
        "relative_gap": solution.relative_gap,
        "time": solution.time,
        "n_moves": solution.n_moves,
        "n_restarts": solution.n_restarts,
    }


def _mark_best(rows):
    for row in rows:
        energies = [r["energy"] for r in rows if r["file"] == row["file"] and r["energy"] is not None]
        row["best"] = row["energy"] is not None and row["energy"] == min(energies)


def _finite(value):
    """`value` with every number that JSON cannot hold replaced by null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _print_json(value):
    typer.echo(json.dumps(_finite(value), allow_nan=False))


def _text(value):
    if value is None or not math.isfinite(value):
        return "-"
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else f"{value:.10g}"


def _goal(problem):
    return "to minimise" if problem.sense == "min" else "to maximise"


def _bound_text(record):
    if not math.isfinite(record["bound"]):
        return "none proven (--certify computes one)"
    if record["gap"] == 0:
        return f"{_text(record['bound'])} (no gap)"
    return f"{_text(record['bound'])} (gap {_text(record['gap'])}, {_percent(record['relative_gap'])})"


def _percent(value):
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.3g} %"


def _size(n_bytes):
    for unit in ("bytes", "KiB", "MiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.4g} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.4g} GiB"


def _assignment_text(x, domain, shown=64):
    marks = "".join("1" if value > 0 else "0" if domain == "binary" else "-" for value in x[:shown].tolist())
    marks = marks.replace("1", "+") if domain == "spin" else marks
    return marks if len(x) <= shown else f"{marks}... ({len(x)} values; --json or --output gives all)"


def _print_facts(title, facts):
    width = max(len(name) for name, _ in facts)
    typer.echo("\n".join([title, *(f"  {name:<{width}}  {text}" for name, text in facts)]))


def _print_table(rows):
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 0, 0, 1))
    for name in ("file", "solver"):
        table.add_column(name, overflow="ellipsis")
    for name in ("objective", "bound", "gap"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for name in ("moves", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    notes, last = [], None
    for row in rows:
        if row["error"]:
            notes.append(f"{Path(row['file']).name}, {row['solver']}: {row['error']}")
        cells = [
            Text("" if row["file"] == last else Path(row["file"]).name),
            row["solver"],
            _text(row["objective"]) + (" *" if row["best"] else "  "),
            _text(row["bound"]),
            _percent(row["relative_gap"]),
            row["status"] or "cannot run",
            "-" if row["n_moves"] is None else str(row["n_moves"]),
            "-" if row["time"] is None else f"{row['time']:.2f}",
        ]
        last = row["file"]
        table.add_row(*cells, style="bold" if row["best"] else None)
    console = Console() if sys.stdout.isatty() else Console(width=400, color_system=None)  # a pipe has any width
    with console.capture() as capture:
        console.print(table)
    lines = [line.rstrip() for line in capture.get().split("\n")]
    typer.echo("\n".join([*(line for line in lines if line), *notes]))


def _save(path, record, solution):
    from bqp.io._source import write_bytes

    if path.suffix == ".json":
        write_bytes(path, json.dumps(_finite(record), allow_nan=False).encode())
        return
    import io

    import numpy as np

    arrays = {key: value for key, value in record.items() if key not in ("file", "reductions", "x")}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=solution.x, problem=record["file"], **arrays)
    write_bytes(path, buffer.getvalue())


# ---- progress --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _waiting(text):
    """A spinner on stderr, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(text) as status:
        yield status


@contextlib.contextmanager
def _progress(problem, title):
    """A callback that keeps a line on stderr up to date; None where stderr is no terminal."""
    with _waiting(f"{title}: starting") as status:
        if status is None:
            yield None
            return

        def show(event):
            bound = _text(_flip(event.lower_bound, problem.sense))
            proven = "" if bound == "-" else f", bound {bound}"
            objective = _text(_flip(event.energy, problem.sense))
            status.update(f"{title}: objective {objective}{proven}, {event.n_moves} moves, {event.time:.1f} s")

        yield show


# ---- errors ----------------------------------------------------------------------------------------------------------


def _fail(message, code=2):
    sys.stderr.write(f"bqp: {' '.join(str(message).split())}\n")
    return code


def _interrupted():
    return _fail("interrupted before there was a result.", 130)


def _show_warning(message, category, filename, lineno, file=None, line=None):
    sys.stderr.write(f"bqp: warning: {' '.join(str(message).split())}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; the entry point of the script ``bqp``.

    Parameters
    ----------
    arguments : list of str, optional
        Default ``sys.argv[1:]``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", BQPWarning)
        warnings.showwarning = _show_warning
        try:
            code = app(arguments, prog_name="bqp", standalone_mode=False)
            sys.stdout.flush()
            return _interrupted() if code == 130 else code if isinstance(code, int) else 0
        except BQPError as error:
            return _fail(error)
        except (KeyboardInterrupt, typer.Abort):
            return _interrupted()
        except BrokenPipeError:  # the reader of stdout has left, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except MemoryError as error:
            return _fail(f"not enough memory: {error}")
        except Exception as error:
            usage = getattr(error, "format_message", None)  # typer's usage errors have it, whichever click it carries
            if usage is None:
                raise
            return _fail(f"{usage().rstrip('.')}. See bqp --help.")


if __name__ == "__main__":
    sys.exit(main())

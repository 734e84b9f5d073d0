"""Execute the notebooks: ``python notebooks/run.py [NAME ...] [--check]``; `make notebooks` runs all.

Each ``NAME.py`` (percent format, the source that is reviewed) becomes ``NAME.ipynb`` with its results, which a reader
on a code-hosting site sees without running anything. With ``--check`` they run and nothing is written: what CI does.
Cell numbers are names, no time is recorded: the same results give the same file. Fails where a cell fails, where a file
would be larger than 1 MiB, or a notebook takes longer than a minute (``--slow`` forgives that).
"""

import argparse
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MOST_BYTES, MOST_SECONDS = 1 << 20, 60.0


def sources(names=()):
    """The percent files, or those of `names`."""
    known = {path.stem: path for path in sorted(HERE.glob("[0-9]*.py"))}
    unknown = set(names) - set(known)
    if unknown:
        raise SystemExit(f"no notebook {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else list(known.values())


def paired(source):
    """The notebook of a percent file, not executed."""
    import jupytext

    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for k, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{k}"
        cell["metadata"] = {}
    return notebook


def execute(source, timeout):
    """The notebook of a percent file with its results, and the seconds of its cells."""
    from nbclient import NotebookClient

    notebook = paired(source)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(HERE)}},
        record_timing=False,
    )
    with client.setup_kernel():
        began = time.perf_counter()
        for k, cell in enumerate(notebook.cells):
            client.execute_cell(cell, k)
        seconds = time.perf_counter() - began
    return notebook, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="file names without .py; default all")
    parser.add_argument("--check", action="store_true", help="run, write nothing")
    parser.add_argument("--slow", action="store_true", help="a busy machine: let them take ten minutes")
    arguments = parser.parse_args()
    import nbformat

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    failed = []
    for source in sources(arguments.names):
        notebook, seconds = execute(source, 600 if arguments.slow else 120)
        text = nbformat.writes(notebook) + "\n"
        size = len(text.encode())
        print(f"{source.stem}: {seconds:.0f} s, {size / 1024:.0f} KiB", flush=True)
        if size > MOST_BYTES or (seconds > MOST_SECONDS and not arguments.slow):
            failed.append(source.stem)
        if not arguments.check:
            source.with_suffix(".ipynb").write_text(text)
    if failed:
        print(f"over a minute or 1 MiB: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())

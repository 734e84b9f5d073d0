"""The page: sections in order, the template around them, and the file."""

from __future__ import annotations

import base64
import datetime
import importlib.metadata
import json
import os
import platform
from html import escape
from importlib import resources
from pathlib import Path

from hashers.compare import Comparison
from hashers.report import sections
from hashers.report.codes_section import codes
from hashers.report.race import SECONDS, race
from hashers.report.results_section import results
from hashers.report.samples_section import samples
from hashers.report.solvers_section import solvers
from hashers.report.summary import groups_of
from hashers.report.wording import plural

__all__ = ["build_page", "write_report"]

PACKAGES = ("bqp", "numpy", "scipy", "numba", "scikit-learn")


def write_report(comparison: Comparison, folder, command=None, seconds=SECONDS):
    """Write ``folder/index.html``.

    Parameters
    ----------
    comparison : Comparison
        With at least one finished run.
    folder : str or Path
        Made if it does not exist.
    command : str, optional
        What was typed, shown on the page.
    seconds : float
        Time that each solver has on the bit problem of the solver section.

    Returns
    -------
    path : Path
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(build_page(comparison, command, seconds), encoding="utf-8")
    return path


def build_page(comparison: Comparison, command=None, seconds=SECONDS):
    """The page as text; parameters as in `write_report`.

    Raises
    ------
    ValueError
        If no run is finished, or none has codes.
    """
    if not comparison.runs:
        raise ValueError("no run is finished: nothing to report. Run the comparison first.")
    everything = groups_of(comparison.runs)
    groups = [group for group in everything if group.n_bits is not None]
    if not groups:
        raise ValueError("no finished run has codes: nothing to report. Compare at least one method that hashes.")
    solved = race(comparison, seconds)
    parts = [
        ("results", "Results", "Results", results(comparison, everything)),
        ("retrieval", "Retrieval", "Retrieval", sections.retrieval(groups)),
        ("samples", "Sample queries", "Sample queries", samples(comparison, groups)),
        ("codes", "Codes", "How good the codes are", codes(comparison, groups)),
        ("solvers", "Solvers", "One bit as an optimisation problem", "" if solved is None else solvers(solved)),
        ("protocol", "Protocol", "Protocol", sections.protocol(comparison)),
        ("reproduce", "Reproduce", "How this page was made", _reproduce(comparison, command)),
    ]
    parts = [part for part in parts if part[3]]
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>{content}</section>'
        for name, _, title, content in parts
    )
    links = "".join(f'<a href="#{name}">{short}</a>' for name, short, _, _ in parts)
    return _TEMPLATE.format(
        title=escape(f"Binary codes for {comparison.dataset.name}"),
        style=_asset("style.css"),
        head=sections.head(comparison, groups, datetime.date.today().isoformat()),
        links=links,
        body=body,
        script=_asset("sort.js"),
    )


_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
{head}
<nav aria-label="Sections">{links}</nav>
</header>
<main>
{body}
</main>
<footer class="soft">Written by <code>hashers compare</code>. This file needs nothing from outside: it can be mailed or
archived as it is.</footer>
<script>
{script}</script>
</body>
</html>
"""


def _asset(name):
    return resources.files("hashers.report").joinpath(name).read_text(encoding="utf-8")


def _reproduce(comparison, command):
    rows = json.dumps([run.row for run in comparison.runs], indent=1, allow_nan=False)
    address = "data:application/json;base64," + base64.b64encode(rows.encode("utf-8")).decode("ascii")
    versions = ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name)))
    facts = [
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("Packages", versions),
        ("Processor", f"{_processor()}, {plural(_cores(), 'core')} usable, {_threads(comparison.n_jobs)}"),
        ("Finished", f"{len(comparison.runs)} of {len(comparison.tasks)} rows"),
    ]
    shown = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    typed = f"<p>The command:</p><pre><code>{escape(command)}</code></pre>" if command else ""
    return (
        f'{typed}<dl class="facts">{shown}</dl>'
        f'<p class="noprint"><a download="rows.json" href="{address}">All rows as JSON</a>, with objectives that are '
        "not divided by anything, both kinds of database codes, and the times.</p>"
    )


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _threads(n_jobs):
    return "a thread a core" if n_jobs == -1 else f"{plural(n_jobs, 'thread')} asked for"


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _processor():
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

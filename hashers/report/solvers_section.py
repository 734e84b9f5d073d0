"""One bit as an optimisation problem: the collapse, the solvers on it, what they reach and when."""

from __future__ import annotations

from html import escape

import numpy as np

from hashers.report import figures
from hashers.report.wording import excess, seconds

__all__ = ["solvers"]

ENUMERABLE = 24


def solvers(race):
    """The section for a `hashers.report.race.Race`."""
    svg, key = figures.race_chart(race)
    proof = (
        "the lowest is proven to be the minimum" if race.is_proven else "nothing proves the lowest to be the minimum"
    )
    return (
        f"<p>Bit {race.bit} of {race.n_bits} of {escape(race.method)}, given the bits before it: find a value of +1 or "
        f"−1 for each of {race.n:,} training items that brings the objective down most. {_collapse(race)}</p>"
        f'<figure class="side"><div><h3>Energy against time</h3>{svg}</div><div>{key}<figcaption>Energy above the '
        "lowest one, in percent of what a random assignment is above it. Both axes are logarithmic, except that the "
        f"bottom line is zero; {proof}. Dashed: the full problem, {race.seconds:g} s for each solver. Solid: reduced "
        f"first, the time of the reductions included.</figcaption></div></figure>{_table(race)}"
    )


def _collapse(race):
    if race.n_reduced >= race.n:
        return "The reductions find nothing to merge here."
    text = (
        "Items with the same labels enter the problem in the same way, and giving them different values never helps. "
        f"So each group of them becomes one variable: <b>{race.n:,} variables collapse to {race.n_reduced:,}</b>, and "
        "no optimum is lost."
    )
    if race.is_proven and race.n_parts == 1 and race.n_reduced <= ENUMERABLE:
        text += (
            f" Few enough to look at all 2<sup>{race.n_reduced - 1}</sup> = {2 ** (race.n_reduced - 1):,} assignments "
            "(a global change of sign changes nothing), which proves the minimum. Search on the full problem finds the "
            "same value or a higher one, and cannot prove it."
        )
    return text


def _table(race):
    lines = []
    for entry in race.entries:
        cells = ["", "", "", ""]
        if np.isfinite(entry.energy):
            cells[:2] = [f"{entry.energy:,.0f}", excess(race.excess(entry.energy))]
        if np.isfinite(entry.lower_bound):
            cells[2] = f"{entry.lower_bound:,.0f}"
        if entry.trace:
            cells[3] = seconds(entry.trace[-1][0] if entry.status == "optimal" else entry.reached)
        shown = "".join(f"<td>{cell}</td>" for cell in cells)
        status = escape(entry.status.replace("_", " "))
        lines.append(
            f'<tr><td class="text">{escape(entry.solver)}</td><td>{entry.n:,}</td>{shown}<td>{seconds(entry.time)}</td>'
            f'<td class="text">{status}</td></tr>'
        )
    names = ["Solver", "Variables", "Energy", "Above the lowest", "Proven bound", "Reached after, s", "Ended after, s"]
    heads = "".join(f'<th scope="col">{name}</th>' for name in names) + '<th scope="col" class="text">Status</th>'
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'

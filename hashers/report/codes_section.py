"""How good the codes are: objective against bound, and the codes themselves as a picture."""

from __future__ import annotations

from html import escape

import numpy as np

from hashers.report import figures
from hashers.report.images import Pictures
from hashers.report.summary import class_codes, gap_of, useful_bound
from hashers.report.svg import legend
from hashers.report.wording import seconds, share

__all__ = ["class_pictures", "codes"]

INTRO = (
    "<p>Learning all bits at once is a hard discrete problem. Solved one bit at a time, each bit is a binary quadratic "
    "program given the others. Where a bit is <b>proven optimal</b>, no other choice of that bit is better while the "
    "others stay.{bound}</p>"
)
BOUND = " The <b>bound</b> is on all bits together: it holds for every code of that length, however it was found."


def codes(comparison, groups):
    """The section; empty where no method learns codes."""
    learned = {}
    for group in groups:
        if group.runs[0].learned:
            learned.setdefault((group.method, group.n_bits), group)
    members = list(learned.values())
    if not members:
        return ""
    bounded = any(gap_of(comparison.runs, group) is not None for group in members)
    chart = ""
    if bounded:
        svg, series = figures.gap_chart(groups, comparison.runs)
        if svg:
            chart = (
                f'<figure class="side"><div><h3>Distance to the bound</h3>{svg}</div><div>{legend(series)}<figcaption>'
                "How far the objective is above the proven bound, in percent of the bound, on a logarithmic scale. "
                "The best possible codes lie somewhere between.</figcaption></div></figure>"
            )
    intro = INTRO.format(bound=BOUND if bounded else "")
    return f"{intro}{_table(comparison, members, bounded)}{chart}{_matrix(comparison, members)}"


def _table(comparison, members, bounded):
    lines = []
    for group in members:
        bits = [bit for run in group.runs for bit in run.bits]
        proven = sum(bit["status"] == "optimal" for bit in bits)
        objective = group.mean("ksh_normalised")
        cells = ["" if objective is None else f"{objective:.4f}"]
        if bounded:
            bound, gap = useful_bound(comparison.runs, group), gap_of(comparison.runs, group)
            cells += ["" if bound is None else f"{bound:.4f}", "" if gap is None else share(gap)]
        cells += [f"{proven} of {len(bits)}", f"{bits[0]['n']:,}"] if bits else ["", ""]
        cells += [seconds(group.mean("seconds_codes"))]
        shown = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f'<tr><td class="text">{escape(group.method)}</td><td>{group.n_bits}</td>{shown}</tr>')
    names = ["Method", "Bits", "Objective", *(["Bound", "Above it"] if bounded else [])]
    names += ["Bits proven optimal", "Variables a bit", "Seconds"]
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _matrix(comparison, members):
    rated = [group for group in members if group.mean("ksh_normalised") is not None]
    if not rated:
        return ""
    best = min(rated, key=lambda group: (-group.n_bits, group.mean("ksh_normalised")))
    classes = class_codes(comparison, best.runs[0])
    if classes is None or len(classes.codes) < 2:
        return ""
    n = len(classes.codes)
    apart = classes.distances[np.triu_indices(n, k=1)]
    same = "All training items" if classes.share == 1 else f"{100 * classes.share:.1f} % of the training items"
    what = "label set" if comparison.y.ndim == 2 else "class"
    some = f" ({classes.left_out:,} rarer ones are left out)" if classes.left_out else ""
    return (
        f"<figure><h3>The codes of {escape(best.method)}, {best.n_bits} bits</h3>"
        f'<div class="matrixbox">{figures.code_matrix(classes)}</div>'
        f"<figcaption>One row for each {what}{some}, one column a bit. {same} have exactly the code of their {what}. "
        f"Two rows differ in {apart.min()} to {apart.max()} bits, {apart.mean():.1f} on average; on average {n} codes "
        f"of this length cannot differ in more than {plotkin(n, best.n_bits):.1f}.</figcaption></figure>"
    )


def plotkin(n, q):
    """Largest mean Hamming distance of `n` codes of `q` bits: at best every bit splits them in halves.

    M. Plotkin, "Binary codes with specified minimum distance", IRE Transactions on Information Theory 6, 1960.

    Examples
    --------
    >>> plotkin(2, 8), plotkin(4, 3)
    (8.0, 2.0)
    """
    return q * (n // 2) * (n - n // 2) / (n * (n - 1) / 2)


def class_pictures(comparison, classes):
    """Addresses of the mean image of each class; empty for data without images."""
    data = comparison.dataset
    if not data.image_shape or comparison.y.ndim == 2:
        return []
    pictures, y = Pictures(data), comparison.y[comparison.train]
    X = data.X[comparison.train]
    return [pictures.address(X[y == label].mean(axis=0)) for label in classes.labels]

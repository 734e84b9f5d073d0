"""The figures of the page, each from groups of runs to SVG."""

from __future__ import annotations

from html import escape

from hashers.registry import FUNCTIONS
from hashers.report.summary import gap_of
from hashers.report.svg import Axis, Series, chart, legend, log_ticks
from hashers.report.wording import plural

__all__ = [
    "code_matrix",
    "gap_chart",
    "map_chart",
    "mark_step",
    "race_chart",
    "radius_chart",
    "recall_chart",
    "series_styles",
]

LOWEST_EXCESS = 1e-5
NARROW = 350


def series_styles(groups):
    """A (style, dashed) for each method and function: colour by method, dashes for linear functions.

    With more than two functions every pair of method and function has a colour of its own.
    """
    methods = list(dict.fromkeys(group.method for group in groups))
    pairs = list(dict.fromkeys(group.key for group in groups))
    functions = {function for _, function in pairs} & set(FUNCTIONS)
    if len(functions) > 2:
        return {pair: (k, False) for k, pair in enumerate(pairs)}
    return {pair: (methods.index(pair[0]), pair[1] == "linear" and len(functions) > 1) for pair in pairs}


def _lines(groups, value, note):
    """One series for each method and function over the code lengths."""
    styles, series = series_styles(groups), []
    for key in dict.fromkeys(group.key for group in groups):
        members = sorted((group for group in groups if group.key == key), key=lambda group: group.n_bits)
        points = [(group.n_bits, value(group)) for group in members]
        if any(y is not None for _, y in points):
            style, dashed = styles[key]
            notes = [note(group, y) for group, (_, y) in zip(members, points)]
            series.append(Series(members[0].name, points, style, dashed, notes=notes))
    return series


def _bits_axis(groups):
    lengths = sorted({group.n_bits for group in groups})
    low, high = lengths[0], lengths[-1]
    if low == high:
        low, high = low / 2, high * 2
    return Axis("bits", low / 1.12, high * 1.12, [(n, str(n)) for n in lengths], log=True)


def _over_bits(groups, column, label, title):
    series = _lines(
        groups, lambda group: group.mean(column), lambda group, y: f"{group.name}, {group.n_bits} bits: {y or 0:.3f}"
    )
    if not series:
        return "", []
    values = [y for one in series for _, y in one.points if y is not None]
    y = Axis.around(label, values, high=1.0 if max(values) > 0.9 else None)
    best = max(values)
    described = f"From {min(values):.3f} to {best:.3f}; all numbers are in the table."
    return chart(series, _bits_axis(groups), y, title, described, width=NARROW), series


def map_chart(groups):
    """MAP against bits; the SVG and its series."""
    return _over_bits(groups, "map_hashed", "mean average precision", "Mean average precision against code length")


def radius_chart(groups):
    """Precision within radius 2 against bits; the SVG and its series."""
    return _over_bits(
        groups, "precision_radius2_hashed", "precision within radius 2", "Precision within radius 2 against code length"
    )


def recall_chart(groups, n_bits):
    """Precision against recall at one code length, a point for each Hamming radius, first seed."""
    styles, series = series_styles(groups), []
    for group in groups:
        if group.n_bits != n_bits:
            continue
        curve = group.runs[0].curve
        points, notes = [], []
        for radius, recall, precision, filled in zip(
            curve.radius, curve.recall, curve.precision_nonempty, curve.nonempty
        ):
            if filled < 0.5 or (points and abs(points[-1][0] - recall) + abs(points[-1][1] - precision) < 1e-3):
                continue
            points.append((float(recall), float(precision)))
            note = f"{group.name}, radius {radius}: recall {recall:.3f}, precision {precision:.3f}"
            notes.append(note if radius % mark_step(n_bits) == 0 else "")
        style, dashed = styles[group.key]
        series.append(Series(group.name, points, style, dashed, notes=notes, size=0.8))
    ticks = [(k / 5, f"{k / 5:g}") for k in range(6)]
    described = "; ".join(f"{one.name} reaches precision {max(y for _, y in one.points):.2f}" for one in series)
    x, y = Axis("recall", 0, 1, ticks), Axis("precision", 0, 1, ticks)
    return chart(series, x, y, f"Precision against recall, {n_bits} bits", f"{described}.", width=NARROW)


def mark_step(n_bits):
    """Every how many radii the curves of precision against recall have a mark."""
    return max(1, n_bits // 16)


def gap_chart(groups, runs):
    """Objective above the proven bound, in percent of the bound; one line a method. Empty without a useful bound."""
    per_method = {}
    for group in groups:
        per_method.setdefault((group.method, group.n_bits), group)

    def gap(group):
        share = gap_of(runs, group)
        return None if share is None else 100 * share

    members = list(per_method.values())
    values = [gap(group) for group in members]
    positive = [value for value in values if value is not None and value > 0]
    if not positive:
        return "", []
    floor = min(positive) / 2
    styles = {method: k for k, method in enumerate(dict.fromkeys(group.method for group in groups))}
    series = []
    for method in styles:
        mine = sorted((group for group in members if group.method == method), key=lambda group: group.n_bits)
        points = [(group.n_bits, None if gap(group) is None else max(floor, gap(group))) for group in mine]
        notes = [f"{method}, {group.n_bits} bits: {gap(group) or 0:.3g} % above the bound" for group in mine]
        series.append(Series(method, points, styles[method], notes=notes))
    ticks = log_ticks(floor, max(positive))
    y = Axis("above the bound, %", ticks[0], ticks[-1], [(t, f"{t:g}") for t in ticks], log=True)
    text = "; ".join(one.notes[-1] for one in series)
    return chart(series, _bits_axis(groups), y, "Objective above the proven bound against code length", text), series


def race_chart(race):
    """Excess energy against time for every solver; the SVG and its legend."""
    solvers = list(dict.fromkeys(entry.solver for entry in race.entries if entry.trace))
    times = [max(t, 1e-4) for entry in race.entries for t, _ in entry.trace]
    last = max(entry.time for entry in race.entries if entry.trace)
    series = []
    for entry in sorted(race.entries, key=lambda entry: entry.status == "optimal"):  # proofs on top
        if not entry.trace:
            continue
        size = plural(entry.n, "variable")
        points = [(max(t, 1e-4), max(LOWEST_EXCESS, race.excess(e))) for t, e in entry.trace]
        notes = [
            f"{entry.solver}, {size}, {1000 * t:.1f} ms: {_share(race.excess(e))} above the best"
            for t, e in entry.trace
        ]
        if entry.status != "optimal":
            points.append((max(entry.time, points[-1][0]), points[-1][1]))
            notes.append(f"{entry.solver}, {size}: ends after {entry.time:.2f} s, {entry.status.replace('_', ' ')}")
        name = f"{entry.solver}, {size}"
        series.append(
            Series(name, points, solvers.index(entry.solver), dashed=not entry.reduced, step=True, notes=notes)
        )
    x_ticks = log_ticks(min(times), last)
    x = Axis("seconds", x_ticks[0], x_ticks[-1], [(t, f"{t:g}") for t in x_ticks], log=True)
    y_ticks = [(t, f"{100 * t:g} %") for t in log_ticks(1e-4, 1)] + [(LOWEST_EXCESS, "0")]
    y = Axis("energy above the best", LOWEST_EXCESS, 1.0, y_ticks, log=True)
    name = "proven minimum" if race.is_proven else "best found"
    described = " ".join(f"{one.name} ends {_share(one.points[-1][1])} above the best." for one in series)
    svg = chart(series, x, y, "Energy above the best against time", described, lines=[(LOWEST_EXCESS, name)])
    return svg, legend(series)


def _share(excess):
    return "0 %" if excess <= LOWEST_EXCESS else f"{100 * excess:.2g} %"


def code_matrix(classes, pictures=()):
    """The codes of the classes as rows of filled and empty cells, beside pictures of the classes if there are any."""
    names = _short(classes.names)
    n_classes, n_bits = classes.codes.shape
    cell, height = (18, 26) if pictures else (10, 18)
    left = 8 + 7.5 * max(len(name) for name in names) + (height + 4 if pictures else 0)
    width = left + cell * n_bits + 2
    size = f"min-width:{min(width, 460):g}px;max-width:{1.35 * width:g}px"
    parts = [
        f'<svg class="matrix" viewBox="0 0 {width:g} {height * n_classes + 2}" style="{size}" '
        f'role="img" aria-label="Codes of {n_classes} classes, one row each, {n_bits} bits: filled is +1.">'
    ]
    for k, (name, code) in enumerate(zip(names, classes.codes)):
        top = k * height + 1
        at = left - 8 - (height + 4 if pictures else 0)
        parts.append(
            f'<text class="tick" x="{at:g}" y="{top + height / 2 + 3:g}" text-anchor="end">{escape(name)}</text>'
        )
        if pictures:
            size = height - 3
            parts.append(f'<image href="{pictures[k]}" x="{at + 6:g}" y="{top}" width="{size}" height="{size}"/>')
        box = f'y="{top}" height="{height - 3}"'
        parts.append(f'<rect class="off" x="{left:g}" width="{cell * n_bits}" {box}/>')
        parts += [f'<rect class="on" x="{left + a * cell:g}" width="{(b - a) * cell}" {box}/>' for a, b in _ones(code)]
    parts.append("</svg>")
    return "".join(parts)


def _ones(code):
    """Stretches [a, b) of bits that are +1."""
    edges = [j for j in range(len(code) + 1) if (j < len(code) and code[j] > 0) != (j > 0 and code[j - 1] > 0)]
    return list(zip(edges[::2], edges[1::2]))


def _short(names, limit=22):
    return [name if len(name) <= limit else name[: limit - 1] + "…" for name in names]

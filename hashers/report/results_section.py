"""The table of all results: sortable, the best values marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from hashers.report.summary import gap_of, useful_bound
from hashers.report.wording import seconds, share

__all__ = ["results"]


@dataclass(frozen=True)
class _Column:
    """A column of numbers: its value for a group, how it is written, and which end is the best one, if any."""

    part: str
    name: str
    value: Callable
    form: Callable
    best: Callable | None = None
    spread: str = ""


def results(comparison, groups):
    """The table and what its columns mean."""
    several = len(comparison.seeds) > 1
    columns = _columns(comparison.runs, groups)
    seeds = f" Means over {len(comparison.seeds)} seeds, ± one standard deviation." if several else ""
    return (
        f"<p>The best value of each quality column is marked{_among(groups)}. Click a heading to sort.{seeds}</p>"
        '<div class="scroll">'
        f'<table class="sortable wide"><thead>{_heads(columns)}</thead><tbody>{_body(columns, groups)}</tbody></table>'
        f"</div>{_meanings(comparison, any(column.name == 'Bound' for column in columns))}"
    )


def _among(groups):
    """What the marks are about where some rows have no codes."""
    if all(group.n_bits is not None for group in groups):
        return ""
    return "; rows without bits rank by real numbers, a yardstick and not a hash, and are left out of that"


def _columns(runs, groups):
    def mean(name, zero=True):
        return lambda group: group.mean(name) if zero else group.mean(name) or None

    columns = [
        _Column("", "Bits", lambda group: group.n_bits, str),
        _Column("Codes", "Objective", mean("ksh_normalised"), "{:.4f}".format, min, "ksh_normalised"),
        _Column("Codes", "Bound", lambda group: useful_bound(runs, group), "{:.4f}".format),
        _Column("Codes", "Above it", lambda group: gap_of(runs, group), share, min),
        _Column("Retrieval", "MAP, hashed", mean("map_hashed"), "{:.3f}".format, max, "map_hashed"),
        _Column("Retrieval", "MAP, learned", mean("map_learned"), "{:.3f}".format, max, "map_learned"),
        _Column("Retrieval", "Precision, radius&nbsp;2", mean("precision_radius2_hashed"), "{:.3f}".format, max),
        _Column("Seconds", "Codes", mean("seconds_codes", zero=False), seconds),
        _Column("Seconds", "Function", mean("seconds_function"), seconds),
        _Column("Seconds", "Encode", mean("seconds_encode"), seconds),
        _Column("Seconds", "Evaluate", mean("seconds_evaluate"), seconds),
    ]
    return [column for column in columns if any(column.value(group) is not None for group in groups)]


def _heads(columns):
    parts = ["", *(column.part for column in columns)]
    spans = [[parts[0], 2]]
    for part in parts[1:]:
        if part == spans[-1][0]:
            spans[-1][1] += 1
        else:
            spans.append([part, 1])
    above = "".join(
        f'<th scope="colgroup" colspan="{n}">{name}</th>' if name else f'<td colspan="{n}"></td>' for name, n in spans
    )
    names = ["Method", "Function", *(column.name for column in columns)]
    below = "".join(
        f'<th scope="col"{" class=text" if k < 2 else ""}><button type="button">{name}</button></th>'
        for k, name in enumerate(names)
    )
    return f'<tr class="parts">{above}</tr><tr>{below}</tr>'


def _body(columns, groups):
    best = {}
    for column in columns:
        coded = [group for group in groups if group.n_bits is not None]
        numbers = [number for group in coded if (number := column.value(group)) is not None]
        if column.best is not None and len(numbers) > 1:
            best[column] = column.form(column.best(numbers))
    lines, last = [], None
    for group in groups:
        texts = (escape(group.method), escape(group.function))
        cells = [f'<td class="text" data-value="{text}">{text}</td>' for text in texts]
        for column in columns:
            number = column.value(group)
            if number is None:
                cells.append('<td data-value=""></td>')
                continue
            shown = column.form(number)
            marked = ' class="best"' if shown == best.get(column) and group.n_bits is not None else ""
            spread = group.spread(column.spread) if column.spread else None
            more = f" <small>± {spread:.3f}</small>" if spread is not None else ""
            cells.append(f'<td{marked} data-value="{number!r}">{shown}{more}</td>')
        rule = ' class="first"' if last not in (None, group.key) else ""
        lines.append(f"<tr{rule}>{''.join(cells)}</tr>")
        last = group.key
    return "".join(lines)


def _meanings(comparison, with_bound):
    learned = "learned codes" if comparison.train_is_database else "learned codes of the training items, ranked alone"
    meanings = [
        (
            "Objective",
            "How far the codes of the training items are from what the labels ask for: the sum over all pairs of "
            "(bits × s − b·b′)², where s is +1 for a relevant pair and −1 for any other, and b·b′ counts the bits that "
            "agree minus those that differ; divided by (items × bits)². Lower is better. One yardstick for all "
            "methods, whatever loss they minimise.",
        ),
        (
            "Bound",
            "Proven: no codes of that length have a lower objective. “Above it” is the distance of the objective, in "
            "percent of the bound.",
        ),
        (
            "MAP",
            "Mean average precision of the ranking by Hamming distance; 1 if all relevant items come first. “Hashed”: "
            f"the database is coded by the hash functions. “Learned”: by the {learned}; these have seen the labels of "
            "what is ranked, an easier task.",
        ),
        (
            "Precision, radius 2",
            "Share of relevant items among those whose code differs from that of the query in at most 2 bits (hashed "
            "database); a query that finds none counts 0.",
        ),
        (
            "Seconds",
            "To learn the codes, to fit the hash functions, to code queries and database, to rank and measure; without "
            "compilation.",
        ),
    ]
    shown = "".join(
        f"<dt>{name}</dt><dd>{text}</dd>" for name, text in meanings if with_bound or not name.startswith("Bound")
    )
    return f'<dl class="facts">{shown}</dl>'

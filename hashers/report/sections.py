"""The shorter sections of the page: the head, the charts of retrieval, the protocol."""

from __future__ import annotations

from html import escape

from hashers.report import figures
from hashers.report.codes_section import class_pictures
from hashers.report.summary import best_group, class_codes, gap_of
from hashers.report.svg import legend
from hashers.report.wording import bytes_of, described, duration, share

__all__ = ["head", "protocol", "retrieval"]

HEAD_CLASSES, HEAD_BITS = 12, 32


def head(comparison, groups, day):
    """Title, the result in a sentence, what a code is, and four numbers."""
    data = comparison.dataset
    best = best_group(groups)
    return (
        f'<p class="eyebrow">hashers compare, {day}</p><h1>Binary codes for {escape(data.name)}</h1>'
        f'<div class="opening"><div><p class="lead">{_sentence(data, groups, best)}</p>'
        "<p>A code is learned in two steps. First every training item is given a string of bits, such that items with "
        "the same label get similar strings: one binary quadratic program for each bit. Then a hash function is fitted "
        "to each bit, so that unseen items can be coded from their features. The distance of two items is the number "
        "of bits in which their codes differ (the Hamming distance).</p></div>"
        f"{_picture(comparison, groups, best)}</div>"
        f'<dl class="numbers">{_numbers(comparison, groups, best)}</dl>'
    )


def _sentence(data, groups, best):
    noun = "images" if data.image_shape else "items"
    score, highest = best.mean("map_hashed"), max(group.mean("map_hashed") for group in groups)
    near = f" (the highest of all is {highest:.3f})" if f"{highest:.3f}" != f"{score:.3f}" else ""
    floor = _floor(groups, best)
    against = (
        f"; random projections of the same length reach {floor.mean('map_hashed'):.3f}" if floor is not None else ""
    )
    return (
        f"{len(data.query):,} {noun} were held out as queries, and {len(data.database):,} others ranked for each of "
        f"them by comparing short binary codes. Codes of {best.n_bits} bits ({bytes_of(best.n_bits)} an item) by "
        f"<b>{escape(described(best))}</b> reach a mean average precision of <b>{score:.3f}</b>{near}{against}."
    )


def _floor(groups, best):
    """Random projections of the same length, where they were run."""
    return next((g for g in groups if g.function == "random" and g.n_bits == best.n_bits and g is not best), None)


def _picture(comparison, groups, best):
    """The shortest codes of the best method beside the opening words, where they fit there."""
    shortest = min((group for group in groups if group.key == best.key), key=lambda group: group.n_bits)
    classes = (
        class_codes(comparison, shortest.runs[0]) if best.runs[0].learned and shortest.n_bits <= HEAD_BITS else None
    )
    if classes is None or not 2 <= len(classes.codes) <= HEAD_CLASSES or classes.left_out:
        return ""
    pictures = class_pictures(comparison, classes)
    what = "images are means of the classes" if pictures else "each row is a class"
    return (
        f'<figure class="opening-figure">{figures.code_matrix(classes, pictures)}<figcaption>The {shortest.n_bits} '
        f"bits that {escape(best.method)} gives to each class, filled for +1; {what}.</figcaption></figure>"
    )


def _numbers(comparison, groups, best):
    n_items = len(comparison.dataset.query) + len(comparison.dataset.database)
    tiles = [(f"{best.mean('map_hashed'):.3f}", f"mean average precision with {best.n_bits} bits")]
    gaps = [(gap, group) for group in groups if (gap := gap_of(comparison.runs, group)) is not None]
    if gaps:
        gap, group = min(gaps, key=lambda pair: pair[0])
        tiles.append((share(gap), f"above a proven lower bound: the objective of the best codes, {group.n_bits} bits"))
    bits = [bit for run in comparison.runs for bit in run.bits]
    if proven := sum(bit["status"] == "optimal" for bit in bits):
        tiles.append((f"{proven:,} of {len(bits):,}", "bit problems solved to proven optimality"))
    if best.mean("seconds_codes"):
        text = f"to learn codes of {best.n_bits} bits for {best.runs[0].row['n_train']:,} items"
        tiles.append((duration(best.mean("seconds_codes")), text))
    tiles.append((duration(best.mean("seconds_encode") / n_items), "to hash one item"))
    return "".join(f"<div><dt>{escape(text)}</dt><dd>{value}</dd></div>" for value, text in tiles[:4])


def retrieval(groups):
    """Three charts and their common legend."""
    best = best_group(groups)
    map_svg, series = figures.map_chart(groups)
    radius_svg, _ = figures.radius_chart(groups)
    shown = [
        (
            "The whole ranking",
            map_svg,
            "Mean average precision against code length; the database is coded by the hash functions.",
        ),
        (
            "Precision against recall",
            figures.recall_chart(groups, best.n_bits),
            f"{best.n_bits} bits. {_marks(best.n_bits)}, small ones at the left; means over the queries that find "
            "anything within it, shown where at least half of them do.",
        ),
        (
            "The nearest codes only",
            radius_svg,
            "Precision within radius 2 against code length. Long codes that are not alike leave this ball empty, which "
            "counts 0.",
        ),
    ]
    boxes = "".join(
        f"<figure><h3>{title}</h3>{svg}<figcaption>{caption}</figcaption></figure>"
        for title, svg, caption in shown
        if svg
    )
    return f'{legend(series)}<div class="figures three">{boxes}</div>'


def _marks(n_bits):
    step = figures.mark_step(n_bits)
    return "Each mark is a Hamming radius" if step == 1 else f"A mark at every {step} bits of Hamming radius"


def protocol(comparison):
    """Split, relevance, ties, database codes, methods."""
    data, n_train = comparison.dataset, len(comparison.train)
    relevance = "have at least one label in common" if data.is_multilabel else "have the same label"
    part = "which is all of the database" if comparison.train_is_database else "a part of the database"
    if comparison.train_is_database:
        learned = "Learned: the database has the codes that were learned from its labels; queries are hashed."
    else:
        learned = (
            f"Learned: queries are hashed and rank the {n_train:,} training items only, since the rest of the database "
            "has no learned codes. The two columns are then about different databases."
        )
    facts = [
        ("Data", data.description),
        (
            "Split",
            f"{len(data.query):,} queries, {len(data.database):,} database items. Hashers are fitted to the features "
            f"and labels of {n_train:,} items, {part}. No query is in either.",
        ),
        (
            "Relevance",
            f"An item is relevant to a query if they {relevance}. A query without relevant items counts 0 and stays in "
            "every mean.",
        ),
        (
            "Ties",
            "Items at equal Hamming distance are averaged over all their orders, exactly (expected average precision).",
        ),
        ("Database codes", f"Hashed: queries and database are coded by the same hash functions. {learned}"),
        ("Seeds", ", ".join(map(str, comparison.seeds))),
    ]
    for text, spec in {task.method.text: task.method for task in comparison.tasks}.items():
        settings = ", ".join(f"{name} {value}" for name, value in spec.in_force().items())
        facts.append((text, f"{spec.entry.about}{f' Here: {settings}.' if settings else ''}"))
    return f'<dl class="facts">{"".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in facts)}</dl>'

"""Sample queries with what they find first, for the best method and for random projections."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np

from hashers import packing
from hashers.report.images import Pictures
from hashers.report.summary import best_group, label_text
from hashers.report.wording import described

__all__ = ["Ranking", "rankings", "sample_queries", "samples"]

N_RANDOM, N_WORST, N_TOP = 3, 2, 10


@dataclass(frozen=True)
class Ranking:
    """The first items that one query finds.

    Attributes
    ----------
    query : int
        Row of the data set.
    average_precision : float
    items : list of (int, int, bool)
        Row, Hamming distance, whether it is relevant; nearest first.
    """

    query: int
    average_precision: float
    items: list[tuple[int, int, bool]]


def sample_queries(comparison, run, seed=0):
    """Positions of the sample queries among all: some at random, and those that `run` ranks worst."""
    n = len(comparison.dataset.query)
    worst = np.argsort(run.average_precision, kind="stable")[:N_WORST]
    rest = np.setdiff1d(np.arange(n), worst)
    return np.random.RandomState(seed).permutation(rest)[:N_RANDOM].tolist(), worst.tolist()


def rankings(comparison, run, positions, seed=0):
    """The nearest database items of some queries, hashed codes, ties in random order; a list of Ranking."""
    data, y, n_bits, shown = comparison.dataset, comparison.y, run.task.n_bits, []
    B_database = packing.unpack(run.packed_database, n_bits).astype(np.float32)
    order = np.random.RandomState(seed).permutation(len(data.database))
    for position in positions:
        query = int(data.query[position])
        code = packing.unpack(run.packed_query[position : position + 1], n_bits)[0].astype(np.float32)
        distances = np.rint((n_bits - B_database @ code) / 2).astype(np.int64)
        nearest = order[np.argsort(distances[order], kind="stable")[:N_TOP]]
        rows = data.database[nearest]
        relevant = y[rows] == y[query] if y.ndim == 1 else ((y[rows] > 0) & (y[query] > 0)).any(axis=1)
        items = [(int(row), int(distances[k]), bool(good)) for row, k, good in zip(rows, nearest, relevant)]
        shown.append(Ranking(query, float(run.average_precision[position]), items))
    return shown


def samples(comparison, groups):
    """The section; empty where there is neither an image nor a name to show."""
    data = comparison.dataset
    if not data.image_shape and not data.class_names:
        return ""
    best = best_group(groups)
    chosen, worst = sample_queries(comparison, best.runs[0])
    positions = [*chosen, *worst]
    floor = next((g for g in groups if g.function == "random" and g.n_bits == best.n_bits and g is not best), None)
    shown = [(group, rankings(comparison, group.runs[0], positions)) for group in (best, floor) if group is not None]
    pictures = Pictures(data)
    blocks = []
    for k in range(len(positions)):
        query = shown[0][1][k].query
        name = label_text(data, comparison.y[query])
        remark = " One of the worst." if k >= len(chosen) else ""
        strips = "".join(_strip(comparison, group, listed[k], pictures) for group, listed in shown)
        blocks.append(
            f'<div class="query"><div class="asked">{pictures.element(query, f"Query: {name}")}'
            f'<p class="soft">Query, label <b>{escape(name)}</b>.{remark}</p></div>{strips}</div>'
        )
    what = "images" if data.image_shape else "items, by their labels"
    return (
        f"<p>{len(chosen)} queries taken at random, and the {len(worst)} that {escape(described(best))} ranks worst, "
        f"each with the ten nearest {what}. A solid green frame is a relevant item, a dashed red frame a wrong one. "
        "Below it: the Hamming distance, and the label where it is wrong. Equal distances are in random order.</p>"
        + "".join(blocks)
    )


def _strip(comparison, group, ranking, pictures):
    items = []
    for row, distance, relevant in ranking.items:
        name = label_text(comparison.dataset, comparison.y[row])
        image = pictures.element(row, f"{'Relevant' if relevant else 'Not relevant'}: {name}, distance {distance}")
        note = f"{distance}" if relevant else f"{distance}, is {escape(name)}" if image else f"{distance}, not relevant"
        kind = "" if relevant else ' class="wrong"'
        items.append(f'<li{kind}><div class="frame">{image or escape(name)}</div><small>{note}</small></li>')
    kind = "items" if comparison.dataset.image_shape else "items words"
    return (
        f'<div class="strip"><h4>{escape(described(group))}, {group.n_bits} bits: average precision '
        f'{ranking.average_precision:.3f}</h4><ol class="{kind}">{"".join(items)}</ol></div>'
    )

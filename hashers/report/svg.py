"""Small charts as inline SVG: they take the colours of the page, scale with it and need nothing from outside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Axis", "Series", "chart", "legend", "log_ticks", "nice_ticks"]

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 26, 46
N_COLOURS = 8


@dataclass(frozen=True)
class Series:
    """A line with markers.

    Attributes
    ----------
    name : str
    points : sequence of (float, float)
        In data units; None for y leaves a gap.
    style : int
        Colour and marker, 0 to 7.
    dashed : bool
    step : bool
        Hold each value until the next point, as incumbents do.
    markers : bool
    notes : sequence of str, optional
        One text a point, shown on hovering; an empty one leaves the marker out.
    size : float
        Of the markers, 1 is normal.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    style: int = 0
    dashed: bool = False
    step: bool = False
    markers: bool = True
    notes: Sequence[str] | None = None
    size: float = 1.0


@dataclass(frozen=True)
class Axis:
    """One axis: its range, ticks and label.

    Attributes
    ----------
    label : str
    low, high : float
    ticks : sequence of (float, str)
    log : bool
    """

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def place(self, value, start, end):
        """Pixels of a value between two ends; values outside are put on the nearer end."""
        low, high, value = (self._scale(v) for v in (self.low, self.high, value))
        share = 0.5 if high == low else (value - low) / (high - low)
        return start + min(1.0, max(0.0, share)) * (end - start)

    def _scale(self, value):
        return math.log10(max(value, 1e-300)) if self.log else value

    @classmethod
    def around(cls, label, values, low=None, high=None, form="{:g}"):
        """A linear axis with round ticks that covers the values; `low` and `high` override what the values give."""
        values = [v for v in values if v is not None] or [0.0, 1.0]
        bottom = min(values) if low is None else low
        top = max(values) if high is None else high
        ticks = nice_ticks(bottom, top)
        return cls(
            label,
            min(bottom, ticks[0]) if low is None else low,
            max(top, ticks[-1]) if high is None else high,
            [(t, form.format(t)) for t in ticks if (low is None or t >= low) and (high is None or t <= high)],
        )


def nice_ticks(low, high, n=5):
    """About `n` round numbers that cover [low, high].

    Examples
    --------
    >>> nice_ticks(0.13, 0.98)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if high <= low:
        high = low + (abs(low) or 1.0) * 0.1
    raw = (high - low) / max(1, n - 1)
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= raw * 0.8)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def log_ticks(low, high):
    """Powers of ten that cover [low, high].

    Examples
    --------
    >>> log_ticks(0.02, 30)
    [0.01, 0.1, 1.0, 10.0, 100.0]
    """
    return [10.0**k for k in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def chart(series, x: Axis, y: Axis, title, description, lines=(), width=WIDTH):
    """A chart as an SVG element.

    Parameters
    ----------
    series : sequence of Series
    x, y : Axis
    title, description : str
        What it shows, for readers who do not see it: `description` gives the numbers that matter.
    lines : sequence of (float, str)
        Horizontal reference lines and their names.
    width : int
        Of the coordinates; the element is as wide as its place.

    Returns
    -------
    svg : str
    """
    right, bottom = width - RIGHT, HEIGHT - BOTTOM

    def to_x(value):
        return x.place(value, LEFT, right)

    def to_y(value):
        return y.place(value, bottom, TOP)

    label = escape(f"{title}. {description}")
    parts = [f'<svg class="chart" viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{label}">']
    for value, text in y.ticks:
        at = to_y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in x.ticks:
        at = to_x(value)
        parts.append(f'<line class="axis" x1="{at:.1f}" y1="{bottom}" x2="{at:.1f}" y2="{bottom + 4}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{bottom + 19}" text-anchor="middle">{escape(text)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>')
    parts.append(f'<text class="label" x="{LEFT - 50}" y="14">{escape(y.label)}</text>')
    parts.append(f'<text class="label" x="{right}" y="{HEIGHT - 8}" text-anchor="end">{escape(x.label)}</text>')
    for value, text in lines:
        at = to_y(value)
        parts.append(f'<line class="bound" x1="{LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}"/>')
        parts.append(f'<text class="note" x="{right}" y="{at - 5:.1f}" text-anchor="end">{escape(text)}</text>')
    for one in series:
        parts.append(_draw(one, to_x, to_y))
    parts.append("</svg>")
    return "".join(parts)


def legend(series):
    """A list of the names beside their lines and markers, as HTML."""
    items = []
    for one in series:
        key = f'<svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true"><g class="s{one.style % N_COLOURS}">'
        key += f'<path class="line{" dashed" if one.dashed else ""}" d="M1 6H33"/>'
        key += (_marker(17, 6, one.style) if one.markers else "") + "</g></svg>"
        items.append(f"<li>{key}{escape(one.name)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def _draw(one, to_x, to_y):
    path, marks, pen_down = [], [], False
    for k, (x, y) in enumerate(one.points):
        if y is None:
            pen_down = False
            continue
        px, py = to_x(x), to_y(y)
        if not pen_down:
            path.append(f"M{px:.1f} {py:.1f}")
        elif one.step:
            path.append(f"H{px:.1f}V{py:.1f}")
        else:
            path.append(f"L{px:.1f} {py:.1f}")
        pen_down = True
        if one.markers and (one.notes is None or one.notes[k]):
            note = one.notes[k] if one.notes else f"{one.name}: {y:.4g}"
            marks.append(f"<g>{_marker(px, py, one.style, one.size)}<title>{escape(note)}</title></g>")
    dashed = " dashed" if one.dashed else ""
    return f'<g class="s{one.style % N_COLOURS}"><path class="line{dashed}" d="{"".join(path)}"/>{"".join(marks)}</g>'


def _marker(x, y, style, size=1.0):
    """A circle, square, diamond or triangle, so that lines differ without colour too."""
    shape, r = style % 4, 4 * size
    if shape == 0:
        return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="{r:.2g}"/>'
    if shape == 1:
        a = 0.9 * r
        return f'<path class="mark" d="M{x - a:.1f} {y - a:.1f}h{2 * a:.2g}v{2 * a:.2g}h-{2 * a:.2g}z"/>'
    if shape == 2:
        a = 1.25 * r
        return f'<path class="mark" d="M{x:.1f} {y - a:.1f}l{a:.2g} {a:.2g}l-{a:.2g} {a:.2g}l-{a:.2g} -{a:.2g}z"/>'
    return f'<path class="mark" d="M{x:.1f} {y - 1.25 * r:.1f}l{1.2 * r:.2g} {2.1 * r:.2g}h-{2.4 * r:.2g}z"/>'

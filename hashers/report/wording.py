"""Numbers and names as the page writes them."""

from __future__ import annotations

from hashers.registry import FUNCTIONS

__all__ = ["bytes_of", "described", "duration", "excess", "plural", "seconds", "share"]


def bytes_of(n_bits):
    """Size of a code.

    Examples
    --------
    >>> bytes_of(8), bytes_of(12)
    ('1 byte', '2 bytes')
    """
    n = -(-n_bits // 8)
    return plural(n, "byte")


def plural(n, noun):
    """A count with its noun.

    Examples
    --------
    >>> plural(1, "thread"), plural(1200, "item")
    ('1 thread', '1,200 items')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def share(value):
    """A share in percent, two digits behind the point where it is small."""
    return f"{100 * value:.2f} %" if value < 0.1 else f"{100 * value:.0f} %"


def excess(value):
    """A share above the best in percent; "0" for what is rounding."""
    return "0" if value < 5e-6 else f"{100 * value:.3g} %"


def seconds(value):
    """Seconds for a table."""
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def duration(value):
    """A time with the unit that suits it.

    Examples
    --------
    >>> duration(0.000085), duration(0.059), duration(3.21)
    ('85 µs', '59 ms', '3.2 s')
    """
    if value < 1e-3:
        return f"{1e6 * value:.0f} µs"
    if value < 1:
        return f"{1e3 * value:.0f} ms"
    return f"{value:.1f} s"


def described(group):
    """Method and function in words."""
    if group.function not in FUNCTIONS:
        return f"{group.method} (random projections)" if group.method == "lsh" else group.method
    return f"{group.method} with {group.function} hash functions"

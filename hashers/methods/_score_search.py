"""Which projection of out-of-fold scores to take: starts compared as they are, an ascent judged on points it has not
seen, and the start that ascends highest.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Choice", "search"]

RATES = (0.1, 0.3)
"""First steps of the ascents that are compared."""

N_PARTS, MANY_POINTS, MOST_HELD_OUT = 4, 3000, 3000
"""Parts of the training points; each is held out in turn, from MANY_POINTS on only two of them."""

CLEARLY = 2
"""Standard errors by which a start must beat the first one, and an ascent its start on held-out points."""

FEWEST_POINTS = 20
"""Points below which nothing is held out and the first start is taken."""

MOST_ASCENTS = 4
"""Starts that are ascended from on all points."""


@dataclass
class Choice:
    """What was compared and what was taken.

    Attributes
    ----------
    rows : list of dict
        See `FeatureAwareHash.selection_`.
    P : ndarray of shape (L + 1, n_bits)
    start : str
    rate, share : float
        0 where no ascent was clearly better.
    course : ndarray of shape (n_steps,)
        Relaxed MAP of each batch of the ascent; empty without one.
    """

    rows: list
    P: np.ndarray
    start: str
    rate: float
    share: float
    course: np.ndarray


def search(space, starts, shares, n_steps, split_seed, batch_seed, n_jobs=1):
    """Choose a projection by average precision of out-of-fold codes.

    Parameters
    ----------
    space : ScoreSpace
    starts : dict of str to ndarray of shape (C, n_bits)
        Codes of the groups; the first is taken unless another is clearly better.
    shares : sequence of float
        How much of an ascended projection, beside that of its class codes, may be kept.
    n_steps, split_seed, batch_seed, n_jobs : int

    Returns
    -------
    choice : Choice

    Notes
    -----
    Starts have not been fitted to the scores (but for confusions, C numbers a class) and are compared on all points.
    How an ascent from the best one begins, and what is kept of it, is judged on parts that it has not seen. What a
    start is worth as it is says little about where an ascent from it ends (rank correlation -.2 to .7 with MAP of
    queries), precision of the ascended points, though they have been seen, a lot more (.5 to .7): so up to four starts
    are ascended from on all points, with the same settings, and the highest is taken.
    """
    begin = {name: space.projection(codes) for name, codes in starts.items()}
    first = next(iter(starts))
    if len(space) < FEWEST_POINTS:
        rows = [_row(name, chosen=name == first) for name in starts]
        return Choice(rows, begin[first], first, 0.0, 0.0, np.empty(0))
    order = np.random.default_rng(split_seed).permutation(len(space))
    scores = {name: space.average_precision(P, order, n_jobs) for name, P in begin.items()}
    gains = {name: _gain(values - scores[first]) for name, values in scores.items()}
    best = max(starts, key=lambda name: scores[name].mean())
    best = best if gains[best] > CLEARLY else first
    ranked = sorted(starts, key=lambda name: (name != best, -scores[name].mean()))
    rows = [_row(name, value=scores[name].mean(), gain=gains[name]) for name in starts]
    rate, share, tried = _settings(space, begin[best], shares, n_steps, order, batch_seed, n_jobs)
    rows += [_row(best, *key, value, gain) for key, value, gain in tried]
    if not rate:
        next(row for row in rows if row["start"] == best)["chosen"] = True
        return Choice(rows, begin[best], best, 0.0, 0.0, np.empty(0))

    top = None
    for name in ranked[:MOST_ASCENTS]:
        P, course = space.ascend(begin[name], order, rate, n_steps, batch_seed)
        P = space.mixed(P, share)
        value = space.average_precision(P, order, n_jobs).mean()
        rows.append(_row(name, rate, share, value, seen=True))
        if top is None or value > top[0]:
            top = value, name, P, course, len(rows) - 1
    assert top is not None
    rows[top[4]]["chosen"] = True
    return Choice(rows, top[2], top[1], rate, share, top[3])


def _settings(space, P, shares, n_steps, order, batch_seed, n_jobs):
    """Rate and share that are best on held-out parts, 0 and 0 where none is clearly better than P; and all tried."""
    if not n_steps:
        return 0.0, 0.0, []
    parts = np.array_split(order, N_PARTS)
    plain, tried = [], {(rate, share): [] for rate in RATES for share in shares}
    for part in parts if len(space) < MANY_POINTS else parts[:2]:
        held, rest = part[:MOST_HELD_OUT], np.setdiff1d(order, part)
        plain.append(space.average_precision(P, held, n_jobs))
        for rate in RATES:
            ascended, _ = space.ascend(P, rest, rate, n_steps, batch_seed)
            for share in shares:
                tried[rate, share].append(space.average_precision(space.mixed(ascended, share), held, n_jobs))
    before = np.concatenate(plain)
    after = {key: np.concatenate(values) for key, values in tried.items()}
    rows = [(key, values.mean(), _gain(values - before)) for key, values in after.items()]
    best = max(rows, key=lambda row: row[1])
    rate, share = best[0] if best[2] > CLEARLY else (0.0, 0.0)
    return rate, share, rows


def _gain(difference):
    """Mean in standard errors; 0 where nothing differs."""
    error = difference.std() / np.sqrt(len(difference))
    return float(difference.mean() / error) if error > 0 else 0.0


def _row(start, rate=0.0, share=0.0, value=None, gain=None, seen=False, chosen=False):
    value = None if value is None else float(value)
    return {
        "start": start, "rate": rate, "share": share, "map": value, "gain": gain, "seen": seen, "chosen": chosen,
    }  # fmt: skip

"""Which projection of out-of-fold scores to take: the start that ascends highest, if points that the ascent has not
seen agree that this is better than to stay.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Choice", "search"]

RATES = (0.1, 0.3)
"""First steps of the ascents that are compared."""

N_PARTS, MANY_POINTS, MOST_HELD_OUT = 4, 3000, 3000
"""Parts of the training points; each is held out in turn, from MANY_POINTS on only two of them."""

CLEARLY = 2
"""Standard errors by which a start must beat the first one, and an ascent the best start on held-out points."""

FEWEST_POINTS = 20
"""Points below which nothing is held out and the first start is taken."""

MOST_ASCENTS = 6
"""Starts that are ascended from; those that are worst as they are fall out."""


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
        How much of an ascended projection, beside that of its class codes, may be kept; the first compares starts.
    n_steps, split_seed, batch_seed, n_jobs : int

    Returns
    -------
    choice : Choice

    Notes
    -----
    Starts have not been fitted to the scores (but for confusions, C numbers a class) and are compared on all points.
    What a start is worth as it is says little about where an ascent from it ends (rank correlation -.2 to .7 with MAP
    of queries); precision of the ascended points, though they have been seen, says more (.5 to .7). So all are ascended
    from, on all points and with the greatest rate, and the highest is taken. Ascents from its start on some of the
    points, judged on others, choose rate and share, and whether that is clearly better than the best start.
    """
    begin = {name: space.projection(codes) for name, codes in starts.items()}
    first = next(iter(starts))
    if len(space) < FEWEST_POINTS:
        rows = [_row(name, chosen=name == first) for name in starts]
        return Choice(rows, begin[first], first, 0.0, 0.0, np.empty(0))
    order = np.random.default_rng(split_seed).permutation(len(space))
    scores = {name: space.average_precision(P, order, n_jobs) for name, P in begin.items()}
    gains = {name: _gain(values - scores[first]) for name, values in scores.items()}
    plain = max(starts, key=lambda name: scores[name].mean())
    plain = plain if gains[plain] > CLEARLY else first
    rows = [_row(name, value=scores[name].mean(), gain=gains[name]) for name in starts]
    taken, rate, share = rows[list(starts).index(plain)], 0.0, 0.0
    if n_steps:
        ends = {}
        for name in sorted(starts, key=lambda name: -scores[name].mean())[:MOST_ASCENTS]:
            ends[name] = space.ascend(begin[name], order, RATES[-1], n_steps, batch_seed)
            value = space.average_precision(space.mixed(ends[name][0], shares[0]), order, n_jobs).mean()
            rows.append(_row(name, RATES[-1], shares[0], value, seen=True))
        top = max(rows[len(starts) :], key=lambda row: row["map"])["start"]
        compared = _compare_settings(space, begin[top], begin[plain], shares, n_steps, order, batch_seed, n_jobs)
        held = [_row(top, *key, value, gain) for key, value, gain in compared]
        rows += held
        best = max(held, key=lambda row: row["map"])
        if best["gain"] > CLEARLY:
            taken, rate, share = best, best["rate"], best["share"]
    taken["chosen"] = True
    if not rate:
        return Choice(rows, begin[plain], plain, rate, share, np.empty(0))
    P, course = ends[top] if rate == RATES[-1] else space.ascend(begin[top], order, rate, n_steps, batch_seed)
    return Choice(rows, space.mixed(P, share), top, rate, share, course)


def _compare_settings(space, P, plain, shares, n_steps, order, batch_seed, n_jobs):
    """For each rate and share, MAP of held-out parts after ascents from P, and its gain over `plain` there."""
    parts = np.array_split(order, N_PARTS)
    before, tried = [], {(rate, share): [] for rate in RATES for share in shares}
    for part in parts if len(space) < MANY_POINTS else parts[:2]:
        held, rest = part[:MOST_HELD_OUT], np.setdiff1d(order, part)
        before.append(space.average_precision(plain, held, n_jobs))
        for rate in RATES:
            ascended, _ = space.ascend(P, rest, rate, n_steps, batch_seed)
            for share in shares:
                tried[rate, share].append(space.average_precision(space.mixed(ascended, share), held, n_jobs))
    joined = {key: np.concatenate(values) for key, values in tried.items()}
    return [(key, values.mean(), _gain(values - np.concatenate(before))) for key, values in joined.items()]


def _gain(difference):
    """Mean in standard errors; 0 where nothing differs."""
    error = difference.std() / np.sqrt(len(difference))
    return float(difference.mean() / error) if error > 0 else 0.0


def _row(start, rate=0.0, share=0.0, value=None, gain=None, seen=False, chosen=False):
    value = None if value is None else float(value)
    return {
        "start": start, "rate": rate, "share": share, "map": value, "gain": gain, "seen": seen, "chosen": chosen,
    }  # fmt: skip

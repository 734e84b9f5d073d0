"""The elite set of a search: its best distinct assignments, and which pairs of them are still to be joined by a path.

F. Glover, "A template for scatter search and path relinking", Artificial Evolution, LNCS 1363, 1998; Y. Wang, Z. Lü,
F. Glover, J.-K. Hao, "Path relinking for unconstrained binary quadratic programming", European Journal of Operational
Research 223, 2012 (a set of pairs, each used once in both directions; rebuilt around the best when none is left).
Differences: pairs are drawn at random rather than in order, and pairs closer than `apart` are left out, since a walk
from between them finds one of its ends again; a problem without linear term takes x and -x for one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Elite", "EliteSet"]


class Elite(NamedTuple):
    """One member: what it costs, where it is, and what its walk kept (see `Storage.start`)."""

    energy: float
    x: np.ndarray
    delta: np.ndarray | None
    number: int


class EliteSet:
    """Up to `size` distinct assignments, the best first.

    Parameters
    ----------
    size : int
    apart : int
        Number of differing variables from which a pair is worth a path.
    mirrored : bool
        Whether -x has the energy of x: then the nearer of the two is compared, and kept.

    Attributes
    ----------
    members : list of Elite
    n_rebuilds : int

    Notes
    -----
    `plan` and `offer` are called by one thread, between epochs of walks. Memory: 5 n bytes a member.

    Examples
    --------
    >>> import numpy as np
    >>> elite = EliteSet(size=2, apart=1)
    >>> elite.offer(-3.0, np.array([1, 1], np.int8)), elite.offer(-3.0, np.array([1, 1], np.int8))
    (True, False)
    >>> elite.plan(1, np.random.default_rng(0))  # one member: no pair yet
    [None]
    """

    def __init__(self, size: int, apart: int = 1, mirrored: bool = False):
        self.size, self.apart, self.mirrored = size, max(1, apart), mirrored
        self.members: list[Elite] = []
        self.n_rebuilds = 0
        self._n_seen = 0
        self._used: set[tuple[int, int]] = set()

    def offer(self, energy: float, x: np.ndarray, delta: np.ndarray | None = None) -> bool:
        """Take an assignment in if it is new, and there is room or it is better than the worst."""
        if len(self.members) >= self.size and energy >= self.members[-1].energy:
            return False
        if any(self.distance(x, member.x) == 0 for member in self.members if member.energy == energy):
            return False
        self.members.append(Elite(energy, x.copy(), delta, self._n_seen))
        self._n_seen += 1
        self.members.sort(key=lambda member: (member.energy, member.number))
        del self.members[self.size :]
        return True

    def distance(self, x: np.ndarray, y: np.ndarray) -> int:
        """Number of variables on which two assignments differ."""
        differing = int(np.count_nonzero(x != y))
        return min(differing, len(x) - differing) if self.mirrored else differing

    def towards(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """y, or its mirror image if that is nearer to x and as good."""
        return -y if self.mirrored and 2 * int(np.count_nonzero(x != y)) > len(x) else y

    def plan(self, count: int, rng: np.random.Generator) -> list[tuple[Elite, Elite] | None]:
        """What the next `count` walks start from: a pair not used yet, or None for a random assignment.

        A full set without such pairs has converged; all but its best member make room for new ones.
        """
        pairs = self._pairs()
        if len(self.members) >= self.size and not pairs:
            self.n_rebuilds += 1
            del self.members[1:]
        tasks: list[tuple[Elite, Elite] | None] = [None] * min(count, self.size - len(self.members))
        for k in rng.permutation(len(pairs))[: count - len(tasks)]:
            self._used.add((pairs[k][0].number, pairs[k][1].number))
            tasks.append(pairs[k])
        return tasks + [None] * (count - len(tasks))

    def _pairs(self) -> list[tuple[Elite, Elite]]:
        return [
            (first, second)
            for first in self.members
            for second in self.members
            if first is not second
            and (first.number, second.number) not in self._used
            and self.distance(first.x, second.x) >= self.apart
        ]

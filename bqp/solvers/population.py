"""Members of a population of annealing runs, and what the next run does: start afresh, or from members.

J. Houdayer, O. C. Martin, "Renormalization for discrete optimization", Physical Review Letters 83, 1999 (children of a
population; they merge once per generation of fixed size, here it is renewed in cycles whose runs grow in number or in
length); H. R. Lourenço, O. C. Martin, T. Stützle, "Iterated local search", Handbook of Metaheuristics, 2003 (a local
optimum is shaken and optimised again, and kept if it is no worse; the shaking here is an annealing from a low
temperature).
"""

from __future__ import annotations

import numpy as np

from bqp.solvers.run import WalkResult

__all__ = ["LONG_SWEEPS", "Population"]

_FIRST_SWEEPS = 100
_LONGEST_SWEEPS = 400_000
LONG_SWEEPS = 25_600  # from there on lengths grow slowly: reheated runs gain as much as longer ones
_FEWEST, _MOST = 8, 64  # fresh runs of a breeding cycle
_EPOCH = 4  # walks between two decisions
_PATIENCE = 16  # reheated runs in a row that bring nothing end a focusing cycle
_MOST_REHEATED = 128
_LAST_CHILDREN = 8  # of a focusing cycle


class Population:
    """Members of the present cycle and the best of earlier ones; decides which walks are fresh, reheated or children.

    Parameters
    ----------
    breeds : bool
        Whether there are children.
    reheats : bool
        Whether members are annealed again.
    symmetric : bool
        Whether x and -x are the same solution.

    Attributes
    ----------
    n_sweeps : int
        Length of the fresh walks of this cycle.
    begin : int
        The first walk of this cycle.
    focuses : bool
        Whether this cycle reheats.

    Notes
    -----
    Walks 0 to 2 are fresh, then come cycles; the parts of all are multiples of the four walks of an epoch.

    A breeding cycle has `n_fresh` fresh walks and twice as many children. A child replaces the worst of its parents if
    it is better and new. For the last quarter of the children the best members of earlier cycles join. The first two
    cycles breed. If the best child of the second gains more over its best fresh walk than that one over the best of
    the first, children pay, and the next cycle breeds with twice as many walks, twice as long.

    Otherwise the next cycle focuses: four fresh walks, then reheated ones, each of which replaces the member it came
    from if it is new and no worse, until 16 in a row gain nothing; then eight children, some of members of earlier
    cycles. If one of them is the best ever, children may pay after all, and the next cycle breeds. The length of fresh
    walks grows fourfold from cycle to cycle, from 25,600 sweeps on by half.

    All methods are called between epochs by one thread, but `parents`, which changes nothing that walks share.
    """

    def __init__(self, breeds: bool, symmetric: bool, reheats: bool = True):
        self.breeds, self.reheats, self.symmetric = breeds, reheats, symmetric
        self.n_sweeps, self.n_fresh, self.pays = _FIRST_SWEEPS, _FEWEST if breeds else _EPOCH, False
        self.focuses = False
        self.begin = 3
        self.n_reheated = self.n_children = self.n_better = 0
        self.members: list[tuple[float, bytes]] = []
        self.archive: list[tuple[float, bytes]] = []
        self._last_reheated = 0  # where the reheated walks of this cycle end, once that is known
        self._idle = 0
        self._origin: dict[int, tuple[float, bytes]] = {}
        self._fresh_best = self._fresh_before = self._bred_best = self._best = np.inf
        self._child_led = False

    @property
    def end(self) -> int | None:
        """The first walk of the next cycle; None if that is not known yet."""
        first = self.begin + self.n_fresh
        if self.focuses:
            return self._last_reheated + (_LAST_CHILDREN if self.breeds else 0) if self._last_reheated else None
        return first + (2 * self.n_fresh if self.breeds else 0)

    def parents(self, k: int, rng: np.random.Generator) -> list[np.ndarray] | None:
        """What walk k starts from: None, one member to be reheated, or two to six, the best first, to be recombined."""
        if k < self.begin + self.n_fresh or not self.members:
            return None
        if self.focuses and not self._last_reheated:
            chosen = [self.members[min(rng.integers(0, len(self.members), 2))]]
        elif not self.breeds or len(self.members) < 2:
            return None
        else:
            count = min(int(rng.choice((2, 3, 4, 6))), len(self.members))
            chosen = [self.members[i] for i in np.sort(rng.choice(len(self.members), count, replace=False))]
        self._origin[k] = chosen[-1]
        return [np.frombuffer(key, dtype=np.int8) for _, key in chosen]

    def commit(self, k: int, result: WalkResult) -> None:
        """Take in what walk k brought home; called in order of k."""
        x = -result.x if self.symmetric and result.x[0] < 0 else result.x
        entry = (result.energy, x.tobytes())
        origin = self._origin.pop(k, None)
        if origin is None:
            self._fresh_best = min(self._fresh_best, entry[0])
            if entry not in self.members:
                self.members.append(entry)
        elif self.focuses and not self._last_reheated:
            self._take_reheated(origin, entry)
        else:
            self.n_children += 1
            if entry[0] < self._best:
                self.n_better += 1
                self._child_led = True
            self._replace(origin, entry, entry[0] < self._standing(origin)[0])
        self._best = min(self._best, entry[0])
        self.members.sort()
        self._turn(k + 1)

    def _standing(self, origin: tuple[float, bytes]) -> tuple[float, bytes]:
        """The member that a walk from `origin` competes with: that one, or the worst if it has been replaced."""
        return origin if origin in self.members else self.members[-1]

    def _replace(self, origin, entry, wins: bool) -> None:
        if wins and entry not in self.members:
            self.members.remove(self._standing(origin))
            self.members.append(entry)

    def _take_reheated(self, origin, entry) -> None:
        standing = self._standing(origin)
        better = entry[0] < standing[0]
        self._replace(origin, entry, better or (standing is origin and entry[0] == origin[0]))
        self.n_reheated += 1
        self._idle = 0 if better else self._idle + 1

    def _turn(self, k: int) -> None:
        """Look whether walk k begins another part of the cycle, or the next one."""
        if self.focuses and not self._last_reheated:
            made = k - self.begin - self.n_fresh
            if made > 0 and made % _EPOCH == 0 and (self._idle >= _PATIENCE or made >= _MOST_REHEATED):
                self._last_reheated = k
                self._join_archive()
        elif self.breeds and not self.focuses and k == self.begin + 3 * self.n_fresh - self.n_fresh // 2:
            self._bred_best = self.members[0][0]
            self._join_archive()
        if k == self.end:
            self._next_cycle(k)

    def _join_archive(self) -> None:
        self.members = sorted(set(self.members) | set(self.archive))

    def _next_cycle(self, begin: int) -> None:
        first = self.archive == []
        if self.focuses:
            self.pays = self._child_led
        else:
            gain = self._fresh_best - self._bred_best
            self.pays = self.breeds and gain > max(0.0, self._fresh_before - self._fresh_best)
        self.focuses = self.reheats and not self.pays and not (first and self.breeds)
        self.archive = sorted(set(self.members[:4]) | set(self.archive))[:_FEWEST]
        if self.pays:
            self.n_fresh, factor = max(_FEWEST, min(2 * self.n_fresh, _MOST)), 2
        else:
            self.n_fresh = _EPOCH if self.focuses or not self.breeds else _FEWEST
            factor = 4 if self.n_sweeps < LONG_SWEEPS or not self.focuses else 1.5
        self.n_sweeps = min(int(factor * self.n_sweeps), _LONGEST_SWEEPS)
        self.begin, self.members = begin, []
        self._last_reheated, self._idle, self._child_led = 0, 0, False
        self._fresh_before, self._fresh_best = self._fresh_best, np.inf

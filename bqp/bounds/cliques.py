"""Clique inequalities as arrays: what a pool of cuts holds, and how it finds new ones.

A cut of width w (3, 5 or 7) is a sign vector b on w variables. Every z in {-1, +1}^n has (b'z)**2 >= 1, since b'z is
odd; in the relaxation, where zz' becomes X, that is ``b'Xb >= 1``: a triangle inequality for w = 3, pentagonal and
heptagonal ones beyond (M. Deza, M. Laurent, "Geometry of Cuts and Metrics", 1997).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["WIDTHS", "CutPool"]

WIDTHS = (3, 5, 7)
_TRIANGLES = 400_000  # room for those that one search finds
_HASH = np.random.default_rng(20260101).integers(1, 2**62, 1 << 17, dtype=np.uint64)
_LOOKS = 2e7  # triangles between two looks at the clock: some 0.05 s
_SEEDS = 400  # cuts of a width that a search tries to widen


class CutPool:
    """Cuts with their multipliers, grouped by width.

    Attributes
    ----------
    members : dict of int to ndarray of shape (m, w), int32
    signs : dict of int to ndarray of shape (m, w), int8
    gamma : dict of int to ndarray of shape (m,), float64
        Multipliers, at least 0.
    """

    def __init__(self):
        self.members = {w: np.empty((0, w), np.int32) for w in WIDTHS}
        self.signs = {w: np.empty((0, w), np.int8) for w in WIDTHS}
        self.gamma = {w: np.empty(0) for w in WIDTHS}

    def __len__(self) -> int:
        return sum(map(len, self.gamma.values()))

    def flat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """``(start, member, sign, gamma)`` as the kernels take them, widths one after the other."""
        widths = np.concatenate([np.full(len(self.gamma[w]), w, np.int64) for w in WIDTHS])
        start = np.concatenate([[0], np.cumsum(widths)])
        member = np.concatenate([self.members[w].ravel() for w in WIDTHS]).astype(np.int64)
        sign = np.concatenate([self.signs[w].ravel() for w in WIDTHS]).astype(np.float64)
        return start, member, sign, np.concatenate([self.gamma[w] for w in WIDTHS])

    def set_gamma(self, gamma: np.ndarray) -> None:
        """New multipliers, in the order of `flat`."""
        ends = np.cumsum([len(self.gamma[w]) for w in WIDTHS])
        for w, end in zip(WIDTHS, ends):
            self.gamma[w] = gamma[end - len(self.gamma[w]) : end].copy()

    def keep(self, mask: np.ndarray) -> None:
        """Drop the cuts outside the mask, in the order of `flat`."""
        ends = np.cumsum([len(self.gamma[w]) for w in WIDTHS])
        for w, end in zip(WIDTHS, ends):
            chosen = mask[end - len(self.gamma[w]) : end]
            self.members[w], self.signs[w], self.gamma[w] = (
                self.members[w][chosen], self.signs[w][chosen], self.gamma[w][chosen],
            )  # fmt: skip

    def add(self, width: int, members: np.ndarray, signs: np.ndarray, limit: int) -> int:
        """The first `limit` of these cuts that the pool does not hold, with multiplier 0; returns their number."""
        keys = _keys(members, signs)
        _, first = np.unique(keys, return_index=True)
        first.sort()
        fresh = first[~np.isin(keys[first], _keys(self.members[width], self.signs[width]))][:limit]
        self.members[width] = np.concatenate([self.members[width], members[fresh].astype(np.int32)])
        self.signs[width] = np.concatenate([self.signs[width], signs[fresh].astype(np.int8)])
        self.gamma[width] = np.concatenate([self.gamma[width], np.zeros(len(fresh))])
        return len(fresh)

    def separate(
        self,
        V: np.ndarray,
        limit: int,
        threshold: float = 0.02,
        wide_below: int = 0,
        stopping: Callable[[], bool] = lambda: False,
    ) -> int:
        """Add up to `limit` of the most violated cuts at X = VV'; returns their number.

        All triangles are looked at; wider cuts grow from the tightest narrower ones by the best pair of variables, and
        are looked for only when fewer than `wide_below` triangles are violated by more than `threshold`. When
        `stopping` says True, what was found so far must do.
        """
        from bqp.kernels.cliques import extend_cuts

        X = V @ V.T
        members, signs = np.empty((_TRIANGLES, 3), np.int32), np.empty((_TRIANGLES, 3), np.int8)
        violations = np.empty(_TRIANGLES)
        least = threshold
        while True:
            found = _triangles(X, least, members, signs, violations, stopping)
            if found < _TRIANGLES or stopping():
                break
            least = max(2 * least, 0.1)
        order = np.argsort(-violations[:found], kind="stable")[: 4 * limit]
        added = self.add(3, members[order], signs[order], limit)
        if found < wide_below and not stopping():
            narrow, narrow_signs = self._tightest(3, V)
            for w in (5, 7):
                wide, wide_signs = np.empty((len(narrow), w), np.int32), np.empty((len(narrow), w), np.int8)
                excess = np.empty(len(narrow))
                extend_cuts(X, V, narrow, narrow_signs, wide, wide_signs, excess)
                order = np.argsort(-excess, kind="stable")
                narrow, narrow_signs = wide[order][:_SEEDS], wide_signs[order][:_SEEDS]
                usable = np.isfinite(excess[order][:_SEEDS])
                narrow, narrow_signs = narrow[usable], narrow_signs[usable]
                good = order[excess[order] > 2 * threshold]
                if len(good):
                    added += self.add(w, wide[good], wide_signs[good], limit)
        return added

    def _tightest(self, width: int, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        members, signs = self.members[width], self.signs[width]
        sums = np.einsum("mw,mwr->mr", signs.astype(np.float64), V[members])
        order = np.argsort((sums**2).sum(axis=1) - 1e-3 * self.gamma[width], kind="stable")[:_SEEDS]
        return np.ascontiguousarray(members[order]), np.ascontiguousarray(signs[order])

    def restricted(self, position: np.ndarray, value: np.ndarray) -> CutPool:
        """The pool after some variables became copies of variable 0.

        Parameters
        ----------
        position : ndarray of shape (n,), int
            Where each variable goes; 0 for variable 0 and for the copies.
        value : ndarray of shape (n,), int8
            +1, or the sign with which a copy equals variable 0.

        Notes
        -----
        A cut that holds variable 0 or its copies twice says nothing any more; equal cuts add their multipliers.
        """
        pool = CutPool()
        for w in WIDTHS:
            if not len(self.gamma[w]):
                continue
            members, signs = position[self.members[w]].astype(np.int32), self.signs[w] * value[self.members[w]]
            useful = (members == 0).sum(axis=1) <= 1
            members, signs, gamma = members[useful], signs[useful], self.gamma[w][useful]
            keys = _keys(members, signs)
            _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
            pool.members[w], pool.signs[w] = members[first], signs[first].astype(np.int8)
            pool.gamma[w] = np.bincount(inverse.ravel(), weights=gamma, minlength=len(first))
        return pool

    def expanded(self, variables: np.ndarray) -> CutPool:
        """The pool in the numbering of `variables`, where variable i of this pool is called ``variables[i]``."""
        pool = CutPool()
        for w in WIDTHS:
            pool.members[w] = variables[self.members[w]].astype(np.int32)
            pool.signs[w], pool.gamma[w] = self.signs[w], self.gamma[w]
        return pool


def _triangles(X, least, members, signs, violations, stopping) -> int:
    """`violated_triangles`, a block of rows at a time."""
    from bqp.kernels.cliques import violated_triangles

    n, found, first = len(X), 0, 0
    while first < n and found < len(violations) and not stopping():
        last = min(n, first + 1 + int(_LOOKS / (1 + (n - first) ** 2 / 2)))
        found = violated_triangles(X, least, members, signs, violations, found, first, last)
        first = last
    return found


def _keys(members: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """One number a cut, the same for any order of its members and for b and -b (different cuts may share one: rare)."""
    if not len(members):
        return np.empty(0, np.uint64)
    leader = np.argmin(members, axis=1)
    relative = signs * signs[np.arange(len(signs)), leader][:, None]
    codes = 2 * members.astype(np.int64) + (relative > 0)
    return _HASH[codes % len(_HASH)].sum(axis=1, dtype=np.uint64)

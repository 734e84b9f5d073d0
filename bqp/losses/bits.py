"""The binary quadratic program that one bit of a code gives.

With G the inner products over the bits counted so far, a further bit x changes the pair (i, j) to G_ij + x_i x_j. A
function of x_i x_j in {-1, +1} is linear in it, so that the loss over all ordered pairs is x'Ax + offset with

    A_ij = w_ij (l(s_ij, G_ij + 1, r) - l(s_ij, G_ij - 1, r)) / 2,
    offset = sum_ij w_ij (l(s_ij, G_ij + 1, r) + l(s_ij, G_ij - 1, r)) / 2.

For the squared losses l = v (r s - G)^2 this is A = -2 v W o (r S - G), of low rank wherever S and W are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import scipy.sparse as sp

from bqp.errors import ParameterError, ProblemError
from bqp.forms import Dense, Form, Grouped, LowRank, Sparse, Sum
from bqp.losses.pairwise import Loss, get
from bqp.problem import BQP
from bqp.supervision import GroupedSimilarity, MatrixSimilarity, PairSimilarity, Similarity, check_codes
from bqp.supervision.base import BLOCK_ENTRIES, group_sums

__all__ = ["TARGETS", "BitProblems", "bit_problem", "value"]

TARGETS = ("residual", "stagewise", "full")
WRITE_OUT_BELOW = 4096  # grouped similarities with at most this many points are written out: 128 MiB of float64


class BitProblems(ABC):
    """The bit problems of one similarity and loss, kept up to date while bits are added and replaced.

    Make one by ``BitProblems.of(S, loss, n_bits)``.

    Attributes
    ----------
    B : ndarray of shape (n, n_bits), int8
        The codes; columns not counted hold +1 or what was put there last.
    counted : ndarray of shape (n_bits,), bool
        The bits that count in the inner products G.

    Notes
    -----
    `add`, `remove` and `problem` cost O(n (C + q)) for a structured similarity, O(nnz) for pairs and O(n^2) for what
    is written out. Memory: B, and one number a pair where pairs are held.
    """

    def __init__(self, S: Similarity, loss: Loss, n_bits: int):
        self.S, self.loss, self.n, self.n_bits = S, loss, S.n, n_bits
        self.B = np.ones((S.n, n_bits), dtype=np.int8)
        self.counted = np.zeros(n_bits, dtype=bool)

    @staticmethod
    def of(S: Similarity, loss: Loss, n_bits: int, write_out: bool | None = None) -> BitProblems:
        """Choose how to hold the pairs.

        Parameters
        ----------
        S : Similarity
        loss : Loss
        n_bits : int
        write_out : bool, optional
            Of a grouped similarity: whether its pairs become n x n arrays, which is quicker for few points and the only
            way for losses that are not squared, or Q stays a sum of a group and a low-rank form. Default: written out
            up to 4,096 points. Pairs and matrices are held as they are.

        Raises
        ------
        ProblemError
            A loss that is not squared on a grouped similarity that is not to be written out.
        """
        if isinstance(S, PairSimilarity):
            return _PairBits(S, loss, n_bits)
        if isinstance(S, GroupedSimilarity) and not (S.n <= WRITE_OUT_BELOW if write_out is None else write_out):
            if loss.quadratic_scale(1.0) is None:
                reason = f"{S.n} points are too many to write out (limit {WRITE_OUT_BELOW})"
                raise ProblemError(
                    f"the loss {loss.name!r} has no low-rank bit problem, and "
                    f"{reason if write_out is None else 'write_out=False forbids another'}. Use reductions='auto', "
                    "which merges points with equal labels, or pass sampled pairs (supervision.from_pairs)."
                )
            return _StructuredBits(S, loss, n_bits)
        if isinstance(S, GroupedSimilarity | MatrixSimilarity):
            return _MatrixBits(S, loss, n_bits)
        raise ProblemError(f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.")

    @abstractmethod
    def add(self, k: int, x: np.ndarray, energy: float | None = None) -> None:
        """Put x in column k and count it.

        `energy` may give the energy of x in the last `problem`, if nothing has changed since: it spares a pass.
        """

    @abstractmethod
    def remove(self, k: int) -> None:
        """Count column k no more."""

    @abstractmethod
    def problem(self, r: float, shift: int = 0) -> BQP:
        """The problem of one more bit: losses at r bits, with `shift` bits beside those counted taken as agreeing.

        It may share memory with B: use it before the next `add`.
        """

    @abstractmethod
    def value(self, r: float, shift: int = 0) -> float:
        """The loss over all ordered pairs of the bits counted."""

    def load(self, B: np.ndarray, counted: np.ndarray) -> None:
        """Take over the codes B (n, n_bits), counting the given columns."""
        for k in np.flatnonzero(self.counted):
            self.remove(int(k))
        self.B[:] = B
        for k in np.flatnonzero(counted):
            self.add(int(k), B[:, k])


class _MatrixBits(BitProblems):
    """Pairs written out: targets, weights and inner products as n x n arrays."""

    def __init__(self, S: GroupedSimilarity | MatrixSimilarity, loss, n_bits):
        super().__init__(S, loss, n_bits)
        if isinstance(S, GroupedSimilarity):
            self.s = S.T[S.groups][:, S.groups]
            self.w = None
            if S.V is not None or S.weights is not None:
                self.w = S.to_dense()[1]
        else:
            self.s, self.w = S.S, S.W
        self.G = np.zeros((S.n, S.n), dtype=np.int16 if n_bits < 2**15 else np.int32)

    def _blocks(self):
        step = max(1, BLOCK_ENTRIES // self.n)
        for a in range(0, self.n, step):
            yield slice(a, min(a + step, self.n))

    def _accumulate(self, k, sign):
        x = self.B[:, k].astype(self.G.dtype)
        for rows in self._blocks():
            self.G[rows] += np.outer(sign * x[rows], x)

    def add(self, k, x, energy=None):
        self.B[:, k] = x
        self.counted[k] = True
        self._accumulate(k, self.G.dtype.type(1))

    def remove(self, k):
        self.counted[k] = False
        self._accumulate(k, self.G.dtype.type(-1))

    def problem(self, r, shift=0):
        A = np.empty((self.n, self.n))
        offset = 0.0
        for rows in self._blocks():
            half, mean = _split(
                self.loss, self.s[rows], self.G[rows], None if self.w is None else self.w[rows], r, shift
            )
            A[rows] = half
            offset += float(mean.sum())
        return BQP(Dense(A, check=False), offset=offset)

    def value(self, r, shift=0):
        total = 0.0
        for rows in self._blocks():
            loss = self.loss(self.s[rows], self.G[rows] + float(shift), r)
            total += float(loss.sum() if self.w is None else np.sum(loss * self.w[rows]))
        return total


class _PairBits(BitProblems):
    """Pairs on a list: targets, weights and inner products in CSR order."""

    def __init__(self, S: PairSimilarity, loss, n_bits):
        super().__init__(S, loss, n_bits)
        self.rows, self.columns = S.rows, S.indices
        self.G = np.zeros(len(S.indices), dtype=np.int16 if n_bits < 2**15 else np.int32)

    def _products(self, k):
        x = self.B[:, k]
        return x[self.rows] * x[self.columns]

    def add(self, k, x, energy=None):
        self.B[:, k] = x
        self.counted[k] = True
        self.G += self._products(k)

    def remove(self, k):
        self.counted[k] = False
        self.G -= self._products(k)

    def problem(self, r, shift=0):
        S = self.S
        data, offset = np.empty(len(self.G)), 0.0
        for a in range(0, len(data), BLOCK_ENTRIES):
            part = slice(a, a + BLOCK_ENTRIES)
            w = None if S.weights is None else S.weights[part]
            data[part], mean = _split(self.loss, S.targets[part], self.G[part], w, r, shift)
            offset += float(mean.sum())
        A = sp.csr_array((data, S.indices.copy(), S.indptr.copy()), shape=(self.n, self.n))
        return BQP(Sparse(A, check=False), offset=offset)

    def value(self, r, shift=0):
        loss = self.loss(self.S.targets, self.G + float(shift), r)
        return float(loss.sum() if self.S.weights is None else loss @ self.S.weights)


def _split(loss: Loss, s, G, w, r, shift):
    """Half the difference and the mean of the losses of an agreeing and a disagreeing bit, weighted."""
    scale = loss.quadratic_scale(r)
    if scale is not None:
        residual = r * np.asarray(s, dtype=np.float64) - G - shift
        half, mean = (-2.0 * scale) * residual, scale * (residual * residual + 1.0)
    else:
        base = G + float(shift)
        plus, minus = loss(s, base + 1.0, r), loss(s, base - 1.0, r)
        half, mean = 0.5 * (plus - minus), 0.5 * (plus + minus)
    return (half, mean) if w is None else (half * w, mean * w)


class _StructuredBits(BitProblems):
    """A squared loss on a grouped similarity: Q is a matrix over groups plus the bits, never written out.

    A = -2 v (aa' V[g,g']) o (r T[g,g'] - shift) + 2 v sum_m (a o b_m)(a o b_m)' V[g,g'], m over the counted bits. The
    offset needs three sums over pairs, w S G, w G^2 and w G, which follow from bit to bit.
    """

    S: GroupedSimilarity

    def __init__(self, S: GroupedSimilarity, loss, n_bits):
        super().__init__(S, loss, n_bits)
        self.sum_w, self.sum_ws, self.sum_wss = S.total_weight, S.pair_sum(1), S.pair_sum(2)
        self.sum_wsG = self.sum_wGG = self.sum_wG = 0.0
        self.a = S.weights
        self.weighted = None  # a o B: int8 where the weights are small integers (masks are), else float64
        if self.a is not None and S.V is None:
            small = self.a.max() <= 127 and np.array_equal(self.a, np.rint(self.a))
            self.weighted = np.zeros(self.B.shape, dtype=np.int8 if small else np.float64)
        self._last: tuple[float, float, float, float] | None = None  # r, shift, scale and offset of the last problem

    @property
    def _columns(self) -> np.ndarray:
        return self.B if self.weighted is None else self.weighted

    def _interactions(self) -> Form | None:
        """W o G as a form: the counted bits."""
        used = np.flatnonzero(self.counted)
        if len(used) == 0:
            return None
        if self.S.V is not None:
            a = np.ones(self.n) if self.a is None else self.a
            return Sum([Grouped(self.S.groups, self.S.V, a * self.B[:, m]) for m in used])
        if used[-1] == len(used) - 1:  # a leading block of columns: leave out the rest
            return LowRank(self._columns[:, : len(used)])
        return LowRank(self._columns, self.counted.astype(np.float64))

    def _sums_of(self, x) -> tuple[float, float, float]:
        """x'(W o S)x, x'(W o G)x and x'Wx."""
        s = group_sums(x[:, None], self.S.groups, self.S.n_groups, self.a)[:, 0]
        V = 1.0 if self.S.V is None else self.S.V
        interactions = self._interactions()
        xGx = 0.0 if interactions is None else interactions.quadratic(x)
        return float(s @ (V * self.S.T) @ s), xGx, float(s.sum() ** 2 if self.S.V is None else s @ self.S.V @ s)

    def add(self, k, x, energy=None):
        s = group_sums(x[:, None], self.S.groups, self.S.n_groups, self.a)[:, 0]
        V = self.S.V
        xWx = float(s.sum() ** 2 if V is None else s @ V @ s)
        xSx = float(s @ (self.S.T if V is None else V * self.S.T) @ s)
        if energy is not None and self._last is not None and self._last[2] == 1.0:
            r, shift, _, offset = self._last  # energy - offset = -2 x'(W o (r S - shift - G))x
            xGx = (energy - offset) / 2.0 + r * xSx - shift * xWx
        else:
            interactions = self._interactions()
            xGx = 0.0 if interactions is None else interactions.quadratic(x)
        self.sum_wsG += xSx
        self.sum_wGG += 2.0 * xGx + self.sum_w
        self.sum_wG += xWx
        self.B[:, k] = x
        if self.weighted is not None:
            assert self.a is not None
            self.weighted[:, k] = x * self.a
        self.counted[k] = True
        self._last = None

    def remove(self, k):
        self.counted[k] = False
        xSx, xGx, xWx = self._sums_of(self.B[:, k])
        self.sum_wsG -= xSx
        self.sum_wGG -= 2.0 * xGx + self.sum_w
        self.sum_wG -= xWx
        self._last = None

    def load(self, B, counted):
        self.B[:] = B
        if self.weighted is not None:
            assert self.a is not None
            for k in range(self.n_bits):
                self.weighted[:, k] = B[:, k] * self.a
        self.counted[:] = counted
        columns = B if np.all(counted) else np.ascontiguousarray(B[:, np.flatnonzero(counted)])
        self.sum_wsG, self.sum_wGG, self.sum_wG = self.S.moments(columns) if columns.shape[1] else (0.0, 0.0, 0.0)
        self._last = None

    def problem(self, r, shift=0):
        scale = self.loss.quadratic_scale(r)
        assert scale is not None  # checked by `of`
        M = (-2.0 * scale) * (r * self.S.T.astype(np.float64) - shift)
        form: Form = Grouped(self.S.groups, M if self.S.V is None else M * self.S.V, self.a)
        interactions = self._interactions()
        if interactions is not None:
            form = Sum([form, interactions.scaled(2.0 * scale)])
        offset = self.value(r, shift) + scale * self.sum_w
        self._last = (r, shift, scale, offset)
        return BQP(form, offset=offset)

    def value(self, r, shift=0):
        scale = self.loss.quadratic_scale(r)
        assert scale is not None
        targets = r * r * self.sum_wss - 2.0 * r * shift * self.sum_ws + shift * shift * self.sum_w
        return scale * (targets - 2.0 * r * self.sum_wsG + 2.0 * shift * self.sum_wG + self.sum_wGG)


def bit_problem(S: Similarity, B, bit: int | None = None, loss="ksh", target: str = "residual", n_bits=None) -> BQP:
    """The problem of one bit given others: its energy is the loss over all ordered pairs, diagonal included.

    Parameters
    ----------
    S : Similarity
    B : array of shape (n, m)
        Codes of -1 and +1. Columns 0..bit-1 are the bits solved before; "cyclic" uses all columns but `bit`.
    bit : int, optional
        Number of the bit sought, from 0; default m, the next one.
    loss : str or Loss
        "ksh", "bre", "hinge", "exponential", "likelihood" or an object such as ``losses.Hinge(alpha=0.3)``.
    target : {"residual", "stagewise", "full", "cyclic"}
        What the bits not yet solved count: nothing, with targets for all n_bits ("residual"); nothing, with targets
        for bit + 1 bits ("stagewise"); as agreeing ("full"). "cyclic": all other bits are given.
    n_bits : int, optional
        Code length q; default the larger of m and bit + 1.

    Returns
    -------
    problem : BQP
        In the spin domain, without a linear term. Dense, sparse or structured, as the similarity is.

    Raises
    ------
    ParameterError
        Unknown loss or target; a bit out of range.
    ProblemError
        Codes of a wrong shape or value; a loss that needs written-out pairs on too many points.

    Examples
    --------
    >>> import numpy as np
    >>> from bqp import losses, supervision
    >>> S = supervision.from_labels([0, 0, 1])
    >>> B = np.array([[1], [1], [-1]])
    >>> problem = losses.bit_problem(S, B, loss="ksh", n_bits=2)
    >>> problem.energy([1, 1, -1]), losses.value(S, np.hstack([B, B]))
    (0.0, 0.0)
    """
    loss = get(loss)
    B = check_codes(B, S.n)
    m = B.shape[1]
    bit = m if bit is None else bit
    cyclic = target == "cyclic"
    if isinstance(bit, bool) or not isinstance(bit, int | np.integer) or not 0 <= bit <= (m - 1 if cyclic else m):
        raise ParameterError(f"bit must lie in 0..{m - 1 if cyclic else m} for {m} given bits, got {bit!r}.")
    n_bits = max(m, int(bit) + 1) if n_bits is None else n_bits
    if not isinstance(n_bits, int | np.integer) or n_bits < max(m, bit + 1):
        raise ParameterError(f"n_bits must be an integer >= {max(m, bit + 1)}, got {n_bits!r}.")
    counted = np.arange(m) != bit if cyclic else np.arange(m) < bit
    bits = BitProblems.of(S, loss, m)
    bits.load(B, counted)
    r, shift = (m, 0) if cyclic else target_of_bit(target, int(bit), int(n_bits))
    return bits.problem(r, shift)


def target_of_bit(target: str, bit: int, n_bits: int) -> tuple[int, int]:
    """(r, shift) of bit number `bit` (from 0): the length that the loss is told, and the bits taken as agreeing."""
    if target == "residual":
        return n_bits, 0
    if target == "stagewise":
        return bit + 1, 0
    if target == "full":
        return n_bits, n_bits - bit - 1
    raise ParameterError(f"unknown target {target!r}; choose one of {', '.join(TARGETS)}.")


def value(S: Similarity, B, loss="ksh") -> float:
    """The loss of codes over all ordered pairs, diagonal included: sum_ij w_ij l(s_ij, b_i.b_j, q).

    Parameters
    ----------
    S : Similarity
    B : array of shape (n, q)
        Codes of -1 and +1.
    loss : str or Loss

    Notes
    -----
    Squared losses cost what `Similarity.ksh_objective` does. Other losses on grouped similarities go over pairs of
    distinct (group, code) in blocks: O(u^2 q) for u of them, memory O(u q).

    Examples
    --------
    >>> from bqp import losses, supervision
    >>> losses.value(supervision.from_labels([0, 1]), [[1, 1], [1, -1]], loss="bre")
    0.5
    """
    loss = get(loss)
    B = check_codes(B, S.n)
    q = B.shape[1]
    if q == 0:
        raise ProblemError("B has no columns; a code needs at least one bit.")
    scale = loss.quadratic_scale(q)
    if scale is not None:
        return scale * S.ksh_objective(B)
    if isinstance(S, PairSimilarity):
        terms = loss(S.targets, S.pair_products(B), q)
        return float(terms.sum() if S.weights is None else terms @ S.weights)
    if isinstance(S, MatrixSimilarity):
        groups, targets, pair_weights, mass = np.arange(S.n), S.S, S.W, None
    elif isinstance(S, GroupedSimilarity):
        B, groups, mass = _distinct(S, B)
        targets, pair_weights = S.T, S.V
    else:
        raise ProblemError(f"S must be a Similarity, got {type(S).__name__}. Build one with bqp.supervision.")
    codes, total = B.astype(np.float64), 0.0
    step = max(1, BLOCK_ENTRIES // len(B))
    for a in range(0, len(B), step):
        block = np.ix_(groups[a : a + step], groups)
        terms = loss(targets[block], codes[a : a + step] @ codes.T, q)
        if pair_weights is not None:
            terms = terms * pair_weights[block]
        total += float(terms.sum()) if mass is None else float(mass[a : a + step] @ terms @ mass)
    return total


def _distinct(S: GroupedSimilarity, B: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct pairs of group and code: codes, groups and the total weight of each."""
    packed = np.packbits(B > 0, axis=1)
    keys = np.ascontiguousarray(np.hstack([S.groups[:, None].view(np.uint8).reshape(S.n, 4), packed]))
    _, first, inverse = np.unique(keys.view(f"V{keys.shape[1]}").ravel(), return_index=True, return_inverse=True)
    mass = np.bincount(inverse.ravel(), weights=S.weights, minlength=len(first)).astype(np.float64)
    return B[first], S.groups[first], mass

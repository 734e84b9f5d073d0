"""The triplet hinge loss of binary codes: its value, and the BQP that one bit of it gives.

B. Zhuang, G. Lin, C. Shen, I. Reid, "Fast Training of Triplet-Based Deep Binary Embedding Networks", CVPR 2016 (FTH). A
triplet (a, p, n) over k bits costs max(0, k/2 - u) with u = d(a, n) - d(a, p). A further bit x changes u by
delta = (x_a x_p - x_a x_n) / 2, which is 0, -1 or +1 and is told by s = x_a x_p and t = x_a x_n. Every function of two
signs is a polynomial in them, so with f_st the loss at (s, t) it equals, exactly,

    c0 + c1 x_a x_p + c2 x_a x_n + c3 x_p x_n,                         (s t = x_p x_n)
    c0 = (f++ + f-+ + f+- + f--) / 4,    c1 = (f++ - f-+ + f+- - f--) / 4,
    c2 = (f++ + f-+ - f+- - f--) / 4,    c3 = (f++ - f-+ - f+- + f--) / 4.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from bqp.errors import ParameterError
from bqp.forms import Sparse
from bqp.problem import BQP
from bqp.supervision import Triplets, check_codes

__all__ = ["TripletBits", "bit_problem", "coefficients", "value"]

_BLOCK = 1 << 16  # triplets looked at at once


def coefficients(u: np.ndarray, margin: float) -> np.ndarray:
    """c0, c1, c2, c3 of triplets that are u = d(a, n) - d(a, p) apart, shape (4, len(u)).

    Examples
    --------
    >>> from bqp import losses
    >>> losses.triplet.coefficients([0], margin=0.5).ravel()
    array([ 0.625, -0.375,  0.375, -0.125])
    """
    u = np.asarray(u, dtype=np.float64)
    equal = np.maximum(0.0, margin - u)  # s = t: u stays
    nearer, farther = np.maximum(0.0, margin - u - 1.0), np.maximum(0.0, margin - u + 1.0)
    return (
        np.stack([2.0 * equal + nearer + farther, nearer - farther, farther - nearer, 2.0 * equal - nearer - farther])
        / 4
    )


class TripletBits:
    """The bit problems of some triplets, kept up to date while bits are added and removed.

    Attributes
    ----------
    B : ndarray of shape (n, n_bits), int8
    counted : ndarray of shape (n_bits,), bool
        The bits that count in u.

    Notes
    -----
    The pattern of the problem (all pairs within a triplet) is found once, by a sort; a bit costs O(m) for m triplets.
    Memory about 30 bytes a triplet and 24 a pair; while the pattern is found, some 400 bytes a triplet.
    """

    def __init__(self, T: Triplets, n_bits: int):
        self.T, self.n, self.n_bits = T, T.n, n_bits
        self.B = np.ones((T.n, n_bits), dtype=np.int8)
        self.counted = np.zeros(n_bits, dtype=bool)
        self.u = np.zeros(len(T), dtype=np.int16 if n_bits < 2**15 else np.int32)
        a, p, q = T.index.astype(np.int64).T
        keys = np.concatenate([np.minimum(i, j) * T.n + np.maximum(i, j) for i, j in ((a, p), (a, q), (p, q))])
        pairs, slot = np.unique(keys, return_inverse=True)
        self.slot = slot.ravel().astype(np.int32).reshape(3, len(T))
        low, high = np.divmod(pairs, T.n)
        both = sp.csr_array(
            (np.tile(np.arange(1, len(pairs) + 1), 2), (np.concatenate([low, high]), np.concatenate([high, low]))),
            shape=(T.n, T.n),
        )  # fmt: skip
        both.sort_indices()
        self.indptr, self.indices, self.place = both.indptr, both.indices, both.data - 1
        self.n_pairs = len(pairs)

    def _step(self, k: int) -> np.ndarray:
        """What column k adds to u."""
        x = self.B[:, k]
        a, p, q = self.T.index.T
        return (x[a] * x[p] - x[a] * x[q]) // 2

    def add(self, k: int, x: np.ndarray) -> None:
        """Put x in column k and count it."""
        self.B[:, k] = x
        self.counted[k] = True
        self.u += self._step(k)

    def remove(self, k: int) -> None:
        """Count column k no more."""
        self.counted[k] = False
        self.u -= self._step(k)

    def problem(self, margin: float) -> BQP:
        """The problem of one more bit: its energy is the loss at that margin with the bit counted."""
        w = self.T.weights
        low = int(self.u.min())
        table = coefficients(np.arange(low, int(self.u.max()) + 1), margin)
        which = self.u - np.int32(low)
        values = np.zeros(self.n_pairs)
        for c, slot in zip(table[1:], self.slot):
            values += np.bincount(slot, weights=c[which] if w is None else w * c[which], minlength=self.n_pairs)
        offset = np.sum(table[0][which] if w is None else w * table[0][which])
        A = sp.csr_array(((0.5 * values)[self.place], self.indices.copy(), self.indptr.copy()), shape=(self.n, self.n))
        return BQP(Sparse(A, check=False), offset=float(offset))

    def value(self, margin: float) -> float:
        """The loss of the bits counted."""
        terms = np.maximum(0.0, margin - self.u)
        return float(terms.sum() if self.T.weights is None else terms @ self.T.weights)


def bit_problem(T: Triplets, B, margin: float | None = None) -> BQP:
    """The problem of one further bit: its energy is the loss of the codes B with that bit beside them.

    Parameters
    ----------
    T : Triplets
    B : array of shape (n, r)
        The bits given; r = 0 is allowed.
    margin : float, optional
        Default (r + 1) / 2, half of the bits with the new one.

    Examples
    --------
    >>> import numpy as np
    >>> from bqp import losses, supervision
    >>> T = supervision.from_triplets([[0, 1, 2]], n=3)
    >>> problem = losses.triplet.bit_problem(T, np.empty((3, 0)))
    >>> problem.energy([1, 1, -1]), problem.energy([1, -1, 1])
    (0.0, 1.5)
    """
    B = check_codes(B, T.n)
    bits = TripletBits(T, max(1, B.shape[1]))
    for k in range(B.shape[1]):
        bits.add(k, B[:, k])
    return bits.problem((B.shape[1] + 1) / 2 if margin is None else _margin(margin))


def value(T: Triplets, B, margin: float | None = None) -> float:
    """The loss of codes, ``sum_t w_t max(0, margin - (d(a, n) - d(a, p)))``.

    Parameters
    ----------
    T : Triplets
    B : array of shape (n, q)
        Codes of -1 and +1.
    margin : float, optional
        In bits, > 0; default q / 2.

    Notes
    -----
    O(m q) in blocks of triplets.
    """
    B = check_codes(B, T.n)
    margin = B.shape[1] / 2 if margin is None else _margin(margin)
    total = 0.0
    for start in range(0, len(T), _BLOCK):
        a, p, q = T.index[start : start + _BLOCK].T
        further = np.einsum("tk,tk->t", B[a], B[p] - B[q], dtype=np.int32) / 2.0
        terms = np.maximum(0.0, margin - further)
        total += float(terms.sum() if T.weights is None else terms @ T.weights[start : start + _BLOCK])
    return total


def _margin(margin) -> float:
    number = isinstance(margin, int | float | np.number) and not isinstance(margin, bool)
    if not number or not 0.0 < float(margin) < np.inf:
        raise ParameterError(f"margin must be a positive number of bits, got {margin!r}.")
    return float(margin)

"""How a set of codes uses its bits; public as `hashers.metrics.code_statistics`."""

from dataclasses import dataclass

import numpy as np

from hashers import packing
from hashers.metrics.relevance import Relevance, distinct_rows

__all__ = ["CodeStatistics", "code_statistics"]


@dataclass(frozen=True)
class CodeStatistics:
    """How a set of codes uses its bits.

    Attributes
    ----------
    n_items, n_bits : int
    n_distinct : int
        Distinct codes.
    entropy : float
        Entropy of the distribution over distinct codes, in bits; at most ``min(n_bits, log2(n_items))``.
    balance : ndarray of shape (n_bits,), float64
        Mean of each bit, in [-1, 1]; 0 is balanced, -1 or +1 constant.
    mean_imbalance : float
        Mean of ``abs(balance)``.
    n_constant_bits : int
    correlation : ndarray of shape (n_bits, n_bits), float64
        Pearson correlation of bits; rows of constant bits are 0.
    mean_correlation, max_correlation : float
        Mean and largest absolute correlation of two different bits; 0 for one bit.
    mean_distance_similar, mean_distance_dissimilar : float
        Mean Hamming distance of two different items with the same label, or a label in common, and of all others; NaN
        without labels or where there is no such pair.
    """

    n_items: int
    n_bits: int
    n_distinct: int
    entropy: float
    balance: np.ndarray
    mean_imbalance: float
    n_constant_bits: int
    correlation: np.ndarray
    mean_correlation: float
    max_correlation: float
    mean_distance_similar: float = float("nan")
    mean_distance_dissimilar: float = float("nan")


def code_statistics(B, y=None, *, n_bits=None, unlabeled=-1):
    """Describe how a set of codes uses its bits: balance, correlation, distinct codes, entropy.

    Parameters
    ----------
    B : array-like of shape (n_samples, n_bits), int8
        Codes in {-1, +1}; or packed bytes when `n_bits` is given.
    y : array-like or sparse matrix of shape (n_samples,) or (n_samples, L), optional
        Labels or 0/1 label sets, for the mean distances of similar and dissimilar pairs.
    n_bits : int, optional
        Code length of packed codes.
    unlabeled : object
        Label that marks an unknown class; such items raise an error. None takes every label as a class.

    Returns
    -------
    statistics : CodeStatistics

    Notes
    -----
    O(n q**2 + n log n). Mean distances follow from the sum of codes of each class, O(n q); with G distinct label sets
    they take O(G**2 (L + q)), in blocks.

    Examples
    --------
    >>> statistics = code_statistics([[1, 1], [1, -1], [1, 1], [1, -1]])
    >>> statistics.n_distinct, statistics.entropy, statistics.balance, statistics.n_constant_bits
    (2, 1.0, array([1., 0.]), 1)
    >>> code_statistics([[1, 1], [1, -1], [-1, -1]], ["cat", "cat", "dog"]).mean_distance_dissimilar
    1.5
    """
    B = packing.check_codes(B) if n_bits is None else packing.unpack(B, n_bits)
    n, q = B.shape
    sizes = np.bincount(distinct_rows(packing.to_words(packing.pack(B)))[1])
    share = sizes / n
    floats = B.astype(np.float32 if n < 2**24 else np.float64)  # sums of +-1 are exact in both
    balance = (np.ones(n, floats.dtype) @ floats).astype(np.float64) / n
    covariance = (floats.T @ floats).astype(np.float64) / n - np.outer(balance, balance)
    spread = np.sqrt(np.maximum(1 - balance**2, 0))
    constant = np.abs(balance) == 1
    scale = np.where(constant, 0.0, 1 / np.where(constant, 1.0, spread))
    correlation = np.clip(covariance * np.outer(scale, scale), -1, 1)
    similar, dissimilar = (float("nan"), float("nan")) if y is None else _mean_distances(B, y, unlabeled)
    off_diagonal = np.abs(correlation[~np.eye(q, dtype=bool)])
    return CodeStatistics(
        n_items=n,
        n_bits=q,
        n_distinct=len(sizes),
        entropy=abs(float((share * np.log2(share)).sum())),
        balance=balance,
        mean_imbalance=float(np.abs(balance).mean()),
        n_constant_bits=int(constant.sum()),
        correlation=correlation,
        mean_correlation=float(off_diagonal.mean()) if q > 1 else 0.0,
        max_correlation=float(off_diagonal.max()) if q > 1 else 0.0,
        mean_distance_similar=similar,
        mean_distance_dissimilar=dissimilar,
    )


def _mean_distances(B, y, unlabeled):
    """Mean distance of similar and of dissimilar pairs of different items.

    Over a set of ordered pairs (g, h) of groups, the distances sum to ``(q n_g n_h - s_g . s_h) / 2`` with s_g the sum
    of the codes of group g; an item's distance to itself is 0.
    """
    n, q = B.shape
    relevance = Relevance(y, y, n, n, unlabeled, names=("y", "y"))
    if relevance.is_set:
        flags = np.unpackbits(relevance.sets.astype("<u8").view(np.uint8), axis=1).astype(np.float32)
        flags, self_similar = flags[:, flags.any(axis=0)], relevance.sets.any(axis=1)
    else:
        flags, self_similar = None, np.ones(len(relevance.classes), dtype=bool)
    group = relevance.database
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group, minlength=len(self_similar)).astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    sums = np.add.reduceat(B[order], starts, axis=0, dtype=np.int64).astype(np.float64)
    distance = n_similar = 0.0
    if flags is None:
        distance, n_similar = (q * sizes**2 - (sums**2).sum(axis=1)).sum() / 2, (sizes**2).sum()
    else:
        step = max(1, 2**22 // len(sizes))
        for start in range(0, len(sizes), step):
            part = slice(start, start + step)
            similar = (flags[part] @ flags.T > 0).astype(np.float64)
            near_sizes, near_sums = similar @ sizes, similar @ sums
            distance += (q * sizes[part] * near_sizes - (sums[part] * near_sums).sum(axis=1)).sum() / 2
            n_similar += float(sizes[part] @ near_sizes)
    n_similar -= sizes[self_similar].sum()
    all_distance, n_pairs = (q * float(n) ** 2 - (sums.sum(axis=0) ** 2).sum()) / 2, float(n) * (n - 1)
    n_dissimilar = n_pairs - n_similar
    return (
        float(distance / n_similar) if n_similar > 0 else float("nan"),
        float((all_distance - distance) / n_dissimilar) if n_dissimilar > 0 else float("nan"),
    )

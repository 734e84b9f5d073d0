"""How a set of codes uses its bits; public as `hashers.metrics.code_statistics`."""

from dataclasses import dataclass

import numpy as np

from hashers import packing

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


def code_statistics(B, *, n_bits=None):
    """Describe how a set of codes uses its bits: balance, correlation, distinct codes, entropy.

    Parameters
    ----------
    B : array-like of shape (n_samples, n_bits), int8
        Codes in {-1, +1}; or packed bytes when `n_bits` is given.
    n_bits : int, optional
        Code length of packed codes.

    Returns
    -------
    statistics : CodeStatistics

    Examples
    --------
    >>> statistics = code_statistics([[1, 1], [1, -1], [1, 1], [1, -1]])
    >>> statistics.n_distinct, statistics.entropy, statistics.balance, statistics.n_constant_bits
    (2, 1.0, array([1., 0.]), 1)
    """
    B = packing.check_codes(B) if n_bits is None else packing.unpack(B, n_bits)
    n, q = B.shape
    sizes = np.unique(packing.pack(B), axis=0, return_counts=True)[1]
    share = sizes / n
    balance = B.mean(axis=0, dtype=np.float64)
    floats = B.astype(np.float32 if n < 2**24 else np.float64)
    covariance = (floats.T @ floats).astype(np.float64) / n - np.outer(balance, balance)
    spread = np.sqrt(np.maximum(1 - balance**2, 0))
    constant = np.abs(balance) == 1
    scale = np.where(constant, 0.0, 1 / np.where(constant, 1.0, spread))
    correlation = np.clip(covariance * np.outer(scale, scale), -1, 1)
    off_diagonal = np.abs(correlation[~np.eye(q, dtype=bool)])
    return CodeStatistics(
        n_items=n,
        n_bits=q,
        n_distinct=len(sizes),
        entropy=float(max(-(share * np.log2(share)).sum(), 0.0)),
        balance=balance,
        mean_imbalance=float(np.abs(balance).mean()),
        n_constant_bits=int(constant.sum()),
        correlation=correlation,
        mean_correlation=float(off_diagonal.mean()) if q > 1 else 0.0,
        max_correlation=float(off_diagonal.max()) if q > 1 else 0.0,
    )

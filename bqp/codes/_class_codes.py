"""Hadamard matrices and the class codes made of their rows.

R. E. A. C. Paley, "On orthogonal matrices", Journal of Mathematics and Physics 12, 1933: for a prime p = 3 mod 4 the
quadratic residues give a Hadamard matrix of order p + 1; with Sylvester's doubling this yields every order below 92
except 28, 36, 52, 56 and 76, and so the orders 2^k, 12 2^k and 20 2^k that class codes are published
for (M. Koutaki, K. Shirai, M. Ambai, "Hadamard Coding for Supervised Discrete Hashing", IEEE TIP 27, 2018).
"""

from __future__ import annotations

import numpy as np

__all__ = ["hadamard", "hadamard_codes", "hadamard_orders", "is_published_order"]


def hadamard(order: int) -> np.ndarray | None:
    """A Hadamard matrix H H' = order I of int8, its first row and column +1, or None where we know no construction."""
    if order == 1:
        return np.ones((1, 1), dtype=np.int8)
    if order == 2:
        return np.array([[1, 1], [1, -1]], dtype=np.int8)
    if order < 1 or order % 4:
        return None
    half = hadamard(order // 2)
    if half is not None:
        return np.kron(np.array([[1, 1], [1, -1]], dtype=np.int8), half)
    return _paley(order - 1)


def _paley(p: int) -> np.ndarray | None:
    """Order p + 1 for a prime p = 3 mod 4; None for other p."""
    if p % 4 != 3 or any(p % d == 0 for d in range(3, int(p**0.5) + 1, 2)):
        return None
    residue = np.full(p, -1, dtype=np.int8)
    residue[np.arange(1, p) ** 2 % p] = 1
    residue[0] = -1  # the diagonal: Jacobsthal's matrix minus I
    index = np.arange(p)
    H = np.ones((p + 1, p + 1), dtype=np.int8)
    H[1:, 1:] = residue[(index[None, :] - index[:, None]) % p]
    return H


def is_published_order(order: int) -> bool:
    """Whether the order is 2^k, 12 2^k or 20 2^k, those of MATLAB's ``hadamard``."""
    while order > 1 and order % 2 == 0 and order not in (12, 20):
        order //= 2
    return order in (1, 12, 20)


def hadamard_orders(least: int, most: int | None = None) -> int | None:
    """The largest order with a construction in least..most; without `most` the smallest from `least` on."""
    if most is None:
        order = least
        while hadamard(order) is None:
            order += 1
        return order
    return next((order for order in range(most, least - 1, -1) if hadamard(order) is not None), None)


def hadamard_codes(n_classes: int, n_bits: int) -> np.ndarray:
    """One code a class, shape (n_classes, n_bits), int8: mutually orthogonal where the length allows.

    Blocks of Hadamard matrices beside each other, the largest first; what is left over takes the last columns of the
    smallest matrix with enough rows and columns. For an order that exists this is its first `n_classes` rows.
    """
    columns: list[np.ndarray] = []
    left = n_bits
    while left:
        order = hadamard_orders(n_classes, left)
        if order is None:
            order = hadamard_orders(max(n_classes, left))
            assert order is not None
            take = left
        else:
            take = order
        H = hadamard(order)
        assert H is not None
        columns.append(H[:n_classes, order - take :])
        left -= take
    return np.ascontiguousarray(np.hstack(columns))

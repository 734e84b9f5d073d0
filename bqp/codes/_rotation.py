"""Rotations of real codes before their signs are taken: what a relaxation leaves free.

Y. Gong, S. Lazebnik, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes", CVPR 2011 (the
alternation of signs and rotation).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bqp.codes._common import signs

__all__ = ["best_rotation"]

_ROUNDS = 30


def best_rotation(
    U: np.ndarray, counts: np.ndarray, value: Callable[[np.ndarray], float], n_rotations: int, rng: np.random.Generator
) -> np.ndarray:
    """U or a rotation of it, whichever has the signs of least value.

    Parameters
    ----------
    U : ndarray of shape (n, q), float64
    counts : ndarray of shape (n,), float64
        How often a row counts in the alternation.
    value : callable
        ``value(B)`` of codes (n, q), int8.
    n_rotations : int
        Random rotations, each tried as it is and after at most 30 alternations.
    rng : Generator

    Returns
    -------
    U : ndarray of shape (n, q)
    """
    best, best_value = U, value(signs(U))
    for _ in range(n_rotations):
        R = np.linalg.qr(rng.standard_normal((U.shape[1],) * 2))[0]
        for rotation in (R, _quantized(U, counts, R)):
            turned = U @ rotation
            reached = value(signs(turned))
            if reached < best_value:
                best, best_value = turned, reached
    return best


def _quantized(U: np.ndarray, counts: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Alternate signs B of U R and the rotation R of largest tr(R'U'B)."""
    before = None
    for _ in range(_ROUNDS):
        B = signs(U @ R)
        if before is not None and np.array_equal(B, before):
            break
        left, _, right = np.linalg.svd((U * counts[:, None]).T @ B)
        R, before = left @ right, B
    return R

"""What a matrix must be before anything is computed with it: real, square, finite, symmetric."""

from __future__ import annotations

import numpy as np

from bqp.errors import ProblemError

__all__ = [
    "BLOCK_ENTRIES",
    "as_array",
    "check_exact_integers",
    "check_finite",
    "check_square",
    "checked_dense",
    "require_symmetry",
    "symmetric",
]

BLOCK_ENTRIES = 1 << 18  # entries of a temporary block: 2 MiB of float64, which stays in cache


def as_array(values, name: str) -> np.ndarray:
    """An array of whatever was given, or a ProblemError for ragged rows."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ProblemError(f"{name} must be a matrix with rows of one length: {error}") from error


def checked_dense(Q: np.ndarray) -> np.ndarray:
    if Q.dtype == object or not (np.issubdtype(Q.dtype, np.number) or Q.dtype == bool):
        raise ProblemError(f"Q must hold real numbers, got dtype {Q.dtype}.")
    if np.iscomplexobj(Q):
        raise ProblemError(f"Q must be real, got dtype {Q.dtype}.")
    check_square(Q.shape)
    check_exact_integers(Q, "Q")
    Q = np.array(Q, dtype=Q.dtype if Q.dtype == np.float32 else np.float64, order="C")
    check_finite(Q, "Q")
    worst, place = 0.0, (0, 0)
    step = max(1, BLOCK_ENTRIES // max(1, len(Q)))
    for a in range(0, len(Q), step):
        difference = np.abs(Q[a : a + step] - Q.T[a : a + step])
        k = int(np.argmax(difference)) if difference.size else 0
        if difference.size and difference.flat[k] > worst:
            worst = float(difference.flat[k])
            place = (a + k // len(Q), k % len(Q))
    if worst:
        rounding = 1e-5 if Q.dtype == np.float32 else 1e-10
        require_symmetry(worst, place, np.abs(Q).max(), rounding)
        Q = symmetric(Q)
    return Q


def check_square(shape) -> None:
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ProblemError(f"Q must be a square matrix, got shape {tuple(shape)}.")


def check_finite(array: np.ndarray, name: str) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        place = np.unravel_index(int(np.argmin(finite)), array.shape)
        where = ", ".join(map(str, place))
        raise ProblemError(f"{name} must be finite, got {array[place]} at ({where}). Clean the data first.")


def check_exact_integers(array: np.ndarray, name: str) -> None:
    """Integers above 2**53 do not survive in float64."""
    if np.issubdtype(array.dtype, np.integer) and array.dtype.itemsize == 8 and array.size:
        largest = max(int(array.max()), -int(array.min()))
        if largest > 2**53:
            raise ProblemError(
                f"{name} holds the integer {largest}, above 2**53; rescale it, since sums are in float64."
            )


def require_symmetry(worst: float, place: tuple[int, int], largest: float, rounding: float = 1e-10) -> None:
    if worst > rounding * largest:
        raise ProblemError(
            f"Q must be symmetric: max |Q - Q.T| is {worst:.1e} at {place}. Pass (Q + Q.T) / 2 if the order of indices "
            "carries no meaning (BQP.from_qubo does so for triangular matrices)."
        )


def symmetric(Q: np.ndarray) -> np.ndarray:
    return (Q + Q.T) * Q.dtype.type(0.5)

"""What every similarity offers, and the result of merging its points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from bqp.errors import ProblemError

__all__ = ["Collapse", "Similarity", "check_codes"]

BLOCK_ENTRIES = 1 << 18  # entries of a temporary block: 2 MiB of float64, which stays in cache


class Similarity(ABC):
    """A target S and a weight W over pairs of n points, known by its structure and never written out.

    The pair (i, j) should be similar to the degree S_ij (+1 similar, -1 dissimilar, any real number allowed) and
    counts W_ij >= 0 times. An unknown pair has W_ij = 0. Build one with `from_labels`, `from_label_sets`,
    `from_groups`, `from_pairs` or `from_matrix`.

    Attributes
    ----------
    n : int
        Points.
    structure : {"grouped", "pairs", "matrix"}
        How the pairs are held.
    total_weight : float
        Sum of W over all ordered pairs, diagonal included.
    """

    n: int
    structure: str
    total_weight: float

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes held by the arrays."""

    @property
    @abstractmethod
    def known(self) -> np.ndarray:
        """Which points are part of at least one known pair, shape (n,), bool."""

    @abstractmethod
    def pair_values(self, i, j) -> tuple[np.ndarray, np.ndarray]:
        """Targets and weights of the pairs (i[p], j[p]), two float64 vectors; an unknown pair gives (0, 0)."""

    @abstractmethod
    def to_dense(self) -> tuple[np.ndarray, np.ndarray]:
        """S and W written out, two (n, n) float64 arrays: for small n and for tests."""

    @abstractmethod
    def restrict(self, index) -> Similarity:
        """The similarity of the points `index` among themselves."""

    @abstractmethod
    def ksh_objective(self, B) -> float:
        """The yardstick sum_ij w_ij (q S_ij - b_i.b_j)^2 over all ordered pairs, diagonal included.

        Parameters
        ----------
        B : array of shape (n, q)
            Codes of -1 and +1; read only.

        Returns
        -------
        objective : float
            Not normalised; exact for integer targets and weights as long as the sums stay below 2**53.
        """

    def collapse(self, loss="ksh") -> Collapse:
        """Merge the points that may share a code without loss; here none, so this is the identity."""
        return Collapse(self, np.arange(self.n, dtype=np.int32))

    def drop_unknown(self) -> Collapse:
        """Leave out the points without a known pair where the structure gains from it; here the identity."""
        return Collapse(self, np.arange(self.n, dtype=np.int32))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.n}, {self.nbytes / 2**20:.3g} MiB)"


@dataclass(frozen=True)
class Collapse:
    """A smaller similarity that stands for a larger one.

    Attributes
    ----------
    similarity : Similarity
        Over n' points; its objective at codes B equals the objective of the larger one at ``lift(B)``.
    labels : ndarray of shape (n,), int32
        The point of the smaller problem that stands for each point; -1 for a point that no known pair mentions.
    """

    similarity: Similarity
    labels: np.ndarray

    @property
    def is_identity(self) -> bool:
        """Whether nothing was merged or left out."""
        return bool(np.array_equal(self.labels, np.arange(self.similarity.n)))

    def lift(self, B: np.ndarray) -> np.ndarray:
        """Codes of the larger problem, shape (n, q), int8.

        A point that no known pair mentions takes the majority code: in each bit the sign that most of the known points
        have (+1 on a tie). Any code would be as good for the objective.
        """
        if self.is_identity:
            return B
        lifted = B[self.labels]
        unknown = self.labels < 0
        if unknown.any():
            counts = np.bincount(self.labels[~unknown], minlength=len(B)).astype(np.float64)
            lifted[unknown] = np.where(counts @ B >= 0, 1, -1).astype(np.int8)
        return lifted

    def project(self, B: np.ndarray) -> np.ndarray:
        """Codes of the smaller problem that agree with `B` (n, q): per merged group the majority sign, +1 on a tie."""
        if self.is_identity:
            return B
        known = np.flatnonzero(self.labels >= 0)
        sums = group_sums(B[known], self.labels[known], self.similarity.n)
        return np.where(sums >= 0, 1, -1).astype(np.int8)


def check_codes(B, n: int, name: str = "B") -> np.ndarray:
    """Return codes as a C-contiguous int8 array of shape (n, q).

    Raises
    ------
    ProblemError
        Wrong shape, or a value other than -1 and +1.
    """
    array = np.asarray(B)
    if array.ndim != 2 or array.shape[0] != n:
        raise ProblemError(f"{name} must have shape ({n}, n_bits), one row a point, got {array.shape}.")
    good = (array == 1) | (array == -1)
    if not good.all():
        place = np.unravel_index(int(np.argmin(good)), array.shape)
        raise ProblemError(
            f"{name} must hold -1 or +1, got {array[place]} at ({place[0]}, {place[1]}). "
            "Codes of 0/1 become signs by 2 * B - 1, real values by np.where(B >= 0, 1, -1)."
        )
    return np.ascontiguousarray(array, dtype=np.int8)


def group_sums(B: np.ndarray, groups: np.ndarray, n_groups: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Sums of w_i B_i over each group, shape (n_groups, q), float64; O(n q) in blocks, never n q floats at once."""
    import scipy.sparse as sp

    n, q = B.shape
    total = np.zeros((n_groups, q))
    step = max(1, BLOCK_ENTRIES // max(1, q))
    for start in range(0, n, step):
        stop = min(start + step, n)
        m = stop - start
        values = np.ones(m) if weights is None else weights[start:stop]
        indicator = sp.csc_array((values, groups[start:stop], np.arange(m + 1)), shape=(n_groups, m))
        total += indicator @ B[start:stop].astype(np.float64)
    return total


def compact(array: np.ndarray) -> np.ndarray:
    """Hold small integers as int8 and everything else as float64; the values are the same."""
    array = np.asarray(array)
    if array.dtype == np.int8:
        return array
    if array.size and np.abs(array).max() <= 127 and np.array_equal(array, np.rint(array)):
        return array.astype(np.int8)
    return array.astype(np.float64)


def check_weights(weights, shape: tuple[int, ...], name: str = "weights") -> np.ndarray | None:
    """Weights as float64 of the given shape, or None when they are all 1.

    Raises
    ------
    ProblemError
        Wrong shape, NaN, infinity, or a negative weight.
    """
    if weights is None:
        return None
    array = as_numbers(weights, name)
    if array.shape != shape:
        raise ProblemError(f"{name} must have shape {shape}, got {array.shape}.")
    check_finite(array, name, "An unknown pair or point has weight 0.")
    if array.size and array.min() < 0:
        place = np.unravel_index(int(np.argmin(array)), shape)
        raise ProblemError(
            f"{name} must be at least 0, got {array[place]} at ({', '.join(map(str, place))}). "
            "To push two points apart give a negative target, not a negative weight."
        )
    return None if np.all(array == 1.0) else array


def as_numbers(values, name: str) -> np.ndarray:
    """An array of real numbers as float64 (int8 stays int8)."""
    try:
        array = np.asarray(values)
        if array.dtype != np.int8:
            if array.dtype == object or np.iscomplexobj(array) or array.dtype.kind in "SUmM":
                raise TypeError(f"dtype {array.dtype}")
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"{name} must hold real numbers: {error}.") from error
    return array


def check_finite(array: np.ndarray, name: str, remedy: str) -> None:
    """Raise ProblemError at the first NaN or infinity."""
    finite = np.isfinite(array)
    if not finite.all():
        place = np.unravel_index(int(np.argmin(finite)), array.shape)
        raise ProblemError(f"{name} must be finite, got {array[place]} at ({', '.join(map(str, place))}). {remedy}")


def check_symmetric(array: np.ndarray, name: str) -> None:
    """Raise ProblemError at the largest difference between the array and its transpose."""
    step = max(1, BLOCK_ENTRIES // max(1, len(array)))
    for a in range(0, len(array), step):
        difference = np.abs(array[a : a + step].astype(np.float64) - array.T[a : a + step])
        if difference.size and difference.max() > 0:
            k, j = np.unravel_index(int(np.argmax(difference)), difference.shape)
            i = a + int(k)
            raise ProblemError(
                f"{name} must be symmetric: got {array[i, j]} at ({i}, {j}) and {array[j, i]} at ({j}, {i}). "
                "Pass the mean of the matrix and its transpose if the order of the points carries no meaning."
            )

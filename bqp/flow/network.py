"""Networks of whole numbers, and the step from float64 to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

__all__ = ["TOTAL_BITS", "Network", "quantise"]

TOTAL_BITS = 59  # of the sum of all capacities: twice that, and an excess to force a node, fit 64 bits


@dataclass(frozen=True)
class Network:
    """A flow network with arcs in both directions of every pair.

    Attributes
    ----------
    indptr, indices : ndarrays, int
        Symmetric pattern in CSR order, indices sorted, no diagonal.
    reverse : ndarray of shape (n_arcs,), int
        The arc the other way.
    capacity : ndarray of shape (n_arcs,), int64
        At least 0.
    excess : ndarray of shape (n,), int64
        > 0: capacity of the arc from the source; < 0: that of the arc to the sink, negated.
    """

    indptr: np.ndarray
    indices: np.ndarray
    reverse: np.ndarray
    capacity: np.ndarray
    excess: np.ndarray

    @property
    def n(self) -> int:
        return len(self.excess)

    @classmethod
    def from_pattern(cls, indptr, indices, capacity: np.ndarray, excess: np.ndarray) -> Network:
        """Find the reverse arcs of a symmetric pattern with sorted indices: O(arcs)."""
        from bqp.kernels.flow import reverse_arcs

        reverse = np.empty(len(indices), indices.dtype)
        reverse_arcs(indptr, indices, np.empty(len(excess), indptr.dtype), reverse)
        return cls(indptr, indices, reverse, capacity, excess)

    @classmethod
    def from_pairs(cls, n: int, row, column, capacity: np.ndarray, excess: np.ndarray) -> Network:
        """From pairs, each given once, with one capacity for both directions; pairs given twice add up."""
        half = sp.coo_array((capacity, (row, column)), shape=(n, n)).tocsr()
        both = sp.csr_array(half + half.T)
        both.sort_indices()
        return cls.from_pattern(both.indptr, both.indices, both.data, excess)


def quantise(
    *arrays: np.ndarray, largest_bits: int = TOTAL_BITS, total_bits: int = TOTAL_BITS
) -> tuple[list[np.ndarray], int, bool]:
    """Round arrays to whole multiples of one power of two.

    Parameters
    ----------
    *arrays : ndarrays, float64
        Finite values of any magnitude.
    largest_bits, total_bits : int
        Every whole number lies below ``2**largest_bits``, and the sum of all magnitudes below ``2**total_bits``.

    Returns
    -------
    whole : list of ndarrays, int64
    exponent : int
        ``values`` are about ``whole * 2.0**exponent``, within half a unit each; the unit is the finest that fits, or a
        coarser one that is exact.
    exact : bool
        Whether nothing was rounded.

    Examples
    --------
    >>> import numpy as np
    >>> whole, exponent, exact = quantise(np.array([0.5, -3.0]))
    >>> whole[0] * 2.0**exponent, exact
    (array([ 0.5, -3. ]), True)
    """
    from bqp.kernels.flow import measure, round_to_units

    arrays = tuple(np.ascontiguousarray(values, dtype=np.float64) for values in arrays)
    sizes = [measure(values) for values in arrays]
    largest = max((size for size, _ in sizes), default=0.0)
    whole = [np.zeros(values.shape, np.int64) for values in arrays]
    if largest == 0.0:
        return whole, 0, True
    top = int(np.frexp(largest)[1])  # largest < 2**top
    if -900 < top < 900:
        total = float(np.ldexp(sum(size for _, size in sizes), -top))
    else:
        total = sum(float(np.sum(np.abs(np.ldexp(values, -top)))) for values in arrays)
    finest = top + max(-largest_bits, int(np.frexp(total)[1]) + 1 - total_bits)
    for coarse in (0, -10):  # whole numbers, and short binary fractions
        if coarse >= finest and all(round_to_units(values, 2.0**-coarse, out) for values, out in zip(arrays, whole)):
            return whole, coarse, True
    exact = True
    for values, out in zip(arrays, whole):
        scaled = np.ldexp(values, -finest)
        rounded = np.rint(scaled)
        exact = exact and bool(np.array_equal(np.ldexp(rounded, finest), values))
        out[...] = rounded.astype(np.int64)
    return whole, finest, exact

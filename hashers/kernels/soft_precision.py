"""Average precision of relaxed codes and its derivative, from histograms of distances: one pass, one pass back.

Distances are real numbers in [0, q]; an item at distance d counts 1 - (d - floor d) at floor d and the rest one further
(the soft histograms of Cakir et al. and He et al.). Average precision of whole distances, ties averaged in their
continuous form, is then piecewise smooth in d.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["soft_average_precision"]

TINY = 1e-9


@jit_kernel(fastmath=True)
def soft_average_precision(distances, relevant, n_bits, precision, gradient):
    """Write average precision of each query and its derivative by each distance.

    AP = (1 / R) sum_d r_d (2 R_{<d} + r_d) / (2 N_{<d} + n_d), with n_d items and r_d relevant ones at distance d.

    Parameters
    ----------
    distances : ndarray of shape (n_query, n_database), float32
        In [0, n_bits].
    relevant : ndarray of shape (n_query, n_database), bool
    n_bits : int
    precision : ndarray of shape (n_query,), float64
        Written; 0 for a query without relevant items.
    gradient : ndarray of shape (n_query, n_database), float32
        Written; derivative of the precision of the row's query.

    Notes
    -----
    Irrelevant items and relevant ones have tables side by side, so that neither pass branches on what an item is, and
    items with odd and even numbers have tables of their own: neighbours often fall into one bin, and the second would
    wait for the first.
    """
    size = n_bits + 2
    count, rest = np.empty((2, 2 * size)), np.empty((2, 2 * size))
    total, found = np.empty(size), np.empty(size)
    slope = np.empty(2 * size, dtype=np.float32)
    n_database = distances.shape[1]
    for a in range(distances.shape[0]):
        count[:] = 0.0
        rest[:] = 0.0
        for j in range(n_database):
            low = int(distances[a, j])
            place = low + size * relevant[a, j]
            count[j & 1, place] += 1.0
            rest[j & 1, place] += distances[a, j] - low
        items = 0.0
        hits = 0.0
        for d in range(size):
            others = count[0, d] + count[1, d] - rest[0, d] - rest[1, d]
            at = size + d
            found[d] = count[0, at] + count[1, at] - rest[0, at] - rest[1, at]
            if d:
                others += rest[0, d - 1] + rest[1, d - 1]
                found[d] += rest[0, at - 1] + rest[1, at - 1]
            total[d] = others + found[d]
            items += total[d]
            hits += found[d]
        if hits <= 0.0:
            precision[a] = 0.0
            for j in range(n_database):
                gradient[a, j] = 0.0
            continue
        value = 0.0
        later = 0.0  # sum over greater distances of 2 r / denominator
        later_squared = 0.0  # and of 2 r ratio / denominator
        before, before_hits = items, hits
        for d in range(size - 1, -1, -1):
            n, r = total[d], found[d]
            before -= n
            before_hits -= r
            denominator = 2.0 * before + n + TINY
            ratio = (2.0 * before_hits + r) / denominator
            value += r * ratio
            found[d] = (ratio + r / denominator + later) / hits
            total[d] = -(r * ratio / denominator + later_squared) / hits
            later += 2.0 * r / denominator
            later_squared += 2.0 * r * ratio / denominator
        precision[a] = value / hits
        for d in range(size - 1):
            slope[d] = total[d + 1] - total[d]
            slope[size + d] = slope[d] + found[d + 1] - found[d]
        for j in range(n_database):
            gradient[a, j] = slope[int(distances[a, j]) + size * relevant[a, j]]

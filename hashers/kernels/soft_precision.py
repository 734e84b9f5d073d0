"""Average precision of relaxed codes and its derivative, from histograms of distances: one pass, one pass back.

Distances are real numbers in [0, q]; an item at distance d counts 1 - (d - floor d) at floor d and the rest one further
(the soft histograms of Cakir et al. and He et al.). Average precision of whole distances, ties averaged in their
continuous form, is then piecewise smooth in d.
"""

from bqp.kernels._jit import jit_kernel

__all__ = ["soft_average_precision"]

TINY = 1e-9


@jit_kernel(fastmath=True)
def soft_average_precision(distances, relevant, total, found, precision, gradient):
    """Write average precision of each query and its derivative by each distance.

    AP = (1 / R) sum_d r_d (2 R_{<d} + r_d) / (2 N_{<d} + n_d), with n_d items and r_d relevant ones at distance d.

    Parameters
    ----------
    distances : ndarray of shape (n_query, n_database), float32
        In [0, q].
    relevant : ndarray of shape (n_query, n_database), bool
    total, found : ndarray of shape (q + 2,), float64
        Written: scratch.
    precision : ndarray of shape (n_query,), float64
        Written; 0 for a query without relevant items.
    gradient : ndarray of shape (n_query, n_database), float32
        Written; derivative of the precision of the row's query.
    """
    size = len(total)
    for a in range(distances.shape[0]):
        for d in range(size):
            total[d] = 0.0
            found[d] = 0.0
        for j in range(distances.shape[1]):
            low = int(distances[a, j])
            part = distances[a, j] - low
            total[low] += 1.0 - part
            total[low + 1] += part
            if relevant[a, j]:
                found[low] += 1.0 - part
                found[low + 1] += part
        items = 0.0
        hits = 0.0
        for d in range(size):
            items += total[d]
            hits += found[d]
        if hits <= 0.0:
            precision[a] = 0.0
            for j in range(distances.shape[1]):
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
        for j in range(distances.shape[1]):
            low = int(distances[a, j])
            slope = total[low + 1] - total[low]
            if relevant[a, j]:
                slope += found[low + 1] - found[low]
            gradient[a, j] = slope

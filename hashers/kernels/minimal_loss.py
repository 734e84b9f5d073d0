"""Stochastic gradient steps of minimal loss hashing: pairs in, weights moved."""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["descend_pairs", "loss_adjusted_slopes"]


@jit_kernel
def loss_adjusted_slopes(f, e, loss, gain, order, slope_f, slope_e):
    """Gradient of the bound by the margins f and e of a pair, and the distance of its codes.

    slope = sign(f) - g for the codes g, h that maximise loss[distance] + g.f + h.e. Equal bits earn |f + e|, different
    ones |f - e|; for each distance the bits that lose least differ. `gain` and `order` are scratch.
    """
    q = len(f)
    distance = 0
    for k in range(q):
        gain[k] = abs(f[k] - e[k]) - abs(f[k] + e[k])
        distance += (f[k] >= 0) != (e[k] >= 0)
        place = k  # by falling gain, equal ones in their order
        while place > 0 and gain[order[place - 1]] < gain[k]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = k
    best, n_differ, total = loss[0], 0, 0.0
    for m in range(q):
        total += gain[order[m]]
        if loss[m + 1] + total > best:
            best, n_differ = loss[m + 1] + total, m + 1
    for m in range(q):
        k = order[m]
        differs = m < n_differ
        g = 1.0 if (f[k] - e[k] if differs else f[k] + e[k]) >= 0 else -1.0
        h = -g if differs else g
        slope_f[k] = (1.0 if f[k] >= 0 else -1.0) - g
        slope_e[k] = (1.0 if e[k] >= 0 else -1.0) - h
    return distance


@jit_kernel
def descend_pairs(Z, pairs, n_similar, losses, rates, decay, momentum, W, change, totals):
    """Take one step for each batch of pairs.

    Parameters
    ----------
    Z : ndarray of shape (n, d), float64
        Features.
    pairs : ndarray of shape (n_steps, m, 2), int64
        Rows of Z; the first `n_similar` pairs of each batch are similar.
    n_similar : int
    losses : ndarray of shape (2, q + 1), float64
        Loss of a similar and of a dissimilar pair at each distance.
    rates : ndarray of shape (n_steps,), float64
    decay, momentum : float
    W, change : ndarray of shape (q, d), float64
        Written: weights and their last change.
    totals : ndarray of shape (n_steps,), float64
        Written: sum of the losses of each batch, before its step.
    """
    n_steps, m = pairs.shape[0], pairs.shape[1]
    q, d = W.shape
    Z_i, Z_j = np.empty((m, d)), np.empty((m, d))
    slope_i, slope_j = np.empty((m, q)), np.empty((m, q))
    gain, order = np.empty(q), np.empty(q, dtype=np.int64)
    for step in range(n_steps):
        for a in range(m):
            Z_i[a] = Z[pairs[step, a, 0]]
            Z_j[a] = Z[pairs[step, a, 1]]
        F_i, F_j = np.dot(Z_i, W.T), np.dot(Z_j, W.T)
        total = 0.0
        for a in range(m):
            loss = losses[0] if a < n_similar else losses[1]
            total += loss[loss_adjusted_slopes(F_i[a], F_j[a], loss, gain, order, slope_i[a], slope_j[a])]
        totals[step] = total
        gradient = np.dot(slope_i.T, Z_i) + np.dot(slope_j.T, Z_j)
        for k in range(q):
            for c in range(d):
                change[k, c] = momentum * change[k, c] + rates[step] * (gradient[k, c] / m - decay * W[k, c])
                W[k, c] += change[k, c]

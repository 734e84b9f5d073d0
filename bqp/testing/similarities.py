"""Random similarities of every structure, each with S and W written out beside it (hypothesis needed).

S and W are built from the drawn data directly, not by the classes under test.
"""

import itertools

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st

from bqp import supervision

__all__ = ["KINDS", "all_assignments", "codes", "similarities", "symmetric", "weights_of"]

KINDS = ("labels", "label_sets", "groups", "pairs", "matrix", "sparse_matrix")


@st.composite
def similarities(draw, max_n=7, kinds=KINDS):
    """(similarity, S, W): S and W are small integers (or halves), so that sums of squares are exact."""
    kind = draw(st.sampled_from(kinds))
    n = draw(st.integers(1, max_n))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 4, n).astype(float) if draw(st.booleans()) else None
    a = np.ones(n) if weights is None else weights
    if kind == "labels":
        y = rng.integers(-1, 4, n)
        y[rng.integers(n)] = 2
        S = np.where(y[:, None] == y[None, :], 1.0, -1.0)
        W = np.outer(a, a) * np.outer(y != -1, y != -1)
        class_weights = None
        if draw(st.booleans()):
            classes = np.unique(y[y != -1])
            class_weights = symmetric(rng, len(classes), 0, 4)
            class_weights[0, 0] = 1
            place = np.clip(np.searchsorted(classes, y), 0, len(classes) - 1)
            W = W * class_weights[np.ix_(place, place)]
            if W.sum() == 0:
                class_weights[:] = 1
                W = np.outer(a, a) * np.outer(y != -1, y != -1)
        return supervision.from_labels(y, weights=weights, class_weights=class_weights), S, W
    if kind == "label_sets":
        Y = (rng.random((n, 3)) < 0.35).astype(int)
        S = np.where(Y @ Y.T > 0, 1.0, -1.0)
        W = np.outer(a, a)
        if n > 1 and draw(st.booleans()):
            Y[0] = -1
            W[0] = W[:, 0] = 0
        return supervision.from_label_sets(Y, weights=weights), S, W
    if kind == "groups":
        C = int(rng.integers(1, 4))
        g = rng.integers(0, C, n)
        T = symmetric(rng, C, -3, 4) / 2
        V = symmetric(rng, C, 0, 3) if draw(st.booleans()) else None
        W = np.outer(a, a) * (1.0 if V is None else V[np.ix_(g, g)])
        if W.sum() == 0:
            V, W = None, np.outer(a, a)
        return supervision.from_groups(g, T, V, weights=weights), T[np.ix_(g, g)], W
    S = symmetric(rng, n, -3, 4) / 2
    W = symmetric(rng, n, 0, 3)
    W[0, 0] = 1
    if kind == "matrix":
        return supervision.from_matrix(S, W if draw(st.booleans()) else None), S, W
    i, j = np.nonzero(np.triu(W))
    if kind == "pairs":
        swap = rng.random(len(i)) < 0.5
        i, j = np.where(swap, j, i), np.where(swap, i, j)
        return supervision.from_pairs(i, j, S[i, j], n, weights=W[i, j]), S, W
    i, j = np.nonzero(W)
    return supervision.from_matrix(sp.coo_array((S[i, j], (i, j)), shape=(n, n)), W), S, W


def weights_of(similarity, W):
    """W, or ones for a written-out matrix without weights, which knows every pair."""
    return np.ones_like(W) if similarity.structure == "matrix" and similarity.W is None else W


def codes(rng, n, q):
    """Random codes, shape (n, q), int8."""
    return (2 * rng.integers(0, 2, (n, q)) - 1).astype(np.int8)


def all_assignments(n):
    """All vectors of -1 and +1, shape (2**n, n), int8."""
    return np.array(list(itertools.product((-1, 1), repeat=n)), dtype=np.int8)


def symmetric(rng, n, low, high):
    """Random symmetric integers in low..high-1, shape (n, n), float64."""
    upper = np.triu(rng.integers(low, high, (n, n))).astype(float)
    return upper + np.triu(upper, 1).T

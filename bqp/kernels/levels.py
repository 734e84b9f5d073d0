"""Breadth-first levels of a graph: a cheap look at how far a sparse factorisation would fill in."""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["level_width"]


@jit_kernel
def level_width(indptr, indices, start, level):
    """Size of the widest level of a breadth-first search over the whole graph, the first component from `start`.

    `level` (n,) int64 holds -1 and is overwritten. No separator found along the levels is larger, so that it tells
    planar-like graphs from those whose factorisation fills in.
    """
    n = level.shape[0]
    queue = np.empty(n, np.int64)
    widest, done, root = 0, 0, start
    position = 0
    while done < n:
        if level[root] == -1:
            level[root] = 0
            queue[done] = root
            head, tail, end = done, done + 1, done + 1
            while head < tail:
                width = tail - head
                if width > widest:
                    widest = width
                for q in range(head, tail):
                    i = queue[q]
                    for p in range(indptr[i], indptr[i + 1]):
                        j = indices[p]
                        if level[j] == -1:
                            level[j] = level[i] + 1
                            queue[end] = j
                            end += 1
                head, tail = tail, end
            done = end
        if done < n:
            while level[position] != -1:
                position += 1
            root = position
    return widest

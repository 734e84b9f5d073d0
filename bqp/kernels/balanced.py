"""Blocks of variables whose pairs all attract after flipping some signs, and their networks.

Given everything else, such a block is solved by one minimum cut. It is grown over the couplings: a variable joins if
one sign suits all its neighbours inside.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["block_network", "grow_balanced"]


@jit_kernel
def _draw(state):
    """The next of 2**31 numbers (xorshift)."""
    s = state[0]
    s ^= s << np.uint64(13)
    s ^= s >> np.uint64(7)
    s ^= s << np.uint64(17)
    state[0] = s
    return np.int64(s >> np.uint64(33))


@jit_kernel
def grow_balanced(indptr, indices, J, gauge, seen, frontier, block, state, max_size, max_looks):
    """Grow a block from random variables on, in random order; returns its size.

    Parameters
    ----------
    indptr, indices, J : ndarrays
        Couplings, CSR.
    gauge : ndarray of shape (n,), int8
        Written: the sign of each variable in the block, 0 outside.
    seen, frontier, block : ndarrays of shape (n,)
        Scratch; ``block[:size]`` are the members.
    state : ndarray of shape (1,), uint64
        Random state, not zero; advanced.
    max_size, max_looks : int
        Members, and couplings looked at, after which growth ends.
    """
    n = gauge.shape[0]
    for v in range(n):
        gauge[v] = 0
        seen[v] = False
    size, looks, waiting, tries = 0, 0, 0, 0
    offset = _draw(state) % n
    while size < max_size and looks < max_looks:
        if waiting == 0:  # a new root, from a random place on
            while tries < n and seen[(offset + tries) % n]:
                tries += 1
            if tries == n:
                break
            v = (offset + tries) % n
            seen[v] = True
        else:
            k = _draw(state) % waiting
            v = frontier[k]
            waiting -= 1
            frontier[k] = frontier[waiting]
        sign, fits = 0, True
        for a in range(indptr[v], indptr[v + 1]):
            g = gauge[indices[a]]
            if g != 0:
                wanted = g if J[a] < 0 else -g
                if sign == 0:
                    sign = wanted
                elif sign != wanted:
                    fits = False
                    break
        looks += 1 + indptr[v + 1] - indptr[v]
        if not fits:
            continue
        gauge[v] = sign if sign != 0 else (1 if _draw(state) & 1 else -1)
        block[size] = v
        size += 1
        for a in range(indptr[v], indptr[v + 1]):
            u = indices[a]
            if not seen[u]:
                seen[u] = True
                frontier[waiting] = u
                waiting += 1
    return size


@jit_kernel
def block_network(indptr, indices, J, h, x, gauge, block, place, sub_indptr, sub_indices, capacity, excess):
    """The network of a block (sorted members), given the rest of x; returns its arcs.

    The source's side is ``gauge * x = +1``. ``place`` (n,) is scratch.
    """
    size = block.shape[0]
    for k in range(size):
        place[block[k]] = k
    arcs = 0
    for k in range(size):
        v = block[k]
        field = h[v]
        sub_indptr[k] = arcs
        for a in range(indptr[v], indptr[v + 1]):
            u = indices[a]
            if gauge[u] != 0:
                sub_indices[arcs] = place[u]
                capacity[arcs] = abs(J[a])
                arcs += 1
            else:
                field += J[a] * x[u]
        excess[k] = -field * gauge[v]
    sub_indptr[size] = arcs
    return arcs

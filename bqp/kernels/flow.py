"""Maximum flow on a symmetric network of 64-bit integers, and what its residual graph tells.

A network has nodes 0..n-1, and arcs in CSR order: arc a leads from its row to ``indices[a]``, and ``reverse[a]`` is the
arc the other way. Source and sink are no nodes: ``excess[v] > 0`` is what the source can still send through v, and
``-excess[v] > 0`` what the sink can still take from it. Kernels work on ``residual`` and ``excess`` in place, so that a
flow goes on after its network has been given more excess.

E. A. Dinic, "Algorithm for solution of a problem of maximum flow in a network with power estimation", Soviet
Mathematics Doklady 11, 1970; R. Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Computing 1, 1972.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = [
    "double_network",
    "levels_to_sink",
    "measure",
    "off_diagonal",
    "push_phase",
    "reach",
    "reverse_arcs",
    "round_to_units",
    "strong_components",
    "with_terminals",
    "without_terminals",
]


@jit_kernel
def reverse_arcs(indptr, indices, cursor, reverse):
    """Fill `reverse` for a matrix of symmetric pattern with sorted indices; `cursor` (n,) is scratch."""
    n = indptr.shape[0] - 1
    for i in range(n):
        cursor[i] = indptr[i]
    for i in range(n):
        for a in range(indptr[i], indptr[i + 1]):
            j = indices[a]  # rows come in order, and so do the arcs of j
            reverse[a] = cursor[j]
            cursor[j] += 1


@jit_kernel
def levels_to_sink(indptr, indices, reverse, residual, excess, level, queue):
    """Distance of each node to the sink along residual arcs, -1 for no way; returns whether any excess has one."""
    n = level.shape[0]
    head, tail, met = 0, 0, False
    for v in range(n):
        level[v] = -1
        if excess[v] < 0:
            level[v] = 0
            queue[tail] = v
            tail += 1
    while head < tail:
        v = queue[head]
        head += 1
        if excess[v] > 0:
            met = True
        for a in range(indptr[v], indptr[v + 1]):
            u = indices[a]
            if level[u] < 0 and residual[reverse[a]] > 0:
                level[u] = level[v] + 1
                queue[tail] = u
                tail += 1
    return met


@jit_kernel
def push_phase(indptr, indices, reverse, residual, excess, level, current, path):
    """One blocking flow along arcs that lead one level down; returns what reached the sink."""
    n = level.shape[0]
    pushed = np.int64(0)
    for v in range(n):
        current[v] = indptr[v]
    for root in range(n):
        if excess[root] <= 0 or level[root] < 0:
            continue
        depth, v = 0, root
        while excess[root] > 0:
            if excess[v] < 0:  # at the sink's door: push along the path
                amount = min(excess[root], -excess[v])
                for k in range(depth):
                    amount = min(amount, residual[path[k]])
                first = depth
                for k in range(depth - 1, -1, -1):
                    a = path[k]
                    residual[a] -= amount
                    residual[reverse[a]] += amount
                    if residual[a] == 0:
                        first = k
                excess[root] -= amount
                excess[v] += amount
                pushed += amount
                if first < depth:  # go back to the tail of the first full arc
                    v = indices[reverse[path[first]]]
                    depth = first
                    continue
                if excess[root] == 0:
                    break
            a, last = current[v], indptr[v + 1]
            below = level[v] - 1
            while a < last and not (residual[a] > 0 and level[indices[a]] == below):
                a += 1
            current[v] = a
            if a < last and below >= 0:
                path[depth] = a
                depth += 1
                v = indices[a]
            else:
                level[v] = -2
                if depth == 0:
                    break
                depth -= 1
                v = indices[reverse[path[depth]]]
    return pushed


@jit_kernel
def reach(indptr, indices, residual, reached, queue, n_seeds):
    """Mark whatever residual arcs lead to from the first `n_seeds` nodes of `queue`; returns how many are marked."""
    tail = 0
    for k in range(n_seeds):
        reached[queue[k]] = True
        tail += 1
    head = 0
    while head < tail:
        v = queue[head]
        head += 1
        for a in range(indptr[v], indptr[v + 1]):
            u = indices[a]
            if not reached[u] and residual[a] > 0:
                reached[u] = True
                queue[tail] = u
                tail += 1
    return tail


@jit_kernel
def strong_components(indptr, indices, usable, label):
    """Strongly connected components along usable arcs (Tarjan, without recursion), numbered from the sinks up."""
    n = label.shape[0]
    index = np.full(n, -1, np.int64)
    low = np.zeros(n, np.int64)
    current = np.zeros(n, np.int64)
    open_nodes = np.empty(n, np.int64)
    calls = np.empty(n, np.int64)
    n_open, counter, count = 0, 0, 0
    for v in range(n):
        label[v] = -1
    for root in range(n):
        if index[root] >= 0:
            continue
        depth = 0
        calls[0] = root
        index[root] = low[root] = counter
        counter += 1
        current[root] = indptr[root]
        open_nodes[n_open] = root
        n_open += 1
        while depth >= 0:
            v = calls[depth]
            if current[v] < indptr[v + 1]:
                a = current[v]
                current[v] += 1
                if not usable[a]:
                    continue
                u = indices[a]
                if index[u] < 0:
                    index[u] = low[u] = counter
                    counter += 1
                    current[u] = indptr[u]
                    open_nodes[n_open] = u
                    n_open += 1
                    depth += 1
                    calls[depth] = u
                elif label[u] < 0:
                    low[v] = min(low[v], index[u])
                continue
            if low[v] == index[v]:
                while True:
                    n_open -= 1
                    u = open_nodes[n_open]
                    label[u] = count
                    if u == v:
                        break
                count += 1
            depth -= 1
            if depth >= 0:
                above = calls[depth]
                low[above] = min(low[above], low[v])
    return count


@jit_kernel
def double_network(indptr, indices, J, new_indptr, new_indices, capacity, conjugate):
    """Network over the 2 n literals of n spins: node i for x_i = +1, node n + i for x_i = -1.

    A pair with J < 0 joins i with j and n + i with n + j, one with J > 0 joins i with n + j and n + i with j, each by
    capacity \\|J| both ways. ``conjugate[a]`` is the arc between the opposite literals, in the same direction.
    """
    n = indptr.shape[0] - 1
    nnz = indptr[n]
    for i in range(n + 1):
        new_indptr[i] = indptr[i]
        new_indptr[n + i] = nnz + indptr[i]
    for i in range(n):
        start, stop = indptr[i], indptr[i + 1]
        below = 0
        for a in range(start, stop):
            if J[a] < 0:
                below += 1
        above = (stop - start) - below
        near, far = start, start + below  # row i: attracting neighbours j, then n + j
        near_2, far_2 = nnz + start + above, nnz + start  # row n + i: repelling neighbours j, then n + j
        for a in range(start, stop):
            j = indices[a]
            if J[a] < 0:
                new_indices[near], capacity[near], conjugate[near] = j, -J[a], near_2
                new_indices[near_2], capacity[near_2], conjugate[near_2] = n + j, -J[a], near
                near += 1
                near_2 += 1
            else:
                new_indices[far], capacity[far], conjugate[far] = n + j, J[a], far_2
                new_indices[far_2], capacity[far_2], conjugate[far_2] = j, J[a], far
                far += 1
                far_2 += 1


@jit_kernel
def with_terminals(indptr, indices, capacity, excess, new_indptr, new_indices, data):
    """The same network with a source, node n, and a sink, node n + 1, every arc with its reverse; returns the arcs."""
    n = indptr.shape[0] - 1
    position = 0
    for v in range(n):
        new_indptr[v] = position
        for a in range(indptr[v], indptr[v + 1]):
            new_indices[position] = indices[a]
            data[position] = capacity[a]
            position += 1
        if excess[v] != 0:
            new_indices[position] = n if excess[v] > 0 else n + 1
            data[position] = 0 if excess[v] > 0 else -excess[v]
            position += 1
    for terminal in range(2):
        new_indptr[n + terminal] = position
        for v in range(n):
            if (excess[v] > 0 and terminal == 0) or (excess[v] < 0 and terminal == 1):
                new_indices[position] = v
                data[position] = excess[v] if terminal == 0 else 0
                position += 1
    new_indptr[n + 2] = position
    return position


@jit_kernel
def without_terminals(indptr, indices, data, carried, residual, excess):
    """Residual capacities and excess from a flow on the network of `with_terminals`; returns its value."""
    n = excess.shape[0]
    position, value = 0, np.int64(0)
    for v in range(n):
        for a in range(indptr[v], indptr[v + 1]):
            left = np.int64(data[a]) - np.int64(carried[a])
            if indices[a] < n:
                residual[position] = left
                position += 1
            elif indices[a] == n + 1:
                excess[v] = -left
    for a in range(indptr[n], indptr[n + 1]):
        excess[indices[a]] = np.int64(data[a]) - np.int64(carried[a])
        value += carried[a]
    return value


@jit_kernel
def measure(values):
    """Largest and summed magnitude."""
    largest, total = 0.0, 0.0
    for value in values:
        size = abs(value)
        total += size
        if size > largest:
            largest = size
    return largest, total


@jit_kernel
def round_to_units(values, scale, whole):
    """Fill `whole` with the integers next to ``values * scale``; returns whether that changed nothing."""
    exact = True
    for i in range(values.shape[0]):
        scaled = values[i] * scale
        rounded = np.rint(scaled)
        whole[i] = np.int64(rounded)
        exact = exact and rounded == scaled
    return exact


@jit_kernel
def off_diagonal(Q, indptr, indices, data, fill):
    """CSR of what is not zero beside the diagonal; counts into `indptr` first, and fills on a second call."""
    n = Q.shape[0]
    position = 0
    for i in range(n):
        if not fill:
            indptr[i] = position
        for j in range(n):
            if Q[i, j] != 0 and i != j:
                if fill:
                    indices[position] = j
                    data[position] = Q[i, j]
                position += 1
    if not fill:
        indptr[n] = position
    return position

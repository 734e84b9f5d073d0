"""Merging variables that several assignments agree on.

Variables i and j agree in a set of assignments if x_i x_j is the same in all of them; `patterns[i]` is a number such
that this means equal patterns. Groups are the connected components of the graph of agreeing edges, and the problem over
them, one spin a group, is the original one restricted to assignments that keep what all agree on.
"""

from bqp.kernels._jit import jit_kernel

__all__ = ["agreeing_groups", "merged_rows"]


@jit_kernel
def agreeing_groups(indptr, indices, patterns, label, queue):
    """Number the components of the edges whose ends have equal patterns, in order of their first variable.

    Writes label (n,) int32; queue (n,) int32 is scratch. Returns the number of groups. O(n + edges); the graph may list
    an edge at either end or both, but components are found along the rows: list it at both.
    """
    n = label.shape[0]
    for i in range(n):
        label[i] = -1
    n_groups = 0
    for first in range(n):
        if label[first] >= 0:
            continue
        label[first] = n_groups
        queue[0] = first
        head, tail = 0, 1
        while head < tail:
            i = queue[head]
            head += 1
            for p in range(indptr[i], indptr[i + 1]):
                j = indices[p]
                if label[j] < 0 and patterns[j] == patterns[i]:
                    label[j] = n_groups
                    queue[tail] = j
                    tail += 1
        n_groups += 1
    return n_groups


@jit_kernel
def merged_rows(indptr, indices, data, x, c, label, new_indptr, new_indices, new_data, new_c, members, seen):
    """CSR rows and linear terms of the problem over groups, in which all spins +1 stand for x.

    An entry is the sum of data_ij x_i x_j over the pairs between two groups, pairs inside a group drop out, and a
    linear term is the sum of c_i x_i. `new_indptr` (groups + 1,) and `new_c` (groups,) have their size; the other new
    arrays hold as much as the old ones; members (n,) and seen (groups,) are scratch. Returns the number of entries.
    """
    n, n_groups = label.shape[0], new_c.shape[0]
    number = new_data.dtype.type
    for g in range(n_groups + 1):
        new_indptr[g] = 0
    for i in range(n):
        new_indptr[label[i] + 1] += 1
    for g in range(n_groups):
        new_indptr[g + 1] += new_indptr[g]
    for g in range(n_groups):
        seen[g] = new_indptr[g]
    for i in range(n):
        members[seen[label[i]]] = i
        seen[label[i]] += 1
    for g in range(n_groups):
        seen[g] = -1
        new_c[g] = number(0)
    end = 0
    start = 0
    for g in range(n_groups):
        stop = new_indptr[g + 1]
        begin = end
        for k in range(start, stop):
            i = members[k]
            new_c[g] += number(c[i] * x[i])
            for p in range(indptr[i], indptr[i + 1]):
                j = indices[p]
                h = label[j]
                if h == g:
                    continue
                value = number(data[p] * number(x[i] * x[j]))
                if seen[h] >= begin:
                    new_data[seen[h]] += value
                else:
                    seen[h] = end
                    new_indices[end] = h
                    new_data[end] = value
                    end += 1
        start = stop
        new_indptr[g + 1] = end  # members of later groups are still found from `start`
    return end

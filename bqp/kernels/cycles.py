"""Odd cycles of a graph whose edges hold numbers x in [0, 1], 1 where the ends differ: the violated ones are found by
shortest paths in the signed double of the graph.

F. Barahona, A. R. Mahjoub, "On the cut polytope", Mathematical Programming 36, 1986. An edge is named by a code: twice
its number, plus 1 where it counts as one of the set F, whose edges ask for a change of side.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["separate_cycles"]


@jit_kernel
def _push(keys, items, size, key, item):
    at = size
    while at > 0:
        up = (at - 1) >> 1
        if keys[up] <= key:
            break
        keys[at], items[at] = keys[up], items[up]
        at = up
    keys[at], items[at] = key, item
    return size + 1


@jit_kernel
def _pop(keys, items, size):
    """Remove the least key; the caller has read it."""
    size -= 1
    key, item = keys[size], items[size]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[at], items[at] = keys[child], items[child]
        at = child
    keys[at], items[at] = key, item
    return size


@jit_kernel
def _length(x, code):
    return 1.0 - x[code >> 1] if code & 1 else x[code >> 1]


@jit_kernel
def _shortest(indptr, indices, edges, x, source, below, dist, came, settled, touched, keys, items):
    """The shortest walk from a copy of the source to the other one, of a length less than `below`.

    By symmetry the way back is the mirror image of a way there, so that half the length is searched. Returns the node
    before the middle edge, the one behind it, that edge's code (-1 where there is none), and the nodes touched.
    """
    best, left, right, middle = below, -1, -1, -1
    count = 1
    dist[2 * source], came[2 * source], touched[0] = 0.0, -1, 2 * source
    size = _push(keys, items, 0, 0.0, 2 * source)
    while size > 0:
        d, a = keys[0], items[0]
        size = _pop(keys, items, size)
        if settled[a] or d > dist[a]:
            continue
        if 2.0 * d >= best:
            break
        settled[a] = True
        v, side = a >> 1, a & 1
        for p in range(indptr[v], indptr[v + 1]):
            for flag in range(2):
                code = 2 * edges[p] + flag
                b = 2 * indices[p] + (side ^ flag)
                far = d + _length(x, code)
                if settled[b ^ 1] and far + dist[b ^ 1] < best:
                    best, left, right, middle = far + dist[b ^ 1], a, b, code
                if far < dist[b] and 2.0 * far < best:
                    if dist[b] == np.inf:
                        touched[count] = b
                        count += 1
                    dist[b], came[b] = far, 2 * (2 * edges[p] + flag) + (a & 1)
                    size = _push(keys, items, size, far, b)
    return left, right, middle, count


@jit_kernel
def _ways(came, ends, node, walk, codes, length):
    """Append the way from a node back to its source: vertices behind the node's own, and the codes of the edges."""
    while came[node] >= 0:
        code, side = came[node] >> 1, came[node] & 1
        v = node >> 1
        other = ends[code >> 1, 0] + ends[code >> 1, 1] - v
        length += 1
        walk[length], codes[length - 1] = other, code
        node = 2 * other + side
    return length


@jit_kernel
def _simple(walk, codes, length, place):
    """Turn a closed walk that changes sides an odd number of times into such a cycle, in place; returns its length."""
    place[walk[0]] = 0
    top = 0
    parity = np.zeros(length + 1, np.int64)
    for step in range(length):
        v, code = walk[step + 1], codes[step]
        codes[top] = code
        odd = (parity[top] + (code & 1)) & 1
        p = place[v]
        if p < 0:
            top += 1
            walk[top], parity[top], place[v] = v, odd, top
            continue
        if odd != parity[p]:  # the part since then is such a cycle
            size = top + 1 - p
            for i in range(top + 1):
                place[walk[i]] = -1
            for i in range(size):
                walk[i], codes[i] = walk[p + i], codes[p + i]
            return size
        for i in range(p + 1, top + 1):
            place[walk[i]] = -1
        top = p
    return 0


@jit_kernel
def _without_chords(indptr, indices, edges, x, walk, codes, length, place, spare_walk, spare_codes):
    """While an edge joins two vertices of the cycle, go on with the shorter of the two odd cycles that it makes."""
    again = True
    while again and length > 3:
        again = False
        for i in range(length):
            place[walk[i]] = i
        for i in range(length):
            for p in range(indptr[walk[i]], indptr[walk[i] + 1]):
                j = place[indices[p]]
                if j < i + 2 or (i == 0 and j == length - 1):
                    continue
                inner, outer, odd = 0.0, 0.0, 0
                for t in range(length):
                    if i <= t < j:
                        inner += _length(x, codes[t])
                        odd ^= codes[t] & 1
                    else:
                        outer += _length(x, codes[t])
                chord = 2 * edges[p] + (1 - odd)  # what makes the inner part odd
                again = True
                for t in range(length):
                    place[walk[t]] = -1
                if inner + _length(x, chord) <= outer + _length(x, chord ^ 1):
                    size = j - i + 1
                    for t in range(size - 1):
                        spare_walk[t], spare_codes[t] = walk[i + t], codes[i + t]
                    spare_walk[size - 1], spare_codes[size - 1] = walk[j], chord
                else:
                    size = length - (j - i) + 1
                    for t in range(size - 1):
                        spare_walk[t], spare_codes[t] = walk[(j + t) % length], codes[(j + t) % length]
                    spare_walk[size - 1], spare_codes[size - 1] = walk[i], chord ^ 1
                length = size
                for t in range(length):
                    walk[t], codes[t] = spare_walk[t], spare_codes[t]
                break
            if again:
                break
        if not again:
            for i in range(length):
                place[walk[i]] = -1
    return length


@jit_kernel
def separate_cycles(indptr, indices, edges, ends, x, sources, covered, tolerance, start, members, count):
    """Violated odd cycles through each of the sources that no cycle found before covers; returns their new number.

    Parameters
    ----------
    indptr, indices, edges : int64 arrays
        The graph as CSR, both directions; `edges` holds the number of the edge of each entry.
    ends : int64 array of shape (m, 2)
    x : float64 array of shape (m,), in [0, 1]
    sources : int64 array
    covered : bool array of shape (n,)
        Updated.
    tolerance : float
        The least violation.
    start, members : int64 arrays
        Codes of the cycles, ``members[start[t]:start[t + 1]]``; written from cycle `count` on, while there is room.
    """
    n = len(indptr) - 1
    dist, came = np.full(2 * n, np.inf), np.full(2 * n, -1, np.int64)
    settled, touched = np.zeros(2 * n, np.bool_), np.empty(2 * n, np.int64)
    keys, items = np.empty(4 * len(indices) + 2), np.empty(4 * len(indices) + 2, np.int64)
    walk, codes = np.empty(4 * n + 3, np.int64), np.empty(4 * n + 3, np.int64)
    spare_walk, spare_codes = np.empty(4 * n + 3, np.int64), np.empty(4 * n + 3, np.int64)
    place = np.full(n, -1, np.int64)
    for source in sources:
        if covered[source]:
            continue
        left, right, middle, reached = _shortest(
            indptr, indices, edges, x, source, 1.0 - tolerance, dist, came, settled, touched, keys, items
        )
        if left >= 0:
            walk[0] = left >> 1
            length = _ways(came, ends, left, walk, codes, 0)
            for i in range((length + 1) // 2):  # there, not back
                walk[i], walk[length - i] = walk[length - i], walk[i]
            for i in range(length // 2):
                codes[i], codes[length - 1 - i] = codes[length - 1 - i], codes[i]
            codes[length] = middle
            length += 1
            walk[length] = right >> 1
            length = _ways(came, ends, right ^ 1, walk, codes, length)
        for i in range(reached):
            dist[touched[i]], came[touched[i]], settled[touched[i]] = np.inf, -1, False
        if left < 0:
            continue
        length = _simple(walk, codes, length, place)
        length = _without_chords(indptr, indices, edges, x, walk, codes, length, place, spare_walk, spare_codes)
        if count + 1 >= len(start) or start[count] + length > len(members):
            return count
        for i in range(length):
            members[start[count] + i] = codes[i]
            covered[walk[i]] = True
        covered[source] = True
        start[count + 1] = start[count] + length
        count += 1
    return count

"""Make a graph of spins smaller, one variable at a time, until no rule fits.

The energy is ``constant + sum h_i x_i + sum over edges w_e x_i x_j``. Edges are held in doubly linked lists, so that
any of them can go in constant time: edge e has the arcs 2 e and 2 e + 1, ``head[a]`` is where arc a leads, and
``following`` and ``previous`` chain the arcs that leave one variable, from ``first`` on. Edges that are gone wait in a
chain of their own.

The rules, each proven in docs/mathematics.md:

- a variable whose linear term outweighs its edges is fixed;
- a variable with at most three neighbours, the linear term counted as one, is minimised out: the least of
  ``x (a p + b q + c r)`` over x is ``-|a p + b q + c r|``, which four numbers write as a constant and three products;
- of the four states of a pair, one that another beats whatever the rest may be is struck; two that remain fix a
  variable or tie the two together.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["LOG_WIDTH", "link_edges", "shrink_graph", "undo_shrink"]

LOG_WIDTH = 3


@jit_kernel
def _link(a, v, following, previous, first, degree):
    """Put end a at the head of the list of node v."""
    following[a] = first[v]
    previous[a] = -1
    if first[v] >= 0:
        previous[first[v]] = a
    first[v] = a
    degree[v] += 1


@jit_kernel
def link_edges(row, column, head, following, previous, first, degree):
    """Build the lists from the ends of the edges."""
    for e in range(row.shape[0]):
        for side in range(2):
            a = 2 * e + side
            v = row[e] if side == 0 else column[e]
            head[a] = column[e] if side == 0 else row[e]
            _link(a, v, following, previous, first, degree)


@jit_kernel
def _unlink(a, v, following, previous, first):
    if previous[a] >= 0:
        following[previous[a]] = following[a]
    else:
        first[v] = following[a]
    if following[a] >= 0:
        previous[following[a]] = previous[a]


@jit_kernel
def _drop_edge(e, head, following, previous, first, degree, spread, free):
    i, j = head[2 * e + 1], head[2 * e]
    spread[i] = spread[j] = -1.0
    _unlink(2 * e, i, following, previous, first)
    _unlink(2 * e + 1, j, following, previous, first)
    degree[i] -= 1
    degree[j] -= 1
    following[2 * e] = free[0]
    free[0] = e


@jit_kernel
def _add_to_edge(i, j, value, head, weight, following, previous, first, degree, spread, free):
    """Add `value` to the weight of edge (i, j), which may appear or vanish; returns the steps taken."""
    if value == 0.0:
        return 0
    spread[i] = spread[j] = -1.0
    if degree[i] > degree[j]:
        i, j = j, i
    steps, a = 1, first[i]
    while a >= 0 and head[a] != j:
        a = following[a]
        steps += 1
    if a >= 0:
        weight[a >> 1] += value
        if weight[a >> 1] == 0.0:
            _drop_edge(a >> 1, head, following, previous, first, degree, spread, free)
        return steps
    e = free[0]
    free[0] = following[2 * e]
    weight[e] = value
    for side in range(2):
        a = 2 * e + side
        v = i if side == 0 else j
        head[a] = j if side == 0 else i
        _link(a, v, following, previous, first, degree)
    return steps


@jit_kernel
def _spread(v, head, weight, following, first, spread):
    """Sum of the magnitudes of v's edges, kept in `spread` until one of them changes (-1: unknown)."""
    if spread[v] < 0.0:
        total, a = 0.0, first[v]
        while a >= 0:
            total += abs(weight[a >> 1])
            a = following[a]
        spread[v] = total
    return spread[v]


@jit_kernel
def _differences(v, u, head, weight, following, first, mark):
    """Sums over all others k of |w_vk + w_uk| and |w_vk - w_uk|; `mark` is zero before and after."""
    plus, minus, a = 0.0, 0.0, first[v]
    while a >= 0:
        if head[a] != u:
            mark[head[a]] = weight[a >> 1]
        a = following[a]
    a = first[u]
    while a >= 0:
        k, w = head[a], weight[a >> 1]
        if k != v:
            plus += abs(mark[k] + w)
            minus += abs(mark[k] - w)
            mark[k] = 0.0
        a = following[a]
    a = first[v]
    while a >= 0:
        k = head[a]
        if mark[k] != 0.0:
            plus += abs(mark[k])
            minus += abs(mark[k])
            mark[k] = 0.0
        a = following[a]
    return plus, minus


@jit_kernel
def _surviving(hv, hu, w, rv, ru, plus, minus):
    """Which pair of states of (v, u) always holds an optimum: 0 none; 1, -1: v; 2, -2: u; 3: v = u; -3: v = -u.

    States are numbered ++, +-, -+, --. ``beaten[s, t]``: state t is no worse than s whatever the others are.
    """
    beaten = np.zeros((4, 4), np.bool_)
    beaten[0, 1] = hu + w >= ru
    beaten[1, 0] = -hu - w >= ru
    beaten[2, 3] = hu - w >= ru
    beaten[3, 2] = -hu + w >= ru
    beaten[0, 2] = hv + w >= rv
    beaten[2, 0] = -hv - w >= rv
    beaten[1, 3] = hv - w >= rv
    beaten[3, 1] = -hv + w >= rv
    beaten[0, 3] = hv + hu >= plus
    beaten[3, 0] = -hv - hu >= plus
    beaten[1, 2] = hv - hu >= minus
    beaten[2, 1] = hu - hv >= minus
    for k in range(4):
        for s in range(4):
            for t in range(4):
                if beaten[s, k] and beaten[k, t]:
                    beaten[s, t] = True
    for outcome, one, other in ((1, 0, 1), (-1, 2, 3), (2, 0, 2), (-2, 1, 3), (3, 0, 3), (-3, 1, 2)):
        good = True
        for s in range(4):
            if s != one and s != other and not (beaten[s, one] or beaten[s, other]):
                good = False
        if good:
            return outcome
    return 0


@jit_kernel
def _enqueue(v, queue, waiting, ends):
    if not waiting[v]:
        waiting[v] = True
        queue[(ends[0] + ends[1]) % queue.shape[0]] = v
        ends[1] += 1


@jit_kernel
def _whole(value, grain):
    return value == grain * np.rint(value / grain)


@jit_kernel
def shrink_graph(
    h, alive, head, weight, following, previous, first, degree, spread, free, queue, waiting, ends, mark, log_variable,
    log_other, log_weight, log_linear, sums, low_degree, pairs, grain, max_work,
):  # fmt: skip
    """Apply the rules to the variables in the queue, and to those they touch; returns whether the queue is empty.

    Parameters
    ----------
    h, alive, head, weight, following, previous, first, degree, spread, free : ndarrays
        The graph, changed in place; ``spread`` starts at -1, ``free[0]`` is the first edge that is not in use,
        ``free[1]`` the length of the log.
    queue, waiting, ends : ndarrays
        Ring of variables to look at; ``ends`` holds where it starts and how many wait.
    mark : ndarray of shape (n,), float64
        Scratch, zero.
    log_variable, log_other, log_weight, log_linear : ndarrays
        For `undo_shrink`: variable v is ``-sign(log_linear + sum log_weight x_other)``.
    sums : ndarray of shape (2,), float64
        What was added to the constant; what rounding can have cost.
    low_degree, pairs : bool
        Which rules apply, besides fixing.
    grain : float
        Weights must stay multiples of it, or 0: any float will do, and rounding is summed up.
    max_work : int
        Steps after which to return; the state resumes.
    """
    work = 0
    eps = 2.3e-16
    other = np.empty(3, np.int64)
    value = np.empty(3)
    while ends[1] > 0 and work < max_work:
        v = queue[ends[0]]
        ends[0] = (ends[0] + 1) % queue.shape[0]
        ends[1] -= 1
        waiting[v] = False
        if not alive[v]:
            continue
        around = _spread(v, head, weight, following, first, spread)
        work += 2 + degree[v]
        linear, tied, sign = h[v], np.int64(-1), 0.0
        if abs(linear) >= around:
            sign = -1.0 if linear > 0.0 else 1.0
        elif low_degree and degree[v] + (linear != 0.0) <= 3:
            k, a = 0, first[v]
            while a >= 0:
                other[k], value[k] = head[a], weight[a >> 1]
                k += 1
                a = following[a]
            if linear != 0.0:
                other[k], value[k] = -1, linear
                k += 1
            while k < 3:
                other[k], value[k] = -2, 0.0
                k += 1
            p, q, r = value[0], value[1], value[2]
            s0, s1, s2, s3 = abs(p + q + r), abs(p + q - r), abs(p - q + r), abs(p - q - r)
            part = 0.25 * (s0 + s1 + s2 + s3)
            w01, w02, w12 = 0.25 * (s2 + s3 - s0 - s1), 0.25 * (s1 + s3 - s0 - s2), 0.25 * (s1 + s2 - s0 - s3)
            fits = grain == 0.0 or (
                _whole(part, grain) and _whole(w01, grain) and _whole(w02, grain) and _whole(w12, grain)
            )
            if fits:
                m = free[1]
                free[1] += 1
                log_variable[m], log_linear[m] = v, linear
                for k in range(3):
                    real = other[k] >= 0
                    log_other[m, k] = other[k] if real else 0
                    log_weight[m, k] = value[k] if real else 0.0
                while first[v] >= 0:
                    _drop_edge(first[v] >> 1, head, following, previous, first, degree, spread, free)
                alive[v] = False
                sums[0] -= part
                if grain == 0.0:
                    sums[1] += 16.0 * eps * (abs(p) + abs(q) + abs(r) + abs(sums[0]))
                for one, two, w in ((0, 1, w01), (0, 2, w02), (1, 2, w12)):
                    i, j = other[one], other[two]
                    if i >= 0 and j >= 0:
                        work += _add_to_edge(i, j, w, head, weight, following, previous, first, degree, spread, free)
                    elif i >= 0 and j == -1:
                        h[i] += w
                        if grain == 0.0:
                            sums[1] += eps * abs(h[i])
                for k in range(3):
                    if other[k] >= 0:
                        _enqueue(other[k], queue, waiting, ends)
                continue
        if sign == 0.0 and pairs:
            a = first[v]
            while a >= 0:
                u, w = head[a], weight[a >> 1]
                size = abs(w)
                rv = max(0.0, around - size)
                ru = max(0.0, _spread(u, head, weight, following, first, spread) - size)
                work += 1
                # what the rest can do must leave one of the two to the other, or to its own linear term
                if size + abs(h[v]) >= rv or size + abs(h[u]) >= ru:
                    plus, minus = _differences(v, u, head, weight, following, first, mark)
                    work += 2 * (degree[u] + degree[v])
                    outcome = _surviving(h[v], h[u], w, rv, ru, plus, minus)
                    if outcome == 1 or outcome == -1:
                        sign = float(outcome)
                        break
                    if outcome == 2 or outcome == -2:
                        sign = 0.5 * outcome
                        v = u
                        break
                    if outcome != 0:
                        tied, sign = u, (1.0 if outcome > 0 else -1.0)
                        break
                a = following[a]
        if sign == 0.0:
            continue
        m = free[1]
        free[1] += 1
        for k in range(3):
            log_other[m, k], log_weight[m, k] = 0, 0.0
        if tied < 0:  # x_v = sign
            log_variable[m], log_linear[m] = v, -sign
            sums[0] += sign * h[v]
            if grain == 0.0:
                sums[1] += 2.0 * eps * (abs(sums[0]) + abs(h[v]))
            while first[v] >= 0:
                a = first[v]
                k = head[a]
                h[k] += sign * weight[a >> 1]
                if grain == 0.0:
                    sums[1] += eps * abs(h[k])
                _drop_edge(a >> 1, head, following, previous, first, degree, spread, free)
                _enqueue(k, queue, waiting, ends)
                work += 1
            alive[v] = False
            continue
        u = tied
        if degree[v] > degree[u]:
            v, u = u, v
        log_variable[m], log_linear[m] = v, 0.0  # x_v = sign * x_u
        log_other[m, 0], log_weight[m, 0] = u, -sign
        h[u] += sign * h[v]
        if grain == 0.0:
            sums[1] += 2.0 * eps * (abs(h[u]) + abs(sums[0]))
        while first[v] >= 0:
            a = first[v]
            k, w = head[a], weight[a >> 1]
            _drop_edge(a >> 1, head, following, previous, first, degree, spread, free)
            if k == u:
                sums[0] += sign * w
            else:
                work += _add_to_edge(u, k, sign * w, head, weight, following, previous, first, degree, spread, free)
                if grain == 0.0:
                    sums[1] += 2.0 * eps * (abs(w) + around)
                _enqueue(k, queue, waiting, ends)
        alive[v] = False
        _enqueue(u, queue, waiting, ends)
    return ends[1] == 0


@jit_kernel
def undo_shrink(x, n_logged, log_variable, log_other, log_weight, log_linear):
    """Fill in the variables that are gone, last one first."""
    for m in range(n_logged - 1, -1, -1):
        field = log_linear[m]
        for k in range(3):
            field += log_weight[m, k] * x[log_other[m, k]]
        x[log_variable[m]] = -1 if field > 0.0 else 1

"""The semidefinite relaxation with clique inequalities, in low rank: X = V V' with unit rows of V.

A cut is a sparse sign vector b of odd support (3, 5 or 7 entries); it says ``b'Xb = |V'b|**2 >= 1``. Cuts are held one
after the other: entries ``start[t]:start[t + 1]`` of `member` and `sign` are those of cut t.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = [
    "clique_matrix",
    "cut_squares",
    "descend_signs",
    "extend_cuts",
    "minimise_lagrangian",
    "violated_triangles",
]

_FAST = {"reassoc", "contract", "nsz"}


@jit_kernel(fastmath=_FAST)
def _lagrangian(indptr, indices, data, V, start, member, sign, gamma, sigma, G):
    """Augmented Lagrangian at V, and half its gradient in G (n, k)."""
    n, k = V.shape
    value = 0.0
    for i in range(n):
        for r in range(k):
            G[i, r] = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            a, j = data[p], indices[p]
            for r in range(k):
                G[i, r] += a * V[j, r]
        for r in range(k):
            value += G[i, r] * V[i, r]
    u = np.empty(k)
    for t in range(len(gamma)):
        for r in range(k):
            u[r] = 0.0
        for p in range(start[t], start[t + 1]):
            b, j = sign[p], member[p]
            for r in range(k):
                u[r] += b * V[j, r]
        square = 0.0
        for r in range(k):
            square += u[r] * u[r]
        weight = gamma[t] + sigma * (1.0 - square)
        value -= gamma[t] * gamma[t] / (2.0 * sigma)
        if weight > 0.0:
            value += weight * weight / (2.0 * sigma)
            for p in range(start[t], start[t + 1]):
                b, j = weight * sign[p], member[p]
                for r in range(k):
                    G[j, r] -= b * u[r]
    return value


@jit_kernel(fastmath=_FAST)
def _tangent(V, G, P):
    """P = twice the part of G tangent to the spheres; returns its squared norm."""
    n, k = V.shape
    total = 0.0
    for i in range(n):
        along = 0.0
        for r in range(k):
            along += G[i, r] * V[i, r]
        for r in range(k):
            P[i, r] = 2.0 * (G[i, r] - along * V[i, r])
            total += P[i, r] * P[i, r]
    return total


@jit_kernel(fastmath=_FAST)
def _inner(A, B):
    total = 0.0
    for i in range(A.shape[0]):
        for r in range(A.shape[1]):
            total += A[i, r] * B[i, r]
    return total


@jit_kernel(fastmath=_FAST)
def _add(A, factor, B):
    for i in range(A.shape[0]):
        for r in range(A.shape[1]):
            A[i, r] += factor * B[i, r]


@jit_kernel(fastmath=_FAST)
def _retract(V, step, D, W):
    """W = rows of V - step D, scaled to length 1."""
    n, k = V.shape
    for i in range(n):
        square = 0.0
        for r in range(k):
            W[i, r] = V[i, r] - step * D[i, r]
            square += W[i, r] * W[i, r]
        scale = 1.0 / np.sqrt(square)
        for r in range(k):
            W[i, r] *= scale


@jit_kernel(fastmath=_FAST)
def minimise_lagrangian(
    indptr, indices, data, V, start, member, sign, gamma, sigma, tolerance, S, Y, rho, P, state, max_iterations
):
    """L-BFGS over the unit rows of V (n, k), which is overwritten; the next call goes on where this one ended.

    Minimises ``<A, VV'> + sum over t of (max(0, gamma_t + sigma (1 - |V'b_t|**2))**2 - gamma_t**2) / (2 sigma)``, A in
    CSR. Ends when the norm of the gradient is at most `tolerance`, or no step lowers the value. S, Y (m, n, k), rho (m)
    and P (n, k) are its memory, state (5) holds counters and the value, zeros at the start. Returns the value, the norm
    and the iterations of this call, fewer than `max_iterations` at the end.
    """
    n, k = V.shape
    depth = len(rho)
    alpha = np.zeros(depth)
    G, D = np.empty((n, k)), np.empty((n, k))
    W, P_new = np.empty((n, k)), np.empty((n, k))
    iterations = 0
    if state[0] == 0.0:
        state[0] = 1.0
        state[3] = _lagrangian(indptr, indices, data, V, start, member, sign, gamma, sigma, G)
        state[4] = _tangent(V, G, P)
    stored, head, value, square = int(state[1]), int(state[2]), state[3], state[4]
    while iterations < max_iterations and square > tolerance * tolerance:
        iterations += 1
        D[:] = P
        for back in range(stored):
            h = (head - 1 - back) % depth
            alpha[h] = _inner(S[h], D) * rho[h]
            _add(D, -alpha[h], Y[h])
        if stored > 0:
            h = (head - 1) % depth
            D *= 1.0 / (rho[h] * _inner(Y[h], Y[h]))
        else:
            D *= 0.1 / np.sqrt(square / n)
        for back in range(stored - 1, -1, -1):
            h = (head - 1 - back) % depth
            _add(D, alpha[h] - _inner(Y[h], D) * rho[h], S[h])
        slope = -_inner(D, P)
        if slope >= 0.0:
            D[:] = P
            D *= 0.1 / np.sqrt(square / n)
            slope = -_inner(D, P)
            stored = 0
        step, lowered = 1.0, False
        new_value = value
        for _ in range(20):
            _retract(V, step, D, W)
            new_value = _lagrangian(indptr, indices, data, W, start, member, sign, gamma, sigma, G)
            if new_value <= value + 1e-4 * step * slope:
                lowered = True
                break
            step *= 0.4
        if not lowered:
            if stored == 0:
                break
            stored = 0
            continue
        new_square = _tangent(W, G, P_new)
        for i in range(n):
            for r in range(k):
                S[head, i, r] = W[i, r] - V[i, r]
                Y[head, i, r] = P_new[i, r] - P[i, r]
        curvature = _inner(S[head], Y[head])
        if curvature > 1e-12 * step * abs(slope):
            rho[head] = 1.0 / curvature
            head = (head + 1) % depth
            stored = min(stored + 1, depth)
        V[:] = W
        P[:] = P_new
        value, square = new_value, new_square
    state[1], state[2], state[3], state[4] = stored, head, value, square
    return value, np.sqrt(square), iterations


@jit_kernel
def clique_matrix(A, start, member, sign, gamma, M):
    """M = A - sum of gamma_t b_t b_t', both dense."""
    M[:] = A
    for t in range(len(gamma)):
        for p in range(start[t], start[t + 1]):
            for o in range(start[t], start[t + 1]):
                M[member[p], member[o]] -= gamma[t] * sign[p] * sign[o]


@jit_kernel
def cut_squares(start, member, sign, V, squares):
    """squares[t] = |V'b_t|**2."""
    u = np.empty(V.shape[1])
    for t in range(len(squares)):
        u[:] = 0.0
        for p in range(start[t], start[t + 1]):
            for r in range(len(u)):
                u[r] += sign[p] * V[member[p], r]
        squares[t] = (u * u).sum()


@jit_kernel
def violated_triangles(X, threshold, members, signs, violations, count, first, last):
    """Triangles with ``1 - b'Xb > threshold``, as rows of members and signs (capacity, 3), from row `count` on.

    Of those whose least variable lies in [first, last); returns the new number of rows. The first sign of a row is +1.
    Stops when the capacity is full.
    """
    n, capacity = len(X), len(violations)
    for i in range(first, last):
        for j in range(i + 1, n):
            a = X[i, j]
            for k in range(j + 1, n):
                b, c = X[i, k], X[j, k]
                # For signs (1, s, t): b'Xb = 3 + 2 (s a + t b + s t c).
                if -2.0 + 2.0 * max(max(-a - b - c, -a + b + c), max(a - b + c, a + b - c)) <= threshold:
                    continue
                for s in (1, -1):
                    for t in (1, -1):
                        violation = -2.0 - 2.0 * (s * a + t * b + s * t * c)
                        if violation > threshold and count < capacity:
                            members[count, 0], members[count, 1], members[count, 2] = i, j, k
                            signs[count, 0], signs[count, 1], signs[count, 2] = 1, s, t
                            violations[count] = violation
                            count += 1
    return count


@jit_kernel(fastmath=_FAST)
def extend_cuts(X, V, members, signs, new_members, new_signs, violations):
    """Add to each cut (rows of width w) the two signed variables that lower b'Xb most; rows of width w + 2.

    ``violations[t]`` is 1 - b'Xb of the result.
    """
    n, k = V.shape
    m, w = members.shape
    u, d = np.empty(k), np.empty(n)
    taken = np.zeros(n, np.bool_)
    for t in range(m):
        u[:] = 0.0
        for p in range(w):
            taken[members[t, p]] = True
            for r in range(k):
                u[r] += signs[t, p] * V[members[t, p], r]
        square = 0.0
        for r in range(k):
            square += u[r] * u[r]
        for i in range(n):
            d[i] = 0.0
            for r in range(k):
                d[i] += u[r] * V[i, r]
        best, best_i, best_j = np.inf, -1, -1
        for i in range(n):
            if taken[i]:
                continue
            di, row = d[i], X[i]
            for j in range(i + 1, n):
                # Signs (s, t): 2 (s d_i + t d_j + s t X_ij), for equal and for opposite signs at their best.
                change = min(row[j] - abs(di + d[j]), -row[j] - abs(di - d[j]))
                if change < best and not taken[j]:
                    best, best_i, best_j = change, i, j
        for p in range(w):
            taken[members[t, p]] = False
            new_members[t, p], new_signs[t, p] = members[t, p], signs[t, p]
        if best_i < 0:
            violations[t] = -np.inf
            continue
        di, dj, x = d[best_i], d[best_j], X[best_i, best_j]
        if x - abs(di + dj) <= -x - abs(di - dj):
            s = -1 if di + dj > 0.0 else 1
            t_sign = s
        else:
            s = -1 if di - dj > 0.0 else 1
            t_sign = -s
        new_members[t, w], new_members[t, w + 1] = best_i, best_j
        new_signs[t, w], new_signs[t, w + 1] = s, t_sign
        violations[t] = 1.0 - (square + 2.0 + 2.0 * (s * di + t_sign * dj + s * t_sign * x))


@jit_kernel
def descend_signs(A, Z):
    """One-flip descent on z'Az, A with zero diagonal, from each row of Z (m, n, float64), overwritten; the energies."""
    m, n = Z.shape
    energies = np.empty(m)
    field = np.empty(n)
    for row in range(m):
        z = Z[row]
        for i in range(n):
            total = 0.0
            for j in range(n):
                total += A[i, j] * z[j]
            field[i] = total
        for _ in range(20 * n):
            best, at = -1e-9, -1
            for i in range(n):
                if -z[i] * field[i] < best:
                    best, at = -z[i] * field[i], i
            if at < 0:
                break
            z[at] = -z[at]
            step = 2.0 * z[at]
            for j in range(n):
                field[j] += step * A[at, j]
        total = 0.0
        for i in range(n):
            total += z[i] * field[i]
        energies[row] = total
    return energies

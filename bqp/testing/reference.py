"""Plain numpy twins of the kernels and answers by looking at every assignment: slow, short and obviously right.

Nothing here calls the code that it checks: problems are read through their numbers (Q written out, c, offset).
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np

__all__ = [
    "all_assignments",
    "all_energies",
    "anneal",
    "are_twins",
    "components",
    "deltas_of",
    "descend",
    "descend_codes",
    "descend_greedy",
    "energy_of",
    "exact_energy",
    "factor_steps",
    "flip_bits",
    "mixing_sweep",
    "optimum",
    "solve_codes",
    "swap_codes",
    "tabu",
]


def all_assignments(n: int, domain: str = "spin") -> np.ndarray:
    """Every assignment of n variables, shape (2**n, n), int8."""
    low = -1 if domain == "spin" else 0
    return np.array(list(itertools.product((low, 1), repeat=n)), dtype=np.int8).reshape(2**n, n)


def numbers(problem) -> tuple[np.ndarray, np.ndarray, float]:
    """Q written out, c and the offset."""
    return problem.Q.to_dense(), np.array(problem.c), problem.offset


def energy_of(Q, c, offset, x) -> float:
    """x'Qx + c'x + offset."""
    x = np.asarray(x, dtype=np.float64)
    return float(x @ Q @ x + c @ x + offset)


def exact_energy(problem, x) -> Fraction:
    """The energy in rational arithmetic: what it is before any rounding."""
    Q, c, offset = numbers(problem)
    x = [int(value) for value in x]
    total = Fraction(offset)
    for i, x_i in enumerate(x):
        total += Fraction(float(c[i])) * x_i
        for j, x_j in enumerate(x):
            total += Fraction(float(Q[i, j])) * x_i * x_j
    return total


def all_energies(problem) -> tuple[np.ndarray, np.ndarray]:
    """Every assignment, and the energy of each as a float; exact for integers."""
    X = all_assignments(problem.n, problem.domain)
    Q, c, offset = numbers(problem)
    Y = X.astype(np.float64)
    return X, ((Y @ Q) * Y).sum(axis=1) + Y @ c + offset


def optimum(problem) -> float:
    """The least energy, for problems whose sums are exact in floats."""
    return float(all_energies(problem)[1].min())


def exact_optimum(problem) -> Fraction:
    """The least energy in rational arithmetic: every number as a Python integer over one power of two."""
    Q, c, offset = numbers(problem)
    unit = max(Fraction(float(value)).denominator for value in (*Q.flat, *c, offset))
    Q, c, offset = (np.vectorize(lambda v: int(Fraction(float(v)) * unit), otypes="O")(v) for v in (Q, c, offset))
    X = all_assignments(problem.n, problem.domain).astype(object)
    energies = ((X @ Q) * X).sum(axis=1) + X @ c if problem.n else [0]
    return Fraction(int(min(energies)) + int(offset), unit)


def deltas_of(Q, c, x) -> np.ndarray:
    """Energy change of flipping each spin alone: two evaluations each."""
    x = np.asarray(x, dtype=np.float64)
    out = np.empty(len(x))
    for i in range(len(x)):
        y = x.copy()
        y[i] = -y[i]
        out[i] = energy_of(Q, c, 0.0, y) - energy_of(Q, c, 0.0, x)
    return out


def descend(Q, c, x, order, max_moves=np.inf) -> tuple[np.ndarray, int]:
    """Visit the spins in `order` once, flipping each that improves; returns x and the moves made."""
    x, moves = np.array(x), 0
    for i in order:
        if moves < max_moves and deltas_of(Q, c, x)[i] < 0:
            x[i], moves = -x[i], moves + 1
    return x, moves


def descend_greedy(Q, c, x, max_moves=np.inf) -> tuple[np.ndarray, int]:
    """Flip the spin that gains most (the first of them) until none gains; returns x and the moves made."""
    x, moves = np.array(x), 0
    while moves < max_moves and len(x) and deltas_of(Q, c, x).min() < 0:
        i = int(np.argmin(deltas_of(Q, c, x)))
        x[i], moves = -x[i], moves + 1
    return x, moves


def anneal(Q, c, x, temperatures, draws, word) -> np.ndarray:
    """Metropolis sweeps, one a temperature, with the random numbers of the dense and sparse kernels; the last x.

    Every 16 spins the random word `word` (64 bits) moves on and says where in `draws` (exponentials; in their type the
    comparison is made) theirs begin; a flip that changes nothing needs a bit of the word that is 0.
    """
    x, real = np.array(x), draws.dtype.type
    for temperature in temperatures:
        for i in range(len(x)):
            if i % 16 == 0:
                word = (word * 6364136223846793005 + 1442695040888963407) % 2**64
            delta, way = deltas_of(Q, c, x)[i], draws[(word >> 50) + i % 16]
            if real(delta) < real(temperature) * way and not (delta == 0 and word >> (20 + i % 16) & 1):
                x[i] = -x[i]
    return x


def tabu(Q, c, x, tenure, max_moves, aspirate=True) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """One-flip tabu search without random ties: the last x, the best x, and the spin of each move (-1: all tabu)."""
    x = np.array(x)
    best, flips = x.copy(), []
    free_from = np.zeros(len(x))
    for now in range(max_moves):
        deltas, energy = deltas_of(Q, c, x), energy_of(Q, c, 0.0, x)
        allowed = free_from <= now
        if aspirate and energy + deltas.min() < energy_of(Q, c, 0.0, best):
            allowed[:] = True
        if not allowed.any():
            flips.append(-1)
            continue
        i = int(np.argmin(np.where(allowed, deltas, np.inf)))
        x[i] = -x[i]
        free_from[i] = now + 1 + tenure
        flips.append(i)
        if energy_of(Q, c, 0.0, x) < energy_of(Q, c, 0.0, best):
            best = x.copy()
    return x, best, flips


def are_twins(Q, i: int, j: int) -> bool:
    """Whether rows i and j agree apart from their own pair."""
    others = [k for k in range(len(Q)) if k not in (i, j)]
    return bool(np.array_equal(Q[i, others], Q[j, others]))


def components(Q) -> np.ndarray:
    """Least member of the connected component of each variable, by closing the relation."""
    reach = (Q != 0) | np.eye(len(Q), dtype=bool)
    for _ in range(len(Q)):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    return np.argmax(reach, axis=1) if len(Q) else np.empty(0, int)


# ---- all bits of all points: `value` maps codes (n, q) to their loss -------------------------------------------------


def flip_bits(B, places) -> np.ndarray:
    """A copy of codes with the bits at these (point, bit) places flipped."""
    out = np.array(B)
    for i, k in places:
        out[i, k] = -out[i, k]
    return out


def descend_codes(value, B, order, pairs=True) -> np.ndarray:
    """Points in `order`: bits in turn that gain, again while one does, then the pair of bits that gains most."""
    B, q = np.array(B), B.shape[1]
    for i in order:
        moved = True
        while moved:
            moved = False
            for k in range(q):
                if value(flip_bits(B, [(i, k)])) < value(B):
                    B, moved = flip_bits(B, [(i, k)]), True
            if not moved and pairs:
                two = [flip_bits(B, [(i, k), (i, m)]) for k in range(q) for m in range(k)]
                best = min(two, key=value, default=B)
                if value(best) < value(B):
                    B, moved = best, True
    return B


def swap_codes(value, B, deltas, points, all_bits=True) -> tuple[np.ndarray, np.ndarray, int]:
    """Flip a bit of two points at once where that gains: each of `points` with those before it, bit after bit.

    `deltas` (n, q) say what single flips are believed to cost; a pair that looks good by them is looked at again with
    true ones (of all bits of both points, or of this bit alone). Returns codes, beliefs and the number of moves.
    """
    B, deltas, moves = np.array(B), np.array(deltas, dtype=float), 0

    def look(i, k):
        for m in range(B.shape[1]) if all_bits else [k]:
            deltas[i, m] = value(flip_bits(B, [(i, m)])) - value(B)

    for i in points:
        for j in range(i):
            for k in range(B.shape[1]):
                alone = [value(flip_bits(B, [(point, k)])) - value(B) for point in (i, j)]
                both = value(flip_bits(B, [(i, k), (j, k)])) - value(B)
                if deltas[i, k] + deltas[j, k] + both - sum(alone) < 0:
                    look(i, k), look(j, k)
                    if both < 0:
                        B, moves = flip_bits(B, [(i, k), (j, k)]), moves + 1
                        look(i, k), look(j, k)
    return B, deltas, moves


def solve_codes(value, B, counted, bits, places, starts) -> tuple[np.ndarray, int]:
    """Each of `bits` at its best given the counted ones, by looking at every assignment up to its sign.

    `value` is told which bits count. Assignments come in the order of the Gray code, a 1 in it flipping the spin of
    `starts` at that place; the first of the best is taken. A counted bit stays unless another is better.
    """
    B, counted, replaced = np.array(B), np.array(counted), 0
    n = len(B)
    for k, place, start in zip(bits, places, starts):
        candidates = []
        for step in range(2 ** (n - 1)):
            code = step ^ (step >> 1)
            x = np.array([-spin if code >> i & 1 else spin for i, spin in enumerate(start)])
            candidate = np.array(B)
            candidate[place, k] = x
            candidates.append(candidate)
        was, counted[k] = counted[k], True
        best = min(candidates, key=lambda candidate: value(candidate, counted))
        if not was or value(best, counted) < value(B, counted):
            B, replaced = best, replaced + 1
    return B, replaced


def factor_steps(S, H, order) -> np.ndarray:
    """Newton steps on ``||q S - H H'||^2``, one entry of `H` in [-1, 1] at a time; twin of `factor_sweep`."""
    H, q = H.copy(), H.shape[1]
    for i, j in zip(order // q, order % q):
        R = H @ H.T - q * S
        slope = 4 * R[i] @ H[:, j]
        curvature = 4 * (H[:, j] @ H[:, j] + H[i, j] ** 2 + R[i, i])
        d = -slope / curvature if curvature > 0 else -2 * np.sign(slope) if slope else -2.0
        changed = H.copy()
        changed[i, j] = np.clip(H[i, j] + d, -1, 1)
        if np.sum((changed @ changed.T - q * S) ** 2) < np.sum(R**2):
            H = changed
    return H


def mixing_sweep(A, V, omega=0.0) -> None:
    """One sweep of the mixing method over unit rows of V, in place, each turned by w = -(1 + omega) g/|g| - omega v."""
    for i in range(len(A)):
        g = A[i] @ V
        if np.linalg.norm(g) > 0:
            w = -(1 + omega) * g / np.linalg.norm(g) - omega * V[i]
            V[i] = w / np.linalg.norm(w)

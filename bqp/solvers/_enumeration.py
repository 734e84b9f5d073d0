"""Enumeration in Gray-code order (F. Gray, "Pulse code communication", US patent 2632058, 1953)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bqp.problem import BQP
from bqp.rng import streams
from bqp.solution import Status
from bqp.solvers.run import Run

__all__ = ["enumerate_all"]

_LOW_BITS = 20  # variables enumerated by one kernel call: about 10 ms


def enumerate_all(problem: BQP, run: Run, seeds: np.random.SeedSequence, n_jobs: int, ties: str) -> None:
    """Look at every assignment of a spin problem and prove the best; an assignment counts as a move.

    About 2**n * 5 ns on one thread: 10 ms at n = 20, 5 s at n = 30. Without a linear term the global flip is a
    symmetry, and half of the assignments suffice. Data are rounded to integers of about 51 bits, so that the running
    sums are exact; where that changes anything, the bound lies below the energy by twice the change.
    """
    from bqp.kernels.enumeration import enumerate_low_bits

    n = problem.n
    Q, c, rounding = _quantised(problem)
    order, sign = np.arange(n), np.ones(n, np.int8)
    if ties == "random":
        rng = streams(seeds, 1)[0]
        order, sign = rng.permutation(n), (2 * rng.integers(0, 2, n) - 1).astype(np.int8)
        Q = np.ascontiguousarray((Q * np.outer(sign, sign))[np.ix_(order, order)])
        c = (c * sign)[order]

    def assignment(code: np.uint64) -> np.ndarray:
        x = np.empty(n, np.int8)
        x[order] = _spins(code, n)
        return x * sign

    symmetric = not c.any() and run.n_solutions == 1
    free = n - 1 if symmetric and n > 1 else n
    n_low, max_moves = min(free, _LOW_BITS), run.budget.max_moves
    if max_moves is not None:  # every assignment looked at counts as a move
        if max_moves == 0:
            return run.stop(Status.MAX_MOVES)
        n_low = min(n_low, int(max_moves).bit_length() - 1)
    n_prefixes = 1 << (free - n_low)
    n_allowed = n_prefixes if max_moves is None else min(n_prefixes, int(max_moves) >> n_low)
    pool = min(run.n_solutions, 1 << free)

    def one(prefix: int):
        x = np.ones(n)
        for bit in range(free - n_low):
            x[n_low + bit] = 1.0 if prefix >> bit & 1 else -1.0
        energies, codes = np.full(pool, np.inf), np.zeros(pool, np.uint64)
        enumerate_low_bits(Q, c, x, n_low, energies, codes)
        return energies, codes

    done = 0
    best_energies, best_codes = np.empty(0), np.empty(0, np.uint64)
    executor = ThreadPoolExecutor(max_workers=n_jobs) if n_jobs > 1 and n_prefixes > 1 else None
    try:
        while done < n_allowed and not run.stopping:
            batch = range(done, min(done + 4 * n_jobs, n_allowed))
            results = executor.map(one, batch) if executor else map(one, batch[:1])
            for energies, codes in results:  # in order, so that any number of threads gives one answer
                done += 1
                best_energies = np.concatenate([best_energies, energies])
                best_codes = np.concatenate([best_codes, codes])
                keep = np.lexsort((best_codes, best_energies))[:pool]
                best_energies, best_codes = best_energies[keep], best_codes[keep]
                run.n_moves = done << n_low
                run.offer(assignment(best_codes[0]))
                if run.budget.target is not None and run.energy <= run.budget.target and done < n_prefixes:
                    run.stop(Status.TARGET_REACHED)
                    break
            run.tick()
        if done == n_allowed < n_prefixes:
            run.stop(Status.MAX_MOVES)
    finally:
        if executor is not None:
            executor.shutdown()
    for code, energy in zip(best_codes, best_energies):
        if np.isfinite(energy):
            run.offer(assignment(code))
    if done == n_prefixes:
        run.prove(run.energy - rounding)
        run.status = Status.OPTIMAL


def _quantised(problem) -> tuple[np.ndarray, np.ndarray, float]:
    """Q and c as integers in a unit so fine that every sum of them is exact in float64, and what the rounding costs.

    The cost is 0 for data that are multiples of the unit. Else, with e the sum of all changes, the best assignment of
    the rounded problem lies within 2 e of the optimum.
    """
    Q, c = problem.Q.to_dense(), problem.c
    np.fill_diagonal(Q, 0.0)
    scale = float(np.abs(Q).sum() + np.abs(c).sum())
    if scale == 0.0:
        return Q, c, 0.0
    unit = float(np.ldexp(1.0, max(-1074, int(np.frexp(scale)[1]) - 51)))
    whole_Q, whole_c = np.rint(Q / unit), np.rint(c / unit)
    changes = float(np.abs(Q - whole_Q * unit).sum() + np.abs(c - whole_c * unit).sum())
    return np.ascontiguousarray(whole_Q), whole_c, 2.0 * changes


def _spins(code: np.uint64, n: int) -> np.ndarray:
    bits = (int(code) >> np.arange(n)) & 1 if n < 63 else np.array([int(code) >> i & 1 for i in range(n)])
    return (2 * bits - 1).astype(np.int8)

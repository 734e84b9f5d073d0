"""Binary quadratic programs that share their matrix, one per point: the B-step of SDH, FSDH and ADSH.

Point i minimises b'Ab - 2 l_i'b with l_i = base[table_row[i]] + scale_i outputs[i]. Rows are read in blocks of fixed
size, so that the answer does not depend on the number of threads, and nothing of size n q is held in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

__all__ = ["BLOCK_ROWS", "RELATIVE_TIE", "blocks_of", "for_blocks", "sweep_rows"]

BLOCK_ROWS = 2048  # a block of fields and one of codes are 2 MiB at 64 bits
RELATIVE_TIE = 1e-12  # a field this small, relative to the terms it is the sum of, is rounding: a tie


def blocks_of(n: int, step: int = BLOCK_ROWS) -> Iterable[slice]:
    """Slices of at most `step` rows that cover 0..n-1."""
    return (slice(a, min(a + step, n)) for a in range(0, n, step))


@cache
def _libraries():
    """The threaded libraries of this process; to find them takes ten milliseconds, more than most sweeps."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def for_blocks(work: Callable[[slice], int], n: int, n_jobs: int) -> int:
    """Sum of ``work(block)`` over the blocks, on `n_jobs` threads with one BLAS thread each."""
    with _libraries().limit(limits=1):
        if n_jobs == 1 or n <= BLOCK_ROWS:
            return sum(work(block) for block in blocks_of(n))
        with ThreadPoolExecutor(n_jobs) as pool:
            return sum(pool.map(work, blocks_of(n)))


def sweep_rows(
    A: np.ndarray | None,
    base: np.ndarray,
    table_row: np.ndarray,
    outputs: np.ndarray | None,
    scale: float | np.ndarray,
    B: np.ndarray,
    max_sweeps: int,
    n_jobs: int = 1,
) -> int:
    """Set each bit of each row to its best value given the row's other bits, until none changes.

    Parameters
    ----------
    A : ndarray of shape (q, q), or None for 0
        Symmetric; its diagonal is ignored.
    base : ndarray of shape (R, q); table_row : ndarray of shape (n,), int
        Linear terms, shared by the points with the same row.
    outputs : ndarray of shape (n, q), optional; scale : float or ndarray of shape (n,)
        Further linear terms ``scale_i outputs[i]``.
    B : ndarray of shape (n, q), int8
        Written to. 0 stands for a bit that has no value yet; none is left. A tie keeps the value.
    max_sweeps : int

    Returns
    -------
    changes : int

    Notes
    -----
    O(n q^2) for the fields, then O(n q) a sweep and O(q) a change; 2 MiB a thread beside the arguments.
    """
    import bqp.kernels.rows as kernels

    q = B.shape[1]
    largest = float(np.abs(base).max(initial=0.0))
    if outputs is not None:
        reach = np.abs(outputs).max(axis=1, initial=0.0) * np.abs(scale)
        largest += float(reach.max(initial=0.0))
    if A is None:
        A = np.zeros((q, q))
    else:
        A = A.astype(np.float64)
        np.fill_diagonal(A, 0.0)
    tol = RELATIVE_TIE * (largest + float(np.abs(A).sum(axis=1).max(initial=0.0)))
    coupled = bool(A.any())

    def work(block: slice) -> int:
        fields = base[table_row[block]]
        if outputs is not None:
            weight = scale[block, None] if isinstance(scale, np.ndarray) else scale
            fields += weight * outputs[block]
        if coupled:
            fields -= B[block].astype(np.float64) @ A
        return kernels.descend_rows(A, fields, B[block], tol, max_sweeps)

    return for_blocks(work, len(B), n_jobs)

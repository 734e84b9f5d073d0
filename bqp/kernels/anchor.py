"""Flips of single bits on an anchor graph, whose matrix is a thin sparse factor times its transpose."""

from bqp.kernels._jit import jit_kernel

__all__ = ["climb"]


@jit_kernel
def climb(indptr, indices, values, diagonal, pull, b, t, tol, max_sweeps):
    """Flip entries of one bit while ``b'ZZ'b + pull'b`` rises, point after point.

    Parameters
    ----------
    indptr, indices, values : ndarray
        Z in CSR form.
    diagonal : ndarray of shape (n,), float64
        Of ZZ'.
    pull : ndarray of shape (n,), float64
    b : ndarray of shape (n,), int8
        Written to.
    t : ndarray of shape (m,), float64
        Z'b; kept up to date.
    tol : float
        A flip must gain more than 2 tol.
    max_sweeps : int

    Returns
    -------
    flips : int
    """
    flips = 0
    for _ in range(max_sweeps):
        before = flips
        for i in range(len(b)):
            field = -diagonal[i] * b[i]
            for p in range(indptr[i], indptr[i + 1]):
                field += values[p] * t[indices[p]]
            if b[i] * (2.0 * field + pull[i]) < -tol:
                for p in range(indptr[i], indptr[i + 1]):
                    t[indices[p]] -= 2.0 * values[p] * b[i]
                b[i] = -b[i]
                flips += 1
        if flips == before:
            break
    return flips

"""The one decorator that every kernel uses.

Kernels are nopython, release the interpreter lock, divide as numpy does and are cached on disk, so that a second
process starts without compiling. Set ``BQP_NUMBA_CACHE=0`` to switch the disk cache off.
"""

import os

from numba import njit

__all__ = ["jit_kernel"]

_CACHE = os.environ.get("BQP_NUMBA_CACHE", "1") != "0"


def jit_kernel(function=None, *, fastmath=False):
    """Compile `function` as a kernel; `fastmath` may reassociate sums (exact for integers all the same)."""

    def decorate(f):
        return njit(nogil=True, error_model="numpy", cache=_CACHE, fastmath=fastmath)(f)

    return decorate if function is None else decorate(function)

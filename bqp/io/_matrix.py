"""From lists of entries to problems and back: symmetric matrices, duplicates, blocks of the upper triangle."""

import warnings

import numpy as np
import scipy.sparse as sp

from bqp.errors import BQPWarning, ProblemError
from bqp.forms import Dense, Sparse
from bqp.problem import BQP

__all__ = [
    "binary_problem",
    "check_distinct",
    "entry_lines",
    "format_number",
    "symmetric_form",
    "upper_entries",
    "warn_offset_lost",
]

_SPARSE_BELOW = 0.2  # density
_BLOCK = 1 << 20  # entries of a block of rows that is written out


def check_distinct(source, rows, cols, n, start):
    """Raise a `FormatError` if an unordered pair is listed twice; `start` is the (position, line) of the list."""
    size = rows.size
    if size < 2:
        return
    keys = np.minimum(rows, cols) * n + np.maximum(rows, cols)
    if np.all(keys[1:] > keys[:-1]):
        return
    if n * n <= 8 * size + (1 << 16):
        seen = np.zeros(n * n, dtype=bool)
        seen[keys] = True
        distinct = int(np.count_nonzero(seen)) == size
    else:
        ordered = np.sort(keys)
        distinct = bool(np.all(ordered[1:] > ordered[:-1]))
    if distinct:
        return
    order = np.argsort(keys, kind="stable")
    repeats = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    k = int(np.argmin(order[repeats + 1]))
    first, second = int(order[repeats[k]]), int(order[repeats[k] + 1])
    line, earlier = source.line_of_entry(start, second), source.line_of_entry(start, first)
    raise source.error(
        f"{source.quote(line)} gives a pair a second time; line {earlier} gave it already, as {source.quote(earlier)}. "
        f"Each pair is listed once, in either order; add the values up if both are meant.",
        line,
    )


def symmetric_form(rows, cols, values, n):
    """Symmetric matrix with ``values[k]`` at (i, j) and (j, i): `Sparse` below a density of 0.2, else `Dense`."""
    if 2 * rows.size < _SPARSE_BELOW * n * n:
        off = rows != cols
        entries = np.concatenate([values, values[off]])
        place = np.concatenate([rows, cols[off]]), np.concatenate([cols, rows[off]])
        return Sparse(sp.coo_array((entries, place), shape=(n, n)), check=False)
    Q = np.zeros((n, n))
    Q[rows, cols] = values
    Q[cols, rows] = values
    return Dense(Q, check=False)


def binary_problem(source, form, c, offset, sense):
    """The problem over {0, 1}^n whose objective (in the user's `sense`) is x'Qx + c'x + offset with Q = `form`."""
    try:
        return BQP(form, c, offset, domain="binary", sense=sense)
    except ProblemError as error:
        raise source.error(str(error)) from error


def upper_entries(problem):
    """Yield the non-zero entries (i, j, value), i <= j, of ``Q + diag(c)``, in blocks of rows.

    Structured forms are written out a block at a time: the n x n matrix is never held.
    """
    form, c = problem.Q, problem.c
    if problem.n == 0:
        raise ProblemError("a problem without variables cannot be written as text. Write it as npz.")
    if isinstance(form, Sparse):
        upper = sp.coo_array(sp.triu(sp.csr_array(form.Q + sp.diags_array(c)), format="csr"))
        upper.eliminate_zeros()
        order = np.lexsort((upper.col, upper.row))
        yield upper.row[order], upper.col[order], upper.data[order]
        return
    step = max(1, _BLOCK // problem.n)
    for start in range(0, problem.n, step):
        index = np.arange(start, min(start + step, problem.n))
        block = np.array(form.rows(index), dtype=np.float64)
        block[np.arange(index.size), index] += c[index]
        rows, cols = np.nonzero(np.triu(block, k=start))
        yield rows + start, cols, block[rows, cols]


def format_number(value):
    """Shortest text that reads back as `value` (float): whole numbers without a point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e18 else repr(value)


def entry_lines(rows, cols, values, base=1):
    """Return the lines ``i j value`` as one str."""
    values = np.asarray(values, dtype=np.float64)
    if np.all(np.abs(values) < 2**53) and np.all(values == np.floor(values)):
        texts = values.astype(np.int64).tolist()
    else:
        texts = [format_number(value) for value in values.tolist()]
    return "".join(map("%d %d %s\n".__mod__, zip((rows + base).tolist(), (cols + base).tolist(), texts)))


def warn_offset_lost(path, format, offset):
    """Warn that the energies read back from a file without an offset differ by `offset`."""
    if offset:
        warnings.warn(
            f"{path}: a {format} file has no place for the offset {format_number(offset)}, so that energies read back "
            f"lack it. Write npz or qplib to keep it.",
            BQPWarning,
            stacklevel=4,
        )

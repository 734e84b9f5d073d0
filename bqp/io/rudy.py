"""Rudy files (Gset, Biq Mac ``.rudy``, ``.mc``): ``n m``, then ``i j w``; maximise the weight of the cut.

Named after G. Rinaldi's graph generator rudy, which made the Gset of C. Helmberg and F. Rendl, A spectral bundle method
for semidefinite programming, SIAM Journal on Optimization, 2000.
"""

import numpy as np

from bqp.errors import ProblemError
from bqp.io._matrix import entry_lines, symmetric_form, upper_entries, warn_offset_lost
from bqp.io._source import Source, read_bytes, write_bytes
from bqp.io._triplets import read_instance
from bqp.problem import BQP

__all__ = ["read_rudy", "write_rudy"]

_ROUNDING = 1e-12  # of the largest row sum: a linear term below it is the rounding of a change of domain


def read_rudy(path):
    """Read a graph as a max-cut problem: maximise the weight of the edges between x = +1 and x = -1.

    Parameters
    ----------
    path : str or path-like
        Plain, gz or xz. An edge without a weight weighs 1.

    Returns
    -------
    problem : BQP
        Spin domain, sense "max", objective = weight of the cut; sparse below a density of 0.2.

    Raises
    ------
    FormatError
        If the file is not of this layout: cut short, too long, a vertex out of range, a weight that is no finite
        number, an edge listed twice, or an edge from a vertex to itself.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "path.rudy"
    >>> _ = path.write_text("3 2\\n1 2 4\\n2 3\\n")
    >>> read_rudy(path).objective([1, -1, 1])
    5.0
    """
    source = Source(path, read_bytes(path), "rudy", comments=b"#")
    n, rows, cols, values, start = read_instance(source, default=True, what="edges")
    loops = np.flatnonzero(rows == cols)
    if loops.size:
        line = source.line_of_entry(start, int(loops[0]))
        raise source.error(
            f"{source.quote(line)} is an edge from a vertex to itself, which no cut holds. A file with diagonal "
            f"entries is a quadratic program: pass format='biq' to minimise or format='orlib' to maximise (--format).",
            line,
        )
    source.finish(f"the {rows.size} edges announced")
    return BQP.from_maxcut(symmetric_form(rows, cols, values, n))


def write_rudy(problem, path):
    """Write the graph whose cuts have the energies of `problem`, negated.

    Parameters
    ----------
    problem : BQP
        Any form, domain and sense, without a linear term once over {-1, +1}^n. It is read back with sense "max".
    path : str or path-like
        Compressed if it ends in ``.gz`` or ``.xz``.

    Raises
    ------
    ProblemError
        If there is a linear term over the spins, or no variable.
    FormatError
        If the path cannot be written.

    Warns
    -----
    BQPWarning
        If energies shift by a constant: that of a cut is zero when no edge is cut.
    """
    spins = problem.to_spin()
    largest = np.max(np.abs(spins.c), initial=0.0)
    if largest and (problem.domain == "spin" or largest > _ROUNDING * spins.Q.abs_row_sums().max()):
        i = int(np.argmax(np.abs(spins.c)))
        raise ProblemError(
            f"{path}: a cut has no linear term, but over {{-1, +1}} this problem has {spins.c[i]:.6g} at variable {i}. "
            f"Write qubo, qplib, biq or npz, which hold linear terms."
        )
    graph = BQP.from_energy(spins.Q, np.zeros(spins.n), 0.0)
    blocks, total, weight, diagonal = [], 0, 0.0, spins.Q.diagonal().sum()
    for rows, cols, values in upper_entries(graph):
        edges = rows != cols
        weights = 4.0 * values[edges]
        blocks.append(entry_lines(rows[edges], cols[edges], weights))
        total += weights.size
        weight += float(weights.sum())
    write_bytes(path, "".join([f"{graph.n} {total}\n", *blocks]).encode())
    lost = spins.offset + float(diagonal) + 0.5 * weight
    if abs(lost) > _ROUNDING * (abs(spins.offset) + abs(float(diagonal)) + abs(weight)):
        warn_offset_lost(path, "rudy", lost)

"""D-Wave ``.qubo`` files: ``p qubo 0 maxNodes nNodes nCouplers``, diagonals ``i i v``, couplers ``i j v``; minimise.

The format of D-Wave's qbsolv (M. Booth, S. P. Reinhardt, A. Roy, Partitioning optimization problems for hybrid
classical/quantum execution, D-Wave technical report, 2017).
"""

import numpy as np

from bqp.io._matrix import (
    binary_problem,
    check_distinct,
    entry_lines,
    symmetric_form,
    upper_entries,
    warn_offset_lost,
)
from bqp.io._scan import scan_entries
from bqp.io._source import Source, read_bytes, write_bytes
from bqp.io._triplets import MOST_VARIABLES, format_remedy

__all__ = ["read_qubo", "write_qubo"]


def read_qubo(path):
    """Read a ``.qubo`` file: minimise ``sum_i v_ii x_i + sum_{i<j} v_ij x_i x_j`` over {0, 1}^n.

    Parameters
    ----------
    path : str or path-like
        Plain, gz or xz. Lines that begin with ``c`` are comments. Nodes are counted from 0; one that has no line of
        its own has no linear term.

    Returns
    -------
    problem : BQP
        Binary domain, sense "min"; sparse below a density of 0.2. The value of a coupler is the full coefficient of
        ``x_i x_j``, so Q holds half of it at (i, j) and at (j, i).

    Raises
    ------
    FormatError
        If the header is missing or wrong, the file is cut short or too long, an index is out of range, a value is no
        finite number, a diagonal stands among the couplers or the reverse, or an entry is listed twice.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tiny.qubo"
    >>> _ = path.write_text("c a comment\\np qubo 0 2 1 1\\n0 0 -3\\n0 1 5\\n")
    >>> read_qubo(path).energy([1, 1])
    2.0
    """
    source = Source(path, read_bytes(path), "qubo", comments=b"c")
    n, n_nodes, n_couplers = _header(source)
    start = source.position, source.line
    rows, cols, values = scan_entries(source, n_nodes + n_couplers, n, base=0, what="nodes and couplers")
    wrong = np.flatnonzero(np.r_[rows[:n_nodes] != cols[:n_nodes], rows[n_nodes:] >= cols[n_nodes:]])
    if wrong.size:
        k = int(wrong[0])
        line = source.line_of_entry(start, k)
        wanted = (
            f"a node 'i i value': the header announces {n_nodes} nodes first"
            if k < n_nodes
            else f"a coupler 'i j value' with i < j: the header announces {n_nodes} nodes, then {n_couplers} couplers"
        )
        raise source.error(f"{source.quote(line)} came where {wanted}. Correct the line or the header.", line)
    check_distinct(source, rows, cols, n, start)
    source.finish(f"the {n_nodes} nodes and {n_couplers} couplers announced")
    values[n_nodes:] *= 0.5
    return binary_problem(source, symmetric_form(rows, cols, values, n), np.zeros(n), 0.0, "min")


def _header(source):
    tokens, line = source.next_line("the header 'p qubo 0 maxNodes nNodes nCouplers'")
    if tokens[:2] != ["p", "qubo"] or len(tokens) != 6:
        raise source.error(
            f"{' '.join(tokens)[:60]!r} came where the header 'p qubo 0 maxNodes nNodes nCouplers' is "
            f"expected.{format_remedy(source)}",
            line,
        )
    if tokens[2].lower() not in ("0", "unconstrained"):
        raise source.error(
            f"topology {tokens[2]!r} is not known; 0 (or 'unconstrained') is. Write 0 if the indices are plain node "
            f"numbers.",
            line,
        )
    n = source.integer(tokens[3], "maxNodes in the header", line, 1)
    n_nodes = source.integer(tokens[4], "nNodes in the header", line)
    n_couplers = source.integer(tokens[5], "nCouplers in the header", line)
    if n > MOST_VARIABLES:
        raise source.error(f"maxNodes is {n}; at most {MOST_VARIABLES} can be read. Check the header.", line)
    return n, n_nodes, n_couplers


def write_qubo(problem, path):
    """Write a ``.qubo`` file whose energies are those of `problem`.

    Parameters
    ----------
    problem : BQP
        Any form, domain and sense: spins become bits. The energy is written, so a problem that was maximised is read
        back with sense "min".
    path : str or path-like
        Compressed if it ends in ``.gz`` or ``.xz``.

    Raises
    ------
    ProblemError
        If there are no variables.
    FormatError
        If the path cannot be written.

    Warns
    -----
    BQPWarning
        If the problem has an offset, which the format cannot hold.
    """
    problem = problem.to_binary()
    nodes, couplers, n_nodes, n_couplers = [], [], 0, 0
    for rows, cols, values in upper_entries(problem):
        on = rows == cols
        off = ~on
        nodes.append(entry_lines(rows[on], cols[on], values[on], base=0))
        couplers.append(entry_lines(rows[off], cols[off], 2.0 * values[off], base=0))
        n_nodes += int(on.sum())
        n_couplers += int(off.sum())
    text = "".join([f"p qubo 0 {problem.n} {n_nodes} {n_couplers}\n", *nodes, *couplers])
    write_bytes(path, text.encode())
    warn_offset_lost(path, "qubo", problem.offset)

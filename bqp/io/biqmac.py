"""Biq Mac ``.sparse`` files: ``n m``, then ``i j q``; minimise x'Qx over {0, 1}^n.

A. Wiegele, Biq Mac Library: a collection of max-cut and quadratic 0-1 programming instances of medium size, University
of Klagenfurt, 2007. The layout is OR-Library's with the opposite sense; nothing in a file tells the two apart.
"""

from bqp.io._triplets import read_quadratic, write_quadratic

__all__ = ["read_biq", "write_biq"]


def read_biq(path, index=None):
    """Read a Biq Mac file: minimise ``sum_i q_ii x_i + 2 sum_{i<j} q_ij x_i x_j`` over {0, 1}^n.

    Parameters
    ----------
    path : str or path-like
        Plain, gz or xz.
    index : int, optional
        Which instance, counted from 1, of a file that begins with their number.

    Returns
    -------
    problem : BQP
        Binary domain, sense "min"; sparse below a density of 0.2.

    Raises
    ------
    FormatError
        If the file is not of this layout: cut short, too long, an index out of range, a value that is no finite
        number, a pair listed twice.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tiny.sparse"
    >>> _ = path.write_text("2 2\\n1 1 -3\\n1 2 5\\n")
    >>> read_biq(path).energy([1, 1])
    7.0
    """
    return read_quadratic(path, "biq", "min", index)


def write_biq(problem, path):
    """Write a Biq Mac file whose energies are those of `problem`.

    Parameters
    ----------
    problem : BQP
        Any form, domain and sense: spins become bits, the linear term goes onto the diagonal. The energy is written,
        so a problem that was maximised is read back with sense "min".
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
    write_quadratic(problem, path, "biq", 1.0)

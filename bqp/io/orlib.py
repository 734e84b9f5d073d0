"""OR-Library files (bqp50 to bqp2500): ``n m``, then ``i j q``; maximise x'Qx over {0, 1}^n.

J. E. Beasley, OR-Library: distributing test problems by electronic mail, Journal of the Operational Research Society,
1990. The original files hold several instances behind a line with their number.
"""

from bqp.io._triplets import read_quadratic, write_quadratic

__all__ = ["read_orlib", "write_orlib"]


def read_orlib(path, index=None):
    """Read an OR-Library file: maximise ``sum_i q_ii x_i + 2 sum_{i<j} q_ij x_i x_j`` over {0, 1}^n.

    Parameters
    ----------
    path : str or path-like
        Plain, gz or xz. One instance, or several behind a line with their number.
    index : int, optional
        Which instance of several, counted from 1 (bqp50-1 is the first of bqp50).

    Returns
    -------
    problem : BQP
        Binary domain, sense "max"; sparse below a density of 0.2.

    Raises
    ------
    FormatError
        If the file is not of this layout: cut short, too long, an index out of range, a value that is no finite
        number, a pair listed twice; or if it holds several instances and `index` is missing.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tiny"
    >>> _ = path.write_text("2 2\\n1 1 -3\\n1 2 5\\n")
    >>> read_orlib(path).objective([1, 1])
    7.0
    """
    return read_quadratic(path, "orlib", "max", index)


def write_orlib(problem, path):
    """Write an OR-Library file whose energies are those of `problem`.

    Parameters
    ----------
    problem : BQP
        Any form, domain and sense: spins become bits, the linear term goes onto the diagonal. A problem that was
        minimised is written negated, and is read back with sense "max".
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
    write_quadratic(problem, path, "orlib", -1.0)

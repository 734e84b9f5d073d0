"""Files of binary quadratic programs: OR-Library, Biq Mac, rudy, QPLIB, D-Wave ``.qubo`` and npz.

`read` and `write` go by the name of the file, or by ``format=``. Each format has a reader and a writer of its own, in
its own file; docs/formats.md describes them. Files may be plain or compressed by gzip or xz.
"""

import os
from importlib import import_module

from bqp.errors import FormatError, ParameterError

__all__ = ["FORMATS", "read", "write"]

#: Format name -> (module, one line that says what it is).
FORMATS = {
    "orlib": ("orlib", "OR-Library bqp: maximise x'Qx over {0, 1}"),
    "biq": ("biqmac", "Biq Mac .sparse: minimise x'Qx over {0, 1}"),
    "rudy": ("rudy", "rudy, Gset: maximise the cut"),
    "qplib": ("qplib", "QPLIB: unconstrained binary"),
    "qubo": ("qubo", "D-Wave .qubo: minimise over {0, 1}"),
    "npz": ("npz", "any problem, as bqp.write keeps it"),
}


def read(path, format=None, index=None):
    """Read a problem from a file.

    Parameters
    ----------
    path : str or path-like
        Plain, ``.gz`` or ``.xz``.
    format : {"orlib", "biq", "rudy", "qplib", "qubo", "npz"}, optional
        Left out, the suffix decides (``.qubo``, ``.qplib``, ``.npz``, ``.orlib``; ``.biq``, ``.sparse``; ``.rudy``,
        ``.rud``, ``.mc``, ``.mac``, ``.gset``), or else the content, where it can: orlib, biq and rudy files look alike
        and mean different problems.
    index : int, optional
        Which instance of an orlib or biq file that holds several, counted from 1.

    Returns
    -------
    problem : BQP
        In the domain and sense of the format.

    Raises
    ------
    FormatError
        If there is no such file, its format cannot be told, or it is not a well-formed file of that format. The message
        names the path, the line, what came, what is expected and what to do.
    ParameterError
        If `format` is not known, or `index` is given for a format whose files hold one problem.

    Examples
    --------
    >>> import pathlib, tempfile, bqp
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "edge"
    >>> _ = path.write_text("2 1\\n1 2 7\\n")
    >>> read(path, format="rudy").objective([1, -1])
    7.0
    >>> read(path, format="biq").objective([1, 1])
    14.0
    """
    from bqp.io._detect import format_of_content, format_of_name
    from bqp.io._source import read_bytes

    name = _checked(format) or format_of_name(path)
    if name is None:
        data = read_bytes(path)
        name = format_of_content(data)
        if name is None:
            raise _untold(path, data)
    if index is not None:
        if name not in ("orlib", "biq"):
            raise ParameterError(
                f"index={index!r} picks one of several instances; a {name} file holds one. Leave it out."
            )
        return _function("read", name)(path, index=index)
    return _function("read", name)(path)


def write(problem, path, format=None):
    """Write a problem to a file.

    Parameters
    ----------
    problem : BQP
    path : str or path-like
        Compressed if it ends in ``.gz`` or ``.xz``.
    format : {"orlib", "biq", "rudy", "qplib", "qubo", "npz"}, optional
        Left out, the suffix decides.

    Raises
    ------
    FormatError
        If the path cannot be written, or its suffix stands for no format.
    ParameterError
        If `format` is not known.
    ProblemError
        If the format cannot hold the problem: a linear term in rudy.

    Warns
    -----
    BQPWarning
        If the format has no place for the offset.

    Notes
    -----
    The energies are those of the problem in every format. The user's sense survives in npz and qplib; orlib and rudy
    are read back with sense "max", biq and qubo with "min".
    """
    from bqp.io._detect import SUFFIXES, format_of_name

    name = _checked(format) or format_of_name(path)
    if name is None:
        raise FormatError(
            f"{os.fspath(path)}: the name tells no format. End it in one of {', '.join(sorted(SUFFIXES))}, "
            f"or name one of {', '.join(FORMATS)} with format=."
        )
    _function("write", name)(problem, path)


def _function(verb, name):
    return getattr(import_module(f"bqp.io.{FORMATS[name][0]}"), f"{verb}_{name}")


def _checked(format):
    if format is not None and format not in FORMATS:
        raise ParameterError(f"format must be one of {', '.join(FORMATS)}, got {format!r}.")
    return format


def _untold(path, data):
    from bqp.io._detect import looks_like_triplets

    if looks_like_triplets(data):
        return FormatError(
            f"{os.fspath(path)}: orlib (maximise x'Qx), biq (minimise x'Qx) and rudy (maximise the cut) files look "
            f"alike, and the name does not say which this is. Name it with format='biq' or the like (--format biq)."
        )
    return FormatError(
        f"{os.fspath(path)}: neither name nor content tells the format. Name one of {', '.join(FORMATS)} with format= "
        f"(--format)."
    )

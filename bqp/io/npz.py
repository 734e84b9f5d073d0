"""Our own ``.npz`` files: any problem as it is, form, linear term, offset, domain and sense included.

Arrays of version 1: ``bqp_version``, ``sense``, ``domain``, ``c``, ``offset``, ``form`` (a list of kinds, several for a
sum), and for part k its arrays under ``Q<k>_...``. They hold the energy that is minimised, whatever the sense.
"""

import io

import numpy as np
import scipy.sparse as sp

from bqp.errors import FormatError, ProblemError
from bqp.forms import Dense, Grouped, LowRank, Sparse, Sum
from bqp.io._source import read_bytes, write_bytes
from bqp.problem import BQP

__all__ = ["read_npz", "write_npz"]

_VERSION = 1
_FIELDS = {
    "dense": ("matrix",),
    "sparse": ("data", "indices", "indptr"),
    "low_rank": ("U", "d"),
    "grouped": ("groups", "M"),
}


def read_npz(path):
    """Read a problem that `write_npz` wrote.

    Parameters
    ----------
    path : str or path-like
        Plain, gz or xz. Loaded without pickle, so that a file can run no code.

    Returns
    -------
    problem : BQP
        With the form, domain, sense and offset that were written.

    Raises
    ------
    FormatError
        If the file is no npz file, was not written by `write_npz`, comes from a newer version, or holds arrays that
        make no problem.
    """
    data = read_bytes(path)
    if not data.startswith(b"PK"):
        raise FormatError(
            f"{path}: its first bytes {data[:4]!r} are not those of an npz file. Name its format with format=."
        )
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # damage surfaces as a dozen kinds of error of zipfile, zlib and numpy
        raise FormatError(f"{path}: the npz file cannot be read ({error}). Write it again with bqp.write.") from error
    if "bqp_version" not in arrays:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise FormatError(
            f"{path}: the npz file holds {found}, but no bqp_version, so bqp.write did not write it. Build the problem "
            f"with bqp.BQP(...) from the arrays, then bqp.write it."
        )
    try:
        return _problem(arrays, path)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        detail = f"{error} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
        raise FormatError(f"{path}: its arrays make no problem: {detail}. Write it again with bqp.write.") from error


def _problem(arrays, path):
    version = int(arrays["bqp_version"])
    if version != _VERSION:
        raise FormatError(
            f"{path}: written as version {version}, but version {_VERSION} is known. Install a newer bqp."
        )
    sense, domain = str(arrays["sense"]), str(arrays["domain"])
    parts = [_form(str(kind), k, arrays) for k, kind in enumerate(np.atleast_1d(arrays["form"]))]
    form = parts[0] if len(parts) == 1 else Sum(parts)
    checked = BQP(form, arrays["c"], arrays["offset"], domain=domain)
    return (
        BQP(form.scaled(-1.0), -checked.c, -checked.offset, domain, "max")
        if sense == "max"
        else _minimum(checked, sense)
    )


def _minimum(problem, sense):
    if sense != "min":
        raise ProblemError(f"sense must be 'min' or 'max', got {sense!r}.")
    return problem


def _form(kind, k, arrays):
    if kind not in _FIELDS:
        raise ProblemError(f"the form {kind!r} is not known; {', '.join(_FIELDS)} are.")
    values = [arrays[f"Q{k}_{field}"] for field in _FIELDS[kind]]
    if kind == "dense":
        return Dense(values[0])
    if kind == "sparse":
        n = values[2].size - 1
        matrix = sp.csr_array(tuple(values), shape=(n, n))
        matrix.check_format(full_check=True)
        return Sparse(matrix)
    if kind == "low_rank":
        return LowRank(values[0], values[1])
    return Grouped(values[0], values[1], arrays.get(f"Q{k}_a"))


def write_npz(problem, path):
    """Write `problem` as it is: its form, linear term, offset, domain and sense.

    Parameters
    ----------
    problem : BQP
        Any form; the structure is kept, nothing is written out.
    path : str or path-like
        Compressed if it ends in ``.gz`` or ``.xz``.

    Raises
    ------
    FormatError
        If the path cannot be written.
    ProblemError
        If the form is of a kind that the format does not know.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, bqp
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tiny.npz"
    >>> write_npz(bqp.BQP(np.ones((2, 2)), offset=0.5, sense="max"), path)
    >>> read_npz(path).objective([1, -1])
    0.5
    """
    form = problem.Q
    parts = form.parts if isinstance(form, Sum) else (form,)
    arrays = {
        "bqp_version": np.int64(_VERSION),
        "sense": np.str_(problem.sense),
        "domain": np.str_(problem.domain),
        "c": problem.c,
        "offset": np.float64(problem.offset),
        "form": np.array([part.name for part in parts]),
    }
    for k, part in enumerate(parts):
        arrays.update({f"Q{k}_{field}": value for field, value in _arrays_of(part).items()})
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def _arrays_of(part):
    if isinstance(part, Dense):
        return {"matrix": part.Q}
    if isinstance(part, Sparse):
        return {"data": part.Q.data, "indices": part.Q.indices, "indptr": part.Q.indptr}
    if isinstance(part, LowRank):
        return {"U": part.U, "d": part.d}
    if isinstance(part, Grouped):
        weights = {} if part.a is None else {"a": part.a}
        return {"groups": part.groups, "M": part.M, **weights}
    raise ProblemError(
        f"a form {part.name!r} has no place in an npz file. Pass bqp.BQP(problem.Q.to_dense(), ...) instead."
    )

"""QPLIB text files, unconstrained and binary: ``1/2 x'Qx + b'x + constant`` over {0, 1}^n, minimise or maximise.

F. Furini et al., QPLIB: a library of quadratic programming instances, Mathematical Programming Computation, 2019. One
value stands on each line and the rest of the line is a comment; lists give a default, a count, and the exceptions.
"""

import math

import numpy as np

from bqp.io._matrix import binary_problem, check_distinct, entry_lines, format_number, symmetric_form, upper_entries
from bqp.io._scan import scan_entries
from bqp.io._source import Source, number, read_bytes, write_bytes
from bqp.io._triplets import MOST_VARIABLES, format_remedy

__all__ = ["read_qplib", "write_qplib"]

_COMMENTS = b"#!%"
_OBJECTIVES = {"L": "linear", "D": "diagonal convex", "C": "convex", "Q": "quadratic"}
_VARIABLES = {"C": "continuous", "B": "binary", "M": "binary and continuous", "I": "integer", "G": "of mixed types"}
_CONSTRAINTS = {"N": "no", "B": "box", "L": "linear", "D": "diagonal convex", "C": "convex", "Q": "quadratic"}
_INFINITY = "1.79769313486232E+308"


def read_qplib(path):
    """Read a QPLIB file of an unconstrained binary problem: ``1/2 x'Qx + b'x + constant`` over {0, 1}^n.

    Parameters
    ----------
    path : str or path-like
        Plain, gz or xz.

    Returns
    -------
    problem : BQP
        Binary domain, the file's sense; sparse below a density of 0.2. A line ``i j v`` stands for Q_ij and Q_ji: v is
        the full coefficient of ``x_i x_j``, and v/2 that of ``x_i`` where i = j.

    Raises
    ------
    FormatError
        If the problem has constraints or variables that are not binary, or the file is not of this layout: cut short,
        too long, an index out of range, a value that is no finite number, an entry listed twice.

    Notes
    -----
    Starting points and names of variables are checked and dropped.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tiny.qplib"
    >>> head = ["tiny", "QBN", "maximize", "2 # variables", "1 # quadratic terms", "2 1 6"]
    >>> tail = ["0.5 # default of b", "1", "2 -1", "10 # constant", "1e30 # infinity", "0", "0", "0", "0", "0", "0"]
    >>> _ = path.write_text("\\n".join(head + tail))
    >>> read_qplib(path).objective([1, 1])
    15.5
    """
    source = Source(path, read_bytes(path), "qplib", comments=_COMMENTS)
    objective, sense = _header(source)
    n = _integer(source, "the number of variables", lowest=1)
    if n > MOST_VARIABLES:
        raise source.error(f"{n} variables are announced; at most {MOST_VARIABLES} can be read.")
    if objective == "L":
        rows = cols = np.empty(0, dtype=np.int64)
        values = np.empty(0)
    else:
        total = _integer(source, "the number of quadratic terms")
        start = source.position, source.line
        rows, cols, values = scan_entries(source, total, n, what="quadratic terms")
        check_distinct(source, rows, cols, n, start)
    linear = _list_with_default(source, n, "linear coefficients")
    offset = _real(source, "the constant of the objective")
    infinity = _infinity(source)
    _list_with_default(source, n, "starting values")
    _list_with_default(source, n, "starting values of the bounds' duals")
    _names(source, n)
    for array, what in ((values, "quadratic term"), (linear, "linear coefficient")):
        if array.size and max(array.max(), -array.min()) >= infinity:
            raise source.error(
                f"a {what} reaches the file's value for infinity, {infinity:g}; coefficients are finite."
            )
    return binary_problem(source, symmetric_form(rows, cols, 0.5 * values, n), linear, offset, sense)


def _header(source):
    """Letter of the objective, and the sense."""
    source.next_line("the name of the problem")
    tokens, line = source.next_line("the type of the problem, three letters")
    kind = tokens[0].upper()
    known = (_OBJECTIVES, _VARIABLES, _CONSTRAINTS)
    if len(kind) != 3 or any(letter not in letters for letter, letters in zip(kind, known)):
        raise source.error(
            f"{tokens[0][:60]!r} came where the type of a QPLIB problem, three letters such as QBN, is expected."
            f"{format_remedy(source)}",
            line,
        )
    if kind[1] != "B":
        raise source.error(
            f"type {kind}: its variables are {_VARIABLES[kind[1]]}; only binary ones (QBN, QBB) can be read. "
            f"Encode the others in bits first.",
            line,
        )
    if kind[2] not in "NB":
        raise source.error(
            f"type {kind}: it has {_CONSTRAINTS[kind[2]]} constraints; only unconstrained problems (QBN, QBB) can "
            f"be read. Add the constraints to the objective as penalties first.",
            line,
        )
    tokens, line = source.next_line("the sense, minimize or maximize")
    sense = {"minimize": "min", "minimise": "min", "maximize": "max", "maximise": "max"}.get(tokens[0].lower())
    if sense is None:
        raise source.error(f"the sense must be minimize or maximize, but {tokens[0][:60]!r} came.", line)
    return kind[0], sense


def _value(source, what):
    """The first token of the next line and its number; the rest must be a comment, which no number begins."""
    tokens, line = source.next_line(what)
    if len(tokens) > 1 and number(tokens[1]) is not None:
        raise source.error(
            f"{source.quote(line)} came where {what} is expected, one number. Check the counts above.", line
        )
    return tokens[0], line


def _integer(source, what, lowest=0):
    token, line = _value(source, what)
    return source.integer(token, what, line, lowest)


def _real(source, what):
    token, line = _value(source, what)
    return source.real(token, what, line)


def _infinity(source):
    tokens, line = source.next_line("the value for infinity")
    try:
        value = float(tokens[0])
    except ValueError:
        value = math.nan
    if not value > 0:
        raise source.error(f"the value for infinity must be a positive number, but {tokens[0][:60]!r} came.", line)
    return value


def _list_with_default(source, n, what):
    """Read a default, a count and that many lines ``i value``; shape (n,)."""
    vector = np.full(n, _real(source, f"the default of the {what}"))
    given = np.zeros(n, dtype=bool)
    total = _integer(source, f"the number of {what} that are not the default")
    for k in range(total):
        tokens, line = source.next_line(f"entry {k + 1} of {total} of the {what}, 'i value'")
        i = _variable(source, tokens, line, n, what, given)
        value = number(tokens[1])
        if value is None:
            raise source.error(f"value {tokens[1][:60]!r} of the {what} is not a finite number.", line)
        vector[i] = value
    return vector


def _names(source, n):
    given = np.zeros(n, dtype=bool)
    for k in range(total := _integer(source, "the number of variable names")):
        tokens, line = source.next_line(f"entry {k + 1} of {total} of the variable names, 'i name'")
        _variable(source, tokens, line, n, "variable names", given)
    tokens, line = source.next_line("the number of constraint names")
    if source.integer(tokens[0], "the number of constraint names", line):
        raise source.error(f"{tokens[0]} constraint names came for a problem without constraints; 0 is expected.", line)
    source.finish("the number of constraint names")


def _variable(source, tokens, line, n, what, given):
    """Check a line ``i value`` and return the variable counted from 0; marks it in `given`."""
    if len(tokens) < 2 or (len(tokens) > 2 and tokens[2].encode()[0] not in _COMMENTS):
        raise source.error(f"{source.quote(line)} came where a line 'i value' of the {what} is expected.", line)
    i = source.integer(tokens[0], f"the index of a variable in the {what}", line, 1)
    if i > n:
        raise source.error(f"index {i} in the {what} is out of range: there are {n} variables, counted from 1.", line)
    if given[i - 1]:
        raise source.error(
            f"{source.quote(line)} gives an entry of the {what} a second time. Each is listed once.", line
        )
    given[i - 1] = True
    return i - 1


def write_qplib(problem, path):
    """Write a QPLIB file (type QBN) whose objective is that of `problem`, offset and sense included.

    Parameters
    ----------
    problem : BQP
        Any form, domain and sense: spins become bits, the diagonal of Q goes into the linear term.
    path : str or path-like
        Compressed if it ends in ``.gz`` or ``.xz``.

    Raises
    ------
    ProblemError
        If there are no variables.
    FormatError
        If the path cannot be written.
    """
    problem = problem.to_binary()
    sign = 1.0 if problem.sense == "min" else -1.0
    quadratic, linear, n_quadratic, n_linear = [], [], 0, 0
    for rows, cols, values in upper_entries(problem):
        values, on = sign * values, rows == cols
        off = ~on
        quadratic.append(entry_lines(cols[off], rows[off], 2.0 * values[off]))
        linear += [f"{i + 1} {format_number(value)}\n" for i, value in zip(rows[on].tolist(), values[on].tolist())]
        n_quadratic += int(off.sum())
        n_linear += int(on.sum())
    parts = [
        "BQP\nQBN\n",
        "minimize\n" if problem.sense == "min" else "maximize\n",
        f"{problem.n} # number of variables\n{n_quadratic} # number of quadratic terms in objective\n",
        *quadratic,
        "0 # default value for linear coefficients in objective\n",
        f"{n_linear} # number of non-default linear coefficients in objective\n",
        *linear,
        f"{format_number(sign * problem.offset + 0.0)} # objective constant\n{_INFINITY} # value for infinity\n",
        "0 # default variable primal value in starting point\n",
        "0 # number of non-default variable primal values in starting point\n",
        "0 # default variable bound dual value in starting point\n",
        "0 # number of non-default variable bound dual values in starting point\n",
        "0 # number of non-default variable names\n0 # number of non-default constraint names\n",
    ]
    write_bytes(path, "".join(parts).encode())

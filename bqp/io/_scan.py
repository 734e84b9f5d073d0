"""Lists of ``i j value`` lines, read in one pass over the bytes and checked line by line.

The kernel reads indices and short decimals itself. A decimal with at most 53 bits of digits and a power of ten of at
most 22 in magnitude is one correctly rounded operation; any other number is left to Python's ``float``.
"""

import warnings

import numpy as np

from bqp.errors import BQPWarning
from bqp.io._source import number
from bqp.kernels._jit import jit_kernel

__all__ = ["scan_entries", "scan_lines"]

_TEXT, _BLANK, _NEWLINE, _COMMENT = range(4)
_DONE, _END, _SHORT, _LONG, _INDEX, _NUMBER = range(6)
_POWERS = 10.0 ** np.arange(23)
_EXACT = 2**53
_OVERFLOW = float(np.finfo(np.float64).max)


def _classes(comments):
    kinds = np.full(256, _TEXT, dtype=np.uint8)
    kinds[list(b" \t\r\f\v")] = _BLANK
    kinds[list(b"\n")] = _NEWLINE
    kinds[list(comments)] = _COMMENT
    return kinds


@jit_kernel
def scan_lines(data, kinds, powers, base, n, default, rows, cols, values, slow, state):
    """Fill `rows`, `cols`, `values` from the lines of `data`; return why it stopped (one of the codes above).

    Indices run from `base` to ``base + n - 1`` and are returned counted from 0. With `default` true a line may lack
    its value, which is then 1. Where ``slow[k]`` is not 0, it is the length of a number that is left to Python, and
    ``values[k]`` is its offset. `state` holds position, line, count and the span of the token in question; it and the
    outputs are written to.
    """
    size = data.size
    position, line, count = state[0], state[1], state[2]
    while count < rows.size:
        while position < size and kinds[data[position]] != _TEXT:
            kind = kinds[data[position]]
            if kind == _COMMENT:
                while position < size and kinds[data[position]] != _NEWLINE:
                    position += 1
            else:
                line += kind == _NEWLINE
                position += 1
        state[0], state[1], state[2] = position, line, count
        if position >= size:
            return _END
        for column in range(2):
            while position < size and kinds[data[position]] == _BLANK:
                position += 1
            if position >= size or kinds[data[position]] != _TEXT:
                return _SHORT
            start = position
            index = np.int64(0)
            digits = 0
            while position < size and 48 <= data[position] <= 57 and digits < 18:
                index = index * 10 + (np.int64(data[position]) - 48)
                digits += 1
                position += 1
            whole = digits > 0 and (position >= size or kinds[data[position]] != _TEXT)
            if not whole or index < base or index - base >= n:
                while position < size and kinds[data[position]] == _TEXT:
                    position += 1
                state[3], state[4] = start, position
                return _INDEX
            if column == 0:
                rows[count] = index - base
            else:
                cols[count] = index - base
        while position < size and kinds[data[position]] == _BLANK:
            position += 1
        if position >= size or kinds[data[position]] != _TEXT:
            if not default:
                return _SHORT
            values[count] = 1.0
            count += 1
            continue

        start = position
        negative = data[position] == 45
        if negative or data[position] == 43:
            position += 1
        mantissa = np.int64(0)
        digits = 0
        exponent = 0
        fraction = False
        fits = True
        while position < size:
            byte = np.int64(data[position])
            if 48 <= byte <= 57:
                if mantissa < 900719925474099:  # ten times this and a digit more stays below 2**53
                    mantissa = mantissa * 10 + (byte - 48)
                else:
                    fits = False
                exponent -= fraction
                digits += 1
            elif byte == 46 and not fraction:
                fraction = True
            else:
                break
            position += 1
        if digits > 0 and position < size and (data[position] == 101 or data[position] == 69):
            position += 1
            down = position < size and data[position] == 45
            if down or (position < size and data[position] == 43):
                position += 1
            power = 0
            digits = 0
            while position < size and 48 <= data[position] <= 57 and digits < 6:
                power = power * 10 + (np.int64(data[position]) - 48)
                digits += 1
                position += 1
            exponent += -power if down else power
        value = np.float64(mantissa)
        ended = position >= size or kinds[data[position]] != _TEXT
        if ended and fits and digits > 0 and -22 <= exponent <= 22:
            value = value / powers[-exponent] if exponent < 0 else value * powers[exponent]
            values[count] = -value if negative else value
            slow[count] = 0
        else:
            while position < size and kinds[data[position]] == _TEXT:
                position += 1
            state[3], state[4] = start, position
            if position - start > 255:
                return _NUMBER
            values[count] = start
            slow[count] = position - start
        while position < size and kinds[data[position]] == _BLANK:
            position += 1
        if position < size and kinds[data[position]] == _TEXT:
            return _LONG
        count += 1
    state[0], state[1], state[2] = position, line, count
    return _DONE


def scan_entries(source, total, n, base=1, default=False, what="entries"):
    """Read `total` lines ``i j value`` at the place of `source` and move past them.

    Parameters
    ----------
    source : Source
    total : int
        Number of lines announced by the file.
    n : int
        Number of variables; an index runs from `base` to ``base + n - 1``.
    base : {0, 1}
        What the first index of the file is.
    default : bool
        Whether a line ``i j`` without a value means 1.
    what : str
        What the lines are called in the errors.

    Returns
    -------
    rows, cols : ndarray of shape (total,), int64
        Counted from 0.
    values : ndarray of shape (total,), float64
        Correctly rounded; integers below ``2**53`` are exact.

    Raises
    ------
    FormatError
        If the file ends early, a line has too few or too many tokens, or a token is no index in range or no finite
        number (the message names the line and quotes it), or sums over the values would overflow.

    Warns
    -----
    BQPWarning
        If a value of at least ``2**53`` in magnitude may have been rounded.

    Notes
    -----
    One pass; 25 bytes a line of memory beside the text.
    """
    capacity = min(total, (len(source.data) - source.position) // 3 + 1)  # no line is shorter than "1 1"
    rows, cols = np.empty(capacity, dtype=np.int64), np.empty(capacity, dtype=np.int64)
    values, slow = np.empty(capacity), np.zeros(capacity, dtype=np.uint8)
    state = np.array([source.position, source.line, 0, 0, 0], dtype=np.int64)
    data, kinds = np.frombuffer(source.data, dtype=np.uint8), _classes(source.comments)
    outcome = scan_lines(data, kinds, _POWERS, base, n, default, rows, cols, values, slow, state)
    position, line, count, start, stop = (int(value) for value in state)
    _take_slow_numbers(source, values[:count], slow[:count])
    if outcome == _DONE and count == total:
        source.position, source.line = position, line
        largest = float(max(values.max(), -values.min())) if count else 0.0
        if 8.0 * largest > _OVERFLOW / n / n:
            raise source.error(
                f"values as large as {largest:.3g} add up to infinity in double precision. Scale the values down."
            )
        if largest >= _EXACT:
            warnings.warn(
                f"{source.path}: whole numbers from 2**53 (about 9.0e15) on are rounded to double precision. Scale the "
                f"values down if their last digits matter.",
                BQPWarning,
                stacklevel=2,
            )
        return rows, cols, values
    if outcome in (_DONE, _END):
        raise source.error(
            f"the file ends after {count} of the {total} {what} that it announces; it is cut short. Fetch the file "
            f"again, or correct the count."
        )
    shape = "'i j' or 'i j value'" if default else "'i j value'"
    if outcome in (_SHORT, _LONG):
        amount = "few" if outcome == _SHORT else "many"
        raise source.error(
            f"too {amount} numbers in {source.quote(line)}; a line {shape} is expected, number {count + 1} of the "
            f"{total} {what} announced.",
            line,
        )
    token = source.data[start:stop].decode("utf-8", "replace")[:60]
    if outcome == _INDEX:
        raise source.error(
            f"index {token!r} in {source.quote(line)} is out of range: the file announces {n} variables, so an index "
            f"is a whole number from {base} to {base + n - 1}.",
            line,
        )
    raise _bad_number(source, token, line)


def _take_slow_numbers(source, values, slow):
    """Put the numbers that the kernel left to Python in their places."""
    for k in np.flatnonzero(slow):
        start = int(values[k])
        token = source.data[start : start + int(slow[k])].decode("utf-8", "replace")
        value = number(token)
        if value is None:
            raise _bad_number(source, token, source.data.count(b"\n", 0, start) + 1)
        values[k] = value


def _bad_number(source, token, line):
    return source.error(
        f"value {token[:60]!r} in {source.quote(line)} is not a finite number. Replace it, or check that the file is a "
        f"{source.format} file.",
        line,
    )

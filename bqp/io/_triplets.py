"""The layout ``n m`` and m lines ``i j value`` that OR-Library, Biq Mac and rudy files share."""

import numpy as np

from bqp.io._detect import format_of_content, looks_like_triplets
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

__all__ = ["MOST_VARIABLES", "format_remedy", "read_instance", "read_instances", "read_quadratic", "write_quadratic"]

MOST_VARIABLES = 100_000_000


def read_instance(source, default=False, what="entries"):
    """Read a header ``n m`` and its entries: ``(n, rows, cols, values, start)``, start the place of the first entry."""
    tokens, line = source.next_line("the header 'n m'")
    if len(tokens) != 2:
        raise source.error(
            f"{' '.join(tokens)[:60]!r} came where the header 'n m' (number of variables, number of {what}) of a "
            f"{source.format} file is expected.{format_remedy(source)}",
            line,
        )
    n = source.integer(tokens[0], f"the number of variables in the header 'n m' of a {source.format} file", line, 1)
    total = source.integer(tokens[1], f"the number of {what} in the header 'n m'", line)
    if n > MOST_VARIABLES:
        raise source.error(
            f"{n} variables are announced; at most {MOST_VARIABLES} can be read. Check the header.", line
        )
    start = source.position, source.line
    rows, cols, values = scan_entries(source, total, n, default=default, what=what)
    check_distinct(source, rows, cols, n, start)
    return n, rows, cols, values, start


def read_instances(source, index=None):
    """Read a file of one instance, or of several behind a line with their number; return the one asked for.

    Parameters
    ----------
    source : Source
    index : int, optional
        Which instance, counted from 1 as in their names (bqp50-1 is the first of bqp50). May be left out if the file
        holds one.

    Returns
    -------
    n, rows, cols, values
    """
    tokens, line = source.peek("the header 'n m'")
    count = 1
    if len(tokens) == 1 and tokens[0].isdigit():
        count = source.integer(tokens[0], f"the number of instances at the top of a {source.format} file", line, 1)
        source.next_line("the number of instances")
    if index is None and count > 1:
        raise source.error(
            f"the file holds {count} instances. Say which with index=1 to index={count} (--index on the command line)."
        )
    if index is not None and (isinstance(index, bool) or not isinstance(index, int) or not 1 <= index <= count):
        raise source.error(f"index={index!r} names no instance; the file holds {count}, counted from 1.")
    instances = [read_instance(source)[:4] for _ in range(count)]
    source.finish(f"the {count} instances announced" if count > 1 else f"the {instances[0][1].size} entries announced")
    return instances[(index or 1) - 1]


def format_remedy(source):
    """Say which format the content has, where that can be told and is not the one that it is read as; else ""."""
    found = format_of_content(source.data)
    if found and found != source.format:
        return f" The content looks like {found}: pass format={found!r} (--format {found})."
    if source.format not in ("orlib", "biq", "rudy") and looks_like_triplets(source.data):
        return (
            " It looks like an orlib, biq or rudy file, which only you can tell apart: name it with format= (--format)."
        )
    return ""


def read_quadratic(path, format, sense, index):
    """Read x'Qx over {0, 1}^n, to be minimised or maximised as `sense` says."""
    source = Source(path, read_bytes(path), format, comments=b"#")
    n, rows, cols, values = read_instances(source, index)
    return binary_problem(source, symmetric_form(rows, cols, values, n), np.zeros(n), 0.0, sense)


def write_quadratic(problem, path, format, sign):
    """Write `sign` times the energy of `problem` as x'Qx over {0, 1}^n."""
    problem = problem.to_binary()
    blocks, total = [], 0
    for rows, cols, values in upper_entries(problem):
        blocks.append(entry_lines(rows, cols, sign * values))
        total += rows.size
    write_bytes(path, "".join([f"{problem.n} {total}\n", *blocks]).encode())
    warn_offset_lost(path, format, problem.offset)

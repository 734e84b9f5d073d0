"""Which format a file has, from its name or from its content."""

from pathlib import Path

__all__ = ["SUFFIXES", "format_of_content", "format_of_name", "looks_like_triplets"]

SUFFIXES = {
    ".biq": "biq",
    ".gset": "rudy",
    ".mac": "rudy",
    ".mc": "rudy",
    ".npz": "npz",
    ".orlib": "orlib",
    ".qplib": "qplib",
    ".qubo": "qubo",
    ".rud": "rudy",
    ".rudy": "rudy",
    ".sparse": "biq",
}
_HEAD = 1 << 16


def format_of_name(path):
    """Format that the suffix of `path`, below ``.gz`` and ``.xz``, stands for; None where it stands for none.

    Examples
    --------
    >>> format_of_name("data/chimera.qubo.gz"), format_of_name("bqp50-1.xz")
    ('qubo', None)
    """
    name = Path(path)
    if name.suffix.lower() in (".gz", ".xz"):
        name = name.with_suffix("")
    return SUFFIXES.get(name.suffix.lower())


def _first_lines(data, count):
    lines = []
    for raw in data[:_HEAD].split(b"\n"):
        tokens = raw.decode("utf-8", "replace").split()
        if tokens:
            lines.append(tokens)
        if len(lines) == count:
            break
    return lines


def format_of_content(data):
    """Format of `data` (bytes) where the content tells it, else None.

    npz, qubo and qplib have marks; a count of instances on top marks OR-Library's own files. Without it orlib, biq and
    rudy look alike and mean different problems.
    """
    if data.startswith(b"PK\x03\x04"):
        return "npz"
    for raw in data[:_HEAD].split(b"\n"):
        tokens = raw.split()
        if tokens and not tokens[0].startswith(b"c"):
            if tokens[:2] == [b"p", b"qubo"]:
                return "qubo"
            break
    lines = [line for line in _first_lines(data, 6) if line[0][0] not in "#!%"]
    if len(lines) >= 3 and lines[2][0].lower() in ("minimize", "maximize", "minimise", "maximise"):
        return "qplib"
    if looks_like_triplets(data) and len(lines[0]) == 1:
        return "orlib"
    return None


def looks_like_triplets(data):
    """Whether `data` begins as the files ``n m`` / ``i j value`` do."""
    lines = [line for line in _first_lines(data, 4) if not line[0].startswith("#")]
    if lines and len(lines[0]) == 1 and lines[0][0].isdigit():
        lines = lines[1:]
    if not lines or len(lines[0]) != 2 or not all(token.isdigit() for token in lines[0]):
        return False
    return all(2 <= len(line) <= 3 and line[0].isdigit() and line[1].isdigit() for line in lines[1:])

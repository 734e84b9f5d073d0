"""Files that appear under their name when they are complete, or not at all."""

import os
import secrets
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_file"]


@contextmanager
def atomic_file(path):
    """Open a temporary file beside `path` for writing bytes; rename it to `path` at the end.

    Parameters
    ----------
    path : str or Path
        Replaced in one step after the block without an error; left as it was after an error.

    Yields
    ------
    file : binary file, writable and seekable
    """
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {path.parent} does not exist. Create it, or name another.")
    temporary = path.with_name(f".hashers-{secrets.token_hex(8)}.part")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

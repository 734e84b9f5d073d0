"""Files that keep the open nodes of a search tree: numpy archives, written in one step, checked when read."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bqp.errors import BQPWarning, FormatError, ParameterError

__all__ = ["read_checkpoint", "require_place", "save_checkpoint"]


def require_place(path: Path) -> None:
    """Complain before the search, not after it."""
    if path.is_dir():
        raise ParameterError(f"checkpoint must name a file, {str(path)!r} is a folder.")
    if not path.parent.is_dir():
        raise ParameterError(f"the folder of the checkpoint {str(path)!r} does not exist. Create it first.")
    if not os.access(path.parent, os.W_OK):
        raise ParameterError(f"the folder of the checkpoint {str(path)!r} cannot be written to.")


def save_checkpoint(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace the file; a full disk costs the checkpoint, not the search."""
    partial = path.with_name(path.name + ".part")
    try:
        with open(partial, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        partial.replace(path)
    except OSError as error:
        warnings.warn(f"the checkpoint {path} cannot be written ({error}); the search goes on.", BQPWarning, 3)


def read_checkpoint(
    path: Path, name: str, fingerprint: str, shapes: Mapping[str, tuple[int | None, ...]]
) -> dict[str, np.ndarray]:
    """The arrays of a file that `name` and `fingerprint` fit, and that have these shapes (None: as many as bounds)."""
    try:
        with zipfile.ZipFile(path):  # np.load also opens what is no archive
            pass
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
        if str(arrays["format"]) != name:
            raise FormatError(f"{path} is no checkpoint of this version and method: {str(arrays['format'])!r}.")
        same = str(arrays["fingerprint"]) == fingerprint
        n_nodes = len(arrays["bounds"])
        if same and not (
            arrays["numbers"].shape == arrays["bounds"].shape == (n_nodes,)
            and all(
                arrays[key].shape == tuple(n_nodes if size is None else size for size in shape)
                for key, shape in shapes.items()
            )
        ):
            raise ValueError("arrays of wrong shapes")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path} cannot be read as a checkpoint ({error}). Remove it to start afresh.") from error
    if not same:
        raise ParameterError(f"the checkpoint {path} belongs to another problem. Name another file, or remove it.")
    return arrays

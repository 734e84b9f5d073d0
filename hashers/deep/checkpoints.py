"""The state of a training run on disk: one safetensors file, its JSON in the header, replaced in one step.

The header's metadata holds ``state`` (JSON) and ``sha256``, the checksum of that text and of every tensor.
"""

import hashlib
import json
from pathlib import Path

from hashers._atomic import atomic_file
from hashers.deep._torch import import_safetensors
from hashers.errors import ModelFileError

__all__ = ["read_checkpoint", "write_checkpoint"]

VERSION = 1


def write_checkpoint(path, state, tensors):
    """Write a run's state.

    Parameters
    ----------
    path : str or Path
        Replaced when the file is complete; a run killed meanwhile leaves the old one.
    state : dict
        Plain data for JSON.
    tensors : dict of str to torch.Tensor
        On any device.
    """
    import_safetensors()
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps({"version": VERSION, **state}, allow_nan=False)
    data = save(tensors, {"state": text, "sha256": _digest(text, tensors)})
    with atomic_file(path) as file:
        file.write(data)


def read_checkpoint(path):
    """Read what `write_checkpoint` wrote.

    Returns
    -------
    (state, tensors), or None where there is no file

    Raises
    ------
    ModelFileError
        If the file is truncated, damaged, foreign or of another version.
    """
    safetensors = import_safetensors()
    if not Path(path).exists():
        return None
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = metadata["state"]
        good = metadata["sha256"] == _digest(text, tensors)
        state = json.loads(text)
    except OSError:
        raise
    except Exception as error:  # damage surfaces as several kinds of error
        raise ModelFileError(
            f"{path}: no checkpoint of hashers, or a damaged one ({type(error).__name__}: {error}). Delete it to start "
            "anew."
        ) from error
    if not good or state.get("version") != VERSION:
        came = f"version {state.get('version')!r}" if good else "its content does not match its checksum"
        raise ModelFileError(f"{path}: the checkpoint cannot be used: {came}. Delete it to start anew.")
    return state, tensors


def _digest(text, tensors):
    seal = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        seal.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        seal.update(tensor.reshape(-1).numpy().data if tensor.dtype.itemsize and tensor.numel() else b"")
    return seal.hexdigest()

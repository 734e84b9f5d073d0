"""torch and safetensors, imported when something needs them."""

from contextlib import contextmanager
from importlib.util import find_spec

from bqp.errors import BackendNotFound

__all__ = ["has_torch", "import_safetensors", "import_torch", "quiet_torch"]

INSTALL = "pip install 'bqp[torch]' (CPU only: add --extra-index-url https://download.pytorch.org/whl/cpu)"


def has_torch():
    """Whether torch is installed; does not import it."""
    return find_spec("torch") is not None


def import_torch():
    """The module `torch`.

    Raises
    ------
    BackendNotFound
        If it is not installed or does not load.
    """
    try:
        import torch
    except (ImportError, OSError) as error:
        raise BackendNotFound(
            f"nets need torch, which does not load ({error}). Install the extra: {INSTALL}."
        ) from error
    return torch


def import_safetensors():
    """The module `safetensors`, with its submodules ``torch`` and ``numpy`` loaded where they can be.

    Raises
    ------
    BackendNotFound
        If it is not installed.
    """
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise BackendNotFound(
            f"weights of nets are stored by safetensors, which is not installed. Install the extra: {INSTALL}."
        ) from error
    return safetensors


@contextmanager
def quiet_torch(seed=None, n_threads=None, device=None):
    """Leave torch's global random state and number of threads as they were, whatever happens inside.

    Parameters
    ----------
    seed : int, optional
        Seeds torch inside.
    n_threads : int, optional
        Threads inside; default as they are.
    device : torch.device, optional
        A CUDA device whose random state is kept as well.
    """
    torch = import_torch()
    before = torch.get_num_threads()
    devices = []
    if device is not None and device.type == "cuda":
        devices.append(torch.cuda.current_device() if device.index is None else device.index)
    try:
        if n_threads is not None:
            torch.set_num_threads(n_threads)
        with torch.random.fork_rng(devices=devices):
            if seed is not None:
                torch.manual_seed(seed)
            yield torch
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)

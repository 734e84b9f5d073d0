"""Weights of a net as named arrays, and as the bytes of a safetensors file."""

import numpy as np

from hashers.deep._torch import import_safetensors

__all__ = ["Weights"]


class Weights(dict):
    """Arrays of a module by name, as in its state dict.

    Examples
    --------
    >>> Weights({"0.weight": np.ones((2, 3), np.float32)})["0.weight"].shape
    (2, 3)
    """

    def to_bytes(self):
        """The arrays as a safetensors file; BackendNotFound without safetensors."""
        arrays = {name: np.ascontiguousarray(array) for name, array in self.items()}
        return import_safetensors().numpy.save(arrays)

    @classmethod
    def from_bytes(cls, data):
        """Read `to_bytes`; an error of safetensors if the bytes are damaged."""
        return cls(import_safetensors().numpy.load(data))

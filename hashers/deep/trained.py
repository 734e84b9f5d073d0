"""A trained net as arrays and plain data: it pickles, is saved without pickle, and becomes a torch module on use."""

import hashlib
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from hashers.deep._torch import has_torch, import_torch, quiet_torch
from hashers.deep.augmentation import check_image_shape
from hashers.deep.modules import build, with_head
from hashers.deep.rows import Scaling
from hashers.deep.weights import Weights
from hashers.errors import ModelFileError

__all__ = ["TrainedNet", "make_module"]

BATCH = 1024
"""Rows that go through a net together."""


def make_module(layers, module, image_shape, n_features, n_outputs, head, seed):
    """The torch module of a net on the CPU, which takes (b, n_features), with initial weights by `seed`.

    `layers` describes a default net; without them `module` is a user's, and gets the q-bit layer.
    """
    if layers is not None:
        return build(layers, seed)
    torch = import_torch()
    shape = (n_features,) if image_shape is None else check_image_shape(image_shape, n_features)
    net = with_head(module, torch.zeros(2, *shape), n_outputs, head, seed)
    return net if image_shape is None else torch.nn.Sequential(torch.nn.Unflatten(1, shape), net)


class TrainedNet(BaseEstimator):
    """Weights of a net, its layers (or the user's module that it is made of), and the scaling of its features.

    Parameters
    ----------
    layers : list of tuple, optional
        Of a default net, see `hashers.deep.modules`.
    module : torch.nn.Module, optional
        A user's module, in place of layers.
    image_shape : tuple of int, optional
    n_features, n_outputs : int
    head : {"linear", "divide"}

    Attributes
    ----------
    weights_ : Weights
        Name to ndarray, as in the state dict of the module.
    exponent_, mean_, scale_ : ndarray of shape (n_features,)
        See `hashers.deep.rows.Scaling`.
    factor_ : ndarray of shape (n_outputs,)
        Outputs are multiplied by it.
    """

    def __init__(self, layers=None, module=None, image_shape=None, n_features=1, n_outputs=1, head="linear"):
        self.layers = layers
        self.module = module
        self.image_shape = image_shape
        self.n_features = n_features
        self.n_outputs = n_outputs
        self.head = head

    def untrained(self, seed):
        """The module with initial weights."""
        return make_module(self.layers, self.module, self.image_shape, self.n_features, self.n_outputs, self.head, seed)

    def description(self):
        """What tells this net from another one before training: plain data, and a hash of the weights of a module."""
        weights = ""
        if self.module is not None:
            seal = hashlib.sha256()
            for name, tensor in self.module.state_dict().items():
                seal.update(f"{name} {tuple(tensor.shape)}".encode() + _array(tensor).tobytes())
            weights = seal.hexdigest()
        return self.layers, type(self.module).__name__, weights, self.head, self.image_shape

    def keep(self, module, scaling, factor=None):
        """Take over what was trained."""
        self.weights_ = Weights({name: _array(tensor) for name, tensor in module.state_dict().items()})
        self.exponent_, self.mean_, self.scale_ = scaling.exponent, scaling.mean, scaling.scale
        self.factor_ = np.ones(self.n_outputs) if factor is None else factor
        return self

    @property
    def scaling(self):
        """The `Scaling` of its features."""
        return Scaling(self.exponent_, self.mean_, self.scale_)

    def torch_module(self):
        """A new torch module with the trained weights, on the CPU, in evaluation mode."""
        torch = import_torch()
        module = self.untrained(0)
        module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in self.weights_.items()})
        return module.eval()

    def outputs(self, rows, device="auto", n_threads=None):
        """Margins.

        Parameters
        ----------
        rows : Rows
        device : str or torch.device
        n_threads : int, optional

        Returns
        -------
        outputs : ndarray of shape (n, n_outputs), float64
        """
        from hashers.deep.training import choose_device

        device, scaling = choose_device(device), self.scaling
        outputs = np.empty((len(rows), self.n_outputs))
        with quiet_torch(n_threads=n_threads) as torch, torch.inference_mode():
            module: Any = self._module(device, torch)
            for start in range(0, len(rows), BATCH):
                part = np.arange(start, min(start + BATCH, len(rows)))
                x = torch.from_numpy(np.ascontiguousarray(scaling(rows.take(part)))).to(device)
                outputs[part] = module(x).cpu().numpy()
        return outputs * self.factor_

    def check(self):
        """Raise ModelFileError where the weights do not fit the layers or the module; nothing without torch."""
        if not has_torch():
            return
        try:
            self.torch_module()
        except Exception as error:  # a module of the user may raise anything
            made = (
                "the layers" if self.module is None else f"the module that was passed, a {type(self.module).__name__},"
            )
            raise ModelFileError(f"{made} and the weights do not fit: {error}") from error

    def start(self, module):
        """Copy weights into a module of the same layers that may have more outputs; what is new keeps its own."""
        torch = import_torch()
        with torch.no_grad():
            for name, tensor in module.state_dict().items():
                old = self.weights_.get(name)
                if old is None or old.ndim != tensor.ndim or old.shape[1:] != tuple(tensor.shape[1:]):
                    continue
                old = torch.from_numpy(old.copy())
                if old.ndim == 0:
                    tensor.copy_(old)
                elif len(old) <= len(tensor):
                    tensor[: len(old)] = old
        return module

    def _module(self, device, torch):
        key = str(device)
        cached = self.__dict__.setdefault("_modules", {})
        if key not in cached:
            module = self.torch_module().to(device)
            cached[key] = module.to(memory_format=torch.channels_last) if self.image_shape is not None else module
        return cached[key]

    def __getstate__(self):
        state = super().__getstate__()
        return {key: value for key, value in state.items() if key != "_modules"}

    def __sklearn_is_fitted__(self):
        return hasattr(self, "weights_")


def _array(tensor):
    tensor = tensor.detach().cpu()
    return np.ascontiguousarray((tensor.float() if tensor.is_floating_point() else tensor).numpy().copy())

"""The default nets as lists of layers, their torch modules, and the q-bit layer on top of any module.

The divide-and-encode layer: H. Lai, Y. Pan, Y. Liu and S. Yan, "Simultaneous feature learning and hash coding with deep
neural networks", CVPR 2015 (NINH), section 3.2: the features are divided into q slices, each gives one bit. Theirs then
squashes a bit to [0, 1] and rounds it near the ends; ours leaves the margin as it is, since signs are taken at the end.

A layer is a tuple of its kind and its sizes, plain data that JSON and ONNX export read as well:

    ("linear", n_in, n_out)             x W' + a
    ("mix", n_in, n_out)                x W'
    ("conv", c_in, c_out, size)         stride 1, zeros around, no constants: height and width stay
    ("norm", n) ("norm2d", n)           batch normalisation of n features, or of the n channels of images
    ("relu",) ("dropout", share)
    ("pool", size)                      maxima of squares
    ("unflatten", c, h, w) ("flatten",)
    ("divide", q, width)                q slices of `width` features, a weighted sum and a constant of each
"""

import copy

from hashers.deep._torch import quiet_torch

__all__ = ["HEADS", "KINDS", "build", "conv_layers", "head_layers", "mlp_layers", "with_head"]

HEADS = ("linear", "divide")

KINDS = {"linear": 2, "mix": 2, "conv": 3, "norm": 1, "norm2d": 1, "relu": 0, "dropout": 1, "pool": 1, "unflatten": 3}
KINDS |= {"flatten": 0, "divide": 2}
"""How many sizes each kind of layer has."""

LARGEST_MAP = 8
"""Pixels a side that the last feature map has at most; larger images are pooled once more."""

SMALLEST_MAP = 4
"""Pixels a side from which on a map is pooled."""

SLICE = 8
"""Features a bit of the divide-and-encode head."""


def mlp_layers(n_features, n_hidden=(512, 256), dropout=0.1):
    """Hidden layers of a net for vectors: linear, normalised, rectified.

    Returns
    -------
    layers : list of tuple
    width : int
        Features they give.

    Examples
    --------
    >>> mlp_layers(10, n_hidden=(4,), dropout=0)
    ([('mix', 10, 4), ('norm', 4), ('relu',)], 4)
    """
    layers, width = [], n_features
    for n in n_hidden:
        layers += [("mix", width, n), ("norm", n), ("relu",)]
        layers += [("dropout", dropout)] if dropout else []
        width = n
    return layers, width


def conv_layers(image_shape, n_channels=(32, 64, 64, 128), n_hidden=(256,), dropout=0.1):
    """A plain convolutional net: 3 x 3 convolutions, then hidden layers.

    Maxima of 2 x 2 pixels are taken after the first convolution, after every second one from there, and after the last;
    not of maps with less than 4 pixels a side.

    Parameters
    ----------
    image_shape : tuple of int
        (channels, height, width).
    n_channels : sequence of int
        Of each convolution.
    n_hidden : sequence of int
        Hidden layers behind them.
    dropout : float

    Returns
    -------
    layers : list of tuple
    width : int
        Features they give.
    """
    channels, height, width = image_shape
    layers: list[tuple] = [("unflatten", channels, height, width)]
    for k, n in enumerate(n_channels):
        layers += [("conv", channels, n, 3), ("norm2d", n), ("relu",)]
        channels = n
        if (k % 2 == 0 or k == len(n_channels) - 1) and min(height, width) >= SMALLEST_MAP:
            layers.append(("pool", 2))
            height, width = height // 2, width // 2
    size = -(-max(height, width) // LARGEST_MAP)
    if size > 1 and min(height, width) >= size:
        layers.append(("pool", size))
        height, width = height // size, width // size
    layers.append(("flatten",))
    hidden, n_out = mlp_layers(channels * height * width, n_hidden, dropout)
    return layers + hidden, n_out


def head_layers(width, n_outputs, head="linear"):
    """The layers from features to one margin a bit.

    Parameters
    ----------
    width : int
        Features.
    n_outputs : int
    head : {"linear", "divide"}

    Returns
    -------
    layers : list of tuple
    """
    if head == "linear":
        return [("linear", width, n_outputs)]
    if width % n_outputs == 0:
        return [("divide", n_outputs, width // n_outputs)]
    sliced = n_outputs * SLICE
    return [("linear", width, sliced), ("relu",), ("divide", n_outputs, SLICE)]


def build(layers, seed=0):
    """The torch module of a list of layers, with initial weights by `seed`.

    Returns
    -------
    module : torch.nn.Sequential
        Parameters of layer k are named ``"k.weight"``, and so on.

    Raises
    ------
    ValueError
        If a layer is of an unknown kind or has another number of sizes than its kind.
    """
    for layer in layers:
        if not layer or KINDS.get(layer[0]) != len(layer) - 1:
            raise ValueError(f"{layer!r} is no layer: kinds and their numbers of sizes are {KINDS}.")
    with quiet_torch(seed) as torch:
        return torch.nn.Sequential(*(_layer(torch.nn, *layer) for layer in layers)).float()


def _layer(nn, kind, *sizes):
    if kind == "linear":
        return nn.Linear(*sizes)
    if kind == "mix":
        return nn.Linear(*sizes, bias=False)
    if kind == "conv":
        n_in, n_out, size = sizes
        return nn.Conv2d(n_in, n_out, size, padding=size // 2, bias=False)
    if kind == "divide":
        return _divide(nn, *sizes)
    if kind == "unflatten":
        return nn.Unflatten(1, sizes)
    kinds = {
        "norm": nn.BatchNorm1d,
        "norm2d": nn.BatchNorm2d,
        "relu": nn.ReLU,
        "dropout": nn.Dropout,
        "pool": nn.MaxPool2d,
        "flatten": nn.Flatten,
    }
    return kinds[kind](*sizes)


def _divide(nn, q, width):
    """A convolution of q groups over a single position is a weighted sum of each slice."""
    return nn.Sequential(nn.Unflatten(1, (q * width, 1)), nn.Conv1d(q * width, q, 1, groups=q), nn.Flatten())


def with_head(module, example, n_outputs, head="linear", seed=0):
    """A copy of a module of any kind that gives `n_outputs` margins.

    A last layer that is `torch.nn.Linear` is replaced by the new one; any other module is followed by it.

    Parameters
    ----------
    module : torch.nn.Module
        Takes `example`, gives (b, width) for any width. Left as it is.
    example : torch.Tensor
        At least two rows of input, on the CPU.
    n_outputs : int
    head : {"linear", "divide"}
    seed : int
        Weights of the new layer.

    Returns
    -------
    module : torch.nn.Module
        On the CPU, float32; its other weights are those of the module that was passed.

    Raises
    ------
    ValueError
        If the module does not take the example, or gives anything but one row of features for each row.
    """
    module = copy.deepcopy(module).cpu().float()
    with quiet_torch(seed) as torch:
        linear = _last_linear(torch, module, example)
        if linear is None:
            width = _run(torch, module, example).shape[1]
            return torch.nn.Sequential(module, build(head_layers(width, n_outputs, head), seed)).float()
        name, layer = linear
        new = build(head_layers(layer.in_features, n_outputs, head), seed)
        if len(new) == 1 and head == "linear":
            new = new[0]
        if not name:
            return new
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, new)
        return module


def _run(torch, module, example):
    """Outputs for an example in evaluation mode, with their shape checked."""
    module.eval()
    shape = tuple(example.shape)
    try:
        with torch.no_grad():
            outputs = module(example)
    except Exception as error:  # a module of the user may raise anything
        raise ValueError(
            f"the module cannot take a batch of shape {shape}: {type(error).__name__}: {error}. Rows of X arrive as "
            "(batch, features), with image_shape as (batch, channels, height, width)."
        ) from error
    if not isinstance(outputs, torch.Tensor):
        raise ValueError(
            f"the module gives a {type(outputs).__name__} for a batch of shape {shape}; a tensor of shape "
            f"({shape[0]}, width) is needed. Wrap it in a module that picks the features."
        )
    if outputs.ndim != 2 or outputs.shape[0] != shape[0] or outputs.shape[1] == 0 or not outputs.is_floating_point():
        raise ValueError(
            f"the module gives {outputs.dtype} of shape {tuple(outputs.shape)} for a batch of shape {shape}; real "
            f"numbers of shape ({shape[0]}, width) are needed, for any width. End it with torch.nn.Flatten()."
        )
    return outputs


def _last_linear(torch, module, example):
    """Name and layer of the linear layer whose output is the module's output; None if there is no such layer."""
    seen = {}
    hooks = [
        part.register_forward_hook(lambda part, _, output, name=name: seen.update({name: (part, output)}))
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.Linear)
    ]
    try:
        outputs = _run(torch, module, example)
    finally:
        for hook in hooks:
            hook.remove()
    for name, (part, output) in seen.items():
        if output is outputs:
            return name, part
    return None

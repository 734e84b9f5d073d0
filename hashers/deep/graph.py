"""The default nets as nodes of an ONNX graph; torch is not needed."""

import numpy as np

__all__ = ["add_net"]

EPSILON = 1e-5
"""What torch's batch normalisation adds to a variance."""


def add_net(graph, net, X):
    """Add a net to a graph.

    Parameters
    ----------
    graph : hashers.export._Graph
    net : hashers.deep.trained.TrainedNet
        Made of layers.
    X : str
        Name of float64 features.

    Returns
    -------
    margins : str
        Name of float64 outputs.

    Raises
    ------
    ValueError
        If the net is made from a module of the user.
    """
    proto = graph.onnx.TensorProto
    if net.layers is None:
        raise ValueError(
            f"a net made from a module of your own ({type(net.module).__name__}) cannot become an ONNX graph here. "
            "Pass function.bits_[0][0].torch_module() to torch.onnx.export."
        )
    X = graph.node("Mul", X, graph.constant(np.ldexp(1.0, -net.exponent_)))
    X = graph.node("Div", graph.node("Sub", X, graph.constant(net.mean_)), graph.constant(net.scale_))
    x = graph.node("Cast", X, to=proto.FLOAT)
    for k, (kind, *sizes) in enumerate(net.layers):
        prefix = f"{k}."
        own = {name[len(prefix) :]: a for name, a in net.weights_.items() if name.startswith(prefix)}
        x = _LAYERS[kind](graph, x, own, *sizes)
    return graph.node("Mul", graph.node("Cast", x, to=proto.DOUBLE), graph.constant(net.factor_))


def _linear(graph, x, own, *_):
    x = graph.node("MatMul", x, graph.constant(own["weight"].T, narrow=True))
    return graph.node("Add", x, graph.constant(own["bias"], narrow=True)) if "bias" in own else x


def _norm(graph, x, own, *_):
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = [graph.constant(own[name], narrow=True) for name in names]
    return graph.node("BatchNormalization", x, *arrays, epsilon=EPSILON)


def _conv(graph, x, own, n_in, n_out, size):
    return graph.node("Conv", x, graph.constant(own["weight"], narrow=True), pads=[size // 2] * 4)


def _pool(graph, x, own, size):
    return graph.node("MaxPool", x, kernel_shape=[size, size], strides=[size, size])


def _unflatten(graph, x, own, *shape):
    return graph.node("Reshape", x, graph.constant(np.array([-1, *shape], np.int64)))


def _divide(graph, x, own, q, width):
    x = graph.node("Reshape", x, graph.constant(np.array([-1, q, width], np.int64)))
    x = graph.node("Mul", x, graph.constant(own["1.weight"].reshape(q, width), narrow=True))
    x = graph.node("ReduceSum", x, graph.constant(np.array([2], np.int64)), keepdims=0)
    return graph.node("Add", x, graph.constant(own["1.bias"], narrow=True))


_LAYERS = {
    "linear": _linear,
    "mix": _linear,
    "conv": _conv,
    "norm": _norm,
    "norm2d": _norm,
    "relu": lambda graph, x, own: graph.node("Relu", x),
    "dropout": lambda graph, x, own, share: x,
    "pool": _pool,
    "unflatten": _unflatten,
    "flatten": lambda graph, x, own: graph.node("Flatten", x),
    "divide": _divide,
}

"""Linear and kernel hashers and nets as ONNX graphs, which run without Python.

Built with ``onnx.helper`` (extra ``onnx``): operators of opset 17, in float64, so that margins agree with
`decision_function` to rounding.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from bqp.errors import BackendNotFound
from hashers._atomic import atomic_file
from hashers.base import Hasher
from hashers.baselines.itq import ITQ
from hashers.baselines.lsh import LSH
from hashers.functions import BalancedFunction, KernelFunction, LinearFunction
from hashers.functions.net import NetFunction

__all__ = ["export_onnx"]

OPSET = 17
IR_VERSION = 8
INPUT_TYPES = {"float32": "FLOAT", "float64": "DOUBLE"}


def export_onnx(hasher, path=None, input_type="float32"):
    """Write a fitted hasher as an ONNX model.

    Parameters
    ----------
    hasher : Hasher or HashFunction
        Fitted, with linear, kernel or net functions (`BalancedFunction` over these included), or `LSH`, `ITQ`. Nets
        made from a module of your own cannot be exported here; ``function.bits_[0][0].torch_module()`` is a module for
        `torch.onnx.export`.
    path : str or Path, optional
        Where to write; replaced in one step. Without it nothing is written.
    input_type : {"float32", "float64"}
        Type of the input.

    Returns
    -------
    model : onnx.ModelProto
        Input ``X`` (n, n_features); outputs ``margins`` (n, n_bits) double, and ``codes`` (n, n_bits) int8 in {-1, +1}.

    Raises
    ------
    ValueError
        If the hasher is of another kind, or `input_type` is unknown.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    BackendNotFound
        If onnx is not installed.

    Notes
    -----
    The graph computes in float64. `KernelFunction` computes the distances of float32 features in float32, so its
    margins differ from the graph's by that rounding: 1e-6 to 4e-5 of the largest margin, one bit of 32,000 on
    Fashion-MNIST (benchmarks/onnx_agreement.py). Linear functions, and kernels of float64 features, agree to 1e-10. The
    layers of nets compute in float32.
    Input is taken as it is: NaN and infinity raise no error there.
    """
    check_is_fitted(hasher)
    if input_type not in INPUT_TYPES:
        raise ValueError(f'input_type must be "float32" or "float64": {input_type!r}.')
    onnx = _onnx()
    graph = _Graph(onnx)
    X = graph.node("Cast", "X", to=onnx.TensorProto.DOUBLE)
    margins = _margins(graph, hasher, X)
    graph.node("Identity", margins, output="margins")
    positive = graph.node("GreaterOrEqual", margins, graph.constant(0.0))
    graph.node("Where", positive, graph.constant(np.int8(1)), graph.constant(np.int8(-1)), output="codes")
    model = graph.model(hasher, getattr(onnx.TensorProto, INPUT_TYPES[input_type]))
    onnx.checker.check_model(model, full_check=True)
    if path is not None:
        with atomic_file(Path(path)) as file:
            file.write(model.SerializeToString())
    return model


class _Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self, onnx):
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, operator, *inputs, output=None, **attributes):
        """Add a node; returns the name of its output."""
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, value, narrow=False):
        """Add an array or a number (float64, where its type is not given); returns its name.

        float32 becomes float64 unless it is to stay `narrow`.
        """
        value = np.asarray(value.toarray() if sparse.issparse(value) else value)
        if value.dtype == np.float32 and not narrow:
            value = value.astype(np.float64)
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def model(self, hasher, input_type):
        helper, proto = self.onnx.helper, self.onnx.TensorProto
        shape = ["n", hasher.n_bits_]
        graph = helper.make_graph(
            self.nodes,
            type(hasher).__name__,
            [helper.make_tensor_value_info("X", input_type, ["n", hasher.n_features_in_])],
            [
                helper.make_tensor_value_info("margins", proto.DOUBLE, shape),
                helper.make_tensor_value_info("codes", proto.INT8, shape),
            ],
            initializer=self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="hashers")


def _margins(graph, source, X):
    """Add the margins of a hasher or function for float64 features `X`; returns their name."""
    if isinstance(source, Hasher) and type(source).decision_function is Hasher.decision_function:
        return _margins(graph, source.function_, X)
    parts = {
        LinearFunction: _linear,
        KernelFunction: _kernel,
        BalancedFunction: _balanced,
        NetFunction: _net,
        LSH: _projection,
        ITQ: _projection,
    }
    add = parts.get(type(source))
    if add is None:
        raise ValueError(
            f"a {type(source).__name__} cannot become an ONNX graph: linear and kernel functions and nets can, and LSH "
            "and ITQ. Use hashers.save to keep the model."
        )
    return add(graph, source, X)


def _linear(graph, function, X):
    """X W + a."""
    product = graph.node("MatMul", X, graph.constant(function.coef_))
    return graph.node("Add", product, graph.constant(function.intercept_))


def _projection(graph, hasher, X):
    """(X / 2**exponent - mean) W."""
    X = graph.node("Mul", X, graph.constant(np.ldexp(1.0, -hasher.exponent_)))
    return graph.node("MatMul", graph.node("Sub", X, graph.constant(hasher.mean_)), graph.constant(hasher.coef_))


def _kernel(graph, function, X):
    """exp(-|x - a|^2 / (2 sigma^2)) of unit rows x, times W, plus the constant."""
    if function.kernel != "rbf":
        raise ValueError(
            f'KernelFunction(kernel={function.kernel!r}) cannot become an ONNX graph: kernel="rbf" can. '
            "Use hashers.save to keep the model."
        )
    if function.normalize:
        zero, one = graph.constant(0.0), graph.constant(1.0)
        for reduce in ("ReduceMax", "ReduceL2"):  # the largest entry first: squares neither overflow nor vanish
            size = graph.node(reduce, graph.node("Abs", X), axes=[1], keepdims=1)
            X = graph.node("Div", X, graph.node("Where", graph.node("Equal", size, zero), one, size))
    anchors = function.anchors_
    anchors = np.asarray(anchors.toarray() if sparse.issparse(anchors) else anchors, dtype=np.float64)
    cross = graph.node("MatMul", X, graph.constant(-2.0 * anchors.T))
    distances = graph.node("Add", cross, graph.node("ReduceSumSquare", X, axes=[1], keepdims=1))
    distances = graph.node("Add", distances, graph.constant(np.einsum("ij,ij->i", anchors, anchors)))
    distances = graph.node("Max", distances, graph.constant(0.0))
    values = graph.node("Exp", graph.node("Mul", distances, graph.constant(-0.5 / function.sigma_**2)))
    product = graph.node("MatMul", values, graph.constant(function.coef_[:-1]))
    return graph.node("Add", product, graph.constant(function.coef_[-1]))


def _net(graph, function, X):
    """Bits of nets; the layers compute in float32."""
    from hashers.deep.graph import add_net

    return _bits(graph, function.bits_, lambda net: add_net(graph, net, X))


def _balanced(graph, function, X):
    """Bits of other functions, less thresholds."""
    margins = _bits(graph, function.sources_, lambda source: _margins(graph, source, X))
    return graph.node("Sub", margins, graph.constant(function.thresholds_))


def _bits(graph, sources, add):
    """Columns of what `add` gives for each distinct source, in the order of the bits."""
    places: dict[int, list[int]] = {}
    for k, (source, _) in enumerate(sources):
        places.setdefault(id(source), []).append(k)
    pieces = []
    for bits in places.values():
        margins = add(sources[bits[0]][0])
        columns = np.array([sources[k][1] for k in bits], dtype=np.int64)
        pieces.append(graph.node("Gather", margins, graph.constant(columns), axis=1))
    order = np.argsort([k for bits in places.values() for k in bits]).astype(np.int64)
    together = pieces[0] if len(pieces) == 1 else graph.node("Concat", *pieces, axis=1)
    return graph.node("Gather", together, graph.constant(order), axis=1)


def _onnx():
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise BackendNotFound("onnx is not installed. Install the extra: pip install 'bqp[onnx]'.") from error
    return onnx

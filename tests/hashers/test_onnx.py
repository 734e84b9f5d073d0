"""ONNX graphs against decision_function, run by onnxruntime."""

import sys
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError

from hashers.base import Hasher
from hashers.baselines import ITQ, LSH
from hashers.errors import BackendNotFound
from hashers.export import export_onnx
from hashers.functions import BalancedFunction, KernelFunction, LinearFunction, TreesFunction
from hashers.methods import TSH, FastHash
from hashers.registry import METHODS, parse_method

onnx = pytest.importorskip("onnx", reason="onnx (extra onnx) is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime (extra onnx) is not installed")

RNG = np.random.default_rng(0)
Y = np.arange(120) % 4
X = (RNG.normal(size=(4, 7))[Y] + 0.4 * RNG.normal(size=(120, 7))).astype(np.float32)
X_NEW = np.concatenate([X[:30] + 0.1, np.zeros((1, 7)), 1e-30 * X[:2], 1e6 * X[:2]]).astype(np.float32)


def run(model, X):
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["margins", "codes"], {"X": X})


def agrees(hasher, X=X_NEW, tolerance=1e-5, **settings):
    model = export_onnx(hasher, **settings)
    margins, codes = run(model, X)
    expected = hasher.decision_function(X)
    scale = np.abs(expected).max(axis=1, keepdims=True)
    assert margins.dtype == np.float64 and codes.dtype == np.int8 and margins.shape == expected.shape
    assert (np.abs(margins - expected) <= tolerance * np.maximum(scale, 1)).all()
    np.testing.assert_array_equal(codes, np.where(margins >= 0, 1, -1))
    clear = np.abs(expected) > tolerance * np.maximum(scale, 1)
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(codes[clear], np.where(expected >= 0, 1, -1)[clear])


@pytest.mark.parametrize(
    "function",
    [
        LinearFunction(),
        LinearFunction(solver="svm", random_state=0),
        KernelFunction(n_anchors=30, random_state=0),
        KernelFunction(n_anchors=10, anchors="kmeans", sigma="ksh", random_state=0),
        KernelFunction(n_anchors=30, normalize=False, random_state=0),
        BalancedFunction(LinearFunction()),
        BalancedFunction(KernelFunction(n_anchors=20, random_state=0), share="codes"),
    ],
)
@pytest.mark.parametrize("input_type", ["float32", "float64"])
def test_functions(function, input_type):
    rows = X_NEW[:33] if getattr(function, "normalize", True) is False else X_NEW
    hasher = TSH(n_bits=9, function=function, random_state=0).fit(X.astype(input_type), Y)
    tolerance = 1e-10 if input_type == "float64" else 1e-5  # float32 distances are rounded here, not in the graph
    agrees(hasher, rows.astype(input_type), tolerance, input_type=input_type)
    agrees(hasher.function_, rows.astype(input_type), tolerance, input_type=input_type)


def test_joined_and_nested_thresholds():
    """A balanced function over two functions, as coupled learners join them, its bits out of order."""
    B = np.sign(RNG.normal(size=(4, 6)))[Y]
    first, second = LinearFunction().fit(X, B), LinearFunction(ridge=1.0).fit(X, -B)
    function = BalancedFunction(LinearFunction()).fit(X, B[:, :4])
    function.sources_ = [(second, 3), (first, 5), (second, 0), (first, 1)]
    agrees(function)
    agrees(BalancedFunction(BalancedFunction(KernelFunction(n_anchors=9, random_state=0))).fit(X, B))
    agrees(FastHash(n_bits=4, function=LinearFunction(), random_state=0).fit(X, Y))


@pytest.mark.parametrize("hasher", [LSH(n_bits=6, random_state=0), ITQ(n_bits=5, random_state=0)])
@pytest.mark.parametrize("scale", [1.0, 2.0**50])
def test_projections(hasher, scale):
    agrees(hasher.fit(scale * X), (scale * X_NEW[:31]).astype(np.float32))


@pytest.mark.parametrize("method", [name for name, entry in METHODS.items() if entry.takes_function])
def test_every_method_with_a_kernel(method):
    hasher = parse_method(method).make(8, function=KernelFunction(n_anchors=20))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # small data: what a method says of them is not looked at here
        hasher.fit(X, Y)
    if isinstance(hasher, Hasher) and isinstance(hasher.function_, KernelFunction):
        agrees(hasher)
    else:  # margins that are no plain kernel function
        with pytest.raises(ValueError, match="cannot become an ONNX graph"):
            export_onnx(hasher)


def test_sparse_anchors():
    rows = sparse.csr_matrix(X * (X > 0))
    hasher = TSH(n_bits=4, function=KernelFunction(n_anchors=20, random_state=0)).fit(rows, Y)
    assert sparse.issparse(hasher.function_.anchors_)
    margins, _ = run(export_onnx(hasher), rows.toarray())
    np.testing.assert_allclose(margins, hasher.decision_function(rows), rtol=0, atol=1e-5)


def test_the_file(tmp_path):
    hasher = TSH(n_bits=3, function=LinearFunction()).fit(X, Y)
    model = export_onnx(hasher, tmp_path / "hasher.onnx")
    assert onnx.load(tmp_path / "hasher.onnx") == model
    assert [path.name for path in tmp_path.iterdir()] == ["hasher.onnx"]
    one = run(model, X[:1])
    assert one[0].shape == one[1].shape == (1, 3)
    assert run(model, X[:0])[0].shape == (0, 3)


def test_what_cannot_be_exported():
    trees = TSH(n_bits=2, function=TreesFunction(n_estimators=2, random_state=0)).fit(X, Y)
    with pytest.raises(ValueError, match="a TreesFunction cannot become an ONNX graph"):
        export_onnx(trees)
    with pytest.raises(NotFittedError):
        export_onnx(TSH())
    with pytest.raises(ValueError, match="input_type must be"):
        export_onnx(LinearFunction().fit(X, np.ones((120, 1))), input_type="float16")


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendNotFound, match=r"Install the extra: pip install 'bqp\[onnx\]'"):
        export_onnx(LinearFunction().fit(X, np.ones((120, 1))))

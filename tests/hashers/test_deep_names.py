"""The names of nets without torch: they import, and say what to install when they are used."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone

import hashers
from hashers import CNNH, FTDSH, TSH, NetFunction
from hashers.deep.trained import TrainedNet
from hashers.deep.weights import Weights
from hashers.errors import BackendNotFound

X, Y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 3


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.mark.parametrize("hasher", [CNNH(2), FTDSH(2, n_per_anchor=2), TSH(2, function=NetFunction())], ids=repr)
def test_hashers_say_what_to_install(hasher, no_torch):
    with pytest.raises(BackendNotFound, match=r"pip install 'bqp\[torch\]'"):
        clone(hasher).fit(X, Y)


def test_the_trainer_says_what_to_install(no_torch):
    from hashers.deep import Trainer

    with pytest.raises(BackendNotFound, match=r"pip install 'bqp\[torch\]'"):
        Trainer(None, X)


def test_weights_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(BackendNotFound, match=r"safetensors, which is not installed.*bqp\[torch\]"):
        Weights({"a": np.ones(2)}).to_bytes()


def test_settings_are_checked_before_torch_is_needed(no_torch):
    with pytest.raises(ValueError, match="loss must be one of"):
        NetFunction(loss="exponential").fit(X, np.ones((12, 2)))
    with pytest.raises(TypeError, match="dense features"):
        from scipy import sparse

        NetFunction().fit(sparse.csr_matrix(X), np.ones((12, 2)))


def test_importing_and_building_load_no_torch():
    code = (
        "import sys, hashers, hashers.deep, hashers.persistence\n"
        "function = hashers.NetFunction(image_shape=(28, 28))\n"
        "hasher = hashers.CNNH(function=function), hashers.FTDSH(), hashers.deep.Trainer\n"
        "assert function.net(784, 8).layers[0] == ('unflatten', 1, 28, 28)\n"
        "assert not {'torch', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_trained_net_is_plain_data():
    """Graphs of nets need no torch: layers and weights are enough."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime (extra onnx) is not installed")
    net = TrainedNet(layers=[("linear", 3, 2), ("relu",)], n_features=3, n_outputs=2)
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(2, 3)).astype(np.float32), rng.normal(size=2).astype(np.float32)
    net.weights_ = Weights({"0.weight": weight, "0.bias": bias})
    net.exponent_, net.mean_, net.scale_ = np.zeros(3, np.int32), np.ones(3), np.full(3, 2.0)
    net.factor_ = np.array([1.0, 10.0])
    function = NetFunction()
    function.bits_, function.n_bits_, function.n_features_in_ = [(net, 1), (net, 0)], 2, 3
    session = runtime.InferenceSession(hashers.export_onnx(function, input_type="float64").SerializeToString())
    expected = np.maximum(((X - 1) / 2) @ weight.T + bias, 0) * net.factor_
    np.testing.assert_allclose(session.run(["margins"], {"X": X})[0], expected[:, ::-1], rtol=1e-5, atol=1e-6)

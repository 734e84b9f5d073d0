"""CNNH: published and near-optimal codes, a net behind them, class outputs that are dropped."""

import numpy as np
import pytest
from sklearn.base import clone

torch = pytest.importorskip("torch", reason="torch (extra torch) is not installed")

import hashers  # noqa: E402
from bqp import supervision  # noqa: E402
from hashers import CNNH, KernelFunction, NetFunction  # noqa: E402
from hashers.deep.cnnh import _label_columns  # noqa: E402

RNG = np.random.default_rng(0)
Y = np.arange(90) % 3
X = (3 * np.eye(3, 12)[Y] + 0.5 * RNG.normal(size=(90, 12))).astype(np.float32)
SETS = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0]])[Y]
NET = NetFunction(n_hidden=(16,), epochs=15, batch_size=16, learning_rate=2e-2)


def small(**settings):
    return CNNH(**{"n_bits": 6, "function": NET, "random_state": 0, **settings})


@pytest.mark.parametrize("mode", ["default", "published"])
@pytest.mark.parametrize("y", [Y, SETS], ids=["labels", "sets"])
@pytest.mark.parametrize("class_outputs", [False, True])
def test_it_learns(mode, y, class_outputs):
    hasher = small(mode=mode, class_outputs=class_outputs).fit(X, y)
    assert hasher.codes_.shape == hasher.transform(X).shape == (90, 6)
    assert (hasher.transform(X) == hasher.codes_).mean() > 0.9
    again = small(mode=mode, class_outputs=class_outputs).fit(X, y)
    np.testing.assert_array_equal(again.decision_function(X), hasher.decision_function(X))


def test_the_modes_are_their_code_learners():
    from bqp import codes

    S = supervision.from_labels(Y)
    default, published = (small(mode=mode).fit(X, Y) for mode in ("default", "published"))
    assert default.result_.method == "learn" and published.result_.method == "relaxed_factors"
    assert default.result_.objective <= published.result_.objective
    assert default.result_.objective == codes.learn(S, 6).objective
    with pytest.raises(ValueError, match="mode must be one of"):
        small(mode="fast").fit(X, Y)


def test_class_outputs_take_part_in_training_only():
    plain, more = small().fit(X, Y), small(class_outputs=True).fit(X, Y)
    np.testing.assert_array_equal(plain.codes_, more.codes_)
    assert more.function_.n_bits_ == 6 and more.function_.bits_[0][0].n_outputs == 9
    assert (plain.decision_function(X) != more.decision_function(X)).any()
    with pytest.raises(ValueError, match="predicts labels, and there are none in pairs"):
        small(class_outputs=True).fit_pairs(X, [[0, 1], [0, 3]], [-1, 1])


def test_columns_of_labels():
    y = np.array([5, 7, 5, -1])
    expected = np.array([[1, -1], [-1, 1], [1, -1]])
    np.testing.assert_array_equal(_label_columns(supervision.from_labels(y))[:3, -2:], expected)
    np.testing.assert_array_equal(_label_columns(supervision.from_label_sets(SETS)), 2 * SETS - 1)


@pytest.mark.parametrize("class_outputs", [False, True])
def test_points_without_labels(class_outputs):
    y = np.where(np.arange(90) < 10, -1, Y)
    hasher = small(class_outputs=class_outputs).fit(X, y)
    np.testing.assert_array_equal(hasher.codes_[:10], hasher.transform(X[:10]))
    without = small(class_outputs=class_outputs).fit(X[10:], y[10:])
    np.testing.assert_array_equal(without.codes_, hasher.codes_[10:])


def test_pairs_and_matrices():
    i, j = np.triu_indices(90, 1)
    some = RNG.permutation(len(i))[:800]
    s = np.where(Y[i] == Y[j], 1, -1)[some]
    assert (small().fit_pairs(X, np.c_[i, j][some], s).transform(X)).shape == (90, 6)
    S = np.where(Y[:, None] == Y, 1.0, -1.0)
    hasher = small(mode="published").fit_similarity(X, S)
    assert (hasher.transform(X) == hasher.codes_).mean() > 0.8
    with pytest.raises(ValueError, match="similarity of all pairs"):
        small(mode="published").fit_pairs(X, np.c_[i, j][some], s)


def test_features_of_all_kinds(tmp_path):
    raw = RNG.integers(0, 255, (90, 12)).astype(np.uint8)
    np.save(tmp_path / "X.npy", raw)
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(raw))
    fits = [small().fit(kind, Y) for kind in (raw, np.load(tmp_path / "X.npy", mmap_mode="r"), dataset)]
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.decision_function(raw), fits[0].decision_function(raw))
    np.testing.assert_array_equal(fits[0].encode(dataset), fits[0].encode(raw))
    np.testing.assert_array_equal(fits[0].database_codes(dataset, "learned"), fits[0].codes_)


def test_any_function():
    hasher = small(function=KernelFunction(n_anchors=20), class_outputs=True).fit(X, Y)
    assert (hasher.transform(X) == hasher.codes_).mean() > 0.95
    assert isinstance(CNNH(4)._default_function(), NetFunction)


def test_confusion():
    hasher = small(similarity="confusion", function=clone(NET).set_params(epochs=2)).fit(X, Y)
    assert hasher.transform(X).shape == (90, 6)


def test_saved_and_as_a_graph(tmp_path):
    hasher = small(class_outputs=True).fit(X, Y)
    hasher.save(tmp_path / "model")
    loaded = hashers.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.decision_function(X), hasher.decision_function(X))
    np.testing.assert_array_equal(loaded.codes_, hasher.codes_)
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime (extra onnx) is not installed")
    session = runtime.InferenceSession(hashers.export_onnx(hasher).SerializeToString())
    np.testing.assert_array_equal(session.run(["codes"], {"X": X})[0], hasher.transform(X))

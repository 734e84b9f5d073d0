"""DeepHash: a net trained by a loss of pairs."""

import sys

import numpy as np
import pytest

from bqp import supervision
from bqp.errors import BackendNotFound
from hashers import DeepHash, LinearFunction, metrics
from hashers.deep.losses import DSH, LOSSES, HashLoss
from hashers.functions import NetFunction

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

WARM = NetFunction(epochs=6, n_hidden=(16,), dropout=0.0, batch_size=32, learning_rate=0.02)


def points(n=120, n_labels=3, seed=0):
    """Noisy points around one centre a label."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_labels
    centres = 1.5 * np.random.default_rng(0).standard_normal((n_labels, 6))
    return (centres[y] + rng.standard_normal((n, 6))).astype(np.float32), y


def score(hasher, y_of=lambda y: y):
    X, y = points(seed=1)
    B = hasher.transform(X)
    return metrics.mean_average_precision(B, B, y_of(y), y_of(y))


def same(a, b, X):
    return np.array_equal(a.decision_function(X), b.decision_function(X))


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_learns(loss):
    X, y = points()
    untrained = DeepHash(8, loss, function=NetFunction(epochs=1, n_hidden=(16,), learning_rate=1e-12), random_state=0)
    hasher = DeepHash(8, loss, function=WARM, random_state=0).fit(X, y)
    assert score(hasher) > max(0.8, score(untrained.fit(X, y)) + 0.1)
    assert np.array_equal(hasher.codes_, hasher.transform(X)) and hasher.codes_.dtype == np.int8
    assert hasher.result_.trace.objective[-1] == hasher.result_.objective == hasher.function_.history_[-1]["loss"]
    assert len(hasher.result_.trace) == 6 and hasher.n_bits_ == 8 and hasher.n_features_in_ == 6
    S = supervision.from_labels(y)
    assert hasher.result_.ksh_objective == S.ksh_objective(hasher.codes_)


@pytest.mark.parametrize("loss", ["dpsh", "greedyhash", "talr", "hashnet"])
def test_label_sets_and_unknown_rows(loss):
    X, y = points()
    Y = np.eye(3, dtype=int)[y]
    Y[y == 2, 0] = 1
    Y[:10] = -1
    X[:10] = 100.0  # rows that would spoil the scaling if they counted
    hasher = DeepHash(8, loss, function=WARM, random_state=0).fit(X, Y)
    constant = 5 / 9  # of codes that are all equal
    assert score(hasher, lambda y: np.stack([y != 1, y == 1, y == 2], axis=1).astype(int)) > constant + 0.25
    assert len(hasher.codes_) == 120
    with_rest = hasher.function_.bits_[0][0].mean_
    assert np.abs(with_rest).max() < 10.0


@pytest.mark.parametrize("loss", ["dch", "triplet", "dmdh"])
def test_pairs_and_a_matrix(loss):
    X, y = points()
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 120, (600, 2))
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    s = np.where(y[pairs[:, 0]] == y[pairs[:, 1]], 1, -1)
    for hasher in (
        DeepHash(8, loss, function=WARM, random_state=0).fit_pairs(X, pairs, s),
        DeepHash(8, loss, function=WARM, random_state=0).fit_similarity(X, np.where(y[:, None] == y, 1.0, -1.0)),
    ):
        assert score(hasher) > 0.8


def test_labels_are_needed_for_classification():
    X, y = points(12)
    with pytest.raises(ValueError, match=r"GreedyHash predicts labels, and pairs.*\"dpsh\""):
        DeepHash(4, "greedyhash", function=WARM).fit_pairs(X, [[0, 1], [1, 2]], [1, -1])
    with pytest.raises(ValueError, match="GreedyHash predicts labels"):
        DeepHash(4, "greedyhash", function=WARM).fit_similarity(X, supervision.from_groups(y, 2 * np.eye(3) - 1))


def test_the_seed_decides():
    X, y = points(60)
    fits = [DeepHash(4, "dsh", function=WARM, random_state=seed).fit(X, y) for seed in (0, 0, 1)]
    assert same(fits[0], fits[1], X) and not same(fits[0], fits[2], X)


def test_quantization_pulls_outputs_to_the_corners():
    X, y = points(60)
    errors = {}
    for kind in (None, "squared", "absolute"):
        hasher = DeepHash(4, "talr", quantization=kind, quantization_weight=10.0, function=WARM, random_state=0).fit(
            X, y
        )
        H = np.tanh(hasher.decision_function(X))
        errors[kind] = np.mean(np.abs(np.abs(H) - 1))
    assert max(errors["squared"], errors["absolute"]) < 0.8 * errors[None]


def test_a_loss_of_ones_own():
    class OneBit(HashLoss):
        def pair_loss(self, H, pairs, progress=1.0, head=None):
            return (H - 2.0 * pairs.labels[:, :1] + 1.0).square().mean()

    X, y = points()
    B = DeepHash(1, OneBit(), function=WARM, random_state=0).fit(X, y).codes_
    assert np.mean((B[:, 0] > 0) == (y == 0)) > 0.9
    settings = DeepHash(4, DSH(margin=3.0)).get_params()
    assert settings["loss__margin"] == 3.0


def test_schedules_reach_their_ends():
    seen = []

    class Watch(DSH):
        def pair_loss(self, H, pairs, progress=1.0, head=None):
            seen.append(progress)
            return super().pair_loss(H, pairs, progress)

    X, y = points(30)
    DeepHash(2, Watch(), function=NetFunction(epochs=4, n_hidden=(4,), batch_size=64), random_state=0).fit(X, y)
    assert seen == [0.25, 0.5, 0.75, 1.0]


def test_validation_keeps_the_best_weights_and_its_rows_out():
    X, y = points()
    function = NetFunction(epochs=8, n_hidden=(16,), batch_size=32, validation=0.25, learning_rate=0.05)
    hasher = DeepHash(4, "dsh", function=function, random_state=0).fit(X, y)
    values = [entry["validation"] for entry in hasher.function_.history_]
    assert len(values) == 8 and all(np.isfinite(values))
    for bad in (1.5, 1e-9, "half"):
        with pytest.raises((ValueError, TypeError)):
            DeepHash(4, function=NetFunction(validation=bad)).fit(X, y)
    with pytest.raises(ValueError, match="validation of the NetFunction is tuple"):
        DeepHash(4, function=NetFunction(validation=(X, y))).fit(X, y)
    with pytest.raises(ValueError, match="patience counts epochs"):
        DeepHash(4, function=NetFunction(patience=2)).fit(X, y)


def test_ctrl_c_keeps_the_net():
    X, y = points(60)

    def interrupt(event):
        if event.n_moves == 3:
            raise KeyboardInterrupt

    function = NetFunction(epochs=50, n_hidden=(8,), batch_size=32, callback=interrupt)
    hasher = DeepHash(4, function=function, random_state=0).fit(X, y)
    assert hasher.result_.stats["stopped"] == "interrupted"
    assert hasher.transform(X).shape == (60, 4)


@pytest.mark.parametrize("loss", ["hashnet", "greedyhash"])
def test_a_run_that_fails_resumes_to_the_same_result(tmp_path, loss):
    X, y = points(90)
    settings = {"epochs": 5, "n_hidden": (8,), "batch_size": 32}
    whole = DeepHash(4, loss, function=NetFunction(**settings), random_state=0).fit(X, y)

    def fail(event):
        if event.n_moves == 8:
            raise RuntimeError("power")

    settings["checkpoint"] = tmp_path / "run"
    with pytest.raises(RuntimeError, match="power"):
        DeepHash(4, loss, function=NetFunction(callback=fail, **settings), random_state=0).fit(X, y)
    resumed = DeepHash(4, loss, function=NetFunction(**settings), random_state=0).fit(X, y)
    assert same(whole, resumed, X)
    assert whole.function_.history_ == resumed.function_.history_
    with pytest.raises(ValueError, match="belongs to another run"):
        DeepHash(4, loss, quantization="squared", function=NetFunction(**settings), random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="belongs to another run"):
        DeepHash(4, loss, function=NetFunction(**settings), random_state=0).fit(X, (y + 1) % 2)
    with pytest.raises(ValueError, match="belongs to another run"):
        DeepHash(4, loss, function=NetFunction(validation=0.2, **settings), random_state=0).fit(X, y)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"loss": "nope"}, "loss must be one of dpsh"),
        ({"quantization": "cubic"}, "quantization must be None"),
        ({"quantization_weight": -1.0}, "quantization_weight must be"),
        ({"batches": "some"}, "batches must be one of balanced, random"),
        ({"function": LinearFunction()}, "must be a NetFunction, not a LinearFunction.*TSH"),
        ({"n_bits": 0}, "n_bits must be a positive integer"),
    ],
)
def test_wrong_settings_are_named(settings, match):
    X, y = points(12)
    with pytest.raises(ValueError, match=match):
        DeepHash(**{"n_bits": 4, "function": WARM, **settings}).fit(X, y)


def test_sparse_features_are_refused_and_images_taken():
    from scipy import sparse

    X, y = points(12)
    with pytest.raises(TypeError, match="nets take dense features"):
        DeepHash(4).fit(sparse.csr_array(X), y)
    images = np.random.default_rng(0).integers(0, 255, (12, 64)).astype(np.uint8)
    function = NetFunction(image_shape=(8, 8), n_channels=(4,), n_hidden=(8,), epochs=1)
    assert DeepHash(4, function=function, random_state=0).fit(images, y).transform(images).shape == (12, 4)


def test_random_batches_are_other_batches():
    X, y = points(60)
    a, b = (DeepHash(4, batches=kind, function=WARM, random_state=0).fit(X, y) for kind in ("balanced", "random"))
    assert not same(a, b, X)


def test_saved_and_loaded(tmp_path):
    import hashers

    X, y = points(30)
    hasher = DeepHash(4, DSH(margin=1.5), function=NetFunction(epochs=1, n_hidden=(4,)), random_state=0).fit(X, y)
    hasher.save(tmp_path / "model")
    loaded = hashers.load(tmp_path / "model")
    assert same(hasher, loaded, X) and loaded.loss.margin == 1.5


def test_without_torch_the_class_is_there_and_fit_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    X, y = points(12)
    with pytest.raises(BackendNotFound, match=r"pip install 'bqp\[torch\]'"):
        DeepHash(4).fit(X, y)

"""NetFunction: formulas of its loss and layers, scikit-learn manners, modules of one's own, files and graphs."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

torch = pytest.importorskip("torch", reason="torch (extra torch) is not installed")

import hashers  # noqa: E402
from hashers import TSH, AffHash, BalancedFunction, FastHash, NetFunction, packing  # noqa: E402
from hashers.deep.bit_loss import BitLoss  # noqa: E402
from hashers.deep.modules import build, conv_layers, head_layers, mlp_layers, with_head  # noqa: E402
from hashers.errors import MissingModule, ModelFileError  # noqa: E402

RNG = np.random.default_rng(0)
Y = np.arange(90) % 3
X = (3 * np.eye(3, 12)[Y] + 0.5 * RNG.normal(size=(90, 12))).astype(np.float32)
CODEBOOK = packing.signs(RNG.normal(size=(3, 5)))
CODEBOOK[:, 0] = 1  # a constant bit
B = CODEBOOK[Y]


def small(**settings):
    settings = {"n_hidden": (16,), "epochs": 10, "batch_size": 16, "learning_rate": 2e-2, "random_state": 0, **settings}
    return NetFunction(**settings)


FUNCTIONS = {
    "mlp": small(),
    "divide": small(head="divide", loss="hinge"),
    "squared": small(loss="squared"),
    "conv": small(image_shape=(3, 4), n_channels=(4, 4, 4), n_hidden=(15,), head="divide", augment=()),
    "channels": small(image_shape=(3, 2, 2), n_channels=(8,), augment=()),
    "validated": small(validation=0.2, patience=2),
    "own": small(module=torch.nn.Sequential(torch.nn.Linear(12, 9), torch.nn.ReLU(), torch.nn.Linear(9, 2))),
}
every_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


# ---- the loss ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.sampled_from(["logistic", "hinge", "squared"]), st.booleans())
def test_losses_are_their_formulas(seed, kind, weighted):
    rng = np.random.default_rng(seed)
    targets = rng.choice([-1.0, 1.0], size=(7, 3))
    weight = rng.integers(0, 4, 7).astype(float) if weighted else None
    if weighted:
        weight[0] = 2
    rows = rng.permutation(7)[:4]
    F = rng.normal(size=(4, 3)).astype(np.float32)
    b = targets[rows]
    formula = {
        "logistic": np.log1p(np.exp(-b * F)),
        "hinge": np.maximum(0, 1 - b * F),
        "squared": (b - F) ** 2,
    }[kind]
    if weighted:
        formula = formula * (weight / weight[weight > 0].mean())[rows, None]
    value = BitLoss(targets, weight, kind)(torch.from_numpy(F), torch.from_numpy(rows))
    assert float(value) == pytest.approx(formula.mean(), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("kind", ["logistic", "hinge", "squared"])
def test_gradients(kind):
    loss = BitLoss(B[:6], np.arange(6.0), kind)
    loss.targets, loss.weight = loss.targets.double(), loss.weight.double()
    rows = torch.tensor([5, 1, 2])
    outputs = torch.from_numpy(RNG.normal(size=(3, 5))).requires_grad_()
    assert torch.autograd.gradcheck(lambda F: loss(F, rows), outputs)


def test_integer_weights_count_as_repeated_rows():
    weight = np.arange(90) % 4
    repeated = np.repeat(np.arange(90), weight)
    loss = BitLoss(B, weight, "logistic")
    F = torch.from_numpy(RNG.normal(size=(90, 5)).astype(np.float32))
    once = BitLoss(B[repeated], None, "logistic")(F[repeated], torch.arange(len(repeated)))
    scaled = float(loss(F, torch.arange(90))) * 90 / np.count_nonzero(weight)  # a mean over rows that count
    assert scaled == pytest.approx(float(once), rel=1e-5)


# ---- layers ------------------------------------------------------------------------------------------------------


def test_divide_and_encode_head():
    layers = head_layers(12, 4, "divide")
    assert layers == [("divide", 4, 3)]
    head = build(layers, seed=1)
    x = torch.from_numpy(X)
    weight = head.state_dict()["0.1.weight"].reshape(4, 3)
    expected = torch.stack([x[:, 3 * k : 3 * k + 3] @ weight[k] for k in range(4)], dim=1)
    np.testing.assert_allclose(
        head(x).detach().numpy(), (expected + head.state_dict()["0.1.bias"]).numpy(), rtol=1e-5, atol=1e-6
    )
    assert build(head_layers(12, 5, "divide"))(x).shape == (90, 5)  # 12 features do not fall into 5 slices


@settings(max_examples=30)
@given(
    st.sampled_from([(1, 28, 28), (3, 32, 32), (1, 8, 8), (2, 1, 1), (1, 1, 9), (1, 5, 3), (1, 40, 33)]),
    st.lists(st.integers(1, 3), max_size=4),
)
def test_conv_nets_of_any_size(image_shape, n_channels):
    layers, width = conv_layers(image_shape, n_channels, n_hidden=(), dropout=0)
    x = torch.zeros(2, int(np.prod(image_shape)))
    assert build(layers).eval()(x).shape == (2, width)


def test_layers_are_seeded_and_checked():
    layers, _ = mlp_layers(3, (4,), 0.5)
    a, b, c = (build(layers, seed).state_dict()["0.weight"] for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)
    for layer in [("magic", 1), ("linear", 3), ()]:
        with pytest.raises(ValueError, match="is no layer"):
            build([layer])


# ---- modules of one's own ----------------------------------------------------------------------------------------


class Backbone(torch.nn.Module):
    def __init__(self, result=None):
        super().__init__()
        self.result = result
        self.fc = torch.nn.Linear(12, 7)
        self.unused = torch.nn.Linear(3, 3)

    def forward(self, x):
        out = self.fc(x)
        return out if self.result is None else self.result(out)


def test_a_last_linear_layer_is_replaced():
    own = Backbone()
    module = with_head(own, torch.zeros(2, 12), 5)
    assert isinstance(module, Backbone) and (module.fc.in_features, module.fc.out_features) == (12, 5)
    assert own.fc.out_features == 7
    nested = torch.nn.Sequential(torch.nn.Linear(12, 4), torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(4, 2)))
    module = with_head(nested, torch.zeros(2, 12), 5, "divide")
    assert module(torch.zeros(3, 12)).shape == (3, 5)
    assert torch.equal(module[0].weight, nested[0].weight)
    assert with_head(torch.nn.Linear(12, 3), torch.zeros(2, 12), 5).out_features == 5


def test_any_other_module_is_followed():
    own = Backbone(torch.tanh)
    module = with_head(own, torch.zeros(2, 12), 5)
    assert torch.equal(module[0].fc.weight, own.fc.weight) and module(torch.zeros(3, 12)).shape == (3, 5)
    lazy = torch.nn.Sequential(torch.nn.LazyLinear(6), torch.nn.ReLU())
    assert with_head(lazy, torch.zeros(2, 12), 5)(torch.zeros(3, 12)).shape == (3, 5)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Backbone(lambda out: out[0]), r"float32 of shape \(7,\) for a batch of shape \(2, 12\)"),
        (Backbone(lambda out: out[..., None]), r"of shape \(2, 7, 1\).*torch.nn.Flatten"),
        (Backbone(lambda out: out.T), r"of shape \(7, 2\)"),
        (Backbone(lambda out: out.argmax(1, keepdim=True)), "int64 of shape"),
        (Backbone(lambda out: (out, out)), "gives a tuple"),
        (torch.nn.Conv2d(1, 2, 3), r"cannot take a batch of shape \(2, 12\): RuntimeError"),
        (torch.nn.Linear(11, 3), r"cannot take a batch of shape \(2, 12\)"),
    ],
)
def test_odd_modules(module, message):
    with pytest.raises(ValueError, match=message):
        NetFunction(module, epochs=1).fit(X, B)


def test_a_module_of_ones_own_is_trained_from_its_weights_and_left_alone():
    own = Backbone(torch.relu)
    own.fc.requires_grad_(False)
    before = copy.deepcopy(own.state_dict())
    function = NetFunction(own, epochs=2, random_state=0).fit(X, B)
    assert all(torch.equal(before[name], own.state_dict()[name]) for name in before)
    np.testing.assert_array_equal(function.bits_[0][0].weights_["0.fc.weight"], before["fc.weight"].numpy())
    assert (function.bits_[0][0].mean_ == 0).all()  # features as they are
    with pytest.raises(ValueError, match=r"instance of torch.nn.Module"):
        NetFunction(Backbone).fit(X, B)


def test_images_arrive_as_images():
    class Net(torch.nn.Module):
        def forward(self, x):
            assert x.shape[1:] == (2, 3, 2)
            return x.flatten(1)

    function = NetFunction(Net(), image_shape=(2, 3, 2), epochs=1, random_state=0).fit(X, B)
    assert function.predict(X).shape == (90, 5)


# ---- fitting -----------------------------------------------------------------------------------------------------


@every_function
def test_it_learns_and_is_reproducible(function):
    a = clone(function).fit(X, B)
    if function.module == "auto":
        assert (a.predict(X) == B).mean() > 0.9
    b = clone(function).fit(X, B)
    np.testing.assert_array_equal(a.decision_function(X), b.decision_function(X))
    margins = a.decision_function(X)
    assert margins.shape == (90, 5) and margins.dtype == np.float64
    np.testing.assert_allclose(np.vstack([a.decision_function(X[i : i + 1]) for i in range(9)]), margins[:9], atol=1e-4)
    assert len(a.history_) <= 10 and a.n_features_in_ == 12 and a.n_bits_ == 5


def test_kinds_of_features_give_the_same_net(tmp_path):
    whole = RNG.integers(0, 255, (90, 12)).astype(np.uint8)
    np.save(tmp_path / "X.npy", whole)
    frozen = whole.astype(np.float32)
    frozen.flags.writeable = False
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(whole))
    kinds = [whole, np.load(tmp_path / "X.npy", mmap_mode="r"), frozen, np.asfortranarray(frozen), dataset]
    margins = [small(epochs=2).fit(kind, B).decision_function(whole) for kind in kinds]
    for other in margins[1:]:
        np.testing.assert_array_equal(margins[0], other)
    doubles = small(epochs=2).fit(whole.tolist(), B).decision_function(whole)
    np.testing.assert_allclose(doubles, margins[0], atol=1e-3)


def test_the_scale_of_features_has_no_part():
    wide = X.astype(float)
    plain = small(epochs=3).fit(wide, B).decision_function(wide)
    for scale in (2.0**-300, 2.0**300, 2.0**20):
        scaled = small(epochs=3).fit(wide * scale, B)
        np.testing.assert_allclose(scaled.decision_function(wide * scale), plain, atol=1e-4)
    with pytest.raises(ValueError, match="too far from those of fit"):
        small(epochs=1).fit(X, B).decision_function(np.full((1, 12), 1e300))


@pytest.mark.parametrize("n", [1, 2])
def test_few_rows(n):
    assert small(epochs=2).fit(X[:n], B[:n]).predict(X).shape == (90, 5)


def test_weights():
    conflicting, contrary = np.vstack([X, X]), np.vstack([B, -B])
    for first, expected in ((1.0, B), (0.0, -B)):
        weight = np.r_[np.full(90, first), np.full(90, 1.0 - first)]
        function = small().fit(conflicting, contrary, weight)
        assert (function.predict(X) == expected).mean() > 0.9
    only = small(epochs=2).fit(conflicting, contrary, np.r_[np.ones(90), np.zeros(90)])
    assert (only.bits_[0][0].mean_ == small(epochs=1).fit(X, B).bits_[0][0].mean_).all()


def test_real_targets():
    T = X @ RNG.normal(size=(12, 2)) * [100.0, 1e-3]
    function = small(loss="squared", epochs=60).fit_targets(X, T)
    for k in range(2):
        assert np.corrcoef(function.decision_function(X)[:, k], T[:, k])[0, 1] > 0.9
        assert 0.7 < function.decision_function(X)[:, k].std() / T[:, k].std() < 1.3
    codes = small(loss="squared")
    np.testing.assert_array_equal(
        clone(codes).fit(X, B).decision_function(X), clone(codes).fit_targets(X, B).decision_function(X)
    )
    with pytest.raises(ValueError, match="takes no real targets"):
        small().fit_targets(X, T)


def test_validation_rows_of_ones_own():
    function = small(validation=(X[:30], B[:30])).fit(X[30:], B[30:])
    values = [entry["validation"] for entry in function.history_]
    net, own = function.bits_[0][0], BitLoss(B[:30])
    kept = float(own(torch.from_numpy(net.outputs(hashers.deep.rows.Rows(X[:30]))).float(), torch.arange(30)))
    assert kept == pytest.approx(min(values), rel=1e-4)


def test_warm_start():
    function = small(warm_start=True, epochs=3).fit(X, B)
    first = function.history_[0]["loss"]
    assert function.fit(X, B).history_[0]["loss"] < first
    more = function.fit(X, np.hstack([B, B[:, :2]]))  # two bits more: the others go on
    assert more.n_bits_ == 7 and more.history_[0]["loss"] < first
    assert small(epochs=3).fit(X, B).fit(X, B).history_[0]["loss"] == first


def test_images_are_changed_in_training_only():
    images = small(image_shape=(3, 4), n_channels=(4,), epochs=1)
    losses = {}
    for augment in ((), "auto", ("shift",), ("flip",)):
        function = clone(images).set_params(augment=augment).fit(X, B)
        np.testing.assert_array_equal(function.decision_function(X), function.decision_function(X))
        losses[augment] = function.history_[0]["loss"]
    assert losses["auto"] == losses[("shift",)] and len(set(losses.values())) == 3


def test_checkpoint_of_a_function(tmp_path):
    class Stop(Exception):
        pass

    def stop(event):
        if event.n_moves == 15:
            raise Stop

    whole = small().fit(X, B)
    path = str(tmp_path / "checkpoint")
    with pytest.raises(Stop):
        small(checkpoint=path, callback=stop).fit(X, B)
    np.testing.assert_array_equal(small(checkpoint=path).fit(X, B).decision_function(X), whole.decision_function(X))
    with pytest.raises(ValueError, match="belongs to another run: its fingerprint"):
        small(checkpoint=path).fit(X, -B)
    for other, what in [({"loss": "hinge"}, "fingerprint"), ({"standardize": False}, "scaling")]:
        with pytest.raises(ValueError, match=f"belongs to another run: its {what}"):
            small(checkpoint=path, **other).fit(X, B)
    changed = X.copy()
    changed[1] += 1  # not among the rows that are hashed one by one
    with pytest.raises(ValueError, match="belongs to another run: its scaling"):
        small(checkpoint=path).fit(changed, B)


def test_a_checkpoint_of_other_weights_to_begin_with(tmp_path):
    path = str(tmp_path / "checkpoint")
    own = torch.nn.Linear(X.shape[1], 5)
    body = torch.nn.Sequential(own, torch.nn.Tanh())
    NetFunction(body, epochs=1, checkpoint=path, random_state=0).fit(X, B)
    NetFunction(body, epochs=1, checkpoint=path, random_state=0).fit(X, B)
    with torch.no_grad():
        own.bias += 1
    with pytest.raises(ValueError, match="belongs to another run: its fingerprint"):
        NetFunction(body, epochs=1, checkpoint=path, random_state=0).fit(X, B)


def test_a_bar_and_the_log(capsys, caplog):
    with caplog.at_level("INFO", logger="hashers"):
        small(verbose=1, epochs=2).fit(X, B)
    assert "epoch 2 of 2" in caplog.text and capsys.readouterr().out == ""


# ---- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"module": "resnet"}, "module must be one of auto, mlp, conv"),
        ({"module": "conv"}, "needs image_shape"),
        ({"image_shape": (5, 5)}, r"\(5, 5\) has 25 pixels and a row of X has 12"),
        ({"head": "tail"}, "head must be one of linear, divide"),
        ({"loss": "exponential"}, "loss must be one of"),
        ({"epochs": 0}, "epochs must be an integer of at least 1"),
        ({"batch_size": 2.5}, "batch_size must be"),
        ({"learning_rate": -1}, "learning_rate must be a finite number above 0"),
        ({"weight_decay": np.inf}, "weight_decay must be"),
        ({"dropout": 1.0}, "dropout must be a share below 1"),
        ({"schedule": "stairs"}, "schedule must be one of"),
        ({"validation": 1.5}, "validation must be a share"),
        ({"validation": 0.001}, "holds 0 of 90 rows out"),
        ({"validation": (X,)}, "1 entries came"),
        ({"validation": (X, B[:, :2])}, r"codes for validation have shape \(90, 2\)"),
        ({"patience": 3}, "give validation as well"),
        ({"augment": "flip"}, "give image_shape"),
        ({"n_hidden": (0,)}, "n_hidden must be"),
        ({"standardize": "yes"}, "standardize must be"),
        ({"n_threads": 0}, "n_threads must be"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        NetFunction(**{"epochs": 1, **settings}).fit(X, B)


def test_wrong_features():
    with pytest.raises(TypeError, match=r"sparse csr_matrix.*LinearFunction"):
        small().fit(sparse.csr_matrix(X), B)
    wrong = X.copy()
    wrong[40, 3] = np.nan
    with pytest.raises(ValueError, match=r"NaN.*row 40, column 3"):
        small().fit(wrong, B)
    with pytest.raises(ValueError, match="90 rows and B has 89"):
        small().fit(X, B[1:])
    with pytest.raises(NotFittedError):
        small().predict(X)
    fitted = small(epochs=1).fit(X, B)
    with pytest.raises(ValueError, match="expecting 12 features"):
        fitted.predict(X[:, :5])
    with pytest.raises(ValueError, match="expecting 12 features"):
        fitted.predict(torch.utils.data.TensorDataset(torch.zeros(3, 4)))
    nan = torch.utils.data.TensorDataset(torch.full((3, 12), float("nan")))
    with pytest.raises(ValueError, match="NaN or infinity for row 0"):
        fitted.predict(nan)


# ---- manners, hashers --------------------------------------------------------------------------------------------


@every_function
def test_pickle_and_copy(function):
    fitted = clone(function).set_params(epochs=1).fit(X, B)
    expected = fitted.decision_function(X)
    if function.module == "auto":  # the class of a test module cannot be found by pickle
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).decision_function(X), expected)
    np.testing.assert_array_equal(copy.deepcopy(fitted).decision_function(X), expected)
    again = clone(fitted)
    assert not hasattr(again, "bits_")


@pytest.mark.parametrize(
    "hasher",
    [
        TSH(n_bits=4, function=small()),
        FastHash(n_bits=4, function=small(epochs=3)),
        AffHash(n_bits=3, function=small(epochs=3), max_outer=2),
        TSH(n_bits=4, function=BalancedFunction(small())),
    ],
)
def test_as_the_function_of_hashers(hasher, tmp_path):
    fitted = clone(hasher).set_params(random_state=0).fit(X, Y)
    codes = fitted.transform(X)
    assert len(np.unique(codes[Y == 0], axis=0)) <= len(np.unique(codes, axis=0))
    assert ((fitted.codes_ == codes).mean()) > 0.8
    fitted.save(tmp_path / "model")
    loaded = hashers.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.decision_function(X), fitted.decision_function(X))
    assert len({id(net) for net, _ in _nets(loaded)}) == len({id(net) for net, _ in _nets(fitted)})


def _nets(hasher):
    function = hasher.function_
    return function.sources_[0][0].bits_ if isinstance(function, BalancedFunction) else function.bits_


# ---- files and graphs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "own"])
def test_saved_nets_give_the_same_margins(name, tmp_path):
    fitted = clone(FUNCTIONS[name]).set_params(epochs=1, random_state=3).fit(X, B)
    hashers.save(fitted, tmp_path / "model")
    loaded = hashers.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.decision_function(X), fitted.decision_function(X))
    assert loaded.get_params() == fitted.get_params() and loaded.history_ == fitted.history_


def test_weights_in_a_file_are_safetensors(tmp_path):
    import zipfile

    from safetensors.numpy import load

    fitted = small(epochs=1).fit(X, B)
    hashers.save(fitted, tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model") as archive:
        names = [name for name in archive.namelist() if name.endswith(".safetensors")]
        arrays = load(archive.read(names[0]))
    assert len(names) == 1
    np.testing.assert_array_equal(arrays["0.weight"], fitted.bits_[0][0].weights_["0.weight"])


def test_a_module_of_ones_own_is_asked_for(tmp_path):
    own = torch.nn.Sequential(torch.nn.Linear(12, 9), torch.nn.Tanh())
    fitted = NetFunction(own, epochs=1, random_state=0).fit(X, B)
    hashers.save(fitted, tmp_path / "model")
    with pytest.raises(MissingModule, match=r"Sequential, and a file holds no code.*module="):
        hashers.load(tmp_path / "model")
    other = torch.nn.Sequential(torch.nn.Linear(12, 8), torch.nn.Tanh())
    with pytest.raises(ModelFileError, match="do not fit"):
        hashers.load(tmp_path / "model", module=other)
    fresh = torch.nn.Sequential(torch.nn.Linear(12, 9), torch.nn.Tanh())  # other weights: those of the file count
    loaded = hashers.load(tmp_path / "model", module=fresh)
    np.testing.assert_array_equal(loaded.decision_function(X), fitted.decision_function(X))
    assert loaded.module is fresh


def test_edited_files_of_nets_are_refused(tmp_path):
    from hashers.persistence import archive

    fitted = small(epochs=1).fit(X, B)
    hashers.save(fitted, tmp_path / "model")
    good = (tmp_path / "model").read_bytes()
    for place in range(10, len(good), len(good) // 15):
        (tmp_path / "model").write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        with pytest.raises(ModelFileError):
            hashers.load(tmp_path / "model")
    (tmp_path / "model").write_bytes(good[: len(good) // 2])
    with pytest.raises(ModelFileError):
        hashers.load(tmp_path / "model")
    # resealed, so that only what the content says can betray it
    members = archive._members(good)
    text = members[archive.INDEX].replace(b'"relu"', b'"eval"')
    assert text != members[archive.INDEX]
    (tmp_path / "model").write_bytes(archive._sealed({**members, archive.INDEX: text}))
    with pytest.raises(ModelFileError, match="do not fit"):
        hashers.load(tmp_path / "model")


def test_callables_are_not_saved(tmp_path):
    fitted = small(epochs=1, callback=lambda event: False).fit(X, B)
    with pytest.raises(ValueError, match=r"NetFunction\.callback"):
        hashers.save(fitted, tmp_path / "model")


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "own"])
def test_graphs(name):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime (extra onnx) is not installed")
    fitted = clone(FUNCTIONS[name]).set_params(epochs=2).fit(X * 50 - 3, B)
    model = hashers.export_onnx(fitted)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    margins, codes = session.run(["margins", "codes"], {"X": X * 50 - 3})
    expected = fitted.decision_function(X * 50 - 3)
    np.testing.assert_allclose(margins, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(codes, fitted.predict(X * 50 - 3))


def test_no_graph_of_a_module_of_ones_own():
    pytest.importorskip("onnx", reason="onnx (extra onnx) is not installed")
    fitted = NetFunction(Backbone(), epochs=1, random_state=0).fit(X, B)
    with pytest.raises(ValueError, match=r"torch_module\(\) to torch.onnx.export"):
        hashers.export_onnx(fitted)
    assert isinstance(fitted.bits_[0][0].torch_module(), Backbone)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda():
    fitted = small(device="cuda", epochs=20).fit(X, B)
    assert (fitted.predict(X) == B).mean() > 0.9
    fitted.device = "cpu"
    assert (fitted.predict(X) == B).mean() > 0.9

"""The trainer: the same weights whatever happens on the way, and nothing of the outside touched."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch (extra torch) is not installed")

from hashers.deep.augmentation import Augmentation, check_image_shape  # noqa: E402
from hashers.deep.rows import Rows, Scaling  # noqa: E402
from hashers.deep.training import Trainer, choose_device, one_cycle  # noqa: E402
from hashers.errors import ModelFileError  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 6)).astype(np.float32)
T = np.sign(X @ RNG.normal(size=(6, 3))).astype(np.float32)


def module(seed=0):
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    layers = [torch.nn.Linear(6, 10), torch.nn.BatchNorm1d(10), torch.nn.ReLU(), torch.nn.Dropout(0.2)]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(10, 3))
    torch.set_rng_state(state)
    return net


def squared(outputs, rows):
    return ((outputs - torch.from_numpy(T)[rows]) ** 2).mean()


def trainer(**settings):
    settings = {"epochs": 4, "batch_size": 30, "device": "cpu", **settings}
    return Trainer(module(), Rows(X), **settings)


def weights(trained):
    return {name: tensor.clone() for name, tensor in trained.module.state_dict().items()}


def assert_same(a, b):
    assert list(a) == list(b)
    for name in a:
        assert torch.equal(a[name], b[name]), name


class Stop(Exception):
    pass


def raising(n_batches, error):
    def callback(event):
        if event.n_moves >= n_batches:
            raise error

    return callback


# ---- one seed, one result ----------------------------------------------------------------------------------------


def test_it_learns():
    t = trainer(epochs=30, learning_rate=1e-2).fit(squared)
    losses = [entry["loss"] for entry in t.history]
    assert losses[-1] < 0.5 * losses[0] and len(losses) == t.epoch == 30
    assert (np.sign(t.outputs()) == T).mean() > 0.9


def test_a_seed_gives_one_result_and_another_gives_another():
    a, b, c = (trainer(seed=seed).fit(squared) for seed in (1, 1, 2))
    assert_same(weights(a), weights(b))
    assert a.history == b.history
    assert not torch.equal(weights(a)["0.weight"], weights(c)["0.weight"])


def test_global_states_stay():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002
    trainer(n_threads=threads + 1, epochs=1).fit(squared)
    with pytest.raises(Stop):
        trainer(n_threads=threads + 1, callback=raising(2, Stop())).fit(squared)
    assert torch.equal(before, torch.get_rng_state())
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002
    assert torch.get_num_threads() == threads


def test_the_global_seed_and_modes_have_no_part():
    torch.manual_seed(1)
    a = weights(trainer().fit(squared))
    torch.manual_seed(2)
    with torch.no_grad():
        b = weights(trainer().fit(squared))
    with torch.inference_mode():
        c = trainer()
        c.outputs()
    assert_same(a, b)


def test_a_few_epochs_at_a_time():
    whole = trainer().fit(squared)
    parts = trainer()
    for until in (1, 1, 3, 4):
        parts.fit(squared, until=until)
        assert parts.epoch == until
    assert_same(weights(whole), weights(parts))


def test_rows_and_batches_of_ones_own():
    seen = []

    def loss(outputs, rows):
        seen.append(rows.numpy().copy())
        return squared(outputs, rows)

    chosen = np.array([3, 5, 8, 13, 21])
    trainer(batch_size=3, epochs=2).fit(loss, rows=chosen)
    assert [len(rows) for rows in seen] == [3, 2, 3, 2]
    assert (np.sort(np.concatenate(seen[:2])) == chosen).all()
    seen.clear()
    trainer(epochs=1).fit(loss, rows=lambda stream: [stream.permutation(4), np.array([9, 9, 7])])
    assert sorted(seen[0]) == [0, 1, 2, 3] and seen[1].tolist() == [9, 9, 7]


def test_a_loss_hears_of_the_epochs():
    class Rising:
        shares = []

        def start_epoch(self, share):
            self.shares.append(share)

        def __call__(self, outputs, rows):
            return squared(outputs, rows)

    trainer().fit(Rising())
    assert Rising.shares == [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows(n):
    t = Trainer(module(), Rows(X[:n]), epochs=2, batch_size=1, device="cpu").fit(squared)
    assert np.isfinite(t.outputs()).all() and t.n_batches == 2 * n


def test_the_schedule_is_torch_s():
    steps = 50
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=steps, pct_start=0.3)
    warm = (0.3 * steps - 1) / (steps - 1)  # torch counts steps from 0
    for k in range(steps):
        assert one_cycle(k / (steps - 1), warm=warm) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        if k < steps - 1:
            theirs.step()


# ---- kill, interrupt, stop ---------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(n_batches=st.integers(1, 16), validated=st.booleans(), patience=st.sampled_from([None, 1]))
def test_a_run_that_fails_anywhere_resumes_to_the_same_result(tmp_path_factory, n_batches, validated, patience):
    path = tmp_path_factory.mktemp("run") / "checkpoint"
    patience = patience if validated else None

    def run(**more):
        t = trainer(patience=patience, learning_rate=0.1, **more)
        if t.checkpoint is not None:
            t.resume()
        validate = (lambda: t.mean_loss(squared, np.arange(80, 100))) if validated else None
        return t.fit(squared, rows=np.arange(80), validate=validate)

    whole = run()
    with pytest.raises(Stop):
        run(checkpoint=path, callback=raising(min(n_batches, whole.n_batches), Stop()))
    resumed = run(checkpoint=path)
    assert_same(weights(whole), weights(resumed))
    assert whole.history == resumed.history and whole.n_batches == resumed.n_batches


RUN = """
import sys, time
sys.path.insert(0, {root!r})
import numpy as np, torch
torch.set_num_threads(1)
path = {path!r}
from hashers.deep.rows import Rows
from hashers.deep.training import Trainer
rng = np.random.default_rng(0)
X = rng.normal(size=(200, 6)).astype(np.float32)
T = torch.from_numpy(np.sign(X[:, :3]))
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(6, 10), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(10, 3))
slow = lambda event: time.sleep({delay})
t = Trainer(net, Rows(X), epochs=15, batch_size=20, device="cpu", checkpoint=path, callback=slow)
print("ready", t.resume(), flush=True)
t.fit(lambda outputs, rows: ((outputs - T[rows]) ** 2).mean())
"""


def test_a_killed_process_resumes(tmp_path):
    def outputs(path, delay=0):
        names = {}
        exec(RUN.format(root=os.getcwd(), path=path, delay=delay), names)
        return names["t"].outputs()

    path = str(tmp_path / "killed")
    code = RUN.format(root=os.getcwd(), path=path, delay=0.02)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().split() == ["ready", "False"]
    for _ in range(10_000):
        if os.path.exists(path):
            break
        time.sleep(0.01)
    time.sleep(0.03)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    np.testing.assert_array_equal(outputs(path), outputs(str(tmp_path / "whole")))


def test_ctrl_c_keeps_present_weights_without_validation():
    t = trainer(callback=raising(6, KeyboardInterrupt())).fit(squared)
    assert t.stopped == "interrupt" and t.epoch == 1 and t.n_batches == 6
    before = weights(t)
    assert not torch.equal(before["0.weight"], module().state_dict()["0.weight"])
    assert t.fit(squared) is t and t.n_batches == 6  # a stopped trainer trains no more
    assert_same(before, weights(t))


def test_ctrl_c_keeps_the_best_weights():
    values = iter([3.0, 1.0, 2.0, 0.0])
    best = trainer().fit(squared, until=2)
    t = trainer(callback=raising(14, KeyboardInterrupt())).fit(squared, validate=lambda: next(values))
    assert t.stopped == "interrupt" and t.epoch == 3
    assert_same(weights(t), weights(best))


def test_a_callback_stops():
    events = []

    def callback(event):
        events.append(event)
        return event.n_moves == 5

    t = trainer(callback=callback).fit(squared)
    assert t.stopped == "callback" and t.n_batches == 5 and t.epoch == 1
    assert [event.n_moves for event in events] == [1, 2, 3, 4, 5]
    assert events[3].energy == pytest.approx(t.history[0]["loss"])


def test_patience_and_best_weights():
    values = iter([3.0, 2.0, 2.5, 2.0, 9.0])
    best = trainer(epochs=10).fit(squared, until=2)
    t = trainer(epochs=10, patience=2).fit(squared, validate=lambda: next(values))
    assert t.epoch == 4 and [entry["validation"] for entry in t.history] == [3.0, 2.0, 2.5, 2.0]
    assert_same(weights(t), weights(best))
    t.fit(squared, until=5)  # another call counts anew
    assert t.epoch == 5


def test_nan_loss_is_an_error_before_the_step():
    def loss(outputs, rows):
        return squared(outputs, rows) * (float("nan") if len(seen) == 3 else 1.0)

    seen = []
    t = trainer(callback=lambda event: seen.append(event))
    with pytest.raises(ValueError, match=r"the loss is nan in epoch 1 .*Lower learning_rate"):
        t.fit(loss)
    assert all(torch.isfinite(tensor).all() for tensor in weights(t).values())
    assert t.n_batches == 3


def test_a_validation_value_is_a_number():
    with pytest.raises(ValueError, match="the validation value is nan after epoch 1"):
        trainer().fit(squared, validate=lambda: float("nan"))


# ---- checkpoints -------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "checkpoint"
    trainer(checkpoint=path).fit(squared, until=1)
    for other in ({"seed": 1}, {"epochs": 5}, {"fingerprint": "x"}, {"batch_size": 31}, {"patience": 3}):
        with pytest.raises(ValueError, match=f"belongs to another run: its {next(iter(other))}"):
            trainer(checkpoint=path, **other).resume()
    assert trainer(checkpoint=path).resume()
    assert not trainer(checkpoint=tmp_path / "none").resume()
    assert not trainer().resume()


def test_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "checkpoint"
    trainer(checkpoint=path).fit(squared, until=1)
    good = path.read_bytes()
    header = int.from_bytes(good[:8], "little")
    places = [8 + header + 5, len(good) - 1, good.index(b'\\"epoch\\": 1') + 11]
    for damaged in [b"", good[:100], good[:-7], b"PK" + good[2:]]:
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match="Delete it"):
            trainer(checkpoint=path).resume()
    for place in places:
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(ModelFileError, match="Delete it"):
            trainer(checkpoint=path).resume()
    path.write_bytes(good)
    assert trainer(checkpoint=path).resume()


def test_the_state_of_a_method_is_kept(tmp_path):
    t = trainer(checkpoint=tmp_path / "checkpoint")
    t.extra = {"V": np.arange(6, dtype=np.int8).reshape(2, 3)}
    t.fit(squared, until=1)
    other = trainer(checkpoint=tmp_path / "checkpoint")
    assert other.resume()
    np.testing.assert_array_equal(other.extra["V"], t.extra["V"])
    assert other.extra["V"].dtype == np.int8


def test_a_checkpoint_is_json_and_tensors(tmp_path):
    from safetensors import safe_open

    trainer(checkpoint=tmp_path / "checkpoint").fit(squared, until=2)
    with safe_open(str(tmp_path / "checkpoint"), "np") as file:
        state = json.loads(file.metadata()["state"])
        names = list(file.keys())
    assert state["epoch"] == 2 and len(state["history"]) == 2
    assert "module/0.weight" in names and "optimizer/0/exp_avg" in names


# ---- features ----------------------------------------------------------------------------------------------------


class Items(torch.utils.data.Dataset):
    def __init__(self, X, with_label):
        self.X, self.with_label = X, with_label

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        x = torch.from_numpy(self.X[i].reshape(2, 3))
        return (x, 7) if self.with_label else x


def test_arrays_maps_and_datasets_give_the_same_net(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    frozen = X.copy()
    frozen.flags.writeable = False
    sources = [X, mapped, frozen, np.asfortranarray(X), X[:, ::-1][:, ::-1], Items(X, False), Items(X, True)]
    nets = [weights(Trainer(module(), Rows(s), epochs=1, device="cpu").fit(squared)) for s in sources]
    for net in nets[1:]:
        assert_same(nets[0], net)


class Counted(np.ndarray):
    """An array that knows how many of its rows were read at once."""

    def __getitem__(self, index):
        if isinstance(index, np.ndarray):
            Counted.largest = max(Counted.largest, len(index))
        return np.asarray(super().__getitem__(index))


def test_only_a_batch_is_read_at_a_time():
    Counted.largest = 0
    Trainer(module(), Rows(X.view(Counted)), epochs=1, batch_size=10, device="cpu").fit(squared)
    assert Counted.largest == 10


def test_rows_of_rows():
    rows = Rows(X)[np.arange(100) % 2 == 0][np.array([3, 1])]
    assert rows.shape == (2, 6)
    np.testing.assert_array_equal(rows.take(np.array([0, 1])), X[[6, 2]])


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([None, (1, 2, 3), (2, 1, 3)]), st.sampled_from([0, 300, -300]))
def test_scaling(seed, image_shape, exponent):
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (8, 6)).astype(float)
    x[:, 2 if image_shape is None else 0] = 4.0
    weight = rng.integers(0, 2, 8).astype(float)
    weight[0] = 1
    scaled = Scaling.of(Rows(np.ldexp(x, exponent)), image_shape, weight)(np.ldexp(x, exponent))
    counted = x[weight > 0].reshape(-1, *(image_shape or (6, 1, 1))).astype(float)
    mean, std = counted.mean(axis=(0, 2, 3)), counted.std(axis=(0, 2, 3))
    pixels = 6 // len(mean)
    expected = (x - mean.repeat(pixels)) / np.where(std == 0, 1, std).repeat(pixels)
    if exponent == 0:
        np.testing.assert_allclose(scaled, expected, atol=1e-5)
    else:  # a constant feature keeps 0, whatever its size
        varying = (std > 0).repeat(pixels)
        np.testing.assert_allclose(scaled[:, varying], expected[:, varying], atol=1e-5)
    assert scaled.dtype == np.float32


# ---- images ------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([("flip",), ("shift",), ("flip", "shift"), "shift"]), st.integers(0, 5))
def test_augmentation_is_a_mirror_image_or_a_shift(seed, kinds, max_shift):
    shape = (2, 4, 5)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6, 40)).astype(np.float32)
    out = Augmentation(kinds, shape, max_shift)(torch.from_numpy(x), rng).numpy().reshape(6, *shape)
    for before, after in zip(x.reshape(6, *shape), out):
        candidates = []
        for mirrored in [before, before[:, :, ::-1]] if "flip" in kinds else [before]:
            shifts = range(-max_shift, max_shift + 1) if "shift" in kinds else [0]
            for down in shifts:
                for right in shifts:
                    rows, columns = np.clip(np.arange(4) + down, 0, 3), np.clip(np.arange(5) + right, 0, 4)
                    candidates.append(mirrored[:, rows][:, :, columns])
        assert any((after == candidate).all() for candidate in candidates)


def test_augmentation_changes_images():
    x = torch.from_numpy(RNG.normal(size=(50, 30)).astype(np.float32))
    for kinds in ("flip", "shift"):
        out = Augmentation(kinds, (1, 5, 6))(x, np.random.default_rng(0))
        changed = (out != x).any(dim=1).float().mean()
        assert 0.3 < changed < 1.0
    assert Augmentation((), (1, 5, 6))(x, None) is x
    with pytest.raises(ValueError, match="augment takes flip, shift: 'rotate'"):
        Augmentation(["rotate"], (1, 5, 6))


@pytest.mark.parametrize("shape", [(3,), (3, 0), (1, 2, 3, 4), "ab", 5, (2.5, 2), None])
def test_image_shapes_that_are_none(shape):
    with pytest.raises(ValueError, match="image_shape must be"):
        check_image_shape(shape)


# ---- devices -----------------------------------------------------------------------------------------------------


def test_devices():
    assert choose_device("cpu").type == "cpu"
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match='Use "auto"'):
        choose_device("nonsense")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mixed_precision", [False, True])
def test_cuda(mixed_precision, tmp_path):
    path = tmp_path / "checkpoint"
    settings = {"epochs": 20, "device": "cuda", "mixed_precision": mixed_precision, "checkpoint": path}
    targets = torch.from_numpy(T).cuda()

    def loss(outputs, rows):
        assert outputs.is_cuda and outputs.dtype == torch.float32
        return ((outputs - targets[rows]) ** 2).mean()

    Trainer(module(), Rows(X), **settings).fit(loss, until=3)
    t = Trainer(module(), Rows(X), **settings)
    assert t.resume()
    t.fit(loss)
    assert t.history[-1]["loss"] < t.history[0]["loss"] and np.isfinite(t.outputs()).all()


def test_errors_of_the_constructor(tmp_path):
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        trainer(checkpoint=tmp_path / "none" / "checkpoint")
    with pytest.raises(ValueError, match="no parameters to train"):
        Trainer(torch.nn.ReLU(), Rows(X), device="cpu")
    with pytest.raises(ValueError, match="schedule must be one of"):
        trainer(schedule="stairs")

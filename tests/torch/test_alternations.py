"""ADSH, DDSH and DSDH: discrete steps and a net in turn."""

import numpy as np
import pytest

from bqp import codes, supervision
from hashers import ADSH, DDSH, DSDH, LinearFunction, metrics
from hashers.functions import NetFunction

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

CLASSES = [ADSH, DDSH, DSDH]
BOTH = [(cls, mode) for cls in CLASSES for mode in ("default", "published")]


def net(**settings):
    chosen = {"epochs": 8, "n_hidden": (16,), "dropout": 0.0, "batch_size": 32, "learning_rate": 0.02}
    return NetFunction(**{**chosen, **settings})


def points(n=120, n_labels=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_labels
    centres = 1.5 * np.random.default_rng(0).standard_normal((n_labels, 6))
    return (centres[y] + rng.standard_normal((n, 6))).astype(np.float32), y


def make(cls, mode="default", n_bits=6, seed=0, **settings):
    function = settings.pop("function", None) or net()
    if mode == "published":
        settings.setdefault("n_rounds", 3 if cls is not DSDH else 8)
    if cls is ADSH:
        settings.setdefault("n_sampled", 80)
    if cls is DDSH:
        settings.setdefault("n_sampled", 20)
    return cls(n_bits, function, mode=mode, random_state=seed, **settings)


def same(a, b, X):
    return (
        np.array_equal(a.decision_function(X), b.decision_function(X))
        and np.array_equal(a.codes_, b.codes_)
        and np.array_equal(a.result_.trace.objective, b.result_.trace.objective)
    )


@pytest.mark.parametrize(("cls", "mode"), BOTH)
def test_both_kinds_of_codes_rank_well(cls, mode):
    X, y = points()
    X_query, y_query = points(seed=1)
    hasher = make(cls, mode).fit(X, y)
    B = hasher.transform(X_query)
    hashed = metrics.mean_average_precision(B, hasher.database_codes(X), y_query, y)
    learned = metrics.mean_average_precision(B, hasher.database_codes(X, "learned"), y_query, y)
    assert min(hashed, learned) > 0.75
    assert hasher.codes_.dtype == np.int8 and set(np.unique(hasher.codes_)) == {-1, 1}
    assert hasher.result_.objective == hasher.result_.trace.objective[-1]
    assert hasher.result_.ksh_objective == supervision.from_labels(y).ksh_objective(hasher.codes_)
    assert hasher.result_.stats["n_rounds"] >= 3 and "stopped" not in hasher.result_.stats


@pytest.mark.parametrize(("cls", "mode"), BOTH)
def test_the_seed_decides_and_threads_do_not(cls, mode):
    X, y = points(60)
    first, second, other = (
        make(cls, mode, seed=seed, n_jobs=n_jobs).fit(X, y) for seed, n_jobs in ((0, 1), (0, 2), (1, 1))
    )
    assert same(first, second, X) and not same(first, other, X)


@pytest.mark.parametrize("n_batches", [1, 5, 11])
@pytest.mark.parametrize(("cls", "mode"), BOTH)
def test_a_run_that_fails_anywhere_resumes_to_the_same_result(tmp_path, cls, mode, n_batches):
    X, y = points(90)
    more = {ADSH: {"n_epochs": 2}, DDSH: {"n_alternations": 2}, DSDH: {"n_rounds": 4}}[cls]
    whole = make(cls, mode, **more).fit(X, y)

    def fail(event):
        if event.n_moves == n_batches:
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        make(cls, mode, function=net(callback=fail, checkpoint=tmp_path / "run"), **more).fit(X, y)
    for _ in range(2):  # the second time the run is over, and only its last step is taken again
        resumed = make(cls, mode, function=net(checkpoint=tmp_path / "run"), **more).fit(X, y)
        assert same(whole, resumed, X)
    with pytest.raises(ValueError, match="belongs to another run"):
        make(cls, mode, n_bits=6, function=net(checkpoint=tmp_path / "run"), **more).fit(X, y[::-1])


@pytest.mark.parametrize("cls", CLASSES)
def test_ctrl_c_keeps_net_and_codes(cls, monkeypatch):
    X, y = points(60)

    def interrupt(event):
        if event.n_moves == 5:
            raise KeyboardInterrupt

    hasher = make(cls, function=net(callback=interrupt)).fit(X, y)
    assert hasher.result_.stats["stopped"] == "interrupted"
    assert hasher.transform(X).shape == hasher.codes_.shape == (60, 6)

    name = {ADSH: "v_step", DDSH: "omega_step", DSDH: "discrete_cyclic"}[cls]
    step, calls = getattr(codes, name), []

    def interrupted(*arguments, **settings):
        calls.append(name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(*arguments, **settings)

    monkeypatch.setattr(codes, name, interrupted)
    hasher = make(cls).fit(X, y)
    assert hasher.result_.stats["stopped"] == "interrupted" and len(calls) >= 3
    assert hasher.codes_.shape == (60, 6)


@pytest.mark.parametrize(("cls", "name"), [(ADSH, "v_step"), (DSDH, "discrete_cyclic")])
@pytest.mark.parametrize("mode", ["default", "published"])
def test_ctrl_c_in_the_last_step_keeps_net_and_codes(cls, name, mode, monkeypatch):
    X, y = points(60)
    step, calls = getattr(codes, name), []

    def counted(*arguments, **settings):
        calls.append(name)
        if len(calls) == last:
            raise KeyboardInterrupt
        return step(*arguments, **settings)

    monkeypatch.setattr(codes, name, counted)
    last = None
    whole = make(cls, mode).fit(X, y)
    last, calls[:] = len(calls), []
    hasher = make(cls, mode).fit(X, y)
    assert hasher.result_.stats["stopped"] == "interrupted" and len(calls) == last
    assert np.array_equal(hasher.transform(X), whole.transform(X))
    assert set(np.unique(hasher.codes_)) == {-1, 1}


@pytest.mark.parametrize("cls", CLASSES)
def test_label_sets_and_unknown_labels(cls):
    X, y = points()
    Y = np.eye(3, dtype=int)[y]
    Y[y == 2, 0] = 1
    Y[:9] = -1
    hasher = make(cls).fit(X, Y)
    relevant = np.stack([y != 1, y == 1, y == 2], axis=1).astype(int)
    B = hasher.transform(X[9:])
    assert metrics.mean_average_precision(B, B, relevant[9:], relevant[9:]) > 5 / 9 + 0.2
    assert np.array_equal(hasher.codes_[:9], hasher.transform(X[:9])), "a row without supervision has the net's code"


@pytest.mark.parametrize("cls", [ADSH, DDSH])
def test_pairs_and_a_matrix(cls):
    X, y = points(60)
    rng = np.random.default_rng(0)
    i, j = np.triu_indices(60, 1)
    chosen = rng.permutation(len(i))[:900]
    pairs = np.stack([i[chosen], j[chosen]], axis=1)
    s = np.where(y[pairs[:, 0]] == y[pairs[:, 1]], 1, -1)
    for hasher in (make(cls).fit_pairs(X, pairs, s), make(cls).fit_similarity(X, np.where(y[:, None] == y, 1.0, -1.0))):
        B = hasher.transform(X)
        assert metrics.mean_average_precision(B, B, y, y) > 0.75


def test_dsdh_needs_labels():
    with pytest.raises(ValueError, match="DSDH looks at the labels"):
        DSDH(4, net()).fit_pairs(points(12)[0], [[0, 1], [1, 2]], [1, -1])


# ---- the discrete steps --------------------------------------------------------------------------------------------


def spy(monkeypatch, name):
    """Record arguments and results of a function of `bqp.codes`."""
    step, calls = getattr(codes, name), []

    def recorded(*arguments, **settings):
        kept = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        shown = dict(settings)
        if settings.get("refit") is not None:  # what it gives now: outputs are kept up to date in place
            shown["U"] = settings["refit"](settings["init"], np.arange(settings["init"].shape[1])).copy()
        result = step(*arguments, **settings)
        calls.append((kept, shown, result))
        return result

    monkeypatch.setattr(codes, name, recorded)
    return calls


def soft_targets(y, omega):
    """+1 for similar pairs, minus the ratio of similar to dissimilar ones in the sampled columns for others."""
    similar = y[:, None] == y[omega][None, :]
    return np.where(similar, 1.0, -similar.sum() / (~similar).sum())


def test_the_v_step_of_adsh_is_exact_in_each_bit_and_never_rises(monkeypatch):
    calls = spy(monkeypatch, "v_step")
    X, y = points(40)
    hasher = make(ADSH, n_bits=4, n_sampled=25, gamma=3.0).fit(X, y)
    q = 4

    def objective(V, U, omega):
        return np.sum((q * soft_targets(y, omega) - V @ U.T) ** 2) + 3.0 * np.sum((V[omega] - U) ** 2)

    assert len(calls) == len(hasher.result_.trace) == hasher.result_.stats["n_rounds"]
    for (U, _, omega, before), settings, V in calls:
        assert settings["gamma"] == 3.0 and len(omega) == 25
        after = objective(V, U, omega)
        assert after <= objective(before, U, omega) + 1e-9
        for i, k in np.ndindex(*V.shape):
            other = V.copy()
            other[i, k] *= -1
            assert objective(other, U, omega) >= after - 1e-9
    values = [objective(V, U, omega) for (U, _, omega, _), _, V in calls]
    assert np.allclose(hasher.result_.trace.objective, values, rtol=1e-9)
    assert np.array_equal(hasher.codes_, calls[-1][2])


def test_the_published_v_step_is_one_sweep_from_no_codes(monkeypatch):
    calls = spy(monkeypatch, "v_step")
    X, y = points(30)
    q = 3
    make(ADSH, "published", n_bits=q, n_sampled=12).fit(X, y)
    V = np.zeros((30, q))
    for (U, _, omega, _), _, found in calls:
        scattered = np.zeros((30, q))
        scattered[omega] = U
        Q = -2 * q * soft_targets(y, omega) @ U - 2 * 200.0 * scattered
        for k in range(q):
            rest = np.arange(q) != k
            V[:, k] = np.where(2 * V[:, rest] @ (U[:, rest].T @ U[:, k]) + Q[:, k] <= 0, 1, -1)
        assert np.array_equal(found, V)
    assert len(calls) == 3


@pytest.mark.parametrize("mode", ["default", "published"])
def test_the_omega_step_of_ddsh(monkeypatch, mode):
    step, calls = codes.omega_step, spy(monkeypatch, "omega_step")
    X, y = points(40)
    hasher = make(DDSH, mode, n_bits=4, n_sampled=6).fit(X, y)
    values = []
    for (S, omega, B), settings, C in calls:
        assert settings["mode"] == mode and len(omega) == 6

        def objective(C, B=B, omega=omega):
            codes_ = B.copy()
            codes_[omega] = C
            return np.sum((4 * soft_targets(y, omega) - codes_ @ C.T) ** 2)

        values.append(objective(C))
        assert np.array_equal(C, step(S, omega, B, **settings))
        if mode == "default":
            assert values[-1] <= objective(B[omega]) + 1e-9
    assert np.allclose(hasher.result_.trace.objective, values, rtol=1e-9)
    omega, C = calls[-1][0][1], calls[-1][2]
    assert np.array_equal(hasher.codes_[omega], C)
    others = np.setdiff1d(np.arange(40), omega)
    assert np.array_equal(hasher.codes_[others], hasher.transform(X)[others])
    if mode == "published":
        assert len(calls) == 9 and np.array_equal(calls[0][0][1], calls[2][0][1])


def dsdh_objective(B, Y, U, ridge, pull):
    W = np.linalg.solve(B.T @ B + ridge * np.eye(B.shape[1]), B.T @ Y)
    feature = 0.0 if U is None else pull * np.sum((B - U) ** 2)
    return np.sum((Y - B @ W) ** 2) + ridge * np.sum(W**2) + feature


def test_the_discrete_step_of_dsdh_never_rises(monkeypatch):
    calls = spy(monkeypatch, "discrete_cyclic")
    X, y = points(60)
    hasher = make(DSDH, n_bits=4, mu=0.2, n_rounds=4).fit(X, y)
    Y = np.eye(3)[y]
    steps = [call for call in calls if call[1].get("init") is not None and call[1].get("refit") is not None]
    assert len(steps) == 4, "the first step has no outputs to look at"
    changed = 0
    for _, settings, result in steps:
        U = settings["U"]
        before = dsdh_objective(settings["init"].astype(float), Y, U, settings["regularization"], settings["nu"])
        after = dsdh_objective(result.B.astype(float), Y, U, settings["regularization"], settings["nu"])
        assert settings["nu"] == pytest.approx(1.0 / (4 * 0.2))
        assert settings["regularization"] == pytest.approx(0.01 * 60 / 0.2)
        assert result.objective == pytest.approx(after, rel=1e-9) and after <= before * (1 + 1e-12)
        changed += int(np.sum(settings["init"] != result.B))
    assert changed > 0
    assert np.array_equal(hasher.codes_, steps[-1][2].B)
    assert hasher.result_.objective == pytest.approx(0.2 * steps[-1][2].objective)


def test_the_published_step_of_dsdh_is_cyclic_descent_with_the_label_map_held(monkeypatch):
    calls = spy(monkeypatch, "discrete_cyclic")
    X, y = points(40)
    make(DSDH, "published", n_bits=4, n_rounds=5).fit(X, y)
    Y = np.eye(3)[y]
    assert len(calls) == 5, "the net comes first, with random codes"
    for _, settings, result in calls:
        B, U = settings["init"].astype(float), settings["U"]
        assert (settings["nu"], settings["regularization"]) == (1.0, 100.0)
        W = np.linalg.solve(B.T @ B + 100.0 * np.eye(4), B.T @ Y)
        P = Y @ W.T + U
        for _ in range(10):
            for k in range(4):
                rest = np.arange(4) != k
                scores = P[:, k] - B[:, rest] @ W[rest] @ W[k]
                B[:, k] = np.where(np.abs(scores) > 1e-9, np.sign(scores), B[:, k])
        assert np.mean(result.B == B) == 1.0


def test_the_published_likelihood_of_dsdh_looks_at_outputs_as_last_seen():
    from hashers.deep.dsdh import _StaleLoss

    rng = np.random.default_rng(0)
    y = np.array([0, 1, 0, 1, 1])
    B = rng.choice([-1, 1], (5, 2)).astype(np.int8)
    old = rng.standard_normal((5, 2)).astype(np.float32)
    state = {"B": B, "U": old.copy()}
    new = rng.standard_normal((2, 2)).astype(np.float32)
    loss = _StaleLoss(supervision.from_labels(y), state, 0.3, None)
    value = loss(torch.tensor(new), torch.tensor([3, 1])).item()
    U = old.copy()
    U[[3, 1]] = new
    assert np.array_equal(state["U"], U)
    theta = 0.5 * new @ U.T
    s = (y[[3, 1], None] == y[None, :]).astype(float)
    wanted = np.mean(np.log1p(np.exp(theta)) - s * theta) + 0.3 * np.mean((B[[3, 1]] - new) ** 2)
    assert value == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("hasher", "match"),
    [
        (ADSH(4, net(), n_sampled=0), "n_sampled must be a positive integer"),
        (ADSH(4, net(), gamma=-1.0), "gamma must be"),
        (ADSH(4, net(), mode="no"), "mode must be one of"),
        (ADSH(4, LinearFunction()), "ADSH trains a net by its own loss"),
        (ADSH(4, net(validation=0.2)), "validation of the NetFunction is float"),
        (DDSH(4, net(), n_rounds=1.5), "n_rounds must be a positive integer"),
        (DDSH(4, net(), pull=float("nan")), "pull must be"),
        (DDSH(4, net(), solver="nope"), "nope"),
        (DSDH(4, net(), mu=0.0), "mu must be a finite number above 0"),
        (DSDH(4, net(), n_rounds=True), "n_rounds must be a positive integer"),
        (DSDH(4, net(patience=3)), "patience counts epochs"),
    ],
)
def test_wrong_settings_are_named(hasher, match):
    with pytest.raises(ValueError, match=match):
        hasher.fit(*points(12))


@pytest.mark.parametrize("cls", CLASSES)
def test_few_points(cls):
    X, y = points(4, n_labels=2)
    hasher = make(cls, n_bits=2, function=net(epochs=2)).fit(X, y)
    assert hasher.transform(X[:1]).shape == (1, 2)


def test_rounds_and_epochs_follow_from_the_net():
    X, y = points(60)
    hasher = ADSH(4, net(epochs=6), n_sampled=30, random_state=0).fit(X, y)
    assert hasher.result_.stats["n_rounds"] == len(hasher.function_.history_) == 12
    hasher = DSDH(4, net(epochs=6), random_state=0).fit(X, y)
    assert hasher.result_.stats["n_rounds"] == 3 and len(hasher.function_.history_) == 6
    hasher = DDSH(4, net(epochs=6), n_sampled=10, n_alternations=2, random_state=0).fit(X, y)
    assert hasher.result_.stats["n_rounds"] == 3 and len(hasher.function_.history_) == 6

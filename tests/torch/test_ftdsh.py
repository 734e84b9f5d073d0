"""FTDSH: triplet codes in groups of bits; each group of a coupled run is what its net gives."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra torch) is not installed")

import hashers  # noqa: E402
from bqp import supervision  # noqa: E402
from bqp.losses import triplet  # noqa: E402
from hashers import FTDSH, NetFunction  # noqa: E402

RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
X = (3 * np.eye(3, 12)[Y] + 0.5 * RNG.normal(size=(60, 12))).astype(np.float32)
NET = NetFunction(n_hidden=(16,), epochs=15, batch_size=16, learning_rate=2e-2)


def small(**settings):
    return FTDSH(**{"n_bits": 6, "group_size": 3, "function": NET, "n_per_anchor": 10, "random_state": 0, **settings})


@pytest.mark.parametrize("settings", [{}, {"mode": "published"}, {"coupled": True}], ids=str)
def test_it_learns(settings):
    hasher = small(**settings).fit(X, Y)
    assert (hasher.transform(X) == hasher.codes_).mean() > 0.9
    distance = (hasher.codes_[:, None] != hasher.codes_).sum(axis=2)
    same = Y[:, None] == Y
    assert distance[~same].mean() > 2 + distance[same].mean()
    again = small(**settings).fit(X, Y)
    np.testing.assert_array_equal(again.decision_function(X), hasher.decision_function(X))


def test_published_codes_are_those_of_the_nets():
    hasher = small(mode="published").fit(X, Y)
    np.testing.assert_array_equal(hasher.codes_, hasher.transform(X))
    nets = [id(net) for net, _ in hasher.function_.bits_]
    assert len(set(nets[:3])) == len(set(nets[3:])) == 1 and nets[0] != nets[3]
    assert hasher.result_.stats["refit_calls"].tolist() == [0, 0, 0, 1, 1, 1]


def test_default_is_one_net():
    hasher = small().fit(X, Y)
    assert len({id(net) for net, _ in hasher.function_.bits_}) == 1
    assert "refit_calls" not in hasher.result_.stats


def test_triplets():
    T = np.array(
        [[a, p, n] for a in range(60) for p, n in [((a + 3) % 60, (a + 1) % 60), ((a + 6) % 60, (a + 5) % 60)]]
    )
    hasher = small(n_per_anchor=None).fit_triplets(X, T)
    value = triplet.value(supervision.from_triplets(T, 60), hasher.codes_, 3.0)
    assert hasher.result_.objective == value < 0.2 * 3.0 * len(T)
    with pytest.raises(ValueError, match="n_per_anchor"):
        small().fit_triplets(X, T)


def test_saved(tmp_path):
    hasher = small(mode="published").fit(X, Y)
    hasher.save(tmp_path / "model")
    loaded = hashers.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.decision_function(X), hasher.decision_function(X))

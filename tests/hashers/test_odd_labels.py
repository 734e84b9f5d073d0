"""Labels of odd shapes: imbalance, one member, more label sets than codes, labels that training never saw, none."""

import numpy as np
import pytest
from sklearn.base import clone

from bqp import supervision
from hashers import LinearFunction, metrics
from hashers.registry import METHODS, parse_method

QUICK = {
    "triplet": {"n_per_anchor": 5}, "affhash": {"max_outer": 2}, "feature-aware": {"n_steps": 5, "n_folds": 2},
    "ksh": {"n_anchors": 20}, "mlh": {"n_steps": 50},
}  # fmt: skip
LABELLED = [name for name, entry in METHODS.items() if entry.path.startswith("hashers.methods") and name != "dgh"]
NEED_LABELS = ["sdh", "fsdh", "hadamard", "feature-aware"]


def make(name, n_bits):
    return parse_method(name).make(n_bits, LinearFunction()).set_params(random_state=0, **QUICK.get(name, {}))


@pytest.mark.parametrize("name", LABELLED)
def test_imbalance_and_classes_with_one_member(name):
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(50, int), np.ones(6, int), [2, 3]]
    X = 3 * np.eye(4, 6)[y] + 0.3 * rng.normal(size=(58, 6))
    hasher = make(name, 8).fit(X, y)
    assert hasher.codes_.shape == (58, 8) and np.isfinite(hasher.result_.objective)
    np.testing.assert_array_equal(clone(hasher).fit(X, y).codes_, hasher.codes_)
    B = hasher.transform(X)
    near = metrics.mean_average_precision(B[y < 2], B[y < 2], y[y < 2], y[y < 2])
    assert near > 0.85


@pytest.mark.parametrize("name", [name for name in LABELLED if name != "hadamard"])
@pytest.mark.parametrize("sets", [False, True])
def test_more_classes_or_label_sets_than_codes(name, sets):
    rng = np.random.default_rng(1)
    if sets:
        Y = (rng.random((60, 4)) < 0.5).astype(int)
        Y[:16] = (np.arange(16)[:, None] >> np.arange(4)) & 1
        X = Y @ rng.normal(size=(4, 6)) + 0.1 * rng.normal(size=(60, 6))
        assert len(np.unique(Y, axis=0)) == 16 > 2**2
    else:
        Y = np.arange(60) % 7
        X = np.eye(7)[Y] + 0.1 * rng.normal(size=(60, 7))
    hasher = make(name, 2).fit(X, Y)
    assert hasher.codes_.shape == (60, 2) and len(np.unique(hasher.codes_, axis=0)) <= 4
    S = supervision.from_label_sets(Y) if sets else supervision.from_labels(Y)
    assert hasher.result_.ksh_objective == pytest.approx(S.ksh_objective(hasher.result_.B))
    assert hasher.result_.ksh_lower_bound <= hasher.result_.ksh_objective
    assert hasher.transform(X).shape == (60, 2)


def test_hadamard_codes_want_a_bit_a_label():
    X = np.random.default_rng(0).normal(size=(21, 3))
    with pytest.raises(ValueError, match="7"):
        make("hadamard", 2).fit(X, np.arange(21) % 7)


@pytest.mark.parametrize("name", LABELLED)
def test_a_label_that_training_never_saw(name):
    rng = np.random.default_rng(2)
    y = np.arange(90) % 3
    X = 3 * np.eye(3, 5)[y] + 0.3 * rng.normal(size=(90, 5))
    hasher = make(name, 8).fit(X[y < 2], y[y < 2])
    B = hasher.transform(X)
    scores = metrics.average_precision(B[:9], B[9:], y[:9], y[9:])
    assert scores.shape == (9,) and scores[y[:9] < 2].mean() > 0.5  # class 2 lies between others, and counts against
    alone = metrics.average_precision(B[:9], B[9:][y[9:] < 2], y[:9], y[9:][y[9:] < 2])
    assert (alone[y[:9] == 2] == 0).all()  # nothing in the database is relevant to it


@pytest.mark.parametrize("name", LABELLED)
def test_label_sets_without_any_label(name):
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=r"no label set in y has a label, in 20 samples.*Give 0/1 rows"):
        make(name, 4).fit(X, np.zeros((20, 3), dtype=int))


@pytest.mark.parametrize("name", NEED_LABELS)
def test_methods_that_need_labels_say_so_of_pairs(name):
    X = np.random.default_rng(0).normal(size=(20, 3))
    hasher = make(name, 4)
    message = rf"^{type(hasher).__name__} looks at the labels of points, .*Call fit with labels.*TripletHash take pairs"
    for fit in (
        lambda: hasher.fit_pairs(X, [[0, 1], [1, 2]], [1, -1]),
        lambda: hasher.fit_similarity(X, 2 * np.eye(20) - 1),
    ):
        with pytest.raises(ValueError, match=message):
            fit()

"""Minimal loss hashing against enumeration of codes and a plain transcription of its descent."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import load_digits

from hashers import MLH, metrics, packing
from hashers.baselines import LSH
from hashers.kernels import minimal_loss
from hashers.methods.mlh import _pools, hinge_tables

FAST = {"n_steps": 300, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(X))
    X, y = X[order] / 16, y[order]
    return X[300:], y[300:], X[:300], y[:300]


@given(q=st.integers(1, 4), radius=st.integers(1, 4), seed=st.integers(0, 9999))
def test_loss_adjusted_inference_is_exact(q, radius, seed):
    rng = np.random.RandomState(seed)
    F, E = rng.randint(-3, 4, (2, 3, q)) / 2.0
    table = hinge_tables(q, min(radius, q))[rng.randint(0, 2, 3)] * rng.randint(1, 6)
    slopes, scratch = np.empty((2, 3, q)), (np.empty(q), np.empty(q, dtype=np.int64))
    distances = [
        minimal_loss.loss_adjusted_slopes(F[a], E[a], table[a], *scratch, slopes[0, a], slopes[1, a]) for a in range(3)
    ]
    B = np.where(np.stack([F, E]) >= 0, 1, -1)
    assert_array_equal(distances, (B[0] != B[1]).sum(axis=1))
    G, H = B - slopes
    codes = np.array(list(itertools.product([-1, 1], repeat=q)))
    for a in range(3):
        best = max(table[a][(g != h).sum()] + g @ F[a] + h @ E[a] for g in codes for h in codes)
        assert set(np.unique([G[a], H[a]])) <= {-1, 1}
        assert table[a][(G[a] != H[a]).sum()] + G[a] @ F[a] + H[a] @ E[a] == pytest.approx(best)


@pytest.mark.parametrize(("q", "radius"), [(8, 3), (5, 1), (4, 4), (1, 1)])
def test_losses_are_those_of_the_authors(q, radius):
    similar, dissimilar = hinge_tables(q, radius)
    assert_allclose(similar, [*np.zeros(radius), *(np.arange(1, q - radius + 2) / (q - radius + 1))])
    assert_allclose(dissimilar, [*(np.arange(radius + 1, 0, -1) / (radius + 1)), *np.zeros(q - radius)])


def literal_descent(X, S, pools, hasher, seed, radius):
    """Norouzi and Fleet, one pair after the other, with all codes enumerated."""
    rng = np.random.default_rng(seed)
    Z = X - X.mean(axis=0)
    axes = np.linalg.svd(Z, full_matrices=False)[2][: hasher.n_components].T
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    Z = Z @ axes
    Z /= np.linalg.norm(Z, axis=1).mean()
    q = hasher.n_bits
    W, change = 0.1 * rng.standard_normal((q, Z.shape[1])), 0
    codes = [np.array(code) for code in itertools.product([-1.0, 1.0], repeat=q)]
    tables = hinge_tables(q, radius)
    half = hasher.batch_size // 2
    for step in range(hasher.n_steps):
        batch = [(pools[0][k], tables[0]) for k in rng.integers(len(pools[0]), size=hasher.batch_size - half)]
        batch += [(pools[1][k], tables[1]) for k in rng.integers(len(pools[1]), size=half)]
        gradient = np.zeros_like(W)
        for (i, j), table in batch:
            f, e = W @ Z[i], W @ Z[j]
            g, h = max(
                ((g, h) for g in codes for h in codes), key=lambda c: table[(c[0] != c[1]).sum()] + c[0] @ f + c[1] @ e
            )
            gradient += np.outer(np.where(f >= 0, 1, -1) - g, Z[i]) + np.outer(np.where(e >= 0, 1, -1) - h, Z[j])
        rate = hasher.step_size * (1 - step / hasher.n_steps)
        change = 0.9 * change + rate * (gradient / len(batch) - hasher.decay * W)
        W = W + change
    return Z @ W.T


def test_the_descent_is_the_papers(digits):
    from bqp import supervision

    X, y = digits[0][:80], digits[1][:80]
    hasher = MLH(3, n_components=6, radius=1, n_steps=12, batch_size=9, random_state=5).fit(X, y)
    seed = int(np.random.RandomState(5).randint(2**31 - 1, size=2)[0])
    S = supervision.from_labels(y)
    margins = literal_descent(X, S, _pools(S, np.arange(80), seed), hasher, seed, 1)
    assert_allclose(hasher.decision_function(X), margins, atol=1e-9)
    assert_array_equal(hasher.codes_, packing.signs(margins))


def test_pairs_are_of_the_kind_they_say(digits):
    from bqp import supervision

    y = np.where(np.arange(200) % 4 == 0, -1, digits[1][:200])
    S = supervision.from_labels(y)
    known = np.flatnonzero(y >= 0)
    similar, dissimilar = _pools(S, known, 0)
    labels = y[known]
    assert (labels[similar[:, 0]] == labels[similar[:, 1]]).all() and (similar[:, 0] != similar[:, 1]).all()
    assert (labels[dissimilar[:, 0]] != labels[dissimilar[:, 1]]).all()
    assert len(similar) > 1000 and len(dissimilar) > 5000


def test_the_loss_falls_and_the_objective_is_that_of_the_pairs(digits):
    from bqp import supervision

    X, y = digits[0][:400], digits[1][:400]
    start = MLH(12, n_steps=0, radius=3, random_state=0).fit(X, y)
    hasher = MLH(12, radius=3, n_steps=1500, random_state=0).fit(X, y)
    assert hasher.result_.objective < 0.8 * start.result_.objective
    assert hasher.result_.trace.objective[-1] < hasher.result_.trace.objective[0]
    seed = int(np.random.RandomState(0).randint(2**31 - 1, size=2)[0])
    pools, B = _pools(supervision.from_labels(y), np.arange(400), seed), hasher.codes_
    want = sum(
        table[(B[i] != B[j]).sum()] for pool, table in zip(pools, hinge_tables(12, 3), strict=True) for i, j in pool
    )
    assert hasher.result_.objective == pytest.approx(want)
    assert hasher.result_.ksh_objective == supervision.from_labels(y).ksh_objective(B)
    assert start.result_.lower_bound == -np.inf and len(start.result_.trace) == 0


def test_map_on_digits(digits):
    """The paper: far above random projections, and better with more bits."""
    X, y, X_query, y_query = digits

    def score(hasher):
        hasher.fit(X, y)
        return metrics.mean_average_precision(hasher.transform(X_query), hasher.transform(X), y_query, y)

    short, long = score(MLH(16, n_steps=500, random_state=0)), score(MLH(48, n_steps=500, random_state=0))
    assert long > short > score(LSH(16, random_state=0)) + 0.35


def test_the_automatic_radius_holds_a_third_of_the_similar_pairs(digits):
    X, y = digits[0][:500], digits[1][:500]
    hasher = MLH(32, n_steps=0, random_state=0).fit(X, y)
    same = (y[:, None] == y) & ~np.eye(500, dtype=bool)
    distances = (hasher.codes_[:, None] != hasher.codes_).sum(axis=2)[same]
    assert (distances <= hasher.radius_).mean() == pytest.approx(0.33, abs=0.08)
    assert MLH(1, n_steps=3, random_state=0).fit(X, y).radius_ == 1


def test_kinds_of_supervision(digits):
    X, y = digits[0][:300], digits[1][:300]
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 200, (3000, 2))
    by_pairs = MLH(8, **FAST).fit_pairs(X, pairs, np.where(y[pairs[:, 0]] == y[pairs[:, 1]], 1, -1))
    assert by_pairs.codes_.shape == (300, 8)
    Y = np.eye(10, dtype=int)[y] | np.eye(10, dtype=int)[(y + 1) % 10]
    by_sets = MLH(8, **FAST).fit(X, Y)
    dense = MLH(8, **FAST).fit_similarity(X, np.where(Y @ Y.T > 0, 1, -1))
    for hasher, labels in ((by_pairs, y), (by_sets, Y), (dense, Y)):
        B = hasher.transform(X)
        random = packing.signs(rng.normal(size=(300, 8)))
        value = metrics.mean_average_precision(B, B, labels, labels)
        assert value > metrics.mean_average_precision(random, random, labels, labels) + 0.15


def test_unlabelled_points_teach_nothing(digits):
    X, y = digits[0][:300], digits[1][:300]
    known = np.arange(300) % 3 > 0
    half = MLH(6, **FAST).fit(X, np.where(known, y, -1))
    wild = X.copy()
    wild[~known] = 9.0
    assert_allclose(MLH(6, **FAST).fit(wild, np.where(known, y, -1)).decision_function(X), half.decision_function(X))
    assert_array_equal(half.codes_, half.transform(X))


def test_inputs_of_every_kind(digits):
    X, y = digits[0][:200], digits[1][:200]
    plain = MLH(6, **FAST).fit(X, y)
    frozen = X.copy()
    frozen.setflags(write=False)
    assert_array_equal(MLH(6, **FAST).fit(frozen, y).codes_, plain.codes_)
    assert (MLH(6, **FAST).fit(sparse.csr_matrix(X), y).codes_ == plain.codes_).mean() > 0.97
    assert (MLH(6, **FAST).fit(X.astype(np.float32), y).codes_ == plain.codes_).mean() > 0.97
    for scale in (2.0**-500, 2.0**500):
        assert_array_equal(MLH(6, **FAST).fit(scale * X, y).transform(scale * X), plain.codes_)
    again = MLH(6, **FAST).fit(X, y)
    assert_array_equal(again.decision_function(X), plain.decision_function(X))


def test_edges(digits):
    X, y = digits[0][:60], digits[1][:60]
    assert MLH(4, **FAST).fit(X, np.arange(60)).codes_.shape == (60, 4)  # no similar pair
    lonely = np.r_[np.zeros(57, int), 1, 2, 3]
    assert MLH(4, **FAST).fit(X, lonely).codes_.shape == (60, 4)
    assert MLH(100, n_steps=5, random_state=0).fit(X, y).codes_.shape == (60, 100)
    assert len(np.unique(MLH(4, **FAST).fit(np.ones((60, 3)), y).codes_, axis=0)) == 1
    with pytest.raises(ValueError, match="X is too small"):
        MLH(4, **FAST).fit(X * 1e-323, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius": 0}, "radius must be an integer from 1 to n_bits = 4, or None: 0"),
        ({"radius": 5}, "from 1 to n_bits = 4, or None: 5"),
        ({"n_components": 0}, "n_components must be an integer of at least 1: 0"),
        ({"n_steps": -1}, "n_steps must be an integer of at least 0: -1"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1: 0"),
        ({"step_size": 0}, "step_size must be a finite number above 0: 0"),
        ({"decay": -1}, "decay must be a finite number of at least 0: -1"),
        ({"n_bits": 0}, "n_bits must be a positive integer: 0"),
    ],
)
def test_wrong_parameters_name_the_value(digits, settings, message):
    with pytest.raises(ValueError, match=message):
        MLH(**{"n_bits": 4, **settings}).fit(digits[0][:50], digits[1][:50])


def test_interrupt_keeps_what_was_learned(digits, monkeypatch):
    X, y = digits[0][:200], digits[1][:200]
    learn, calls = minimal_loss.descend_pairs, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) > 4:
            raise KeyboardInterrupt
        learn(*arguments)

    monkeypatch.setattr(minimal_loss, "descend_pairs", interrupted)
    hasher = MLH(8, **FAST).fit(X, y)
    stats = hasher.result_.stats
    assert stats["stopped"] == "interrupted" and 0 < stats["n_steps"] < 300
    assert len(hasher.result_.trace) <= 4 and hasher.transform(X).shape == (200, 8)
    monkeypatch.undo()
    whole = MLH(8, **FAST).fit(X, y)
    assert "stopped" not in whole.result_.stats
    assert_allclose(hasher.result_.trace.objective, whole.result_.trace.objective[: len(hasher.result_.trace)])

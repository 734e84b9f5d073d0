"""Codes near the KSH optimum from which the labels can be predicted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import codes, supervision
from bqp.codes._label_models import label_rows
from bqp.codes.predictable import MOST_SETS, _Path, _Search, gradual_codes, is_gradual, predictable_codes
from bqp.errors import ParameterError, ProblemError


def regression(B, mass, Y, regularization):
    """min over W, solved as it stands."""
    B = B.astype(float)
    W = np.linalg.solve(B.T @ (mass[:, None] * B) + regularization * np.eye(B.shape[1]), B.T @ (mass[:, None] * Y))
    return float(np.sum(mass * np.sum((Y - B @ W) ** 2, axis=1)) + regularization * np.sum(W**2))


def ksh(B, mass, S):
    return float(np.sum(np.outer(mass, mass) * (B.shape[1] * S - B.astype(float) @ B.T) ** 2))


@settings(max_examples=40)
@given(
    st.integers(2, 6),
    st.integers(1, 6),
    st.integers(0, 10_000),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.1, 1.0, 30.0]),
)
def test_every_flip_is_worth_what_it_says(C, q, seed, sets, soft, regularization):
    rng = np.random.default_rng(seed)
    B = rng.choice([-1, 1], (C, q)).astype(np.int8)
    mass = rng.integers(1, 9, C).astype(float)
    Y = np.eye(C)
    if sets:
        Y = (rng.random((C, 3)) < 0.5).astype(float)
        Y[~Y.any(axis=1), 0] = 1
    S = np.where(Y @ Y.T > 0, 1.0, -1.0)
    if soft:
        S = rng.normal(size=(C, C))
        S += S.T
    search = _Search(B, mass, Y, S, regularization)
    assert search.objective == pytest.approx(regression(B, mass, Y, regularization), rel=1e-8)
    objective, change = search._candidates()
    for g in range(C):
        for k in range(q):
            flipped = B.copy()
            flipped[g, k] *= -1
            assert objective[g, k] == pytest.approx(regression(flipped, mass, Y, regularization), rel=1e-6)
            assert change[g, k] == pytest.approx(ksh(flipped, mass, S) - ksh(B, mass, S), abs=1e-6)


@pytest.mark.parametrize("n_bits", [16, 32])
def test_both_goals_at_once(n_bits):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 30))
    S = supervision.from_labels(y)
    published = codes.discrete_cyclic(S, n_bits=n_bits, mode="published", rng=1)
    B = predictable_codes(S, n_bits, objective=published.objective)
    found = codes.discrete_cyclic(S, n_bits=n_bits, init=B)
    assert found.objective <= published.objective
    assert found.ksh_objective < 0.95 * published.ksh_objective
    learned = codes.learn(S, n_bits=n_bits)
    assert codes.discrete_cyclic(S, n_bits=n_bits, init=learned.B).objective > 2 * published.objective


def test_a_bound_that_is_met_changes_nothing():
    S = supervision.from_labels(np.repeat(np.arange(4), 5))
    np.testing.assert_array_equal(predictable_codes(S, 8), codes.learn(S, 8, certify=False).B)


def test_a_bound_that_cannot_be_met():
    S = supervision.from_labels(np.repeat(np.arange(4), 5))
    assert predictable_codes(S, 8, objective=1e-9) is None


def test_many_label_sets_unknown_labels_and_bad_input():
    assert predictable_codes(np.arange(MOST_SETS + 1), 8) is None
    y = np.repeat(np.arange(5), 6)
    y[::4] = -1
    S = supervision.from_labels(y)
    published = codes.discrete_cyclic(S, n_bits=10, mode="published")
    B = predictable_codes(S, 10, objective=published.objective)
    assert B.shape == (30, 10) and set(np.unique(B)) == {-1, 1}
    assert all(len(np.unique(B[y == c], axis=0)) == 1 for c in range(5))
    with pytest.raises(ParameterError, match="regularization must be above 0"):
        predictable_codes(S, 10, regularization=0.0)
    with pytest.raises(ProblemError):
        predictable_codes(supervision.from_pairs([0], [1], [1], 3), 4)


@settings(max_examples=40)
@given(
    st.integers(2, 7),
    st.integers(1, 6),
    st.integers(0, 10_000),
    st.booleans(),
    st.sampled_from([1e-3, 1.0, 1e3]),
    st.sampled_from([0.1, 1.0, 30.0]),
)
def test_both_losses_fall_together_to_where_no_flip_gains(C, q, seed, soft, weight, regularization):
    rng = np.random.default_rng(seed)
    Y = rng.permutation(1 + np.arange(C))[:, None] >> np.arange(3) & 1  # distinct label sets
    of_point = np.r_[np.arange(C), rng.integers(0, C, 3 * C)]
    _, rows = label_rows(supervision.from_label_sets(Y[of_point]))
    Y, mass = rows.sets, rows.kind_mass()
    S = np.where(Y @ Y.T > 0, 1.0, -1.0)
    if soft:
        S = rng.normal(size=(C, C))
        S += S.T
    share = weight / (mass.sum() * q * q)
    path = _Path(rng.choice([-1, 1], (C, q)).astype(np.int8), rows.merge(), S, regularization, rng.permutation(C))

    def both(B):
        return regression(B, mass, Y, regularization) + share * ksh(B, mass, S)

    value, before = both(path.B), None
    while before is None or (before != path.B).any():
        before = path.B
        assert path._try(weight, np.inf)
        assert both(path.B) <= value * (1 + 1e-9)
        value = both(path.B)
    B = path.B.astype(float)
    W = np.linalg.solve(B.T @ (mass[:, None] * B) + regularization * np.eye(q), B.T @ (mass[:, None] * Y))

    def with_map(B):
        return np.sum(mass * np.sum((Y - B @ W) ** 2, axis=1)) + share * ksh(B, mass, S)

    for g in range(C):
        for k in range(q):
            flipped = B.copy()
            flipped[g, k] *= -1
            assert with_map(flipped) >= with_map(B) - 1e-7 * (1 + value)


@pytest.mark.parametrize("kind", ["label sets", "many classes"])
def test_codes_made_similar_by_degrees(kind):
    rng = np.random.default_rng(0)
    if kind == "label sets":
        sets = (rng.random((80, 12)) < 0.2).astype(int)
        y = sets[rng.integers(0, 80, 400)]
        y[:5] = -1
    else:
        y = np.r_[np.arange(MOST_SETS + 6), rng.integers(0, MOST_SETS + 6, 300)]
    S = supervision.from_label_sets(y) if kind == "label sets" else supervision.from_labels(y)
    assert is_gradual(S) and not is_gradual(supervision.from_labels(y.sum(axis=1) if y.ndim == 2 else y % 7))
    first = codes.discrete_cyclic(S, n_bits=16, mode="published")
    first = codes.discrete_cyclic(S, n_bits=16, init=first.B, max_iterations=0)
    B = predictable_codes(S, 16, first.objective, init=first.B)
    found = codes.discrete_cyclic(S, n_bits=16, init=B, max_iterations=0)
    assert found.objective <= first.objective * (1 + 1e-12)
    least = codes.learn(S, 16, n_kicks=0, certify=False).ksh_objective
    assert found.ksh_objective - least < 0.5 * (first.ksh_objective - least)
    np.testing.assert_array_equal(gradual_codes(S, 16, 1.0, 0, 1), B)
    assert predictable_codes(S, 16, 0.99 * first.objective, init=first.B) is None
    with pytest.raises(ProblemError, match="init"):
        predictable_codes(S, 16, init=first.B[:, 1:])


def test_no_rounds_take_codes_as_they_are():
    S = supervision.from_labels(np.repeat(np.arange(4), 5))
    init = np.random.default_rng(0).choice([-1, 1], (20, 6)).astype(np.int8)
    taken = codes.discrete_cyclic(S, n_bits=6, init=init, max_iterations=0, refit=lambda B, bits: B[:, bits] * 0.5)
    np.testing.assert_array_equal(taken.B, init)
    mass, Y = np.ones(20), np.eye(4)[np.repeat(np.arange(4), 5)]
    assert taken.objective == pytest.approx(regression(init, mass, Y, 1.0) + 1e-5 * 0.25 * init.size)
    assert taken.stats["n_rounds"] == 0 and len(taken.trace.objective) == 1

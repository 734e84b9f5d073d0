"""Codes near the KSH optimum from which the labels can be predicted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import codes, supervision
from bqp.codes.predictable import MOST_SETS, _Search, predictable_codes
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

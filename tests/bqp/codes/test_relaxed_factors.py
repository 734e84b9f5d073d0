"""CNNH's first step: Newton steps on entries of a factor, against the written-out objective of all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import codes, supervision
from bqp.errors import ParameterError, ProblemError
from bqp.kernels.factors import factor_sweep
from bqp.testing import reference


def case(seed, n_groups=3, n=7, q=3):
    rng = np.random.default_rng(seed)
    T = rng.integers(-2, 3, (n_groups, n_groups)).astype(float)
    T = (T + T.T) / 2
    groups = rng.integers(0, n_groups, n).astype(np.int32)
    return T, groups, rng.uniform(-1, 1, (n, q)), rng


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1))
def test_a_sweep_is_newton_s_step_in_one_entry_after_the_other(seed):
    T, groups, H, rng = case(seed)
    S, q = T[np.ix_(groups, groups)], H.shape[1]
    order = rng.permutation(H.size)
    expected = reference.factor_steps(S, H, order)
    mine, sums = H.copy(), np.array([H[groups == g].sum(axis=0) for g in range(3)])
    G = H.T @ H
    fall = factor_sweep(mine, groups, T, sums, G, float(q), order)
    np.testing.assert_allclose(mine, expected, atol=1e-9)
    np.testing.assert_allclose(G, mine.T @ mine, atol=1e-9)
    np.testing.assert_allclose(sums, [mine[groups == g].sum(axis=0) for g in range(3)], atol=1e-9)

    def value(H):
        return np.sum((q * S - H @ H.T) ** 2)

    assert fall == pytest.approx(value(H) - value(mine), abs=1e-8) and fall >= 0
    assert np.abs(mine).max() <= 1


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_trace_is_the_objective_of_all_pairs_and_never_rises(seed, q):
    y = np.random.default_rng(seed).integers(0, 3, 9)
    y[:2] = 0, 1
    S = np.where(y[:, None] == y, 1.0, -1.0)
    for similarity in (supervision.from_labels(y), supervision.from_matrix(S)):
        result = codes.relaxed_factors(similarity, q, rng=seed)
        G = result.B.astype(float) @ result.B.T
        assert result.objective == result.ksh_objective == np.sum((q * S - G) ** 2)
        assert result.lower_bound <= result.objective
        assert (np.diff(result.trace.objective) <= 0).all()
        start = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed))).uniform(-1, 1, (9, q))
        assert result.trace.objective[0] == pytest.approx(np.sum((q * S - start @ start.T) ** 2))


def test_labels_and_their_matrix_give_the_same_codes():
    y = np.arange(30) % 4
    a = codes.relaxed_factors(supervision.from_labels(y), 8, rng=3)
    b = codes.relaxed_factors(supervision.from_matrix(np.where(y[:, None] == y, 1.0, -1.0)), 8, rng=3)
    np.testing.assert_array_equal(a.B, b.B)
    assert a.stats["n_groups"] == 4 and b.stats["n_groups"] == 30


def test_classes_come_apart():
    y = np.arange(200) % 5
    result = codes.relaxed_factors(supervision.from_labels(y), 16, rng=0)
    best = codes.learn(supervision.from_labels(y), 16, certify=False)
    assert best.objective <= result.objective <= 1.2 * best.objective
    assert result.trace.objective[-1] < 0.8 * result.trace.objective[0]


def test_unknown_labels_and_ends():
    y = np.array([0, -1, 1, 0, 1, -1])
    result = codes.relaxed_factors(supervision.from_labels(y), 4, rng=0)
    known = codes.relaxed_factors(supervision.from_labels(y), 4, rng=0, max_sweeps=1)
    assert result.B.shape == (6, 4) and known.stats["n_sweeps"] == 1 and len(known.trace) == 2
    stopped = codes.relaxed_factors(supervision.from_labels(y), 4, rng=0, callback=lambda event: True)
    assert stopped.stats["stopped"] == "callback" and len(stopped.trace) == 1
    timed = codes.relaxed_factors(supervision.from_labels(y), 4, rng=0, time_limit=0.0)
    assert timed.stats["stopped"] == "time_limit"

    def interrupt(event):
        raise KeyboardInterrupt

    kept = codes.relaxed_factors(supervision.from_labels(y), 4, rng=0, callback=interrupt)
    assert kept.stats["stopped"] == "interrupted" and set(np.unique(kept.B)) <= {-1, 1}


def test_what_it_does_not_take():
    weighted = supervision.from_labels([0, 1, 1], weights=[1, 2, 1])
    pairs = supervision.from_pairs([0, 1], [1, 2], [1.0, -1.0], n=3)
    matrix = supervision.from_matrix(np.eye(3), weights=np.ones((3, 3)) + np.eye(3))
    for S in (weighted, pairs, matrix):
        with pytest.raises(ProblemError, match=r"similarity of all pairs, without weights"):
            codes.relaxed_factors(S, 4)
    with pytest.raises(ParameterError, match="max_sweeps"):
        codes.relaxed_factors(supervision.from_labels([0, 1]), 4, max_sweeps=0)

"""Latent factor hashing: the authors' step literally, the relaxed objective pair by pair, merged points or not."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import codes, losses, supervision
from bqp.codes.latent_factor import _Relaxed, relaxed_objective
from bqp.errors import ParameterError, ProblemError
from bqp.testing import similarities as cases


def objective(S, W, U, beta):
    """Pair by pair."""
    value = 0.5 * U.shape[1] / beta * np.sum(U**2)
    for i in range(len(S)):
        for j in range(len(S)):
            if i != j:
                T = 0.5 * U[i] @ U[j]
                value += W[i, j] * (np.log1p(np.exp(T)) - 0.5 * (1 + S[i, j]) * T)
    return value


def transcribe(S01, q, beta, n_iterations, seed, start=None):
    """The authors' stochastic loop: every quantity as they write it, one point at a time."""
    rng = np.random.default_rng(seed)
    n = len(S01)
    U = rng.standard_normal((n, q)) if start is None else start.copy()
    beta = beta / q
    for _ in range(n_iterations):
        sampled = rng.choice(n, q, replace=False)
        H = -U[sampled].T @ U[sampled] / 8 - np.eye(q) / beta
        new = U.copy()
        for i in range(n):
            if i in sampled:
                continue
            A = 1 / (1 + np.exp(-U[i] @ U[sampled].T / 2))
            G = (S01[i, sampled] - A) @ U[sampled] - U[i] / beta
            new[i] = U[i] - G @ np.linalg.inv(H)
        U = new
    return U


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_published_is_the_authors_loop(seed, q, given_start):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 11)
    y[:2] = 0, 1
    start = rng.standard_normal((11, q)) if given_start else None
    result = codes.latent_factor(supervision.from_labels(y), q, beta=7.0, mode="published", init=start, rng=seed)
    expected = transcribe((y[:, None] == y).astype(float), q, 7.0, 50, seed, start)
    np.testing.assert_allclose(result.stats["U"], expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(result.B, np.where(result.stats["U"] >= 0, 1, -1))
    assert len(result.trace) == 50


def test_published_leaves_unknown_points_out_and_weighs_pairs():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 12)
    padded = np.insert(y, [3, 9], -1)
    known = padded != -1
    whole = codes.latent_factor(supervision.from_labels(padded), 3, mode="published", rng=1)
    part = codes.latent_factor(supervision.from_labels(y), 3, mode="published", rng=1)
    np.testing.assert_array_equal(whole.stats["U"][known], part.stats["U"])
    assert not whole.stats["U"][~known].any()
    S = np.where(y[:, None] == y, 1.0, -1.0)
    W = np.where(rng.random((12, 12)) < 0.5, 0.5, 1.0)
    W = np.triu(W) + np.triu(W, 1).T
    matrix = codes.latent_factor(supervision.from_matrix(S, W), 3, mode="published", rng=1, max_iterations=1)
    draws = np.random.default_rng(1)
    U, sampled = draws.standard_normal((12, 3)), draws.choice(12, 3, replace=False)
    i = next(i for i in range(12) if i not in sampled)
    C = U[sampled]
    slope = W[i, sampled] * ((1 + S[i, sampled]) / 2 - 1 / (1 + np.exp(-U[i] @ C.T / 2)))
    expected = U[i] + np.linalg.solve(C.T @ C / 8 + 0.1 * np.eye(3), slope @ C - 0.1 * U[i])
    np.testing.assert_allclose(matrix.stats["U"][i], expected)


@settings(max_examples=60)
@given(cases.similarities(max_n=7), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_relaxed_objective_is_the_sum_over_pairs(case, q, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    U = np.random.default_rng(seed).standard_normal((len(S), q))
    assert relaxed_objective(similarity, U, beta=5.0) == pytest.approx(objective(S, W, U, 5.0), rel=1e-9, abs=1e-9)


@settings(max_examples=60)
@given(cases.similarities(max_n=7), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_gradient_by_differences(case, q, seed):
    similarity, _, _ = case
    collapse = similarity.collapse(losses.Likelihood())
    relaxed = _Relaxed(similarity, collapse.similarity, collapse.labels, 0.3)
    rng = np.random.default_rng(seed)
    U, D = rng.standard_normal((2, relaxed.n, q))
    slope = np.vdot(relaxed.value_and_gradient(U)[1], D)
    h = 1e-5
    ends = [relaxed.value_and_gradient(U + t * D)[0] for t in (h, -h)]
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-5, abs=1e-5)


@settings(max_examples=60)
@given(cases.similarities(max_n=7), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_merged_objective_is_the_one_of_all_pairs(case, q, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    collapse = similarity.collapse(losses.Likelihood())
    relaxed = _Relaxed(similarity, collapse.similarity, collapse.labels, q / 5.0)
    U = np.random.default_rng(seed).standard_normal((relaxed.n, q))
    lifted = np.where(collapse.labels[:, None] >= 0, U[collapse.labels], 0.0)
    assert relaxed.value_and_gradient(U)[0] == pytest.approx(objective(S, W, lifted, 5.0), rel=1e-9, abs=1e-9)


def test_blocks_of_rows_give_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    S = supervision.from_label_sets((rng.random((60, 6)) < 0.3).astype(int), weights=rng.integers(1, 4, 60))
    U = rng.standard_normal((60, 4))
    whole = _Relaxed(S, S, np.arange(60), 0.2)
    module = importlib.import_module("bqp.codes.latent_factor")  # the package holds the function of that name
    monkeypatch.setattr(module, "BLOCK_ENTRIES", 60 * 7)
    monkeypatch.setattr(module, "_KEPT_ENTRIES", 0)
    blocks = _Relaxed(S, S, np.arange(60), 0.2)
    assert len(blocks.blocks) == 9
    np.testing.assert_allclose(blocks.scale, whole.scale)
    for first, second in zip(blocks.value_and_gradient(U), whole.value_and_gradient(U)):
        np.testing.assert_allclose(first, second)


@settings(max_examples=40)
@given(cases.similarities(max_n=7), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_default(case, q, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    if np.abs(S[W > 0]).max() > 1:
        with pytest.raises(ProblemError, match="targets must lie in"):
            codes.latent_factor(similarity, q)
        return
    result, again = (codes.latent_factor(similarity, q, rng=seed, certify=False) for _ in range(2))
    np.testing.assert_array_equal(result.B, again.B)
    assert np.all(np.diff(result.trace.objective) <= 0)
    U = result.stats["U"]
    assert result.stats["relaxed_objective"] == pytest.approx(objective(S, W, U, 30.0), rel=1e-7, abs=1e-7)
    known = similarity.known
    np.testing.assert_array_equal(result.B[known], np.where(U[known] >= 0, 1, -1))
    G = result.B.astype(float) @ result.B.T
    loss = np.log1p(np.exp(G / 2)) - (1 + S) / 2 * G / 2
    assert result.objective == pytest.approx(np.sum(W * loss), rel=1e-9, abs=1e-9)
    assert result.ksh_objective == np.sum(W * (q * S - G) ** 2)
    assert result.lower_bound <= result.objective + 1e-9 and result.ksh_lower_bound <= result.ksh_objective


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("q", [4, 16, 33])
def test_default_is_at_least_as_good_as_published(q, seed):
    y = np.random.default_rng(seed).integers(0, 6, 150)
    S = supervision.from_labels(y)
    ours = codes.latent_factor(S, q, rng=seed)
    theirs = codes.latent_factor(S, q, mode="published", rng=seed)
    assert ours.stats["relaxed_objective"] < relaxed_objective(S, theirs.stats["U"])
    assert ours.objective < theirs.objective


def test_rotation_keeps_the_relaxed_objective_and_lowers_the_loss_of_the_codes():
    S = supervision.from_labels(np.arange(60) % 7)
    plain, turned = (codes.latent_factor(S, 12, n_rotations=k, rng=0) for k in (0, 10))
    np.testing.assert_allclose(
        plain.stats["U"] @ plain.stats["U"].T, turned.stats["U"] @ turned.stats["U"].T, atol=1e-8
    )
    assert turned.objective < plain.objective


def test_published_estimate_is_near_the_exact_objective():
    S = supervision.from_labels(np.arange(300) % 5)
    result = codes.latent_factor(S, 30, mode="published", rng=0, max_iterations=8)
    before = codes.latent_factor(S, 30, mode="published", rng=0, max_iterations=7)
    assert result.trace.objective[7] == pytest.approx(relaxed_objective(S, before.stats["U"]), rel=0.3)


def test_init_is_the_only_start_and_is_not_written_to():
    y = np.arange(40) % 4
    init = np.random.default_rng(0).standard_normal((40, 5))
    init.setflags(write=False)
    S = supervision.from_labels(y)
    for mode in ("default", "published"):
        first, second = (codes.latent_factor(S, 5, mode=mode, init=init, rng=3, n_rotations=0) for _ in range(2))
        np.testing.assert_array_equal(first.stats["U"], second.stats["U"])
    assert codes.latent_factor(S, 5, init=init).stats["n_starts"] == 1
    one = codes.latent_factor(S, 5, init=init, rng=3, n_rotations=0, max_iterations=1)
    start = np.array([init[y == c].mean(axis=0) for c in range(4)])[y]
    assert one.stats["relaxed_objective"] < relaxed_objective(S, start)


@pytest.mark.parametrize("mode", ["default", "published"])
def test_callback_and_time_limit_stop(mode):
    S = supervision.from_labels(np.arange(50) % 5)
    seen = []
    result = codes.latent_factor(S, 4, mode=mode, callback=lambda event: seen.append(event.x) or len(seen) == 2)
    assert len(seen) == 2 and result.stats["stopped"] == "callback"
    assert set(np.unique(seen[0])) <= {-1, 1} and seen[0].shape == (50, 4)
    assert codes.latent_factor(S, 4, mode=mode, time_limit=0).stats["stopped"] == "time_limit"


@pytest.mark.parametrize("mode", ["default", "published"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_points_and_one_class(mode, n):
    result = codes.latent_factor(supervision.from_labels(np.zeros(n, int)), 5, mode=mode)
    assert result.B.shape == (n, 5)
    if mode == "default":
        assert np.array_equal(result.B, np.tile(result.B[:1], (n, 1)))


def test_errors():
    S = supervision.from_labels([0, 1, 1])
    with pytest.raises(ParameterError, match="beta must be a positive number, got 0"):
        codes.latent_factor(S, 2, beta=0)
    with pytest.raises(ParameterError, match="mode must be one of"):
        codes.latent_factor(S, 2, mode="fast")
    with pytest.raises(ProblemError, match=r"init must have shape \(3, 2\)"):
        codes.latent_factor(S, 2, init=np.ones((2, 2)))
    with pytest.raises(ProblemError, match=r"init must be finite, got nan at \(0, 1\)"):
        codes.latent_factor(S, 2, init=[[0, np.nan], [0, 0], [0, 0]])
    with pytest.raises(ProblemError, match="targets must lie in"):
        codes.latent_factor(supervision.from_matrix(3 * np.eye(2)), 2)
    heavy = supervision.from_labels([0, 1, 1], weights=[2, 1, 1])
    with pytest.raises(ProblemError, match=r"weights of at most 1, got 4\.0"):
        codes.latent_factor(heavy, 2, mode="published")
    with pytest.raises(ProblemError, match="S must be a Similarity"):
        codes.latent_factor(np.eye(2), 2)

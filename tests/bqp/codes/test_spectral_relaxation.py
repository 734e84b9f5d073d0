"""The spectral relaxation: dense transcription over all points, its loss as a bound, merged against written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import codes, supervision
from bqp.codes._rotation import best_rotation
from bqp.errors import ParameterError, ProblemError
from bqp.testing import similarities as cases


def test_published_is_the_sign_of_eigenvectors_of_all_points():
    rng = np.random.default_rng(0)
    P = rng.standard_normal((30, 4))
    S = np.tanh(P @ P.T)
    result = codes.spectral_relaxation(supervision.from_matrix(S), 4, mode="published")
    values, vectors = np.linalg.eigh(S)
    vectors = vectors[:, ::-1][:, :4]
    vectors *= np.sign(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(4)])
    np.testing.assert_array_equal(result.B, np.where(vectors >= 0, 1, -1))
    np.testing.assert_allclose(result.stats["eigenvalues"], values[::-1][:4])
    H = vectors * np.sqrt(4 * values[::-1][:4])
    np.testing.assert_allclose(result.stats["H"], H)
    assert result.stats["relaxed_objective"] == pytest.approx(np.sum((4 * S - H @ H.T) ** 2))


@settings(max_examples=60)
@given(cases.similarities(max_n=7), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_both_modes(case, q, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    ours = codes.spectral_relaxation(similarity, q, rng=seed, certify=False)
    theirs = codes.spectral_relaxation(similarity, q, mode="published", rng=seed, certify=False)
    assert ours.objective <= theirs.objective + 1e-9
    for result in (ours, theirs):
        G = result.B.astype(float) @ result.B.T
        assert result.objective == np.sum(W * (q * S - G) ** 2)
        if "relaxed_objective" in result.stats:
            H = result.stats["H"]
            loss = np.sum(W * (q * S - H @ H.T) ** 2)
            assert result.stats["relaxed_objective"] == pytest.approx(loss, rel=1e-8, abs=1e-8)
            assert loss <= result.objective + 1e-8
    again = codes.spectral_relaxation(similarity, q, rng=seed, certify=False)
    np.testing.assert_array_equal(again.B, ours.B)


def test_merged_eigenvalues_are_those_of_all_points():
    rng = np.random.default_rng(1)
    Y = (rng.random((60, 5)) < 0.4).astype(int)
    a = rng.integers(1, 4, 60).astype(float)
    S = np.where(Y @ Y.T > 0, 1.0, -1.0) * np.sqrt(np.outer(a, a))
    merged = codes.spectral_relaxation(supervision.from_label_sets(Y, weights=a), 4, certify=False)
    np.testing.assert_allclose(merged.stats["eigenvalues"], np.linalg.eigvalsh(S)[::-1][:4])
    assert merged.stats["n_points"] == len(np.unique(Y, axis=0))


def test_lanczos_agrees_with_the_whole_problem(monkeypatch):
    import importlib

    Y = (np.random.default_rng(2).random((200, 9)) < 0.3).astype(int)
    S = supervision.from_label_sets(Y)
    whole = codes.spectral_relaxation(S, 5, mode="published", certify=False)
    monkeypatch.setattr(importlib.import_module("bqp.codes.spectral_relaxation"), "_DENSE_UP_TO", 20)
    lanczos = codes.spectral_relaxation(S, 5, mode="published", certify=False)
    np.testing.assert_allclose(lanczos.stats["eigenvalues"], whole.stats["eigenvalues"])
    np.testing.assert_array_equal(lanczos.B, whole.B)


def test_more_bits_than_classes_and_unknown_labels():
    S = supervision.from_labels([0, 0, 1, -1, 1])
    result = codes.spectral_relaxation(S, 9)
    assert result.B.shape == (5, 9) and not result.stats["H"][3].any()
    assert np.array_equal(result.B[0], result.B[1]) and not np.array_equal(result.B[0], result.B[2])
    one = codes.spectral_relaxation(supervision.from_labels([0]), 3)
    assert one.objective == 0


def test_rotation_does_not_get_worse_and_keeps_products():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((12, 5))
    target = rng.standard_normal((12, 12))

    def value(B):
        return float(np.sum(target * (B.astype(float) @ B.T)))

    turned = best_rotation(U, np.ones(12), value, 8, rng)
    np.testing.assert_allclose(turned @ turned.T, U @ U.T)
    assert value(np.where(turned >= 0, 1, -1)) <= value(np.where(U >= 0, 1, -1))
    assert best_rotation(U, np.ones(12), value, 0, rng) is U


def test_callback_and_errors():
    S = supervision.from_labels([0, 1, 1])
    seen = []
    result = codes.spectral_relaxation(S, 2, callback=lambda event: seen.append(event) or True)
    assert len(seen) == 1 and result.stats["stopped"] == "callback" and seen[0].energy == result.objective
    with pytest.raises(ParameterError, match="mode must be one of"):
        codes.spectral_relaxation(S, 2, mode="fast")
    with pytest.raises(ProblemError, match="S must be a Similarity"):
        codes.spectral_relaxation(np.eye(2), 2)
    with pytest.raises(ParameterError, match="certify must be"):
        codes.spectral_relaxation(S, 2, certify="no")

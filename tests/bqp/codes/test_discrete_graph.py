"""Discrete graph hashing: a dense transcription of the port, constraints of Y, ascent, single flips by brute force."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import codes
from bqp.codes.discrete_graph import _Graph
from bqp.errors import ParameterError, ProblemError


def random_graph(rng, n, m, s):
    Z = np.zeros((n, m))
    for row in Z:
        row[rng.choice(m, s, replace=False)] = rng.random(s) + 0.1
    return Z / Z.sum(axis=1, keepdims=True)


def affinity(Z):
    used = Z.sum(axis=0) > 0
    return Z[:, used] @ np.diag(1 / Z[:, used].sum(axis=0)) @ Z[:, used].T


def balanced(B, rng):
    """The port's Y, with the same directions where B has lower rank."""
    n, q = B.shape
    C = B - B.mean(axis=0)
    values, V = np.linalg.eigh(C.T @ C)
    values, V = values[::-1], V[:, ::-1]
    r = int(np.sum(values > 1e-4 * max(values[0], 1e-9)))
    U = C @ V[:, :r] @ np.diag(1 / np.sqrt(values[:r]))
    if r < q:
        D = rng.standard_normal((n, q - r))
        basis = np.hstack([U, np.ones((n, 1)) / np.sqrt(n)])
        for k in range(q - r):
            v = D[:, k]
            for _ in range(3):
                v = v - basis @ (basis.T @ v)
            v = v / np.linalg.norm(v)
            basis = np.hstack([basis, v[:, None]])
        U = np.hstack([U, basis[:, r + 1 :]])
    return np.sqrt(n) * U @ V.T


def transcribe(Z, B, Y, rho, rng):
    """The port's loop with A written out."""
    A = affinity(Z)

    def value():
        return np.trace(B.T @ A @ B) + rho * np.trace(B.T @ Y)

    new = value()
    trace = [new]
    for _ in range(20):
        old = new
        gradient = 2 * A @ B + rho * Y
        B = np.sign(np.where(np.abs(gradient) > 0, gradient, B))
        Y = balanced(B, rng)
        new = value()
        trace.append(new)
        if (new - old) / old < 1e-4:
            break
    return B, Y, trace


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from([0.1, 1.0, 5.0]))
def test_published_is_the_ports_loop(seed, q, rho):
    rng = np.random.default_rng(seed)
    Z = random_graph(rng, 14, 6, 2)
    start = np.where(rng.standard_normal((14, q)) >= 0, 1, -1)
    draws = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    B, Y, trace = transcribe(Z, start.astype(float), balanced(start, draws), rho, draws)
    result = codes.discrete_graph(sp.csr_matrix(Z), q, rho=rho, init=start, mode="published", rng=seed)
    np.testing.assert_array_equal(result.B, B)
    np.testing.assert_allclose(result.stats["Y"], Y, atol=1e-7)
    np.testing.assert_allclose(result.trace.objective, -np.array(trace), rtol=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([0.0, 0.1, 3.0]), st.booleans())
def test_constraints_ascent_and_bound(seed, q, rho, idle_anchor):
    rng = np.random.default_rng(seed)
    n = 12
    Z = random_graph(rng, n, 5, 2)
    if idle_anchor:
        Z = np.insert(Z, 2, 0.0, axis=1)
    A = affinity(Z)
    result = codes.discrete_graph(Z, q, rho=rho, rng=seed)
    B, Y = result.B.astype(float), result.stats["Y"]
    assert set(np.unique(result.B)) <= {-1, 1}
    np.testing.assert_allclose(Y.sum(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(Y.T @ Y, n * np.eye(q), atol=1e-6)
    assert result.objective == pytest.approx(-(np.trace(B.T @ A @ B) + rho * np.trace(B.T @ Y)), rel=1e-10)
    assert np.all(np.diff(result.trace.objective) <= 0)
    assert result.trace.objective[-1] == pytest.approx(result.objective, rel=1e-10)
    assert result.lower_bound == pytest.approx(-(1 + rho) * n * q)
    assert result.lower_bound <= result.objective
    mass = np.where(Z.sum(axis=0) > 0, Z.sum(axis=0), 1)
    np.testing.assert_allclose(result.stats["anchor_codes"], (Z.T @ B) / mass[:, None])
    again = codes.discrete_graph(sp.csc_array(Z), q, rho=rho, rng=seed)
    np.testing.assert_array_equal(again.B, result.B)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("rho", [0.1, 2.0])
def test_default_is_never_below_published(seed, rho):
    rng = np.random.default_rng(seed)
    Z = random_graph(rng, 80, 20, 3)
    both = codes.discrete_graph(Z, 6, rho=rho, rng=seed)
    for init in ("I", "R"):
        theirs = codes.discrete_graph(Z, 6, rho=rho, init=init, mode="published", rng=seed)
        ours = codes.discrete_graph(Z, 6, rho=rho, init=init, rng=seed)
        assert ours.objective <= theirs.objective + 1e-9
        assert both.objective <= theirs.objective + 1e-9
    assert set(both.stats["starts"]) == {"I", "R"}


def test_the_balanced_matrix_is_the_best_one():
    """tr(B'Y) of the closed form against random feasible Y."""
    rng = np.random.default_rng(0)
    Z = random_graph(rng, 10, 5, 2)
    result = codes.discrete_graph(Z, 3, rho=1.0, max_iterations=1, mode="published", rng=0)
    B = result.B.astype(float)
    best = np.trace(B.T @ result.stats["Y"])
    assert best == pytest.approx(np.sqrt(10) * np.linalg.svd(B - B.mean(axis=0))[1].sum())
    for _ in range(200):
        D = rng.standard_normal((10, 3))
        Y = np.sqrt(10) * np.linalg.qr(D - D.mean(axis=0))[0]
        assert np.trace(B.T @ Y) <= best + 1e-9


def test_flips_reach_a_local_optimum_for_the_y_they_saw():
    import bqp.kernels.anchor as kernels

    rng = np.random.default_rng(0)
    Z = random_graph(rng, 30, 8, 3)
    graph = _Graph(Z)
    A = affinity(Z)
    pull = rng.standard_normal(30)
    b = np.where(rng.standard_normal(30) >= 0, 1, -1).astype(np.int8)
    before = b @ A @ b + pull @ b
    t = graph.F.T @ b.astype(float)
    flips = kernels.climb(graph.F.indptr, graph.F.indices, graph.F.data, graph.diagonal, pull, b, t, 1e-12, 100)
    value = b @ A @ b + pull @ b
    assert flips > 0 and value > before
    np.testing.assert_allclose(t, graph.F.T @ b.astype(float), atol=1e-12)
    for i in range(30):
        other = b.astype(float)
        other[i] *= -1
        assert other @ A @ other + pull @ other <= value + 1e-9


def test_starts():
    """-I and -R: eigenvectors of A orthogonal to 1, of the largest eigenvalues; the rotation raises tr(B'V Theta R)."""
    rng = np.random.default_rng(1)
    Z = random_graph(rng, 40, 12, 3)
    A = affinity(Z)
    values, vectors = np.linalg.eigh(A - np.ones((40, 40)) / 40)
    V, theta = _Graph(Z).eigenvectors(4, rng)
    np.testing.assert_allclose(theta, values[::-1][:4])
    np.testing.assert_allclose(np.abs(np.sum(V * vectors[:, ::-1][:, :4], axis=0)), 1)
    for init in ("I", "R"):
        stopped = codes.discrete_graph(Z, 4, init=init, callback=lambda event: True)
        Y = stopped.stats["Y"]
        np.testing.assert_allclose(Y @ np.linalg.solve(Y.T @ Y, Y.T), V @ V.T, atol=1e-8)
        if init == "I":
            np.testing.assert_array_equal(stopped.B, np.where(Y >= 0, 1, -1))
        assert stopped.stats["stopped"] == "callback"
    plain = np.abs(V * theta).sum()
    rotated = stopped.B.astype(float)
    assert np.trace(rotated.T @ (V * theta) @ (V.T @ Y / np.sqrt(40))) >= plain - 1e-9


def test_more_bits_than_the_rank_of_the_graph():
    Z = np.repeat(np.eye(3), 5, axis=0)
    result = codes.discrete_graph(Z, 8, rho=1.0, rng=0)
    assert result.B.shape == (15, 8)
    np.testing.assert_allclose(result.stats["Y"].T @ result.stats["Y"], 15 * np.eye(8), atol=1e-6)


def test_time_limit():
    Z = random_graph(np.random.default_rng(0), 20, 5, 2)
    assert codes.discrete_graph(Z, 3, time_limit=0).stats["stopped"] == "time_limit"


def test_errors():
    Z = np.repeat(np.eye(2), 3, axis=0)
    with pytest.raises(ParameterError, match="n_bits must be at most n - 1 = 5, got 6"):
        codes.discrete_graph(Z, 6)
    with pytest.raises(ParameterError, match="rho must be a number of at least 0, got -1"):
        codes.discrete_graph(Z, 2, rho=-1)
    with pytest.raises(ParameterError, match='init must be "auto", "I", "R" or codes'):
        codes.discrete_graph(Z, 2, init="S")
    with pytest.raises(ProblemError, match="row 0 sums to 2"):
        codes.discrete_graph(2 * Z, 2)
    with pytest.raises(ProblemError, match=r"at least 0, got -1\.0 at \(1, 0\)"):
        codes.discrete_graph(Z - 2 * (np.arange(6) == 1)[:, None] * np.eye(2)[0], 2)
    with pytest.raises(ProblemError, match=r"Z must have shape \(n, m\)"):
        codes.discrete_graph(np.ones((0, 3)), 2)
    with pytest.raises(ProblemError, match="init must have 2 columns"):
        codes.discrete_graph(Z, 2, init=np.ones((6, 3)))

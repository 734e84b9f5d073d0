"""The network half of ADSH and DDSH against sums over pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import supervision
from hashers.deep.asymmetric import AsymmetricLoss, pair_block, squared_error

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")


def similarity(kind, n, rng):
    if kind == "labels":
        y = rng.integers(2, 5, n)
        y[:3] = 2, 3, -1
        return supervision.from_labels(y)
    if kind == "weighted":
        return supervision.from_labels(rng.integers(2, 5, n), weights=rng.random(n) + 0.1)
    if kind == "classes":
        V = rng.random((3, 3))
        return supervision.from_groups(rng.permutation(np.arange(n) % 3), 2 * np.eye(3) - 1, V + V.T)
    T = np.sign(rng.standard_normal((n, n)))
    T = np.triu(T) + np.triu(T, 1).T
    if kind == "matrix":
        return supervision.from_matrix(T)
    i, j = np.triu_indices(n, 1)
    chosen = rng.permutation(len(i))[: 2 * n]
    return supervision.from_pairs(i[chosen], j[chosen], T[i[chosen], j[chosen]], n)


KINDS = ["labels", "weighted", "classes", "matrix", "pairs"]


def error_of_pairs(S, rows, U, points, C, ratio):
    T, W = S.to_dense()
    q, total = C.shape[1], 0.0
    for u, i in zip(U, rows):
        for c, j in zip(C, points):
            target = T[i, j] * (ratio if T[i, j] < 0 else 1.0)
            total += W[i, j] * (q * target - u @ c) ** 2
    return total


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**16))
def test_the_term_and_the_objective_are_sums_over_pairs(kind, seed):
    rng = np.random.default_rng(seed)
    n, q, ratio, pull = 11, 3, 0.3, 0.7
    S = similarity(kind, n, rng)
    rows, points = np.sort(rng.choice(n, 5, replace=False)), rng.choice(n, 7, replace=False)
    C, B = rng.choice([-1, 1], (7, q)).astype(np.int8), rng.choice([-1, 1], (n, q)).astype(np.int8)
    U = rng.standard_normal((5, q)).astype(np.float32)
    H = np.tanh(U.astype(np.float64))
    wanted = error_of_pairs(S, rows, H, points, C, ratio)
    assert squared_error(S, rows, H, points, C, ratio) == pytest.approx(wanted, rel=1e-9)
    outputs, index = torch.tensor(U, requires_grad=True), torch.tensor(rows)
    loss = AsymmetricLoss(S, points, C, B, ratio, pull)
    value = loss(outputs, index)
    mean = wanted / (5 * 7 * q**2) + pull * np.mean((B[rows] - H) ** 2)
    assert value.item() == pytest.approx(mean, rel=1e-4, abs=1e-6)
    value.backward()
    T, W = (block.astype(np.float64) for block in pair_block(S, rows, points))
    T = np.where(T < 0, ratio * T, T)
    slope = -2 * (W * (q * T - H @ C.T)) @ C / (5 * 7 * q**2) + 2 * pull * (H - B[rows]) / (5 * q)
    assert np.allclose(outputs.grad.numpy(), slope * (1 - H**2), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_pairs(kind):
    S = similarity(kind, 9, np.random.default_rng(0))
    T, W = S.to_dense()
    rows, points = np.array([4, 0, 8]), np.array([1, 8])
    targets, weights = pair_block(S, rows, points)
    assert np.array_equal(weights, W[np.ix_(rows, points)])
    assert np.array_equal(targets * (weights > 0), T[np.ix_(rows, points)] * (weights > 0))


def test_without_a_pull_codes_of_the_rows_play_no_part():
    rng = np.random.default_rng(0)
    S = similarity("labels", 6, rng)
    C = rng.choice([-1, 1], (6, 2)).astype(np.int8)
    U, rows = torch.randn(2, 2), torch.tensor([0, 1])
    assert AsymmetricLoss(S, np.arange(6), C)(U, rows) == AsymmetricLoss(S, np.arange(6), C, C, pull=0.0)(U, rows)

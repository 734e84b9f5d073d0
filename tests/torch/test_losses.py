"""Losses against their formulas, written again with loops over pairs, and against finite differences."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bqp import supervision
from bqp.errors import BackendNotFound
from hashers import metrics
from hashers.deep.losses import (
    DCH,
    DHN,
    DMDH,
    DPSH,
    DSH,
    LOSSES,
    MMHH,
    TALR,
    GreedyHash,
    HashNet,
    MIHash,
    PairSource,
    TripletLoss,
    get,
)
from hashers.deep.losses.base import quantization_error

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

NAMES = sorted(set(LOSSES) - {"greedyhash"})
"""Losses whose gradient is that of their value; the sign of GreedyHash has none."""


def batch(seed, n=9, q=4, kind="labels"):
    """Outputs, the pairs of all rows, and the same as plain arrays: S in [0, 1], W, degree, label vectors, known."""
    rng = np.random.default_rng(seed)
    U = rng.standard_normal((n, q))
    known, sets, degree = np.ones(n, bool), None, np.ones((n, n))
    if kind == "labels":
        y = rng.integers(0, 3, n)
        y[:4] = 0, 0, 1, -1
        known = y >= 0
        S = supervision.from_labels(y)
        similar = (y[:, None] == y[None, :]).astype(float)
        sets = np.eye(3)[y] * known[:, None] if len(S.classes) == 3 else None
        if sets is None:
            sets = (y[:, None] == S.classes[None, :]).astype(float)
    elif kind == "sets":
        sets = rng.integers(0, 2, (n, 3))
        sets[:4] = [1, 0, 0], [1, 1, 0], [0, 0, 1], [-1, -1, -1]
        known = sets[:, 0] >= 0
        S = supervision.from_label_sets(sets)
        sets = np.where(known[:, None], sets, 0).astype(float)
        similar = (sets @ sets.T > 0).astype(float)
        for i in range(n):
            for j in range(n):
                union = np.maximum(sets[i], sets[j]).sum()
                degree[i, j] = np.minimum(sets[i], sets[j]).sum() / union if union else 0.0
    elif kind == "pairs":
        i, j = np.triu_indices(n, 1)
        chosen = rng.permutation(len(i))[:12]
        s = np.where(np.arange(12) < 5, 1, -1)
        S = supervision.from_pairs(i[chosen], j[chosen], s, n)
        W = np.zeros((n, n))
        similar = np.zeros((n, n))
        for a, b, value in zip(i[chosen], j[chosen], s):
            W[a, b] = W[b, a] = 1.0
            similar[a, b] = similar[b, a] = value > 0
        known = W.any(axis=1)
    if kind != "pairs":
        W = np.outer(known, known).astype(float)
    np.fill_diagonal(W, 0.0)
    outputs = torch.tensor(U, requires_grad=True)
    return outputs, PairSource(S).batch(np.arange(n), outputs), (U, similar, W, degree, sets, known)


# ---- the formulas of the papers, pair by pair ----------------------------------------------------------------------


def pair_mean(term, W):
    """Mean over the pairs of weight above 0 of term(i, j)."""
    pairs = [(i, j) for i, j in zip(*np.nonzero(W))]
    return sum(W[i, j] * term(i, j) for i, j in pairs) / sum(W[i, j] for i, j in pairs) if pairs else 0.0


def entry_mean(values, known):
    return float(np.mean(values[known])) if known.any() else 0.0


def log1pexp(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def both_kinds(near, far, similar, W):
    return pair_mean(near, W * similar) + pair_mean(far, W * (1 - similar))


def hamming(u, v):
    return len(u) / 2 * (1 - u @ v / (np.linalg.norm(u) * np.linalg.norm(v)))


def likelihood(U, S, W, alpha):
    return pair_mean(lambda i, j: log1pexp(alpha * U[i] @ U[j]) - S[i, j] * alpha * U[i] @ U[j], W)


def dpsh(U, S, W, degree, sets, known):
    return likelihood(U, S, W, 0.5) + 0.1 * entry_mean((np.sign(U) - U) ** 2, known)


def dhn(U, S, W, degree, sets, known):
    return likelihood(U, S, W, 0.5) + 0.1 * entry_mean(np.log(np.cosh(np.abs(U) - 1)), known)


def dsh(U, S, W, degree, sets, known):
    q = U.shape[1]

    def term(i, j):
        d = np.sum((U[i] - U[j]) ** 2)
        return (0.5 * d if S[i, j] else 0.5 * max(q - d, 0.0)) / q

    return pair_mean(term, W) + 0.01 * entry_mean(np.abs(np.abs(U) - 1), known)


def hashnet(U, S, W, degree, sets, known, progress):
    H = np.tanh(math.sqrt(1 + 8 * progress) * U)
    alpha = 10 / U.shape[1]

    def term(i, j):
        theta = alpha * H[i] @ H[j]
        return (log1pexp(theta) - S[i, j] * theta) * (degree[i, j] if S[i, j] else 1.0)

    # w_ij = |S| / |S_1| or |S| / |S_0|, and the mean over |S|
    count, ones = np.sum(W), np.sum(W * S)
    return sum(
        term(i, j) * (count / ones if S[i, j] else count / (count - ones)) / count for i, j in zip(*np.nonzero(W))
    )


def dch(U, S, W, degree, sets, known):
    gamma, q = 20.0, U.shape[1]
    pairs = both_kinds(
        lambda i, j: degree[i, j] * math.log(1 + hamming(U[i], U[j]) / gamma),
        lambda i, j: math.log(hamming(U[i], U[j]) / gamma + 1) - math.log(hamming(U[i], U[j]) / gamma),
        S, W,
    )  # fmt: skip
    return pairs + 0.1 * entry_mean(np.array([math.log(1 + hamming(np.abs(u), np.ones(q)) / gamma) for u in U]), known)


def mmhh(U, S, W, degree, sets, known):
    def probability(i, j):
        d = hamming(U[i], U[j])
        return 1 / (1 + max(0.0, d - 2.0) / 16) if S[i, j] else 1 / (1 + max(2.0, d) / 16)

    pairs = both_kinds(
        lambda i, j: -degree[i, j] * math.log(probability(i, j)), lambda i, j: -math.log(1 - probability(i, j)), S, W
    )
    return pairs + 0.1 * entry_mean(np.log(np.cosh(np.abs(U) - 1)), known)


def triplet(U, S, W, degree, sets, known):
    H, n = np.tanh(U), len(U)
    distance = np.array([[np.sum((g - h) ** 2) / 4 / U.shape[1] for h in H] for g in H])
    terms = [
        max(0.0, 0.1 + distance[a, p] - distance[a, m])
        for a in range(n) for p in range(n) for m in range(n)
        if W[a, p] and S[a, p] and W[a, m] and not S[a, m]
    ]  # fmt: skip
    return float(np.mean(terms)) if terms else 0.0


def triangle(d, weight, q, width=1):
    """Histogram with the triangular kernel around 0, width, 2 width, ..., q."""
    centres = range(0, q + 1, width)
    return np.array([sum(w * max(0.0, 1 - abs(x - c) / width) for x, w in zip(d, weight)) for c in centres])


def entropy(p):
    return -sum(x * math.log(x) for x in p if x > 0)


def mihash(U, S, W, degree, sets, known):
    H, q = np.tanh(3 * U), U.shape[1]
    values = []
    for i in range(len(U)):
        d = (q - H @ H[i]) / 2
        near, far = triangle(d, W[i] * S[i], q, 4), triangle(d, W[i] * (1 - S[i]), q, 4)
        if near.sum() and far.sum():
            p = near.sum() / (near.sum() + far.sum())
            mixture = p * near / near.sum() + (1 - p) * far / far.sum()
            given_kind = p * entropy(near / near.sum()) + (1 - p) * entropy(far / far.sum())
            values.append(entropy(mixture) - given_kind)
    return -float(np.mean(values)) if values else 0.0


def talr(U, S, W, degree, sets, known):
    H, q = np.tanh(U), U.shape[1]
    values = []
    for i in range(len(U)):
        d = (q - H @ H[i]) / 2
        near, every = triangle(d, W[i] * S[i], q), triangle(d, W[i], q)
        if near.sum():
            total = 0.0
            for b in range(q + 1):
                total += (
                    near[b] * (near[:b].sum() + near[: b + 1].sum() + 1) / (every[:b].sum() + every[: b + 1].sum() + 1)
                )
            values.append(1 - total / near.sum())
    return float(np.mean(values)) if values else 0.0


def dmdh(U, S, W, degree, sets, known, progress):
    """The series of L around H, with the derivative of L by differences of a quartic, which are exact in the limit."""
    H, q, target = np.tanh(U), U.shape[1], 2 * S - 1

    def L(H):
        return float(np.sum(W * (H @ H.T / q - target) ** 2) / max(W.sum(), 1e-300))

    gradient, step = np.zeros_like(H), 1e-4
    for place in np.ndindex(*H.shape):
        E = np.zeros_like(H)
        E[place] = step
        # fourth-order differences: no error for a polynomial of degree four
        gradient[place] = (8 * (L(H + E) - L(H - E)) - (L(H + 2 * E) - L(H - 2 * E))) / (12 * step)
    M = 16 / q * W.sum(axis=1, keepdims=True) / max(W.sum(), 1e-300)
    best = np.where(M * H - gradient >= 0, 1.0, -1.0)
    return L(H) + 0.1 * progress * (np.sum(gradient * (best - H)) + np.sum(M / 2 * (best - H) ** 2))


FORMULAS = {
    "dpsh": dpsh, "dhn": dhn, "dsh": dsh, "hashnet": hashnet, "dch": dch, "mmhh": mmhh, "triplet": triplet,
    "mihash": mihash, "talr": talr, "dmdh": dmdh,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["labels", "sets", "pairs"])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=4)
@given(seed=st.integers(0, 2**16))
@example(seed=0)
def test_a_loss_equals_its_formula(name, kind, seed):
    outputs, pairs, arrays = batch(seed, kind=kind)
    for progress in (0.25, 1.0):
        extra = (progress,) if name in ("hashnet", "dmdh") else ()
        wanted = FORMULAS[name](*arrays, *extra)
        assert get(name)(outputs, pairs, progress).item() == pytest.approx(wanted, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("kind", ["labels", "pairs"])
@pytest.mark.parametrize("name", [*NAMES, "talr-exact"])
def test_gradients_agree_with_differences(name, kind):
    outputs, pairs, _ = batch(3, n=7, q=3, kind=kind)
    loss = TALR(form="exact") if name == "talr-exact" else get(name)
    assert torch.autograd.gradcheck(lambda U: loss(U, pairs, 0.5), [outputs])
    loss(outputs, pairs, 0.5).backward()
    assert outputs.grad.abs().sum() > 0, "a gradient of 0 agrees with anything"


@pytest.mark.parametrize("kind", ["labels", "sets"])
def test_greedyhash_is_the_classification_of_signs_and_hands_the_gradient_through(kind):
    outputs, pairs, (U, _, _, _, sets, known) = batch(5, kind=kind)
    loss = GreedyHash(alpha=0.3)
    head = loss.make_head(4, pairs.labels.shape[1]).double()
    W, c = head.weight.detach().numpy(), head.bias.detach().numpy()
    scores = np.sign(U) @ W.T + c
    if kind == "labels":
        terms = [np.log(np.exp(s).sum()) - s[np.argmax(y)] for s, y in zip(scores[known], sets[known])]
    else:
        terms = [
            np.mean([-math.log(1 / (1 + math.exp(-s if y else s))) for s, y in zip(*row)])
            for row in zip(scores[known], sets[known])
        ]
    penalty = 0.3 * np.mean(np.abs(np.abs(U[known]) - 1) ** 3)
    value = loss(outputs, pairs, head=head)
    assert value.item() == pytest.approx(np.mean(terms) + penalty, rel=1e-10)
    value.backward()
    B = torch.tensor(np.sign(U), requires_grad=True)
    loss.pair_loss(B, pairs, head=head).backward()
    V = torch.tensor(U, requires_grad=True)
    loss.penalty(V, pairs).backward()
    assert torch.allclose(outputs.grad, B.grad + V.grad, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda B: loss.pair_loss(B, pairs, head=head), [B])
    assert head.weight.grad.abs().sum() > 0


def hard_average_precision(B, y):
    """Exact tie-aware AP of each row as a query against the others."""
    return [
        metrics.average_precision(B[i : i + 1], np.delete(B, i, 0), y[i : i + 1], np.delete(y, i), ties="expected")[0]
        for i in range(len(B))
    ]


def test_talr_approaches_the_exact_tie_aware_average_precision():
    rng = np.random.default_rng(1)
    y = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 1])
    U = rng.standard_normal((12, 4)) + 0.8 * rng.choice([-1, 1], (3, 4))[y]
    B = np.where(U >= 0, 1, -1).astype(np.int8)
    pairs = PairSource(supervision.from_labels(y)).batch(np.arange(12), torch.tensor(U))
    exact = np.mean(hard_average_precision(B, y))
    assert len(np.unique(B @ B.T)) < 12, "no ties, nothing shown"
    gaps = []
    for sharpness in (1.0, 3.0, 10.0, 100.0, 1e6):
        value = TALR(form="exact", sharpness=sharpness)(torch.tensor(U), pairs).item()
        gaps.append(abs(1 - value - exact))
    assert gaps[0] > 0.05
    assert all(after < before for before, after in pairwise(gaps))
    assert gaps[-1] < 1e-6
    simplified = 1 - TALR(sharpness=1e6)(torch.tensor(U), pairs).item()
    assert 0 < abs(simplified - exact) < 0.05


@settings(max_examples=30)
@given(seed=st.integers(0, 2**16), q=st.integers(1, 6))
def test_exact_talr_of_codes_is_the_expected_average_precision(seed, q):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 8)
    y[:3] = 0, 1, 0
    B = rng.choice([-1, 1], (8, q)).astype(np.int8)
    pairs = PairSource(supervision.from_labels(y)).batch(np.arange(8), torch.zeros(1, dtype=torch.float64))
    value = TALR(form="exact").pair_loss(torch.tensor(B, dtype=torch.float64), pairs).item()
    wanted = [ap for i, ap in enumerate(hard_average_precision(B, y)) if (y == y[i]).sum() > 1]
    assert value == pytest.approx(1 - np.mean(wanted), abs=1e-5)


def test_the_series_of_dmdh_is_at_least_the_loss_of_any_codes_and_least_at_its_own():
    rng = np.random.default_rng(2)
    y = np.array([0, 0, 1])
    U = torch.tensor(rng.standard_normal((3, 2)))
    pairs = PairSource(supervision.from_labels(y)).batch(np.arange(3), U)
    H, target = np.tanh(U.numpy()), np.where(y[:, None] == y, 1.0, -1.0)
    W = 1 - np.eye(3)
    series = DMDH(discrepancy=1.0)(U, pairs).item()
    error = H @ H.T / 2 - target
    gradient = 4 / 2 * (W / 6 * error) @ H
    values = []
    for bits in range(2**6):
        B = 2.0 * ((bits >> np.arange(6)) & 1).reshape(3, 2) - 1
        bound = np.sum(W * error**2) / 6 + np.sum(gradient * (B - H)) + 0.5 * 8 / 3 * np.sum((B - H) ** 2)
        assert bound >= np.sum(W * (B @ B.T / 2 - target) ** 2) / 6
        values.append(bound)
    assert series == pytest.approx(min(values), rel=1e-12)


# ---- batches that say little ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_without_a_kind_of_pair_give_no_nan(name, dtype):
    loss = get(name)
    y = np.array([0, 0, 1, 1, 2, -1, -1])
    source = PairSource(supervision.from_labels(y))
    head = loss.make_head(3, 3)
    head = head if head is None else head.to(dtype)
    values = {}
    for what, rows in {
        "unknown": [5, 6],
        "alike": [0, 1],
        "unlike": [0, 2, 4],
        "one": [3],
        "mixed": [0, 1, 2, 5],
    }.items():
        for scale in (0.0, 1.0, 1e4):
            rng = np.random.default_rng(len(rows))
            U = torch.tensor(scale * rng.standard_normal((len(rows), 3)), dtype=dtype, requires_grad=True)
            value = loss(U, source.batch(rows, U), 0.5, head)
            value.backward()
            assert torch.isfinite(value) and torch.isfinite(U.grad).all(), (what, scale)
            values[what, scale] = value.item()
            unknown = [k for k, row in enumerate(rows) if y[row] < 0]
            assert not U.grad[unknown].any(), "a row of unknown label moves"
    assert values["unknown", 1.0] == 0.0
    if name in ("triplet", "mihash", "talr"):
        assert values["alike", 1.0] == pytest.approx(0.0, abs=1e-6)
        assert values["unlike", 1.0] == values["one", 1.0] == 0.0
        assert values["mixed", 1.0] != 0.0


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_rows_of_unknown_label_change_nothing(name):
    loss = get(name)
    rng = np.random.default_rng(7)
    y = np.array([0, 0, 1, 1, 2, -1, -1])
    U = torch.tensor(rng.standard_normal((7, 4)))
    head = loss.make_head(4, 3)
    head = head if head is None else head.double()
    source = PairSource(supervision.from_labels(y))
    whole = loss(U, source.batch(np.arange(7), U), 0.7, head)
    part = loss(U[:5], source.batch(np.arange(5), U), 0.7, head)
    assert whole.item() == pytest.approx(part.item(), rel=1e-12)


def test_far_outputs_do_not_overflow():
    y = np.array([0, 0, 1, 1])
    U = torch.tensor([[90.0, 80.0], [70.0, -95.0], [-60.0, 90.0], [85.0, 85.0]], requires_grad=True)
    pairs = PairSource(supervision.from_labels(y)).batch(np.arange(4), U)
    for name in NAMES:
        value = get(name)(U, pairs)
        value.backward()
        assert torch.isfinite(value) and torch.isfinite(U.grad).all(), name


def test_weights_and_degrees_of_a_similarity_reach_the_loss():
    T = np.array([[1.0, 0.5], [0.5, 1.0]])
    V = np.array([[1.0, 4.0], [4.0, 2.0]])
    S = supervision.from_groups([0, 0, 1], T, V)
    rng = np.random.default_rng(0)
    U = rng.standard_normal((3, 4))
    outputs = torch.tensor(U)
    pairs = PairSource(S).batch(np.arange(3), outputs)
    similar = np.array([[1, 1, 0.75], [1, 1, 0.75], [0.75, 0.75, 1]])
    W = np.array([[0, 1, 4], [1, 0, 4], [4, 4, 0.0]])
    assert pairs.labels is None
    assert DPSH(eta=0.0)(outputs, pairs).item() == pytest.approx(likelihood(U, similar, W, 0.5), rel=1e-12)


def test_a_batch_takes_its_rows_in_their_order():
    y = np.array(["b", "a", "b", "c"])
    pairs = PairSource(supervision.from_labels(y)).batch([3, 0, 2], torch.zeros(1))
    assert pairs.labels.tolist() == [[0, 0, 1], [0, 1, 0], [0, 1, 0]]
    assert pairs.similar.tolist() == [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    assert pairs.weight.tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_quantization_errors():
    H = torch.tensor([[0.5, -2.0], [9.0, 9.0]])
    known = torch.tensor([1.0, 0.0])
    assert quantization_error(H, known, "squared").item() == pytest.approx((0.25 + 1.0) / 2)
    assert quantization_error(H, known, "absolute").item() == pytest.approx((0.5 + 1.0) / 2)
    assert quantization_error(H, known, None) == 0.0


@pytest.mark.parametrize(
    "loss",
    [
        DCH(quantization=0.0),
        MMHH(radius=0.5, quantization=0.0),
        DPSH(eta=0.0),
        DHN(eta=0.0),
        DSH(alpha=0.0),
        HashNet(),
        MIHash(),
        TALR(),
        TripletLoss(),
        DMDH(),
    ],
)
def test_codes_that_agree_with_the_labels_cost_less(loss):
    y = np.repeat([0, 1, 2, 3], 4)
    rng = np.random.default_rng(0)
    good = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=float)[y]
    bad = rng.permutation(good)
    pairs = PairSource(supervision.from_labels(y)).batch(np.arange(16), torch.zeros(1, dtype=torch.float64))
    values = [loss(torch.tensor(3.0 * B), pairs).item() for B in (good, bad)]
    assert values[0] < values[1] - 1e-3


def test_wrong_losses_are_named():
    with pytest.raises(ValueError, match=r"loss must be one of dpsh, .* 'nope'"):
        get("nope")
    with pytest.raises(ValueError, match=r"form must be one of simplified, exact: 'no'"):
        TALR(form="no")(torch.zeros(2, 2), PairSource(supervision.from_labels([0, 1])).batch([0, 1], torch.zeros(1)))


def test_a_loss_without_torch_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendNotFound, match=r"pip install 'bqp\[torch\]'"):
        GreedyHash().make_head(4, 2)

"""Bounds against the best of all codes, and against what is known."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bqp import codes, losses, supervision
from bqp.codes.bounds import pairwise_bound
from bqp.codes.relaxation import _Relaxation, semidefinite_bound
from bqp.errors import ParameterError, ProblemError
from bqp.testing import similarities as cases

GROUPED = ("labels", "label_sets", "groups")


def all_codes(n, q):
    """Every code matrix whose first row is +1 (a bit and its negative cost the same)."""
    rows = np.array(list(itertools.product((-1, 1), repeat=q)), dtype=np.int8)
    for tail in itertools.product(range(len(rows)), repeat=n - 1):
        yield np.vstack([np.ones((1, q), np.int8), rows[list(tail)]]) if tail else np.ones((1, q), np.int8)


def optimum(S, W, q):
    """The least ksh loss over all codes, from the matrices."""
    return min(float(np.sum(W * (q * S - B.astype(float) @ B.T) ** 2)) for B in all_codes(len(S), q))


@settings(deadline=None, max_examples=250)
@given(case=cases.similarities(max_n=4, kinds=GROUPED), q=st.integers(1, 3))
def test_semidefinite_bound_lies_below_the_optimum(case, q):
    similarity, S, W = case
    best = optimum(S, W, q)
    bound = semidefinite_bound(similarity, q)
    assert bound.value <= best
    if not bound.certificate["chords"]:
        assert bound.value <= bound.certificate["relaxation"] * (1 + 1e-9) + 1e-9
    combined = codes.lower_bound(similarity, q)
    assert max(bound.value, 0.0) <= combined.value <= best


@settings(deadline=None, max_examples=60)
@given(case=cases.similarities(max_n=7, kinds=("label_sets", "groups")), seed=st.integers(0, 99))
def test_bound_holds_however_rough_the_point_is(case, seed):
    similarity, S, W = case
    rng = np.random.default_rng(seed)
    q = 2
    best = min(float(np.sum(W * (q * S - B.astype(float) @ B.T) ** 2)) for B in _sample(rng, len(S), q))
    for iterations in (1, 3):
        assert semidefinite_bound(similarity, q, max_iterations=iterations).value <= best
    problem = _Relaxation(similarity, float(q))
    R = rng.standard_normal((problem.C, problem.C))
    y = rng.normal(scale=abs(rng.normal(scale=10)), size=problem.C)
    y = np.where(problem.fixed, y, np.minimum(y, 0))
    assert problem.constant + problem.tangent_value(R @ R.T, y) <= best + 1e-9
    if similarity.V is None:
        assert problem.constant + problem.dual_value(y) <= best + 1e-9
    for width in (1.0, 0.3, 0.01):  # slopes that fit, and slopes that do not
        slopes = problem.slopes(R @ R.T, width)
        noise = cases.symmetric(rng, problem.C, -9, 10)
        for M in (slopes, slopes + noise, noise):
            assert problem.constant + problem.chord_value(M, y) <= best + 1e-9


def _sample(rng, n, q):
    if 2 ** (q * (n - 1)) <= 4096:
        return all_codes(n, q)
    return (cases.codes(rng, n, q) for _ in range(2000))


@settings(deadline=None, max_examples=100)
@given(
    case=cases.similarities(max_n=4),
    q=st.integers(1, 2),
    loss=st.sampled_from(("ksh", "bre", "hinge", "exponential", "likelihood")),
)
def test_pairwise_bound_of_every_loss_and_structure(case, q, loss):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    best = min(losses.value(similarity, B, loss) for B in all_codes(len(S), q))
    own = pairwise_bound(similarity, q, losses.get(loss))
    slack = 0.0 if loss == "ksh" else 1e-12 * abs(best)
    assert own.value <= best + slack
    assert codes.lower_bound(similarity, q, loss).value <= best + slack
    if loss == "ksh":  # the definition, pair by pair
        terms = [
            [min((q * s - G) ** 2 for G in ([q] if i == j else range(-q, q + 1, 2))) for j, s in enumerate(row)]
            for i, row in enumerate(S)
        ]
        assert own.value == np.sum(W * np.array(terms))


def chord(x, q):
    """(q + x)^2 drawn straight between the inner products that codes can have."""
    low = 2 * np.floor((x - q) / 2) + q
    share = (x - low) / 2
    return (1 - share) * (q + low) ** 2 + share * (q + low + 2) ** 2


def test_ten_balanced_classes_have_the_simplex_as_relaxation():
    S = supervision.from_labels(np.repeat(np.arange(10), 7))
    for q in (16, 64):
        bound = codes.lower_bound(S, q)
        np.testing.assert_allclose(bound.certificate["relaxation"], 90 * 49 * (q - q / 9) ** 2, rtol=1e-9)
        expected = 90 * 49 * chord(-q / 9, q)  # inner products -q/9 between classes
        assert expected * (1 - 1e-6) <= bound.value <= expected * (1 + 1e-12)
        assert bound.certificate["chords"]


@settings(deadline=None, max_examples=40)
@given(case=cases.similarities(max_n=6, kinds=GROUPED), q=st.integers(1, 5), seed=st.integers(0, 99))
def test_rounded_chords_lie_between_square_and_chord_with_their_slopes(case, q, seed):
    problem = _Relaxation(case[0], float(q))
    rng = np.random.default_rng(seed)
    H = rng.uniform(-q, q, (problem.C, problem.C))
    off = ~np.eye(problem.C, dtype=bool)
    step = 1e-6
    previous = (problem.t - H) ** 2
    for width in (1.0, 0.3, 0.05):
        values = problem.chords(H, width)
        assert np.all(values >= previous - 1e-9)
        previous = values
        change = (problem.chords(H + step, width) - problem.chords(H - step, width)) / (2 * step)
        slopes = problem.slopes(H, width)
        np.testing.assert_allclose((problem.w * change)[off], slopes[off], atol=1e-3 * problem.w.max() / width)
    lattice = 2 * rng.integers(0, q + 1, H.shape) - q
    np.testing.assert_allclose(problem.chords(lattice.astype(float), 0.3), (problem.t - lattice) ** 2, atol=1e-12)


def test_chords_never_lower_the_bound():
    rng = np.random.default_rng(1)
    S = supervision.from_label_sets((rng.random((40, 5)) < 0.4).astype(int))
    for q in (3, 8, 16):
        bound = codes.lower_bound(S, q)
        assert bound.value > 1.0005 * bound.certificate["relaxation"] * (1 if q < 16 else 0.9999)


@pytest.mark.filterwarnings("ignore")
def test_cvxpy_agrees():
    rng = np.random.default_rng(2)
    Y = (rng.random((60, 5)) < 0.4).astype(int)
    Y[:3] = 0
    plain = supervision.from_label_sets(Y)
    classes = supervision.from_labels(np.arange(30) % 6, class_weights=1.0 + np.eye(6))
    for S in (plain, classes):
        ours = semidefinite_bound(S, 8)
        theirs = codes.lower_bound(S, 8, backend="cvxpy")
        np.testing.assert_allclose(theirs.certificate["relaxation"], ours.certificate["relaxation"], rtol=1e-3)
        assert 0.995 * ours.certificate["relaxation"] <= theirs.value <= ours.certificate["relaxation"] * (1 + 1e-9)
    with pytest.raises(ParameterError, match="backend must be 'auto' or 'cvxpy'"):
        codes.lower_bound(plain, 8, backend="mosek")


def test_weights_between_groups_change_the_path_and_not_the_value():
    rng = np.random.default_rng(3)
    g = rng.integers(0, 8, 300)
    T = np.sign(cases.symmetric(rng, 8, -2, 3))
    np.fill_diagonal(T, 1)
    plain, weighted = supervision.from_groups(g, T), supervision.from_groups(g, T, V=3 * np.ones((8, 8)))
    first, second = semidefinite_bound(plain, 12).value, semidefinite_bound(weighted, 12).value
    assert 0.999 * 3 * first <= second <= 3 * first * (1 + 1e-9)
    assert first > 0


def test_unbalanced_groups_do_not_spoil_the_bound():
    S = supervision.from_labels(np.repeat(np.arange(12), 2 ** np.arange(12)))
    bound = semidefinite_bound(S, 16)
    assert bound.value >= bound.certificate["relaxation"] * (1 - 1e-6)


def test_empty_label_sets_are_averaged():
    """Points that may not merge: 6 empty sets, which repel each other."""
    S = supervision.from_label_sets([[0, 0]] * 6 + [[1, 0]] * 5 + [[0, 1]] * 5)
    result = codes.bitwise(S, n_bits=8, order="cyclic", rng=0)
    assert 0.9 * result.objective <= result.lower_bound <= result.objective


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_weights_of_any_scale(scale):
    y = np.repeat(np.arange(6), [1, 5, 9, 30, 2, 2])
    S = supervision.from_labels(y)
    scaled = supervision.from_labels(y, weights=np.full(len(y), scale))
    np.testing.assert_allclose(codes.lower_bound(scaled, 9).value, scale**2 * codes.lower_bound(S, 9).value, rtol=1e-6)


@example(2)
@given(st.integers(1, 5))
def test_trivial_problems_are_closed(C):
    q = 4
    S = supervision.from_labels(np.arange(min(C, 2)).repeat(3))  # one or two classes: objective 0
    assert codes.lower_bound(S, q).value == 0.0
    T = np.full((C, C), 0.5)
    np.fill_diagonal(T, 1.0)
    far = codes.lower_bound(supervision.from_groups(np.arange(C), T), q)
    assert 0.0 <= far.value <= sum((q * T[i, j] - 2) ** 2 for i in range(C) for j in range(C) if i != j)


def test_bre_is_the_ksh_bound_rescaled():
    S = supervision.from_labels(np.arange(30) % 5)
    np.testing.assert_allclose(codes.lower_bound(S, 8, "bre").value * 4 * 64, codes.lower_bound(S, 8).value)


def test_bad_calls():
    with pytest.raises(ProblemError, match=r"bqp\.supervision"):
        codes.lower_bound(np.eye(3), 8)
    with pytest.raises(ParameterError, match="n_bits must be an integer >= 1, got 0"):
        codes.lower_bound(supervision.from_labels([0, 1]), 0)
    with pytest.raises(ParameterError, match="unknown loss"):
        codes.lower_bound(supervision.from_labels([0, 1]), 4, loss="square")

"""Joint search: moves are priced as the loss says, codes never get worse, and nothing is left to gain."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bqp
from bqp import codes, losses, supervision
from bqp.codes._joint import JointSearch, _FewPoints, _Moments, _Tables
from bqp.errors import ParameterError, ProblemError
from bqp.testing import similarities as cases

LOSSES = ("ksh", "bre", "hinge", "exponential", "likelihood", losses.Hinge(alpha=0.3))


def never():
    return False


def stream(seed=0):
    return np.random.default_rng(seed)


def all_codes(n, q):
    """Every code matrix up to the signs of its columns."""
    for tail in itertools.product((-1, 1), repeat=(n - 1) * q):
        yield np.vstack([np.ones((1, q), np.int8), np.array(tail, np.int8).reshape(n - 1, q)])


def searches(similarity, loss, q):
    """Every kind of search that takes the problem."""
    kinds = [_FewPoints, _Tables]
    if similarity.structure == "grouped" and similarity.V is None and loss.quadratic_scale(q) is not None:
        kinds.append(_Moments)
    return [kind(similarity, loss, q) for kind in kinds]


def value(search, B):
    return losses.value(search.S, B, search.loss)


@settings(deadline=None, max_examples=120)
@given(case=cases.similarities(), loss=st.sampled_from(LOSSES), q=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_running_values_are_true_and_nothing_gains_at_the_end(case, loss, q, seed):
    similarity, loss, rng = case[0], losses.get(loss), stream(seed)
    B = cases.codes(rng, similarity.n, q)
    for search in searches(similarity, loss, q):
        slack = 10 * search.tol + (0.0 if search.tol == 0.0 else 1e-12 * abs(value(search, B)))
        search.load(B)
        start = search.objective
        search.polish(rng, never)
        end = value(search, search.B)
        assert abs(search.objective - end) <= slack and end <= start + slack
        state = [array.copy() for array in search._state()]
        search.load(search.B.copy())
        for kept, fresh in zip(state, search._state()):
            np.testing.assert_allclose(kept, fresh, rtol=1e-12, atol=1e-9)
        moved = search.B.copy()
        bits_of_a_point = 2 if isinstance(search, _Moments) else 1
        for k in range(q):
            for i, j in itertools.combinations_with_replacement(range(similarity.n), 2):  # flips and swaps in a bit
                moved[sorted({i, j}), k] *= -1
                assert value(search, moved) >= end - slack, (search.kind, i, j, k)
                moved[sorted({i, j}), k] *= -1
        for i in range(similarity.n):
            for chosen in itertools.combinations(range(q), min(q, bits_of_a_point)):
                moved[i, list(chosen)] *= -1
                assert value(search, moved) >= end - slack, (search.kind, i, chosen)
                moved[i, list(chosen)] *= -1
        search.kick(rng)
        assert abs(search.objective - value(search, search.B)) <= slack
        other = search.twin()
        other.take(search)
        search.descend(rng, never)
        np.testing.assert_allclose(other.objective, value(other, other.B), rtol=1e-12, atol=slack)


@settings(deadline=None, max_examples=40)
@given(case=cases.similarities(max_n=6), loss=st.sampled_from(LOSSES), q=st.integers(1, 4), seed=st.integers(0, 99))
def test_exact_bits_are_exact(case, loss, q, seed):
    similarity = case[0]
    search = _FewPoints(similarity, losses.get(loss), q)
    X = cases.all_assignments(similarity.n)
    search.greedy(stream(seed))
    for k in range(q):  # each bit an optimum given those before it
        problem = losses.bit_problem(similarity, search.B[:, :k], k, search.loss, "residual", n_bits=q)
        energies = problem.energy(X)
        np.testing.assert_allclose(problem.energy(search.B[:, k]), energies.min(), rtol=1e-12, atol=10 * search.tol)
    search.descend(stream(seed), never)
    assert search.exact
    for k in range(q):
        problem = losses.bit_problem(similarity, search.B, k, search.loss, "cyclic")
        assert problem.energy(X).min() >= value(search, search.B) - 10 * search.tol


def test_ties_are_broken_at_random():
    S = supervision.from_labels(np.arange(5))
    found = set()
    for seed in range(30):
        search = _FewPoints(S, losses.Ksh(), 1)
        search.greedy(stream(seed))
        found.add((search.B[:, 0] * search.B[0, 0]).tobytes())
    assert len(found) > 5  # the ten splits of five points into two and three are all optimal


@settings(deadline=None, max_examples=60)
@given(case=cases.similarities(), loss=st.sampled_from(LOSSES), q=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_results_say_the_truth(case, loss, q, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    init = cases.codes(stream(seed), similarity.n, q)
    results = [
        codes.refine(init, similarity, loss, n_kicks=2, rng=seed),
        codes.learn(similarity, q, loss, n_kicks=3, rng=seed),
        codes.learn(similarity, q, loss, n_kicks=1, rng=seed, init=init),
    ]
    for result in results:
        B = result.B
        assert B.shape == (similarity.n, q) and B.dtype == np.int8 and set(np.unique(B)) <= {-1, 1}
        G = B.astype(float) @ B.T
        expected = float(np.sum(W * losses.get(loss)(S, G, q)))
        np.testing.assert_allclose(result.objective, expected, rtol=1e-12, atol=1e-12)
        assert result.ksh_objective == np.sum(W * (q * S - G) ** 2)
        assert result.lower_bound <= result.objective and result.ksh_lower_bound <= result.ksh_objective
        assert np.all(np.diff(result.trace.objective) <= 0)
        np.testing.assert_allclose(result.trace.objective[-1], result.objective, rtol=1e-9, atol=1e-9)
        for bit in result.bits:
            assert bit.status is bqp.Status.OPTIMAL
    assert results[0].objective <= losses.value(similarity, init, loss)
    assert results[0].stats["given"] == losses.value(similarity, init, loss)


@pytest.mark.parametrize("loss", ["ksh", "hinge", "likelihood"])
def test_the_optimum_of_small_problems_is_found(loss):
    rng = stream(4)
    for _ in range(4):
        T = cases.symmetric(rng, 4, -2, 3) / 2
        S = supervision.from_matrix(T)
        best = min(losses.value(S, B, loss) for B in all_codes(4, 3))
        np.testing.assert_allclose(codes.learn(S, 3, loss, n_kicks=30).objective, best, rtol=1e-12)


def test_ten_classes_reach_the_marks():
    S = supervision.from_labels(np.arange(2000) % 10)
    for q, mark in ((16, 0.013), (32, 0.004), (64, 0.001), (128, 0.0005)):
        result = codes.learn(S, q, n_kicks=20)
        assert result.relative_gap <= mark and len(result.bits) == q
        assert result.objective == S.ksh_objective(result.B)
        assert len(np.unique(result.B, axis=0)) == 10


def label_sets(n=400, L=9, seed=0):
    return supervision.from_label_sets((stream(seed).random((n, L)) < 0.3).astype(int))


@pytest.mark.parametrize("loss", ["ksh", "hinge"])
def test_same_seed_same_codes_for_every_number_of_threads(loss):
    S = label_sets()
    first = codes.learn(S, 8, loss, n_kicks=5, rng=3)
    assert first.stats["search"] == ("moments" if loss == "ksh" else "tables")
    for n_jobs in (1, 2):
        again = codes.learn(S, 8, loss, n_kicks=5, rng=3, n_jobs=n_jobs)
        np.testing.assert_array_equal(again.B, first.B)
        np.testing.assert_array_equal(again.trace.objective, first.trace.objective)


def test_label_sets_come_below_one_pass_of_bits():
    S = label_sets()
    one_pass = codes.bitwise(S, 12, certify=False)
    refined = codes.refine(one_pass.B, S)
    learned = codes.learn(S, 12, n_kicks=10)
    assert refined.objective < one_pass.objective and learned.objective <= 1.01 * refined.objective
    assert refined.trace.objective[0] <= one_pass.objective and refined.stats["local_optimum"]


def test_unmerged_points_and_codes_that_merging_would_spoil():
    """Empty label sets repel each other and stay apart; refined codes of merged points never get worse."""
    S = supervision.from_label_sets([[0, 0]] * 30 + [[1, 0]] * 5 + [[0, 1]] * 5)
    result = codes.learn(S, 8)
    assert result.stats["n_points"] == 32 and result.stats["search"] == "moments"
    assert 0.9 * result.objective <= result.lower_bound
    fives = supervision.from_groups([0, 0, 0], [[1.0]])
    B = np.array([[1, 1, -1], [1, -1, 1], [-1, 1, 1]])
    assert codes.refine(B, fives).objective == 0.0


def test_many_points_without_merging_use_little_memory():
    """A group that repels itself: 9,000 points, no pairs written out."""
    S = supervision.from_groups(np.arange(9000) % 3, [[-1.0, 1, -1], [1, -1, -1], [-1, -1, 1]])
    result = codes.learn(S, 6, certify=False)
    assert result.stats["n_points"] == 6001
    assert result.objective == S.ksh_objective(result.B) and result.stats["local_optimum"]


def test_a_real_valued_matrix_and_weights():
    rng = stream(8)
    T = rng.standard_normal((60, 60))
    S = supervision.from_matrix(T + T.T, np.abs(np.round(T + T.T)))
    result = codes.learn(S, 6, n_kicks=3)
    np.testing.assert_allclose(result.objective, losses.value(S, result.B), rtol=1e-12)
    grouped = supervision.from_groups(np.arange(90) % 30, T[:30, :30] + T[:30, :30].T, weights=rng.random(90))
    result = codes.learn(grouped, 6, n_kicks=3)
    np.testing.assert_allclose(result.objective, losses.value(grouped, result.B), rtol=1e-12)


@pytest.mark.parametrize("when", [1, 2, 4])
def test_stopping(when):
    S = label_sets(150)
    events = []

    def watch(event):
        events.append(event)
        assert event.x.shape == (150, 6)
        return len(events) == when

    stopped = codes.learn(S, 6, n_kicks=20, callback=watch)
    assert stopped.stats["stopped"] == "callback" and not stopped.stats["local_optimum"]
    assert stopped.objective <= events[0].energy
    events.clear()

    def interrupt(event):
        events.append(event)
        if len(events) == when:
            raise KeyboardInterrupt

    result = codes.learn(S, 6, n_kicks=20, callback=interrupt)
    assert result.stats["stopped"] == "interrupted" and result.objective == S.ksh_objective(result.B)
    assert result.objective <= events[-1].energy


def test_time_limit():
    S = label_sets(150)
    result = codes.learn(S, 6, time_limit=0.0)
    assert result.stats["stopped"] == "time_limit" and result.B.shape == (150, 6)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda S: codes.learn(np.eye(3), 4), ProblemError, "S must be a Similarity"),
        (lambda S: codes.learn(S, 0), ParameterError, "n_bits must be an integer >= 1, got 0"),
        (lambda S: codes.learn(S, 4, "kshh"), ParameterError, "unknown loss 'kshh'"),
        (lambda S: codes.learn(S, 4, n_kicks=-1), ParameterError, "n_kicks must be an integer >= 0"),
        (lambda S: codes.learn(S, 4, n_jobs=0), ParameterError, "n_jobs"),
        (lambda S: codes.learn(S, 4, certify="yes"), ParameterError, "certify must be"),
        (lambda S: codes.learn(S, 4, time_limit=-1), ParameterError, "time_limit"),
        (lambda S: codes.learn(S, 4, callback=3), ParameterError, "callback"),
        (lambda S: codes.learn(S, 4, init=np.ones((3, 2))), ProblemError, "init must have 4 columns"),
        (lambda S: codes.refine(np.zeros((3, 2)), S), ProblemError, "B must hold -1 or +1, got 0.0 at (0, 0)"),
        (lambda S: codes.refine(np.ones((2, 2)), S), ProblemError, "B must have shape (3, n_bits)"),
        (lambda S: codes.refine(np.ones((3, 0)), S), ProblemError, "B has no columns"),
    ],
)
def test_bad_calls(call, error, message):
    with pytest.raises(error) as caught:
        call(supervision.from_labels([0, 1, 2]))
    assert message in str(caught.value)


def test_too_much_to_write_out_is_said():
    repelling = supervision.from_groups(np.zeros(4500, int), [[-1.0]])
    with pytest.raises(ProblemError, match="4500 points are too many"):
        codes.learn(repelling, 4, loss="hinge")
    rng = stream(0)
    S = supervision.from_matrix(
        rng.random((400, 1)) * rng.random((1, 400)) * 0 + np.triu(np.ones((400, 400))) * 0 + 0.5
    )
    assert JointSearch.of(S, losses.Hinge(), 4).kind == "tables"


def test_bits_of_few_points_without_enumeration():
    S = supervision.from_labels(np.repeat(np.arange(12), 3))
    exact = codes.learn(S, n_bits=8, n_kicks=0)
    searched = codes.learn(S, n_bits=8, n_kicks=0, exact_up_to=11)
    assert exact.bits and not searched.bits
    assert searched.lower_bound == exact.lower_bound
    assert exact.objective <= searched.objective <= 1.05 * exact.objective
    for wrong in (-1, 21, 2.5):
        with pytest.raises(ParameterError, match="exact_up_to"):
            codes.learn(S, exact_up_to=wrong)

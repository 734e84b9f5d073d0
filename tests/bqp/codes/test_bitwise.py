"""Codes bit by bit: what is returned is what is claimed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bqp
from bqp import codes, losses, supervision
from bqp.errors import ParameterError, ProblemError
from bqp.testing import similarities as cases

LOSSES = ("ksh", "bre", "hinge", "exponential", "likelihood")


def naive(name, S, W, B):
    q = B.shape[1]
    loss, G = losses.get(name), B.astype(float) @ B.T.astype(float)
    return float(sum(W[i, j] * loss(S[i, j], G[i, j], q) for i in range(len(S)) for j in range(len(S)) if W[i, j]))


def ten_classes(n=200):
    return supervision.from_labels(np.arange(n) % 10)


@settings(deadline=None, max_examples=120)
@given(
    case=cases.similarities(),
    loss=st.sampled_from(LOSSES),
    target=st.sampled_from(losses.TARGETS),
    order=st.sampled_from(("sequential", "cyclic")),
    reductions=st.sampled_from(("auto", ())),
    q=st.integers(1, 5),
)
def test_result_says_the_truth(case, loss, target, order, reductions, q):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    result = codes.bitwise(
        similarity, q, loss=loss, target=target, order=order, reductions=reductions, rng=1, n_kicks=2
    )
    B = result.B
    assert B.shape == (len(S), q) and B.dtype == np.int8 and set(np.unique(B)) <= {-1, 1}
    exact = dict(rtol=0, atol=0) if loss == "ksh" else dict(rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(result.objective, naive(loss, S, W, B), **exact)
    assert result.ksh_objective == naive("ksh", S, W, B)
    assert result.lower_bound <= result.objective and result.ksh_lower_bound <= result.ksh_objective
    assert len(result.bits) == q and result.n_bits == q and result.loss == loss
    np.testing.assert_allclose(result.trace.objective[-1], result.objective, rtol=1e-12, atol=1e-12)
    assert np.all(np.diff(result.trace.step) >= 0) and np.all(np.diff(result.trace.time) >= 0)
    if order == "sequential":
        np.testing.assert_array_equal(result.trace.objective, [bit.energy for bit in result.bits])
    else:
        assert np.all(np.diff(result.trace.objective) <= 0)


@settings(deadline=None, max_examples=60)
@given(case=cases.similarities(max_n=6), loss=st.sampled_from(LOSSES), q=st.integers(1, 4))
def test_cyclic_codes_have_no_better_bit_and_beat_one_pass(case, loss, q):
    similarity, S, _ = case
    one_pass = codes.bitwise(similarity, q, loss=loss)
    result = codes.bitwise(similarity, q, loss=loss, order="cyclic", n_kicks=0, max_cycles=50)
    assert result.objective <= one_pass.objective + 1e-12 * (1 + abs(one_pass.objective))
    X = cases.all_assignments(len(S))
    for k in range(q):
        problem = losses.bit_problem(similarity, result.B, k, loss, "cyclic")
        assert problem.energy(X).min() >= result.objective - 1e-9 * abs(result.objective) - 1e-12
        np.testing.assert_allclose(result.bits[k].energy, result.objective, rtol=1e-12, atol=1e-12)
        assert result.bits[k].status is bqp.Status.OPTIMAL
        assert result.bits[k].lower_bound <= result.bits[k].energy


@settings(deadline=None, max_examples=60)
@given(case=cases.similarities(max_n=4, kinds=("labels", "label_sets", "groups")), loss=st.sampled_from(LOSSES))
def test_merging_keeps_the_joint_optimum(case, loss):
    similarity, _, _ = case
    q = 2
    collapse = similarity.collapse(loss)

    def best(problem):
        rows = cases.all_assignments(problem.n * q).reshape(-1, problem.n, q)
        return min(losses.value(problem, B, loss) for B in rows)

    np.testing.assert_allclose(best(collapse.similarity), best(similarity), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(
    case=cases.similarities(kinds=("labels", "label_sets", "groups")),
    target=st.sampled_from(losses.TARGETS),
    loss=st.sampled_from(LOSSES),
)
def test_merging_keeps_the_optimum_of_each_bit(case, target, loss):
    """Given merged codes so far, the best merged bit is the best bit of all."""
    similarity, S, _ = case
    collapse = similarity.collapse(loss)
    small = codes.bitwise(collapse.similarity, 3, loss=loss, target=target, reductions=())
    B = collapse.lift(small.B)
    X = cases.all_assignments(len(S))
    for k, bit in enumerate(small.bits):
        full = losses.bit_problem(similarity, B[:, :k], k, loss, target, n_bits=3)
        np.testing.assert_allclose(bit.energy, full.energy(X).min(), rtol=1e-12, atol=1e-12)


def test_every_bit_is_proven_and_codes_reach_the_known_values():
    S = supervision.from_labels(np.arange(1500) % 10)
    for q, known in ((16, 0.7175), (32, 0.71313), (64, 0.71157)):  # the project's reference values for 10 classes
        result = codes.bitwise(S, q, order="cyclic")
        assert {bit.status for bit in result.bits} == {bqp.Status.OPTIMAL}
        assert result.objective / 1500**2 / q**2 <= known
        assert result.objective == S.ksh_objective(result.B)
        assert result.relative_gap <= (0.01 if q == 16 else 0.003)
        assert len(np.unique(result.B, axis=0)) == 10


def test_points_without_merging_come_close_on_the_structured_path():
    S = supervision.from_labels(np.arange(6000) % 10)
    plain, merged = codes.bitwise(S, 16, reductions=()), codes.bitwise(S, 16)
    assert plain.stats["n_points"] == 6000 and not plain.stats["merged"] and merged.stats["n_points"] == 10
    assert plain.bits[0].stats["storage"] == "structured"
    assert plain.objective == S.ksh_objective(plain.B)
    assert plain.objective <= 1.02 * merged.objective
    cyclic = codes.bitwise(S, 16, reductions=(), order="cyclic", max_cycles=2, init=plain.B)
    assert cyclic.objective <= plain.objective and cyclic.objective == S.ksh_objective(cyclic.B)
    assert np.all(np.diff(cyclic.trace.objective) <= 0)
    again = codes.bitwise(S, 16, reductions=(), n_jobs=2)
    np.testing.assert_array_equal(again.B, plain.B)


def test_structured_path_with_weights_unknown_labels_and_stagewise_targets():
    rng = np.random.default_rng(2)
    y = rng.integers(-1, 5, 6000)
    S = supervision.from_labels(y, weights=rng.integers(1, 4, 6000))
    weighted = supervision.from_labels(y, class_weights=1.0 + np.eye(5))
    for similarity in (S, weighted):
        for loss in ("ksh", "bre"):
            result = codes.bitwise(similarity, 4, loss=loss, target="stagewise", reductions=())
            np.testing.assert_allclose(result.objective, losses.value(similarity, result.B, loss), rtol=1e-12)
            np.testing.assert_allclose(result.bits[-1].energy, result.objective, rtol=1e-12)
            merged = codes.bitwise(similarity, 4, loss=loss, target="stagewise")
            assert result.objective <= 1.3 * merged.objective


def test_same_seed_same_codes_and_other_solvers():
    S = supervision.from_label_sets((np.random.default_rng(0).random((300, 6)) < 0.3).astype(int))
    first = codes.bitwise(S, 8, rng=3, n_jobs=1)
    for n_jobs in (1, 2):
        np.testing.assert_array_equal(codes.bitwise(S, 8, rng=3, n_jobs=n_jobs).B, first.B)
    named = codes.bitwise(S, 8, solver="coordinate_descent", n_restarts=5, rng=3)
    assert {bit.solver for bit in named.bits} == {"coordinate_descent"}
    assert named.objective <= 1.1 * first.objective
    as_object = codes.bitwise(S, 8, solver=bqp.solvers.CoordinateDescent(n_restarts=5), rng=3)
    np.testing.assert_array_equal(as_object.B, named.B)


def test_init_starts_the_search():
    S = ten_classes()
    init = codes.bitwise(S, 8, rng=0).B
    result = codes.bitwise(S, 8, order="cyclic", init=init, n_kicks=0)
    assert result.trace.objective[0] == S.ksh_objective(init)
    assert result.objective <= S.ksh_objective(init)
    perfect = codes.bitwise(supervision.from_labels([0, 1]), 3, order="cyclic", init=[[1, 1, -1], [-1, -1, 1]])
    np.testing.assert_array_equal(perfect.B, [[1, 1, -1], [-1, -1, 1]])  # optimal already: ties keep
    repeated = codes.bitwise(S, 8, solver="coordinate_descent", n_restarts=1, init=init)
    assert repeated.objective <= S.ksh_objective(init)


def test_unknown_points_take_the_majority_sign():
    S = supervision.from_labels([0, 0, 0, 1, -1])
    for reductions in ("auto", ()):
        result = codes.bitwise(S, 6, reductions=reductions)
        np.testing.assert_array_equal(result.B[4], result.B[0])
        assert result.objective == 0.0 == result.lower_bound


@pytest.mark.parametrize("y", [[5], [5, 5, 5]])
def test_one_class_and_one_point(y):
    result = codes.bitwise(supervision.from_labels(y), 4, order="cyclic")
    assert result.objective == result.lower_bound == result.relative_gap == 0.0
    assert len(np.unique(result.B, axis=0)) == 1


def test_stopping_by_callback_fills_the_rest():
    S = ten_classes()
    seen = []

    def stop_after_three(event):
        seen.append((event.n_moves, event.energy, event.x.shape))
        return len(seen) == 3

    result = codes.bitwise(S, 8, callback=stop_after_three)
    assert [n for n, _, _ in seen] == [1, 2, 3] and seen[0][2] == (200, 8)
    assert result.stats["stopped"] == "callback" and result.stats["n_bits_solved"] == 3 and len(result.bits) == 3
    np.testing.assert_array_equal(result.B[:, 3:], result.B[:, [0, 1, 2, 0, 1]])
    assert result.objective == S.ksh_objective(result.B)
    init = codes.bitwise(S, 8, rng=5).B
    seen.clear()
    kept = codes.bitwise(S, 8, callback=stop_after_three, init=init)
    np.testing.assert_array_equal(kept.B[:, 3:], init[:, 3:])


@pytest.mark.parametrize("when", [1, 4, 9, 30, 60])
def test_interrupts_return_the_best_so_far(when):
    S = ten_classes()
    events = []

    def interrupt(event):
        events.append((event.energy, event.x))
        if len(events) == when:
            raise KeyboardInterrupt

    result = codes.bitwise(S, 8, order="cyclic", callback=interrupt)
    assert result.stats["stopped"] == "interrupted"
    assert result.objective == S.ksh_objective(result.B)
    if when > 8:  # complete codes were seen
        complete = [energy for energy, _ in events[8:]]
        assert result.objective <= min(complete, default=np.inf)
        for energy, B in events[8:]:
            assert energy == S.ksh_objective(B)


def test_time_limit():
    S = ten_classes()
    result = codes.bitwise(S, 8, time_limit=0.0)
    assert result.stats["stopped"] == "time_limit" and result.B.shape == (200, 8)
    assert codes.bitwise(S, 8, time_limit=60.0, order="cyclic").stats.get("stopped") is None


def test_other_losses_run_merged_and_say_why_not_otherwise():
    S = supervision.from_labels(np.arange(6000) % 7)
    for loss in ("hinge", "exponential", losses.Hinge(alpha=0.4)):
        result = codes.bitwise(S, 6, loss=loss)
        assert result.stats["n_points"] == 7 and result.lower_bound <= result.objective
        np.testing.assert_allclose(result.objective, losses.value(S, result.B, loss), rtol=1e-12)
    with pytest.raises(ProblemError, match="reductions='auto'"):
        codes.bitwise(S, 6, loss="hinge", reductions=())


def test_reductions_by_name():
    S = ten_classes()
    assert codes.bitwise(S, 4, reductions="collapse").stats["merged"]
    assert codes.bitwise(S, 4, reductions=("collapse", "fixed")).stats["merged"]
    named = codes.bitwise(S, 4, reductions=("exchangeable",))
    assert not named.stats["merged"] and {bit.status.value for bit in named.bits} == {"optimal"}


def test_certificate_on_request():
    S = ten_classes()
    with_bound, without = codes.bitwise(S, 8), codes.bitwise(S, 8, certify=False)
    assert without.lower_bound == 0.0 < with_bound.lower_bound == with_bound.ksh_lower_bound
    assert "relative_gap" in repr(with_bound)
    assert with_bound.gap == with_bound.objective - with_bound.lower_bound
    assert set(with_bound.trace.as_dict()) == {"time", "step", "objective"} and len(with_bound.trace) == 8


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (dict(n_bits=0), ParameterError, "n_bits must be an integer >= 1, got 0"),
        (dict(loss="l2"), ParameterError, "unknown loss 'l2'"),
        (dict(target="all"), ParameterError, "unknown target 'all'"),
        (dict(order="random"), ParameterError, "order must be one of sequential, cyclic"),
        (dict(solver="magic"), ParameterError, "unknown solver 'magic'"),
        (dict(reductions=("magic",)), ParameterError, "unknown reduction 'magic'"),
        (dict(reductions=None), ParameterError, "pass () to switch them off"),
        (dict(time_limit=-1), ParameterError, "time_limit must be a number of seconds >= 0"),
        (dict(max_cycles=0), ParameterError, "max_cycles must be an integer >= 1"),
        (dict(n_kicks=-1), ParameterError, "n_kicks must be an integer >= 0"),
        (dict(certify="maybe"), ParameterError, "certify must be"),
        (dict(unknown_option=3), ParameterError, "unknown option 'unknown_option'"),
        (dict(init=np.ones((2, 3))), ProblemError, "init must have 4 columns, one a bit, got 3"),
        (dict(init=np.zeros((2, 4))), ProblemError, "init must hold -1 or +1, got 0.0 at (0, 0)"),
        (dict(rng=-1), ParameterError, "rng must be a non-negative seed"),
    ],
)
def test_bad_calls(arguments, error, message):
    with pytest.raises(error) as caught:
        codes.bitwise(supervision.from_labels([0, 1]), **{"n_bits": 4, **arguments})
    assert message in str(caught.value)


def test_a_matrix_is_not_a_similarity():
    with pytest.raises(ProblemError, match="S must be a Similarity, got ndarray"):
        codes.bitwise(np.eye(3))

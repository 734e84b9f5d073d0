"""Each bit's problem against the loss itself, over every assignment."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import losses, supervision
from bqp.errors import ParameterError, ProblemError
from bqp.losses.bits import BitProblems
from bqp.testing import similarities as cases

LOSSES = ("ksh", "bre", "hinge", "exponential", losses.Hinge(alpha=0.3), "likelihood", losses.Likelihood(scale=0.1))


def naive_loss(name, s, G, r):
    """The table of losses, written from the Hamming distance."""
    d = (r - G) / 2
    if name == "ksh":
        return (r * s - (r - 2 * d)) ** 2
    if name == "bre":
        return ((1 - s) / 2 - d / r) ** 2
    if name == "exponential":
        return math.exp(-s * (r - 2 * d) / r)
    if name == "likelihood" or isinstance(name, losses.Likelihood):
        T = (0.5 if name == "likelihood" else name.scale) * (r - 2 * d)
        return math.log(1 + math.exp(T)) - (1 + s) / 2 * T
    alpha = name.alpha if isinstance(name, losses.Hinge) else 0.5
    return (d / r) ** 2 if s > 0 else max(0.0, alpha - d / r) ** 2


def naive_sum(name, S, W, G, r):
    n = len(S)
    return sum(W[i, j] * naive_loss(name, S[i, j], G[i, j], r) for i in range(n) for j in range(n) if W[i, j])


def expected_after(name, S, W, B, bit, x, target, n_bits):
    """The loss that the new bit is judged by."""
    before = B.astype(int)
    if target == "cyclic":
        others = np.delete(before, bit, axis=1)
        return naive_sum(name, S, W, others @ others.T + np.outer(x, x), B.shape[1])
    G = before[:, :bit] @ before[:, :bit].T + np.outer(x, x)
    r = bit + 1 if target == "stagewise" else n_bits
    return naive_sum(name, S, W, G + (n_bits - bit - 1 if target == "full" else 0), r)


def close(name):
    return dict(rtol=0, atol=0) if name == "ksh" else dict(rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=400)
@given(
    case=cases.similarities(max_n=6),
    name=st.sampled_from(LOSSES),
    target=st.sampled_from((*losses.TARGETS, "cyclic")),
    q=st.integers(1, 4),
    data=st.data(),
)
def test_energy_of_a_bit_problem_is_the_loss(case, name, target, q, data):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    n = len(S)
    B = cases.codes(np.random.default_rng(data.draw(st.integers(0, 999))), n, q)
    bit = data.draw(st.integers(0, q - 1))
    given_codes = B if target == "cyclic" else B[:, : data.draw(st.integers(bit, q))]
    problem = losses.bit_problem(similarity, given_codes, bit, name, target, n_bits=q)
    X = cases.all_assignments(n)
    expected = [expected_after(name, S, W, B, bit, x.astype(int), target, q) for x in X]
    np.testing.assert_allclose(problem.energy(X), expected, **close(name))
    form = problem.Q.to_dense()
    np.testing.assert_array_equal(form, form.T)
    np.testing.assert_array_equal(problem.c, 0)


@settings(deadline=None, max_examples=200)
@given(
    case=cases.similarities(kinds=("labels", "label_sets", "groups")),
    name=st.sampled_from(("ksh", "bre")),
    q=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_structured_and_written_out_agree_along_any_course(case, name, q, seed):
    similarity, _, _ = case
    rng = np.random.default_rng(seed)
    n, loss = similarity.n, losses.get(name)
    structured, dense = (BitProblems.of(similarity, loss, q, write_out=choice) for choice in (False, True))
    X = cases.all_assignments(n)
    for _ in range(6):
        r, shift = int(rng.integers(1, q + 1)), int(rng.integers(0, 3))
        first, second = structured.problem(r, shift), dense.problem(r, shift)
        np.testing.assert_allclose(first.energy(X), second.energy(X), **close(name))
        np.testing.assert_allclose(first.Q.to_dense(), second.Q.to_dense(), **close(name))
        np.testing.assert_allclose(structured.value(r, shift), dense.value(r, shift), **close(name))
        x = X[rng.integers(len(X))]
        k = int(rng.integers(q))
        if structured.counted[k]:
            structured.remove(k)
            dense.remove(k)
        else:
            structured.add(k, x, energy=first.energy(x) if rng.random() < 0.5 else None)
            dense.add(k, x)
        np.testing.assert_array_equal(structured.B[:, structured.counted], dense.B[:, dense.counted])


@settings(deadline=None, max_examples=150)
@given(case=cases.similarities(), name=st.sampled_from(LOSSES), q=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_value_is_the_double_sum_and_the_last_bit_reaches_it(case, name, q, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    B = cases.codes(np.random.default_rng(seed), len(S), q)
    expected = naive_sum(name, S, W, B.astype(int) @ B.T.astype(int), q)
    np.testing.assert_allclose(losses.value(similarity, B, name), expected, **close(name))
    for target in losses.TARGETS:  # at the last bit nothing is left unsolved
        last = losses.bit_problem(similarity, B[:, :-1], loss=name, target=target, n_bits=q)
        np.testing.assert_allclose(last.energy(B[:, -1]), expected, **close(name))
    bits = BitProblems.of(similarity, losses.get(name), q)
    bits.load(B, np.ones(q, bool))
    np.testing.assert_allclose(bits.value(q), expected, **close(name))


@pytest.mark.parametrize("name", LOSSES)
def test_attracts_says_where_equal_codes_are_best(name):
    loss = losses.get(name)
    for s in (-2.0, -1.0, -0.5, 0.0, 0.5, 0.99, 1.0, 3.0):
        falls = True
        for r in (1, 4, 7, 200):
            values = [naive_loss(name, s, G, r) for G in range(-r, r + 1)]
            falls &= all(b <= a for a, b in itertools.pairwise(values))
        assert falls == bool(loss.attracts(np.array(s)))


def test_likelihood_is_large_but_finite_and_asks_for_the_log_odds():
    loss = losses.get("likelihood")
    np.testing.assert_allclose(loss(np.array([-1.0, 1.0]), np.array([4000.0, -4000.0]), 4000), 2000.0)
    G = np.arange(-64, 65)
    for s in (-0.9, 0.0, 0.5, 0.97):
        best = G[np.argmin(loss(s, G, 64))]
        assert abs(0.5 * best - math.log((1 + s) / (1 - s))) <= 0.5
    for scale in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ParameterError, match="scale must be a positive number"):
            losses.Likelihood(scale=scale)


def test_int8_codes_do_not_overflow_at_200_bits():
    B = np.ones((5, 200), dtype=np.int8)
    W = np.ones((5, 5))
    x = np.array([1, 1, -1, 1, -1], np.int8)
    for similarity in (
        supervision.from_groups([0, 0, 1, 1, 2], np.ones((3, 3))),
        supervision.from_groups([0, 0, 1, 1, 2], np.ones((3, 3)), weights=[1, 2, 1, 1, 1]),
        supervision.from_matrix(np.ones((5, 5))),
        supervision.from_pairs(*np.nonzero(W), 1, 5),
    ):
        W = similarity.to_dense()[1]
        expected = naive_sum("ksh", np.ones((5, 5)), W, 200.0 + np.outer(x, x), 201)
        assert losses.bit_problem(similarity, B, n_bits=201).energy(x) == expected
        if similarity.structure == "grouped":
            structured = BitProblems.of(similarity, losses.get("ksh"), 200, write_out=False)
            structured.load(B, np.ones(200, bool))
            assert structured.problem(201).energy(x) == expected


def test_blocks_of_any_size_give_the_same_numbers(monkeypatch):
    from bqp.losses import bits
    from bqp.supervision import base, grouped, pairs

    rng = np.random.default_rng(8)
    n, q = 40, 5
    T, g = cases.symmetric(rng, 6, -2, 3), rng.integers(0, 6, n)
    W = np.triu(rng.integers(0, 2, (n, n)))
    i, j = np.nonzero(W)
    similarities = (
        supervision.from_groups(g, T),
        supervision.from_groups(g, T, V=cases.symmetric(rng, 6, 1, 4), weights=rng.integers(1, 3, n)),
        supervision.from_pairs(i, j, T[g[i], g[j]], n),
        supervision.from_matrix(T[np.ix_(g, g)], weights=cases.symmetric(rng, n, 0, 3)),
    )
    B, x = cases.codes(rng, n, q), cases.codes(rng, 1, n)[0]

    def numbers():
        for S in similarities:
            yield S.ksh_objective(B)
            for loss in ("ksh", "hinge"):
                yield losses.value(S, B, loss)
                yield losses.bit_problem(S, B, loss=loss).energy(x)
        sets = supervision.from_label_sets((np.arange(60).reshape(20, 3) % 4 == 0).astype(int))
        yield from sets.to_dense()[0].ravel()

    whole = list(numbers())
    for module in (bits, base, grouped, pairs):
        monkeypatch.setattr(module, "BLOCK_ENTRIES", 16)
    np.testing.assert_allclose(list(numbers()), whole, rtol=1e-12)
    exact = [0, 1, 2, 5, 6, 7, 10, 11, 12, 15, 16, 17]  # the ksh entries hold integers
    assert [list(numbers())[k] for k in exact] == [whole[k] for k in exact]


def test_weighted_columns_are_exact_beyond_int8():
    a = np.array([300.0, 1.0, 2.5])
    S = supervision.from_groups([0, 1, 0], [[1, -1], [-1, 1]], weights=a)
    B = np.array([[1, 1], [-1, 1], [1, -1]], np.int8)
    structured, dense = (BitProblems.of(S, losses.get("ksh"), 2, write_out=choice) for choice in (False, True))
    for bits in (structured, dense):
        bits.load(B, np.array([True, True]))
    X = cases.all_assignments(3)
    np.testing.assert_array_equal(structured.problem(3).energy(X), dense.problem(3).energy(X))


def test_a_structured_problem_holds_bytes_for_bits_and_nothing_square():
    n = 20_000
    S = supervision.from_labels(np.arange(n) % 10)
    problem = losses.bit_problem(S, np.ones((n, 3), np.int8), n_bits=8)
    assert problem.Q.nbytes < 10 * n


def test_what_cannot_be_written_out_says_so():
    S = supervision.from_labels(np.arange(5000) % 7)
    with pytest.raises(ProblemError, match="reductions='auto'"):
        losses.bit_problem(S, np.ones((5000, 1), np.int8), loss="hinge")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(loss="kshh"), "unknown loss 'kshh'; choose one of ksh, bre, hinge, exponential, likelihood"),
        (dict(target="residuum"), "unknown target 'residuum'; choose one of residual, stagewise, full"),
        (dict(bit=5), "bit must lie in 0..2 for 2 given bits, got 5"),
        (dict(bit=2, target="cyclic"), "bit must lie in 0..1"),
        (dict(n_bits=1), "n_bits must be an integer >= 3, got 1"),
    ],
)
def test_bad_parameters(arguments, message):
    S = supervision.from_labels([0, 1])
    with pytest.raises(ParameterError) as caught:
        losses.bit_problem(S, [[1, 1], [1, 1]], **arguments)
    assert message in str(caught.value)


def test_bad_codes_and_settings():
    S = supervision.from_labels([0, 1])
    with pytest.raises(ProblemError, match="got 0 at"):
        losses.bit_problem(S, [[1], [0]])
    with pytest.raises(ProblemError, match="at least one bit"):
        losses.value(S, np.ones((2, 0)))
    with pytest.raises(ParameterError, match="alpha must lie in"):
        losses.Hinge(alpha=0)
    with pytest.raises(ProblemError, match=r"bqp\.supervision"):
        BitProblems.of(object(), losses.get("ksh"), 2)
    with pytest.raises(ProblemError, match="write_out=False forbids"):
        BitProblems.of(S, losses.get("hinge"), 2, write_out=False)

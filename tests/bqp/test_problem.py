"""Energies, deltas, domains, senses and conversions of a BQP, exact on integers; bad input named."""

import copy
import pickle

import dimod
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.errors import ParameterError, ProblemError
from bqp.forms import Grouped, LowRank
from bqp.testing import reference
from bqp.testing import strategies as draw


def energies(problem):
    return reference.all_energies(problem)


@given(problem=draw.problems(min_n=0))
def test_energy_is_the_formula(problem):
    X, expected = energies(problem)
    np.testing.assert_array_equal([problem.energy(x) for x in X], expected)
    np.testing.assert_array_equal(problem.energy(X), expected)
    sign = 1 if problem.sense == "min" else -1
    np.testing.assert_array_equal(problem.objective(X), sign * expected)


@given(problem=draw.problems(), data=st.data())
def test_delta_is_the_difference_of_energies(problem, data):
    x = data.draw(draw.assignments(problem))
    before = x.copy()
    deltas = problem.flip_deltas(x)
    for i in range(problem.n):
        y = x.copy()
        y[i] = 1 - y[i] if problem.domain == "binary" else -y[i]
        assert deltas[i] == problem.energy(y) - problem.energy(x)
    np.testing.assert_array_equal(x, before)


@given(problem=draw.problems(min_n=0))
def test_domains_keep_energies(problem):
    X, expected = energies(problem)
    spins = X if problem.domain == "spin" else 2 * X - 1
    bits = X if problem.domain == "binary" else (X + 1) // 2
    spin, binary = problem.to_spin(), problem.to_binary()
    assert (spin.domain, binary.domain, spin.sense, binary.sense) == ("spin", "binary", problem.sense, problem.sense)
    np.testing.assert_array_equal(spin.energy(spins), expected)
    np.testing.assert_array_equal(binary.energy(bits), expected)
    np.testing.assert_array_equal(spin.to_binary().energy(bits), expected)
    np.testing.assert_array_equal(binary.to_spin().energy(spins), expected)


@given(problem=draw.problems(min_n=0))
def test_qubo_and_ising_keep_energies(problem):
    X, expected = energies(problem)
    spins = X if problem.domain == "spin" else 2 * X - 1
    bits = X if problem.domain == "binary" else (X + 1) // 2
    Q, offset = problem.to_qubo()
    Q = Q.toarray() if sp.issparse(Q) else Q
    np.testing.assert_array_equal(Q, Q.T)
    np.testing.assert_array_equal([b @ Q @ b + offset for b in bits.astype(float)], expected)
    h, J, offset = problem.to_ising()
    J = J.toarray() if sp.issparse(J) else J
    assert not np.tril(J).any()
    np.testing.assert_array_equal([h @ s + s @ J @ s + offset for s in spins.astype(float)], expected)
    np.testing.assert_array_equal(bqp.BQP.from_qubo(*_pair(problem.to_qubo())).energy(bits), expected)
    np.testing.assert_array_equal(bqp.BQP.from_ising(h, J, offset).energy(spins), expected)


def _pair(qubo):
    return qubo[0], None, qubo[1]


@given(problem=draw.problems(min_n=0))
def test_round_trip_through_dimod(problem):
    X, expected = energies(problem)
    bqm = problem.to_bqm()
    assert bqm.vartype is (dimod.SPIN if problem.domain == "spin" else dimod.BINARY)
    if problem.n:
        np.testing.assert_array_equal(bqm.energies((X, list(range(problem.n)))), expected)
    back = bqp.BQP.from_bqm(bqm)
    assert back.domain == problem.domain
    np.testing.assert_array_equal(back.energy(X), expected)


def test_from_bqm_with_named_variables():
    bqm = dimod.BinaryQuadraticModel({"b": 1.0, "a": -2.0}, {("a", "b"): 3.0}, 0.5, "BINARY")
    problem = bqp.BQP.from_bqm(bqm)
    names = list(bqm.variables)
    for x in reference.all_assignments(2, "binary"):
        assert problem.energy(x) == bqm.energy(dict(zip(names, x.tolist())))


@given(n=st.integers(1, 5), data=st.data())
def test_from_qubo_means_what_its_product_says(n, data):
    Q = data.draw(draw.integers(n, n))
    X = reference.all_assignments(n, "binary").astype(float)
    expected = [x @ Q @ x for x in X]
    entries = {(i, j): Q[i, j] for i in range(n) for j in range(n)}
    for given_as in (Q, np.triu(Q) + np.tril(Q, -1).T, sp.csr_array(Q), sp.coo_array(Q), entries, Q.tolist()):
        np.testing.assert_array_equal(bqp.BQP.from_qubo(given_as).energy(X), expected)
    np.testing.assert_array_equal(bqp.BQP.from_qubo(Q, sense="max").objective(X), expected)
    np.testing.assert_array_equal(bqp.BQP.from_qubo(Q, sense="max").energy(X), np.negative(expected))


@given(n=st.integers(1, 5), data=st.data())
def test_from_ising_means_what_its_sums_say(n, data):
    h, J = data.draw(draw.integers(n)), np.triu(data.draw(draw.integers(n, n)), 1)
    S = reference.all_assignments(n).astype(float)
    expected = [h @ s + sum(J[i, j] * s[i] * s[j] for i in range(n) for j in range(i)) for s in S]
    expected = [h @ s + s @ J @ s for s in S] if n > 1 else expected
    pairs = {(i, j): J[i, j] for i in range(n) for j in range(i + 1, n)}
    for fields in (h, dict(enumerate(h))):
        for couplings in (J, sp.csr_array(J), pairs):
            np.testing.assert_array_equal(bqp.BQP.from_ising(fields, couplings, 1.0).energy(S), np.add(expected, 1.0))


@given(n=st.integers(1, 6), data=st.data())
def test_from_maxcut_counts_the_cut(n, data):
    W = data.draw(draw.symmetric(n))
    X = reference.all_assignments(n)
    cuts = [sum(W[i, j] for i in range(n) for j in range(i) if x[i] != x[j]) for x in X]
    for weights in (W, sp.csr_array(W)):
        problem = bqp.BQP.from_maxcut(weights)
        np.testing.assert_array_equal(problem.objective(X), cuts)
        assert problem.sense == "max"


def test_from_maxcut_keeps_the_structure():
    U = np.array([[1, 2], [1, -1], [0, 3]], np.int8)
    groups = Grouped(np.array([0, 1, 0]), np.array([[2.0, 1], [1, -1]]))
    for form, kind in ((LowRank(U), LowRank), (groups, Grouped)):
        problem, dense = bqp.BQP.from_maxcut(form), bqp.BQP.from_maxcut(form.to_dense())
        assert isinstance(problem.Q, kind)
        X = reference.all_assignments(3)
        np.testing.assert_array_equal(problem.energy(X), dense.energy(X))


@given(problem=draw.problems())
def test_pickle_and_copy(problem):
    X, expected = energies(problem)
    for twin in (pickle.loads(pickle.dumps(problem)), copy.deepcopy(problem)):
        assert (twin.domain, twin.sense, twin.n) == (problem.domain, problem.sense, problem.n)
        np.testing.assert_array_equal(twin.energy(X), expected)


# ---- what must happen to the optimum -----------------------------------------------------------------------------


@given(problem=draw.problems(domains=("spin",), senses=("min",), kinds=("dense",)), data=st.data())
def test_symmetries_of_the_optimum(problem, data):
    Q, c, offset = reference.numbers(problem)
    X, expected = energies(problem)
    n = problem.n
    permutation = np.array(data.draw(st.permutations(range(n))))
    relabelled = bqp.BQP(Q[np.ix_(permutation, permutation)], c[permutation], offset)
    np.testing.assert_array_equal(relabelled.energy(X[:, permutation]), expected)
    gauge = 2 * data.draw(draw.integers(n, None, 0, 1)) - 1
    flipped = bqp.BQP(Q * np.outer(gauge, gauge), c * gauge, offset)
    np.testing.assert_array_equal(flipped.energy(X * gauge), expected)
    factor = data.draw(st.sampled_from([0.5, 3.0]))
    np.testing.assert_array_equal(bqp.BQP(factor * Q, factor * c, factor * offset).energy(X), factor * expected)
    shift = data.draw(draw.integers(n))
    np.testing.assert_array_equal(bqp.BQP(Q + np.diag(shift), c, offset).energy(X), expected + shift.sum())
    for other in (relabelled, flipped, bqp.BQP(factor * Q, factor * c), bqp.BQP(Q + np.diag(shift), c, offset)):
        assert bqp.solve(other, rng=0).status is bqp.Status.OPTIMAL
    assert bqp.solve(relabelled, rng=0).energy == bqp.solve(flipped, rng=0).energy == expected.min()
    assert bqp.solve(bqp.BQP(factor * Q, factor * c, factor * offset), rng=0).energy == factor * expected.min()
    assert bqp.solve(bqp.BQP(Q + np.diag(shift), c, offset), rng=0).energy == expected.min() + shift.sum()


# ---- bad input ---------------------------------------------------------------------------------------------------

EYE = np.eye(3)
BAD = {
    "c of another length": (lambda: bqp.BQP(EYE, [1, 2]), r"c must have shape \(3,\) to match Q, got \(2,\)"),
    "c as a column": (lambda: bqp.BQP(EYE, np.ones((3, 1))), r"c must have shape \(3,\).*got \(3, 1\)"),
    "c with nan": (lambda: bqp.BQP(EYE, [1, np.nan, 2]), r"c must be finite, got nan at \(1\)"),
    "c with inf": (lambda: bqp.BQP(EYE, [1, 2, -np.inf]), r"c must be finite, got -inf at \(2\)"),
    "c of text": (lambda: bqp.BQP(EYE, ["a", "b", "c"]), "c must be a vector of 3 numbers"),
    "c complex": (lambda: bqp.BQP(EYE, [1j, 0, 0]), "c must be"),
    "c complex array": (lambda: bqp.BQP(EYE, np.full(3, 1j)), "c must be a vector of 3 numbers: complex"),
    "c ragged": (lambda: bqp.BQP(EYE, [[1], [1, 2], [3]]), "c must be a vector of 3 numbers"),
    "offset nan": (lambda: bqp.BQP(EYE, offset=np.nan), "offset must be finite, got nan"),
    "offset text": (lambda: bqp.BQP(EYE, offset="x"), "offset must be a number, got 'x'"),
    "domain": (lambda: bqp.BQP(EYE, domain="bits"), r"domain must be 'spin' for .* got 'bits'"),
    "sense": (lambda: bqp.BQP(EYE, sense="maximise"), "sense must be 'min' or 'max', got 'maximise'"),
    "overflow": (lambda: bqp.BQP(np.full((3, 3), 1e308)), "overflow.*Rescale"),
    "x with zeros": (
        lambda: bqp.BQP(EYE).energy([1, 0, -1]),
        r"x must hold -1 or \+1 \(domain 'spin'\), got 0 at \(1\). Codes of 0/1 become spins by 2 \* x - 1",
    ),
    "x with -1": (
        lambda: bqp.BQP(EYE, domain="binary").energy([1, 0, -1]),
        r"x must hold 0 or 1 \(domain 'binary'\), got -1 at \(2\)",
    ),
    "x short": (lambda: bqp.BQP(EYE).energy([1, 1]), r"x must have shape \(3,\) or \(k, 3\), got \(2,\)"),
    "x nan": (lambda: bqp.BQP(EYE).energy([1, np.nan, 1]), r"got nan at \(1\)"),
    "x text": (lambda: bqp.BQP(EYE).energy(["a", "b", "c"]), r"got a at \(0\)"),
    "several x for deltas": (lambda: bqp.BQP(EYE).flip_deltas(np.ones((2, 3))), r"one assignment of shape \(3,\)"),
    "qubo keys": (lambda: bqp.BQP.from_qubo({("a", 0): 1.0}), "non-negative integers, got 'a'. Use from_bqm"),
    "qubo negative keys": (lambda: bqp.BQP.from_qubo({(-1, 0): 1.0}), "non-negative integers, got -1"),
    "qubo single keys": (lambda: bqp.BQP.from_qubo({0: 1.0}), "pairs"),
    "qubo text values": (lambda: bqp.BQP.from_qubo({(0, 1): "x"}), "numbers"),
    "qubo nan": (lambda: bqp.BQP.from_qubo({(0, 1): np.nan}), r"finite, got nan at \(0, 1\)"),
    "qubo wide": (lambda: bqp.BQP.from_qubo(np.ones((2, 3))), r"Q must be a square matrix, got shape \(2, 3\)"),
    "qubo ragged": (lambda: bqp.BQP.from_qubo([[1, 2], [3]]), "Q must"),
    "ising h": (lambda: bqp.BQP.from_ising([1, 2], np.zeros((3, 3))), r"shape \(3,\).*got \(2,\)"),
    "ising h text": (lambda: bqp.BQP.from_ising({0: "x"}, {}), "h must"),
    "ising h nan": (lambda: bqp.BQP.from_ising([np.nan, 0], np.zeros((2, 2))), r"finite, got nan at \(0\)"),
    "ising J": (lambda: bqp.BQP.from_ising([1, 2], np.zeros((2, 3))), r"J must be a square matrix, got shape \(2, 3\)"),
    "maxcut asymmetric": (lambda: bqp.BQP.from_maxcut([[0, 1], [2, 0]]), "must be symmetric"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, message = BAD[name]
    with pytest.raises((ProblemError, ParameterError), match=message):
        call()


def test_a_problem_is_frozen():
    problem = bqp.BQP(EYE)
    with pytest.raises(AttributeError, match="frozen; build a new one"):
        problem.offset = 3.0
    with pytest.raises(ValueError, match="read-only"):
        problem.c[0] = 1.0


def test_empty_and_single():
    empty = bqp.BQP(np.zeros((0, 0)), offset=2.0)
    assert empty.energy(np.empty(0)) == 2.0 and empty.flip_deltas(np.empty(0)).shape == (0,)
    assert bqp.BQP.from_qubo({}).n == 0
    assert bqp.BQP([[3.0]], [1.0]).energy([-1]) == 2.0


@pytest.mark.parametrize("kind", ["lil_array", "dok_array", "coo_array", "csc_matrix", "bsr_array", "dia_array"])
def test_every_scipy_kind_is_a_qubo(kind):
    Q = np.array([[1.0, 2.0, 0.0], [0.0, -3.0, 4.0], [0.0, 0.0, 5.0]])
    problem = bqp.BQP.from_qubo(getattr(sp, kind)(Q))
    for x in ([0, 1, 1], [1, 1, 0], [1, 1, 1]):
        assert problem.energy(x) == np.array(x) @ Q @ np.array(x)


def test_a_huge_diagonal_does_not_hide_the_couplings():
    """In spins the diagonal is a constant; it must not make variables look decided."""
    Q = np.array([[1e17, 1.0], [1.0, 1e17]])
    for form in (bqp.forms.Dense(Q), bqp.forms.Sparse(sp.csr_array(Q)), bqp.forms.Grouped([0, 1], Q)):
        np.testing.assert_array_equal(form.abs_row_sums(), [1.0, 1.0])


@pytest.mark.parametrize("form", [bqp.forms.LowRank(np.full((3, 1), 1e200)), bqp.forms.Grouped([0], [[1.0]], [1e300])])
def test_forms_that_overflow_are_refused(form):
    with pytest.raises(bqp.ProblemError, match="overflow"):
        bqp.BQP(form)

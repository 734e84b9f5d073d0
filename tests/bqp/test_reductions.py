"""Each reduction keeps an optimum, and its energies add up: constant + parts = the original at the lifted point."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.errors import ParameterError
from bqp.forms import Dense, Grouped, LowRank, Sparse, Sum
from bqp.reductions import REGISTRY, SpinDomain, reduce_problem, resolve_steps
from bqp.reductions.components import component_labels
from bqp.testing import reference
from bqp.testing import strategies as draw


def check_reduced(problem, reduced, keeps_all):
    """Energies add up for every assignment of the parts, the least of them is the optimum, restrict inverts lift."""
    X, energies = reference.all_energies(problem)
    spaces = [reference.all_assignments(part.n) for part in reduced.parts]
    seen = {}
    for index in np.ndindex(*(len(space) for space in spaces)):
        xs = [space[i] for space, i in zip(spaces, index)]
        lifted = reduced.lift(xs)
        assert lifted.dtype == np.int8 and lifted.shape == (problem.n,)
        energy = reduced.constant + sum(
            reference.energy_of(*reference.numbers(part), x) for part, x in zip(reduced.parts, xs)
        )
        assert energy == problem.energy(lifted)
        for x, y in zip(xs, reduced.restrict(lifted)):
            np.testing.assert_array_equal(x, y)
        seen[lifted.tobytes()] = energy
    assert min(seen.values()) == energies.min(), "no optimum survives"
    for x in X:  # whatever stands for x is an assignment of the parts
        assert [y.shape for y in reduced.restrict(x)] == [(part.n,) for part in reduced.parts]
    if keeps_all:
        assert len(seen) == len(X)
    return seen


@pytest.mark.parametrize("name", REGISTRY)
@given(problem=draw.planted(max_n=7))
def test_each_reduction_on_planted_structure(name, problem):
    reduced = REGISTRY[name]().apply(problem)
    if reduced is not None:
        check_reduced(problem, reduced, REGISTRY[name].keeps_all)
        assert reduced.note
        assert sum(part.n for part in reduced.parts) < problem.n or len(reduced.parts) > 1


@pytest.mark.parametrize("name", REGISTRY)
@given(problem=draw.problems(max_n=6, min_n=0, domains=("spin",)))
def test_each_reduction_on_every_form(name, problem):
    reduced = REGISTRY[name]().apply(problem)
    if reduced is not None:
        check_reduced(problem, reduced, REGISTRY[name].keeps_all)


@given(problem=draw.problems(max_n=6, min_n=0) | draw.planted(max_n=7))
def test_the_pipeline(problem):
    reduced, notes = reduce_problem(problem, resolve_steps("auto"))
    check_reduced(problem, reduced, False)
    assert bool(notes) or [part.n for part in reduced.parts] == [problem.n]
    whole, _ = reduce_problem(problem, resolve_steps("auto", keep_all=True))
    check_reduced(problem, whole, True)


@given(problem=draw.problems(domains=("binary",), min_n=0))
def test_domain(problem):
    check_reduced(problem, SpinDomain().apply(problem), True)
    assert SpinDomain().apply(problem.to_spin()) is None


@given(problem=draw.planted(max_n=9))
def test_reductions_do_not_change_what_solve_finds(problem):
    with_all = bqp.solve(problem, rng=0)
    without = bqp.solve(problem, reductions=(), rng=0)
    assert with_all.energy == without.energy == reference.optimum(problem)
    assert with_all.status is without.status is bqp.Status.OPTIMAL


# ---- exchangeable variables --------------------------------------------------------------------------------------


def groups_of(part_coupling, others=0.0):
    """Two groups of three and a loose variable; `part_coupling` inside the first group."""
    groups = np.array([0, 0, 0, 1, 1, 1, 2])
    M = np.array([[part_coupling, 1.0, others], [1.0, -2.0, 3.0], [others, 3.0, 0.0]])
    Q = M[np.ix_(groups, groups)]
    return groups, M, Q


@pytest.mark.parametrize("coupling", [-1.0, 0.0])
def test_attracting_groups_merge(coupling):
    groups, M, Q = groups_of(coupling)
    one_hot = np.eye(3)[groups]
    forms = [Dense(Q), Sparse(sp.csr_array(Q)), Grouped(groups, M), Sum([Grouped(groups, M), Grouped(groups, 0 * M)])]
    forms += [LowRank(one_hot.astype(dtype), [-1.0, -2.0, 1.0]) for dtype in (np.int8, np.float32, np.float64)]
    for form in forms:
        reduced = REGISTRY["exchangeable"]().apply(bqp.BQP(form))
        assert reduced.parts[0].n == 3, form
        assert "largest group 3" in reduced.note


def test_repelling_groups_stay_apart():
    groups, M, Q = groups_of(2.0)
    for form in (Dense(Q), Sparse(sp.csr_array(Q)), Grouped(groups, M)):
        problem = bqp.BQP(form)
        reduced = REGISTRY["exchangeable"]().apply(problem)
        assert reduced.parts[0].n == 5, "the first group repels, the second attracts"
        assert bqp.solve(problem, rng=0).energy == reference.optimum(problem)
    repelling = bqp.BQP(np.ones((6, 6)))
    assert REGISTRY["exchangeable"]().apply(repelling) is None
    assert bqp.solve(repelling, rng=0).energy == 0.0, "half up, half down: a merged group would give 36"


def test_a_linear_term_tells_variables_apart():
    problem = bqp.BQP(-np.ones((4, 4)), [1.0, 1.0, 2.0, 2.0])
    assert REGISTRY["exchangeable"]().apply(problem).parts[0].n == 2


def test_ten_classes_are_ten_variables_whatever_n():
    labels = np.arange(30_000) % 10
    M = np.where(np.eye(10, dtype=bool), -3.0, 1.0)
    solution = bqp.solve(bqp.BQP(Grouped(labels, M)), rng=0)
    assert solution.status is bqp.Status.OPTIMAL and solution.lower_bound == solution.energy
    assert any("30000 variables merged into 10" in note for note in solution.stats["reductions"])


# ---- fixed variables, components ---------------------------------------------------------------------------------


def test_fixing_cascades():
    Q = np.zeros((4, 4))
    for i, value in enumerate((3.0, 2.0, 1.0)):
        Q[i, i + 1] = Q[i + 1, i] = value
    problem = bqp.BQP(Q, [100.0, 0.0, 0.0, 0.0])
    reduced = REGISTRY["fixed"]().apply(problem)
    assert reduced.parts == () and reduced.lift([]).tolist() == [-1, 1, -1, 1]
    assert reduced.constant == reference.optimum(problem)


@given(n=st.integers(0, 7), data=st.data())
def test_component_labels(n, data):
    Q = data.draw(draw.symmetric(n)) * data.draw(draw.symmetric(n, 0, 1)) * data.draw(draw.symmetric(n, 0, 1))
    same = reference.components(Q)
    for form in (Dense(Q), Sparse(sp.csr_array(Q)), Grouped(np.arange(n), Q)):
        labels = component_labels(form)
        np.testing.assert_array_equal(labels[:, None] == labels, same[:, None] == same)


@given(n=st.integers(1, 6), data=st.data())
def test_components_of_structured_forms_are_unions(n, data):
    form, Q = data.draw(draw.forms(n))
    same, labels = reference.components(Q), component_labels(form)
    for i in range(n):
        for j in range(i):
            if same[i] == same[j]:
                assert labels[i] == labels[j]


def test_steps_by_name():
    assert [step.name for step in resolve_steps("auto")] == list(REGISTRY)
    assert resolve_steps(()) == []
    assert [step.name for step in resolve_steps(("components", REGISTRY["fixed"]()))] == ["components", "fixed"]
    assert [step.name for step in resolve_steps("auto", keep_all=True)] == ["components"]
    with pytest.raises(ParameterError, match=r"unknown reduction 'colour'; known are fixed, exchangeable, low_degree"):
        resolve_steps(("colour",))
    with pytest.raises(ParameterError, match=r"pass \(\) to switch them off"):
        resolve_steps(None)
    for nonsense in (5, [["fixed"]]):
        with pytest.raises(ParameterError, match="reduction"):
            resolve_steps(nonsense)

"""What each rule of the reductions finds, on sparse graphs, with floats, and with energies that must stay exact."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.errors import ParameterError
from bqp.kernels.shrink import _surviving
from bqp.reductions import DominatedPairs, LowDegree, Persistency, reduce_problem, resolve_steps
from bqp.rounding import sums_are_exact
from bqp.testing import reference
from bqp.testing import strategies as draw

STEPS = {
    "low_degree": LowDegree(),
    "dominated_pairs": DominatedPairs(),
    "persistency": Persistency(probing=False, quick=False),
    "auto": Persistency(),
    "probing": Persistency(probing=True, quick=False),
}


@st.composite
def sparse_problems(draw_, max_n=9):
    """Graphs with few edges, small integers, some linear terms."""
    n = draw_(st.integers(1, max_n))
    keep = draw_(draw.integers(n, n, 0, draw_(st.sampled_from([1, 2, 4])))) == 1
    upper = np.triu(draw_(draw.integers(n, n)) * keep)
    c = draw_(draw.integers(n, None, -6, 6)) * draw_(draw.integers(n, None, 0, 1))
    Q = upper + upper.T
    return bqp.BQP(Q if draw_(st.booleans()) else sp.csr_array(Q), c, 0.5)


def energies_of_reduced(problem, reduced):
    """Energies of the parts' assignments with the constant, and of what they are lifted to."""
    spaces = [reference.all_assignments(part.n) for part in reduced.parts]
    index = list(np.ndindex(*(len(space) for space in spaces)))
    inside = [reduced.constant + sum(float(p.energy(s[i])) for p, s, i in zip(reduced.parts, spaces, k)) for k in index]
    lifted = [float(problem.energy(reduced.lift([s[i] for s, i in zip(spaces, k)]))) for k in index]
    return np.array(inside), np.array(lifted)


@pytest.mark.parametrize("name", STEPS)
@given(problem=sparse_problems())
def test_an_optimum_survives_and_energies_stay_exact(name, problem):
    reduced = STEPS[name].apply(problem)
    if reduced is None:
        return
    inside, lifted = energies_of_reduced(problem, reduced)
    np.testing.assert_array_equal(inside, lifted)
    assert inside.min() == reference.optimum(problem)
    assert reduced.rounding == 0.0 and all(sums_are_exact(part) for part in reduced.parts)


@pytest.mark.parametrize("name", STEPS)
@given(problem=draw.float_problems(max_n=6, domains=("spin",)))
def test_floats_are_off_by_no_more_than_is_said(name, problem):
    reduced = STEPS[name].apply(problem)
    if reduced is None:
        return
    inside, lifted = energies_of_reduced(problem, reduced)
    allowed = reduced.rounding + bqp.rounding.evaluation_rounding(problem)
    assert np.abs(inside - lifted).max() <= allowed
    assert inside.min() <= reference.optimum(problem) + allowed
    size = np.abs(problem.Q.to_dense()).sum() + np.abs(problem.c).sum() + abs(problem.offset)
    assert allowed <= 1e-11 * size


@given(problem=sparse_problems(8))
def test_elimination_leaves_no_small_degree_but_for_the_grid(problem):
    reduced = LowDegree().apply(problem)
    for part in () if reduced is None else reduced.parts:
        touching = np.count_nonzero(part.Q.to_dense(), axis=1) + (part.c != 0)
        assert touching.min() >= 3


def test_a_triangle_replaces_a_star():
    """max-cut on K_4 with a variable of degree three: halves appear, and are exact."""
    problem = bqp.BQP(np.ones((4, 4)) - np.eye(4), [1.0, 0.0, 1.0, 0.0])
    reduced = LowDegree().apply(problem)
    inside, lifted = energies_of_reduced(problem, reduced)
    np.testing.assert_array_equal(inside, lifted)
    assert inside.min() == reference.optimum(problem)


def test_degree_three_stops_where_floats_would_no_longer_add_exactly():
    """Near 2**47 no fraction is promised: the variable stays, or its weights stay whole."""
    big = 2.0**44 + 1.0
    Q = np.zeros((8, 8))
    for i in range(1, 8):  # a wheel: every rim variable has degree three
        j = 1 + i % 7
        Q[0, i] = Q[i, 0] = 1.0
        Q[i, j] = Q[j, i] = 1.0
    small, large = bqp.BQP(sp.csr_array(Q)), bqp.BQP(sp.csr_array(np.where(Q > 0, big, 0.0)))
    assert LowDegree().apply(small) is not None
    for problem in (small, large):
        assert bqp.solve(problem, rng=0).energy == reference.optimum(problem)


@given(seed=st.integers(0, 10**6))
def test_a_strong_pair_merges_and_a_weak_one_does_not(seed):
    rng = np.random.default_rng(seed)
    Q = rng.integers(-2, 3, (6, 6)).astype(float)
    Q = np.triu(Q, 1) + np.triu(Q, 1).T
    Q[0, 1] = Q[1, 0] = rng.choice([-40.0, 40.0])
    problem = bqp.BQP(Q)
    reduced = DominatedPairs().apply(problem)
    assert reduced is not None and sum(part.n for part in reduced.parts) < 6
    x = reduced.lift([np.ones(part.n, np.int8) for part in reduced.parts])
    assert x[0] * x[1] == -np.sign(Q[0, 1])
    even = bqp.BQP(np.ones((7, 7)) - np.eye(7))
    assert DominatedPairs().apply(even) is None


def test_rules_that_single_bounds_would_miss():
    """Two variables that see the others alike: exchanging them is decided by their own terms, though no flip is."""
    linear, coupling, others = (4.0, -3.0), 2.0, 6.0
    assert _surviving(*linear, coupling, others, others, 12.0, 0.0) == -1
    assert _surviving(*linear, coupling, others, others, 12.0, 12.0) == 0, "the same bounds, but they see them unlike"


def test_quick_persistency_skips_what_promises_nothing():
    rng = np.random.default_rng(0)
    Q = np.triu(rng.integers(-9, 10, (40, 40)), 1).astype(float)
    cut = bqp.BQP(Q + Q.T)
    assert Persistency().apply(cut) is None
    assert Persistency().apply(bqp.BQP(bqp.forms.LowRank(np.ones((5, 1))), np.full(5, 99.0))) is None
    with pytest.raises(ParameterError, match="probing must be 'auto', True or False, got 3"):
        Persistency(probing=3)


@pytest.mark.parametrize("seed", range(3))
def test_sparse_graphs_with_hundreds_of_variables(seed):
    """Nothing is enumerated: the reduced problem and the whole one agree at random points and in `bqp.solve`."""
    rng = np.random.default_rng(seed)
    n = 300
    row, column = rng.integers(0, n, (2, 420))
    keep = row != column
    half = sp.coo_array((rng.integers(-5, 6, keep.sum()) / 1.0, (row[keep], column[keep])), shape=(n, n)).tocsr()
    problem = bqp.BQP(sp.csr_array(half + half.T), rng.integers(-2, 3, n))
    reduced, notes = reduce_problem(problem, resolve_steps("auto"))
    assert sum(part.n for part in reduced.parts) < n / 2 and len(notes) > 1
    for _ in range(5):
        xs = [rng.choice(np.array([-1, 1], np.int8), part.n) for part in reduced.parts]
        inside = reduced.constant + sum(float(part.energy(x)) for part, x in zip(reduced.parts, xs))
        assert inside == problem.energy(reduced.lift(xs))
    whole = bqp.solve(problem, solver="tabu_search", reductions=(), max_moves=60_000, rng=0)
    assert bqp.solve(problem, rng=0, max_moves=60_000).energy <= whole.energy

"""Max-flow against enumeration, against the other backend, and with numbers that 30 bits cannot hold."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.errors import ProblemError
from bqp.solvers import GraphCut
from bqp.solvers.graph_cut import is_submodular
from bqp.testing import reference
from bqp.testing import strategies as draw
from bqp.testing.solver_checks import inspect_solution

BACKENDS = ("scipy", "networkx")


@pytest.mark.parametrize("backend", BACKENDS)
@given(problem=draw.submodular_problems(max_n=8))
def test_integers_are_solved_to_optimality(backend, problem):
    assert is_submodular(problem)
    solution = GraphCut(backend=backend).solve(problem)
    inspect_solution(problem, solution)
    assert solution.status is bqp.Status.OPTIMAL
    assert solution.energy == solution.lower_bound == reference.optimum(problem)


@given(problem=draw.problems(domains=("spin",), kinds=("dense", "sparse"), max_n=6))
def test_frustrated_problems_are_recognised(problem):
    """Balanced exactly when some choice of signs makes every pair attract."""
    Q = problem.Q.to_dense() - np.diag(problem.Q.diagonal())
    balanced = any(np.all(Q * np.outer(g, g) <= 0) for g in reference.all_assignments(problem.n).astype(float))
    assert is_submodular(problem) == balanced
    if balanced:
        assert GraphCut().solve(problem).energy == reference.optimum(problem)
    else:
        with pytest.raises(ProblemError, match="closes a cycle that no flipping repairs"):
            GraphCut().solve(problem)


def image_like(scale, shape=(5, 4), seed=0, whole=True):
    """A grid of attracting neighbours with strong and weak unary terms, as in image segmentation."""
    rng = np.random.default_rng(seed)
    n = shape[0] * shape[1]
    index = np.arange(n).reshape(shape)
    pairs = np.concatenate(
        [np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()]), np.stack([index[:-1].ravel(), index[1:].ravel()])],
        axis=1,
    )
    weight = np.exp(rng.uniform(0, np.log(scale), pairs.shape[1]))
    c = np.exp(rng.uniform(0, np.log(scale), n)) * rng.choice([-1, 1], n)
    if whole:
        weight, c = np.rint(weight), np.rint(c)
    half = sp.coo_array((-weight, (pairs[0], pairs[1])), shape=(n, n)).tocsr()
    return bqp.BQP(sp.csr_array(half + half.T), c)


@pytest.mark.parametrize("whole", [True, False], ids=["integers", "floats"])
@pytest.mark.parametrize("scale", [1e3, 1e9, 1e13])
@pytest.mark.parametrize("seed", range(4))
def test_large_weights_give_valid_bounds_and_honest_statuses(seed, scale, whole):
    problem = image_like(scale, (4, 3), seed, whole)
    best = reference.exact_optimum(problem)
    rough, exact = (GraphCut(backend=backend).solve(problem) for backend in BACKENDS)
    for solution in (rough, exact):
        inspect_solution(problem, solution)
        assert solution.lower_bound <= best <= reference.exact_energy(problem, solution.x)
    assert reference.exact_energy(problem, exact.x) == best and exact.status is bqp.Status.OPTIMAL
    if rough.status is bqp.Status.OPTIMAL:
        assert reference.exact_energy(problem, rough.x) == best
    else:
        assert rough.status is bqp.Status.NUMERICAL
        assert "rescale" in rough.status.advice
    assert rough.gap <= 1e-7 * scale * problem.n, "30 bits leave no more than that"


def test_a_cut_that_30_bits_get_wrong_is_not_called_optimal():
    """Beside a pair of 1e13 a weak pair and its linear terms are rounded away; both variables take the wrong side,
    and no single flip puts them right."""
    Q = np.zeros((4, 4))
    Q[0, 1] = Q[1, 0] = -1e13
    Q[2, 3] = Q[3, 2] = -10.0
    problem = bqp.BQP(Q, [0.0, 0.0, -1.0, -1.0])
    rough, exact = (GraphCut(backend=backend).solve(problem) for backend in BACKENDS)
    assert exact.energy == reference.optimum(problem) < rough.energy, "the example does not show what it should"
    assert rough.status is bqp.Status.NUMERICAL and rough.lower_bound <= exact.energy
    assert exact.status is bqp.Status.OPTIMAL


def test_a_descent_repairs_what_rounding_got_wrong():
    """Here single flips suffice; the status still says that the flow did not prove it."""
    Q = np.zeros((4, 4))
    Q[0, 1] = Q[1, 0] = -1e13
    problem = bqp.BQP(Q, [0.0, 0.0, -1.0, 1.0])
    rough, exact = (GraphCut(backend=backend).solve(problem) for backend in BACKENDS)
    assert rough.energy == exact.energy == reference.optimum(problem)
    assert rough.status is bqp.Status.NUMERICAL and rough.lower_bound <= exact.energy


def test_flows_beyond_32_bits():
    """Every capacity fits 30 bits; what flows from twenty nodes to twenty others through one does not fit 32."""
    Q = np.zeros((41, 41))
    Q[0, 1:] = Q[1:, 0] = -(2.0**27)
    c = np.concatenate([[0.0], np.full(20, -(2.0**28 - 1)), np.full(20, 2.0**28 - 3)])
    problem = bqp.BQP(Q, c)
    first, second = (GraphCut(backend=backend).solve(problem) for backend in BACKENDS)
    assert first.status is second.status is bqp.Status.OPTIMAL
    assert first.energy == second.energy == first.lower_bound == second.lower_bound
    assert 2.0 * np.abs(c).sum() / 2 > 2**32


@given(n=st.integers(1, 7), data=st.data())
def test_bipartite_max_cut_is_solved(n, data):
    W = data.draw(draw.integers(n, n, 0, 9))
    zero = np.zeros((n, n))
    problem = bqp.BQP.from_maxcut(np.block([[zero, W], [W.T, zero]]))
    solution = bqp.solve(problem, solver="graph_cut", reductions=())
    assert solution.objective == W.sum() and solution.status is bqp.Status.OPTIMAL


def test_isolated_variables_and_components():
    Q = np.zeros((6, 6))
    Q[0, 1] = Q[1, 0] = 3.0
    Q[2, 3] = Q[3, 2] = -2.0
    problem = bqp.BQP(Q, [0, 1.0, 0, 0, -4.0, 0])
    for backend in BACKENDS:
        assert GraphCut(backend=backend).solve(problem).energy == reference.optimum(problem)

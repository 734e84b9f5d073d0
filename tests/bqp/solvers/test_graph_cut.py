"""One cut against enumeration and other backends, with numbers that 30 bits cannot hold; frustrated problems."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.errors import ParameterError
from bqp.solvers import GraphCut
from bqp.solvers.graph_cut import is_submodular
from bqp.testing import reference
from bqp.testing import strategies as draw
from bqp.testing.solver_checks import inspect_solution

BACKENDS = ("scipy", "networkx")
EVERY_BACKEND = ("dinic", *BACKENDS)


@pytest.mark.parametrize("backend", EVERY_BACKEND)
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
    solution = GraphCut().solve(problem, rng=0, max_moves=40)
    inspect_solution(problem, solution)
    assert solution.energy == reference.optimum(problem)
    assert solution.status is bqp.Status.OPTIMAL or not balanced
    assert solution.lower_bound >= bqp.lower_bound(problem, method="trivial").value


@given(problem=draw.submodular_problems(max_n=14, most=4))
def test_up_to_fourteen_variables(problem):
    assert GraphCut().solve(problem).energy == reference.optimum(problem)


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
    fine = GraphCut().solve(problem)
    inspect_solution(problem, fine)
    assert fine.lower_bound <= best <= reference.exact_energy(problem, fine.x)
    assert fine.status is bqp.Status.OPTIMAL or not whole, "59 bits hold these integers"
    assert fine.gap <= 1e-14 * scale * problem.n


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


# ---- frustrated problems -----------------------------------------------------------------------------------------


def spin_glass(shape, seed, field=0):
    """A torus of couplings -1 and +1."""
    rng = np.random.default_rng(seed)
    index = np.arange(shape[0] * shape[1]).reshape(shape)
    row = np.concatenate([index.ravel(), index.ravel()])
    column = np.concatenate([np.roll(index, 1, 0).ravel(), np.roll(index, 1, 1).ravel()])
    half = sp.coo_array((rng.choice([-1.0, 1.0], len(row)), (row, column)), shape=(index.size, index.size)).tocsr()
    return bqp.BQP(sp.csr_array(half + half.T), rng.integers(-field, field + 1, index.size))


@pytest.mark.parametrize("options", [{}, {"probing": False}, {"backend": "scipy", "stall": 5}, {"block_size": 1}])
@given(problem=draw.problems(max_n=8, domains=("spin", "binary")))
def test_frustrated_problems(options, problem):
    solution = GraphCut(**options).solve(problem, rng=0, max_moves=12)
    inspect_solution(problem, solution)
    optimum = reference.optimum(problem)
    assert solution.lower_bound <= optimum <= solution.energy
    if solution.status is bqp.Status.OPTIMAL:
        assert solution.energy == optimum


@given(problem=draw.float_problems(max_n=5))
def test_floats_are_never_called_optimal_wrongly(problem):
    solution = GraphCut().solve(problem, rng=0, max_moves=20)
    inspect_solution(problem, solution)
    best = reference.exact_optimum(problem)
    assert solution.lower_bound <= best
    if solution.lower_bound == solution.energy:
        assert reference.exact_energy(problem, solution.x) == best


@pytest.mark.parametrize("seed", range(3))
def test_cuts_of_blocks_find_ground_states_that_descents_miss(seed):
    problem = spin_glass((8, 8), seed)
    best = bqp.solve(problem, solver="tabu_search", max_moves=200_000, rng=seed, reductions=()).energy
    found = GraphCut().solve(problem, rng=seed, max_moves=400)
    descent = bqp.solve(problem, solver="coordinate_descent", n_restarts=4, rng=seed, reductions=())
    assert found.energy == best < descent.energy


def test_probing_decides_what_the_roof_dual_does_not():
    problem = spin_glass((6, 6), 0, field=4)
    plain, probed = (GraphCut(probing=flag).solve(problem, rng=0, max_moves=60) for flag in (False, True))
    assert probed.lower_bound > plain.lower_bound, "the example does not show what it should"
    assert probed.stats["n_fixed"] >= plain.stats["n_fixed"] or probed.status is bqp.Status.OPTIMAL
    assert probed.energy <= plain.energy


def test_a_start_is_used_and_kept():
    problem = spin_glass((10, 10), 4)
    best = GraphCut().solve(problem, rng=0, max_moves=400)
    again = GraphCut().solve(problem, x0=best.x, rng=1, max_moves=3)
    assert again.energy <= best.energy


def test_threads_do_not_change_the_answer():
    problem = spin_glass((12, 12), 1, field=1)
    one, two = (GraphCut().solve(problem, rng=3, n_jobs=n, max_moves=120) for n in (1, 2))
    np.testing.assert_array_equal(one.x, two.x)
    assert one.n_moves == two.n_moves


def test_several_solutions_keep_what_persistency_would_drop():
    """Six optima; the weak labels of the roof dual know one of them."""
    problem = bqp.BQP(np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    solution = GraphCut().solve(problem, rng=0, n_solutions=4)
    assert len(np.unique(solution.pool, axis=0)) == 4 and np.all(problem.energy(solution.pool) == -2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "gpu"}, "backend must be one of dinic, scipy, ortools, networkx, got 'gpu'"),
        ({"probing": 2}, "probing must be True or False, got 2"),
        ({"block_size": 0}, "block_size must be an integer >= 1, got 0"),
        ({"stall": -1}, "stall must be an integer >= 1, got -1"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ParameterError, match=message):
        GraphCut(**options)

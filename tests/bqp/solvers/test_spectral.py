"""Spectral rounding: every threshold evaluated at once equals one by one, on every form; what it finds."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.errors import ParameterError
from bqp.forms import Grouped, LowRank, Sum
from bqp.solvers import Spectral
from bqp.solvers.spectral import best_threshold, eigenvectors, threshold_energies
from bqp.testing import reference
from bqp.testing import strategies as draw
from bqp.testing.solver_checks import inspect_solution


@given(problem=draw.problems(max_n=7, domains=("spin",)), data=st.data())
def test_all_thresholds_at_once(problem, data):
    order = np.array(data.draw(st.permutations(range(problem.n))))
    quadratic, linear = threshold_energies(problem, order)
    x = -np.ones(problem.n, np.int8)
    for k in range(problem.n + 1):
        assert quadratic[k] + linear[k] + problem.offset == problem.energy(x)
        assert quadratic[k] - linear[k] + problem.offset == problem.energy(-x)
        if k < problem.n:
            x[order[k]] = 1


@given(problem=draw.problems(max_n=6, domains=("spin",)), data=st.data())
def test_the_best_threshold_is_the_best(problem, data):
    vector = data.draw(draw.integers(problem.n))
    x = best_threshold(problem, vector)
    roundings = [np.where(vector > t, 1, -1) for t in [-np.inf, *vector, np.inf]]
    assert problem.energy(x) <= min(min(problem.energy(y), problem.energy(-y)) for y in roundings)


@given(problem=draw.problems(max_n=6))
def test_small_problems(problem):
    solution = Spectral().solve(problem, rng=0)
    inspect_solution(problem, solution)
    assert solution.energy >= reference.optimum(problem)
    assert np.all(problem.flip_deltas(solution.x) >= 0), "a descent ends where no flip helps"


def two_camps(n, seed=0):
    """Two hidden camps that the couplings tell apart, with noise; structured and written out."""
    rng = np.random.default_rng(seed)
    side = rng.choice([-1.0, 1.0], n)
    U = np.column_stack([side, rng.standard_normal((n, 3))])
    form = LowRank(U, np.array([-1.0, -0.1, 0.1, 0.1]))
    return side, form


@pytest.mark.parametrize("shape", ["low_rank", "dense", "sparse", "sum"])
def test_hidden_camps_are_found(shape):
    side, form = two_camps(200)
    Q = {
        "low_rank": form,
        "dense": form.to_dense(),
        "sparse": sp.csr_array(form.to_dense()),
        "sum": Sum([form, Grouped(np.zeros(200, int), np.array([[0.0]]))]),
    }[shape]
    problem = bqp.BQP(Q)
    vectors = eigenvectors(problem, 2, np.random.default_rng(0))
    x = best_threshold(problem, vectors[0])
    assert abs(x @ side) == 200
    assert Spectral().solve(problem, rng=0).energy == pytest.approx(problem.energy(side.astype(np.int8)))


def test_a_linear_term_turns_the_vector():
    side, form = two_camps(100)
    problem = bqp.BQP(form, -0.5 * side)
    x = Spectral(n_restarts=1).solve(problem, rng=0).x
    np.testing.assert_array_equal(x, side)


def test_the_threshold_beats_the_signs():
    """The better part of a sparse vector lies beside its signs."""
    rng = np.random.default_rng(3)
    A = np.triu(rng.random((60, 60)) < 0.1, 1).astype(float)
    problem = bqp.BQP(A + A.T, rng.integers(0, 4, 60))
    vector = eigenvectors(problem, 1, rng)[0]
    signs = np.where(vector >= 0, 1, -1).astype(np.int8)
    assert problem.energy(best_threshold(problem, vector)) < problem.energy(signs)


def test_zero_and_tiny_problems():
    for Q in (np.zeros((100, 100)), np.zeros((1, 1)), np.ones((2, 2)), 1e-300 * np.ones((80, 80))):
        inspect_solution(problem := bqp.BQP(Q), Spectral().solve(problem, rng=0))


def test_threads_and_seeds():
    rng = np.random.default_rng(0)
    Q = rng.integers(-9, 10, (90, 90))
    problem = bqp.BQP.from_qubo(Q)
    runs = [Spectral(n_restarts=12).solve(problem, rng=5, n_jobs=n) for n in (1, 2, 1)]
    assert len({run.x.tobytes() for run in runs}) == 1 and len({run.n_moves for run in runs}) == 1
    with pytest.raises(ParameterError, match="n_vectors must be an integer >= 1, got 0"):
        Spectral(n_vectors=0)

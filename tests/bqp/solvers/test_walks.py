"""Local search on structures too large to write out in passing: the same answers as on the matrix."""

import numpy as np
import pytest
import scipy.sparse as sp

import bqp
from bqp.forms import Dense, Grouped, LowRank, Sparse, Sum
from bqp.solvers import CoordinateDescent, Exact, TabuSearch
from bqp.solvers.walks import prepare


def structured(n=400, seed=0):
    rng = np.random.default_rng(seed)
    U, d = rng.integers(-1, 2, (n, 5)).astype(np.int8), rng.integers(-3, 4, 5).astype(float)
    groups, a = rng.integers(0, 4, n), rng.integers(1, 4, n).astype(float)
    A = rng.integers(-2, 3, (4, 4))
    pairs = sp.random_array((n, n), density=0.01, rng=rng, data_sampler=lambda size: rng.integers(-5, 6, size))
    form = Sum([LowRank(U, d), Grouped(groups, (A + A.T).astype(float), a), Sparse(sp.csr_array(pairs + pairs.T))])
    return form, rng.integers(-20, 20, n)


@pytest.mark.parametrize("solver", [CoordinateDescent(n_restarts=3), CoordinateDescent("greedy", n_restarts=2)])
def test_structure_and_matrix_descend_alike(solver):
    form, c = structured()
    dense = Dense(form.to_dense())
    kinds = {prepare(bqp.BQP(shape, c)).kind for shape in (form, dense)}
    assert kinds == {"structured", "dense"}
    first, second = (solver.solve(bqp.BQP(shape, c), rng=5) for shape in (form, dense))
    np.testing.assert_array_equal(first.x, second.x)
    assert first.energy == second.energy and first.n_moves == second.n_moves
    assert bqp.BQP(form, c).flip_deltas(first.x).min() >= 0


def test_structure_and_matrix_walk_alike_under_tabu():
    form, c = structured()
    first, second = (
        TabuSearch(n_restarts=12, stall=200).solve(bqp.BQP(shape, c), rng=5, max_moves=20_000)
        for shape in (form, Dense(form.to_dense()))
    )
    np.testing.assert_array_equal(first.x, second.x)
    assert first.n_moves == second.n_moves and first.n_restarts > 8, "relinking must be reached"


def test_sparse_and_dense_walk_alike():
    rng = np.random.default_rng(2)
    A = sp.random_array((600, 600), density=0.004, rng=rng, data_sampler=lambda size: rng.integers(-9, 10, size))
    Q = sp.csr_array(A + A.T)
    problems = [bqp.BQP(Q), bqp.BQP(Q.toarray())]
    assert [prepare(problem).kind for problem in problems] == ["sparse", "sparse"]
    first, second = (CoordinateDescent(n_restarts=4).solve(problem, rng=1) for problem in problems)
    np.testing.assert_array_equal(first.x, second.x)


@pytest.mark.parametrize("solver", ["coordinate_descent", "tabu_search"])
@pytest.mark.parametrize("shape", ["structured", "dense", "float"])
def test_threads_do_not_change_the_answer(solver, shape, monkeypatch):
    monkeypatch.setattr("bqp.solvers.walks.REBUILD_AFTER", 150)
    form, c = structured(200, 1)
    if shape != "structured":
        form = Dense(form.to_dense() / (3.0 if shape == "float" else 1.0))
    problem = bqp.BQP(form, c)
    runs = [bqp.solve(problem, solver=solver, max_moves=8_000, rng=3, n_jobs=k, n_solutions=4) for k in (1, 2, 3)]
    for other in runs[1:]:
        np.testing.assert_array_equal(runs[0].x, other.x)
        np.testing.assert_array_equal(runs[0].pool, other.pool)
        assert (runs[0].energy, runs[0].n_moves, runs[0].status) == (other.energy, other.n_moves, other.status)


@pytest.mark.parametrize("solver", ["coordinate_descent", "tabu_search"])
def test_threads_do_not_change_where_the_search_ends_by_itself(solver):
    form, c = structured(40, 2)
    first, second = (bqp.solve(bqp.BQP(form, c), solver=solver, rng=3, n_jobs=k) for k in (1, 2))
    np.testing.assert_array_equal(first.x, second.x)
    assert first.n_moves == second.n_moves and first.n_restarts == second.n_restarts >= 10
    assert first.status is second.status is bqp.Status.LOCAL_OPTIMUM


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_target_stops_all_threads_at_one_answer(n_jobs):
    form, c = structured(200, 1)
    problem = bqp.BQP(form, c)
    best = TabuSearch().solve(problem, max_moves=30_000, rng=0).energy
    alone = TabuSearch(stall=50).solve(problem, target=best * 0.98, max_moves=100_000, rng=4)
    threaded = TabuSearch(stall=50).solve(problem, target=best * 0.98, max_moves=100_000, rng=4, n_jobs=n_jobs)
    assert alone.status is threaded.status is bqp.Status.TARGET_REACHED
    np.testing.assert_array_equal(alone.x, threaded.x)
    assert alone.n_moves == threaded.n_moves


def test_large_weights_on_structure_do_not_cycle():
    """Products beyond 2**53 are rounded; a descent must end all the same."""
    rng = np.random.default_rng(0)
    U = rng.integers(-127, 128, (300, 6)).astype(np.int8)
    problem = bqp.BQP(LowRank(U, (2.0**39 - 1) * np.array([1.0, -1, 1, -1, 1, -1])))
    assert not prepare(problem).exact
    solution = CoordinateDescent(n_restarts=3).solve(problem, rng=0)
    assert solution.status is bqp.Status.LOCAL_OPTIMUM
    solution.check(problem)


def test_exact_stops_at_one_place_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    A = rng.integers(-9, 10, (23, 23))
    problem = bqp.BQP(A + A.T, rng.integers(-9, 10, 23))
    for arguments in ({"max_moves": 5 * 2**20}, {"target": -100.0}, {"max_moves": 2**20 + 7}):
        first, second = (Exact(backend="enumeration").solve(problem, n_jobs=k, **arguments) for k in (1, 2))
        np.testing.assert_array_equal(first.x, second.x)
        assert first.n_moves == second.n_moves and first.status is second.status
        assert first.n_moves <= arguments.get("max_moves", 2**23)


def test_exact_across_kernel_calls(monkeypatch):
    monkeypatch.setattr("bqp.solvers._enumeration._LOW_BITS", 4)
    rng = np.random.default_rng(1)
    A = rng.integers(-9, 10, (11, 11))
    for c in (np.zeros(11), rng.integers(-9, 10, 11)):
        problem = bqp.BQP(A + A.T, c)
        energies = np.sort(problem.energy(_all(11)))
        for n_jobs in (1, 2):
            solution = Exact(backend="enumeration").solve(problem, n_solutions=6, n_jobs=n_jobs)
            np.testing.assert_array_equal(problem.energy(solution.pool), energies[:6])
            assert Exact(backend="enumeration").solve(problem, n_jobs=n_jobs).energy == energies[0]


def _all(n):
    from bqp.testing.reference import all_assignments

    return all_assignments(n)


def test_a_gain_below_rounding_does_not_count_as_progress():
    """Else the drift of a running sum in floats looks like progress for ever, and a walk never stalls."""
    problem = bqp.BQP(np.zeros((2, 2)), [1.0, 3e-14])
    walk = prepare(problem).start(np.array([-1, 1], np.int8))
    walk.begin_tabu(1)
    assert not walk.exact and walk.energies[2] > 6e-14
    made = walk.tabu(1000, 1, 1, 10)
    assert made == 10, "the walk should end after its stall"
    assert walk.energies[1] == 0.0 and walk.counters[1] == 0

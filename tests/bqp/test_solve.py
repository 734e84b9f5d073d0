"""The front door: oracle, limits, statuses over parts, pools, options, bad input."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given
from hypothesis import strategies as st

import bqp
from bqp.errors import ParameterError, ProblemError
from bqp.forms import Grouped, LowRank
from bqp.solve import _effective_degree, choose_solver
from bqp.solvers import REGISTRY, Exact, TabuSearch
from bqp.testing import reference
from bqp.testing import strategies as draw
from bqp.testing.solver_checks import inspect_solution

HEURISTICS = [name for name in REGISTRY if name != "exact"]


@given(problem=draw.problems(max_n=9, min_n=0) | draw.planted(max_n=12), n_solutions=st.sampled_from([1, 3]))
def test_auto_finds_and_proves_the_optimum(problem, n_solutions):
    solution = bqp.solve(problem, n_solutions=n_solutions, rng=0)
    inspect_solution(problem, solution)
    solution.check(problem)
    assert solution.status is bqp.Status.OPTIMAL
    assert solution.energy == solution.lower_bound == reference.optimum(problem)
    assert solution.gap == solution.relative_gap == 0.0 and solution.is_optimal()
    if n_solutions > 1:
        _, energies = reference.all_energies(problem)
        best = np.sort(energies)[:n_solutions]
        np.testing.assert_array_equal(problem.energy(solution.pool), best)
        assert len(np.unique(solution.pool, axis=0)) == len(best)


@pytest.mark.parametrize("solver", HEURISTICS)
@pytest.mark.parametrize("reductions", ["auto", ()], ids=["reduced", "plain"])
@given(problem=draw.problems(max_n=10) | draw.planted(max_n=14))
def test_heuristics_against_enumeration(solver, reductions, problem):
    solution = bqp.solve(problem, solver=solver, max_moves=300, reductions=reductions, rng=0)
    inspect_solution(problem, solution)
    optimum = reference.optimum(problem)
    assert solution.lower_bound <= optimum <= solution.energy
    if solution.status is bqp.Status.OPTIMAL:
        assert solution.energy == optimum
    if solution.status is bqp.Status.LOCAL_OPTIMUM and not reductions:
        assert problem.flip_deltas(solution.x).min(initial=0.0) >= 0, "a single flip improves"


@given(problem=draw.problems(max_n=12, min_n=8, senses=("min",), kinds=("dense",)))
def test_tabu_finds_the_optimum_of_small_problems(problem):
    solution = TabuSearch().solve(problem, max_moves=20_000, rng=0)
    assert solution.energy == reference.optimum(problem)


@pytest.mark.parametrize("reductions", ["auto", ()], ids=["reduced", "plain"])
@given(problem=draw.float_problems())
def test_bounds_of_floats_hold_in_exact_arithmetic(reductions, problem):
    solution = bqp.solve(problem, reductions=reductions, rng=0)
    inspect_solution(problem, solution)
    best, found = reference.exact_optimum(problem), reference.exact_energy(problem, solution.x)
    assert solution.lower_bound <= best
    assert solution.status is bqp.Status.OPTIMAL
    size = np.abs(problem.Q.to_dense()).sum() + np.abs(problem.c).sum() + abs(problem.offset)
    assert float(found - best) <= 1e-13 * size
    assert solution.gap <= 1e-12 * size


@given(problem=draw.float_problems())
def test_bounds_of_enumeration_hold_in_exact_arithmetic(problem):
    """The solver alone, whose bound nobody lowers afterwards."""
    solution = Exact().solve(problem)
    inspect_solution(problem, solution)
    assert solution.lower_bound <= reference.exact_optimum(problem)


@given(problem=draw.problems(max_n=8), data=st.data())
def test_start_is_respected(problem, data):
    x0 = data.draw(draw.assignments(problem))
    before = x0.copy()
    for arguments in ({"max_moves": 0}, {"time_limit": 0.0}, {"solver": "tabu_search", "max_moves": 3}, {}):
        solution = bqp.solve(problem, x0=x0, rng=0, **arguments)
        inspect_solution(problem, solution)
        assert solution.energy <= problem.energy(x0)
    np.testing.assert_array_equal(x0, before)


def blocks(k=4, n=30, seed=0):
    """k components of n variables each, all too large to enumerate."""
    rng = np.random.default_rng(seed)
    A = rng.integers(-9, 10, (k, n, n))
    return bqp.BQP(sp.csr_array(sp.block_diag([a + a.T for a in A])), rng.integers(-5, 6, k * n), 7.0)


def test_parts_share_moves_and_report_the_limit_that_stopped_them():
    problem = blocks()
    for max_moves in (0, 1, 2, 3, 50, 1000):
        first = bqp.solve(problem, max_moves=max_moves, rng=0)
        inspect_solution(problem, first)
        assert first.stats["n_parts"] == 4
        assert first.n_moves <= max_moves
        assert first.status is bqp.Status.MAX_MOVES
        assert np.array_equal(first.x, bqp.solve(problem, max_moves=max_moves, rng=0, n_jobs=2).x)
    assert bqp.solve(problem, time_limit=0.0, rng=0).status is bqp.Status.TIME_LIMIT


def test_parts_stop_at_a_target_of_the_whole():
    problem = blocks()
    best = bqp.solve(problem, max_moves=4_000, rng=0).energy
    solution = bqp.solve(problem, target=best, rng=0)
    assert solution.status is bqp.Status.TARGET_REACHED and solution.energy <= best
    unreachable = bqp.solve(problem, target=best * 10, max_moves=4_000, rng=0)
    assert unreachable.status is bqp.Status.MAX_MOVES


def test_parts_stop_at_a_callback():
    problem, events = blocks(), []

    def callback(event):
        events.append((event.energy, problem.energy(event.x)))
        return len(events) == 3

    solution = bqp.solve(problem, callback=callback, max_moves=100_000, rng=0)
    assert solution.status is bqp.Status.STOPPED and len(events) == 3
    assert all(energy == of_x for energy, of_x in events)
    assert solution.energy <= events[-1][0]
    energies = [energy for energy, _ in events]
    assert energies == sorted(energies, reverse=True)


def test_pool_over_components_holds_the_best_combinations():
    Q = np.kron(np.eye(3), np.array([[0.0, 1.0], [1.0, 0.0]]))
    problem = bqp.BQP(Q, [1.0, 0, 3, 0, 7, 0])
    solution = bqp.solve(problem, n_solutions=10, rng=0)
    assert solution.stats["n_parts"] == 3
    np.testing.assert_array_equal(problem.energy(solution.pool), np.sort(reference.all_energies(problem)[1])[:10])


def test_small_problems_with_few_moves_are_searched_not_enumerated():
    problem = blocks(k=1, n=20)
    solution = bqp.solve(problem, max_moves=500, rng=0)
    assert solution.solver == "tabu_search" and "too few moves to enumerate" in solution.stats["choice"]
    assert 0 < solution.n_moves <= 500
    assert bqp.solve(problem, max_moves=2**20, rng=0).status is bqp.Status.OPTIMAL


def test_auto_explains_itself():
    rng = np.random.default_rng(0)
    attracting = -np.abs(rng.integers(1, 9, (40, 40)))
    choices = {
        "exact": bqp.BQP(rng.integers(1, 9, (1, 1)) * np.ones((8, 8)) - 2 * np.eye(8)),
        "graph_cut": bqp.BQP(attracting + attracting.T, rng.integers(-200, 200, 40)),
        "tabu_search": bqp.BQP.from_qubo(rng.integers(-9, 10, (40, 40))),
        "coordinate_descent": bqp.BQP(LowRank(rng.standard_normal((30_000, 80)))),
    }
    for name, problem in choices.items():
        solution = bqp.solve(problem, reductions=(), max_moves=2_000, rng=0)
        assert solution.solver == name and len(solution.stats["choice"]) > 20


def ring(n, weights):
    """A ring whose second neighbours repel, as do third ones: never balanced, so never a graph cut."""
    i = np.arange(n)
    A = sp.coo_array(
        (np.concatenate([weights, np.ones(2 * n)]), (np.tile(i, 3), np.concatenate([i + 1, i + 2, i + 3]) % n)),
        shape=(n, n),
    )
    return bqp.BQP(sp.csr_array(A + A.T), np.ones(n))


def test_auto_anneals_what_is_sparse_in_entries_or_in_effect():
    rng = np.random.default_rng(0)
    n = 120
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    decaying = np.triu(rng.standard_normal((n, n)) / np.maximum(distance, 1.0) ** 3, 1)
    uniform = np.triu(rng.standard_normal((n, n)), 1)
    sparse = ring(200, rng.standard_normal(200))
    for problem in (sparse, bqp.BQP(sparse.Q.to_dense(), sparse.c), bqp.BQP(1e150 * (decaying + decaying.T))):
        solver, reason = choose_solver(problem)
        assert solver.name == "simulated_annealing" and f"n = {problem.n}" in reason
    assert choose_solver(bqp.BQP(uniform + uniform.T))[0].name == "tabu_search"
    assert choose_solver(sparse, max_moves=19 * 200)[0].name == "tabu_search"
    assert choose_solver(sparse, max_moves=20 * 200)[0].name == "simulated_annealing"
    assert choose_solver(sparse, time_limit=1e-6)[0].name == "tabu_search"
    assert choose_solver(ring(1_000_001, np.ones(1_000_001)))[0].name == "coordinate_descent"


def test_the_effective_degree_counts_equal_entries_and_no_diagonal():
    A = np.zeros((70, 70))
    A[:35, 35:] = 2.0
    A[0, 1] = A[1, 0] = 1e-9
    for Q in (A + A.T + np.diag(np.arange(70)), sp.csr_array(A + A.T + np.diag(np.arange(70)))):
        assert _effective_degree(bqp.BQP(Q).Q) == pytest.approx(35.0)
    assert _effective_degree(bqp.BQP(np.eye(30)).Q) == 0.0


def test_auto_names_the_options_that_it_cannot_use():
    problem = ring(200, np.random.default_rng(1).standard_normal(200))
    solution = bqp.solve(problem, max_moves=20_000, rng=0, reductions=(), tenure=7, n_sweeps=50)
    assert solution.solver == "simulated_annealing"
    assert solution.stats["choice"].endswith(
        "Ignored, since simulated_annealing does not know them: tenure (of tabu_search)"
    )
    used = bqp.solve(problem, max_moves=20_000, rng=0, reductions=(), n_sweeps=50)
    np.testing.assert_array_equal(used.x, solution.x)
    assert "Ignored" not in used.stats["choice"]


def test_solver_objects_and_options():
    problem = blocks(k=1)
    named = bqp.solve(problem, solver="tabu_search", tenure=3, max_moves=500, rng=1)
    given_object = bqp.solve(problem, solver=TabuSearch(tenure=3), max_moves=500, rng=1)
    assert np.array_equal(named.x, given_object.x) and named.stats["tenure"] == 3
    assert repr(TabuSearch(tenure=3)).startswith("TabuSearch(tenure=3, ")
    assert TabuSearch(tenure=3).settings()["tenure"] == 3
    assert set(bqp.available_solvers()) == set(REGISTRY)


def test_certify_bounds_what_is_not_proven():
    rng = np.random.default_rng(0)
    A = rng.integers(-9, 10, (14, 14))
    problem = bqp.BQP(A + A.T, rng.integers(-5, 6, 14))
    solution = bqp.solve(problem, solver="tabu_search", max_moves=500, certify=True, rng=0)
    inspect_solution(problem, solution)
    assert -np.inf < solution.lower_bound <= reference.optimum(problem)
    assert solution.stats["bound"]


@given(problem=draw.problems(max_n=6), seed=st.integers(0, 5))
@example(problem=bqp.BQP(np.zeros((3, 3))), seed=0)
def test_no_limit_is_waited_for_in_vain(problem, seed):
    solution = bqp.solve(problem, solver="coordinate_descent", reductions=(), max_moves=200, rng=seed)
    inspect_solution(problem, solution)


BAD = {
    "problem": ((np.eye(2),), {}, r"problem must be a BQP, got ndarray. Build one with bqp.BQP\(Q, c\)"),
    "solver": ((), {"solver": "magic"}, "unknown solver 'magic'; known are auto, coordinate_descent"),
    "solver class": ((), {"solver": TabuSearch}, "unknown solver"),
    "option": ((), {"solver": "tabu_search", "temperature": 1}, "unknown option 'temperature' for tabu_search"),
    "option of auto": ((), {"temperature": 1}, "unknown option 'temperature'; the solvers know"),
    "option of an object": ((), {"solver": TabuSearch(), "tenure": 1}, r"options \['tenure'\] go into the TabuSearch"),
    "option value": ((), {"solver": "tabu_search", "tenure": -1}, "tenure must be an integer >= 1, got -1"),
    "order": ((), {"solver": "coordinate_descent", "order": "up"}, "one of cyclic, random, greedy, got 'up'"),
    "backend": ((), {"solver": "graph_cut", "backend": "gpu"}, "backend must be one of dinic, .*, got 'gpu'"),
    "elites": ((), {"solver": "tabu_search", "elite_size": 1}, "elite_size must be at least 2"),
    "max_n": ((), {"solver": "exact", "max_n": 99}, "max_n must be at most 40"),
    "too large for exact": (
        (),
        {"solver": "exact", "backend": "enumeration", "max_n": 3, "reductions": ()},
        "at most 3 .*, this problem has 5",
    ),
    "reductions": ((), {"reductions": "colour"}, "unknown reduction 'colour'"),
    "no reductions": ((), {"reductions": None}, r"pass \(\) to switch them off"),
    "time_limit": ((), {"time_limit": -1}, "time_limit must be a number of seconds >= 0, got -1"),
    "time_limit text": ((), {"time_limit": "5"}, "time_limit must be a number of seconds >= 0, got '5'"),
    "time_limit nan": ((), {"time_limit": np.nan}, "time_limit must be a number of seconds >= 0, got nan"),
    "max_moves": ((), {"max_moves": 1e6}, "max_moves must be an integer >= 0, got 1000000.0"),
    "target": ((), {"target": np.nan}, "target must be a number"),
    "n_jobs": ((), {"n_jobs": 0}, "n_jobs must be a positive integer or -1 for one thread a core, got 0"),
    "n_solutions": ((), {"n_solutions": 0}, "n_solutions must be an integer >= 1, got 0"),
    "callback": ((), {"callback": "print"}, "callback must be a function of one Event, or None, got 'print'"),
    "rng": ((), {"rng": np.random.RandomState(0)}, "Legacy RandomState objects are not accepted"),
    "x0 zeros": ((), {"x0": np.zeros(5)}, r"x0 must hold -1 or \+1 \(domain 'spin'\), got 0.0 at \(0\)"),
    "x0 short": ((), {"x0": np.ones(3)}, r"x0 must have shape \(5,\).*got \(3,\)"),
    "x0 several": ((), {"x0": np.ones((2, 5))}, r"x0 must have shape \(5,\), got \(2, 5\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_calls(name):
    arguments, options, message = BAD[name]
    Q = np.ones((5, 5)) - np.eye(5)
    with pytest.raises((ParameterError, ProblemError), match=message):
        bqp.solve(*(arguments or (bqp.BQP(Q),)), **options)


def test_one_class_alone():
    solution = bqp.solve(bqp.BQP(Grouped(np.zeros(1000, int), np.array([[-1.0]]))), rng=0)
    assert solution.energy == -1e6 and solution.status is bqp.Status.OPTIMAL


@pytest.mark.parametrize("solver", ["tabu_search", "coordinate_descent", "graph_cut"])
def test_a_pool_is_filled_whatever_the_search_has_seen(solver):
    Q = -np.ones((12, 12)) if solver == "graph_cut" else np.random.default_rng(3).integers(-9, 10, (12, 12))
    problem = bqp.BQP.from_qubo(Q) if solver != "graph_cut" else bqp.BQP(Q, np.arange(12.0))
    solution = bqp.solve(problem, solver, n_solutions=5, rng=0)
    assert len(np.unique(solution.pool, axis=0)) == len(solution.pool) == 5
    energies = problem.energy(solution.pool)
    assert energies[0] == solution.energy and np.all(np.diff(energies) >= 0)

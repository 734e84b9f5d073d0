"""Annealing: what the contract does not say."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.errors import ParameterError
from bqp.forms import Dense, LowRank
from bqp.solvers import Exact, SimulatedAnnealing
from bqp.solvers.population import LONG_SWEEPS, Population
from bqp.solvers.run import WalkResult
from bqp.solvers.simulated_annealing import schedule
from bqp.solvers.walks import EXPONENTIALS, DenseStorage, SparseStorage, prepare, random_draws
from bqp.testing.reference import anneal


def ferromagnet(n, seed=0):
    """A ring of attracting spins, gauged at random: two ground states."""
    x = np.random.default_rng(seed).choice([-1, 1], n)
    ring = sp.csr_array(np.roll(np.eye(n), 1, axis=1))
    return bqp.BQP(sp.csr_array((ring + ring.T).multiply(-np.outer(x, x))))


def boltzmann(problem, temperature):
    xs = np.array(np.meshgrid(*[[-1, 1]] * problem.n, indexing="ij")).reshape(problem.n, -1).T.astype(np.int8)
    weights = np.exp(-(problem.energy(xs) - problem.energy(xs).min()) / temperature)
    return xs, weights / weights.sum()


@pytest.mark.parametrize("shape", ["dense", "sparse", "structured"])
def test_sweeps_at_one_temperature_draw_from_the_boltzmann_distribution(shape):
    rng = np.random.default_rng(4)
    U, d = rng.integers(-1, 2, (4, 2)).astype(np.int8), np.array([1.0, -2.0])
    form = {
        "dense": lambda: Dense(LowRank(U, d).to_dense()),
        "sparse": lambda: sp.csr_array(np.triu(rng.integers(-2, 3, (4, 4)), 1) * np.eye(4, k=1)),
        "structured": lambda: LowRank(U, d),
    }[shape]()
    if shape == "sparse":
        form = form + form.T
    problem = bqp.BQP(form, c=np.array([0.0, 1.0, -1.0, 0.0]))
    if shape != "structured":
        storage = prepare(problem)
    else:
        from bqp.solvers.walks import StructuredStorage

        storage = StructuredStorage(problem, problem.Q)
    temperature = 4.0
    walk = storage.start(np.ones(4, np.int8))
    state = np.array([12345], dtype=np.int64)
    seen = {}
    temperatures = np.full(1, temperature / storage.unit)
    for _ in range(30_000):
        walk.anneal(temperatures, 0, 1, 10**9, state)
        key = walk.x[:4].tobytes()
        seen[key] = seen.get(key, 0) + 1
    xs, expected = boltzmann(problem, temperature)
    found = np.array([seen.get(x.tobytes(), 0) for x in xs]) / 30_000
    assert np.abs(found - expected).sum() < 0.06, "total variation, correlated draws"
    assert problem.energy(walk.x[:4]) == pytest.approx(walk.energy)


def test_the_table_is_that_of_the_exponential_distribution():
    assert EXPONENTIALS.mean() == pytest.approx(1.0, abs=1e-3) and (np.diff(EXPONENTIALS) > 0).all()
    for t in (0.1, 1.0, 5.0):
        assert (t < EXPONENTIALS).mean() == pytest.approx(np.exp(-t), abs=1e-4)


def test_it_crosses_barriers_that_stop_a_descent():
    problem = ferromagnet(120)
    descent = bqp.solve(problem, solver="coordinate_descent", n_restarts=20, reductions=(), rng=0)
    annealed = SimulatedAnnealing().solve(problem, rng=0)
    assert annealed.energy < descent.energy and annealed.energy <= -236


def test_long_sweeps_beat_many_short_ones():
    rng = np.random.default_rng(1)
    A = sp.random_array((400, 400), density=0.012, rng=rng, data_sampler=lambda size: rng.choice([-1.0, 1.0], size))
    problem = bqp.BQP(sp.csr_array(A + A.T))
    budget = dict(max_moves=600_000)
    short = [SimulatedAnnealing(n_sweeps=20).solve(problem, rng=s, **budget).energy for s in range(3)]
    growing = [SimulatedAnnealing().solve(problem, rng=s, **budget).energy for s in range(3)]
    assert np.mean(growing) <= np.mean(short)


def test_an_answer_is_a_local_optimum_and_moves_are_kept():
    rng = np.random.default_rng(2)
    Q = rng.integers(-9, 10, (60, 60))
    problem = bqp.BQP(Q + Q.T, c=rng.integers(-9, 10, 60))
    solution = SimulatedAnnealing(n_restarts=2).solve(problem, rng=0)
    assert problem.flip_deltas(solution.x).min() >= 0
    for moves in (0, 1, 17, 500):
        assert SimulatedAnnealing().solve(problem, rng=0, max_moves=moves).n_moves <= moves


def test_the_longest_run_fits_into_a_budget_of_moves():
    problem = ferromagnet(200)
    solution = SimulatedAnnealing().solve(problem, rng=0, max_moves=20_000)
    cut_off = SimulatedAnnealing(n_sweeps=100_000).solve(problem, rng=0, max_moves=20_000)
    assert solution.status is cut_off.status is bqp.Status.MAX_MOVES
    assert solution.energy < cut_off.energy - 100, "a schedule that is cut off ends hot"


def walks(population, start, energies):
    """Commit walks of these energies, each with an assignment of its own."""
    for k, energy in enumerate(energies, start):
        x = np.where(np.arange(12) == 0, 1, 2 * (2 * k >> np.arange(12) & 1) - 1).astype(np.int8)
        population.commit(k, WalkResult(x, energy, 1, True))


def test_cycles_have_fresh_walks_and_then_children():
    rng = np.random.default_rng(0)
    population = Population(breeds=True, symmetric=False)
    assert all(population.parents(k, rng) is None for k in range(3 + 8))
    walks(population, 0, range(-1, -12, -1))
    assert population.end == 3 + 8 + 16
    parents = population.parents(11, rng)
    assert 2 <= len(parents) <= 6 and all(x.shape == (12,) for x in parents)
    assert parents[0].tobytes() in [key for energy, key in population.members if energy < -2]
    assert [population.parents(k, rng) for k in (3, 10)] == [None, None] and population.parents(26, rng) is not None


def test_a_child_replaces_its_worst_parent_if_it_is_better_and_new():
    rng = np.random.default_rng(1)
    population = Population(breeds=True, symmetric=True)
    walks(population, 0, [-float(k) for k in range(11)])
    before = list(population.members)
    parents = population.parents(11, rng)
    worst = next(entry for entry in before if entry[1] == parents[-1].tobytes())
    population.commit(11, WalkResult(-parents[-1], worst[0], 1, True))
    assert population.members == before, "no better than the worst, and known but for the sign"
    parents = population.parents(12, rng)
    worst = next(entry for entry in before if entry[1] == parents[-1].tobytes())
    new = np.ones(12, np.int8)
    new[[1, 5, 11]] = -1
    population.commit(12, WalkResult(-new, -30.0, 1, True))
    assert worst not in population.members and population.members[0] == (-30.0, new.tobytes())
    assert len(population.members) == len(before) and population.n_better == 1 and population.n_children == 2


@pytest.mark.parametrize("pays", [False, True])
def test_cycles_grow_by_length_or_by_number(pays):
    """In the second cycle, runs gain 2 on those of the first; children pay if they gain more than that."""
    rng = np.random.default_rng(2)
    population = Population(breeds=True, symmetric=False)
    walks(population, 0, [-1.0] * 11)
    for k in range(11, 27):
        population.parents(k, rng)
        walks(population, k, [-10.0])
    assert (population.begin, population.pays, population.members) == (27, False, []), "nothing to compare with"
    assert (population.n_fresh, population.n_sweeps) == (8, 400) and population.archive[0][0] == -10.0
    walks(population, 27, [-3.0] * 8)
    for k in range(35, 51):
        population.parents(k, rng)
        assert (-10.0 in [energy for energy, _ in population.members]) is (k >= 47), "the archive joins late"
        walks(population, k, [-5.5 if pays else -4.5])
    assert population.begin == 51 and population.pays is pays
    assert (population.n_fresh, population.n_sweeps) == ((16, 800) if pays else (4, 1600))
    assert population.focuses is not pays


def test_without_children_and_reheating_all_walks_are_fresh():
    population = Population(breeds=False, symmetric=False, reheats=False)
    walks(population, 0, [-1.0] * 7)
    assert population.parents(7, np.random.default_rng(0)) is None
    assert population.n_sweeps == 400 and population.end == 11 and not population.focuses


def focusing(breeds):
    """A population whose next walk is the first of a focusing cycle, and the number of that walk."""
    population = Population(breeds=breeds, symmetric=False)
    rng = np.random.default_rng(0)
    k = 0
    while not population.focuses:
        population.parents(k, rng)
        walks(population, k, [-1.0])
        k += 1
    assert population.begin == k == (51 if breeds else 7)
    return population, k


@pytest.mark.parametrize("breeds", [False, True])
def test_a_focusing_cycle_reheats_its_better_members_while_that_gains(breeds):
    population, first = focusing(breeds)
    rng = np.random.default_rng(1)
    assert [population.parents(first + j, rng) for j in range(4)] == [None] * 4
    walks(population, first, [-4.0, -3.0, -2.0, -1.0])
    chosen = [population.parents(first + 4, rng) for _ in range(400)]
    assert all(len(parents) == 1 for parents in chosen)
    counts = [sum(parents[0].tobytes() == key for parents in chosen) for _, key in population.members]
    assert sum(counts) == 400 and counts == sorted(counts, reverse=True) and counts[-1] > 0
    k = first + 4
    for _ in range(5):  # one gain in the first of twelve epochs, then none
        population.parents(k, rng)
        walks(population, k, [-9.0 if k == first + 4 else 0.0])
        k += 1
    assert population.members[0][0] == -9.0 and len(population.members) == 4
    while population.begin == first and population.end is None:
        population.parents(k, rng)
        walks(population, k, [0.0])
        k += 1
    assert (k - first) % 4 == 0 and k - first == 4 + 20, "sixteen that gain nothing, to the end of their epoch"
    if breeds:
        assert population.end == k + 8 and len(population.parents(k, rng)) > 1
        energies = [energy for energy, _ in population.members]
        assert energies[0] == -9.0 and energies.count(-1.0) > 1, "earlier cycles have joined"
        for j in range(k, k + 8):
            population.parents(j, rng)
            walks(population, j, [0.0])
        k += 8
    else:
        assert population.begin == k
    assert population.focuses and population.begin == k and population.n_reheated == 20


def test_a_reheated_walk_replaces_its_member_if_it_is_new_and_no_worse():
    population, first = focusing(breeds=False)
    rng = np.random.default_rng(2)
    walks(population, first, [-4.0, -3.0, -2.0, -1.0])
    k = first + 4
    (origin,) = population.parents(k, rng)
    (energy,) = (energy for energy, key in population.members if key == origin.tobytes())
    before = list(population.members)
    population.commit(k, WalkResult(origin, energy, 1, True))
    assert population.members == before
    for change in (0.0, -0.5):
        k += 1
        (origin,) = population.parents(k, rng)
        (energy,) = (energy for energy, key in population.members if key == origin.tobytes())
        x = origin.copy()
        x[1:3] = -x[1:3]
        population.commit(k, WalkResult(x, energy + change, 1, True))
        assert (energy, origin.tobytes()) not in population.members
        assert (energy + change, x.tobytes()) in population.members and len(population.members) == 4
    (origin,) = population.parents(k + 1, rng)
    (energy,) = (energy for energy, key in population.members if key == origin.tobytes())
    population.commit(k + 1, WalkResult(np.ones(12, np.int8), energy + 0.5, 1, True))
    assert (energy, origin.tobytes()) in population.members, "a worse one is dropped"


def test_children_that_lead_after_reheating_bring_breeding_back():
    population, k = focusing(breeds=True)
    rng = np.random.default_rng(3)
    walks(population, k, [-4.0, -3.0, -2.0, -1.0])
    k += 4
    while population.end is None:
        population.parents(k, rng)
        walks(population, k, [0.0])
        k += 1
    for j in range(8):
        population.parents(k + j, rng)
        walks(population, k + j, [-7.0])
    assert not population.focuses and population.pays and population.n_better == 1
    assert (population.n_fresh, population.begin, population.n_sweeps) == (8, k + 8, 3200)


def test_lengths_grow_slowly_once_they_are_long():
    population, k = focusing(breeds=False)
    rng, lengths = np.random.default_rng(4), [population.n_sweeps]
    while population.n_sweeps < 400_000:
        population.parents(k, rng)
        walks(population, k, [0.0])
        k += 1
        if population.n_sweeps != lengths[-1]:
            lengths.append(population.n_sweeps)
    assert lengths[:5] == [400, 1600, 6400, LONG_SWEEPS, 1.5 * LONG_SWEEPS] and lengths[-1] == 400_000


def test_threads_do_not_change_the_answer_through_all_kinds_of_runs():
    rng = np.random.default_rng(5)
    A = sp.random_array((150, 150), density=0.06, rng=rng, data_sampler=lambda size: rng.choice([-1.0, 1.0], size))
    problem = bqp.BQP(sp.csr_array(A + A.T))
    solver = SimulatedAnnealing(n_sweeps=50, n_restarts=100)
    one, two = (solver.solve(problem, rng=9, n_jobs=n_jobs) for n_jobs in (1, 2))
    np.testing.assert_array_equal(one.x, two.x)
    assert one.n_moves == two.n_moves and one.stats == two.stats
    assert one.stats["n_reheated"] > 0 and one.stats["n_children"] > 0
    plain = SimulatedAnnealing(n_sweeps=50, n_restarts=100, recombine=False, reheat=False).solve(problem, rng=9)
    assert plain.stats["n_reheated"] == plain.stats["n_children"] == 0
    with pytest.raises(ParameterError, match="reheat must be True or False"):
        SimulatedAnnealing(reheat=1)


def test_schedules():
    assert schedule(8.0, 1.0, 1) == 8.0
    np.testing.assert_allclose(1 / schedule(8.0, 1.0, 15), np.linspace(0.125, 1.0, 15))
    np.testing.assert_allclose(schedule(100.0, 1.0, 5), np.geomspace(100.0, 1.0, 5))


def test_draws_are_the_table_in_random_order():
    for kind, real in ((np.int32, np.float32), (np.int16, np.float32), (np.float64, np.float64)):
        draws = random_draws(np.dtype(kind))
        assert draws.dtype == real and len(draws) >= 2**14 + 16
        np.testing.assert_array_equal(np.sort(draws[: 2**14]), np.sort(EXPONENTIALS).astype(real))
        np.testing.assert_array_equal(draws[2**14 :], draws[: len(draws) - 2**14])
        assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.02


@pytest.mark.parametrize("shape", ["dense", "sparse", "float"])
def test_sweeps_in_pieces_are_sweeps_in_one(shape):
    rng = np.random.default_rng(7)
    A = np.triu(rng.integers(-3, 4, (150, 150)) * (rng.random((150, 150)) < (0.02 if shape == "sparse" else 0.5)), 1)
    problem = bqp.BQP((A + A.T) / (3.0 if shape == "float" else 1.0), c=rng.integers(-3, 4, 150))
    storage = prepare(problem)
    temperatures = np.geomspace(200.0, 0.5, 60) / storage.unit
    x = np.ones(150, np.int8)
    whole, pieces, states = storage.start(x), storage.start(x), np.array([[5], [5]], dtype=np.int64)
    moves = whole.anneal(temperatures, 0, 60, 10**9, states[0])[1]
    made = sum(pieces.anneal(temperatures, a, a + 7, 10**9, states[1])[1] for a in range(0, 56, 7))
    made += pieces.anneal(temperatures, 56, 60, 10**9, states[1])[1]
    np.testing.assert_array_equal(whole.x, pieces.x)
    assert moves == made > 500 and whole.energy == pytest.approx(problem.energy(whole.x[:150]))
    np.testing.assert_allclose(whole.delta[:150] * storage.unit, problem.flip_deltas(whole.x[:150]), atol=1e-9)


@given(st.integers(0, 10**6), st.sampled_from([3, 16, 17, 20]), st.sampled_from([1.0, 0.25]))
def test_sweeps_are_those_of_the_plain_loop(seed, n, scale):
    """Dense and sparse kernels make the flips of a twin that looks at one spin after the other."""
    rng = np.random.default_rng(seed)
    A = np.triu(rng.integers(-4, 5, (n, n)) * (rng.random((n, n)) < 0.5), 1)
    problem = bqp.BQP((A + A.T) * scale, c=rng.integers(-3, 4, n) * scale)
    x, temperatures = rng.choice([-1, 1], n).astype(np.int8), np.geomspace(20.0, 0.5, 6) * scale
    word = int(rng.integers(1, 2**62)) | 1
    for storage in (
        DenseStorage(problem, problem.Q),
        SparseStorage(problem, bqp.forms.Sparse(sp.csr_array(problem.Q.to_dense()))),
    ):
        walk, state = storage.start(x), np.array([word], dtype=np.int64)
        draws = random_draws(walk.delta.dtype)
        expected = anneal(problem.Q.to_dense(), problem.c, x, temperatures.astype(draws.dtype), draws, word)
        walk.anneal(temperatures / storage.unit, 0, 6, 10**9, state)
        np.testing.assert_array_equal(walk.x[:n], expected)


def test_temperatures():
    problem = ferromagnet(30)
    stats = SimulatedAnnealing(n_restarts=1).solve(problem, rng=0).stats
    assert stats["hot"] == pytest.approx(0.8 * np.sqrt(32), rel=0.5) and 0 < stats["cold"] < stats["hot"]
    stats = SimulatedAnnealing(hot=7, cold=2.5, n_restarts=1).solve(problem, rng=0).stats
    assert (stats["hot"], stats["cold"]) == (7.0, 2.5)
    flat = SimulatedAnnealing().solve(bqp.BQP(np.zeros((5, 5))), rng=0)
    assert flat.energy == 0
    plain = SimulatedAnnealing(n_restarts=3).solve(problem, rng=3)
    scaled = SimulatedAnnealing(n_restarts=3).solve(bqp.BQP(problem.Q.to_dense() * 2.0**-40), rng=3)
    np.testing.assert_array_equal(scaled.x, plain.x)
    for bad in ({"hot": 0}, {"cold": -1.0}, {"hot": np.nan}, {"hot": True}, {"hot": 1.0, "cold": 2.0}, {"n_sweeps": 0}):
        with pytest.raises(ParameterError):
            SimulatedAnnealing(**bad)


def test_small_problems_are_solved():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        Q = rng.integers(-5, 6, (10, 10))
        problem = bqp.BQP(Q + Q.T, c=rng.integers(-5, 6, 10))
        assert SimulatedAnnealing().solve(problem, rng=seed).energy == Exact().solve(problem).energy

"""Annealing: what the contract does not say."""

import numpy as np
import pytest
import scipy.sparse as sp

import bqp
from bqp.errors import ParameterError
from bqp.forms import Dense, LowRank
from bqp.solvers import Exact, SimulatedAnnealing
from bqp.solvers.simulated_annealing import _epoch
from bqp.solvers.walks import EXPONENTIALS, prepare


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


def test_epochs():
    assert [_epoch(k) for k in range(12)] == [0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4]


def test_temperatures():
    problem = ferromagnet(30)
    stats = SimulatedAnnealing(n_restarts=1).solve(problem, rng=0).stats
    assert stats["hot"] == pytest.approx(0.5 * np.sqrt(32), rel=0.5) and 0 < stats["cold"] < stats["hot"]
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

"""The relaxation rounded: its bound, its roundings on every form, its options, and what an interrupt leaves."""

import numpy as np
import pytest
import scipy.sparse as sp

import bqp
from bqp.bounds.semidefinite import Mixing
from bqp.forms import Grouped, LowRank, Sparse, Sum
from bqp.solvers import Semidefinite, TabuSearch


def glass(n, density=1.0, seed=0):
    rng = np.random.default_rng((seed, n))
    A = np.triu(rng.integers(-50, 51, (n, n)) * (rng.random((n, n)) < density), 1)
    return A + A.T


def structured(n=90):
    rng = np.random.default_rng(4)
    M = rng.integers(-9, 10, (4, 4)).astype(float)
    return Sum([LowRank(rng.integers(-3, 4, (n, 3)).astype(np.int8)), Grouped(rng.integers(0, 4, n), M + M.T)])


@pytest.mark.parametrize("form", [glass(90), Sparse(sp.csr_array(glass(90, 0.1))), structured()])
@pytest.mark.parametrize("domain", ["spin", "binary"])
def test_bound_and_roundings_on_every_form(form, domain):
    problem = bqp.BQP(form, np.arange(90) % 7 - 3.0, 1.0, domain)
    solution = Semidefinite(n_roundings=40).solve(problem, rng=0)
    solution.check(problem)
    assert solution.stats["roundings"] == 40 and solution.n_restarts == 5 and solution.n_moves > 0
    assert solution.lower_bound >= bqp.lower_bound(problem, method="semidefinite", rng=3).value - 1e-4 * abs(
        solution.energy
    )
    assert np.all(problem.flip_deltas(solution.x) >= -1e-9), "a descent ends at a local optimum"
    best = TabuSearch().solve(problem, max_moves=20_000, rng=0).energy
    assert best <= solution.energy <= best + 0.05 * abs(best)
    threads = Semidefinite(n_roundings=40).solve(problem, rng=0, n_jobs=2)
    assert np.array_equal(threads.x, solution.x) and threads.n_moves == solution.n_moves


def test_cuts_come_with_the_guarantee():
    rng = np.random.default_rng(1)
    W = np.triu(rng.random((60, 60)) < 0.3, 1) * rng.integers(1, 10, (60, 60))
    problem = bqp.BQP.from_maxcut(W + W.T)
    solution = bqp.solve(problem, "semidefinite", rng=0)
    assert 0.87856 * solution.bound <= solution.objective <= solution.bound


def test_a_met_bound_ends_the_run():
    ring = np.roll(np.eye(40), 1, axis=1)
    solution = Semidefinite().solve(bqp.BQP.from_maxcut(ring + ring.T), rng=0, max_moves=10**6)
    assert solution.status is bqp.Status.OPTIMAL and solution.n_restarts < 50


def test_moves_bound_the_roundings():
    problem = bqp.BQP(glass(80))
    solution = Semidefinite().solve(problem, rng=0, max_moves=300)
    assert solution.n_moves <= 300 and solution.status is bqp.Status.MAX_MOVES
    assert Semidefinite(n_roundings=3).solve(problem, rng=0).stats["roundings"] == 3


def test_without_a_proof():
    solution = Semidefinite(certify=False, n_roundings=8).solve(bqp.BQP(glass(50)), rng=0)
    proven = Semidefinite(n_roundings=8).solve(bqp.BQP(glass(50)), rng=0)
    assert solution.lower_bound == -np.inf and -np.inf < proven.lower_bound < proven.energy


def test_too_large_to_prove(monkeypatch):
    monkeypatch.setattr("bqp.bounds.storages.DENSE_UP_TO", 20)
    problem = bqp.BQP(Sparse(sp.csr_array(glass(350, 0.02))))
    with pytest.raises(bqp.ProblemError, match="certify=False"):
        Semidefinite().solve(problem, rng=0)
    assert Semidefinite(certify=False, n_roundings=2).solve(problem, rng=0).energy < 0


@pytest.mark.parametrize("after", [0, 7])
def test_an_interrupt_while_sweeping_leaves_an_assignment(monkeypatch, after):
    original = Mixing.sweep

    def interrupted(self):
        if self.n_sweeps == after:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(Mixing, "sweep", interrupted)
    problem = bqp.BQP(glass(30))
    start = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), 30)
    solution = Semidefinite().solve(problem, x0=start, rng=0)
    assert solution.status is bqp.Status.STOPPED and solution.energy == problem.energy(start)
    assert solution.lower_bound == -np.inf


def test_a_callback_can_stop_the_sweeps():
    seen = []
    solution = Semidefinite().solve(bqp.BQP(glass(30)), rng=0, callback=lambda event: seen.append(event) or True)
    assert len(seen) == 1 and solution.status is bqp.Status.STOPPED


@pytest.mark.parametrize(
    "options", [{"n_roundings": 0}, {"rtol": -1}, {"rtol": "x"}, {"max_sweeps": 0}, {"rank": 0}, {"certify": 1}]
)
def test_wrong_options(options):
    with pytest.raises(bqp.ParameterError):
        Semidefinite(**options)

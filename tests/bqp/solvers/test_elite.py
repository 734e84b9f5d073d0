"""The elite set: what it takes in, which pairs it plans, when it starts anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.forms import Dense
from bqp.solvers import TabuSearch
from bqp.solvers.elite import EliteSet


def spins(rng, n):
    return rng.choice([-1, 1], n).astype(np.int8)


@given(seed=st.integers(0, 2**32), size=st.integers(2, 5), mirrored=st.booleans())
def test_it_keeps_the_best_distinct_ones(seed, size, mirrored):
    rng = np.random.default_rng(seed)
    elite, seen = EliteSet(size, mirrored=mirrored), {}
    for _ in range(25):
        x = spins(rng, 4)
        first = x * x[0] if mirrored else x
        energy = float(first @ [1, 2, 1, 4])  # a function of what counts as one assignment; with ties
        new = first.tobytes() not in seen
        before = [member.energy for member in elite.members]
        taken = elite.offer(energy, x)
        seen[first.tobytes()] = energy
        assert taken == (new and (len(before) < size or energy < before[-1])) or not new
        energies = [member.energy for member in elite.members]
        assert energies == sorted(energies) and len(energies) <= size
    assert energies == sorted(seen.values())[:size]
    assert len({(m.x * m.x[0] if mirrored else m.x).tobytes() for m in elite.members}) == len(elite.members)


def test_each_pair_is_planned_once_and_then_all_but_the_best_go():
    rng = np.random.default_rng(0)
    elite = EliteSet(4)
    assert elite.plan(3, rng) == [None] * 3
    for energy in (3.0, 1.0, 2.0, 0.0):
        assert elite.offer(energy, spins(rng, 30))
    planned = [pair for _ in range(4) for pair in elite.plan(3, rng) if pair is not None]
    assert len(planned) == 12
    assert len({(a.number, b.number) for a, b in planned}) == 12 and all(a is not b for a, b in planned)
    assert elite.n_rebuilds == 0
    assert elite.plan(3, rng) == [None] * 3
    assert elite.n_rebuilds == 1 and [member.energy for member in elite.members] == [0.0]


def test_a_new_member_brings_new_pairs_and_walks_are_never_short():
    rng = np.random.default_rng(1)
    elite = EliteSet(3)
    for energy in (1.0, 2.0, 3.0):
        elite.offer(energy, spins(rng, 30))
    elite.plan(6, rng)
    assert elite.offer(0.5, spins(rng, 30)) and not elite.offer(9.0, spins(rng, 30))
    tasks = elite.plan(7, rng)
    pairs = [task for task in tasks if task is not None]
    assert len(tasks) == 7 and len(pairs) == 4 and all(0.5 in (a.energy, b.energy) for a, b in pairs)


def test_pairs_that_are_close_or_mirror_images_are_left_out():
    rng = np.random.default_rng(2)
    x = spins(rng, 20)
    y = x.copy()
    y[:5] = -y[:5]
    for apart, count in ((5, 2), (6, 0)):
        elite = EliteSet(3, apart, mirrored=True)
        elite.offer(0.0, x)
        elite.offer(0.0, -y)
        elite.offer(0.0, -x)
        assert len(elite.members) == 2, "-x is x"
        np.testing.assert_array_equal(elite.towards(x, -y), y)
        assert sum(task is not None for task in elite.plan(5, rng)) == count
    np.testing.assert_array_equal(EliteSet(3).towards(x, -y), -y)


@pytest.mark.parametrize("kind", ["exact", "float"])
def test_a_converged_search_starts_anew_and_ends_at_the_optimum(kind):
    rng = np.random.default_rng(5)
    A = rng.integers(-50, 51, (20, 20)) / (1.0 if kind == "exact" else 3.0)
    problem = bqp.BQP(Dense(A + A.T), rng.integers(-9, 10, 20).astype(float))
    solver = TabuSearch(elite_size=2, stall=10, tenure=2)
    runs = [solver.solve(problem, max_moves=20_000, rng=3, n_jobs=k) for k in (1, 3)]
    assert runs[0].stats["rebuilds"] > 3
    assert runs[0].energy == pytest.approx(bqp.solve(problem, "exact").energy, abs=1e-9)
    np.testing.assert_array_equal(runs[0].x, runs[1].x)
    assert runs[0].n_moves == runs[1].n_moves and runs[0].stats["rebuilds"] == runs[1].stats["rebuilds"]

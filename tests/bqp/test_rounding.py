"""The grid on which energies lie: against every assignment, in rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.rounding import EnergyGrid, energy_grid, evaluation_rounding
from bqp.testing import reference
from bqp.testing.strategies import integers, symmetric

SCALES = (1.0, 6.0, 100.0, 0.125, 0.1, 0.3, 0.01, 0.0007, 1 / 3)


@st.composite
def scaled_problems(draw):
    """Whole numbers times a factor that may or may not be a short fraction."""
    n, scale = draw(st.integers(1, 4)), draw(st.sampled_from(SCALES))
    Q, c = scale * draw(symmetric(n)), scale * draw(integers(n, None, -6, 6))
    offset = draw(st.sampled_from([0.0, 3.0, 0.1]))
    storage = draw(st.sampled_from([np.asarray, sp.csr_array]))
    return bqp.BQP(storage(Q), c, offset, draw(st.sampled_from(["spin", "binary"])))


def energies(problem):
    return sorted(
        reference.exact_energy(problem, x) for x in reference.all_assignments(problem.n, problem.domain).tolist()
    )


@given(problem=scaled_problems())
def test_every_energy_lies_on_the_grid(problem):
    grid = energy_grid(problem)
    if grid is None:
        return
    origin, step, spread = map(Fraction, grid)
    assert 8 * spread <= step
    for energy in energies(problem):
        assert abs(energy - origin - round((energy - origin) / step) * step) <= spread


@given(problem=scaled_problems(), below=st.floats(0.0, 30.0), as_tight=st.booleans())
def test_raised_bounds_are_bounds(problem, below, as_tight):
    grid = energy_grid(problem)
    if grid is None:
        return
    best = energies(problem)[0]
    bound = float(best) if as_tight else float(best) - below * grid.step
    while bound > best:  # float() rounds
        bound = float(np.nextafter(bound, -np.inf))
    assert bound <= grid.raised(bound) <= best
    assert best - Fraction(grid.raised(bound)) <= Fraction(0.0 if as_tight else below + 1.0) * Fraction(
        grid.step
    ) + 4 * Fraction(grid.spread)
    assert best - Fraction(grid.raised(float(best) - 0.7 * grid.step)) <= 4 * Fraction(grid.spread)  # the next point


@given(problem=scaled_problems(), data=st.data())
def test_a_closing_bound_leaves_nothing_better(problem, data):
    grid = energy_grid(problem)
    if grid is None:
        return
    values = energies(problem)
    energy = float(data.draw(st.sampled_from(values)))
    bound = grid.closing(energy)
    assert energy - grid.step < bound < energy
    for value in values:
        assert value < Fraction(bound) or value >= Fraction(energy) - 2 * Fraction(grid.spread)


def test_steps():
    ring = np.roll(np.eye(6), 1, axis=1)
    ring += ring.T
    chain = ring.copy()
    chain[0, 5] = chain[5, 0] = 0
    assert energy_grid(bqp.BQP(ring)) == EnergyGrid(12.0, 8.0)  # even degrees: energies go in twos
    assert energy_grid(bqp.BQP(chain)) == EnergyGrid(10.0, 4.0)
    assert energy_grid(bqp.BQP(ring, np.ones(6))).step == 2.0
    assert energy_grid(bqp.BQP(30 * chain)).step == 120.0
    assert energy_grid(bqp.BQP(sp.csr_array(0.25 * chain))).step == 1.0
    assert energy_grid(bqp.BQP(0.1 * chain)).step == pytest.approx(0.4, rel=1e-15)
    assert energy_grid(bqp.BQP(0.01 * ring, domain="binary")).step == pytest.approx(0.02, rel=1e-15)
    assert energy_grid(bqp.BQP(0.1 * ring)).step == pytest.approx(0.8, rel=1e-15)
    assert energy_grid(bqp.BQP(np.zeros((3, 3)))) is not None
    assert energy_grid(bqp.BQP(chain / 3)) is None


def test_bounds_far_off_and_infinite_stay_what_they_are():
    grid = EnergyGrid(3.0, 7.0)
    assert grid.raised(-np.inf) == -np.inf
    assert -1e300 <= grid.raised(-1e300) < -1e299
    assert grid.raised(3.0) == 3.0 and grid.raised(3.0 + 1e-9) == 10.0 and grid.raised(-4.0 - 1e-12) == -4.0


def test_decimals_are_proven_by_their_grid():
    rng = np.random.default_rng(0)
    Q = np.triu(rng.integers(-9, 10, (30, 30)), 1) * 0.1
    problem = bqp.BQP(Q + Q.T, rng.integers(-9, 10, 30) * 0.1)
    tree = bqp.solve(problem, solver="exact", backend="branch_and_bound", rng=0, reductions=())
    every = bqp.solve(problem, solver="exact", backend="enumeration", reductions=())
    assert tree.status is bqp.Status.OPTIMAL and tree.lower_bound <= every.energy <= tree.energy + 1e-9
    assert tree.gap <= 1e-8


def test_huge_and_tiny_data_have_no_grid():
    for scale in (1e305, 1e-310):  # no warning of an overflow, and a margin that does not vanish
        problem = bqp.BQP(scale * (np.ones((3, 3)) - np.eye(3)), [0.1 * scale, 0, 0])
        assert energy_grid(problem) is None and evaluation_rounding(problem) > 0


def test_subnormal_data_are_enumerated():
    problem = bqp.BQP(5e-324 * np.array([[0.0, 3.0], [3.0, 0.0]]), [0.0, 5e-324])
    solution = bqp.solve(problem, rng=0, reductions=())
    assert solution.energy == float(reference.exact_optimum(problem))
    assert solution.lower_bound <= reference.exact_optimum(problem)

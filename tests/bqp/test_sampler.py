"""`BQPSampler` under dimod's own sampler tests, and what those leave out."""

import subprocess
import sys
import unittest

import dimod
import dimod.testing
import numpy as np
import pytest
from hypothesis import given

import bqp
from bqp.testing import reference
from bqp.testing.strategies import problems


@dimod.testing.load_sampler_bqm_tests(bqp.BQPSampler)
class TestAsASampler(unittest.TestCase):
    def test_the_interface(self):
        dimod.testing.assert_sampler_api(bqp.BQPSampler())


@given(problem=problems(max_n=7))
def test_exact_reads_are_the_optimum_under_any_names(problem):
    bqm = bqp.to_bqm(problem, [f"v{i}" for i in range(problem.n)][::-1])
    sampleset = bqp.BQPSampler(solver="exact").sample(bqm)
    assert sampleset.first.energy == reference.optimum(problem) == sampleset.info["lower_bound"]
    assert sampleset.info["status"] == "optimal"
    x = np.array([sampleset.first.sample[name] for name in list(bqm.variables)], dtype=np.int8)
    assert problem.energy(x) == sampleset.first.energy


def glass(n=40):
    draw = np.random.default_rng(0)
    J = {(i, j): int(draw.integers(-9, 10)) for i in range(n) for j in range(i) if draw.random() < 0.5}
    return dimod.BinaryQuadraticModel.from_ising({}, J)


def test_each_run_is_a_row_and_a_seed_repeats_them():
    sampler = bqp.BQPSampler(solver="coordinate_descent", num_reads=5, max_moves=30)
    first, second, other = (sampler.sample(glass(), seed=seed) for seed in (1, 1, 2))
    assert first.record.sample.shape == (5, 40)
    assert np.array_equal(first.record.sample, second.record.sample)
    assert not np.array_equal(first.record.sample, other.record.sample)
    assert len(np.unique(first.record.sample, axis=0)) > 1


def test_solutions_of_one_run_are_distinct_rows():
    sampleset = bqp.BQPSampler().sample(glass(), n_solutions=4, solver="tabu_search", max_moves=2000, seed=0)
    assert len(np.unique(sampleset.record.sample, axis=0)) == len(sampleset) == 4
    dimod.testing.assert_sampleset_energies(sampleset, glass())


def test_a_start_is_matched_by_name():
    bqm = dimod.BinaryQuadraticModel({"a": 1.0, "b": -2.0, "c": 0.5}, {("a", "b"): 1.0}, 0.0, "BINARY")
    start = {"c": 0, "b": 1, "a": 0}  # the optimum
    run = bqp.BQPSampler().sample(bqm, initial_states=start, solver="coordinate_descent", max_moves=1)
    assert run.first.sample == start
    with pytest.raises(bqp.ParameterError, match="'c' has none"):
        bqp.BQPSampler().sample(bqm, initial_states={"a": 0, "b": 1})
    with pytest.raises(bqp.ParameterError, match="2 rows and num_reads is 3"):
        bqp.BQPSampler().sample(bqm, initial_states=[start, start], num_reads=3)


def test_the_sense_and_bounds_reach_the_information():
    sampleset = bqp.BQPSampler().sample(glass(), certify=True, solver="tabu_search", max_moves=1000, seed=0)
    assert sampleset.info["lower_bound"] <= sampleset.first.energy
    assert bqp.BQPSampler().sample(glass(), max_moves=10, solver="tabu_search").info["lower_bound"] is None


@pytest.mark.parametrize("names", [["a", "b"], ["a", "a", "b"]])
def test_names_must_be_one_a_variable(names):
    with pytest.raises(bqp.ProblemError, match="3 distinct names"):
        bqp.to_bqm(bqp.BQP(np.zeros((3, 3))), names)


def test_unknown_parameters_are_named():
    for call in (lambda: bqp.BQPSampler(chain_strength=2), lambda: bqp.BQPSampler().sample(glass(), num_sweeps=2)):
        with pytest.raises(bqp.ParameterError, match=r"unknown parameter .*options="):
            call()


def test_without_dimod_the_message_names_the_extra():
    code = (
        "import sys; sys.modules['dimod'] = None\n"
        "import bqp\n"
        "try: bqp.BQPSampler\n"
        "except bqp.BackendNotFound as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "bqp[dimod]" in out

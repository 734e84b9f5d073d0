"""One door for randomness."""

import numpy as np
import pytest

import bqp
from bqp.errors import ParameterError
from bqp.rng import as_seed_sequence, streams


def first_draws(seeds, n=3):
    return [stream.integers(0, 2**60) for stream in streams(seeds, n)]


def test_what_is_accepted():
    assert first_draws(as_seed_sequence(7)) == first_draws(as_seed_sequence(np.int64(7)))
    assert first_draws(as_seed_sequence(7)) == first_draws(as_seed_sequence(np.random.SeedSequence(7)))
    assert first_draws(as_seed_sequence(None)) != first_draws(as_seed_sequence(None))


def test_a_generator_is_advanced():
    generator = np.random.default_rng(0)
    first, second = first_draws(as_seed_sequence(generator)), first_draws(as_seed_sequence(generator))
    assert first != second
    assert first == first_draws(as_seed_sequence(np.random.default_rng(0)))


def test_a_seed_sequence_stays_the_caller_s():
    seeds = np.random.SeedSequence(3)
    child = seeds.spawn(1)[0]
    assert first_draws(as_seed_sequence(child)) == first_draws(as_seed_sequence(child))
    assert child.n_children_spawned == 0


def test_streams_are_independent_of_what_is_drawn():
    one, other = as_seed_sequence(5), as_seed_sequence(5)
    assert first_draws(one, 2) + first_draws(one, 3) == first_draws(other, 5)


@pytest.mark.parametrize("rng", ["seed", 1.5, True, [1, 2], np.random.RandomState(0)])
def test_what_is_refused(rng):
    with pytest.raises(ParameterError, match="rng must be"):
        as_seed_sequence(rng)


def test_negative_seeds():
    with pytest.raises(ParameterError, match="non-negative seed, got -3"):
        as_seed_sequence(-3)


def test_seeds_matter_and_are_kept():
    problem = bqp.BQP.from_qubo(np.random.default_rng(0).integers(-9, 10, (80, 80)))
    answers = [bqp.solve(problem, max_moves=20, rng=seed).x.tobytes() for seed in (0, 0, 1, 2)]
    assert answers[0] == answers[1] and len(set(answers)) == 3

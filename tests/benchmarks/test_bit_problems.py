"""The exported bit problems: the index says what is true, both formats agree, the same call makes the same problem."""

import csv

import numpy as np
import pytest

import bqp
from benchmarks import bit_problems

NAMES = bit_problems.names()


def _row(name):
    with open(bit_problems.FOLDER / "index.csv", newline="") as lines:
        return next(row for row in csv.DictReader(lines) if row["name"] == name)


def test_every_small_problem_is_there():
    assert set(NAMES) == {name for name, entry in bit_problems.PROBLEMS.items() if entry.small}


@pytest.mark.parametrize("name", NAMES)
def test_a_search_does_not_beat_a_proof_and_finds_the_best(name):
    problem, best = bit_problems.load(name)
    row = _row(name)
    assert problem.n == int(row["n"]) and bool(np.any(problem.c)) == bool(int(row["linear"]))
    found = bqp.solve(problem, target=best, max_moves=300_000, rng=0)
    scale = 1e-9 * max(1.0, abs(best))
    if int(row["proven"]):
        assert found.energy >= best - scale
    assert found.energy <= best + 0.01 * abs(best)


@pytest.mark.parametrize("name", NAMES)
def test_both_formats_hold_the_same_problem(name):
    problem, best = bit_problems.load(name)
    qubo = bqp.read(bit_problems.FOLDER / f"{name}.qubo.xz")
    shift = best - float(_row(name)["best_qubo"])
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = rng.integers(0, 2, problem.n).astype(np.int8)
        ours, theirs = problem.energy((2 * x - 1).astype(np.int8)), qubo.energy(x)
        assert ours == pytest.approx(theirs + shift, rel=1e-9, abs=1e-6 * abs(shift))


@pytest.mark.parametrize("name", ["digits_cosdish_64", "digits_triplets_150"])
def test_the_same_call_makes_the_same_problem(name):
    made, (kept, _) = bit_problems.make(name), bit_problems.load(name)
    assert np.allclose(made.Q.to_dense(), kept.Q.to_dense(), rtol=1e-9) and np.allclose(made.c, kept.c, rtol=1e-9)


def test_unknown_names_are_told():
    with pytest.raises(KeyError, match="digits_affhash_150"):
        bit_problems.load("nothing")
    with pytest.raises(KeyError, match="no bit problem"):
        bit_problems.make("nothing")

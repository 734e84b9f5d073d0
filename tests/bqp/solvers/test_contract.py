"""Every registered solver, `bqp.solve` and every bound through the public contract; and the contract catches cheats."""

from dataclasses import replace

import numpy as np
import pytest

import bqp
from bqp import bounds
from bqp.solvers import REGISTRY, CoordinateDescent, Exact, GraphCut, TabuSearch
from bqp.testing import BOUND_CHECKS, SOLVER_CHECKS, check_bound, check_solver, solver_checks

VARIANTS = {
    "descent_random": (lambda: CoordinateDescent(order="random"), "any"),
    "descent_greedy": (lambda: CoordinateDescent(order="greedy"), "any"),
    "tabu_small": (lambda: TabuSearch(tenure=1, stall=20, elite_size=2), "any"),
    "one_cut": (GraphCut, "submodular"),
    "networkx_cut": (lambda: GraphCut(backend="networkx"), "submodular"),
    "small_cuts": (lambda: GraphCut(backend="scipy", probing=False, block_size=3, stall=5), "any"),
}
SUBJECTS = {name: (cls, "any") for name, cls in REGISTRY.items()} | VARIANTS


class FrontDoor:
    """`bqp.solve` in the clothes of a solver."""

    def __init__(self, **arguments):
        self.arguments = arguments

    def solve(self, problem, **arguments):
        return bqp.solve(problem, **self.arguments, **arguments)


@pytest.mark.parametrize("check", SOLVER_CHECKS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_solver(name, check):
    solver, problems = SUBJECTS[name]
    check_solver(solver, problems=problems, only=[check])


@pytest.mark.parametrize("check", [name for name in SOLVER_CHECKS if name not in ("callback", "interrupt")])
@pytest.mark.parametrize("arguments", [{}, {"solver": "tabu_search", "reductions": ()}], ids=["auto", "plain"])
def test_front_door(arguments, check):
    check_solver(FrontDoor(**arguments), only=[check])


@pytest.mark.parametrize("check", ["callback", "interrupt"])
def test_front_door_with_callbacks(check):
    check_solver(FrontDoor(solver="tabu_search"), only=[check])


@pytest.mark.parametrize("check", BOUND_CHECKS)
@pytest.mark.parametrize("method", [*bounds.REGISTRY, "auto"])
def test_bound(method, check):
    settings = {"max_rounds": 10} if method == "odd_cycles" and check == "larger" else {}  # dense: hundreds of rounds
    check_bound(lambda problem: bounds.lower_bound(problem, method=method, **settings), only=[check])


# ---- a contract that nobody can break proves nothing -------------------------------------------------------------


class Cheat(CoordinateDescent):
    """A descent that changes its answer before it hands it over."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def solve(self, problem, **arguments):
        return self.change(problem, super().solve(problem, **arguments), arguments)


def flipped(problem, solution, arguments):
    x = solution.x.copy()
    x[:1] = (1 - x[:1]) if problem.domain == "binary" else -x[:1]
    return replace(solution, x=x)


CHEATS = {
    "an energy that is not that of x": flipped,
    "optimal without proof": lambda p, s, a: replace(s, status=bqp.Status.OPTIMAL),
    "a bound too high": lambda p, s, a: replace(s, lower_bound=s.energy),
    "float x": lambda p, s, a: replace(s, x=s.x.astype(float)),
    "moves beyond the limit": lambda p, s, a: replace(s, n_moves=s.n_moves + 1),
    "a target it missed": lambda p, s, a: (
        replace(s, status=bqp.Status.TARGET_REACHED) if a.get("target") is not None else s
    ),
    "a pool that repeats": lambda p, s, a: s if s.pool is None else replace(s, pool=s.pool[[0, 0]]),
    "a start forgotten": lambda p, s, a: bqp.solvers.CoordinateDescent(n_restarts=1).solve(
        p, **{**a, "x0": None, "target": None, "callback": None}
    ),
    "another answer with two threads": lambda p, s, a: replace(s, n_moves=0) if a.get("n_jobs", 1) == 2 else s,
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_the_contract_catches(cheat):
    with pytest.raises(AssertionError):
        check_solver(Cheat(CHEATS[cheat]))


def test_the_contract_catches_a_solver_that_writes_to_its_input():
    class Writer(CoordinateDescent):
        def solve(self, problem, x0=None, **arguments):
            if x0 is not None:
                x0.setflags(write=True)
                x0[:] = -x0
            return super().solve(problem, x0=None if x0 is None else -x0, **arguments)

    with pytest.raises(AssertionError, match="inputs: x0 was changed"):
        check_solver(Writer, only=["inputs"])


@pytest.mark.parametrize("slack", [1e-12, 1.0])
def test_the_contract_catches_bounds_too_high(slack):
    def optimistic(problem):
        value = Exact().solve(problem).energy if problem.n < 10 else -1e9
        return bqp.Bound(value + slack * (1 + abs(value)), "guess")

    with pytest.raises(AssertionError, match="exact optimum"):
        check_bound(optimistic)


def test_unknown_kind_of_problems():
    with pytest.raises(ValueError, match="'any' or 'submodular'"):
        check_solver(CoordinateDescent, problems="all")


def test_exact_reference_against_the_plain_one():
    subject = solver_checks.Subject(Exact)
    for domain in ("spin", "binary"):
        problem = subject.problem(6, 1, domain, offset=2.0)
        assert float(solver_checks.reference.exact_optimum(problem)) == solver_checks.reference.optimum(problem)
        assert np.isclose(solver_checks.reference.optimum(problem), problem.energy(Exact().solve(problem).x), rtol=0)

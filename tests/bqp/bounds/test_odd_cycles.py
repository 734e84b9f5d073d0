"""Odd cycles: separation against all cycles, the bound against enumeration, its certificate, the tree on top of it."""

import heapq
import itertools
from fractions import Fraction
from functools import partial

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bqp
from bqp.bounds import linear
from bqp.bounds.linear import LinearProgram, WarmProgram, linear_program
from bqp.bounds.odd_cycles import CycleRelaxation, odd_cycles_bound
from bqp.bounds.trivial import trivial_bound
from bqp.errors import FormatError, ParameterError, ProblemError
from bqp.solvers import Exact
from bqp.testing import check_bound, check_solver, reference, strategies

CYCLES = {"backend": "odd_cycles"}


def glass(n, degree, seed, field=0.0, most=9):
    """Random couplings on a random graph of that mean degree."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((n, n)) < degree / n, 1) * rng.integers(-most, most + 1, (n, n))
    c = rng.integers(-most, most + 1, n) * (rng.random(n) < field)
    return bqp.BQP(sp.csr_array((upper + upper.T).astype(float)), c)


def torus(side, seed, unit=True):
    rng = np.random.default_rng(seed)
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(side, side, periodic=True))
    W = np.zeros((side * side, side * side))
    for i, j in graph.edges:
        W[i, j] = W[j, i] = rng.choice([-1, 1]) if unit else rng.integers(-9999, 10000)
    return bqp.BQP.from_maxcut(sp.csr_array(W))


# ---- separation -------------------------------------------------------------------------------------------------


def all_violations(n, ends, x):
    """The greatest violation of an odd cycle through each vertex, by looking at every cycle."""
    graph = nx.Graph()
    graph.add_nodes_from(range(n))
    for e, (i, j) in enumerate(ends.tolist()):
        graph.add_edge(i, j, number=e)
    worst = np.full(n, -np.inf)
    for cycle in nx.simple_cycles(graph):
        edges = [graph.edges[cycle[k - 1], cycle[k]]["number"] for k in range(len(cycle))]
        base = sum(x[e] for e in edges)
        best = max(2 * sum(x[e] for e in F) - base - len(F) + 1
                   for F in (sorted(edges, key=lambda e: -x[e])[:k] for k in range(1, len(edges) + 1, 2)))  # fmt: skip
        worst[cycle] = np.maximum(worst[cycle], best)
    return worst


@settings(max_examples=40)
@given(st.integers(3, 7), st.integers(0, 2**32 - 1), st.booleans())
def test_violated_cycles_are_found_and_simple(n, seed, whole):
    rng = np.random.default_rng(seed)
    problem = glass(n, 0.7 * n, seed)
    relaxation = CycleRelaxation(problem.Q.to_sparse(), rng)
    m = len(relaxation.weights)
    relaxation.x = rng.integers(0, 2, m).astype(float) if whole else rng.random(m)
    rows, limits = relaxation.separate()
    worst = all_violations(n, relaxation.ends, relaxation.x)
    assert (len(limits) > 0) == (worst.max(initial=-np.inf) > 1e-4 + 1e-12)
    for t in range(len(limits)):
        row = rows[[t]].toarray()[0]
        edges = np.flatnonzero(row)
        assert np.count_nonzero(row > 0) % 2 == 1 and limits[t] == np.count_nonzero(row > 0) - 1
        vertices, counts = np.unique(relaxation.ends[edges], return_counts=True)
        assert np.all(counts == 2) and len(vertices) == len(edges)
        graph = nx.Graph(relaxation.ends[edges].tolist())
        assert nx.is_connected(graph)
        inside = np.isin(relaxation.ends, vertices).all(axis=1)
        assert inside.sum() == len(edges)  # no chord
        assert row @ relaxation.x - limits[t] > 0
        for z in itertools.product((-1, 1), repeat=n):  # it holds for every cut
            differ = np.array(z)[relaxation.ends[:, 0]] != np.array(z)[relaxation.ends[:, 1]]
            assert row @ differ <= limits[t]


# ---- the bound --------------------------------------------------------------------------------------------------


def test_contract():
    check_bound(partial(odd_cycles_bound, max_rounds=25))


SCALES = (1.0, 1e-3, 1e6, 1e-12, 1e12, 1e-310)  # the last below what float64 holds in full


@given(problem=strategies.problems(max_n=7) | strategies.float_problems(max_n=6, scales=SCALES))
@example(bqp.BQP(np.ones((1, 1))))
def test_the_bound_is_never_above_the_optimum(problem):
    assert odd_cycles_bound(problem).value <= reference.exact_optimum(problem)


@pytest.mark.parametrize("seed", range(6))
def test_planar_graphs_without_a_field_are_solved_by_it(seed):
    rng = np.random.default_rng(seed)
    side = (3, 5) if seed % 2 else (4, 4)
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(*side))
    n = graph.number_of_nodes()
    W = np.zeros((n, n))
    for i, j in graph.edges:
        W[i, j] = W[j, i] = rng.integers(-9, 10)
    problem = bqp.BQP(W)
    best = Exact(backend="enumeration").solve(problem).energy
    assert odd_cycles_bound(problem).value == pytest.approx(best, rel=1e-7)
    assert bqp.lower_bound(problem, method="odd_cycles").value == best


def test_k5_is_the_smallest_graph_where_cycles_are_not_enough():
    problem = bqp.BQP.from_maxcut(np.ones((5, 5)) - np.eye(5))
    assert -odd_cycles_bound(problem).value == pytest.approx(20 / 3, rel=1e-6)  # two thirds of each of ten edges
    assert bqp.solve(problem, rng=0).objective == 6


def exact_value(problem, bound):
    """What the certificate proves, in rational arithmetic."""
    proof = bound.certificate
    price = [-2 * Fraction(float(w)) for w in proof["weights"]]
    total = sum((Fraction(float(w)) for w in proof["weights"]), Fraction(0))
    rows = sp.csr_array(proof["rows"])
    for t, multiplier in enumerate(proof["multipliers"]):
        assert multiplier >= 0
        total -= Fraction(float(multiplier)) * int(proof["limits"][t])
        for p in range(rows.indptr[t], rows.indptr[t + 1]):
            price[rows.indices[p]] += Fraction(float(multiplier)) * int(rows.data[p])
    spin = problem.to_spin()
    return (
        total + sum(min(Fraction(0), value) for value in price) + Fraction(float(spin.Q.diagonal().sum() + spin.offset))
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_certificate_proves_the_bound(seed):
    problem = glass(30, 5, seed, field=0.3)
    bound = odd_cycles_bound(problem)
    exact = exact_value(problem, bound)
    assert bound.value <= exact
    assert float(exact) - bound.value <= 1e-9 * abs(bound.value)


@pytest.mark.parametrize("problem", [torus(8, 0), glass(80, 4, 1, field=0.5)])
def test_auto_takes_cycles_where_they_are_better(problem):
    auto, semidefinite = (bqp.lower_bound(problem, method=method) for method in ("auto", "semidefinite"))
    assert auto.kind == "odd_cycles" and auto.value > semidefinite.value


@pytest.mark.parametrize("problem", [glass(100, 60, 0), glass(50, 4, 0), glass(1200, 4, 0)])
def test_auto_leaves_cycles_to_thin_problems_of_some_size(problem, monkeypatch):
    monkeypatch.setattr("bqp.bounds.odd_cycles_bound", None)
    assert bqp.lower_bound(problem).kind == "semidefinite"


def test_limits_and_options_of_the_bound():
    problem = torus(8, 0, unit=False)
    whole = odd_cycles_bound(problem)
    few = odd_cycles_bound(problem, max_rounds=2)
    none = odd_cycles_bound(problem, time_limit=0)
    trivial = bqp.lower_bound(problem, method="trivial").value
    assert trivial <= none.value + 1e-6 and none.value < few.value < whole.value
    assert few.certificate["rounds"] == 2 and none.certificate["rounds"] == 0
    for options in ({"max_rounds": 0}, {"time_limit": -1}, {"time_limit": "x"}):
        with pytest.raises(ParameterError, match=f"{next(iter(options))} must be"):
            bqp.lower_bound(problem, method="odd_cycles", **options)
    with pytest.raises(ProblemError, match="up to 200000 pairs"):
        odd_cycles_bound(bqp.BQP(np.ones((700, 700))))


# ---- the linear program -----------------------------------------------------------------------------------------


def test_programs_agree(monkeypatch):
    problem = glass(16, 4, 1)
    assert isinstance(linear_program(np.ones(3)), LinearProgram)
    usual = odd_cycles_bound(problem)
    monkeypatch.setattr(linear, "_PLACES", ("no.such.module",))
    assert type(linear_program(np.ones(3))) is LinearProgram
    cold = odd_cycles_bound(problem)
    assert cold.value == pytest.approx(usual.value, rel=1e-7)
    assert (
        Exact(**CYCLES).solve(problem, rng=0).energy == Exact(backend="branch_and_bound").solve(problem, rng=0).energy
    )


def test_a_solver_that_says_nothing_proves_the_trivial_bound(monkeypatch):
    def silent(self, stopping):
        return np.full(len(self.cost), 0.5), np.zeros(len(self.limits))

    monkeypatch.setattr(WarmProgram, "solve", silent)
    monkeypatch.setattr(LinearProgram, "solve", silent)
    problem = torus(4, 0)
    bound = odd_cycles_bound(problem)
    assert bound.value == pytest.approx(trivial_bound(problem).value)


# ---- the tree ---------------------------------------------------------------------------------------------------


def test_the_tree_keeps_the_contract_of_solvers():
    check_solver(lambda **options: Exact(**{**CYCLES, **options}))


def check_proof(problem, solution, best):
    largest = max(float(np.abs(problem.Q.to_dense()).max(initial=0)), float(np.abs(problem.c).max(initial=0)))
    tolerance = 1e-8 * max(1.0, abs(float(best)), largest)  # what rtol is a part of
    assert solution.status is bqp.Status.OPTIMAL
    assert solution.lower_bound <= best
    assert abs(solution.energy - float(best)) <= tolerance
    assert solution.gap <= tolerance


@given(
    problem=strategies.problems(max_n=8) | strategies.float_problems(max_n=7, scales=SCALES), seed=st.integers(0, 99)
)
def test_the_tree_finds_what_enumeration_finds(problem, seed):
    check_proof(problem, Exact(**CYCLES).solve(problem, rng=seed), reference.exact_optimum(problem))


@pytest.mark.parametrize("kind", ["whole", "unit", "field", "floats", "dense"])
@pytest.mark.parametrize("seed", range(3))
def test_the_tree_agrees_with_enumeration(kind, seed):
    problem = glass(18, 18 if kind == "dense" else 6, seed, field=0.5 if kind == "field" else 0.0)
    if kind == "unit":
        problem = bqp.BQP(sp.csr_array(np.sign(problem.Q.to_dense())))
    if kind == "floats":
        noise = np.random.default_rng(seed).random((18, 18))
        problem = bqp.BQP(problem.Q.to_dense() * (noise + noise.T), noise[0])
    best = Exact(backend="enumeration").solve(problem).energy
    solution = Exact(**CYCLES).solve(problem, rng=seed)
    assert solution.energy == pytest.approx(best, rel=1e-8)
    assert solution.lower_bound <= best and solution.gap <= 1e-8 * abs(best)
    assert solution.status is bqp.Status.OPTIMAL


def branching(seed=0):
    """A problem whose root does not close: a dense one, where cycles are weak."""
    return bqp.BQP.from_maxcut(np.abs(np.sign(glass(10, 10, seed).Q.to_dense())))


def test_nodes_are_branched_on_and_counted():
    problem = branching()
    solution = Exact(**CYCLES).solve(problem, rng=0)
    assert solution.stats["nodes"] > 1 and solution.n_moves == solution.stats["nodes"]
    assert solution.energy == Exact(backend="enumeration").solve(problem).energy == solution.lower_bound
    again = Exact(**CYCLES).solve(problem, rng=0, n_jobs=2)
    assert again.stats == solution.stats and np.array_equal(again.x, solution.x)


def test_limits_leave_a_valid_gap():
    problem = branching(1)
    best = Exact(backend="enumeration").solve(problem).energy
    seen = []
    for limits in (
        {"max_moves": 1}, {"max_moves": 0}, {"time_limit": 0}, {"target": 1e9},
        {"callback": lambda event: seen.append(event) or len(seen) > 1},
    ):  # fmt: skip
        solution = Exact(**CYCLES).solve(problem, rng=0, **limits)
        assert -np.inf < solution.lower_bound <= best <= solution.energy
        assert solution.status is not bqp.Status.OPTIMAL or solution.lower_bound == best
    assert all(event.lower_bound <= best <= event.energy for event in seen)


def test_a_stopped_search_goes_on_from_its_checkpoint(tmp_path):
    problem, path = branching(), tmp_path / "open.npz"
    best = Exact(**CYCLES).solve(problem, rng=0)
    first = Exact(**CYCLES, checkpoint=path).solve(problem, rng=0, max_moves=1)
    assert path.exists() and first.status is bqp.Status.MAX_MOVES and first.lower_bound < first.energy
    with pytest.raises(FormatError, match="no checkpoint of this version and method"):
        Exact(backend="branch_and_bound", checkpoint=path).solve(problem)
    larger = bqp.BQP(np.pad(problem.Q.to_dense(), (0, 1)), offset=problem.offset)  # the same pairs
    for other in (branching(3), larger):
        with pytest.raises(ParameterError, match="belongs to another problem"):
            Exact(**CYCLES, checkpoint=path).solve(other)
    second = Exact(**CYCLES, checkpoint=path).solve(problem, rng=1)
    assert second.status is bqp.Status.OPTIMAL and second.energy == second.lower_bound == best.energy
    assert second.stats["nodes"] > 1 and not path.exists()


def test_ctrl_c_loses_no_node(tmp_path, monkeypatch):
    """An interrupt where a node is taken from the heap: what is saved still holds it."""
    problem, path = branching(), tmp_path / "open.npz"
    best = Exact(**CYCLES).solve(problem, rng=0).energy

    take = heapq.heappop

    def interrupted(heap):
        n_open = len(heap)
        take(heap)
        if n_open > 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bqp.solvers._cycles.heapq.heappop", interrupted)
        first = Exact(**CYCLES, checkpoint=path).solve(problem, rng=0)
    assert first.status is bqp.Status.STOPPED and first.lower_bound < best == first.energy
    with np.load(path) as data:
        assert len(data["bounds"]) == 2 and {*data["fixed"].min(axis=1)} == {-1}
    second = Exact(**CYCLES, checkpoint=path).solve(problem, rng=0)
    assert second.status is bqp.Status.OPTIMAL and second.energy == second.lower_bound == best


def test_ctrl_c_inside_a_descent_stops_the_tree(monkeypatch):
    def interrupted(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr("bqp.solvers.coordinate_descent.CoordinateDescent._search", interrupted)
    solution = Exact(**CYCLES).solve(branching(), rng=0)
    assert solution.status is bqp.Status.STOPPED and -np.inf < solution.lower_bound < solution.energy


def test_thin_problems_go_to_the_cycles():
    solution = bqp.solve(torus(10, 3), solver="exact", rng=0, reductions=())
    assert solution.stats["method"] == "branch and cut on odd cycles"
    assert solution.status is bqp.Status.OPTIMAL and solution.gap == 0
    dense = bqp.solve(torus(10, 3), solver="exact", backend="branch_and_bound", rng=0, reductions=())
    assert dense.energy == solution.energy

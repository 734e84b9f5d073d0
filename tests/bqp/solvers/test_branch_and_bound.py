"""Proofs: semidefinite bounds with clique cuts, the tree over them, its limits, its checkpoints, the MIP backend."""

import itertools
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.bounds.cliques import CutPool
from bqp.bounds.cutting_planes import CliqueRelaxation, semidefinite_cuts_bound
from bqp.bounds.homogeneous import homogenise
from bqp.errors import FormatError, ParameterError, ProblemError
from bqp.kernels.cliques import (
    clique_matrix,
    cut_squares,
    descend_signs,
    extend_cuts,
    minimise_lagrangian,
    violated_triangles,
)
from bqp.solvers import Exact
from bqp.solvers._nodes import Node, Outcome, process_node
from bqp.solvers._tree import _Tree
from bqp.testing import check_solver, reference, strategies

BRANCHING = {"backend": "branch_and_bound"}


def symmetric(n, seed, most=9, density=1.0):
    rng = np.random.default_rng(seed)
    Q = rng.integers(-most, most + 1, (n, n)) * (rng.random((n, n)) < density)
    return np.triu(Q, 1) + np.triu(Q, 1).T


def all_signs(n):
    return np.array(list(itertools.product((-1.0, 1.0), repeat=n)))


def random_cuts(rng, n, widths=(3, 5, 7), each=4):
    pool = CutPool()
    for w in widths:
        if w <= n:
            members = np.array([rng.permutation(n)[:w] for _ in range(each)])
            pool.add(w, members, rng.choice([-1, 1], (each, w)), each)
    return pool


# ---- kernels ----------------------------------------------------------------------------------------------------


@given(st.integers(3, 9), st.integers(0, 2**32 - 1))
def test_lagrangian_is_minimised_to_a_stationary_point_of_its_formula(n, seed):
    rng = np.random.default_rng(seed)
    A = symmetric(n, seed).astype(float)
    pool = random_cuts(rng, n)
    start, member, sign, _ = pool.flat()
    gamma, sigma = rng.random(len(pool)), 2.0
    V = rng.standard_normal((n, n))
    V /= np.linalg.norm(V, axis=1, keepdims=True)

    def formula(W):
        X, value = W @ W.T, float((A * (W @ W.T)).sum())
        for t in range(len(pool)):
            b = np.zeros(n)
            b[member[start[t] : start[t + 1]]] = sign[start[t] : start[t + 1]]
            value += (max(0.0, gamma[t] + sigma * (1 - b @ X @ b)) ** 2 - gamma[t] ** 2) / (2 * sigma)
        return value

    import scipy.sparse as sp

    csr = sp.csr_array(A)
    before = formula(V)
    arrays = csr.indptr.astype(np.int64), csr.indices.astype(np.int64), csr.data.astype(float)

    def minimise(V, chunk):
        memory = np.zeros((10, *V.shape)), np.zeros((10, *V.shape)), np.zeros(10), np.empty(V.shape), np.zeros(5)
        tolerance, total = 1e-6 * max(1.0, np.abs(A).sum()), 0
        while total < 2000:
            value, _, done = minimise_lagrangian(
                *arrays, V, start, member, sign, gamma, sigma, tolerance, *memory, chunk
            )
            total += done
            if done < chunk:
                break
        return value

    W = V.copy()
    value = minimise(V, 2000)
    assert minimise(W, 3) == value and np.array_equal(V, W)  # chunks change nothing
    assert value <= before + 1e-9 * max(1.0, abs(before))
    assert np.isclose(value, formula(V), rtol=1e-9, atol=1e-8)
    assert np.allclose(np.linalg.norm(V, axis=1), 1)
    for _ in range(5):  # no direction along the spheres goes down at first order
        W = V + 1e-4 * rng.standard_normal(V.shape)
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        assert formula(W) >= value - 1e-4 * max(1.0, np.abs(A).sum()) * np.linalg.norm(W - V)


@given(st.integers(3, 8), st.integers(0, 2**32 - 1), st.floats(-1.0, 1.0))
def test_triangles_are_all_found(n, seed, threshold):
    V = np.random.default_rng(seed).standard_normal((n, 3))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    X = V @ V.T
    members, signs = np.empty((5000, 3), np.int32), np.empty((5000, 3), np.int8)
    violations = np.empty(5000)
    middle = n // 2
    count = violated_triangles(X, threshold, members, signs, violations, 0, 0, middle)
    count = violated_triangles(X, threshold, members, signs, violations, count, middle, n)
    expected = {}
    for triple in itertools.combinations(range(n), 3):
        for rest in itertools.product((1, -1), repeat=2):
            b = np.zeros(n)
            b[list(triple)] = (1, *rest)
            if 1 - b @ X @ b > threshold:
                expected[(triple, (1, *rest))] = 1 - b @ X @ b
    found = {(tuple(members[t].tolist()), tuple(signs[t].tolist())): violations[t] for t in range(count)}
    close = {key for key, value in expected.items() if abs(value - threshold) < 1e-9}
    assert set(found) - close == set(expected) - close
    assert all(np.isclose(found[key], expected[key]) for key in set(found) & set(expected))


@given(st.integers(5, 8), st.integers(0, 2**32 - 1))
def test_a_cut_is_extended_by_its_best_pair(n, seed):
    rng = np.random.default_rng(seed)
    V = rng.standard_normal((n, 4))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    X = V @ V.T
    members, signs = rng.permutation(n)[:3][None].astype(np.int32), rng.choice([-1, 1], (1, 3)).astype(np.int8)
    wide, wide_signs, violations = np.empty((1, 5), np.int32), np.empty((1, 5), np.int8), np.empty(1)
    extend_cuts(X, V, members, signs, wide, wide_signs, violations)
    best = -np.inf
    for pair in itertools.combinations(sorted(set(range(n)) - set(members[0].tolist())), 2):
        for pair_signs in itertools.product((1, -1), repeat=2):
            b = np.zeros(n)
            b[members[0]], b[list(pair)] = signs[0], pair_signs
            best = max(best, 1 - b @ X @ b)
    b = np.zeros(n)
    b[wide[0]] = wide_signs[0]
    assert np.count_nonzero(b) == 5
    assert np.isclose(violations[0], best) and np.isclose(1 - b @ X @ b, best)


@given(st.integers(3, 8), st.integers(0, 2**32 - 1))
def test_clique_matrix_and_descent(n, seed):
    rng = np.random.default_rng(seed)
    A, pool = symmetric(n, seed).astype(float), random_cuts(rng, n)
    start, member, sign, _ = pool.flat()
    gamma, V = rng.random(len(pool)), rng.standard_normal((n, 2))
    M, squares = np.empty((n, n)), np.empty(len(pool))
    clique_matrix(A, start, member, sign, gamma, M)
    cut_squares(start, member, sign, V, squares)
    B = np.zeros((len(pool), n))
    for t in range(len(pool)):
        B[t, member[start[t] : start[t + 1]]] = sign[start[t] : start[t + 1]]
    assert np.allclose(M, A - B.T @ np.diag(gamma) @ B) and np.allclose(squares, ((B @ V) ** 2).sum(axis=1))
    Z = rng.choice([-1.0, 1.0], (3, n))
    before = np.einsum("mi,ij,mj->m", Z, A, Z)
    energies = descend_signs(A, Z)
    assert np.all(energies <= before) and np.allclose(energies, np.einsum("mi,ij,mj->m", Z, A, Z))
    assert np.all(-Z * (Z @ A) >= -1e-9)


@given(st.integers(4, 7), st.integers(0, 2**32 - 1))
def test_pools_restricted_to_a_node_say_the_same_of_its_assignments(n, seed):
    rng = np.random.default_rng(seed)
    pool = random_cuts(rng, n, each=6)
    pool.set_gamma(rng.random(len(pool)))
    fixed = np.where(rng.random(n) < 0.4, rng.choice([-1, 1], n), 0)
    fixed[0] = 1
    free = np.flatnonzero(fixed == 0)
    position = np.zeros(n, int)
    position[free] = 1 + np.arange(len(free))
    small = pool.restricted(position, np.where(fixed == 0, 1, fixed).astype(np.int8))

    def least(pool, Z):
        start, member, sign, gamma = pool.flat()
        total = np.zeros(len(Z))
        for t in range(len(gamma)):
            square = (Z[:, member[start[t] : start[t + 1]]] @ sign[start[t] : start[t + 1]]) ** 2
            assert np.all(square >= 1)
            total += gamma[t] * (square == 1)  # cuts that are tight
        return total

    Z = all_signs(1 + len(free))
    Z = Z[Z[:, 0] == 1]
    whole = np.tile(fixed.astype(float), (len(Z), 1))
    whole[:, free] = Z[:, 1:]
    assert np.all(least(small, Z) <= least(pool, whole) + 1e-9)
    again = small.expanded(np.concatenate([[0], free]))
    assert np.allclose(np.sort(again.flat()[3]), np.sort(small.flat()[3]))


# ---- the bound --------------------------------------------------------------------------------------------------


@given(problem=strategies.problems(max_n=8) | strategies.float_problems(max_n=7))
def test_the_bound_is_never_above_the_optimum(problem):
    assert bqp.lower_bound(problem, method="semidefinite_cuts").value <= reference.exact_optimum(problem)


def test_cuts_tighten_the_semidefinite_bound_and_close_odd_cycles():
    cycle = np.roll(np.eye(7), 1, axis=1)
    problem = bqp.BQP.from_maxcut(cycle + cycle.T)
    assert -semidefinite_cuts_bound(problem).value == pytest.approx(6.0, abs=1e-3)  # the largest cut; the SDP says 6.65
    for seed in range(3):
        problem = bqp.BQP(symmetric(25, seed), np.arange(25))
        basic, cuts = (bqp.lower_bound(problem, method=m).value for m in ("semidefinite", "semidefinite_cuts"))
        assert cuts >= basic
        assert cuts <= Exact(**BRANCHING).solve(problem, rng=0).energy


def test_a_round_proves_no_more_than_its_certificate():
    A, _ = homogenise(bqp.BQP(symmetric(12, 0), np.arange(12)))
    relaxation = CliqueRelaxation(A, np.random.default_rng(0))
    for _ in range(8):
        relaxation.round()
        relaxation.separate()
    proof = relaxation.certificate
    B = np.zeros((len(proof["gamma"]), len(A)))
    for t in range(len(B)):
        entries = slice(proof["start"][t], proof["start"][t + 1])
        B[t, proof["member"][entries]] = proof["sign"][entries]
    M = A - B.T @ np.diag(proof["gamma"]) @ B - np.diag(proof["y"])
    value = proof["gamma"].sum() + proof["y"].sum() + len(A) * min(0.0, np.linalg.eigvalsh(M)[0])
    assert np.all(proof["gamma"] >= 0)
    assert relaxation.bound == pytest.approx(value, rel=1e-6)
    Z = all_signs(len(A))
    assert relaxation.bound <= np.einsum("mi,ij,mj->m", Z, A, Z).min()


@pytest.mark.parametrize("options", [{"max_rounds": 0}, {"max_rounds": "a"}, {"time_limit": -1}, {"time_limit": "x"}])
def test_wrong_options_of_the_bound_are_named(options):
    with pytest.raises(ParameterError, match=f"{next(iter(options))} must be"):
        bqp.lower_bound(bqp.BQP(symmetric(8, 0)), method="semidefinite_cuts", **options)


# ---- the tree ---------------------------------------------------------------------------------------------------


def test_branch_and_bound_keeps_the_contract_of_solvers():
    check_solver(lambda **options: Exact(**{**BRANCHING, **options}))


@given(problem=strategies.problems(max_n=9) | strategies.float_problems(max_n=8), seed=st.integers(0, 99))
def test_the_tree_finds_what_enumeration_finds(problem, seed):
    solution = Exact(**BRANCHING).solve(problem, rng=seed)
    best = reference.exact_optimum(problem)
    assert solution.lower_bound <= best
    assert solution.energy == pytest.approx(float(best), rel=1e-8, abs=1e-8 * max(1.0, abs(float(best))))
    assert solution.status is bqp.Status.OPTIMAL


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["dense", "sparse", "unit", "floats", "no field"])
def test_the_tree_agrees_with_enumeration_on_26_variables(kind, seed):
    rng = np.random.default_rng(seed)
    n = 26
    Q, c = symmetric(n, seed), rng.integers(-20, 21, n)
    if kind == "sparse":
        Q = symmetric(n, seed, density=0.2)
    if kind == "unit":
        Q, c = np.sign(Q), np.zeros(n)
    if kind == "floats":
        Q = rng.standard_normal((n, n))
        Q = Q + Q.T
    if kind == "no field":
        c = np.zeros(n)
    problem = bqp.BQP(Q, c)
    tree = Exact(**BRANCHING).solve(problem, rng=seed)
    every = Exact(backend="enumeration").solve(problem)
    assert tree.energy == pytest.approx(every.energy, rel=1e-9)
    assert tree.lower_bound <= every.energy
    assert tree.gap <= 1e-8 * abs(tree.energy)
    assert tree.stats["nodes"] >= 1


def frustrated(n=72, seed=3):
    """A problem whose root does not close: unit couplings on a random graph of density one half."""
    return bqp.BQP.from_maxcut(np.abs(np.sign(symmetric(n, seed, density=0.5))))


def test_the_answer_does_not_depend_on_the_number_of_threads():
    problem = frustrated(64, 2)
    one, two = (bqp.solve(problem, solver="exact", rng=3, n_jobs=k) for k in (1, 2))
    assert one.stats["nodes"] == two.stats["nodes"] > 1
    assert np.array_equal(one.x, two.x) and one.lower_bound == two.lower_bound == one.energy


def test_few_nodes_keep_their_vectors(monkeypatch):
    problem = frustrated(64, 2)
    usual = bqp.solve(problem, solver="exact", rng=3)
    monkeypatch.setattr("bqp.solvers._tree._MOST_WARM", 2)
    monkeypatch.setattr("bqp.solvers._tree._LEAST_WARM", 1)
    held = []
    commit = _Tree.commit

    def watched(tree, node, outcome):
        commit(tree, node, outcome)
        held.append(sum(node.V is not None for node in tree.heap))
        assert tree.n_warm == held[-1]

    monkeypatch.setattr(_Tree, "commit", watched)
    capped = bqp.solve(problem, solver="exact", rng=3)
    assert max(held) <= 2 < capped.stats["most_open_nodes"]
    assert capped.status is bqp.Status.OPTIMAL and capped.lower_bound == capped.energy == usual.energy


def test_limits_leave_a_valid_gap():
    problem = frustrated()
    best = bqp.solve(problem, solver="exact", rng=0)
    assert best.status is bqp.Status.OPTIMAL
    nodes = bqp.solve(problem, solver="exact", rng=0, max_moves=1)
    assert nodes.status is bqp.Status.MAX_MOVES and nodes.n_moves == 1
    timed = bqp.solve(problem, solver="exact", rng=0, time_limit=0.2)
    aimed = bqp.solve(problem, solver="exact", rng=0, target=best.energy + 6)
    assert aimed.status is bqp.Status.TARGET_REACHED
    for solution in (nodes, timed, aimed):
        assert solution.lower_bound <= best.energy <= solution.energy
    seen = []
    stopped = bqp.solve(problem, solver="exact", rng=0, callback=lambda event: seen.append(event) or len(seen) > 2)
    assert stopped.status is bqp.Status.STOPPED and stopped.lower_bound <= best.energy <= stopped.energy
    assert all(event.lower_bound <= best.energy <= event.energy for event in seen)


def test_variables_that_nothing_depends_on_are_not_branched_on():
    Q = np.random.default_rng(0).standard_normal((40, 40))
    Q = Q + Q.T
    Q[:6] = Q[:, :6] = 0
    solution = bqp.solve(bqp.BQP(Q), solver="exact", rng=0, reductions=(), max_moves=50)
    assert solution.status is bqp.Status.OPTIMAL


def test_nodes_in_work_count_in_the_bound():
    problem = bqp.BQP(symmetric(60, 4, most=1))
    for nodes in (7, 9):  # ends between two nodes of a batch that held all that was open
        solution = bqp.solve(problem, solver="exact", rng=0, max_moves=nodes)
        assert solution.stats["open_nodes"] > 0
        assert solution.status is bqp.Status.MAX_MOVES and solution.lower_bound < solution.energy


def test_no_bound_that_observers_see_forgets_a_node_in_work():
    from bqp.solvers.run import Budget, Run

    problem = bqp.BQP(symmetric(40, 0, most=1))
    run = Run(problem, Budget())
    run.offer(np.ones(40, np.int8))
    tree = _Tree(problem, run, 1e-9)
    for number, bound in enumerate((-300.0, -200.0)):
        tree.push(Node(bound, number, tree.root()))
    first, second = tree.pop(2)
    z = tree.root() + (tree.root() == 0).astype(np.int8)
    closed = Outcome(run.energy - tree.constant, z, np.inf, (), None, None, 0)
    tree.commit(second, closed)
    assert run.lower_bound == -np.inf  # the first is not back yet
    tree.commit(first, closed)
    tree.prove()
    assert run.lower_bound == run.energy


def test_a_search_without_time_has_the_trivial_bound():
    problem = frustrated()
    for limits in ({"time_limit": 0}, {"max_moves": 0}, {"target": 1e9}):
        solution = Exact(**BRANCHING).solve(problem, rng=0, **limits)
        assert -np.inf < solution.lower_bound <= solution.energy
        assert solution.status is not bqp.Status.OPTIMAL


def test_an_error_of_the_callback_comes_through_at_once():
    problem = frustrated(110, 2)

    def fail(event):
        raise RuntimeError("mine")

    start = time.perf_counter()
    with pytest.raises(RuntimeError, match="mine"):
        bqp.solve(problem, solver="exact", rng=0, callback=fail)
    assert time.perf_counter() - start < 30


def test_a_stopped_search_goes_on_from_its_checkpoint(tmp_path):
    problem, path = frustrated(), tmp_path / "open.npz"
    best = bqp.solve(problem, solver="exact", rng=0)
    first = bqp.solve(problem, solver="exact", rng=0, max_moves=2, checkpoint=path)
    assert path.exists() and first.status is bqp.Status.MAX_MOVES
    second = bqp.solve(problem, solver="exact", rng=1, checkpoint=path)
    assert second.status is bqp.Status.OPTIMAL and second.energy == best.energy
    assert second.stats["nodes"] > 2 and not path.exists()


def test_independent_parts_keep_checkpoints_of_their_own(tmp_path):
    one = frustrated(64, 2)
    Q = np.kron(np.eye(2), one.Q.to_dense())
    problem, path = bqp.BQP(Q), tmp_path / "open.npz"
    first = bqp.solve(problem, solver="exact", rng=0, max_moves=4, checkpoint=path)
    assert first.status is bqp.Status.MAX_MOVES and list(tmp_path.iterdir())
    second = bqp.solve(problem, solver="exact", rng=0, checkpoint=path)
    assert second.status is bqp.Status.OPTIMAL and not list(tmp_path.iterdir())
    assert second.energy == 2 * (bqp.solve(one, solver="exact", rng=0).energy - one.offset)


def test_a_checkpoint_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr("bqp.solvers._checkpoint.np.savez", full)
    with pytest.warns(bqp.errors.BQPWarning, match="no space left"):
        solution = bqp.solve(frustrated(), solver="exact", rng=0, max_moves=1, checkpoint=tmp_path / "open.npz")
    assert solution.status is bqp.Status.MAX_MOVES and np.isfinite(solution.lower_bound)


def test_checkpoints_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "open.npz"
    bqp.solve(frustrated(), solver="exact", rng=0, max_moves=1, checkpoint=path)
    with pytest.raises(ParameterError, match="belongs to another problem"):
        bqp.solve(frustrated(seed=6), solver="exact", checkpoint=path)
    Q = frustrated().Q.to_dense()
    first = int(np.argmax(np.abs(Q).sum(axis=1)))
    order = np.concatenate([[first], np.delete(np.arange(len(Q)), first)])
    assert first > 0
    with pytest.raises(ParameterError, match="belongs to another problem"):  # the order in which the tree takes them
        relabelled = bqp.BQP(Q[np.ix_(order, order)], offset=frustrated().offset, sense="min")
        bqp.solve(relabelled, solver="exact", checkpoint=path, reductions=())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FormatError, match="cannot be read as a checkpoint"):
        bqp.solve(frustrated(), solver="exact", checkpoint=path)
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(FormatError, match="cannot be read as a checkpoint"):
        bqp.solve(frustrated(), solver="exact", checkpoint=tmp_path / "array.npy")


def test_checkpoints_of_wrong_shapes_are_refused(tmp_path):
    path = tmp_path / "open.npz"
    bqp.solve(frustrated(), solver="exact", rng=0, max_moves=1, checkpoint=path)
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    for name in ("x", "counts", "fixed"):
        np.savez(path, **{**arrays, name: arrays[name][:1]})
        with pytest.raises(FormatError, match="wrong shapes"):
            bqp.solve(frustrated(), solver="exact", checkpoint=path)


def test_places_for_checkpoints_are_checked_before_the_search(tmp_path):
    with pytest.raises(ParameterError, match="does not exist"):
        bqp.solve(frustrated(), solver="exact", checkpoint=tmp_path / "no" / "open.npz")
    with pytest.raises(ParameterError, match="is a folder"):
        bqp.solve(frustrated(), solver="exact", checkpoint=tmp_path)


SCRIPT = """
import sys, numpy as np, bqp
rng = np.random.default_rng(2)
W = np.triu(rng.random((110, 110)) < 0.5, 1).astype(float)
problem = bqp.BQP.from_maxcut(W + W.T)
def tell(event):
    if event.lower_bound > -1e300:
        print("bound", flush=True)
solution = bqp.solve(problem, solver="exact", rng=0, checkpoint=sys.argv[1], callback=tell)
print("end", solution.status.value, solution.lower_bound <= solution.energy, solution.lower_bound > -1e300, flush=True)
"""


def run_until_bounded(path):
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline().strip()  # the end of the run would end the wait, too
    assert line == "bound", line
    return process


@pytest.mark.slow
def test_ctrl_c_brings_incumbent_and_bound_home(tmp_path):
    process = run_until_bounded(tmp_path / "open.npz")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert out.strip().splitlines()[-1] == "end stopped True True"
    assert (tmp_path / "open.npz").exists()


@pytest.mark.slow
def test_a_killed_search_leaves_a_checkpoint(tmp_path):
    path = tmp_path / "open.npz"
    process = run_until_bounded(path)
    for _ in range(600):
        if path.exists():
            break
        time.sleep(0.1)
    process.kill()
    process.communicate()
    rng = np.random.default_rng(2)
    W = np.triu(rng.random((110, 110)) < 0.5, 1).astype(float)
    problem = bqp.BQP.from_maxcut(W + W.T)
    again = bqp.solve(problem, solver="exact", rng=0, checkpoint=path, max_moves=1)  # nodes of before count
    assert again.stats["nodes"] >= 1 and -np.inf < again.lower_bound <= again.energy


def test_a_node_is_a_part_of_the_problem():
    A, _ = homogenise(bqp.BQP(symmetric(13, 1), np.arange(13)))
    A = np.roll(A, (1, 1), axis=(0, 1))
    Z = all_signs(len(A))
    energies = np.einsum("mi,ij,mj->m", Z, A, Z)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        fixed = np.where(rng.random(len(A)) < 0.1, rng.choice([-1, 1], len(A)), 0).astype(np.int8)
        fixed[0] = 1
        inside = energies[np.all((fixed == Z) | (fixed == 0), axis=1)].min()
        outcome = process_node(
            A, Node(-np.inf, 0, fixed), inside + 1e-6, lambda energy: energy - 1e-9, 0, lambda: False
        )
        assert outcome.bound <= inside + 1e-6
        assert outcome.energy >= inside - 1e-6
        assert np.all((outcome.z == fixed) | (fixed == 0))


# ---- options and backends ---------------------------------------------------------------------------------------


@given(problem=strategies.problems(max_n=7))
def test_the_mip_backend_agrees(problem):
    solution = Exact(backend="milp").solve(problem)
    assert solution.lower_bound <= reference.exact_optimum(problem)
    assert solution.energy == pytest.approx(float(reference.exact_optimum(problem)))


def test_the_mip_backend_says_what_stopped_it(monkeypatch):
    import scipy.optimize

    problem = frustrated(30, 1)
    few = Exact(backend="milp").solve(problem, max_moves=1)
    timed = Exact(backend="milp").solve(problem, time_limit=0)
    none = Exact(backend="milp").solve(problem, max_moves=0)
    assert few.status is none.status is bqp.Status.MAX_MOVES and timed.status is bqp.Status.TIME_LIMIT
    answer = scipy.optimize.OptimizeResult(status=4, x=None)
    monkeypatch.setattr(scipy.optimize, "milp", lambda *args, **kwargs: answer)
    failed = Exact(backend="milp").solve(problem)
    assert failed.status is bqp.Status.NUMERICAL
    for solution in (few, timed, none, failed):
        assert -np.inf < solution.lower_bound <= solution.energy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "gurobi"}, "backend must be one of auto, enumeration, branch_and_bound, odd_cycles, milp"),
        ({"rtol": -1}, r"rtol must be a number in \[0, 1\)"),
        ({"checkpoint": 3}, "checkpoint must be a path"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ParameterError, match=message):
        Exact(**options)


def test_problems_too_large_are_declined():
    with pytest.raises(ProblemError, match="takes at most 30 variables"):
        Exact(backend="enumeration").solve(bqp.BQP(np.ones((40, 40))))
    with pytest.raises(ParameterError, match="checkpoint is for branch_and_bound"):
        Exact(backend="enumeration", checkpoint="x").solve(bqp.BQP(np.ones((4, 4))))

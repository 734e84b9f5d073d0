"""Children: what parents agree on is merged exactly, and nothing else is."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.solvers import SimulatedAnnealing
from bqp.solvers.recombination import Recombination
from bqp.solvers.walks import DenseStorage, SparseStorage, prepare


def random_problem(rng, n, density, scale=1.0, weights=True):
    A = np.triu(rng.integers(-4, 5, (n, n)) * (rng.random((n, n)) < density), 1) * scale
    return bqp.BQP(A + A.T, c=rng.integers(-3, 4, n) * scale if weights else None)


def storages(problem):
    Q = problem.Q.to_dense()
    return [DenseStorage(problem, bqp.forms.Dense(Q)), SparseStorage(problem, bqp.forms.Sparse(sp.csr_array(Q)))]


def groups_by_search(Q, parents):
    """Components of the strong edges on which all parents agree, by repeated spreading of the least index."""
    size = np.abs(Q - np.diag(np.diag(Q)))
    largest = size.max(axis=1)
    tied = (size > 0) & (size >= 0.1 * np.minimum(largest[:, None], largest))
    for x in parents[1:]:
        tied &= np.outer(x, x) == np.outer(parents[0], parents[0])
    label = np.arange(len(Q))
    for _ in range(len(Q)):
        label = np.array([min([label[i], *label[tied[i]]]) for i in range(len(Q))])
    return label


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(2, 4), st.sampled_from([0.2, 0.5, 1.0]))
def test_the_merged_problem_is_the_problem_where_parents_agree(seed, n, n_parents, density):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, n, density, scale=rng.choice([1.0, 0.1, 2.0**30]))
    parents = list(rng.choice([-1, 1], (n_parents, n)).astype(np.int8))
    expected = groups_by_search(problem.Q.to_dense(), parents)
    for storage in storages(problem):
        recombination = Recombination(storage)
        label, n_groups = recombination.merge(parents)
        assert n_groups == len(np.unique(expected)) and label.max() == n_groups - 1
        np.testing.assert_array_equal(np.unique(expected, return_inverse=True)[1], label)
        indptr, indices, data, c = recombination.merged(parents[0], label, n_groups)
        Q = sp.csr_array((data, indices, indptr), shape=(n_groups, n_groups)).toarray() * storage.unit / 4
        merged = bqp.BQP(Q, c * storage.unit / 2)
        ys = np.array(list(itertools.product([-1, 1], repeat=n_groups)), dtype=np.int8)
        differences = problem.energy(parents[0] * ys[:, label]) - merged.energy(ys)
        np.testing.assert_allclose(differences, differences[0], atol=1e-9 * np.abs(Q).max(initial=1.0) * n)


@pytest.mark.parametrize("scale", [1.0, 1 / 3])
def test_a_child_keeps_what_its_parents_agree_on_and_is_reproducible(scale):
    rng = np.random.default_rng(3)
    problem = random_problem(rng, 60, 0.06, scale)
    for storage in storages(problem):
        recombination = Recombination(storage)
        parents = [SimulatedAnnealing(n_restarts=1).solve(problem, rng=s).x for s in range(3)]
        label, n_groups = recombination.merge(parents)
        assert 3 <= n_groups < 60
        made = [0]
        child = recombination.child(parents, np.full(50, 5.0), np.random.default_rng(1), 10**9, lambda: False, made)
        again = recombination.child(parents, np.full(50, 5.0), np.random.default_rng(1), 10**9, lambda: False, [0])
        np.testing.assert_array_equal(child, again)
        ratio = child * parents[0]
        assert made[0] > 7 and any(ratio == -1) and child.dtype == np.int8
        assert all(len(set(ratio[label == g])) == 1 for g in range(n_groups))
        stopped = [0]
        same = recombination.child(parents, np.full(50, 5.0), np.random.default_rng(1), 7, lambda: False, stopped)
        assert stopped[0] == 7 and same.shape == (60,)
        still = recombination.child(parents, np.full(50, 5.0), np.random.default_rng(1), 10**9, lambda: True, [0])
        np.testing.assert_array_equal(still, parents[0])


def test_parents_that_agree_have_a_child_like_them():
    rng = np.random.default_rng(5)
    ring = np.roll(np.eye(9), 1, axis=1)
    recombination = Recombination(prepare(bqp.BQP(ring + ring.T)))
    x = rng.choice([-1, 1], 9).astype(np.int8)
    child = recombination.child([x, -x], np.full(9, 5.0), rng, 10**9, lambda: False, [0])
    np.testing.assert_array_equal(child, x)


def test_two_parents_give_the_best_choice_of_their_clusters_when_cold():
    """At a temperature near 0 a child is the partition crossover: every cluster that gains is taken."""
    rng = np.random.default_rng(8)
    n = 40
    chain = sp.diags_array(rng.choice([-1.0, 1.0], n - 1), offsets=1, shape=(n, n))
    problem = bqp.BQP(sp.csr_array(chain + chain.T))
    recombination = Recombination(prepare(problem))
    first, second = rng.choice([-1, 1], (2, n)).astype(np.int8)
    label, n_groups = recombination.merge([first, second])
    child = recombination.child([first, second], np.full(200, 1e-3), rng, 10**9, lambda: False, [0])
    assert 1 < n_groups < n and problem.energy(child) <= min(problem.energy(first), problem.energy(second))
    assert problem.energy(child) == -2.0 * (n - 1) + 4.0 * sum(
        1
        for i in range(n - 1)
        if label[i] == label[i + 1] and problem.Q.to_dense()[i, i + 1] * first[i] * first[i + 1] > 0
    )


def test_decaying_couplings_are_tied_by_the_strong_ones():
    rng = np.random.default_rng(0)
    n = 60
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    Q = np.triu(rng.standard_normal((n, n)) / np.maximum(distance, 1) ** 3, 1)
    recombination = Recombination(prepare(bqp.BQP(Q + Q.T)))
    assert len(recombination.indices) == n * (n - 1) and len(recombination.strong[1]) < 6 * n
    uniform = np.triu(rng.choice([-1.0, 1.0], (n, n)), 1)
    assert len(Recombination(prepare(bqp.BQP(uniform + uniform.T))).strong[1]) == n * (n - 1)


def torus(side, seed):
    rng = np.random.default_rng(seed)
    node = np.arange(side * side).reshape(side, side)
    i = np.concatenate([node.ravel(), node.ravel()])
    j = np.concatenate([np.roll(node, 1, 0).ravel(), np.roll(node, 1, 1).ravel()])
    A = sp.csr_array((rng.choice([-1.0, 1.0], len(i)), (i, j)), shape=(side**2, side**2))
    return bqp.BQP(A + A.T)


def test_children_go_further_than_runs_alone_on_a_torus():
    problem = torus(24, 3)
    alone, bred = (
        [SimulatedAnnealing(recombine=r).solve(problem, max_moves=1_500_000, rng=s) for s in range(3)]
        for r in (False, True)
    )
    assert np.mean([s.energy for s in bred]) < np.mean([s.energy for s in alone])
    assert all(s.stats["n_better_children"] > 0 for s in bred) and all(s.stats["n_children"] == 0 for s in alone)


def test_threads_do_not_change_children():
    problem = torus(12, 1)
    first, second = (SimulatedAnnealing().solve(problem, max_moves=200_000, rng=4, n_jobs=k) for k in (1, 2))
    np.testing.assert_array_equal(first.x, second.x)
    assert first.n_moves == second.n_moves and first.stats["n_children"] == second.stats["n_children"] > 4
    first, second = (SimulatedAnnealing(n_restarts=40).solve(problem, rng=4, n_jobs=k) for k in (1, 3))
    np.testing.assert_array_equal(first.x, second.x)
    assert first.n_restarts == second.n_restarts == 40

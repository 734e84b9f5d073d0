"""The solver of two-step hashing, beside a literal transcription and beside enumeration."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import fmin_l_bfgs_b

import bqp
from bqp import codes, losses, supervision
from bqp.errors import ParameterError
from bqp.forms import Grouped, LowRank, Sum
from bqp.solvers import BoxRelaxation
from bqp.testing import similarities as cases


def published_bit(A):
    """The authors' solver for z'Az without a diagonal: spectral signs, box descent, accept only what is better."""
    n = len(A)
    A = A / np.abs(A).max()
    vector = np.linalg.eigh(A + A.T)[1][:, 0]
    vector = vector * np.sign(vector[np.argmax(np.abs(vector))])
    z0 = np.where(vector >= 0, 1.0, -1.0)
    z, _, _ = fmin_l_bfgs_b(
        lambda z: (z @ A @ z / n, 2.0 * (A @ z) / n), z0, bounds=[(-1, 1)] * n, maxiter=30, factr=1e-4
    )
    z = np.where(z >= 0, 1.0, -1.0)
    return z if z @ A @ z < z0 @ A @ z0 else z0


@pytest.mark.parametrize("loss, stagewise", [("hinge", False), ("hinge", True), ("ksh", False)])
def test_published_bits_follow_the_authors_steps(loss, stagewise):
    rng = np.random.default_rng(5)
    n, q = 40, 6
    points = rng.standard_normal((n, 2))
    S = np.sign(points @ points.T)
    known = np.triu(rng.random((n, n)) < 0.6, 1)
    i, j = np.nonzero(known)
    pairs = supervision.from_pairs(i, j, S[i, j], n)
    result = codes.bitwise(pairs, q, loss, mode="published", target="stagewise" if stagewise else "full", certify=False)
    known = known | known.T
    D = np.zeros((n, n))
    for k in range(q):
        r = k + 1 if stagewise else q

        def price(d, r=r):
            if loss == "ksh":
                return r * r * (S - (r - 2 * d) / r) ** 2
            return np.where(S > 0, d / r, np.maximum(0.0, 0.5 - d / r)) ** 2

        z = published_bit(np.where(known, 0.5 * (price(D) - price(D + 1)), 0.0))
        np.testing.assert_array_equal(result.B[:, k] * result.B[0, k], z * z[0])
        D += (1.0 - np.outer(z, z)) / 2.0
    assert {bit.solver for bit in result.bits} == {"box_relaxation"} and result.stats["mode"] == "published"
    assert not result.stats["merged"]
    if not stagewise:
        np.testing.assert_array_equal(codes.bitwise(pairs, q, loss, mode="published").B, result.B)


def test_default_bits_are_at_least_as_good():
    S = supervision.from_label_sets((np.random.default_rng(1).random((60, 5)) < 0.4).astype(int))
    for loss in ("ksh", "hinge", losses.Hinge(alpha=0.3), "likelihood"):
        published = codes.bitwise(S, 8, loss, mode="published")
        assert codes.learn(S, 8, loss, n_kicks=5).objective <= published.objective


def test_published_mode_refuses_what_it_does_not_have():
    S = supervision.from_labels([0, 1])
    for arguments in ({"order": "cyclic"}, {"solver": "exact"}, {"reductions": ()}, {"init": np.ones((2, 4))}):
        with pytest.raises(ParameterError, match="mode='published' has its own solver"):
            codes.bitwise(S, 4, mode="published", **arguments)
    with pytest.raises(ParameterError, match="mode must be one of"):
        codes.bitwise(S, 4, mode="paper")


def test_lanczos_and_the_dense_eigenproblem_agree_on_every_form():
    rng = np.random.default_rng(3)
    n = 120
    U = rng.integers(-3, 4, (n, 3)).astype(np.int8)
    groups = rng.integers(0, 4, n)
    M = cases.symmetric(rng, 4, -3, 4)
    form = Sum([LowRank(U, np.array([1.0, -2.0, 1.5])), Grouped(groups, M)])
    c = rng.integers(-20, 21, n).astype(float)
    for linear in (np.zeros(n), c):
        energies = {
            BoxRelaxation().solve(bqp.BQP(Q, linear), rng=seed).energy
            for Q in (form, form.to_dense(), sp.csr_array(form.to_dense()))
            for seed in (0, 1)
        }
        assert len(energies) == 1
    A = form.to_dense()
    np.fill_diagonal(A, 0.0)
    z = published_bit(A)
    problem = bqp.BQP(form)
    assert BoxRelaxation().solve(problem, rng=0).energy == pytest.approx(problem.energy(z.astype(np.int8)))


def test_the_linear_term_decides_signs():
    Q = -np.ones((80, 80))
    for sign in (-1.0, 1.0):
        solution = BoxRelaxation().solve(bqp.BQP(Q, sign * np.ones(80)), rng=0)
        np.testing.assert_array_equal(solution.x, -sign * np.ones(80))


def test_starts():
    rng = np.random.default_rng(0)
    Q = cases.symmetric(rng, 30, -9, 10)
    problem, x0 = bqp.BQP(Q), cases.codes(rng, 30, 1)[:, 0]
    given = BoxRelaxation(start="x0", max_iterations=5).solve(problem, x0=x0, rng=0)
    assert given.energy < problem.energy(x0) and 0 < given.n_moves <= 5
    spectral, many = BoxRelaxation().solve(problem, rng=0), BoxRelaxation(n_restarts=30).solve(problem, rng=0)
    assert many.energy <= spectral.energy and many.n_restarts == 30 and spectral.n_restarts == 1
    best = bqp.solve(problem, rng=0).energy
    assert best <= many.energy <= 0.9 * best
    named = bqp.solve(problem, solver="box_relaxation", n_restarts=30, rng=0, reductions=())
    assert named.solver == "box_relaxation"
    for arguments in ({"start": "zero"}, {"max_iterations": 0}, {"n_restarts": 0}):
        with pytest.raises(ParameterError):
            BoxRelaxation(**arguments)

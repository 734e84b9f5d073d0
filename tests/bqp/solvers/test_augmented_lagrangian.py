"""The augmented Lagrangian solver: a literal transcription, its gradient's constraints, starts, structured forms."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize

import bqp
from bqp import codes, supervision
from bqp.errors import ParameterError
from bqp.forms import LowRank
from bqp.solvers import AugmentedLagrangian
from bqp.solvers.augmented_lagrangian import _Lagrangian


def random_problem(rng, n, linear=False):
    Q = np.triu(rng.integers(-9, 10, (n, n)), 1)
    return Q + Q.T, (rng.integers(-9, 10, n) if linear else np.zeros(n))


def transcribe(Q, c, x0, most=20):
    """Minimise, then lambda -= mu (x^2 - 1), then mu grows where the violation did not halve."""
    n = len(Q)
    scale = max(np.abs(Q).max(), np.abs(c).max())
    Q, c = Q / scale, c / scale
    x = x0.astype(float)
    mu = max(0.25 * np.abs(2 * Q @ x + c).mean(), 1e-3)
    multipliers, last = np.zeros(n), np.inf
    for _ in range(most):

        def lagrangian(x, mu=mu, multipliers=multipliers):
            g = x**2 - 1
            value = x @ Q @ x + c @ x - multipliers @ g + mu / 2 * g @ g
            return value / n, (2 * Q @ x + c - 2 * multipliers * x + 2 * mu * g * x) / n

        x = minimize(lagrangian, x, jac=True, method="L-BFGS-B", options={"maxiter": 50, "ftol": 1e-10, "gtol": 1e-6}).x
        g = x**2 - 1
        if np.abs(g).max() <= 1e-3:
            break
        multipliers = multipliers - mu * g
        mu = 4 * mu if np.abs(g).max() > 0.5 * last else mu
        last = np.abs(g).max()
    return x


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("linear", [False, True])
def test_follows_the_method_of_multipliers(seed, linear):
    rng = np.random.default_rng(seed)
    Q, c = random_problem(rng, 12, linear)
    x0 = np.where(rng.random(12) < 0.5, 1, -1).astype(np.int8)
    z = transcribe(Q, c, x0)
    problem = bqp.BQP(Q, c)
    mine = _Lagrangian(problem).descend(x0.astype(float), 20, None, [0], lambda: False)
    np.testing.assert_allclose(mine, z, atol=1e-4)
    rounded = np.where(z >= 0, 1, -1)
    solution = AugmentedLagrangian(start="x0").solve(problem, x0=x0)
    assert solution.energy == min(rounded @ Q @ rounded + c @ rounded, x0 @ Q @ x0 + c @ x0)
    assert np.abs(mine**2 - 1).max() <= 1e-3 or np.abs(z**2 - 1).max() > 1e-3


@pytest.mark.parametrize("linear", [False, True])
def test_near_the_optimum_of_small_problems(linear):
    ratios = []
    for seed in range(6):
        Q, c = random_problem(np.random.default_rng(seed), 14, linear)
        problem = bqp.BQP(Q, c)
        best = bqp.solve(problem, solver="exact").energy
        for start in ("semidefinite", "spectral"):
            energy = AugmentedLagrangian(start=start).solve(problem, rng=seed).energy
            assert energy >= best
            ratios.append(energy / best)
        several = AugmentedLagrangian(n_restarts=5).solve(problem, rng=seed).energy
        assert several <= AugmentedLagrangian().solve(problem, rng=seed).energy
    assert np.mean(ratios) > 0.9


def test_the_relaxation_is_solved_and_rounded():
    """Goemans and Williamson: the best of many hyperplanes on a cycle of five has four cut edges."""
    cycle = np.roll(np.eye(5), 1, axis=1)
    problem = bqp.BQP.from_maxcut(cycle + cycle.T)
    lagrangian = _Lagrangian(problem)
    leading, roundings = lagrangian.semidefinite(problem, 50, np.random.default_rng(0), lambda: False)
    assert np.abs(leading).max() <= 1 + 1e-12
    assert min(problem.energy(x) for x in roundings) == -4
    Q, c = random_problem(np.random.default_rng(1), 10, True)
    flipped = [
        _Lagrangian(bqp.BQP(Q, sign * c)).semidefinite(
            bqp.BQP(Q, sign * c), 3, np.random.default_rng(0), lambda: False
        )[0]
        for sign in (1, -1)
    ]
    assert bqp.BQP(Q, c).energy(np.where(flipped[0] >= 0, 1, -1).astype(np.int8)) == bqp.BQP(Q, -c).energy(
        np.where(flipped[1] >= 0, 1, -1).astype(np.int8)
    )


def test_forms_agree():
    rng = np.random.default_rng(0)
    U, d = rng.integers(-3, 4, (30, 4)).astype(float), np.array([1.0, -2.0, 0.5, -1.0])
    dense = U @ np.diag(d) @ U.T
    energies = [
        AugmentedLagrangian(start=start).solve(bqp.BQP(Q), rng=0).energy - np.trace(dense)
        for start in ("semidefinite", "spectral")
        for Q in (dense, sp.csr_array(dense), LowRank(U, d))
    ]
    np.testing.assert_allclose(energies[:3], energies[0], rtol=1e-9)
    np.testing.assert_allclose(energies[3:], energies[3], rtol=1e-9)


def test_as_the_solver_of_a_bit():
    Y = (np.random.default_rng(0).random((60, 5)) < 0.4).astype(int)
    S = supervision.from_label_sets(Y)
    result = codes.bitwise(S, 6, solver="augmented_lagrangian", certify=False)
    assert {bit.solver for bit in result.bits} == {"augmented_lagrangian"}
    plain = codes.bitwise(S, 6, mode="published", loss="ksh", certify=False)
    assert result.objective <= plain.objective
    assert bqp.solve(bqp.BQP(np.eye(3) - 1), solver="augmented_lagrangian", start="spectral").energy == -6


def test_settings():
    for wrong in ({"start": "warm"}, {"max_iterations": 0}, {"n_roundings": -1}, {"n_restarts": 0}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            AugmentedLagrangian(**wrong)

"""The contract of a lower bound, as a list of checks that any bound can be put through."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp

from bqp.forms import Form, Grouped, LowRank, Sparse, Sum
from bqp.problem import BQP
from bqp.solution import Bound
from bqp.testing import reference
from bqp.testing.solver_checks import require, run_checks

__all__ = ["BOUND_CHECKS", "check_bound"]

BoundFunction = Callable[[BQP], Bound]


def _bound(fn: BoundFunction, problem: BQP) -> float:
    """The value, after a look at everything that must hold for it; compared with the optimum in exact arithmetic."""
    bound = fn(problem)
    require(isinstance(bound, Bound), f"a bound must be a bqp.Bound, got {type(bound).__name__}")
    require(isinstance(bound.kind, str) and bound.kind, f"kind must say how it was obtained, got {bound.kind!r}")
    require(not np.isnan(bound.value) and bound.value < np.inf, f"value is {bound.value!r}")
    if problem.n <= 8:
        best = reference.exact_optimum(problem)
        require(
            bound.value == -np.inf or bound.value <= best,
            f"{bound.value!r} lies above the exact optimum {float(best)!r} of {problem}",
        )
    return bound.value


def _matrix(n: int, seed: int = 0) -> np.ndarray:
    A = np.random.default_rng((seed, n)).integers(-5, 6, (n, n)).astype(float)
    return A + A.T


def check_small(fn: BoundFunction) -> None:
    """n = 0 and n = 1, where the optimum is at hand."""
    for domain in ("spin", "binary"):
        _bound(fn, BQP(np.zeros((0, 0)), offset=2.5, domain=domain))
        for c in (-3.0, 0.0, 3.0):
            _bound(fn, BQP([[2.0]], c=[c], offset=1.0, domain=domain))


def check_zero_matrix(fn: BoundFunction) -> None:
    """Q = 0, with and without a linear term."""
    _bound(fn, BQP(np.zeros((4, 4)), offset=7.0))
    _bound(fn, BQP(np.zeros((4, 4)), c=[1, -2, 3, 0]))


def check_valid(fn: BoundFunction) -> None:
    """Below the optimum on integers, in both domains and senses, with a diagonal, a linear term and an offset."""
    for seed in range(5):
        c = np.random.default_rng(seed).integers(-9, 10, 7)
        for domain in ("spin", "binary"):
            for sense in ("min", "max"):
                _bound(fn, BQP(_matrix(7, seed), c, 3.0, domain, sense))
    _bound(fn, BQP(_matrix(7)))


def check_forms(fn: BoundFunction) -> None:
    """Below the optimum on every shape of Q."""
    rng = np.random.default_rng(1)
    U, d = rng.integers(-3, 4, (7, 2)).astype(np.int8), np.array([1.0, -2.0])
    groups, M = np.array([0, 1, 2, 0, 1, 2, 0]), np.array([[0.0, 2, -1], [2, -1, 3], [-1, 3, 1]])
    shapes: list[Form] = [LowRank(U, d), Grouped(groups, M), Grouped(groups, M, np.arange(7.0))]
    shapes += [Sparse(sp.csr_array(_matrix(7))), Sum([LowRank(U, d), Grouped(groups, M)])]
    for form in shapes:
        for domain in ("spin", "binary"):
            _bound(fn, BQP(form, rng.integers(-9, 10, 7), 1.0, domain))


def check_floats(fn: BoundFunction) -> None:
    """Below the optimum in exact arithmetic where sums are rounded: a tight bound needs a margin."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        n, scale = 2 + seed % 4, (1.0, 1e-3, 1e6)[seed % 3]
        A = scale * rng.standard_normal((n, n))
        attracting = -np.abs(A + A.T)  # where many bounds are tight
        for Q in (A + A.T, attracting):
            _bound(fn, BQP(Q, scale * rng.standard_normal(n), scale / 3, ("spin", "binary")[seed % 2]))


def check_magnitudes(fn: BoundFunction) -> None:
    """Numbers from 1e-100 to 1e100, large beside small, and a large offset."""
    c = np.array([1.0, -2, 0, 1, 3])
    for scale in (1e100, 1e-100, 1e13):
        _bound(fn, BQP(scale * _matrix(5), scale * c, scale))
    mixed = _matrix(5)
    mixed[0, 1] = mixed[1, 0] = 1e13
    _bound(fn, BQP(mixed, c))
    _bound(fn, BQP(_matrix(5), c, offset=1e16))


def check_offset(fn: BoundFunction) -> None:
    """A power-of-two offset moves the bound of an integer problem, up to rounding."""
    plain, moved = (_bound(fn, BQP(_matrix(7), offset=offset)) for offset in (0.0, 1024.0))
    require(abs(moved - plain - 1024.0) <= 1e-9 * (1024.0 + abs(plain)), f"offset 1024 moved {plain} to {moved}")


def check_input_untouched(fn: BoundFunction) -> None:
    """The problem is as it was, and asking twice gives one answer."""
    problem = BQP(_matrix(7), np.arange(7.0), 1.0, "binary")
    before = problem.Q.to_dense(), problem.c.copy(), problem.offset
    first, second = _bound(fn, problem), _bound(fn, problem)
    require(first == second, f"two calls gave {first!r} and {second!r}")
    same = np.array_equal(problem.Q.to_dense(), before[0]) and np.array_equal(problem.c, before[1])
    require(same and problem.offset == before[2], "the problem was changed")


def check_larger(fn: BoundFunction) -> None:
    """n = 60: below the energies of random assignments."""
    problem = BQP(_matrix(60), np.arange(60.0))
    X = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), size=(200, 60))
    require(_bound(fn, problem) <= np.min(problem.energy(X)), "above the energy of an assignment")


BOUND_CHECKS: dict[str, Callable[[BoundFunction], None]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_small, check_zero_matrix, check_valid, check_forms, check_floats, check_magnitudes, check_offset,
        check_input_untouched, check_larger,
    )
}  # fmt: skip


def check_bound(fn: BoundFunction, *, only: Sequence[str] | None = None) -> None:
    """Put a lower bound through its contract: valid on every problem, rounding included, and without side effects.

    Parameters
    ----------
    fn : callable
        Takes a BQP and returns a `bqp.Bound`; ``functools.partial`` fixes its settings.
    only : sequence of str, optional
        Names of checks, default all of `BOUND_CHECKS`.

    Raises
    ------
    AssertionError
        What broke, prefixed by the name of the check.

    Examples
    --------
    >>> import bqp
    >>> from bqp.testing import check_bound
    >>> check_bound(lambda problem: bqp.lower_bound(problem, method="trivial"), only=["small", "valid"])
    """
    run_checks(BOUND_CHECKS, fn, only)

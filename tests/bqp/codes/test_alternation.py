"""Alternation: the penalised objective by its definition, its two limits, and the rules of its rounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import codes, losses, supervision
from bqp.codes import alternation as function
from bqp.errors import ParameterError, ProblemError
from bqp.solvers import CoordinateDescent
from bqp.testing import similarities as cases

LOSSES = ("ksh", "bre", "hinge", "exponential")


class Ridge:
    """Linear functions by ridge regression; remembers its calls."""

    def __init__(self, n, d=3, seed=0, ridge=0.1):
        self.X = np.hstack([np.random.default_rng(seed).standard_normal((n, d)), np.ones((n, 1))])
        self.solve = np.linalg.inv(self.X.T @ self.X + ridge * np.eye(d + 1)) @ self.X.T
        self.outputs = []

    def __call__(self, B, bits, sample_weight=None):
        assert B.dtype == np.int8 and bits == list(range(B.shape[1]))
        self.outputs.append(self.X @ (self.solve @ B[:, bits].astype(float)))
        return self.outputs[-1]


def penalised(name, S, W, Z, H, mu):
    q = Z.shape[1]
    loss, G = losses.get(name), Z.astype(float) @ Z.T.astype(float)
    value = sum(W[i, j] * loss(S[i, j], G[i, j], q) for i in range(len(S)) for j in range(len(S)) if W[i, j])
    return float(value + mu * np.sum((Z - H.astype(float)) ** 2))


def falls_while_mu_stands(result):
    mu = result.stats["trace_mu"]
    assert np.all(np.diff(mu) >= 0)
    steps = np.diff(result.trace.objective)[np.diff(mu) == 0]
    assert np.all(steps <= 1e-9 * np.abs(result.trace.objective[:-1])[np.diff(mu) == 0])


@settings(deadline=None, max_examples=50)
@given(
    case=cases.similarities(max_n=7), loss=st.sampled_from(LOSSES), q=st.integers(1, 4), seed=st.integers(0, 9),
    solver=st.sampled_from(("auto", "quad", "cut", "coordinate_descent")), use_init=st.booleans(),
)  # fmt: skip
def test_result_says_the_truth(case, loss, q, seed, solver, use_init):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    refit = Ridge(len(S), seed=seed)
    init = cases.codes(np.random.default_rng(seed), len(S), q) if use_init else None
    seen = []
    result = codes.alternation(
        similarity, q, refit, loss, solver=solver, max_outer=5, rng=seed, init=init,
        callback=lambda event: seen.append((event.x, event.energy)),
    )  # fmt: skip
    B = result.B
    assert B.shape == (len(S), q) and B.dtype == np.int8 and set(np.unique(B)) <= {-1, 1}
    np.testing.assert_allclose(result.objective, penalised(loss, S, W, B, B, 0), rtol=1e-12, atol=1e-12)
    assert result.ksh_objective == penalised("ksh", S, W, B, B, 0)
    assert result.lower_bound <= result.objective and result.ksh_lower_bound <= result.ksh_objective
    falls_while_mu_stands(result)
    stats = result.stats
    H = np.column_stack([np.where(refit.outputs[c][:, k] >= 0, 1, -1) for k, c in enumerate(stats["refit_calls"])])
    final = penalised(loss, S, W, B, H, stats["mu"])
    np.testing.assert_allclose(result.trace.objective[-1], final, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(stats["trace_loss"][-1], result.objective, rtol=1e-10, atol=1e-10)
    assert stats["trace_misfit"][-1] == np.sum((B - H.astype(float)) ** 2)
    np.testing.assert_allclose(stats["hashed_objective"], penalised(loss, S, W, H, H, 0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        result.trace.objective, stats["trace_loss"] + stats["trace_mu"] * stats["trace_misfit"], rtol=1e-12
    )
    assert len(seen) == len(result.trace)
    np.testing.assert_array_equal(seen[-1][0], B)
    if stats["ended"] == "Z = h(X)":
        np.testing.assert_array_equal(B, H)


@settings(deadline=None, max_examples=40)
@given(case=cases.similarities(max_n=6), loss=st.sampled_from(LOSSES), q=st.integers(1, 3), mu=st.integers(0, 40))
def test_a_bit_minimises_the_penalised_objective(case, loss, q, mu):
    """After one round no bit alone has a better value: by enumeration of every column."""
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    refit = Ridge(len(S))
    init = cases.codes(np.random.default_rng(1), len(S), q)
    result = codes.alternation(
        similarity, q, refit, loss, mu=float(mu), factor=1.0, max_outer=1, max_passes=50, init=init
    )
    H = np.where(refit.outputs[0] >= 0, 1, -1)
    best = penalised(loss, S, W, result.B, H, mu)
    for k in range(q):
        for x in cases.all_assignments(len(S)):
            other = result.B.copy()
            other[:, k] = x
            assert penalised(loss, S, W, other, H, mu) >= best * (1 - 1e-9) - 1e-9


@settings(deadline=None, max_examples=40)
@given(case=cases.similarities(max_n=7), loss=st.sampled_from(LOSSES), q=st.integers(1, 4), seed=st.integers(0, 9))
def test_mu_to_zero_gives_the_cyclic_codes(case, loss, q, seed):
    similarity, _, _ = case
    init = cases.codes(np.random.default_rng(seed), similarity.n, q)
    refit = Ridge(similarity.n, seed=seed)
    known = similarity.known
    result, cyclic = both(similarity, q, refit, loss, 0.0, init)
    np.testing.assert_array_equal(result.B[known], cyclic.B[known])
    assert result.objective == cyclic.objective
    n = similarity.n + 1
    S, W = np.random.default_rng(seed).random((2, n, n))
    generic = supervision.from_matrix(2 * (S + S.T) - 2, W + W.T)
    init = cases.codes(np.random.default_rng(seed), n, q)
    refit = Ridge(n, seed=seed)
    if loss != "hinge":  # without ties, which any penalty breaks; the hinge is flat in places
        result, cyclic = both(generic, q, refit, loss, 1e-9, init)
        np.testing.assert_array_equal(result.B, cyclic.B)


def both(similarity, q, refit, loss, mu, init):
    descent = CoordinateDescent(n_restarts=1)
    result = codes.alternation(
        similarity, q, refit, loss, solver=descent, mu=mu, factor=1.0, max_outer=1, max_passes=99, init=init
    )
    cyclic = codes.bitwise(
        similarity, q, loss=loss, solver=descent, order="cyclic", init=init, reductions=(), n_kicks=0, max_cycles=99
    )
    return result, cyclic


@settings(deadline=None, max_examples=40)
@given(
    case=cases.similarities(max_n=7), loss=st.sampled_from(LOSSES), q=st.integers(1, 4), seed=st.integers(0, 9),
    solver=st.sampled_from(("auto", "quad", "cut", "coordinate_descent")),
)  # fmt: skip
def test_mu_to_infinity_gives_the_outputs(case, loss, q, seed, solver):
    similarity, _, _ = case
    refit = Ridge(similarity.n, seed=seed)
    init = cases.codes(np.random.default_rng(seed), similarity.n, q)
    result = codes.alternation(similarity, q, refit, loss, solver=solver, mu=1e9, factor=1.0, init=init)
    np.testing.assert_array_equal(result.B, np.where(refit.outputs[0] >= 0, 1, -1))
    assert result.stats["ended"] == "Z = h(X)" and result.stats["n_outer"] == 1


def transcribe(S, W, Z, refit, mu, factor, n_outer, solve):
    """Published rounds in their own words: every bit given the others, functions always replaced."""
    q = Z.shape[1]
    Z = Z.astype(float).copy()
    h = np.where(refit(Z.astype(np.int8), list(range(q))) >= 0, 1.0, -1.0)
    for _ in range(n_outer):
        for k in range(q):
            others = np.delete(Z, k, axis=1)
            A = -2 * W * (q * S - others @ others.T)
            np.fill_diagonal(A, 0)
            c = -2 * mu * h[:, k]
            x = solve(A, c, Z[:, k])
            if x @ A @ x + c @ x < Z[:, k] @ A @ Z[:, k] + c @ Z[:, k]:
                Z[:, k] = x
        h = np.where(refit(Z.astype(np.int8), list(range(q))) >= 0, 1.0, -1.0)
        if np.array_equal(Z, h):
            break
        mu *= factor
    return Z, h


@pytest.mark.parametrize("seed", range(6))
def test_published_mode_is_the_recalled_schedule(seed):
    """quad, mu = 0.01, times 1.4, given pairs; the box solver is scipy's in both, the rest is written out."""
    from scipy.optimize import minimize

    def box(A, c, z):
        found = minimize(
            lambda y: (y @ A @ y + c @ y, 2 * A @ y + c), z, jac=True, method="L-BFGS-B",
            bounds=[(-1, 1)] * len(z), options={"maxiter": 100},
        ).x  # fmt: skip
        return np.where(found > 0, 1.0, np.where(found < 0, -1.0, z))

    rng = np.random.default_rng(seed)
    n, q = 14, 3
    S = np.sign(cases.symmetric(rng, n, -1, 1) + 0.5)
    W = cases.symmetric(rng, n, 0, 2)
    np.fill_diagonal(W, 0)
    i, j = np.nonzero(np.triu(W))
    pairs = supervision.from_pairs(i, j, S[i, j], n)
    init = cases.codes(rng, n, q)
    result = codes.alternation(pairs, q, Ridge(n, seed=seed), mode="published", max_outer=12, init=init)
    Z, h = transcribe(S, W, init, Ridge(n, seed=seed), 0.01, 1.4, 12, box)
    np.testing.assert_array_equal(result.B, Z)
    assert result.stats["trace_misfit"][-1] == np.sum((Z - h) ** 2)
    assert result.stats["trace_mu"][0] == 0.01 and result.stats["factor"] == 1.4


def test_published_mode_samples_labels():
    y = np.arange(60) % 3
    refit = Ridge(60, d=8)
    result = codes.alternation(supervision.from_labels(y), 4, refit, mode="published", solver="cut", max_outer=3)
    assert result.stats["trace_mu"][0] == 0.3 and result.stats["n_pairs"] == 60 * 59
    assert result.objective == supervision.from_labels(y).ksh_objective(result.B)
    assert np.all(result.stats["refit_calls"] == result.stats["n_outer"])


def test_a_function_that_fits_worse_is_not_taken():
    n, q = 30, 4
    good = Ridge(n, d=6)
    rng = np.random.default_rng(0)
    n_calls = [0]

    def refit(B, bits, sample_weight=None):
        n_calls[0] += 1
        return good(B, bits) if n_calls[0] == 1 else -B[:, bits].astype(float)

    S = supervision.from_labels(np.arange(n) % 3)
    init = cases.codes(rng, n, q)
    result = codes.alternation(S, q, refit, max_outer=6, init=init)
    falls_while_mu_stands(result)
    assert np.all(result.stats["refit_calls"] == 0)
    n_calls[0] = 0
    published = codes.alternation(S, q, refit, max_outer=6, init=init, mode="published", factor=1.0)
    assert np.all(published.stats["refit_calls"] == published.stats["n_outer"])


def test_validation_stops_and_the_best_round_comes_back():
    n, q = 40, 4
    S = supervision.from_labels(np.arange(n) % 4)
    scores = iter([0.5, 0.7, 0.6, 0.6, 0.9])
    seen = []

    def validation(B, F):
        assert B.dtype == np.int8 and F.shape == (n, q)
        seen.append(B)
        return next(scores)

    result = codes.alternation(S, q, Ridge(n), validation=validation, factor=1.3, patience=2)
    assert result.stats["ended"] == "validation" and result.stats["n_outer"] == 4
    np.testing.assert_array_equal(result.B, seen[1])
    assert result.stats["validation"] == [0.5, 0.7, 0.6, 0.6]
    assert result.stats["refit_calls"].max() <= 2
    scores = iter([0.5, 0.7, 0.6])
    seen.clear()
    result = codes.alternation(S, q, Ridge(n), validation=validation, mode="published")
    assert result.stats["ended"] == "validation"
    np.testing.assert_array_equal(result.B, seen[-1])


@pytest.mark.parametrize("loss", ["ksh", "bre"])
def test_structured_problems_agree_with_written_out_ones(loss):
    """510 points on the structured path (weights, unknown labels, weights of classes) against the matrices."""
    rng = np.random.default_rng(1)
    n, q = 510, 2
    y = rng.integers(-1, 4, n)
    V = cases.symmetric(rng, 4, 1, 4)
    for S in (
        supervision.from_labels(y),
        supervision.from_labels(y, weights=rng.integers(1, 4, n)),
        supervision.from_labels(y, class_weights=V),
    ):
        refit = Ridge(n, d=6)
        T, W = S.to_dense()
        dense = supervision.from_matrix(T, W)
        init = cases.codes(rng, n, q)
        ours = codes.alternation(S, q, refit, loss, max_outer=2, init=init, certify=False, mu=5.0, factor=2.0)
        theirs = codes.alternation(dense, q, refit, loss, max_outer=2, init=init, mu=5.0, factor=2.0)
        np.testing.assert_allclose(ours.objective, theirs.objective, rtol=1e-10)
        np.testing.assert_array_equal(ours.B, theirs.B)
        falls_while_mu_stands(ours)


def test_cut_and_default_start_on_labels():
    n = 520
    y = np.random.default_rng(0).integers(0, 5, n)
    X = np.eye(5)[y] + 0.3 * np.random.default_rng(1).standard_normal((n, 5))
    refit = Ridge(n)
    refit.X, refit.solve = X, np.linalg.pinv(X)
    S = supervision.from_labels(y)
    for solver in ("auto", "cut", "quad"):
        result = codes.alternation(S, 4, refit, solver=solver, max_outer=5)
        falls_while_mu_stands(result)
        assert result.stats["trace_misfit"][-1] <= result.stats["trace_misfit"][0]
        assert result.ksh_lower_bound <= result.ksh_objective


def test_losses_without_structure_sample_pairs_of_many_points():
    n = 4200
    S = supervision.from_labels(np.arange(n) % 10)
    X = np.eye(10)[np.arange(n) % 10]

    def refit(B, bits, sample_weight=None):
        return X @ (X.T @ B[:, bits].astype(float))

    init = cases.codes(np.random.default_rng(0), n, 1)
    result = codes.alternation(S, 1, refit, "hinge", max_outer=1, max_passes=1, init=init, certify=False)
    assert result.stats["n_pairs"] > 4200 * 200
    np.testing.assert_allclose(result.objective, losses.value(S, result.B, "hinge"), rtol=1e-12)


def test_same_seed_same_codes():
    S = supervision.from_labels(np.arange(40) % 4)
    for solver in ("auto", "cut", "tabu_search"):
        runs = [
            codes.alternation(S, 2, Ridge(40), solver=solver, max_outer=2, rng=5, n_jobs=jobs).B for jobs in (1, 1, 2)
        ]
        np.testing.assert_array_equal(runs[0], runs[1])
        np.testing.assert_array_equal(runs[0], runs[2])


def test_stopping():
    S, n, q = supervision.from_labels(np.arange(30) % 3), 30, 4
    init = cases.codes(np.random.default_rng(0), n, q)
    seen = []

    def stop_at_three(event):
        seen.append(event.x)
        return len(seen) == 3

    result = codes.alternation(S, q, Ridge(n), init=init, callback=stop_at_three)
    assert result.stats["stopped"] == "callback" and len(seen) == 3
    np.testing.assert_array_equal(result.B, seen[-1])
    result = codes.alternation(S, q, Ridge(n), init=init, time_limit=0)
    assert result.stats["stopped"] == "time_limit"
    np.testing.assert_array_equal(result.B, init)

    def interrupted(B, bits, sample_weight=None):
        raise KeyboardInterrupt

    result = codes.alternation(S, q, interrupted, init=init)
    assert result.stats["stopped"] == "interrupted"
    np.testing.assert_array_equal(result.B, init)


def test_one_point_and_one_class():
    alone = codes.alternation(supervision.from_labels([0]), 3, Ridge(1))
    assert alone.objective == 0.0
    one_class = codes.alternation(supervision.from_labels([0] * 6), 3, Ridge(6))
    assert one_class.objective == 0.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(n_bits=0), ParameterError, "n_bits must be an integer >= 1, got 0"),
        (dict(refit=None), ParameterError, "refit must be a function of (B, bits), got None"),
        (dict(loss="square"), ParameterError, "unknown loss 'square'"),
        (dict(mode="fast"), ParameterError, "mode must be one of default, published"),
        (dict(mu=-1.0), ParameterError, "mu must be a finite number >= 0, got -1.0"),
        (dict(mu=np.nan), ParameterError, "mu must be a finite number >= 0, got nan"),
        (dict(factor=0.5), ParameterError, "factor must be a finite number >= 1, got 0.5"),
        (dict(max_outer=0), ParameterError, "max_outer must be an integer >= 1"),
        (dict(max_passes=0), ParameterError, "max_passes must be an integer >= 1"),
        (dict(patience=0), ParameterError, "patience must be an integer >= 1"),
        (dict(validation=3), ParameterError, "validation must be a function of (B, F), or None, got 3"),
        (dict(solver="magic"), ParameterError, "unknown solver 'magic'"),
        (dict(solver="cut", colour=1), ParameterError, "unknown option 'colour'"),
        (dict(init=np.ones((3, 2))), ProblemError, "init must have 4 columns"),
        (dict(refit=lambda B, bits: np.ones((3, 2))), ProblemError, "refit must return shape (3, 4)"),
        (dict(refit=lambda B, bits: np.full((3, 4), np.nan)), ProblemError, "refit returned nan at (0, 0), bit 0"),
        (dict(refit=lambda B, bits: "abc"), ProblemError, "refit must return real numbers"),
    ],
)
def test_bad_calls(arguments, error, message):
    with pytest.raises(error) as caught:
        codes.alternation(supervision.from_labels([0, 1, 1]), **{"n_bits": 4, "refit": Ridge(3), **arguments})
    assert message in str(caught.value)


def test_a_matrix_is_not_a_similarity():
    with pytest.raises(ProblemError, match="S must be a Similarity, got ndarray"):
        function(np.eye(3), 2, Ridge(3))

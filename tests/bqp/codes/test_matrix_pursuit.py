"""Binary matrix pursuit: the authors' course step by step, least squares by design matrix, and bits by brute force."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import codes, supervision
from bqp.codes import _pursuit
from bqp.errors import ParameterError, ProblemError
from bqp.testing import similarities as cases

GROUPED = ("labels", "label_sets", "groups")


def objective(S, W, B, v):
    """sum over i != j of w_ij (q S_ij - q sum_k v_k b_ik b_jk)^2, from the matrices."""
    W = W - np.diag(np.diag(W))
    q, codes_ = B.shape[1], B.astype(float)
    return float(np.sum(W * (q * S - q * (codes_ * v) @ codes_.T) ** 2))


def eigenvector_signs(M, normal):
    values, vectors = np.linalg.eigh(M)
    top = vectors[:, values > values[-1] - 1e-9 * np.abs(values).max()]
    u = top @ top.T @ normal
    return np.where(u > 1e-9 * np.abs(u).max(), 1.0, -1.0)


def transcribe(S, n_bits, max_iter, weighted, seed, tol=1e-6):
    """The authors' loop in their own order: pair-by-pair regression with pinv, masks written out."""
    normal, draws = (np.random.Generator(np.random.PCG64(c)) for c in np.random.SeedSequence(seed).spawn(2))
    C = len(S)
    mask = np.ones((C, C)) - np.eye(C)
    if not weighted:
        R, columns, norms = S * max_iter, [], [np.linalg.norm(mask * S * max_iter)]
        for _ in range(max_iter):
            y = eigenvector_signs(R, normal.standard_normal(C))
            R = R - np.outer(y, y)
            columns.append(y)
            norms.append(np.linalg.norm(mask * R))
        return np.array(columns).T, None, norms
    L = np.linalg.norm(mask * S)
    inside = mask.ravel() == 1
    X, columns, v, norms = np.zeros((C, C)), [], np.empty(0), [L]
    while len(columns) < max_iter:
        R = mask * (S - X)
        if np.linalg.norm(R) < tol and len(columns) > n_bits:
            break
        y = eigenvector_signs(R, normal.standard_normal(C))
        seen = [] if not columns else [-np.ones(C), *columns]
        tries = 0
        if abs(y @ R @ y) < 1e-9 * L:
            return None
        while any(np.array_equal(y, z) for z in seen) or y @ R @ y < 0:
            y = 2.0 * draws.integers(0, 2, C, dtype=np.int8) - 1
            tries += 1
            if tries > 1000 or abs(y @ R @ y) < 1e-9 * L:
                return None  # nothing new, or a tie that rounding decides (the complement of a bit, for one)
        v = np.append(v, y @ R @ y / (L * C**2))
        columns.append(y)
        X = X + v[-1] * np.outer(y, y)
        design = np.column_stack([np.outer(z, z).ravel()[inside] for z in columns])
        fitted = np.linalg.pinv(design) @ S.ravel()[inside]
        model = sum(weight * np.outer(z, z) for weight, z in zip(fitted, columns))
        if np.linalg.norm(mask * (model - S)) < np.linalg.norm(mask * (X - S)):
            v, X = fitted, model
        norms.append(np.linalg.norm(mask * (X - S)))
    return np.array(columns).T, v, norms


@settings(deadline=None, max_examples=60)
@given(
    C=st.integers(4, 9), q=st.integers(1, 6), extra=st.integers(0, 3), seed=st.integers(0, 99),
    weighted=st.booleans(), levels=st.booleans(),
)  # fmt: skip
def test_published_mode_is_the_authors_loop(C, q, extra, seed, weighted, levels):
    rng = np.random.default_rng(seed)
    T = rng.integers(0, 7, (C, C)) / 3 - 1 if levels else np.sign(rng.random((C, C)) - 0.6)
    T = np.triu(T) + np.triu(T, 1).T
    np.fill_diagonal(T, 1)
    groups = np.concatenate([np.arange(C), rng.integers(0, C, 12)])  # groups count once, whatever their size
    expected = transcribe(T, q, q + extra, weighted, seed)
    if expected is None or min(expected[2]) < 1e-5:
        return  # nothing but rounding noise is left, which no two programs share
    B, v, norms = expected
    result = codes.matrix_pursuit(
        supervision.from_groups(groups, T), q, weighted=weighted, mode="published", max_iter=q + extra, rng=seed
    )
    np.testing.assert_array_equal(result.B[:C], B[:, :q])
    np.testing.assert_array_equal(result.B, result.B[:C][groups])
    np.testing.assert_allclose(result.stats["residual_norms"], norms, rtol=1e-9)
    scale = q if weighted else 1
    np.testing.assert_allclose(np.sqrt(result.trace.objective) / scale, norms[1:], rtol=1e-9)
    if weighted:
        np.testing.assert_allclose(result.weights, v[:q], rtol=1e-6, atol=1e-8)
        assert result.stats["progress_holds"]
    else:
        assert result.weights is None


@settings(deadline=None, max_examples=120)
@given(
    case=cases.similarities(max_n=7), q=st.integers(1, 5), weighted=st.booleans(), seed=st.integers(0, 9),
    mode=st.sampled_from(("default", "published")),
)  # fmt: skip
def test_result_says_the_truth(case, q, weighted, seed, mode):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    result = codes.matrix_pursuit(similarity, q, weighted=weighted, mode=mode, rng=seed)
    B = result.B
    assert B.shape == (len(S), q) and B.dtype == np.int8 and set(np.unique(B)) <= {-1, 1}
    assert result.ksh_objective == float(np.sum(W * (q * S - B.astype(float) @ B.T) ** 2))
    assert result.ksh_lower_bound <= result.ksh_objective and result.lower_bound <= result.objective
    if weighted:
        size = q * q * float(np.sum(W * S * S)) + 1
        np.testing.assert_allclose(result.objective, objective(S, W, B, result.weights), rtol=1e-9, atol=1e-12 * size)
        assert result.stats["progress_holds"]
    else:
        assert result.objective == result.ksh_objective - float(np.sum(np.diag(W * (q * S - q) ** 2)))
    if mode == "default":
        assert np.all(np.diff(result.trace.objective) <= 0)
        if len(result.trace):
            np.testing.assert_allclose(result.trace.objective[-1], result.objective, rtol=1e-9, atol=1e-9)
        for a in np.unique(getattr(similarity, "groups", [])):
            if similarity.T[a, a] >= 1:
                known = np.flatnonzero((similarity.groups == a) & similarity.known)
                assert (B[known] == B[known[:1]]).all()


@settings(deadline=None, max_examples=60)
@given(case=cases.similarities(max_n=6), q=st.integers(1, 4))
def test_default_weights_are_least_squares_over_all_pairs(case, q):
    """Against the design matrix with one row a pair that the authors build."""
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    result = codes.matrix_pursuit(similarity, q, rng=0)
    i, j = np.nonzero(W * (1 - np.eye(len(S))))
    root = np.sqrt(W[i, j])
    design = (result.B[i] * result.B[j]) * root[:, None]
    best = np.linalg.lstsq(design, S[i, j] * root, rcond=None)[0] if len(i) else np.zeros(q)
    least = q * q * float(np.sum((S[i, j] * root - design @ best) ** 2))
    np.testing.assert_allclose(result.objective, least, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(case=cases.similarities(max_n=6, kinds=("matrix", "pairs", "groups")), q=st.integers(1, 4))
def test_every_bit_is_the_best_and_gains_what_theory_promises(case, q):
    """Bits by enumeration; ||R_t||^2 <= ||R_0||^2 prod(1 - rho^2); max D >= sqrt(2) ||R|| / 18 for unit weights."""
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    result = codes.matrix_pursuit(similarity, q, max_cycles=0, rng=0)
    W = W - np.diag(np.diag(W))
    norms, gains, total = result.stats["residual_norms"], result.stats["gains"], W.sum()
    X = cases.all_assignments(len(S)).astype(float)
    if similarity.structure != "grouped" and len(gains):
        first = np.einsum("ai,ij,aj->a", X, W * S, X).max()
        np.testing.assert_allclose(gains[0], first, rtol=1e-12)
    bound = norms[0] ** 2
    for t, gain in enumerate(gains):
        assert gain > 0
        bound -= bound * (gain / (np.sqrt(total) * norms[t])) ** 2
        assert norms[t + 1] ** 2 <= bound * (1 + 1e-9) + 1e-9 * norms[0] ** 2
    R = W * S
    if similarity.structure == "matrix" and similarity.W is None and np.any(R):
        assert gains[0] >= np.sqrt(2) * np.linalg.norm(R) / 18


@settings(deadline=None, max_examples=100)
@given(n=st.integers(2, 7), seed=st.integers(0, 999))
def test_some_bit_always_correlates_with_a_masked_residual(n, seed):
    """Behind the rate: E D = 0, E D^2 = 2 ||R||^2 and E D^4 <= 81 (E D^2)^2, so that max D >= sqrt(2) ||R|| / 18."""
    R = cases.symmetric(np.random.default_rng(seed), n, -4, 5)
    np.fill_diagonal(R, 0)
    X = cases.all_assignments(n).astype(float)
    D = np.einsum("ai,ij,aj->a", X, R, X)
    norm2 = float(np.sum(R * R))
    assert D.mean() == 0 and np.mean(D**2) == 2 * norm2
    assert np.mean(D**4) <= 81 * (2 * norm2) ** 2
    assert D.max() >= np.sqrt(2 * norm2) / 18


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("kind", ["classes", "label_sets", "levels"])
def test_default_is_at_least_as_good_as_published(weighted, kind):
    rng = np.random.default_rng(5)
    if kind == "classes":
        S = supervision.from_labels(np.arange(12))
    elif kind == "label_sets":
        S = supervision.from_label_sets(np.unique((rng.random((30, 6)) < 0.3).astype(int), axis=0)[1:])
    else:
        A = rng.random((18, 3))
        T = 2 * (A @ A.T) / 3 - 1
        S = supervision.from_matrix(0.5 * (T + T.T))
    q = 6
    ours = codes.matrix_pursuit(S, q, weighted=weighted, rng=0)
    for seed in range(5):
        theirs = codes.matrix_pursuit(S, q, weighted=weighted, mode="published", max_iter=q, rng=seed)
        assert ours.objective <= theirs.objective * (1 + 1e-12)


def test_group_sizes_count_in_the_default_mode():
    y = np.repeat(np.arange(6), [50, 1, 1, 30, 2, 2])
    S, W = supervision.from_labels(y).to_dense()
    ours = codes.matrix_pursuit(supervision.from_labels(y), 4)
    theirs = codes.matrix_pursuit(supervision.from_labels(y), 4, mode="published", max_iter=4)
    for result in (ours, theirs):
        np.testing.assert_allclose(result.objective, objective(S, W, result.B, result.weights), rtol=1e-9)
    assert ours.objective < theirs.objective


def test_degenerate_eigenspaces_do_not_depend_on_the_basis(monkeypatch):
    n = 40
    start = np.random.default_rng(0).standard_normal(n)
    flat = np.eye(n) - 1.0  # top eigenvalue 1, n - 1 times
    expected = np.where(start > start.mean(), 1, -1)
    np.testing.assert_array_equal(_pursuit.top_eigenvector_signs(flat, start), expected)
    monkeypatch.setattr(_pursuit, "_EIGH_UP_TO", 1)
    np.testing.assert_array_equal(_pursuit.top_eigenvector_signs(flat, start), expected)
    np.testing.assert_array_equal(_pursuit.top_eigenvector_signs(np.zeros((n, n)), start), np.where(start > 0, 1, -1))


def test_lanczos_and_full_decomposition_give_one_course(monkeypatch):
    rng = np.random.default_rng(2)
    S = supervision.from_label_sets((rng.random((80, 9)) < 0.3).astype(int))
    for similarity in (S, supervision.from_matrix(sp.csr_array(S.to_dense()[0]))):
        first = codes.matrix_pursuit(similarity, 6, mode="published", max_iter=6, rng=1)
        with monkeypatch.context() as patch:
            patch.setattr(_pursuit, "_EIGH_UP_TO", 1)
            second = codes.matrix_pursuit(similarity, 6, mode="published", max_iter=6, rng=1)
        np.testing.assert_array_equal(first.B, second.B)


def test_structured_weights_of_classes_and_many_points():
    """140 points in 4 groups: int8 products do not overflow; class weights go through the general Gram matrix."""
    y = np.repeat(np.arange(4), 35)
    V = 1.0 + np.eye(4)
    for S in (supervision.from_labels(y, class_weights=V), supervision.from_labels(y, weights=np.full(140, 2.0))):
        result = codes.matrix_pursuit(S, 3)
        T, W = S.to_dense()
        np.testing.assert_allclose(result.objective, objective(T, W, result.B, result.weights), rtol=1e-9, atol=1e-6)
        assert result.stats["n_points"] == 4
    for weighted in (True, False):
        result = codes.matrix_pursuit(supervision.from_matrix(S.to_dense()[0]), 3, weighted=weighted, max_cycles=0)
        weights = result.weights if weighted else np.full(3, 1 / 3)
        np.testing.assert_allclose(result.objective, objective(T, W / 4, result.B, weights), rtol=1e-9, atol=1e-6)


def test_when_the_residual_is_gone():
    """Two classes: one bit rebuilds S; more bits weigh nothing, and the authors' redraws find nothing new."""
    S = supervision.from_labels([0, 0, 1, 1])
    ours = codes.matrix_pursuit(S, 5)
    assert ours.objective == 0.0 and ours.ksh_objective == 0.0
    assert ours.stats["n_bits_weighted"] == 1 and np.count_nonzero(ours.weights) == 1
    theirs = codes.matrix_pursuit(S, 5, mode="published")
    assert theirs.stats["n_redraws_in_vain"] > 0 and len(theirs.trace) == 6  # early stop after n_bits + 1 bits
    assert len(codes.matrix_pursuit(S, 5, mode="published", tol=0).trace) == 32
    for mode in ("default", "published"):
        for weighted in (True, False):
            alone = codes.matrix_pursuit(supervision.from_labels([3]), 2, mode=mode, weighted=weighted)
            assert alone.objective == 0.0 and alone.B.shape == (1, 2)


def test_more_bits_inferred_than_kept():
    S = supervision.from_labels(np.arange(9))
    long = codes.matrix_pursuit(S, 8, mode="published", max_iter=12, rng=4)
    short = codes.matrix_pursuit(S, 8, mode="published", max_iter=8, rng=4)
    np.testing.assert_array_equal(long.B, short.B)
    assert len(long.trace) == 12 and not np.allclose(long.weights, short.weights)
    assert len(codes.matrix_pursuit(S, 40, mode="published", tol=0).trace) == 40


def test_init_is_never_made_worse_and_other_solvers():
    rng = np.random.default_rng(0)
    S = supervision.from_label_sets((rng.random((50, 5)) < 0.4).astype(int)[1:])
    start = codes.matrix_pursuit(S, 6, solver="top_eigenvector", max_cycles=0)
    better = codes.matrix_pursuit(S, 6, init=start.B)
    assert better.objective <= start.objective * (1 + 1e-12)
    named = codes.matrix_pursuit(S, 6, solver="coordinate_descent", n_restarts=3)
    assert {bit.solver for bit in named.bits} == {"coordinate_descent"}
    drop_in = codes.matrix_pursuit(S, 6, mode="published", max_iter=6, solver="tabu_search", rng=1)
    plain = codes.matrix_pursuit(S, 6, mode="published", max_iter=6, rng=1)
    assert drop_in.stats["gains"][0] >= plain.stats["gains"][0]


def test_same_seed_same_codes():
    S = supervision.from_label_sets((np.random.default_rng(1).random((40, 6)) < 0.3).astype(int))
    for mode in ("default", "published"):
        first = codes.matrix_pursuit(S, 4, mode=mode, rng=3)
        for n_jobs in (1, 2):
            again = codes.matrix_pursuit(S, 4, mode=mode, rng=3, n_jobs=n_jobs)
            np.testing.assert_array_equal(again.B, first.B)
            np.testing.assert_array_equal(again.weights, first.weights)


@pytest.mark.parametrize("mode", ["default", "published"])
@pytest.mark.parametrize("weighted", [True, False])
def test_stopping(mode, weighted):
    S = supervision.from_labels(np.arange(8))
    seen = []

    def stop_at_two(event):
        seen.append(event.x)
        return len(seen) == 2

    result = codes.matrix_pursuit(S, 6, mode=mode, weighted=weighted, callback=stop_at_two)
    assert len(seen) == 2 and result.stats["stopped"] == "callback"
    np.testing.assert_array_equal(result.B, np.tile(result.B[:, :2], 3))
    np.testing.assert_array_equal(seen[-1], result.B)
    if weighted:
        assert np.all(result.weights[2:] == 0)
        T, W = S.to_dense()
        np.testing.assert_allclose(result.objective, objective(T, W, result.B, result.weights), rtol=1e-9)
    assert codes.matrix_pursuit(S, 6, mode=mode, weighted=weighted, time_limit=0).stats["stopped"] == "time_limit"

    def interrupt(event):
        raise KeyboardInterrupt

    result = codes.matrix_pursuit(S, 6, mode=mode, weighted=weighted, callback=interrupt)
    assert result.stats["stopped"] == "interrupted" and result.B.shape == (8, 6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(n_bits=0), ParameterError, "n_bits must be an integer >= 1, got 0"),
        (dict(mode="fast"), ParameterError, "mode must be one of default, published, got 'fast'"),
        (dict(weighted="yes"), ParameterError, "weighted must be True or False, got 'yes'"),
        (dict(tol=-1), ParameterError, "tol must be a number >= 0, got -1"),
        (dict(max_iter=3, mode="published"), ParameterError, "max_iter must be at least n_bits = 4, got 3"),
        (dict(max_cycles=-1), ParameterError, "max_cycles must be an integer >= 0"),
        (dict(init=np.ones((2, 3))), ProblemError, "init must have 4 columns"),
        (dict(init=np.ones((2, 4)), mode="published"), ParameterError, "starts from nothing"),
        (dict(solver="magic"), ParameterError, "unknown solver 'magic'"),
        (dict(solver="top_eigenvector", n_restarts=2), ParameterError, "unknown option 'n_restarts'"),
        (dict(colour=1), ParameterError, "unknown option 'colour'"),
        (dict(time_limit=-1), ParameterError, "time_limit must be a number of seconds >= 0"),
        (dict(callback=3), ParameterError, "callback must be a function"),
        (dict(rng=-1), ParameterError, "rng must be a non-negative seed"),
    ],
)
def test_bad_calls(arguments, error, message):
    with pytest.raises(error) as caught:
        codes.matrix_pursuit(supervision.from_labels([0, 1]), **{"n_bits": 4, **arguments})
    assert message in str(caught.value)


def test_a_matrix_is_not_a_similarity():
    with pytest.raises(ProblemError, match="S must be a Similarity, got ndarray"):
        codes.matrix_pursuit(np.eye(3))

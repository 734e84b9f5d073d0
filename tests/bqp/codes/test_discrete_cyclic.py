"""SDH, FSDH and HC-SDH against literal transcriptions, against enumeration, and against their bounds."""

import itertools

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from sklearn.svm import LinearSVC

from bqp import codes, supervision
from bqp.codes._class_codes import hadamard, hadamard_codes, is_published_order
from bqp.codes._label_models import MODELS, label_rows
from bqp.errors import ParameterError, ProblemError
from bqp.kernels import rows as kernels
from bqp.testing.similarities import codes as random_codes

TIE = 1e-11


def keep_sign(values, old):
    return np.where(values > TIE, 1, np.where(values < -TIE, -1, old)).astype(np.int8)


def ridge(X, strength=1e-2):
    """The F-step on features X."""

    def refit(B, bits, sample_weight=None):
        assert B.shape == (len(X), len(bits)) and B.dtype == np.int8 and not B.flags.writeable
        return X @ np.linalg.solve(X.T @ X + strength * np.eye(X.shape[1]), X.T @ B.astype(float))

    return refit


@st.composite
def label_problems(draw, max_n=7):
    """(S, Y, a, rng): label vectors and point weights, 0 for an unknown label."""
    n = draw(st.integers(1, max_n))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = rng.integers(1, 4, n).astype(float) if draw(st.booleans()) else None
    a = np.ones(n) if weights is None else weights.copy()
    if draw(st.booleans()):
        y = rng.integers(-1, 3, n)
        y[rng.integers(n)] = 2
        if set(y) == {-1, 1}:
            y[y == 1] = 0
        S, a[y == -1] = supervision.from_labels(y, weights=weights), 0
        Y = (y[:, None] == np.unique(y[y >= 0])).astype(float)
    else:
        Y = (rng.random((n, 3)) < 0.4).astype(float)
        if n > 1 and draw(st.booleans()):
            Y[0], a[0] = -1, 0
        S = supervision.from_label_sets(Y, weights=weights)
    Y[a == 0] = 0
    return S, Y, a, rng


def sdh_value(Y, a, B, lam, nu=0.0, F=None):
    W = np.linalg.solve((B.T * a) @ B + lam * np.eye(B.shape[1]), (B.T * a) @ Y)
    value = np.sum(a[:, None] * (Y - B @ W) ** 2) + lam * np.sum(W**2)
    return value + (0 if F is None else nu * np.sum((B - F) ** 2))


def fsdh_value(Y, a, B, lam, nu=0.0, F=None):
    W = np.linalg.solve((Y.T * a) @ Y + lam * np.eye(Y.shape[1]), (Y.T * a) @ B)
    value = np.sum(a[:, None] * (B - Y @ W) ** 2) + lam * np.sum(W**2)
    return value + (0 if F is None else nu * np.sum((B - F) ** 2))


VALUES = {"sdh": sdh_value, "fsdh": fsdh_value}

# ---- the published steps ---------------------------------------------------------------------------------------------


def transcribed(variant, Y, a, B, lam, nu, refit, rounds):
    """The authors' rounds, bit by bit over all points at once; a weighted point has its label terms a times."""
    n, q = B.shape
    known = a > 0

    def g_step(B):
        Bf = B.astype(float)
        if variant == "sdh":
            return np.linalg.solve(Bf.T @ np.diag(a) @ Bf + lam * np.eye(q), Bf.T @ np.diag(a) @ Y)
        return np.linalg.solve(Y.T @ np.diag(a) @ Y + lam * np.eye(Y.shape[1]), Y.T @ np.diag(a) @ Bf)

    def f_step(B):
        B = B.copy()
        B.flags.writeable = False
        return None if refit is None else refit(B, range(q))

    B, W, F = B.copy(), g_step(B), f_step(B)
    steps = [B.copy()]
    for _ in range(rounds):
        pull = np.zeros((n, q)) if F is None else nu * F / np.where(known, a, 1.0)[:, None]
        if variant == "sdh":
            Qm = pull + Y @ W.T
            for _ in range(10):
                Z0 = B.copy()
                for k in range(q):
                    others = [m for m in range(q) if m != k]
                    field = Qm[:, k] - B[:, others] @ (W[others] @ W[k])
                    B[known, k] = keep_sign(field, B[:, k])[known]
                if np.linalg.norm(B - Z0) < 1e-6 * np.linalg.norm(Z0):
                    break
        else:
            B[known] = keep_sign(pull + Y @ W, B)[known]
        if F is not None:
            B[~known] = keep_sign(F, B)[~known]
        W, before, F = g_step(B), F, f_step(B)
        steps.append(B.copy())
        if F is None:
            if np.array_equal(steps[-1], steps[-2]):
                break
        elif min(np.linalg.norm(B - F) / np.sqrt(n * q), np.linalg.norm(F - before) / np.linalg.norm(before)) < 1e-5:
            break
    return steps, F


@given(label_problems(), st.sampled_from(["sdh", "fsdh"]), st.integers(1, 4), st.booleans())
def test_published_rounds(problem, variant, q, with_features):
    S, Y, a, rng = problem
    seed = int(rng.integers(1000))
    refit = ridge(rng.normal(size=(S.n, 3))) if with_features else None
    start = np.where(np.random.default_rng(seed).standard_normal((S.n, q)) > 0, 1, -1).astype(np.int8)
    nu, lam = 0.01, 0.5
    steps, F = transcribed(variant, Y, a, start, lam, nu, refit, 5)
    seen = []
    result = codes.discrete_cyclic(
        S, q, variant=variant, nu=nu, regularization=lam, refit=refit, mode="published", rng=seed,
        callback=lambda event: seen.append(event.x.copy()),
    )  # fmt: skip
    assert len(seen) == len(steps)
    for ours, theirs in zip(seen, steps):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(result.B, steps[-1]) and result.B.dtype == np.int8
    assert result.objective == pytest.approx(VALUES[variant](Y, a, result.B, lam, nu, F), abs=1e-9)
    assert result.objective == result.trace.objective[-1]
    assert result.stats["best_objective"] == result.trace.objective.min()
    assert result.ksh_objective == S.ksh_objective(result.B)


def test_published_hinge():
    rng = np.random.default_rng(3)
    y = np.arange(12) % 3
    X, nu, lam = rng.normal(size=(12, 4)), 0.05, 0.5
    refit = ridge(X)

    def machine(B):
        return LinearSVC(
            multi_class="crammer_singer", C=1 / lam, fit_intercept=False, tol=1e-3, max_iter=2000, random_state=0
        ).fit(B.astype(float), y).coef_.T  # fmt: skip

    B = np.where(np.random.default_rng(5).standard_normal((12, 5)) > 0, 1, -1).astype(np.int8)
    result = codes.discrete_cyclic(
        y, 5, loss="hinge", nu=nu, regularization=lam, refit=refit, mode="published", rng=5, max_iterations=3
    )
    for _ in range(3):
        W, frozen = machine(B), B.copy()
        frozen.flags.writeable = False
        F = refit(frozen, range(5))
        for i in range(12):
            total = sum(W[:, y[i]] - W[:, c] for c in range(3))
            B[i] = keep_sign(2 * nu * F[i] + total / nu, B[i])
    assert np.array_equal(result.B, B)
    W, frozen = result.stats["W"], B.copy()
    frozen.flags.writeable = False
    margins = [max(0, max(1 + (W[:, c] - W[:, y[i]]) @ B[i] for c in range(3) if c != y[i])) for i in range(12)]
    value = sum(margins) + lam / 2 * np.sum(W**2) + nu * np.sum((B - refit(frozen, range(5))) ** 2)
    assert result.objective == pytest.approx(value)


# ---- the default -----------------------------------------------------------------------------------------------------


@given(label_problems(), st.sampled_from(["sdh", "fsdh"]), st.integers(1, 4), st.booleans())
def test_default_falls_and_is_never_worse(problem, variant, q, with_features):
    S, Y, a, rng = problem
    X = rng.normal(size=(S.n, 3))
    outputs = []

    def refit(B, bits, sample_weight=None):
        outputs.append(ridge(X)(B, bits))
        return outputs[-1]

    options = dict(variant=variant, nu=0.01, regularization=0.5, refit=refit if with_features else None, rng=7)
    result = codes.discrete_cyclic(S, q, **options)
    assert set(np.unique(result.B)) <= {-1, 1} and result.B.dtype == np.int8 and result.B.shape == (S.n, q)
    assert np.all(np.diff(result.trace.objective) <= 0)
    assert result.objective == result.trace.objective[-1]
    assert result.lower_bound <= result.objective and result.ksh_lower_bound <= result.ksh_objective
    if not with_features:
        assert result.objective == pytest.approx(VALUES[variant](Y, a, result.B, 0.5), abs=1e-9)
    published = codes.discrete_cyclic(S, q, mode="published", **options)
    assert result.objective <= published.stats["best_objective"] * (1 + 1e-9)
    init = random_codes(rng, S.n, q)
    better = codes.discrete_cyclic(S, q, init=init, **options)
    if not with_features:
        assert better.objective <= VALUES[variant](Y, a, init, 0.5) * (1 + 1e-9)
    assert np.all(np.diff(better.trace.objective) <= 0)


@given(label_problems(max_n=4), st.sampled_from(["sdh", "fsdh"]), st.integers(1, 2), st.sampled_from([0.25, 1.0, 4.0]))
def test_bound_and_optimum(problem, variant, q, lam):
    S, Y, a, _ = problem
    everything = (np.array(b).reshape(S.n, q) for b in itertools.product((-1, 1), repeat=S.n * q))
    optimum = min(VALUES[variant](Y, a, B, lam) for B in everything)
    result = codes.discrete_cyclic(S, q, variant=variant, regularization=lam)
    assert result.lower_bound <= optimum + 1e-12
    assert result.objective >= optimum - 1e-9


@pytest.mark.parametrize("q", [8, 12, 20, 32, 24, 48])
def test_orthogonal_class_codes_are_optimal(q):
    rng = np.random.default_rng(q)
    y = rng.integers(0, 8, 200)
    for variant in ("sdh", "hadamard"):
        result = codes.discrete_cyclic(supervision.from_labels(y, weights=rng.integers(1, 3, 200)), q, variant=variant)
        assert result.relative_gap < 1e-8
    fast = codes.discrete_cyclic(y, q, variant="fsdh")
    assert fast.relative_gap < 1e-8 and len(np.unique(fast.B, axis=0)) == 8


def test_feature_term_descends_and_keeps_better_outputs():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 5
    X = np.eye(5)[y] + rng.normal(0, 0.7, (90, 5))
    for variant, loss in (("sdh", "squared"), ("sdh", "hinge"), ("fsdh", "squared")):
        for nu in (1e-5, 0.1, 3.0):
            options = dict(variant=variant, loss=loss, nu=nu, refit=ridge(X), rng=1)
            result = codes.discrete_cyclic(y, 8, **options)
            assert np.all(np.diff(result.trace.objective) <= 0)
            published = codes.discrete_cyclic(y, 8, mode="published", **options)
            assert result.objective <= published.stats["best_objective"] * (1 + 1e-9)


def test_hinge_row_steps_end_where_no_flip_helps():
    rng = np.random.default_rng(1)
    y, W, F = rng.integers(0, 4, 30), rng.integers(-3, 4, (5, 4)) / 2.0, rng.normal(size=(30, 5))
    model = MODELS["hinge"](label_rows(np.r_[y, 0, 1, 2, 3])[1], 1.0, 0.5, 1)
    F = np.vstack([F, rng.normal(size=(4, 5))])
    y = model.rows.kind

    def row(b, i):
        return max([0.0] + [1 + (W[:, c] - W[:, y[i]]) @ b for c in range(4) if c != y[i]]) + 0.5 * np.sum(
            (b - F[i]) ** 2
        )

    B = random_codes(rng, 34, 5)
    before = [row(B[i], i) for i in range(34)]
    model.improve(B, W, F, 100)
    for i in range(34):
        here = row(B[i], i)
        assert here <= before[i] + 1e-9
        for k in range(5):
            other = B[i].copy()
            other[k] *= -1
            assert row(other, i) >= here - 1e-9


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_rows_kernel_against_numpy(seed, from_zero):
    rng = np.random.default_rng(seed)
    q = int(rng.integers(1, 6))
    A = rng.integers(-3, 4, (q, q)).astype(float)
    A = A + A.T
    np.fill_diagonal(A, 0.0)
    linear = rng.integers(-4, 5, (5, q)).astype(float)
    B = np.zeros((5, q), np.int8) if from_zero else random_codes(rng, 5, q)
    twin = B.astype(float)
    for i in range(5):
        for _ in range(3):
            for k in range(q):
                field = linear[i, k] - A[k] @ twin[i]
                twin[i, k] = np.sign(field) or twin[i, k] or 1.0
    kernels.descend_rows(A, linear - B @ A, B, 0.0, 3)
    assert np.array_equal(B, twin)


def test_threads_and_blocks_do_not_matter():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 6, 5000)
    X = np.eye(6)[y] + rng.normal(0, 1, (5000, 6))
    one, two = (codes.discrete_cyclic(y, 8, refit=ridge(X), nu=0.1, n_jobs=jobs, max_iterations=3) for jobs in (1, 2))
    assert np.array_equal(one.B, two.B) and one.objective == two.objective


def test_unknown_labels_follow_the_outputs_or_the_majority():
    y = np.array([0, 0, 0, 1, -1])
    F = np.array([[0.2, -0.3]] * 4 + [[-0.7, 0.4]])
    for variant in ("sdh", "fsdh"):
        for mode in ("default", "published"):
            result = codes.discrete_cyclic(y, 2, variant=variant, refit=lambda B, bits: F, mode=mode)
            assert result.B[4].tolist() == [-1, 1]
    result = codes.discrete_cyclic(y, 2)
    assert np.array_equal(result.B[4], result.B[0])


# ---- Hadamard codes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 44, 48, 64, 96, 128])
def test_hadamard(order):
    H = hadamard(order).astype(int)
    assert np.array_equal(H @ H.T, order * np.eye(order))
    if order & (order - 1) == 0:
        assert np.array_equal(H, scipy.linalg.hadamard(order))


def test_orders():
    assert [o for o in range(1, 50) if is_published_order(o)] == [1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48]
    assert hadamard(28) is None and hadamard(6) is None


@given(st.integers(1, 20), st.integers(1, 70))
def test_class_codes_are_distinct(n_classes, n_bits):
    B = hadamard_codes(n_classes, n_bits)
    assert B.shape == (n_classes, n_bits) and B.dtype == np.int8
    if n_bits >= n_classes:
        assert len(np.unique(B, axis=0)) == n_classes
    if hadamard(n_bits) is not None and n_bits >= n_classes:
        assert np.array_equal(B, hadamard(n_bits)[:n_classes])


def test_hadamard_variant():
    y = np.array([3, 1, 1, 7])
    result = codes.discrete_cyclic(y, 8, variant="hadamard", mode="published")
    assert np.array_equal(result.B, scipy.linalg.hadamard(8)[[1, 0, 0, 2]])
    sets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1]])
    result = codes.discrete_cyclic(sets, 4, variant="hadamard")
    H = scipy.linalg.hadamard(4)
    assert np.array_equal(
        result.B, [H[0], np.where(H[0] + H[1], np.sign(H[0] + H[1]), H[0]), H[3], np.sign(H[:3].sum(0))]
    )
    assert codes.discrete_cyclic([0, 1, -1, 2], 5, variant="hadamard").B.shape == (4, 5)


# ---- the course, and wrong calls -------------------------------------------------------------------------------------


def test_callback_and_time_limit_stop():
    y = np.arange(20) % 7
    for mode in ("default", "published"):
        result = codes.discrete_cyclic(y, 3, mode=mode, callback=lambda event: True)
        assert result.stats["stopped"] == "callback" and len(result.trace) == 1
        assert codes.discrete_cyclic(y, 3, mode=mode, time_limit=0.0).stats["stopped"] == "time_limit"


def test_interrupt_returns_the_best():
    y = np.arange(20) % 4
    calls = []

    def refit(B, bits):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return 0.1 * B

    result = codes.discrete_cyclic(y, 3, refit=refit)
    assert result.stats["stopped"] == "interrupted" and np.abs(result.B).min() == 1


def test_small_and_one_class():
    assert codes.discrete_cyclic([0], 1).B.shape == (1, 1)
    one = codes.discrete_cyclic([5, 5, 5], 3)
    assert one.relative_gap < 1e-8 and len(np.unique(one.B, axis=0)) == 1
    assert codes.discrete_cyclic(supervision.from_groups([0, 1, 0], np.eye(2)), 2).objective > 0
    same = codes.discrete_cyclic([0, 1, 2], 4, refit=lambda B, bits: 1 / 0, nu=0)
    assert np.array_equal(same.B, codes.discrete_cyclic([0, 1, 2], 4).B)


def test_wrong_calls():
    S = supervision.from_labels([0, 1, 2, 0])
    call = codes.discrete_cyclic
    cases = [
        (ParameterError, "variant must be one of sdh", dict(variant="dcc")),
        (ParameterError, "loss must be one of squared", dict(loss="logistic")),
        (ParameterError, "belongs to variant='sdh'", dict(variant="fsdh", loss="hinge")),
        (ParameterError, "mode must be", dict(mode="paper")),
        (ParameterError, "nu must be a finite number >= 0, got -1", dict(nu=-1)),
        (ParameterError, "regularization must be a finite number > 0, got 0", dict(regularization=0)),
        (ParameterError, "n_bits must be an integer", dict(n_bits=0)),
        (ParameterError, "max_iterations", dict(max_iterations=-1)),
        (ParameterError, "refit must be a function", dict(refit=3)),
        (ParameterError, "divides by nu", dict(loss="hinge", nu=0, mode="published")),
        (ParameterError, "need n_bits of 2", dict(variant="hadamard", n_bits=6, mode="published")),
        (ParameterError, "certify", dict(certify="maybe")),
        (ProblemError, "a bit for each of the 3 labels, got n_bits=2", dict(variant="hadamard", n_bits=2)),
        (ProblemError, r"refit must return shape \(4, 8\)", dict(refit=lambda B, bits: B[:, :1])),
        (ProblemError, r"refit returned nan at \(0, 0\)", dict(refit=lambda B, bits: B * np.nan)),
        (ProblemError, "init must have 8 columns", dict(init=np.ones((4, 2)))),
        (ProblemError, "init must hold -1 or", dict(init=np.zeros((4, 8)))),
    ]
    for error, message, options in cases:
        with pytest.raises(error, match=message):
            call(S, **{"n_bits": 8, **options})
    with pytest.raises(ProblemError, match="no label vectors"):
        call(supervision.from_pairs([0], [1], [1], n=2), 4)
    with pytest.raises(ProblemError, match="weights between classes"):
        call(supervision.from_labels([0, 1], class_weights=[[1, 2], [2, 1]]), 4)
    with pytest.raises(ProblemError, match="one label a point"):
        call(np.eye(3), 4, loss="hinge")
    with pytest.raises(ProblemError, match="one label a point"):
        call(np.eye(3), 4, variant="hadamard", mode="published")
    with pytest.raises(ProblemError, match="two classes"):
        call([1, 1], 4, loss="hinge")

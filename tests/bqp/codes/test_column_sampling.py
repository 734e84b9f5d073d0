"""COSDISH and its steps against literal transcriptions, enumeration and the losses themselves."""

import itertools

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from bqp import codes, supervision
from bqp.codes._columns import Columns, SampledBits, soft_ratio, sweep_residual_rows
from bqp.errors import ParameterError, ProblemError
from bqp.kernels import columns as kernels
from bqp.testing import similarities as cases


def dense(case):
    """(S, targets, weights): unknown pairs have weight 0."""
    similarity, S, W = case
    return similarity, S, cases.weights_of(similarity, W)


def soft(T, W, omega):
    """Targets with the negative ones times r, counted on the sampled columns; a column's self pair counts too."""
    block, known = T[:, omega], W[:, omega] > 0
    similar, dissimilar = np.sum((block > 0) & known), np.sum((block < 0) & known)
    r = similar / dissimilar if similar and dissimilar else 1.0
    return np.where(T < 0, r * T, T)


def omega_loss(T, W, omega, others, B):
    """The loss of the sampled columns: sampled points among themselves once, all others with them once."""
    q = B.shape[1]
    E = W * (q * T - B.astype(float) @ B.T) ** 2
    return E[np.ix_(omega, omega)].sum() + E[np.ix_(others, omega)].sum()


@st.composite
def sampled_cases(draw, max_n=7, max_q=4):
    similarity, T, W = dense(draw(cases.similarities(max_n=max_n)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    q = int(rng.integers(1, max_q + 1))
    omega = rng.choice(similarity.n, int(rng.integers(1, similarity.n + 1)), replace=False)
    others = np.setdiff1d(np.arange(similarity.n), omega)
    return similarity, T, W, omega, others, cases.codes(rng, similarity.n, q), rng


# ---- one bit of the sampled points -----------------------------------------------------------------------------------


@given(sampled_cases(), st.booleans())
def test_program_of_a_bit_is_the_loss(case, both):
    S, T, W, omega, others, B, rng = case
    q = B.shape[1]
    sampled = SampledBits(Columns.of(S, omega), omega, others, B, both=both)
    k, counted = int(rng.integers(q)), rng.random(q) < 0.5
    counted[k] = False
    Q, p = sampled.program(B[omega], counted, k)
    assert np.array_equal(Q, Q.T) and not Q.diagonal().any()

    def loss(x):
        C = B.copy()
        C[omega, k] = x
        keep = np.flatnonzero(counted | (np.arange(q) == k))
        E = W * (q * T - C[:, keep].astype(float) @ C[:, keep].T) ** 2
        return E[np.ix_(omega, omega)].sum() + (2 if both else 1) * E[np.ix_(others, omega)].sum()

    xs = cases.all_assignments(len(omega)).astype(float)
    values = np.array([loss(x) for x in xs])
    energies = np.einsum("ai,ij,aj->a", xs, Q, xs) + xs @ p
    assert np.array_equal(energies - energies[0], values - values[0])
    first, second = B[omega], cases.codes(rng, len(omega), q)
    change = sampled.value(second) - sampled.value(first)
    before, moved = omega_loss(T, W, omega, others, B), B.copy()
    moved[omega] = second
    after = omega_loss(T, W, omega, others, moved)
    if both:
        before, after = (np.sum(W * (q * T - C.astype(float) @ C.T) ** 2) for C in (B, moved))
    assert change == after - before


def least_scatter(Q, p):
    """The authors' solver: a cluster of H columns of a Cholesky factor with the last column and least scatter."""
    m = len(p)
    R = np.block([[4 * Q, (2 * p - 4 * Q.sum(1))[:, None] / 2], [(2 * p - 4 * Q.sum(1))[None] / 2, np.zeros((1, 1))]])
    P = scipy.linalg.cholesky(1e4 * np.eye(m + 1) - R / np.abs(R).max())
    H = int(np.floor((m + 1) / 2 + 0.5))
    best = (np.inf, None)
    for seed in range(m + 1):
        distance = np.sum((P[:, :m] - P[:, [seed]]) ** 2, axis=0)
        chosen = np.r_[np.argsort(distance, kind="stable")[: H - 1], m]
        scatter = np.sum((P[:, chosen] - P[:, chosen].mean(1, keepdims=True)) ** 2)
        if scatter < best[0] - 1e-9:
            best = (scatter, chosen)
    x = -np.ones(m + 1, np.int8)
    x[best[1]] = 1
    return x[:m]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_heuristic_is_the_cluster_of_least_scatter(seed, m):
    rng = np.random.default_rng(seed)
    Q, p, x = rng.normal(size=(m, m)), rng.normal(size=m), np.empty(m, np.int8)
    Q = Q + Q.T
    np.fill_diagonal(Q, 0)
    kernels.balanced_assignment(Q, p, x)
    assert np.sum(x == 1) == (m + 2) // 2 - 1
    theirs = least_scatter(Q, p)

    def energy(x):
        return x @ Q @ x + p @ x

    assert energy(x.astype(float)) == pytest.approx(energy(theirs.astype(float)), abs=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_descent_of_a_bit(seed, m):
    rng = np.random.default_rng(seed)
    Q, p, x = cases.symmetric(rng, m, -3, 4), rng.integers(-4, 5, m).astype(float), cases.codes(rng, m, 1)[:, 0]
    np.fill_diagonal(Q, 0)
    before = x @ Q @ x + p @ x
    energy = kernels.descend_bit(Q, p, x, 0.0)
    assert energy == x @ Q @ x + p @ x <= before
    for i in range(m):
        y = x.copy()
        y[i] *= -1
        assert y @ Q @ y + p @ y >= energy


# ---- the published mode ----------------------------------------------------------------------------------------------


def heuristic(Q, p):
    """The derived form: each row of R proposes its H - 1 smallest entries."""
    m = len(p)
    R = np.zeros((m + 1, m + 1))
    R[:m, :m] = 4 * Q
    R[m, :m] = R[:m, m] = p - 2 * Q.sum(1)
    H, best = int(np.floor((m + 1) / 2 + 0.5)), (np.inf, None)
    for i in range(m + 1):
        order = sorted(range(m), key=lambda j: (j != i, R[i, j], j))
        c = np.zeros(m + 1)
        c[[*order[: H - 1], m]] = 1
        if c @ R @ c < best[0] - 1e-11 * np.abs(R).sum():
            best = (c @ R @ c, c)
    return (2 * best[1][:m] - 1).astype(np.int8)


def published_omega(T, W, omega, others, B):
    q, new = B.shape[1], B.copy()
    L, L_others = q * T[np.ix_(omega, omega)], q * T[np.ix_(others, omega)]
    for k in range(q):
        if k:
            b = new[omega, k - 1].astype(float)
            L, L_others = L - np.outer(b, b), L_others - np.outer(B[others, k - 1], b)
        Q = -2 * W[np.ix_(omega, omega)] * L
        np.fill_diagonal(Q, 0)
        new[omega, k] = heuristic(Q, -2 * (W[np.ix_(others, omega)] * L_others).T @ B[others, k])
    return new[omega]


@given(st.data(), st.integers(1, 4), st.integers(0, 1000))
def test_published_rounds(data, q, seed):
    real = data.draw(st.booleans())
    if real:  # no ties: soft labels, whose ratio is not a binary fraction
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 8))
        T = rng.normal(size=(n, n))
        T, W = T + T.T, np.ones((n, n))
        S = supervision.from_matrix(T)
    else:
        S, T, W = dense(data.draw(cases.similarities()))
    seen = []
    result = codes.column_sampling(
        S, q, n_rounds=2, mode="published", soft_labels=real, rng=seed,
        callback=lambda event: seen.append((event.energy, event.x)),
    )  # fmt: skip
    draws = np.random.default_rng(seed)
    B = np.where(draws.standard_normal((S.n, q)) > 0, 1, -1)
    known = np.flatnonzero((W > 0).any(1))
    steps = [B.copy()]
    for _ in range(2):
        omega = known[draws.choice(len(known), min(q, len(known)), replace=False)]
        others = np.setdiff1d(np.arange(S.n), omega)
        R = soft(T, W, omega) if real else T
        for _ in range(3):
            C = published_omega(R, W, omega, others, B)
            scores = (W * R)[np.ix_(others, omega)] @ C
            B[others] = np.where(np.abs(scores) < 1e-5, B[others], np.sign(scores))
            B[omega] = C
            steps.append(B.copy())
    assert len(seen) == len(steps)
    for (energy, ours), theirs in zip(seen, steps):
        assert np.array_equal(ours, theirs)
        assert energy == pytest.approx(np.sum(W * (q * T - theirs @ theirs.T) ** 2), rel=1e-12)
    assert np.array_equal(result.B, steps[-1]) and result.B.dtype == np.int8
    assert result.stats["best_objective"] == result.trace.objective.min()
    assert S.ksh_objective(result.stats["best_B"]) == pytest.approx(result.stats["best_objective"])


@given(sampled_cases())
def test_soft_ratio_counts_known_pairs(case):
    S, T, W, omega, _, _, _ = case
    columns = Columns.of(S, omega, soft_ratio(S, omega))
    expected = np.where(W[:, omega] > 0, soft(T, W, omega)[:, omega], 0)
    a = np.ones(S.n) if columns.a is None else columns.a
    weights = np.ones_like(columns.targets) if columns.weights is None else columns.weights
    assert np.array_equal(a[:, None] * weights[columns.table_row], W[:, omega])
    assert np.array_equal(np.where(W[:, omega] > 0, columns.targets[columns.table_row], 0), expected)


# ---- the default mode ------------------------------------------------------------------------------------------------


@given(cases.similarities(), st.integers(1, 4), st.booleans(), st.integers(1, 3))
def test_default_says_the_truth_and_falls(case, q, soft_labels, n_columns):
    S, T, W = dense(case)
    result = codes.column_sampling(S, q, n_rounds=2, n_columns=n_columns, soft_labels=soft_labels, rng=1)
    B = result.B.astype(float)
    assert B.shape == (S.n, q) and result.B.dtype == np.int8 and set(np.unique(B)) <= {-1, 1}
    assert result.objective == result.ksh_objective == np.sum(W * (q * T - B @ B.T) ** 2)
    assert np.all(np.diff(result.trace.objective) <= 0) and result.trace.objective[-1] == result.objective
    assert result.lower_bound <= result.objective
    init = S.collapse("ksh").lift(S.collapse("ksh").project(cases.codes(np.random.default_rng(0), S.n, q)))
    again = codes.column_sampling(S, q, n_rounds=1, n_columns=n_columns, init=init, rng=1)
    assert again.objective <= S.ksh_objective(init)


@given(sampled_cases(), st.booleans())
def test_omega_step_is_never_uphill(case, soft_labels):
    S, T, W, omega, others, B, _ = case
    kept = B.copy()
    R = soft(T, W, omega) if soft_labels else T
    moved = B.copy()
    moved[omega] = codes.omega_step(S, omega, B, soft_labels=soft_labels)
    before, after = (omega_loss(R, W, omega, others, C) for C in (B, moved))
    assert after <= before * (1 + 1e-12)
    assert np.array_equal(B, kept)
    if not soft_labels:
        theirs = codes.omega_step(S, omega, B, soft_labels=False, mode="published")
        assert np.array_equal(theirs, published_omega(T, W, omega, others, B))
    exact = codes.omega_step(S, omega, B, soft_labels=soft_labels, solver="exact")
    moved[omega] = exact
    assert omega_loss(R, W, omega, others, moved) <= before * (1 + 1e-12)


@given(sampled_cases(), st.booleans())
def test_other_points_come_to_rest(case, with_proposals):
    S, T, W, omega, _, B, rng = case
    q, C = B.shape[1], B[omega]
    columns = Columns.of(S, omega)
    proposals = cases.codes(rng, len(columns.targets), q) if with_proposals else None
    rows = B.copy()
    sweep_residual_rows(columns, C, q, rows, 50, 1, proposals=proposals)

    def loss(i, b):
        return W[i, omega] @ (q * T[i, omega] - C.astype(float) @ b) ** 2

    for i in range(S.n):
        here = loss(i, rows[i])
        assert here <= loss(i, B[i])
        if proposals is not None and (columns.a is None or columns.a[i]):
            assert here <= loss(i, proposals[columns.table_row[i]])
        for k in range(q):
            other = rows[i].copy()
            other[k] *= -1
            assert loss(i, other) >= here or (columns.a is not None and columns.a[i] == 0)


def test_default_beats_published():
    rng, n, q = np.random.default_rng(0), 100, 8
    y = rng.integers(0, 6, n)
    sets = (rng.random((n, 5)) < 0.3).astype(int)
    T = np.where(y[:, None] == y, 1.0, -1.0)
    i, j = np.nonzero(np.triu(rng.random((n, n)) < 0.2))
    for S in (
        supervision.from_labels(y), supervision.from_label_sets(sets), supervision.from_matrix(T),
        supervision.from_pairs(i, j, T[i, j], n),
    ):  # fmt: skip
        for seed in range(2):
            ours = codes.column_sampling(S, q, rng=seed, certify=False)
            theirs = codes.column_sampling(S, q, rng=seed, mode="published", certify=False)
            assert ours.objective <= theirs.stats["best_objective"]


def test_threads_do_not_matter():
    S = supervision.from_matrix(cases.symmetric(np.random.default_rng(0), 2500, -1, 2))
    one, two = (codes.column_sampling(S, 6, n_rounds=1, n_alternations=1, max_polish=0, n_jobs=jobs) for jobs in (1, 2))
    assert np.array_equal(one.B, two.B)


# ---- ADSH's V-step ---------------------------------------------------------------------------------------------------


def v_loss(R, W, omega, U, V, gamma, q):
    return np.sum(W[:, omega] * (q * R[:, omega] - V @ U.T) ** 2) + gamma * np.sum((V[omega] - U) ** 2)


@given(sampled_cases(), st.booleans(), st.sampled_from([0.0, 1.0, 200.0]), st.integers(1, 3), st.booleans())
def test_v_step(case, from_nothing, gamma, n_sweeps, soft_labels):
    S, T, W, omega, _, B, rng = case
    q = B.shape[1]
    U = np.tanh(rng.normal(size=(len(omega), q)))
    R = soft(T, W, omega) if soft_labels else T
    V = np.zeros((S.n, q)) if from_nothing else B.astype(float)
    bar = np.zeros((S.n, q))
    bar[omega] = U
    for _ in range(n_sweeps):
        for k in range(q):
            hat = [m for m in range(q) if m != k]
            pull = -2 * q * (W * R)[:, omega] @ U[:, k] - 2 * gamma * bar[:, k]
            given_others = 2 * np.sum(W[:, omega] * (V[:, hat] @ U[:, hat].T) * U[:, k], axis=1)
            field = -(given_others + pull)
            V[:, k] = np.where(field > 1e-9, 1, np.where(field < -1e-9, -1, np.where(V[:, k], V[:, k], 1)))
    ours = codes.v_step(U, S, omega, None if from_nothing else B, gamma, soft_labels, n_sweeps)
    assert ours.dtype == np.int8 and np.array_equal(ours, V)
    if not from_nothing:
        assert v_loss(R, W, omega, U, V, gamma, q) <= v_loss(R, W, omega, U, B, gamma, q) + 1e-9


def test_v_step_of_the_authors():
    """V-step as printed: Q = -2 q S'U - 2 gamma Ubar, v_k = -sgn(2 Vhat Uhat'u_k + Q_k)."""
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 40)
    omega = rng.choice(40, 12, replace=False)
    U, gamma, q = np.tanh(rng.normal(size=(12, 5))), 200.0, 5
    same = y[omega][:, None] == y[None, :]
    S = np.where(same, 1.0, -same.sum() / (~same).sum())
    bar = np.zeros((40, q))
    bar[omega] = U
    Q, V = -2 * q * S.T @ U - 2 * gamma * bar, np.zeros((40, q))
    for k in range(q):
        hat = np.arange(q) != k
        V[:, k] = -np.sign(2 * V[:, hat] @ (U[:, hat].T @ U[:, k]) + Q[:, k])
    for similarity in (supervision.from_labels(y), supervision.from_matrix(np.where(y[:, None] == y, 1, -1))):
        assert np.array_equal(codes.v_step(U, similarity, omega), V)


@given(sampled_cases(max_n=4, max_q=2))
def test_bits_of_the_v_step_are_exact(case):
    S, T, W, omega, _, B, rng = case
    q = B.shape[1]
    U = rng.integers(-4, 5, (len(omega), q)) / 4.0
    V = codes.v_step(U, S, omega, B, gamma=2.0, soft_labels=False, n_sweeps=50)
    least = v_loss(T, W, omega, U, V, 2.0, q)
    for k in range(q):
        for column in itertools.product((-1, 1), repeat=S.n):
            other = V.copy()
            other[:, k] = column
            assert v_loss(T, W, omega, U, other, 2.0, q) >= least


# ---- the course, and wrong calls -------------------------------------------------------------------------------------


def test_course():
    S = supervision.from_label_sets((np.random.default_rng(0).random((60, 6)) < 0.4).astype(int))
    for mode in ("default", "published"):
        result = codes.column_sampling(S, 4, mode=mode, callback=lambda event: True)
        assert result.stats["stopped"] == "callback" and len(result.trace) == 1
        assert codes.column_sampling(S, 4, mode=mode, time_limit=0.0).stats["stopped"] == "time_limit"

        def interrupt(event):
            if event.n_moves == 2:
                raise KeyboardInterrupt

        result = codes.column_sampling(S, 4, mode=mode, callback=interrupt)
        assert result.stats["stopped"] == "interrupted" and np.abs(result.B).min() == 1
        assert result.objective == S.ksh_objective(result.B)


def test_small_and_one_class():
    assert codes.column_sampling(supervision.from_labels([3]), 1).objective == 0
    assert codes.column_sampling(supervision.from_labels([2, 2, 2]), 4).objective == 0
    published = codes.column_sampling(supervision.from_labels([2, 2, 2]), 2, mode="published")
    assert published.B.shape == (3, 2)
    named = (
        codes.column_sampling(supervision.from_labels([0, 1, 2, 0, -1]), 5, solver="tabu_search", max_moves=50)
        if 0
        else None
    )
    assert named is None
    S = supervision.from_labels([0, 1, 2, 0, 1])
    assert codes.column_sampling(S, 3, solver="exact").objective <= codes.column_sampling(S, 3, n_rounds=1).objective


def test_wrong_calls():
    S = supervision.from_labels([0, 1, 2, 0])
    B = np.ones((4, 2))
    for error, message, call in [
        (ProblemError, "S must be a Similarity", lambda: codes.column_sampling([0, 1], 4)),
        (ParameterError, "mode must be", lambda: codes.column_sampling(S, 4, mode="paper")),
        (ParameterError, "n_columns must be", lambda: codes.column_sampling(S, 4, n_columns=0)),
        (ParameterError, "n_rounds must be", lambda: codes.column_sampling(S, 4, n_rounds=0)),
        (ParameterError, "certify", lambda: codes.column_sampling(S, 4, certify=2)),
        (ParameterError, "unknown option 'tenure'", lambda: codes.column_sampling(S, 4, tenure=3)),
        (ParameterError, "has its own solver", lambda: codes.column_sampling(S, 4, solver="exact", mode="published")),
        (ParameterError, "tabu", lambda: codes.column_sampling(S, 4, solver="tabu")),
        (ProblemError, "init must have 4 columns", lambda: codes.column_sampling(S, 4, init=B)),
        (ProblemError, "omega must lie in 0..3", lambda: codes.omega_step(S, [4], B)),
        (ProblemError, "got 1 twice", lambda: codes.omega_step(S, [1, 1], B)),
        (ProblemError, "vector of point numbers", lambda: codes.omega_step(S, [0.5], B)),
        (ProblemError, "one row a point", lambda: codes.omega_step(S, [0], B[:2])),
        (ProblemError, "one row a point", lambda: codes.omega_step(S, [0], np.ones(4))),
        (ProblemError, r"U must have shape \(2, q\)", lambda: codes.v_step(np.ones((3, 2)), S, [0, 1])),
        (ProblemError, r"U must be finite, got nan at \(0, 1\)", lambda: codes.v_step([[0, np.nan]], S, [0])),
        (ProblemError, "U must hold real numbers", lambda: codes.v_step([["a"]], S, [0])),
        (ParameterError, "gamma must be", lambda: codes.v_step(np.ones((1, 2)), S, [0], gamma=-1)),
        (ParameterError, "n_sweeps must be", lambda: codes.v_step(np.ones((1, 2)), S, [0], n_sweeps=0)),
        (ProblemError, "init must hold", lambda: codes.v_step(np.ones((1, 2)), S, [0], np.zeros((4, 2)))),
    ]:
        with pytest.raises(error, match=message):
            call()

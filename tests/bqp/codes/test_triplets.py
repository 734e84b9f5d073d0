"""Triplets: the loss is the BQP exactly, the published update step by step, the default that never goes uphill."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import codes, losses, supervision
from bqp.errors import ParameterError, ProblemError
from bqp.testing import similarities as cases


def naive(index, weights, B, margin):
    """The loss from Hamming distances counted one by one."""
    total = 0.0
    for (a, p, n), w in zip(index, weights):
        total += w * max(0.0, margin - (int(np.sum(B[a] != B[n])) - int(np.sum(B[a] != B[p]))))
    return total


@st.composite
def triplet_sets(draw, max_n=7, max_m=14):
    """(triplets, index, weights)"""
    n, m, seed = draw(st.integers(3, max_n)), draw(st.integers(1, max_m)), draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    index = np.array([rng.choice(n, 3, replace=False) for _ in range(m)])
    if draw(st.booleans()):
        return supervision.from_triplets(index, n), index, np.ones(m)
    weights = rng.integers(0, 4, m).astype(float)
    weights[0] = 1
    return supervision.from_triplets(index, n, weights), index, weights


# ---- the loss ------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=80)
@given(case=triplet_sets(max_n=6), r=st.integers(0, 4), halves=st.integers(0, 12), seed=st.integers(0, 99))
def test_energy_of_a_bit_is_the_loss_with_it(case, r, halves, seed):
    T, index, weights = case
    B = cases.codes(np.random.default_rng(seed), T.n, r)
    margin = halves / 2 or None
    problem = losses.triplet.bit_problem(T, B, margin)
    for x in cases.all_assignments(T.n):
        longer = np.column_stack([B, x])
        assert problem.energy(x) == naive(index, weights, longer, (r + 1) / 2 if margin is None else margin)
        assert losses.triplet.value(T, longer, margin) == problem.energy(x)
    assert problem.Q.Q.diagonal().max(initial=0) == 0 and not problem.c.any()


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_coefficients_solve_the_table_of_four_losses(k):
    for dp, dn in itertools.product(range(k), repeat=2):
        c0, c1, c2, c3 = losses.triplet.coefficients([dn - dp], k / 2)[:, 0]
        for za, zp, zn in itertools.product((-1, 1), repeat=3):
            loss = max(0.0, k / 2 - (dn + (za != zn) - dp - (za != zp)))
            assert c0 + c1 * za * zp + c2 * za * zn + c3 * zp * zn == loss


def test_bits_follow_additions_and_removals():
    T = supervision.from_triplets([[0, 1, 2], [2, 0, 3], [3, 1, 0]], 4)
    B = cases.codes(np.random.default_rng(0), 4, 5)
    bits = losses.triplet.TripletBits(T, 5)
    for k in range(5):
        bits.add(k, B[:, k])
    bits.remove(2)
    rest = np.delete(B, 2, axis=1)
    assert bits.value(2.5) == losses.triplet.value(T, rest, 2.5)
    assert bits.problem(2.5).energy(B[:, 2]) == losses.triplet.value(T, B, 2.5)


# ---- supervision ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=80)
@given(case=cases.similarities(), m=st.integers(1, 4), seed=st.integers(0, 9))
def test_drawn_triplets_are_similar_and_dissimilar_known_pairs(case, m, seed):
    similarity, S, W = case
    known = (cases.weights_of(similarity, W) > 0) & ~np.eye(len(S), dtype=bool)
    anchors = (known & (S > 0)).any(axis=1) & (known & (S <= 0)).any(axis=1)
    if not anchors.any():
        with pytest.raises(ProblemError, match="no triplet to draw"):
            supervision.sample_triplets(similarity, m, rng=seed)
        return
    T = supervision.sample_triplets(similarity, m, rng=seed)
    a, p, n = T.index.T
    assert np.all(known[a, p]) and np.all(known[a, n]) and np.all(S[a, p] > 0) and np.all(S[a, n] <= 0)
    np.testing.assert_array_equal(np.bincount(a, minlength=len(S)), m * anchors)
    np.testing.assert_array_equal(supervision.sample_triplets(similarity, m, rng=seed).index, T.index)


def test_every_partner_is_drawn_about_equally_often():
    y = np.repeat([0, 1], [5, 7])
    for S in (supervision.from_labels(y), supervision.from_matrix(np.where(y[:, None] == y, 1, -1))):
        a, p, n = supervision.sample_triplets(S, 4000, rng=0).index[:4000].T
        assert np.all(a == 0)
        np.testing.assert_allclose(np.bincount(p, minlength=12)[1:5] / 4000, 1 / 4, atol=0.04)
        np.testing.assert_allclose(np.bincount(n, minlength=12)[5:] / 4000, 1 / 7, atol=0.04)


def test_triplets_restrict_and_know_their_points():
    T = supervision.from_triplets([[0, 1, 2], [3, 1, 0], [4, 0, 1]], 6, weights=[1, 2, 0])
    np.testing.assert_array_equal(T.known, [1, 1, 1, 1, 0, 0])
    part = T.restrict([3, 0, 1, 4])
    np.testing.assert_array_equal(part.index, [[0, 2, 1], [3, 1, 2]])
    np.testing.assert_array_equal(part.weights, [2, 0])
    assert len(T) == 3 and T.total_weight == 3 and T.nbytes == 36 + 24 and "m=3" in repr(T)
    with pytest.raises(ProblemError, match="no triplet has a positive weight"):
        T.restrict([5])


# ---- the published mode --------------------------------------------------------------------------------------------


def literal_blocks(A, rng):
    """Root, then what attracts it, then the others in a random order; no repelling pair inside."""
    n = len(A)
    order, home, blocks = list(rng.permutation(n)), {}, []
    for root in order:
        if root in home:
            continue
        block = [root]
        friends = [j for j in range(n) if A[root, j] < 0]
        for j in friends + order:
            if j not in home and j not in block and all(A[i, j] <= 0 for i in block):
                block.append(j)
        for i in block:
            home[i] = len(blocks)
        blocks.append(sorted(block))
    return blocks


def literal_fth(index, weights, n, n_bits, rng_blocks, rng_order, group_size, refit=None):
    B = np.ones((n, n_bits), int)
    for k in range(n_bits):
        A = np.zeros((n, n))
        for (a, p, q), w in zip(index, weights):
            dp, dn = np.sum(B[a, :k] != B[p, :k]), np.sum(B[a, :k] != B[q, :k])
            rows, values = [], []
            for zp, zn in itertools.product((1, -1), repeat=2):  # z_a = 1
                rows.append([1, zp, zn, zp * zn])
                values.append(max(0, (k + 1) / 2 - (dn + (zn < 0) - dp - (zp < 0))))
            c = np.linalg.solve(np.array(rows, float), np.array(values, float))
            c = np.round(c * 8) / 8
            for (i, j), value in zip(((a, p), (a, q), (p, q)), c[1:]):
                A[i, j] += w * value / 2
                A[j, i] += w * value / 2
        blocks = literal_blocks(A, rng_blocks)
        z = np.ones(n, int)
        for b in rng_order.permutation(len(blocks)):
            block = np.array(blocks[b])
            outside = np.setdiff1d(np.arange(n), block)
            best, least = None, np.inf
            for y in sorted(itertools.product((-1, 1), repeat=len(block)), key=sum):
                y = np.array(y)
                cost = y @ A[np.ix_(block, block)] @ y + 2 * y @ A[np.ix_(block, outside)] @ z[outside]
                if cost < least:
                    best, least = y, cost
            z[block] = best
        B[:, k] = z
        if refit is not None and ((k + 1) % group_size == 0 or k + 1 == n_bits):
            group = list(range(k - k % group_size, k + 1))
            B[:, group] = np.where(refit(B[:, group]) >= 0, 1, -1)
    return B


@settings(deadline=None, max_examples=50)
@given(
    case=triplet_sets(), q=st.integers(1, 5), group=st.integers(1, 3), functions=st.booleans(), seed=st.integers(0, 99)
)
def test_published_mode_is_the_published_update(case, q, group, functions, seed):
    T, index, weights = case
    X = np.random.default_rng(seed).standard_normal((T.n, 2))
    asked = []

    def fit(columns):
        return X @ np.linalg.lstsq(X, columns.astype(float), rcond=None)[0]

    def refit(B, bits):
        asked.append(list(bits))
        return fit(B[:, bits])

    streams = [np.random.Generator(np.random.PCG64(child)) for child in np.random.SeedSequence(seed).spawn(3)]
    expected = literal_fth(index, weights, T.n, q, streams[1], streams[2], group, fit if functions else None)
    result = codes.triplets(
        T, q, mode="published", rng=seed, group_size=group, refit=refit if functions else None
    )  # fmt: skip
    np.testing.assert_array_equal(result.B, expected)
    assert result.objective == naive(index, weights, expected, q / 2)
    if functions:
        assert asked == [list(range(a, min(a + group, q))) for a in range(0, q, group)]
        np.testing.assert_array_equal(result.stats["refit_calls"], np.arange(q) // group)


# ---- the default mode ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(
    case=triplet_sets(),
    q=st.integers(1, 4),
    solver=st.sampled_from(("auto", "block_graph_cut", "coordinate_descent")),
    margin=st.sampled_from((0.5, 1.0, 0.25)),
    seed=st.integers(0, 9),
)
def test_result_says_the_truth_and_never_rises(case, q, solver, margin, seed):
    T, index, weights = case
    result = codes.triplets(T, q, margin=margin, solver=solver, rng=seed)
    assert result.B.shape == (T.n, q) and result.B.dtype == np.int8 and set(np.unique(result.B)) <= {-1, 1}
    assert result.objective == naive(index, weights, result.B, margin * q) == result.trace.objective[-1]
    assert np.all(np.diff(result.trace.objective) <= 0)
    assert 0.0 <= result.lower_bound <= result.objective
    assert np.isnan(result.ksh_objective) and result.ksh_lower_bound == -np.inf
    for k in range(q):  # no bit has a better single flip
        bits = losses.triplet.bit_problem(T, np.delete(result.B, k, axis=1), margin * q)
        assert np.all(bits.flip_deltas(result.B[:, k]) >= 0)


@settings(deadline=None, max_examples=40)
@given(case=triplet_sets(max_n=4, max_m=8), q=st.integers(1, 2))
def test_bound_lies_below_every_code(case, q):
    T, index, weights = case
    bound = codes.triplets(T, q).lower_bound
    for rows in itertools.product(itertools.product((-1, 1), repeat=q), repeat=T.n):
        assert bound <= naive(index, weights, np.array(rows), q / 2)


def test_contradictions_are_counted():
    T = supervision.from_triplets([[0, 1, 2], [0, 2, 1], [0, 2, 1], [1, 0, 2]], 3, weights=[3, 1, 1, 5])
    result = codes.triplets(T, 4)
    assert result.lower_bound == 2 * 2 * 2 <= result.objective


@settings(deadline=None, max_examples=40)
@given(case=triplet_sets(), q=st.integers(1, 5), seed=st.integers(0, 99))
def test_with_functions_the_codes_are_their_signs_and_cycles_only_improve(case, q, seed):
    T, index, weights = case
    X = np.random.default_rng(seed).standard_normal((T.n, 2))
    made = []

    def refit(B, bits):
        made.append(X @ np.linalg.lstsq(X, B[:, bits].astype(float), rcond=None)[0])
        return made[-1]

    result = codes.triplets(T, q, refit=refit, group_size=2, max_cycles=3, rng=seed)
    for k, call in enumerate(result.stats["refit_calls"]):
        np.testing.assert_array_equal(result.B[:, k], np.where(made[call][:, k % 2] >= 0, 1, -1))
    assert np.all(np.diff(result.trace.objective) <= 0)
    assert result.trace.objective[-1] == result.objective == naive(index, weights, result.B, q / 2)


def test_from_labels_with_the_yardstick():
    y = np.arange(120) % 4
    S = supervision.from_labels(y)
    result = codes.triplets(S, 8, n_per_anchor=30)
    assert result.ksh_objective == S.ksh_objective(result.B) >= result.ksh_lower_bound > 0
    assert result.stats["n_triplets"] == 3600 and result.objective == 0.0  # classes four bits apart
    assert len(np.unique(result.B, axis=0)) == 4
    published = codes.triplets(S, 8, mode="published")
    assert published.stats["n_triplets"] == 120 * 500 and len(published.trace) == 8
    given = codes.triplets(supervision.sample_triplets(S, 5), 4, similarity=S)
    assert given.ksh_objective == S.ksh_objective(given.B)


def test_default_is_at_least_as_good_as_published_on_the_same_triplets():
    rng = np.random.default_rng(3)
    T = supervision.from_triplets([rng.choice(40, 3, replace=False) for _ in range(600)], 40)
    for seed in range(3):
        ours, theirs = (codes.triplets(T, 8, mode=mode, rng=seed) for mode in ("default", "published"))
        assert ours.objective < theirs.objective


def test_same_seed_same_codes_and_a_large_set_takes_block_cuts():
    y = np.arange(1100) % 5
    T = supervision.sample_triplets(supervision.from_labels(y), 5, rng=0)
    runs = [codes.triplets(T, 3, rng=1, n_jobs=jobs, max_cycles=1) for jobs in (1, 2)]
    np.testing.assert_array_equal(runs[0].B, runs[1].B)
    assert runs[0].bits[0].solver == "block_graph_cut" and runs[0].stats["solver"] == "block_graph_cut"
    few = [codes.triplets(T.restrict(np.arange(200)), 3, rng=1, n_jobs=jobs).B for jobs in (1, 2)]
    np.testing.assert_array_equal(few[0], few[1])


def test_stopping():
    T = supervision.sample_triplets(supervision.from_labels(np.arange(30) % 3), 5)
    seen = []

    def stop(event):
        seen.append(event.x.shape)
        return len(seen) == 2

    result = codes.triplets(T, 5, callback=stop)
    assert seen == [(30, 5)] * 2 and result.stats["stopped"] == "callback" and result.stats["n_bits_solved"] == 2
    np.testing.assert_array_equal(result.B[:, 2:], result.B[:, [0, 1, 0]])
    init = codes.triplets(T, 5).B
    seen.clear()
    np.testing.assert_array_equal(codes.triplets(T, 5, callback=stop, init=init).B[:, 2:], init[:, 2:])
    assert codes.triplets(T, 5, time_limit=0.0).stats["stopped"] == "time_limit"
    for when in (2, 7):

        def interrupt(event, when=when):
            seen.append(event.energy)
            if len(seen) == when:
                raise KeyboardInterrupt

        seen.clear()
        result = codes.triplets(T, 5, callback=interrupt)
        assert result.stats["stopped"] == "interrupted" and result.objective == losses.triplet.value(T, result.B)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (dict(n_bits=0), ParameterError, "n_bits must be an integer >= 1, got 0"),
        (dict(margin=0.0), ParameterError, "margin must lie in (0, 1]"),
        (dict(mode="fast"), ParameterError, "mode must be one of default, published"),
        (dict(mode="published", solver="tabu_search"), ParameterError, "uses its own block cuts"),
        (dict(solver="magic"), ParameterError, "unknown solver 'magic'"),
        (dict(nonsense=3), ParameterError, "unknown option 'nonsense'"),
        (dict(group_size=0), ParameterError, "group_size must be an integer >= 1"),
        (dict(n_per_anchor=5), ParameterError, "these are given"),
        (dict(max_cycles=-1), ParameterError, "max_cycles must be an integer >= 0"),
        (dict(refit=3), ParameterError, "refit must be a function"),
        (dict(refit=lambda B, bits: np.ones((3, 3))), ProblemError, "refit must return shape (3, 4)"),
        (dict(init=np.ones((3, 2))), ProblemError, "init must have 4 columns"),
        (dict(similarity=supervision.from_labels([0, 1])), ProblemError, "similarity must have 3 points"),
        (dict(similarity=np.eye(3)), ProblemError, "S must be a Similarity"),
        (dict(T=[[0, 1, 2]]), ProblemError, "T must be Triplets or a Similarity, got list"),
    ],
)
def test_bad_calls(arguments, error, message):
    with pytest.raises(error) as caught:
        codes.triplets(**{"T": supervision.from_triplets([[0, 1, 2]], 3), "n_bits": 4, **arguments})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "T, n, weights, message",
    [
        ([[0, 1]], 3, None, "T must have shape (m, 3)"),
        ([[0, 1, 2], [1, 2]], 3, None, "T must have three columns"),
        (np.empty((0, 3), int), 3, None, "T holds no triplet"),
        ([[0.0, 1.0, 2.0]], 3, None, "T must hold integers"),
        ([[0, 1, 3]], 3, None, "T must lie in 0..2 since n is 3, got 3 at (0, 2)"),
        ([[0, 1, 2], [0, 1, 1]], 3, None, "triplet 1 is (0, 1, 1)"),
        ([[0, 1, 2]], 0, None, "n must be a positive integer"),
        ([[0, 1, 2]], 3, [-1.0], "weights must be at least 0"),
        ([[0, 1, 2]], 3, [0.0], "no triplet has a positive weight"),
    ],
)
def test_bad_triplets(T, n, weights, message):
    with pytest.raises(ProblemError) as caught:
        supervision.from_triplets(T, n, weights)
    assert message in str(caught.value)


def test_bad_draws_and_margins():
    S = supervision.from_labels([0, 0, 1])
    with pytest.raises(ParameterError, match="n_per_anchor must be an integer >= 1"):
        supervision.sample_triplets(S, 0)
    with pytest.raises(ProblemError, match="no triplet to draw"):
        supervision.sample_triplets(supervision.from_labels([4, 4]))
    with pytest.raises(ProblemError, match="S must be a Similarity"):
        supervision.sample_triplets(np.eye(3))
    T = supervision.from_triplets([[0, 1, 2]], 3)
    for margin in (0.0, np.inf, "wide"):
        with pytest.raises(ParameterError, match="margin must be a positive number"):
            losses.triplet.value(T, np.ones((3, 2)), margin)

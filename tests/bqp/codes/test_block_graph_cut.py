"""FastHash's code step: the published update step by step, and the default that never goes uphill."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bqp import codes, losses, supervision
from bqp.codes.block_graph_cut import pair_strengths
from bqp.codes.blocks import similar_blocks
from bqp.errors import BQPWarning, ParameterError, ProblemError
from bqp.losses.bits import BitProblems
from bqp.testing import similarities as cases

LOSSES = ("ksh", "bre", "hinge", "exponential")


def naive(name, S, W, B):
    loss, G = losses.get(name), B.astype(float) @ B.T.astype(float)
    return float(sum(W[i, j] * loss(S[i, j], G[i, j], B.shape[1]) for i, j in np.argwhere(W)))


def ten_classes(n=200):
    return supervision.from_labels(np.arange(n) % 10)


# ---- the published mode --------------------------------------------------------------------------------------------


def loss_at_distance(name, s, d, r):
    """The losses of the published code, of the Hamming distance d over r bits."""
    if name == "hinge":
        return np.where(s > 0, d / r, np.maximum(0, 0.5 - d / r)) ** 2
    return (s - (r - 2 * d) / r) ** 2 * r * r  # ksh, times r^2 so that it is an integer


def literal_fasthash(name, s, w, n_bits, blocks, rng, passes=2, refit=None):
    """Bits one by one; blocks in random order, each set to its best values given the others (fewest +1 on a tie)."""
    n = len(s)
    B = np.ones((n, n_bits), int)
    fitted, sample_weights = np.ones((n, n_bits), int), []
    for k in range(n_bits):
        d = np.array([[np.sum(B[i, :k] != B[j, :k]) for j in range(n)] for i in range(n)])
        gain = w * (loss_at_distance(name, s, d, k + 1) - loss_at_distance(name, s, d + 1, k + 1))
        np.fill_diagonal(gain, 0)
        z = np.ones(n, int)
        for _ in range(passes):
            for b in rng.permutation(len(blocks)):
                block = blocks[b]
                outside = np.setdiff1d(np.arange(n), block)
                h = gain[np.ix_(block, outside)] @ z[outside]
                inner = np.minimum(gain[np.ix_(block, block)], 0)
                best, best_cost = None, np.inf
                for y in sorted(itertools.product((-1, 1), repeat=len(block)), key=sum):
                    cost = np.dot(h, y) + sum(
                        inner[a, c] * y[a] * y[c] for a in range(len(y)) for c in range(a + 1, len(y))
                    )
                    if cost < best_cost - 1e-9:
                        best, best_cost = y, cost
                z[block] = best
        fitted[:, k] = B[:, k] = z
        if refit is not None:
            weight = np.abs(gain).sum(axis=1)
            sample_weights.append(weight / weight.mean() if weight.mean() > 0 else np.ones(n))
            B[:, k] = np.where(refit(z) >= 0, 1, -1)
    return B, fitted, sample_weights


def hash_function(X):
    """A least-squares fit to one bit, so crude that its signs differ from the bit."""
    return lambda z: X @ np.linalg.lstsq(X, z.astype(float), rcond=None)[0]


@settings(deadline=None, max_examples=60)
@given(
    case=cases.similarities(max_n=7),
    loss_and_bits=st.sampled_from((("hinge", 2), ("ksh", 4))),  # data that are exact in binary
    refit=st.booleans(),
    seed=st.integers(0, 999),
    m=st.integers(1, 3),
)
def test_published_mode_is_the_published_update(case, loss_and_bits, refit, seed, m):
    similarity, S, _ = case
    name, n_bits = loss_and_bits
    draws = np.random.SeedSequence(seed).spawn(3)
    try:
        pairs = supervision.sample_pairs(similarity, m, m, rng=draws[0])
    except ProblemError:  # no two known points
        return
    s, w = pairs.to_dense()
    blocks = similar_blocks(similarity, losses.get(name), np.random.Generator(np.random.PCG64(draws[1])))
    order = np.random.Generator(np.random.PCG64(draws[2]))
    X = np.random.default_rng(seed).standard_normal((len(S), 2))
    step = hash_function(X)
    seen = []

    def outputs(B, bits, sample_weight=None):
        assert B.shape == (len(S), n_bits) and len(bits) == 1
        seen.append(sample_weight)
        return step(B[:, bits[0]])[:, None]

    if not refit and not similarity.known.all():  # points without a known pair are left out, which renumbers the others
        return
    B, fitted, weights = literal_fasthash(name, s, w, n_bits, blocks, order, refit=step if refit else None)
    result = codes.block_graph_cut(
        similarity, n_bits, loss=name, mode="published", n_similar=m, n_dissimilar=m, rng=seed,
        refit=outputs if refit else None,
    )  # fmt: skip
    known = similarity.known  # where a point has no pair at all any value is as good
    np.testing.assert_array_equal(result.B[known], B[known])
    for k, bit in enumerate(result.bits):
        np.testing.assert_array_equal(bit.x[known], fitted[known, k])
    if refit:
        np.testing.assert_allclose(seen, weights, atol=1e-12)
        np.testing.assert_array_equal(result.stats["refit_calls"], np.arange(n_bits))
    assert result.objective == pytest.approx(losses.value(similarity, result.B, name), abs=0)


@pytest.mark.parametrize("seed", range(5))
def test_published_hinge_with_many_bits_on_weights_without_ties(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 8)
    i, j = np.triu_indices(8, 1)
    keep = rng.random(len(i)) < 0.8
    i, j = i[keep], j[keep]
    S = supervision.from_pairs(i, j, np.where(y[i] == y[j], 1, -1), 8, weights=rng.random(len(i)) + 0.1)
    s, w = S.to_dense()
    draws = np.random.SeedSequence(seed).spawn(3)
    blocks = similar_blocks(S, losses.get("hinge"), np.random.Generator(np.random.PCG64(draws[1])))
    B, _, _ = literal_fasthash("hinge", s, w, 6, blocks, np.random.Generator(np.random.PCG64(draws[2])))
    result = codes.block_graph_cut(S, 6, mode="published", rng=seed)
    np.testing.assert_array_equal(result.B, B)
    assert result.loss == "hinge" and len(result.trace) == 6 and result.stats["target"] == "stagewise"


def test_published_mode_clips_repelling_pairs_and_says_so():
    S = supervision.from_labels([0, 1, 0, 1])
    with pytest.warns(BQPWarning, match="repelling pairs inside blocks counted 0"):
        result = codes.block_graph_cut(S, 3, mode="published", blocks=[[0, 1, 2, 3]])
    assert sum(bit.stats["n_clipped"] for bit in result.bits) > 0
    quiet = codes.block_graph_cut(S, 3, blocks=[[0, 1, 2, 3]])  # warnings are errors here
    assert quiet.objective <= result.ksh_objective


# ---- the default mode ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    case=cases.similarities(),
    loss=st.sampled_from(LOSSES),
    target=st.sampled_from(losses.TARGETS),
    merge=st.booleans(),
    q=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_result_says_the_truth_and_never_rises(case, loss, target, merge, q, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    result = codes.block_graph_cut(similarity, q, loss=loss, target=target, merge=merge, rng=seed, n_restarts=2)
    B = result.B
    assert B.shape == (len(S), q) and B.dtype == np.int8 and set(np.unique(B)) <= {-1, 1}
    exact = dict(rtol=0, atol=0) if loss == "ksh" else dict(rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(result.objective, naive(loss, S, W, B), **exact)
    assert result.ksh_objective == naive("ksh", S, W, B)
    assert result.lower_bound <= result.objective and result.ksh_lower_bound <= result.ksh_objective
    assert np.all(np.diff(result.trace.objective) <= 0)
    np.testing.assert_allclose(result.trace.objective[-1], result.objective, rtol=1e-12, atol=1e-12)
    if loss == "ksh":  # no flip of one bit of one point improves
        for k in range(q):
            problem = losses.bit_problem(similarity, B, k, loss, "cyclic")
            if not similarity.known.all():
                continue
            assert result.stats["merged"] or np.all(problem.flip_deltas(B[:, k]) >= -1e-9)


@settings(deadline=None, max_examples=30)
@given(case=cases.similarities(), seed=st.integers(0, 99), loss=st.sampled_from(("ksh", "hinge")))
def test_with_functions_the_codes_are_their_signs_and_cycles_only_improve(case, seed, loss):
    similarity, S, W = case
    X = np.random.default_rng(seed).standard_normal((len(S), 2))
    step, made = hash_function(X), []

    def refit(B, bits, sample_weight=None):
        assert np.all(sample_weight >= 0) and sample_weight.mean() == pytest.approx(1.0)
        made.append(step(B[:, bits[0]]))
        return made[-1][:, None]

    result = codes.block_graph_cut(similarity, 3, loss=loss, refit=refit, max_cycles=2, rng=seed)
    calls = result.stats["refit_calls"]
    for k in range(3):
        np.testing.assert_array_equal(result.B[:, k], np.where(made[calls[k]] >= 0, 1, -1))
        np.testing.assert_array_equal(step(result.bits[k].x), made[calls[k]])
    assert np.all(np.diff(result.trace.objective) <= 0)
    np.testing.assert_allclose(result.trace.objective[-1], result.objective, rtol=1e-12, atol=1e-12)
    made.clear()
    one_pass = codes.block_graph_cut(similarity, 3, loss=loss, refit=refit, max_cycles=0, rng=seed)
    i, j = np.nonzero(cases.weights_of(similarity, W))
    has_pairs = np.any(i != j)  # else there is no published pass beside ours
    assert len(made) == (6 if has_pairs else 3) and result.objective <= one_pass.objective * (1 + 1e-12)
    if has_pairs:
        options = {"n_similar": 2, "n_dissimilar": 2} if seed % 2 else {}
        ours, theirs = (
            codes.block_graph_cut(similarity, 3, loss=loss, refit=refit, mode=mode, rng=seed, **options)
            for mode in ("default", "published")
        )
        assert ours.objective <= theirs.objective * (1 + 1e-12)
        made.clear()
        codes.block_graph_cut(similarity, 3, loss=loss, refit=refit, rng=seed, **options)
        for k, call in enumerate(ours.stats["refit_calls"]):  # the calls named are those of the codes returned
            np.testing.assert_array_equal(ours.B[:, k], np.where(made[call] >= 0, 1, -1))


@settings(deadline=None, max_examples=100)
@given(case=cases.similarities(kinds=("labels", "label_sets", "groups")), k=st.integers(0, 3), seed=st.integers(0, 99))
def test_strengths_are_row_sums_of_the_written_out_problem(case, k, seed):
    similarity, S, _ = case
    loss = losses.get("ksh")
    bits = BitProblems.of(similarity, loss, 4, write_out=False)
    B = cases.codes(np.random.default_rng(seed), len(S), 4)
    bits.load(B, np.arange(4) < k)
    for r, shift in ((4, 0), (k + 1, 0), (4, 3 - k)):
        problem = bits.problem(r, shift)
        A = np.abs(problem.Q.to_dense())
        got = pair_strengths(similarity, problem, B[:, :k], r, shift, 1.0)
        np.testing.assert_allclose(got, A.sum(axis=1) - A.diagonal(), atol=1e-9)


def test_structured_points_with_functions():
    """More points than are written out: low-rank blocks, one pass, then cycles that only improve."""
    y = np.arange(4400) % 11
    S = supervision.from_labels(y)
    rng = np.random.default_rng(0)
    X = np.eye(11)[y] + 0.3 * rng.standard_normal((4400, 11))

    def refit(B, bits, sample_weight=None):
        return X @ np.linalg.lstsq(X * sample_weight[:, None], B[:, bits] * sample_weight[:, None], rcond=None)[0]

    result = codes.block_graph_cut(S, 6, refit=refit, exact_up_to=100, max_cycles=1)
    assert result.objective == S.ksh_objective(result.B) and np.all(np.diff(result.trace.objective) <= 0)
    assert len(np.unique(result.B, axis=0)) > 11
    hinge = codes.block_graph_cut(S, 2, loss="hinge", refit=refit, max_cycles=0)  # not low rank: on sampled pairs
    assert hinge.stats["n_pairs"] > 4400 * 200 and hinge.objective == losses.value(S, hinge.B, "hinge")


def test_default_is_at_least_as_good_as_published_on_the_same_loss():
    for S in (
        ten_classes(),
        supervision.from_label_sets((np.random.default_rng(0).random((90, 6)) < 0.25).astype(int)),
    ):
        for loss in ("ksh", "hinge"):
            for seed in range(2):
                ours = codes.block_graph_cut(S, 6, loss=loss, rng=seed, certify=False)
                theirs = codes.block_graph_cut(S, 6, loss=loss, mode="published", rng=seed, certify=False)
                assert ours.objective <= theirs.objective


def test_same_seed_same_codes():
    S = supervision.from_label_sets((np.random.default_rng(0).random((60, 6)) < 0.3).astype(int))
    for mode in ("default", "published"):
        runs = [codes.block_graph_cut(S, 5, mode=mode, n_restarts=3, rng=4, n_jobs=jobs).B for jobs in (1, 2, 2)]
        np.testing.assert_array_equal(runs[0], runs[1])
        np.testing.assert_array_equal(runs[0], runs[2])


def test_unknown_points_one_class_and_one_point():
    result = codes.block_graph_cut(supervision.from_labels([0, 0, 0, 1, -1]), 4)
    np.testing.assert_array_equal(result.B[4], result.B[0])
    assert result.objective == 0.0
    for y in ([5], [5, 5, 5]):
        assert codes.block_graph_cut(supervision.from_labels(y), 3).objective == 0.0
    assert codes.block_graph_cut(supervision.from_labels([5, 5]), 3, mode="published").objective == 0.0
    with pytest.raises(ProblemError, match="no known pair of two points"):
        codes.block_graph_cut(supervision.from_labels([5]), 3, mode="published")


def test_stopping():
    S = ten_classes()
    seen = []

    def stop(event):
        seen.append(event.x.shape)
        return len(seen) == 3

    result = codes.block_graph_cut(S, 8, callback=stop)
    assert seen == [(200, 8)] * 3 and result.stats["stopped"] == "callback" and result.stats["n_bits_solved"] == 3
    np.testing.assert_array_equal(result.B[:, 3:], result.B[:, [0, 1, 2, 0, 1]])
    assert codes.block_graph_cut(S, 4, time_limit=0.0).stats["stopped"] == "time_limit"
    for when in (2, 9, 12):
        events = []

        def interrupt(event, when=when, events=events):
            events.append(event.energy)
            if len(events) == when:
                raise KeyboardInterrupt

        result = codes.block_graph_cut(S, 8, callback=interrupt)
        assert result.stats["stopped"] == "interrupted" and result.objective == S.ksh_objective(result.B)
        if when > 8:
            assert result.objective == events[-1]


def test_init_is_where_bits_start():
    S = ten_classes()
    init = codes.bitwise(S, 6).B
    result = codes.block_graph_cut(S, 6, init=init, n_restarts=1)
    assert result.objective <= S.ksh_objective(init) * 1.2
    perfect = np.array([[1, 1, -1], [-1, -1, 1]])
    np.testing.assert_array_equal(
        codes.block_graph_cut(supervision.from_labels([0, 1]), 3, init=perfect, n_restarts=1).B, perfect
    )


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (dict(n_bits=0), ParameterError, "n_bits must be an integer >= 1, got 0"),
        (dict(loss="l2"), ParameterError, "unknown loss 'l2'"),
        (dict(target="all"), ParameterError, "unknown target 'all'"),
        (dict(mode="fast"), ParameterError, "mode must be one of default, published, got 'fast'"),
        (dict(blocks="classes"), ParameterError, "blocks must be 'auto' or a sequence of index arrays"),
        (dict(blocks=[[0, 7]]), ProblemError, "block 0 must hold points in 0..1, got 7 at (1)"),
        (dict(refit=3), ParameterError, "refit must be a function"),
        (dict(refit=lambda B, bits, sample_weight: np.ones((2, 3))), ProblemError, "refit must return shape (2, 1)"),
        (dict(refit=lambda B, bits, sample_weight: [[1.0], [np.nan]]), ProblemError, "refit returned nan at (1, 0)"),
        (dict(max_passes=0), ParameterError, "max_passes must be an integer >= 1"),
        (dict(max_cycles=-1), ParameterError, "max_cycles must be an integer >= 0"),
        (dict(n_restarts=0), ParameterError, "n_restarts must be an integer >= 1"),
        (dict(exact_up_to=0), ParameterError, "exact_up_to must be an integer >= 1"),
        (dict(n_similar=-2), ParameterError, "n_similar must be an integer >= 0"),
        (dict(time_limit=-1), ParameterError, "time_limit must be a number of seconds >= 0"),
        (dict(certify="maybe"), ParameterError, "certify must be"),
        (dict(init=np.ones((2, 3))), ProblemError, "init must have 4 columns"),
        (dict(n_jobs=0), ParameterError, "n_jobs must be"),
    ],
)
def test_bad_calls(arguments, error, message):
    with pytest.raises(error) as caught:
        codes.block_graph_cut(supervision.from_labels([0, 1]), **{"n_bits": 4, **arguments})
    assert message in str(caught.value)
    with pytest.raises(ProblemError, match="S must be a Similarity"):
        codes.block_graph_cut(np.eye(3))


def test_default_with_functions_is_at_least_as_good_as_published_with_the_same_ones():
    y = np.arange(240) % 6
    S = supervision.from_labels(y)
    X = np.eye(6)[y] + 0.4 * np.random.default_rng(1).standard_normal((240, 6))

    def refit(B, bits, sample_weight=None):
        w = np.sqrt(sample_weight)[:, None]
        return X @ np.linalg.lstsq(w * X, w * B[:, bits], rcond=None)[0]

    for loss in ("ksh", "hinge"):
        ours, theirs = (
            codes.block_graph_cut(S, 8, loss=loss, mode=mode, refit=refit) for mode in ("default", "published")
        )
        assert ours.objective < theirs.objective and 1 <= ours.stats["n_cycles"] <= 4

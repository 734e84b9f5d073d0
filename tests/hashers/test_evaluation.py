"""`metrics.evaluate`, asymmetric and weighted rankings, balls and pair distances against the ranked twin."""

import itertools
import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from hashers import metrics, packing
from tests.hashers import _naive

ORDERED = ["stable", "optimistic", "pessimistic"]


def make(seed, n_query=4, n_database=30, n_bits=6, n_labels=3, sets=False):
    rng = np.random.default_rng(seed)
    B_query, B_database = (packing.signs(rng.normal(size=(n, n_bits))) for n in (n_query, n_database))
    if sets:
        return B_query, B_database, *((rng.random((n, n_labels)) < 0.3).astype(int) for n in (n_query, n_database))
    return B_query, B_database, rng.integers(0, n_labels, n_query), rng.integers(0, n_labels, n_database)


def margins_of(seed, n_query, n_bits, whole):
    """Real margins, or small integers, which tie."""
    rng = np.random.default_rng(seed + 1)
    return rng.integers(-2, 3, (n_query, n_bits)) / 7 if whole else rng.normal(size=(n_query, n_bits))


def mean_over(d, levels, ties, score):
    return np.mean([score(_naive.rankings(d[a], levels[a], ties)) for a in range(len(d))])


def precision_at(ranking, k):
    return (ranking[:k] > 0).sum() / min(k, len(ranking))


def recall_at(ranking, k):
    return (ranking[:k] > 0).sum() / max((ranking > 0).sum(), 1)


@given(
    seed=st.integers(0, 10_000),
    n_bits=st.integers(1, 20),
    sets=st.booleans(),
    whole=st.booleans(),
    weighted=st.booleans(),
    k=st.none() | st.integers(1, 35),
    divisor=st.sampled_from(metrics.DIVISORS),
    ties=st.sampled_from(ORDERED),
)
def test_margins_rank_by_the_inner_product(seed, n_bits, sets, whole, weighted, k, divisor, ties):
    data = make(seed, n_bits=n_bits, sets=sets)
    margins = margins_of(seed, 4, n_bits, whole)
    weights = np.random.default_rng(seed).integers(-1, 4, n_bits) / 10 if weighted else None
    d = -(margins * (1 if weights is None else weights)) @ data[1].T.astype(float)
    levels = _naive.relevance(*data[2:])
    options = {"ties": ties, "weights": weights, "query_margins": margins}
    ours = metrics.mean_average_precision(None, *data[1:], k=k, divisor=divisor, **options)
    assert ours == pytest.approx(mean_over(d, levels, ties, lambda r: _naive.textbook_ap(r, k, divisor)), abs=1e-12)
    ours = metrics.mean_ndcg(*data, k=k, **options)  # the codes of the queries are not looked at
    assert ours == pytest.approx(mean_over(d, levels, ties, lambda r: _naive.textbook_ndcg(r, k)), abs=1e-12)
    top = k or 4
    for measure, twin in ((metrics.precision_at_k, precision_at), (metrics.recall_at_k, recall_at)):
        ours = measure(None, *data[1:], k=top, **options)
        assert ours == pytest.approx(mean_over(d, levels, ties, partial(twin, k=top)), abs=1e-12)


@pytest.mark.parametrize("k", [None, 3, 11])
def test_expected_ties_of_margins_are_the_average_over_orders(k):
    """Margins of (1, 1, 0) tie codes that differ in the third bit, and those whose first two bits are swapped."""
    B = np.array([[1, 1, 1], [1, -1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1], [1, 1, -1]], dtype=np.int8)
    y, margins = np.array([0, 1, 0, 0, 1, 1]), np.array([[0.3, 0.3, 0.0]])
    d = -(margins @ B.T.astype(float))[0]
    orders = [o for o in itertools.permutations(range(6)) if (np.diff(np.round(d[list(o)], 9)) >= 0).all()]
    assert len(orders) == 2 * 6 * 1
    for divisor in metrics.DIVISORS:
        expected = np.mean([_naive.textbook_ap(y[list(o)] == 0, k, divisor) for o in orders])
        ours = metrics.mean_average_precision(None, B, [0], y, k=k, divisor=divisor, query_margins=margins)
        assert ours == pytest.approx(expected, abs=1e-12)


def test_signs_as_margins_rank_as_hamming_distance():
    for n_bits in (5, 64, 70, 128):
        data = make(n_bits, n_bits=n_bits)
        for ties in metrics.TIES:
            asymmetric = metrics.average_precision(None, *data[1:], ties=ties, query_margins=0.1 * data[0])
            np.testing.assert_allclose(asymmetric, metrics.average_precision(*data, ties=ties), atol=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e150, 1e300])
def test_the_scale_of_margins_and_weights_changes_nothing(scale):
    data, margins = make(3), margins_of(3, 4, 6, whole=True)
    plain = metrics.average_precision(None, *data[1:], query_margins=margins)
    np.testing.assert_array_equal(metrics.average_precision(None, *data[1:], query_margins=margins * scale), plain)
    weights = np.arange(1.0, 7.0)
    weighted = metrics.average_precision(*data, weights=weights)
    np.testing.assert_array_equal(metrics.average_precision(*data, weights=weights * scale), weighted)
    ours = metrics.precision_at_radius(*data, radius=5 * scale, weights=weights * scale)
    assert ours == metrics.precision_at_radius(*data, radius=5, weights=weights)


def test_a_query_without_any_margin_ties_everything():
    data = make(5)
    zero = metrics.average_precision(None, *data[1:], query_margins=np.zeros((4, 6)))
    one_code = metrics.average_precision(data[0], np.ones_like(data[1]), *data[2:])
    np.testing.assert_allclose(zero, one_code, atol=1e-12)


def test_margins_of_any_layout():
    data, margins = make(6), margins_of(6, 4, 6, whole=False).astype(np.float32)
    expected = metrics.average_precision(None, *data[1:], query_margins=margins)
    margins.setflags(write=False)
    np.testing.assert_array_equal(
        metrics.average_precision(None, *data[1:], query_margins=margins[::-1][::-1]), expected
    )
    wide = np.zeros((4, 12), np.float32)
    wide[:, ::2] = margins
    np.testing.assert_array_equal(metrics.average_precision(None, *data[1:], query_margins=wide[:, ::2]), expected)
    packed = packing.pack(data[1]), *data[2:]
    np.testing.assert_array_equal(metrics.average_precision(None, *packed, query_margins=margins, n_bits=6), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_margins": np.ones((4, 5))}, "5 columns and B_database 6 bits"),
        ({"query_margins": np.ones((3, 6))}, "3 rows and B_query 4"),
        ({"query_margins": np.full((4, 6), np.nan)}, r"nan at \(0, 0\)"),
        ({"query_margins": np.full((4, 6), np.inf)}, r"inf at \(0, 0\)"),
        ({"query_margins": np.ones(6)}, r"its shape is \(6,\)"),
        ({"query_margins": np.full((4, 6), "a")}, "real numbers"),
        ({"k": 0}, "k must be a positive integer"),
        ({"k": [5, None]}, "None"),
        ({"radius": 1.5}, "radius must be an integer"),
        ({"gain": [0, 2, 1]}, "must rise from 0"),
        ({"gain": "cubic"}, "gain must be"),
        ({"database": "both"}, '"hashed", "learned" or None'),
        ({"weights": np.ones(5)}, r"shape \(6,\)"),
    ],
)
def test_bad_options(change, message):
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(*make(0), **change)


def test_no_queries_at_all():
    with pytest.raises(ValueError, match="B_query is None"):
        metrics.evaluate(None, *make(0)[1:])


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    n_bits=st.integers(1, 10),
    sets=st.booleans(),
    ranked_by=st.sampled_from(["distance", "weights", "margins"]),
    k=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    radius=st.integers(0, 12),
    n_jobs=st.sampled_from([1, 2]),
)
def test_evaluate_equals_the_single_measures(seed, n_bits, sets, ranked_by, k, radius, n_jobs):
    data = make(seed, n_bits=n_bits, sets=sets)
    options = {}
    if ranked_by == "weights":
        options["weights"] = np.random.default_rng(seed).integers(0, 3, n_bits) + 0.5
    if ranked_by == "margins":
        options["query_margins"] = margins_of(seed, 4, n_bits, whole=True)
    result = metrics.evaluate(*data, k=k, radius=radius, n_jobs=n_jobs, **options)
    for ties in metrics.TIES:
        told = {"ties": ties, **options}
        close = partial(pytest.approx, abs=1e-12)
        assert result.map[ties] == close(metrics.mean_average_precision(*data, **told))
        assert result.ndcg[ties] == close(metrics.mean_ndcg(*data, **told))
        for m in k:
            assert result.ndcg_at_k[m][ties] == close(metrics.mean_ndcg(*data, k=m, **told))
            assert result.precision_at_k[m][ties] == close(metrics.precision_at_k(*data, k=m, **told))
            assert result.recall_at_k[m][ties] == close(metrics.recall_at_k(*data, k=m, **told))
            for divisor in metrics.DIVISORS:
                single = metrics.mean_average_precision(*data, k=m, divisor=divisor, **told)
                assert result.map_at_k[m][divisor][ties] == close(single)
    assert result.precision_at_radius["zero"] == metrics.precision_at_radius(*data, radius=radius)
    np.testing.assert_array_equal(
        result.precision_at_radius["skip"], metrics.precision_at_radius(*data, radius=radius, empty="skip")
    )
    assert result.recall_at_radius == metrics.recall_at_radius(*data, radius=radius)
    np.testing.assert_array_equal(result.curve.recall, metrics.precision_recall(*data).recall)
    d, hit = _naive.distances(*data[:2]), _naive.relevance(*data[2:]) > 0
    for name, pairs in (("relevant", hit), ("irrelevant", ~hit)):
        expected = d[pairs].mean() if pairs.any() else np.nan
        assert result.mean_distance[name] == pytest.approx(expected, nan_ok=True)


def test_the_protocol_says_what_was_measured():
    data = make(1)
    result = metrics.evaluate(data[0], data[1], [0, 1, 2, 9], data[3], k=7, radius=3, database="learned")
    protocol = result.protocol
    assert (protocol.n_query, protocol.n_database, protocol.n_bits) == (4, 30, 6)
    assert protocol.n_without_relevant == 1 and protocol.k == (7,) and protocol.radius == 3
    assert protocol.relevance == "same label" and protocol.database == "learned"
    assert protocol.ranking == "Hamming distance" and "numpy" in protocol.versions
    sets = metrics.evaluate(*make(1, sets=True), weights=np.ones(6), gain=[0, 1, 5], k=[3, 2, 3])
    assert sets.protocol.relevance == "at least one label in common" and sets.protocol.k == (2, 3)
    assert sets.protocol.ranking == "weighted Hamming distance" and sets.protocol.database == "not stated"
    asymmetric = metrics.evaluate(None, *data[1:], query_margins=margins_of(1, 4, 6, False))
    assert "asymmetric" in asymmetric.protocol.ranking


def test_a_result_is_json_and_a_table():
    B_query, B_database = np.ones((1, 8), np.int8), -np.ones((2, 8), np.int8)
    result = metrics.evaluate(B_query, B_database, [0], [0, 0], k=1)  # an empty ball, no irrelevant pair, one query
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert values["precision_at_radius"] == {"zero": 0.0, "skip": None}
    assert values["mean_distance"] == {"relevant": 8.0, "irrelevant": None}
    assert values["map_at_k"]["1"]["found"]["expected"] == 1.0 and values["map_standard_error"] is None
    assert values["protocol"]["n_bits"] == 8 and "average_precision" not in values
    assert result.to_dict(arrays=True)["average_precision"] == [1.0]
    table = str(result)
    assert "MAP@1 / min" in table and "database codes not stated" in table and "NDCG" in table
    assert len({len(line) for line in table.splitlines()[1:9]}) == 1  # columns line up


def test_the_standard_error_is_over_queries():
    result = metrics.evaluate(*make(2, n_query=9))
    ap = metrics.average_precision(*make(2, n_query=9))
    np.testing.assert_array_equal(result.average_precision, ap)
    assert result.map_standard_error == pytest.approx(ap.std(ddof=1) / 3)


@given(seed=st.integers(0, 10_000), n_bits=st.integers(1, 70), negative=st.booleans(), sets=st.booleans())
def test_weighted_balls(seed, n_bits, negative, sets):
    data = make(seed, n_bits=n_bits, sets=sets)
    weights = np.random.default_rng(seed).integers(-2 if negative else 0, 5, n_bits) / 10
    d, hit = _naive.distances(*data[:2], weights), _naive.relevance(*data[2:]) > 0
    for radius in (0.0, 0.3, 0.7, 2.0):
        ball = d <= radius + 1e-9
        precision = (ball & hit).sum(axis=1) / np.maximum(ball.sum(axis=1), 1)
        recall = (ball & hit).sum(axis=1) / np.maximum(hit.sum(axis=1), 1)
        options = {"radius": radius, "weights": weights}
        assert metrics.precision_at_radius(*data, **options) == pytest.approx(precision.mean())
        assert metrics.recall_at_radius(*data, **options) == pytest.approx(recall.mean())
    curve = metrics.precision_recall(*data, weights=weights)
    assert len(curve.radius) == n_bits + 1 and curve.recall[-1] == pytest.approx(hit.any(axis=1).mean())
    assert curve.radius[0] == pytest.approx(weights[weights < 0].sum())
    for r, radius in enumerate(curve.radius):
        ball = d <= radius + 1e-9
        assert curve.nonempty[r] == pytest.approx(ball.any(axis=1).mean())


def test_weights_of_one_give_the_plain_curve():
    data = make(7, n_bits=9)
    plain, weighted = metrics.precision_recall(*data), metrics.precision_recall(*data, weights=np.ones(9))
    np.testing.assert_allclose(weighted.radius, plain.radius)
    np.testing.assert_allclose(weighted.precision, plain.precision)
    np.testing.assert_allclose(weighted.recall, plain.recall)


@given(seed=st.integers(0, 10_000), n_labels=st.integers(1, 130), n_bits=st.integers(1, 12))
def test_pair_distances(seed, n_labels, n_bits):
    rng = np.random.default_rng(seed)
    B = packing.signs(rng.normal(size=(25, n_bits)))
    different = ~np.eye(25, dtype=bool)
    d = _naive.distances(B, B)
    for y in (rng.integers(0, n_labels, 25), (rng.random((25, n_labels)) < 2 / n_labels).astype(np.uint8)):
        statistics, near = metrics.code_statistics(B, y), _naive.relevance(y, y) > 0
        for ours, pairs in (
            (statistics.mean_distance_similar, near & different),
            (statistics.mean_distance_dissimilar, ~near & different),
        ):
            assert ours == pytest.approx(d[pairs].mean() if pairs.any() else np.nan, nan_ok=True)


def test_pair_distances_need_known_labels():
    B = make(0)[1]
    assert np.isnan(metrics.code_statistics(B).mean_distance_similar)
    with pytest.raises(ValueError, match="y has 3 rows and B has 30"):
        metrics.code_statistics(B, [0, 1, 2])
    with pytest.raises(ValueError, match="y has 30 labels equal to -1"):
        metrics.code_statistics(B, np.full(30, -1))
    one = metrics.code_statistics(B, np.full(30, -1), unlabeled=None)
    assert np.isnan(one.mean_distance_dissimilar) and one.mean_distance_similar > 0


def test_gains_by_number_of_shared_labels():
    data = make(9, sets=True, n_labels=5)
    table = [0.0, 1.0, 4.0]
    levels = np.minimum(_naive.relevance(*data[2:]), 2)
    d = _naive.distances(*data[:2])

    def twin(ranking):
        gains, discount = np.array(table)[ranking], 1 / np.log2(np.arange(2, len(ranking) + 2))
        best = (np.sort(gains)[::-1] * discount).sum()
        return (gains * discount).sum() / best if best > 0 else 0.0

    for ties in ORDERED:
        ours = metrics.mean_ndcg(*data, ties=ties, gain=table)
        full = _naive.relevance(*data[2:])  # ties are split by the number of labels
        expected = np.mean([twin(np.minimum(_naive.rankings(d[a], full[a], ties), 2)) for a in range(len(d))])
        assert ours == pytest.approx(expected)
    assert (levels <= 2).all()


def test_very_many_labels_in_common():
    """Gains of 2**1500 do not overflow: they are scaled together."""
    Y = np.zeros((3, 1600), np.uint8)
    Y[0], Y[1, :1500] = 1, 1
    B = np.array([[1, 1], [1, -1], [-1, -1]], dtype=np.int8)
    assert metrics.mean_ndcg(B[:1], B[1:], Y[:1], Y[1:]) == 1.0
    assert metrics.mean_ndcg(B[:1], B[[2, 1]], Y[:1], Y[1:]) == pytest.approx(1 / np.log2(3))


def test_sparse_label_sets():
    data = make(8, sets=True, n_labels=200)
    expected = metrics.evaluate(*data).to_dict()
    for kind in (sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
        ours = metrics.evaluate(*data[:2], kind(data[2]), kind(data[3])).to_dict()
        assert {**ours, "seconds": 0} == {**expected, "seconds": 0}
    with pytest.raises(ValueError, match=r"0 and 1 only: 2 at \(0, 0\)"):
        metrics.evaluate(*data[:2], data[2], sparse.csr_array(np.full((30, 200), 2)))


def test_expected_at_a_cut_of_a_large_tie():
    """One tie of 20,000: the number of hits before rank k is hypergeometric (drawn here)."""
    rng = np.random.default_rng(0)
    n, good, k = 20_000, 3_000, 500
    B, y = np.ones((n, 4), np.int8), np.repeat([0, 1], [good, n - good])
    drawn = [_naive.textbook_ap(rng.permutation(y)[:k] == 0, k, "found") for _ in range(1000)]
    ours = metrics.mean_average_precision(B[:1], B, [0], y, k=k, divisor="found")
    assert ours == pytest.approx(np.mean(drawn), abs=5 * np.std(drawn) / np.sqrt(1000))


def test_distances_equal_those_of_faiss():
    faiss = pytest.importorskip("faiss", reason="the extra 'index' is not installed")
    data = make(4, n_query=7, n_database=300, n_bits=64)
    index = faiss.IndexBinaryFlat(64)
    index.add(packing.pack(data[1]))
    distances, _ = index.search(packing.pack(data[0]), 300)
    total = metrics.distance_counts(*data).total
    for a in range(7):
        np.testing.assert_array_equal(np.bincount(distances[a], minlength=65), total[a])


def test_labels_that_one_side_lacks_and_skewed_classes():
    """Class 2 has one member, class 3 is in the database only, class 9 only among the queries."""
    rng = np.random.default_rng(0)
    y_database = np.repeat([0, 1, 2, 3], [400, 3, 1, 20])
    B_database = packing.signs(rng.normal(size=(424, 3)))  # far more items than codes
    B_query, y_query = packing.signs(rng.normal(size=(4, 3))), np.array([0, 1, 2, 9])
    result = metrics.evaluate(B_query, B_database, y_query, y_database, k=10)
    d, levels = _naive.distances(B_query, B_database), _naive.relevance(y_query, y_database)
    for ties in ORDERED:
        assert result.map[ties] == pytest.approx(mean_over(d, levels, ties, _naive.textbook_ap))
        assert result.recall_at_k[10][ties] == pytest.approx(mean_over(d, levels, ties, partial(recall_at, k=10)))
    assert result.protocol.n_without_relevant == 1 and result.average_precision[3] == 0

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from hashers import metrics, packing
from tests.hashers import _naive

SIZES = [1, 63, 64, 65, 128, 200]
ORDERED = ["stable", "optimistic", "pessimistic"]


def make(seed, n_query=5, n_database=40, n_bits=6, n_labels=3, sets=False, skew=0.0):
    rng = np.random.default_rng(seed)
    B_query = packing.signs(rng.normal(skew, 1, (n_query, n_bits)))
    B_database = packing.signs(rng.normal(skew, 1, (n_database, n_bits)))
    if sets:
        return B_query, B_database, *((rng.random((n, n_labels)) < 0.3).astype(int) for n in (n_query, n_database))
    return B_query, B_database, rng.integers(0, n_labels, n_query), rng.integers(0, n_labels, n_database)


def naive_mean(data, ties, score, weights=None):
    d, levels = _naive.distances(*data[:2], weights), _naive.relevance(*data[2:])
    return np.mean([score(_naive.rankings(d[a], levels[a], ties)) for a in range(len(d))])


def naive_expected(data, score, n_orders=4000, weights=None):
    rng = np.random.default_rng(1)
    d, levels = _naive.distances(*data[:2], weights), _naive.relevance(*data[2:])
    return np.mean(
        [[score(_naive.rankings(d[a], levels[a], "random", rng)) for a in range(len(d))] for _ in range(n_orders)]
    )


@pytest.mark.parametrize("n_bits", SIZES)
@pytest.mark.parametrize("sets", [False, True])
@pytest.mark.parametrize("ties", ORDERED)
def test_equals_the_ranked_twin(n_bits, sets, ties):
    data = make(n_bits, n_bits=n_bits, sets=sets)
    assert metrics.mean_average_precision(*data, ties=ties) == pytest.approx(naive_mean(data, ties, _naive.textbook_ap))
    assert metrics.mean_ndcg(*data, ties=ties) == pytest.approx(naive_mean(data, ties, _naive.textbook_ndcg))


@pytest.mark.parametrize("n_bits", SIZES)
@pytest.mark.parametrize("sets", [False, True])
def test_counts_equal_the_distance_matrix(n_bits, sets):
    data = make(n_bits + 7, n_query=9, n_database=107, n_bits=n_bits, sets=sets)
    counts = metrics.distance_counts(*data)
    d, levels = _naive.distances(*data[:2]).astype(int), _naive.relevance(*data[2:])
    expected = np.zeros_like(counts.counts)
    for a, i in np.ndindex(d.shape):
        expected[a, d[a, i], levels[a, i]] += 1
    np.testing.assert_array_equal(counts.counts, expected)
    assert counts.n_bits == n_bits


def test_counts_over_several_tiles():
    rng = np.random.default_rng(0)
    B, y = packing.signs(rng.normal(size=(40_000, 20))), rng.integers(0, 4, 40_000)
    counts = metrics.distance_counts(B[:3], B, y[:3], y)
    for a in range(3):
        d = (B[a] != B).sum(axis=1)
        np.testing.assert_array_equal(counts.total[a], np.bincount(d, minlength=21))
        np.testing.assert_array_equal(counts.relevant[a], np.bincount(d[y == y[a]], minlength=21))


@pytest.mark.parametrize("sets", [False, True])
@pytest.mark.parametrize("k", [None, 1, 7, 15, 40, 1000])
def test_expected_is_the_average_over_tie_orders(sets, k):
    data = make(3, n_query=3, n_database=40, n_bits=3, sets=sets)
    for divisor in metrics.DIVISORS:
        ours = metrics.mean_average_precision(*data, k=k, divisor=divisor)
        assert ours == pytest.approx(
            naive_expected(data, partial(_naive.textbook_ap, k=k, divisor=divisor), 1200), abs=6e-3
        )
    ours = metrics.mean_ndcg(*data, k=k, gain="linear")
    assert ours == pytest.approx(naive_expected(data, lambda r: _naive.textbook_ndcg(r, k, True), 1200), abs=6e-3)


@pytest.mark.parametrize("k", [None, 1, 2, 3, 4, 5, 6])
def test_expected_is_exact_over_all_orders(k):
    """One tie of six behind one irrelevant item: all 720 orders, to rounding."""
    B = np.array([[1, 1]] + [[1, -1]] * 6, dtype=np.int8)
    y = np.array([1, 0, 0, 1, 0, 1, 1])
    for divisor in metrics.DIVISORS:
        scores = [
            _naive.textbook_ap((y[[0, *order]] == 0), k, divisor) for order in itertools.permutations(range(1, 7))
        ]
        ours = metrics.mean_average_precision(B[:1], B, [0], y, k=k, divisor=divisor)
        assert ours == pytest.approx(np.mean(scores), abs=1e-12)


def test_brute_force_to_a_thousandth():
    data = make(11, n_query=2, n_database=30, n_bits=3)
    expected = naive_expected(data, _naive.textbook_ap, 20_000)
    assert metrics.mean_average_precision(*data) == pytest.approx(expected, abs=1e-3)


def test_without_ties_equals_textbook_and_scikit_learn():
    n = 120
    B = np.where(np.arange(n)[None, :] < np.arange(n)[:, None], -1, 1).astype(np.int8)  # row i lies i bits from row 0
    rng = np.random.default_rng(0)
    order, y = rng.permutation(n), rng.integers(0, 2, n)
    data = B[:1], B[order], [1], y
    expected = average_precision_score(y, -order)
    for ties in metrics.TIES:
        assert metrics.mean_average_precision(*data, ties=ties) == pytest.approx(expected, abs=1e-12)
        ndcg = metrics.mean_ndcg(*data, ties=ties)
        assert ndcg == pytest.approx(ndcg_score([y], [-order.astype(float)]), abs=1e-12)


def test_ndcg_ties_equal_scikit_learn():
    data = make(5, n_query=1, n_bits=4)
    d, levels = _naive.distances(*data[:2]), _naive.relevance(*data[2:])
    for k in (None, 5, 17):
        expected = ndcg_score(levels, -d, k=k, ignore_ties=False)
        assert metrics.mean_ndcg(*data, k=k) == pytest.approx(expected, abs=1e-12)


@given(
    seed=st.integers(0, 10_000),
    n_bits=st.integers(1, 9),
    n_database=st.integers(1, 30),
    sets=st.booleans(),
    k=st.none() | st.integers(1, 35),
    divisor=st.sampled_from(["min", "relevant"]),
)
def test_tie_rules_are_ordered(seed, n_bits, n_database, sets, k, divisor):
    data = make(seed, n_query=3, n_database=n_database, n_bits=n_bits, sets=sets)
    divisor = "found" if k is None else divisor
    ap = {ties: metrics.average_precision(*data, k=k, ties=ties, divisor=divisor) for ties in metrics.TIES}
    for middle in ("expected", "stable"):
        assert (ap["pessimistic"] <= ap[middle] + 1e-12).all()
        assert (ap[middle] <= ap["optimistic"] + 1e-12).all()
    for measure in (metrics.mean_ndcg, metrics.precision_at_k, metrics.recall_at_k):
        value = {ties: measure(*data, k=k or 3, ties=ties) for ties in metrics.TIES}
        for middle in ("expected", "stable"):
            assert value["pessimistic"] - 1e-12 <= value[middle] <= value["optimistic"] + 1e-12
    assert all((v >= 0).all() and (v <= 1 + 1e-12).all() for v in ap.values())


@given(
    seed=st.integers(0, 10_000),
    n_bits=st.integers(1, 12),
    ties=st.sampled_from(ORDERED),
    k=st.none() | st.integers(1, 45),
    divisor=st.sampled_from(metrics.DIVISORS),
    sets=st.booleans(),
    weighted=st.booleans(),
)
def test_any_setting_equals_the_twin(seed, n_bits, ties, k, divisor, sets, weighted):
    data = make(seed, n_bits=n_bits, sets=sets)
    weights = np.random.default_rng(seed).integers(-1, 4, n_bits) / 10 if weighted else None
    ours = metrics.mean_average_precision(*data, k=k, ties=ties, divisor=divisor, weights=weights)
    expected = naive_mean(data, ties, lambda r: _naive.textbook_ap(r, k, divisor), weights)
    assert ours == pytest.approx(expected, abs=1e-12)
    top = k or 4
    ours = metrics.precision_at_k(*data, k=top, ties=ties, weights=weights)
    assert ours == pytest.approx(naive_mean(data, ties, lambda r: (r[:top] > 0).sum() / min(top, 40), weights))
    ours = metrics.recall_at_k(*data, k=top, ties=ties, weights=weights)
    expected = naive_mean(data, ties, lambda r: (r[:top] > 0).sum() / max((r > 0).sum(), 1), weights)
    assert ours == pytest.approx(expected)
    ours = metrics.mean_ndcg(*data, k=k, ties=ties, weights=weights)
    assert ours == pytest.approx(naive_mean(data, ties, lambda r: _naive.textbook_ndcg(r, k), weights))


def test_equal_weights_rank_as_plain_distance():
    data = make(2, n_bits=70)
    plain = metrics.average_precision(*data)
    np.testing.assert_allclose(metrics.average_precision(*data, weights=np.full(70, 0.1)), plain, atol=1e-12)


@pytest.mark.parametrize("ties", metrics.TIES)
@pytest.mark.parametrize("weights", [None, np.linspace(0.1, 1, 6)])
def test_threads_change_nothing(ties, weights):
    data = make(4, n_query=13)
    one = metrics.average_precision(*data, ties=ties, weights=weights, n_jobs=1)
    np.testing.assert_array_equal(one, metrics.average_precision(*data, ties=ties, weights=weights, n_jobs=3))


@pytest.mark.parametrize("n_bits", SIZES)
def test_packed_codes_give_the_same(n_bits):
    data = make(6, n_bits=n_bits)
    packed = packing.pack(data[0]), packing.pack(data[1]), *data[2:]
    assert metrics.mean_average_precision(*packed, n_bits=n_bits) == metrics.mean_average_precision(*data)
    assert metrics.code_statistics(packed[1], n_bits=n_bits).entropy == metrics.code_statistics(data[1]).entropy


def test_precision_recall_and_radius():
    data = make(8, n_query=20, n_bits=12)
    d, hit = _naive.distances(*data[:2]), _naive.relevance(*data[2:]) > 0
    curve = metrics.precision_recall(*data)
    for r in range(13):
        ball = d <= r
        size, found = ball.sum(axis=1), (ball & hit).sum(axis=1)
        precision = found / np.maximum(size, 1)
        assert curve.precision[r] == pytest.approx(precision.mean())
        assert curve.recall[r] == pytest.approx((found / hit.sum(axis=1)).mean())
        assert curve.nonempty[r] == pytest.approx((size > 0).mean())
        if (size > 0).any():
            assert curve.precision_nonempty[r] == pytest.approx(precision[size > 0].mean())
            assert metrics.precision_at_radius(*data, radius=r, empty="skip") == pytest.approx(
                precision[size > 0].mean()
            )
        assert metrics.precision_at_radius(*data, radius=r) == pytest.approx(precision.mean())
    assert metrics.precision_at_radius(*data, radius=99) == curve.precision[-1]


def test_empty_balls():
    B_query, B_database = np.ones((1, 8), np.int8), -np.ones((2, 8), np.int8)
    assert metrics.precision_at_radius(B_query, B_database, [0], [0, 1]) == 0
    assert np.isnan(metrics.precision_at_radius(B_query, B_database, [0], [0, 1], empty="skip"))


def test_shared_counts_equal_the_functions():
    data = make(9, sets=True)
    counts = metrics.distance_counts(*data)
    assert counts.average_precision(k=5).mean() == metrics.mean_average_precision(*data, k=5)
    assert counts.ndcg().mean() == metrics.mean_ndcg(*data)
    assert counts.precision_at_k(5).mean() == pytest.approx(metrics.precision_at_k(*data, k=5))
    assert counts.recall_at_k(5).mean() == pytest.approx(metrics.recall_at_k(*data, k=5))
    with pytest.raises(ValueError, match="order of the database"):
        counts.average_precision(ties="stable")


def test_queries_without_relevant_items_count_zero():
    B_query, B_database, _, y_database = make(10, n_query=2)
    only = metrics.average_precision(B_query, B_database, [0, 7], y_database)
    assert only[1] == 0
    assert metrics.mean_average_precision(B_query, B_database, [0, 7], y_database) == only[0] / 2
    assert metrics.mean_ndcg(B_query, B_database, [7, 7], y_database) == 0
    empty = np.zeros((2, 3)), np.ones((40, 3))
    assert metrics.mean_average_precision(B_query, B_database, *empty) == 0


@pytest.mark.parametrize("kind", [str, float, object, "datetime64[D]", "bool"])
def test_labels_of_any_kind(kind):
    data = make(12, n_labels=2)
    y_query, y_database = (y.astype(int).astype(kind) for y in data[2:])
    ours = metrics.mean_average_precision(*data[:2], y_query, y_database)
    assert ours == metrics.mean_average_precision(*data)


def test_column_labels_and_label_flags():
    data = make(13)
    column = data[2][:, None], data[3][:, None]
    assert metrics.mean_average_precision(*data[:2], *column) == metrics.mean_average_precision(*data)
    flags = np.eye(3, dtype=bool)[data[2]], np.eye(3, dtype=bool)[data[3]]
    assert metrics.mean_average_precision(*data[:2], *flags) == metrics.mean_average_precision(*data)


def test_inputs_are_left_alone():
    data = make(14)
    copies = [array.copy() for array in data]
    for array in data:
        array.setflags(write=False)
    metrics.mean_average_precision(*data)
    metrics.mean_average_precision(*data, ties="stable")
    for array, copy in zip(data, copies):
        np.testing.assert_array_equal(array, copy)


def test_code_statistics():
    B = make(15, n_database=500, n_bits=10, skew=0.3)[1]
    B[:, 3], B[:, 4] = 1, -B[:, 5]
    statistics = metrics.code_statistics(B)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.nan_to_num(np.corrcoef(B.T.astype(float)))
    expected[3, 3] = 0
    np.testing.assert_allclose(statistics.correlation, expected, atol=1e-6)
    assert statistics.n_constant_bits == 1 and statistics.balance[3] == 1
    assert statistics.max_correlation == pytest.approx(1)
    sizes = np.unique(B, axis=0, return_counts=True)[1]
    assert statistics.n_distinct == len(sizes)
    assert statistics.entropy == pytest.approx(-(sizes / 500 * np.log2(sizes / 500)).sum())
    assert metrics.code_statistics(np.ones((3, 1), int)).entropy == 0


GOOD = make(16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: np.zeros((5, 6))}, r"B_query must hold -1 and \+1 only: 0.0 at \(0, 0\). Pass 2 \* B_query - 1"),
        ({1: np.full((40, 6), 0.3)}, "signs"),
        ({1: GOOD[1] > 0}, "booleans"),
        ({1: np.full((40, 6), np.nan)}, r"nan at \(0, 0\)"),
        ({0: GOOD[0][:, :5]}, "5 bits and B_database 6"),
        ({0: GOOD[0][0]}, "two-dimensional"),
        ({0: GOOD[0][:0], 2: GOOD[2][:0]}, "B_query is empty"),
        ({1: GOOD[1][:0], 3: GOOD[3][:0]}, "B_database is empty"),
        ({2: GOOD[2][:3]}, "y_query has 3 rows and B_query has 5"),
        ({2: np.array([0, 1, np.nan, 1, 0])}, r"y_query holds a missing value .* at \(2,\)"),
        ({2: np.array([0, None, 1, 1, 0], object)}, "missing"),
        ({2: np.zeros((5, 2, 2))}, r"y_query must be \(n,\) labels"),
        ({2: np.zeros((5, 2))}, "both must be"),
        ({2: np.zeros((5, 2)), 3: np.zeros((40, 3))}, "same L labels"),
        ({2: np.full((5, 2), 2), 3: np.zeros((40, 2))}, r"2 at \(0, 0\)"),
        ({2: np.array([0, 1, -1, 0, 0])}, "marks an unknown label. Drop"),
        ({2: np.array([1, 1, -1, 1, 1])}, "pass unlabeled=None"),
        ({2: np.array(list("abcde"))}, "labels of one kind"),
    ],
)
def test_bad_data(change, message):
    data = [change.get(p, GOOD[p]) for p in range(4)]
    with pytest.raises(ValueError, match=message):
        metrics.mean_average_precision(*data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ties": "lucky"}, "ties must be one of expected, stable, optimistic, pessimistic: 'lucky'"),
        ({"ties": None}, "ties"),
        ({"k": 0}, "k must be a positive integer"),
        ({"k": 2.5}, "2.5"),
        ({"divisor": "all"}, "divisor must be one of found, min, relevant"),
        ({"weights": np.ones(5)}, r"shape \(6,\)"),
        ({"weights": [1, 1, np.nan, 1, 1, 1]}, "nan at bit 2"),
        ({"n_bits": 6}, "uint8"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        metrics.mean_average_precision(*GOOD, **options)


def test_bad_options_of_the_other_measures():
    with pytest.raises(ValueError, match="radius must be an integer"):
        metrics.precision_at_radius(*GOOD, radius=-1)
    with pytest.raises(ValueError, match="empty must be"):
        metrics.precision_at_radius(*GOOD, empty="nan")
    with pytest.raises(ValueError, match="gain must be"):
        metrics.mean_ndcg(*GOOD, gain="cubic")
    with pytest.raises(ValueError, match="k must be"):
        metrics.precision_at_k(*GOOD, k=None)


def test_minus_one_is_a_class_when_told():
    y_query, y_database = np.where(GOOD[2] > 0, 1, -1), np.where(GOOD[3] > 0, 1, -1)
    ours = metrics.mean_average_precision(*GOOD[:2], y_query, y_database, unlabeled=None)
    assert ours == metrics.mean_average_precision(*GOOD[:2], y_query > 0, y_database > 0)


@given(seed=st.integers(0, 1000), n_bits=st.integers(1, 20), flip=st.integers(0, 2**20 - 1))
def test_common_flips_and_orders_change_nothing(seed, n_bits, flip):
    data = make(seed, n_bits=n_bits)
    gauge = np.where([(flip >> k) & 1 for k in range(n_bits)], -1, 1)
    order = np.random.default_rng(seed).permutation(n_bits)
    moved = (data[0] * gauge)[:, order], (data[1] * gauge)[:, order], *data[2:]
    assert metrics.mean_average_precision(*moved) == metrics.mean_average_precision(*data)
    items = np.random.default_rng(seed).permutation(len(data[1]))
    shuffled = data[0], data[1][items], data[2], data[3][items]
    assert metrics.mean_average_precision(*shuffled) == metrics.mean_average_precision(*data)

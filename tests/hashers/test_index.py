"""Exact search against sorting everything in numpy, and against faiss."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hashers import metrics, packing
from hashers.index import BinaryIndex, exact
from hashers.kernels import search


def make_codes(rng, n, n_bits, distinct=None):
    """Codes that tie: rows drawn from a few distinct ones."""
    B = packing.signs(rng.normal(size=(distinct or n, n_bits)))
    return B[rng.integers(0, len(B), n)] if distinct else B


def naive_distances(B_query, B):
    return np.array([[int((b != a).sum()) for b in B] for a in B_query]).reshape(len(B_query), len(B))


def naive_search(B_query, B, ids, k):
    """All distances, sorted by (distance, position)."""
    d = naive_distances(B_query, B)
    order = np.array([sorted(range(len(B)), key=lambda i: (row[i], i)) for row in d]).reshape(d.shape)[:, :k]
    return np.take_along_axis(d, order, axis=1), np.asarray(ids)[order]


def naive_within(B_query, B, ids, radius):
    rows = []
    for row in naive_distances(B_query, B):
        rows.append(sorted((int(d), i) for i, d in enumerate(row) if d <= radius))
    offsets = np.cumsum([0] + [len(row) for row in rows])
    return offsets, [d for row in rows for d, _ in row], [int(ids[i]) for row in rows for _, i in row]


CASES = {"seed": st.integers(0, 10**6), "n": st.integers(1, 600), "n_bits": st.integers(1, 300)}


@pytest.fixture
def small_pieces(monkeypatch):
    """Blocks of the database, chunks and batches of queries so small that every search needs several."""
    monkeypatch.setattr(exact, "BLOCK", 300)
    monkeypatch.setattr(exact, "QUERIES", 3)
    monkeypatch.setattr(exact, "STATE", 1)


@given(**CASES, n_query=st.integers(1, 9), share=st.floats(0, 1), few=st.booleans(), n_jobs=st.sampled_from([None, 2]))
@example(seed=0, n=600, n_bits=64, n_query=9, share=0.0, few=True, n_jobs=2)
@example(seed=0, n=513, n_bits=255, n_query=2, share=1.0, few=False, n_jobs=None)
@example(seed=0, n=513, n_bits=256, n_query=2, share=1.0, few=False, n_jobs=None)
def test_search_is_a_stable_sort(seed, n, n_bits, n_query, share, few, n_jobs):
    rng = np.random.default_rng(seed)
    B = make_codes(rng, n, n_bits, distinct=7 if few else None)
    B_query = np.concatenate([make_codes(rng, n_query, n_bits), B[:1]])
    ids = rng.integers(-(2**62), 2**62, n)
    k = max(1, round(share * n))
    index = BinaryIndex(B, ids=ids, n_jobs=n_jobs)
    distances, found = index.search(B_query, k)
    expected = naive_search(B_query, B, ids, k)
    assert distances.dtype == np.int32 and found.dtype == np.int64
    np.testing.assert_array_equal(distances, expected[0])
    np.testing.assert_array_equal(found, expected[1])
    np.testing.assert_array_equal(index.search(packing.pack(B_query), k).ids, found)
    packed = BinaryIndex(packing.pack(B), n_bits=n_bits, ids=ids).search(B_query, k)
    np.testing.assert_array_equal(packed.ids, found)


@given(**CASES, n_query=st.integers(1, 9), radius=st.integers(0, 400), few=st.booleans())
def test_within_is_a_filter(seed, n, n_bits, n_query, radius, few):
    rng = np.random.default_rng(seed)
    B = make_codes(rng, n, n_bits, distinct=7 if few else None)
    B_query = np.concatenate([make_codes(rng, n_query, n_bits), B[:1]])
    ids = rng.integers(-(2**62), 2**62, n)
    got = BinaryIndex(B, ids=ids).within(B_query, radius)
    for mine, theirs in zip(got, naive_within(B_query, B, ids, radius)):
        np.testing.assert_array_equal(mine, theirs)


@given(**CASES, n_query=st.integers(1, 5), share=st.floats(0, 1), high=st.sampled_from([0, 1, 3, 1000]))
@example(seed=0, n=600, n_bits=64, n_query=5, share=0.01, high=0)
def test_asymmetric_search_of_integers_is_a_stable_sort(seed, n, n_bits, n_query, share, high):
    rng = np.random.default_rng(seed)
    B = make_codes(rng, n, n_bits, distinct=30)
    margins = rng.integers(-high, high + 1, (n_query, n_bits)).astype(float)
    k = max(1, round(share * n))
    scores, ids = BinaryIndex(B).search(margins, k, asymmetric=True)
    full = margins @ B.T.astype(float)  # exact: integers
    order = np.argsort(-full, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(ids, order)
    np.testing.assert_array_equal(scores, np.take_along_axis(full, order, axis=1))


@given(**CASES, kind=st.sampled_from(["normal", "cauchy", "tiny", "one", "huge"]))
def test_asymmetric_search_of_real_margins(seed, n, n_bits, kind):
    rng = np.random.default_rng(seed)
    B = make_codes(rng, n, n_bits)
    margins = {
        "normal": lambda: rng.normal(size=(3, n_bits)),
        "cauchy": lambda: rng.standard_cauchy((3, n_bits)) ** 3,
        "tiny": lambda: rng.normal(size=(3, n_bits)) * 5e-324 * 8,
        "one": lambda: np.eye(n_bits)[rng.integers(0, n_bits, 3)] + 1e-9 * rng.normal(size=(3, n_bits)),
        "huge": lambda: rng.normal(size=(3, n_bits)) * 1e295,
    }[kind]()
    k = max(1, n // 3)
    index = BinaryIndex(B)
    scores, ids = index.search(margins, k, asymmetric=True)
    full = margins @ B.T.astype(float)
    size = np.abs(margins).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores, np.take_along_axis(full, ids, axis=1), rtol=0, atol=float((1e-13 * size).max()))
    np.testing.assert_allclose(scores, -np.sort(-full, axis=1)[:, :k], rtol=0, atol=float((1e-13 * size).max()))
    assert all(len(set(row)) == k for row in ids.tolist())
    assert (np.diff(scores, axis=1) <= 0).all()
    alone = index.search(margins[1:2], k, asymmetric=True)
    np.testing.assert_array_equal(alone.scores[0], scores[1])
    np.testing.assert_array_equal(alone.ids[0], ids[1])


def test_margins_of_one_size_rank_by_distance():
    rng = np.random.default_rng(3)
    B, B_query = make_codes(rng, 500, 48), make_codes(rng, 4, 48)
    index = BinaryIndex(B)
    plain, weighted = index.search(B_query, 60), index.search(0.5 * B_query, 60, asymmetric=True)
    np.testing.assert_array_equal(weighted.ids, plain.ids)
    np.testing.assert_array_equal(weighted.scores, 0.5 * (48 - 2 * plain.distances))


@pytest.mark.parametrize("n_bits", [12, 64, 130])
def test_pieces_do_not_matter(n_bits, tmp_path, small_pieces):
    rng = np.random.default_rng(n_bits)
    B, B_query = make_codes(rng, 900, n_bits, distinct=200), make_codes(rng, 11, n_bits)
    margins = rng.normal(size=(11, n_bits))
    ids = rng.permutation(900)
    index = BinaryIndex(B, ids=ids, n_jobs=2)
    index.save(tmp_path / "codes")
    for searched in (index, BinaryIndex.open(tmp_path / "codes"), BinaryIndex.open(tmp_path / "codes", mmap=False)):
        assert searched._packed is None or not searched._packed.flags.writeable
        expected = naive_search(B_query, B, ids, 50)
        np.testing.assert_array_equal(searched.search(B_query, 50).distances, expected[0])
        np.testing.assert_array_equal(searched.search(B_query, 50).ids, expected[1])
        for mine, theirs in zip(searched.within(B_query, n_bits // 3), naive_within(B_query, B, ids, n_bits // 3)):
            np.testing.assert_array_equal(mine, theirs)
        order = np.argsort(-(margins @ B.T), axis=1, kind="stable")[:, :1]
        np.testing.assert_array_equal(searched.search(margins, 1, asymmetric=True).ids[:, :1], ids[order])
        np.testing.assert_array_equal(searched.packed, packing.pack(B))


@pytest.mark.parametrize("n_bits", [64, 200])
def test_more_than_a_tile(n_bits):
    rng = np.random.default_rng(0)
    B, B_query = make_codes(rng, 40_000, n_bits), make_codes(rng, 3, n_bits)
    B[::5000] = B_query[0]
    d = (B_query.astype(np.float32) @ B.T.astype(np.float32) - n_bits).astype(int) // -2
    order = np.argsort(d, axis=1, kind="stable")[:, :3000]
    index = BinaryIndex(B)
    got = index.search(B_query, 3000)
    np.testing.assert_array_equal(got.ids, order)
    np.testing.assert_array_equal(got.distances, np.take_along_axis(d, order, axis=1))
    radius = int(np.partition(d[1], 500)[500])
    hits = index.within(B_query, radius)
    assert hits.offsets[-1] == (d <= radius).sum()
    np.testing.assert_array_equal(hits.ids[: hits.offsets[1]], np.argsort(d[0], kind="stable")[: hits.offsets[1]])


def test_everything_within_grows_the_buffers():
    n = 5 * search.TILE
    B = make_codes(np.random.default_rng(0), n, 64, distinct=3)
    hits = BinaryIndex(B).within(B[:1], 64)
    np.testing.assert_array_equal(hits.offsets, [0, n])
    assert sorted(hits.ids.tolist()) == list(range(n))


def test_same_answer_on_any_number_of_threads():
    rng = np.random.default_rng(1)
    B, margins = make_codes(rng, 700, 32), rng.normal(size=(150, 32))
    one, three = BinaryIndex(B, n_jobs=1), BinaryIndex(B, n_jobs=3)
    for asymmetric, queries in ((False, packing.signs(margins)), (True, margins)):
        for mine, theirs in zip(
            one.search(queries, 20, asymmetric=asymmetric), three.search(queries, 20, asymmetric=asymmetric)
        ):
            np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(one.within(packing.signs(margins), 8), three.within(packing.signs(margins), 8)):
        np.testing.assert_array_equal(mine, theirs)


def test_the_index_keeps_its_own_copy():
    packed = packing.pack(make_codes(np.random.default_rng(0), 50, 64))
    ids = np.arange(50)
    index = BinaryIndex(packed, n_bits=64, ids=ids)
    before = index.search(packed[:5], 3)
    queries = packed[:5].copy()
    packed[:], ids[:] = 0, -1
    after = index.search(queries, 3)
    np.testing.assert_array_equal(before.ids, after.ids)
    np.testing.assert_array_equal(before.distances, after.distances)


def test_input_may_be_read_only_and_strided():
    rng = np.random.default_rng(0)
    B = make_codes(rng, 40, 20)
    wide = np.repeat(np.asfortranarray(B), 2, axis=1)[:, ::2]
    wide.flags.writeable = False
    got = BinaryIndex(wide).search(wide[::2], 4)
    np.testing.assert_array_equal(got.ids, BinaryIndex(B).search(B[::2], 4).ids)
    margins = rng.normal(size=(5, 40)).astype(np.float32)[:, ::2]
    margins.flags.writeable = False
    assert BinaryIndex(B).search(margins, 2, asymmetric=True).scores.dtype == np.float64


def test_sizes_at_the_edge():
    index = BinaryIndex([[1]])
    np.testing.assert_array_equal(index.search([[-1]], 1), [[[1]], [[0]]])
    assert len(index) == 1 and repr(index) == "BinaryIndex(1 codes of 1 bits)"
    np.testing.assert_array_equal(index.ids, [0])
    for empty in (np.empty((0, 1), np.int8), np.empty((0, 1), np.uint8)):
        assert index.search(empty, 1).ids.shape == (0, 1)
        np.testing.assert_array_equal(index.within(empty, 1).offsets, [0])
    assert index.search(np.empty((0, 1)), 1, asymmetric=True).scores.shape == (0, 1)
    assert index.search([[2.0]], 1, asymmetric=True).scores[0, 0] == 2.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda index: index.search([[1, 1, 1]], 0), "k must be a positive integer: 0"),
        (lambda index: index.search([[1, 1, 1]], 2.0), "k must be a positive integer"),
        (lambda index: index.search([[1, 1, 1]], True), "k must be a positive integer"),
        (lambda index: index.search([[1, 1, 1]], 3), "k=3, but the index holds 2 codes"),
        (lambda index: index.search([[1, 1]], 1), "queries has 2 bits, 3 are expected"),
        (lambda index: index.search([1, 1, 1], 1), "two-dimensional"),
        (lambda index: index.search([[1, 0, 1]], 1), "-1 and .1 only: 0 at"),
        (lambda index: index.search(np.array([[8]], np.uint8), 1), "beyond n_bits=3"),
        (lambda index: index.search(np.empty((0, 5)), 1), "5 columns, 3 are expected"),
        (lambda index: index.search([[0.1, np.nan, 1]], 1, asymmetric=True), "query 0 hold NaN"),
        (lambda index: index.search([[0.1, 1e300, 1e300]], 1, asymmetric=True), "exceeds 1e.300"),
        (lambda index: index.search([[0.1, 1]], 1, asymmetric=True), r"shape \(n_query, 3\)"),
        (lambda index: index.search([["a", "b", "c"]], 1, asymmetric=True), "dtype"),
        (lambda index: index.within([[1, 1, 1]], -1), "radius must be an integer of at least 0"),
        (lambda index: index.within([[1, 1, 1]], 0.5), "radius must be an integer"),
        (lambda index: BinaryIndex([[1, 1]], ids=[1, 2]), r"ids must have shape \(1,\)"),
        (lambda index: BinaryIndex([[1, 1]], ids=["a"]), "ids must be integers"),
        (lambda index: BinaryIndex([[1, 1]], ids=np.array([2**63], np.uint64)), "int64"),
        (lambda index: BinaryIndex(np.empty((0, 3))), "empty"),
        (lambda index: BinaryIndex([[1, 1]], n_bits=3), "2 bits, 3 are expected"),
        (lambda index: BinaryIndex(np.array([[5]], np.uint8)), "n_bits=... with packed bytes"),
    ],
)
def test_clear_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(BinaryIndex([[1, 1, 1], [-1, -1, -1]]))


@given(**CASES, kind=st.sampled_from(["tenths", "nearly tied", "dyadic"]))
def test_the_order_of_real_margins_is_that_of_the_metrics(seed, n, n_bits, kind):
    """The index orders by the last digit, the metrics take what is nearer than rounding for a tie: neither contradicts
    the other, and where sums are exact both break ties by the order of the database."""
    from hashers.metrics.real_ranking import RealRanking, bit_scores
    from hashers.metrics.relevance import Relevance

    rng = np.random.default_rng(seed)
    B = make_codes(rng, n, n_bits)
    steps = rng.integers(-6, 7, (3, n_bits)).astype(float)
    margins = {
        "tenths": steps * 0.1,
        "nearly tied": steps * 0.1 * (1 + 1e-15 * rng.integers(-2, 3, (3, n_bits))),
        "dyadic": steps / 64,
    }[kind]
    ids = BinaryIndex(B).search(margins, n, asymmetric=True).ids
    y = rng.integers(0, 2, n)
    packed = packing.pack(B)
    ranking = RealRanking(
        bit_scores(packed[:3], n_bits, margins=margins), packed, Relevance(np.zeros(3, int), y, 3, n, None)
    )
    stable = metrics.average_precision(
        None, B, np.zeros(3, int), y, query_margins=margins, ties="stable", unlabeled=None
    )
    for a in range(3):
        group = ranking.groups(a)[0]
        assert (np.diff(group[ids[a]]) >= 0).all()
        if kind == "dyadic":
            np.testing.assert_array_equal(ids[a], np.lexsort((np.arange(n), group)))
            hit = y[ids[a]] == 0
            ranks = np.flatnonzero(hit) + 1
            expected = np.mean(np.arange(1, len(ranks) + 1) / ranks) if len(ranks) else 0.0
            assert stable[a] == pytest.approx(expected, abs=1e-12)

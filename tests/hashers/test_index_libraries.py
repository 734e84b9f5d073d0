"""faiss and usearch behind our calls, against the exact index."""

import sys

import numpy as np
import pytest

from hashers import packing
from hashers.errors import BackendNotFound
from hashers.index import BinaryIndex, build_index

FAISS = ["faiss-flat", "faiss-ivf", "faiss-hnsw", "faiss-hash"]


def need(kind):
    library = kind.partition("-")[0]
    if library != "exact":
        pytest.importorskip(library, reason=f"{library} (extra index) is not installed")


def clustered(n, n_bits, seed=0):
    """Codes around 20 centres, as learned ones are."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2, (20, n_bits))
    B = 2 * (centres[rng.integers(0, 20, n)] ^ (rng.random((n, n_bits)) < 0.1)) - 1
    return B.astype(np.int8)


@pytest.mark.parametrize("n_bits", [8, 21, 64])
def test_flat_agrees_with_ours(n_bits):
    need("faiss-flat")
    B = clustered(700, n_bits)
    B, B_query = B[:650], B[650:]
    ids = np.random.default_rng(1).integers(-(2**60), 2**60, 650)
    ours, theirs = BinaryIndex(B, ids=ids), build_index(B, "faiss-flat", ids=ids)
    for k in (1, 10, 650):
        mine, faiss = ours.search(B_query, k), theirs.search(B_query, k)
        np.testing.assert_array_equal(faiss.distances, mine.distances)
        inside = mine.distances < mine.distances[:, -1:]  # the last distance may hold more items than fit
        np.testing.assert_array_equal(faiss.ids[inside], mine.ids[inside])
    np.testing.assert_array_equal(theirs.search(B_query, 650).ids, ours.search(B_query, 650).ids)
    for radius in (0, 2, n_bits // 2, n_bits):
        for mine, faiss in zip(ours.within(B_query, radius), theirs.within(packing.pack(B_query), radius)):
            assert mine.dtype == faiss.dtype
            np.testing.assert_array_equal(faiss, mine)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("faiss-ivf", {"n_lists": 16, "n_probes": 16}),
        ("faiss-hash", {"n_hash_bits": 8, "n_flips": 8}),
        ("faiss-hnsw", {"expansion_search": 1000}),
        ("usearch", {"expansion_search": 1000}),
    ],
)
def test_thorough_settings_find_the_true_neighbours(kind, settings):
    need(kind)
    B = clustered(1500, 24)
    B, B_query = B[:1450], B[1450:]
    index = build_index(B, kind, ids=np.arange(1450)[::-1], **settings)
    ours = BinaryIndex(B, ids=np.arange(1450)[::-1])
    mine, theirs = ours.search(B_query, 10), index.search(B_query, 10)
    assert theirs.distances.dtype == np.int32 and theirs.ids.dtype == np.int64
    if kind in ("faiss-ivf", "faiss-hash"):  # everything is looked at
        np.testing.assert_array_equal(theirs.distances, mine.distances)
        for a, b in zip(ours.within(B_query, 3), index.within(B_query, 3)):
            np.testing.assert_array_equal(b, a)
    else:
        assert (theirs.distances == mine.distances).mean() > 0.99
    assert ((B[::-1][theirs.ids] != B_query[:, None]).sum(axis=2) == theirs.distances).all()
    assert (np.diff(theirs.distances, axis=1) >= 0).all()


@pytest.mark.parametrize("kind", [*FAISS, "usearch"])
def test_defaults_find_most(kind):
    need(kind)
    B = clustered(3000, 32)
    B, B_query = B[:2900], B[2900:]
    found = build_index(B, kind).search(B_query, 5)
    true = BinaryIndex(B).search(B_query, 5)
    assert (found.distances == true.distances).mean() > 0.5
    again = build_index(packing.pack(B), kind, n_bits=32).search(packing.pack(B_query), 5)
    np.testing.assert_array_equal(again.ids, found.ids)


@pytest.mark.parametrize("kind", ["exact", *FAISS, "usearch"])
def test_one_code_no_query_and_too_many_neighbours(kind):
    need(kind)
    index = build_index([[1, -1, 1]], kind, ids=[-7])
    for queries in ([[1, -1, 1]], [[1, -1, 1], [1, -1, 1]]):
        found = index.search(queries, 1)
        np.testing.assert_array_equal(found.ids, [[-7]] * len(queries))
        np.testing.assert_array_equal(found.distances, [[0]] * len(queries))
    assert index.search(np.empty((0, 3), np.int8), 1).ids.shape == (0, 1)
    assert len(index) == 1 and index.n_bits == 3 and index.ids.tolist() == [-7]
    with pytest.raises(ValueError, match="k=2, but the index holds 1"):
        index.search([[1, -1, 1]], 2)
    if kind not in ("faiss-hnsw", "usearch"):
        assert index.within(np.empty((0, 3), np.int8), 1).offsets.tolist() == [0]


def test_what_is_not_found_is_minus_one_and_last():
    need("faiss-hash")
    B = np.array([[1] * 8, [1] * 7 + [-1], [-1] * 8], np.int8)
    found = build_index(B, "faiss-hash", ids=[4, 5, 6], n_hash_bits=3, n_flips=0).search(B[:1], 3)
    np.testing.assert_array_equal(found.ids, [[4, 5, -1]])
    np.testing.assert_array_equal(found.distances, [[0, 1, -1]])


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("tree", {}, "unknown kind 'tree' of index. Known are exact, faiss-flat"),
        ("exact", {"n_lists": 3}, 'kind "exact" takes no settings: n_lists'),
        ("faiss-ivf", {"n_lists": 0}, "n_lists must be an integer of at least 1 and at most 2: 0"),
        ("faiss-ivf", {"n_probes": 0}, "n_probes must be an integer of at least 1: 0"),
        ("faiss-hash", {"n_hash_bits": 9}, "n_hash_bits must be an integer of at least 1 and at most 3: 9"),
        ("faiss-hash", {"n_flips": -1}, "n_flips must be an integer of at least 0: -1"),
        ("faiss-hnsw", {"connectivity": True}, "connectivity must be an integer"),
        ("usearch", {"connectivity": 1}, "connectivity must be an integer of at least 2"),
    ],
)
def test_wrong_settings(kind, settings, message):
    need(kind.replace("tree", "exact"))
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        build_index([[1, 1, 1], [1, 1, -1]], kind, **settings)


def test_no_radius_in_a_graph():
    need("faiss-hnsw")
    with pytest.raises(ValueError, match="no search by radius"):
        build_index([[1, 1], [1, -1]], "faiss-hnsw").within([[1, 1]], 1)


@pytest.mark.parametrize("kind", ["faiss-flat", "usearch"])
def test_without_the_library(kind, monkeypatch):
    for name in ("faiss", "usearch", "usearch.index"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendNotFound, match=r"Install the extra: pip install 'bqp\[index\]'"):
        build_index([[1, 1]], kind)

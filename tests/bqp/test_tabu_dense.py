"""The dense tabu kernel: narrow deltas make the same walk as wide ones, and notice when they no longer fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.forms import Dense
from bqp.kernels import tabu
from bqp.solvers import walks
from bqp.solvers.walks import DenseStorage
from bqp.testing import reference
from bqp.testing import strategies as draw

NARROWEST = 2**15 - 1


def storage_of(Q, c=None):
    form = Dense(np.asarray(Q, dtype=float))
    return DenseStorage(bqp.BQP(form, np.zeros(len(Q)) if c is None else c), form)


def random_storage(n, seed, size=30, density=0.5):
    rng = np.random.default_rng(seed)
    A = np.triu(rng.integers(-size, size + 1, (n, n)) * (rng.random((n, n)) < density), 1)
    return storage_of(A + A.T, rng.integers(-50, 51, n).astype(float))


def same_walk(first, second):
    for name in ("x", "best_x", "delta", "stamp", "energies", "counters"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@given(data=st.data(), n=st.integers(1, 9), aspirate=st.booleans(), seed=st.integers(1, 2**40))
def test_narrow_and_wide_walk_alike(data, n, aspirate, seed):
    Q, c = data.draw(draw.symmetric(n, -31, 31)), data.draw(draw.integers(n, None, -6, 6))
    x = data.draw(st.lists(st.sampled_from([-1, 1]), min_size=n, max_size=n))
    settings = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 3)), 10**9
    narrow, wide = storage_of(Q, c), storage_of(Q, c)
    assert narrow.row_dtype == np.int8 and narrow.narrow_limit > 0 and narrow.guard == 0
    wide.narrow_limit = 0
    first, second = narrow.start(np.array(x, np.int8)), wide.start(np.array(x, np.int8))
    for walk in (first, second):
        walk.begin_tabu(seed)
        assert walk.tabu(25, *settings, aspirate=aspirate) == 25
    same_walk(first, second)


@pytest.mark.parametrize("limit", [1, 300, 700, 10_000])
def test_a_walk_that_outgrows_narrow_deltas_goes_on_with_wide_ones(limit):
    """Whether they never fit, fit at first or always: one walk, in any number of pieces."""
    narrow, wide = random_storage(70, 1), random_storage(70, 1)
    narrow.narrow_limit = narrow.guard = limit
    wide.narrow_limit = 0
    x = np.random.default_rng(5).choice([-1, 1], 70).astype(np.int8)
    walks = [narrow.start(x), wide.start(x), narrow.start(x)]
    for walk in walks:
        walk.begin_tabu(11)
    assert walks[0].tabu(500, 6, 4, 10**9) == 500
    assert walks[1].tabu(500, 6, 4, 10**9) == 500
    for piece in (1, 7, 8, 9, 75, 400):
        assert walks[2].tabu(piece, 6, 4, 10**9) == piece
    same_walk(walks[0], walks[1])
    same_walk(walks[0], walks[2])
    np.testing.assert_array_equal(walks[0].delta[:70] * narrow.unit, narrow.problem.flip_deltas(walks[0].x[:70]))


def test_the_kernel_says_when_deltas_grow_out_of_the_limit():
    storage = random_storage(40, 2)
    walk = storage.start(np.ones(40, np.int8))
    walk.begin_tabu(1)
    walk.tabu(200, 5, 3, 10**9)
    delta = np.full(storage.n_padded, 2**15 - 1, np.int16)
    delta[:40] = walk.delta[:40]
    limit = int(np.abs(walk.delta[:40]).max())
    moves, fits = tabu.tabu_dense(
        storage.rows, 2.0, walk.x, delta, walk.stamp, walk.best_x, walk.energies, walk.counters,
        5, 3, 10_000, 10**9, -np.inf, True, np.int16(2**15 - 1), limit,
    )  # fmt: skip
    assert not fits and moves % tabu.GUARD == 0 and 0 < moves < 10_000
    assert np.abs(delta[:40].astype(int)).max() > limit
    np.testing.assert_array_equal(delta[:40] * storage.unit, storage.problem.flip_deltas(walk.x[:40]))


def test_the_room_kept_is_enough_for_the_largest_rows():
    """All couplings as large as rows can be, all moves along one direction: deltas grow as fast as they can."""
    n = 300
    storage = storage_of(np.where(np.eye(n), 0.0, 127.0))
    assert storage.row_dtype == np.int8 and storage.guard == NARROWEST - tabu.GUARD * 2 * 127
    walk = storage.start((-1) ** np.arange(n))
    walk.begin_tabu(4)
    moves = walk.tabu(n, 10**6, 0, 10**9, aspirate=False)
    assert moves == n and np.abs(walk.delta[:n]).max() <= NARROWEST
    np.testing.assert_array_equal(walk.delta[:n] * storage.unit, storage.problem.flip_deltas(walk.x[:n]))
    attracted = storage_of(np.where(np.eye(n), 0.0, -127.0))
    walk = attracted.start((-1) ** np.arange(n))
    walk.begin_tabu(4)
    walk.tabu(n, 5, 0, 10**9)
    assert np.abs(walk.delta[:n]).max() > NARROWEST, "must have outgrown int16"
    np.testing.assert_array_equal(walk.delta[:n] * attracted.unit, attracted.problem.flip_deltas(walk.x[:n]))


@given(n=st.integers(1, 3000), place=st.floats(0, 0.999), offset=st.floats(0, 0.999), copies=st.integers(1, 3))
def test_the_least_is_found_wherever_it_lies(n, place, offset, copies):
    values = np.arange(5, 5 + n, dtype=np.int32)
    at, start = int(place * n), int(offset * n)
    places = np.unique([(at + k * 7) % n for k in range(copies)])
    values[places] = 1
    found = tabu._find(values, np.int32(1), start)
    assert found == min(places, key=lambda p: (p - start) % n)
    assert tabu._find(values, np.int32(0), start) == -1


def test_ties_are_broken_at_random():
    storage = storage_of(np.zeros((50, 50)), np.ones(50))
    first = set()
    for seed in range(200):
        walk = storage.start(np.ones(50, np.int8))
        walk.begin_tabu(seed)
        walk.tabu(1, 3, 0, 10)
        first.update(np.flatnonzero(walk.x[:50] < 0).tolist())
    assert len(first) > 40


@pytest.mark.parametrize("divisor", [1.0, 3.0])
def test_time_passes_where_all_are_tabu(divisor):
    Q = np.array([[0.0, 1, 2], [1, 0, 4], [2, 4, 0]]) / divisor
    walk = storage_of(Q).start(np.array([1, -1, -1], np.int8))
    walk.begin_tabu(3)
    assert walk.tabu(3, 9, 0, 10**9, aspirate=False) == 3
    where = walk.x[:3].copy()
    assert walk.tabu(6, 9, 0, 10**9, aspirate=False) == 6
    np.testing.assert_array_equal(walk.x[:3], where)
    assert walk.counters[0] == 9
    assert walk.tabu(2, 9, 0, 10**9, aspirate=False) == 2 and np.any(walk.x[:3] != where), "released again"
    np.testing.assert_allclose(
        walk.delta[:3] * walk.unit, reference.deltas_of(Q, np.zeros(3), walk.x[:3]), rtol=0, atol=1e-12
    )


@given(
    data=st.data(),
    n=st.integers(1, 6),
    power=st.integers(-14, 14),
    factor=st.sampled_from([1.0, 3.0, 1 / 3]),
    c_power=st.integers(-8, 8),
    dtype=st.sampled_from([np.float64, np.float32]),
)
def test_small_integers_are_laid_out_as_any_numbers_are(data, n, power, factor, c_power, dtype):
    """One pass for the usual case, three for the rest: the same rows, unit and types."""
    Q = (data.draw(draw.symmetric(n)) * factor * 2.0**power).astype(dtype)
    form = Dense(Q)
    problem = bqp.BQP(form, data.draw(draw.integers(n, None, -6, 6)) * 2.0**c_power)
    first = DenseStorage(problem, form)
    second = DenseStorage(problem, form)
    largest = second._any_numbers(form)
    for name in ("unit", "exact", "dtype", "row_dtype"):
        assert getattr(first, name) == getattr(second, name), name
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_allclose(first.bound, second.bound)
    assert float(np.abs(first.rows.astype(float)).max()) == largest


@pytest.mark.parametrize("count", [0, 1, 13_107, 13_108, 30_000])
def test_thin_matrices_are_told_by_the_count_of_their_entries(count):
    Q = np.zeros((512, 512))
    Q.flat[np.random.default_rng(0).permutation(Q.size)[:count]] = 1.0
    assert walks._is_thin(Q) == (count < 0.05 * Q.size)


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "float64"])
def test_a_walk_moves_anywhere_and_knows_its_energy(kind):
    rng = np.random.default_rng(8)
    A = rng.integers(-30, 31, (60, 60)).astype(float) * {"int8": 1.0, "int16": 128.0, "int32": 2.0**12}.get(kind, 1 / 3)
    A[0, 1] += 1.0  # odd, so that no larger unit divides all
    storage = storage_of(A + A.T, rng.integers(-5, 6, 60).astype(float))
    assert storage.row_dtype == kind
    problem, walk = storage.problem, storage.start(rng.choice([-1, 1], 60).astype(np.int8))
    first = walk.energy
    for count in (0, 1, 7, 60):
        x = walk.x[:60].copy()
        x[rng.permutation(60)[:count]] *= -1
        walk.move_to(x)
        np.testing.assert_array_equal(walk.x[:60], x)
        np.testing.assert_allclose(walk.energy, problem.energy(x), rtol=1e-13)
        np.testing.assert_allclose(walk.delta[:60] * walk.unit, problem.flip_deltas(x), rtol=1e-13, atol=1e-9)
        np.testing.assert_allclose(walk.best_energy, first, rtol=1e-13)
        assert np.all(walk.delta[60:] == walk.big)
    again = storage.start(walk.x[:60], walk.delta[:60])
    np.testing.assert_array_equal(again.delta, walk.delta if walk.exact else storage.start(walk.x[:60]).delta)
    assert again.energy == storage.start(walk.x[:60]).energy


@given(data=st.data(), n=st.integers(2, 9), seed=st.integers(0, 2**32))
def test_a_path_flips_the_best_left_and_stops_at_the_best_of_its_end(data, n, seed):
    rng = np.random.default_rng(seed)
    Q, c = data.draw(draw.symmetric(n, -31, 31)), data.draw(draw.integers(n, None, -6, 6))
    walk = storage_of(Q, c).start(rng.choice([-1, 1], n).astype(np.int8))
    ahead = rng.permutation(n)[: data.draw(st.integers(1, n))]
    hi = data.draw(st.integers(1, len(ahead)))
    lo = data.draw(st.integers(0, hi - 1))
    x, left, seen = walk.x[:n].copy(), set(ahead.tolist()), []
    order = ahead.copy()
    walk.path(order, lo, hi)
    for i in order[:hi]:
        deltas = reference.deltas_of(Q, c, x)
        assert i in left and deltas[i] == min(deltas[j] for j in left)
        left.remove(i)
        x[i] = -x[i]
        seen.append((reference.energy_of(Q, c, 0.0, x), x.copy()))
    best = min(seen[lo:], key=lambda entry: entry[0])
    np.testing.assert_array_equal(walk.x[:n], best[1])
    assert walk.energy == best[0]
    np.testing.assert_array_equal(walk.delta[:n] * walk.unit, reference.deltas_of(Q, c, best[1]))

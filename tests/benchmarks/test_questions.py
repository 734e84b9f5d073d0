"""The experiments of the two questions run what they say: published courses bit for bit, gradients, intervals, rows."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad
from scipy.stats import t

from benchmarks.questions import cosdish_fasthash as first
from benchmarks.questions import saturation as second
from benchmarks.rows import Rows, interval, pairs, table
from bqp import codes, supervision
from hashers import LinearFunction
from hashers.functions.refit import Refit


def _labels(seed, n=60, C=4):
    return supervision.from_labels(np.random.default_rng(seed).integers(0, C, n))


@pytest.mark.parametrize("seed", range(3))
def test_cosdish_is_the_published_course(seed):
    S = _labels(seed)
    for soft in (True, False):
        mine = first.cosdish(S, 8, replace(first.COSDISH, soft=soft), None, seed)
        theirs = codes.column_sampling(S, 8, mode="published", soft_labels=soft, rng=seed).B
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("interleaved", [True, False])
def test_fasthash_is_the_published_course(interleaved):
    S, X = _labels(5), np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)
    mine, theirs = (Refit(LinearFunction(ridge=1.0), X, np.ones(60, dtype=bool)) for _ in range(2))
    setting = replace(first.FASTHASH, interleaved=interleaved)
    solved, B = first.fasthash(S, 6, setting, mine, seed=3)
    result = codes.block_graph_cut(S, 6, mode="published", rng=3, refit=theirs if interleaved else None)
    assert np.array_equal(B, result.B)
    assert all(np.array_equal(bit.x, solved[:, k]) for k, bit in enumerate(result.bits))


def test_each_swap_changes_one_thing():
    for method, base in (("cosdish", first.COSDISH), ("fasthash", first.FASTHASH)):
        for name, setting in first.SWAPS[method].items():
            compared = {**first.COMPARED, **first.COMPARED_TOO}.get(name, "as published")
            other = first.SWAPS[method][compared] if name != "as published" else base
            changed = [key for key in vars(setting) if getattr(setting, key) != getattr(other, key)]
            assert len(changed) == (name != "as published"), (method, name)


@pytest.mark.parametrize("name", second.LOSSES)
def test_slopes_of_the_losses(name):
    loss, rng = second.LOSSES[name], np.random.default_rng(0)
    y = rng.integers(0, 3, 7)
    similar, q = (y[:, None] == y).astype(float), 4
    U = rng.uniform(-0.8, 0.8, (7, q))
    value = lambda u: second.objective(u.reshape(7, q), similar, loss)[0]  # noqa: E731
    gradient = lambda u: second.objective(u.reshape(7, q), similar, loss)[1].ravel()  # noqa: E731
    assert check_grad(value, gradient, U.ravel()) < 1e-6
    G = U @ U.T
    np.fill_diagonal(G, 0.0)
    values, slopes = loss(G, similar, q)
    total = loss.total(G, similar, q)
    assert total == pytest.approx(values.sum()) and np.allclose(G, slopes)
    g = np.linspace(-3.0, 3.0, 13)
    for alike in (np.zeros(13), np.ones(13)):
        numeric = (loss(g + 1e-5, alike, q)[0] - loss(g - 1e-5, alike, q)[0]) / 2e-5
        assert np.allclose(numeric, loss(g, alike, q)[1], atol=1e-6)
        assert (loss(g, alike, q)[1] * (1 - 2 * alike) >= 0).all()  # similar pairs pull, others push


def test_where_the_slope_stops():
    """Against the formula: below q/2 - log(99) bits for the published temperature, nowhere for Cauchy."""
    for q in (8, 16, 32, 128):
        found = int(second._stops_at(second.LOSSES["logistic 1/2"])(q))
        slope = lambda d, q=q: 1.0 / (1.0 + np.exp(0.5 * (q - 2 * d)))  # noqa: E731
        assert found == max([0, *(d for d in range(q + 1) if slope(d) < 0.01 * slope(q))])
    assert second._stops_at(second.LOSSES["cauchy"])(64) == "0"


def test_more_evaluations_lower_the_loss():
    y = np.repeat(np.arange(3), 6)
    similar = (y[:, None] == y).astype(float)
    loss = second.LOSSES["cauchy"]
    reached = [second.objective(second.minimise(similar, 6, loss, 0, most=m)[0], similar, loss)[0] for m in (2, 10, 50)]
    assert reached[0] > reached[1] > reached[2]


# ---- rows ----------------------------------------------------------------------------------------------------------


def test_rows_are_kept_and_a_cut_line_is_dropped(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = Rows(path, ["a", "seed"])
    rows.add({"a": "x", "seed": 0, "value": np.float64(1.5)})
    rows.add({"a": "x", "seed": 1, "value": 2.5})
    with open(path, "a") as file:
        file.write('{"a": "x", "se')
    again = Rows(path, ["a", "seed"])
    assert len(again) == 2 and again.has({"a": "x", "seed": 1}) and not again.has({"a": "x", "seed": 2})
    assert "numpy" in again.rows[0]["versions"] and again.rows[0]["processor"]
    again.add({"a": "x", "seed": 2, "value": 3.0})
    assert [json.loads(line)["seed"] for line in path.read_text().splitlines()] == [0, 1, 2]
    with pytest.raises(TypeError, match="numbers"):
        again.add({"a": object(), "seed": 3})


def test_rows_in_pairs():
    mine, theirs = [{"seed": s, "v": float(s)} for s in range(4)], [{"seed": s, "v": 1.0} for s in (1, 3)]
    assert pairs(mine, theirs, ["seed"], "v") == [0.0, 2.0]
    assert table(["a", "b"], [["x", 1]]).splitlines()[-1] == "| x | 1 |"


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=8))
def test_interval_is_that_of_the_t_test(values):
    mean, half = interval(values)
    deviation = np.std(values, ddof=1)
    assert mean == pytest.approx(np.mean(values))
    if deviation == 0:
        assert half == 0
    else:  # the mean is on the edge of rejection at 5 % against mean - half
        statistic = half / (deviation / np.sqrt(len(values)))
        assert 2 * t.sf(statistic, len(values) - 1) == pytest.approx(0.05)


def test_interval_of_one_value():
    assert np.isnan(interval([1.0])[1])


def test_what_a_row_was_made_on_does_not_hide_what_it_measured():
    rows = Rows(None, ["seed"])
    rows.add({"seed": 0, "cpu": 1.25, "wall": 2.5})
    assert rows.rows[0]["cpu"] == 1.25 and rows.rows[0]["wall"] == 2.5

import json
import math

import numpy as np
import pytest

from hashers import datasets, metrics, registry
from hashers.baselines import LSH
from hashers.compare import Comparison
from hashers.datasets import Dataset
from hashers.registry import parse_method

COLUMNS = {
    "dataset", "method", "function", "n_bits", "seed", "database", "objective", "lower_bound", "relative_gap",
    "ksh_objective", "ksh_lower_bound", "ksh_normalised", "ksh_gap", "bits_optimal", "map", "map_hashed", "map_learned",
    "map_stable", "map_stable_hashed", "map_stable_learned", "precision_radius2", "precision_radius2_hashed",
    "precision_radius2_learned", "n_query", "n_database", "n_train", "n_distinct", "seconds_codes", "seconds_function",
    "seconds_encode", "seconds_evaluate",
}  # fmt: skip


def make_data(y, n_query=20, n_train=None, seed=0, **more):
    """Blobs around a random centre for each class, or for each label set."""
    rng = np.random.RandomState(seed)
    y = np.asarray(y)
    if y.ndim == 1:
        centres = rng.normal(size=(int(y.max()) + 2, 6))[y]
    else:
        centres = y @ rng.normal(size=(y.shape[1], 6))
    rows = np.arange(len(y))
    database = rows[n_query:]
    return Dataset(
        name="blobs",
        X=(centres + 0.2 * rng.normal(size=centres.shape)).astype(np.float32),
        y=y,
        query=rows[:n_query],
        database=database,
        train=database if n_train is None else database[:n_train],
        **more,
    )


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def small(digits):
    comparison = Comparison(digits, methods=["tsh-sequential", "lsh"], bits=[4, 8], functions=["linear"], n_train=300)
    comparison.warm_up()
    list(comparison)
    return comparison


def test_rows_come_in_the_order_of_the_table(small):
    keys = [(run.row["method"], run.row["function"], run.row["n_bits"]) for run in small.runs]
    assert keys == [
        ("tsh-sequential", "linear", 4),
        ("tsh-sequential", "linear", 8),
        ("lsh", "random", 4),
        ("lsh", "random", 8),
    ]


def test_rows_have_all_columns_and_are_plain_json(small):
    for run in small.runs:
        assert set(run.row) == COLUMNS
        assert json.loads(json.dumps(run.row, allow_nan=False)) == run.row
        assert all(run.row[name] >= 0 for name in run.row if name.startswith("seconds"))
        assert run.row["n_train"] == 300 and run.row["n_database"] == 1497


def test_values_agree_with_the_estimator_and_the_metrics(small, digits):
    run = small.runs[1]
    hasher = run.task.method.make(8, registry.make_function("linear", 0), 1, 0)
    hasher.fit(digits.X[small.train], digits.y[small.train])
    assert np.array_equal(run.codes_train, hasher.codes_)
    B_query, B_database = hasher.transform(digits.X[digits.query]), hasher.transform(digits.X[digits.database])
    y_query, y_database = digits.y[digits.query], digits.y[digits.database]
    assert run.row["map"] == run.row["map_hashed"]
    assert run.row["map_hashed"] == pytest.approx(
        metrics.mean_average_precision(B_query, B_database, y_query, y_database)
    )
    assert run.row["map_stable"] == metrics.mean_average_precision(
        B_query, B_database, y_query, y_database, ties="stable"
    )
    assert run.row["precision_radius2"] == metrics.precision_at_radius(
        B_query, B_database, y_query, y_database, radius=2
    )
    assert run.row["map_learned"] == pytest.approx(
        metrics.mean_average_precision(B_query, hasher.codes_, y_query, digits.y[small.train])
    )
    assert run.row["objective"] == run.row["ksh_objective"] == hasher.result_.objective


def test_the_yardstick_is_the_sum_over_all_pairs(small, digits):
    y = digits.y[small.train]
    S = np.where(y[:, None] == y, 1, -1)
    for run in small.runs:
        B = run.codes_train.astype(int)
        value = ((run.task.n_bits * S - B @ B.T) ** 2).sum()
        assert run.row["ksh_objective"] == value
        assert run.row["ksh_normalised"] == pytest.approx(value / (300 * run.task.n_bits) ** 2)
        if run.row["ksh_lower_bound"] is not None:
            assert run.row["ksh_lower_bound"] <= value


def test_a_method_without_learned_codes_has_no_learned_columns(small):
    row = small.runs[-1].row
    assert row["method"] == "lsh"
    assert row["map_learned"] is row["objective"] is row["lower_bound"] is row["bits_optimal"] is None
    assert 0 < row["map_hashed"] < small.runs[1].row["map_hashed"]


def test_learned_is_about_the_training_rows(digits):
    comparison = Comparison(
        digits, methods=["tsh-sequential"], bits=[8], functions=["linear"], database="learned", n_train=200
    )
    (run,) = list(comparison)
    assert not comparison.train_is_database
    assert (
        run.row["map"] == run.row["map_learned"]
        and run.row["precision_radius2"] == (run.row["precision_radius2_learned"])
    )


def test_same_seed_same_rows_for_every_number_of_threads(digits):
    def rows(n_jobs):
        found = Comparison(
            digits, methods=["tsh", "lsh"], bits=[6], functions=["kernel"], seeds=[3], n_jobs=n_jobs, n_train=150
        )
        return [{k: v for k, v in run.row.items() if not k.startswith("seconds")} for run in found]

    assert rows(1) == rows(2)


def test_label_sets():
    Y = (np.random.RandomState(1).rand(200, 4) < 0.4).astype(np.uint8)
    Y[Y.sum(axis=1) == 0, 0] = 1
    comparison = Comparison(make_data(Y, n_train=120), methods=["tsh"], bits=[8], functions=["linear"])
    (run,) = list(comparison)
    assert 0.5 < run.row["map_hashed"] <= 1
    S = np.where(Y[20:140].astype(int) @ Y[20:140].T.astype(int) > 0, 1, -1)
    B = run.codes_train.astype(int)
    assert run.row["ksh_objective"] == ((8 * S - B @ B.T) ** 2).sum()


def test_labels_of_any_kind_give_the_same_rows():
    y = np.random.RandomState(0).randint(0, 2, 120)
    names = np.array(["cat", "dog"])[y]
    signs = 2 * y - 1

    def scores(labels):
        data = make_data(y)
        data = Dataset(data.name, data.X, labels, data.query, data.database, data.train)
        (run,) = list(Comparison(data, methods=["tsh-sequential"], bits=[4], functions=["linear"]))
        return run.row["map_hashed"], run.row["ksh_objective"]

    assert scores(y) == scores(names) == scores(signs)


def test_unknown_labels_in_training_take_no_part():
    y = np.random.RandomState(0).randint(0, 3, 150)
    data = make_data(y)
    hidden = y.copy()
    hidden[100:] = -1
    data = Dataset(data.name, data.X, hidden, data.query, np.arange(20, 100), np.arange(20, 100))
    (run,) = list(Comparison(data, methods=["tsh-sequential"], bits=[4], functions=["linear"]))
    assert run.row["map_hashed"] > 0.8


def test_a_label_that_only_queries_have_counts_zero():
    y = np.random.RandomState(0).randint(0, 3, 120)
    y[:5], y[20:] = 3, np.where(y[20:] == 3, 0, y[20:])
    (run,) = list(Comparison(make_data(y), methods=["tsh-sequential"], bits=[6], functions=["linear"]))
    assert (run.average_precision[:5] == 0).all()
    assert run.row["map_hashed"] <= 0.75


def test_a_class_that_no_query_has():
    y = np.random.RandomState(0).randint(0, 3, 120)
    y[:20] = np.where(y[:20] == 2, 0, y[:20])
    (run,) = list(Comparison(make_data(y), methods=["tsh-sequential"], bits=[6], functions=["linear"]))
    assert math.isfinite(run.row["map_hashed"])


def test_one_class_only_is_an_error():
    comparison = Comparison(make_data(np.zeros(60, int)), methods=["tsh"], bits=[4], functions=["linear"])
    with pytest.raises(ValueError, match="one class only"):
        list(comparison)


def test_an_interrupted_run_is_dropped(digits):
    comparison = Comparison(digits, methods=["lsh"], bits=[4, 8, 12])
    started = []
    runs = list(comparison.run_all(started.append, should_stop=lambda: len(started) == 2))
    assert len(runs) == len(comparison.runs) == 1 and len(started) == 2
    assert [run.row["n_bits"] for run in comparison] == [8, 12]  # goes on where it stopped
    assert len(comparison.runs) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": ["tshh"]}, f"unknown method 'tshh'. Known are {', '.join(registry.METHODS)}"),
        ({"methods": []}, "methods is empty"),
        ({"methods": ["lsh", "lsh"]}, "'lsh' twice"),
        ({"methods": ["tsh-linear"]}, "unknown word 'linear'"),
        ({"methods": ["tsh-"]}, "unknown word ''"),
        ({"methods": ["tsh-ksh-hinge"]}, "sets loss twice"),
        ({"methods": ["tsh:best"]}, "unknown solver 'best'"),
        ({"methods": ["lsh:exact"]}, "no inner solver"),
        ({"functions": ["rbf"]}, "unknown function 'rbf'"),
        ({"bits": [0]}, "at least 1: 0"),
        ({"bits": [8.5]}, "8.5"),
        ({"seeds": [-1]}, "at least 0: -1"),
        ({"database": "both"}, "'both'"),
        ({"n_train": 5000}, "5000 training rows"),
    ],
)
def test_wrong_settings_name_the_value(digits, settings, message):
    with pytest.raises(ValueError, match=message):
        Comparison(digits, **settings)


def test_every_method_of_the_table_can_be_made():
    for name, entry in registry.METHODS.items():
        words = [name, *(f"{name}-{word}" for group in entry.words.values() for word in group)]
        for text in words:
            hasher = parse_method(text).make(8, registry.make_function("linear"), 1, 0)
            assert not entry.takes_bits or hasher.n_bits == 8
            assert all(getattr(hasher, argument) == value for argument, value in entry.settings.items())
    assert parse_method("tsh").in_force()["loss"] == "ksh"


def test_the_default_words_are_the_defaults_of_the_class():
    for name, entry in registry.METHODS.items():
        hasher = parse_method(name).make(8)
        for argument, words in entry.words.items():
            value = getattr(hasher, argument)  # None: what the default mode takes, in words the first
            assert value is None or value == entry.value(argument, next(iter(words)))


def test_a_bit_for_each_class_is_one_row_whatever_the_lengths(digits):
    comparison = Comparison(
        digits, methods=["one-hot", "itq"], bits=[4, 8], functions=["linear", "kernel"], seeds=[0, 1], n_train=200
    )
    lengths = [(task.method.text, task.function, task.n_bits) for task in comparison.tasks]
    assert lengths[::2] == [
        ("one-hot", "linear", 10),
        ("one-hot", "kernel", 10),
        ("itq", "own", 4),
        ("itq", "own", 8),
    ]
    comparison.warm_up()
    run = next(iter(comparison))
    assert set(run.row) == COLUMNS and run.row["n_bits"] == 10 and run.row["n_distinct"] <= 10
    assert not run.learned and run.codes_train.shape == (200, 10)


def test_a_bit_for_each_class_counts_those_of_the_training_rows():
    y = np.random.RandomState(0).randint(0, 4, 150)
    y[20:120] = np.where(y[20:120] == 3, 0, y[20:120])
    y[20:40] = -1
    data = make_data(y)
    data = Dataset(data.name, data.X, y, np.arange(10), np.arange(40, 150), np.arange(20, 120))
    data.y[:10] = np.arange(10) % 3
    (run,) = list(Comparison(data, methods=["one-hot"], bits=[5], functions=["linear"]))
    assert run.row["n_bits"] == 3 and run.codes_train.shape == (100, 3)
    Y = (np.random.RandomState(1).rand(150, 5) < 0.4).astype(np.uint8)
    (run,) = list(Comparison(make_data(Y), methods=["one-hot"], bits=[4], functions=["linear"]))
    assert run.row["n_bits"] == 5 and run.codes_train.shape == (130, 5)


@pytest.mark.parametrize("database", ["hashed", "learned"])
def test_a_method_without_codes_ranks_by_numbers(digits, database):
    comparison = Comparison(
        digits, methods=["posterior", "lsh"], bits=[8], functions=["linear"], n_train=300, database=database
    )
    comparison.warm_up()
    run, _ = list(comparison)
    assert str(run.task) == "posterior, linear"
    assert set(run.row) == COLUMNS and run.row["n_bits"] is None
    assert json.loads(json.dumps(run.row, allow_nan=False)) == run.row
    assert all(run.row[name] >= 0 for name in run.row if name.startswith("seconds"))
    assert all(run.row[name] is None for name in run.row if "ksh" in name or "radius" in name or "learned" in name)
    assert run.packed_query is run.packed_database is run.codes_train is run.curve is None and not run.learned
    model = run.task.method.make(None, registry.make_function("linear"), 1, 0)
    model.fit(digits.X[comparison.train], digits.y[comparison.train])
    found = model.average_precision(
        *(digits.X[rows] for rows in (digits.query, digits.database)),
        *(digits.y[rows] for rows in (digits.query, digits.database)),
    )
    np.testing.assert_allclose(run.average_precision, found)
    assert run.row["map_hashed"] == pytest.approx(found.mean()) and run.row["map_stable_hashed"] > 0.7
    assert run.row["map"] == (run.row["map_hashed"] if database == "hashed" else None)


def test_the_report_and_the_lines_of_rows_without_codes(digits):
    from hashers.progress import cells
    from hashers.report.page import build_page

    comparison = Comparison(digits, methods=["posterior", "itq", "lsh"], bits=[8], functions=["linear"], n_train=150)
    runs = comparison.run_all()
    posterior = next(runs)
    assert cells(posterior.row)[0][:4] == ["posterior", "linear", "", ""]
    with pytest.raises(ValueError, match="no finished run has codes"):
        build_page(comparison)
    list(runs)
    page = build_page(comparison)
    assert "rows without bits rank by real numbers" in page
    highest = f"{comparison.runs[1].row['map_hashed']:.3f}"
    assert f'<td class="best" data-value="{comparison.runs[1].row["map_hashed"]!r}">{highest}' in page  # of the hashes


def test_lsh_is_blind_to_shifts_and_counts_angles():
    X = np.random.RandomState(0).normal(size=(50, 5))
    hasher = LSH(n_bits=4000, random_state=0).fit(X)
    shifted = LSH(n_bits=4000, random_state=0).fit(X + 7)
    assert (hasher.codes_ == shifted.codes_).mean() > 0.999
    Z = X - X.mean(axis=0)
    angle = np.arccos(Z[0] @ Z[1] / np.linalg.norm(Z[0]) / np.linalg.norm(Z[1]))
    assert (hasher.codes_[0] != hasher.codes_[1]).mean() == pytest.approx(angle / np.pi, abs=0.03)
    with pytest.raises(ValueError, match="n_bits"):
        LSH(n_bits=0).fit(X)


BASELINES = ["lsh", "itq", "sh", "agh", "agh-two-layer", "sgh", "sth", "mlh", "one-hot", "posterior"]


@pytest.mark.parametrize("kind", ["one big class", "one member each", "constant features"])
def test_baselines_run_to_the_end_on_odd_data(kind):
    y = np.random.RandomState(0).randint(0, 3, 120)
    if kind == "one big class":
        y = np.where(np.arange(120) % 12 == 0, y, 0)
    if kind == "one member each":
        y[20:60] = 3 + np.arange(40)
    data = make_data(y)
    if kind == "constant features":
        data.X[:, 1:] = 0.3
    runs = list(Comparison(data, methods=BASELINES, bits=[6], functions=["linear"]))
    assert [run.row["method"] for run in runs] == BASELINES
    for run in runs:
        assert 0 < run.row["map_hashed"] <= 1

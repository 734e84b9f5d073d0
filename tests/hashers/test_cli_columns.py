"""Columns of csv and parquet files by name, and `hashers compare` on files of one's own."""

import json
import shutil

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from hashers import TSH, LinearFunction, persistence
from hashers.cli import app
from hashers.cli._tasks import dataset_of
from hashers.index import load_codes

WORDS = np.array(["zero", "one", "two", "three"])
FIT = ["--method", "tsh", "--bits", "8", "--function", "linear", "--labels", "digit"]
COLUMNS = [f"f{k}" for k in range(64)]


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def failed(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    return result.output.replace("\n", " ")


def write_csv(path, columns):
    rows = zip(*columns.values())
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows), ""]))


@pytest.fixture(scope="module")
def table():
    X, y = load_digits(n_class=4, return_X_y=True)
    X, y = X[:160] / 16, y[:160]
    return {**{name: X[:, k] for k, name in enumerate(COLUMNS)}, "digit": WORDS[y]}


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    """The table, the same with its columns in another order and one more, and a model of the first."""
    folder = tmp_path_factory.mktemp("columns")
    write_csv(folder / "a.csv", table)
    names = np.random.default_rng(0).permutation([*COLUMNS, "digit", "id"])
    write_csv(folder / "b.csv", {name: table.get(name, np.arange(160) + 1000) for name in names})
    done("fit", folder / "a.csv", folder / "model", *FIT)
    return folder


def test_a_model_knows_its_columns(folder):
    model = persistence.load(folder / "model")
    assert list(model.feature_names_in_) == COLUMNS
    X = np.loadtxt(folder / "a.csv", delimiter=",", skiprows=1, usecols=range(64))
    with pytest.warns(UserWarning, match="does not have valid feature names"):  # as of every scikit-learn estimator
        model.transform(X)


def test_columns_are_matched_by_name_whatever_their_order(folder):
    expected = None
    for name, options in (("a.csv", ["--labels", "digit"]), ("a.csv", []), ("b.csv", []), ("b.csv", ["--block", 7])):
        done("encode", folder / "model", folder / name, folder / "c.npz", *options)
        found = load_codes(folder / "c.npz").packed
        expected = found if expected is None else expected
        np.testing.assert_array_equal(found, expected)
    done("encode", folder / "model", folder / "a.csv", folder / "c.codes")
    search = ["search", folder / "c.codes", "--model", folder / "model", "--json"]
    near = [json.loads(done(*search, folder / name).stdout) for name in ("a.csv", "b.csv")]
    assert near[0]["hits"] == near[1]["hits"]
    scores = [
        json.loads(done("evaluate", folder / "model", folder / name, "--queries", folder / other, "--labels", "digit",
                        "--json").stdout)
        for name, other in (("a.csv", "b.csv"), ("b.csv", "a.csv"))
    ]  # fmt: skip
    keys = [key for key in scores[0] if key != "data" and "seconds" not in key]
    assert len(keys) > 8
    assert [scores[0][key] for key in keys] == [scores[1][key] for key in keys]


def test_missing_columns_are_named(folder, table):
    write_csv(folder / "less.csv", {name: table[name] for name in table if name not in ("f3", "f10")})
    done("encode", folder / "model", folder / "a.csv", folder / "c.codes")
    for command in (
        ("encode", folder / "model", folder / "less.csv", folder / "x.npz"),
        ("search", folder / "c.codes", folder / "less.csv", "--model", folder / "model"),
        ("evaluate", folder / "model", folder / "less.csv", "--queries", folder / "a.csv", "--labels", "digit"),
    ):
        message = failed(*command)
        assert "less.csv lacks 2 of the 64 columns that the model was fitted to: f3, f10. It has f0, f1," in message
    message = failed("encode", folder / "model", folder / "a.csv", folder / "x.npz", "--ignore", "f5")
    assert "the model was fitted to column 'f5', which --labels or --ignore names" in message
    twice = (folder / "a.csv").read_text().replace("f1,", "f2,", 1).replace("digit", "f1", 1)
    (folder / "twice.csv").write_text(twice)
    assert "has two columns 'f2'" in failed("encode", folder / "model", folder / "twice.csv", folder / "x.npz")
    assert not (folder / "x.npz").exists()


def test_files_without_names_go_by_position(folder, table):
    X = np.column_stack([table[name] for name in COLUMNS])
    np.save(folder / "X.npy", X)
    np.savetxt(folder / "bare.csv", X, delimiter=",", fmt="%.17g")
    done("encode", folder / "model", folder / "a.csv", folder / "c.npz")
    for name in ("X.npy", "bare.csv"):
        done("encode", folder / "model", folder / name, folder / "d.npz")
        np.testing.assert_array_equal(load_codes(folder / "d.npz").packed, load_codes(folder / "c.npz").packed)
    np.savetxt(folder / "narrow.csv", X[:, 1:], delimiter=",")
    assert "63 features" in failed("encode", folder / "model", folder / "narrow.csv", folder / "d.npz")


def test_models_of_data_frames_and_of_lists(folder, table):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    pyarrow = pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    from pyarrow import parquet

    frame = pandas.DataFrame({name: table[name] for name in reversed(COLUMNS)})
    model = TSH(n_bits=8, function=LinearFunction(), random_state=0).fit(frame, table["digit"])
    persistence.save(model, folder / "frame")
    for name in ("a.csv", "b.csv"):
        done("encode", folder / "frame", folder / name, folder / "c.npz")
        np.testing.assert_array_equal(load_codes(folder / "c.npz").packed, model.encode(frame))
    X = np.column_stack([table[name] for name in COLUMNS])
    lists = {"left": list(X[:, :40]), "right": list(X[:, 40:]), "digit": table["digit"]}
    parquet.write_table(pyarrow.table(lists), folder / "l.parquet")
    parquet.write_table(pyarrow.table({name: lists[name] for name in ("right", "digit", "left")}), folder / "m.parquet")
    done("fit", folder / "l.parquet", folder / "lists", *FIT)
    assert list(persistence.load(folder / "lists").feature_names_in_[[0, 40]]) == ["left[0]", "right[0]"]
    codes = []
    for name in ("l.parquet", "m.parquet"):
        done("encode", folder / "lists", folder / name, folder / "c.npz")
        codes.append(load_codes(folder / "c.npz").packed)
    np.testing.assert_array_equal(*codes)
    message = failed("encode", folder / "lists", folder / "a.csv", folder / "x.npz")
    assert "lacks" in message and "left[0], left[1]" in message


COMPARE = ["--methods", "lsh,tsh", "--bits", "8", "--functions", "linear", "--json"]


def test_compare_on_files_of_ones_own(folder, table):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(table), folder / "t.parquet")
    X = np.column_stack([table[name] for name in COLUMNS])
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", table["digit"])
    np.savez(folder / "t.npz", X=X, labels=table["digit"])
    results = []
    for name, options in (
        ("a.csv", ["--labels", "digit"]),
        ("b.csv", ["--labels", "digit", "--ignore", "id"]),
        ("t.parquet", ["--labels", "digit"]),
        ("X.npy", ["--labels", folder / "y.npy"]),
        ("t.npz", []),
    ):
        rows = json.loads(done("compare", "--dataset", folder / name, *COMPARE, *options).stdout)
        assert [(row["method"], row["n_query"], row["n_database"]) for row in rows] == [
            ("lsh", 16, 144),
            ("tsh", 16, 144),
        ]
        assert rows[1]["map"] > 0.9 and rows[0]["dataset"] == name.rpartition(".")[0]
        results.append(rows[1]["map"])
    np.testing.assert_allclose(results, results[0], atol=0.02)  # columns in another order round otherwise
    rows = json.loads(done("compare", "--dataset", folder / "t.npz", "--queries", 30, *COMPARE).stdout)
    assert rows[0]["n_query"] == 30


def test_compare_writes_a_report_of_a_file(folder, tmp_path):
    done("compare", "--dataset", folder / "a.csv", "--labels", "digit", *COMPARE, "--report", tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "160 rows of a.csv" in page and "Queries drawn at random" in page


def test_label_sets_splits_and_sparse_files(tmp_path):
    rng = np.random.default_rng(0)
    Y = (rng.random((60, 3)) < 0.4).astype(int)
    X = Y @ rng.normal(size=(3, 5)) + 0.1 * rng.normal(size=(60, 5))
    head = ",".join([*"abcde", "tag_x", "tag_y", "tag_z"])
    np.savetxt(tmp_path / "sets.csv", np.c_[X, Y], delimiter=",", header=head, comments="")
    data = dataset_of(str(tmp_path / "sets.csv"), labels="tag_*")
    np.testing.assert_array_equal(data.y, Y)
    assert data.is_multilabel and "at least one label in common" in data.description
    parts = {"query": np.arange(10), "train": np.arange(20, 60)}
    np.savez(tmp_path / "part.npz", X=X, y=np.where(Y[:, 0], 1, -1), **parts)
    data = dataset_of(str(tmp_path / "part.npz"))
    assert data.y.tolist() == Y[:, 0].tolist() and data.class_names == ["-1", "1"]  # two classes, none unknown
    assert data.database.tolist() == list(range(10, 60)) and data.train.tolist() == list(range(20, 60))
    sparse.save_npz(tmp_path / "s.npz", sparse.csr_array(X))
    np.save(tmp_path / "y.npy", Y[:, 0])
    data = dataset_of(str(tmp_path / "s.npz"), labels=str(tmp_path / "y.npy"))
    assert sparse.issparse(data.X) and len(data.query) == 6
    rows = json.loads(done("compare", "--dataset", tmp_path / "s.npz", "--labels", tmp_path / "y.npy", *COMPARE).stdout)
    assert len(rows) == 2
    assert dataset_of("digits").name == "digits"


def test_what_is_wrong_with_a_file_is_said(folder, tmp_path):
    assert "labels are needed" in failed("compare", "--dataset", folder / "a.csv", "--ignore", "digit")
    assert "describe a file: name one by --dataset" in failed("compare", "--dataset", "digits", "--labels", "digit")
    assert "unknown data set 'none.csv'" in failed("compare", "--dataset", "none.csv")
    message = failed("compare", "--dataset", folder / "a.csv", "--labels", "digit", "--queries", 161)
    assert "160" in message
    X = np.arange(20.0).reshape(10, 2)
    cases = {
        "must hold 0 and 1": {"Y": np.full((10, 2), 3)},
        "labels hold NaN": {"labels": np.full(10, np.nan)},
        "9 labels": {"labels": np.arange(9)},
        "row 0 is in both": {"labels": np.arange(10) % 2, "query": [0], "database": [0, 1], "train": [1]},
        "row 9 does not": {"labels": np.arange(10) % 2, "query": [0], "database": [1, 2], "train": [9]},
    }
    for k, (text, keys) in enumerate(cases.items()):
        np.savez(tmp_path / f"{k}.npz", X=X, **keys)
        assert text in failed("compare", "--dataset", tmp_path / f"{k}.npz", "--methods", "lsh"), text
    np.savez(tmp_path / "huge.npz", X=1e200 * (1 + X), labels=np.arange(10) % 2)
    assert "20 are not" in failed("compare", "--dataset", tmp_path / "huge.npz")
    shutil.copy(folder / "a.csv", tmp_path / "a.txt")
    assert "a.txt" in failed("compare", "--dataset", tmp_path / "a.txt")
    message = failed("compare", "--dataset", tmp_path / "a.txt", "--labels", "digit")
    assert "it must end in .npz, .npy, .csv, .parquet" in message

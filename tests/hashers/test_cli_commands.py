"""`hashers fit | encode | search | evaluate`: in this process, and as real commands where the process matters."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from hashers import datasets, metrics, packing, persistence
from hashers.cli import app
from hashers.cli._tables import open_table
from hashers.index import load_codes

FIT = ["--method", "tsh-sequential", "--bits", "8", "--function", "linear"]
WORDS = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def command(*arguments):
    """The command line of a fresh process."""
    return [sys.executable, "-m", "hashers.cli", *map(str, arguments)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The same 300 digits as npz with a split, npy, csv and parquet, and a model of each."""
    folder = tmp_path_factory.mktemp("data")
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    parts = {"query": np.arange(40), "database": np.arange(40, 300), "train": np.arange(40, 240)}
    np.savez_compressed(folder / "d.npz", X=X, labels=y, **parts)
    np.save(folder / "X.npy", X.astype(np.float32))
    np.save(folder / "y.npy", y)
    sparse.save_npz(folder / "s.npz", sparse.csr_matrix(X.astype(np.float32)))
    head = ",".join(["id", *(f"f{k}" for k in range(64)), "digit"])
    lines = [",".join([str(i), *map(str, row), WORDS[label]]) for i, (row, label) in enumerate(zip(X, y))]
    (folder / "d.csv").write_text("\n".join([head, *lines, ""]))
    done("fit", folder / "d.npz", folder / "model", *FIT)
    return folder


def test_fit_uses_the_training_rows_and_their_labels(data):
    record = json.loads(done("fit", data / "d.npz", data / "m1", *FIT, "--json").stdout)
    assert record["n_samples"] == 200 and record["n_bits"] == 8 and record["method"] == "tsh-sequential"
    split, model = datasets.load(str(data / "d.npz")), persistence.load(data / "m1")
    np.testing.assert_array_equal(model.codes_, persistence.load(data / "model").codes_)
    assert model.codes_.shape == (200, 8) and record["objective"] == model.result_.objective
    X_train, y_train = split.part("train")
    again = clone(model).fit(X_train, y_train)
    np.testing.assert_array_equal(again.decision_function(X_train), model.decision_function(X_train))
    everything = json.loads(done("fit", data / "d.npz", data / "m2", *FIT, "--rows", "all", "--json").stdout)
    assert everything["n_samples"] == 300


def test_every_kind_of_file_gives_the_same_codes(data):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    X, y = np.load(data / "X.npy"), np.load(data / "y.npy")
    from pyarrow import parquet

    table = pyarrow.table({"embedding": list(X), "digit": WORDS[y]})
    parquet.write_table(table, data / "d.parquet")
    wide = pyarrow.table({"digit": WORDS[y], **{f"f{k}": X[:, k] for k in range(64)}})
    parquet.write_table(wide, data / "wide.parquet")
    fixed = pyarrow.FixedSizeListArray.from_arrays(X.ravel(), 64)
    parquet.write_table(pyarrow.table({"embedding": fixed}), data / "fixed.parquet")
    expected = packing.pack(persistence.load(data / "model").transform(X))
    for name, options in (
        ("d.npz", []),
        ("X.npy", ["--block", 7]),
        ("s.npz", []),
        ("d.csv", ["--labels", "digit", "--ignore", "id"]),
        ("d.csv", ["--ignore", "id,dig*", "--block", 11]),
        ("d.parquet", ["--labels", "digit"]),
        ("wide.parquet", ["--ignore", "digit", "--block", 9]),
        ("fixed.parquet", []),
    ):
        for codes in ("c.npz", "c.codes"):
            record = json.loads(done("encode", data / "model", data / name, data / codes, *options, "--json").stdout)
            found = load_codes(data / codes)
            np.testing.assert_array_equal(found.packed, expected)
            assert found.n_bits == 8 and record["n"] == 300 and record["bitorder"] == "little"
    with np.load(data / "c.npz") as archive:
        assert set(archive.files) == {"codes", "n_bits", "bitorder"}
    for source in ("d.parquet", "wide.parquet"):
        done("fit", data / source, data / "mp", *FIT, "--labels", "digit")
        assert persistence.load(data / "mp").n_features_in_ == 64


def test_labels_of_any_source(data):
    expected = np.load(data / "y.npy")
    np.savez(data / "other.npz", digits=expected)
    (data / "y.csv").write_text("label\n" + "\n".join(map(str, expected)) + "\n")
    (data / "y2.csv").write_text("row,label\n" + "\n".join(f"{i},{v}" for i, v in enumerate(expected)) + "\n")
    for labels in (
        data / "y.npy",
        data / "y.csv",
        f"{data / 'y2.csv'}:label",
        f"{data / 'other.npz'}:digits",
        data / "other.npz",
    ):
        X, y = open_table(data / "X.npy", str(labels)).read_labelled()
        np.testing.assert_array_equal(y, expected)
        assert y.dtype.kind == "i" and X.shape == (300, 64)
    y = open_table(data / "d.csv", "digit", "id").read_labelled()[1]
    np.testing.assert_array_equal(y, WORDS[expected])
    np.testing.assert_array_equal(open_table(data / "d.npz", "labels").read_labelled()[1], expected)


def test_label_sets_in_columns(tmp_path):
    rng = np.random.default_rng(0)
    Y = (rng.random((80, 3)) < 0.5).astype(int)
    X = Y @ rng.normal(size=(3, 5)) + 0.1 * rng.normal(size=(80, 5))
    rows = [",".join(map(str, [*x, *y])) for x, y in zip(X, Y)]
    (tmp_path / "d.csv").write_text("\n".join(["a,b,c,d,e,tag_x,tag_y,tag_z", *rows]) + "\n")
    X_read, Y_read = open_table(tmp_path / "d.csv", "tag_*").read_labelled()
    np.testing.assert_array_equal(Y_read, Y)
    np.testing.assert_array_equal(X_read, X)
    done("fit", tmp_path / "d.csv", tmp_path / "m", *FIT, "--labels", "tag_*")
    queries = ["--queries", tmp_path / "d.csv", "--labels", "tag_x,tag_y,tag_z"]
    result = done("evaluate", tmp_path / "m", tmp_path / "d.csv", *queries, "--json")
    assert json.loads(result.stdout)["protocol"]["relevance"] == "at least one label in common"


def test_search_equals_brute_force(data):
    done("encode", data / "model", data / "d.npz", data / "base.codes", "--rows", "database")
    done("encode", data / "model", data / "d.npz", data / "query.npz", "--rows", "query")
    base, query = (packing.unpack(load_codes(data / name).packed, 8) for name in ("base.codes", "query.npz"))
    d = (query[:, None] != base[None]).sum(axis=2)
    hits = json.loads(done("search", data / "base.codes", data / "query.npz", "-k", 5, "--json").stdout)["hits"]
    for a, hit in enumerate(hits):
        order = np.lexsort((np.arange(260), d[a]))[:5]
        assert hit["query"] == a and hit["ids"] == order.tolist() and hit["distances"] == d[a][order].tolist()
    hits = json.loads(done("search", data / "base.codes", data / "query.npz", "--radius", 1, "--json").stdout)["hits"]
    assert [sorted(hit["ids"]) for hit in hits] == [np.flatnonzero(row <= 1).tolist() for row in d]
    table = done("search", data / "base.codes", data / "query.npz", "-k", 3).stdout.splitlines()
    assert table[0].split() == ["query", "rank", "id", "distance"] and len(table) == 1 + 3 * 40
    told = done("search", data / "base.codes", data / "query.npz", "--output", data / "hits.npz").stdout
    with np.load(data / "hits.npz") as archive:
        assert archive["ids"].shape == (400,) and archive["offsets"].tolist() == list(range(0, 401, 10))
    assert "400 hits of 40 queries" in told


def test_search_by_features_and_margins(data):
    done("encode", data / "model", data / "X.npy", data / "all.codes")
    model, X = persistence.load(data / "model"), np.load(data / "X.npy")
    features = ["search", data / "all.codes", data / "X.npy", "--model", data / "model", "-k", 4, "--json"]
    plain, real = (json.loads(done(*features, *extra).stdout)["hits"] for extra in ([], ["--asymmetric"]))
    assert plain[7]["distances"][0] == 0
    scores = model.decision_function(X) @ model.transform(X).T.astype(float)
    for a, hit in enumerate(real):
        np.testing.assert_allclose(hit["scores"], np.sort(scores[a])[::-1][:4])


def test_evaluate_prints_what_the_function_gives(data):
    split, model = datasets.load(str(data / "d.npz")), persistence.load(data / "model")
    (X_query, y_query), (X_database, y_database) = split.part("query"), split.part("database")
    expected = metrics.evaluate(
        model.transform(X_query), model.transform(X_database), y_query, y_database, k=[5, 20], database="hashed"
    )
    result = done("evaluate", data / "model", data / "d.npz", "-k", "5,20", "--json")
    told = json.loads(result.stdout)
    assert told["map"] == expected.map and told["map_at_k"]["5"] == expected.map_at_k[5]
    assert told["protocol"]["n_database"] == 260 and told["protocol"]["database"] == "hashed"
    learned = json.loads(done("evaluate", data / "model", data / "d.npz", "--database", "learned", "--json").stdout)
    assert learned["protocol"]["n_database"] == 200 and learned["map"]["expected"] > told["map"]["expected"]
    real = json.loads(done("evaluate", data / "model", data / "d.npz", "--asymmetric", "--json").stdout)
    margins = model.decision_function(X_query)
    sides = None, model.transform(X_database), y_query, y_database
    assert real["map"]["expected"] == metrics.mean_average_precision(*sides, query_margins=margins)
    table = done("evaluate", data / "model", data / "d.npz").stdout
    assert "database codes hashed" in table and "MAP@1000 / found" in table
    other = done(
        "evaluate", data / "model", data / "X.npy", "--labels", data / "y.npy", "--queries", data / "d.npz",
        "--query-labels", "labels", "--json",
    )  # fmt: skip
    assert json.loads(other.stdout)["protocol"]["n_query"] == 300


def test_weights_of_the_model(data):
    done("fit", data / "d.npz", data / "hbmp", "--method", "hbmp", "--bits", 6, "--function", "linear")
    weighted = json.loads(done("evaluate", data / "hbmp", data / "d.npz", "--weighted", "--json").stdout)
    assert weighted["protocol"]["ranking"] == "weighted Hamming distance"
    assert run("evaluate", data / "model", data / "d.npz", "--weighted").exit_code == 2


def test_methods_without_labels(data):
    record = json.loads(done("fit", data / "X.npy", data / "lsh", "--method", "lsh", "--bits", 5, "--json").stdout)
    assert record["function"] is None and record["objective"] is None and record["n_bits"] == 5
    one_hot = json.loads(done("fit", data / "d.npz", data / "o", *FIT, "--method", "one-hot", "--json").stdout)
    assert one_hot["n_bits"] == 10 and one_hot["function"] == "linear"
    result = run("fit", data / "X.npy", data / "no", *FIT)
    assert result.exit_code == 2 and "needs labels" in result.stderr and not (data / "no").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "nowhere.npz", "m"], "there is no file"),
        (["fit", "X.npy", "m", "--labels", "nowhere"], "there is no file 'nowhere'"),
        (["fit", "X.npy", "no/folder/m"], "there is no folder"),
        (["fit", "d.csv", "m", "--labels", "digits"], "there is no column 'digits'"),
        (["fit", "d.csv", "m", "--labels", "id"], "'zero' in column 'digit' is no number"),
        (["fit", "d.npz", "m", "--bits", "0"], "--bits must be at least 1"),
        (["fit", "d.npz", "m", "--seed", "-1"], "--seed"),
        (["fit", "d.npz", "m", "--jobs", "0"], "--jobs"),
        (["fit", "d.npz", "m", "--rows", "some"], "--rows must be"),
        (["fit", "X.npy", "m", "--rows", "train", "--labels", "y.npy"], "no key 'train'"),
        (["fit", "d.npz", "m", "--method", "nonsense"], "unknown method"),
        (["fit", "d.npz", "m", "--method", "posterior"], "makes no codes"),
        (["fit", "X.npy", "m", "--ignore", "a"], "--ignore names columns"),
        (["fit", "y.npy", "m"], "must be an (n, d) array"),
        (["fit", "d.npz", "m", "--labels", "other"], "no such key or column"),
        (["encode", "nowhere", "X.npy", "c"], "nowhere"),
        (["encode", "X.npy", "X.npy", "c"], "no model file"),
        (["encode", "model", "broken.csv", "c"], "line 3: 1 cells, the first line has 64"),
        (["encode", "model", "d.csv", "c", "--ignore", "digit"], "65 features"),
        (["encode", "model", "X.txt", "c"], "must end in .npz, .npy, .csv, .parquet"),
        (["encode", "model", "d.npz", "c", "--rows", "some"], "--rows must be all"),
        (["encode", "model", "X.npy", "c", "--block", "0"], "--block must be at least 1"),
        (["encode", "model", "short.npy", "c"], "cannot be read as an npy file"),
        (["encode", "model", "short.npz", "c"], "cannot be read as an npz file"),
        (["search", "X.npy", "X.npy"], "is no file of codes"),
        (["search", "c8.npz", "c8.npz", "-k", "0"], "-k must be at least 1"),
        (["search", "c8.npz", "c8.npz", "--asymmetric"], "--asymmetric needs --model"),
        (["search", "c8.npz", "c3.npz"], "3 bits, the database of 8"),
        (["evaluate", "model", "X.npy"], "names no queries"),
        (["evaluate", "model", "X.npy", "--queries", "X.npy"], "labels are needed"),
        (["evaluate", "model", "d.npz", "-k", "x"], "'x' is none"),
        (["evaluate", "model", "d.npz", "--database", "both"], "--database must be hashed or learned"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(data, arguments, message, monkeypatch):
    monkeypatch.chdir(data)
    if not (data / "c3.npz").exists():
        from hashers.index import save_codes

        save_codes(data / "c8.npz", np.ones((2, 8), np.int8))
        save_codes(data / "c3.npz", np.ones((2, 3), np.int8))
        (data / "X.txt").write_text("")
        (data / "broken.csv").write_text("\n".join([",".join(f"f{k}" for k in range(64)), ",".join("1" * 64), "7", ""]))
        (data / "short.npy").write_bytes((data / "X.npy").read_bytes()[:1000])
        (data / "short.npz").write_bytes((data / "d.npz").read_bytes()[:1000])
    before = sorted(p.name for p in data.iterdir())
    result = run(*arguments)
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith("hashers: ") and result.stderr.count("\n") == 1
    assert message in result.stderr
    assert sorted(p.name for p in data.iterdir()) == before


def test_csv_without_a_head_and_with_blank_lines(tmp_path):
    (tmp_path / "d.csv").write_text("1,2,0\n\n3,4,1\n5,6,0\n")
    X, y = open_table(tmp_path / "d.csv", "2").read_labelled()
    np.testing.assert_array_equal(X, [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(y, [0, 1, 0])
    assert [len(block) for block in open_table(tmp_path / "d.csv").blocks(2)] == [1, 2]
    for text, message in (("", "is empty"), ("a,b\n", "no rows"), ("a,b\n1,x\n", "line 2: 'x' in column 'b'")):
        (tmp_path / "d.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            open_table(tmp_path / "d.csv").read()


def test_npz_features_are_decoded_as_data_sets_are(tmp_path):
    rng = np.random.default_rng(0)
    X, parts = rng.integers(0, 256, (50, 4)).astype(np.uint8), {"query": np.arange(5), "database": np.arange(5, 50)}
    for extra in ({"scale": np.array(0.5), "offset": np.arange(4)}, {"image_shape": np.array([2, 2])}, {}):
        for order in ("C", "F"):
            np.savez(tmp_path / "d.npz", X=np.asarray(X, order=order), labels=np.arange(50) % 2, **parts, **extra)
            expected = datasets.load(str(tmp_path / "d.npz")).X
            blocks = list(open_table(tmp_path / "d.npz").blocks(7))
            np.testing.assert_array_equal(np.concatenate(blocks), expected)
            assert blocks[0].dtype == expected.dtype and len(blocks) == 8


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "d.parquet").write_bytes(b"")
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    result = run("encode", tmp_path / "m", tmp_path / "d.parquet", tmp_path / "c")
    assert result.exit_code == 2
    with pytest.raises(ImportError, match=r"bqp\[parquet\]"):
        open_table(tmp_path / "d.parquet")


def anonymous_memory(pid):
    """MiB of a process that no file backs: pages of a memory-mapped file stay resident as long as nobody needs room."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("RssAnon")), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs sparse files and their resident size in KiB")
def test_encode_streams_a_file_larger_than_its_memory(tmp_path):
    """1 GB of features (a sparse file) in a process that peaks far below."""
    n, width = 250_000, 1000
    np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (n, width)).flush()
    np.save(tmp_path / "small.npy", np.random.default_rng(0).normal(size=(50, width)).astype(np.float32))
    done("fit", tmp_path / "small.npy", tmp_path / "m", "--method", "lsh", "--bits", 8)
    with subprocess.Popen(
        command("encode", tmp_path / "m", tmp_path / "X.npy", tmp_path / "c.codes", "--json"),
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        peak = 0
        while process.poll() is None:
            peak = max(peak, anonymous_memory(process.pid))
            time.sleep(0.01)
        assert process.returncode == 0 and process.stdout is not None
        assert json.load(process.stdout)["n"] == n
    assert len(load_codes(tmp_path / "c.codes").packed) == n
    assert 50 < peak < 600  # MiB, of which Python and its libraries are about 200


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT and terminals")
def test_interrupted_on_a_terminal_encode_shows_progress_and_leaves_nothing(data, tmp_path):
    import pty

    np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (5_000_000, 64)).flush()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("encode", data / "model", tmp_path / "X.npy", tmp_path / "c.codes", "--block", 500),
        stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    seen, deadline = b"", time.monotonic() + 120
    while b"/5000000" not in seen and time.monotonic() < deadline:
        seen += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        seen += chunk
    assert process.wait(timeout=60) == 130
    os.close(ours)
    assert b"hashing" in seen and b"interrupted; no codes were written" in seen
    assert process.stdout is not None and process.stdout.read() == b""
    process.stdout.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["X.npy"]


def test_a_closed_pipe_ends_quietly(data):
    done("encode", data / "model", data / "X.npy", data / "p.codes")
    process = subprocess.Popen(
        command("search", data / "p.codes", data / "p.codes", "-k", 300), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(timeout=60) == 1
    process.stderr.close()


@pytest.mark.parametrize("swallowed", [False, True])
def test_an_interrupted_fit_writes_no_model(data, monkeypatch, swallowed):
    """Solvers answer Ctrl-C with what they have so far; the command does not save that."""

    def fit(self, X, y):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if not swallowed:
                raise
        return self

    monkeypatch.setattr("hashers.methods.tsh.TSH.fit", fit)
    result = run("fit", data / "d.npz", data / "never", *FIT)
    assert result.exit_code == 130 and result.stderr == "hashers: interrupted; no model was written.\n"
    assert not (data / "never").exists()

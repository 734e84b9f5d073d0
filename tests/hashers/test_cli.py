import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from bqp.errors import BackendNotFound, ProblemError
from bqp.solvers import GraphCut
from hashers.cli import app

QUICK = ["compare", "--methods", "tsh-sequential,lsh", "--bits", "4,8", "--functions", "linear", "--train", "200"]
REQUIRED = (
    "dataset", "method", "function", "n_bits", "seed", "database", "objective", "lower_bound", "map", "map_stable",
    "precision_radius2", "seconds_codes", "seconds_function", "seconds_encode", "seconds_evaluate",
)  # fmt: skip


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def command(*arguments):
    """The command line of a fresh process."""
    return [sys.executable, "-c", "from hashers.cli import main; main()", *map(str, arguments)]


def test_json_is_a_list_of_rows_and_nothing_else():
    result = run(*QUICK, "--json")
    assert result.exit_code == 0 and result.stderr == ""
    rows = json.loads(result.stdout)
    assert [(row["method"], row["n_bits"]) for row in rows] == [
        ("tsh-sequential", 4), ("tsh-sequential", 8), ("lsh", 4), ("lsh", 8),
    ]  # fmt: skip
    for row in rows:
        assert set(REQUIRED) <= set(row)
        assert row["dataset"] == "digits" and row["database"] == "hashed" and row["map"] == row["map_hashed"]
    assert rows[2]["lower_bound"] is None


def test_lines_where_there_is_no_terminal():
    result = run(*QUICK)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == "digits: 300 queries, database of 1,497, fitted to 200 rows of it."
    assert "same label" in lines[1] and "Ties: mean over all orders" in lines[1]
    assert "ranking the 200 training rows only" in lines[2]
    head = next(k for k, line in enumerate(lines) if line.startswith("method"))
    assert len(lines) == head + 5
    assert lines[head + 1].split()[:3] == ["tsh-sequential", "linear", "4"]
    assert not any("\x1b" in line for line in lines)


def test_learned_database_and_several_seeds():
    result = run(*QUICK, "--json", "--database", "learned", "--seeds", 2, "--seed", 5, "--jobs", 2)
    rows = json.loads(result.stdout)
    assert [row["seed"] for row in rows] == [5, 6] * 4
    assert all(row["map"] == row["map_learned"] for row in rows)
    assert rows[-1]["map"] is None  # lsh learns no codes


def test_report_is_written_and_named(tmp_path):
    result = run(*QUICK, "--bits", 4, "--report", tmp_path / "a" / "b")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"Report: {tmp_path / 'a' / 'b' / 'index.html'}"
    assert (tmp_path / "a" / "b" / "index.html").stat().st_size > 10_000


def test_npz_file_with_label_sets(tmp_path):
    rng = np.random.RandomState(0)
    Y = (rng.rand(90, 3) < 0.5).astype(np.uint8)
    Y[:, 0] |= Y.sum(axis=1) == 0
    path = tmp_path / "mine.npz"
    np.savez(path, X=Y @ rng.normal(size=(3, 5)), Y=Y, query=np.arange(10), database=np.arange(10, 90))
    result = run("compare", "--dataset", path, "--methods", "tsh", "--bits", 4, "--functions", "linear", "--json")
    (row,) = json.loads(result.stdout)
    assert row["dataset"] == "mine" and row["n_train"] == row["n_database"] == 80 and row["map"] > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing command"),
        (["nonsense"], "nonsense"),
        (["compare", "--nonsense"], "--nonsense"),
        (["compare", "--dataset", "nonsense"], "unknown data set 'nonsense'"),
        (["compare", "--dataset", "/nowhere/a.npz"], "/nowhere/a.npz"),
        (["compare", "--methods", "tshh"], "unknown method 'tshh'"),
        (["compare", "--methods", "tsh,,lsh"], "empty entry"),
        (["compare", "--methods", "tsh:nonsense"], "unknown solver 'nonsense'"),
        (["compare", "--functions", "nonsense"], "unknown function 'nonsense'"),
        (["compare", "--bits", "8,x"], "'x'"),
        (["compare", "--bits", "0"], "at least 1: 0"),
        (["compare", "--database", "both"], "'both'"),
        (["compare", "--seeds", "0"], "at least 1: 0"),
        (["compare", "--seed", "-1"], "at least 0: -1"),
        (["compare", "--jobs", "0"], "--jobs"),
        (["compare", "--train", "1"], "at least 2: 1"),
        (["compare", "--train", "99999"], "99999 training rows"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("hashers: ") and result.stderr.count("\n") == 1
    assert message in result.stderr


def test_data_errors_are_one_line(tmp_path):
    path = tmp_path / "bad.npz"
    X = np.zeros((20, 2))
    X[3, 1] = np.nan
    parts = {"query": np.arange(5), "database": np.arange(5, 20)}
    np.savez(path, X=X, labels=np.arange(20) % 2, **parts)
    result = run("compare", "--dataset", path, "--bits", 4)
    assert result.exit_code == 2 and "nan at (3, 1)" in result.stderr and result.stderr.count("\n") == 1
    np.savez(path, X=np.random.RandomState(0).rand(20, 2), labels=np.zeros(20, int), **parts)
    result = run("compare", "--dataset", path, "--bits", 4, "--methods", "tsh", "--json")
    assert result.exit_code == 2 and "one class only" in result.stderr and result.stdout == ""
    path.write_bytes(path.read_bytes()[:200])
    result = run("compare", "--dataset", path, "--bits", 4)
    assert result.exit_code == 2 and "bad.npz" in result.stderr and result.stderr.count("\n") == 1


def test_only_a_missing_extra_is_a_usage_error(monkeypatch):
    def fail(error):
        def load(*arguments, **options):
            raise error

        monkeypatch.setattr("hashers.datasets.load", load)
        return run(*QUICK)

    result = fail(BackendNotFound("x is not installed. Install the extra: pip install 'bqp[x]'."))
    assert result.exit_code == 2 and result.stderr.startswith("hashers: x is not installed")
    for error in (ImportError("cannot import name 'loud'"), ModuleNotFoundError("No module named 'hashers.typo'")):
        assert fail(error).exception is error


def test_a_report_folder_that_cannot_be_made_is_noticed_first(tmp_path):
    (tmp_path / "file").write_text("")
    result = run("compare", "--report", tmp_path / "file")
    assert result.exit_code == 2 and result.stdout == "" and "--report" in result.stderr


def test_a_failing_method_leaves_the_report_of_the_rows_before_it(tmp_path, monkeypatch):
    def refuse(self, *arguments):
        raise ProblemError("graph_cut takes nothing today")

    monkeypatch.setattr(GraphCut, "_search", refuse)
    methods = "lsh,tsh-sequential:graph_cut"
    result = run(*QUICK, "--methods", methods, "--bits", 8, "--report", tmp_path, "--json")
    assert result.exit_code == 2 and "graph_cut" in result.stderr and result.stdout == ""
    assert "lsh" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_all_methods_but_those_that_the_data_do_not_suit(tmp_path, monkeypatch):
    module = sys.modules["hashers.cli.compare"]
    monkeypatch.setattr(module, "METHODS", {name: module.METHODS[name] for name in ("lsh", "hadamard", "tsh")})
    rest = ("--bits", 4, "--functions", "linear", "--train", 200)
    result = run("compare", "--methods", "all,tsh-sequential", *rest, "--json", "--report", tmp_path)
    assert result.exit_code == 0
    assert [row["method"] for row in json.loads(result.stdout)] == ["lsh", "tsh", "tsh-sequential"]
    assert result.stderr.startswith("hashers: left out hadamard, linear, 4 bits: ") and "10 labels" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "3 of 3 rows" in (tmp_path / "index.html").read_text()
    result = run("compare", "--methods", "hadamard", *rest)
    assert result.exit_code == 2 and "10 labels" in result.stderr


def test_help_names_methods_and_functions():
    text = " ".join(run("compare", "--help").stdout.split())
    assert "Names: tsh, " in text and "linear, kernel" in text and "hashed|learned" in text


def test_import_loads_neither_typer_nor_matplotlib():
    code = "import sys, hashers; print([m for m in ('typer', 'rich', 'matplotlib', 'sklearn') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_fresh_process_gives_the_exit_code():
    done = subprocess.run(command("compare", "--bits", "x"), capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
def test_interrupt_keeps_the_rows_so_far(tmp_path):
    many = ",".join(str(n) for n in range(8, 400))
    process = subprocess.Popen(
        command(
            "compare", "--methods", "tsh-sequential", "--functions", "linear", "--bits", many, "--report", tmp_path
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    deadline, line = time.monotonic() + 60, ""
    while not line.startswith("tsh-sequential") and time.monotonic() < deadline:
        line = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err and err.count("\n") == 1
    assert "index.html" in out and (tmp_path / "index.html").exists()

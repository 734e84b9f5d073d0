"""The command line: what it prints, where, and with which exit code."""

import _thread
import json
import subprocess
import sys
import threading

import numpy as np
import pytest
from typer.testing import CliRunner

import bqp
from bqp import cli

TRIPLETS = "3 4\n1 1 -5\n1 2 3\n2 3 -2\n3 3 7\n"  # biq: minimum -5 at 100; orlib: maximum 7 at 001
RING = "5 5\n1 2 1\n2 3 1\n3 4 1\n4 5 1\n1 5 1\n"  # largest cut 4


@pytest.fixture
def biq(tmp_path):
    path = tmp_path / "tiny.sparse"
    path.write_text(TRIPLETS)
    return str(path)


@pytest.fixture
def ring(tmp_path):
    path = tmp_path / "ring.mc"
    path.write_text(RING)
    return str(path)


@pytest.fixture
def hard(tmp_path):
    """A spin glass of 200 variables, not solved to optimality in a second."""
    W = np.triu(np.random.default_rng(0).integers(-50, 51, (200, 200)), k=1)
    path = tmp_path / "glass.rudy"
    bqp.write(bqp.BQP.from_maxcut(W + W.T), path)
    return str(path)


@pytest.fixture
def run(capsys):
    """Call the command line in this process; returns (exit code, stdout, stderr)."""

    def run(*arguments):
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def failure(result):
    """The message of a run that must have failed: code 2, nothing on stdout, one line on stderr."""
    code, out, err = result
    assert code == 2 and out == "" and err.startswith("bqp: ") and err.endswith("\n") and err.count("\n") == 1
    return err


def no_constants(text):
    raise AssertionError(f"{text} is no JSON")


def parse(result):
    code, out, err = result
    assert code == 0 and err == "" and out.count("\n") == 1
    return json.loads(out, parse_constant=no_constants)


# ---- solve -----------------------------------------------------------------------------------------------------------


def test_solve_json_of_a_minimum(run, biq):
    record = parse(run("solve", biq, "--json", "--seed", 3))
    assert record["file"] == biq and record["n"] == 3 and record["sense"] == "min" and record["seed"] == 3
    assert record["status"] == "optimal" and record["x"] == [1, 0, 0]
    assert record["energy"] == record["objective"] == record["bound"] == record["lower_bound"] == -5
    assert record["gap"] == 0 and record["time"] >= 0 and record["n_moves"] >= 0 and record["solver"]


def test_solve_json_of_a_maximum(run, ring):
    record = parse(run("solve", ring, "--json"))
    assert record["objective"] == record["bound"] == 4 and record["energy"] == record["lower_bound"] == -4
    assert record["sense"] == "max" and set(record["x"]) == {-1, 1}
    assert bqp.read(ring).objective(record["x"]) == 4


def test_the_format_decides_the_sense(run, biq):
    assert parse(run("solve", biq, "--format", "orlib", "--json"))["objective"] == 7
    assert parse(run("solve", biq, "--format", "biq", "--json"))["objective"] == -5


def test_an_absent_bound_is_null(run, hard):
    record = parse(run("solve", hard, "--json", "--max-moves", 500, "--solver", "tabu_search"))
    assert record["bound"] is record["lower_bound"] is record["gap"] is record["relative_gap"] is None
    certified = parse(run("solve", hard, "--json", "--max-moves", 500, "--solver", "tabu_search", "--certify"))
    assert certified["bound"] >= certified["objective"] == record["objective"]
    assert certified["gap"] == certified["energy"] - certified["lower_bound"]


def test_target_is_in_the_users_sense(run, hard):
    best = parse(run("solve", hard, "--json", "--max-moves", 100_000))["objective"]
    record = parse(run("solve", hard, "--json", "--target", best - 100, "--max-moves", 1_000_000))
    assert record["status"] == "target_reached" and record["objective"] >= best - 100


def test_same_seed_same_answer_on_any_number_of_threads(run, hard):
    records = [parse(run("solve", hard, "--json", "--max-moves", 5000, "--seed", 7, "--jobs", jobs)) for jobs in (1, 2)]
    assert records[0]["x"] == records[1]["x"] and records[0]["n_moves"] == records[1]["n_moves"]


def test_options_and_reductions_reach_the_solver(run, ring):
    flags = ("--solver", "coordinate_descent", "--json", "--option", "order=greedy", "--option", "n-restarts=3")
    record = parse(run("solve", ring, *flags, "--reductions", "none"))
    assert record["solver"] == "coordinate_descent" and record["n_restarts"] == 3 and record["reductions"] == []
    parse(run("solve", ring, "--reductions", "fixed,components", "--json"))


def test_solve_prints_text(run, ring, hard):
    code, out, err = run("solve", ring)
    assert code == 0 and err == ""
    lines = dict(line.split(None, 1) for line in out.splitlines()[1:])
    assert out.startswith("ring.mc  5 variables, to maximise\n")
    assert lines["objective"] == "4" and lines["bound"] == "4 (no gap)" and lines["status"].startswith("optimal.")
    assert len(lines["x"]) == 5 and set(lines["x"]) == {"+", "-"}
    _, out, _ = run("solve", hard, "--max-moves", 100, "--solver", "tabu_search")
    assert "none proven (--certify computes one)" in out and "(200 values; --json or --output gives all)" in out


@pytest.mark.parametrize("name", ["answer.npz", "answer.json"])
def test_output_file(run, ring, tmp_path, name):
    record = parse(run("solve", ring, "--json", "--output", tmp_path / name))
    if name.endswith("npz"):
        with np.load(tmp_path / name) as saved:
            assert saved["x"].tolist() == record["x"] and saved["x"].dtype == np.int8
            assert saved["objective"] == 4 and str(saved["status"]) == "optimal" and str(saved["problem"]) == ring
    else:
        saved = json.loads((tmp_path / name).read_text())
        assert saved == record


def test_index_of_several_instances(run, tmp_path):
    path = tmp_path / "two"
    path.write_text("2\n2 1\n1 2 4\n3 2\n1 1 1\n2 3 -2\n")
    assert parse(run("solve", path, "--index", 1, "--json"))["objective"] == 8
    assert parse(run("info", path, "--index", 2, "--json"))["n"] == 3
    assert "--index" in failure(run("solve", path))


def test_interrupt_returns_the_incumbent(run, hard):
    run("solve", hard, "--max-moves", 1000)  # compiles
    timer = threading.Timer(1.0, _thread.interrupt_main)
    timer.start()
    record = parse(run("solve", hard, "--time-limit", 60, "--json"))
    timer.join()
    assert record["status"] == "stopped" and record["time"] < 30
    assert bqp.read(hard).objective(record["x"]) == record["objective"] > 0


def test_interrupt_without_a_result(run, biq, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(bqp, "read", interrupted)
    code, out, err = run("solve", biq)
    assert code == 130 and out == "" and err.count("\n") == 1


def test_progress_goes_to_stderr_of_a_terminal(run, hard, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    code, out, err = run("solve", hard, "--time-limit", 0.5, "--json")
    assert code == 0 and json.loads(out)["n"] == 200 and "glass.rudy" in err and "moves" in err


# ---- info, bound, compare --------------------------------------------------------------------------------------------


def test_info(run, ring, biq):
    facts = parse(run("info", ring, "--json"))
    assert (facts["n"], facts["entries"], facts["linear"], facts["density"]) == (5, 5, 0, 0.5)
    assert (facts["degree_min"], facts["degree_mean"], facts["degree_max"]) == (2, 2.0, 2)
    assert facts["integral"] is True and facts["domain"] == "spin" and facts["sense"] == "max" and facts["memory"] > 0
    facts = parse(run("info", biq, "--json"))
    assert (facts["entries"], facts["linear"], facts["domain"]) == (2, 2, "binary")
    code, out, err = run("info", ring)
    assert code == 0 and err == "" and "5 (50 %)" in out and "whole numbers" in out and "2 to 2, mean 2" in out


def test_info_tells_reals_from_whole_numbers(run, tmp_path):
    path = tmp_path / "real.rudy"
    path.write_text("3 2\n1 2 0.5\n2 3 1\n")
    assert parse(run("info", path, "--json"))["integral"] is False


@pytest.mark.parametrize("method", ["auto", "trivial", "spectral", "semidefinite"])
def test_bound(run, ring, biq, method):
    record = parse(run("bound", ring, "--method", method, "--json"))
    assert record["bound"] >= 4 and record["lower_bound"] == -record["bound"] and record["kind"]
    record = parse(run("bound", biq, "--method", method, "--json"))
    assert record["bound"] == record["lower_bound"] <= -5
    code, out, _ = run("bound", ring, "--method", method)
    assert code == 0 and "no objective is higher" in out


def test_bound_takes_options(run, hard):
    rough, fine = (
        parse(run("bound", hard, "--method", "semidefinite", "--option", f"max-sweeps={sweeps}", "--json"))["bound"]
        for sweeps in (2, 200)
    )
    assert rough > fine
    assert "it takes dense_up_to" in failure(run("bound", hard, "--method", "spectral", "--option", "rank=3"))


def test_compare_json(run, ring, biq):
    rows = parse(run("compare", ring, biq, "--solvers", "exact,tabu_search", "--max-moves", 1000, "--json"))
    assert [(row["file"], row["solver"]) for row in rows] == [
        (ring, "exact"),
        (ring, "tabu_search"),
        (biq, "exact"),
        (biq, "tabu_search"),
    ]
    assert all(row["best"] and row["error"] is None for row in rows)
    assert [row["objective"] for row in rows] == [4, 4, -5, -5]


def test_compare_table_keeps_a_row_for_a_solver_that_cannot_run(run, tmp_path):
    rng, n = np.random.default_rng(0), 3200  # more than branch and bound writes out
    pairs = np.unique(np.sort(rng.integers(1, n + 1, (8 * n, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    lines = [f"{n} {len(pairs)}", *(f"{i} {j} {w}" for (i, j), w in zip(pairs, rng.choice([-1, 1], len(pairs))))]
    path = tmp_path / "large.rudy"
    path.write_text("\n".join(lines) + "\n")
    code, out, err = run("compare", path, "--solvers", "exact,tabu_search", "--max-moves", 1000)
    assert code == 0 and err == ""
    exact, tabu = (next(line for line in out.splitlines() if f" {name}" in line) for name in ("exact", "tabu_search"))
    assert "cannot run" in exact and "*" not in exact and "*" in tabu and "max_moves" in tabu
    assert "up to n = 3000" in out.splitlines()[-1]  # why
    assert "no solver could run" in failure(run("compare", path, "--solvers", "exact"))


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["solve"], ["file", "--help"]),
        (["solve", "FILE", "--nonsense"], ["--nonsense"]),
        (["nonsense"], ["nonsense"]),
        (["solve", "FILE", "--solver", "magic"], ["'magic'", "tabu_search", "exact"]),
        (["solve", "FILE", "--option", "colour=red"], ["'colour'", "order"]),
        (["solve", "FILE", "--solver", "tabu_search", "--option", "order=greedy"], ["'order'", "tenure"]),
        (["solve", "FILE", "--option", "colour"], ["key=value", "'colour'"]),
        (["solve", "FILE", "--format", "matrix"], ["'matrix'", "qplib"]),
        (["solve", "FILE", "--reductions", "magic"], ["'magic'", "exchangeable"]),
        (["solve", "FILE", "--time-limit", "soon"], ["--time-limit"]),
        (["solve", "FILE", "--time-limit", "-1"], ["time_limit"]),
        (["solve", "FILE", "--max-moves", "-1"], ["max_moves"]),
        (["solve", "FILE", "--jobs", "0"], ["n_jobs"]),
        (["solve", "FILE", "--target", "nan"], ["target"]),
        (["solve", "FILE", "--seed", "-1"], ["seed"]),
        (["solve", "FILE", "--output", "answer.txt"], ["answer.txt", ".npz"]),
        (["solve", "FILE", "--output", "absent/answer.npz"], ["directory"]),
        (["solve", "absent.qubo"], ["absent.qubo", "no such file"]),
        (["info", "."], ["directory"]),
        (["info", "FILE", "--format", "rudy"], ["line 2", "format='biq'"]),
        (["info", "FILE", "--format", "qubo"], ["line 1", "p qubo"]),
        (["bound", "FILE", "--method", "magic"], ["'magic'", "trivial"]),
        (["compare"], ["files"]),
        (["compare", "FILE", "absent.mc"], ["absent.mc"]),
        (["compare", "FILE", "--solvers", "exact,magic"], ["magic", "tabu_search"]),
        (["compare", "FILE", "--solvers", ","], ["unknown solver", "tabu_search"]),
    ],
)
def test_errors_are_one_line_and_code_2(run, biq, arguments, parts):
    message = failure(run(*[biq if argument == "FILE" else argument for argument in arguments]))
    for part in parts:
        assert part.lower() in message.lower(), message


def test_warnings_are_one_line_on_stderr(run, tmp_path):
    path = tmp_path / "big.biq"
    path.write_text(f"2 1\n1 1 {2**53 + 2}\n")
    code, out, err = run("info", path)
    assert code == 0 and out and err.startswith("bqp: warning: ") and err.count("\n") == 1


def test_help_and_version():
    runner = CliRunner()
    for arguments in ([], ["--help"], *([name, "--help"] for name in ("solve", "info", "compare", "bound"))):
        result = runner.invoke(cli.app, arguments)
        assert result.exit_code == 0 and "Usage" in result.stdout
    assert runner.invoke(cli.app, ["--version"]).stdout == f"bqp {bqp.__version__}\n"


def test_a_process_of_its_own(ring):
    """Exit codes, and stdout apart from stderr, as a shell sees them."""
    command = [sys.executable, "-m", "bqp.cli"]
    good = subprocess.run([*command, "solve", ring, "--json"], capture_output=True, text=True, timeout=120)
    assert good.returncode == 0 and good.stderr == "" and json.loads(good.stdout)["objective"] == 4
    bad = subprocess.run([*command, "solve", ring + ".gone"], capture_output=True, text=True, timeout=120)
    assert bad.returncode == 2 and bad.stdout == "" and bad.stderr.count("\n") == 1


def test_importing_the_library_leaves_the_command_line_out():
    code = (
        "import sys, bqp; print([name for name in ('typer', 'rich', 'bqp.cli', 'bqp.io.qplib') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "[]"

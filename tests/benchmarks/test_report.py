"""The report says what its rows say."""

import re

from benchmarks.report import bound_lines, solver_lines, with_gaps, write_report
from benchmarks.rows import Rows


def row(solver, energy, bound=None, limit=1.0, seed=0, problem="p", best=None, cpu=0.5):
    return {
        "problem": problem, "solver": solver, "limit": limit, "seed": seed, "family": "f", "n": 9, "energy": energy,
        "best": best, "bound": bound, "settings": {}, "wall": 0.25, "cpu": cpu, "versions": {"numpy": "2"},
        "processor": "x", "commit": "y",
    }  # fmt: skip


def rows_of(*entries):
    rows = Rows(None, ["problem", "solver", "limit", "seed"])
    rows.rows = list(entries)
    return rows


def test_gaps_are_against_the_best_that_anyone_found():
    rows = with_gaps(rows_of(row("a", -100.0), row("b", -90.0), row("c", None)))
    assert [(r["solver"], r["gap"], r["hit"]) for r in rows] == [("a", 0.0, True), ("b", 10.0, False)]
    assert rows[1]["seconds"] == 10.0  # a miss counts ten times its limit
    known = with_gaps(rows_of(row("a", -100.0, best=-200.0)))
    assert known[0]["gap"] == 50.0


def test_solvers_are_ranked_at_their_longest_limit():
    rows = with_gaps(rows_of(row("slow", -50.0), row("good", -100.0), row("good", -10.0, limit=0.1)))
    lines = solver_lines(rows)
    assert [line[1] for line in lines] == ["good", "slow"]
    assert lines[0][2:6] == ["1", "1", "0.0000", "0.000"]


def test_bounds_are_one_line_a_problem_and_solver():
    lines = bound_lines(
        rows_of(
            row("a", -100.0, -110.0, best=-100.0),
            row("a", -100.0, -130.0, best=-100.0, seed=1),
            row("a", -100.0, -900.0, best=-100.0, limit=0.1),
            row("b", -100.0, best=-100.0),
        )
    )
    assert lines == [["p", "a", "9", "1", "20.000", "0.50"]]


def test_the_page_shows_tables_failures_and_limits(tmp_path):
    printed = rows_of({"part": "b", "command": "python -m <x>", "code": 3, "output": "a < b", "wall": 1.0})
    solvers = rows_of(row("a", -1.0, -1.0, best=-1.0), row("a", -1.0, limit=2.0))
    page = write_report(tmp_path / "deep" / "index.html", solvers, rows_of(), rows_of(), printed).read_text()
    assert "Limitations" in page and "(failed: 3)" in page
    assert "a &lt; b" in page and "&lt;x&gt;" in page and "<x>" not in page
    assert len(re.findall("<svg", page)) == 1
    assert "http" not in re.sub(
        r"https?://www\.w3\.org|xmlns\S+|https?://\S+dtd", "", re.sub(r"<svg.*?</svg>", "", page, flags=re.S)
    )

"""The examples of docs/formats.md mean what the page says."""

import re
from pathlib import Path

import numpy as np
import pytest

from bqp import io

PAGE = Path(__file__).resolve().parents[3] / "docs" / "formats.md"


def example(section):
    """The first text block of a section of the page."""
    text = PAGE.read_text().split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return re.search(r"```text\n(.*?)```", text, re.DOTALL).group(1)


@pytest.mark.parametrize(
    ("section", "format", "x", "value"),
    [
        ("orlib", "orlib", [1, 1], 7),
        ("orlib", "biq", [1, 0], -3),
        ("rudy", "rudy", [1, -1, 1], 5),
        ("qplib", "qplib", [1, 1], 15.5),
        ("qubo", "qubo", [1, 0], -3),
    ],
)
def test_examples(tmp_path, section, format, x, value):
    path = tmp_path / "example"
    path.write_text(example(section))
    problem = io.read(path, format)
    low = -1 if problem.domain == "spin" else 0
    everything = np.array(np.meshgrid(*[[low, 1]] * problem.n)).reshape(problem.n, -1).T
    assert problem.objective(x) == value
    assert problem.energy(x) == problem.energy(everything).min()


def test_every_suffix_is_on_the_page():
    from bqp.io._detect import SUFFIXES

    rows = {line.split("`")[1]: line for line in PAGE.read_text().splitlines() if line.startswith("| `")}
    for suffix, format in SUFFIXES.items():
        assert f"`{suffix}`" in rows[format]

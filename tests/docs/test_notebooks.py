"""Each notebook has a source and results that belong together, asserts something, and is small."""

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))


def _cells_of_source(path):
    """(kind, text) of each cell of a percent file."""
    cells = []
    for part in re.split(r"^# %%", path.read_text(), flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        body = body.strip("\n")
        if "[markdown]" in head:
            body = "\n".join(re.sub(r"^# ?", "", line) for line in body.split("\n"))
            cells.append(("markdown", body))
        else:
            cells.append(("code", body))
    return cells


def _notebook(path):
    return json.loads(path.with_suffix(".ipynb").read_text())


def test_sources_and_results_are_paired():
    assert len(SOURCES) >= 8
    assert {path.stem for path in SOURCES} == {path.stem for path in FOLDER.glob("*.ipynb")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_results_are_those_of_the_source(path):
    cells = [(cell["cell_type"], "".join(cell["source"]).strip("\n")) for cell in _notebook(path)["cells"]]
    assert cells == _cells_of_source(path), f"run python notebooks/run.py {path.stem}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_cell_ran_in_order_without_errors(path):
    notebook = _notebook(path)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"], "a warning is left in the notebook"
    assert any("image/png" in output.get("data", {}) for output in outputs), "no figure"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_question_an_answer_claims_that_are_asserted(path):
    text = path.read_text()
    assert "**Question.**" in text and "**Answer.**" in text
    assert re.search(r"^assert ", text, flags=re.MULTILINE)
    assert path.with_suffix(".ipynb").stat().st_size < 1 << 20
    for target in re.findall(r"\]\(([^):]+)\)", text):
        assert (FOLDER / target).exists(), f"{path.name} links to {target}"

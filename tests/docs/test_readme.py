"""The README's Python runs as it stands, block after block in one namespace."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_there_is_code():
    assert len(BLOCKS) >= 1
    assert README.read_text().count("```python") == len(BLOCKS), "a block is not closed"


@pytest.mark.parametrize("last", range(len(BLOCKS)), ids=lambda k: f"block{k + 1}")
def test_block(last, capsys, tmp_path, monkeypatch):
    """Each block runs in a namespace of its own, or after those before it if it needs their names."""
    monkeypatch.chdir(tmp_path)
    code = compile(BLOCKS[last], f"README.md, Python block {last + 1}", "exec")
    try:
        exec(code, {"__name__": "__main__"})
    except NameError:
        namespace = {"__name__": "__main__"}
        for block in BLOCKS[: last + 1]:
            exec(compile(block, "README.md", "exec"), namespace)
    assert "Traceback" not in capsys.readouterr().out

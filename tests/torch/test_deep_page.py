"""The Python of docs/deep.md, which needs torch, runs as it stands."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch (extra torch) is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "deep.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) >= 4
    namespace = {"__name__": "__main__"}
    for k, block in enumerate(BLOCKS, start=1):
        exec(compile(block, f"docs/deep.md, block {k}", "exec"), namespace)

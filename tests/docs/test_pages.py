"""The Python in the README and in docs/ runs as it stands, block after block in one namespace a page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
}
BLOCKS = {
    name: re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL) for name, text in PAGES.items()
}


def test_there_is_code():
    assert len(BLOCKS["README.md"]) >= 3
    for name, text in PAGES.items():
        assert text.count("```python") == len(BLOCKS[name]), f"a block of {name} is not closed"


@pytest.mark.parametrize("name", [name for name, blocks in sorted(BLOCKS.items()) if blocks])
def test_page(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for k, block in enumerate(BLOCKS[name], start=1):
        exec(compile(block, f"{name}, Python block {k}", "exec"), namespace)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_links_between_pages(name):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGES[name]):
        if "://" not in target:
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_commands_in_the_readme_exist():
    for module in re.findall(r"python -m (benchmarks[\w.]*)", PAGES["README.md"]):
        path = ROOT / (module.replace(".", "/") + ".py")
        assert path.exists() or path.with_suffix("").joinpath("__main__.py").exists(), module

"""The Python in the README and in docs/ runs as it stands, block after block in one namespace a page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MADE = {"_build", "generated", "gallery"}  # folders of docs/ that the build writes
PATHS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PATHS += [path for path in (ROOT / "docs").rglob("*.md") if not MADE & set(path.relative_to(ROOT / "docs").parts)]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in PATHS}
BLOCKS = {
    name: re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL) for name, text in PAGES.items()
}
NETS = re.compile(r"\btorch\b|hashers\.deep|\b(NetFunction|DeepHash|CNNH|FTDSH|DSDH|DDSH|ADSH)\b")


def anchors(text):
    """Anchors of a page's headings, spelled as code-hosting sites and the documentation do."""
    without_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", without_code, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(text):
    """(path, anchor) of the links of a page that stay in the repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [tuple([*target.split("#"), ""][:2]) for target in found if "://" not in target]


def test_there_is_code():
    assert len(BLOCKS["README.md"]) >= 3
    for name, text in PAGES.items():
        assert text.count("```python") == len(BLOCKS[name]), f"a block of {name} is not closed"


@pytest.mark.parametrize("name", [name for name, blocks in sorted(BLOCKS.items()) if blocks])
def test_page(name, tmp_path, monkeypatch):
    if NETS.search("".join(BLOCKS[name])):
        pytest.importorskip("torch", reason="needs the extra torch")
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for k, block in enumerate(BLOCKS[name], start=1):
        exec(compile(block, f"{name}, Python block {k}", "exec"), namespace)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_links_between_pages(name):
    for path, anchor in links(PAGES[name]):
        target = (ROOT / name).parent.joinpath(path) if path else ROOT / name
        assert target.exists(), f"{name} links to {path}"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{name} links to {path}#{anchor}"


def test_commands_exist():
    for name, text in PAGES.items():
        for module in re.findall(r"python -m (benchmarks[\w.]*)", text):
            path = ROOT / module.rstrip(".").replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"{name}: {module}"

"""What the documentation site is made with: the check of its links, and the pages made from other files."""

import base64
import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PICTURE = base64.b64encode(b"\x89PNG of a test").decode()


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_site = load(ROOT / "docs" / "check_site.py")
generate = load(ROOT / "docs" / "_ext" / "generate.py")


def write_site(folder, **pages):
    for name, body in pages.items():
        (folder / f"{name}.html").write_text(f"<html><body>{body}</body></html>")
    return folder.resolve()


def test_good_links_are_counted(tmp_path):
    (tmp_path / "p.png").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text('<a href="../index.html#there">up</a>')
    site = write_site(
        tmp_path,
        index='<h1 id="there"></h1><a href="#there">a</a><a href="sub/">b</a><img src="p.png"><a href="#">top</a>',
        other='<a href="index.html?x=1#there">c</a><a href="https://example.org/none">d</a><a href="mailto:a">e</a>',
    )
    assert check_site.broken_links(site) == ([], 6)


@pytest.mark.parametrize(
    "body, said",
    [
        ('<a href="none.html">a</a>', "none.html leads to no file"),
        ('<img src="none.png">', "none.png leads to no file"),
        ('<a href="#none">a</a>', "#none leads to a page without that anchor"),
        ('<a href="other.html#none">a</a>', "other.html#none leads to a page without that anchor"),
        ('<a href="../../etc/passwd">a</a>', "../../etc/passwd leads to no file"),
        ('<source srcset="none.webp 2x">', "none.webp leads to no file"),
    ],
)
def test_broken_links_are_named(tmp_path, body, said):
    problems, _ = check_site.broken_links(write_site(tmp_path, index=body, other="<p id='there'></p>"))
    assert problems == [f"index.html: {said}"]


def test_the_check_fails_on_a_broken_site(tmp_path, monkeypatch, capsys):
    site = write_site(tmp_path, index='<a href="none.html">a</a>')
    monkeypatch.setattr(sys, "argv", ["check_site.py", "--site", str(site)])
    assert check_site.main() == 1
    assert "1 links: 1 broken" in capsys.readouterr().out


def test_every_program_below_benchmarks_has_a_page(tmp_path):
    generate.scripts(ROOT, tmp_path / "scripts")
    pages = {path.stem for path in (tmp_path / "scripts").iterdir()}
    assert {"benchmarks", "benchmarks.functions", "benchmarks.micro.flips"} <= pages
    assert "benchmarks.instances" not in pages  # a module that others import
    index = (tmp_path / "scripts.inc").read_text()
    assert all(f"| `python -m {page}` |" in index for page in pages)


def test_docstrings_become_markdown():
    assert generate._plain("Run ``python -m a  b``: w_i * [x] < `y`.") == r"Run `python -m a b`: w\_i \* \[x\] \< `y`."


def test_changes_are_sorted_by_kind(tmp_path):
    (tmp_path / "b.added.md").write_text("two\nlines\n")
    (tmp_path / "a.added.md").write_text("one\n")
    (tmp_path / "c.fixed.md").write_text("three\n")
    generate.changes(tmp_path, tmp_path / "out.inc")
    assert (tmp_path / "out.inc").read_text().split("\n") == [
        "## Added", "", "- one", "- two lines", "", "## Fixed", "", "- three", ""
    ]  # fmt: skip


def notebook(*markdown, picture=False):
    cells = [{"cell_type": "markdown", "source": [text]} for text in markdown]
    outputs = [{"data": {"image/png": PICTURE}}] if picture else [{"text": ["1"]}]
    return json.dumps({"cells": [*cells, {"cell_type": "code", "source": [], "outputs": outputs}]})


def test_gallery_shows_title_question_and_first_figure(tmp_path):
    books, folder, made = tmp_path / "notebooks", tmp_path / "gallery", tmp_path / "generated"
    books.mkdir()
    (books / "ties.ipynb").write_text(notebook("# Do ties matter?\n\nHow much\ndo they? More.", picture=True))
    (books / "plain.ipynb").write_text(notebook("no title"))
    generate.gallery(books, folder, made)
    assert sorted(path.name for path in folder.iterdir()) == ["plain.ipynb", "ties.ipynb", "ties.png"]
    assert (folder / "ties.png").read_bytes() == base64.b64decode(PICTURE)
    cards = (made / "gallery.inc").read_text()
    assert "{grid-item-card} Do ties matter?" in cards and "\nHow much do they?\n" in cards
    assert ":img-top: gallery/ties.png" in cards and "gallery/plain.png" not in cards
    (books / "ties.ipynb").unlink()
    generate.gallery(books, folder, made)
    assert [path.name for path in folder.iterdir()] == ["plain.ipynb"]
    (books / "plain.ipynb").unlink()
    generate.gallery(books, folder, made)
    assert (made / "gallery.inc").read_text() == generate.EMPTY_GALLERY


def test_links_of_notebooks_are_seen_from_docs():
    text = "[a](../docs/evaluation.md#ties) [b](../benchmarks/rows.py) [c](01.ipynb) [d](https://e.org/../x)"
    seen = "[a](../evaluation.md#ties) [b](../../benchmarks/rows.py) [c](01.ipynb) [d](https://e.org/../x)"
    assert generate._from_docs(text) == seen


def test_unchanged_pages_keep_their_time(tmp_path):
    (tmp_path / "a.added.md").write_text("one\n")
    generate.changes(tmp_path, tmp_path / "out.inc")
    before = (tmp_path / "out.inc").stat().st_mtime_ns
    generate.changes(tmp_path, tmp_path / "out.inc")
    assert (tmp_path / "out.inc").stat().st_mtime_ns == before


def test_numbers_of_the_first_picture_agree_with_its_words():
    numbers = json.loads((ROOT / "docs" / "_static" / "landing.json").read_text())
    page = (ROOT / "docs" / "index.md").read_text()
    for gap in numbers["gap_percent"].values():
        assert f" {gap:.0f} %" in page or f" {gap:.2g} %" in page
    for name in ("certificate", "retrieval"):
        for theme in ("light", "dark"):
            assert (ROOT / "docs" / "_static" / f"{name}-{theme}.svg").stat().st_size < 40_000


@pytest.mark.parametrize(
    "text, module",
    [
        ("python -m benchmarks.functions", "benchmarks.functions"),
        ("python -m benchmarks.max_flow --full", "benchmarks.max_flow"),
        ("HASHERS_DATA=x python -m benchmarks.micro.search", "benchmarks.micro.search"),
        ("benchmarks/codes_relaxed.py", "benchmarks.codes_relaxed"),
        ("python -m pytest", None),
        ("bqp.solve", None),
    ],
)
def test_commands_become_links(text, module):
    pytest.importorskip("sphinx", reason="needs the extra docs")
    assert load(ROOT / "docs" / "_ext" / "script_links.py")._module(text) == module

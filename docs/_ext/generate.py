"""Pages that are made from files outside docs/: the gallery, the scripts behind the figures, the list of changes."""

import ast
import base64
import json
import re
import shutil

__all__ = ["everything", "module_of", "script_paths"]

KINDS = {"added": "Added", "changed": "Changed", "fixed": "Fixed", "removed": "Removed"}
EMPTY_GALLERY = "The notebooks are in the folder `notebooks/` of the repository.\n"


def everything(docs):
    """Write docs/generated and docs/gallery; files that would not change keep their time, so that builds are short."""
    root = docs.parent
    scripts(root, docs / "generated" / "scripts")
    changes(root / "changelog.d", docs / "generated" / "changes.inc")
    gallery(root / "notebooks", docs / "gallery", docs / "generated")


def script_paths(root):
    """Programs below benchmarks/, in order of their names."""
    paths = sorted((root / "benchmarks").rglob("*.py"))
    return [path for path in paths if "__main__" in path.name or '__name__ == "__main__"' in path.read_text()]


def module_of(path, root):
    """What stands behind ``python -m`` to run a script."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__main__" else parts)


def scripts(root, folder):
    """One page a script: its docstring and its source."""
    wanted = {}
    rows = ["| command | what it prints |", "| --- | --- |"]
    for path in script_paths(root):
        module = module_of(path, root)
        text = _plain(ast.get_docstring(ast.parse(path.read_text())) or "")
        source = "../" * 3 + path.relative_to(root).as_posix()
        wanted[f"{module}.md"] = (
            f"# `{module}`\n\n{text}\n\n## Source\n\n```{{literalinclude}} {source}\n:language: python\n```\n"
        )
        summary = " ".join(text.split("\n\n")[0].split()).replace("|", r"\|")
        rows.append(f"| `python -m {module}` | {summary} |")  # script_links makes it a link
    _replace(folder, wanted)
    _write(folder.parent / "scripts.inc", "\n".join(rows) + "\n")


def changes(folder, target):
    """The fragments of changelog.d, one list a kind."""
    lines = []
    for kind, title in KINDS.items():
        fragments = sorted(folder.glob(f"*.{kind}.md"))
        if fragments:
            lines += [f"## {title}", ""]
            lines += ["- " + " ".join(fragment.read_text().split()) for fragment in fragments] + [""]
    _write(target, "\n".join(lines))


def gallery(notebooks, folder, generated):
    """Copies of the executed notebooks, and a card with the first figure of each."""
    wanted, cards = {}, []
    paths = sorted(notebooks.glob("*.ipynb"))
    for path in paths:
        book = json.loads(path.read_text())
        wanted[path.name] = _from_docs(path.read_text())
        title, question = _headline(book, path.stem)
        picture = _first_picture(book)
        image = ""
        if picture:
            wanted[f"{path.stem}.png"] = picture
            image = f":img-top: gallery/{path.stem}.png\n:img-alt: First figure of the notebook\n"
        cards.append(
            f":::{{grid-item-card}} {title}\n:link: gallery/{path.stem}\n:link-type: doc\n{image}\n{question}\n:::\n"
        )
    _replace(folder, wanted)
    contents = "\n".join(["```{toctree}", ":hidden:", "", *(f"gallery/{path.stem}" for path in paths), "```", ""])
    text = "::::{grid} 1 1 2 2\n:gutter: 3\n\n" + "\n".join(cards) + "::::\n\n" + contents if cards else EMPTY_GALLERY
    _write(generated / "gallery.inc", text)


def _from_docs(text):
    """Links of a file one folder below the repository, as they are seen from a folder of docs/."""
    return re.sub(r"\]\(\.\./(?!docs/)", "](../../", text).replace("](../docs/", "](../")


def _headline(book, stem):
    """Title of a notebook, and the first question of the paragraph below it, else its first sentence."""
    text = "\n\n".join("".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown")
    found = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    title = found.group(1).strip() if found else stem.replace("_", " ")
    below = text[found.end() :] if found else text
    paragraphs = [" ".join(part.split()) for part in below.split("\n\n") if part.strip() and not part.startswith("#")]
    sentences = re.split(r"(?<=[.?!])\s", re.sub(r"\*\*.*?\*\*\s*", "", paragraphs[0])) if paragraphs else [""]
    return title, next((sentence for sentence in sentences if sentence.endswith("?")), sentences[0])


def _first_picture(book):
    for cell in book["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get("image/png")
            if data:
                return base64.b64decode("".join(data))
    return None


def _plain(text):
    """A docstring in reStructuredText as Markdown: literals get one backquote, nothing else is markup."""
    parts = re.split(r"(``.+?``|`.+?`)", text, flags=re.DOTALL)
    return "".join(
        "`" + " ".join(part.strip("`").split()) + "`"
        if part.startswith("`")
        else re.sub(r"([*_<\[\]#])", r"\\\1", part)
        for part in parts
    )


def _replace(folder, wanted):
    """Make a folder hold just these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in wanted:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, content in wanted.items():
        _write(folder / name, content)


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)

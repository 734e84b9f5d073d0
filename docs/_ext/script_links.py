"""Commands ``python -m benchmarks...`` on a page lead to the page of their script; an unknown script is a warning."""

import re

from docutils import nodes
from sphinx import addnodes

_COMMAND = re.compile(r"^(?:\S+=\S+ )*python -m (benchmarks[\w.]*)")
_FILE = re.compile(r"^(benchmarks/[\w/]+)\.py$")


def setup(app):
    app.connect("doctree-read", link_commands)
    return {"version": "1", "parallel_read_safe": True}


def link_commands(app, doctree):
    for literal in list(doctree.findall(nodes.literal)):
        module = _module(" ".join(literal.astext().split()))
        if module is None or _is_link(literal.parent):
            continue
        target = f"/generated/scripts/{module}"
        link = addnodes.pending_xref(
            "", refdomain="std", reftype="doc", reftarget=target, refexplicit=True, refdoc=app.env.docname, refwarn=True
        )
        literal.replace_self(link)
        link.append(literal)


def _module(text):
    if found := _COMMAND.match(text):
        return found.group(1).rstrip(".")
    if found := _FILE.match(text):
        return found.group(1).replace("/", ".")
    return None


def _is_link(node):
    return isinstance(node, nodes.reference | addnodes.pending_xref | nodes.title)

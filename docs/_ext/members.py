"""What the reference shows of a class, and what it makes of docstrings."""

import importlib
import inspect
import re

__all__ = ["OwnMembers", "plain_bars"]

_OURS = ("bqp", "hashers")


class OwnMembers:
    """Names of the documented public members of a class that this project wrote, inherited ones included.

    An object rather than a function, since Sphinx stores its settings and stores no functions.
    """

    def __init__(self, kind):
        self.kind = kind

    def __call__(self, path):
        properties = self.kind == "properties"
        return [
            name
            for name, value in _own_members(path)
            if isinstance(value, property) == properties
            and (properties or callable(value) or isinstance(value, classmethod | staticmethod))
        ]


def _own_members(path):
    module, _, name = path.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    found = {}
    for parent in reversed(cls.__mro__):
        if parent.__module__.split(".")[0] in _OURS:
            found.update((name, value) for name, value in vars(parent).items() if not name.startswith("_"))
    return sorted((name, value) for name, value in found.items() if not inspect.isclass(value) and _documented(value))


def _documented(value):
    return bool(getattr(value, "__doc__", None))


def plain_bars(app, what, name, obj, options, lines):
    """Escape the bars of absolute values, which docutils takes for substitutions."""
    for place, line in enumerate(lines):
        if "|" in line and not line.lstrip().startswith((">>>", "...", "| ", "+-", "==")):
            parts = re.split(r"(``.*?``)", line)
            lines[place] = "".join(p if p.startswith("``") else p.replace("|", r"\|") for p in parts)

"""Every public name of both packages is on a page of the reference."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import bqp
import hashers

PAGES = sorted((Path(__file__).parents[2] / "docs" / "api").glob("*.md"))
LISTED = {
    name for page in PAGES for name in re.findall(r"^   ((?:bqp|hashers)\.[\w.]+)$", page.read_text(), flags=re.M)
}
NOT_FOR_CALLERS = {"kernels", "cli"}
"""Loops over plain arrays; the command lines, which have pages of their own."""


def public_places():
    """Packages, and modules that a front door names, of which no part of the path is private."""
    for package in (bqp, hashers):
        modules = {
            module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".") if module.ispkg
        }
        modules |= {
            f"{package.__name__}.{name}" for name in package.__all__ if inspect.ismodule(getattr(package, name, None))
        }
        for name in [package.__name__, *sorted(modules)]:
            parts = name.split(".")
            if not any(part.startswith("_") or part in NOT_FOR_CALLERS for part in parts):
                yield name


def same_object(name):
    """What a dotted name stands for."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def identity(value, name):
    return id(value) if inspect.isclass(value) or inspect.isfunction(value) else name


@pytest.mark.parametrize("place", list(public_places()))
def test_every_public_name_is_listed(place):
    module = importlib.import_module(place)
    listed = {identity(same_object(name), name) for name in LISTED}
    missing = []
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if not inspect.ismodule(value) and identity(value, f"{place}.{name}") not in listed:
            missing.append(f"{place}.{name}")
    assert not missing, f"not in docs/api/*.md: {missing}. Add a line to an autosummary block there."


@pytest.mark.parametrize("name", sorted(LISTED))
def test_what_is_listed_exists_and_says_what_it_is(name):
    value = same_object(name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value), f"{name} has no docstring"


def test_nothing_is_listed_twice():
    names = [n for page in PAGES for n in re.findall(r"^   ((?:bqp|hashers)\.[\w.]+)$", page.read_text(), flags=re.M)]
    assert len(names) == len(set(names)) > 150

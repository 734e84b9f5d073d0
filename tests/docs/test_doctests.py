"""Every docstring example runs, and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import bqp
import hashers

_FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def _modules():
    for package in (bqp, hashers):
        yield package.__name__
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            yield module.name


@pytest.mark.parametrize("name", list(_modules()))
def test_examples(name):
    module = importlib.import_module(name)
    failures, attempted = doctest.testmod(module, optionflags=_FLAGS, verbose=False)
    assert failures == 0, f"{failures} of {attempted} examples of {name} fail; run python -m doctest on its file"


def test_the_front_doors_have_examples():
    for name in ("bqp.problem", "bqp.solve", "bqp.bounds", "bqp.io", "bqp.codes.bitwise", "hashers.metrics"):
        tests = doctest.DocTestFinder().find(importlib.import_module(name))
        assert any(test.examples for test in tests), name

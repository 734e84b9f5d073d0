"""The command line `hashers`: arguments to calls and results to text, one command a file."""

from __future__ import annotations

import typer

from hashers.cli._shared import OneLineErrors
from hashers.cli.compare import compare
from hashers.cli.encode import encode
from hashers.cli.evaluate import evaluate
from hashers.cli.fit import fit
from hashers.cli.search import search

__all__ = ["app", "main"]

app = typer.Typer(cls=OneLineErrors, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def _hashers():
    """Supervised hashing: fit hashers, encode files, search and evaluate codes, compare methods."""


for command in (fit, encode, search, evaluate, compare):
    app.command()(command)


def main():
    """Run the command line `hashers`."""
    app()

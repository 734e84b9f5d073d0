"""The command line that both questions have: make what is missing of the rows, print the tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.rows import Rows


def main_of(
    text: str,
    make: Callable,
    tables: Callable[[Rows], str],
    rows: Path,
    key: Sequence[str],
    kinds: tuple[str, Sequence[str]],
    lengths: Sequence[int],
    quick: tuple[Sequence[int], int],
) -> None:
    """Parse the arguments and run.

    Parameters
    ----------
    text : str
        What ``--help`` says first.
    make : callable
        ``make(rows, datasets, lengths, seeds, kinds)`` makes the runs that are missing.
    tables : callable
    rows : Path
        Where rows are kept by default.
    key : sequence of str
        The columns that name a run.
    kinds : tuple
        The option that chooses what is run ("methods"), and what there is.
    lengths : sequence of int
        Code lengths by default.
    quick : tuple
        Code lengths and number of seeds of ``--quick``.
    """
    option, choices = kinds
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=["digits", "cifar10-deep"])
    parser.add_argument("--bits", type=int, nargs="+", default=list(lengths))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(f"--{option}", dest="kinds", nargs="+", choices=list(choices), default=list(choices))
    parser.add_argument("--rows", type=Path, default=rows)
    bits = " and ".join(map(str, quick[0]))
    parser.add_argument("--quick", action="store_true", help=f"digits, {bits} bits, seeds: {quick[1]}, rows not kept")
    parser.add_argument("--table", action="store_true", help="make no runs")
    given = parser.parse_args()
    kept = Rows(None if given.quick else given.rows, key)
    if given.quick:
        make(kept, ["digits"], quick[0], range(quick[1]), given.kinds)
    elif not given.table:
        make(kept, given.datasets, given.bits, range(given.first_seed, given.first_seed + given.seeds), given.kinds)
    print(tables(kept))

"""The shared benchmark instances: stored vectors re-evaluate to stored values, with our readers and without them."""

import csv
import json
import lzma
import os
from pathlib import Path

import numpy as np
import pytest

from bqp import io

FOLDER = Path(os.environ.get("BQP_INSTANCES", Path(__file__).resolve().parents[3].parent / "shared" / "instances"))
SMALL = 100_000  # bytes, compressed

pytestmark = pytest.mark.skipif(
    not (FOLDER / "index.csv").exists(), reason=f"no instances at {FOLDER}; point BQP_INSTANCES at them"
)


def table():
    if not (FOLDER / "index.csv").exists():
        return []
    with open(FOLDER / "index.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def stored():
    """Name -> (0/1 vector, value)."""
    with lzma.open(FOLDER / "solutions.json.xz", "rt") as file:
        return {
            name: (np.unpackbits(np.frombuffer(bytes.fromhex(entry["x"]), dtype=np.uint8)), entry["value"])
            for name, entry in json.load(file).items()
        }


def check(row, stored):
    problem = io.read(FOLDER / row["file"], row["format"])
    assert problem.n == int(row["n"]) and problem.sense == row["sense"]
    if row["name"] not in stored:
        return False
    bits, value = stored[row["name"]]
    x = bits[: problem.n].astype(np.int8)
    assert problem.objective(2 * x - 1 if problem.domain == "spin" else x) == value
    assert (value <= float(row["best_known"])) == (row["sense"] == "max") or value == float(row["best_known"])
    return True


@pytest.mark.parametrize("family", sorted({row["file"].split("/")[0] for row in table()}))
def test_stored_vectors_have_their_values(family, stored):
    rows = [row for row in table() if row["file"].startswith(f"{family}/")]
    rows = [row for row in rows if (FOLDER / row["file"]).stat().st_size < SMALL]
    checked = [check(row, stored) for row in rows]
    assert sum(checked) >= len(checked) // 3 or family == "sg3dl"


@pytest.mark.slow
def test_stored_vectors_have_their_values_in_large_files(stored):
    for row in table():
        if (FOLDER / row["file"]).stat().st_size >= SMALL:
            check(row, stored)


@pytest.mark.parametrize("name", ["bqp50-1", "gka1b", "be100.1", "G14", "QPLIB_3852", "QPLIB_5881", "imgseg_138032"])
def test_values_by_a_plain_loop_over_the_lines(name, stored):
    """Integer arithmetic on the file's own numbers, in the convention of the README, without any of our code."""
    row = next(row for row in table() if row["name"] == name)
    bits, value = stored[name]
    x = bits.tolist()
    with lzma.open(FOLDER / row["file"], "rt") as file:
        lines = [line.split("#")[0].split() for line in file]
    if row["format"] == "qplib":
        total = int(lines[4][0])
        twice = 0.0
        for i, j, v in lines[5 : 5 + total]:
            twice += float(v) * x[int(i) - 1] * x[int(j) - 1] * (1 if i == j else 2)
        default, count = float(lines[5 + total][0]), int(lines[6 + total][0])
        linear = dict.fromkeys(range(int(lines[3][0])), default)
        linear.update({int(i) - 1: float(v) for i, v in lines[7 + total : 7 + total + count]})
        found = twice / 2 + sum(v * x[i] for i, v in linear.items()) + float(lines[7 + total + count][0])
    else:
        found = 0
        for i, j, v in lines[1:]:
            a, b = x[int(i) - 1], x[int(j) - 1]
            if row["format"] == "rudy":
                found += int(v) * (a != b)
            else:
                found += int(v) * a * b * (1 if i == j else 2)
    assert found == value

"""Random damage to a file ends in a problem or in a FormatError of one line, never in another exception."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp import io
from bqp.errors import BQPWarning, FormatError

FORMATS = ["orlib", "biq", "rudy", "qplib", "qubo", "npz"]
SUFFIXES = [*FORMATS, "npz.xz", "qubo.gz"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder, and the bytes of one small max-cut problem in each format."""
    folder = tmp_path_factory.mktemp("damage")
    W = np.random.default_rng(0).integers(-9, 10, (6, 6))
    problem = bqp.BQP.from_maxcut(np.triu(W, k=1) + np.triu(W, k=1).T)
    for suffix in SUFFIXES:
        io.write(problem, folder / f"file.{suffix}", format=suffix.split(".")[0])
    return folder, {suffix: (folder / f"file.{suffix}").read_bytes() for suffix in SUFFIXES}


changes = st.tuples(
    st.floats(0, 1), st.sampled_from(["replace", "remove", "insert"]), st.binary(min_size=1, max_size=6)
)
readable = st.text("0123456789 \n.-+eE#c", min_size=1, max_size=6).map(str.encode)
text_changes = st.tuples(st.floats(0, 1), st.sampled_from(["replace", "remove", "insert"]), readable)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(damage=st.lists(st.one_of(changes, text_changes), min_size=1, max_size=3))
def test_damage(whole, suffix, damage):
    folder, contents = whole
    data = contents[suffix]
    for where, kind, piece in damage:
        k = int(where * len(data))
        data = data[:k] + (b"" if kind == "remove" else piece) + data[k + (0 if kind == "insert" else len(piece)) :]
    path = folder / f"damaged.{suffix}"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BQPWarning)
        try:
            io.read(path, format=suffix.split(".")[0])
        except FormatError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)

"""The scanner of entry lines against a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bqp.io._scan import scan_entries
from bqp.io._source import Source, number

finite = st.floats(-1e300, 1e300)
texts = st.one_of(
    st.integers(-(10**15), 10**15).map(str),
    finite.map(repr),
    finite.map("{:.17e}".format),
    st.decimals(-1000, 1000, allow_nan=False, places=4).map(str),
    st.sampled_from(
        ["0", "-0", "+7", "5.", ".5", "-.25", "1e3", "1E-3", "1e+22", "1e-22", "123456789e30", "00012", "1e-320"]
    ),
)
lines = st.lists(
    st.tuples(st.integers(1, 50), st.integers(1, 50), texts, st.sampled_from([" ", "\t", "  "])), max_size=20
)


@given(lines, st.sampled_from(["\n", "\r\n", " \n\n", "\n# comment\n"]))
@pytest.mark.filterwarnings("ignore:.*2\\*\\*53")
def test_reads_what_float_reads(entries, end):
    text = "#\n" + "".join(f"{i}{space}{j}{space}{value}{end}" for i, j, value, space in entries)
    source = Source("memory", text.encode(), "biq", comments=b"#")
    rows, cols, values = scan_entries(source, len(entries), 50)
    assert rows.tolist() == [i - 1 for i, _, _, _ in entries]
    assert cols.tolist() == [j - 1 for _, j, _, _ in entries]
    assert values.tolist() == [float(value) for _, _, value, _ in entries]
    source.finish("the entries")


def test_long_lists_of_integers_and_reals():
    rng = np.random.default_rng(0)
    rows, cols = rng.integers(0, 1000, (2, 20_000))
    values = np.where(rng.random(20_000) < 0.5, rng.integers(-(10**13), 10**13, 20_000), rng.normal(size=20_000))
    text = "".join(f"{i} {j} {v!r}\n" for i, j, v in zip(rows.tolist(), cols.tolist(), values.tolist()))
    found = scan_entries(Source("memory", text.encode(), "qubo"), 20_000, 1000, base=0)
    for got, want in zip(found, (rows, cols, values)):
        assert np.array_equal(got, want)


@pytest.mark.parametrize(
    "token", ["", "-", "+", ".", "e5", "1e", "1e+", "--1", "1-", "0x10", "1_0", "nan", "inf", "1e400", "1,5"]
)
def test_number_refuses(token):
    assert number(token) is None

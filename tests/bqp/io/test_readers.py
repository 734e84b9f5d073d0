"""Every reader against files written by hand, with energies worked out by hand, and against damaged ones."""

import gzip
import lzma

import numpy as np
import pytest

from bqp import io
from bqp.errors import BQPWarning, FormatError, ParameterError
from bqp.forms import Dense, Sparse

TRIPLETS = "3 4\n1 1 -5\n1 2 3\n2 3 -2\n3 3 7\n"
RUDY = "4 4\n1 2 5\n2 3 -1\n3 4\n1 4 2.5\n"
QUBO = "c made by hand\np qubo 0 3 2 2\n0 0 -5\n2 2 7\nc couplers\n0 1 3\n1 2 -2.5\n"
QPLIB = """HAND
QBN
maximize
3 # number of variables
3 # number of quadratic terms in objective
2 1 3.0
3 3 4.0  # counts half
3 2 -2.0
0.5 # default value for linear coefficients in objective
1 # number of non-default linear coefficients in objective
2 -1.0
10.0 # objective constant
1.79769313486232E+308 # value for infinity
0.0 # default variable primal value in starting point
1 # number of non-default variable primal values in starting point
2 1.0
0.0 # default variable bound dual value in starting point
0 # number of non-default variable bound dual values in starting point
1 # number of non-default variable names
3 last
0 # number of non-default constraint names
"""


@pytest.fixture
def put(tmp_path):
    """Write text or bytes to a file and return its path."""

    def put(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


def message_of(path, format=None, **options):
    """The message of the FormatError that reading raises: one line, beginning with the path."""
    with pytest.raises(FormatError) as caught:
        io.read(path, format, **options)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


# ---- values worked out by hand ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "value"),
    [([0, 0, 0], 0), ([1, 0, 0], -5), ([0, 0, 1], 7), ([1, 1, 0], -5 + 6), ([0, 1, 1], 7 - 4), ([1, 1, 1], 4)],
)
def test_orlib_and_biq_count_an_off_diagonal_entry_twice(put, x, value):
    largest = io.read(put(TRIPLETS), "orlib")
    smallest = io.read(put(TRIPLETS), "biq")
    assert largest.objective(x) == value and largest.energy(x) == -value and largest.sense == "max"
    assert smallest.objective(x) == smallest.energy(x) == value and smallest.sense == "min"
    assert largest.domain == smallest.domain == "binary"


@pytest.mark.parametrize(
    ("x", "cut"), [([1, 1, 1, 1], 0), ([1, -1, -1, -1], 7.5), ([1, -1, 1, -1], 5 - 1 + 1 + 2.5), ([1, 1, -1, -1], 1.5)]
)
def test_rudy_counts_cut_edges_and_a_missing_weight_is_one(put, x, cut):
    problem = io.read(put(RUDY), "rudy")
    assert problem.objective(x) == cut and problem.sense == "max" and problem.domain == "spin"
    assert problem.objective(np.negative(x)) == cut


@pytest.mark.parametrize(("x", "value"), [([1, 0, 0], -5), ([1, 1, 0], -2), ([0, 1, 1], 4.5), ([1, 1, 1], 2.5)])
def test_qubo_couplers_hold_the_full_coefficient(put, x, value):
    problem = io.read(put(QUBO), "qubo")
    assert problem.energy(x) == value and problem.sense == "min" and problem.domain == "binary"


@pytest.mark.parametrize(
    ("x", "value"),
    [([0, 0, 0], 10), ([1, 0, 0], 10.5), ([0, 1, 0], 9), ([0, 0, 1], 12.5), ([1, 1, 0], 12.5), ([1, 1, 1], 13)],
)
def test_qplib_halves_the_diagonal_and_fills_defaults(put, x, value):
    problem = io.read(put(QPLIB), "qplib")
    assert problem.objective(x) == value and problem.energy(x) == -value and problem.sense == "max"


def test_qplib_linear_objective_minimised(put):
    text = "L\nLBB\nMINIMIZE\n2\n1.5\n1\n2 -4\n-1\n1e20\n0\n0\n0\n0\n0\n0\n"
    assert io.read(put(text), "qplib").objective([1, 1]) == 1.5 - 4 - 1


def test_both_triangles_comments_blank_lines_and_files_from_windows(put):
    text = "\ufeff# a comment\r\n\r\n3 2\r\n  2 1\t+3\r\n\r\n# another\r\n3 3 -1.5e1 # at the end\r\n\r\n"
    assert io.read(put(text), "biq").energy([1, 1, 1]) == 6 - 15


def test_no_entries_at_all(put):
    assert io.read(put("2 0\n"), "biq").energy([1, 1]) == 0
    assert io.read(put("2 0\n"), "rudy").objective([1, -1]) == 0


def test_sparse_below_a_density_of_one_fifth(put):
    assert isinstance(io.read(put("10 9\n" + "".join(f"{i} {i + 1} 1\n" for i in range(1, 10))), "biq").Q, Sparse)
    assert isinstance(io.read(put("3 3\n1 2 1\n1 3 1\n2 3 1\n"), "biq").Q, Dense)


def test_integers_up_to_two_to_the_53_are_exact(put):
    big = 2**53 - 1
    assert io.read(put(f"2 1\n1 1 {big}\n"), "biq").energy([1, 0]) == big
    with pytest.warns(BQPWarning, match=r"2\*\*53"):
        io.read(put(f"2 1\n1 1 {2**53 + 1}\n"), "biq")


# ---- several instances -----------------------------------------------------------------------------------------------

SEVERAL = "2\n2 1\n1 2 4\n3 2\n1 1 1\n2 3 -2\n"


def test_instances_are_counted_from_one(put):
    path = put(SEVERAL)
    assert io.read(path, "orlib", index=1).objective([1, 1]) == 8
    assert io.read(path, "orlib", index=2).objective([1, 1, 1]) == 1 - 4
    assert io.read(path, index=2).sense == "max"  # a count of instances on top is OR-Library's
    assert io.read(put("1\n2 1\n1 2 4\n"), "orlib").objective([1, 1]) == 8


def test_several_instances_need_an_index(put):
    assert "2 instances" in message_of(put(SEVERAL), "orlib") and "index=1" in message_of(put(SEVERAL), "orlib")
    assert "index=3" in message_of(put(SEVERAL), "orlib", index=3)
    assert "index=0" in message_of(put(SEVERAL), "orlib", index=0)
    assert "cut short" in message_of(put("3" + SEVERAL[1:]), "orlib", index=1)
    with pytest.raises(ParameterError, match="Leave it out"):
        io.read(put(RUDY), "rudy", index=1)


# ---- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["orlib", "biq", "rudy"])
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("3 4\n1 2 3\n2 3 1\n", ["ends after 2 of the 4", "cut short"]),
        ("3 1\n1 2 3\n2 3 1\n", ["line 3", "'2 3 1'", "should end", "Correct the count"]),
        ("3 1\n1 4 3\n", ["line 2", "'4'", "out of range", "from 1 to 3"]),
        ("3 1\n0 2 3\n", ["line 2", "'0'", "from 1 to 3"]),
        ("3 1\n-1 2 3\n", ["line 2", "'-1'", "from 1 to 3"]),
        ("3 1\n1.0 2 3\n", ["line 2", "'1.0'", "whole number"]),
        ("3 1\n99999999999999999999 2 3\n", ["'99999999999999999999'", "out of range"]),
        ("3 1\n1 2 abc\n", ["line 2", "'abc'", "finite number"]),
        ("3 1\n1 2 nan\n", ["'nan'", "finite number"]),
        ("3 1\n1 2 -inf\n", ["'-inf'", "finite number"]),
        ("3 1\n1 2 1e999\n", ["'1e999'", "finite number"]),
        ("3 1\n1 2 1e308\n", ["1e+308", "infinity"]),
        ("3 1\n1 2 1_000\n", ["'1_000'", "finite number"]),
        ("3 1\n1 2 " + "1" * 400 + "\n", ["finite number"]),
        ("3 1\n1 2 3 4\n", ["line 2", "too many"]),
        ("3 1\n1\n", ["line 2", "too few"]),
        ("3 2\n\n1 2 3\n2 1 4\n", ["line 4", "'2 1 4'", "line 3", "'1 2 3'", "a second time"]),
        ("3 2 1\n1 2 3\n2 3 4\n", ["line 1", "'3 2 1'", "'n m'"]),
        ("3.5 1\n1 2 3\n", ["line 1", "'3.5'", "integer"]),
        ("0 0\n", ["line 1", "at least 1", "'0'"]),
        ("3 -1\n", ["'-1'", "integer"]),
        ("999999999999 0\n", ["at most"]),
        ("3 999999999999\n1 2 3\n", ["ends after 1 of the 999999999999"]),
        ("", ["empty"]),
        ("\n\n", ["cut short"]),
        (b"3 1\n1 2 \xff\n", ["0xff", "not a text file"]),
        (b"3 1\n1 2 3\x00\n", ["0x00", "not a text file"]),
        (QUBO, ["'c made by hand'", "'n m'", "qubo"]),
        (QPLIB, ["'HAND'", "--format qplib"]),
    ],
)
def test_damaged_triplets(put, format, text, parts):
    message = message_of(put(text), format)
    for part in parts:
        assert part in message, message


def test_a_missing_value_is_an_error_outside_rudy(put):
    assert "too few" in message_of(put("3 1\n1 2\n"), "biq")


def test_later_errors_do_not_hide_earlier_ones(put):
    text = "3 3\n1 2 3\n1 3 x\n2 9 1\n"
    assert "line 3" in message_of(put(text), "biq")


def test_the_first_repeated_pair_is_named(put):
    text = "200 4\n7 9 1\n1 2 1\n9 7 1\n2 1 1\n"
    message = message_of(put(text), "biq")
    assert "line 4" in message and "line 2" in message


def test_self_loops_point_to_the_quadratic_formats(put):
    message = message_of(put(TRIPLETS), "rudy")
    assert "line 2" in message and "'1 1 -5'" in message and "format='biq'" in message and "orlib" in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("p qubo 0 3 1 1\n0 0 1\n", ["ends after 1 of the 2"]),
        ("p qubo 0 3 1 1\n0 0 1\n1 0 2\n", ["line 3", "i < j"]),
        ("p qubo 0 3 1 1\n0 1 1\n1 2 2\n", ["line 2", "node"]),
        ("p qubo 0 3 1 1\n0 0 1\n1 1 2\n", ["line 3", "coupler"]),
        ("p qubo 0 3 2 0\n0 0 1\n0 0 2\n", ["line 3", "a second time"]),
        ("p qubo 0 3 1 0\n3 3 1\n", ["'3'", "from 0 to 2"]),
        ("p qubo 0 3 1 0\n0 0 1\n0 1 1\n", ["line 3", "should end"]),
        ("p qubo chimera 3 1 0\n0 0 1\n", ["'chimera'", "topology"]),
        ("p qubo 0 3 1\n0 0 1\n", ["line 1", "nCouplers"]),
        ("p qubo 0 0 0 0\n", ["maxNodes", "at least 1"]),
        ("c only a comment\n", ["cut short"]),
        (TRIPLETS, ["'3 4'", "orlib, biq or rudy", "--format"]),
        (QPLIB, ["--format qplib"]),
    ],
)
def test_damaged_qubo(put, text, parts):
    message = message_of(put(text, "damaged.qubo"))
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("QBN", "QBL", ["line 2", "linear constraints", "penalties"]),
        ("QBN", "QCN", ["line 2", "continuous", "binary"]),
        ("QBN", "QMQ", ["binary and continuous"]),
        ("QBN", "XYZ", ["'XYZ'", "three letters"]),
        ("maximize", "upwards", ["line 3", "'upwards'", "minimize"]),
        ("3 # number of variables", "none", ["line 4", "'none'"]),
        ("3 # number of quadratic", "4 # number of quadratic", ["line 9", "'0.5 # default value"]),
        ("3 # number of quadratic", "2 # number of quadratic", ["line 8", "'3 2 -2.0'", "one number"]),
        ("2 1 3.0", "2 4 3.0", ["line 6", "out of range"]),
        ("2 1 3.0", "2 3 3.0", ["line 8", "a second time"]),
        ("2 1 3.0", "2 1 inf", ["line 6", "'inf'"]),
        ("2 1 3.0", "2 1 1.79769313486233E+308", ["'1.79769313486233E+308'"]),
        ("2 -1.0", "2 -1e308", ["overflow"]),
        ("10.0 # objective", "-1e400 # objective", ["line 12", "'-1e400'"]),
        ("1.79769313486232E+308", "3", ["infinity"]),
        ("1.79769313486232E+308", "big", ["'big'", "infinity"]),
        ("0.5 # default", "half # default", ["line 9", "'half'"]),
        ("2 -1.0", "7 -1.0", ["line 11", "out of range"]),
        ("2 -1.0", "2 x", ["'x'", "finite"]),
        ("2 -1.0", "2 -1.0 5", ["'2 -1.0 5'", "'i value'"]),
        ("1 # number of non-default linear", "2 # number of non-default linear", ["line 12"]),
        ("3 last", "8 last", ["out of range"]),
        ("0 # number of non-default constraint", "1 # number of non-default constraint", ["constraint names"]),
        ("0 # number of non-default constraint names\n", "", ["cut short", "constraint names"]),
        ("constraint names\n", "constraint names\nmore\n", ["'more'", "should end"]),
        (QPLIB, TRIPLETS, ["'1'", "orlib, biq or rudy"]),
        (QPLIB, QUBO, ["--format qubo"]),
    ],
)
def test_damaged_qplib(put, old, new, parts):
    assert old in QPLIB
    message = message_of(put(QPLIB.replace(old, new, 1), "damaged.qplib"))
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize("format", ["orlib", "biq", "rudy", "qubo", "qplib"])
def test_every_prefix_is_an_error_or_lacks_only_the_last_digits(put, format):
    """A file cut anywhere never passes for a whole one, unless the cut falls within its last line."""
    text = {"rudy": RUDY, "qubo": QUBO, "qplib": QPLIB}.get(format, TRIPLETS)
    last = text.rstrip("\n").rindex("\n") + 1
    for end in range(last + 1):
        message_of(put(text[:end]), format)


# ---- the file itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_compressed_files(put, suffix, compress):
    data = compress(TRIPLETS.encode())
    assert io.read(put(data, f"a.sparse{suffix}")).energy([1, 1, 1]) == 4
    assert io.read(put(data, "plain-name"), "biq").energy([1, 1, 1]) == 4
    assert "cut short" in message_of(put(data[:-9], f"b.sparse{suffix}"))
    broken = bytearray(data)
    broken[len(data) // 2] ^= 0xFF
    message_of(put(bytes(broken), f"c.sparse{suffix}"))
    assert "not those of" in message_of(put(TRIPLETS, f"d.sparse{suffix}"))


def test_missing_file_and_directory(tmp_path):
    assert "no such file" in message_of(tmp_path / "absent.qubo")
    assert "is a directory" in message_of(tmp_path, "biq")


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.qubo", "qubo"),
        ("a.QUBO.gz", "qubo"),
        ("a.qplib.xz", "qplib"),
        ("a.npz", "npz"),
        ("a.rudy", "rudy"),
        ("a.mc", "rudy"),
        ("a.mac", "rudy"),
        ("G1.gset", "rudy"),
        ("a.sparse", "biq"),
        ("a.biq.xz", "biq"),
        ("a.orlib", "orlib"),
        ("bqp50-1.xz", None),
        ("be100.1.xz", None),
        ("a.txt", None),
    ],
)
def test_format_of_name(name, format):
    from bqp.io._detect import format_of_name

    assert format_of_name(name) == format


def test_format_of_content(put):
    assert io.read(put(QUBO)).energy([1, 1, 1]) == 2.5
    assert io.read(put(QPLIB)).objective([1, 1, 1]) == 13
    message = message_of(put(TRIPLETS, "bqp50-1"))
    assert "orlib" in message and "biq" in message and "rudy" in message and "--format" in message
    assert "neither name nor content" in message_of(put("hello world, this is prose\n"))
    with pytest.raises(ParameterError, match="'matrix'"):
        io.read(put(QUBO), "matrix")

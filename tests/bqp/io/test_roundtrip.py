"""What is written is read back with the same energies, for every assignment."""

import itertools
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp import io
from bqp.errors import BQPWarning, FormatError, ParameterError, ProblemError
from bqp.forms import Grouped, LowRank, Sum

SMALL = st.integers(-20, 20)
QUADRATIC = ["orlib", "biq", "qubo", "qplib", "npz"]


@st.composite
def problems(draw, linear=True, domains=("spin", "binary"), numbers=SMALL):
    n = draw(st.integers(1, 6))
    entries = np.array(draw(st.lists(numbers, min_size=n * n, max_size=n * n)), dtype=np.float64).reshape(n, n)
    keep = np.array(draw(st.lists(st.booleans(), min_size=n * n, max_size=n * n))).reshape(n, n)
    Q = np.triu(entries * keep)
    Q = Q + np.triu(Q, k=1).T
    c = np.array(draw(st.lists(numbers, min_size=n, max_size=n)), dtype=np.float64) if linear else None
    return bqp.BQP(
        sp.csr_array(Q) if draw(st.booleans()) else Q,
        c,
        draw(numbers),
        domain=draw(st.sampled_from(domains)),
        sense=draw(st.sampled_from(["min", "max"])),
    )


def assignments(problem):
    values = (-1, 1) if problem.domain == "spin" else (0, 1)
    return np.array(list(itertools.product(values, repeat=problem.n)), dtype=np.int8)


def in_domain(X, problem):
    """Rows of spins or bits as the domain of `problem` wants them: bit 1 is spin +1."""
    ones = X == 1
    return np.where(ones, 1, -1 if problem.domain == "spin" else 0)


def write_and_read(problem, path, format):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        io.write(problem, path, format)
    assert all(issubclass(w.category, BQPWarning) and "offset" in str(w.message) for w in caught)
    return io.read(path, format), len(caught)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("roundtrip")


@pytest.mark.parametrize("format", QUADRATIC)
@given(problem=problems())
def test_energies_survive(folder, format, problem):
    back, warned = write_and_read(problem, folder / "file", format)
    X = assignments(problem)
    shift = problem.energy(X) - back.energy(in_domain(X, back))
    if format in ("npz", "qplib"):
        assert not shift.any() and not warned
        assert np.array_equal(problem.objective(X), back.objective(in_domain(X, back)))
    else:
        assert np.all(shift == problem.to_binary().offset)
        assert warned == bool(shift[0])


@given(problem=problems(linear=False, domains=("spin",)))
def test_rudy_holds_spins_without_a_linear_term(folder, problem):
    back, warned = write_and_read(problem, folder / "cut", "rudy")
    X = assignments(problem)
    shift = problem.energy(X) - back.energy(X)
    assert np.all(shift == shift[0]) and warned == bool(shift[0]) and back.sense == "max"


@given(problem=problems(linear=False, domains=("spin",)))
def test_a_cut_survives_the_way_through_bits(folder, problem):
    cut = bqp.BQP.from_maxcut(problem.Q.to_dense())
    bits, warned = write_and_read(cut, folder / "bits", "qubo")
    assert not warned
    back, warned = write_and_read(bits, folder / "cut", "rudy")
    X = assignments(cut)
    assert not warned and np.array_equal(cut.objective(X), back.objective(X))


@pytest.mark.parametrize("format", QUADRATIC)
@given(problem=problems(domains=("binary",), numbers=st.floats(-1e6, 1e6, allow_subnormal=False)))
def test_reals_survive(folder, format, problem):
    back, _ = write_and_read(problem, folder / "reals", format)
    X = assignments(problem)
    want = problem.energy(X) - (0 if format in ("npz", "qplib") else problem.offset)
    assert np.allclose(back.energy(X), want, rtol=1e-12, atol=1e-6)


@pytest.mark.parametrize("suffix", ["qubo", "qubo.gz", "qubo.xz", "sparse", "orlib.xz", "qplib.gz", "npz", "npz.xz"])
def test_the_name_picks_format_and_compression(tmp_path, suffix):
    problem = bqp.BQP.from_qubo(np.array([[1.0, 2.0], [0.0, -3.0]]))
    io.write(problem, tmp_path / f"a.{suffix}")
    assert io.read(tmp_path / f"a.{suffix}").energy([1, 1]) == 0
    io.write(problem, tmp_path / f"b.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.parametrize("domain", ["spin", "binary"])
@pytest.mark.parametrize("sense", ["min", "max"])
def test_npz_keeps_the_structure(tmp_path, domain, sense):
    rng = np.random.default_rng(0)
    low_rank = LowRank(rng.integers(-1, 2, (7, 2)).astype(np.int8), np.array([2.0, -1.0]))
    grouped = Grouped(rng.integers(0, 3, 7), np.array([[1.0, 2, 3], [2, 4, 5], [3, 5, 6]]))
    weighted = Grouped(rng.integers(0, 2, 7), np.eye(2), a=np.arange(7.0))
    sparse = bqp.BQP(sp.csr_array(np.diag(np.arange(7.0)))).Q
    for form in (low_rank, grouped, weighted, sparse, Sum([low_rank, grouped, weighted, sparse])):
        problem = bqp.BQP(form, np.arange(7.0), 0.5, domain, sense)
        io.write(problem, tmp_path / "p.npz")
        back = io.read(tmp_path / "p.npz")
        X = rng.integers(0, 2, (20, 7)) * (2 if domain == "spin" else 1) - (domain == "spin")
        assert np.array_equal(problem.objective(X), back.objective(X))
        assert (back.Q.name, back.domain, back.sense) == (problem.Q.name, domain, sense)
        assert back.Q.nbytes == problem.Q.nbytes


@pytest.mark.parametrize("format", [*QUADRATIC, "rudy"])
def test_structured_forms_are_written_as_their_entries(tmp_path, format):
    problem = bqp.BQP(Grouped(np.array([0, 1, 0, 1, 2]), np.array([[1.0, -2, 3], [-2, 4, 5], [3, 5, 6]])))
    back, _ = write_and_read(problem, tmp_path / "file", format)
    X = assignments(problem)
    shift = problem.energy(X) - back.energy(in_domain(X, back))
    assert np.all(shift == shift[0])


def test_rudy_refuses_a_linear_term(tmp_path):
    problem = bqp.BQP(np.array([[0.0, 1.0], [1.0, 0.0]]), c=[0.0, 2.0])
    with pytest.raises(ProblemError, match=r"linear term.* 2 at variable 1.*Write qubo, qplib, biq or npz"):
        io.write(problem, tmp_path / "a.rudy")
    with pytest.raises(ProblemError, match="linear term"):
        io.write(bqp.BQP.from_qubo(np.array([[1.0, 2.0], [0.0, 0.0]])), tmp_path / "a.rudy")
    assert not (tmp_path / "a.rudy").exists()


def test_rudy_forgives_the_rounding_of_a_change_of_domain(tmp_path):
    rng = np.random.default_rng(1)
    W = np.triu(rng.normal(size=(9, 9)), k=1)
    cut = bqp.BQP.from_maxcut(W + W.T)
    io.write(cut.to_binary(), tmp_path / "a.rudy")
    x = rng.integers(0, 2, 9) * 2 - 1
    assert io.read(tmp_path / "a.rudy").objective(x) == pytest.approx(cut.objective(x), rel=1e-12)


def test_a_lost_offset_is_named(tmp_path):
    problem = bqp.BQP(np.eye(2), offset=1.5, domain="binary")
    with pytest.warns(BQPWarning, match=r"the offset 1\.5.*npz or qplib"):
        io.write(problem, tmp_path / "a.qubo")


def test_writing_errors(tmp_path):
    problem = bqp.BQP(np.eye(2))
    with pytest.raises(FormatError, match="tells no format"):
        io.write(problem, tmp_path / "a.txt")
    with pytest.raises(ParameterError, match="format must be one of"):
        io.write(problem, tmp_path / "a.txt", format="txt")
    with pytest.raises(FormatError, match="cannot be written"):
        io.write(problem, tmp_path / "absent" / "a.npz")
    empty = bqp.BQP(np.zeros((0, 0)))
    with pytest.raises(ProblemError, match="without variables"):
        io.write(empty, tmp_path / "a.qubo")
    io.write(empty, tmp_path / "a.npz")
    assert io.read(tmp_path / "a.npz").n == 0


def npz_message(path):
    with pytest.raises(FormatError) as caught:
        io.read(path, "npz")
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def test_damaged_npz(tmp_path):
    path = tmp_path / "p.npz"
    io.write(bqp.BQP(np.eye(3), c=[1.0, 2.0, 3.0]), path)
    whole, arrays = path.read_bytes(), dict(np.load(path))
    for end in (3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        npz_message(path)
    path.write_text("3 1\n1 2 3\n")
    assert "first bytes" in npz_message(path)
    np.savez(path, Q=np.eye(3))
    assert "no bqp_version" in npz_message(path)
    np.savez(path, **{**arrays, "Q0_matrix": np.array([{}], dtype=object)}, allow_pickle=True)
    assert "pickle" in npz_message(path)
    for change, part in [
        ({"bqp_version": 2}, "newer bqp"),
        ({"sense": "up"}, "'up'"),
        ({"domain": "ternary"}, "'ternary'"),
        ({"form": "magic"}, "'magic'"),
        ({"c": np.zeros(2)}, "c must have shape"),
        ({"offset": np.inf}, "offset must be finite"),
        ({"Q0_matrix": np.full((3, 3), np.nan)}, "finite"),
        ({"Q0_matrix": np.zeros(3)}, "square"),
        ({"form": "sparse", "Q0_data": np.ones(1), "Q0_indices": [5], "Q0_indptr": [0, 1, 1, 1]}, "arrays make no"),
    ]:
        np.savez(path, **{**arrays, **change})
        assert part in npz_message(path)
    del arrays["c"]
    np.savez(path, **arrays)
    assert "'c' is missing" in npz_message(path)

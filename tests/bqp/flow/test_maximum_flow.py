"""Maximum flows: every backend against an exhaustive minimum cut, and numbers that a backend cannot hold."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from bqp.errors import BackendNotFound, ParameterError, ProblemError
from bqp.flow import BACKENDS, Network, check_backend, maximum_flow, quantise
from bqp.kernels.flow import strong_components
from bqp.testing import reference
from bqp.testing import strategies as draw

HERE = ("dinic", "scipy", "networkx")


@st.composite
def networks(draw_, max_n=6):
    n = draw_(st.integers(1, max_n))
    upper = np.triu(draw_(draw.integers(n, n, 0, 5)), 1).astype(np.int64)
    row, column = np.nonzero(upper)
    excess = draw_(draw.integers(n, None, -8, 8)).astype(np.int64)
    return Network.from_pairs(n, row, column, upper[row, column], excess), upper + upper.T


def cut_value(network, matrix, side):
    """What a source side cuts: pairs, sources left on the other side, sinks on this one."""
    inner = matrix[np.ix_(side, ~side)].sum()
    return int(inner + network.excess[~side].clip(0).sum() + (-network.excess[side]).clip(0).sum())


@pytest.mark.parametrize("backend", HERE)
@given(drawn=networks())
def test_the_cut_is_the_least_and_equals_the_flow(backend, drawn):
    network, matrix = drawn
    sides = [x > 0 for x in reference.all_assignments(network.n)]
    values = np.array([cut_value(network, matrix, side) for side in sides])
    flow = maximum_flow(network, backend)
    assert flow.value == values.min() == cut_value(network, matrix, flow.source_side())
    best = [side.sum() for side, value in zip(sides, values) if value == values.min()]
    assert flow.source_side().sum() == min(best), "the cut with the fewest nodes on the source's side"


@pytest.mark.parametrize("backend", HERE)
@given(drawn=networks())
def test_what_comes_back_is_a_flow(backend, drawn):
    network, _ = drawn
    flow = maximum_flow(network, backend)
    net = network.capacity - flow.residual
    rows = np.repeat(np.arange(network.n), np.diff(network.indptr))
    assert (flow.residual >= 0).all() and (np.sign(flow.excess) * np.sign(network.excess) >= 0).all()
    np.testing.assert_array_equal(net, -net[network.reverse])
    np.testing.assert_array_equal(network.indices[network.reverse], rows)
    sent = np.bincount(rows, weights=net, minlength=network.n)
    np.testing.assert_array_equal(sent, network.excess - flow.excess)


def test_ortools_agrees_or_names_its_extra():
    try:
        check_backend("ortools")
    except BackendNotFound as error:
        assert "bqp[flow]" in str(error)
        return
    rng = np.random.default_rng(0)
    for n in (1, 2, 9, 30):
        upper = np.triu(rng.integers(0, 6, (n, n)), 1)
        row, column = np.nonzero(upper)
        excess = rng.integers(-20, 21, n)
        network = Network.from_pairs(n, row, column, upper[row, column], excess)
        ours, theirs = maximum_flow(network, "dinic"), maximum_flow(network, "ortools")
        assert ours.value == theirs.value
        np.testing.assert_array_equal(ours.source_side(), theirs.source_side())


def test_numbers_beyond_a_backend_are_declined():
    network = Network.from_pairs(2, [0], [1], np.array([2**30]), np.array([2**40, -(2**41)]))
    with pytest.raises(ProblemError, match=r"scipy holds less than 2\*\*30. Use backend='dinic'"):
        maximum_flow(network, "scipy")
    assert maximum_flow(network, "dinic").value == maximum_flow(network, "networkx").value == 2**30
    with pytest.raises(ParameterError, match="backend must be one of dinic, scipy, ortools, networkx, got 'gpu'"):
        maximum_flow(network, "gpu")
    assert set(HERE) < set(BACKENDS)


def test_a_flow_can_be_given_up():
    network = Network.from_pairs(2, [0], [1], np.array([3]), np.array([4, -4]))
    assert maximum_flow(network, stopping=lambda: True) is None


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5),
    scale=st.sampled_from([1.0, 1e-300, 1e290, 2.0**-1040]),
    bits=st.sampled_from([30, 59]),
)
def test_quantising_rounds_by_half_a_unit_and_says_so(values, scale, bits):
    values = np.array(values) * scale
    (whole,), exponent, exact = quantise(values, largest_bits=bits)
    back = np.ldexp(whole.astype(np.float64), exponent)
    assert np.abs(whole).max() <= 2**bits and int(np.abs(whole).sum()) < 2**60
    assert exact == np.array_equal(back, values)
    assert np.all(np.abs(back - values) <= np.ldexp(0.5, exponent) + 1e-15 * np.abs(values))


def test_integers_and_short_fractions_are_kept():
    for values in ([3.0, -7.0], [0.25, 5.0], [2.0**25, -1.0]):
        (whole,), exponent, exact = quantise(np.array(values), largest_bits=30)
        assert exact and (whole * 2.0**exponent).tolist() == values
    assert quantise(np.array([0.0, 0.0]))[2] and quantise(np.empty(0))[2]


@given(n=st.integers(1, 7), data=st.data())
def test_strong_components_are_numbered_from_the_sinks(n, data):
    arcs = data.draw(draw.integers(n, n, 0, 1)).astype(bool)
    matrix = sp.csr_array(np.ones((n, n)))
    label = np.empty(n, np.int64)
    count = strong_components(matrix.indptr, matrix.indices, arcs[np.ones((n, n), bool)], label)
    theirs = sp.csgraph.connected_components(sp.csr_array(arcs), connection="strong")
    assert count == theirs[0]
    assert len({(a, b) for a, b in zip(label.tolist(), theirs[1].tolist())}) == count, "the same classes"
    row, column = np.nonzero(arcs)
    assert np.all(label[row] >= label[column]), "an arc never leads to a higher number"

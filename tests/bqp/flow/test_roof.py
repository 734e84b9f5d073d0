"""Roof duality and probing against enumeration: bounds lie below, labels agree with every or with some optimum."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import bqp
from bqp.bounds.roof_dual import roof_dual
from bqp.errors import ProblemError
from bqp.flow import Roof, persistent_labels
from bqp.flow.probing import probe
from bqp.forms import LowRank
from bqp.testing import reference
from bqp.testing import strategies as draw


@st.composite
def pairs_and_fields(draw_, max_n=7):
    n = draw_(st.integers(1, max_n))
    upper = np.triu(draw_(draw.integers(n, n)) * draw_(draw.integers(n, n, 0, 1)), 1)
    return upper + upper.T, draw_(draw.integers(n, None, -5, 5)) * draw_(st.integers(0, 1))


def spectrum(J, h):
    X = reference.all_assignments(len(h)).astype(float)
    return X, X @ h + 0.5 * np.einsum("ki,ij,kj->k", X, J, X)


@pytest.mark.parametrize("backend", ["dinic", "scipy", "networkx"])
@given(drawn=pairs_and_fields())
def test_bound_and_labels(backend, drawn):
    J, h = drawn
    X, energies = spectrum(J, h)
    best = X[energies == energies.min()]
    roof = Roof(sp.csr_array(J), h, backend)
    strong, weak = roof.labels(), roof.labels(weak=True)
    assert roof.exact and roof.value <= energies.min()
    assert np.all(best[:, strong != 0] == strong[strong != 0]), "strong labels hold in every optimum"
    assert np.any(np.all(best[:, weak != 0] == weak[weak != 0], axis=1)), (
        "weak labels hold in some optimum, all at once"
    )
    assert np.all((strong == 0) | (strong == weak))
    if weak.all():
        assert roof.value == energies.min()


@given(drawn=pairs_and_fields(6))
def test_the_bound_is_that_of_the_linear_programme(drawn):
    """Roof duality is the linear relaxation over pairs (Hammer, Hansen, Simeone 1984)."""
    from scipy.optimize import linprog

    J, h = drawn
    n = len(h)
    row, column = np.nonzero(np.triu(J))
    m = len(row)
    if m == 0:
        return
    # y_p between |x_i + x_j| - 1 and 1 - |x_i - x_j| stands for x_i x_j
    A, b = [], []
    for p, (i, j) in enumerate(zip(row, column)):
        for si, sj, sy in ((1, 1, -1), (-1, -1, -1), (1, -1, 1), (-1, 1, 1)):
            line = np.zeros(n + m)
            line[i], line[j], line[n + p] = si, sj, sy
            A.append(line)
            b.append(1.0)
    found = linprog(np.concatenate([h, J[row, column]]), np.array(A), b, bounds=(-1, 1))
    assert abs(Roof(sp.csr_array(J), h).value - found.fun) < 1e-7


@given(drawn=pairs_and_fields(6), factor=st.sampled_from([np.pi, 1e-5 / 3, 1e12 / 7]), tiny=st.floats(-1e-13, 1e-13))
def test_rounded_data_prove_nothing_wrong(drawn, factor, tiny):
    J, h = drawn[0] * factor, drawn[1] * np.e * factor
    h[0] += tiny * factor
    X, energies = spectrum(J, h)
    noise = 1e-13 * (np.abs(J).sum() + np.abs(h).sum())
    roof = Roof(sp.csr_array(J), h, "scipy")
    assert roof.value <= energies.min() + noise
    assert roof.exact or roof.slack.min() >= 1
    close = X[energies <= energies.min() + noise]
    for weak in (False, True):
        labels = roof.labels(weak)
        assert np.any(np.all(close[:, labels != 0] == labels[labels != 0], axis=1))


@pytest.mark.parametrize("weak", [False, True])
def test_thirty_bits_do_not_decide_what_they_cannot_see(weak):
    """Beside weights of 1e13, scipy's 30 bits lose a pair and its linear terms; its roof dual leaves them open."""
    J = np.zeros((4, 4))
    J[0, 1] = J[1, 0] = -1e13
    J[2, 3] = J[3, 2] = 10.0
    h = np.array([0.0, 1e13, 3.0, -1.0])
    X, energies = spectrum(J, h)
    best = X[np.argmin(energies)]
    blind, sighted = (Roof(sp.csr_array(J), h, backend) for backend in ("scipy", "dinic"))
    assert not blind.exact and sighted.exact
    assert sighted.value == energies.min() >= blind.value
    assert np.array_equal(sighted.labels(weak=True), best)
    assert blind.labels(weak).tolist()[:2] == best.tolist()[:2] and not blind.labels(weak)[2:].any()


@pytest.mark.parametrize("tight", [False, True])
@given(drawn=pairs_and_fields())
def test_probing(tight, drawn):
    J, h = drawn
    X, energies = spectrum(J, h)
    best = X[energies == energies.min()]
    roof = Roof(sp.csr_array(J), h)
    strong = roof.labels()
    found = probe(roof, strong, upper=energies.min() if tight else np.inf)
    assert roof.value <= found.value <= energies.min()
    decided = found.labels != 0
    assert np.all(best[:, decided] == found.labels[decided])
    assert np.all(best == best[:, found.leader] * found.sign)
    assert np.all((strong == 0) | (strong == found.labels))
    np.testing.assert_array_equal(found.leader[found.leader], found.leader)


def test_probing_ties_what_the_roof_dual_leaves_open():
    J = np.array([[0.0, 9, 0, 0], [9, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0]])
    roof = Roof(sp.csr_array(J), np.zeros(4))
    found = probe(roof, roof.labels())
    assert not found.labels.any() and found.leader[0] == found.leader[1] and found.sign[0] == -found.sign[1]
    assert probe(roof, roof.labels(), max_effort=0).n_probed == 0
    assert probe(roof, roof.labels(), stopping=lambda: True).n_probed == 0


def test_persistent_labels_of_a_chain():
    chain = sp.csr_array(-np.eye(5, k=1) - np.eye(5, k=-1))
    assert persistent_labels(chain, np.array([9.0, 0, 0, 0, 0])).tolist() == [-1] * 5
    assert not Roof(chain, np.zeros(5)).labels().any() and Roof(chain, np.zeros(5)).labels(weak=True).all()


@given(drawn=pairs_and_fields(), diagonal=draw.integers(7), dense=st.booleans())
def test_roof_dual_of_plain_arrays(drawn, diagonal, dense):
    J, h = drawn
    Q = 0.5 * J + np.diag(diagonal[: len(h)])
    X, energies = spectrum(J, h)
    optimum = energies.min() + np.trace(Q)
    best = X[energies == energies.min()]
    found = roof_dual(Q if dense else sp.csr_array(Q), h)
    assert found.value <= optimum
    assert np.any(np.all(best[:, found.labels != 0] == found.labels[found.labels != 0], axis=1))
    strong = roof_dual(Q, h, strong=True)
    assert strong.value == found.value and np.all((strong.labels == 0) | (strong.labels == found.labels))
    bound = bqp.lower_bound(bqp.BQP(Q, h), method="roof_dual")
    assert found.value <= bound.value <= optimum and bound.kind == "roof_dual"
    np.testing.assert_array_equal(bound.certificate["labels"], strong.labels)
    assert bound.value >= bqp.lower_bound(bqp.BQP(Q, h), method="trivial").value


def test_the_bound_takes_large_sparse_problems():
    n = 6000
    half = sp.diags_array(np.full(n - 1, -1.0), offsets=1, shape=(n, n), format="csr")
    problem = bqp.BQP(sp.csr_array(half + half.T), np.where(np.arange(n) % 3, 1.0, -1.0))
    bound = bqp.lower_bound(problem, method="roof_dual")
    assert bound.value == bqp.solve(problem, solver="graph_cut", reductions=()).energy
    with pytest.raises(ProblemError, match="Use method='trivial'"):
        bqp.lower_bound(bqp.BQP(LowRank(np.ones((9000, 1)))), method="roof_dual")

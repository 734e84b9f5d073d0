"""Every form agrees with its matrix written out, on everything that the protocol offers."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from bqp.errors import ProblemError
from bqp.forms import Dense, Grouped, LowRank, Sparse, Sum, as_form
from bqp.testing import reference
from bqp.testing import strategies as draw


@st.composite
def cases(data, min_n=1, max_n=7):
    """(form, matrix, x, a matrix of several x) with integers throughout."""
    n = data(st.integers(min_n, max_n))
    form, matrix = data(draw.forms(n))
    return form, matrix, data(draw.integers(n, None, -3, 3)), data(draw.integers(n, 3, -3, 3))


@given(case=cases(min_n=0))
def test_products_and_entries(case):
    form, Q, x, X = case
    assert form.n == len(Q) and form.shape == Q.shape and form.nbytes >= 0
    np.testing.assert_array_equal(form.to_dense(), Q)
    np.testing.assert_array_equal(form.to_sparse().toarray(), Q)
    np.testing.assert_array_equal(form.matvec(x), Q @ x)
    np.testing.assert_array_equal(form.matvec(X), Q @ X)
    np.testing.assert_array_equal(form.matvec(x.astype(np.int8)), Q @ x)
    np.testing.assert_array_equal(form.diagonal(), np.diagonal(Q))
    assert form.quadratic(x) == x @ Q @ x
    np.testing.assert_array_equal(form.fields(x), Q @ x - np.diagonal(Q) * x)


@given(case=cases(), data=st.data())
def test_rows_and_pairs(case, data):
    form, Q, _, _ = case
    index = np.array(data.draw(st.lists(st.integers(0, form.n - 1), min_size=1, max_size=5)))
    other = np.array(data.draw(st.lists(st.integers(0, form.n - 1), min_size=len(index), max_size=len(index))))
    np.testing.assert_array_equal(form.rows(index), Q[index])
    np.testing.assert_array_equal(form.pair_values(index, other), Q[index, other])


@given(case=cases(), data=st.data())
def test_update_fields_follows_a_change(case, data):
    form, _, x, _ = case
    i, change = data.draw(st.integers(0, form.n - 1)), data.draw(st.integers(-3, 3))
    fields = form.fields(x)
    form.update_fields(fields, i, change)
    x[i] += change
    np.testing.assert_array_equal(fields, form.fields(x))


@given(case=cases(max_n=5), data=st.data())
def test_submatrix_scaling_and_aggregation(case, data):
    form, Q, _, _ = case
    index = np.array(data.draw(st.lists(st.integers(0, form.n - 1), min_size=1, unique=True)))
    np.testing.assert_array_equal(form.submatrix(index).to_dense(), Q[np.ix_(index, index)])
    factor = data.draw(st.sampled_from([-1.0, 0.25, 4.0, 3.0, 0.0]))
    np.testing.assert_array_equal(form.scaled(factor).to_dense(), factor * Q)
    n_groups = data.draw(st.integers(1, form.n))
    labels = np.array(data.draw(st.lists(st.integers(0, n_groups - 1), min_size=form.n, max_size=form.n)))
    P = (labels[:, None] == np.arange(n_groups)).astype(float)
    np.testing.assert_array_equal(form.aggregate(labels, n_groups).to_dense(), P.T @ Q @ P)


@given(case=cases(min_n=0))
def test_sums_of_magnitudes(case):
    form, Q, _, _ = case
    off = np.abs(Q - np.diag(np.diagonal(Q))).sum(axis=1)
    if isinstance(form, Dense | Sparse | Grouped):
        np.testing.assert_array_equal(form.abs_row_sums(), off)
    assert np.all(form.abs_row_sums() >= off)
    assert form.max_abs() >= np.abs(Q).max(initial=0.0)
    assert form.magnitude() >= np.abs(Q).sum()


@given(case=cases())
def test_twin_keys_agree_only_for_twins(case):
    form, Q, _, _ = case
    keys = form.twin_keys()
    assert all(key.shape == (form.n,) for key in keys)
    for i in range(form.n):
        for j in range(i):
            if all(key[i] == key[j] for key in keys):
                assert reference.are_twins(Q, i, j)
            elif isinstance(form, Dense | Sparse):
                assert not reference.are_twins(Q, i, j)


@given(case=cases())
def test_forms_pickle(case):
    form, Q, _, _ = case
    copy = pickle.loads(pickle.dumps(form))
    assert type(copy) is type(form)
    np.testing.assert_array_equal(copy.to_dense(), Q)


def test_int8_codes_never_overflow():
    U = np.full((40, 300), 127, np.int8)
    U[::2] = -128
    x = np.ones(40, np.int8)
    form, wide = LowRank(U), U.astype(np.int64)
    Q = wide @ wide.T
    assert Q.max() > 2**22
    np.testing.assert_array_equal(form.to_dense(), Q)
    np.testing.assert_array_equal(form.matvec(x), Q.sum(axis=1))
    np.testing.assert_array_equal(form.project(x), wide.sum(axis=0))
    np.testing.assert_array_equal(form.diagonal(), np.diagonal(Q))
    np.testing.assert_array_equal(form.abs_row_sums(), np.abs(Q).sum(axis=1) - np.diagonal(Q))
    np.testing.assert_array_equal(form.pair_values(np.arange(39), np.arange(1, 40)), Q[np.arange(39), np.arange(1, 40)])
    np.testing.assert_array_equal(form.aggregate(np.arange(40) % 2, 2).to_dense(), _blocks(Q))
    assert form.quadratic(x) == Q.sum()
    assert form.max_abs() >= np.abs(Q).max()
    assert form.U.dtype == np.int8


def _blocks(Q):
    P = (np.arange(40)[:, None] % 2 == np.arange(2)).astype(np.int64)
    return P.T @ Q @ P


def test_float32_is_kept_and_counted_in_float64():
    Q = np.full((3, 3), 0.1, np.float32)
    form = Dense(Q)
    assert form.Q.dtype == np.float32
    exact = float(Q[0, 0])
    assert form.matvec(np.ones(3))[0] == exact + exact + exact
    assert form.scaled(3.0).to_dense()[0, 0] == 3.0 * exact
    assert form.scaled(0.25).Q.dtype == np.float32


def test_empty_forms():
    empty = np.zeros((0, 0))
    for form in (Dense(empty), Sparse(sp.csr_array(empty)), LowRank(np.zeros((0, 2))), Grouped([], empty)):
        assert form.n == 0 and form.matvec(np.zeros(0)).shape == (0,) and form.quadratic(np.zeros(0)) == 0.0
        assert form.to_dense().shape == (0, 0) and form.abs_row_sums().shape == (0,)
        assert all(len(key) == 0 for key in form.twin_keys())


def test_grouped_as_low_rank():
    form = Grouped(np.array([0, 1, 1, 2]), np.array([[1.0, 2, 0], [2, -3, 1], [0, 1, 0]]), np.array([1.0, 2, -1, 0.5]))
    np.testing.assert_allclose(form.as_low_rank().to_dense(), form.to_dense(), atol=1e-12)


def test_sums_are_flattened():
    part = Dense(np.eye(2))
    assert len(Sum([part, Sum([part, part])]).parts) == 3


def test_inputs_are_copied_and_frozen():
    Q = np.eye(3)
    form = Dense(Q)
    Q[0, 0] = 7
    assert form.to_dense()[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        form.Q[0, 0] = 2
    csr = sp.csr_array(np.eye(3))
    form = Sparse(csr)
    csr.data[:] = 7
    assert form.diagonal().tolist() == [1, 1, 1]


def test_rounding_asymmetry_is_repaired():
    Q = np.array([[1.0, 0.1], [0.1 + 1e-17, 1.0]])
    Q[1, 0] = np.nextafter(0.1, 1)
    for form in (Dense(Q), Sparse(sp.csr_array(Q))):
        dense = form.to_dense()
        assert dense[0, 1] == dense[1, 0]


BIG = 2**53 + 2
BAD = {
    "vector": (np.ones(3), r"square matrix, got shape \(3,\)"),
    "wide": (np.ones((2, 3)), r"square matrix, got shape \(2, 3\)"),
    "cube": (np.ones((2, 2, 2)), r"square matrix, got shape \(2, 2, 2\)"),
    "ragged": ([[1, 2], [3]], "Q must"),
    "nan": (np.array([[0, 1], [np.nan, 0]]), r"finite, got nan at \(1, 0\)"),
    "infinite": (np.array([[0, np.inf], [np.inf, 0]]), r"finite, got inf at \(0, 1\)"),
    "asymmetric": (np.array([[0, 1.0], [2.0, 0]]), r"symmetric: max \|Q - Q.T\| is 1.0e\+00 at \(0, 1\). Pass \(Q"),
    "text": (np.array([["a", "b"], ["c", "d"]]), "real numbers, got dtype <U1"),
    "complex": (np.eye(2) * 1j, "real, got dtype complex128"),
    "objects": (np.array([[None, 1], [1, None]]), "real numbers, got dtype object"),
    "nothing": (None, "real numbers, got dtype object"),
    "large integers": (np.array([[0, BIG], [BIG, 0]]), rf"integer {BIG}, above 2\*\*53; rescale"),
    "sparse nan": (sp.csr_array(np.array([[0, np.nan], [np.nan, 0]])), r"finite, got nan at \(0, 1\)"),
    "sparse asymmetric": (sp.csr_array(np.array([[0, 1.0], [0, 0]])), r"symmetric: max \|Q - Q.T\| is 1.0e\+00 at"),
    "sparse wide": (sp.csr_array(np.ones((2, 3))), r"square matrix, got shape \(2, 3\)"),
    "sparse complex": (sp.csr_array(np.eye(2) * 1j), "real, got dtype complex128"),
    "sparse large integers": (sp.csr_array(np.array([[0, BIG], [BIG, 0]])), rf"integer {BIG}, above 2\*\*53"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_matrices(name):
    Q, message = BAD[name]
    with pytest.raises(ProblemError, match=message):
        as_form(Q)


def test_bad_structures():
    with pytest.raises(ProblemError, match=r"two dimensions \(n, r\), got shape \(3,\)"):
        LowRank(np.ones(3))
    with pytest.raises(ProblemError, match=r"shape \(2,\), got \(3,\)"):
        LowRank(np.ones((4, 2)), np.ones(3))
    with pytest.raises(ProblemError, match=r"U must be finite, got nan at \(1, 0\)"):
        LowRank(np.array([[1.0], [np.nan]]))
    with pytest.raises(ProblemError, match=r"d must be finite, got inf at \(1\)"):
        LowRank(np.ones((2, 2)), [1.0, np.inf])
    with pytest.raises(ProblemError, match=r"groups must lie in 0..1 \(M has 2 rows\), got 0..2"):
        Grouped(np.array([0, 1, 2]), np.eye(2))
    with pytest.raises(ProblemError, match="groups must be a vector of integers"):
        Grouped(np.array([0.5, 1.0]), np.eye(2))
    with pytest.raises(ProblemError, match=r"a must have shape \(2,\), got \(3,\)"):
        Grouped(np.array([0, 1]), np.eye(2), np.ones(3))
    with pytest.raises(ProblemError, match=r"symmetric.*\(0, 1\)"):
        Grouped(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 0.0]]))
    with pytest.raises(ProblemError, match=r"one size, got n = \[2, 3\]"):
        Sum([Dense(np.eye(2)), Dense(np.eye(3))])
    with pytest.raises(ProblemError, match="no part at all"):
        Sum([])


def test_sparse_indices_have_one_type():
    """Kernels are compiled for a type of index: one set of them serves all callers."""
    wide = sp.csr_array(np.eye(4))
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    form = Sparse(wide)
    for made in (form, form.scaled(2.0), form.submatrix(np.array([3, 1])), form.aggregate(np.array([0, 1, 1, 0]), 2)):
        assert made.Q.indices.dtype == made.Q.indptr.dtype == np.int32
    np.testing.assert_array_equal(form.to_dense(), np.eye(4))

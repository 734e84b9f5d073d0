"""Hypothesis strategies that draw binary quadratic programs (needs hypothesis: ``pip install 'bqp[test]'``).

Numbers are small integers unless floats are asked for, so that every energy is exact and equality can be demanded.
Each form comes with the matrix that it stands for, built from the drawn numbers without the form.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from bqp.errors import BackendNotFound
from bqp.forms import Dense, Form, Grouped, LowRank, Sparse, Sum
from bqp.problem import BQP

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise BackendNotFound("hypothesis is not installed. Install the extra: pip install 'bqp[test]'.") from error

__all__ = ["FORMS", "assignments", "float_problems", "forms", "integers", "planted", "problems", "submodular_problems"]

FORMS = ("dense", "float32", "sparse", "low_rank", "low_rank_float", "grouped", "weighted_groups", "sum")


def integers(n: int, m: int | None = None, least: int = -4, most: int = 4) -> st.SearchStrategy[np.ndarray]:
    """Integer-valued float64 arrays of shape (n,) or (n, m)."""
    size = n if m is None else n * m
    shape = (n,) if m is None else (n, m)
    cells = st.lists(st.integers(least, most), min_size=size, max_size=size)
    return cells.map(lambda values: np.array(values, dtype=np.float64).reshape(shape))


@st.composite
def symmetric(draw, n: int, least: int = -4, most: int = 4) -> np.ndarray:
    """Symmetric integer matrices, diagonal included."""
    upper = np.zeros((n, n))
    upper[np.triu_indices(n)] = draw(integers(n * (n + 1) // 2, None, least, most))
    return upper + np.triu(upper, 1).T


@st.composite
def forms(draw, n: int, kinds=FORMS) -> tuple[Form, np.ndarray]:
    """(form, matrix): a form of any kind and its matrix written out."""
    kind = draw(st.sampled_from(kinds))
    if kind in ("dense", "float32"):
        Q = draw(symmetric(n))
        return Dense(Q.astype(np.float32 if kind == "float32" else np.float64)), Q
    if kind == "sparse":
        Q = draw(symmetric(n)) * draw(symmetric(n, 0, 1))
        return Sparse(sp.csr_array(Q)), Q
    if kind in ("low_rank", "low_rank_float"):
        rank = draw(st.integers(0, 4))
        U, d = draw(integers(n, rank, -2, 2)), draw(integers(rank))
        return LowRank(U.astype(np.int8 if kind == "low_rank" else np.float64), d), (U * d) @ U.T
    if kind in ("grouped", "weighted_groups"):
        n_groups = draw(st.integers(1, 4))
        groups = draw(integers(n, None, 0, n_groups - 1)).astype(np.int32)
        M = draw(symmetric(n_groups))
        a = draw(integers(n, None, -2, 3)) if kind == "weighted_groups" else None
        Q = M[np.ix_(groups, groups)]
        return Grouped(groups, M, a), Q if a is None else Q * np.outer(a, a)
    parts = draw(st.lists(forms(n, tuple(k for k in FORMS if k != "sum")), min_size=1, max_size=3))
    return Sum([form for form, _ in parts]), np.sum([matrix for _, matrix in parts], axis=0)


@st.composite
def problems(draw, max_n: int = 6, min_n: int = 1, kinds=FORMS, domains=("spin", "binary"), senses=("min", "max")):
    """Integer problems in every form, domain and sense, with and without a linear term and an offset."""
    n = draw(st.integers(min_n, max_n))
    form, _ = draw(forms(n, kinds))
    c = draw(integers(n, None, -6, 6)) if draw(st.booleans()) else None
    offset = draw(st.integers(-9, 9)) if draw(st.booleans()) else 0
    return BQP(form, c, offset, draw(st.sampled_from(domains)), draw(st.sampled_from(senses)))


@st.composite
def float_problems(draw, max_n: int = 5, scales=(1.0, 1e-3, 1e6), domains=("spin", "binary")):
    """Dense problems whose numbers are no short binary fractions, so that sums are rounded."""
    n = draw(st.integers(1, max_n))
    scale = draw(st.sampled_from(scales))
    number = st.floats(-1.0, 1.0, allow_subnormal=False).map(lambda value: scale * value)
    upper = np.zeros((n, n))
    upper[np.triu_indices(n)] = draw(st.lists(number, min_size=n * (n + 1) // 2, max_size=n * (n + 1) // 2))
    c = np.array(draw(st.lists(number, min_size=n, max_size=n)))
    return BQP(upper + np.triu(upper, 1).T, c, draw(number), draw(st.sampled_from(domains)))


@st.composite
def submodular_problems(draw, max_n: int = 6, most: int = 6, signed: bool = True):
    """Spin problems whose pairs attract, possibly after flipping some variables (`signed`)."""
    n = draw(st.integers(1, max_n))
    Q = -np.abs(draw(symmetric(n, 0, most)))
    np.fill_diagonal(Q, draw(integers(n)))
    if signed:
        gauge = 2 * draw(integers(n, None, 0, 1)) - 1
        Q = Q * np.outer(gauge, gauge)
    return BQP(Q if draw(st.booleans()) else sp.csr_array(Q), draw(integers(n, None, -9, 9)), draw(st.integers(-3, 3)))


@st.composite
def planted(draw, max_n: int = 9):
    """Spin problems with copies of variables, blocks that do not touch, and dominating linear terms."""
    n = draw(st.integers(1, max_n))
    n_types = draw(st.integers(1, 4))
    kind = draw(integers(n, None, 0, n_types - 1)).astype(int)
    M, block = draw(symmetric(n_types)), draw(integers(n_types, None, 0, 1))
    M = M * (block[:, None] == block)
    Q = M[np.ix_(kind, kind)]
    linear = draw(integers(n_types, None, -3, 3)) * draw(st.sampled_from([1.0, 1.0, 30.0]))
    c = linear[kind]
    if draw(st.booleans()):  # one variable of its own
        c[draw(st.integers(0, n - 1))] += draw(st.sampled_from([1.0, 50.0]))
    shape = draw(st.sampled_from(["dense", "sparse", "grouped", "sum"]))
    if shape == "grouped":
        return BQP(Grouped(kind, M), c, 2.0)
    if shape == "sum":
        return BQP(Sum([Grouped(kind, M), Sparse(sp.csr_array(np.diag(np.arange(n, dtype=float))))]), c, 2.0)
    return BQP(Q if shape == "dense" else sp.csr_array(Q), c, 2.0)


def assignments(problem: BQP) -> st.SearchStrategy[np.ndarray]:
    """Assignments of a problem in its own domain, int8."""
    low = -1 if problem.domain == "spin" else 0
    cells = st.lists(st.sampled_from([low, 1]), min_size=problem.n, max_size=problem.n)
    return cells.map(lambda values: np.array(values, dtype=np.int8))

"""The shapes that Q may take, behind one protocol that gives the same answers whatever the shape.

A form is a symmetric n x n matrix that is asked for products, diagonals, rows and sums, and is written out only by
`to_dense`. Costs and memory are those of the structure: n**2 for `Dense`, the stored entries for `Sparse`, n r for
`LowRank`, n + C**2 for `Grouped`, and the sum of the parts for `Sum`.
"""

import scipy.sparse as sp

from bqp.forms.base import Form
from bqp.forms.dense import Dense
from bqp.forms.grouped import Grouped
from bqp.forms.low_rank import LowRank
from bqp.forms.sparse import Sparse
from bqp.forms.sum import Sum

__all__ = ["Dense", "Form", "Grouped", "LowRank", "Sparse", "Sum", "as_form"]


def as_form(Q) -> Form:
    """Wrap an array, a scipy sparse matrix or a form; checks shape, symmetry, finiteness.

    Raises
    ------
    ProblemError
        Not square, not symmetric, not finite, or not numeric.
    """
    if isinstance(Q, Form):
        return Q
    if sp.issparse(Q):
        return Sparse(Q)
    return Dense(Q)

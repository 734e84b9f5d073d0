"""The binary quadratic program and its conversions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from bqp.checks import as_array
from bqp.errors import BackendNotFound, ParameterError, ProblemError
from bqp.forms import Form, Sparse, as_form

__all__ = ["BQP", "to_bqm"]

_DOMAINS = ("spin", "binary")
_SENSES = ("min", "max")


class BQP:
    """Minimise (or maximise) ``x'Qx + c'x + offset`` over x in {-1, +1}^n or {0, 1}^n.

    Parameters
    ----------
    Q : ndarray, scipy sparse matrix or Form, shape (n, n)
        Symmetric; an off-diagonal pair counts twice, as the product says. Copied, checked once and frozen; forms are
        taken as they are.
    c : array of shape (n,), optional
        Linear term, default zero.
    offset : float
        Constant.
    domain : {"spin", "binary"}
        ``"spin"`` for {-1, +1}, ``"binary"`` for {0, 1}.
    sense : {"min", "max"}
        What to do with the objective that Q, c and offset describe.

    Attributes
    ----------
    Q, c, offset : Form, ndarray of shape (n,), float
        The *energy*, which is always minimised: with ``sense="max"`` the arguments negated.
    n, domain, sense

    Raises
    ------
    ProblemError
        Q not square, not symmetric, not finite; c of a wrong shape or not finite; unknown domain or sense.

    Notes
    -----
    ``energy(x) == objective(x)`` when the sense is "min", and ``-objective(x)`` when it is "max".

    Examples
    --------
    >>> import numpy as np, bqp
    >>> problem = bqp.BQP(np.array([[0, 1], [1, 0]]), c=[1, 0])
    >>> problem.energy([1, -1])
    -1.0
    >>> problem.flip_deltas([1, -1])
    array([2., 4.])
    """

    __slots__ = ("Q", "c", "domain", "n", "offset", "sense")

    Q: Form
    c: np.ndarray
    offset: float
    domain: str
    sense: str
    n: int

    def __init__(self, Q, c=None, offset: float = 0.0, domain: str = "spin", sense: str = "min"):
        if domain not in _DOMAINS:
            raise ParameterError(f"domain must be 'spin' for {{-1, +1}} or 'binary' for {{0, 1}}, got {domain!r}.")
        if sense not in _SENSES:
            raise ParameterError(f"sense must be 'min' or 'max', got {sense!r}.")
        domain, sense = str(domain), str(sense)
        form = as_form(Q)
        if c is None:
            linear = np.zeros(form.n)
        else:
            linear = _linear(c, form.n)
        try:
            constant = float(offset)
        except (TypeError, ValueError) as error:
            raise ProblemError(f"offset must be a number, got {offset!r}.") from error
        if not np.isfinite(constant):
            raise ProblemError(f"offset must be finite, got {constant}.")
        _check_magnitude(form, linear, constant)
        if sense == "max":
            form, linear, constant = form.scaled(-1.0), -linear, -constant
        self._freeze(form, linear, constant, domain, sense)

    def _freeze(self, Q: Form, c: np.ndarray, offset: float, domain: str, sense: str) -> None:
        c = np.array(c, dtype=np.float64) + 0.0
        c.setflags(write=False)
        for name, value in zip(
            ("Q", "c", "offset", "domain", "sense", "n"), (Q, c, float(offset) + 0.0, domain, sense, Q.n)
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        raise AttributeError(f"a BQP is frozen; build a new one instead of setting {name!r}.")

    def __reduce__(self):
        return _from_energy, (self.Q, self.c, self.offset, self.domain, self.sense)

    def __repr__(self) -> str:
        return f"BQP(n={self.n}, form={self.Q.name}, domain={self.domain!r}, sense={self.sense!r})"

    @classmethod
    def from_energy(cls, Q: Form, c: np.ndarray, offset: float, domain: str = "spin", sense: str = "min") -> BQP:
        """Build from the minimised energy itself, whatever the sense reported to the user (unchecked; internal)."""
        return _from_energy(Q, c, offset, domain, sense)

    # ---- evaluation --------------------------------------------------------------------------------------------

    def check_assignment(self, x, name: str = "x") -> np.ndarray:
        """Return `x` as int8 of shape (n,), or (k, n) for several.

        Raises
        ------
        ProblemError
            Wrong shape, or a value outside the domain.
        """
        array = np.asarray(x)
        if array.ndim not in (1, 2) or array.shape[-1] != self.n:
            raise ProblemError(f"{name} must have shape ({self.n},) or (k, {self.n}), got {array.shape}.")
        allowed = (-1, 1) if self.domain == "spin" else (0, 1)
        good = (array == allowed[0]) | (array == allowed[1])
        if not np.all(good):
            place = np.unravel_index(int(np.argmin(good)), array.shape)
            where = ", ".join(map(str, place))
            values = "-1 or +1" if self.domain == "spin" else "0 or 1"
            raise ProblemError(
                f"{name} must hold {values} (domain {self.domain!r}), got {array[place]} at ({where})."
                + (" Codes of 0/1 become spins by 2 * x - 1." if self.domain == "spin" else "")
            )
        return array.astype(np.int8)

    def energy(self, x) -> float | np.ndarray:
        """Energy of an assignment (n,) as a float, or of each row of (k, n) as a vector; exact for integer data."""
        x = self.check_assignment(x)
        if x.ndim == 1:
            return self.Q.quadratic(x) + float(np.sum(self.c * x)) + self.offset
        return np.array([self.energy(row) for row in x])

    def objective(self, x) -> float | np.ndarray:
        """The objective in the user's sense: the energy, negated when the sense is "max"."""
        return self.energy(x) if self.sense == "min" else -self.energy(x)

    def flip_deltas(self, x) -> np.ndarray:
        """Energy change of flipping each variable of `x` alone.

        Parameters
        ----------
        x : array of shape (n,)
            Assignment in the problem's domain; read only.

        Returns
        -------
        deltas : ndarray of shape (n,), float64
            ``deltas[i] < 0`` means that flipping ``i`` improves. Exact for integer data below 2**53.

        Notes
        -----
        One product with Q. In the spin domain delta_i = -4 x_i f_i - 2 c_i x_i, f the local fields; in the binary
        domain delta_i = s_i (2 (Qx)_i + c_i) + Q_ii with s_i = 1 - 2 x_i.
        """
        x = self.check_assignment(x).astype(np.float64)
        if x.ndim != 1:
            raise ProblemError(f"flip_deltas takes one assignment of shape ({self.n},), got shape {x.shape}.")
        if self.domain == "spin":
            return -2.0 * x * (2.0 * self.Q.fields(x) + self.c)
        return (1.0 - 2.0 * x) * (2.0 * self.Q.matvec(x) + self.c) + self.Q.diagonal()

    # ---- domains -----------------------------------------------------------------------------------------------

    def to_spin(self) -> BQP:
        """The same energies over {-1, +1}^n: x = (1 + s) / 2."""
        if self.domain == "spin":
            return self
        ones = np.ones(self.n)
        row_sums = self.Q.matvec(ones)
        offset = self.offset + 0.25 * float(ones @ row_sums) + 0.5 * float(self.c.sum())
        return _from_energy(self.Q.scaled(0.25), 0.5 * row_sums + 0.5 * self.c, offset, "spin", self.sense)

    def to_binary(self) -> BQP:
        """The same energies over {0, 1}^n: s = 2 x - 1."""
        if self.domain == "binary":
            return self
        ones = np.ones(self.n)
        row_sums = self.Q.matvec(ones)
        offset = self.offset + float(ones @ row_sums) - float(self.c.sum())
        return _from_energy(self.Q.scaled(4.0), 2.0 * self.c - 4.0 * row_sums, offset, "binary", self.sense)

    # ---- other people's conventions ----------------------------------------------------------------------------

    @classmethod
    def from_qubo(cls, Q, c=None, offset: float = 0.0, sense: str = "min") -> BQP:
        """``x'Qx + c'x + offset`` over {0, 1}^n for any square Q: full, triangular or a dictionary {(i, j): value}.

        Every stored entry counts once, so triangular and full matrices mean what their product says.
        """
        return cls(_symmetrised(Q, "Q"), c, offset, domain="binary", sense=sense)

    @classmethod
    def from_ising(cls, h, J, offset: float = 0.0, sense: str = "min") -> BQP:
        """``h's + s'Js + offset`` over {-1, +1}^n; J triangular, full or a dictionary {(i, j): value}.

        Every stored entry counts once: give one triangle for a sum over pairs. `h` is an array or a dictionary.
        """
        n = None
        if isinstance(h, Mapping):
            pairs = J.keys() if isinstance(J, Mapping) else ()
            n = 1 + max([_index(i) for i in h] + [_index(i) for pair in pairs for i in pair], default=-1)
            if not isinstance(J, Mapping):
                n = max(n, np.shape(J)[0])
            field = np.zeros(n)
            field[[_index(i) for i in h]] = _numbers(list(h.values()), "h")
            h = field
        h = _numbers(h, "h")
        Q = as_form(_symmetrised(J, "J", n if n is not None else len(np.atleast_1d(h))))
        return cls(Q, _linear(h, Q.n, "h", "J"), offset, "spin", sense)

    @classmethod
    def from_maxcut(cls, W) -> BQP:
        """Maximise the weight of the edges between x = +1 and x = -1; W symmetric, shape (n, n), diagonal ignored.

        The objective is ``sum_{i<j} W_ij (1 - x_i x_j) / 2``.
        """
        form = as_form(W)  # its diagonal adds the same to x'Wx and to the total
        _check_magnitude(form, np.zeros(0), 0.0)
        total = float(form.matvec(np.ones(form.n)).sum())
        return _from_energy(form.scaled(0.25), np.zeros(form.n), -0.25 * total, "spin", "max")

    @classmethod
    def from_bqm(cls, bqm) -> BQP:
        """From a dimod binary quadratic model; variable k is ``list(bqm.variables)[k]``."""
        _dimod()
        linear, (row, column, value), offset = bqm.to_numpy_vectors(variable_order=list(bqm.variables))
        n = len(linear)
        half = sp.coo_array((np.asarray(value, dtype=np.float64) / 2, (row, column)), shape=(n, n)).tocsr()
        domain = "binary" if bqm.vartype.name == "BINARY" else "spin"
        return cls(sp.csr_array(half + half.T), np.asarray(linear), float(offset), domain=domain)

    def to_bqm(self, variables=None):
        """A dimod model in the same domain, with the energy as its objective (dimod minimises).

        Its variables are named 0 to n - 1, or as `variables` says: n distinct names, in the order of the columns.
        """
        dimod = _dimod()
        names = None if variables is None else list(variables)
        if names is not None and not len(names) == len(set(names)) == self.n:
            raise ProblemError(f"variables must be {self.n} distinct names, got {len(set(names))} in {len(names)}.")
        form = self.Q if isinstance(self.Q, Sparse) else Sparse(self.Q.to_sparse(), check=False)
        upper = sp.triu(form.Q, k=1).tocoo()
        diagonal = form.diagonal()
        linear = self.c + (diagonal if self.domain == "binary" else 0.0)
        offset = self.offset + (float(diagonal.sum()) if self.domain == "spin" else 0.0)
        vartype = dimod.BINARY if self.domain == "binary" else dimod.SPIN
        return dimod.BinaryQuadraticModel.from_numpy_vectors(
            linear, (upper.row, upper.col, 2.0 * upper.data), offset, vartype, variable_order=names
        )

    def to_qubo(self) -> tuple[np.ndarray | sp.csr_array, float]:
        """``(Q, offset)`` with energy = x'Qx + offset over {0, 1}^n, the linear term on the diagonal of symmetric Q.

        The matrix is a csr_array for sparse problems and an ndarray otherwise. It is the minimised energy, whatever
        the sense.
        """
        problem = self.to_binary()
        if isinstance(problem.Q, Sparse):
            return sp.csr_array(problem.Q.Q + sp.diags_array(problem.c)), problem.offset
        Q = problem.Q.to_dense()
        Q[np.diag_indices(self.n)] += problem.c
        return Q, problem.offset

    def to_ising(self) -> tuple[np.ndarray, np.ndarray | sp.csr_array, float]:
        """``(h, J, offset)`` with energy = h's + sum_{i<j} J_ij s_i s_j + offset; J strictly upper triangular."""
        problem = self.to_spin()
        offset = problem.offset + float(problem.Q.diagonal().sum())
        if isinstance(problem.Q, Sparse):
            return problem.c.copy(), sp.csr_array(2.0 * sp.triu(problem.Q.Q, k=1)), offset
        return problem.c.copy(), 2.0 * np.triu(problem.Q.to_dense(), k=1), offset


def to_bqm(problem: BQP, variables=None):
    """The dimod model of a problem, as `BQP.to_bqm`: the energy in the problem's domain, variables named as given."""
    return problem.to_bqm(variables)


def _from_energy(Q: Form, c: np.ndarray, offset: float, domain: str, sense: str) -> BQP:
    problem = object.__new__(BQP)
    problem._freeze(Q, c, offset, domain, sense)
    return problem


def _check_magnitude(form: Form, linear: np.ndarray, constant: float) -> None:
    with np.errstate(over="ignore"):
        largest = abs(constant) + 4.0 * (form.magnitude() + float(np.abs(linear).sum()))
    if not np.isfinite(largest):
        raise ProblemError("energies could overflow float64: n**2 times the largest entry is infinite. Rescale.")


def _linear(c, n: int, name: str = "c", matrix: str = "Q") -> np.ndarray:
    linear = _numbers(c, name, n)
    if linear.shape != (n,):
        raise ProblemError(f"{name} must have shape ({n},) to match {matrix}, got {linear.shape}.")
    finite = np.isfinite(linear)
    if not finite.all():
        place = int(np.argmin(finite))
        raise ProblemError(f"{name} must be finite, got {linear[place]} at ({place}).")
    return linear


def _numbers(values, name: str, n: int | None = None) -> np.ndarray:
    try:
        if np.iscomplexobj(values):
            raise TypeError("complex values")
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        size = "" if n is None else f"{n} "
        raise ProblemError(f"{name} must be a vector of {size}numbers: {error}.") from error


def _index(i) -> int:
    if isinstance(i, bool) or not isinstance(i, int | np.integer) or i < 0:
        raise ProblemError(
            f"dictionary keys must be non-negative integers, got {i!r}. Use from_bqm for named variables."
        )
    return int(i)


def _symmetrised(Q, name: str, n: int | None = None):
    """(Q + Q') / 2 of a square array, sparse matrix or dictionary of pairs."""
    if isinstance(Q, Form):
        return Q
    if sp.issparse(Q):  # before Mapping, which dok matrices are
        Q = sp.csr_array(Q)
    if isinstance(Q, Mapping):
        for key in Q:
            if not isinstance(key, tuple) or len(key) != 2:
                raise ProblemError(f"the keys of {name} must be pairs (i, j), got {key!r}.")
        row = np.array([_index(i) for i, _ in Q], dtype=np.int64)
        column = np.array([_index(j) for _, j in Q], dtype=np.int64)
        value = _numbers(list(Q.values()), name)
        size = max(n or 0, 1 + max(row.max(initial=-1), column.max(initial=-1)))
        Q = sp.coo_array((value, (row, column)), shape=(size, size)).tocsr()
    if not sp.issparse(Q):
        Q = as_array(Q, name)
        if Q.dtype == object or not (np.issubdtype(Q.dtype, np.number) or Q.dtype == bool) or np.iscomplexobj(Q):
            raise ProblemError(f"{name} must hold real numbers, got dtype {Q.dtype}.")
    if len(Q.shape) != 2 or Q.shape[0] != Q.shape[1]:
        raise ProblemError(f"{name} must be a square matrix, got shape {tuple(Q.shape)}.")
    values = Q.data if sp.issparse(Q) else Q
    if not np.all(np.isfinite(values)):
        as_form(Q if not sp.issparse(Q) else sp.csr_array(Q))  # raises with the place
    Q = Q.astype(np.float64)
    return (Q + Q.T) * 0.5


def _dimod():
    try:
        import dimod
    except ImportError as error:
        raise BackendNotFound("dimod is not installed. Install the extra: pip install 'bqp[dimod]'.") from error
    return dimod

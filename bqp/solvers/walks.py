"""Walks: the state of one local search, over whichever storage suits the problem.

`prepare(problem)` chooses the storage once, and `start(x)` begins a walk from an assignment; the arrays of the problem
are shared by all walks and threads, those of the state belong to the walk. Integer data are held in the narrowest
integers that are exact: rows of int8 to int32, deltas of int32, in units of a power of two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from bqp.forms import Dense, Form, Grouped, LowRank, Sparse, Sum
from bqp.problem import BQP
from bqp.rounding import common_unit, off_diagonal_blocks

__all__ = ["Storage", "Walk", "prepare"]

DENSE_FROM = 0.05  # density from which dense rows beat CSR
DENSE_UP_TO = 20_000  # variables up to which a sparse matrix is written out at all
REBUILD_AFTER = 100_000  # moves after which inexact deltas are computed afresh
_BLOCK = 128
_BIG_NARROW = np.int16(2**15 - 1)
_DESCENT_VISITS = 100_000  # looked at before the clock is
EXPONENTIALS = -np.log1p(-(np.arange(2**14) + 0.5) / 2**14)
"""Quantiles of the exponential distribution; a uniform draw from them is a draw of it, up to 10.4."""
_SHUFFLED = np.random.Generator(np.random.PCG64(20)).permutation(EXPONENTIALS)
_DRAWS = {kind: np.concatenate([_SHUFFLED, _SHUFFLED[:63]]).astype(kind) for kind in (np.float32, np.float64)}


def random_draws(dtype: np.dtype) -> np.ndarray:
    """`EXPONENTIALS` in random order, the first ones again at the end: float32 beside integer deltas, else float64."""
    return _DRAWS[np.float32 if dtype.kind == "i" else np.float64]


def prepare(problem: BQP) -> Storage:
    """Choose dense rows, CSR rows or the structured form for a spin problem.

    Density and structure decide, not size, so that kernels compiled by a small problem serve a large one of its kind.
    """
    form = problem.Q
    if isinstance(form, Sparse):
        if form.Q.nnz >= DENSE_FROM * form.n**2 and form.n <= DENSE_UP_TO:
            return DenseStorage(problem, Dense(form.Q.toarray(), check=False))
        return SparseStorage(problem, form)
    if isinstance(form, Dense):
        if _is_thin(form.Q):
            return SparseStorage(problem, Sparse(sp.csr_array(form.Q), check=False))
        return DenseStorage(problem, form)
    if 8 * form.n**2 <= 2 * form.nbytes:  # the structure is no smaller than the matrix
        return DenseStorage(problem, Dense(form.to_dense(), check=False))
    return StructuredStorage(problem, form)


class Storage(ABC):
    """The problem's numbers, laid out for kernels; `start` begins a walk."""

    kind: str

    def __init__(self, problem: BQP):
        self.problem = problem
        self.n = problem.n
        self.n_padded = -(-self.n // _BLOCK) * _BLOCK

    @abstractmethod
    def start(self, x: np.ndarray, delta: np.ndarray | None = None) -> Walk:
        """A walk from `x`; `delta` is what an exact walk that stood there kept, which saves a product."""

    def deltas(self, x: np.ndarray) -> np.ndarray:
        """The change of energy of each flip, in the walk's unit."""
        return self.problem.flip_deltas(x)

    def _deltas_from(self, fields: np.ndarray, x: np.ndarray) -> np.ndarray:
        """From the products of the kernels' own rows, 4 Q over the unit without its diagonal.

        `BQP.flip_deltas` subtracts the diagonal again, which may round what the kernels hold exactly.
        """
        return -x.astype(np.float64) * (fields + self.problem.c * (2.0 / self.unit))


class Walk(ABC):
    """State of one local search.

    Attributes
    ----------
    x, best_x : ndarray of shape (n_padded,), int8
        Where the walk stands, and the best it has seen.
    """

    def __init__(self, storage: Storage, x: np.ndarray, unit: float, exact: bool, dtype, big, delta=None):
        self.storage, self.unit, self.exact, self.big = storage, unit, exact, big
        self.n = storage.n
        self.x = np.ones(storage.n_padded, np.int8)
        self.x[: self.n] = x
        self.best_x = self.x.copy()
        self.delta = np.full(storage.n_padded, big, dtype)
        self.stamp = np.full(storage.n_padded, 2**31 - 1, np.int32)
        self.energies = np.zeros(3)  # current, best, and the least gain that counts as one
        self.counters = np.zeros(3, np.int64)
        self.since_rebuild = 0
        if exact and delta is not None:
            self.delta[: self.n], self._tol = delta, 0.0
        else:
            self._fill_delta()
        self.base = self._energy_afresh()

    def _energy_afresh(self) -> float:
        return float(self.storage.problem.energy(self.x[: self.n]))

    def _fill_delta(self) -> None:
        self.delta[: self.n] = self.storage.deltas(self.x[: self.n])
        self._tol = 0.0 if self.exact else 1e-12 * float(np.abs(self.delta[: self.n]).max(initial=0.0))

    @property
    def energy(self) -> float:
        return self.base + self.energies[0] * self.unit

    @property
    def best_energy(self) -> float:
        return self.base + self.energies[1] * self.unit

    @property
    def tol(self) -> float:
        """Improvements up to this are taken for rounding (0 for exact data), in the walk's unit."""
        return self._tol

    def rebuild(self) -> None:
        """Compute state and energy afresh from x; undoes the drift of inexact sums."""
        best = float(self.storage.problem.energy(self.best_x[: self.n]))
        self._fill_delta()
        self.base = self._energy_afresh()
        self.energies[:2] = 0.0, (best - self.base) / self.unit
        self.since_rebuild = 0

    def move_to(self, x: np.ndarray) -> None:
        """Go to another assignment; the best one stays what it is."""
        self.x[: self.n] = x
        self.rebuild()

    def _until_rebuild(self, moves: int) -> int:
        """At most `moves`, and no more than until the next rebuild, so that chunks of any size make the same walk."""
        return moves if self.exact else min(moves, REBUILD_AFTER - self.since_rebuild)

    def _count(self, moves: int) -> int:
        self.since_rebuild += int(moves)
        if not self.exact and self.since_rebuild >= REBUILD_AFTER:
            self.rebuild()
        return int(moves)

    # ---- descent -----------------------------------------------------------------------------------------------

    def descend(self, order: np.ndarray, start: int, stop: int, max_moves: int) -> tuple[int, int]:
        """Visit order[start:stop] once; returns (next position, moves)."""
        moves = 0
        while start < stop and moves < max_moves:
            start, made = self._descend(order, start, stop, self.tol, self._until_rebuild(max_moves - moves))
            moves += self._count(made)
        return int(start), moves

    def descend_greedy(self, max_moves: int) -> tuple[bool, int]:
        """Flip the best variable, up to `max_moves` times; returns (no variable improves, moves)."""
        finished, moves = False, 0
        while not finished and moves < max_moves:
            finished, made = self._descend_greedy(self.tol, self._until_rebuild(max_moves - moves))
            moves += self._count(made)
        return bool(finished), moves

    @abstractmethod
    def _descend(self, order, start, stop, tol, max_moves) -> tuple[int, int]: ...

    @abstractmethod
    def _descend_greedy(self, tol, max_moves) -> tuple[bool, int]: ...

    def anneal(self, temperatures, start: int, stop: int, max_moves: int, state: np.ndarray) -> tuple[int, int]:
        """Metropolis sweeps start:stop, at ``temperatures[sweep]`` in the walk's unit; returns (next sweep, moves).

        ``state[0]`` is the random word, odd.
        """
        moves = 0
        while start < stop and moves < max_moves:
            allowed = self._until_rebuild(max_moves - moves)
            start, made = self._anneal(temperatures, start, stop, allowed, state)
            moves += self._count(made)
        return int(start), moves

    def sink(self, limit: int, abort, made: list[int]) -> None:
        """Sweep to a local optimum, in pieces; ``made[0]`` counts the moves, up to `limit`, for whoever interrupts."""
        order = np.arange(self.n, dtype=np.int32)
        before = -1
        while before < made[0] < limit and not abort():
            before = made[0]
            position = 0
            while position < self.n and made[0] < limit and not abort():
                stop = min(self.n, position + _DESCENT_VISITS)
                position, moves = self.descend(order, position, stop, limit - made[0])
                made[0] += moves

    @abstractmethod
    def _anneal(self, temperatures, start, stop, max_moves, state) -> tuple[int, int]: ...

    def settle(self) -> None:
        """Make the present assignment the best one (after a descent, which never rises)."""
        self.best_x[:] = self.x
        self.energies[1] = self.energies[0]

    # ---- tabu --------------------------------------------------------------------------------------------------

    def begin_tabu(self, seed: int) -> None:
        """Clear the tabu stamps and start counting moves without gain from here."""
        self.stamp[: self.n] = 0
        self.counters[:] = 0, 0, seed | 1
        self.settle()
        self._refresh()
        self.energies[2] = self.tol
        if not self.exact:  # more than the running energy can drift between rebuilds
            drift = REBUILD_AFTER * np.finfo(np.float64).eps * float(np.abs(self.delta[: self.n]).sum())
            self.energies[2] = max(self.energies[2], drift)

    def _refresh(self) -> None:
        """Make the deltas those of x, without the drift of inexact sums."""
        self._fill_delta()

    def tabu(self, max_moves, tenure, spread, stall, target=-np.inf, aspirate=True) -> int:
        """Up to `max_moves` tabu moves; stops at energy `target` or after `stall` moves without a new best."""
        moves, allowed, made = 0, 0, 0
        while made == allowed and moves < max_moves:
            allowed = self._until_rebuild(int(max_moves) - moves)
            limit = (target - self.base) / self.unit
            made = int(self._tabu(allowed, int(tenure), int(spread), int(stall), float(limit), bool(aspirate)))
            moves += self._count(made)
        return moves

    @abstractmethod
    def _tabu(self, max_moves, tenure, spread, stall, target, aspirate) -> int: ...


class DenseStorage(Storage):
    """Rows of n padded entries, int8 to int32 for integer data, else float64."""

    kind = "dense"
    dtype: np.dtype
    row_dtype: np.dtype
    rows: np.ndarray
    bound: float  # what no delta exceeds, in the unit

    def __init__(self, problem: BQP, form: Dense):
        super().__init__(problem)
        largest = self._integers(form) or self._any_numbers(form)
        self.narrow_limit = self.guard = 0
        if self.row_dtype == np.int8:  # tabu search may keep its deltas in int16, twice as many at a time
            from bqp.kernels.tabu import GUARD

            reach = GUARD * 2 * int(largest)  # how far a delta gets between two looks at them
            fits = self.bound < _BIG_NARROW
            self.narrow_limit = max(1, int(self.bound)) if fits else int(_BIG_NARROW) - reach
            self.guard = 0 if fits else self.narrow_limit
        self.big = self.dtype.type(2**30) if self.dtype == np.int32 else self.dtype.type(1e300)

    def _integers(self, form: Dense) -> float:
        """Fill rows whose entries are small integers, in one pass; returns the largest, or 0 where they are not."""
        if form.Q.dtype.kind not in "fiu" or not np.isfinite(self.problem.c).all():
            return 0.0
        smallest, whole_c = common_unit([], self.problem.c)
        if not np.any(self.problem.c):
            smallest = np.inf
        for scale in (1.0, 2.0):
            found = whole_c and _small_integers(form.Q, 4.0 * scale, self.n_padded)
            if found:
                rows, bits, sums = found
                unit = min(float(bits & -bits) / scale, smallest)
                if unit * scale < 1.0:  # the linear term asks for a finer one
                    return 0.0
                rows >>= int(unit * scale).bit_length() - 1
                self.unit, self.exact, self.dtype = unit, True, np.dtype(np.int32)
                self.bound = (sums / scale + 2.0 * np.abs(self.problem.c).max(initial=0.0)) / unit
                largest = float(max(int(rows.max()), -int(rows.min())))
                self.row_dtype = np.dtype(np.int8 if largest <= 127 else np.int16)
                self.rows = rows.astype(self.row_dtype, copy=False)
                return largest if self.bound < 2.0**29 and largest <= 32767 else 0.0
        return 0.0

    def _any_numbers(self, form: Dense) -> float:
        """Fill rows of whatever type holds the entries; returns the largest of them."""
        self.unit, integral = common_unit(off_diagonal_blocks(form.Q), self.problem.c)
        largest_c = np.abs(self.problem.c).max(initial=0.0)
        self.bound = (4.0 * form.abs_row_sums().max(initial=0.0) + 2.0 * largest_c) / self.unit
        self.exact = integral and self.bound < 2.0**52
        largest = 4.0 * _largest_off_diagonal(form.Q) / self.unit
        if integral and self.bound < 2.0**29:
            self.dtype = np.dtype(np.int32)
            self.row_dtype = np.dtype(np.int8 if largest <= 127 else np.int16 if largest <= 32767 else np.int32)
        else:
            self.dtype = self.row_dtype = np.dtype(np.float64)
        self.rows = np.zeros((self.n, self.n_padded), self.row_dtype)
        a = 0
        for block in off_diagonal_blocks(form.Q):
            self.rows[a : a + len(block), : self.n] = block * (4.0 / self.unit)
            a += len(block)
        return largest

    def deltas(self, x):
        if self.rows.itemsize <= 2:
            from bqp.kernels.tabu import fields_dense

            fields = np.empty(self.n, np.int32)
            fields_dense(self.rows, x, fields)
            return self._deltas_from(fields, x)
        fields, step = np.empty(self.n), max(1, (1 << 20) // self.n)
        for a in range(0, self.n, step):
            fields[a : a + step] = self.rows[a : a + step, : self.n].astype(np.float64) @ x.astype(np.float64)
        return self._deltas_from(fields, x)

    @cached_property
    def constant(self) -> float:
        """What the energy holds besides the pairs and the linear term."""
        return float(self.problem.Q.diagonal().sum()) + self.problem.offset

    def start(self, x, delta=None):
        return DenseWalk(self, x, self.unit, self.exact, self.dtype, self.big, delta)


class DenseWalk(Walk):
    """Exact deltas are kept for ever: whatever they say of the energy needs no product, and nor does a way back."""

    storage: DenseStorage

    def _energy_afresh(self):
        if not self.exact:
            return super()._energy_afresh()
        linear = float(self.x[: self.n] @ self.storage.problem.c) / self.unit
        pairs = -(float(self.delta[: self.n].sum(dtype=np.float64)) + 2.0 * linear) / 4.0
        return (pairs + linear) * self.unit + self.storage.constant

    def _refresh(self):
        if not self.exact:
            self._fill_delta()

    def move_to(self, x):
        if not self.exact:
            super().move_to(x)
            return
        from bqp.kernels.tabu import flip_dense

        flip_dense(self.storage.rows, 2.0, self.x, self.delta, np.flatnonzero(self.x[: self.n] != x), self.energies)

    def path(self, ahead: np.ndarray, lo: int, hi: int) -> None:
        """Flip `hi` of the variables `ahead`, each time the best; stay at the best point after more than `lo` flips."""
        from bqp.kernels.tabu import path_dense

        path_dense(self.storage.rows, 2.0, self.x, self.delta, ahead, lo, hi, self.energies)
        if not self.exact:
            self.rebuild()

    def _descend(self, order, start, stop, tol, max_moves):
        from bqp.kernels.descent import descend_dense

        return descend_dense(
            self.storage.rows, 2.0, self.x, self.delta, order, start, stop, tol, max_moves, self.energies
        )

    def _descend_greedy(self, tol, max_moves):
        from bqp.kernels.descent import descend_dense_greedy

        return descend_dense_greedy(
            self.storage.rows, 2.0, self.x, self.delta, self.n, tol, max_moves, self.energies
        )  # fmt: skip

    def _anneal(self, temperatures, start, stop, max_moves, state):
        from bqp.kernels.annealing import anneal_dense

        draws = random_draws(self.delta.dtype)
        return anneal_dense(
            self.storage.rows, 2.0, self.x, self.delta, self.n, temperatures.astype(draws.dtype), start, stop, draws,
            max_moves, state, self.energies,
        )  # fmt: skip

    def _tabu(self, max_moves, tenure, spread, stall, target, aspirate):
        limit, moves, fits = self.storage.narrow_limit, 0, False
        settings = tenure, spread, stall, target, aspirate
        if limit and np.abs(self.delta[: self.n]).max() <= limit:
            narrow = np.full(self.storage.n_padded, _BIG_NARROW)
            narrow[: self.n] = self.delta[: self.n]
            moves, fits = self._tabu_on(narrow, _BIG_NARROW, self.storage.guard, max_moves, *settings)
            self.delta[: self.n] = narrow[: self.n]
        if not fits and moves < max_moves:
            moves += self._tabu_on(self.delta, self.big, 0, max_moves - moves, *settings)[0]
        return moves

    def _tabu_on(self, delta, big, guard, max_moves, tenure, spread, stall, target, aspirate):
        from bqp.kernels.tabu import tabu_dense

        return tabu_dense(
            self.storage.rows, 2.0, self.x, delta, self.stamp, self.best_x, self.energies, self.counters,
            tenure, spread, max_moves, stall, target, aspirate, big, guard,
        )  # fmt: skip


class SparseStorage(Storage):
    """CSR rows without a diagonal; values int32 for integer data, else float64."""

    kind = "sparse"

    def __init__(self, problem: BQP, form: Sparse):
        super().__init__(problem)
        Q = form.Q.tocoo()
        off = Q.row != Q.col
        Q = sp.csr_array((Q.data[off], (Q.row[off], Q.col[off])), shape=Q.shape)
        Q.sort_indices()
        self.unit, integral = common_unit([Q.data], problem.c)
        bound = (4.0 * form.abs_row_sums().max(initial=0.0) + 2.0 * np.abs(problem.c).max(initial=0.0)) / self.unit
        self.exact = integral and bound < 2.0**52
        self.dtype = np.dtype(np.int32 if integral and bound < 2.0**29 else np.float64)
        self.indptr, self.indices = Q.indptr, Q.indices
        self.data = (Q.data * (4.0 / self.unit)).astype(self.dtype)
        self.big = self.dtype.type(2**30) if self.dtype == np.int32 else self.dtype.type(1e300)

    def deltas(self, x):
        rows = sp.csr_array((self.data, self.indices, self.indptr), shape=(self.n, self.n))
        return self._deltas_from(rows @ x.astype(np.float64), x)

    def start(self, x, delta=None):
        return SparseWalk(self, x, self.unit, self.exact, self.dtype, self.big, delta)


class SparseWalk(Walk):
    storage: SparseStorage

    def _csr(self):
        return self.storage.indptr, self.storage.indices, self.storage.data

    def _descend(self, order, start, stop, tol, max_moves):
        from bqp.kernels.descent import descend_sparse

        return descend_sparse(
            *self._csr(), 2.0, self.x, self.delta, order, start, stop, tol, max_moves, self.energies
        )  # fmt: skip

    def _descend_greedy(self, tol, max_moves):
        from bqp.kernels.descent import descend_sparse_greedy

        return descend_sparse_greedy(*self._csr(), 2.0, self.x, self.delta, self.n, tol, max_moves, self.energies)

    def _anneal(self, temperatures, start, stop, max_moves, state):
        from bqp.kernels.annealing import BLOCK, anneal_sparse

        draws = random_draws(self.delta.dtype)
        shape = (-(-self.n // BLOCK), BLOCK)
        x, field = np.full(shape, -1, self.delta.dtype), np.full(shape, self.big)
        x.ravel()[: self.n] = self.x[: self.n]
        field.ravel()[: self.n] = -self.x[: self.n] * self.delta[: self.n]
        made = anneal_sparse(
            *self._csr(), x, field, temperatures.astype(draws.dtype), start, stop, draws, max_moves, state,
            self.energies,
        )  # fmt: skip
        self.x[: self.n] = x.ravel()[: self.n]
        self.delta[: self.n] = -(x * field).ravel()[: self.n]
        return made

    def _tabu(self, max_moves, tenure, spread, stall, target, aspirate):
        from bqp.kernels.tabu import tabu_sparse

        return tabu_sparse(
            *self._csr(), 2.0, self.x, self.delta, self.stamp, self.best_x, self.energies, self.counters,
            tenure, spread, max_moves, stall, target, aspirate, self.big,
        )  # fmt: skip


class StructuredStorage(Storage):
    """Low rank + groups + sparse, never written out: O(n r) memory."""

    kind = "structured"

    def __init__(self, problem: BQP, form: Form):
        super().__init__(problem)
        parts = form.parts if isinstance(form, Sum) else (form,)
        dense = [part for part in parts if isinstance(part, Dense)]
        if dense:  # a dense part holds n x n numbers already
            extra = sp.csr_array(sum(part.Q for part in dense))
            parts = [part for part in parts if not isinstance(part, Dense)] + [Sparse(extra, check=False)]
        low_rank = [part for part in parts if isinstance(part, LowRank)]
        grouped = [part for part in parts if isinstance(part, Grouped)]
        sparse = [part for part in parts if isinstance(part, Sparse)]
        for part in grouped[1:]:
            low_rank.append(part.as_low_rank())
        self.U, self.d = _stack(low_rank, self.n)
        self.groups = np.empty(0, np.int32)
        self.a = np.empty(0)
        self.M = np.empty((0, 0))
        if grouped:
            self.groups, self.M = grouped[0].groups, grouped[0].M
            if grouped[0].a is not None:
                self.a = grouped[0].a
        self.indptr, self.indices, self.data = np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0)
        if sparse:
            total = sp.csr_array(sum(part.Q for part in sparse))
            self.indptr, self.indices, self.data = total.indptr, total.indices, total.data
        self.diagonal = form.diagonal()
        integral = self.U.dtype == np.int8 and _is_integral(self.d, self.M, self.a, self.data, problem.c)
        self.exact = integral and form.n * form.max_abs() < 2.0**40

    @cached_property
    def tolerance(self) -> float:
        """Follows the terms of a delta, not the delta: where they cancel, what is left is rounding."""
        if self.exact:
            return 0.0
        terms = self.problem.Q.abs_row_sums().max(initial=0.0) + np.abs(self.diagonal).max(initial=0.0)
        return 1e-12 * float(4.0 * terms + 2.0 * np.abs(self.problem.c).max(initial=0.0))

    unit = 1.0

    def start(self, x, delta=None):
        return StructuredWalk(self, x, 1.0, self.exact, np.float64, 1e300)

    def arrays(self):
        return self.U, self.d, self.groups, self.a, self.M, self.indptr, self.indices, self.data


class StructuredWalk(Walk):
    """Descent keeps t = d o U'x and the group fields; tabu keeps deltas. Each is built when it begins."""

    storage: StructuredStorage

    def _fill_delta(self):
        if not hasattr(self, "t"):
            self._build_projections()
        elif self.in_tabu:
            super()._fill_delta()

    def _build_projections(self):
        s = self.storage
        x = self.x[: self.n].astype(np.float64)
        self.t = LowRank(s.U, s.d).project(x) if len(s.d) else np.empty(0)
        self.field = Grouped.fields_of_groups(s.groups, s.M, s.a, x) if s.groups.size else np.empty(0)
        self.in_tabu = False

    def rebuild(self):
        in_tabu = self.in_tabu
        self._build_projections()
        self.in_tabu = in_tabu
        super().rebuild()

    @property
    def tol(self):
        return self.storage.tolerance

    def begin_tabu(self, seed):
        self.in_tabu = True
        super().begin_tabu(seed)

    def _projections(self):
        if self.in_tabu:
            self._build_projections()

    def _descend(self, order, start, stop, tol, max_moves):
        from bqp.kernels.descent import descend_structured

        self._projections()
        s = self.storage
        return descend_structured(
            *s.arrays(), s.diagonal, s.problem.c, self.x[: self.n], self.t, self.field,
            order, start, stop, tol, max_moves, self.energies,
        )  # fmt: skip

    def _descend_greedy(self, tol, max_moves):
        from bqp.kernels.descent import descend_structured_greedy

        self._projections()
        s = self.storage
        return descend_structured_greedy(
            *s.arrays(), s.diagonal, s.problem.c, self.x[: self.n], self.t, self.field, tol, max_moves, self.energies
        )

    def _anneal(self, temperatures, start, stop, max_moves, state):
        from bqp.kernels.annealing import anneal_structured

        self._projections()
        s = self.storage
        return anneal_structured(
            *s.arrays(), s.diagonal, s.problem.c, self.x[: self.n], self.t, self.field, temperatures, start, stop,
            EXPONENTIALS, max_moves, state, self.energies,
        )  # fmt: skip

    def _tabu(self, max_moves, tenure, spread, stall, target, aspirate):
        from bqp.kernels.tabu import tabu_structured

        return tabu_structured(
            *self.storage.arrays(), self.n, self.x, self.delta, self.stamp, self.best_x, self.energies, self.counters,
            tenure, spread, max_moves, stall, target, aspirate, self.big,
        )  # fmt: skip


def _small_integers(Q: np.ndarray, factor: float, n_padded: int) -> tuple[np.ndarray, int, float] | None:
    """``factor * Q`` without its diagonal as padded rows of int16, the or of all, and the largest sum of magnitudes.

    None where an entry is no such integer, or all are 0. In blocks that stay in cache.
    """
    n = len(Q)
    rows, bits, largest_sum = np.zeros((n, n_padded), np.int16), 0, 0.0
    step = max(1, (1 << 16) // n)
    with np.errstate(invalid="ignore", over="ignore"):
        for a in range(0, n, step):
            block = Q[a : a + step] * factor
            index = np.arange(len(block))
            block[index, a + index] = 0.0
            whole = block.astype(np.int16)
            if not np.array_equal(whole, block):
                return None
            rows[a : a + step, :n] = whole
            bits |= int(np.bitwise_or.reduce(whole, axis=None))
            largest_sum = max(largest_sum, float(np.abs(block).sum(axis=1, dtype=np.float64).max()))
    return (rows, bits, largest_sum) if bits else None


def _is_thin(Q: np.ndarray) -> bool:
    """Whether fewer than `DENSE_FROM` of all entries are not 0; stops counting where that is settled."""
    enough, count = DENSE_FROM * Q.size, 0
    step = max(1, (1 << 16) // max(1, len(Q)))
    for a in range(0, len(Q), step):
        count += int(np.count_nonzero(Q[a : a + step]))
        if count >= enough:
            return False
    return count < enough


def _largest_off_diagonal(Q: np.ndarray) -> float:
    return max((float(np.abs(block).max(initial=0.0)) for block in off_diagonal_blocks(Q)), default=0.0)


def _is_integral(*arrays: np.ndarray) -> bool:
    return all(
        np.array_equal(array * 8.0, np.rint(array * 8.0)) and np.abs(array).max(initial=0) < 2**40 for array in arrays
    )


def _stack(parts: list[LowRank], n: int) -> tuple[np.ndarray, np.ndarray]:
    """One C-contiguous U and d for several low-rank parts."""
    if not parts:
        return np.empty((n, 0), np.int8), np.empty(0)
    d = np.concatenate([part.d for part in parts])
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0].U), d
    same = all(part.U.dtype == np.int8 for part in parts)
    return np.ascontiguousarray(np.hstack([part.U if same else part.U.astype(np.float64) for part in parts])), d

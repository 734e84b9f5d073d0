"""Label vectors of points, and the losses that tie codes to them: what SDH, FSDH and HC-SDH have in common."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from bqp.codes._class_codes import hadamard_codes
from bqp.codes._common import signs
from bqp.codes._rows import RELATIVE_TIE, blocks_of, for_blocks, sweep_rows
from bqp.errors import BackendNotFound, ProblemError
from bqp.supervision import GroupedSimilarity, Similarity, from_label_sets, from_labels
from bqp.supervision.base import BLOCK_ENTRIES, group_sums

__all__ = ["MODELS", "LabelModel", "LabelRows", "label_rows"]


@dataclass(frozen=True)
class LabelRows:
    """Rows of codes with their label vectors.

    Attributes
    ----------
    kind : ndarray of shape (n,), int32
        Class of each row, or number of its label set; anything where `mass` is 0.
    mass : ndarray of shape (n,), float64, or None for ones
        Weight of each row; 0 marks an unknown label.
    sets : ndarray of shape (C, L), float64, or None
        The label sets as 0/1 rows; None for single labels, where kind c has the c-th unit vector.
    n_kinds, n_labels : int
        C and L; each kind has a row.
    """

    kind: np.ndarray
    mass: np.ndarray | None
    sets: np.ndarray | None
    n_kinds: int
    n_labels: int

    @property
    def n(self) -> int:
        return len(self.kind)

    @property
    def unknown(self) -> np.ndarray:
        """Rows without a label, int."""
        return np.empty(0, dtype=np.int64) if self.mass is None else np.flatnonzero(self.mass == 0)

    def kind_mass(self) -> np.ndarray:
        """Total weight of each kind, shape (C,)."""
        return np.bincount(self.kind, weights=self.mass, minlength=self.n_kinds).astype(np.float64)

    def merge(self) -> LabelRows:
        """One row for each kind, of its total weight."""
        return LabelRows(
            np.arange(self.n_kinds, dtype=np.int32), self.kind_mass(), self.sets, self.n_kinds, self.n_labels
        )

    def unmerge(self, small: np.ndarray) -> np.ndarray:
        """Codes of these rows from one code a kind; a row of unknown label takes the majority sign in each bit."""
        B = small[self.kind]
        if len(self.unknown):
            B[self.unknown] = signs(self.kind_mass() @ small)
        return B

    @cached_property
    def listed(self) -> csr_array:
        """The label sets as lists of their labels: products cost what they hold, often a hundredth of all entries."""
        return csr_array(self.sets)

    def label_sums(self, B: np.ndarray) -> np.ndarray:
        """sum_i a_i b_i y_i', shape (q, L)."""
        sums = group_sums(B, self.kind, self.n_kinds, self.mass)
        return sums.T if self.sets is None else (self.listed.T @ sums).T

    def of_kinds(self, W: np.ndarray) -> np.ndarray:
        """Y W over the kinds, shape (C, q), for W of shape (L, q)."""
        return np.ascontiguousarray(W) if self.sets is None else self.listed @ W

    def label_gram(self) -> np.ndarray:
        """sum_i a_i y_i y_i', shape (L, L)."""
        mass = self.kind_mass()
        return np.diag(mass) if self.sets is None else (self.sets.T * mass) @ self.sets

    def class_codes(self, n_bits: int) -> np.ndarray:
        """One code a kind: the Hadamard row of its label, or the majority of its labels' rows (the first on ties)."""
        if self.sets is None:
            return hadamard_codes(self.n_kinds, n_bits)
        empty = self.sets.sum(axis=1) == 0
        codes = hadamard_codes(self.n_labels + int(empty.any()), n_bits)
        first = codes[np.argmax(self.sets, axis=1)]
        B = signs(self.sets @ codes[: self.n_labels], keep=first)
        B[empty] = codes[-1]
        return B


def label_rows(S) -> tuple[GroupedSimilarity, LabelRows]:
    """The similarity (made from an array of labels or label sets), and its points as rows."""
    if not isinstance(S, Similarity):
        S = from_labels(S) if np.ndim(S) == 1 else from_label_sets(S)
    if not isinstance(S, GroupedSimilarity):
        raise ProblemError(
            f"S has no label vectors to predict: it is a {type(S).__name__}. Build it with supervision.from_labels or "
            "from_label_sets, or use a pairwise learner such as codes.bitwise."
        )
    if S.V is not None:
        raise ProblemError(
            "S has weights between classes, and a regression on labels has no pairs to weigh. Weigh points instead "
            "(weights=...), or use a pairwise learner such as codes.bitwise."
        )
    used, kind = np.unique(S.groups[S.known], return_inverse=True)
    kinds = np.zeros(S.n, dtype=np.int32)
    kinds[S.known] = kind.ravel()
    sets = None
    if S.classes is not None and S.classes.ndim == 2:
        sets = S.classes[used].astype(np.float64)
    n_labels = len(used) if sets is None else sets.shape[1]
    return S, LabelRows(kinds, S.weights, sets, len(used), n_labels)


class LabelModel(ABC):
    """A loss of codes given their labels: sum_i a_i l(b_i, y_i; W) + regularization of W + nu |B - F|^2."""

    name: ClassVar[str]

    def __init__(self, rows: LabelRows, regularization: float, nu: float, n_jobs: int):
        self.rows, self.regularization, self.nu, self.n_jobs = rows, regularization, nu, n_jobs

    @abstractmethod
    def fit(self, B: np.ndarray, W: np.ndarray | None = None) -> np.ndarray:
        """The best linear map for codes B; never worse than W."""

    @abstractmethod
    def row_losses(self, B: np.ndarray, W: np.ndarray) -> np.ndarray:
        """l(b_i, y_i; W), shape (n,)."""

    @abstractmethod
    def penalty(self, W: np.ndarray) -> float:
        """Regularization of W."""

    @abstractmethod
    def improve(self, B: np.ndarray, W: np.ndarray, F: np.ndarray | None, max_sweeps: int) -> None:
        """Improve the known rows of B in place, given W and F (the others come to no particular codes)."""

    @abstractmethod
    def lower_bound(self, n_bits: int) -> float:
        """Below the objective of any codes, whatever F is."""

    def published_step(self, B: np.ndarray, W: np.ndarray, F: np.ndarray | None) -> int:
        """The authors' B-step, in place: up to ten sweeps; returns how many bits differ from before."""
        return self.step(B, W, F, 10)

    def step(self, B: np.ndarray, W: np.ndarray, F: np.ndarray | None, max_sweeps: int) -> int:
        """B-step in place; returns how many bits differ from before."""
        before = B.copy()
        self.improve(B, W, F, max_sweeps)
        return self.follow(B, before, F)

    def follow(self, B: np.ndarray, before: np.ndarray, F: np.ndarray | None) -> int:
        """Let rows of unknown label follow F, or keep their codes without it; returns how many bits differ."""
        unknown = self.rows.unknown
        B[unknown] = before[unknown] if F is None else signs(F[unknown], keep=before[unknown])
        return int(np.count_nonzero(before != B))

    def objective(self, B: np.ndarray, W: np.ndarray, F: np.ndarray | None) -> float:
        losses = self.row_losses(B, W)
        value = float(losses.sum() if self.rows.mass is None else self.rows.mass @ losses) + self.penalty(W)
        if F is not None:
            value += self.nu * float(misfits(B, F).sum())
        return value

    def pull(self) -> float | np.ndarray:
        """Weight of F in the linear term of each row, relative to that of its labels."""
        if self.rows.mass is None:
            return self.nu
        return self.nu / np.where(self.rows.mass > 0, self.rows.mass, 1.0)


def misfits(B: np.ndarray, F: np.ndarray) -> np.ndarray:
    """|b_k - f_k|^2 of every bit, shape (q,)."""
    total = np.zeros(B.shape[1])
    for block in blocks_of(len(B)):
        total += np.square(B[block] - F[block]).sum(axis=0)
    return total


class SquaredLoss(LabelModel):
    """|y - W'b|^2 + lambda |W|^2: each row is a program with the matrix W W'."""

    name = "squared"

    def fit(self, B, W=None):
        rows, q = self.rows, B.shape[1]
        gram = self.regularization * np.eye(q)
        for block in blocks_of(rows.n):
            codes = B[block].astype(np.float64)
            gram += (codes if rows.mass is None else codes * rows.mass[block, None]).T @ codes
        return np.linalg.solve(gram, rows.label_sums(B))

    def row_losses(self, B, W):
        rows, out = self.rows, np.empty(self.rows.n)
        for block in blocks_of(rows.n, max(16, BLOCK_ENTRIES // rows.n_labels)):
            errors = B[block].astype(np.float64) @ W
            if rows.sets is None:
                errors[np.arange(len(errors)), rows.kind[block]] -= 1.0
            else:
                errors -= rows.sets[rows.kind[block]]
            out[block] = np.einsum("il,il->i", errors, errors)
        return out

    def penalty(self, W):
        return self.regularization * float(np.vdot(W, W))

    def improve(self, B, W, F, max_sweeps):
        return sweep_rows(W @ W.T, self.rows.of_kinds(W.T), self.rows.kind, F, self.pull(), B, max_sweeps, self.n_jobs)

    def lower_bound(self, n_bits):
        """With W at its best the loss is tr(K (I + G / lambda)^-1), K = YY' and G = BB' (rows scaled by root a_i).

        G is positive semidefinite, of rank at most q and trace q sum(a): the trace inequality leaves one number for
        each of the q largest eigenvalues of K, found by water-filling. For single labels each class vector e has
        e'Ge <= q n_c and (e'(I + G / lambda)^-1 e) (e'(I + G / lambda) e) >= 1.
        """
        rows, strength = self.rows, self.regularization
        sizes = np.sort(rows.kind_mass() if rows.sets is None else np.linalg.eigvalsh(rows.label_gram()))[::-1]
        sizes = np.maximum(sizes, 0.0)
        bound = _water_filled(sizes, n_bits, n_bits * float(rows.kind_mass().sum()) / strength)
        if rows.sets is None:
            bound = max(bound, float(np.sum(sizes / (1.0 + n_bits * sizes / strength))))
        return bound * (1.0 - 1e-9)


def _water_filled(sizes: np.ndarray, most: int, budget: float) -> float:
    """Least sum of sizes_i / (1 + g_i) over g >= 0 with sum at most `budget` and at most `most` of them positive."""
    roots = np.sqrt(sizes[:most][sizes[:most] > 0])
    for r in range(len(roots), 0, -1):
        level = (budget + r) / roots[:r].sum()  # g_i = roots_i level - 1 on the r largest
        if roots[r - 1] * level >= 1.0:
            return float(roots[:r].sum() / level + sizes[r:].sum())
    return float(sizes.sum())


class FastLoss(LabelModel):
    """|b - W'y|^2 + lambda |W|^2: bits and rows separate, so that the best row is a sign."""

    name = "fsdh"

    def fit(self, B, W=None):
        sums = self.rows.label_sums(B).T
        return sums / self.factor if self.rows.sets is None else cho_solve(self.factor, sums, check_finite=False)

    @cached_property
    def factor(self):
        """Of Y'Y + lambda, the same for all codes: its diagonal, shape (L, 1), for single labels; else Cholesky's."""
        gram = self.rows.label_gram()
        gram[np.diag_indices(len(gram))] += self.regularization
        return np.diagonal(gram)[:, None] if self.rows.sets is None else cho_factor(gram, check_finite=False)

    def row_losses(self, B, W):
        rows, out = self.rows, np.empty(self.rows.n)
        table = rows.of_kinds(W)
        for block in blocks_of(rows.n):
            errors = B[block] - table[rows.kind[block]]
            out[block] = np.einsum("ik,ik->i", errors, errors)
        return out

    def penalty(self, W):
        return self.regularization * float(np.vdot(W, W))

    def improve(self, B, W, F, max_sweeps):
        sweep_rows(None, self.rows.of_kinds(W), self.rows.kind, F, self.pull(), B, 1, self.n_jobs)

    def lower_bound(self, n_bits):
        """A bit with W at its best has x'(I - Y (Y'Y + lambda)^-1 Y')x, at least n - sum_c n_c^2 / (n_c + lambda)."""
        rows = self.rows
        mass, strength = rows.kind_mass(), self.regularization
        if rows.sets is None:
            least = float(np.sum(mass * (strength / (mass + strength))))
        else:
            largest = float(np.linalg.eigvalsh(rows.label_gram())[-1])
            least = float(mass.sum()) * strength / (largest + strength)
        return n_bits * least * (1.0 - 1e-9)


class HingeLoss(LabelModel):
    """max(0, max over c != y of 1 + w_c.b - w_y.b) + lambda / 2 |W|^2: a multiclass support vector machine."""

    name = "hinge"

    def __init__(self, rows, regularization, nu, n_jobs):
        super().__init__(rows, regularization, nu, n_jobs)
        if rows.sets is not None:
            raise ProblemError(
                "the hinge loss needs one label a point, got label sets. Use loss='squared', or give single labels "
                "(supervision.from_labels)."
            )
        if rows.n_kinds < 2:
            raise ProblemError(
                "the hinge loss needs at least two classes, got one. Use loss='squared', or add another class."
            )

    def fit(self, B, W=None):
        try:
            from sklearn.exceptions import ConvergenceWarning
            from sklearn.svm import LinearSVC
        except ImportError as error:
            raise BackendNotFound("the hinge loss needs scikit-learn: pip install scikit-learn.") from error
        rows = self.rows
        known = slice(None) if rows.mass is None else rows.mass > 0
        mass = None if rows.mass is None else rows.mass[known]
        machine = LinearSVC(
            multi_class="crammer_singer", C=1.0 / self.regularization, fit_intercept=False, tol=1e-3, max_iter=2000,
            random_state=0,
        )  # fmt: skip
        with warnings.catch_warnings():  # W is kept only where it is better, however far it got
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = machine.fit(B[known].astype(np.float64), rows.kind[known], sample_weight=mass).coef_.T
        if found.shape[1] == 1:  # two classes: the difference of their vectors
            found = np.hstack([-0.5 * found, 0.5 * found])
        found = np.ascontiguousarray(found)
        return found if W is None or self.objective(B, found, None) <= self.objective(B, W, None) else W

    def row_losses(self, B, W):
        rows, out = self.rows, np.empty(self.rows.n)
        for block in blocks_of(rows.n, max(16, BLOCK_ENTRIES // rows.n_labels)):
            margins = B[block].astype(np.float64) @ W
            own = (np.arange(len(margins)), rows.kind[block])
            margins -= margins[own][:, None] - 1.0
            margins[own] = 0.0
            out[block] = np.maximum(margins.max(axis=1), 0.0)
        return out

    def penalty(self, W):
        return 0.5 * self.regularization * float(np.vdot(W, W))

    def toward(self, W: np.ndarray) -> np.ndarray:
        """sum_c (w_y - w_c) for every class y, shape (C, q): what the closed form of the B-step adds up."""
        return self.rows.n_kinds * W.T - W.sum(axis=1)

    def published_step(self, B, W, F):
        """b_i = sgn(2 nu f_i + (1 / nu) sum_c (w_y - w_c))."""
        before = B.copy()
        strength = 1.0 / self.nu if self.nu > 0 else 1.0
        sweep_rows(None, strength * self.toward(W), self.rows.kind, F, 2.0 * self.nu, B, 1, self.n_jobs)
        return self.follow(B, before, F)

    def improve(self, B, W, F, max_sweeps):
        """Flips that lower the row's own loss, from the closed form (weights 1, not 1 / nu) where that is better."""
        import bqp.kernels.rows as kernels

        rows, nu = self.rows, self.nu
        closed = B.copy()
        sweep_rows(None, self.toward(W), rows.kind, F, 2.0 * self.pull(), closed, 1, self.n_jobs)
        gain = self.row_losses(B, W) - self.row_losses(closed, W)
        if rows.mass is not None:
            gain *= rows.mass
        if F is not None:
            for block in blocks_of(rows.n):
                gain[block] += 2.0 * nu * np.einsum("ik,ik->i", closed[block] - B[block].astype(np.float64), F[block])
        tol = (
            RELATIVE_TIE * (1.0 + float(np.abs(W).sum(axis=0).max())) * (1.0 if rows.mass is None else rows.mass.max())
        )
        better = gain > tol
        B[better] = closed[better]
        mass = np.ones(rows.n) if rows.mass is None else rows.mass
        nothing = np.zeros((min(rows.n, 2048), B.shape[1])) if F is None else None

        def work(block: slice) -> int:
            codes = B[block]
            pull = 2.0 * nu * F[block] if F is not None else nothing[: len(codes)]  # pyright: ignore
            scores = codes.astype(np.float64) @ W
            return kernels.descend_margin_rows(W, rows.kind[block], mass[block], pull, codes, scores, tol, max_sweeps)

        for_blocks(work, rows.n, self.n_jobs)

    def lower_bound(self, n_bits):
        return 0.0


MODELS: dict[str, type[LabelModel]] = {model.name: model for model in (SquaredLoss, FastLoss, HingeLoss)}

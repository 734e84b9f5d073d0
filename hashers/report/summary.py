"""Runs put together for the page: means over seeds, the best of them, bounds, the codes of the classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashers.registry import FUNCTIONS

__all__ = [
    "ClassCodes",
    "Group",
    "best_group",
    "bound_of",
    "class_codes",
    "gap_of",
    "groups_of",
    "label_text",
    "useful_bound",
]

MAX_CLASSES = 32
USEFUL_BOUND = 0.01  # of the objective; a bound below says nothing that a reader can use
CLOSE = 0.005  # differences in MAP up to this do not decide which group is the best


@dataclass(frozen=True)
class Group:
    """The runs of one method, function and code length (None without codes): one a seed."""

    method: str
    function: str
    n_bits: int
    runs: list

    @property
    def name(self):
        """Method and function, as the figures call them."""
        return f"{self.method}, {self.function}" if self.function in FUNCTIONS else self.method

    @property
    def key(self):
        """What a line of a figure connects."""
        return (self.method, self.function)

    def values(self, column):
        """The values of a column over the seeds, those that exist."""
        return [run.row[column] for run in self.runs if run.row[column] is not None]

    def mean(self, column):
        """Mean over the seeds; None where no run has a value."""
        values = self.values(column)
        return float(np.mean(values)) if values else None

    def spread(self, column):
        """Standard deviation over the seeds; None for fewer than two."""
        values = self.values(column)
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


def groups_of(runs):
    """Group the runs over their seeds, in the order of the table."""
    groups: dict[tuple, list] = {}
    for run in runs:
        groups.setdefault((run.task.method.text, run.task.function, run.task.n_bits), []).append(run)
    return [Group(method, function, n_bits, members) for (method, function, n_bits), members in groups.items()]


def best_group(groups, column="map_hashed"):
    """The shortest code within 0.005 of the highest mean, and the highest of these."""
    highest = max(group.mean(column) for group in groups)
    close = [group for group in groups if group.mean(column) >= highest - CLOSE]
    return min(close, key=lambda group: (group.n_bits, -group.mean(column)))


def bound_of(runs, n_bits):
    """The best proven bound on the yardstick for a code length, divided by (rows * bits)**2; None without one."""
    bounds = [
        run.row["ksh_lower_bound"] / (run.row["n_train"] * n_bits) ** 2
        for run in runs
        if run.task.n_bits == n_bits and run.row["ksh_lower_bound"] is not None
    ]
    return max(bounds, default=None)


def useful_bound(runs, group):
    """The bound for the code length of a group; None where it says nothing beside the objective."""
    bound, objective = bound_of(runs, group.n_bits), group.mean("ksh_normalised")
    if bound is None or objective is None:  # a run without codes has no objective
        return None
    return bound if bound >= USEFUL_BOUND * objective else None


def gap_of(runs, group):
    """Distance of the objective to the bound as a share of the bound; None where there is no useful bound."""
    bound = useful_bound(runs, group)
    return None if not bound else max(0.0, group.mean("ksh_normalised") / bound - 1)


@dataclass(frozen=True)
class ClassCodes:
    """The code that most training rows of each class have.

    Attributes
    ----------
    names : list of str
    labels : list of int
    codes : ndarray of shape (n_classes, n_bits), int8
    share : float
        Training rows that have exactly the code of their class.
    distances : ndarray of shape (n_classes, n_classes), int64
    left_out : int
        Classes that are not shown.
    """

    names: list[str]
    labels: list[int]
    codes: np.ndarray
    share: float
    distances: np.ndarray
    left_out: int


def class_codes(comparison, run):
    """Codes of the classes (or of the most frequent label sets) as a method learned them."""
    labels, names = _class_of_row(comparison)
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    chosen = np.sort(classes[np.argsort(-counts, kind="stable")[:MAX_CLASSES]])
    codes, agree, total = [], 0, 0
    for c in chosen:
        members = run.codes_train[labels == c]
        distinct, sizes = np.unique(members, axis=0, return_counts=True)
        codes.append(distinct[np.argmax(sizes)])
        agree, total = agree + int(sizes.max()), total + len(members)
    codes = np.array(codes)
    distances = (codes.shape[1] - codes.astype(np.int64) @ codes.T.astype(np.int64)) // 2
    return ClassCodes(
        names=[names[c] for c in chosen],
        labels=[int(c) for c in chosen],
        codes=codes,
        share=agree / total,
        distances=distances,
        left_out=len(classes) - len(chosen),
    )


def _class_of_row(comparison):
    """A class number for each training row and the names; label sets count as classes."""
    data = comparison.dataset
    y = comparison.y[comparison.train]
    if y.ndim == 2:
        sets, labels = np.unique(y, axis=0, return_inverse=True)
        return labels.ravel(), [label_text(data, row) for row in sets]
    known = np.unique(comparison.y[comparison.y >= 0])
    return y, {int(c): label_text(data, c) for c in known}


def label_text(data, label, limit=3):
    """Name of a class number, or the names of a label set, at most `limit` of them."""
    names = data.class_names
    if np.ndim(label) == 0:
        return names[int(label)] if int(label) < len(names) else str(int(label))
    present = [names[k] if k < len(names) else str(k) for k in np.flatnonzero(label)]
    more = f" and {len(present) - limit} more" if len(present) > limit else ""
    return (", ".join(present[:limit]) + more) if present else "no label"

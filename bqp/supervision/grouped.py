"""Similarity that depends on the groups of the two points: labels, label sets, classes with given targets."""

from __future__ import annotations

import numpy as np

from bqp.errors import ProblemError
from bqp.supervision.base import (
    BLOCK_ENTRIES,
    Collapse,
    Similarity,
    as_numbers,
    check_codes,
    check_finite,
    check_symmetric,
    check_weights,
    compact,
    group_sums,
)

__all__ = ["MAX_GROUPS", "GroupedSimilarity", "from_groups", "from_label_sets", "from_labels"]

MAX_GROUPS = 20_000  # the targets between groups are written out: 400 MB of int8 at this size


class GroupedSimilarity(Similarity):
    """S_ij = T[g_i, g_j] with weight W_ij = a_i a_j V[g_i, g_j].

    Parameters
    ----------
    groups : ndarray of shape (n,), int
        Group of each point, 0 <= g < C.
    T : array of shape (C, C)
        Symmetric targets between groups; the diagonal is the target inside a group, the pair (i, i) included.
    V : array of shape (C, C), optional
        Symmetric weights between groups, at least 0; default 1.
    weights : array of shape (n,), optional
        Weight a_i >= 0 of each point, default 1; 0 marks a point whose label is unknown.
    classes : ndarray, optional
        What each group stands for: the labels, or the label sets as rows of 0 and 1.
    check : bool
        False takes the arguments as they are: groups int, V and weights float64 or None.

    Notes
    -----
    Memory O(n + C^2). Every method costs O(n) or O(n q) and never forms an n x n array except `to_dense`.
    """

    structure = "grouped"

    def __init__(self, groups, T, V=None, weights=None, classes=None, *, check: bool = True):
        groups = np.asarray(groups)
        if check:
            groups, T, V, weights = _checked(groups, T, V, weights)
        self.groups = np.ascontiguousarray(groups, dtype=np.int32)
        self.T = compact(T)
        self.V = V
        self.weights = None if weights is not None and np.all(weights == 1.0) else weights
        self.classes = classes
        self.n = len(groups)
        self.n_groups = len(T)
        self.mass = np.bincount(self.groups, weights=self.weights, minlength=self.n_groups)
        self.total_weight = self.pair_sum(0)
        if not self.total_weight > 0:
            raise ProblemError("no pair has a positive weight: every label is unknown. Give at least one known label.")

    @property
    def nbytes(self):
        optional = sum(0 if x is None else x.nbytes for x in (self.V, self.weights))
        return self.groups.nbytes + self.T.nbytes + optional

    @property
    def known(self):
        known = np.ones(self.n, bool) if self.weights is None else self.weights > 0
        return known if self.V is None else known & (self.V @ self.mass > 0)[self.groups]

    def _row_blocks(self):
        """Blocks of rows of the matrices over groups."""
        step = max(1, BLOCK_ENTRIES // self.n_groups)
        for start in range(0, self.n_groups, step):
            yield slice(start, min(start + step, self.n_groups))

    def pair_sum(self, power: int) -> float:
        """Sum over all ordered pairs of w_ij S_ij**power."""
        if power == 0 and self.V is None:
            return float(self.mass.sum() ** 2)
        total = 0.0
        for rows in self._row_blocks():
            values = self.T[rows].astype(np.float64) ** power
            total += float(self.mass[rows] @ ((values if self.V is None else values * self.V[rows]) @ self.mass))
        return total

    def pair_values(self, i, j):
        g, h = self.groups[i], self.groups[j]
        w = np.ones(len(g)) if self.V is None else self.V[g, h]
        if self.weights is not None:
            w = w * self.weights[i] * self.weights[j]
        return np.where(w > 0, self.T[g, h].astype(np.float64), 0.0), w

    def to_dense(self):
        S = self.T.astype(np.float64)[self.groups][:, self.groups]
        W = np.ones((self.n, self.n)) if self.V is None else self.V[self.groups][:, self.groups]
        return S, W if self.weights is None else W * np.outer(self.weights, self.weights)

    def restrict(self, index):
        index = np.asarray(index)
        weights = None if self.weights is None else self.weights[index]
        return GroupedSimilarity(self.groups[index], self.T, self.V, weights, self.classes, check=False)

    # ---- sums over all pairs -----------------------------------------------------------------------------------

    def moments(self, B: np.ndarray) -> tuple[float, float, float]:
        """Sums over all ordered pairs of w S G, w G^2 and w G, with G_ij = b_i.b_j for codes B of shape (n, q), int8.

        Notes
        -----
        O(n q^2) without V, O(n q^2 + C^2 q^2) with it (a few points: O(n^2 q)); memory O(C q + q^2) beside B.
        """
        sums = group_sums(B, self.groups, self.n_groups, self.weights)
        cross = plain = 0.0
        for rows in self._row_blocks():
            between = sums[rows] @ sums.T
            if self.V is not None:
                between *= self.V[rows]
            cross += float(np.sum(self.T[rows] * between))
            plain += float(between.sum())
        return cross, self._squared_products(B), plain

    def _squared_products(self, B: np.ndarray) -> float:
        q = B.shape[1]
        if self.V is None:
            gram = np.zeros((q, q))
            step = max(1, BLOCK_ENTRIES // max(1, q))
            exact = np.float32 if self.weights is None else np.float64  # counts up to 2**18 are exact in float32
            for a in range(0, self.n, step):
                block = B[a : a + step].astype(exact)
                gram += block.T @ (block if self.weights is None else block * self.weights[a : a + step, None])
            return float(np.sum(gram * gram))
        if self.n <= 2048:
            codes = B.astype(np.float64)
            if self.weights is None:
                weight = self.V[self.groups][:, self.groups]
            else:
                weight = self.V[self.groups][:, self.groups] * np.outer(self.weights, self.weights)
            return float(np.sum(weight * (codes @ codes.T) ** 2))
        total = 0.0
        for m in range(q):  # sum over h of V_gh M_h, one column of the second moments M_g = sum a_i b_i b_i' at a time
            column = B[:, m] if self.weights is None else B[:, m] * self.weights
            second = group_sums(B, self.groups, self.n_groups, column.astype(np.float64))
            total += float(np.sum(second * (self.V @ second)))
        return total

    def ksh_objective(self, B):
        B = check_codes(B, self.n)
        q = B.shape[1]
        cross, squared, _ = self.moments(B)
        return q * q * self.pair_sum(2) - 2.0 * q * cross + squared

    # ---- merging -----------------------------------------------------------------------------------------------

    def collapse(self, loss="ksh") -> Collapse:
        """Merge the points of each group whose inner loss is smallest at distance 0 into one weighted point.

        Parameters
        ----------
        loss : str or Loss
            Decides which groups may merge: for `ksh` those with T_gg >= 1.

        Returns
        -------
        collapse : Collapse
            The smaller similarity has one point of weight sum a_i per merged group, and each point of a group that may
            not merge (the empty label set, for one). Some optimal codes of the larger problem are ``lift`` of optimal
            codes of the smaller one (docs/mathematics.md).
        """
        from bqp import losses

        known = self.known
        merges = losses.get(loss).attracts(self.T.diagonal().astype(np.float64))
        merges &= np.bincount(self.groups[known], minlength=self.n_groups) > 0
        single = np.flatnonzero(known & ~merges[self.groups])
        merged = np.flatnonzero(merges)
        place = np.full(self.n_groups, -1, dtype=np.int32)
        place[merged] = np.arange(len(merged))
        labels = np.where(known, place[self.groups], -1).astype(np.int32)
        labels[single] = len(merged) + np.arange(len(single))
        groups = np.concatenate([merged, self.groups[single]])
        weights = np.concatenate([self.mass[merged], np.ones(len(single))])
        if self.weights is not None:
            weights[len(merged) :] = self.weights[single]
        return Collapse(self._subset(groups, weights), labels)

    def drop_unknown(self) -> Collapse:
        """Leave out the points that no term of the objective mentions."""
        known = self.known
        if known.all():
            return super().drop_unknown()
        labels = np.full(self.n, -1, dtype=np.int32)
        labels[known] = np.arange(int(known.sum()))
        weights = None if self.weights is None else self.weights[known]
        return Collapse(self._subset(self.groups[known], weights), labels)

    def _subset(self, groups, weights) -> GroupedSimilarity:
        """A similarity over points of the given groups and weights, with only the groups in use."""
        used, groups = np.unique(groups, return_inverse=True)
        if len(used) == self.n_groups:
            T, V = self.T, self.V
        else:
            T = self.T[np.ix_(used, used)]
            V = None if self.V is None else self.V[np.ix_(used, used)]
        classes = None if self.classes is None else self.classes[used]
        return GroupedSimilarity(groups, T, V, weights, classes, check=False)


def from_groups(groups, T, V=None, weights=None) -> GroupedSimilarity:
    """Similarity with the target T[g, h] and the weight V[g, h] between points of groups g and h.

    Parameters
    ----------
    groups : array of shape (n,), int
    T : array of shape (C, C)
        Symmetric targets, any real numbers.
    V : array of shape (C, C), optional
        Symmetric weights >= 0, default 1.
    weights : array of shape (n,), optional
        Point weights >= 0, default 1; the pair (i, j) counts a_i a_j V[g_i, g_j].

    Examples
    --------
    >>> from bqp import supervision
    >>> S = supervision.from_groups([0, 0, 1, 2], [[1, 0.5, -1], [0.5, 1, -1], [-1, -1, 1]])
    >>> S.pair_values([0], [2])
    (array([0.5]), array([1.]))
    """
    return GroupedSimilarity(groups, T, V, weights)


def from_labels(y, unlabeled=-1, weights=None, class_weights=None) -> GroupedSimilarity:
    """Similar (+1) where two labels are equal, dissimilar (-1) where they differ.

    Parameters
    ----------
    y : array of shape (n,)
        Labels of any comparable kind: integers, strings, booleans, floats.
    unlabeled : scalar or None
        The label that marks an unknown one: its pairs get weight 0. None: every label is known.
    weights : array of shape (n,), optional
        Point weights >= 0, default 1.
    class_weights : array of shape (C, C), optional
        Weight of a pair of classes, in the order of ``np.unique`` of the known labels; default 1.

    Returns
    -------
    S : GroupedSimilarity
        ``S.classes`` holds the C distinct known labels. One class alone is a problem like any other: equal codes are
        optimal, with objective 0.

    Raises
    ------
    ProblemError
        Not a vector; NaN; no known label; labels of just -1 and +1 while -1 marks the unknown.

    Notes
    -----
    O(n log n) time, O(n + C^2) memory.

    Examples
    --------
    >>> from bqp import supervision
    >>> S = supervision.from_labels(["cat", "dog", "cat"])
    >>> S.ksh_objective([[1, 1], [1, -1], [1, 1]])
    16.0
    """
    y = _label_vector(y)
    if y.dtype.kind in "fc" and np.isnan(y).any():
        place = int(np.argmax(np.isnan(y)))
        raise ProblemError(f"y holds NaN at ({place}). Mark an unknown label by -1 (or pass unlabeled=...).")
    try:
        classes, groups = np.unique(y, return_inverse=True)
    except TypeError as error:
        raise ProblemError(
            f"the labels in y cannot be compared ({error}). Use one kind of label, and mark unknown ones by -1."
        ) from error
    unknown = np.zeros(len(classes), dtype=bool)
    if unlabeled is not None and isinstance(unlabeled, str) == (classes.dtype.kind in "SU"):
        unknown = np.asarray(classes == unlabeled, dtype=bool)
        if len(classes) == 2 and classes.dtype.kind not in "SUb" and unknown[0] and classes[1] == 1:
            raise ProblemError(
                "y holds just -1 and +1, and -1 marks an unknown label. Pass unlabeled=None if they are two classes, "
                "or relabel the known points."
            )
    mask = None
    if unknown.any():
        if unknown.all():
            raise ProblemError(f"every label in y is {unlabeled!r}, which marks the unknown. Give at least one known.")
        mask = ~unknown[groups]
        groups = np.maximum((np.cumsum(~unknown) - 1)[groups], 0)
        classes = classes[~unknown]
    _check_count(len(classes), "labels")
    T = np.full((len(classes), len(classes)), -1, dtype=np.int8)
    np.fill_diagonal(T, 1)
    return GroupedSimilarity(groups, T, class_weights, _masked(weights, mask, len(y)), classes)


def from_label_sets(Y, weights=None) -> GroupedSimilarity:
    """Similar (+1) where two label sets share a label, dissimilar (-1) where they share none.

    Parameters
    ----------
    Y : array or scipy sparse matrix of shape (n, L)
        Row i holds 1 at the labels of point i and 0 elsewhere. A row of -1 throughout marks an unknown label set: its
        pairs get weight 0. A row of zeros is the empty set: known, and similar to nothing, itself included.
    weights : array of shape (n,), optional
        Point weights >= 0, default 1.

    Returns
    -------
    S : GroupedSimilarity
        One group for each distinct label set; ``S.classes`` holds the sets as rows of 0 and 1, shape (C', L), int8.

    Raises
    ------
    ProblemError
        Not two-dimensional, no columns, or entries other than 0 and 1.

    Notes
    -----
    Rows are packed to bits and compared as 64-bit words. Memory O(n L / 8 + C^2) for C distinct sets.

    Examples
    --------
    >>> from bqp import supervision
    >>> S = supervision.from_label_sets([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]])
    >>> S.to_dense()[0].astype(int)
    array([[ 1,  1, -1, -1],
           [ 1,  1, -1, -1],
           [-1, -1,  1, -1],
           [-1, -1, -1, -1]])
    """
    words, unknown, L = _packed_rows(Y)
    groups, first = _equal_rows(words)
    _check_count(len(first), "label sets")
    sets = np.unpackbits(words[first].view(np.uint8), axis=1, bitorder="little")[:, :L].astype(np.int8)
    T = np.empty((len(sets), len(sets)), dtype=np.int8)
    step = max(1, BLOCK_ENTRIES // len(sets))
    numbers = sets.astype(np.float32)
    for a in range(0, len(sets), step):
        T[a : a + step] = np.where(numbers[a : a + step] @ numbers.T > 0, np.int8(1), np.int8(-1))
    mask = ~unknown if unknown.any() else None
    return GroupedSimilarity(groups, T, None, _masked(weights, mask, len(words)), sets, check=False)


def _checked(groups: np.ndarray, T, V, weights):
    """The arguments of a GroupedSimilarity, checked."""
    if groups.ndim != 1 or (groups.size and not np.issubdtype(groups.dtype, np.integer)):
        raise ProblemError(f"groups must be a vector of integers, got shape {groups.shape}, dtype {groups.dtype}.")
    if groups.size == 0:
        raise ProblemError("the similarity has no points; give at least one.")
    T = as_numbers(T, "T")
    if T.ndim != 2 or T.shape[0] != T.shape[1]:
        raise ProblemError(f"T must be a square matrix over groups, got shape {T.shape}.")
    check_finite(T, "T", "Give an unknown pair of groups the weight V = 0 and any finite target.")
    check_symmetric(T, "T")
    if groups.min() < 0 or groups.max() >= len(T):
        place = int(np.argmax((groups < 0) | (groups >= len(T))))
        raise ProblemError(
            f"groups must lie in 0..{len(T) - 1} since T has {len(T)} rows, got {groups[place]} at ({place}). "
            "Give a point of unknown group any group and the weight 0."
        )
    V = check_weights(V, T.shape, "V")
    if V is not None:
        check_symmetric(V, "V")
    return groups, T, V, check_weights(weights, groups.shape, "weights")


def _label_vector(y) -> np.ndarray:
    y = np.asarray(y)
    if y.ndim != 1:
        raise ProblemError(f"y must be a vector of labels, got shape {y.shape}. For label sets use from_label_sets.")
    if y.size == 0:
        raise ProblemError("y is empty; give at least one label.")
    if y.dtype == object:
        kinds = {type(value) for value in y.tolist()}
        missing = [k for k, v in enumerate(y.tolist()) if v is None or (isinstance(v, float) and np.isnan(v))]
        if missing:
            raise ProblemError(
                f"y holds {y[missing[0]]} at ({missing[0]}). Mark an unknown label by -1 (among text "
                "labels: by a text of your own, passed as unlabeled=)."
            )
        if kinds <= {str}:
            y = y.astype(str)
        elif all(issubclass(kind, int | np.integer) for kind in kinds):
            y = y.astype(np.int64)
    return y


def _masked(weights, mask, n: int) -> np.ndarray | None:
    weights = check_weights(weights, (n,))
    if mask is None:
        return weights
    return mask.astype(np.float64) if weights is None else np.where(mask, weights, 0.0)


def _check_count(count: int, what: str) -> None:
    if count > MAX_GROUPS:
        raise ProblemError(
            f"there are {count} distinct {what}; the targets between more than {MAX_GROUPS} are not written out. "
            "Keep the frequent labels, or give a sample of pairs to from_pairs."
        )


def _packed_rows(Y) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows of a 0/1 matrix as little-endian bits in uint64 words; which rows are unknown; the number of columns."""
    import scipy.sparse as sp

    if not sp.issparse(Y):
        Y = np.asarray(Y)
        if Y.dtype.kind not in "biuf":
            raise ProblemError(f"Y must hold 0 and 1, got dtype {Y.dtype}.")
    if len(Y.shape) != 2:
        raise ProblemError(f"Y must have shape (n, L), a row a point and a column a label, got {tuple(Y.shape)}.")
    n, L = Y.shape
    if n == 0 or L == 0:
        raise ProblemError(f"Y must have at least one row and one column, got shape ({n}, {L}).")
    if sp.issparse(Y):
        Y = sp.csr_array(Y)
    out = np.zeros((n, -(-L // 64) * 8), dtype=np.uint8)
    unknown = np.zeros(n, dtype=bool)
    step = max(1, 4 * BLOCK_ENTRIES // L)
    for a in range(0, n, step):
        block = Y[a : a + step]
        block = block.toarray() if sp.issparse(block) else block
        ones = block == 1
        good = ones | (block == 0)
        if not good.all():
            mine = (block == -1).all(axis=1)
            unknown[a : a + step] = mine
            good |= mine[:, None]
            if not good.all():
                i, j = np.unravel_index(int(np.argmin(good)), good.shape)
                raise ProblemError(
                    f"Y must hold 0 and 1, got {block[i, j]} at ({a + i}, {j}). "
                    "Threshold scores first; a row of -1 throughout marks an unknown label set."
                )
        packed = np.packbits(ones, axis=1, bitorder="little")
        out[a : a + step, : packed.shape[1]] = packed
    if unknown.all():
        raise ProblemError("every row of Y is -1, which marks the unknown. Give at least one known label set.")
    return out.view(np.uint64), unknown, L


def _row_keys(words: np.ndarray) -> np.ndarray:
    """One 64-bit number a row: the row itself where it is one word, a hash otherwise."""
    n, k = words.shape
    if k == 1:
        return words[:, 0]
    odd = np.random.Generator(np.random.PCG64(0x5E75)).integers(0, 2**64, size=k, dtype=np.uint64) | np.uint64(1)
    keys = np.zeros(n, dtype=np.uint64)
    for column in range(k):
        mixed = words[:, column] * odd[column]
        keys = (keys ^ mixed ^ (mixed >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    return keys


def _equal_rows(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group of each row and the first row of each group, equal rows in one group; hashes are confirmed row by row."""
    _, first, groups = np.unique(_row_keys(words), return_index=True, return_inverse=True)
    if not np.array_equal(words[first[groups]], words):  # two rows share a hash: sort the rows themselves
        _, first, groups = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return groups.ravel(), first

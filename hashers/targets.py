"""What features say about labels: out-of-fold scores, and a similarity that knows which classes are confused.

Labels alone make every two classes equally dissimilar. A function that cannot tell two classes apart will give their
points mixed codes, whatever codes the classes were meant to have; a target that follows its out-of-fold mistakes asks
for codes that it can keep.
"""

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.base import clone

__all__ = [
    "confusion_similarity",
    "label_probabilities",
    "label_vectors",
    "out_of_fold_scores",
    "out_of_fold_similarity",
]


def label_vectors(S):
    """The labels of each group of a similarity as 0/1 vectors.

    Parameters
    ----------
    S : bqp.supervision.GroupedSimilarity
        From `bqp.supervision.from_labels`, `from_label_sets` or `from_groups` (each group a label).

    Returns
    -------
    labels : ndarray of shape (C, L), float64
        One row a group: the label set, or a unit vector. Labels that no known point has are left out.

    Raises
    ------
    ValueError
        If S does not come from labels.
    """
    if getattr(S, "structure", "") != "grouped":
        raise ValueError(
            f"labels are needed, and this is a similarity of pairs ({type(S).__name__}). Use fit with labels or label "
            "sets; TSH, COSDISH and HBMP take pairs."
        )
    sets = S.classes is not None and np.ndim(S.classes) == 2
    labels = np.asarray(S.classes, dtype=np.float64) if sets else np.eye(S.n_groups)
    return labels[:, labels[np.unique(S.groups[S.known])].any(axis=0)]


def out_of_fold_scores(function, X, labels, groups, n_folds=5, rng=0):
    """Scores of each label for each point, by functions that have not seen the point.

    Parameters
    ----------
    function : HashFunction
        Unfitted; a clone is fitted for each fold, one bit a label (+1 where the point has it).
    X : ndarray or csr matrix of shape (n_samples, n_features)
    labels : ndarray of shape (C, L)
        0/1 label vector of each group.
    groups : ndarray of shape (n_samples,), int
        Group of each point.
    n_folds : int
        At most; no more than points. Points of a group are spread evenly over the folds.
    rng : int
        Seed of the folds.

    Returns
    -------
    scores : ndarray of shape (n_samples, L), float64
        Margins.

    Notes
    -----
    Costs `n_folds` fits of L bits. Labels that a fold's training part lacks score as the function scores a constant.
    """
    n = X.shape[0]
    rng = np.random.default_rng(rng)
    shuffled = rng.permutation(n)
    fold = np.empty(n, dtype=np.int64)
    fold[shuffled[np.argsort(groups[shuffled], kind="stable")]] = np.arange(n) % min(n_folds, n)
    B = (2 * labels[groups] - 1).astype(np.int8)
    scores = np.empty(B.shape)
    for k in range(min(n_folds, n)):
        held = fold == k
        scores[held] = clone(function).fit(X[~held], B[~held]).decision_function(X[held])
    return scores


def confusion_similarity(scores, S):
    """Similarity of groups by how alike the scores of their points are, instead of +1 and -1.

    S_gh = 2 sqrt(cos(m_g, m_h)) - 1 with m_g the mean posterior of the points of group g; 1 inside a group.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, L)
        Out-of-fold margins, targets of -1 and +1, from `out_of_fold_scores`.
    S : bqp.supervision.GroupedSimilarity
        Every point known.

    Returns
    -------
    soft : bqp.supervision.GroupedSimilarity
        The same groups and weights of points.

    Examples
    --------
    >>> from bqp import supervision
    >>> S = supervision.from_labels([0, 0, 1, 2])
    >>> soft = confusion_similarity(np.array([[1, 0, -1], [0, 1, -1], [0, 1, -1], [-1, -1, 1.0]]), S)
    >>> soft.T.round(2)
    array([[ 1.  ,  0.95, -1.  ],
           [ 0.95,  1.  , -1.  ],
           [-1.  , -1.  ,  1.  ]])
    """
    from bqp import supervision

    posterior = np.maximum(scores + 1, 0)
    posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    means = np.zeros((S.n_groups, scores.shape[1]))
    np.add.at(means, S.groups, posterior)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.finfo(float).tiny)
    T = 2 * np.sqrt(np.clip(means @ means.T, 0, 1)) - 1
    T = (T + T.T) / 2
    np.fill_diagonal(T, 1.0)
    return supervision.from_groups(S.groups, T, weights=S.weights)


def label_probabilities(scores, S):
    """Probabilities of each label from its out-of-fold scores: a logistic curve a label.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, L)
        Out-of-fold scores of any scale, from `out_of_fold_scores`.
    S : bqp.supervision.GroupedSimilarity
        From labels or label sets; every point known.

    Returns
    -------
    probabilities : ndarray of shape (n_samples, L), float64
        Of each label by itself: rows of single labels sum to about 1.

    Notes
    -----
    Maximum likelihood with a penalty towards the curve of all labels together, as in `hashers.baselines.Posterior`.
    """
    from hashers.baselines.posterior import logistic_curves

    size = np.abs(scores).max(initial=0.0) or 1.0
    scores = scores / size
    slope, offset = logistic_curves(scores, label_vectors(S)[S.groups] > 0)
    return expit(slope * scores + offset)


def out_of_fold_similarity(function, X, S, n_folds=5, rng=0):
    """Similarity of groups by what a function can tell apart, instead of +1 and -1.

    S_gh = 2 sqrt(min(1, m_g.m_h)) - 1, where m_g holds the mean out-of-fold probability of each label over the points
    of group g: m_g.m_h labels are expected to be common to a point of g and one of h. Inside a group
    the target stays 1 (-1 in the empty label set).

    Parameters
    ----------
    function : HashFunction
        Unfitted. Any: margins are turned to probabilities by a logistic curve a label.
    X : ndarray or csr matrix of shape (n_samples, n_features)
    S : bqp.supervision.GroupedSimilarity
        From `bqp.supervision.from_labels` or `from_label_sets`. Points of unknown label take no part.
    n_folds : int
        See `out_of_fold_scores`.
    rng : int
        Seed of the folds.

    Returns
    -------
    soft : bqp.supervision.GroupedSimilarity
        The same groups, weights and classes; targets between groups are real numbers in [-1, 1].

    Raises
    ------
    ValueError
        If S does not come from labels, or is not over the rows of X.

    Notes
    -----
    `n_folds` fits of L bits, then O(C^2 L) for C groups. `similarity="confusion"` of the methods that have it is this,
    with their own function. ``python -m benchmarks.soft_similarity`` measures what it adds
    (docs/hashers.md).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from bqp import supervision
    >>> from hashers import LinearFunction
    >>> X, y = load_digits(return_X_y=True)
    >>> soft = out_of_fold_similarity(LinearFunction(), X[:500], supervision.from_labels(y[:500]))
    >>> bool(soft.T[8, 1] > soft.T[8, 0])  # eights look like ones
    True
    """
    from bqp import supervision

    labels = label_vectors(S)
    if S.n != X.shape[0]:
        raise ValueError(f"S is over {S.n} points and X has {X.shape[0]} rows: one point per row is needed.")
    known = np.flatnonzero(S.known)
    rows, inside = (X, S) if len(known) == S.n else (X[known], S.restrict(known))
    scores = out_of_fold_scores(function, rows, labels, inside.groups, n_folds, rng)
    probabilities = label_probabilities(scores, inside)
    indicator = sparse.csr_array(
        (np.ones(len(known)), (inside.groups, np.arange(len(known)))), shape=(S.n_groups, len(known))
    )
    means = indicator @ probabilities / np.maximum(np.bincount(inside.groups, minlength=S.n_groups), 1)[:, None]
    common = np.minimum(means @ means.T, 1.0)
    T = np.sqrt((common + common.T) / 2) * 2 - 1
    np.fill_diagonal(T, np.diag(S.T))
    return supervision.GroupedSimilarity(S.groups, T, S.V, S.weights, S.classes)

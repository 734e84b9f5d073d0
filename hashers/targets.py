"""What features say about labels: out-of-fold scores, and a similarity that knows which classes are confused.

Labels alone make every two classes equally dissimilar. A function that cannot tell two classes apart will give their
points mixed codes, whatever codes the classes were meant to have; a target that follows its out-of-fold mistakes asks
for codes that it can keep.
"""

import numpy as np
from sklearn.base import clone

__all__ = ["confusion_similarity", "label_vectors", "out_of_fold_scores"]


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

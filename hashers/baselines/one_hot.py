"""The sanity baseline: a plain classifier whose predicted class is the code.

A. Sablayrolles, M. Douze, N. Usunier and H. Jegou, "How should we evaluate supervised hashing?", ICASSP 2017.
"""

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from hashers import packing
from hashers.baselines._classes import ClassScorer

__all__ = ["OneHot"]


class OneHot(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassScorer):
    """The predicted class as a code of one bit a class; a hash that does not beat it is only a bad classifier.

    b_c(x) = +1 for the class c with the largest score, -1 for all others; with label sets, +1 for every label whose
    score is above 1/2.

    Parameters
    ----------
    function : HashFunction or classifier, optional
        What classifies. A hash function learns memberships (+1, -1) of all classes at once, its largest margin
        decides; a scikit-learn classifier learns the classes itself (label sets: one clone a label). Default
        `KernelFunction(n_anchors=1000)`. Cloned; a `random_state` of None is drawn from that of the hasher.
    random_state : int, RandomState instance or None
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.

    Attributes
    ----------
    classes_ : ndarray of shape (n_bits,)
        Class of each bit: the known labels, ascending; 0, 1, ... for label sets.
    codes_ : ndarray of shape (n_samples, n_bits), int8
        One-hot labels of the training points, the codes that the function learns; for points without a label the code
        that it gives them.
    function_ : HashFunction or classifier
    is_set_ : bool
        Whether y held label sets.
    n_bits_ : int
        Number of classes, or of labels; it cannot be chosen.
    n_features_in_ : int

    Notes
    -----
    Codes of different classes are 2 bits apart, so all items that the classifier puts elsewhere tie. Cost and memory
    are those of the function.

    References
    ----------
    Sablayrolles, Douze, Usunier and Jegou, "How should we evaluate supervised hashing?", ICASSP 2017.

    Examples
    --------
    >>> X = [[0.0], [0.1], [1.0], [1.1], [2.0], [2.1]]
    >>> y = ["a", "a", "b", "b", "c", "c"]
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> OneHot(DecisionTreeClassifier(), random_state=0).fit(X, y).transform([[1.05], [2.3]])
    array([[-1,  1, -1],
           [-1, -1,  1]], dtype=int8)
    """

    def __init__(self, function=None, random_state=None, unlabeled=-1):
        self.function = function
        self.random_state = random_state
        self.unlabeled = unlabeled

    def _learn(self, X, Y, known, rng):
        everyone = bool(known.all())
        function = self._fit_function(X if everyone else X[known], Y[known], int(rng.randint(2**31 - 1)))
        self.function_ = function
        self.n_bits_ = Y.shape[1]
        self.codes_ = np.where(Y, np.int8(1), np.int8(-1))
        if not everyone:
            self.codes_[~known] = packing.signs(self._margins(X[~known]))

    def decision_function(self, X):
        """Real margins, whose signs are the codes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        margins : ndarray of shape (n_samples, n_bits), float64
            Score of a class less the best score of the other classes; with label sets score less 1/2.
        """
        return self._margins(self._check_new(X))

    def transform(self, X):
        """Hash points: the code of the predicted class, or label set; shape (n_samples, n_bits), int8."""
        return packing.signs(self.decision_function(X))

    def encode(self, X):
        """Hash points to bytes, bit order "little"; shape (n_samples, ceil(n_bits / 8)), uint8."""
        return packing.pack(self.transform(X))

    def _margins(self, X):
        scores = self._scores(self.function_, X)[0]
        if self.is_set_:
            return scores - 0.5
        rows = np.arange(len(scores))
        best = scores.argmax(axis=1)
        others = scores.copy()
        others[rows, best] = -np.inf
        margins = scores - scores[rows, best][:, None]
        margins = np.minimum(margins, -np.finfo(np.float64).tiny)  # of equal scores the first class wins alone
        margins[rows, best] = scores[rows, best] - others.max(axis=1)
        return margins

    @property
    def _n_features_out(self):
        return self.n_bits_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

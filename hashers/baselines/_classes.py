"""Class scores by any hash function or classifier: what the baselines that classify share."""

from abc import abstractmethod

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from hashers._saving import SaveMixin
from hashers.base import _seed_unset
from hashers.functions.base import HashFunction, as_function, check_features

__all__ = ["ClassScorer"]


class ClassScorer(SaveMixin, BaseEstimator):
    """Base of estimators that score classes, or labels of label sets; children give `_learn`.

    Children set in `__init__` at least `function`, `random_state` and `unlabeled`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The known labels, ascending; 0, 1, ... for label sets.
    is_set_ : bool
        Whether y holds label sets.
    function_ : HashFunction or classifier
        Fitted to all rows whose label is known.
    n_features_in_ : int
        Features of X.
    """

    def fit(self, X, y):
        """Learn from labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features; finite. float32 is kept, other types become float64.
        y : array-like of shape (n_samples,) or (n_samples, L)
            Labels of any comparable kind, `unlabeled` marks unknown ones; or 0/1 label sets, a row of -1 throughout is
            unknown.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y is missing, holds NaN or only one class, or lengths differ.
        """
        from bqp import supervision

        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        X = check_features(self, X, reset=True)
        y = y if sparse.issparse(y) else np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = (y.toarray() if sparse.issparse(y) else y)[:, 0]
        if y.ndim == 0 or y.shape[0] != X.shape[0]:
            came = f"has {y.shape[0]}" if y.ndim else f"is the single value {y!r}"
            raise ValueError(
                f"X has {X.shape[0]} rows and y {came}: one label, or one label set, per row of X is needed. "
                "Pass the labels of these rows, in their order."
            )
        is_set = y.ndim == 2
        S = supervision.from_label_sets(y) if is_set else supervision.from_labels(y, unlabeled=self.unlabeled)
        known, groups = np.asarray(S.known), np.asarray(S.groups)
        if len(np.unique(groups[known])) == 1:
            raise ValueError(
                f"y has one class only in {int(known.sum())} labelled samples: nothing to tell apart. Give at least "
                "two classes."
            )
        self.is_set_ = is_set
        classes = np.asarray(S.classes)
        self.classes_ = np.arange(classes.shape[1]) if is_set else classes
        Y = classes[groups] > 0 if is_set else groups[:, None] == np.arange(len(classes))
        self._learn(X, Y, known, check_random_state(self.random_state))
        return self

    @abstractmethod
    def _learn(self, X, Y, known, rng):
        """Fit to validated features and memberships Y (n, n_classes) bool; rows not in `known` have none."""

    def _fit_function(self, X, Y, seed):
        """A fitted clone of `function`.

        A hash function learns memberships as codes, all at once; a classifier learns the classes themselves, or one
        label at a time where y holds label sets.
        """
        if self.function is None or isinstance(self.function, HashFunction) or self.is_set_:
            function = as_function(self.function)
            _seed_unset(function, seed)
            return function.fit(X, np.where(Y, np.int8(1), np.int8(-1)))
        as_function(self.function)  # says what is wrong with it
        function = clone(self.function)
        _seed_unset(function, seed)
        return function.fit(X, Y.argmax(axis=1))

    def _scores(self, function, X):
        """Scores (n, n_classes) float64 of validated rows, and whether they are probabilities.

        Scores that are none estimate membership: 1 for yes, 0 for no.
        """
        if isinstance(function, HashFunction):
            return (np.asarray(function.decision_function(X)) + 1) / 2, False
        C, seen = len(self.classes_), np.asarray(function.classes_)
        if hasattr(function, "predict_proba"):
            scores = np.zeros((X.shape[0], C))
            scores[:, seen] = function.predict_proba(X)
            return scores, True
        if hasattr(function, "decision_function"):
            margins = np.asarray(function.decision_function(X), dtype=np.float64)
            margins = np.c_[-margins, margins] if margins.ndim == 1 else margins
            scores = np.full((X.shape[0], C), -1e3)  # a class that the rows did not show
            scores[:, seen] = (margins + 1) / 2
            return scores, False
        return (np.asarray(function.predict(X))[:, None] == np.arange(C)).astype(np.float64), True

    def _check_new(self, X):
        check_is_fitted(self)
        return check_features(self, X, reset=False)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "function_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.two_d_labels = True
        return tags

"""What every hasher shares: supervision to codes to functions, behind scikit-learn's manners.

A method whose steps are separate gives `Hasher._learn_codes`, which turns a similarity into codes. One that fits
functions while it learns codes derives from `CoupledHasher`. One whose codes need the features in another way gives
`Hasher._learn`. This module does the rest.
"""

import logging
from dataclasses import replace

import numpy as np
from joblib import effective_n_jobs
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from hashers import packing
from hashers._saving import SaveMixin
from hashers.bar import Bar
from hashers.functions.base import HashFunction, as_function, check_count, check_features
from hashers.functions.refit import Refit

__all__ = ["CoupledHasher", "Hasher"]

logger = logging.getLogger("hashers")

SIMILARITIES = ("given", "confusion")
"""Values of the parameter `similarity` of methods that have it."""


PAIRWISE = "TSH, FastHash, COSDISH, AffHash, HBMP, LFH, KSH, MLH and TripletHash"
"""Methods that take pairs, for messages."""


class Hasher(SaveMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base of two-step hashers: learn codes of the training points, then fit a function to each bit.

    Children set in `__init__` at least `n_bits`, `function`, `n_jobs`, `random_state`, `verbose`, `unlabeled`, and give
    `_learn_codes` or `_learn`. Those that also set `similarity` may be asked to learn from what functions confuse.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Learned codes of the training points; a point without supervision has the code that the functions give it.
    result_ : bqp.codes.CodeResult
        What the code learner returned: objective, bounds, trace, the solution of each bit.
    function_ : HashFunction
        Functions fitted to the codes of the points that have supervision.
    n_bits_ : int
        Code length.
    n_features_in_ : int
        Features of X.
    """

    _needs_labels = False
    """Whether codes follow from labels, so that pairs and matrices are refused."""

    def fit(self, X, y):
        """Learn from labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features; finite. float32 is kept, other types become float64.
        y : array-like of shape (n_samples,) or (n_samples, L)
            Labels of any comparable kind, similar = equal, `unlabeled` marks unknown ones; or 0/1 label sets, similar =
            at least one in common, a row of -1 throughout is unknown.

        Returns
        -------
        self : Hasher

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y is missing, holds NaN or only one class, or lengths differ.
        """
        from bqp import supervision

        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. "
                "Without labels use fit_pairs or fit_similarity."
            )
        X = self._check_features(X, reset=True)
        y = y if sparse.issparse(y) else np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = (y.toarray() if sparse.issparse(y) else y)[:, 0]
        if y.ndim == 0 or y.shape[0] != X.shape[0]:
            came = f"has {y.shape[0]}" if y.ndim else f"is the single value {y!r}"
            raise ValueError(
                f"X has {X.shape[0]} rows and y {came}: one label, or one label set, per row of X is needed. "
                "Pass the labels of these rows, in their order."
            )
        if y.ndim == 2:
            S = supervision.from_label_sets(y)
        else:
            S = supervision.from_labels(y, unlabeled=self.unlabeled)
        distinct = np.unique(S.groups[S.known])
        if len(distinct) == 1:
            value = y[np.flatnonzero(S.known)[0]]
            if y.ndim == 2 and S.T[distinct[0], distinct[0]] < 0:
                raise ValueError(
                    f"no label set in y has a label, in {int(S.known.sum())} samples: nothing is similar to anything. "
                    "Give 0/1 rows with a 1 at each label of the sample; a row of -1 throughout marks an unknown set."
                )
            if y.ndim == 2:
                value = f"the label set {np.flatnonzero(value.toarray() if sparse.issparse(value) else value).tolist()}"
            raise ValueError(
                f"y has one class only, {value}, in {int(S.known.sum())} labelled samples: every code would be the "
                "same. Give at least two classes."
            )
        return self._fit(X, S)

    def fit_pairs(self, X, pairs, s):
        """Learn from pairs of points.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features of all points.
        pairs : array-like of shape (m, 2), int
            Rows of X. A pair counts in both directions.
        s : array-like of shape (m,), or number
            Target of each pair: +1 similar, -1 dissimilar, real values allowed.

        Returns
        -------
        self : Hasher

        Raises
        ------
        ValueError
            If an index is out of range, a pair has two targets, or no pair is dissimilar.

        Notes
        -----
        The functions are fitted to the points that occur in a pair.
        """
        from bqp import supervision

        X = self._check_features(X, reset=True)
        pairs = np.asarray(pairs)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError(f"pairs must have shape (m, 2), two rows of X a pair: its shape is {pairs.shape}.")
        S = supervision.from_pairs(pairs[:, 0], pairs[:, 1], s, X.shape[0])
        if np.min(s) > 0:
            raise ValueError(
                "every pair is similar: every code would be the same. Give dissimilar pairs (s = -1) as well."
            )
        return self._fit(X, S)

    def fit_similarity(self, X, S):
        """Learn from a similarity of all points.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        S : bqp.supervision.Similarity, ndarray or sparse matrix of shape (n_samples, n_samples)
            Targets; entries that a sparse matrix does not store are unknown.

        Returns
        -------
        self : Hasher

        Raises
        ------
        ValueError
            If S is not symmetric, holds NaN, or is not of the size of X.
        """
        from bqp import supervision

        X = self._check_features(X, reset=True)
        if not isinstance(S, supervision.Similarity):
            S = supervision.from_matrix(S)
        if S.n != X.shape[0]:
            raise ValueError(f"S is over {S.n} points and X has {X.shape[0]} rows: one point per row is needed.")
        return self._fit(X, S)

    def transform(self, X):
        """Hash points.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        B : ndarray of shape (n_samples, n_bits), int8
            Codes in {-1, +1}: +1 where the margin is at least 0.
        """
        return packing.signs(self.decision_function(X))

    def decision_function(self, X):
        """Real margins, whose signs are the codes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        margins : ndarray of shape (n_samples, n_bits), float64
            Whatever the type of X: functions are solved in float64, and what float32 would round to 0 changes a bit.
        """
        check_is_fitted(self)
        return self.function_.decision_function(self._check_features(X, reset=False))

    def encode(self, X):
        """Hash points to bytes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        packed : ndarray of shape (n_samples, ceil(n_bits / 8)), uint8
            Bit order "little", zero padding; see `hashers.packing`.
        """
        return packing.pack(packing.signs(self.decision_function(X)))

    def database_codes(self, X, database="hashed"):
        """Codes for the database side of a search.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Database points; for "learned" the training points, in their order.
        database : {"hashed", "learned"}
            What the functions give; or the learned codes, which have seen the labels of the database: a far easier
            task, not comparable with the first.

        Returns
        -------
        B : ndarray of shape (n_samples, n_bits), int8
        """
        if database not in ("hashed", "learned"):
            raise ValueError(f'database must be "hashed" or "learned": {database!r}.')
        if database == "hashed":
            return packing.signs(self.decision_function(X))
        check_is_fitted(self)
        X = self._check_features(X, reset=False)
        if X.shape[0] != len(self.codes_):
            raise ValueError(
                f"learned codes exist for the {len(self.codes_)} training points, X has {X.shape[0]} rows. "
                'Pass the training points, or database="hashed".'
            )
        return self.codes_.copy()

    def _check_features(self, X, reset):
        """Validated features; a hasher that takes other kinds of them overrides this."""
        return check_features(self, X, reset)

    @property
    def _n_features_out(self):
        return self.n_bits_

    def _learn_codes(self, S, n_bits, n_jobs, rng, callback):
        """Return a `bqp.codes.CodeResult` for a similarity; `rng` is an int seed, `callback` may be None."""
        raise NotImplementedError(f"{type(self).__name__} gives neither _learn_codes nor _learn.")

    def _learn(self, X, S, function, n_bits, n_jobs, rng, progress):
        """Learn codes of S, then fit the function to the points that S says something about.

        Parameters
        ----------
        X : ndarray or csr matrix of shape (n_samples, n_features)
            Validated features.
        S : bqp.supervision.Similarity
        function : HashFunction
            Unfitted and seeded; this method's own.
        n_bits, n_jobs : int
        rng : int
            Seed.
        progress : object
            `progress.callback` for the code learner, None if nobody looks; `progress.say(text)`.

        Returns
        -------
        result : bqp.codes.CodeResult
        function : HashFunction
            Fitted.
        """
        result = self._learn_codes(S, n_bits, n_jobs, rng, progress.callback)
        progress.say(f"codes of {n_bits} bits in {result.time:.2f} s, objective {result.objective:.6g}; functions")
        known = np.asarray(S.known)
        everyone = bool(known.all())
        function.fit(X if everyone else X[known], result.B if everyone else result.B[known])
        return result, function

    def _default_function(self):
        """The function of ``function=None``."""
        return as_function(None)

    def _fit(self, X, S):
        """Learn codes and functions, and keep what was learned."""
        if self._needs_labels and getattr(S, "structure", "") != "grouped":
            raise ValueError(
                f"{type(self).__name__} looks at the labels of points, and pairs or a matrix of similarities have "
                f"none. Call fit with labels or label sets. {PAIRWISE} take pairs."
            )
        n_bits = check_count(self.n_bits, "n_bits")
        function = self._default_function() if self.function is None else as_function(self.function)
        rng = check_random_state(self.random_state)
        code_seed, function_seed = (int(seed) for seed in rng.randint(2**31 - 1, size=2))
        _seed_unset(function, function_seed)
        with _Progress(n_bits, self.verbose) as progress:
            wanted = self._wanted_similarity(X, S, function, code_seed, progress)
            n_jobs = effective_n_jobs(self.n_jobs)
            result, function = self._learn(X, wanted, function, n_bits, n_jobs, code_seed, progress)
        if wanted is not S:  # the yardstick stays that of the labels, for which nothing was proven
            result = replace(result, ksh_objective=float(S.ksh_objective(result.B)), ksh_lower_bound=-np.inf)
        known = np.asarray(S.known)
        self.codes_ = np.array(result.B, dtype=np.int8)
        if not known.all():
            self.codes_[~known] = function.predict(X[~known])
        self.result_ = result
        self.function_: HashFunction = function
        self.n_bits_ = n_bits
        return self

    def _wanted_similarity(self, X, S, function, rng, progress):
        """The similarity to learn from: S, or what out-of-fold scores of the function make of it."""
        choice = getattr(self, "similarity", "given")
        if choice not in SIMILARITIES:
            raise ValueError(f"similarity must be one of {', '.join(SIMILARITIES)}: {choice!r}.")
        if choice == "given":
            return S
        if getattr(S, "classes", None) is None:
            raise ValueError(
                'similarity="confusion" asks which classes a function confuses, and there are no classes in pairs, '
                "triplets or a matrix of similarities. Call fit with labels or label sets, or use "
                f'{type(self).__name__}(similarity="given").'
            )
        from hashers.targets import out_of_fold_similarity

        progress.say("similarity from out-of-fold scores")
        return out_of_fold_similarity(function, X, S, rng=rng)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "function_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.two_d_labels = True
        tags.transformer_tags.preserves_dtype = []
        return tags


class CoupledHasher(Hasher):
    """Base of hashers whose code learner fits functions on the way, through `refit`.

    Children give `_learn_jointly`. The functions of the result are those that made its codes where the learner says so
    (``result.stats["refit_calls"]``); else they are fitted to the codes once more.
    """

    def _learn_jointly(self, S, refit, n_bits, n_jobs, rng, callback):
        """Return a `bqp.codes.CodeResult`; `refit` is a `hashers.functions.refit.Refit`."""
        raise NotImplementedError(f"{type(self).__name__} does not give _learn_jointly.")

    def _learn(self, X, S, function, n_bits, n_jobs, rng, progress):
        refit = Refit(function, X, np.asarray(S.known))
        result = self._learn_jointly(S, refit, n_bits, n_jobs, rng, progress.callback)
        calls = result.stats.get("refit_calls")
        if calls is None or np.min(calls) < 0:  # none, or a run that was stopped before each bit had its function
            return result, refit.fit(result.B)
        return result, refit.function(calls)


def _seed_unset(estimator, seed):
    """Give every random_state parameter that is None, nested ones too, a seed of its own."""
    names = sorted(
        name
        for name, value in estimator.get_params(deep=True).items()
        if value is None and name.split("__")[-1] == "random_state"
    )
    estimator.set_params(**{name: (seed + k) % (2**31 - 1) for k, name in enumerate(names)})


class _Progress(Bar):
    """A bar of bits, and lines to the logger "hashers" always."""

    def __init__(self, n_bits, verbose):
        super().__init__(verbose, "codes", n_bits)

    def state(self, event):
        return min(event.n_moves, self.total), f"codes, objective {event.energy:.6g}"

    def say(self, text):
        logger.info(text)
        if self.bar is not None:
            self.bar.update(self.task, description=text)

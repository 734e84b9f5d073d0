"""Boosted trees as hash functions: features are binned once, every bit is boosted on the same bins.

Trees as hash functions: Lin, Shen, Shi, van den Hengel and Suter, "Fast supervised hashing with decision trees for
high-dimensional data", CVPR 2014. The engine: Ke, Meng, Finley, Wang, Chen, Ma, Ye and Liu, "LightGBM: a highly
efficient gradient boosting decision tree", NIPS 2017.
"""

import copy
import zlib
from numbers import Real
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import check_random_state

from bqp.errors import BackendNotFound
from hashers import packing
from hashers.functions.base import Design, HashFunction, balanced

__all__ = ["TreesFunction"]

ENGINES = ("lightgbm", "sklearn")

FEW_FEATURES = 20
"""Features that a tree may use at least with ``feature_fraction="auto"``."""


class TreesFunction(HashFunction):
    """Hash functions that are sums of regression trees, boosted for the logistic loss, a bit at a time.

    f(x) = log-odds of the bit + sum over rounds of learning_rate * tree(x); each tree fits the gradients of
    sum_i w_i log(1 + exp(-b_i f(x_i))). Margins are the raw scores f(x).

    Parameters
    ----------
    engine : {"lightgbm", "sklearn"}
        LightGBM, or scikit-learn's HistGradientBoostingClassifier (dense X only).
    n_estimators : int
        Rounds of boosting, one tree each.
    learning_rate : float
        Shrinkage of each tree.
    n_leaves : int
        Most leaves of a tree.
    min_samples_leaf : int
        Fewest training rows in a leaf.
    feature_fraction : float or "auto"
        Share of the features, drawn at random, that a tree (with "sklearn" each of its splits) may use; in (0, 1].
        "auto" is a tenth, but at least 20 features.
    max_bins : int
        Bins of a feature, from 2 to 255.
    n_jobs : int, optional
        Threads of the engine; the result does not depend on it.
    random_state : int, RandomState instance or None
        Draws the features of each tree.

    Attributes
    ----------
    models_ : list
        By bit, the fitted trees: LightGBM's text format, a fitted HistGradientBoostingClassifier, or the number -1.0
        or 1.0 for a bit that is constant in training.
    exponent_ : ndarray of shape (n_features,), int
        Features are divided by ``2**exponent_`` first; 0 unless a feature is below 2**-40 or above 2**40 throughout.

    Raises
    ------
    BackendNotFound
        If LightGBM is not installed.

    Notes
    -----
    Binning costs O(n d log n) once; a round then costs O(n d f) for the share f of features, whatever the number of
    bits. Memory is n d bytes of bins and 64 KiB a feature of histograms for the default number of leaves.

    The random numbers of a bit depend on `random_state` and on the bit itself, so that a bit gets the same trees
    whichever bits are fitted beside it; equal bits in one call get different trees. Rows of weight 0 are left out.
    `design` keeps the binned features for learners that fit bit after bit.

    Where we differ from the authors (CVPR 2014): gradient boosting for the logistic loss instead of AdaBoost, a random
    tenth of the features for a tree instead of 200 for a node, trees grown leaf by leaf instead of to depth 4, all rows
    in each round instead of those that carry 99 % of the weight.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> B = [[1, -1] if label < 5 else [-1, -1] for label in y]
    >>> function = TreesFunction(n_estimators=20, random_state=0).fit(X[:1000], B[:1000])
    >>> bool((function.predict(X[1000:]) == B[1000:]).mean() > 0.9)
    True
    """

    _per_bit = ("models_",)

    def __init__(
        self,
        engine="lightgbm",
        n_estimators=200,
        learning_rate=0.2,
        n_leaves=15,
        min_samples_leaf=20,
        feature_fraction="auto",
        max_bins=63,
        n_jobs=None,
        random_state=None,
    ):
        self.engine = engine
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.n_leaves = n_leaves
        self.min_samples_leaf = min_samples_leaf
        self.feature_fraction = feature_fraction
        self.max_bins = max_bins
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X, B, weight):
        self._check_parameters()
        if weight is not None and not weight.all():
            counted = np.flatnonzero(weight)
            X, B, weight = X[counted], B[counted], weight[counted]
        self._boost(_BINS[self.engine](self, X), B, weight)

    def _boost(self, bins, B, weight):
        """Fit every bit on binned features."""
        base = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.exponent_ = bins.exponent
        bits = np.ascontiguousarray(np.asarray(B, dtype=np.int8).T)
        models, seen, seeds = [], {}, {}
        for k, bit in enumerate(bits):
            models.append(float(bit[0]))
            if (bit != bit[0]).any():
                key = np.packbits(bit > 0).tobytes()
                seen[key] = seen.get(key, -1) + 1
                seeds[k] = (base + zlib.crc32(key, seen[key])) % (2**31 - 1)
        for k, model in zip(seeds, bins.boost(bits[list(seeds)], list(seeds.values()), _of_mean_one(weight))):
            models[k] = model
        self.models_ = models

    def _margins(self, X):
        X = _scaled(_known_sparse(X), self.exponent_)
        margins = np.empty((X.shape[0], self.n_bits_))
        for k, model in enumerate(self._boosters()):
            if isinstance(model, float):
                margins[:, k] = model
            elif hasattr(model, "decision_function"):
                _refuse_sparse(X)
                with _openmp_threads(self.n_jobs):
                    margins[:, k] = model.decision_function(X)
            else:
                margins[:, k] = model.predict(X, raw_score=True, num_threads=effective_n_jobs(self.n_jobs))
        return margins

    def _design(self, X):
        return TreesDesign(self, X)

    def _check_parameters(self):
        if self.engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}: {self.engine!r}.")
        for name, least, most in (
            ("n_estimators", 1, np.inf),
            ("n_leaves", 2, np.inf),
            ("min_samples_leaf", 1, np.inf),
            ("max_bins", 2, 255),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
                limits = f"of at least {least}" if most == np.inf else f"from {least} to {most}"
                raise ValueError(f"{name} must be an integer {limits}: {value!r}.")
        for name in ("learning_rate", "feature_fraction"):
            value = getattr(self, name)
            if name == "feature_fraction" and isinstance(value, str) and value == "auto":
                continue
            good = isinstance(value, Real) and not isinstance(value, bool)
            if not good or not 0 < float(value) <= 1:
                choice = ' or "auto"' if name == "feature_fraction" else ""
                raise ValueError(f"{name} must be a number above 0, at most 1{choice}: {value!r}.")

    def _fraction(self, n_features):
        if self.feature_fraction == "auto":
            return min(1.0, max(0.1, FEW_FEATURES / n_features))
        return float(self.feature_fraction)

    def _boosters(self):
        """`models_` with LightGBM's texts read, once."""
        texts, boosters = getattr(self, "_read", (None, None))
        if texts is not self.models_:
            boosters = [_lightgbm().Booster(model_str=m) if isinstance(m, str) else m for m in self.models_]
            self._read = self.models_, boosters
        return boosters

    def __getstate__(self):
        state = dict(super().__getstate__())
        state.pop("_read", None)
        return state


class TreesDesign(Design):
    """Binned features, made once, for any number of fits.

    Unlike `TreesFunction.fit`, rows of weight 0 in a fit take part in the binning.
    """

    def __init__(self, function, X):
        super().__init__(function, X)
        function._check_parameters()
        self.bins = _BINS[function.engine](function, X)

    def fit(self, B, sample_weight=None):
        B = packing.check_codes(B)
        fitted = clone(self.function)
        weight = fitted._check_weight(sample_weight, self.X.shape[0])
        bins = self.bins
        if weight is not None and not weight.all():
            counted = np.flatnonzero(weight)
            bins, B, weight = bins.subset(counted), B[counted], weight[counted]
        fitted.n_features_in_, fitted.n_bits_ = self.X.shape[1], B.shape[1]
        fitted._boost(bins, B, weight)
        return fitted


class _LightBins:
    """Features binned by LightGBM."""

    dataset: Any
    exponent: np.ndarray

    def __init__(self, function, X):
        self.function = function
        self.parameters = {
            "objective": "binary",
            "learning_rate": function.learning_rate,
            "num_leaves": function.n_leaves,
            "min_data_in_leaf": function.min_samples_leaf,
            "feature_fraction": function._fraction(X.shape[1]),
            "max_bin": function.max_bins,
            "min_data_in_bin": 1,
            "use_missing": False,
            "enable_bundle": False,  # bundles may hold features that overlap: leaves then differ from what they predict
            "num_threads": effective_n_jobs(function.n_jobs),
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }
        X, self.exponent = balanced(_known_sparse(X), axis=0)
        self.dataset = _lightgbm().Dataset(X, params=self.parameters).construct()

    def subset(self, rows):
        """The bins of some rows."""
        part = copy.copy(self)
        part.dataset = self.dataset.subset(rows).construct()
        return part

    def boost(self, bits, seeds, weight):
        """The trees of each bit, as text; no bit is constant, weights are positive."""
        n_jobs = effective_n_jobs(self.function.n_jobs)
        n_workers = max(1, min(n_jobs, len(bits)))
        everyone = np.arange(self.dataset.num_data())
        copies = [self.dataset.subset(everyone).construct() for _ in range(n_workers - 1)]  # labels live in a dataset
        parts = Parallel(n_jobs=n_workers, prefer="threads")(
            delayed(self._boost)(dataset, bits[w::n_workers], seeds[w::n_workers], weight, n_jobs // n_workers)
            for w, dataset in enumerate([self.dataset, *copies])
        )
        return [parts[k % n_workers][k // n_workers] for k in range(len(bits))]

    def _boost(self, dataset, bits, seeds, weight, n_threads):
        dataset.set_field("weight", weight)  # set_weight(None), or of equal weights, would leave the last ones there
        texts = []
        for bit, seed in zip(bits, seeds):
            dataset.set_label(bit > 0)
            booster = _lightgbm().Booster({**self.parameters, "seed": seed, "num_threads": n_threads}, dataset)
            for _ in range(self.function.n_estimators):
                booster.update()
            texts.append(booster.model_to_string())
        return texts


class _ScikitBins:
    """Features for scikit-learn's trees, which bin them at each fit."""

    def __init__(self, function, X):
        _refuse_sparse(X)
        self.function = function
        self.X, self.exponent = balanced(X, axis=0)

    def subset(self, rows):
        """The features of some rows."""
        part = copy.copy(self)
        part.X = self.X[rows]
        return part

    def boost(self, bits, seeds, weight):
        """The trees of each bit; no bit is constant, weights are positive."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        function = self.function
        trees = HistGradientBoostingClassifier(
            learning_rate=function.learning_rate,
            max_iter=function.n_estimators,
            max_leaf_nodes=function.n_leaves,
            min_samples_leaf=function.min_samples_leaf,
            max_features=function._fraction(self.X.shape[1]),
            max_bins=function.max_bins,
            early_stopping=False,
        )
        with _openmp_threads(function.n_jobs):
            return [
                clone(trees).set_params(random_state=seed).fit(self.X, bit, sample_weight=weight)
                for bit, seed in zip(bits, seeds)
            ]


_BINS = {"lightgbm": _LightBins, "sklearn": _ScikitBins}


def _lightgbm():
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # OSError: the library is there, libgomp is not
        raise BackendNotFound(
            f"TreesFunction needs LightGBM, which does not load: {error}. "
            'Install it (pip install lightgbm; on bare systems libgomp as well), or use engine="sklearn".'
        ) from error
    return lightgbm


def _openmp_threads(n_jobs):
    from threadpoolctl import threadpool_limits

    return threadpool_limits(effective_n_jobs(n_jobs), user_api="openmp")


def _refuse_sparse(X):
    if sparse.issparse(X):
        raise ValueError('engine="sklearn" takes dense X only. Use engine="lightgbm", or pass X.toarray().')


def _known_sparse(X):
    """X, as a sparse matrix where it is a sparse array, which LightGBM does not know."""
    return sparse.csr_matrix(X) if sparse.issparse(X) else X


def _of_mean_one(weight):
    """Positive weights scaled to mean 1, so that limits on a leaf do not depend on their unit."""
    if weight is None:
        return None
    weight = weight / weight.max()
    return weight / weight.mean()


def _scaled(X, exponent):
    """X with column j divided by ``2**exponent[j]``."""
    if not exponent.any():
        return X
    with np.errstate(over="ignore"):
        if not sparse.issparse(X):
            return np.ldexp(X, -exponent)
        X = X.copy()
        X.data = np.ldexp(X.data, -exponent[X.indices])
    return X

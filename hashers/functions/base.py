"""What a hash function is, and any scikit-learn classifier or regressor as one.

A function is fitted to features and codes, ``fit(X, B)``, and gives real margins ``decision_function(X)`` of shape
(n_samples, n_bits); ``predict(X)`` codes a margin of at least 0 to +1. Functions that regress can follow real targets
instead of codes, ``fit_targets(X, T)``. ``design(X)`` is for learners that fit the same function many times to the same
features.
"""

import copy
import math
from abc import abstractmethod
from numbers import Integral, Real

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse
from sklearn import get_config
from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from hashers import packing

__all__ = [
    "ClassifierFunction",
    "Design",
    "HashFunction",
    "as_function",
    "balanced",
    "check_count",
    "check_features",
    "check_finite",
    "check_positive",
    "join",
]

NARROW = ("float32", "float16", "uint8", "int8", "uint16", "int16", "bool")
"""Types of X that float32 holds exactly; other types become float64."""

TAME = 40
"""Binary exponents up to this size, either way, neither overflow nor underflow when squared and summed in float32."""

LARGEST_TARGET = 1e100
"""Real targets up to this size, and largest ones of a bit down to its inverse, can be squared and summed in float64."""


def check_features(estimator, X, reset):
    """Validate features for an estimator: two-dimensional, finite, float32 where that loses nothing.

    Parameters
    ----------
    estimator : BaseEstimator
        Receives ``n_features_in_`` (and the feature names) with `reset`, is compared with them otherwise.
    X : array-like or sparse matrix of shape (n_samples, n_features)
    reset : bool

    Returns
    -------
    X : ndarray or csr matrix of shape (n_samples, n_features), float32 or float64

    Raises
    ------
    ValueError
        If X has another shape or holds NaN or infinity; the message names the first place.
    """
    dtype = np.float32 if str(getattr(X, "dtype", "")) in NARROW else np.float64
    X = validate_data(estimator, X, accept_sparse="csr", dtype=dtype, reset=reset, ensure_all_finite=False)
    if not get_config()["assume_finite"]:
        check_finite(X)
    return X


def check_finite(X):
    """Raise where a dense or csr X holds NaN or infinity."""
    values = X.data if sparse.issparse(X) else X
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):
            return
    wrong = ~np.isfinite(values)
    if not wrong.any():
        return  # only the sum overflows
    first = int(np.argmax(wrong))
    if sparse.issparse(X):
        row, column = int(np.searchsorted(X.indptr, first, side="right")) - 1, int(X.indices[first])
    else:
        row, column = divmod(first, X.shape[1])
    value = values.flat[first]
    kind = "NaN" if np.isnan(value) else "infinity"
    raise ValueError(
        f"Input X contains {kind}: {value} at row {row}, column {column}, {int(wrong.sum())} such value(s) in all. "
        "Every feature must be a finite number: drop those rows, or fill them in (sklearn.impute.SimpleImputer; "
        "make infinity NaN first)."
    )


def balanced(X, axis):
    """Bring rows or columns of extreme size to a largest absolute value between 1/2 and 1, by powers of two.

    Parameters
    ----------
    X : ndarray or csr matrix of shape (n_samples, n_features)
    axis : {0, 1}
        0 looks at columns, 1 at rows.

    Returns
    -------
    X : ndarray or csr matrix
        Input divided by ``2**exponent``; the input itself where nothing is extreme.
    exponent : ndarray of int, one per column or row
        0 for what is left as it is: a largest absolute value between 2**-40 and 2**40, or 0.
    """
    if sparse.issparse(X):
        largest = abs(X).max(axis=axis).toarray().ravel()
    else:
        largest = np.maximum(X.max(axis=axis), -X.min(axis=axis))
    exponent = np.frexp(largest)[1]
    exponent = np.where(np.abs(exponent) > TAME, exponent, 0)
    if not exponent.any():
        return X, exponent
    if not sparse.issparse(X):
        return np.ldexp(X, -np.expand_dims(exponent, axis)), exponent
    X = X.copy()
    X.data = np.ldexp(X.data, -(exponent[X.indices] if axis == 0 else np.repeat(exponent, np.diff(X.indptr))))
    return X, exponent


def check_positive(value, name, *, zero=False):
    """Validate a finite number above 0, or of at least 0 with `zero`, and return it as float."""
    good = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < 0 or (value == 0 and not zero):
        raise ValueError(f"{name} must be a finite number {'of at least' if zero else 'above'} 0: {value!r}.")
    return float(value)


def check_count(value, name, least=None):
    """Validate a positive integer, or one of at least `least`, and return it as int."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < (1 if least is None else least):
        wanted = "a positive integer" if least is None else f"an integer of at least {least}"
        raise ValueError(f"{name} must be {wanted}: {value!r}.")
    return int(value)


class HashFunction(BaseEstimator):
    """Base of all hash functions: validation, signs and scikit-learn manners; children give `_fit` and `_margins`.

    Attributes
    ----------
    n_bits_ : int
        Code length.
    n_features_in_ : int
        Features of X.
    """

    _per_bit: tuple[str, ...] = ()
    """Fitted attributes with one entry a bit: the last axis of an array, or the items of a list. `join` needs them."""

    def fit(self, X, B, sample_weight=None):
        """Fit the function to codes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features; float32 is kept, other types become float64.
        B : array-like of shape (n_samples, n_bits)
            Codes in {-1, +1}.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each row, at least 0.

        Returns
        -------
        self : HashFunction

        Raises
        ------
        ValueError
            If X holds NaN or infinity, B anything but -1 and +1, shapes differ, or a weight is negative.
        """
        B = packing.check_codes(B)
        X = self._check_features(X, reset=True)
        if X.shape[0] != len(B):
            raise ValueError(
                f"X has {X.shape[0]} rows and B has {len(B)}: one code per row of X is needed. "
                "Pass the codes of these rows, in their order."
            )
        self.n_bits_ = B.shape[1]
        self._fit(X, B, self._check_weight(sample_weight, len(B)))
        return self

    @property
    def takes_targets(self):
        """Whether `fit_targets` works: margins then estimate the mean of a target given the features.

        Such a function gives, nearly, a linear mixture of margins for the same mixture of targets.
        """
        return False

    def fit_targets(self, X, T, sample_weight=None):
        """Fit the function to real numbers instead of codes.

        Minimises sum_i w_i |t_i - f(x_i)|^2 plus the penalty of the function: margins follow the targets in size as
        well as in sign. On codes it is the same as `fit`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features; float32 is kept, other types become float64.
        T : array-like of shape (n_samples, n_bits)
            Targets: finite real numbers of which the signs are wanted, a bit a column.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each row, at least 0.

        Returns
        -------
        self : HashFunction

        Raises
        ------
        ValueError
            If `takes_targets` is False, X or T holds NaN or infinity, T is too large or too small to be squared, shapes
            differ, or a weight is negative.

        Examples
        --------
        >>> from hashers.functions import LinearFunction
        >>> X, T = [[0.0], [1.0], [2.0]], [[-3.0], [1.0], [5.0]]
        >>> LinearFunction(ridge=0).fit_targets(X, T).decision_function([[1.5]]).round(3)
        array([[3.]])
        """
        if not self.takes_targets:
            raise ValueError(
                f"{self!r} is fitted to codes of -1 and +1 and takes no real targets. Use KernelFunction, "
                'LinearFunction(solver="ridge") or a scikit-learn regressor, or fit it to packing.signs(T).'
            )
        T = check_targets(T)
        X = self._check_features(X, reset=True)
        if X.shape[0] != len(T):
            raise ValueError(
                f"X has {X.shape[0]} rows and T has {len(T)}: one row of targets per row of X is needed. "
                "Pass the targets of these rows, in their order."
            )
        self.n_bits_ = T.shape[1]
        self._fit(X, T, self._check_weight(sample_weight, len(T)))
        return self

    def design(self, X):
        """Prepare for many fits to the same features.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        design : Design
            Fits clones of this function; keeps what depends on X alone.
        """
        function = clone(self)
        return function._design(function._check_features(X, reset=True))

    def _design(self, X):
        return Design(self, X)

    def decision_function(self, X):
        """Real margins.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        margins : ndarray of shape (n_samples, n_bits), float64
        """
        check_is_fitted(self)
        return self._margins(self._check_features(X, reset=False))

    def predict(self, X):
        """Codes: +1 where the margin is at least 0, else -1; shape (n_samples, n_bits), int8."""
        return packing.signs(self.decision_function(X))

    def transform(self, X):
        """The same as `predict`."""
        return self.predict(X)

    def _check_features(self, X, reset):
        """Validated features; a function that takes other kinds of them overrides this."""
        return check_features(self, X, reset)

    @staticmethod
    def _check_weight(sample_weight, n):
        if sample_weight is None:
            return None
        weight = np.asarray(sample_weight, dtype=np.float64)
        if weight.shape != (n,):
            raise ValueError(f"sample_weight must have shape ({n},), one per row of X: its shape is {weight.shape}.")
        wrong = ~(np.isfinite(weight) & (weight >= 0))
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(f"sample_weight must be finite and at least 0: {weight[i]} at {i}.")
        if not weight.any():
            raise ValueError("sample_weight is zero for every row: give some row a positive weight.")
        return weight

    @abstractmethod
    def _fit(self, X, B, weight):
        """Fit to validated features and codes; `weight` (n_samples,) or None.

        `B` is int8 or, for functions that take targets, float64 with any finite values.
        """

    @abstractmethod
    def _margins(self, X):
        """Margins (n_samples, n_bits) float64 of validated features."""

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_bits_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.two_d_labels = True
        return tags


class Design:
    """A function beside fixed training features, for learners that fit it again and again.

    Children keep what depends on the features alone (kernel values, binned features); this one keeps nothing.

    Parameters
    ----------
    function : HashFunction
        Unfitted; cloned for each fit.
    X : ndarray or csr matrix of shape (n_samples, n_features)
        Validated features.
    """

    def __init__(self, function, X):
        self.function, self.X = function, X

    def fit(self, B, sample_weight=None):
        """Fit a clone to codes (n_samples, k) of any number of bits; weights as in `HashFunction.fit`."""
        return clone(self.function).fit(self.X, B, sample_weight)

    def fit_targets(self, T):
        """Fit a clone to real targets (n_samples, k); for functions whose `takes_targets` is true."""
        return clone(self.function).fit_targets(self.X, T)

    def leave_one_out(self, B):
        """Margins of every row by a function fitted to codes of all other rows; None where no formula gives them."""
        return None

    def margins(self, fitted):
        """What a function fitted here gives on the training features; shape (n_samples, k), float64."""
        return fitted.decision_function(self.X)


def join(parts):
    """One function whose bits come from several fitted ones.

    Parameters
    ----------
    parts : sequence of (HashFunction, int)
        For each bit, a function and which of its bits to take. All of them fitted through one `Design`: they differ in
        nothing but their bits.

    Returns
    -------
    function : HashFunction
    """
    joined = copy.copy(parts[0][0])
    for name in joined._per_bit:
        entries = [value[k] if isinstance(value := getattr(part, name), list) else value[..., k] for part, k in parts]
        setattr(joined, name, entries if isinstance(getattr(joined, name), list) else np.stack(entries, axis=-1))
    joined.n_bits_ = len(parts)
    return joined


def check_targets(T):
    """Validate real targets and return them as float64."""
    T = np.asarray(T)
    if T.ndim != 2 or 0 in T.shape:
        raise ValueError(
            f"T must be two-dimensional and not empty, a row of targets per row of X: its shape is {T.shape}. "
            "Reshape a single bit with T.reshape(-1, 1)."
        )
    if T.dtype.kind not in "biuf":
        raise ValueError(f"T has dtype {T.dtype}; targets are real numbers.")
    T = T.astype(np.float64)
    wrong = ~np.isfinite(T)
    if wrong.any():
        row, column = (int(p) for p in np.argwhere(wrong)[0])
        raise ValueError(f"T must be finite: {T[row, column]} at row {row}, column {column}.")
    largest = np.abs(T).max(axis=0)
    extreme = (largest > LARGEST_TARGET) | ((largest > 0) & (largest < 1 / LARGEST_TARGET))
    if extreme.any():
        column = int(np.argmax(extreme))
        raise ValueError(
            f"column {column} of T has a largest absolute value of {largest[column]:.3g}, outside {1 / LARGEST_TARGET} "
            f"to {LARGEST_TARGET}: squares would not fit float64. Divide the column by it; signs do not change."
        )
    return T


class ClassifierFunction(HashFunction):
    """One scikit-learn classifier, or regressor, per bit.

    Parameters
    ----------
    estimator : classifier or regressor
        Cloned for each bit and fitted to that bit. Margins are its `decision_function`, else ``predict_proba - 0.5``,
        else its predictions. Regressors take real targets as well (`fit_targets`).
    n_jobs : int, optional
        Bits fitted at once.

    Attributes
    ----------
    estimators_ : list
        Fitted classifiers, by bit; a bit that is constant in training holds the number instead.

    Notes
    -----
    `sample_weight` is passed on to classifiers that take it; for others it is an error.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> function = ClassifierFunction(DecisionTreeClassifier()).fit([[0.0], [1.0]], [[1, -1], [1, 1]])
    >>> function.predict([[0.1], [0.9]])
    array([[ 1, -1],
           [ 1,  1]], dtype=int8)
    """

    _per_bit = ("estimators_",)

    def __init__(self, estimator, n_jobs=None):
        self.estimator = estimator
        self.n_jobs = n_jobs

    @property
    def takes_targets(self):
        return is_regressor(self.estimator)

    def _fit(self, X, B, weight):
        if weight is not None and not has_fit_parameter(self.estimator, "sample_weight"):
            raise ValueError(
                f"{type(self.estimator).__name__} takes no sample_weight. Use a classifier that does, or leave it out."
            )
        self.estimators_ = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_bit)(self.estimator, X, bit.astype(np.int64) if bit.dtype == np.int8 else bit, weight)
            for bit in B.T
        )

    def _margins(self, X):
        margins = np.empty((X.shape[0], self.n_bits_))
        for k, estimator in enumerate(self.estimators_):
            margins[:, k] = estimator if isinstance(estimator, float) else _bit_margins(estimator, X)
        return margins


def _fit_bit(estimator, X, bit, weight):
    """Fit a clone to one bit; the bit's value where it is constant among the rows that count."""
    counted = bit if weight is None else bit[weight > 0]
    if (counted == counted[0]).all():
        return float(counted[0])
    return clone(estimator).fit(X, bit) if weight is None else clone(estimator).fit(X, bit, sample_weight=weight)


def _bit_margins(estimator, X):
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(X), dtype=np.float64).reshape(X.shape[0])
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X)[:, list(estimator.classes_).index(1)] - 0.5
    return np.asarray(estimator.predict(X), dtype=np.float64)


def as_function(function):
    """Turn what a user may pass as `function` into an unfitted hash function.

    Parameters
    ----------
    function : None, HashFunction or classifier
        None gives a `KernelFunction`, a classifier is fitted once per bit. What is passed is cloned, never fitted.

    Returns
    -------
    function : HashFunction

    Raises
    ------
    ValueError
        For anything else.
    """
    if function is None:
        from hashers.functions.kernel import KernelFunction

        return KernelFunction()
    if not isinstance(function, type):
        if isinstance(function, HashFunction):
            return clone(function)
        if all(hasattr(function, name) for name in ("fit", "get_params", "predict")):
            return ClassifierFunction(clone(function))
    raise ValueError(
        f"function must be None, a hash function or a scikit-learn classifier: {function!r}. "
        "Pass an instance, such as KernelFunction(n_anchors=1000) or sklearn.svm.LinearSVC()."
    )

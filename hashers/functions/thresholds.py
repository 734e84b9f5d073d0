"""Thresholds that balance the bits of another function."""

import numpy as np
from sklearn.base import clone

from hashers import packing
from hashers.functions.base import Design, HashFunction, as_function

__all__ = ["BalancedFunction"]


class BalancedFunction(HashFunction):
    """Another function, with the threshold of each bit moved so that the wanted share of training rows is coded +1.

    f_k(x) = g_k(x) - t_k, where g is the other function and t_k makes the weighted share of training rows with
    f_k(x) >= 0 as near as it can be to the wanted one.

    Parameters
    ----------
    function : HashFunction or classifier, optional
        Gives the margins g. Default `KernelFunction`. Cloned. Real targets are taken where it takes them.
    share : {"half", "codes"}
        "half": every bit splits the training rows in halves, the most that a bit can tell. "codes": the share of +1
        in the codes (signs of the targets) that the function is fitted to; it undoes the drift of regression towards
        the larger side.

    Attributes
    ----------
    thresholds_ : ndarray of shape (n_bits,), float64
        t, half-way between two margins of training rows; 0 where that serves as well.
    sources_ : list of (HashFunction, int)
        By bit, the fitted function that gives g_k, and which of its bits.

    Notes
    -----
    Costs one `decision_function` of the training rows. The margins are those of the rows that the function was fitted
    to: a function that nearly interpolates them spreads them wider than new rows, and shares of new rows differ.

    Balance is no end in itself. Codes that follow classes split the rows between classes, and a threshold at the median
    may cut through one: use "half" for codes without labels or for look-up tables, "codes" where margins are biased
    (few rows of one side, a strong penalty), and measure: see docs/functions.md.

    Examples
    --------
    >>> from hashers.functions import LinearFunction
    >>> X, B = [[0.0], [1.0], [2.0], [9.0]], [[-1], [-1], [-1], [1]]
    >>> BalancedFunction(LinearFunction(ridge=0)).fit(X, B).predict(X).T
    array([[-1, -1,  1,  1]], dtype=int8)
    """

    _per_bit = ("thresholds_", "sources_")

    def __init__(self, function=None, share="half"):
        self.function = function
        self.share = share

    @property
    def takes_targets(self):
        return as_function(self.function).takes_targets

    def _fit(self, X, B, weight):
        other = self._other()
        function = (other.fit if B.dtype == np.int8 else other.fit_targets)(X, B, weight)
        self._balance(function, function.decision_function(X), B, weight)

    def _other(self):
        if self.share not in ("half", "codes"):
            raise ValueError(f'share must be "half" or "codes": {self.share!r}.')
        return as_function(self.function)

    def _balance(self, function, margins, B, weight):
        weight = np.ones(len(B)) if weight is None else weight / weight.max()
        share = weight @ (B >= 0) / weight.sum() if self.share == "codes" else np.full(B.shape[1], 0.5)
        self.sources_ = [(function, k) for k in range(B.shape[1])]
        self.thresholds_ = np.array([_threshold(f, weight, s) for f, s in zip(margins.T, share)])

    def _margins(self, X):
        margins = np.empty((X.shape[0], self.n_bits_))
        bits = {}
        for k, (function, _) in enumerate(self.sources_):
            bits.setdefault(id(function), []).append(k)
        for group in bits.values():
            function = self.sources_[group[0]][0]
            margins[:, group] = function.decision_function(X)[:, [self.sources_[k][1] for k in group]]
        return margins - self.thresholds_

    def _design(self, X):
        return BalancedDesign(self, X)


class BalancedDesign(Design):
    """The design of the other function, and thresholds for each fit."""

    def __init__(self, function, X):
        super().__init__(function, X)
        self.other = function._other().design(X)

    def fit(self, B, sample_weight=None):
        B = packing.check_codes(B)
        fitted = clone(self.function)
        fitted.n_features_in_, fitted.n_bits_ = self.X.shape[1], B.shape[1]
        weight = fitted._check_weight(sample_weight, self.X.shape[0])
        function = self.other.fit(B, weight)
        fitted._balance(function, self.other.margins(function), B, weight)
        return fitted


def _threshold(margins, weight, share):
    """The cut that leaves the share of weight at or above it nearest to the wanted one; of several, nearest to 0."""
    counted = weight > 0
    values, place = np.unique(margins[counted], return_inverse=True)
    heavy = np.bincount(place, weights=weight[counted])
    above = np.r_[np.cumsum(heavy[::-1])[::-1] / heavy.sum(), 0.0]
    low, high = np.r_[-np.inf, values], np.r_[values, np.inf]
    cuts = np.empty(len(low))
    cuts[0], cuts[-1] = values[0], np.nextafter(values[-1], np.inf)
    cuts[1:-1] = values[:-1] + np.diff(values) / 2
    cuts = np.where(cuts > low, cuts, high)  # between neighbours in float64 there is nothing half-way
    cuts[(low < 0) & (high >= 0)] = 0.0
    miss = np.abs(above - share)
    best = np.flatnonzero(miss <= miss.min() + 1e-12)
    return float(cuts[best[np.argmin(np.abs(cuts[best]))]])

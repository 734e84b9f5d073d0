"""Hash functions as the callable that code learners of `bqp.codes` ask for: they never see features."""

import numpy as np

from hashers.functions.base import HashFunction, join

__all__ = ["Refit"]


class Refit:
    """Fit the functions of some bits to present codes, return their margins: ``refit(B, bits, sample_weight=None)``.

    Parameters
    ----------
    function : HashFunction
        Unfitted.
    X : ndarray or csr matrix of shape (n_samples, n_features)
        Validated features of all points.
    known : ndarray of shape (n_samples,), bool
        Points that the functions are fitted to; the others only get margins.

    Attributes
    ----------
    calls : list of HashFunction
        What each call fitted.
    n_fits : int
        Bits fitted, over all calls.
    """

    def __init__(self, function, X, known):
        self.X, self.known = X, known
        self.everyone = bool(known.all())
        self.design = function.design(X if self.everyone else X[known])
        self.calls: list[HashFunction] = []
        self.bits: list[list[int]] = []
        self.n_fits = 0

    def __call__(self, B, bits, sample_weight=None):
        bits = [int(k) for k in bits]
        fitted = self.fit(B[:, bits], sample_weight)
        self.calls.append(fitted)
        self.bits.append(bits)
        self.n_fits += len(bits)
        if self.everyone:
            return self.design.margins(fitted)
        F = np.empty((self.X.shape[0], len(bits)))
        F[self.known] = self.design.margins(fitted)
        F[~self.known] = fitted.decision_function(self.X[~self.known])
        return F

    def fit(self, B, sample_weight=None):
        """A function fitted to codes of all points, shape (n_samples, k); only known points count."""
        if not self.everyone:
            B = B[self.known]
            sample_weight = None if sample_weight is None else np.asarray(sample_weight)[self.known]
        return self.design.fit(B, sample_weight)

    def function(self, calls):
        """One function for all bits: that of bit k comes from call number ``calls[k]``."""
        return join([(self.calls[call], self.bits[call].index(k)) for k, call in enumerate(calls)])

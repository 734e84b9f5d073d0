"""Latent factor hashing: real factors that explain the similarity, then functions of the features.

Zhang, Zhang, Li and Guo, "Supervised hashing with latent factor models", SIGIR 2014.
"""

import numpy as np
from scipy import sparse

from hashers.base import Hasher
from hashers.functions import LinearFunction

__all__ = ["LFH"]

REGRESS = ("codes", "factors")


class LFH(Hasher):
    """Latent factor hashing.

    Maximises the posterior of real factors U: pairs are similar with log-odds u_i.u_j / 2, and U has a normal prior of
    variance beta / n_bits. The codes are the signs of U; then functions are fitted.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2. Default `KernelFunction`; in the published mode ridge regression of standardised features with the
        authors' penalty, n_samples / n_features.
    beta : float
        Prior variance times `n_bits`.
    regress : {"codes", "factors"}
        What the functions are fitted to: the signs of U, or U itself, as the authors do. "factors" needs a function
        that takes targets: `KernelFunction`, ``LinearFunction(solver="ridge")`` or a scikit-learn regressor.
    mode : {"default", "published"}
        "published" is the authors' stochastic code, from the principal components of the standardised features
        (random factors where X is sparse). "default" uses all pairs at once and rotates U, see
        `bqp.codes.latent_factor`.
    n_jobs : int, optional
        For the functions that take it; the code learner runs in one thread.
    random_state : int, RandomState instance or None
        Seeds codes and functions; an int gives the same model at each fit.
    verbose : int
        1 shows a bar on the standard error stream.
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.
    similarity : {"given", "confusion"}
        What pairs ought to be: what `fit` was given; or, for labels and label sets, what out-of-fold scores of
        `function` can tell apart, see `hashers.targets.out_of_fold_similarity`.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Learned codes of the training points; a point without supervision has the code that the functions give it.
    result_ : bqp.codes.CodeResult
        Objective, bounds, trace; ``result_.stats["U"]`` holds the factors.
    function_ : HashFunction
        Fitted functions.
    n_bits_, n_features_in_ : int

    Notes
    -----
    We fit the signs by default: with ten classes both agree, but the factors of C classes have rank C - 1 at most, and
    functions of a few shared directions say less than functions of the bits (20 classes of text, 64 bits: MAP .57
    against .53). With label sets whose number is in the thousands the default takes 15 seconds, see
    `bqp.codes.latent_factor`.

    References
    ----------
    Zhang, Zhang, Li and Guo, "Supervised hashing with latent factor models", SIGIR 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = LFH(n_bits=16, random_state=0).fit(X[:300], y[:300])
    >>> hasher.transform(X[300:]).shape, hasher.result_.stats["U"].shape
    ((1497, 16), (300, 16))
    """

    def __init__(
        self,
        n_bits=32,
        function=None,
        beta=30.0,
        regress="codes",
        mode="default",
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
        similarity="given",
    ):
        self.n_bits = n_bits
        self.function = function
        self.beta = beta
        self.regress = regress
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled
        self.similarity = similarity

    def _default_function(self):
        return LinearFunction() if self.mode == "published" else super()._default_function()

    def _learn(self, X, S, function, n_bits, n_jobs, rng, progress):
        from bqp import codes

        if self.regress not in REGRESS:
            raise ValueError(f"regress must be one of {', '.join(REGRESS)}: {self.regress!r}.")
        if self.regress == "factors" and not function.takes_targets:
            raise ValueError(
                'regress="factors" fits real numbers, which needs a function that takes targets, such as '
                f'KernelFunction or LinearFunction(solver="ridge"): {function!r}. Use regress="codes".'
            )
        published = self.mode == "published"
        if published and self.function is None:
            function.ridge = X.shape[0] / X.shape[1]
        result = codes.latent_factor(
            S,
            n_bits=n_bits,
            beta=self.beta,
            mode=self.mode,
            init=_principal_components(X, n_bits) if published and not sparse.issparse(X) else None,
            rng=rng,
            callback=progress.callback,
        )
        progress.say(f"codes of {n_bits} bits in {result.time:.2f} s, objective {result.objective:.6g}; functions")
        known = np.asarray(S.known)
        rows = X if known.all() else X[known]
        if self.regress == "factors":
            return result, function.fit_targets(rows, result.stats["U"][known])
        return result, function.fit(rows, result.B[known])


def _principal_components(X, n_bits):
    """The leading principal components of standardised features; the features in turn where there are no more."""
    X = X.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = X.std(axis=0)
        Z = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    Z = np.where(np.isfinite(Z), Z, 0.0)
    if Z.shape[1] <= n_bits:
        return Z[:, np.arange(n_bits) % Z.shape[1]]
    vectors = np.linalg.eigh(Z.T @ Z)[1][:, ::-1][:, :n_bits]
    vectors *= np.where(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(n_bits)] >= 0, 1.0, -1.0)
    return Z @ vectors

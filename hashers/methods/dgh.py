"""Discrete graph hashing: codes that vary little along an anchor graph, without labels.

Liu, Mu, Kumar and Chang, "Discrete graph hashing", NIPS 2014.
"""

from hashers._anchor_graph import anchor_graph, anchor_weights
from hashers.baselines._base import UnsupervisedHasher

__all__ = ["DGH"]


class DGH(UnsupervisedHasher):
    """Discrete graph hashing on an anchor graph; labels are not looked at.

    Maximises tr(B'AB) + rho tr(B'Y) over codes B and balanced, decorrelated real Y, A the affinity of the points that
    share anchors. A new point x takes the signs of the mean codes of its anchors, weighted by their nearness: W z(x).

    Parameters
    ----------
    n_bits : int
        Code length, at most n_samples - 1.
    n_anchors : int
        Anchors, by k-means.
    n_nearest : int
        Anchors that a point is joined to.
    sigma : float or "auto"
        Width of the weights exp(-distance^2 / sigma^2); "auto" is the mean distance to the `n_nearest`-th anchor.
    rho : float
        Weight of balance and decorrelation.
    init : {"auto", "I", "R"}
        Start of the code learner: spectral (DGH-I), spectral with a rotation (DGH-R), or the better of both.
    mode : {"default", "published"}
        See `bqp.codes.discrete_graph`.
    random_state : int, RandomState instance or None
        Seed of the anchors and of the start.

    Attributes
    ----------
    anchors_ : ndarray of shape (n_anchors, n_features), float64
    sigma_ : float
        The width used. Anchors and width are of features divided by ``2**exponent_``.
    coef_ : ndarray of shape (n_anchors, n_bits), float64
        Mean code of the training points around each anchor.
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Learned codes of the training points.
    result_ : bqp.codes.CodeResult
        Objective, bound, trace.
    exponent_ : int
        Features are divided by ``2**exponent_`` first; 0 for values of ordinary size.
    n_bits_, n_features_in_ : int

    Notes
    -----
    O(n m d) time for m anchors, then O(n q^2) a round of the code learner; memory O(n q + m^2) beside X.

    Euclidean distances decide, so features want a common scale (`sklearn.preprocessing.StandardScaler`).

    References
    ----------
    Liu, Mu, Kumar and Chang, "Discrete graph hashing", NIPS 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, _ = load_digits(return_X_y=True)
    >>> hasher = DGH(n_bits=16, random_state=0).fit(X[:500])
    >>> hasher.transform(X[500:]).shape, hasher.codes_.shape
    ((1297, 16), (500, 16))
    """

    def __init__(
        self,
        n_bits=32,
        n_anchors=300,
        n_nearest=3,
        sigma="auto",
        rho=0.1,
        init="auto",
        mode="default",
        random_state=None,
    ):
        self.n_bits = n_bits
        self.n_anchors = n_anchors
        self.n_nearest = n_nearest
        self.sigma = sigma
        self.rho = rho
        self.init = init
        self.mode = mode
        self.random_state = random_state

    def _learn(self, X, n_bits, rng):
        from bqp import codes

        sigma = self.sigma if isinstance(self.sigma, str) else self.sigma / 2.0**self.exponent_
        Z, self.anchors_, self.sigma_ = anchor_graph(X, self.n_anchors, self.n_nearest, sigma, rng)
        self.result_ = codes.discrete_graph(
            Z, n_bits=n_bits, rho=self.rho, init=self.init, mode=self.mode, rng=int(rng.randint(2**31 - 1))
        )
        self.coef_ = self.result_.stats["anchor_codes"]
        return self.result_.B

    def _margins(self, X):
        return anchor_weights(X, self.anchors_, self.n_nearest, self.sigma_) @ self.coef_

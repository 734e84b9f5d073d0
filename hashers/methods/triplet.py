"""Triplet hashing: codes from triplets (anchor, positive, negative), groups of bits in turn with their functions.

Zhuang, Lin, Shen and Reid, "Fast training of triplet-based deep binary embedding networks", CVPR 2016.
"""

from hashers.base import CoupledHasher

__all__ = ["TripletHash"]


class TripletHash(CoupledHasher):
    """Two-step hashing from triplets.

    Minimises ``sum_t w_t max(0, margin q - (d(a, n) - d(a, p)))`` over triplets of an anchor, a positive and a
    negative. With labels or pairs, triplets are drawn.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2: `KernelFunction` (default), `LinearFunction`, `TreesFunction`, or any scikit-learn classifier. Cloned.
    margin : float
        How much farther the negative should be, as a share of the bits.
    coupled : bool
        Whether the functions of a group of bits replace it before the next group, as published. False: all codes first.
    group_size : int
        Bits a group.
    n_per_anchor : int, optional
        Triplets drawn for each point, where none are given; default 100 (published: 500).
    solver : str or solver object
        Solver of a bit, see `bqp.codes.triplets`.
    mode : {"default", "published"}
        "published": greedy blocks, one pass of cuts, no cycles.
    n_jobs : int, optional
        Threads of the code learner.
    random_state : int, RandomState instance or None
        Seeds codes and functions; an int gives the same model at each fit.
    verbose : int
        1 shows a bar on the standard error stream.
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Learned codes of the training points; a point without supervision has the code that the functions give it.
    result_ : bqp.codes.CodeResult
        Objective, proven bounds, trace.
    function_ : HashFunction
        Fitted functions.
    n_bits_, n_features_in_ : int

    Notes
    -----
    `fit_triplets` takes the triplets themselves. Where the functions are much weaker than the codes, ``coupled=True``
    lets later bits repair what earlier functions get wrong.

    References
    ----------
    Zhuang, Lin, Shen and Reid, "Fast training of triplet-based deep binary embedding networks", CVPR 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = TripletHash(n_bits=16, n_per_anchor=20, random_state=0).fit(X[:300], y[:300])
    >>> hasher.transform(X[300:]).shape, hasher.encode(X[300:]).shape
    ((1497, 16), (1497, 2))
    """

    def __init__(
        self,
        n_bits=32,
        function=None,
        margin=0.5,
        coupled=False,
        group_size=8,
        n_per_anchor=None,
        solver="auto",
        mode="default",
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
    ):
        self.n_bits = n_bits
        self.function = function
        self.margin = margin
        self.coupled = coupled
        self.group_size = group_size
        self.n_per_anchor = n_per_anchor
        self.solver = solver
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled

    def fit_triplets(self, X, triplets):
        """Learn from triplets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or other features that `fit` takes
            Features of all points.
        triplets : array-like of shape (m, 3), int
            Rows of X: anchor, positive, negative. The anchor is more similar to the positive than to the negative.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If an index is out of range or a triplet has a point twice.

        Notes
        -----
        The functions are fitted to the points that occur in a triplet.
        """
        from bqp import supervision

        X = self._check_features(X, reset=True)
        return self._fit(X, supervision.from_triplets(triplets, X.shape[0]))

    @property
    def _is_coupled(self):
        return self.coupled

    def _learn_jointly(self, S, refit, n_bits, n_jobs, rng, callback):
        from bqp import codes

        return codes.triplets(
            S,
            n_bits=n_bits,
            margin=self.margin,
            solver=self.solver,
            refit=refit if self._is_coupled else None,
            mode=self.mode,
            group_size=self.group_size,
            n_per_anchor=self.n_per_anchor,
            rng=rng,
            n_jobs=n_jobs,
            callback=callback,
        )

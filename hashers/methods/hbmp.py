"""Binary matrix pursuit: a similarity as a weighted sum of outer products of bits.

Cakir, He and Sclaroff, "Hashing with binary matrix pursuit", ECCV 2018.
"""

from hashers.base import Hasher

__all__ = ["HBMP"]


class HBMP(Hasher):
    """Hashing with binary matrix pursuit.

    Minimises ``sum_{i != j} w_ij (S_ij - sum_k v_k b_ik b_jk)^2`` over bits, one after the other, and their weights v.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2: `KernelFunction` (default), `LinearFunction`, `TreesFunction`, or any scikit-learn classifier. Cloned.
    weighted : bool
        Fit weights of the bits; False: all weigh the same.
    solver : str or solver object
        What finds a bit, see `bqp.codes.matrix_pursuit`; "top_eigenvector" is the authors' choice.
    mode : {"default", "published"}
        "published" counts every distinct label set once and takes signs of eigenvectors.
    n_jobs : int, optional
        Threads of the code learner.
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
        Objective, proven bounds, trace.
    function_ : HashFunction
        Fitted functions.
    weights_ : ndarray of shape (n_bits,), float64, or None
        Weight of each bit, for ranking by weighted Hamming distance (``metrics.mean_average_precision(weights=)``);
        some may be negative. None where `weighted` is False.
    n_bits_, n_features_in_ : int

    Notes
    -----
    Weights make codes that fit the similarity closer; plain Hamming ranking ignores them.

    References
    ----------
    Cakir, He and Sclaroff, "Hashing with binary matrix pursuit", ECCV 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = HBMP(n_bits=16, random_state=0).fit(X[:300], y[:300])
    >>> hasher.transform(X[300:]).shape, hasher.encode(X[300:]).shape
    ((1497, 16), (1497, 2))
    """

    def __init__(
        self,
        n_bits=32,
        function=None,
        weighted=True,
        solver="auto",
        mode="default",
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
        similarity="given",
    ):
        self.n_bits = n_bits
        self.function = function
        self.weighted = weighted
        self.solver = solver
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled
        self.similarity = similarity

    def _learn_codes(self, S, n_bits, n_jobs, rng, callback):
        from bqp import codes

        result = codes.matrix_pursuit(
            S,
            n_bits=n_bits,
            weighted=self.weighted,
            solver=self.solver,
            mode=self.mode,
            rng=rng,
            n_jobs=n_jobs,
            callback=callback,
        )
        self.weights_ = result.weights
        return result

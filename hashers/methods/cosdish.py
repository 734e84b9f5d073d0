"""COSDISH: codes from sampled columns of the similarity, one binary quadratic program a bit.

Kang, Li and Zhou, "Column sampling based discrete supervised hashing", AAAI 2016.
"""

from hashers.base import Hasher

__all__ = ["COSDISH"]


class COSDISH(Hasher):
    """Column sampling based discrete supervised hashing.

    Minimises sum_ij w_ij (q s_ij - b_i.b_j)^2, a few sampled columns j at a time; functions are fitted to the codes
    afterwards.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2: `KernelFunction` (default), `LinearFunction`, `TreesFunction`, or any scikit-learn classifier. Cloned.
    n_columns : int, optional
        Points sampled a round; default `n_bits`.
    n_rounds, n_alternations : int
        Samples, and alternations on each.
    solver : str or solver object
        Solver of the bits of the sampled points, see `bqp.codes.column_sampling`.
    mode : {"default", "published"}
        "published" repeats the authors' steps and returns the last codes; "default" keeps the best, and sweeps over all
        points at the end.
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
    n_bits_, n_features_in_ : int

    Notes
    -----
    The authors rank the database by its learned codes (`database_codes(X, "learned")`), which have seen its labels.
    Their linear functions are most of the gap to other methods in published tables: on Fashion-MNIST with 16 bits,
    kernel functions on the same codes add 12 points of MAP.

    References
    ----------
    Kang, Li and Zhou, "Column sampling based discrete supervised hashing", AAAI 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = COSDISH(n_bits=16, random_state=0).fit(X[:300], y[:300])
    >>> hasher.transform(X[300:]).shape, hasher.encode(X[300:]).shape
    ((1497, 16), (1497, 2))
    """

    def __init__(
        self,
        n_bits=32,
        function=None,
        n_columns=None,
        n_rounds=10,
        n_alternations=3,
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
        self.n_columns = n_columns
        self.n_rounds = n_rounds
        self.n_alternations = n_alternations
        self.solver = solver
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled
        self.similarity = similarity

    def _learn_codes(self, S, n_bits, n_jobs, rng, callback):
        from bqp import codes

        return codes.column_sampling(
            S,
            n_bits=n_bits,
            n_columns=self.n_columns,
            n_rounds=self.n_rounds,
            n_alternations=self.n_alternations,
            solver=self.solver,
            mode=self.mode,
            rng=rng,
            n_jobs=n_jobs,
            callback=callback,
        )

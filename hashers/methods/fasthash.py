"""FastHash: each bit by graph cuts of blocks of similar points, replaced by what its function gives before the next.

Lin, Shen, Shi, van den Hengel and Suter, "Fast supervised hashing with decision trees for high-dimensional data", CVPR
2014.
"""

from hashers.base import CoupledHasher

__all__ = ["FastHash"]


class FastHash(CoupledHasher):
    """Supervised hashing with graph cuts, each bit interleaved with its function.

    Minimises sum over pairs of w_ij l(s_ij, b_i.b_j) over codes b = h(x) that functions can give: a bit is solved by
    minimum cuts of blocks of similar points, a function is fitted to it with weights ``sum_j |A_ij|``, and the
    function's output replaces the bit before the next one.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2, fitted a bit at a time with sample weights. Default `TreesFunction()`, boosted trees as published;
        `KernelFunction` and `LinearFunction` are faster. Cloned.
    loss : {"ksh", "bre", "hinge", "exponential", "likelihood"}, optional
        Loss of a pair. Default "ksh"; "hinge" when published.
    target : {"residual", "stagewise", "full"}, optional
        What the bits not yet solved count, see `bqp.codes.block_graph_cut`. Default "stagewise".
    max_cycles : int, optional
        Cycles over the bits after the first pass, each bit given all others and replaced only if its new function
        lowers the objective: each costs a fit per bit. Default 0.
    mode : {"default", "published"}
        "published": the authors' 100 similar and 100 dissimilar partners a point, hinge loss, two passes of cuts.
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
    `codes_` are outputs of the functions, so learned and hashed codes of the training points agree.

    Where we differ from the authors (default mode): all pairs of points count, not 200 sampled ones a point, and the
    loss is the squared one of KSH, whose bit problem is low-rank; trees are those of lightgbm.

    References
    ----------
    Lin, Shen, Shi, van den Hengel and Suter, "Fast supervised hashing with decision trees for high-dimensional data",
    CVPR 2014.

    Examples
    --------
    >>> from hashers import LinearFunction
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = FastHash(n_bits=16, function=LinearFunction(), random_state=0).fit(X[:300], y[:300])
    >>> hasher.transform(X[300:]).shape, hasher.encode(X[300:]).shape
    ((1497, 16), (1497, 2))
    """

    def __init__(
        self,
        n_bits=32,
        function=None,
        loss=None,
        target=None,
        max_cycles=0,
        mode="default",
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
        similarity="given",
    ):
        self.n_bits = n_bits
        self.function = function
        self.loss = loss
        self.target = target
        self.max_cycles = max_cycles
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled
        self.similarity = similarity

    def _default_function(self):
        from hashers.functions import TreesFunction

        return TreesFunction()

    def _learn_jointly(self, S, refit, n_bits, n_jobs, rng, callback):
        from bqp import codes

        return codes.block_graph_cut(
            S,
            n_bits=n_bits,
            loss=self.loss,
            target=self.target,
            refit=refit,
            mode=self.mode,
            max_cycles=self.max_cycles,
            rng=rng,
            n_jobs=n_jobs,
            callback=callback,
        )

"""Two-step hashing: codes from labels first, one binary quadratic program a bit, then any function per bit.

Lin, Shen, Suter and van den Hengel, "A general two-step approach to learning-based hashing", ICCV 2013.
"""

from hashers.base import Hasher

__all__ = ["TSH"]

ORDERS = ("auto", "joint", "cyclic", "sequential")


class TSH(Hasher):
    """Two-step hashing.

    Step 1 minimises sum over pairs of w_ij l(s_ij, b_i.b_j) over codes alone, bit by bit, each bit a binary quadratic
    program, or over all bits at once; step 2 fits a function to each bit.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2: `KernelFunction`, `LinearFunction`, or any scikit-learn classifier (fitted per bit). Default
        `KernelFunction(n_anchors=1000)`. Cloned; a `random_state` of None is drawn from that of the hasher.
    loss : {"ksh", "bre", "hinge", "exponential", "likelihood"}
        Loss of a pair, see `bqp.losses`.
    target : {"residual", "stagewise", "full"}
        What the bits not yet solved count for, see `bqp.codes.bitwise`.
    order : {"auto", "joint", "cyclic", "sequential"}
        "sequential" solves each bit once, as published; "cyclic" goes on, each bit given all others, until none
        improves; "joint" searches over all bits at once (`bqp.codes.learn`), without solver and target. "auto" is
        "joint" for labels and label sets where solver and target have their defaults, else "cyclic".
    solver : str or solver object
        Solver of the binary quadratic programs, a name from `bqp.available_solvers` or "auto".
    n_jobs : int, optional
        Threads in step 1.
    random_state : int, RandomState instance or None
        Seeds both steps; an int gives the same model at each fit.
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
        Objective, proven bounds, trace, the solution of each bit.
    function_ : HashFunction
        Functions fitted to the codes of the points that have supervision; the others take no part.
    n_bits_, n_features_in_ : int

    Notes
    -----
    With labels, points of a class are merged, so step 1 hardly depends on the number of points. "joint" reaches the
    lowest objective in the least time on labels and label sets; on pairs and on dense similarities without structure
    "cyclic" does. See docs/hashers.md for figures.

    Where we differ from the authors: all points instead of a sample of pairs, exact or local search (of all bits, for
    labels) instead of a spectral relaxation a bit, kernel ridge regression instead of a support vector machine.

    References
    ----------
    Lin, Shen, Suter and van den Hengel, "A general two-step approach to learning-based hashing", ICCV 2013.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = TSH(n_bits=16, random_state=0).fit(X[:500], y[:500])
    >>> hasher.transform(X[500:]).shape, hasher.encode(X[500:]).shape
    ((1297, 16), (1297, 2))
    """

    def __init__(
        self,
        n_bits=32,
        function=None,
        loss="ksh",
        target="residual",
        order="auto",
        solver="auto",
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
        self.order = order
        self.solver = solver
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled
        self.similarity = similarity

    def _learn_codes(self, S, n_bits, n_jobs, rng, callback):
        from bqp import codes
        from bqp.errors import ProblemError

        if self.order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}: {self.order!r}.")
        plain = isinstance(self.solver, str) and self.solver == "auto" and self.target == "residual"
        if self.order == "joint" and not plain:
            raise ValueError(
                f'order="joint" solves no bit by itself: solver={self.solver!r} and target={self.target!r} would be '
                'ignored. Leave both out, or use order="cyclic".'
            )
        settings = {"n_bits": n_bits, "loss": self.loss, "rng": rng, "n_jobs": n_jobs, "callback": callback}
        if self.order == "joint" or (self.order == "auto" and plain and S.structure == "grouped"):
            try:
                return codes.learn(S, certify="auto", **settings)
            except ProblemError:  # before it began: too many pairs for a loss that is not squared
                if self.order == "joint":
                    raise
        order = "cyclic" if self.order == "auto" else self.order
        return codes.bitwise(S, solver=self.solver, target=self.target, order=order, **settings)

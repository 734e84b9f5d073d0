"""Affinity-based hashing by auxiliary coordinates: codes and functions in turn, drawn together by a penalty.

Raziperchikolaei and Carreira-Perpinan, "Optimizing affinity-based binary hashing using auxiliary coordinates", NIPS
2016.
"""

from hashers.base import CoupledHasher

__all__ = ["AffHash"]

MOST_GROUPS = 1000
"""Groups up to which codes begin at the joint search whatever the loss; the KSH loss has it for any number."""


class AffHash(CoupledHasher):
    """Affinity-based hashing with the method of auxiliary coordinates.

    Minimises sum_ij w_ij l(s_ij, z_i.z_j) + mu sum_i |z_i - h(x_i)|^2 over codes z and functions h in turn, mu growing
    until codes and functions agree.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2: `KernelFunction` (default), `LinearFunction`, `TreesFunction`, or any scikit-learn classifier. Cloned.
    loss : {"ksh", "bre", "hinge", "exponential", "likelihood"}
        Loss of a pair.
    solver : str or solver object
        Solver of a bit, see `bqp.codes.alternation`: "auto", "quad", "cut" or a name from `bqp.available_solvers`.
    max_outer : int, optional
        Most values of mu, each with a fit of all functions; default 20 (published: 100).
    mode : {"default", "published"}
        "published": sampled pairs, the paper's schedule of mu, a new function always replaces the old one.
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
    `codes_` are the auxiliary codes; at the end of the schedule they are close to what the functions give.

    References
    ----------
    Raziperchikolaei and Carreira-Perpinan, "Optimizing affinity-based binary hashing using auxiliary coordinates", NIPS
    2016.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = AffHash(n_bits=16, max_outer=5, random_state=0).fit(X[:300], y[:300])
    >>> hasher.transform(X[300:]).shape, hasher.encode(X[300:]).shape
    ((1497, 16), (1497, 2))
    """

    def __init__(
        self,
        n_bits=32,
        function=None,
        loss="ksh",
        solver="auto",
        max_outer=None,
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
        self.solver = solver
        self.max_outer = max_outer
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled
        self.similarity = similarity

    def _learn_jointly(self, S, refit, n_bits, n_jobs, rng, callback):
        from bqp import codes

        init, usual = None, self.mode == "default" and self.solver == "auto"
        if usual and getattr(S, "structure", "") == "grouped" and (S.n_groups <= MOST_GROUPS or self.loss == "ksh"):
            # the joint search ends as low as bit after bit, in a tenth of the time where groups are few
            init = codes.learn(S, n_bits, self.loss, n_kicks=0, rng=rng, n_jobs=n_jobs, certify=False).B
        return codes.alternation(
            S,
            n_bits=n_bits,
            refit=refit,
            init=init,
            loss=self.loss,
            solver=self.solver,
            max_outer=self.max_outer,
            mode=self.mode,
            rng=rng,
            n_jobs=n_jobs,
            callback=callback,
        )

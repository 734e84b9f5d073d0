"""Fast supervised discrete hashing: codes predicted from the labels, in closed form.

Gui, Liu, Sun, Tao and Tan, "Fast supervised discrete hashing", TPAMI 2018.
"""

from hashers.base import CoupledHasher

__all__ = ["FSDH"]


class FSDH(CoupledHasher):
    """Fast supervised discrete hashing.

    Minimises ``sum_i |b_i - W'y_i|^2 + lambda |W|^2 + nu |B - F(X)|^2`` over codes B, the label map W and the functions
    F; y_i is the 0/1 label vector of point i.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2: `KernelFunction` (default), `LinearFunction`, `TreesFunction`, or any scikit-learn classifier. Cloned.
    nu : float
        Weight of the feature term; 0 leaves it out, and codes depend on labels alone.
    regularization : float
        lambda.
    start : {"similarity", "random"}
        Where the default mode begins. "similarity": at the codes of `bqp.codes.bitwise`; for label sets and more than
        64 classes at those of `SDH` without functions. "random": where the published rounds end. See Notes.
    mode : {"default", "published"}
        "published" repeats the authors' rounds from random codes and returns the last ones.
    n_jobs : int, optional
        Threads of the code learner.
    random_state : int, RandomState instance or None
        Seeds codes and functions; an int gives the same model at each fit.
    verbose : int
        1 shows a bar on the standard error stream.
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.
    similarity : {"given", "confusion"}
        What ``start="similarity"`` preserves: equal labels; or what out-of-fold scores of `function` can tell apart,
        see `hashers.targets.out_of_fold_similarity`. The objective is about labels either way.

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
    Needs labels or label sets: pairs have no label vectors.

    With one label a point the objective hardly tells one set of class codes from another: from random codes the method
    stops after a round or two at a random codebook, whose quality is luck (published). Any other codebook is a fixed
    point as well, so the default begins at one that preserves the similarity, at the same objective: at 64 bits, MAP on
    CIFAR-10's deep features rises from .64 to .65, at 16 bits from .58 to .62. With label sets the objectives of both
    starts differ: mostly that of the default is lower, but on scene (14 sets) it is 1.5 % higher at 32 bits.

    References
    ----------
    Gui, Liu, Sun, Tao and Tan, "Fast supervised discrete hashing", TPAMI 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = FSDH(n_bits=16, random_state=0).fit(X[:300], y[:300])
    >>> hasher.transform(X[300:]).shape, hasher.encode(X[300:]).shape
    ((1497, 16), (1497, 2))
    """

    _needs_labels = True

    def __init__(
        self,
        n_bits=32,
        function=None,
        nu=1e-5,
        regularization=1.0,
        start="similarity",
        mode="default",
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
        similarity="given",
    ):
        self.n_bits = n_bits
        self.function = function
        self.nu = nu
        self.regularization = regularization
        self.start = start
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled
        self.similarity = similarity

    def _learn_jointly(self, S, refit, n_bits, n_jobs, rng, callback):
        from bqp import codes

        if self.start not in ("similarity", "random"):
            raise ValueError(f'start must be "similarity" or "random": {self.start!r}.')
        if self.similarity != "given" and (self.start, self.mode) != ("similarity", "default"):
            raise ValueError(
                f'similarity={self.similarity!r} is for start="similarity" of the default mode; here '
                f'start={self.start!r}, mode={self.mode!r}. Use similarity="given".'
            )
        settings = {
            "n_bits": n_bits,
            "variant": "fsdh",
            "nu": self.nu,
            "regularization": self.regularization,
            "refit": refit,
            "rng": rng,
            "n_jobs": n_jobs,
            "callback": callback,
        }
        if self.mode == "default" and self.start == "similarity":
            settings["init"] = self._similar_codes(S, settings)
        elif self.mode == "default":
            published = codes.discrete_cyclic(S, mode="published", certify=False, **settings)
            settings["init"] = published.stats["best_B"]
        return codes.discrete_cyclic(S, mode=self.mode, **settings)

    def _similar_codes(self, S, settings):
        """Codes to begin at: near the optimum of the KSH loss; of label sets and many classes, see `SDH`."""
        from bqp import codes
        from bqp.codes.predictable import gradual_codes, is_gradual

        n_bits, rng, n_jobs = settings["n_bits"], settings["rng"], settings["n_jobs"]
        if not is_gradual(S):
            return codes.bitwise(S, n_bits, rng=rng, n_jobs=n_jobs, certify=False).B
        plain = {**settings, "refit": None, "callback": None, "certify": False}
        # most rounds change bits here or there: without functions they run over the label sets, at no cost
        return codes.discrete_cyclic(S, init=gradual_codes(S, n_bits, self.regularization, rng, n_jobs), **plain).B

"""Supervised discrete hashing: codes from which a linear map predicts the labels, by cyclic coordinate descent.

Shen, Shen, Liu and Shen, "Supervised discrete hashing", CVPR 2015.
"""

from dataclasses import replace

import numpy as np

from hashers.base import CoupledHasher

__all__ = ["SDH"]

_MOST_TRIALS = 6  # bounds on the label term that the similarity start tries


class SDH(CoupledHasher):
    """Supervised discrete hashing.

    Minimises ``sum_i |y_i - W'b_i|^2 + lambda |W|^2 + nu |B - F(X)|^2`` over codes B, the label map W and the functions
    F; y_i is the 0/1 label vector of point i.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2: `KernelFunction` (default), `LinearFunction`, `TreesFunction`, or any scikit-learn classifier. Cloned.
    loss : {"squared", "hinge"}
        How the labels are predicted; "hinge" needs one label a point.
    nu : float
        Weight of the feature term; 0 leaves it out, and codes depend on labels alone.
    regularization : float
        lambda.
    start : {"similarity", "random", "class-codes"}
        Where the default mode begins. "similarity": at codes of low KSH loss that are no worse for SDH than the
        published ones (`bqp.codes.predictable`): for up to 64 classes near the optimum of the KSH loss, for label sets
        and more classes the published codes made more similar by degrees, and these are returned as they are. Where
        the feature term (a large `nu`) or the hinge loss leaves none, as "random", but the published codes stay if
        that raises the KSH loss. "random": at the best of the published rounds and of `n_starts` descents from random
        class codes. "class-codes": Hadamard codes of the classes are tried as well; they have the lowest objective, but
        see Notes.
    n_starts : int, optional
        Descents for ``start="random"``. Default 1024 / n_bits up to 256 distinct label sets, else none.
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

    With one label a point the objective asks little of the codes: that the labels can be predicted from them. Hadamard
    codes of the classes do that best, whatever the data. Codes that preserve the similarity do it as well as the
    published ones, after a few flips; at 16 / 32 bits on CIFAR-10's deep features they lift MAP from .59 / .61 to
    .63 / .65 at no higher objective. Hence the default start.

    With label sets the objective keeps rare sets apart, which the KSH loss would merge, and it is worth more than its
    optimum: on corel5k (2,649 sets) further descent from the published codes lowers MAP at 64 bits from .549 to .541,
    similarity at an objective no higher than theirs lifts it to .57.

    References
    ----------
    Shen, Shen, Liu and Shen, "Supervised discrete hashing", CVPR 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = SDH(n_bits=16, random_state=0).fit(X[:300], y[:300])
    >>> hasher.transform(X[300:]).shape, hasher.encode(X[300:]).shape
    ((1497, 16), (1497, 2))
    """

    _needs_labels = True

    def __init__(
        self,
        n_bits=32,
        function=None,
        loss="squared",
        nu=1e-5,
        regularization=1.0,
        start="similarity",
        n_starts=None,
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
        self.nu = nu
        self.regularization = regularization
        self.start = start
        self.n_starts = n_starts
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled
        self.similarity = similarity

    def _learn_jointly(self, S, refit, n_bits, n_jobs, rng, callback):
        from bqp import codes

        if self.start not in ("similarity", "random", "class-codes"):
            raise ValueError(f'start must be "similarity", "random" or "class-codes": {self.start!r}.')
        if self.similarity != "given" and (self.start, self.mode, self.loss) != ("similarity", "default", "squared"):
            raise ValueError(
                f'similarity={self.similarity!r} is for start="similarity" of the default mode with the squared loss; '
                f'here start={self.start!r}, mode={self.mode!r}, loss={self.loss!r}. Use similarity="given".'
            )
        settings = {
            "n_bits": n_bits,
            "variant": "sdh",
            "loss": self.loss,
            "nu": self.nu,
            "regularization": self.regularization,
            "refit": refit,
            "rng": rng,
            "n_jobs": n_jobs,
            "callback": callback,
        }
        if self.start == "class-codes" or self.mode != "default":
            return codes.discrete_cyclic(S, mode=self.mode, **settings)
        published = codes.discrete_cyclic(S, mode="published", certify=False, **settings)
        bound = published.stats["best_objective"]
        plain = {**settings, "refit": None, "callback": None, "certify": False}
        if self.start == "similarity" and self.loss == "squared":
            result = self._from_similarity(S, published, settings, plain)
            if result is not None:
                return result
        base = codes.discrete_cyclic(S, init=published.stats["best_B"], **plain)
        result = codes.discrete_cyclic(S, init=self._best_start(S, base, plain), **settings)
        if result.objective > bound:
            result = codes.discrete_cyclic(S, init=published.stats["best_B"], **settings)
        if self.start == "similarity" and published.objective <= bound:
            return _more_similar(published, result)
        return result

    def _from_similarity(self, S, published, settings, plain):
        """The result from codes of low KSH loss, no worse than the published rounds; None if there is none.

        What finds them knows nothing of the feature term. Where it lifts their codes above the bound, the excess is
        taken off what the label term may be, twice as much each time, for a last flip may have gone past the bound.
        """
        from bqp import codes
        from bqp.codes.predictable import is_gradual, predictable_codes

        bound, best, gradual = published.stats["best_objective"], published.stats["best_B"], is_gradual(S)
        base = codes.discrete_cyclic(S, init=best, max_iterations=0 if gradual else None, **plain)
        label_bound = base.objective
        more = {"init": base.B} if gradual else {}
        for trial in range(_MOST_TRIALS):
            B = predictable_codes(
                S, settings["n_bits"], label_bound, self.regularization, settings["rng"], settings["n_jobs"], **more
            )
            if B is None:
                return None
            for most in (0, None) if gradual else (None,):  # a descent would undo what was gained, and is not needed
                result = codes.discrete_cyclic(S, init=B, max_iterations=most, **settings)
                if result.objective <= bound:
                    return result
            label_bound -= 2**trial * (result.objective - bound)
        return None

    def _best_start(self, S, best, plain):
        """Codes of the best descent from random class codes, no worse than `best` without the feature term."""
        from bqp import codes

        n_bits, n_groups, n_starts = plain["n_bits"], int(S.groups.max()) + 1, self.n_starts
        if n_starts is None:
            n_starts = max(1, 1024 // n_bits) if n_groups <= 256 else 0
        draw = np.random.default_rng(plain["rng"])
        for _ in range(n_starts):
            init = np.where(draw.random((n_groups, n_bits)) < 0.5, -1, 1)[S.groups]
            best = min(best, codes.discrete_cyclic(S, init=init, **plain), key=lambda result: result.objective)
        return best.B


def _more_similar(published, descended):
    """Of two results that are no worse than the published one, the one with the lower KSH loss."""
    if published.ksh_objective >= descended.ksh_objective:
        return descended
    # a bound on the KSH loss is about the similarity, whatever the codes
    return replace(published, ksh_lower_bound=min(descended.ksh_lower_bound, published.ksh_objective))

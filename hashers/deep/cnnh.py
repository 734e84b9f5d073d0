"""CNNH: codes from a factorisation of the similarity, then a net whose outputs are the bits.

R. Xia, Y. Pan, H. Lai, C. Liu and S. Yan, "Supervised hashing for image retrieval via image representation learning",
AAAI 2014. Their first step relaxes the codes to real numbers in [-1, 1] (`bqp.codes.relaxed_factors`); the default here
is `bqp.codes.learn`, whose codes are near the optimum and come with a proven bound. The net has no part in the codes.
"""

import numpy as np

from hashers.deep.base import NetFeatures
from hashers.functions.base import join
from hashers.packing import signs

__all__ = ["CNNH"]

MODES = ("default", "published")


class CNNH(NetFeatures):
    """Two-step hashing with a net.

    Codes B that minimise ``sum_ij w_ij (q s_ij - b_i.b_j)^2``, then a net that predicts each bit of B.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2; default `NetFunction()`: a net of hidden layers for vectors. Give images by
        ``NetFunction(image_shape=(28, 28))``. Cloned.
    mode : {"default", "published"}
        "published": codes by coordinate descent on real codes, then signs.
    class_outputs : bool
        Whether the net also predicts the labels of a point, one more output for each label, as CNNH+ does. These
        outputs only shape the layers that the bits share; they are dropped after training.
    max_sweeps : int
        Passes of the coordinate descent ("published").
    n_jobs : int, optional
        Threads of the code learner.
    random_state : int, RandomState instance or None
        Seeds codes and net; an int gives the same model at each fit.
    verbose : int
        1 shows a bar on the standard error stream.
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.
    similarity : {"given", "confusion"}
        See `COSDISH`. "confusion" trains nets on parts of the data first.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Learned codes of the training points; a point without supervision has the code that the net gives it.
    result_ : bqp.codes.CodeResult
        Objective, proven bounds, trace.
    function_ : HashFunction
        Fitted functions.
    n_bits_, n_features_in_ : int

    Notes
    -----
    Features are those that `NetFunction` takes: arrays (uint8 too), memory maps, torch datasets. Needs the extra
    ``torch`` for `fit` and `transform`.

    The paper's net ends in sigmoids with a squared loss, on 0/1 bits; ours in margins with the loss of `NetFunction`.
    The paper ranks codes of the net on both sides (`database_codes(X, "hashed")`).

    References
    ----------
    Xia, Pan, Lai, Liu and Yan, "Supervised hashing for image retrieval via image representation learning", AAAI 2014.

    Examples
    --------
    >>> hasher = CNNH(n_bits=16, random_state=0)
    >>> hasher.mode, hasher.class_outputs
    ('default', False)
    """

    def __init__(
        self,
        n_bits=32,
        function=None,
        mode="default",
        class_outputs=False,
        max_sweeps=10,
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
        similarity="given",
    ):
        self.n_bits = n_bits
        self.function = function
        self.mode = mode
        self.class_outputs = class_outputs
        self.max_sweeps = max_sweeps
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled
        self.similarity = similarity

    def _learn_codes(self, S, n_bits, n_jobs, rng, callback):
        from bqp import codes

        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}: {self.mode!r}.")
        if self.mode == "published":
            return codes.relaxed_factors(S, n_bits=n_bits, max_sweeps=self.max_sweeps, rng=rng, callback=callback)
        return codes.learn(S, n_bits=n_bits, rng=rng, n_jobs=n_jobs, callback=callback, certify="auto")

    def _learn(self, X, S, function, n_bits, n_jobs, rng, progress):
        if not self.class_outputs:
            return super()._learn(X, S, function, n_bits, n_jobs, rng, progress)
        if getattr(S, "classes", None) is None:
            raise ValueError(
                "class_outputs=True predicts labels, and there are none in pairs or a matrix of similarities. Call fit "
                "with labels or label sets, or leave class_outputs out."
            )
        result = self._learn_codes(S, n_bits, n_jobs, rng, progress.callback)
        progress.say(f"codes of {n_bits} bits in {result.time:.2f} s, objective {result.objective:.6g}; net")
        known = np.flatnonzero(S.known)
        function.fit(X[known], np.hstack([result.B[known], _label_columns(S)[known]]))
        return result, join([(function, k) for k in range(n_bits)])


def _label_columns(S):
    """+1 where a point has a label, else -1; shape (n, L), int8."""
    classes = np.asarray(S.classes)
    one_hot = np.eye(len(classes)) if classes.ndim == 1 else classes
    return signs(one_hot - 0.5)[S.groups]

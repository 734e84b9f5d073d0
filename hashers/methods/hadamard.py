"""Hadamard codes: each class has a row of a Hadamard matrix for its code, and nothing is optimised.

Koutaki, Shirai and Ambai, "Hadamard coding for supervised discrete hashing", IEEE Transactions on Image Processing,
2018.
"""

from hashers.base import Hasher

__all__ = ["HadamardHash"]


class HadamardHash(Hasher):
    """Class codes from a Hadamard matrix.

    Any two classes are at distance n_bits / 2.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2: `KernelFunction` (default), `LinearFunction`, `TreesFunction`, or any scikit-learn classifier. Cloned.
    mode : {"default", "published"}
        "published" takes lengths of 2^k, 12 2^k and 20 2^k bits and one label a point; "default" any length of at least
        the number of labels, and label sets.
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
    Needs labels or label sets, and at least as many bits as labels.

    References
    ----------
    Koutaki, Shirai and Ambai, "Hadamard coding for supervised discrete hashing", IEEE Transactions on Image Processing,
    2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = HadamardHash(n_bits=16, random_state=0).fit(X[:300], y[:300])
    >>> hasher.transform(X[300:]).shape, hasher.encode(X[300:]).shape
    ((1497, 16), (1497, 2))
    """

    _needs_labels = True

    def __init__(
        self,
        n_bits=32,
        function=None,
        mode="default",
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
    ):
        self.n_bits = n_bits
        self.function = function
        self.mode = mode
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled

    def _learn_codes(self, S, n_bits, n_jobs, rng, callback):
        from bqp import codes

        return codes.discrete_cyclic(
            S,
            n_bits=n_bits,
            variant="hadamard",
            mode=self.mode,
            rng=rng,
            n_jobs=n_jobs,
            callback=callback,
        )

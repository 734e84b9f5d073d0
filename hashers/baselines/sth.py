"""Self-taught hashing: codes from a neighbour graph first, one classifier per bit then; two steps without labels.

D. Zhang, J. Wang, D. Cai and J. Lu, "Self-taught hashing for fast similarity search", SIGIR 2010.
"""

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from hashers.base import _seed_unset
from hashers.baselines._base import UnsupervisedHasher
from hashers.functions.base import as_function, balanced, check_count

__all__ = ["STH"]

SMALLEST_WEIGHT = 1e-3
"""Of an edge: neighbours at a right angle, or far out, stay joined."""

DENSE = 500
"""Rows up to which all eigenvectors are computed directly."""


class STH(UnsupervisedHasher):
    """Laplacian eigenmaps of a nearest-neighbour graph, cut at their medians, and a function fitted to each bit.

    Step 1: L y = lambda D y for the graph W of nearest neighbours, D its degrees and L = D - W; the eigenvectors with
    the smallest eigenvalues, without the constant one, each cut where half of the points lie on either side. Step 2:
    these codes are labels for any hash function.

    Parameters
    ----------
    n_bits : int
        Code length; below the number of rows.
    function : HashFunction or classifier, optional
        Step 2: `KernelFunction`, `LinearFunction`, or any scikit-learn classifier (fitted per bit). Default
        `KernelFunction(n_anchors=1000)`. Cloned; a `random_state` of None is drawn from that of the hasher.
    n_neighbors : int
        Neighbours of a point; an edge joins two points if either is a neighbour of the other.
    metric : {"cosine", "euclidean"}
        Weights of edges: the cosine; or exp(-d^2 / t), t the mean squared distance to the last neighbour.
    n_jobs : int, optional
        Threads of the neighbour search.
    random_state : int, RandomState instance or None
        Start of the Lanczos iterations, and the function's seed.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Learned codes of the training points; the functions need not give the same.
    eigenvalues_ : ndarray of shape (n_bits,), float64
        lambda, rising, in [0, 2].
    function_ : HashFunction
    exponent_ : int
        Features are divided by ``2**exponent_`` first; 0 for values of ordinary size.
    n_bits_, n_features_in_ : int

    Notes
    -----
    All neighbours are found by brute force: O(n^2 d) time, O(n (k + n_bits)) memory beside X for k neighbours. 5,000
    rows take seconds, 69,000 rows minutes.

    Where we differ from the authors' code: kernel ridge regression is the default function instead of a linear support
    vector machine (`LinearFunction(solver="svm")`); their heat kernel has t = 1 whatever the unit; an edge has at least
    the weight 0.001. Where many points share an eigenvector's median (equal points, parts of the graph that no edge
    joins), the median would leave one side empty: we cut between distinct values, as near the middle as there are any.

    References
    ----------
    Zhang, Wang, Cai and Lu, "Self-taught hashing for fast similarity search", SIGIR 2010.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from hashers import LinearFunction
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = STH(n_bits=8, function=LinearFunction(), random_state=0).fit(X[:400])
    >>> hasher.codes_.sum(axis=0), hasher.transform(X[400:]).shape
    (array([0, 0, 0, 0, 0, 0, 0, 0]), (1397, 8))
    """

    def __init__(self, n_bits=32, function=None, n_neighbors=25, metric="cosine", n_jobs=None, random_state=None):
        self.n_bits = n_bits
        self.function = function
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _learn(self, X, n_bits, rng):
        check_count(self.n_neighbors, "n_neighbors")
        if self.metric not in ("cosine", "euclidean"):
            raise ValueError(f'metric must be "cosine" or "euclidean": {self.metric!r}.')
        if n_bits >= X.shape[0]:
            raise ValueError(
                f"{n_bits} bits need {n_bits} eigenvectors of a graph, and that of n_samples = {X.shape[0]} has "
                f"{X.shape[0] - 1}. Ask for fewer bits, or give more rows."
            )
        function = as_function(self.function)
        _seed_unset(function, int(rng.randint(2**31 - 1)))
        W = _neighbour_graph(X, int(self.n_neighbors), self.metric, self.n_jobs)
        self.eigenvalues_, Y = _eigenmap(W, n_bits, rng)
        B = np.column_stack([_halves(y) for y in Y.T])
        self.function_ = function.fit(X, B)
        return B

    def _margins(self, X):
        return self.function_.decision_function(X)


def _neighbour_graph(X, n_neighbors, metric, n_jobs):
    """Weights (n, n), csr, symmetric, no loops: row i holds the nearest of i and those that i is nearest to."""
    from sklearn.neighbors import NearestNeighbors

    if metric == "cosine":
        X = normalize(balanced(X, axis=1)[0])
    n, k = X.shape[0], min(n_neighbors, X.shape[0] - 1)
    search = NearestNeighbors(n_neighbors=k, algorithm="brute", n_jobs=n_jobs).fit(X)
    distances, index = search.kneighbors()
    squares = distances.astype(np.float64) ** 2
    if metric == "cosine":
        weights = 1 - squares / 2
    else:
        scale = squares[:, -1].mean()
        weights = np.exp(-squares / (scale if scale > 0 else 1.0))
    weights = np.maximum(weights, SMALLEST_WEIGHT)
    W = sparse.csr_array((weights.ravel(), index.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    return W.maximum(W.T).tocsr()


def _eigenmap(W, k, rng):
    """The k smallest eigenvalues of L y = lambda D y but for that of the constant, and their vectors (n, k)."""
    from scipy.linalg import eigh
    from scipy.sparse.linalg import LinearOperator, eigsh

    n = W.shape[0]
    root = np.sqrt(np.asarray(W.sum(axis=1)).ravel())
    M = sparse.diags_array(1 / root) @ W @ sparse.diags_array(1 / root)
    constant = root / np.linalg.norm(root)
    if n <= DENSE or 3 * k > n:
        values, vectors = eigh(M.toarray() - 3 * np.outer(constant, constant), subset_by_index=[n - k, n - 1])
    else:

        def product(v):
            v = v.ravel()
            return M @ v - 3 * constant * (constant @ v)

        shifted: LinearOperator = LinearOperator((n, n), matvec=product, dtype=np.float64)  # pyright: ignore
        values, vectors = eigsh(shifted, k=k, which="LA", v0=rng.standard_normal(n))
    values, vectors = values[::-1], vectors[:, ::-1] / root[:, None]
    return np.clip(1 - values, 0, 2), vectors


def _halves(y):
    """Signs of y about the middle of its order, moved to the nearest place between distinct values; int8.

    The larger side is the negative one if they cannot be of one size, as for a cut at the median; all +1 where all
    values are equal.
    """
    n = len(y)
    ordered = np.sort(y)
    gaps = np.flatnonzero(np.diff(ordered) > 1e-9 * np.abs(y).max())  # cuts after these places
    if not len(gaps):
        return np.ones(n, dtype=np.int8)
    unequal = np.abs(2 * (gaps + 1) - n)
    nearest = gaps[unequal == unequal.min()][-1]
    return np.where(y > (ordered[nearest] + ordered[nearest + 1]) / 2, np.int8(1), np.int8(-1))

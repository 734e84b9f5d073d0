"""Kernel hash functions: kernel values at anchors, then ridge regression of all bits at once."""

import warnings
from numbers import Real

import numpy as np
from scipy import sparse
from scipy.linalg import solve_triangular
from sklearn.base import clone
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state

from hashers import packing
from hashers.functions._kernels import KERNELS, leave_one_out_error, squared_norms
from hashers.functions._ridge import NormalEquations
from hashers.functions.base import Design, HashFunction, balanced, check_count, check_positive, check_targets

__all__ = ["KernelFunction"]

BLOCK = 4096
"""Rows whose kernel values are held at once: 31 MiB for 1,000 anchors in float64."""

KEPT = 256 * 2**20
"""Bytes of kernel values that a design keeps between fits; beyond, it makes them again, in blocks."""

WIDTH_ROWS = 2000
"""Training rows that a data-driven width looks at."""

COARSE = 2.0**-40
"""Mean squared distance, over squared length, at which float64 keeps too few digits of distances: 12 bits."""

VALIDATION_ROWS = 2000
"""Training rows, anchors among them, that a validated width looks at."""

CLEARLY = 0.1
"""A validated width replaces "auto" where its leave-one-out error is lower by more than this share."""

LEAST_LEFT = 1e-6
"""What a row may leave to others, 1 less its leverage, for leave-one-out margins."""

WIDTHS = ("auto", "validate", "nearest", "median", "sdh", "ksh")


class KernelFunction(HashFunction):
    """Hash functions that are linear in kernel values at anchors.

    phi(x) = (k(x, a_1), ..., k(x, a_m), 1); minimises sum_i w_i ||b_i - W'phi(x_i)||^2 + ridge ||W||^2.

    Parameters
    ----------
    n_anchors : int
        Anchors; all training rows where there are fewer.
    anchors : {"random", "kmeans"}
        Random training rows, or k-means centres of at most 20 rows an anchor.
    sigma : float or {"auto", "validate", "nearest", "median", "sdh", "ksh"}
        Width. From distances of training rows (at most 2,000) to the anchors: "nearest" is the mean distance to the
        nearest anchor, "median" the median distance (/ sqrt(2) for "rbf"), "auto" the geometric mean of these two;
        "ksh" the root mean squared distance and "sdh" 0.4, as published, for "rbf". "validate" tries five widths from
        "nearest" to "median" (at least from half to twice "auto") on 2,000 training rows and takes the one of least
        leave-one-out error of the codes; "auto" unless that error is lower by more than 10 %. For "polynomial" all
        rules start from the root mean squared length of rows.
    ridge : float
        Weight of the penalty.
    normalize : bool
        Whether rows are scaled to unit length first (rows of zeros stay): Euclidean, or for "laplacian" and "chi2" the
        sum of absolute values.
    kernel : {"rbf", "laplacian", "chi2", "polynomial"}
        exp(-||x - a||^2 / (2 sigma^2)); exp(-||x - a||_1 / sigma); exp(-sum_j (x_j - a_j)^2 / (x_j + a_j) / sigma) for
        features of at least 0; ((1 + x.a / sigma^2) / 2)^degree, whose degree 1 is linear in the cosine of unit rows.
    degree : int
        Of "polynomial".
    random_state : int, RandomState instance or None
        Choice of the anchors and of the rows that the width looks at.

    Attributes
    ----------
    anchors_ : ndarray of shape (n_anchors, n_features)
        Scaled anchors in the dtype of distances: that of X, or float64 where float32 is too coarse for `sigma_` or
        for the distances of rows ("rbf"). A sparse matrix where X is one and anchors are rows of it.
    sigma_ : float
        The width used.
    validation_ : ndarray of shape (5, 2), float64
        The widths that "validate" tried and their mean squared leave-one-out errors, from narrow to wide.
    coef_ : ndarray of shape (n_anchors + 1, n_bits), float64
        Weights; the last row belongs to the constant.

    Notes
    -----
    O(n d m + n m^2) time for m anchors; "laplacian" and "chi2" cannot use matrix products and take about ten times as
    long as "rbf" for their values. "validate" costs five fits of 2,000 rows. Kernel values exist for 4,096 rows
    at a time: memory O(4096 m + m^2) beside X. Distances of "rbf" are products in the dtype of X (float64 where float32
    is too coarse, which float64 distances of the sampled rows decide); a `UserWarning` says where float64 is too coarse
    as well. The normal equations are summed and solved in float64: in float32 they lose all digits at 1,000 anchors.
    Where the Cholesky factorisation fails (ridge 0), least squares takes over.

    Neither "nearest" nor "median" is right everywhere; their geometric mean is near the best width on all our data
    sets, and no width chosen by held-out error beats it on all of them: see docs/functions.md.

    References
    ----------
    Shen, Shen, Liu and Shen, "Supervised discrete hashing", CVPR 2015 (unit rows, sigma 0.4, ridge 0.01).
    Liu, Wang, Ji, Jiang and Chang, "Supervised hashing with kernels", CVPR 2012.

    Examples
    --------
    >>> X = [[1.0, 0.0], [0.9, 0.1], [0.1, 0.9], [0.0, 1.0]]
    >>> function = KernelFunction(n_anchors=4, random_state=0).fit(X, [[1, 1], [1, 1], [-1, 1], [-1, 1]])
    >>> function.predict([[0.8, 0.1], [0.1, 0.7]])
    array([[ 1, 1],
           [-1, 1]], dtype=int8)
    """

    def __init__(
        self,
        n_anchors=1000,
        anchors="random",
        sigma="auto",
        ridge=1e-2,
        normalize=True,
        random_state=None,
        kernel="rbf",
        degree=3,
    ):
        self.n_anchors = n_anchors
        self.anchors = anchors
        self.sigma = sigma
        self.ridge = ridge
        self.normalize = normalize
        self.random_state = random_state
        self.kernel = kernel
        self.degree = degree

    _per_bit = ("coef_",)

    @property
    def takes_targets(self):
        return True

    def _fit(self, X, B, weight):
        self._prepare(X, B, weight)
        equations, R = _sums(_Blocks(self, X), B, weight, self._ridge())
        self.coef_ = equations.solve(R)

    def _design(self, X):
        return KernelDesign(self, X)

    def _ridge(self):
        return check_positive(self.ridge, "ridge", zero=True)

    def _prepare(self, X, B, weight):
        """Choose anchors and width; return the row of each anchor, -1 for centres."""
        self._check_parameters()
        self._check_length(X, X.dtype)
        rng = check_random_state(self.random_state)
        counted = np.arange(X.shape[0]) if weight is None else np.flatnonzero(weight)
        rows = rng.permutation(counted)
        chosen, sample = rows[: self.n_anchors], rows[-WIDTH_ROWS:]
        if self.anchors == "random":
            self.anchors_ = self._scaled(X[chosen], np.float64)
        else:
            self.anchors_ = self._centres(self._scaled(X[rows[: 20 * self.n_anchors]], np.float64), rng)
            chosen = np.full(self.anchors_.shape[0], -1)
        gaps = self._gaps(self._scaled(X[sample], np.float64))
        same = sample[:, None] == chosen
        self.sigma_ = self._width(gaps, same)
        if self.sigma == "validate":
            self._validate(X, B, weight, rows, self._ratio(gaps, same))
        if self.kernel != "polynomial":
            self._choose_dtype(X, gaps, sample)
        return chosen

    def _choose_dtype(self, X, gaps, sample):
        """Leave the anchors in float64 where distances are too small for float32; warn where float64 loses them."""
        largest = squared_norms(self.anchors_).max() if self.kernel == "rbf" else abs(self.anchors_).sum(axis=1).max()
        size, spread = 2 * float(largest), float(gaps.mean())
        if spread <= COARSE * size and _rows_differ(X[sample]):
            self._warn_coarse()
        if self.kernel != "rbf" or not _too_fine(size, min(self.sigma_**2, spread)):
            self.anchors_ = self.anchors_.astype(X.dtype, copy=False)

    def _validate(self, X, B, weight, rows, ratio):
        """Move the width to where leave-one-out errors of rows that are no anchors are clearly lower."""
        rows = rows[:VALIDATION_ROWS]
        n_anchors = min(self.anchors_.shape[0], len(rows) // 2)
        tested = np.arange(n_anchors if self.anchors == "random" else 0, len(rows))
        if not n_anchors:
            self.validation_ = np.empty((0, 2))
            return
        gaps = self._gaps(self._scaled(X[rows], np.float64))[:, :n_anchors]
        root = np.ones((len(rows), 1)) if weight is None else np.sqrt(weight[rows])[:, None]
        T = B[rows] * root
        widths, errors = self.sigma_ * ratio ** np.arange(-2.0, 3.0), np.empty(5)
        for k, sigma in enumerate(widths):
            phi = np.ones((len(rows), n_anchors + 1))
            phi[:, :-1] = KERNELS[self.kernel].values(gaps.copy(), sigma, self.degree)
            errors[k] = leave_one_out_error(phi * root, T, self._ridge(), tested)
        self.validation_ = np.column_stack([widths, errors / (len(tested) * B.shape[1])])
        best = int(np.argmin(errors))
        if errors[best] < (1 - CLEARLY) * errors[2]:
            self.sigma_ = float(widths[best])

    def _margins(self, X):
        self._check_length(X, self.anchors_.dtype)
        margins = np.empty((X.shape[0], self.n_bits_))
        for part, phi in _Blocks(self, X):
            margins[part] = phi @ self.coef_
        return margins

    def _check_parameters(self):
        check_count(self.n_anchors, "n_anchors")
        if self.anchors not in ("random", "kmeans"):
            raise ValueError(f'anchors must be "random" or "kmeans": {self.anchors!r}.')
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel must be one of {', '.join(KERNELS)}: {self.kernel!r}.")
        check_count(self.degree, "degree")
        if isinstance(self.sigma, str):
            if self.sigma not in WIDTHS:
                raise ValueError(f"sigma must be a number above 0 or one of {', '.join(WIDTHS)}: {self.sigma!r}.")
            if self.sigma in ("sdh", "ksh") and self.kernel != "rbf":
                raise ValueError(f'sigma={self.sigma!r} is for kernel="rbf", not {self.kernel!r}. Use sigma="auto".')
        else:
            check_positive(self.sigma, "sigma")
        self._ridge()

    def _scaled(self, X, dtype):
        """Rows in `dtype`, of unit length with `normalize`."""
        if self.normalize:
            return normalize(balanced(X, axis=1)[0].astype(dtype, copy=False), norm=KERNELS[self.kernel].norm)
        return X.astype(dtype, copy=False)

    def _check_length(self, X, dtype):
        """Raise where the squared length of a row may overflow `dtype`."""
        if self.normalize:
            return
        exponent = balanced(X, axis=1)[1]
        if exponent.max() > (np.finfo(dtype).maxexp - 20) // 2:  # sums of 2**18 squares are finite
            i = int(np.argmax(exponent))
            raise ValueError(
                f"row {i} of X is too large: its length, above 2**{exponent[i] - 1}, overflows {np.dtype(dtype)} when "
                "squared. Scale X, for example by sklearn.preprocessing.StandardScaler, or use normalize=True."
            )

    def _warn_coarse(self):
        cause = "after scaling to unit length " if self.normalize else ""
        remedy = "Standardise the features first (sklearn.preprocessing.StandardScaler)"
        warnings.warn(
            f"the rows of X differ, but {cause}their distances are 0 or lost in rounding, so that the codes cannot "
            "depend on X: a large common offset, a large constant column, tiny values, or rows that differ in length "
            f"only. {remedy}{', or use normalize=False' if self.normalize else ''}.",
            UserWarning,
            stacklevel=6,
        )

    def _centres(self, X, rng):
        """k-means centres of scaled rows."""
        from sklearn.cluster import MiniBatchKMeans

        kmeans = MiniBatchKMeans(
            n_clusters=min(self.n_anchors, X.shape[0]),
            batch_size=max(2048, 2 * self.n_anchors),
            max_iter=10,
            init="random",
            n_init=1,
            random_state=rng.randint(2**31 - 1),
        )
        return kmeans.fit(X).cluster_centers_

    def _gaps(self, X):
        """What the kernel needs of scaled rows and anchors: distances or products; shape (n, n_anchors)."""
        return KERNELS[self.kernel].gaps(X, self.anchors_)

    def _width(self, gaps, same):
        """The width: a number, or from gaps of sampled rows; `same` marks a row that is its own anchor."""
        if isinstance(self.sigma, Real):
            return float(self.sigma)
        if self.kernel == "polynomial":
            return _usable(np.sqrt(squared_norms(self.anchors_).mean()))
        if self.sigma == "sdh":
            return 0.4
        if self.sigma == "ksh":
            return _usable(np.sqrt(gaps.mean()))
        nearest, median = self._typical(gaps, same)
        widths = {"nearest": nearest, "median": median}
        return _usable(widths.get(self.sigma, np.sqrt(nearest * median)), median)

    def _typical(self, gaps, same):
        """The widths "nearest" and "median"."""
        distances = KERNELS[self.kernel].lengths(gaps).copy()
        median = np.median(distances) * KERNELS[self.kernel].median_share
        distances[same] = np.inf
        nearest = distances.min(axis=1)
        return nearest[np.isfinite(nearest)].mean() if np.isfinite(nearest).any() else median, median

    def _ratio(self, gaps, same):
        """Between neighbours of the five widths that "validate" tries."""
        if self.kernel == "polynomial":
            return np.sqrt(2)
        nearest, median = self._typical(gaps, same)
        return max(np.sqrt(2), (median / nearest) ** 0.25) if min(nearest, median) > 0 else np.sqrt(2)

    def _map(self, X):
        """Kernel values and the constant of raw rows; shape (n, n_anchors + 1), float64."""
        gaps = self._gaps(self._scaled(X, self.anchors_.dtype))
        phi = np.ones((X.shape[0], self.anchors_.shape[0] + 1))
        phi[:, :-1] = KERNELS[self.kernel].values(gaps, self.sigma_, self.degree)
        return phi


class _Blocks:
    """Kernel values of fixed rows, block by block; with `keep`, made once."""

    def __init__(self, function, X, keep=False):
        self.function, self.X = function, X
        self.kept = [] if keep else None

    def __iter__(self):
        if self.kept:
            yield from self.kept
            return
        for start in range(0, self.X.shape[0], BLOCK):
            part = slice(start, start + BLOCK)
            block = part, self.function._map(self.X[part])
            if self.kept is not None:
                self.kept.append(block)
            yield block


def _sums(blocks, B, weight, ridge):
    """Normal equations of the kernel values, and their right-hand side for codes B; in float64."""
    m = blocks.function.anchors_.shape[0] + 1
    G, R = np.zeros((m, m)), np.zeros((m, B.shape[1]))
    for part, phi in blocks:
        target = B[part].astype(np.float64)
        if weight is not None:
            root = np.sqrt(weight[part])[:, None]
            phi, target = phi * root, target * root
        G += phi.T @ phi
        R += phi.T @ target
    return NormalEquations(G, ridge), R


class KernelDesign(Design):
    """Anchors, width, kernel values (up to 256 MiB) and the factor of the unweighted normal equations, made once.

    Anchors and width are those of the first fit.
    """

    def __init__(self, function, X):
        super().__init__(function, X)
        self.first = None
        self.equations = None

    def fit(self, B, sample_weight=None):
        B = packing.check_codes(B)
        return self._fit(B, clone(self.function)._check_weight(sample_weight, self.X.shape[0]))

    def fit_targets(self, T):
        return self._fit(check_targets(T), None)

    def _fit(self, B, weight):
        fitted = clone(self.function)
        first = self.first or fitted
        if self.first is None:
            self.rows = fitted._prepare(self.X, B, weight)
            self.first = fitted
            size = 8 * self.X.shape[0] * (fitted.anchors_.shape[0] + 1)
            self.blocks = _Blocks(fitted, self.X, keep=size <= KEPT)
        fitted.anchors_, fitted.sigma_ = first.anchors_, first.sigma_
        if self.function.sigma == "validate":
            fitted.validation_ = first.validation_
        fitted.n_features_in_, fitted.n_bits_ = self.X.shape[1], B.shape[1]
        if weight is not None:
            equations, R = _sums(self.blocks, B, weight, fitted._ridge())
        elif self.equations is None:
            equations, R = _sums(self.blocks, B, None, fitted._ridge())
            self.equations = equations
        else:
            equations = self.equations
            R = np.zeros((len(equations.G), B.shape[1]))
            for part, phi in self.blocks:
                R += phi.T @ B[part].astype(np.float64)
        fitted.coef_ = equations.solve(R)
        return fitted

    def leave_one_out(self, B):
        """Margins of every row by the function fitted to codes of all other rows, in closed form.

        Parameters
        ----------
        B : ndarray of shape (n_samples, k), int8
            Codes in {-1, +1}.

        Returns
        -------
        margins : ndarray of shape (n_samples, k), float64, or None
            None where the normal equations are singular, or nearly so without a row.

        Notes
        -----
        A row that is an anchor is left out of the anchors too: a new point has no anchor of its own, and with that one
        kept scores are far too low (CIFAR-10 deep, 16 bits: MAP .600 instead of .622; new points .624). Width and the
        other anchors, k-means centres included, stay.

        With A = phi'phi + ridge I, h = phi_i' A^-1 phi_i and e = (b_i - f_i) / (1 - h), the margin without row i is
        b_i - e (Allen, Technometrics 1974). Without anchor j, which is row i, it is smaller by
        g (w_j - a e) / (A^-1_jj + a g), where a = phi_i' A^-1 e_j, g = a / (1 - h): the same inverse with one column
        eliminated. O(n m^2 + m^3), about one fit.
        """
        B = packing.check_codes(B)
        fitted = self.fit(B)
        assert self.equations is not None
        if self.equations.factor is None:
            return None
        L, m = self.equations.factor[0], fitted.anchors_.shape[0]
        V = solve_triangular(L, np.eye(m + 1)[:, :m], lower=True, check_finite=False)
        diagonal = np.einsum("ij,ij->j", V, V)
        anchor = np.full(self.X.shape[0], -1)
        anchor[self.rows[self.rows >= 0]] = np.flatnonzero(self.rows >= 0)
        margins = np.empty(B.shape)
        for part, phi in self.blocks:
            U = solve_triangular(L, phi.T, lower=True, check_finite=False)
            left = 1 - np.einsum("ij,ij->j", U, U)[:, None]
            if not left.min() > LEAST_LEFT:
                return None
            error = (B[part] - phi @ fitted.coef_) / left
            margins[part] = B[part] - error
            i = np.flatnonzero(anchor[part] >= 0)
            j = anchor[part][i]
            a = np.einsum("ij,ij->j", U[:, i], V[:, j])[:, None]
            g = a / left[i]
            margins[part.start + i] -= g * (fitted.coef_[j] - a * error[i]) / (diagonal[j][:, None] + a * g)
        return margins

    def margins(self, fitted):
        margins = np.empty((self.X.shape[0], fitted.n_bits_))
        for part, phi in self.blocks:
            margins[part] = phi @ fitted.coef_
        return margins


def _too_fine(size, square):
    """Whether rounding of float32 distances of numbers of `size` would be more than 2e-4 of `square`."""
    return size * np.finfo(np.float32).eps > 2e-4 * square


def _rows_differ(X):
    """Whether not all rows are equal."""
    if sparse.issparse(X):
        return (X[1:] != X[np.zeros(X.shape[0] - 1, dtype=int)]).nnz > 0
    return bool((X[:1] != X).any())


def _usable(*widths):
    """The first width that is a positive number; 1 where all rows coincide."""
    return float(next((w for w in widths if np.isfinite(w) and w > 0), 1.0))

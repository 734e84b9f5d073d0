"""KSH, LFH and DGH: KSH's bits against a literal transcription, functions against their formulas, manners."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.linalg import eigh

from bqp import codes, supervision
from bqp.testing import similarities as cases
from hashers import DGH, KSH, LFH, KernelFunction, LinearFunction, TreesFunction
from hashers._anchor_graph import anchor_weights
from hashers.methods._ksh_bits import RIDGE, KSHBits, TargetProducts


def digits(n=300):
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[:n], y[:n]


# ---- KSH: bits -----------------------------------------------------------------------------------------------------


def projection(K, S, a0, most):
    """The authors' accelerated gradient, with S written out."""

    def phi(v):
        with np.errstate(over="ignore"):
            return 2 / (1 + np.exp(-(K @ v))) - 1

    def cost(v):
        return -phi(v) @ S @ phi(v)

    a_old, a_new, last, beta, d0, d1 = a0, a0, cost(a0), 1.0, 0.0, 1.0
    for _ in range(most):
        v = a_new + (d0 - 1) / d1 * (a_new - a_old)
        y = phi(v)
        g = -K.T @ ((S @ y) * (1 - y**2))
        for j in range(51):
            b = 2**j * beta
            z = v - g / b
            if cost(z) <= cost(v) + g @ (z - v) + b * (z - v) @ (z - v) / 2:
                break
        else:
            return a_new
        beta, a_old, a_new = b, a_new, z
        if abs(cost(z) - last) / len(K) <= 1e-2:
            return a_new
        last = cost(z)
        d0, d1 = d1, (1 + np.sqrt(1 + 4 * d1**2)) / 2
    return a_new


def transcribe(K, S0, q, most):
    """The authors' loop; RIDGE on K'K, signs of eigenvectors as they come out."""
    n, m = K.shape
    S, RM = q * S0, K.T @ K
    RM = RM + RIDGE * np.trace(RM) / m * np.eye(m)
    A, B = np.zeros((m, q)), np.zeros((n, q))
    for k in range(q):
        if k:
            S = S - np.outer(B[:, k - 1], B[:, k - 1])
        a = eigh(K.T @ S @ K, RM)[1][:, -1]
        a = a * np.sqrt(n / (a @ RM @ a))
        other = projection(K, S, a, most)
        y, y1 = np.where(K @ a >= 0, 1, -1), np.where(K @ other >= 0, 1, -1)
        if y1 @ S @ y1 > y @ S @ y:
            a, y = other, y1
        A[:, k], B[:, k] = a, y
    return A, B


@pytest.mark.parametrize("seed", range(6))
def test_published_bits_are_the_authors(seed):
    rng = np.random.default_rng(seed)
    y = np.append(rng.integers(0, 3, 38), [0, 1])
    K = rng.standard_normal((40, 5)) + y[:, None] * rng.standard_normal(5)
    K -= K.mean(axis=0)
    bits = KSHBits(K, supervision.from_labels(y), 4, published=True)
    bits.greedy(60, lambda done: False)
    A, B = transcribe(K, np.where(y[:, None] == y, 1.0, -1.0), 4, 60)
    turn = np.sign(np.sum(A * bits.A, axis=0))  # a bit and its complement are the same to the residual
    np.testing.assert_allclose(bits.A * turn, A, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(bits.B * turn, B)


@settings(max_examples=60)
@given(cases.similarities(max_n=8), st.integers(1, 4), st.booleans(), st.integers(0, 2**32 - 1))
def test_residual_products_are_the_dense_ones(case, q, published, seed):
    similarity, S, W = case
    W = cases.weights_of(similarity, W)
    rng = np.random.default_rng(seed)
    n = len(S)
    K = rng.standard_normal((n, 3))
    bits = KSHBits(K, similarity, q, published)
    bits.B[:] = cases.codes(rng, n, q)
    R = q * W * S
    for k in range(q):
        bits._count(k, 1)
        y = bits.B[:, k].astype(float)
        R = R - (1.0 if published else W) * np.outer(y, y)
    v = rng.standard_normal(n)
    np.testing.assert_allclose(bits.residual(v), R @ v, atol=1e-9)
    np.testing.assert_allclose(bits.M, K.T @ R @ K, atol=1e-9)
    cost, phi, product = bits._cost(np.ones(3))
    assert cost == pytest.approx(-phi @ R @ phi, abs=1e-9)
    step = rng.standard_normal(3)
    h = 1e-5
    slope = (bits._cost(np.ones(3) + h * step)[0] - bits._cost(np.ones(3) - h * step)[0]) / (2 * h)
    assert bits._gradient(phi, product) @ step == pytest.approx(slope, rel=1e-4, abs=1e-5)
    V = rng.standard_normal((n, 2))
    products = TargetProducts(similarity, zero_targets=published)
    np.testing.assert_allclose(products.target(V), (W * S) @ V, atol=1e-9)
    np.testing.assert_allclose(products.weight(V), (np.ones_like(W) if published else W) @ V, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_cycles_never_raise_the_objective(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 5, 120)
    K = rng.standard_normal((120, 8)) + rng.standard_normal((5, 8))[y]
    S = supervision.from_labels(y, weights=rng.integers(1, 3, 120))
    bits = KSHBits(K - K.mean(axis=0), S, 6, published=False)
    values = []
    bits.greedy(20, lambda done: values.append(S.ksh_objective(bits.B)) and False)
    values = values[-1:]
    for _ in range(3):
        bits.cycle(20, lambda done: values.append(S.ksh_objective(bits.B)) and False)
    assert len(values) == 19 and np.all(np.diff(values) <= 1e-9)
    assert values[-1] < values[0]


def test_default_is_at_least_as_good_as_published():
    X, y = digits(150)
    settings_ = {"n_bits": 5, "n_anchors": 30, "sigma": "ksh", "normalize": False}
    for seed in range(3):
        ours, theirs = (KSH(mode=mode, random_state=seed, **settings_).fit(X, y) for mode in ("default", "published"))
        assert ours.result_.objective <= theirs.result_.objective


# ---- KSH: estimator ------------------------------------------------------------------------------------------------


def test_ksh_function_is_centred_and_codes_are_hashed():
    X, y = digits()
    hasher = KSH(n_bits=6, n_anchors=40, sigma=0.5, random_state=0).fit(X, y)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    squares = ((unit[:, None] - hasher.function_.anchors_) ** 2).sum(axis=2)
    K = np.exp(-squares / (2 * 0.25))
    margins = (K - K.mean(axis=0)) @ hasher.function_.coef_[:-1]
    np.testing.assert_allclose(hasher.decision_function(X), margins, atol=1e-8)
    np.testing.assert_array_equal(hasher.codes_, hasher.transform(X))
    S = supervision.from_labels(y)
    assert hasher.result_.objective == S.ksh_objective(hasher.codes_) >= hasher.result_.lower_bound


def test_ksh_learns_from_a_part_and_from_unknown_labels():
    X, y = digits()
    y = np.where(np.arange(300) % 3 == 0, -1, y)
    hasher = KSH(n_bits=6, n_anchors=40, n_labeled=100, random_state=0).fit(X, y)
    assert hasher.result_.stats["n_labeled"] == 100 and hasher.codes_.shape == (300, 6)
    np.testing.assert_array_equal(hasher.codes_, hasher.transform(X))
    whole = KSH(n_bits=6, n_anchors=40, random_state=0).fit(X, y)
    assert whole.result_.stats["n_labeled"] == (y >= 0).sum()


@pytest.mark.parametrize("make", [KSH, LFH])
def test_pairs_label_sets_and_similarities(make):
    X, y = digits(60)
    rng = np.random.default_rng(0)
    pairs = np.unique(np.sort(rng.integers(0, 60, (500, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    s = np.where(y[pairs[:, 0]] == y[pairs[:, 1]], 1, -1)
    settings_ = {"n_bits": 4, "random_state": 0}
    by_pairs = make(**settings_).fit_pairs(X, pairs, s)
    S = np.where(y[:, None] == y, 1.0, -1.0)
    by_matrix = make(**settings_).fit_similarity(X, S)
    by_sets = make(**settings_).fit(X, (y[:, None] == np.arange(10)).astype(int))
    by_labels = make(**settings_).fit(X, y)
    for hasher in (by_pairs, by_matrix, by_sets, by_labels):
        assert hasher.transform(X).shape == (60, 4)
    np.testing.assert_array_equal(by_sets.codes_, by_labels.codes_)
    if make is KSH:
        np.testing.assert_array_equal(by_matrix.codes_, by_labels.codes_)


def test_ksh_verbose_and_stopping(capsys):
    X, y = digits(80)
    KSH(n_bits=4, n_anchors=20, verbose=1, random_state=0).fit(X, y)
    assert capsys.readouterr().out == ""


# ---- LFH -----------------------------------------------------------------------------------------------------------


def test_lfh_codes_and_functions():
    X, y = digits()
    hasher = LFH(n_bits=12, random_state=0).fit(X, y)
    U = hasher.result_.stats["U"]
    np.testing.assert_array_equal(hasher.codes_, np.where(U >= 0, 1, -1))
    assert (hasher.transform(X) == hasher.codes_).mean() > 0.97


def test_lfh_factors_are_regressed():
    X, y = digits()
    hasher = LFH(n_bits=5, function=LinearFunction(ridge=50.0), regress="factors", random_state=0).fit(X, y)
    U = hasher.result_.stats["U"]
    Z = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
    W = np.linalg.solve(Z.T @ Z + 50 * np.eye(64), Z.T @ (U - U.mean(axis=0)))
    np.testing.assert_allclose(hasher.decision_function(X), Z @ W + U.mean(axis=0), atol=1e-8)
    kernel = LFH(n_bits=5, function=KernelFunction(n_anchors=300, sigma=0.2), regress="factors", random_state=0)
    margins = kernel.fit(X, y).decision_function(X)
    assert np.corrcoef(margins.ravel(), kernel.result_.stats["U"].ravel())[0, 1] > 0.95


def test_lfh_published_starts_at_principal_components():
    X, y = digits()
    hasher = LFH(n_bits=6, mode="published", regress="factors", random_state=0).fit(X, y)
    Z = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
    scores = Z @ np.linalg.svd(Z, full_matrices=False)[2][:6].T
    largest = np.linalg.svd(Z, full_matrices=False)[2][:6]
    scores *= np.sign(largest[np.arange(6), np.argmax(np.abs(largest), axis=1)])
    rng = np.random.RandomState(0).randint(2**31 - 1, size=2)
    expected = codes.latent_factor(supervision.from_labels(y), 6, mode="published", init=scores, rng=int(rng[0]))
    np.testing.assert_allclose(hasher.result_.stats["U"], expected.stats["U"], rtol=1e-6, atol=1e-6)
    assert hasher.function_.ridge == 300 / 64
    narrow = LFH(n_bits=6, mode="published", random_state=0).fit(X[:, 20:23], y)  # fewer features than bits
    assert narrow.codes_.shape == (300, 6)
    LFH(n_bits=4, mode="published", random_state=0).fit(sparse.csr_matrix(X), y)


def test_lfh_errors():
    X, y = digits(40)
    with pytest.raises(ValueError, match='regress="factors" fits real numbers'):
        LFH(function=TreesFunction(), regress="factors").fit(X, y)
    with pytest.raises(ValueError, match="regress must be one of codes, factors"):
        LFH(regress="U").fit(X, y)
    with pytest.raises(ValueError, match="mode must be one of"):
        LFH(mode="fast").fit(X, y)
    for settings_, message in (
        ({"n_labeled": 0}, "n_labeled must be an integer of at least 1: 0"),
        ({"max_iterations": -1}, "max_iterations must be an integer of at least 0: -1"),
        ({"n_cycles": 0.5}, r"n_cycles must be an integer of at least 0: 0\.5"),
        ({"mode": "fast"}, "mode must be one of default, published: 'fast'"),
        ({"n_anchors": 0}, "n_anchors must be a positive integer"),
        ({"sigma": "wide"}, "sigma must be"),
        ({"sigma": "validate"}, 'Use sigma="auto"'),
    ):
        with pytest.raises(ValueError, match=message):
            KSH(**settings_).fit(X, y)


# ---- DGH -----------------------------------------------------------------------------------------------------------


def test_dgh_codes_new_points_by_their_anchors():
    X, _ = digits()
    hasher = DGH(n_bits=8, n_anchors=40, rho=0.5, random_state=0).fit(X)
    Z = anchor_weights(X, hasher.anchors_, 3, hasher.sigma_).toarray()
    expected = codes.discrete_graph(Z, 8, rho=0.5, init=hasher.codes_, max_iterations=1)
    assert expected.objective <= hasher.result_.objective + 1e-9  # the same graph, from those codes
    W = (Z / Z.sum(axis=0)).T @ hasher.codes_
    np.testing.assert_allclose(hasher.decision_function(X[:50]), Z[:50] @ W, atol=1e-8)
    assert (hasher.transform(X) == hasher.codes_).mean() > 0.8
    again = DGH(n_bits=8, n_anchors=40, rho=0.5, random_state=0).fit(X)
    np.testing.assert_array_equal(again.codes_, hasher.codes_)


@pytest.mark.parametrize("scale", [2.0**-660, 2.0**660])  # other factors round, and k-means follows
def test_dgh_at_extreme_scales(scale):
    X, _ = digits(100)
    plain = DGH(n_bits=4, n_anchors=20, random_state=0).fit(X)
    scaled = DGH(n_bits=4, n_anchors=20, random_state=0).fit(X * scale)
    np.testing.assert_array_equal(scaled.codes_, plain.codes_)
    np.testing.assert_array_equal(scaled.transform(X * scale), plain.transform(X))
    assert DGH(n_bits=4, n_anchors=20, sigma=2.0 * scale, random_state=0).fit(X * scale).sigma_ > 0


def test_dgh_errors():
    X, _ = digits(20)
    with pytest.raises(ValueError, match="n_bits must be at most n - 1 = 19"):
        DGH(n_bits=20).fit(X)
    with pytest.raises(ValueError, match="n_anchors must be a positive integer: 0"):
        DGH(n_bits=4, n_anchors=0).fit(X)
    with pytest.raises(ValueError, match="rho must be"):
        DGH(n_bits=4, rho=-1).fit(X)
    with pytest.raises(ValueError, match="sigma must be a finite number above 0"):
        DGH(n_bits=4, sigma=0.0).fit(X)


def test_registered():
    from hashers.registry import parse_method

    for text, kind in (("ksh-published", KSH), ("lfh-factors", LFH), ("dgh", DGH)):
        assert isinstance(parse_method(text).make(n_bits=4), kind)

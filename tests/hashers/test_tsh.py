import logging
import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bqp import supervision
from bqp.errors import ProblemError
from bqp.solvers import Exact
from hashers import TSH, KernelFunction, LinearFunction, metrics, packing

KERNEL = KernelFunction(n_anchors=60)


def hasher(n_bits=8, **settings):
    return TSH(n_bits, **{"function": KERNEL, "random_state": 0, **settings})


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:400] / 16, y[:400]


@pytest.fixture(scope="module")
def fitted(digits):
    return hasher(16).fit(*digits)


def test_attributes_and_outputs(digits, fitted):
    X, y = digits
    assert fitted.codes_.shape == (400, 16) and fitted.codes_.dtype == np.int8
    assert fitted.n_bits_ == 16 and fitted.n_features_in_ == 64
    B = fitted.transform(X)
    assert B.dtype == np.int8 and set(np.unique(B)) == {-1, 1}
    margins = fitted.decision_function(X)
    assert margins.dtype == np.float64
    np.testing.assert_array_equal(B, packing.signs(margins))
    packed = fitted.encode(X)
    assert packed.shape == (400, 2) and packed.dtype == np.uint8
    np.testing.assert_array_equal(packing.unpack(packed, 16), B)
    assert list(fitted.get_feature_names_out()[:2]) == ["tsh0", "tsh1"]
    assert len(np.unique(fitted.codes_, axis=0)) == 10  # one code a class
    assert fitted.result_.objective == supervision.from_labels(y).ksh_objective(fitted.codes_)
    assert fitted.result_.lower_bound <= fitted.result_.objective
    assert metrics.mean_average_precision(B, B, y, y) > 0.97


def test_database_codes(digits, fitted):
    X = digits[0]
    np.testing.assert_array_equal(fitted.database_codes(X), fitted.transform(X))
    learned = fitted.database_codes(X, "learned")
    np.testing.assert_array_equal(learned, fitted.codes_)
    assert learned is not fitted.codes_
    with pytest.raises(ValueError, match="learned codes exist for the 400 training points, X has 5 rows"):
        fitted.database_codes(X[:5], "learned")
    with pytest.raises(ValueError, match="database must be"):
        fitted.database_codes(X, "both")


def test_same_seed_same_model_and_pickle(digits, fitted):
    X, y = digits
    again = clone(fitted).fit(X, y)
    np.testing.assert_array_equal(again.codes_, fitted.codes_)
    np.testing.assert_array_equal(again.decision_function(X), fitted.decision_function(X))
    threads = clone(fitted).set_params(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(threads.codes_, fitted.codes_)
    other = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(other.transform(X), fitted.transform(X))
    assert KERNEL.random_state is None and not hasattr(KERNEL, "coef_")
    assert fitted.function_.random_state is not None


@pytest.mark.parametrize("order", ["sequential", "cyclic", "joint"])
@pytest.mark.parametrize("loss", ["ksh", "bre", "hinge", "exponential"])
def test_losses_and_orders(digits, loss, order):
    X, y = digits
    h = hasher(12, loss=loss, order=order).fit(X, y)
    assert len(np.unique(h.codes_, axis=0)) == 10
    B = h.transform(X)
    assert metrics.mean_average_precision(B, B, y, y) > 0.95


def test_auto_searches_jointly_where_it_can(digits):
    X, y = digits
    auto = hasher(4).fit(X, y)
    assert auto.result_.method == "learn"
    np.testing.assert_array_equal(hasher(4, order="joint").fit(X, y).codes_, auto.codes_)
    for settings in ({"solver": "tabu_search"}, {"target": "full"}, {"solver": Exact()}, {"order": "cyclic"}):
        assert hasher(4, **settings).fit(X, y).result_.method == "bitwise"
    near = np.column_stack([np.arange(200), np.arange(1, 201)])
    s = np.where(y[:200] == y[1:201], 1, -1)
    assert hasher(4).fit_pairs(X, near, s).result_.method == "bitwise"
    assert hasher(4, order="joint").fit_pairs(X, near, s).result_.method == "learn"


def test_auto_takes_bits_in_turn_where_pairs_are_too_many_to_list():
    groups = np.arange(4200) % 2
    S = supervision.from_groups(groups, [[0.5, -1], [-1, 0.5]], V=[[1, 2], [2, 1]])  # which do not merge
    X = np.column_stack([groups, 1 - groups])
    with pytest.raises(ProblemError, match="too many"):
        hasher(2, order="joint", function=LinearFunction()).fit_similarity(X, S)
    h = hasher(2, function=LinearFunction()).fit_similarity(X, S)
    assert h.result_.method == "bitwise" and len(np.unique(h.codes_, axis=0)) == 2


def test_orders_that_cannot_be(digits):
    X, y = digits
    with pytest.raises(ValueError, match="order must be one of auto, joint, cyclic, sequential: 'random'"):
        hasher(order="random").fit(X, y)
    for settings in ({"solver": "tabu_search"}, {"target": "full"}):
        with pytest.raises(ValueError, match=r'order="joint" solves no bit by itself.*Leave both out'):
            hasher(order="joint", **settings).fit(X, y)


@pytest.mark.parametrize("function", [None, LinearFunction(), LogisticRegression(), KERNEL])
def test_functions(digits, function):
    X, y = digits
    h = hasher(function=function).fit(X, y)
    B = h.transform(X)
    assert metrics.mean_average_precision(B, B, y, y) > 0.8


@pytest.mark.parametrize("kind", [str, float, object, np.uint8])
def test_labels_of_any_kind(digits, kind):
    X, y = digits
    h, plain = hasher().fit(X, y.astype(kind)), hasher().fit(X, y)
    np.testing.assert_array_equal(h.codes_, plain.codes_)
    np.testing.assert_array_equal(hasher().fit(X, y[:, None]).codes_, plain.codes_)


def test_float32_lists_sparse_and_read_only(digits):
    X, y = digits
    B = hasher().fit(X, y).transform(X)
    assert (hasher().fit(X.astype(np.float32), y).transform(X) == B).mean() > 0.99
    assert (hasher().fit(X.tolist(), y.tolist()).transform(X.tolist()) == B).all()
    compressed = sparse.csr_matrix(X)
    assert (hasher().fit(compressed, y).transform(compressed) == B).mean() > 0.99
    frozen = X.copy()
    frozen.setflags(write=False)
    assert (hasher().fit(frozen, y).transform(frozen) == B).all()


def test_label_sets():
    rng = np.random.default_rng(0)
    Y = np.eye(4, dtype=int)[rng.integers(0, 4, 300)] | np.eye(4, dtype=int)[rng.integers(0, 4, 300)]
    X = Y @ rng.normal(size=(4, 10)) + 0.1 * rng.normal(size=(300, 10))
    h = hasher(12).fit(X, Y)
    B = h.transform(X)
    assert metrics.mean_average_precision(B, B, Y, Y) > 0.85
    assert h.result_.ksh_objective == supervision.from_label_sets(Y).ksh_objective(h.codes_)
    np.testing.assert_array_equal(hasher(12).fit(X, sparse.csr_matrix(Y)).codes_, h.codes_)


def test_unlabelled_points_are_hashed_and_teach_nothing(digits):
    X, y = digits
    known = np.random.default_rng(0).random(400) < 0.7
    half = hasher().fit(X, np.where(known, y, -1))
    alone = hasher().fit(X[known], y[known])
    np.testing.assert_allclose(half.decision_function(X), alone.decision_function(X), atol=1e-9)
    np.testing.assert_array_equal(half.codes_[known], alone.codes_)
    np.testing.assert_array_equal(half.codes_[~known], half.transform(X[~known]))
    of_class = np.array([half.codes_[known & (y == c)][0] for c in range(10)])
    assert (half.codes_[~known] == of_class[y[~known]]).mean() > 0.9
    wild = X.copy()
    wild[~known] = 1.0
    np.testing.assert_array_equal(hasher().fit(wild, np.where(known, y, -1)).transform(X), half.transform(X))


def test_two_classes_of_minus_one_and_one(digits):
    X, y = digits
    signs = np.where(y > 4, 1, -1)
    with pytest.raises(ValueError, match="unlabeled=None"):
        hasher().fit(X, signs)
    h = hasher(unlabeled=None).fit(X, signs)
    np.testing.assert_array_equal(h.codes_, hasher().fit(X, y > 4).codes_)


def test_pairs(digits):
    X, y = digits
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 150, (2500, 2))
    s = np.where(y[pairs[:, 0]] == y[pairs[:, 1]], 1, -1)
    h = hasher(order="sequential").fit_pairs(X, pairs, s)
    B = h.transform(X)
    assert h.codes_.shape == (400, 8)
    np.testing.assert_array_equal(h.codes_[150:], B[150:])  # in no pair
    random = packing.signs(rng.normal(size=(400, 8)))
    assert metrics.mean_average_precision(B, B, y, y) > metrics.mean_average_precision(random, random, y, y) + 0.2


def test_similarity(digits):
    X, y = digits[0][:150], digits[1][:150]
    S = np.where(y[:, None] == y[None, :], 1, -1)
    dense = hasher().fit_similarity(X, S)
    assert dense.result_.ksh_objective == supervision.from_labels(y).ksh_objective(dense.codes_)
    structured = hasher().fit_similarity(X, supervision.from_labels(y))
    np.testing.assert_array_equal(structured.codes_, hasher().fit(X, y).codes_)
    some = sparse.csr_matrix(np.where(np.add.outer(np.arange(150), np.arange(150)) % 3 == 0, S, 0))
    assert hasher().fit_similarity(X, some).transform(X).shape == (150, 8)


def test_bad_supervision(digits):
    X, y = digits
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        hasher().fit(X, None)
    with pytest.raises(ValueError, match="y has one class only, 3, in 400 labelled samples"):
        hasher().fit(X, np.full(400, 3))
    with pytest.raises(ValueError, match="one class only, 3, in 399"):
        hasher().fit(X, np.r_[np.full(399, 3), -1])
    with pytest.raises(ValueError, match=r"the label set \[1\]"):
        hasher().fit(X, np.tile([0, 1, 0], (400, 1)))
    with pytest.raises(ValueError, match="NaN"):
        hasher().fit(X, np.r_[y[1:], np.nan])
    with pytest.raises(ValueError, match=r"X has 400 rows and y has 399: one label.*Pass the labels of these rows"):
        hasher().fit(X, y[1:])
    with pytest.raises(ValueError, match=r"pairs must have shape \(m, 2\)"):
        hasher().fit_pairs(X, [0, 1], [1])
    with pytest.raises(ValueError, match="400"):
        hasher().fit_pairs(X, [[0, 400]], [-1])
    with pytest.raises(ValueError, match="every pair is similar"):
        hasher().fit_pairs(X, [[0, 1], [1, 2]], [1, 1])
    with pytest.raises(ValueError, match="S is over 5 points and X has 400 rows"):
        hasher().fit_similarity(X, np.eye(5))


def test_bad_features_and_parameters(digits, fitted):
    X, y = digits
    with pytest.raises(NotFittedError):
        hasher().transform(X)
    with pytest.raises(NotFittedError):
        hasher().encode(X)
    for wrong in (np.nan, np.inf):
        bad = X.copy()
        bad[5, 6] = wrong
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity): (nan|inf) at row 5, column 6"):
            hasher().fit(bad, y)
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            fitted.transform(bad)
    with pytest.raises(ValueError, match="expecting 64 features"):
        fitted.transform(X[:, :3])
    for settings, message in (
        ({"n_bits": 0}, "n_bits must be a positive integer: 0"),
        ({"n_bits": 2.5}, "n_bits"),
        ({"loss": "l2"}, "l2"),
        ({"solver": "magic"}, "magic"),
        ({"order": "random"}, "order must be one of"),
        ({"target": "none"}, "target"),
        ({"function": "kernel"}, "function must be None, a hash function"),
    ):
        with pytest.raises(ValueError, match=message):
            hasher(**settings).fit(X, y)


def test_pipeline_and_parameters(digits):
    X, y = digits
    pipeline = make_pipeline(StandardScaler(), hasher(6))
    assert pipeline.fit_transform(X, y).shape == (400, 6)
    pipeline.set_params(tsh__n_bits=5, tsh__function__n_anchors=40)
    assert pipeline.fit(X, y).transform(X).shape == (400, 5)
    assert pipeline[-1].function_.anchors_.shape == (40, 64)


def test_pandas(digits):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = pandas.DataFrame(digits[0]).rename(columns=str), pandas.Series(digits[1])
    h = hasher().fit(X, y).set_output(transform="pandas")
    frame = h.transform(X)
    assert list(frame.columns[:2]) == ["tsh0", "tsh1"] and (frame.dtypes == np.int8).all()
    np.testing.assert_array_equal(packing.unpack(h.encode(X), 8), frame.to_numpy())


def test_verbose_reports_on_the_error_stream(digits, capsys, caplog):
    with caplog.at_level(logging.INFO, logger="hashers"):
        hasher(4, verbose=1).fit(*digits)
    assert "codes of 4 bits" in caplog.text
    assert capsys.readouterr().out == ""


def test_import_is_light():
    """In a fresh process; heavy libraries are loaded by what needs them."""
    script = (
        "import sys, hashers; from hashers import TSH, metrics, datasets;"
        "heavy = ('matplotlib', 'typer', 'cvxpy', 'lightgbm', 'faiss', 'torch');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    script = "import sys, hashers; print([m for m in ('sklearn', 'numba', 'scipy') if m in sys.modules]); dir(hashers)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_name():
    import hashers

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hashers.nothing
    assert hashers.packing is packing and "TSH" in dir(hashers)

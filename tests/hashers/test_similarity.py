"""Supervision chosen for the features: ``similarity="confusion"`` and what it is made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from bqp import supervision
from hashers import KSH, SDH, TSH, KernelFunction, LinearFunction, TreesFunction, targets
from hashers.registry import METHODS, parse_method

TAKE = [name for name in METHODS if "similarity" in METHODS[name].words]
QUICK = {"affhash": {"max_outer": 3}, "ksh": {"n_anchors": 40}}


def make(name, **settings):
    return parse_method(name).make(8, LinearFunction()).set_params(**QUICK.get(name.split("-")[0], {}), **settings)


def confusable(n=120, sets=False):
    """Classes 0 and 1 hardly differ, 2 and 3 do; or label sets over four such labels."""
    rng = np.random.default_rng(0)
    centres = np.array([[1.0, 0, 0, 0], [1.0, 0.4, 0, 0], [0, 0, 4, 0], [0, 0, 0, 4]])
    if not sets:
        y = np.arange(n) % 4
        return centres[y] + 0.5 * rng.normal(size=(n, 4)), y
    Y = (rng.random((n, 4)) < 0.3).astype(np.uint8)
    return Y @ centres + 0.5 * rng.normal(size=(n, 4)), Y


@pytest.mark.parametrize("name", TAKE)
def test_every_method_learns_from_what_is_confused(name):
    X, y = confusable()
    hasher = make(f"{name}-confusion", random_state=0).fit(X, y)
    assert hasher.similarity == "confusion" and make(name).similarity == "given"
    S = supervision.from_labels(y)
    assert hasher.result_.ksh_objective == pytest.approx(S.ksh_objective(hasher.result_.B))
    assert hasher.result_.ksh_lower_bound == -np.inf
    assert hasher.result_.lower_bound <= hasher.result_.objective * (1 + 1e-12)
    B = hasher.codes_.astype(int)
    codes = np.array([np.sign(B[y == c].sum(axis=0) + 0.5) for c in range(4)])
    G = codes @ codes.T
    if name not in ("sdh", "fsdh"):  # those start at such codes, and must tell classes apart all the same
        assert G[0, 1] > max(G[0, 2], G[0, 3], G[1, 2], G[1, 3])  # what is confused is kept near
    np.testing.assert_array_equal(clone(hasher).fit(X, y).codes_, hasher.codes_)


@pytest.mark.parametrize("name", TAKE)
def test_label_sets_and_unknown_labels(name):
    X, Y = confusable(sets=True)
    Y = Y.astype(int)
    Y[::7] = -1
    hasher = make(f"{name}-confusion", random_state=0).fit(X, Y)
    assert hasher.codes_.shape == (120, 8)
    np.testing.assert_array_equal(hasher.codes_[::7], hasher.function_.predict(X[::7]))
    alone = make(f"{name}-confusion", random_state=0).fit(X[Y[:, 0] >= 0], Y[Y[:, 0] >= 0])
    if name not in ("fasthash", "affhash", "ksh", "cosdish", "sdh", "fsdh"):  # those draw from all points
        np.testing.assert_array_equal(alone.codes_, hasher.codes_[Y[:, 0] >= 0])


@pytest.mark.parametrize("name", ["tsh", "fasthash", "cosdish", "affhash", "hbmp", "lfh", "ksh"])
def test_pairs_have_no_classes(name):
    X, y = confusable(20)
    pairs = np.column_stack([np.arange(10), np.arange(10, 20)])
    hasher = make(f"{name}-confusion")
    again = rf'{type(hasher).__name__}\(similarity="given"\)'
    for fit in (
        lambda: hasher.fit_pairs(X, pairs, np.where(y[:10] == y[10:], 1, -1)),
        lambda: hasher.fit_similarity(X, np.where(y[:, None] == y, 1, -1)),
        lambda: hasher.fit_similarity(X, supervision.from_groups(y, np.eye(4))),
    ):
        with pytest.raises(
            ValueError, match=rf"no classes in pairs, .*Call fit with labels or label sets, or.*{again}"
        ):
            fit()
    hasher.fit_similarity(X, supervision.from_labels(y))  # labels after all


def test_clear_errors():
    X, y = confusable(20)
    with pytest.raises(ValueError, match="similarity must be one of given, confusion: 'labels'"):
        TSH(similarity="labels").fit(X, y)
    for wrong in ({"start": "random"}, {"mode": "published"}, {"loss": "hinge"}):
        with pytest.raises(ValueError, match=r'similarity=.confusion. is for start="similarity" of the default mode'):
            SDH(n_bits=4, similarity="confusion", **wrong).fit(X, y)
    with pytest.raises(ValueError, match=r'similarity=.confusion. is for start="similarity" of the default mode'):
        parse_method("fsdh-published-confusion").make(4, LinearFunction()).fit(X, y)
    with pytest.raises(ValueError, match="S is over 20 points and X has 19 rows"):
        targets.out_of_fold_similarity(LinearFunction(), X[1:], supervision.from_labels(y))
    with pytest.raises(ValueError, match="labels are needed"):
        targets.out_of_fold_similarity(LinearFunction(), X, supervision.from_matrix(np.eye(20)))


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.booleans(), st.booleans(), st.booleans())
def test_similarity_against_its_formula(seed, sets, unknown, in_csr):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(24, 3))
    X = sparse.csr_array(X) if in_csr else X
    if sets:
        y = (rng.random((24, 3)) < 0.4).astype(int)
        y[0], y[1] = [1, 0, 0], [0, 0, 1]
    else:
        y = rng.integers(0, 3, 24)
        y[:3] = [0, 1, 2]
    if unknown:
        y[5] = -1
    S = supervision.from_label_sets(y) if sets else supervision.from_labels(y)
    function = LinearFunction(ridge=1.0)
    soft = targets.out_of_fold_similarity(function, X, S, n_folds=3, rng=seed)
    known = np.flatnonzero(S.known)
    inside = S.restrict(known)
    scores = targets.out_of_fold_scores(function, X[known], targets.label_vectors(S), inside.groups, 3, seed)
    P = targets.label_probabilities(scores, inside)
    for g in np.unique(inside.groups):
        for h in np.unique(inside.groups):
            m, n = P[inside.groups == g].mean(axis=0), P[inside.groups == h].mean(axis=0)
            wanted = S.T[g, h] if g == h else 2 * np.sqrt(min(1.0, m @ n)) - 1
            assert soft.T[g, h] == pytest.approx(wanted, abs=1e-9)
    np.testing.assert_array_equal(soft.groups, S.groups)
    np.testing.assert_array_equal(soft.known, S.known)
    np.testing.assert_array_equal(soft.T, soft.T.T)


@pytest.mark.parametrize(
    "function",
    [LinearFunction(), LinearFunction("svm", random_state=0), KernelFunction(n_anchors=40, random_state=0),
     TreesFunction(n_estimators=5, random_state=0), LogisticRegression()],
    ids=["ridge", "svm", "kernel", "trees", "classifier"],
)  # fmt: skip
def test_any_function_whatever_the_scale_of_its_margins(function):
    X, y = confusable()
    hasher = TSH(n_bits=8, function=function, similarity="confusion", random_state=0).fit(X, y)
    from hashers.functions import as_function

    soft = targets.out_of_fold_similarity(as_function(function), X, supervision.from_labels(y))
    assert soft.T[0, 1] > max(soft.T[0, 2], soft.T[1, 3], soft.T[2, 3]) + 0.2
    assert hasher.result_.objective < np.inf and np.abs(soft.T).max() <= 1


def test_probabilities_do_not_depend_on_the_scale_of_scores():
    rng = np.random.default_rng(0)
    S = supervision.from_labels(np.arange(60) % 3)
    scores = np.eye(3)[S.groups] + rng.normal(size=(60, 3))
    P = targets.label_probabilities(scores, S)
    np.testing.assert_allclose(targets.label_probabilities(1e6 * scores, S), P, atol=1e-6)
    np.testing.assert_allclose(P.mean(axis=0), np.full(3, 1 / 3), atol=0.05)
    assert np.isfinite(targets.label_probabilities(np.zeros((60, 3)), S)).all()
    perfect = targets.label_probabilities(2 * np.eye(3)[S.groups] - 1, S)
    assert (perfect[np.arange(60), S.groups] > 0.9).all()


def test_ksh_scores_by_its_own_kernel():
    X, y = confusable()
    hasher = KSH(n_bits=8, n_anchors=40, similarity="confusion", random_state=0).fit(X, y)
    plain = KSH(n_bits=8, n_anchors=40, random_state=0).fit(X, y)
    assert (hasher.codes_ != plain.codes_).any()

"""scikit-learn's own list of checks, whole."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from hashers import (
    COSDISH,
    DGH,
    FSDH,
    HBMP,
    KSH,
    LFH,
    MLH,
    SDH,
    TSH,
    AffHash,
    BalancedFunction,
    FastHash,
    FeatureAwareHash,
    HadamardHash,
    KernelFunction,
    LinearFunction,
    TreesFunction,
    TripletHash,
)
from hashers.baselines import AGH, ITQ, LSH, SGH, SH, STH, OneHot, Posterior

EXPECTED_FAILURES: dict[str, str] = {}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        TSH(n_bits=4, function=KernelFunction(n_anchors=20)),
        TSH(n_bits=3, function=LinearFunction(), order="sequential"),
        TSH(n_bits=3, function=BalancedFunction(TreesFunction(n_estimators=3))),
        FastHash(n_bits=3, function=LinearFunction()),
        FeatureAwareHash(n_bits=3, function=LinearFunction(ridge=10.0), n_folds=2, n_steps=5),
        SDH(n_bits=4, function=LinearFunction()),
        FSDH(n_bits=4, function=LinearFunction()),
        HadamardHash(n_bits=4, function=LinearFunction()),
        COSDISH(n_bits=4, function=LinearFunction(), n_rounds=2),
        AffHash(n_bits=3, function=LinearFunction(), max_outer=3),
        HBMP(n_bits=4, function=LinearFunction()),
        TripletHash(n_bits=3, function=LinearFunction(), n_per_anchor=5),
        KSH(n_bits=3, n_anchors=20),
        LFH(n_bits=3, function=LinearFunction(), mode="published", regress="factors"),
        LFH(n_bits=3, function=KernelFunction(n_anchors=20)),
        DGH(n_bits=3, n_anchors=10),
        MLH(n_bits=3, n_steps=20),
        LSH(n_bits=8),
        ITQ(n_bits=3),
        SH(n_bits=3),
        SGH(n_bits=3),
        AGH(n_bits=1),
        STH(n_bits=2, function=LinearFunction()),
        OneHot(LinearFunction()),
        Posterior(LinearFunction()),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_estimator_checks(estimator, check):
    check(estimator)

"""scikit-learn's own list of checks, whole."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from hashers import TSH, KernelFunction, LinearFunction

EXPECTED_FAILURES: dict[str, str] = {}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        TSH(n_bits=4, function=KernelFunction(n_anchors=20)),
        TSH(n_bits=3, function=LinearFunction(), order="sequential"),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_estimator_checks(estimator, check):
    check(estimator)

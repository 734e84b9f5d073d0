"""scikit-learn's own list of checks for hashers with nets; without torch they are not visited."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

pytest.importorskip("torch", reason="torch (extra torch) is not installed")

from hashers import ADSH, CNNH, DDSH, DSDH, FTDSH, DeepHash, NetFunction

NET = NetFunction(n_hidden=(8,), epochs=2, device="cpu")

EXPECTED_FAILURES: dict[str, str] = {}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        CNNH(n_bits=3, function=NET),
        FTDSH(n_bits=3, function=NET, n_per_anchor=3),
        DeepHash(n_bits=3, function=NET),
        ADSH(n_bits=3, function=NET),
        DDSH(n_bits=3, function=NET),
        DSDH(n_bits=3, function=NET),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_estimator_checks(estimator, check):
    check(estimator)

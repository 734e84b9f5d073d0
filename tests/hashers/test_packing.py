import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashers import packing


@given(seed=st.integers(0, 10_000), n=st.integers(1, 9), n_bits=st.integers(1, 200))
def test_round_trip(seed, n, n_bits):
    B = packing.signs(np.random.default_rng(seed).normal(size=(n, n_bits)))
    packed = packing.pack(B)
    assert packed.shape == (n, -(-n_bits // 8)) and packed.dtype == np.uint8
    back = packing.unpack(packed, n_bits)
    assert back.dtype == np.int8
    np.testing.assert_array_equal(back, B)
    words = packing.to_words(packed)
    assert words.dtype == np.uint64 and words.shape == (n, -(-n_bits // 64))
    value = [sum(1 << k for k in range(n_bits) if row[k] > 0) for row in B]
    assert [sum(int(w) << (64 * p) for p, w in enumerate(row)) for row in words] == value


def test_bit_order_and_padding():
    np.testing.assert_array_equal(packing.pack([[1] + [-1] * 8]), [[1, 0]])
    np.testing.assert_array_equal(packing.pack([[-1] * 8 + [1]]), [[0, 1]])


def test_signs():
    B = packing.signs(np.array([[0.0, -0.0, 1e-300, -1e-300, np.inf, -np.inf]], np.float64))
    assert B.dtype == np.int8
    np.testing.assert_array_equal(B, [[1, 1, 1, -1, 1, -1]])
    with pytest.raises(ValueError, match=r"NaN at \(0, 1\)"):
        packing.signs([[0.0, np.nan]])


@pytest.mark.parametrize(
    ("packed", "n_bits", "message"),
    [
        (np.zeros((2, 1), np.int8), 8, "uint8"),
        (np.zeros((2, 1), np.uint8), 9, r"shape \(n, 2\) for 9 bits"),
        (np.zeros(2, np.uint8), 8, "shape"),
        (np.zeros((0, 1), np.uint8), 8, "empty"),
        (np.array([[0], [8]], np.uint8), 3, "beyond n_bits=3 in row 1"),
        (np.zeros((2, 1), np.uint8), 0, "n_bits must be a positive integer"),
        (np.zeros((2, 1), np.uint8), 2.5, "n_bits must be a positive integer"),
    ],
)
def test_bad_packed(packed, n_bits, message):
    with pytest.raises(ValueError, match=message):
        packing.unpack(packed, n_bits)


def test_bad_codes():
    with pytest.raises(ValueError, match="with packed bytes"):
        packing.pack(np.array([[5]], np.uint8))
    with pytest.raises(ValueError, match="dtype"):
        packing.pack([["a"]])

"""Codes as bits: int8 in {-1, +1} to packed bytes and back.

A packed code is ``ceil(n_bits / 8)`` bytes, bit order "little" (bit k of the code is bit ``k % 8`` of byte ``k // 8``),
a set bit for +1, and zero bits behind the last one. `numpy.unpackbits(packed, axis=1, bitorder="little")` reads it.
"""

import numpy as np

__all__ = ["check_codes", "check_packed", "pack", "signs", "to_words", "unpack"]


def signs(margins):
    """Code real margins: +1 where the margin is at least 0, else -1.

    Parameters
    ----------
    margins : array-like of shape (n_samples, n_bits), float
        Real outputs of hash functions.

    Returns
    -------
    B : ndarray of shape (n_samples, n_bits), int8
        In {-1, +1}; a margin of exactly 0 (of either sign) codes to +1.

    Raises
    ------
    ValueError
        If a margin is NaN.

    Examples
    --------
    >>> signs([[0.5, -0.1, 0.0]])
    array([[ 1, -1,  1]], dtype=int8)
    """
    margins = np.asarray(margins)
    if np.isnan(margins).any():
        place = tuple(int(p) for p in np.argwhere(np.isnan(margins))[0])
        raise ValueError(f"margins must be numbers: NaN at {place}. Check the features and the hash function.")
    B = np.where(margins >= 0, np.int8(1), np.int8(-1))
    return B.astype(np.int8, copy=False)


def check_codes(B, name="B"):
    """Validate codes and return them as int8.

    Parameters
    ----------
    B : array-like of shape (n_samples, n_bits)
        Codes of any numeric type with values -1 and +1 only.
    name : str
        What to call the array in a message.

    Returns
    -------
    B : ndarray of shape (n_samples, n_bits), int8

    Raises
    ------
    ValueError
        If `B` is not two-dimensional, is empty, or holds anything but -1 and +1.
    """
    array = np.asarray(B)
    if array.ndim != 2:
        raise ValueError(
            f"{name} must be two-dimensional, one code a row: its shape is {array.shape}. "
            f"Reshape a single code with {name}.reshape(1, -1)."
        )
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ValueError(f"{name} is empty: its shape is {array.shape}; at least one item and one bit are needed.")
    if array.dtype == bool:
        raise ValueError(f"{name} holds booleans, codes are -1 and +1. Pass 2 * {name}.astype('int8') - 1.")
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} has dtype {array.dtype}; codes are int8 with values -1 and +1.")
    wrong = (array != 1) & (array != -1)
    if wrong.any():
        row, column = (int(p) for p in np.argwhere(wrong)[0])
        value = array[row, column]
        hint = (
            f"Pass 2 * {name} - 1 if these are 0/1 codes" if value == 0 else "Pass packing.signs(margins) for margins"
        )
        if array.dtype == np.uint8:
            hint += ", and n_bits=... with packed bytes"
        raise ValueError(f"{name} must hold -1 and +1 only: {value} at ({row}, {column}). {hint}.")
    return array.astype(np.int8, copy=False)


def check_packed(packed, n_bits, name="packed"):
    """Validate packed codes: bytes, their number, zero padding.

    Parameters
    ----------
    packed : array-like of shape (n_samples, ceil(n_bits / 8)), uint8
    n_bits : int
        Code length in bits.
    name : str
        What to call the array in a message.

    Returns
    -------
    packed : ndarray of shape (n_samples, ceil(n_bits / 8)), uint8, C-contiguous

    Raises
    ------
    ValueError
        If dtype, shape or padding are wrong.
    """
    packed = np.asarray(packed)
    if packed.dtype != np.uint8:
        raise ValueError(f"{name} must be uint8 bytes: its dtype is {packed.dtype}. Leave n_bits out for -1/+1 codes.")
    if isinstance(n_bits, bool) or int(n_bits) != n_bits or n_bits < 1:
        raise ValueError(f"n_bits must be a positive integer: {n_bits!r}.")
    n_bytes = -(-int(n_bits) // 8)
    if packed.ndim != 2 or packed.shape[1] != n_bytes:
        raise ValueError(f"{name} must have shape (n, {n_bytes}) for {n_bits} bits: its shape is {packed.shape}.")
    if packed.shape[0] == 0:
        raise ValueError(f"{name} is empty: at least one code is needed.")
    spare = 8 * n_bytes - int(n_bits)
    if spare:
        stray = packed[:, -1] >> (8 - spare)
        if stray.any():
            row = int(np.argmax(stray != 0))
            raise ValueError(
                f"{name} has bits set beyond n_bits={n_bits} in row {row}: padding must be zero. "
                'Check n_bits and the bit order (here "little").'
            )
    return np.ascontiguousarray(packed)


def pack(B):
    """Pack codes to bytes.

    Parameters
    ----------
    B : array-like of shape (n_samples, n_bits), int8
        Codes in {-1, +1}.

    Returns
    -------
    packed : ndarray of shape (n_samples, ceil(n_bits / 8)), uint8
        Bit order "little", zero padding.

    Examples
    --------
    >>> pack([[1, -1, 1]])
    array([[5]], dtype=uint8)
    """
    return np.packbits(check_codes(B) > 0, axis=1, bitorder="little")


def unpack(packed, n_bits):
    """Unpack bytes to codes; the inverse of `pack`.

    Parameters
    ----------
    packed : array-like of shape (n_samples, ceil(n_bits / 8)), uint8
        Bit order "little", zero padding.
    n_bits : int
        Code length in bits.

    Returns
    -------
    B : ndarray of shape (n_samples, n_bits), int8
        Codes in {-1, +1}.

    Examples
    --------
    >>> unpack(pack([[1, -1, 1]]), n_bits=3)
    array([[ 1, -1,  1]], dtype=int8)
    """
    packed = check_packed(packed, n_bits)
    bits = np.unpackbits(packed, axis=1, count=int(n_bits), bitorder="little").astype(np.int8)
    bits *= 2
    bits -= 1
    return bits


def to_words(packed):
    """View packed bytes as 64-bit words, zero padded.

    Parameters
    ----------
    packed : ndarray of shape (n_samples, n_bytes), uint8

    Returns
    -------
    words : ndarray of shape (n_samples, ceil(n_bytes / 8)), uint64
    """
    n, n_bytes = packed.shape
    n_words = -(-n_bytes // 8)
    if n_bytes == 8 * n_words and packed.flags.c_contiguous:
        return packed.view("<u8").astype(np.uint64, copy=False)
    padded = np.zeros((n, 8 * n_words), np.uint8)
    padded[:, :n_bytes] = packed
    return padded.view("<u8").astype(np.uint64, copy=False)

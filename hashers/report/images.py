"""Rows of a data set as small PNG images, without an imaging library."""

from __future__ import annotations

import base64
import struct
import zlib
from html import escape

import numpy as np

__all__ = ["Pictures", "encode_png"]


def encode_png(pixels):
    """Encode 8-bit pixels as PNG.

    Parameters
    ----------
    pixels : ndarray of shape (height, width) or (height, width, 3), uint8

    Returns
    -------
    png : bytes

    Examples
    --------
    >>> encode_png(np.zeros((2, 2), np.uint8))[:4]
    b'\\x89PNG'
    """
    pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
    height, width = pixels.shape[:2]
    colour = 2 if pixels.ndim == 3 else 0
    rows = pixels.reshape(height, -1)
    raw = np.hstack([np.zeros((height, 1), np.uint8), rows]).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


class Pictures:
    """Rows of a data set as image elements; nothing for data without images.

    Parameters
    ----------
    data : hashers.datasets.Dataset
        Its smallest and largest feature become black and white; grey images that are mostly dark are shown inverted,
        as ink on paper.
    """

    def __init__(self, data):
        self.data, self.shape = data, data.image_shape
        self.low, self.high = (float(data.X.min()), float(data.X.max())) if self.shape else (0.0, 1.0)
        self.invert = bool(self.shape) and _is_bright_on_dark(data.X, self.shape)

    def address(self, features):
        """The address of a PNG that holds its own bytes."""
        scaled = (np.asarray(features, dtype=np.float64) - self.low) / ((self.high - self.low) or 1.0)
        pixels = np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8).reshape(self.shape)
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        if self.invert:
            pixels = 255 - pixels
        return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode("ascii")

    def element(self, row, text):
        """An image element for a row of the data; an empty string where there are no images."""
        if not self.shape:
            return ""
        return f'<img src="{self.address(self.data.X[row])}" alt="{escape(text)}">'


def _is_bright_on_dark(X, shape):
    if len(shape) == 3 and shape[2] != 1:
        return False
    sample = np.asarray(X[:500], dtype=np.float64)
    return bool(sample.mean() < sample.min() + 0.4 * (sample.max() - sample.min()))

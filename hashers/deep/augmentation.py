"""Images mirrored and moved at random, so that a net sees each of them in many places."""

import numpy as np

from hashers.deep._torch import import_torch

__all__ = ["Augmentation", "check_image_shape"]

KINDS = ("flip", "shift")


def check_image_shape(image_shape, n_features=None):
    """(channels, height, width) of what a user may pass: that, or (height, width) for one channel.

    Raises
    ------
    ValueError
        If it is neither, or has another number of pixels than a row has features.

    Examples
    --------
    >>> check_image_shape((28, 28), 784)
    (1, 28, 28)
    """
    try:
        shape = tuple(int(size) for size in image_shape)
        good = len(shape) in (2, 3) and min(shape) >= 1 and all(a == b for a, b in zip(shape, image_shape))
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(
            f"image_shape must be (height, width) or (channels, height, width), positive integers: {image_shape!r}."
        )
    shape = (1, *shape) if len(shape) == 2 else shape
    if n_features is not None and np.prod(shape) != n_features:
        raise ValueError(
            f"image_shape {image_shape!r} has {np.prod(shape)} pixels and a row of X has {n_features} features. Give "
            "the shape in the order (channels, height, width) that the rows were flattened from."
        )
    return shape


class Augmentation:
    """Random mirror images and shifts of a batch.

    Parameters
    ----------
    kinds : sequence of str
        Of "flip" (left and right exchanged, every second image) and "shift" (by up to `max_shift` pixels either way in
        height and width; the border is repeated). Empty changes nothing.
    image_shape : tuple of int
        (channels, height, width).
    max_shift : int
        Pixels.
    """

    def __init__(self, kinds, image_shape, max_shift=2):
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise ValueError(f"augment takes {', '.join(KINDS)}: {unknown[0]!r}.")
        self.kinds, self.image_shape, self.max_shift = kinds, tuple(image_shape), max_shift

    def settings(self):
        """Plain data that tell this from another augmentation."""
        return [list(self.kinds), list(self.image_shape), self.max_shift]

    def __call__(self, x, stream):
        """Changed copies of flattened images.

        Parameters
        ----------
        x : tensor of shape (b, channels * height * width)
        stream : numpy.random.Generator

        Returns
        -------
        x : tensor of the same shape
        """
        if not self.kinds:
            return x
        torch = import_torch()
        channels, height, width = self.image_shape
        b = len(x)
        rows, columns = np.arange(height)[None].repeat(b, 0), np.arange(width)[None].repeat(b, 0)
        if "flip" in self.kinds:
            mirrored = stream.random(b) < 0.5
            columns[mirrored] = columns[mirrored, ::-1]
        if "shift" in self.kinds:
            rows = np.clip(rows + stream.integers(-self.max_shift, self.max_shift + 1, (b, 1)), 0, height - 1)
            columns = np.clip(columns + stream.integers(-self.max_shift, self.max_shift + 1, (b, 1)), 0, width - 1)
        pixels = rows[:, :, None] * width + columns[:, None, :]
        index = torch.from_numpy(pixels.reshape(b, 1, -1)).to(x.device)
        return x.reshape(b, channels, -1).gather(2, index.expand(b, channels, -1)).reshape(b, -1)

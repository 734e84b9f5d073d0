"""What hashers whose functions are nets share: their features, and the default function."""

from hashers.base import Hasher
from hashers.deep.rows import check_rows
from hashers.functions.net import NetFunction

__all__ = ["NetFeatures"]


class NetFeatures(Hasher):
    """Takes features as nets do: arrays of any real type, memory maps, torch datasets; no sparse matrices."""

    def _check_features(self, X, reset):
        return check_rows(self, X, reset)

    def _default_function(self):
        return NetFunction()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags

"""Nets as hash functions: training, modules, and the methods whose second step is a net.

Everything imports without torch and says what to install when it is used. Names are loaded on use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashers.deep.adsh import ADSH
    from hashers.deep.cnnh import CNNH
    from hashers.deep.ddsh import DDSH
    from hashers.deep.deephash import DeepHash
    from hashers.deep.dsdh import DSDH
    from hashers.deep.ftdsh import FTDSH
    from hashers.deep.training import Trainer

__all__ = ["ADSH", "CNNH", "DDSH", "DSDH", "FTDSH", "DeepHash", "Trainer"]

_HOMES = {
    "ADSH": "hashers.deep.adsh",
    "CNNH": "hashers.deep.cnnh",
    "DDSH": "hashers.deep.ddsh",
    "DSDH": "hashers.deep.dsdh",
    "DeepHash": "hashers.deep.deephash",
    "FTDSH": "hashers.deep.ftdsh",
    "Trainer": "hashers.deep.training",
}


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hashers.deep' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])

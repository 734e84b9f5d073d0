"""What a model file may name: classes of this project, a few others by name, and what skops trusts."""

import inspect
import re
import sys
from importlib import import_module
from typing import Any

from hashers.errors import BackendNotFound, ModelFileError

__all__ = [
    "OTHER_ESTIMATORS",
    "is_ours",
    "is_part_of",
    "is_solver",
    "is_torch_module",
    "other_class",
    "our_class",
    "path_of",
    "skops_dump",
    "skops_load",
]

OTHER_ESTIMATORS = frozenset(
    {
        "sklearn.pipeline:Pipeline",
        "lightgbm.sklearn:LGBMClassifier",
        "lightgbm.sklearn:LGBMRegressor",
        "lightgbm.sklearn:LGBMRanker",
    }
)
"""Classes of others that are taken apart like ours: a pipeline may hold a hasher, LightGBM's hold boosters."""

SKOPS_TRUSTED = frozenset(
    {
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
"""Classes of scikit-learn's own classifiers that skops does not trust by itself."""

PATH = re.compile(r"(hashers|bqp)(\._?[A-Za-z]\w*)*:_?[A-Za-z]\w*")


def path_of(cls):
    """``module:Class``."""
    return f"{cls.__module__}:{cls.__qualname__}"


def is_ours(cls):
    """Whether a class is found in this project under its own name."""
    if not PATH.fullmatch(path_of(cls)):
        return False
    return getattr(import_module(cls.__module__), cls.__qualname__, None) is cls


def our_class(path, base) -> Any:
    """The class of ``module:Class`` if it is of this project and derived from `base`."""
    if not isinstance(path, str) or not PATH.fullmatch(path):
        raise ModelFileError(f"the class {path!r} is not allowed: only classes of hashers are")
    module, _, name = path.partition(":")
    try:
        cls = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ModelFileError(f"the class {path!r} is not known: another version of hashers wrote it") from error
    if not isinstance(cls, type) or not issubclass(cls, base) or path_of(cls) != path:
        raise ModelFileError(f"the class {path!r} is not allowed here")
    return cls


def other_class(path) -> Any:
    """A class of `OTHER_ESTIMATORS`."""
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, OSError) as error:
        raise BackendNotFound(f"the model holds a {name}, and {module} does not load: {error}.") from error


def is_solver(cls):
    """Whether a class is a solver of `bqp`."""
    from bqp.solvers.base import Solver

    return issubclass(cls, Solver)


def is_torch_module(value):
    """Whether a value is a torch module; torch need not be there."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def is_part_of(cls, name):
    """Whether a name is a method or property of a class, which no attribute may hide."""
    part = inspect.getattr_static(cls, name, None)
    return callable(part) or isinstance(part, property | classmethod | staticmethod)


def _skops():
    try:
        import skops.io
    except ImportError as error:
        raise BackendNotFound(
            "models with scikit-learn estimators need skops, which is not installed: pip install skops."
        ) from error
    return skops.io


def skops_dump(value, place):
    """Bytes of a scikit-learn estimator; ValueError if `skops_load` would refuse them."""
    io = _skops()
    try:
        data = io.dumps(value)
        untrusted = sorted(set(io.get_untrusted_types(data=data)) - SKOPS_TRUSTED)
    except Exception as error:  # skops raises what the classes raise
        raise ValueError(f"{place} is a {type(value).__name__}, which skops cannot write: {error}") from error
    if untrusted:
        raise ValueError(
            f"{place} is a {type(value).__name__} that holds {', '.join(untrusted)}, which cannot be saved without "
            "pickle. Classifiers made of scikit-learn's own parts can."
        )
    return data


def skops_load(data):
    """The estimator of `skops_dump`'s bytes, if it names nothing but what skops and we trust."""
    io = _skops()
    untrusted = sorted(set(io.get_untrusted_types(data=data)) - SKOPS_TRUSTED)
    if untrusted:
        raise ModelFileError(f"a scikit-learn part names {', '.join(untrusted)}, which is not allowed")
    return io.loads(data, trusted=sorted(SKOPS_TRUSTED))

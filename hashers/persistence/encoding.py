"""Estimators as JSON and members of an archive, and back: no pickle, so that a file can name no code but ours.

JSON holds null, booleans, integers, finite numbers, text and lists as they are. Anything else is an object with a
``type``: a number JSON lacks, a tuple, a dict, an array (a member in npy), a sparse matrix (a member in npz), long text
(a member), weights of a net (a member, safetensors), a torch module of the user (its name only), an estimator of this
package (its class, parameters and fitted attributes), a LightGBM booster (a member, its text format), a scikit-learn
estimator (a member, written by skops), or ``same``, a repeated reference.
"""

import dataclasses
import enum
import hashlib
import inspect
import io
import math
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from hashers.deep.trained import TrainedNet
from hashers.deep.weights import Weights
from hashers.errors import BackendNotFound, MissingModule, ModelFileError
from hashers.persistence.allowed import (
    OTHER_ESTIMATORS,
    is_ours,
    is_part_of,
    is_solver,
    is_torch_module,
    other_class,
    our_class,
    path_of,
    skops_dump,
    skops_load,
)

__all__ = ["Decoder", "Encoder"]

LONG_TEXT = 1000
"""Characters from which on text is a member of its own."""

SCALAR_KINDS = "biufcSUmM"


class Encoder:
    """Turn an estimator into JSON and members.

    Attributes
    ----------
    members : dict of str to bytes
        Files that the JSON refers to, by name.
    """

    def __init__(self):
        self.members: dict[str, bytes] = {}
        self._by_content: dict[tuple[str, str], str] = {}
        self._numbers: dict[int, int] = {}
        self._open: set[int] = set()
        self._alive: list[Any] = []  # keeps what was numbered, so that no other object gets its id

    def node(self, value, place):
        """JSON of `value`; `place` names it in messages, such as ``TSH.function_.coef_``.

        Raises
        ------
        ValueError
            If it cannot be written without pickle.
        """
        if value is None or isinstance(value, bool) or type(value) in (int, str):
            if isinstance(value, str) and len(value) > LONG_TEXT:
                return {"type": "text", "member": self._member("text", "txt", value.encode("utf-8"))}
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"type": "float", "value": repr(value)}
        if type(value) is list:
            return [self.node(item, f"{place}[{k}]") for k, item in enumerate(value)]
        if type(value) in (tuple, set, frozenset):
            items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
            return {"type": type(value).__name__, "items": [self.node(x, f"{place}[{k}]") for k, x in enumerate(items)]}
        if isinstance(value, dict):
            if isinstance(value, Weights):
                return {"type": "weights", "member": self._member("weights", "safetensors", value.to_bytes())}
            items = [[self.node(k, place), self.node(v, f"{place}[{k!r}]")] for k, v in value.items()]
            return {"type": "dict", "items": items}
        if isinstance(value, np.generic):
            return self._scalar(value, place)
        if type(value) in (np.ndarray, np.memmap):
            return self._array(value, place)
        if sparse.issparse(value):
            buffer = io.BytesIO()
            sparse.save_npz(buffer, value, compressed=False)
            return {"type": "sparse", "member": self._member("sparse", "npz", buffer.getvalue())}
        if isinstance(value, np.random.RandomState | np.random.Generator):
            return self._random(value, place)
        if isinstance(value, enum.Enum) and is_ours(type(value)):
            return {"type": "enum", "class": path_of(type(value)), "name": value.name}
        if dataclasses.is_dataclass(value) and is_ours(type(value)):
            return self._dataclass(value, place)
        return self._object(value, place)

    def _object(self, value, place):
        """Something with an identity: numbered, so that further references to it are short and stay references."""
        if id(value) in self._numbers:
            return {"type": "same", "id": self._numbers[id(value)]}
        if id(value) in self._open:
            raise ValueError(f"{place} refers to an object that it is part of: such models cannot be saved.")
        self._open.add(id(value))
        self._alive.append(value)
        node = self._estimator(value, place)
        self._open.remove(id(value))
        self._numbers[id(value)] = node["id"] = len(self._numbers)
        return node

    def _estimator(self, value, place) -> dict[str, Any]:
        cls = type(value)
        root = cls.__module__.partition(".")[0]
        if isinstance(value, BaseEstimator) and (is_ours(cls) or path_of(cls) in OTHER_ESTIMATORS):
            params = value.get_params(deep=False)
            state = value.__getstate__()
            fitted = {key: item for key, item in state.items() if key not in params and key != "_sklearn_version"}
            return {
                "type": "estimator",
                "class": path_of(cls),
                "params": {key: self.node(item, f"{place}.{key}") for key, item in sorted(params.items())},
                "fitted": {key: self.node(item, f"{place}.{key}") for key, item in sorted(fitted.items())},
            }
        if is_torch_module(value):  # code, which a file never holds; its trained weights are those of a TrainedNet
            return {"type": "module", "class": f"{cls.__module__}.{cls.__qualname__}"}
        if root == "bqp" and is_ours(cls) and is_solver(cls):
            settings = {key: getattr(value, key) for key in list(inspect.signature(cls).parameters)}
            nodes = {key: self.node(item, f"{place}.{key}") for key, item in settings.items()}
            return {"type": "solver", "class": path_of(cls), "params": nodes}
        if root == "lightgbm" and cls.__name__ == "Booster":
            return {"type": "booster", "member": self._member("booster", "txt", value.model_to_string().encode())}
        if root == "sklearn":
            return {"type": "skops", "member": self._member("skops", "skops", skops_dump(value, place))}
        raise ValueError(
            f"{place} is a {cls.__module__}.{cls.__qualname__}, which cannot be saved without pickle. Estimators of "
            "hashers, scikit-learn and LightGBM, arrays, numbers and text can."
        )

    def _dataclass(self, value, place):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        nodes = {}
        for key, item in fields.items():
            if (type(value).__name__, key) == ("CodeResult", "bits"):
                nodes[key] = self.node((), place)  # the solver's solution of each bit: of no use to a model
            elif (type(value).__name__, key) == ("CodeResult", "stats"):
                nodes[key] = self._stats(item, f"{place}.{key}")
            else:
                nodes[key] = self.node(item, f"{place}.{key}")
        return {"type": "dataclass", "class": path_of(type(value)), "fields": nodes}

    def _stats(self, stats, place):
        """What of a learner's statistics can be written; the rest is left out, it takes no part in hashing."""
        items = []
        for key, item in stats.items():
            before = dict(self.members), dict(self._by_content), dict(self._numbers), set(self._open)
            try:
                items.append([self.node(key, place), self.node(item, f"{place}[{key!r}]")])
            except ValueError:
                self.members, self._by_content, self._numbers, self._open = before
        return {"type": "dict", "items": items}

    def _scalar(self, value, place):
        if value.dtype.kind not in SCALAR_KINDS:
            raise ValueError(f"{place} is a numpy scalar of dtype {value.dtype}, which cannot be saved without pickle.")
        return {"type": "scalar", "dtype": value.dtype.str, "bytes": value.tobytes().hex()}

    def _array(self, value, place):
        if value.dtype.hasobject:
            if value.dtype != object:
                raise ValueError(f"{place} has dtype {value.dtype}, which cannot be saved without pickle.")
            items = [self.node(item, f"{place}.flat[{k}]") for k, item in enumerate(value.flat)]
            return {"type": "object_array", "shape": list(value.shape), "items": items}
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.asarray(value), allow_pickle=False)
        return {"type": "array", "member": self._member("array", "npy", buffer.getvalue())}

    def _random(self, value, place):
        if isinstance(value, np.random.Generator):
            name, state = type(value.bit_generator).__name__, value.bit_generator.state
            return {"type": "generator", "name": name, "state": self.node(state, place)}
        return {"type": "random_state", "state": self.node(value.get_state(legacy=False), place)}

    def _member(self, kind, suffix, data):
        """Name of a new member, or of an old one of the same kind and content."""
        key = kind, hashlib.sha256(data).hexdigest()
        name = self._by_content.get(key)
        if name is None:
            count = sum(existing.startswith(f"{kind}/") for existing in self.members)
            name = self._by_content[key] = f"{kind}/{count}.{suffix}"
            self.members[name] = data
        return name


class Decoder:
    """Rebuild what an `Encoder` wrote.

    Parameters
    ----------
    members : dict of str to bytes
    module : torch.nn.Module, optional
        Stands where the estimator had a torch module of the user.

    Attributes
    ----------
    used : set of str
        Members that were asked for.
    """

    def __init__(self, members, module=None):
        self.members, self.module, self.used = members, module, set()
        self._objects: dict[int, Any] = {}

    def value(self, node):
        """The object of a JSON node.

        Raises
        ------
        ModelFileError
            If the node has an unknown type or names a class that is not allowed.
        """
        if node is None or isinstance(node, bool | int | float | str):
            return node
        if isinstance(node, list):
            return [self.value(item) for item in node]
        kind = node.get("type")
        read = getattr(self, f"_read_{kind}", None) if isinstance(kind, str) else None
        if read is None:
            raise ModelFileError(f"unknown type {kind!r} of value")
        return read(node)

    def _bytes(self, node):
        name = node["member"]
        if name not in self.members:
            raise ModelFileError(f"the member {name!r} is missing")
        self.used.add(name)
        return self.members[name]

    def _read_float(self, node):
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[node["value"]]

    def _read_text(self, node):
        return self._bytes(node).decode("utf-8")

    def _read_tuple(self, node):
        return tuple(self.value(node["items"]))

    def _read_set(self, node):
        return set(self.value(node["items"]))

    def _read_frozenset(self, node):
        return frozenset(self.value(node["items"]))

    def _read_dict(self, node):
        return {self.value(key): self.value(item) for key, item in node["items"]}

    def _read_scalar(self, node):
        dtype = np.dtype(node["dtype"])
        if dtype.kind not in SCALAR_KINDS:
            raise ModelFileError(f"a scalar of dtype {dtype} is not allowed")
        return np.frombuffer(bytes.fromhex(node["bytes"]), dtype)[0]

    def _read_array(self, node):
        data = self._bytes(node)
        file = io.BytesIO(data)
        array = np.lib.format.read_array(file, allow_pickle=False, max_header_size=10_000)
        if file.tell() != len(data):
            raise ModelFileError(f"the member {node['member']!r} is longer than its array")
        return array

    def _read_weights(self, node):
        return Weights.from_bytes(self._bytes(node))

    def _read_module(self, node):
        if self.module is None:
            raise MissingModule(
                f"the net was made from a torch module of the user, {node['class']}, and a file holds no code: pass "
                "such a module, hashers.load(path, module=...). Its own weights do not matter"
            )
        return self._numbered(node, self.module)

    def _read_object_array(self, node):
        array = np.empty(math.prod(node["shape"]), object)
        items = self.value(node["items"])
        if len(items) != len(array):
            raise ModelFileError("an array of objects has another shape than items")
        for k, item in enumerate(items):
            array[k] = item
        return array.reshape(node["shape"])

    def _read_sparse(self, node):
        matrix = sparse.load_npz(io.BytesIO(self._bytes(node)))
        if matrix.format in ("csr", "csc", "bsr"):
            matrix.check_format(full_check=True)
        return matrix

    def _read_random_state(self, node):
        generator = np.random.RandomState()
        generator.set_state(self.value(node["state"]))
        return generator

    def _read_generator(self, node):
        if node["name"] not in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
            raise ModelFileError(f"the random generator {node['name']!r} is not known")
        bits = getattr(np.random, node["name"])()
        bits.state = self.value(node["state"])
        return np.random.Generator(bits)

    def _read_enum(self, node):
        return our_class(node["class"], enum.Enum)[node["name"]]

    def _read_dataclass(self, node):
        cls = our_class(node["class"], object)
        if not hasattr(cls, "__dataclass_fields__"):
            raise ModelFileError(f"{node['class']} holds no plain data")
        fields = {key: self.value(item) for key, item in node["fields"].items()}
        return cls(**fields)

    def _read_solver(self, node):
        from bqp.solvers.base import Solver

        cls = our_class(node["class"], Solver)
        return self._numbered(node, cls(**{key: self.value(item) for key, item in node["params"].items()}))

    def _read_estimator(self, node):
        path = node["class"]
        cls = other_class(path) if path in OTHER_ESTIMATORS else our_class(path, BaseEstimator)
        known = cls._get_param_names()
        params = {key: self.value(item) for key, item in node["params"].items()}
        unknown = sorted(set(params) - set(known)) if path.startswith("hashers.") else []
        if unknown:
            raise ModelFileError(f"{cls.__name__} has no parameter {unknown[0]!r}: another version of hashers wrote it")
        estimator = cls(**params)
        for key, item in node["fitted"].items():
            if not key.isidentifier() or key.startswith("__") or key in params or is_part_of(cls, key):
                raise ModelFileError(f"{cls.__name__} cannot have an attribute {key!r}")
            vars(estimator)[key] = self.value(item)
        if isinstance(estimator, TrainedNet):
            estimator.check()
        return self._numbered(node, estimator)

    def _read_booster(self, node):
        try:
            import lightgbm
        except (ImportError, OSError) as error:
            raise BackendNotFound(f"the model holds LightGBM trees, and lightgbm does not load: {error}.") from error
        text = self._bytes(node).decode("utf-8")
        return self._numbered(node, lightgbm.Booster(model_str=text))

    def _read_skops(self, node):
        return self._numbered(node, skops_load(self._bytes(node)))

    def _read_same(self, node):
        if node["id"] not in self._objects:
            raise ModelFileError(f"a reference to object {node['id']} comes before the object")
        return self._objects[node["id"]]

    def _numbered(self, node, value):
        self._objects[node["id"]] = value
        return value

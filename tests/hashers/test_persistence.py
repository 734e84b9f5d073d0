"""Models on disk: everything comes back, bit for bit, and whatever is not as it was written is refused."""

import dataclasses
import io
import itertools
import json
import warnings
import zipfile

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

from hashers import persistence
from hashers.errors import ModelFileError
from hashers.functions import BalancedFunction, KernelFunction, LinearFunction, TreesFunction
from hashers.methods import TSH
from hashers.persistence import archive
from hashers.registry import FUNCTIONS, METHODS, make_function, parse_method

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(3, 6))
Y = np.arange(90) % 3
X = (CENTRES[Y] + 0.3 * RNG.normal(size=(90, 6))).astype(np.float32)
X_NEW = X[:40] + 0.1

SMALL = {"n_anchors": 20, "n_estimators": 5, "min_samples_leaf": 5, "max_iter": 20}
"""Settings that keep the fits short, where an estimator has them."""


def small(estimator):
    known = estimator.get_params(deep=True)
    return estimator.set_params(**{k: v for name, v in SMALL.items() for k in known if k.split("__")[-1] == name})


def round_trip(estimator, tmp_path):
    path = tmp_path / "model"
    persistence.save(estimator, path)
    return persistence.load(path)


def same(a, b, place="estimator", seen=None):
    """Assert that two fitted objects are equal in type and in every number, except for what is said not to be kept."""
    seen = {} if seen is None else seen
    assert type(a) is type(b) or isinstance(a, np.memmap), place
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape, place
        if a.dtype == object:
            for x, y in zip(a.flat, b.flat):
                same(x, y, place, seen)
        else:
            np.testing.assert_array_equal(a, b, err_msg=place)
    elif sparse.issparse(a):
        for name in ("data", "indices", "indptr"):
            same(getattr(a, name), getattr(b, name), f"{place}.{name}", seen)
    elif isinstance(a, dict):
        assert list(a) == list(b), place
        for key in a:
            same(a[key], b[key], f"{place}[{key!r}]", seen)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), place
        for k, (x, y) in enumerate(zip(a, b)):
            same(x, y, f"{place}[{k}]", seen)
    elif dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            if field.name == "bits":
                assert b.bits == (), place
            else:
                same(getattr(a, field.name), getattr(b, field.name), f"{place}.{field.name}", seen)
    elif isinstance(a, BaseEstimator) and type(a).__module__.startswith("hashers"):
        if id(a) in seen:
            assert seen[id(a)] is b, f"{place}: one object became two"
            return
        seen[id(a)] = b
        mine, theirs = a.__getstate__(), b.__getstate__()
        assert set(mine) == set(theirs), place
        for key in mine:
            same(mine[key], theirs[key], f"{place}.{key}", seen)
    elif isinstance(a, int | float | str | np.generic):
        assert a == b or (a != a and b != b), place


def outputs(estimator, X):
    """What an estimator makes of new rows, by every door it has."""
    names = ("decision_function", "transform", "predict", "encode", "predict_proba", "embed")
    return {name: getattr(estimator, name)(X) for name in names if hasattr(estimator, name)}


def check_same_model(estimator, loaded, X=X_NEW):
    same(estimator, loaded)
    expected = outputs(estimator, X)
    assert expected
    for name, value in outputs(loaded, X).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def pairs():
    """Every method with every function; a method that takes none, once. New entries come by themselves."""
    for method, entry in METHODS.items():
        for function in FUNCTIONS if entry.takes_function else [None]:
            yield method, function


@pytest.mark.parametrize(("method", "function"), list(pairs()))
def test_every_method_with_every_function(method, function, tmp_path):
    chosen = None if function is None else small(make_function(function))
    hasher = small(parse_method(method).make(8, function=chosen))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # small data: what a method says of them is not looked at here
        hasher.fit(X, Y)
    check_same_model(hasher, round_trip(hasher, tmp_path))


@pytest.mark.parametrize(
    "function",
    [
        LinearFunction(solver="svm", random_state=0),
        KernelFunction(n_anchors=20, anchors="kmeans", random_state=np.random.RandomState(3)),
        BalancedFunction(TreesFunction(n_estimators=5, min_samples_leaf=5, random_state=0)),
        TreesFunction(engine="sklearn", n_estimators=5, min_samples_leaf=5, random_state=0),
    ],
)
def test_functions(function, tmp_path):
    B = np.sign(RNG.normal(size=(3, 4)))[Y]
    B[:, 3] = 1  # constant in training
    function.fit(X, B)
    check_same_model(function, round_trip(function, tmp_path))


def classifiers():
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    return [
        DecisionTreeClassifier(random_state=0),
        RandomForestClassifier(5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5),
        KNeighborsClassifier(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        LGBMClassifier(n_estimators=5, verbose=-1),
    ]


@pytest.mark.parametrize("classifier", classifiers(), ids=lambda c: type(c).__name__)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_classifiers(classifier, tmp_path):
    hasher = TSH(n_bits=3, function=classifier, random_state=0).fit(X, Y)
    loaded = round_trip(hasher, tmp_path)
    np.testing.assert_array_equal(loaded.decision_function(X_NEW), hasher.decision_function(X_NEW))
    np.testing.assert_array_equal(loaded.codes_, hasher.codes_)
    assert type(clone(loaded).function) is type(classifier)


def test_kinds_of_input(tmp_path):
    import pandas as pd

    frame = pd.DataFrame(X, columns=[f"f{k}" for k in range(6)])
    named = TSH(n_bits=4, function=LinearFunction()).fit(frame, np.array(["a", "b", "c"])[Y])
    loaded = round_trip(named, tmp_path)
    check_same_model(named, loaded, frame[:5])
    assert loaded.feature_names_in_.dtype == object
    rows = sparse.csr_matrix(X * (X > 0.5))
    for kind in (rows, sparse.csr_array(rows)):
        thin = TSH(n_bits=4, function=KernelFunction(n_anchors=10, random_state=0)).fit(kind, Y)
        check_same_model(thin, round_trip(thin, tmp_path), kind[:9])
    Y_sets = np.eye(3, dtype=int)[Y]
    y_unknown = np.where(np.arange(90) < 10, -1, Y)
    for y in (Y_sets, y_unknown):
        hasher = TSH(n_bits=4, function=LinearFunction()).fit(X.astype(np.float64), y)
        check_same_model(hasher, round_trip(hasher, tmp_path))


def test_parameters_of_many_kinds(tmp_path):
    from bqp.solvers import CoordinateDescent

    hasher = TSH(n_bits=4, function=LinearFunction(), unlabeled=np.int64(-5), random_state=0).fit(X, Y)
    hasher.solver = CoordinateDescent(n_restarts=3)
    hasher.extra_ = {
        ("a", 1): [np.float32(0.1), np.nan, -np.inf, 10**30, "ü" * 2000, np.bool_(True), None],
        "set": {1, 2},
        "frozen": frozenset("a"),
        "when": np.datetime64("2020-01-01"),
        "text": np.array(["a", "bc"]),
        "order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.empty((0, 3), np.int8),
        "objects": np.array([["x", None], [1, 2.5]], object),
        "random": np.random.default_rng(3),
    }
    loaded = round_trip(hasher, tmp_path)
    extra = loaded.extra_
    assert list(extra) == list(hasher.extra_)
    value = extra[("a", 1)]
    assert type(value[0]) is np.float32 and value[0] == np.float32(0.1) and np.isnan(value[1]) and value[2] == -np.inf
    assert value[3:5] == [10**30, "ü" * 2000] and value[5] is not None and value[6] is None
    assert extra["set"] == {1, 2} and extra["frozen"] == frozenset("a") and extra["when"] == np.datetime64("2020-01-01")
    assert extra["order"].flags.f_contiguous and not extra["order"].flags.c_contiguous
    same(extra["objects"], hasher.extra_["objects"])
    assert extra["random"].integers(1000) == np.random.default_rng(3).integers(1000)
    assert type(loaded.solver) is CoordinateDescent and loaded.unlabeled == -5
    assert vars(loaded.solver) == vars(hasher.solver)
    again = [model.set_params(solver="auto").fit(X, Y).codes_ for model in (loaded, hasher)]
    np.testing.assert_array_equal(*again)


def test_pipelines(tmp_path):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), TSH(n_bits=4, function=LinearFunction())).fit(X, Y)
    loaded = round_trip(pipeline, tmp_path)
    np.testing.assert_array_equal(loaded.decision_function(X_NEW), pipeline.decision_function(X_NEW))


def test_statistics_that_are_no_data_are_left_out(tmp_path):
    hasher = TSH(n_bits=4, function=LinearFunction()).fit(X, Y)
    hasher.result_.stats.update(
        odd=[np.arange(50), LinearFunction(), lambda: None], fine=np.arange(50), function=hasher.function_
    )
    loaded = round_trip(hasher, tmp_path)
    assert "odd" not in loaded.result_.stats and loaded.result_.bits == ()
    np.testing.assert_array_equal(loaded.result_.stats["fine"], np.arange(50))
    assert loaded.result_.stats["function"] is loaded.function_
    assert loaded.result_.objective == hasher.result_.objective


def test_the_same_model_gives_the_same_file_without_traces(tmp_path):
    hasher = TSH(n_bits=4, function=LinearFunction()).fit(X, Y)
    persistence.save(hasher, tmp_path / "a")
    persistence.save(persistence.load(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


class Mine(LinearFunction):
    """A class that no file may name."""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda h: setattr(h, "function_", Mine().fit(X, h.codes_)),
            r"TSH.function_ is a .*Mine, which cannot be saved",
        ),
        (lambda h: setattr(h, "hook_", print), r"TSH.hook_ is a builtins.builtin_function_or_method"),
        (lambda h: setattr(h, "self_", [h]), r"TSH.self_\[0\] refers to an object that it is part of"),
        (lambda h: setattr(h, "odd_", np.array([lambda: 1])), r"TSH.odd_.flat\[0\] is a"),
        (lambda h: setattr(h, "odd_", np.zeros(1, [("a", object)])), r"TSH.odd_ has dtype"),
    ],
)
def test_what_needs_pickle_is_refused_with_its_place(change, message, tmp_path):
    hasher = TSH(n_bits=4, function=LinearFunction()).fit(X, Y)
    change(hasher)
    with pytest.raises(ValueError, match=message):
        persistence.save(hasher, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_of_foreign_parts_is_refused(tmp_path):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.tree import DecisionTreeClassifier

    chain = make_pipeline(FunctionTransformer(same), DecisionTreeClassifier())
    hasher = TSH(n_bits=2, function=LinearFunction()).fit(X, Y)
    hasher.function = chain
    with pytest.raises(ValueError, match=r"TSH.function.*FunctionTransformer.*(same|cannot)"):
        persistence.save(hasher, tmp_path / "model")


def test_only_fitted_estimators_of_ours(tmp_path):
    from sklearn.linear_model import LogisticRegression

    for hasher in (TSH(), LinearFunction()):
        with pytest.raises(NotFittedError):
            persistence.save(hasher, tmp_path / "model")
    with pytest.raises(ValueError, match="save takes estimators of hashers"):
        persistence.save(LogisticRegression(), tmp_path / "model")
    with pytest.raises(ValueError, match="save takes an estimator: this is a list"):
        persistence.save([1], tmp_path / "model")
    with pytest.raises(FileNotFoundError):
        persistence.load(tmp_path / "none")


# ---------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Bytes of a model with arrays, trees as text, a skops member and label sets."""
    from sklearn.tree import DecisionTreeClassifier

    path = tmp_path_factory.mktemp("models") / "model"
    trees = TreesFunction(n_estimators=3, min_samples_leaf=5, random_state=0)
    hasher = TSH(n_bits=3, function=trees, random_state=0).fit(X, np.eye(3, dtype=int)[Y])
    hasher.other_ = DecisionTreeClassifier(max_depth=1).fit(X, Y)
    hasher.thin_ = sparse.csr_matrix(X[:5] > 0.5, dtype=float)
    persistence.save(hasher, path)
    return path.read_bytes()


def refuse(data, path, message=""):
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=message) as caught:
        persistence.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and len(text) < 700 and text.rstrip().endswith("."), text


def members_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def edited(data, change):
    """A file whose JSON was changed, by somebody who puts every checksum right again."""
    members = members_of(data)
    index = json.loads(members["model.json"])
    change(index)
    return archive._sealed({**members, "model.json": json.dumps(index).encode()})


def test_100_flipped_bytes(model, tmp_path):
    rng = np.random.default_rng(1)
    for place in [0, 3, len(model) - 1, len(model) - 64, *rng.integers(0, len(model), 96)]:
        changed = bytearray(model)
        changed[place] ^= int(rng.integers(1, 256))
        refuse(bytes(changed), tmp_path / "bad", "checksum|no model file")


def test_50_truncations(model, tmp_path):
    for size in [0, 1, 4, len(model) - 1, *np.random.default_rng(2).integers(5, len(model) - 1, 46)]:
        refuse(model[:size], tmp_path / "bad", "no model file|checksum at the end of the file is missing")


def test_20_edits_with_another_zip_program(model, tmp_path):
    members = members_of(model)
    names = [name for name in members if name != "model.json"]
    for k in range(20):
        changed = dict(members)
        if k % 2:
            changed[names[k % len(names)]], changed[names[k // 2]] = (
                changed[names[k // 2]],
                changed[names[k % len(names)]],
            )
        else:
            changed["model.json"] = changed["model.json"].replace(b'"n_bits": 3', b'"n_bits": %d' % (k + 4))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in changed.items():
                archive.writestr(name, data)
        refuse(buffer.getvalue(), tmp_path / "bad", "written again by another program")


def test_swapped_members_with_the_seal_put_right(model, tmp_path):
    members = members_of(model)
    names = sorted(name for name in members if name != "model.json")
    assert {name.split("/")[0] for name in names} >= {"array", "text", "skops", "sparse"}
    for a, b in itertools.pairwise(names):
        changed = {**members, a: members[b], b: members[a]}
        refuse(archive._sealed(changed), tmp_path / "bad", "does not match its checksum: it was replaced")
    for name in names:
        less = {key: data for key, data in members.items() if key != name}
        refuse(archive._sealed(less), tmp_path / "bad", f"the member '{name}' is missing")
    refuse(archive._sealed({**members, "array/99.npy": b""}), tmp_path / "bad", "'array/99.npy' is not listed")
    refuse(archive._sealed({"x": b""}), tmp_path / "bad", r"there is no model\.json")


def set_class(path):
    return lambda index: index["model"].update({"class": path})


def set_param(name, node):
    return lambda index: index["model"]["params"].update({name: node})


def set_fitted(name, node):
    return lambda index: index["model"]["fitted"].update({name: node})


EDITS = [
    (lambda index: index.update(version=2), r"version 2 of the format.*this hashers reads version 1"),
    (lambda index: index.update(version="1"), "version '1'"),
    (lambda index: index.update(version=True), "version True"),
    (lambda index: index.pop("version"), "version None"),
    (lambda index: index.update(format="other"), "does not say that its format is"),
    (lambda index: index.pop("members"), "lists no members"),
    (lambda index: index.pop("model"), "holds no estimator"),
    (lambda index: index.update(model=[1]), "holds no estimator"),
    (lambda index: index["members"].update({"array/0.npy": "0" * 64}), r"'array/0.npy' does not match its checksum"),
    (lambda index: index["model"].pop("class"), "KeyError"),
    (lambda index: index["model"].pop("params"), "KeyError"),
    (lambda index: index["model"].pop("fitted"), "KeyError"),
    (lambda index: index["model"].pop("id"), "KeyError"),
    (lambda index: index["model"]["fitted"].clear(), "belongs to nothing|NotFitted"),
    (set_class("os:system"), "'os:system' is not allowed: only classes of hashers are"),
    (set_class("subprocess:Popen"), "not allowed"),
    (set_class("builtins:eval"), "not allowed"),
    (set_class("sklearn.linear_model:LogisticRegression"), "not allowed"),
    (set_class("hashers.methods.tsh:os"), "not known"),
    (set_class("hashers.methods.nothing:TSH"), "not known: another version"),
    (set_class("hashers.methods:TSH"), "not allowed here"),
    (set_class("hashers.base:logging"), "not allowed here"),
    (set_class("hashers.packing:pack"), "not allowed here"),
    (set_class("hashers.errors:ModelFileError"), "not allowed here"),
    (set_class("hashers.__main__:TSH"), "not allowed"),
    (set_class("hashers..os:system"), "not allowed"),
    (set_class(7), "not allowed"),
    (set_param("nothing", 1), "TSH has no parameter 'nothing'"),
    (set_param("n_bits", {"type": "code"}), "unknown type 'code'"),
    (set_param("n_bits", {"no": "type"}), "unknown type None"),
    (set_param("n_bits", {"type": ["tuple"]}), "unknown type"),
    (set_param("n_bits", {"type": "array", "member": "array/77.npy"}), "'array/77.npy' is missing"),
    (set_param("n_bits", {"type": "array", "member": "skops/0.skops"}), "cannot be rebuilt"),
    (set_param("n_bits", {"type": "sparse", "member": "array/0.npy"}), "cannot be rebuilt"),
    (set_param("n_bits", {"type": "skops", "member": "array/0.npy"}), "cannot be rebuilt"),
    (set_param("n_bits", {"type": "text", "member": "array/0.npy"}), "cannot be rebuilt"),
    (set_param("n_bits", {"type": "same", "id": 99}), "object 99 comes before the object"),
    (set_param("n_bits", {"type": "float", "value": "1"}), "KeyError"),
    (set_param("n_bits", {"type": "scalar", "dtype": "O", "bytes": "00" * 8}), "dtype object is not allowed"),
    (set_param("n_bits", {"type": "scalar", "dtype": "<i8", "bytes": "00"}), "cannot be rebuilt"),
    (set_param("n_bits", {"type": "generator", "name": "seed", "state": {}}), "generator 'seed' is not known"),
    (set_param("n_bits", {"type": "random_state", "state": {"type": "dict", "items": []}}), "cannot be rebuilt"),
    (set_param("n_bits", {"type": "enum", "class": "bqp.solution:Status", "name": "NONE"}), "cannot be rebuilt"),
    (set_param("n_bits", {"type": "enum", "class": "bqp.solution:Solution", "name": "NONE"}), "not allowed here"),
    (set_param("n_bits", {"type": "dataclass", "class": "hashers.methods.tsh:TSH", "fields": {}}), "no plain data"),
    (
        set_param("n_bits", {"type": "dataclass", "class": "bqp.solution:Bound", "fields": {"z": 1}}),
        "cannot be rebuilt",
    ),
    (set_param("n_bits", {"type": "solver", "class": "bqp.problem:BQP", "params": {}, "id": 0}), "not allowed here"),
    (set_param("n_bits", {"type": "object_array", "shape": [3], "items": [1]}), "another shape"),
    (set_fitted("transform", 1), "cannot have an attribute 'transform'"),
    (set_fitted("__class__", 1), "cannot have an attribute '__class__'"),
    (set_fitted("n_bits", 1), "cannot have an attribute 'n_bits'"),
    (set_fitted("a b", 1), "cannot have an attribute 'a b'"),
]


@pytest.mark.parametrize(("change", "message"), EDITS)
def test_edits_of_the_json_with_all_checksums_put_right(change, message, model, tmp_path):
    refuse(edited(model, change), tmp_path / "bad", message)


def test_skops_members_with_other_classes(model, tmp_path):
    import hashlib

    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    members = members_of(model)
    members["skops/0.skops"] = skops.io.dumps(FunctionTransformer(same))
    index = json.loads(members["model.json"])
    index["members"]["skops/0.skops"] = hashlib.sha256(members["skops/0.skops"]).hexdigest()
    members["model.json"] = json.dumps(index).encode()
    refuse(archive._sealed(members), tmp_path / "bad", r"a scikit-learn part names .*same, which is not allowed")


def test_pickled_arrays_and_longer_arrays(model, tmp_path):
    import hashlib

    pickled = io.BytesIO()
    np.lib.format.write_array(pickled, np.array([{}], object), allow_pickle=True)
    for data, message in (
        (pickled.getvalue(), "cannot be rebuilt"),
        (members_of(model)["array/0.npy"] + b"\0", "longer than its array"),
        (members_of(model)["array/0.npy"][:-1], "cannot be rebuilt"),
    ):
        members = members_of(model)
        index = json.loads(members["model.json"])
        members["array/0.npy"] = data
        index["members"]["array/0.npy"] = hashlib.sha256(data).hexdigest()
        members["model.json"] = json.dumps(index).encode()
        refuse(archive._sealed(members), tmp_path / "bad", message)


def test_deep_json_and_no_json(model, tmp_path):
    for text in (b"[" * 100_000, b"\xff", b"", b"[]", b"{"):
        refuse(archive._sealed({"model.json": text}), tmp_path / "bad", "no JSON|does not say that its format")


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"PK\x03\x04", b"\x80\x04K\x01.", b"\x93NUMPY\x01\x00"],
    ids=["empty", "text", "zip", "pickle", "npy"],
)
def test_foreign_files(data, tmp_path):
    refuse(data, tmp_path / "bad", "no model")


def test_npz_files_are_no_models(tmp_path):
    np.savez(tmp_path / "codes.npz", codes=np.zeros(3))
    refuse((tmp_path / "codes.npz").read_bytes(), tmp_path / "bad", "is no model of hashers")

import numpy as np
import pytest

from hashers import datasets


def write(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "X": rng.integers(0, 256, (20, 6)).astype(np.uint8),
        "labels": rng.integers(0, 3, 20).astype(np.uint8),
        "query": np.arange(4, dtype=np.int32),
        "database": np.arange(4, 20, dtype=np.int32),
        "train": np.arange(4, 10, dtype=np.int32),
        "class_names": np.array(["a", "b", "c"]),
    }
    arrays.update(changes)
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def check(data):
    assert data.X.dtype == np.float32 and np.isfinite(data.X).all()
    assert len(data.y) == len(data.X)
    assert not np.intersect1d(data.query, data.database).size
    assert np.isin(data.train, data.database).all()
    assert "Relevant:" in data.description and "Split" in data.description


def test_digits():
    data = datasets.load("digits")
    check(data)
    order = np.random.RandomState(0).permutation(1797)
    np.testing.assert_array_equal(data.query, order[:300])
    np.testing.assert_array_equal(data.train, data.database)
    X, y = data.part("query")
    assert X.shape == (300, 64) and y.shape == (300,)
    with pytest.raises(ValueError, match="which must be"):
        data.part("test")


@pytest.mark.parametrize("name", sorted(datasets.SOURCES))
def test_shared_sets(name):
    try:
        data = datasets.load(name)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    check(data)
    assert data.name == name and len(data.class_names) == data.n_classes
    assert len(data.query) + len(data.database) == len(data.X)
    if name == "fashion-mnist":
        assert data.X.max() == 1 and data.image_shape == (28, 28) and len(data.train) == 5000
    if name == "cifar10-deep":
        assert data.X.min() < 0  # the offset is taken away
    if name in ("tmc2007", "corel5k", "scene"):
        assert data.is_multilabel and data.y.shape[1] == data.n_classes


def test_plain_file_and_folder(tmp_path):
    file = write(tmp_path / "mine.npz")
    data = datasets.load(str(file))
    check(data)
    assert data.name == "mine" and data.class_names == ["a", "b", "c"] and data.y.dtype == np.int64
    with np.load(file) as archive:
        np.testing.assert_array_equal(data.X, archive["X"])
    for again in (datasets.load(file), datasets.load(str(tmp_path)), datasets.load("name", path=tmp_path)):
        np.testing.assert_array_equal(again.X, data.X)


def test_decoding(tmp_path):
    scaled = datasets.load(write(tmp_path / "a.npz", scale=np.float32([0.5]), offset=np.float32([128])))
    plain = datasets.load(write(tmp_path / "b.npz"))
    np.testing.assert_array_equal(scaled.X, (plain.X - 128) * 0.5)
    pixels = datasets.load(write(tmp_path / "c.npz", image_shape=np.array([2, 3])))
    np.testing.assert_allclose(pixels.X, plain.X / 255, rtol=1e-6)
    assert pixels.image_shape == (2, 3)


def test_label_sets_and_default_train(tmp_path):
    Y = np.random.default_rng(0).integers(0, 2, (20, 3)).astype(np.uint8)
    data = datasets.load(write(tmp_path / "a.npz", labels=None, Y=Y, train=None, class_names=None))
    assert data.is_multilabel and data.n_classes == 3 and data.class_names == []
    np.testing.assert_array_equal(data.train, data.database)


def test_search_order(tmp_path, monkeypatch):
    for folder in ("first", "second", "shared/data"):
        (tmp_path / folder / "scene").mkdir(parents=True)
        write(tmp_path / folder / "scene" / "scene.npz", X=np.full((20, 6), len(folder), np.float32))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("HASHERS_DATA", raising=False)
    assert datasets.load("scene").X[0, 0] == len("shared/data")
    monkeypatch.setenv("HASHERS_DATA", str(tmp_path / "second"))
    assert datasets.load("scene").X[0, 0] == len("second")
    for path in ("first", "first/scene", "first/scene/scene.npz"):
        assert datasets.load("scene", path=tmp_path / path).X[0, 0] == len("first")


def test_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tried .*scene.npz.*HASHERS_DATA"):
        datasets.load("scene", path=tmp_path)
    with pytest.raises(FileNotFoundError, match="no npz file at"):
        datasets.load(str(tmp_path / "no.npz"))
    with pytest.raises(ValueError, match=r"unknown data set 'mnist'. Known names: digits"):
        datasets.load("mnist")
    with pytest.raises(ValueError, match="name must be a string"):
        datasets.load(3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query": None}, "the keys query are missing"),
        ({"labels": None}, "labels or Y"),
        ({"X": np.zeros(20)}, "X must be an"),
        ({"X": np.full((20, 6), "a")}, "array of numbers"),
        ({"X": np.full((20, 6), np.nan)}, r"nan at \(0, 0\)"),
        ({"labels": np.zeros(19, int)}, "20 rows of X"),
        ({"labels": np.full(20, np.nan)}, "labels hold NaN"),
        ({"labels": None, "Y": np.full((20, 3), 2)}, "Y must hold 0 and 1"),
        ({"query": np.zeros(4)}, "integer row indices"),
        ({"query": np.array([0, 1, 99])}, "query has an index out of range: 99 at 2, X has 20 rows"),
        ({"database": np.array([-1, 5])}, "out of range: -1 at 0"),
        ({"database": np.arange(3, 20)}, "query and database overlap: row 3"),
        ({"query": np.array([0, 1, 1])}, "query names row 1 more than once"),
        ({"train": np.array([0, 5])}, "train must lie in database: row 0"),
        ({"scale": np.ones(4)}, "scale must be one number or one per feature"),
        ({"image_shape": np.array([5, 5])}, "does not fit 6 features"),
    ],
)
def test_bad_files(tmp_path, changes, message):
    file = write(tmp_path / "bad.npz", **changes)
    with pytest.raises(ValueError, match=message) as caught:
        datasets.load(file)
    assert "bad.npz" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 10, 200, 0.5, 0.9, 0.999])
def test_truncated_files(tmp_path, keep):
    content = write(tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(ValueError, match=r"cut.npz cannot be read as an npz file"):
        datasets.load(tmp_path / "cut.npz")


def test_other_content(tmp_path):
    (tmp_path / "text.npz").write_text("not an archive")
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    for name in ("text.npz", "array.npz"):
        with pytest.raises(ValueError, match="cannot be read as an npz file"):
            datasets.load(tmp_path / name)
    np.savez(tmp_path / "pickled.npz", X=np.array([None, {}], dtype=object))
    with pytest.raises(ValueError, match="cannot be read"):
        datasets.load(tmp_path / "pickled.npz")


def test_openml(monkeypatch):
    from sklearn.utils import Bunch

    def offline(name, **options):
        raise OSError("no route")

    def online(name, **options):
        return Bunch(data=np.random.default_rng(0).normal(size=(50, 4)), target=np.array(list("ab") * 25))

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    with pytest.raises(ConnectionError, match=r"cannot fetch 'usps' from OpenML: no route. Check the connection"):
        datasets.load("openml:usps")
    monkeypatch.setattr("sklearn.datasets.fetch_openml", online)
    data = datasets.load("openml:usps")
    check(data)
    assert len(data.query) == 5 and data.class_names == ["a", "b"]

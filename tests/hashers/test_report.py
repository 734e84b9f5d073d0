import base64
import json
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from hashers import datasets
from hashers.compare import Comparison
from hashers.datasets import Dataset
from hashers.report import build_page, write_report
from hashers.report.images import encode_png
from hashers.report.race import race
from hashers.report.samples_section import rankings
from hashers.report.summary import best_group, class_codes, groups_of, label_text
from hashers.report.svg import Axis, Series, chart, nice_ticks

VOID = {"meta", "img", "link", "br", "input", "hr"}
SECTIONS = ["results", "retrieval", "samples", "codes", "solvers", "protocol", "reproduce"]


class Page(HTMLParser):
    """Checks that tags are balanced; collects addresses, ids, texts of images."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.ids, self.images, self.rows = [], [], [], [], 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.addresses += [
            (tag, values[name]) for name in ("src", "href", "srcset", "data", "action") if name in values
        ]
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "img":
            self.images.append(values.get("alt"))
        self.rows += tag == "tr"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


def check_page(text, sections=SECTIONS):
    page = Page(text)
    assert [name for name in page.ids if name in SECTIONS] == sections
    assert len(page.ids) == len(set(page.ids))
    for tag, address in page.addresses:
        assert address.startswith(("data:", "#")), (tag, address[:60])
    assert "url(" not in text and "@import" not in text
    assert all(page.images), "an image without a text"
    assert text.count("<svg") == text.count("role=") + text.count('aria-hidden="true"')
    seen = re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", text, flags=re.S)
    assert not re.search(r"\b(nan|inf|None|array|float64)\b", seen)
    return page


@pytest.fixture(scope="module")
def comparison():
    found = Comparison(
        datasets.load("digits"),
        methods=["tsh-sequential", "tsh-hinge-sequential", "lsh"],
        bits=[8, 16],
        functions=["linear", "kernel"],
        n_train=300,
    )
    list(found)
    return found


@pytest.fixture(scope="module")
def text(comparison):
    return build_page(comparison, command="hashers compare --dataset digits <&>", seconds=0.05)


def test_the_page_has_all_sections_and_stands_alone(text):
    page = check_page(text)
    assert len(page.images) == 5 * (1 + 2 * 10)
    assert len(text) < 1_000_000


def test_the_page_says_what_was_done(text):
    assert "<h1>Binary codes for digits</h1>" in text
    assert "300 images were held out as queries" in text and "300 training items only" in text
    assert "hashers compare --dataset digits &lt;&amp;&gt;" in text
    assert "<b>300 variables collapse to 10</b>" in text
    for word in ("expected average precision", "same label", "Hashed:", "Learned:", "numpy", "Python"):
        assert word in text


def test_the_rows_can_be_downloaded(text, comparison):
    address = re.search(r'download="rows.json" href="data:application/json;base64,([^"]*)"', text).group(1)
    assert json.loads(base64.b64decode(address)) == [run.row for run in comparison.runs]


def test_the_table_holds_every_group_in_order_with_values_to_sort_by(text, comparison):
    table = re.search(r'<table class="sortable wide">(.*?)</table>', text, re.S).group(1)
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", table.split("<tbody>")[1], re.S)
    keys = [re.findall(r'data-value="([^"]*)"', row)[:3] for row in rows]
    assert keys == [[g.method, g.function, str(g.n_bits)] for g in groups_of(comparison.runs)]
    heads = re.findall(r'<th scope="col"', table)
    assert all(len(re.findall("data-value", row)) == len(heads) for row in rows)
    assert table.count('class="best"') >= 3


def test_the_file_is_utf8(tmp_path, comparison):
    path = write_report(comparison, tmp_path / "new", seconds=0.02)
    assert path == tmp_path / "new" / "index.html"
    assert '<meta charset="utf-8">' in path.read_text(encoding="utf-8")


def test_several_seeds_are_averaged():
    found = Comparison(datasets.load("digits"), methods=["lsh"], bits=[8], seeds=[0, 1, 2])
    list(found)
    text = build_page(found)
    check_page(text, [name for name in SECTIONS if name not in ("codes", "solvers")])
    mean = np.mean([run.row["map_hashed"] for run in found.runs])
    assert f"{mean:.3f} <small>±" in text and "Means over 3 seeds" in text


def test_label_sets_and_names_instead_of_images():
    rng = np.random.RandomState(0)
    Y = (rng.rand(150, 4) < 0.4).astype(np.uint8)
    Y[:, 0] |= Y.sum(axis=1) == 0
    rows = np.arange(150)
    data = Dataset(
        "<odd & name>",
        (Y @ rng.normal(size=(4, 6)) + 0.1 * rng.normal(size=(150, 6))).astype(np.float32),
        Y,
        rows[:8],
        rows[8:],
        rows[8:100],
        class_names=["sky", "<sea>", "a&b", "city"],
    )
    found = Comparison(data, methods=["tsh-sequential", "lsh"], bits=[8], functions=["linear"])
    list(found)
    text = build_page(found, seconds=0.05)
    page = check_page(text)
    assert page.images == [] and "&lt;sea&gt;" in text and "<sea>" not in text and "&lt;odd &amp; name&gt;" in text
    assert "at least one label in common" in text


def test_without_names_and_images_there_are_no_samples():
    rng = np.random.RandomState(0)
    y = rng.randint(0, 3, 60)
    rows = np.arange(60)
    data = Dataset("plain", (rng.normal(size=(3, 4))[y]).astype(np.float32), y, rows[:3], rows[3:], rows[3:])
    found = Comparison(data, methods=["tsh-sequential"], bits=[2], functions=["kernel"])
    list(found)
    check_page(build_page(found, seconds=0.02), [name for name in SECTIONS if name != "samples"])


def test_nothing_to_report_is_an_error():
    with pytest.raises(ValueError, match="no run is finished"):
        build_page(Comparison(datasets.load("digits"), methods=["lsh"], bits=[8]))


def test_the_race_states_true_energies_and_proofs(comparison):
    found = race(comparison, seconds=0.05)
    assert (found.n, found.n_reduced, found.n_parts, found.n_bits, found.bit) == (300, 10, 1, 16, 9)
    assert found.is_proven and found.bound == found.best == min(entry.energy for entry in found.entries)
    assert {entry.reduced for entry in found.entries} == {True, False}
    assert found.excess(found.best) == 0 and found.excess(found.random) == 1
    for entry in found.entries:
        energies = [energy for _, energy in entry.trace]
        assert energies == sorted(energies, reverse=True) and energies[-1] == entry.energy
        assert entry.reached <= entry.time + 1e-3 and entry.lower_bound <= found.best


def test_rankings_are_nearest_first_and_marked_right(comparison):
    run = comparison.runs[0]
    data, y = comparison.dataset, comparison.y
    for ranking in rankings(comparison, run, [0, 7]):
        distances = [distance for _, distance, _ in ranking.items]
        assert distances == sorted(distances) and len(distances) == 10
        assert all(row in data.database and good == (y[row] == y[ranking.query]) for row, _, good in ranking.items)


def test_the_best_group_is_the_shortest_of_those_that_are_close(comparison):
    groups = groups_of(comparison.runs)
    best = best_group(groups)
    highest = max(group.mean("map_hashed") for group in groups)
    assert highest - best.mean("map_hashed") <= 0.005
    assert all(g.n_bits >= best.n_bits for g in groups if highest - g.mean("map_hashed") <= 0.005)


def test_class_codes(comparison):
    classes = class_codes(comparison, comparison.runs[0])
    assert classes.names == [str(k) for k in range(10)] and classes.share == 1 and classes.left_out == 0
    train = comparison.y[comparison.train]
    for label, code in zip(classes.labels, classes.codes):
        assert (comparison.runs[0].codes_train[train == label] == code).all()
    assert classes.distances[0, 1] == (classes.codes[0] != classes.codes[1]).sum()


def test_label_text():
    data = Dataset("d", np.zeros((1, 1)), np.zeros(1), *[np.zeros(1, int)] * 3, class_names=list("abcde"))
    assert label_text(data, 1) == "b" and label_text(data, 9) == "9"
    assert label_text(data, [1, 1, 1, 1, 1]) == "a, b, c and 2 more" and label_text(data, [0] * 5) == "no label"


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3)])
def test_png_holds_the_pixels(shape):
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
    png = encode_png(pixels)
    chunks, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(name + body)
        chunks[name], at = body, at + 12 + length
    assert struct.unpack(">IIBB", chunks[b"IHDR"][:10]) == (5, 3, 8, 2 if len(shape) == 3 else 0)
    raw = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(3, -1)
    assert (raw[:, 0] == 0).all() and np.array_equal(raw[:, 1:].ravel(), pixels.ravel())


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.13, 0.98), (-5, 17), (3, 3), (0, 0), (1e-7, 2e-7)])
def test_ticks_cover_the_range(low, high):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low + 1e-12 and ticks[-1] >= high - 1e-12 and 2 <= len(ticks) <= 9
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])


def test_a_chart_leaves_gaps_and_escapes():
    one = Series("a<b", [(1, 0.5), (2, None), (3, 0.7)], notes=["x<y", "", "z"])
    svg = chart([one], Axis.around("bits", [1, 3]), Axis.around("map", [0.5, 0.7]), "t<u", "d")
    Page(svg)
    assert svg.count("M") >= 2 and "x&lt;y" in svg and "t&lt;u" in svg

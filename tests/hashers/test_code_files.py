"""Codes on disk: round trips, and a clear error for whatever is not as it was written."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashers import packing
from hashers.errors import CodeFileError
from hashers.index import BinaryIndex, CodeWriter, load_codes, save_codes


def make_codes(n, n_bits, seed=0):
    return packing.signs(np.random.default_rng(seed).normal(size=(n, n_bits)))


@given(
    n=st.integers(1, 40),
    n_bits=st.integers(1, 100),
    with_ids=st.booleans(),
    suffix=st.sampled_from(["codes", "npz", "NPZ"]),
    mmap=st.booleans(),
)
def test_round_trip(tmp_path_factory, n, n_bits, with_ids, suffix, mmap):
    path = tmp_path_factory.mktemp("codes") / f"file.{suffix}"
    B = make_codes(n, n_bits)
    ids = np.random.default_rng(n).integers(-(2**62), 2**62, n) if with_ids else None
    save_codes(path, B, ids=ids)
    assert (path.read_bytes()[:2] == b"PK") == (suffix != "codes")
    got = load_codes(path, mmap=mmap)
    assert got.n_bits == n_bits and isinstance(got.packed, np.memmap) == (mmap and suffix == "codes")
    np.testing.assert_array_equal(packing.unpack(got.packed, got.n_bits), B)
    np.testing.assert_array_equal(got.ids, ids) if with_ids else None
    assert with_ids or got.ids is None
    assert [p.name for p in path.parent.iterdir()] == [path.name], "a temporary file is left"


def test_blocks_make_the_same_file(tmp_path):
    B, ids = make_codes(100, 21), np.arange(100)[::-1]
    save_codes(tmp_path / "whole", B, ids=ids)
    with CodeWriter(tmp_path / "blocks", n_bits=21) as writer:
        writer.append(B[:30], ids[:30])
        writer.append(packing.pack(B[30:99]), ids[30:99])
        writer.append(B[99:], ids[99:])
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "blocks").read_bytes()


def test_the_layout_is_the_documented_one(tmp_path):
    import hashlib
    import json

    B = make_codes(3, 12)
    save_codes(tmp_path / "file", B, ids=[5, -6, 7])
    data = (tmp_path / "file").read_bytes()
    assert data[:8] == b"\x93HCODES\n"
    version, length = np.frombuffer(data[8:16], "<u4")
    assert version == 1
    header = json.loads(data[16 : 16 + length])
    end = 16 + length + 32
    assert data[16 + length : end] == hashlib.sha256(data[: 16 + length]).digest() and end % 64 == 0
    assert header["sha256"] == hashlib.sha256(data[end:]).hexdigest()
    assert (header["n"], header["n_bits"], header["bitorder"], header["has_ids"]) == (3, 12, "little", True)
    np.testing.assert_array_equal(np.frombuffer(data[end : end + 6], np.uint8).reshape(3, 2), packing.pack(B))
    np.testing.assert_array_equal(np.frombuffer(data[end + 8 :], "<i8"), [5, -6, 7])


def test_a_failing_writer_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    save_codes(path, [[1, 1]])
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="stop"), CodeWriter(path, n_bits=2) as writer:
        writer.append([[1, -1]])
        raise RuntimeError("stop")
    with pytest.raises(ValueError, match="no codes were appended"), CodeWriter(path, n_bits=2):
        pass
    with pytest.raises(ValueError, match="ids must come with every block"), CodeWriter(path, n_bits=2) as writer:
        writer.append([[1, -1]], [3])
        writer.append([[1, -1]])
    with pytest.raises(ValueError, match="ids must come with every block"), CodeWriter(path, n_bits=2) as writer:
        writer.append([[1, -1]])
        writer.append([[1, -1]], [3])
    with pytest.raises(ValueError, match="3 bits, 2 are expected"), CodeWriter(path, n_bits=2) as writer:
        writer.append([[1, -1, 1]])
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["file"]
    with pytest.raises(ValueError, match="n_bits must be a positive integer"):
        CodeWriter(path, n_bits=0)
    with pytest.raises(FileNotFoundError, match=r"folder .* does not exist"):
        save_codes(tmp_path / "no" / "file", [[1]])
    with pytest.raises(IsADirectoryError, match="name a file"):
        save_codes(tmp_path, [[1]])


def test_links_and_permissions(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    save_codes(tmp_path / "link", [[1, -1]])
    assert (tmp_path / "link").is_symlink() and load_codes(tmp_path / "target").n_bits == 2
    mask = os.umask(0o022)
    os.umask(mask)
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o666 & ~mask


def test_big_endian_bits_of_foreign_npz(tmp_path):
    B = make_codes(9, 13)
    np.savez(tmp_path / "a.npz", codes=np.packbits(B > 0, axis=1), n_bits=13, bitorder="big")
    np.savez(tmp_path / "b.npz", codes=B, n_bits=13)  # not packed
    for name in ("a.npz", "b.npz"):
        np.testing.assert_array_equal(packing.unpack(load_codes(tmp_path / name).packed, 13), B)


@pytest.mark.parametrize("with_ids", [False, True])
def test_every_changed_byte_and_every_cut_is_noticed(tmp_path, with_ids):
    path, bad = tmp_path / "good", tmp_path / "bad"
    save_codes(path, make_codes(21, 20), ids=np.arange(21) if with_ids else None)
    data = path.read_bytes()
    for place in [*range(0, 512, 5), *range(512, len(data))]:  # the header with its padding, the codes
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        bad.write_bytes(changed)
        with pytest.raises(CodeFileError, match="bad"):
            load_codes(bad)
    for size in range(0, len(data), 7):
        bad.write_bytes(data[:size])
        with pytest.raises(CodeFileError, match="bad"):
            load_codes(bad, verify=False)
    bad.write_bytes(data + b"\0")
    with pytest.raises(CodeFileError, match="longer than it should be"):
        load_codes(bad, verify=False)


def test_verify_is_a_choice(tmp_path):
    path = tmp_path / "file"
    save_codes(path, make_codes(10, 64))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CodeFileError, match="codes do not match their checksum"):
        BinaryIndex.open(path)
    assert len(BinaryIndex.open(path, verify=False)) == 10


def write_npz(path, **arrays):
    np.savez(path, **arrays)


def write_version(path, version):
    with CodeWriter(path, n_bits=2) as writer:
        writer.append([[1, -1]])
    data = bytearray(path.read_bytes())
    data[8:12] = version.to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "no file of codes: its first bytes are b''"),
        (lambda path: path.write_text("1,0,1"), "no file of codes"),
        (lambda path: path.write_bytes(b"\x93HCODES\n\1"), "ends in its header"),
        (lambda path: write_version(path, 2), "version 2 of the format; this hashers reads version 1"),
        (lambda path: path.write_bytes(b"PK\3\4 and more"), "cannot be read as an npz file"),
        (lambda path: write_npz(path, codes=np.zeros((2, 1), np.uint8)), "holds codes; codes and n_bits"),
        (lambda path: write_npz(path, X=np.zeros(2)), "holds X; codes and n_bits"),
        (lambda path: write_npz(path, codes=np.zeros((2, 1), np.uint8), n_bits=9), r"shape \(n, 2\) for 9 bits"),
        (lambda path: write_npz(path, codes=np.full((2, 1), 8, np.uint8), n_bits=3), "beyond n_bits=3"),
        (lambda path: write_npz(path, codes=np.zeros((2, 1), np.uint8), n_bits=3, bitorder="odd"), "bitorder"),
        (lambda path: write_npz(path, codes=np.zeros((2, 1), np.uint8), n_bits=3, ids=[1]), "ids must have shape"),
        (lambda path: write_npz(path, codes=np.array([{}]), n_bits=3), "cannot be read as an npz file"),
    ],
)
def test_foreign_files(tmp_path, write, message):
    path = tmp_path / "file.npz"
    write(path)
    with pytest.raises(CodeFileError, match=message):
        load_codes(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_codes(tmp_path / "none")

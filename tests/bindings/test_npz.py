"""The `.npz` reader: arrays unpacked, never unpickled, nothing allocated on the word of a header."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from netspectra.bindings.readers import LoadLimits, inspect_file, load
from netspectra.errors import FileFormatError, LimitError


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def lying_npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("latin1") + data


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
def test_weights_come_back_as_they_were(tmp_path: Path, weights: list[np.ndarray], save: Any, dtype: str) -> None:
    path = tmp_path / "model.npz"
    save(path, **{f"layer{i}/kernel": np.asfortranarray(w.astype(dtype)) for i, w in enumerate(weights)})
    graph = load(path)
    for block, w in zip(graph.blocks, weights, strict=True):
        assert block.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(block.weights, w.astype(dtype))
    assert [layer.name for layer in graph.layers] == ["input", "layer0", "layer1", "layer2"]


def test_python_objects_are_never_unpickled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ragged = np.empty(2, object)
    ragged[:] = [np.eye(2), np.eye(3)]
    np.savez(tmp_path / "objects.npz", weights=ragged)
    with pytest.raises(FileFormatError, match="1-D"):
        load(tmp_path / "objects.npz")
    np.savez(tmp_path / "objects.npz", a=np.array([[None, 1], [2, 3]], object), b=np.eye(2), c=ragged)
    load(tmp_path / "objects.npz", orientation="in-out")
    assert "'a' (2, 2): Python objects (a pickle, which could run code)" in caplog.text
    assert "'c' (2,)" in caplog.text


def test_what_numpy_cannot_name_is_skipped_with_the_reason(tmp_path: Path) -> None:
    others = {
        "bf16": np.ones((2, 2), ml_dtypes.bfloat16),
        "complex": np.ones((2, 2), complex),
        "text": np.array([["a"]]),
        "record": np.zeros((2, 2), [("x", "f4")]),
    }
    np.savez(tmp_path / "mixed.npz", w=np.eye(2), **others)
    reasons = {s.name: s.reason for s in inspect_file(tmp_path / "mixed.npz").report.skipped}
    assert "bfloat16" in reasons["bf16"]
    assert "complex numbers" in reasons["complex"]
    assert "text" in reasons["text"]
    assert "structured" in reasons["record"]


def test_members_that_are_no_arrays_are_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "extra.npz", {"w.npy": npy(np.eye(2)), "readme.txt": b"hello"})
    (skipped,) = inspect_file(path).report.skipped
    assert (skipped.name, skipped.reason) == ("readme.txt", "not a .npy member")


F4 = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lying_npy(F4 % "1000000, 1000000", bytes(16)), "expected 4,000,000,000,000 bytes"),
        (lying_npy(F4 % "2, 2", bytes(12)), "expected 16 bytes .float32 of shape .2, 2.. for 'w'"),
        (lying_npy(F4 % "2, 2", bytes(20)), "a member that unpacks to 20"),
        (lying_npy(F4 % "-2, 2", bytes(16)), "non-negative integers"),
        (lying_npy(F4 % "True, 2", bytes(8)), "non-negative integers"),
        (lying_npy(F4 % "__import__('os'), 2"), "not a Python literal"),
        (lying_npy("(" * 5000), "not a Python literal"),
        (lying_npy("[1, 2]"), "without exactly descr"),
        (lying_npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 2)}"), "neither True nor False"),
        (lying_npy(r"{'descr': '\d', 'fortran_order': False, 'shape': (2, 2)}"), "backslashes"),
        (lying_npy(" " * 20_000), "a header of 20,000 bytes"),
        (b"\x93NUMPY\x01\x00\xff\x00{}", "ends too early"),
        (b"\x93NUMPY\x09\x00\x02\x00{}", "version 9.0"),
        (b"not an array at all", "begins with"),
        (b"", "begins with"),
    ],
)
def test_an_array_header_that_lies_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = write_zip(tmp_path / "lie.npz", {"w.npy": content})
    with pytest.raises(FileFormatError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = npy(np.zeros((2048, 8200), np.float32))
    path = write_zip(tmp_path / "bomb.npz", {"w.npy": bomb}, zipfile.ZIP_DEFLATED)
    with pytest.raises(LimitError, match="the factor by which it unpacks"):
        load(path)
    with pytest.raises(LimitError, match="more than the limit max_bytes=1,000"):
        load(path, limits=LoadLimits(max_bytes=1000))


def test_a_directory_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "lie.npz", {"w.npy": npy(np.eye(2))})
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<L", 1 << 31)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="sizes that are possible, got 2,147,483,648 bytes"):
        load(path)


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    """Many directory entries that share one member's bytes: the other kind of zip bomb."""
    path = write_zip(tmp_path / "overlap.npz", {f"{i}.npy": npy(np.eye(20)) for i in range(9)})
    content = path.read_bytes()
    start, end = content.index(b"PK\x01\x02"), content.rindex(b"PK\x05\x06")
    first_member = content[: content.index(b"PK\x03\x04", 4)]
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, end - start, len(first_member), 0)
    path.write_bytes(first_member + content[start:end] + tail)
    with pytest.raises(FileFormatError, match="do not overlap"):
        load(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_and_exotic_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", npy(np.eye(2)))
        archive.writestr("w.npy", npy(np.eye(2)))
    with pytest.raises(FileFormatError, match=r"'w\.npy' twice"):
        load(path)
    with pytest.raises(FileFormatError, match="packed by method 14"):
        load(write_zip(path, {"w.npy": npy(np.eye(2))}, zipfile.ZIP_LZMA))


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "damaged.npz", {"w.npy": npy(np.eye(30))})
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="CRC"):
        load(path, orientation="in-out")


def test_truncation_anywhere_is_refused(tmp_path: Path, weights: list[np.ndarray]) -> None:
    np.savez(tmp_path / "whole.npz", *weights)
    content = (tmp_path / "whole.npz").read_bytes()
    for length in range(0, len(content), 11):
        (tmp_path / "part.npz").write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"part\.npz"):
            load(tmp_path / "part.npz")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (LoadLimits(max_bytes=300), "the size of its arrays in bytes"),
        (LoadLimits(max_tensors=1), "the number of its members is 2"),
        (LoadLimits(max_dimensions=1), "the number of dimensions of 'a'"),
        (LoadLimits(max_header_bytes=50), "the length of its directory"),
    ],
)
def test_limits_are_kept(tmp_path: Path, limits: LoadLimits, message: str) -> None:
    np.savez(tmp_path / "two.npz", a=np.eye(4), b=np.eye(4))
    with pytest.raises(LimitError, match=message):
        load(tmp_path / "two.npz", limits=limits)

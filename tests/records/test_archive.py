"""Writing: the whole file or nothing, and what was there before stays until it is replaced."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netspectra.records import archive, read_archive, write_archive

ARRAYS = {"a": np.arange(1000.0), "b": np.array([], np.int32)}


def names(folder: Path) -> list[str]:
    """Return what lies in a folder, hidden files included."""
    return sorted(path.name for path in folder.iterdir())


def test_header_and_arrays_come_back(tmp_path: Path) -> None:
    header = {"text": "ä", "number": 2**64 - 1, "nothing": None, "nan": float("nan")}
    write_archive(tmp_path / "x.npz", header, ARRAYS)
    found, arrays = read_archive(tmp_path / "x.npz")
    assert {**found, "nan": None} == {**header, "nan": None}
    assert found["nan"] != found["nan"]
    assert list(arrays) == ["a", "b"]
    for name, array in arrays.items():
        assert array.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_an_earlier_file_is_replaced(tmp_path: Path) -> None:
    for number in (1, 2):
        write_archive(tmp_path / "x.npz", {"number": number}, ARRAYS)
    assert read_archive(tmp_path / "x.npz")[0] == {"number": 2}
    assert names(tmp_path) == ["x.npz"]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_archive(tmp_path / name, {"number": 1}, ARRAYS)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def full_disk(failure: BaseException) -> Callable[..., None]:
    """Stand in for NumPy's writer: write a little, then fail."""

    def write(stream: Any, **arrays: Any) -> None:
        stream.write(b"PK\x03\x04 half a file")
        stream.flush()
        raise failure

    return write


FAILURES = [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("earlier", [False, True])
def test_a_write_that_fails_midway_leaves_what_was_there(
    failure: BaseException, earlier: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.npz"
    if earlier:
        write_archive(path, {"number": 1}, ARRAYS)
    monkeypatch.setattr(archive.np, "savez_compressed", full_disk(failure))
    with pytest.raises(type(failure)):
        write_archive(path, {"number": 2}, ARRAYS)
    monkeypatch.undo()
    assert names(tmp_path) == (["x.npz"] if earlier else [])
    if earlier:
        assert read_archive(path)[0] == {"number": 1}


def test_a_rename_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied", str(target))

    write_archive(tmp_path / "x.npz", {"number": 1}, ARRAYS)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        write_archive(tmp_path / "x.npz", {"number": 2}, ARRAYS)
    monkeypatch.undo()
    assert names(tmp_path) == ["x.npz"]
    assert read_archive(tmp_path / "x.npz")[0] == {"number": 1}


def test_a_header_that_is_no_json_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_archive(tmp_path / "x.npz", {"number": object()}, ARRAYS)
    assert names(tmp_path) == []


def test_a_folder_that_takes_no_file_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"x\.npz|file|missing"):
        write_archive(tmp_path / "missing" / "x.npz", {}, ARRAYS)
    with pytest.raises(OSError, match=r"x\.npz|file"):
        write_archive(tmp_path / "file" / "x.npz", {}, ARRAYS)
    assert names(tmp_path) == ["file"]


def test_a_read_only_folder_gets_a_whole_file_or_none(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o500)
    try:
        write_archive(folder / "x.npz", {"number": 1}, ARRAYS)
    except PermissionError:
        assert names(folder) == []
    else:  # root may write anywhere
        assert read_archive(folder / "x.npz")[0] == {"number": 1}
    finally:
        folder.chmod(0o700)


def test_a_folder_of_that_name_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.npz").mkdir()
    with pytest.raises(OSError, match=r"x\.npz"):
        write_archive(tmp_path / "x.npz", {}, ARRAYS)
    assert names(tmp_path) == ["x.npz"]
    assert names(tmp_path / "x.npz") == []

"""The safetensors reader: weights in place, and a header that is not believed."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from netspectra.bindings.readers import LoadLimits, inspect_file, load
from netspectra.errors import FileFormatError, LimitError

Writer = Callable[..., Path]


def entry(dtype: str, shape: list[Any], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def is_mapped(array: np.ndarray) -> bool:
    """Whether the array's memory is a file's: its chain of bases ends in a memory map."""
    base: Any = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return isinstance(base, mmap.mmap)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_come_back_as_they_were_without_a_copy(
    tmp_path: Path, weights: list[np.ndarray], dtype: np.dtype
) -> None:
    stored = {f"fc{i}.weight": np.ascontiguousarray(w.T.astype(dtype)) for i, w in enumerate(weights)}
    save_file(stored, tmp_path / "model.safetensors")
    graph = load(tmp_path / "model.safetensors")
    for block, w in zip(graph.blocks, weights, strict=True):
        assert block.dtype == dtype
        np.testing.assert_array_equal(block.weights, w.astype(dtype))
        assert is_mapped(block.weights)
        assert not block.weights.flags.writeable
    assert [layer.name for layer in graph.layers] == ["input", "fc0", "fc1", "fc2"]


def test_bfloat16_is_read_in_place(write_safetensors: Writer) -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3).astype(ml_dtypes.bfloat16)
    path = write_safetensors({"w": entry("BF16", [2, 3], 0, 12)}, matrix.tobytes())
    (block,) = load(path, orientation="in-out").blocks
    assert block.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(block.weights, matrix)
    assert inspect_file(path).n_nonzero == (5,)


def test_integers_are_read_where_order_names_them(tmp_path: Path) -> None:
    save_file({"w": np.array([[1, -2], [3, 4]], np.int8)}, tmp_path / "q.safetensors")
    (block,) = load(tmp_path / "q.safetensors", orientation="in-out", order=["w"]).blocks
    assert block.dtype == np.float64
    np.testing.assert_array_equal(block.weights, [[1, -2], [3, 4]])


def test_a_tensor_off_its_alignment_is_copied(write_safetensors: Writer) -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    header = b'{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
    for padding in range(4):
        path = write_safetensors(header + b" " * padding, matrix.tobytes())
        (block,) = load(path, orientation="in-out").blocks
        np.testing.assert_array_equal(block.weights, matrix)
        assert block.weights.flags.aligned


def test_float8_is_skipped_by_name(write_safetensors: Writer, caplog: pytest.LogCaptureFixture) -> None:
    header = {"a": entry("F32", [2, 2], 0, 16), "b": entry("F8_E4M3", [2, 2], 16, 20)}
    load(write_safetensors(header, bytes(20)), orientation="in-out")
    assert "'b' (2, 2): F8_E4M3" in caplog.text


ONE = entry("F32", [1, 2], 0, 8)


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"w": entry("F32", [1, 3], 0, 8)}, bytes(8), "expected 12 bytes for tensor 'w'"),
        ({"w": entry("F32", [1, 2], 0, 8)}, bytes(4), "the file is truncated"),
        ({"w": ONE}, bytes(12), "expected 8 bytes of tensors, as its header says, got 12"),
        ({"v": ONE, "w": ONE}, bytes(8), "'w', which overlaps"),
        ({"v": ONE, "w": entry("F32", [1, 2], 12, 20)}, bytes(20), "'w', which leaves a hole"),
        ({"w": entry("F32", [1, 2], 8, 0)}, bytes(8), r"data_offsets \[begin, end\]"),
        ({"w": entry("F32", [1, 2], -8, 0)}, bytes(8), r"data_offsets \[begin, end\]"),
        ({"w": entry("F32", [-1, -2], 0, 8)}, bytes(8), "non-negative integers as shape"),
        ({"w": entry("F32", [True, 2], 0, 8)}, bytes(8), "non-negative integers as shape"),
        ({"w": entry("F32", [1.0, 2], 0, 8)}, bytes(8), "non-negative integers as shape"),
        ({"w": entry("F32", [10**30, 0], 0, 0)}, b"", "non-negative integers as shape"),
        ({"w": entry("F32", [2**61, 2**61], 0, 8)}, bytes(8), "an impossibly large number bytes"),
        ({"w": entry("F33", [1, 2], 0, 8)}, bytes(8), "a known dtype for tensor 'w', got 'F33'"),
        ({"w": entry([], [1, 2], 0, 8)}, bytes(8), "a known dtype"),  # type: ignore[arg-type]
        ({"w": entry("F4", [1, 1], 0, 1)}, bytes(1), "expected 1 bytes"),
        ({"w": {"dtype": "F32", "shape": [1, 2]}}, bytes(8), "dtype, shape and data_offsets"),
        ({"w": 7}, bytes(8), "dtype, shape and data_offsets"),
        ({"__metadata__": {"a": 1}, "w": ONE}, bytes(8), "__metadata__ from strings to strings"),
        (b'{"w":1,"w":2}', b"", "the key 'w' twice"),
        (b"{" * 100_000, b"", "expected a JSON header"),
        (b'{"a":' + b"[" * 100_000, b"", "expected a JSON header"),
        (b'{"\xff":1}', b"", "expected a JSON header"),
        (b'{"a":' + b"9" * 5000 + b"}", b"", "expected a JSON header"),
        (b"{}", b"", "got none .the file is empty."),
    ],
)
def test_a_header_that_lies_is_refused(write_safetensors: Writer, header: Any, data: bytes, message: str) -> None:
    path = write_safetensors(header, data)
    with pytest.raises(FileFormatError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("length", [1, 200, 1 << 40, (1 << 64) - 1])
def test_a_header_length_that_lies_is_refused(write_safetensors: Writer, length: int) -> None:
    with pytest.raises(FileFormatError, match="expected a"):
        load(write_safetensors({"w": ONE}, bytes(8), length=length))


def test_truncation_anywhere_is_refused(tmp_path: Path, weights: list[np.ndarray]) -> None:
    whole = tmp_path / "whole.safetensors"
    save_file({f"{i}": w for i, w in enumerate(weights)}, whole)
    content = whole.read_bytes()
    for length in range(0, len(content), 7):
        path = tmp_path / "part.safetensors"
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"part\.safetensors"):
            load(path)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (LoadLimits(max_bytes=15), "the size of its tensors in bytes is 16, more than the limit max_bytes=15"),
        (LoadLimits(max_tensors=1), "the number of its tensors is 2"),
        (LoadLimits(max_dimensions=1), "the number of dimensions of tensor 'v' is 2"),
        (LoadLimits(max_header_bytes=50), "the length of its header in bytes"),
    ],
)
def test_limits_are_kept(write_safetensors: Writer, limits: LoadLimits, message: str) -> None:
    path = write_safetensors({"v": ONE, "w": entry("F32", [2, 1], 8, 16)}, bytes(16))
    with pytest.raises(LimitError, match=message) as caught:
        load(path, limits=limits)
    assert "pass limits=LoadLimits(" in str(caught.value)

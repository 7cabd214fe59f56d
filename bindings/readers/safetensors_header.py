"""The header of a safetensors file, believed only once every number in it has been checked against the file.

Layout: 8 bytes, the length of the header (unsigned, little-endian); the header, a JSON object from tensor names to
``{"dtype", "shape", "data_offsets"}``, padded with spaces; then the tensors, one after the other without holes.
Source: the format's description, https://github.com/huggingface/safetensors#format. We also refuse duplicate keys,
which JSON leaves open.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from netspectra.bindings.readers.limits import LoadLimits
from netspectra.errors import FileFormatError

__all__ = ["Header", "HeaderEntry", "read_header"]

_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "BOOL": 8, "U8": 8, "I8": 8,
    "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
"""Bits of one element of every dtype the format knows (safetensors 0.8)."""

_LONGEST_SIDE = 1 << 62


@dataclass(frozen=True, slots=True)
class HeaderEntry:
    """One tensor: its name, dtype as the format spells it, shape, and its bytes [begin, end) after the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """The checked header: its tensors in file order, its free metadata, and where the first tensor's bytes start."""

    entries: tuple[HeaderEntry, ...]
    metadata: dict[str, str]
    data_start: int


def read_header(handle: BinaryIO, file_size: int, path: Path, limits: LoadLimits) -> Header:
    """Read and check the header of a safetensors file.

    Parameters
    ----------
    handle : binary file
        At its beginning.
    file_size : int
        Bytes of the whole file.
    path : Path
        How an error message calls it.
    limits : LoadLimits

    Raises
    ------
    FileFormatError
        If the file is truncated or its header is not true of it.
    LimitError
        If header, tensors, dimensions or bytes are more than `limits` allow.
    """
    length = int.from_bytes(handle.read(8), "little")
    if file_size < 8 or length > file_size - 8:
        raise _wrong(path, "a header within the file", f"a header of {length:,} bytes in a file of {file_size:,}")
    limits.require("max_header_bytes", length, path, "the length of its header in bytes")
    content = _parse_json(handle.read(length), path)
    metadata = _checked_metadata(content.pop("__metadata__", {}), path)
    limits.require("max_tensors", len(content), path, "the number of its tensors")
    entries = [_checked_entry(name, entry, path, limits) for name, entry in content.items()]
    entries.sort(key=lambda entry: (entry.begin, entry.end))
    _require_contiguous(entries, file_size - 8 - length, path)
    limits.require("max_bytes", file_size - 8 - length, path, "the size of its tensors in bytes")
    return Header(tuple(entries), metadata, 8 + length)


def _parse_json(text: bytes, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise _wrong(path, "a JSON header", f"{str(error) or type(error).__name__}") from error
    if not isinstance(content, dict):
        raise _wrong(path, "a JSON object as header", f"a JSON {type(content).__name__}")
    return content


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            msg = f"the key {_short(name)} twice"
            raise ValueError(msg)
        content[name] = value
    return content


def _checked_metadata(metadata: object, path: Path) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _wrong(path, "__metadata__ from strings to strings", _short(metadata))
    return metadata


def _checked_entry(name: str, entry: Any, path: Path, limits: LoadLimits) -> HeaderEntry:
    label = _short(name)
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise _wrong(path, f"dtype, shape and data_offsets for tensor {label}", _short(entry))
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise _wrong(path, f"a known dtype for tensor {label}", _short(dtype))
    if not _are_sizes(shape):
        raise _wrong(path, f"a list of non-negative integers as shape of tensor {label}", _short(shape))
    limits.require("max_dimensions", len(shape), path, f"the number of dimensions of tensor {label}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _wrong(path, f"data_offsets [begin, end] of tensor {label}", _short(offsets))
    bits = math.prod(shape) * _BITS[dtype]
    if bits != 8 * (offsets[1] - offsets[0]):
        came = f"data_offsets that span {_short(offsets[1] - offsets[0])}"
        raise _wrong(path, f"{_short(-(-bits // 8))} bytes for tensor {label} ({dtype} of shape {_short(shape)})", came)
    return HeaderEntry(name, dtype, tuple(shape), offsets[0], offsets[1])


def _are_sizes(values: object) -> bool:
    """Whether it is a list of plain non-negative integers that an array could have as sides (JSON's true is not 1)."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < _LONGEST_SIDE for value in values)


def _require_contiguous(entries: list[HeaderEntry], n_bytes: int, path: Path) -> None:
    end = 0
    for entry in entries:
        if entry.begin != end:
            problem = "overlaps the one before it" if entry.begin < end else "leaves a hole before it"
            raise _wrong(path, "tensors one after the other", f"tensor {_short(entry.name)}, which {problem}")
        end = entry.end
    if end != n_bytes:
        hint = "; the file is truncated" if end > n_bytes else ""
        raise _wrong(path, f"{end:,} bytes of tensors, as its header says", f"{n_bytes:,}{hint}")


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or value < _LONGEST_SIDE else "an impossibly large number"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _wrong(path: Path, expected: str, came: str) -> FileFormatError:
    return FileFormatError(
        f"{path}: not a valid safetensors file: expected {expected}, got {came}; write it again or fetch a fresh copy"
    )

"""The directory of a zip archive, checked against the file and the limits before any member is opened."""

import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from netspectra.bindings.readers.limits import LoadLimits
from netspectra.errors import FileFormatError

__all__ = ["open_archive"]

_STEEPEST = 1032
"""Bytes that one byte of DEFLATE can become at most (258 bytes from 2 bits)."""

_WRITERS = {".npz": "numpy.savez", ".pt": "torch.save(model.state_dict(), path)", ".keras": "model.save"}

_END = b"PK\x05\x06"
_END_SIZE = 22
_LONGEST_COMMENT = 0xFFFF
_ZIP64_END = b"PK\x06\x06"
_ZIP64_SIZE = 56
_ZIP64_LOCATOR_SIZE = 20


def open_archive(path: Path, limits: LoadLimits, kind: str = ".npz") -> zipfile.ZipFile:
    """Open a zip archive whose members are stored or deflated, unencrypted, and as large as they can be.

    Parameters
    ----------
    path : Path
    limits : LoadLimits
    kind : str
        How messages call the format.

    Raises
    ------
    FileFormatError
        If it is no such archive.
    LimitError
        If it has more members or bytes, or unpacks by a larger factor, than `limits` allow.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        _require_directory(handle, size, path, limits, kind)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, LookupError, struct.error, zlib.error) as error:
        raise _wrong(path, kind, "a readable directory", str(error) or type(error).__name__) from error
    try:
        _require_members(archive.infolist(), size, path, limits, kind)
    except BaseException:
        archive.close()
        raise
    return archive


def _require_directory(handle: BinaryIO, size: int, path: Path, limits: LoadLimits, kind: str) -> None:
    """Look at the end record alone, since zipfile reads the whole directory at once, however long it claims to be."""
    reach = _END_SIZE + _LONGEST_COMMENT + _ZIP64_SIZE + _ZIP64_LOCATOR_SIZE
    handle.seek(max(0, size - reach))
    tail = handle.read(reach)
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < _END_SIZE:
        raise _wrong(path, kind, "the directory at its end", "none; the file is truncated or no archive")
    n_members, n_bytes = struct.unpack_from("<HL", tail, end + 10)
    wide = end - _ZIP64_LOCATOR_SIZE - _ZIP64_SIZE
    if wide >= 0 and tail.startswith(_ZIP64_END, wide):
        wide_members, wide_bytes = struct.unpack_from("<QQ", tail, wide + 32)
        n_members = wide_members if n_members == 0xFFFF else n_members
        n_bytes = wide_bytes if n_bytes == 0xFFFFFFFF else n_bytes
    if n_bytes > size:
        raise _wrong(path, kind, "a directory within the file", f"one of {n_bytes:,} bytes in a file of {size:,}")
    limits.require("max_header_bytes", n_bytes, path, "the length of its directory in bytes")
    limits.require("max_tensors", n_members, path, "the number of its members")


def _require_members(members: list[zipfile.ZipInfo], size: int, path: Path, limits: LoadLimits, kind: str) -> None:
    limits.require("max_tensors", len(members), path, "the number of its members")
    seen: set[str] = set()
    for info in members:
        if info.filename in seen:
            raise _wrong(path, kind, "distinct members", f"{info.filename!r} twice")
        seen.add(info.filename)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            packing = "encrypted" if info.flag_bits & 1 else f"packed by method {info.compress_type}"
            raise _wrong(path, kind, "stored or deflated members", f"{info.filename!r}, which is {packing}")
        ratio = 1 if info.compress_type == zipfile.ZIP_STORED else _STEEPEST
        if info.file_size > ratio * info.compress_size:
            came = f"{info.file_size:,} bytes for {info.filename!r} from {info.compress_size:,}"
            raise _wrong(path, kind, "sizes that are possible", came)
    packed, unpacked = sum(i.compress_size for i in members), sum(i.file_size for i in members)
    if packed > size:
        raise _wrong(path, kind, "members that do not overlap", f"{packed:,} packed bytes in a file of {size:,}")
    limits.require("max_bytes", unpacked, path, "the size of its arrays in bytes")
    limits.require_expansion(packed, unpacked, path)


def _wrong(path: Path, kind: str, expected: str, came: str) -> FileFormatError:
    again = _WRITERS.get(kind, "the program that made it")
    return FileFormatError(
        f"{path}: not a valid {kind} file: expected {expected}, got {came}; write it again with {again}"
    )

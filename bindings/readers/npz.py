"""NumPy's `.npz`: a zip archive of arrays, never unpickled, every size established before anything is allocated.

The archive's directory and each member's `.npy` header must agree, compressed sizes must fit the file and DEFLATE's
greatest ratio, and the total must keep the limits: so neither a zip bomb nor a lying header gets memory.
"""

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from netspectra.bindings.readers.limits import LoadLimits
from netspectra.bindings.readers.npy_header import NpyHeader, read_npy_header
from netspectra.bindings.readers.tensors import Array, Tensor, TensorFile
from netspectra.bindings.readers.zip_directory import open_archive
from netspectra.errors import FileFormatError, LimitError

__all__ = ["open_npz"]

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, LookupError, struct.error)
"""What zipfile raises while it reads a damaged member."""

_CHUNK = 1 << 20


def open_npz(path: Path, limits: LoadLimits) -> TensorFile:
    """Open an `.npz` archive: directory and array headers are read and checked, no array is.

    Returns
    -------
    TensorFile
        Keys as :func:`numpy.load` gives them (the members' names without ``.npy``). Members that are not `.npy` are
        in `unread`.

    Raises
    ------
    FileFormatError
        If the archive is damaged, or says things about itself that are not true.
    LimitError
        If it is larger than `limits` allow.
    """
    archive = open_archive(path, limits)
    try:
        tensors: dict[str, Tensor] = {}
        unread: list[tuple[str, str]] = []
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                unread.append((info.filename, "not a .npy member"))
                continue
            tensor = _tensor(archive, info, path, limits)
            tensors[tensor.name] = tensor
    except BaseException:
        archive.close()
        raise
    return TensorFile(path, "npz", tensors, unread=tuple(unread), close=archive.close)


def _tensor(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, limits: LoadLimits) -> Tensor:
    name = info.filename.removesuffix(".npy")
    try:
        with archive.open(info) as stream:
            header = read_npy_header(stream)
    except _DAMAGED as error:
        raise _wrong(path, name, "an array header", str(error) or type(error).__name__) from error
    limits.require("max_dimensions", len(header.shape), path, f"the number of dimensions of {name!r}")
    n_bytes = info.file_size - header.data_start
    if header.dtype is not None and header.n_bytes != n_bytes:
        sizes = f"{header.n_bytes:,} bytes ({header.stored} of shape {header.shape})"
        raise _wrong(path, name, sizes, f"a member that unpacks to {n_bytes:,}")

    def read() -> Array:
        return _read(archive, info, header, path)

    native = None if header.dtype is None else header.dtype.newbyteorder("=")
    return Tensor(name, header.shape, header.stored, native, max(0, n_bytes), read)


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: NpyHeader, path: Path) -> Array:
    """Unpack one member straight into its array, chunk by chunk; zipfile checks the CRC at the end."""
    name = info.filename.removesuffix(".npy")
    try:
        array = np.empty(header.n_bytes, np.uint8)
    except MemoryError as error:
        msg = f"{path}: {name!r} needs {header.n_bytes:,} bytes, more than there are; use a machine with more memory"
        raise LimitError(msg) from error
    try:
        with archive.open(info) as stream:
            stream.read(header.data_start)
            filled = 0
            while filled < array.size:
                chunk = stream.read(_CHUNK)
                if not chunk or filled + len(chunk) > array.size:
                    raise _wrong(path, name, f"{array.size:,} bytes", f"{filled + len(chunk):,}")
                array[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
                filled += len(chunk)
            if stream.read(1):
                raise _wrong(path, name, f"{array.size:,} bytes", "more")
    except FileFormatError:
        raise
    except _DAMAGED as error:
        raise _wrong(path, name, "intact data", str(error) or type(error).__name__) from error
    typed = array.view(header.dtype or np.uint8).reshape(header.shape, order="F" if header.fortran_order else "C")
    return typed.astype(typed.dtype.newbyteorder("="), copy=False)


def _wrong(path: Path, name: str, expected: str, came: str) -> FileFormatError:
    return FileFormatError(
        f"{path}: not a valid .npz file: expected {expected} for {name!r}, got {came}; write it again with numpy.savez"
    )

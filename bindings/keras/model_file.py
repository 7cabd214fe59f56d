"""A Keras model on disk: its configuration, and the HDF5 file of its weights, wherever that lies."""

import json
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from netspectra.bindings.keras.hdf5_file import Hdf5File, read_hdf5
from netspectra.bindings.readers.limits import LoadLimits
from netspectra.bindings.readers.tensors import Array
from netspectra.bindings.readers.zip_directory import open_archive
from netspectra.errors import FileFormatError, LimitError

__all__ = ["ModelFile", "open_model_file"]

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, LookupError, struct.error)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class ModelFile:
    """A model file.

    Attributes
    ----------
    path : Path
    config : dict or None
        ``{"class_name": …, "config": …}`` of the model; None where the file holds weights alone.
    weights : Hdf5File
    is_archive : bool
        A ``.keras`` archive, whose weights are stored by attribute; else an ``.h5`` file, by the layers' names.
    """

    path: Path
    config: dict[str, Any] | None
    weights: Hdf5File
    is_archive: bool


def open_model_file(path: Path, limits: LoadLimits) -> ModelFile:
    """Open a ``.keras`` archive or an ``.h5`` file; the first bytes tell which.

    Raises
    ------
    FileFormatError
        If it is neither, is damaged, or its configuration is no JSON object.
    LimitError
        If it is larger than `limits` allow.
    """
    try:
        with path.open("rb") as handle:
            first = handle.read(8)
        if first.startswith(b"PK"):
            text, content = _unpacked(path, limits)
        elif first == b"\x89HDF\r\n\x1a\n":
            text, content = None, np.asarray(np.memmap(path, np.uint8, "r"))
        else:
            msg = f"{path}: expected a .keras archive or an .h5 file, got a file that begins with {first!r}"
            raise FileFormatError(msg)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise FileFormatError(msg) from error
    weights = read_hdf5(content, path, limits)
    if text is not None:
        return ModelFile(path, _json(text, path), weights, is_archive=True)
    found = weights.texts("", "model_config")
    return ModelFile(path, _json(found[0], path) if found else None, weights, is_archive=False)


def _unpacked(path: Path, limits: LoadLimits) -> tuple[str | bytes, Array]:
    with open_archive(path, limits, ".keras") as archive:
        members = {info.filename: info for info in archive.infolist()}
        missing = [name for name in (_CONFIG, _WEIGHTS) if name not in members]
        if missing:
            came = f"{missing[0]} is not there; write it with model.save('model.keras') of Keras 3"
            msg = f"{path}: expected {_CONFIG} and {_WEIGHTS} in the archive, {came}"
            raise FileFormatError(msg)
        size = members[_CONFIG].file_size
        limits.require("max_header_bytes", size, path, "the length of its configuration in bytes")
        try:
            return archive.read(_CONFIG), _member(archive, members[_WEIGHTS], path)
        except _DAMAGED as error:
            if isinstance(error, FileFormatError | LimitError):
                raise
            msg = f"{path}: expected an intact archive, got a member that cannot be read ({error}); is it complete?"
            raise FileFormatError(msg) from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Array:
    """Bytes of a member: a view of the file where it is stored as it is (as Keras does), else unpacked into memory."""
    if info.compress_type == zipfile.ZIP_STORED:
        return _window(info, path)
    try:
        content = np.empty(info.file_size, np.uint8)
    except MemoryError as error:
        msg = f"{path}: {info.filename!r} unpacks to {info.file_size:,} bytes, more than there are"
        raise LimitError(msg) from error
    filled = 0
    with archive.open(info) as stream:
        while chunk := stream.read(_CHUNK):
            content[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
            filled += len(chunk)
    if filled != content.size:
        msg = f"{path}: expected {content.size:,} bytes of {info.filename!r}, got {filled:,}; is it complete?"
        raise FileFormatError(msg)
    return content


def _window(info: zipfile.ZipInfo, path: Path) -> Array:
    whole = np.asarray(np.memmap(path, np.uint8, "r"))
    head = bytes(whole[info.header_offset : info.header_offset + 30])
    if len(head) < 30 or not head.startswith(b"PK\x03\x04"):
        msg = f"{path}: expected a member where the archive's directory says, got none; is it complete?"
        raise FileFormatError(msg)
    n_name, n_extra = struct.unpack_from("<HH", head, 26)
    begin = info.header_offset + 30 + n_name + n_extra
    content = whole[begin : begin + info.file_size]
    if content.size != info.file_size:
        msg = f"{path}: expected {info.file_size:,} bytes of {info.filename!r}, got {content.size:,}; is it complete?"
        raise FileFormatError(msg)
    return content


def _json(text: str | bytes, path: os.PathLike[str]) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{os.fspath(path)}: expected the model's configuration as JSON, got something else ({error})"
        raise FileFormatError(msg) from error
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        msg = f"{os.fspath(path)}: expected a configuration that names the model's class, got none"
        raise FileFormatError(msg)
    return config

"""From a path to a reader: the suffix names the format, the first bytes must agree."""

import os
from collections.abc import Callable
from pathlib import Path

from netspectra.bindings.readers.limits import LoadLimits
from netspectra.bindings.readers.npz import open_npz
from netspectra.bindings.readers.pytorch_file import SAVE_STATE_DICT, open_pytorch
from netspectra.bindings.readers.safetensors_file import open_safetensors
from netspectra.bindings.readers.tensors import TensorFile
from netspectra.errors import FileFormatError
from netspectra.networks import Network

__all__ = ["NETWORK_READERS", "TENSOR_READERS", "open_tensors", "regular_file"]

TENSOR_READERS: dict[str, Callable[[Path, LoadLimits], TensorFile]] = {
    ".npz": open_npz,
    ".safetensors": open_safetensors,
    ".pt": open_pytorch,
    ".pth": open_pytorch,
    ".bin": open_pytorch,
}
"""Suffix to reader of named tensors: a new format is a module and a line here."""


def _onnx(path: Path, limits: LoadLimits) -> Network:
    from netspectra.bindings.onnx import network_from_onnx

    return network_from_onnx(path, limits)


def _keras(path: Path, limits: LoadLimits) -> Network:
    from netspectra.bindings.keras import network_from_keras

    return network_from_keras(path, limits)


NETWORK_READERS: dict[str, Callable[[Path, LoadLimits], Network]] = {
    ".onnx": _onnx,
    ".keras": _keras,
    ".h5": _keras,
    ".hdf5": _keras,
}
"""Suffix to reader of files that hold a topology; each is imported when it is needed."""

_SAVE_AS = (
    "save the weights with safetensors.torch.save_file(model.state_dict(), 'model.safetensors') or "
    "numpy.savez('model.npz', **weights)"
)
_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a single NumPy array (.npy)"),
    (b"\x80", "a Python pickle"),
)


def open_tensors(path: str | os.PathLike[str], limits: LoadLimits) -> TensorFile:
    """Open a file of tensors without reading any of them.

    Parameters
    ----------
    path : str or path-like
    limits : LoadLimits
        Checked against the file's own table of contents.

    Raises
    ------
    FileFormatError
        If the file is missing, not a regular file, or not what its suffix says.
    LimitError
        If it is larger than `limits` allow.
    """
    file = regular_file(path)
    reader = TENSOR_READERS[file.suffix.lower()]
    _require_signature(file)
    try:
        return reader(file, limits)
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror or error}"
        raise FileFormatError(msg) from error


def regular_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there and has a known suffix.

    Raises
    ------
    FileFormatError
    """
    file = _existing(path)
    if file.suffix.lower() not in TENSOR_READERS | NETWORK_READERS:
        known = [*TENSOR_READERS, *NETWORK_READERS]
        formats = f"{', '.join(known[:-1])} and {known[-1]}"
        msg = f"{file}: expected one of the formats {formats}, got the suffix {file.suffix or '(none)'!r}; {_SAVE_AS}"
        raise FileFormatError(msg)
    return file


def _existing(path: str | os.PathLike[str]) -> Path:
    try:
        file = Path(path)
    except TypeError as error:
        msg = f"path: expected a str or a path-like object, got {type(path).__name__}"
        raise FileFormatError(msg) from error
    try:
        if file.is_file():
            return file
        kind = "a folder" if file.is_dir() else "not a regular file" if file.exists() else None
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot be looked up: {error}"
        raise FileFormatError(msg) from error
    if kind is None:
        where = "" if file.is_absolute() else f" (looked in {Path.cwd()})"
        msg = f"{file}: expected a file, but there is none{where}; check the path"
    else:
        msg = f"{file}: expected a file, got {kind}; name the file itself"
    raise FileFormatError(msg)


def _require_signature(file: Path) -> None:
    """A first look that tells a mistaken suffix from a damaged file; each reader then checks everything."""
    try:
        with file.open("rb") as handle:
            first = handle.read(16)
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror or error}"
        raise FileFormatError(msg) from error
    suffix = file.suffix.lower()
    if suffix in (".pt", ".pth", ".bin"):
        fits, expected = first.startswith((b"PK\x03\x04", b"PK\x05\x06")), "a zip archive made by torch.save"
        if first.startswith(b"\x80") or b"ustar" in first:
            msg = (
                f"{file}: expected {expected}, got the older format, a plain pickle, which could run code; "
                f"{SAVE_STATE_DICT}"
            )
            raise FileFormatError(msg)
    elif suffix == ".npz":
        # An archive without members begins with its end record: let the reader say that it is empty.
        fits, expected = first.startswith((b"PK\x03\x04", b"PK\x05\x06")), "a zip archive made by numpy.savez"
    else:
        fits, expected = first[8:9] == b"{", "an 8-byte length and a JSON header"
    if not fits:
        msg = f"{file}: expected {expected}, got {_describe(first)}; is the suffix right, the download complete?"
        raise FileFormatError(msg)


def _describe(first: bytes) -> str:
    if not first:
        return "an empty file"
    for signature, name in _SIGNATURES:
        if first.startswith(signature):
            return name
    if first[8:9] == b"{":
        return "what looks like a safetensors file"
    return f"a file that begins with {first[:8]!r}"

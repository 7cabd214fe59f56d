"""From a path to an open file of tensors: the suffix names the format, the first bytes must agree."""

import os
from collections.abc import Callable
from pathlib import Path

from netspectra.bindings.readers.limits import LoadLimits
from netspectra.bindings.readers.npz import open_npz
from netspectra.bindings.readers.safetensors_file import open_safetensors
from netspectra.bindings.readers.tensors import TensorFile
from netspectra.errors import FileFormatError

__all__ = ["READERS", "open_tensors"]

READERS: dict[str, Callable[[Path, LoadLimits], TensorFile]] = {
    ".npz": open_npz,
    ".safetensors": open_safetensors,
}
"""Suffix to reader: a new format is a module and a line here."""

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
        If the file is missing, not a regular file, of an unknown suffix, or not what its suffix says.
    LimitError
        If it is larger than `limits` allow.
    """
    file = _regular_file(path)
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        known = " and ".join(READERS)
        msg = f"{file}: expected one of the formats {known}, got the suffix {file.suffix or '(none)'!r}; {_SAVE_AS}"
        raise FileFormatError(msg)
    _require_signature(file)
    try:
        return reader(file, limits)
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror or error}"
        raise FileFormatError(msg) from error


def _regular_file(path: str | os.PathLike[str]) -> Path:
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
        msg = f"{file}: expected a file, got {kind}; name the {' or '.join(READERS)} file itself"
    raise FileFormatError(msg)


def _require_signature(file: Path) -> None:
    """A first look that tells a mistaken suffix from a damaged file; each reader then checks everything."""
    try:
        with file.open("rb") as handle:
            first = handle.read(16)
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror or error}"
        raise FileFormatError(msg) from error
    if file.suffix.lower() == ".npz":
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

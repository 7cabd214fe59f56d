"""One ``.npz`` with a JSON header: written to a temporary name and renamed, read without pickle."""

import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from netspectra.errors import FileFormatError

__all__ = ["read_archive", "write_archive"]

HEADER = "header"
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    MemoryError,
    RecursionError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""All that reading a damaged archive has been seen to raise."""


def write_archive(
    path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]
) -> None:
    """Write `arrays` and a JSON `header`; a failure leaves whatever was at `path` untouched."""
    if any(array.dtype.hasobject for array in arrays.values()):
        msg = "only arrays of numbers are saved: objects would need pickle"
        raise TypeError(msg)
    target = Path(path)
    if target.is_dir():
        msg = f"{target} is a folder; give the name of a file in it"
        raise IsADirectoryError(msg)
    if not target.parent.is_dir():
        msg = f"{target}: there is no folder {target.parent}; make it first"
        raise FileNotFoundError(msg)
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez_compressed(stream, **{HEADER: text, **arrays})  # type: ignore[arg-type]
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_archive(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Read header and arrays back.

    Raises
    ------
    FileFormatError
        If the file is missing or is not such an archive.
    """
    if not Path(path).is_file():
        msg = f"{path}: no such file; expected a result saved with .save(path)"
        raise FileFormatError(msg)
    try:
        with Path(path).open("rb") as stream:
            found = np.load(stream, allow_pickle=False)
            if not isinstance(found, np.lib.npyio.NpzFile):
                msg = "one array, not an archive"
                raise ValueError(msg)
            with found as archive:
                arrays = {name: np.asarray(_require_array(archive[name])) for name in archive.files}
        header = json.loads(arrays.pop(HEADER).tobytes().decode())
    except _DAMAGE as error:
        msg = f"{path}: not a netspectra result, or a damaged one ({error}); expected an .npz saved with .save(path)"
        raise FileFormatError(msg) from error
    if not isinstance(header, dict):
        msg = f"{path}: not a netspectra result (its header is not a JSON object)"
        raise FileFormatError(msg)
    return header, arrays


def _require_array(value: Any) -> Any:
    """Refuse a member that is no array, which NumPy hands over as bytes."""
    if not isinstance(value, np.ndarray):
        msg = "a member that is not an array"
        raise ValueError(msg)
    return value


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask

"""One ``.npz`` with a JSON header: written to a temporary name and renamed, read without pickle."""

import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from netspectra.errors import FileFormatError

__all__ = ["read_archive", "write_archive"]

HEADER = "header"


def write_archive(
    path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]
) -> None:
    """Write `arrays` and a JSON `header`; a failure leaves whatever was at `path` untouched."""
    target = Path(path)
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **{HEADER: text, **arrays})
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
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop(HEADER).tobytes().decode())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        msg = f"{path}: not a netspectra result ({error}); expected an .npz saved with .save(path)"
        raise FileFormatError(msg) from error
    if not isinstance(header, dict):
        msg = f"{path}: not a netspectra result (its header is not a JSON object)"
        raise FileFormatError(msg)
    return header, arrays

"""External data of a model: ranges of files in its own folder, believed once they are known to lie there.

A location is a relative path that stays inside the folder and goes through no link; the file is a regular one; the
range lies in it and is as long as the tensor. It is mapped, and only when it is read.
"""

import re
import stat
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from netspectra.bindings.onnx.constants import Array
from netspectra.errors import FileFormatError

__all__ = ["DataFolder", "MappedFile"]

_NUMBER = re.compile(r"[0-9]{1,18}")
_PACK_AGAIN = "save the model again with onnx.save(model, path, save_as_external_data=True) into one folder"


class MappedFile:
    """A file of which ranges are read through one read-only map, made at the first of them.

    Parameters
    ----------
    path : Path
    size : int
        Its bytes when it was looked at.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size

    @cached_property
    def _bytes(self) -> Array:
        data = np.asarray(np.memmap(self.path, np.uint8, "r"))
        if data.size != self.size:
            msg = f"{self.path}: expected {self.size:,} bytes, got {data.size:,}; the file changed while it was read"
            raise FileFormatError(msg)
        return data

    def range(self, offset: int, length: int) -> Array:
        """Return bytes as a view of the map, shape (`length`,), uint8.

        Raises
        ------
        FileFormatError
            If the file is gone, or no longer as large as it was.
        """
        try:
            return self._bytes[offset : offset + length] if length else np.empty(0, np.uint8)
        except (OSError, ValueError) as error:
            if isinstance(error, FileFormatError):
                raise
            msg = f"{self.path}: cannot be read any more: {error}"
            raise FileFormatError(msg) from error


class DataFolder:
    """The folder of a model.

    Parameters
    ----------
    model : Path
        The model's own file.
    """

    def __init__(self, model: Path) -> None:
        self.model = model
        self._files: dict[str, MappedFile] = {}

    def claim(self, key: str, entries: Mapping[str, str], n_bytes: int) -> Callable[[], Array]:
        """Return what reads a tensor's bytes.

        Parameters
        ----------
        key : str
            The tensor.
        entries : mapping of str to str
            Its `external_data`: location, offset, length.
        n_bytes : int
            Bytes of its elements.

        Raises
        ------
        FileFormatError
            If there is no such range in a file of the folder.
        """
        file = self._regular_file(key, entries.get("location", ""))
        offset, length = (self._number(key, entries, name, free) for name, free in (("offset", 0), ("length", n_bytes)))
        if length != n_bytes:
            raise _wrong(self.model, key, f"a range of {n_bytes:,} bytes, as its shape says", f"one of {length:,}")
        if offset + length > file.size:
            raise _wrong(
                self.model,
                key,
                f"a range inside {file.path.name!r} of {file.size:,} bytes",
                f"one to byte {offset + length:,}",
            )
        return lambda: file.range(offset, length)

    def _regular_file(self, key: str, location: str) -> MappedFile:
        if location in self._files:
            return self._files[location]
        parts = PurePosixPath(location).parts
        windows = PureWindowsPath(location)
        if (
            not parts
            or "\0" in location
            or ".." in parts
            or location.startswith("/")
            or windows.drive
            or "\\" in location
        ):
            raise _wrong(self.model, key, "a location inside the model's folder", repr(location[:100]))
        place = self.model.parent
        try:
            for part in parts:
                place = place / part
                mode = place.lstat().st_mode
                if stat.S_ISLNK(mode):
                    raise _wrong(self.model, key, "a file, and folders, that are no links", repr(str(place)))
            if not stat.S_ISREG(mode):
                raise _wrong(self.model, key, "a regular file", repr(str(place)))
            self._files[location] = MappedFile(place, place.stat().st_size)
        except (OSError, ValueError) as error:
            if isinstance(error, FileFormatError):
                raise
            reason = getattr(error, "strerror", None) or str(error)
            raise _wrong(self.model, key, f"a file {location[:100]!r} beside the model", reason) from error
        return self._files[location]

    def _number(self, key: str, entries: Mapping[str, str], name: str, default: int) -> int:
        text = entries.get(name)
        if text is None:
            return default
        if not _NUMBER.fullmatch(text):
            raise _wrong(self.model, key, f"a number as {name} of its data", repr(text[:40]))
        return int(text)


def _wrong(model: Path, key: str, expected: str, came: str) -> FileFormatError:
    return FileFormatError(f"{model}: tensor {key!r}: expected {expected}, got {came}; {_PACK_AGAIN}")

"""An HDF5 file, walked once and checked: what datasets it holds, and the few attributes that Keras writes.

Nothing is followed out of the file: soft and external links, virtual datasets and external storage are refused, and so
is a second way to the same object (a hard link that could close a circle).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netspectra.bindings.keras.hdf5_text import read_texts
from netspectra.bindings.keras.hdf5_values import Unreadable, describe_dataset
from netspectra.bindings.readers.limits import LoadLimits
from netspectra.bindings.readers.tensors import Array
from netspectra.errors import FileFormatError, NetspectraError
from netspectra.networks import Weight

__all__ = ["Hdf5File", "read_hdf5"]

_DEEPEST = 64
"""Groups inside groups."""

_NOT_WALKED = ("optimizer", "_optimizer", "optimizer_weights")
"""Groups at the root whose datasets belong to training."""


@dataclass(frozen=True)
class Hdf5File:
    """What an HDF5 file holds; readable for as long as it is kept.

    Attributes
    ----------
    path : path-like
    content : array of uint8
    limits : LoadLimits
    datasets : mapping of str to Weight
        By their path from the root (``"layers/dense/vars/0"``).
    unread : mapping of str to str
        Datasets that are no numbers, with the reason.
    groups : mapping of str to int
        By their path, the root's is ``""``; where their headers are.
    """

    path: os.PathLike[str]
    content: Array = field(repr=False)
    limits: LoadLimits
    datasets: dict[str, Weight] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)

    def texts(self, group: str, name: str) -> list[str] | None:
        """Return the strings of a group's attribute, None where the group or the attribute is not there."""
        address = self.groups.get(group)
        return None if address is None else read_texts(address, name, self.content, self.path, self.limits)


def read_hdf5(content: Array, path: os.PathLike[str], limits: LoadLimits) -> Hdf5File:
    """Walk through the bytes of an HDF5 file.

    Parameters
    ----------
    content : array of uint8
        The whole file; a memory map, of which weights are views.
    path : path-like
        For messages.
    limits : LoadLimits

    Raises
    ------
    ImportError
        If h5py is not installed.
    FileFormatError
        If the file is damaged, or points out of itself. Whatever libhdf5 raises comes as this.
    LimitError
        If it is larger than `limits` allow.
    """
    h5py = _require_h5py()
    with _as_format_errors(path), h5py.File(_Window(content), "r") as handle:
        walk = _Walk(h5py, Hdf5File(path, content, limits))
        walk.begin(handle.id)
        return walk.file


@dataclass
class _Walk:
    h5py: Any
    file: Hdf5File
    n_objects: int = 0
    n_bytes: int = 0
    n_stored: int = 0
    seen: set[int] = field(default_factory=set)

    def begin(self, root: Any) -> None:
        created = root.get_create_plist()
        if created.get_userblock() or created.get_sizes() != (8, 8):
            came = "a file with a user block or unusual address sizes"
            raise _wrong(self.file.path, "an HDF5 file as Keras writes it", came)

        first = self.h5py.h5g.open(root, b"/")
        self._group(first, self.h5py.h5g.get_objinfo(first).objno[0], "", 0)

    def _group(self, group: Any, address: int, at: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise _wrong(self.file.path, f"at most {_DEEPEST} groups inside each other", f"{at!r}, which lies deeper")
        self._once(address, at)
        self.file.groups[at] = address
        self.n_objects += group.get_num_objs()
        self.file.limits.require("max_tensors", self.n_objects, self.file.path, "the number of its groups and datasets")
        for raw in list(group):
            name = raw.decode("utf-8", "replace")
            if depth == 0 and name in _NOT_WALKED:
                continue
            inside = f"{at}/{name}" if at else name
            link = group.links.get_info(raw)
            kind = link.type
            if kind != self.h5py.h5l.TYPE_HARD:
                what = "an external link" if kind == self.h5py.h5l.TYPE_EXTERNAL else "a soft link"
                raise _wrong(self.file.path, "weights inside the file", f"{what} at {inside!r}")
            self._object(self.h5py.h5o.open(group, raw), link.u, inside, depth)

    def _object(self, found: Any, address: int, at: str, depth: int) -> None:
        if isinstance(found, self.h5py.h5g.GroupID):
            self._group(found, address, at, depth + 1)
        elif isinstance(found, self.h5py.h5d.DatasetID):
            self._once(address, at)
            self._dataset(found, at)

    def _dataset(self, found: Any, at: str) -> None:
        name = f"{os.fspath(self.file.path)}: dataset {at!r}"
        try:
            stored = describe_dataset(found, self.file.content, name, self.file.limits.max_dimensions)
        except Unreadable as answer:
            self.file.unread[at] = str(answer)
            return
        self.n_bytes += stored.n_bytes
        self.n_stored += stored.n_stored
        if self.n_stored > self.file.content.size:
            raise _wrong(self.file.path, "datasets that do not overlap", f"{self.n_stored:,} bytes in a smaller file")
        self.file.limits.require("max_bytes", self.n_bytes, self.file.path, "the size of its arrays in bytes")
        self.file.limits.require_expansion(self.n_stored, self.n_bytes, self.file.path)
        self.file.datasets[at] = Weight(stored.shape, stored.dtype, stored.read, at)

    def _once(self, address: int, at: str) -> None:
        # The address is the link's: asked of the object itself, libhdf5 sums up all of it, and can crash.
        if address in self.seen:
            raise _wrong(self.file.path, "every object once", f"{at!r}, which has another name too")
        self.seen.add(address)


def _wrong(path: os.PathLike[str], expected: str, came: str) -> FileFormatError:
    return FileFormatError(f"{os.fspath(path)}: expected {expected}, got {came}; save the model again")


class _Window:
    """Bytes as the file that h5py reads; it can only be read."""

    def __init__(self, content: Array) -> None:
        self._content, self._at = content, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._content.size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        target = np.frombuffer(buffer, np.uint8)
        part = self._content[self._at : self._at + target.size]
        if part.size != target.size:
            msg = "the file ends too early"
            raise OSError(msg)
        target[:] = part
        self._at += part.size
        return int(part.size)

    def read(self, size: int = -1) -> bytes:
        end = self._content.size if size < 0 else self._at + size
        part = self._content[self._at : end].tobytes()
        self._at += len(part)
        return part

    def write(self, _: Any) -> int:
        msg = "opened for reading only"
        raise OSError(msg)

    def truncate(self, _: Any = None) -> int:
        return self._content.size

    def flush(self) -> None:
        """Nothing is ever written."""


@contextmanager
def _as_format_errors(path: os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except NetspectraError:
        raise
    except Exception as error:  # libhdf5 and h5py raise anything on a damaged file
        why = (str(error) or type(error).__name__).splitlines()[0]
        msg = f"{os.fspath(path)}: expected an HDF5 file that Keras wrote, got one that cannot be read ({why})"
        raise FileFormatError(msg) from error


def _require_h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        msg = "reading Keras files needs h5py, which is not installed; pip install 'netspectra[keras]'"
        raise ImportError(msg) from error
    return h5py

"""A dataset of an HDF5 file: libhdf5 says where its bytes lie, and nothing more; they are read here.

So no filter of libhdf5 runs on a hostile file, and none can unpack to more than its chunk: contiguous datasets are
views of the file's bytes, chunks go through zlib with a bound. Only datasets inside their object's header, at most
64 KiB, are read by libhdf5.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from netspectra.bindings.keras.hdf5_chunks import Chunks, refused
from netspectra.bindings.readers.tensors import Array

__all__ = ["Stored", "Unreadable", "describe_dataset"]


class Unreadable(Exception):  # noqa: N818  (it is an answer: the dataset is skipped with the reason)
    """A dataset whose elements are nothing that weights are made of."""


@dataclass(frozen=True)
class Stored:
    """A dataset that was checked and not read.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        Of what `read` returns: in the machine's byte order.
    n_bytes, n_stored : int
        Uncompressed, and as they lie in the file.
    read : callable
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    n_bytes: int
    n_stored: int
    read: Callable[[], Array]


def describe_dataset(dataset: Any, content: Array, name: str, most_dimensions: int) -> Stored:
    """Check a dataset against the bytes of its file.

    Parameters
    ----------
    dataset : h5py.h5d.DatasetID
    content : array of uint8
        The whole file.
    name : str
        For messages.
    most_dimensions : int

    Raises
    ------
    FileFormatError
        If its bytes are not in the file: virtual, external, never written, outside of the file; or if it is packed by
        a filter other than gzip, shuffle and fletcher32.
    Unreadable
        If its elements are no numbers.
    """
    plist = dataset.get_create_plist()
    h5d, layout = _h5py().h5d, plist.get_layout()
    if layout not in (h5d.COMPACT, h5d.CONTIGUOUS, h5d.CHUNKED):
        raise refused(name, "is virtual, put together from other files", "save the model in one file")
    if plist.get_external_count():
        raise refused(name, "keeps its bytes in another file", "save the model in one file")
    stored = _dtype(dataset)
    if dataset.get_space().get_simple_extent_type() == _h5py().h5s.NULL:
        reason = "empty"
        raise Unreadable(reason)
    shape = tuple(int(side) for side in dataset.shape)
    if len(shape) > most_dimensions:
        raise refused(name, f"has {len(shape)} dimensions", f"at most {most_dimensions} are read; see LoadLimits")
    n_bytes = math.prod(shape) * stored.itemsize
    if layout == h5d.COMPACT:
        n_stored, read = _compact(dataset, stored, shape, n_bytes, name)
    elif layout == h5d.CONTIGUOUS:
        n_stored, read = _contiguous(dataset, content, stored, shape, n_bytes, name)
    else:
        n_stored, read = Chunks(content, stored, shape, name).checked(dataset, plist)
    native = stored.newbyteorder("=")
    return Stored(shape, native, n_bytes, n_stored, lambda: read().astype(native, copy=False))


def _dtype(dataset: Any) -> np.dtype[Any]:
    """The NumPy dtype whose elements lie in the file bit for bit."""
    h5t, kind = _h5py().h5t, dataset.get_type()
    equal: list[np.dtype[Any]] = [dtype for declared, dtype in _dtypes().items() if kind.equal(getattr(h5t, declared))]
    if equal:
        return equal[0]
    if kind.get_class() == h5t.OPAQUE and kind.get_size() == 2 and _h5py().h5a.exists(dataset, b"dtype"):
        # Keras writes bfloat16 as two opaque bytes with an attribute, whose only use this is.
        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    reason = "its elements are no real numbers of a usual size"
    raise Unreadable(reason)


@cache
def _dtypes() -> dict[str, np.dtype[Any]]:
    orders = (("LE", "<"), ("BE", ">"))
    floats = {f"IEEE_F{8 * n}{end}": np.dtype(f"{sign}f{n}") for n in (4, 2, 8) for end, sign in orders}
    kinds = (("I", "i"), ("U", "u"))
    whole = {
        f"STD_{big}{8 * n}{end}": np.dtype(f"{sign}{small}{n}")
        for big, small in kinds
        for n in (8, 4, 2, 1)
        for end, sign in orders
    }
    return floats | whole


_Part = tuple[int, Callable[[], Array]]


def _compact(dataset: Any, dtype: np.dtype[Any], shape: tuple[int, ...], n_bytes: int, name: str) -> _Part:
    if n_bytes > dataset.get_storage_size() or n_bytes > 1 << 16:
        raise refused(name, f"claims {n_bytes:,} bytes inside its header", "the file is damaged")
    values = np.empty(shape, dtype)
    if n_bytes:
        dataset.read(_h5py().h5s.ALL, _h5py().h5s.ALL, values, dataset.get_type())
    return n_bytes, lambda: values


def _contiguous(
    dataset: Any, content: Array, dtype: np.dtype[Any], shape: tuple[int, ...], n_bytes: int, name: str
) -> _Part:
    if not n_bytes:
        return 0, lambda: np.empty(shape, dtype)
    offset = dataset.get_offset()
    if offset is None:
        raise refused(name, f"claims {n_bytes:,} bytes and stores none", "the file is damaged or was never finished")
    if offset < 0 or offset + n_bytes > content.size or n_bytes > dataset.get_storage_size():
        came = f"claims {n_bytes:,} bytes from {offset:,} in a file of {content.size:,}"
        raise refused(name, came, "is the download complete?")

    def read() -> Array:
        values = content[offset : offset + n_bytes].view(dtype).reshape(shape)
        return values if values.flags.aligned else values.copy()

    return n_bytes, read


def _h5py() -> Any:
    import h5py

    return h5py

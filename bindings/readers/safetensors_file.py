"""Safetensors: weights are used where they lie, through one memory map, in their native dtype, bfloat16 included.

The official NumPy reader cannot return bfloat16 and copies what it returns; its header is simple enough to check here
(:mod:`netspectra.bindings.readers.safetensors_header`), after which a tensor is a view of the file.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from netspectra.bindings.readers.limits import LoadLimits
from netspectra.bindings.readers.safetensors_header import Header, HeaderEntry, read_header
from netspectra.bindings.readers.tensors import Array, Tensor, TensorFile
from netspectra.errors import FileFormatError

__all__ = ["open_safetensors"]

_DTYPES: dict[str, np.dtype[Any]] = {
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "BOOL": np.dtype(np.bool_),
}
"""Dtypes that weights can be made of; the others (8-bit floats and narrower, complex) are skipped with a reason."""


def open_safetensors(path: Path, limits: LoadLimits) -> TensorFile:
    """Open a safetensors file: the header is read and checked, the tensors are not touched.

    Returns
    -------
    TensorFile
        Its arrays are read-only views of a memory map, which lives as long as any of them. Only a tensor that does
        not lie at a multiple of its element size in the file (the official writer aligns them) is copied.

    Raises
    ------
    FileFormatError, LimitError
        See :func:`~netspectra.bindings.readers.safetensors_header.read_header`.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        header = read_header(handle, size, path, limits)

    @cache
    def mapped() -> Array:
        data = np.asarray(np.memmap(path, np.uint8, "r"))
        if data.size != size:
            msg = f"{path}: expected {size:,} bytes, got {data.size:,}; the file changed while it was read"
            raise FileFormatError(msg)
        return data

    tensors = {entry.name: _tensor(entry, header, mapped) for entry in header.entries}
    return TensorFile(path, "safetensors", tensors, header.metadata)


def _tensor(entry: HeaderEntry, header: Header, mapped: Callable[[], Array]) -> Tensor:
    dtype = _DTYPES.get(entry.dtype)

    def read() -> Array:
        begin = header.data_start + entry.begin
        data = mapped()[begin : begin + entry.end - entry.begin]
        array = data.view(dtype or np.uint8).reshape(entry.shape)
        return array if array.flags.aligned else array.copy()

    stored = entry.dtype if dtype is None else dtype.name
    return Tensor(entry.name, entry.shape, stored, dtype, entry.end - entry.begin, read)

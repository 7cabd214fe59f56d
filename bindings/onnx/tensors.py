"""A `TensorProto` as a constant: its shape, dtype and payload agree before anything is allocated or read.

A payload is the bytes of `raw_data`, one of the typed lists, or a range of a file: of the model itself, which
:mod:`netspectra.bindings.onnx.wire` stepped over, or of one beside it, see :mod:`netspectra.bindings.onnx.external`.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from netspectra.bindings.onnx.constants import Array, Constant
from netspectra.bindings.onnx.external import DataFolder
from netspectra.bindings.readers.limits import LoadLimits
from netspectra.errors import FileFormatError

__all__ = ["DTYPES", "TensorReader"]

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"), 2: np.dtype("u1"), 3: np.dtype("i1"), 4: np.dtype("<u2"), 5: np.dtype("<i2"),
    6: np.dtype("<i4"), 7: np.dtype("<i8"), 9: np.dtype(np.bool_), 10: np.dtype("<f2"), 11: np.dtype("<f8"),
    12: np.dtype("<u4"), 13: np.dtype("<u8"), 16: np.dtype(ml_dtypes.bfloat16),
}  # fmt: skip
"""Numbers of ONNX's element types that weights are made of; text, complex numbers and narrow floats are not."""

_LISTS = {1: "float_data", 7: "int64_data", 11: "double_data", 12: "uint64_data", 13: "uint64_data"}
_BITS_IN_INT32 = {10: np.dtype("<f2"), 16: np.dtype(ml_dtypes.bfloat16)}
_EXTERNAL = 1


@dataclass(frozen=True, eq=False)
class TensorReader:
    """What reading the tensors of one model needs.

    Attributes
    ----------
    source : str
        The model, as messages call it.
    limits : LoadLimits
    folder : DataFolder or None
        Where external data may lie; None for a model in memory.
    """

    source: str
    limits: LoadLimits
    folder: DataFolder | None

    def require(self, limit: str, value: int, what: str) -> None:
        """Raise :class:`LimitError` unless `value` is within the limit of that name."""
        self.limits.require(limit, value, _Source(self.source), what)

    def constant(self, proto: Any, payload: Callable[[], Array] | None = None, n_payload: int = 0) -> Constant:
        """Return a tensor of the file.

        Parameters
        ----------
        proto : onnx.TensorProto
        payload : callable, optional
            Returns the `n_payload` bytes of its elements where they were left in the file.

        Raises
        ------
        FileFormatError, LimitError
            If it is not what it says it is, or larger than the limits.
        """
        key, shape = str(proto.name), self._shape(proto)
        dtype = DTYPES.get(proto.data_type)
        if dtype is None:
            return Constant(shape, None, None, key, learned=True)
        n_bytes = math.prod(shape) * dtype.itemsize
        self.require("max_bytes", n_bytes, f"the size of tensor {key!r} in bytes")
        if payload is None:
            payload, n_payload = self._payload(proto, dtype, n_bytes)
        if n_payload != n_bytes:
            raise _wrong(
                self.source, f"{n_bytes:,} bytes for tensor {key!r} ({dtype} of shape {shape})", f"{n_payload:,}"
            )

        def read() -> Array:
            array = payload().view(dtype).reshape(shape)
            return array if array.flags.aligned else array.copy()

        return Constant(shape, dtype, read, key, learned=dtype.kind not in "iub")

    def _shape(self, proto: Any) -> tuple[int, ...]:
        self.require("max_dimensions", len(proto.dims), f"the number of dimensions of {str(proto.name)!r}")
        shape = tuple(int(side) for side in proto.dims)
        if any(not 0 <= side < 1 << 48 for side in shape):
            raise _wrong(self.source, f"a possible shape of tensor {str(proto.name)!r}", str(shape))
        return shape

    def _payload(self, proto: Any, dtype: np.dtype[Any], n_bytes: int) -> tuple[Callable[[], Array], int]:
        if proto.data_location == _EXTERNAL:
            return self._external(proto, n_bytes), n_bytes
        if proto.HasField("raw_data"):
            return lambda: np.frombuffer(proto.raw_data, np.uint8), len(proto.raw_data)
        field = _LISTS.get(proto.data_type, "int32_data")
        items = getattr(proto, field)

        def listed() -> Array:
            array = np.array(items, dtype=np.int32 if field == "int32_data" else None)
            if proto.data_type in _BITS_IN_INT32:
                return array.astype(np.uint16).view(np.uint8)
            return array.astype(dtype).view(np.uint8)

        return listed, len(items) * dtype.itemsize

    def _external(self, proto: Any, n_bytes: int) -> Callable[[], Array]:
        key = str(proto.name)
        if self.folder is None:
            msg = f"tensor {key!r} lies in a file of its own; pass the path of the model instead of the ModelProto"
            raise FileFormatError(msg)
        entries = {str(entry.key): str(entry.value) for entry in proto.external_data}
        return self.folder.claim(key, entries, n_bytes)


@dataclass(frozen=True, slots=True)
class _Source(os.PathLike[str]):
    """A path for messages, where the model need not be a file."""

    name: str

    def __fspath__(self) -> str:
        return self.name


def _wrong(source: str, expected: str, came: str) -> FileFormatError:
    return FileFormatError(f"{source}: expected {expected}, got {came}; export the model again")

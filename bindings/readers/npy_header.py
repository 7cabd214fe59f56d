r"""The header of one `.npy` member: what the array is, established before a byte is allocated for it.

Layout: ``\x93NUMPY``, version (2 bytes), length of the header (2 or 4 bytes, little-endian), and a Python literal
``{'descr', 'fortran_order', 'shape'}``. Source: NumPy's NEP 1. NumPy's own reader of this header warns or raises many
kinds of errors on damaged files and accepts any dtype; here only what weights can be made of gets one.
"""

import ast
import math
import re
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

__all__ = ["NpyHeader", "read_npy_header"]

_LONGEST = 10_000
"""Bytes of a header that :func:`ast.literal_eval` may safely see, NumPy's own limit."""

_DESCR = re.compile(r"([<>|=]?)([a-zA-Z?])(\d*)")
_SIZES = {"b": {1}, "i": {1, 2, 4, 8}, "u": {1, 2, 4, 8}, "f": {2, 4, 8}}
_KINDS = {
    "O": "Python objects (a pickle, which could run code)",
    "V": "raw bytes (NumPy has no name for bfloat16: save as float32, or as safetensors)",
    "c": "complex numbers",
    "f": "extended floats",
    "U": "text",
    "S": "text",
    "M": "dates",
    "m": "durations",
}


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What a `.npy` header says.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype or None
        As stored (byte order included); None where the elements are nothing that weights can be made of.
    stored : str
        The elements in words.
    fortran_order : bool
    data_start : int
        Bytes before the first element.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    stored: str
    fortran_order: bool
    data_start: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the elements; 0 where the dtype is None."""
        return 0 if self.dtype is None else math.prod(self.shape) * self.dtype.itemsize


def read_npy_header(stream: IO[bytes]) -> NpyHeader:
    """Read the header at the beginning of a `.npy` stream.

    Raises
    ------
    ValueError
        If it is not one; the message says what came.
    """
    preamble = stream.read(8)
    if preamble[:6] != b"\x93NUMPY" or len(preamble) < 8:
        msg = f"a member that begins with {preamble[:6]!r}"
        raise ValueError(msg)
    width = {1: 2, 2: 4, 3: 4}.get(preamble[6])
    if width is None:
        msg = f".npy version {preamble[6]}.{preamble[7]}"
        raise ValueError(msg)
    length = int.from_bytes(stream.read(width), "little")
    if length > _LONGEST:
        msg = f"a header of {length:,} bytes"
        raise ValueError(msg)
    text = stream.read(length)
    if len(text) != length:
        msg = "a header that ends too early"
        raise ValueError(msg)
    descr, fortran_order, shape = _parse(text)
    dtype, stored = _dtype(descr)
    return NpyHeader(shape, dtype, stored, fortran_order, 8 + width + length)


def _parse(text: bytes) -> tuple[object, bool, tuple[int, ...]]:
    if b"\\" in text:  # no dtype needs an escape, and an unknown one makes the compiler warn
        msg = "a header with backslashes"
        raise ValueError(msg)
    try:
        content = ast.literal_eval(text.decode("utf-8").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        msg = "a header that is not a Python literal"
        raise ValueError(msg) from error
    if not isinstance(content, dict) or content.keys() != {"descr", "fortran_order", "shape"}:
        msg = "a header without exactly descr, fortran_order and shape"
        raise ValueError(msg)
    shape, fortran_order = content["shape"], content["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(side) is int and 0 <= side < 1 << 62 for side in shape):
        msg = "a shape that is not a tuple of non-negative integers"
        raise ValueError(msg)
    if not isinstance(fortran_order, bool):
        msg = "a fortran_order that is neither True nor False"
        raise ValueError(msg)
    return content["descr"], fortran_order, shape


def _dtype(descr: object) -> tuple[np.dtype[Any] | None, str]:
    match = _DESCR.fullmatch(descr) if isinstance(descr, str) else None
    if match is None:
        return None, "a structured dtype"
    order, kind, size = match.groups()
    if kind in _SIZES and size.isascii() and size.isdigit() and len(size) == 1 and int(size) in _SIZES[kind]:
        dtype = np.dtype(f"{order}{kind}{size}")
        return dtype, dtype.name
    return None, _KINDS.get(kind, f"elements of dtype {descr!r}"[:80])

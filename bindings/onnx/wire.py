"""The wire format of protocol buffers, as much of it as it takes to step over weights.

A model file is a `ModelProto`; field 7 is the graph, whose fields 5 are the parameters; a parameter's payload is its
field 9 (`raw_data`), 4 or 10 (packed little-endian floats or doubles). A file is rewritten without those payloads,
so that what is parsed is small, and where they lie is kept, so that values are views of the file.
Source: https://protobuf.dev/programming-guides/encoding and ONNX's `onnx.proto`.
"""

from collections.abc import Callable, Iterator
from mmap import mmap
from typing import TypeAlias

__all__ = ["Range", "Skeleton"]

Range: TypeAlias = tuple[int, int]
"""Offset and length of bytes in the file."""

_GRAPH, _INITIALIZER = 7, 5
_PAYLOADS = (4, 9, 10)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_WORTH = 1 << 12
"""Bytes from which a payload is left in the file."""


class Skeleton:
    """A serialised model without its large payloads.

    Parameters
    ----------
    data : bytes-like
        The whole file: indexing gives integers, slicing gives bytes, as of `mmap.mmap`.
    most : int
        Bytes that may remain.

    Attributes
    ----------
    content : bytes
    payloads : dict of int to (int, int)
        Position among the graph's parameters to offset and length of its payload in the file.

    Raises
    ------
    ValueError
        If it is not in the wire format, or more remains; the message says what came.
    """

    def __init__(self, data: bytes | mmap, most: int) -> None:
        self.payloads: dict[int, Range] = {}
        self._data = data
        self._left = self._most = most
        self._n_parameters = 0
        self.content = self._rewrite(0, len(data), _GRAPH, self._graph)

    def _rewrite(self, start: int, stop: int, field: int, inner: Callable[[int, int], bytes]) -> bytes:
        """Copy a message; its fields of that number go through `inner`."""
        parts = []
        for number, kind, begin, value, end in self._fields(start, stop):
            if number == field and kind == _BYTES:
                content = inner(value, end)
                parts.append(_varint(number << 3 | _BYTES) + _varint(len(content)) + content)
            else:
                parts.append(self._copy(begin, end))
        return b"".join(parts)

    def _graph(self, start: int, stop: int) -> bytes:
        return self._rewrite(start, stop, _INITIALIZER, self._parameter)

    def _parameter(self, start: int, stop: int) -> bytes:
        position, parts = self._n_parameters, []
        self._n_parameters += 1
        for number, kind, begin, value, end in self._fields(start, stop):
            if number in _PAYLOADS and kind == _BYTES and end - value >= _WORTH:
                if position in self.payloads:
                    msg = f"two payloads for parameter number {position}"
                    raise ValueError(msg)
                self.payloads[position] = (value, end - value)
            else:
                parts.append(self._copy(begin, end))
        return b"".join(parts)

    def _copy(self, begin: int, end: int) -> bytes:
        self._left -= end - begin
        if self._left < 0:
            msg = f"more than {self._most:,} bytes beside its weights"
            raise ValueError(msg)
        return self._data[begin:end]

    def _fields(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int, int]]:
        """Each field of a message: number, kind, where it begins, where its value does, where it ends."""
        place = start
        while place < stop:
            begin = place
            tag, place = self._read_varint(place, stop)
            number, kind, value = tag >> 3, tag & 7, place
            if kind == _VARINT:
                _, place = self._read_varint(place, stop)
            elif kind == _BYTES:
                length, value = self._read_varint(place, stop)
                place = value + length
            elif kind in (_FIXED32, _FIXED64):
                place += 4 if kind == _FIXED32 else 8
            else:
                msg = f"a field of kind {kind} at byte {begin:,}"
                raise ValueError(msg)
            if place > stop or number == 0:
                msg = f"a field at byte {begin:,} that ends after what holds it" if number else "a field without number"
                raise ValueError(msg)
            yield number, kind, begin, value, place

    def _read_varint(self, place: int, stop: int) -> tuple[int, int]:
        result = 0
        for shift in range(0, 70, 7):
            if place >= stop:
                break
            byte = self._data[place]
            place += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result, place
        msg = f"no number at byte {place:,}"
        raise ValueError(msg)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)

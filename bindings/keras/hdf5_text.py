"""Strings in the attributes of an HDF5 object, read from the bytes of the file.

libhdf5 is not asked for them: on a damaged heap of strings it can turn in circles for ever, and it would make any
number of copies of one long string that a small file refers to again and again.

Source: HDF5 File Format Specification 3.0, III.E global heap, IV.A.1 object headers, IV.A.2.b dataspace, d datatype,
m attribute, q continuation.
"""

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from netspectra.bindings.readers.limits import LoadLimits
from netspectra.bindings.readers.tensors import Array
from netspectra.errors import FileFormatError

__all__ = ["read_texts"]

_ATTRIBUTE, _CONTINUATION, _ATTRIBUTES_ELSEWHERE = 0x0C, 0x10, 0x15
_NUMBERS, _FIXED, _VARIABLE = (0, 1), 3, 9
_REFERENCE = 16
"""Bytes of a reference to a string: its length (4), the address of its heap (8), its number in there (4)."""

_NOWHERE = (1 << 64) - 1
_MOST_BLOCKS = 1000


@dataclass(frozen=True)
class _Attribute:
    """An attribute message: class and size of its elements, how many they are, and their bytes."""

    name: bytes
    kind: int
    size: int
    count: int
    data: bytes


def read_texts(address: int, name: str, content: Array, path: os.PathLike[str], limits: LoadLimits) -> list[str] | None:
    """Return the strings of an attribute, None where the object has none of that name.

    Parameters
    ----------
    address : int
        Of the object's header.
    name : str
    content : array of uint8
        The whole file.
    path : path-like
        For messages.
    limits : LoadLimits
        ``max_header_bytes`` bounds all strings of the attribute together, ``max_tensors`` their number.

    Raises
    ------
    FileFormatError
        If the attribute holds no strings, or they are not where the file says.
    LimitError
        If they are more or longer than `limits` allow.
    """
    what = f"its attribute {name!r}"
    try:
        found = _attribute(content, address, name.encode())
        if found is None:
            return None
        if found.kind in _NUMBERS and not found.count:
            return []  # how Keras writes an empty list
        limits.require("max_tensors", found.count, path, f"the number of strings in {what}")
        if found.kind == _VARIABLE and found.size == _REFERENCE:
            return _variable(found, content, path, limits)
        if found.kind == _FIXED and found.size * found.count <= len(found.data):
            limits.require("max_header_bytes", found.size * found.count, path, f"the length of {what} in bytes")
            parts = (found.data[i * found.size : (i + 1) * found.size] for i in range(found.count))
            return [part.rstrip(b"\0").decode("utf-8", "replace") for part in parts]
    except struct.error as error:
        msg = f"{os.fspath(path)}: {what} ends too early; is the file complete?"
        raise FileFormatError(msg) from error
    msg = f"{os.fspath(path)}: expected text in {what}, got something else; the file is damaged"
    raise FileFormatError(msg)


def _variable(found: _Attribute, content: Array, path: os.PathLike[str], limits: LoadLimits) -> list[str]:
    references = [struct.unpack_from("<LQL", found.data, i * _REFERENCE) for i in range(found.count)]
    total, what = sum(length for length, _, _ in references), f"the length of its attribute {found.name!r} in bytes"
    limits.require("max_header_bytes", total, path, what)
    heaps: dict[int, dict[int, tuple[int, int]]] = {}
    left = content.size // 16  # no two heaps share their bytes
    texts = []
    for length, heap, number in references:
        if heap not in heaps:
            heaps[heap] = {} if length == 0 else dict(islice(_objects(content, heap), left))
            left -= len(heaps[heap])
        begin, size = heaps[heap].get(number, (0, 0))
        if length > size:
            msg = f"{os.fspath(path)}: attribute {found.name!r} refers to text that is not in the file; it is damaged"
            raise FileFormatError(msg)
        texts.append(bytes(content[begin : begin + length]).partition(b"\0")[0].decode("utf-8", "replace"))
    return texts


def _objects(content: Array, address: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Number, begin and size of everything in a global heap collection."""
    head = bytes(content[address : address + 16])
    if not head.startswith(b"GCOL"):
        return
    (size,) = struct.unpack_from("<Q", head, 8)
    at, end = address + 16, min(address + size, content.size)
    while at + 16 <= end:
        number, _, _, length = struct.unpack("<HHLQ", bytes(content[at : at + 16]))
        if number == 0 or at + 16 + length > end:  # the rest is free
            return
        yield number, (at + 16, length)
        at += 16 + -(-length // 8) * 8


def _attribute(content: Array, address: int, name: bytes) -> _Attribute | None:
    elsewhere = False
    for kind, message in _messages(content, address):
        if kind == _ATTRIBUTES_ELSEWHERE and len(message) >= 10:
            flags = message[1]
            (heap,) = struct.unpack_from("<Q", message, 4 if flags & 1 else 2)
            elsewhere = elsewhere or heap != _NOWHERE
        found = _parsed(message) if kind == _ATTRIBUTE else None
        if found is not None and found.name == name:
            return found
    if elsewhere:
        msg = f"expected attributes in the headers of their objects, got {name!r} elsewhere; save the model again"
        raise FileFormatError(msg)
    return None


def _messages(content: Array, address: int) -> Iterator[tuple[int, bytes]]:
    """Messages (kind, data) of the object header there, of either version, its continuations included."""
    is_new = bytes(content[address : address + 4]) == b"OHDR"
    if is_new:
        flags = int(content[address + 5]) if address + 5 < content.size else 0
        at = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(bytes(content[at : at + width]), "little")
        begin, head = at + width, 6 if flags & 4 else 4
    else:
        (size,) = struct.unpack("<L", bytes(content[address + 8 : address + 12]))
        begin, head = address + 16, 8
    blocks, seen = [(begin, begin + size)], {begin}
    while blocks:
        at, end = blocks.pop(0)
        while at + head <= min(end, content.size):
            kind, length = struct.unpack_from("<BH" if is_new else "<HH", bytes(content[at : at + head]))
            data = bytes(content[at + head : at + head + length])
            at += head + length
            if kind == _CONTINUATION and len(data) >= 16:
                where, size = struct.unpack_from("<QQ", data)
                # In new files between "OCHK" and a checksum.
                block = (where + 4, where + size - 4) if is_new else (where, where + size)
                if block[0] not in seen and len(seen) < _MOST_BLOCKS:
                    seen.add(block[0])
                    blocks.append(block)
            yield kind, data


def _parsed(message: bytes) -> _Attribute | None:
    """Read an attribute message; None where its types are kept elsewhere."""
    version, flags, n_name, n_type, n_space = struct.unpack_from("<BBHHH", message)
    if version not in (1, 2, 3) or (version > 1 and flags & 3):
        return None
    at = 9 if version == 3 else 8
    name = message[at : at + n_name].partition(b"\0")[0]
    if version == 1:  # padded
        n_name, n_type, n_space = (-(-n // 8) * 8 for n in (n_name, n_type, n_space))
    kind, _, _, _, size = struct.unpack_from("<BBBBL", message, at + n_name)
    count = _count(message[at + n_name + n_type : at + n_name + n_type + n_space])
    return _Attribute(name, kind & 15, size, count, message[at + n_name + n_type + n_space :])


def _count(space: bytes) -> int:
    """Elements of a dataspace."""
    version, rank, _, kind = struct.unpack_from("<BBBB", space)
    if version == 2 and kind == 2:  # null
        return 0
    return math.prod(struct.unpack_from(f"<{rank}Q", space, 8 if version == 1 else 4))

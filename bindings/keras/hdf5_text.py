"""Strings in the attributes of an HDF5 object, read only after it is known how long they are.

Strings of variable length are stored once and referred to, so that a small file can claim any number of copies of a
long one, which libhdf5 would make at once. Their lengths are therefore read first, from the bytes of the attribute
itself (HDF5 File Format Specification, IV.A.1 object headers, IV.A.2.m attribute message).
"""

import os
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from netspectra.bindings.readers.limits import LoadLimits
from netspectra.bindings.readers.tensors import Array
from netspectra.errors import FileFormatError

__all__ = ["read_texts"]

_ATTRIBUTE, _CONTINUATION = 0x0C, 0x10
_REFERENCE = 16
"""Bytes of a reference to a string: its length (4), where it lies (8 + 4)."""

_MOST_MESSAGES = 10_000


def read_texts(found: Any, name: str, content: Array, path: os.PathLike[str], limits: LoadLimits) -> list[str] | None:
    """Return the strings of an attribute, None where the object has none of that name.

    Parameters
    ----------
    found : h5py.h5g.GroupID or h5py.h5d.DatasetID
    name : str
    content : array of uint8
        The whole file.
    path : path-like
        For messages.
    limits : LoadLimits
        ``max_header_bytes`` bounds all strings of the attribute together.

    Raises
    ------
    FileFormatError
        If the attribute holds no strings.
    LimitError
        If they are longer than `limits` allow.
    """
    import h5py

    if not h5py.h5a.exists(found, name.encode()):
        return None
    attribute = h5py.h5a.open(found, name.encode())
    kind, n_strings = attribute.get_type(), int(np.prod(attribute.shape, dtype=object))
    if not n_strings:
        return []  # Keras writes an empty list as an empty array of numbers
    if kind.get_class() != h5py.h5t.STRING:
        msg = f"{os.fspath(path)}: expected text in the attribute {name!r}, got numbers; the file is damaged"
        raise FileFormatError(msg)
    what = f"the length of its attribute {name!r} in bytes"
    limits.require("max_tensors", n_strings, path, f"the number of strings in its attribute {name!r}")
    if kind.is_variable_str():
        # A string cannot be longer than the file: where that much is allowed there is nothing to look up.
        if n_strings * content.size > min(limits.max_header_bytes, 1 << 26):
            limits.require("max_header_bytes", _declared(found, name, n_strings, content, path), path, what)
    else:
        limits.require("max_header_bytes", n_strings * kind.get_size(), path, what)
        if n_strings * kind.get_size() > content.size:
            msg = f"{os.fspath(path)}: the attribute {name!r} claims more bytes than the file has; it is damaged"
            raise FileFormatError(msg)
    values = np.empty(attribute.shape, attribute.dtype)
    # Into Python objects: of the file's own type libhdf5 would leave bare pointers in the array.
    attribute.read(values, h5py.h5t.py_create(attribute.dtype))
    return [_text(value) for value in values.ravel().tolist()]


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _declared(found: Any, name: str, n_strings: int, content: Array, path: os.PathLike[str]) -> int:
    """Bytes of all strings together, as the references to them say; libhdf5 holds the strings to these lengths."""
    import h5py

    for kind, message in _messages(content, h5py.h5o.get_info(found).addr):
        data = _data(message, name.encode()) if kind == _ATTRIBUTE else None
        if data is not None and len(data) >= n_strings * _REFERENCE:
            references = np.frombuffer(data[: n_strings * _REFERENCE], np.uint8).reshape(n_strings, _REFERENCE)
            return int(references[:, :4].copy().view("<u4").sum(dtype=np.int64))
    msg = (
        f"{os.fspath(path)}: expected the attribute {name!r} in its object's header, where its length can be checked, "
        f"got {n_strings:,} strings of unknown length elsewhere; save the model again as a .keras file"
    )
    raise FileFormatError(msg)


def _messages(content: Array, address: int) -> Iterator[tuple[int, bytes]]:
    """Messages (kind, data) of the object header there, of either version, its continuations included."""
    is_new = bytes(content[address : address + 4]) == b"OHDR"
    if is_new:
        flags = int(content[address + 5])
        at = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(bytes(content[at : at + width]), "little")
        begin, head = at + width, 6 if flags & 4 else 4
    else:
        (size,) = struct.unpack("<L", bytes(content[address + 8 : address + 12]))
        begin, head = address + 16, 8
    blocks, n_messages = [(begin, begin + size)], 0
    while blocks:
        at, end = blocks.pop()
        while at + head <= min(end, content.size) and n_messages < _MOST_MESSAGES:
            n_messages += 1
            first = bytes(content[at : at + head])
            kind, length = struct.unpack_from("<BH" if is_new else "<HH", first)
            data = bytes(content[at + head : at + head + length])
            at += head + length
            if kind == _CONTINUATION and len(data) >= 16:
                where, size = struct.unpack_from("<QQ", data)
                blocks.append((where + 4, where + size - 4) if is_new else (where, where + size))  # "OCHK" … checksum
            yield kind, data


def _data(message: bytes, name: bytes) -> bytes | None:
    """Data of an attribute message, if the attribute is called so."""
    if len(message) < 9:
        return None
    version, _, n_name, n_type, n_space = struct.unpack_from("<BBHHH", message)
    at = 9 if version == 3 else 8
    if message[at : at + n_name].rstrip(b"\0") != name:
        return None
    if version == 1:
        n_name, n_type, n_space = (-(-n // 8) * 8 for n in (n_name, n_type, n_space))
    return message[at + n_name + n_type + n_space :]

"""Chunks of an HDF5 dataset, unpacked here and not by libhdf5, whose filters know no bound."""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from netspectra.bindings.readers.tensors import Array
from netspectra.errors import FileFormatError, LimitError

__all__ = ["Chunks", "refused"]

_STEEPEST = 1032
"""Bytes that one byte of DEFLATE can become at most."""

_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3
_FILTERS = {_DEFLATE: "gzip", _SHUFFLE: "shuffle", _FLETCHER32: "fletcher32"}
_CHUNK_ROOM = 1 << 20
"""Bytes by which a chunk may exceed twice its dataset."""

_MOST_CHUNKS = 1 << 20


@dataclass(frozen=True)
class Chunks:
    """A dataset that is cut into chunks.

    Attributes
    ----------
    content : array of uint8
        The whole file.
    dtype : numpy.dtype
        As stored.
    shape : tuple of int
    name : str
        For messages.
    """

    content: Array
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    name: str

    def checked(self, dataset: Any, plist: Any) -> tuple[int, Callable[[], Array]]:
        """Return how many bytes are stored, and what reads them.

        Parameters
        ----------
        dataset : h5py.h5d.DatasetID
        plist : h5py.h5p.PropDCID
            How it was created.

        Raises
        ------
        FileFormatError
            If the chunks do not tile the dataset, lie outside of the file, cannot be unpacked to their size, or are
            packed by filters other than gzip, shuffle and fletcher32.
        """
        sides, filters = tuple(int(side) for side in plist.get_chunk()), self._filters(plist)
        counts = [-(-side // max(1, chunk)) for side, chunk in zip(self.shape, sides, strict=False)]
        n_bytes = math.prod(self.shape) * self.dtype.itemsize
        n_chunk = math.prod(sides) * self.dtype.itemsize
        if len(sides) != len(self.shape) or 0 in sides or n_chunk > 2 * n_bytes + _CHUNK_ROOM:
            raise refused(self.name, f"of shape {self.shape} has chunks of shape {sides}", "the file is damaged")
        found = self._places(dataset, math.prod(counts))
        starts = {chunk.chunk_offset for chunk in found}
        grid = all(
            len(start) == len(sides)
            and all(s % c == 0 and s < n for s, c, n in zip(start, sides, self.shape, strict=True))
            for start in starts
        )
        if len(starts) != len(found) or len(found) != math.prod(counts) or not grid:
            came = f"has {len(found):,} chunks where {math.prod(counts):,} belong"
            raise refused(self.name, came, "the file is damaged or was never finished")
        ends = [(chunk.byte_offset, chunk.byte_offset + chunk.size) for chunk in found]
        if any(begin is None or begin < 0 or end > self.content.size for begin, end in ends):
            raise refused(self.name, "has chunks outside of the file", "is the download complete?")
        n_stored = sum(chunk.size for chunk in found)
        steepest = _STEEPEST if _DEFLATE in filters else 1
        if any(n_chunk > steepest * chunk.size for chunk in found):
            raise refused(self.name, f"has chunks that cannot become {n_chunk:,} bytes", "the file is damaged")
        return n_stored, lambda: self._read(found, sides, filters, n_chunk)

    def _filters(self, plist: Any) -> tuple[int, ...]:
        codes = tuple(int(plist.get_filter(i)[0]) for i in range(plist.get_nfilters()))
        other = [code for code in codes if code not in _FILTERS]
        if other or len(codes) > len(_FILTERS):
            came = f"is packed by HDF5 filter {other[0]}" if other else f"is packed by {len(codes)} filters"
            raise refused(self.name, came, f"save the model again unpacked, or with {', '.join(_FILTERS.values())}")
        return codes

    def _places(self, dataset: Any, n_expected: int) -> list[Any]:
        if n_expected > _MOST_CHUNKS:
            raise refused(self.name, f"is cut into {n_expected:,} chunks", "save the model again unpacked")
        found: list[Any] = []

        def keep(chunk: Any) -> bool | None:
            found.append(chunk)
            return True if len(found) > n_expected else None  # anything but None ends the iteration

        if n_expected:
            dataset.chunk_iter(keep)
        return found

    def _read(self, found: list[Any], sides: tuple[int, ...], filters: tuple[int, ...], n_chunk: int) -> Array:
        try:
            values = np.empty(self.shape, self.dtype)
        except MemoryError as error:
            msg = f"{self.name} of shape {self.shape} does not fit in memory; use a machine with more"
            raise LimitError(msg) from error
        for chunk in found:
            raw = self.content[chunk.byte_offset : chunk.byte_offset + chunk.size]
            block = self._unpack(raw, filters, int(chunk.filter_mask), n_chunk).view(self.dtype).reshape(sides)
            inside = tuple(
                slice(start, min(start + side, size))
                for start, side, size in zip(chunk.chunk_offset, sides, self.shape, strict=True)
            )
            values[inside] = block[tuple(slice(0, part.stop - part.start) for part in inside)]
        return values

    def _unpack(self, raw: Array, filters: tuple[int, ...], mask: int, n_chunk: int) -> Array:
        for position in reversed(range(len(filters))):
            if mask >> position & 1:
                continue
            if filters[position] == _FLETCHER32:
                raw = raw[:-4]  # a checksum: what it would find is a damaged weight, not a danger
            elif filters[position] == _DEFLATE:
                try:
                    # Four bytes more for the checksum of a fletcher32 that ran before.
                    raw = np.frombuffer(zlib.decompressobj().decompress(raw.tobytes(), n_chunk + 4), np.uint8)
                except zlib.error as error:
                    raise refused(self.name, f"cannot be unpacked ({error})", "the file is damaged") from error
            elif raw.size % self.dtype.itemsize == 0:
                raw = np.ascontiguousarray(raw.reshape(self.dtype.itemsize, -1).T).ravel()
        if raw.size != n_chunk:
            raise refused(self.name, f"has a chunk of {raw.size:,} bytes, not {n_chunk:,}", "the file is damaged")
        return np.ascontiguousarray(raw)


def refused(name: str, came: str, then: str) -> FileFormatError:
    """Return the error about a dataset: what is wrong with it, and what to do."""
    return FileFormatError(f"{name} {came}; {then}")

"""How large a file may be before we believe it: one set of limits for every reader, checked before any allocation."""

import os
from dataclasses import dataclass, fields

from netspectra.errors import GraphError, LimitError

__all__ = ["LoadLimits", "as_limits"]

_CHECKED_FROM = 1 << 26
"""Archives that unpack to less than this many bytes (64 MiB) may be compressed by any factor."""


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """Limits that a file must keep, whoever wrote it.

    Parameters
    ----------
    max_bytes : int, default 64 GiB
        Bytes of all tensors in the file together, uncompressed.
    max_tensors : int, default 100,000
        Tensors in the file.
    max_dimensions : int, default 8
        Dimensions of any one tensor.
    max_header_bytes : int, default 100,000,000
        Bytes of the file's table of contents (the JSON header of safetensors, the directory of a zip archive).
    max_expansion : int, default 200
        Times a compressed archive may grow when it is unpacked to more than 64 MiB. Trained weights compress about
        1.1 times, pruned to 99% about 50 times, a zip bomb 1,000 times.

    Raises
    ------
    GraphError
        If a limit is not a positive integer.
    """

    max_bytes: int = 64 << 30
    max_tensors: int = 100_000
    max_dimensions: int = 8
    max_header_bytes: int = 100_000_000
    max_expansion: int = 200

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                msg = f"LoadLimits.{field.name} must be a positive integer, got {value!r}"
                raise GraphError(msg)

    def require(self, limit: str, value: int, path: os.PathLike[str], what: str) -> None:
        """Raise unless `value` is within the limit of that name.

        Raises
        ------
        LimitError
            Naming the file, `what` is too large, the limit, and how to raise it.
        """
        allowed = getattr(self, limit)
        if value > allowed:
            msg = (
                f"{os.fspath(path)}: {what} is {value:,}, more than the limit {limit}={allowed:,}; if you trust the "
                f"file, pass limits=LoadLimits({limit}={value})"
            )
            raise LimitError(msg)

    def require_expansion(self, packed: int, unpacked: int, path: os.PathLike[str]) -> None:
        """Raise if `packed` bytes of an archive claim to become more `unpacked` bytes than weights ever do."""
        if unpacked > _CHECKED_FROM:
            factor = -(-unpacked // max(1, packed))
            self.require("max_expansion", factor, path, f"the factor by which it unpacks (to {unpacked:,} bytes)")


def as_limits(limits: object) -> LoadLimits:
    """Return `limits`, or the defaults for None.

    Raises
    ------
    GraphError
        If it is something else.
    """
    if limits is None:
        return LoadLimits()
    if not isinstance(limits, LoadLimits):
        msg = f"limits must be a LoadLimits or None, got {type(limits).__name__}; write LoadLimits(max_bytes=...)"
        raise GraphError(msg)
    return limits

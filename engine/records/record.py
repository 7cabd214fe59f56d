"""Base classes of every result: plain dictionaries out, archives in and out, and the facts of the run."""

import dataclasses
import math
import os
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from netspectra.errors import FileFormatError
from netspectra.records.archive import read_archive, write_archive

__all__ = ["SCHEMA_VERSION", "Record", "Run", "plain"]

SCHEMA_VERSION = 1
"""Version of what :meth:`Record.to_dict` writes; raised whenever a key changes its meaning or goes."""


_kinds: dict[str, type["Record"]] = {}


@dataclass(frozen=True, kw_only=True)
class Record:
    """A result that can be turned into plain JSON types, saved, and loaded without pickle."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _kinds[cls.__name__] = cls

    def __post_init__(self) -> None:
        """Freeze the arrays too: what was computed from them must not go stale."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                view = value.view()
                view.flags.writeable = False
                object.__setattr__(self, field.name, view)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, nested: arrays become lists, NaN and infinities None; with ``schema_version``."""
        return {"schema_version": SCHEMA_VERSION, "kind": type(self).__name__, **plain(self)}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.npz`` with a JSON header, to a temporary name that is then renamed.

        Raises
        ------
        OSError
            If the file cannot be written; nothing half-written is left behind.
        """
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        header = {"schema_version": SCHEMA_VERSION, "record": _encode(self, arrays)}
        write_archive(path, header, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileFormatError
            If the file is missing, damaged, of another kind, or of a newer schema.
        """
        header, arrays = read_archive(path)
        version = header.get("schema_version")
        if not isinstance(version, int) or version > SCHEMA_VERSION:
            msg = (
                f"{path}: schema version {version!r}, this netspectra reads up to {SCHEMA_VERSION}; upgrade netspectra"
            )
            raise FileFormatError(msg)
        try:
            record = _decode(header["record"], arrays)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            msg = f"{path}: not a complete netspectra result ({error!r}); save it again"
            raise FileFormatError(msg) from error
        if not isinstance(record, cls):
            msg = f"{path}: holds a {type(record).__name__}, expected a {cls.__name__}; load it with that class"
            raise FileFormatError(msg)
        return record


@dataclass(frozen=True, kw_only=True)
class Run(Record):
    """What every result records of how it was made.

    Attributes
    ----------
    version : str
        Of netspectra.
    backend, device, dtype, solver : str
    tol : float
    seed : int
    timings : dict of str to float
        Seconds per stage; ``"compile"`` is apart from the run.
    """

    version: str
    backend: str
    device: str
    dtype: str
    solver: str
    tol: float
    seed: int
    timings: dict[str, float]


def on_host(value: Any) -> Any:
    """The NumPy copy of an array on a GPU (CuPy's ``get``), anything else as it is."""
    on_device = hasattr(value, "__dlpack_device__") and hasattr(value, "get")
    return value.get() if on_device else value


def plain(value: Any) -> Any:
    """Plain JSON types of a value."""
    value = on_host(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def _encode(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """JSON types in which arrays are references into `arrays`, and records and tuples are marked."""
    value = on_host(value)
    if isinstance(value, Record):
        fields = {f.name: _encode(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
        return {"__record__": type(value).__name__, "fields": fields}
    if isinstance(value, np.ndarray):
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"__array__": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return {"__tuple__": [_encode(v, arrays) for v in value]}
    if isinstance(value, dict):
        return {"__dict__": [[k, _encode(v, arrays)] for k, v in value.items()]}
    return value


def _decode(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    if not isinstance(value, dict):
        return value
    if "__array__" in value:
        return arrays[value["__array__"]]
    if "__tuple__" in value:
        return tuple(_decode(v, arrays) for v in value["__tuple__"])
    if "__dict__" in value:
        return {k: _decode(v, arrays) for k, v in value["__dict__"]}
    kind = _kinds[value["__record__"]]
    return kind(**{name: _decode(v, arrays) for name, v in value["fields"].items()})

"""The fields of an architecture, each checked before it is believed: JSON in, arguments of a Network out."""

import math
from collections.abc import Callable, Mapping, Set
from typing import Any

import ml_dtypes
import numpy as np

from netspectra.errors import GraphError
from netspectra.networks.network import LAYOUTS, Operation, Shape, Skipped, Weight

__all__ = ["network_fields"]

_LARGEST = 1 << 40
"""Of any number: a side of a tensor, a position."""
_LARGEST_VALUE = float(np.finfo(np.float64).max)
_MOST_AXES = 32
_MOST_FILLED = 1 << 24
_DTYPES = {
    np.dtype(kind).name: np.dtype(kind)
    for kind in (ml_dtypes.bfloat16, "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
}
_KEYS = {"kind", "schema_version", "format", "inputs", "constants", "outputs", "operations", "skipped"}
_OPERATION_KEYS = {"kind", "name", "inputs", "outputs", "weights", "options", "shape"}


def network_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a Network.

    Raises
    ------
    ValueError
        If something is not what it should be; the message says where, what was expected and what came.
    """
    _require_keys(content, _KEYS, "the architecture")
    inputs, constants = _object(content["inputs"], "inputs"), _object(content["constants"], "constants")
    return {
        "operations": tuple(_operation(op, i) for i, op in enumerate(_list(content["operations"], "operations"))),
        "inputs": {name: None if s is None else _shape(s, f"input {name!r}") for name, s in inputs.items()},
        "constants": {name: _shape(s, f"constant {name!r}") for name, s in constants.items()},
        "outputs": _texts(content["outputs"], "outputs"),
        "skipped": tuple(_skipped(entry) for entry in _list(content["skipped"], "skipped")),
        "format": _text(content["format"], "format"),
    }


_LEAST_INPUTS = {"product": 2, "attention": 3, "opaque": 0}
"""Tensors that an operation of a kind reads at least; 1 of all others."""


def _operation(entry: Any, number: int) -> Operation:
    where = f"operation {number}"
    _require_keys(_object(entry, where), _OPERATION_KEYS, where)
    name = _text(entry["name"], f"the name of {where}")
    where = f"operation {name!r}"
    weights = _object(entry["weights"], f"the weights of {where}")
    options = _object(entry["options"], f"the options of {where}")
    kind = _text(entry["kind"], f"the kind of {where}")
    operation = Operation(
        kind=kind,
        name=name,
        inputs=_texts(entry["inputs"], f"the inputs of {where}", _LEAST_INPUTS.get(kind, 1)),
        outputs=_texts(entry["outputs"], f"the outputs of {where}", 1),
        weights={role: _weight(weight, f"{role} of {where}") for role, weight in weights.items()},
        options={option: _option(option, value, where) for option, value in options.items()},
        shape=None if entry["shape"] is None else _shape(entry["shape"], where),
    )
    kernel = operation.weights.get("weight") if kind == "convolution" else None
    if operation.shape is not None and operation.weights:
        axis = operation.options.get("axis", -1 if kernel is None else 1)
        fits = -len(operation.shape) <= axis < len(operation.shape)
        if not fits or (kernel is not None and len(kernel.shape) != len(operation.shape)):
            raise _wrong(where, "a shape with as many axes as it makes", entry["shape"])
    return operation


def _weight(entry: Any, where: str) -> Weight:
    _require_keys(_object(entry, where), {"key", "shape", "dtype"}, where, {"fill"})
    key, shape = _text(entry["key"], f"the key of {where}"), _shape(entry["shape"], where)
    dtype = _DTYPES.get(str(entry["dtype"]))
    sides = tuple(side for side in shape if side is not None)
    if dtype is None or len(sides) != len(shape):
        raise _wrong(where, "a dtype of real numbers and a shape without unknown sides", [entry["dtype"], shape])
    if key:
        return Weight(sides, dtype, _unread(key), key)
    fill = entry.get("fill")
    if not isinstance(fill, int | float) or isinstance(fill, bool) or not abs(fill) <= _LARGEST_VALUE:
        raise _wrong(where, "a key, or a finite number to fill it with", fill)
    if math.prod(sides) > _MOST_FILLED:
        raise _wrong(where, f"at most {_MOST_FILLED:,} equal values", sides)
    return Weight(sides, dtype, lambda: np.full(sides, fill, dtype))


def _unread(key: str) -> Callable[[], Any]:
    def read() -> Any:
        msg = f"the weight {key!r} of an architecture has no values yet; give it tensors with with_tensors(...)"
        raise GraphError(msg)

    return read


def _option(option: str, value: Any, where: str) -> Any:
    label = f"the option {option!r} of {where}"
    if option == "orientation":
        return _word(value, ("in-out", "out-in"), label)
    if option == "layout":
        return _word(value, LAYOUTS, label)
    if option == "reason":
        return _text(value, label)
    if option == "keepdims":
        if not isinstance(value, bool):
            raise _wrong(label, "true or false", value)
        return value
    if option == "epsilon":
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < _LARGEST:
            raise _wrong(label, "a number of at least 0", value)
        return float(value)
    if option in ("groups", "gates", "times"):
        return _integer(value, label, 1)
    if option in ("permutation", "sizes", "indices", "axes"):
        return tuple(_integer(item, label) for item in _list(value, label))
    return None if value is None and option in ("start", "stop") else _integer(value, label)


def _skipped(entry: Any) -> Skipped:
    _require_keys(_object(entry, "an entry of skipped"), {"name", "reason"}, "an entry of skipped")
    return Skipped(_text(entry["name"], "skipped"), _text(entry["reason"], "skipped"))


def _shape(value: Any, where: str) -> Shape:
    sides = _list(value, f"the shape of {where}")
    if len(sides) > _MOST_AXES:
        raise _wrong(where, f"at most {_MOST_AXES} axes", len(sides))
    return tuple(None if side is None else _integer(side, f"the shape of {where}", 0) for side in sides)


def _integer(value: Any, where: str, least: int = -_LARGEST) -> int:
    if type(value) is not int or not least <= value <= _LARGEST:
        raise _wrong(where, f"an integer from {least} to {_LARGEST}", value)
    return value


def _word(value: Any, words: tuple[str, ...], where: str) -> str:
    if not isinstance(value, str) or value not in words:
        raise _wrong(where, f"one of {', '.join(words)}", value)
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong(where, "a string", value)
    return value


def _texts(value: Any, where: str, least: int = 0) -> tuple[str, ...]:
    if len(_list(value, where)) < least:
        raise _wrong(where, f"at least {least} of them", value)
    return tuple(_text(item, where) for item in _list(value, where))


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    return value


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    return value


def _require_keys(value: Mapping[str, Any], needed: set[str], where: str, free: Set[str] = frozenset()) -> None:
    if not needed <= set(value) or set(value) - needed - free:
        raise _wrong(where, f"the keys {', '.join(sorted(needed))}", sorted(map(str, value)))


def _wrong(where: str, expected: str, came: Any) -> ValueError:
    text = repr(came)
    return ValueError(f"{where}: expected {expected}, got {text if len(text) <= 80 else text[:77] + '...'}")

"""Sequences of tensors, which exporters make of splits and take apart again: no operation of their own."""

import numpy as np

from netspectra.bindings.onnx.constants import Constant, UnrepresentableError
from netspectra.bindings.onnx.cuts import joined_shape
from netspectra.bindings.onnx.emitter import Emitter
from netspectra.bindings.onnx.nodes import Node, Value, malformed, mismatch
from netspectra.bindings.onnx.recorder import Recorder

__all__ = ["EMITTERS"]

_MOST_PARTS = 4096


def _split(record: Recorder, node: Node) -> Value:
    """Into parts of a size given, or of sizes given, or of one element each."""
    shape, values = node.ranked(), node.values(1)
    axis = node.axis(node.integer("axis", 0), len(shape))
    side = shape[axis]
    if side is None or side > _MOST_PARTS:
        msg = f"it splits an axis of {side} elements"
        raise UnrepresentableError(msg)
    if values is None or values.ndim == 0:
        each = 1 if values is None else int(values)
        sizes = tuple(min(each, side - start) for start in range(0, side, each)) if each > 0 else ()
    else:
        sizes = tuple(int(size) for size in values.reshape(-1))
    if sum(sizes) != side or min(sizes, default=-1) < 0:
        raise mismatch(node, f"sizes that sum to {side}", sizes)
    around = shape[:axis], shape[axis + 1 :]
    made = [(*around[0], size, *around[1]) for size in sizes]
    parts = record.emit_several("split", node, [node.input(0)], made, axis=axis, sizes=sizes)
    if values is None and not node.integer("keepdims", 1):
        parts = [record.reshape(node, part, around[0] + around[1]) for part in parts]
    return _sequence(record, node, tuple(parts))


def _construct(record: Recorder, node: Node) -> Value:
    return _sequence(record, node, tuple(value for value in node.inputs if value is not None))


def _sequence(record: Recorder, node: Node, parts: tuple[Value, ...]) -> Value:
    return Value(record.fresh(node.outputs[0]), None, parts=parts)


def _parts(node: Node) -> tuple[Value, ...]:
    parts = node.input(0).parts
    if parts is None:
        msg = "a sequence that is not followed"
        raise UnrepresentableError(msg)
    return parts


def _at(_: Recorder, node: Node) -> Value:
    parts, place = _parts(node), node.values(1)
    if place is None or place.size != 1 or not -len(parts) <= int(place.reshape(-1)[0]) < len(parts):
        raise malformed(node, f"a place in a sequence of {len(parts)}", place)
    return parts[int(place.reshape(-1)[0])]


def _concatenate(record: Recorder, node: Node) -> Value:
    parts, axis, new = _parts(node), node.integer("axis", 0), node.integer("new_axis", 0)
    if any(part.shape is None or None in part.shape for part in parts) or not parts:
        msg = "tensors in a sequence whose shapes are not known"
        raise UnrepresentableError(msg)
    rank = len(parts[0].shape or ()) + (1 if new else 0)
    place = node.axis(axis, rank)
    if new:
        stacked = [(*(part.shape or ())[:place], 1, *(part.shape or ())[place:]) for part in parts]
        if any(part.constant is not None for part in parts):
            msg = "constants stacked beside what flows"
            raise UnrepresentableError(msg)
        parts = tuple(record.reshape(node, part, shape) for part, shape in zip(parts, stacked, strict=True))
    return record.emit("concatenate", node, parts, joined_shape(node, parts, place), axis=place)


def _length(record: Recorder, node: Node) -> Value:
    return Value(record.fresh(node.outputs[0]), (), Constant.of(np.array(len(_parts(node)), np.int64)))


EMITTERS: dict[str, Emitter] = {
    "SequenceLength": _length,
    "SplitToSequence": _split,
    "SequenceConstruct": _construct,
    "SequenceAt": _at,
    "ConcatFromSequence": _concatenate,
}

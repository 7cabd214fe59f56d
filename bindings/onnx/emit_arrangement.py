"""Operators that arrange elements anew: shapes, cuts, joins, rows in another order."""

import math

import numpy as np

from netspectra.bindings.onnx import cuts, shapes
from netspectra.bindings.onnx.constants import SMALL, Constant, UnrepresentableError
from netspectra.bindings.onnx.emit_weighted import gather_embedding
from netspectra.bindings.onnx.emitter import Emitter
from netspectra.bindings.onnx.folding import Rule
from netspectra.bindings.onnx.nodes import Node, Value, malformed, mismatch
from netspectra.bindings.onnx.recorder import Recorder
from netspectra.networks.network import Shape

__all__ = ["EMITTERS"]

_MOST_COPIES = 64


def _reshaping(rule: Rule) -> Emitter:
    def emit(record: Recorder, node: Node) -> Value:
        shape = rule(node)
        if shape is None:
            msg = "the shape that it makes is not known"
            raise UnrepresentableError(msg)
        return record.reshape(node, _flow(node), shape)

    return emit


def _flow(node: Node, number: int = 0) -> Value:
    value = node.input(number)
    if value.constant is not None:
        msg = f"{node.op} of a constant, which depends on the data"
        raise UnrepresentableError(msg)
    return value


def _flatten(record: Recorder, node: Node) -> Value:
    if node.input(0).shape is None and node.integer("axis", 1) == 1:
        return record.emit("flatten", node, [_flow(node)], None, start=1)
    return record.reshape(node, _flow(node), shapes.flattened_shape(node))


def _transpose(record: Recorder, node: Node) -> Value:
    return record.transpose(node, _flow(node), shapes.permutation(node))


def _expand(record: Recorder, node: Node) -> Value:
    return record.expand(node, _flow(node), shapes.expanded_shape(node))


def _concat(record: Recorder, node: Node) -> Value:
    shape, values = cuts.concatenated_shape(node), [value for value in node.inputs if value is not None]
    axis = node.integer("axis", 1)
    return record.emit("concatenate", node, values, shape, axis=axis)


def _split(record: Recorder, node: Node) -> list[Value | None]:
    axis, sizes = cuts.split_sizes(node)
    flow = _flow(node)
    parts = [_with_side(flow.shape, axis, size) for size in sizes]
    return list(record.emit_several("split", node, [flow], parts, axis=axis, sizes=sizes))


def _with_side(shape: Shape | None, axis: int, size: int) -> Shape | None:
    return None if shape is None else (*shape[:axis], size, *shape[axis + 1 :])


def _slice(record: Recorder, node: Node) -> Value:
    value = _flow(node)
    for axis, start, stop, step in cuts.slices(node):
        before = (value.shape or ())[axis] or 0
        after = _with_side(value.shape, axis, len(range(before)[start:stop:step]))
        value = record.emit("slice", node, [value], after, axis=axis, start=start, stop=stop, step=step)
    return value


def _gather(record: Recorder, node: Node) -> Value:
    """From a parameter: an embedding. From what flows: rows in the order that constant indices say."""
    data, indices = node.input(0), node.input(1)
    if data.constant is not None:
        return gather_embedding(record, node)
    shape = cuts.gathered_shape(node)
    axis = node.axis(node.integer("axis", 0), len(node.ranked()))
    side = node.ranked()[axis]
    if side is None:
        msg = f"it chooses along axis {axis}, whose size is not known"
        raise UnrepresentableError(msg)
    # Along an axis of size 1 there is but one to choose, whatever the data say.
    chosen = indices.constant is None and side == 1
    places = np.zeros(node.known_shape(1), np.int64) if chosen else node.values(1)
    if places is None or not np.all((places >= -side) & (places < side)):
        raise malformed(node, f"indices of an axis of {side}", "others")
    return _rows(record, node, data, axis, places % side, shape)


def _rows(record: Recorder, node: Node, data: Value, axis: int, places: np.ndarray, shape: Shape) -> Value:
    flat = places.reshape(-1)
    after = _with_side(data.shape, axis, flat.size)
    if flat.size == 1:
        start = int(flat[0])
        value = record.emit("slice", node, [data], after, axis=axis, start=start, stop=start + 1)
    else:
        value = record.emit("take", node, [data], after, axis=axis, indices=flat)
    return record.reshape(node, value, shape)


def _tile(record: Recorder, node: Node) -> Value:
    value, repeats = _flow(node), node.integers(1, "repeats") or ()
    cuts.tiled_shape(node)
    for axis, times in enumerate(repeats):
        side = (value.shape or ())[axis]
        if times == 1:
            continue
        if side == 1:
            value = record.expand(node, value, _with_side(value.shape, axis, times))
        elif times > _MOST_COPIES or side is None or times == 0:
            msg = f"{times} copies along axis {axis}"
            raise UnrepresentableError(msg)
        else:
            after = _with_side(value.shape, axis, side * times)
            value = record.emit("concatenate", node, [value] * times, after, axis=axis)
    return value


def _pad(record: Recorder, node: Node) -> Value:
    value, mode = _flow(node), node.text("mode", "constant")
    for axis, before, after in cuts.pad_amounts(node):
        side = (value.shape or ())[axis]
        if side is None:
            msg = f"it pads axis {axis}, whose size is not known"
            raise UnrepresentableError(msg)
        if before < 0 or after < 0:
            cut = slice(max(0, -before), side + min(0, after))
            kept = len(range(side)[cut])
            cut_shape = _with_side(value.shape, axis, kept)
            value = record.emit("slice", node, [value], cut_shape, axis=axis, start=cut.start, stop=cut.stop)
            side = kept
        more = max(0, before), max(0, after)
        shape = _with_side(value.shape, axis, side + sum(more))
        if not any(more):
            continue
        if mode == "constant":
            value = record.emit("pad", node, [value], shape, axis=axis, before=more[0], after=more[1])
        else:
            places = _mirrored(node, mode, side, *more)
            value = record.emit("take", node, [value], shape, axis=axis, indices=places)
    return value


def _mirrored(node: Node, mode: str, side: int, before: int, after: int) -> np.ndarray:
    if mode not in ("reflect", "edge", "wrap") or side < 1:
        raise malformed(node, "padding that is constant, reflect, edge or wrap", mode)
    if side + before + after > SMALL:
        msg = f"padding of {before + after:,} elements that is not constant"
        raise UnrepresentableError(msg)
    return np.pad(np.arange(side), (before, after), mode=mode)  # type: ignore[call-overload,no-any-return]


def _reduce(record: Recorder, node: Node) -> Value:
    flow = _flow(node)
    axes, shape = shapes.reduced_axes(node, len(node.ranked())), shapes.reduced_shape(node)
    if not axes:
        return record.passed(node, flow, flow.shape)
    return record.emit("reduce", node, [flow], shape, axes=axes, keepdims=bool(node.integer("keepdims", 1)))


def _shape(record: Recorder, node: Node) -> Value:
    """The shape of what flows does not depend on its values."""
    shape = node.known_shape()
    cut = slice(node.attributes.get("start", 0), node.attributes.get("end"))
    sides = np.array(shape[cut], np.int64)
    return Value(record.fresh(node.outputs[0]), (sides.size,), Constant.of(sides))


def _size(record: Recorder, node: Node) -> Value:
    total = np.array(math.prod(node.known_shape()), np.int64)
    return Value(record.fresh(node.outputs[0]), (), Constant.of(total))


def _depth_to_space(record: Recorder, node: Node) -> Value:
    n, c, h, w = _four(node)
    b = node.integer("blocksize", 1)
    if b < 1 or c % (b * b):
        raise mismatch(node, f"channels in blocks of {b} x {b}", (n, c, h, w))
    inner, order = ((b, b, c // (b * b)), (0, 3, 4, 1, 5, 2))
    if node.text("mode", "DCR") == "CRD":
        inner, order = (c // (b * b), b, b), (0, 1, 4, 2, 5, 3)
    value = record.reshape(node, _flow(node), (n, *inner, h, w))
    return record.reshape(node, record.transpose(node, value, order), (n, c // (b * b), h * b, w * b))


def _space_to_depth(record: Recorder, node: Node) -> Value:
    n, c, h, w = _four(node)
    b = node.integer("blocksize", 1)
    if b < 1 or h % b or w % b:
        raise mismatch(node, f"positions in blocks of {b} x {b}", (n, c, h, w))
    value = record.reshape(node, _flow(node), (n, c, h // b, b, w // b, b))
    return record.reshape(node, record.transpose(node, value, (0, 3, 5, 1, 2, 4)), (n, c * b * b, h // b, w // b))


def _four(node: Node) -> tuple[int, ...]:
    shape = node.known_shape()
    if len(shape) != 4:
        raise mismatch(node, "a tensor of four axes", shape)
    return shape


_REDUCTIONS = ["Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"]

EMITTERS: dict[str, Emitter] = {
    **dict.fromkeys((f"Reduce{name}" for name in _REDUCTIONS), _reduce),
    "Reshape": _reshaping(shapes.reshaped_shape),
    "Squeeze": _reshaping(shapes.squeezed_shape),
    "Unsqueeze": _reshaping(shapes.unsqueezed_shape),
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Expand": _expand,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Tile": _tile,
    "Pad": _pad,
    "Shape": _shape,
    "Size": _size,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}

"""Parts of tensors and tensors of parts: slices, splits, rows in another order, concatenation, writes into a part."""

from collections.abc import Sequence
from math import prod
from typing import Any

from netspectra.bindings.pytorch.aten_elementwise import times
from netspectra.bindings.pytorch.aten_linear import look_up
from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Constant, Flow, Shape

__all__ = ["SELECTION"]


def cut(call: Call) -> Any:
    """``slice`` and ``narrow``."""
    flow = call["self"]
    axis, size = _axis(call, flow)
    start = int(call.get("start") or 0)
    stop = start + int(call["length"]) if call.op == "narrow" else call.get("end")
    start, stop, step = slice(start, stop, call.get("step", 1)).indices(size)
    if (start, stop, step) == (0, size, 1):
        return flow
    return call.emit("slice", flow, shape=call.shape, axis=axis, start=start, stop=stop, step=step)


def select(call: Call) -> Any:
    """One position of an axis, which goes away."""
    flow = call["self"]
    axis, size = _axis(call, flow)
    return call.emit("reshape", _one(call, flow, axis, int(call["index"]) % size), shape=call.shape)


def split(call: Call) -> Any:
    """``split``, ``chunk``, ``tensor_split``: consecutive parts along an axis."""
    flow = call["self"]
    axis, _ = _axis(call, flow)
    sizes = tuple(int((shape or ())[axis] or 0) for shape in call.shapes)
    if len(sizes) == 1:
        return [flow]
    return call.emit_many("split", [flow], call.shapes, axis=axis, sizes=sizes)


def unbind(call: Call) -> Any:
    """Every position of an axis by itself."""
    flow = call["self"]
    axis, size = _axis(call, flow)
    if size == 1:
        return [call.emit("reshape", flow, shape=call.shape)]
    thin = [_with(flow.shape, axis, 1)] * size
    parts = call.emit_many("split", [flow], thin, axis=axis, sizes=(1,) * size)
    return [call.emit("reshape", part, shape=call.shape) for part in parts]


def gate(call: Call) -> Any:
    """``glu``: one half times a function of the other."""
    flow = call["self"]
    axis = call.axis(flow, int(call.get("dim", -1)))
    half = int((call.shape or ())[axis] or 0)
    one, other = call.emit_many("split", [flow], [call.shape] * 2, axis=axis, sizes=(half, half))
    return times(call, one, other, call.shape)


def concatenate(call: Call) -> Any:
    """``cat``; constants among the parts have no nodes."""
    parts = [part for part in call["tensors"] if part.shape != (0,)]
    return _joined(call, parts, int(call.get("dim", 0)), call.shape)


def stack(call: Call) -> Any:
    """``stack``: a new axis, over which the parts are spread."""
    axis = int(call.get("dim", 0))
    if call.shape is None:
        return call.opaque("a stack of tensors of unknown shape")
    axis %= len(call.shape)
    thin = _with(call.shape, axis, 1)
    return _joined(call, [_seen_as(call, part, thin) for part in call["tensors"]], axis, call.shape)


def stack_rows(call: Call) -> Any:
    """``hstack`` and ``vstack``."""
    n_axes = len(call.shape or ())
    axis = 0 if call.op == "vstack" or n_axes == 1 else 1
    parts = list(call["tensors"])
    if call.op == "vstack":
        parts = [_seen_as(call, part, (1, *part.shape)) if len(part.shape) == 1 else part for part in parts]
    return _joined(call, parts, axis, call.shape)


def take(call: Call) -> Any:
    """``index_select``: rows that a constant names; or rows of a table that a flow chooses."""
    flow, indices, axis = call["self"], call["index"], int(call["dim"])
    if isinstance(flow, Constant):
        return _rows(call, flow, indices) if axis == 0 else call.opaque("a constant, indexed by the inputs")
    return _taken(call, flow, call.axis(flow, axis), indices)


def index(call: Call) -> Any:
    """``tensor[indices]``: one constant tensor of indices, or a flow of them that chooses rows of a table."""
    flow, indices = call["self"], list(call["indices"])
    given = [i for i, value in enumerate(indices) if value is not None]
    if isinstance(flow, Constant):
        return _rows(call, flow, indices[0]) if given == [0] else call.opaque("a constant, indexed by the inputs")
    if len(given) != 1 or isinstance(indices[given[0]], Flow):
        return call.opaque("positions that several tensors, or the inputs, choose")
    return _taken(call, flow, given[0], indices[given[0]])


def flip(call: Call) -> Any:
    """Axes in the other direction."""
    flow = call["self"]
    for axis in call["dims"]:
        at = call.axis(flow, axis)
        size = int((flow.shape or ())[at] or 0)
        flow = call.emit("take", flow, shape=flow.shape, axis=at, indices=tuple(range(size))[::-1])
    return flow


def roll(call: Call) -> Any:
    """Axes shifted around."""
    flow, axes = call["self"], list(call.get("dims") or ())
    if not axes:
        return call.opaque("a roll over all axes at once is not known")
    for axis, shift in zip(axes, call["shifts"], strict=True):
        at = call.axis(flow, axis)
        size = int((flow.shape or ())[at] or 0)
        order = tuple((i - shift) % size for i in range(size))
        flow = call.emit("take", flow, shape=flow.shape, axis=at, indices=order)
    return flow


def overwrite(call: Call) -> Any:
    """``slice_scatter`` and ``select_scatter``: a part of one tensor replaced by another tensor."""
    whole, part = call["self"], call["src"]
    axis, size = _axis(call, whole)
    step = int(call.get("step", 1))
    if call.op == "select_scatter":
        start = int(call["index"]) % size
        stop = start + 1
        part = _seen_as(call, part, _with(whole.shape, axis, 1))
    else:
        start, stop, step = slice(call.get("start"), call.get("end"), step).indices(size)
    if step != 1:
        return call.opaque("a write into every other position is not known")
    pieces = [_piece(call, whole, axis, 0, start), part, _piece(call, whole, axis, stop, size)]
    return _joined(call, [piece for piece in pieces if piece is not None], axis, call.shape)


def copied(call: Call) -> Any:
    """``copy``: the source, broadcast to the shape of what it is written over."""
    source = call["src"]
    if isinstance(source, Constant):
        return Constant(call.output, tuple(int(size or 1) for size in call.shape or ()), source.dtype, None)
    return source if source.shape == call.shape else call.emit("expand", source, shape=call.shape)


def _piece(call: Call, whole: Any, axis: int, start: int, stop: int) -> Any:
    if start >= stop:
        return None
    shape = _with(whole.shape, axis, stop - start)
    if isinstance(whole, Constant):
        return whole.derive([int(size or 1) for size in shape], lambda value: value.narrow(axis, start, stop - start))
    return call.emit("slice", whole, shape=shape, axis=axis, start=start, stop=stop)


def _one(call: Call, flow: Flow, axis: int, at: int) -> Flow:
    return call.emit("slice", flow, shape=_with(flow.shape, axis, 1), axis=axis, start=at, stop=at + 1)


def _rows(call: Call, table: Constant, numbers: Any) -> Any:
    if table.evaluate is None or not isinstance(numbers, Flow) or len(table.shape) > 2:
        return call.opaque("a constant, indexed by the inputs")
    if len(table.shape) == 2:
        return look_up(call, table, numbers, call.shape)
    return Constant(call.output, tuple(int(size or 1) for size in call.shape or ()), table.dtype, None)


def _taken(call: Call, flow: Flow, axis: int, indices: Any) -> Any:
    if not isinstance(indices, Constant) or indices.evaluate is None or flow.shape is None:
        return call.opaque("positions that the inputs choose")
    values = indices.evaluate()
    if str(values.dtype) in ("torch.bool", "torch.uint8"):
        return call.opaque("positions that a mask chooses")
    size = int(flow.shape[axis] or 0)
    order = tuple(int(i) % size for i in values.reshape(-1).tolist())
    made = call.emit("take", flow, shape=_with(flow.shape, axis, len(order)), axis=axis, indices=order)
    return _seen_as(call, made, call.shape)


def _joined(call: Call, parts: Sequence[Any], axis: int, shape: Shape) -> Any:
    if len(parts) == 1:
        return parts[0]
    if shape is not None:
        axis %= len(shape)
    return call.emit("concatenate", *parts, shape=shape, axis=axis)


def _seen_as(call: Call, part: Any, shape: Shape) -> Any:
    if part.shape == shape or shape is None:
        return part
    if isinstance(part, Constant):
        sizes = [int(size or 1) for size in shape]
        return part.derive(sizes, lambda value: value.reshape(sizes))
    if prod(int(size or 1) for size in part.shape or ()) != prod(int(size or 1) for size in shape):
        return call.emit("expand", part, shape=shape)
    return call.emit("reshape", part, shape=shape)


def _axis(call: Call, flow: Any) -> tuple[int, int]:
    """Number and size of the axis that an operation is about."""
    axis = call.axis(flow, int(call.get("dim", 0)))
    return axis, int((flow.shape or (1,))[axis] or 0)


def _with(shape: Shape, axis: int, size: int) -> tuple[int | None, ...]:
    kept = tuple(shape or ())
    return (*kept[:axis], size, *kept[axis + 1 :])


SELECTION: dict[str, Emitter] = {
    **dict.fromkeys(("slice", "narrow", "slice_copy"), cut),
    **dict.fromkeys(("select", "select_copy"), select),
    **dict.fromkeys(("split", "chunk", "tensor_split", "split_with_sizes", "unsafe_split", "unsafe_chunk"), split),
    **dict.fromkeys(("unbind", "unbind_copy"), unbind),
    **dict.fromkeys(("cat", "concat", "concatenate"), concatenate),
    **dict.fromkeys(("hstack", "vstack"), stack_rows),
    **dict.fromkeys(("slice_scatter", "select_scatter"), overwrite),
    "copy": copied,
    "flip": flip,
    "glu": gate,
    "index": index,
    "index_select": take,
    "roll": roll,
    "stack": stack,
}
"""ATen operation to its emitter."""

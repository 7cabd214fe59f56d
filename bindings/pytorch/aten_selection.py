"""Parts of tensors and tensors of parts: slices, splits, concatenation, writes into a part."""

from collections.abc import Sequence
from math import prod
from typing import Any

from netspectra.bindings.pytorch.aten_elementwise import times
from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Constant, Flow, Shape

__all__ = ["SELECTION", "seen_as", "with_size"]


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
    thin = [with_size(flow.shape, axis, 1)] * size
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
    thin = with_size(call.shape, axis, 1)
    return _joined(call, [seen_as(call, part, thin) for part in call["tensors"]], axis, call.shape)


def stack_rows(call: Call) -> Any:
    """``hstack`` and ``vstack``."""
    n_axes = len(call.shape or ())
    axis = 0 if call.op == "vstack" or n_axes == 1 else 1
    parts = list(call["tensors"])
    if call.op == "vstack":
        parts = [seen_as(call, part, (1, *part.shape)) if len(part.shape) == 1 else part for part in parts]
    return _joined(call, parts, axis, call.shape)


def overwrite(call: Call) -> Any:
    """``slice_scatter`` and ``select_scatter``: a part of one tensor replaced by another tensor."""
    whole, part = call["self"], call["src"]
    axis, size = _axis(call, whole)
    step = int(call.get("step", 1))
    if call.op == "select_scatter":
        start = int(call["index"]) % size
        stop = start + 1
        part = seen_as(call, part, with_size(whole.shape, axis, 1))
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
    shape = with_size(whole.shape, axis, stop - start)
    if isinstance(whole, Constant):
        return whole.derive([int(size or 1) for size in shape], lambda value: value.narrow(axis, start, stop - start))
    return call.emit("slice", whole, shape=shape, axis=axis, start=start, stop=stop)


def _one(call: Call, flow: Flow, axis: int, at: int) -> Flow:
    return call.emit("slice", flow, shape=with_size(flow.shape, axis, 1), axis=axis, start=at, stop=at + 1)


def _joined(call: Call, parts: Sequence[Any], axis: int, shape: Shape) -> Any:
    if len(parts) == 1:
        return parts[0]
    if shape is not None:
        axis %= len(shape)
    return call.emit("concatenate", *parts, shape=shape, axis=axis)


def seen_as(call: Call, part: Any, shape: Shape) -> Any:
    """Flow or constant in another shape, broadcast where it has fewer elements."""
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


def with_size(shape: Shape, axis: int, size: int) -> tuple[int | None, ...]:
    """Shape whose axis has another size."""
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
    "glu": gate,
    "stack": stack,
}
"""ATen operation to its emitter."""

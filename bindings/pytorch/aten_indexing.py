"""Rows in another order: indices that are constant, and those that the inputs choose."""

from math import prod
from typing import Any

import torch

from netspectra.bindings.pytorch.aten_linear import look_up
from netspectra.bindings.pytorch.aten_selection import seen_as, with_size
from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Constant, Flow

__all__ = ["INDEXING"]


def take(call: Call) -> Any:
    """``index_select``: rows that a constant names; or rows of a table that a flow chooses."""
    flow, indices, axis = call["self"], call["index"], int(call["dim"])
    if isinstance(flow, Constant):
        return _rows(call, flow, indices) if axis == 0 else call.opaque("a constant, indexed by the inputs")
    return _taken(call, flow, [call.axis(flow, axis)], [indices])


def index(call: Call) -> Any:
    """``tensor[indices]``: rows of a table that a flow chooses; of a flow, rows that constants or the inputs choose."""
    flow, indices = call["self"], list(call["indices"])
    axes = [i for i, value in enumerate(indices) if value is not None]
    if isinstance(flow, Constant):
        return _rows(call, flow, indices[0]) if axes == [0] else call.opaque("a constant, indexed by the inputs")
    return _taken(call, flow, axes, [indices[axis] for axis in axes])


def gather(call: Call) -> Any:
    """``gather`` and ``topk``: along one axis, positions that values choose."""
    flow, axis = call["self"], int(call.get("dim", -1))
    if not isinstance(flow, Flow) or flow.shape is None or call.shape is None:
        return call.opaque("a constant, indexed by the inputs")
    axis = call.axis(flow, axis)
    if with_size(flow.shape, axis, 1) != with_size(call.shape, axis, 1):
        return call.opaque("positions that values choose, fewer of them along other axes")
    made = call.emit("reduce", flow, shape=with_size(flow.shape, axis, 1), axes=(axis,), keepdims=True)
    made = call.emit("expand", made, shape=call.shape)
    return [made] if call.is_list else made


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


def _rows(call: Call, table: Constant, numbers: Any) -> Any:
    if table.evaluate is None or not isinstance(numbers, Flow) or len(table.shape) > 2:
        return call.opaque("a constant, indexed by the inputs")
    if len(table.shape) == 2:
        return look_up(call, table, numbers, call.shape)
    return Constant(call.output, tuple(int(size or 1) for size in call.shape or ()), table.dtype, None)


def _taken(call: Call, flow: Flow, axes: list[int], indices: list[Any]) -> Any:
    """Rows of consecutive axes that constants choose; of any axes, all rows at once where the inputs choose."""
    shape = flow.shape
    if shape is None or call.shape is None:
        return call.opaque("rows of a tensor of unknown shape")
    together = axes == list(range(axes[0], axes[-1] + 1))
    if not together or not all(isinstance(value, Constant) and value.evaluate for value in indices):
        return _any_of(call, flow, axes, axes[0] if together else 0)
    values = [value.evaluate() for value in indices]
    if values[0].dtype in (torch.bool, torch.uint8):
        axes = list(range(axes[0], axes[0] + values[0].ndim)) if len(values) == 1 else axes
        values = list(values[0].nonzero(as_tuple=True)) if len(values) == 1 else values
    sizes = [int(shape[axis] or 0) for axis in axes]
    flat = torch.zeros((), dtype=torch.long)
    for value, size in zip(torch.broadcast_tensors(*values), sizes, strict=True):
        flat = flat * size + torch.where(value < 0, value + size, value)
    first, last = axes[0], axes[-1] + 1
    merged = seen_as(call, flow, (*shape[:first], prod(sizes), *shape[last:]))
    order = tuple(flat.reshape(-1).tolist())
    made = call.emit("take", merged, shape=with_size(merged.shape, first, len(order)), axis=first, indices=order)
    return made if any(size is None for size in call.shape) else seen_as(call, made, call.shape)


def _any_of(call: Call, flow: Flow, axes: list[int], at: int) -> Flow:
    """Any row that the inputs may choose: what the rows have in common are the channels of the other axes."""
    shape, out = flow.shape or (), call.shape or ()
    rest = tuple(size for i, size in enumerate(shape) if i not in axes)
    made = call.emit("reduce", flow, shape=rest, axes=tuple(axes))
    thin = (*rest[:at], *(1,) * (len(out) - len(rest)), *rest[at:])
    return call.emit("expand", call.emit("reshape", made, shape=thin), shape=out)


INDEXING: dict[str, Emitter] = {
    "flip": flip,
    "gather": gather,
    "index": index,
    "index_select": take,
    "roll": roll,
    "topk": gather,
}
"""ATen operation to its emitter."""

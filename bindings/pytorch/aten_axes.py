"""Axes: reshaping, exchanging, broadcasting, repeating."""

from math import prod
from typing import Any

from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Flow, Shape

__all__ = ["AXES"]


def reshape(call: Call) -> Any:
    """Any operation that keeps the elements in order: view, flatten, squeeze, unsqueeze."""
    flow = call.flows[0]
    if call.shape is None or any(size is None for size in call.shape):
        return call.opaque("a shape that depends on the inputs")
    return flow if flow.shape == call.shape else call.emit("reshape", flow, shape=call.shape)


def permute(call: Call) -> Any:
    """``permute``: axes in a given order."""
    return _transposed(call, call["self"], [call.axis(call["self"], axis) for axis in call["dims"]])


def transpose(call: Call) -> Any:
    """Two axes exchanged: ``transpose``, ``swapaxes``."""
    flow = call["self"]
    one, other = (call.get("dim0", call.get("axis0")), call.get("dim1", call.get("axis1")))
    return _swapped(call, flow, one, other)


def last_two(call: Call) -> Any:
    """``mT``, ``t``, ``adjoint``: the last two axes exchanged, where there are two."""
    flow = call["self"]
    return flow if len(flow.shape or ()) < 2 else _swapped(call, flow, -2, -1)


def reverse_axes(call: Call) -> Any:
    """``.T``: all axes in the other order."""
    flow = call["self"]
    return _transposed(call, flow, list(range(len(flow.shape or ())))[::-1])


def move_axes(call: Call) -> Any:
    """``movedim``."""
    flow = call["self"]
    source, target = call["source"], call["destination"]
    source, target = ([x] if isinstance(x, int) else list(x) for x in (source, target))
    source, target = ([call.axis(flow, axis) for axis in axes] for axes in (source, target))
    order = [axis for axis in range(len(flow.shape or ())) if axis not in source]
    for to, axis in sorted(zip(target, source, strict=True)):
        order.insert(to, axis)
    return _transposed(call, flow, order)


def expand(call: Call) -> Any:
    """Broadcasting to a shape."""
    flow = call["self"]
    return flow if flow.shape == call.shape else call.emit("expand", flow, shape=call.shape)


def tile(call: Call) -> Any:
    """``repeat`` and ``tile``: the whole tensor over and over along each axis."""
    flow = call["self"]
    times = list(call.get("repeats", call.get("dims")))
    if flow.shape is None or call.shape is None:
        return call.opaque("a shape that depends on the inputs")
    n_more = len(call.shape) - len(flow.shape)
    sizes = [*[1] * n_more, *flow.shape]
    times = [*[1] * (len(sizes) - len(times)), *times]
    apart = [x for size in sizes for x in (1, size)]
    wide = [x for size, count in zip(sizes, times, strict=True) for x in (count, size)]
    made = call.emit("reshape", flow, shape=tuple(apart))
    made = call.emit("expand", made, shape=tuple(wide))
    return call.emit("reshape", made, shape=call.shape)


def interleave(call: Call) -> Any:
    """``repeat_interleave`` by a number."""
    flow, axis = call["self"], call.get("dim")
    times = call["repeats"]
    if not isinstance(times, int) or flow.shape is None:
        return call.opaque("repeats of several lengths are not known")
    if axis is None:
        flow, axis = call.emit("reshape", flow, shape=(prod(int(size or 1) for size in flow.shape),)), 0
    return call.emit("repeat", flow, shape=call.shape, axis=call.axis(flow, axis), times=times)


def shuffle_pixels(call: Call) -> Any:
    """``pixel_shuffle``: of every r x r channels one, with r times the positions along both axes."""
    flow, r = call["self"], int(call["upscale_factor"])
    *lead, channels, height, width = flow.shape or (None, None, None)
    n = len(lead)
    order = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    return _regrouped(call, flow, (*lead, int(channels or 0) // r**2, r, r, height, width), order)


def unshuffle_pixels(call: Call) -> Any:
    """``pixel_unshuffle``: the inverse."""
    flow, r = call["self"], int(call["downscale_factor"])
    *lead, channels, height, width = flow.shape or (None, None, None)
    n = len(lead)
    order = [*range(n), n, n + 2, n + 4, n + 1, n + 3]
    return _regrouped(call, flow, (*lead, channels, int(height or 0) // r, r, int(width or 0) // r, r), order)


def shuffle_channels(call: Call) -> Any:
    """``channel_shuffle``."""
    flow, groups = call["self"], int(call["groups"])
    batch, channels, *spatial = flow.shape or (None, None)
    order = [0, 2, 1, *range(3, 3 + len(spatial))]
    return _regrouped(call, flow, (batch, groups, int(channels or 0) // groups, *spatial), order)


def _regrouped(call: Call, flow: Flow, shape: tuple[int | None, ...], order: list[int]) -> Any:
    made = call.emit("reshape", flow, shape=shape)
    return call.emit("reshape", _transposed(call, made, order), shape=call.shape)


def _swapped(call: Call, flow: Flow, one: int, other: int) -> Any:
    if flow.shape is None:
        return call.opaque("axes of a tensor of unknown shape")
    order = list(range(len(flow.shape)))
    if not order:
        return flow
    one, other = call.axis(flow, one), call.axis(flow, other)
    order[one], order[other] = order[other], order[one]
    return _transposed(call, flow, order)


def _transposed(call: Call, flow: Flow, order: list[int]) -> Flow:
    if order == list(range(len(order))):
        return flow
    shape: Shape = None if flow.shape is None else tuple(flow.shape[axis] for axis in order)
    return call.emit("transpose", flow, shape=shape, permutation=tuple(order))


_RESHAPES = (
    "view reshape view_as reshape_as _unsafe_view flatten unflatten squeeze unsqueeze ravel atleast_1d atleast_2d "
    "atleast_3d view_copy squeeze_copy unsqueeze_copy _reshape_alias _reshape_copy"
)

AXES: dict[str, Emitter] = {
    **dict.fromkeys(_RESHAPES.split(), reshape),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to", "expand_copy"), expand),
    **dict.fromkeys(("permute", "permute_copy"), permute),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims", "transpose_copy"), transpose),
    **dict.fromkeys(("t", "mT", "mH", "adjoint", "t_copy", "matrix_H"), last_two),
    **dict.fromkeys(("movedim", "moveaxis"), move_axes),
    **dict.fromkeys(("repeat", "tile"), tile),
    "numpy_T": reverse_axes,
    "repeat_interleave": interleave,
    "pixel_shuffle": shuffle_pixels,
    "pixel_unshuffle": unshuffle_pixels,
    "channel_shuffle": shuffle_channels,
}
"""ATen operation to its emitter."""

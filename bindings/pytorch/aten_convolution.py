"""Convolutions, plain, grouped and transposed, and what changes positions only: pooling, interpolation, padding."""

from typing import Any

from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Constant, Flow, Shape

__all__ = ["CONVOLUTION"]


def convolution(call: Call) -> Any:
    """Convolution of one to three spatial axes; without a batch the channels are the first axis."""
    return _convolution(call, is_transposed=bool(call.get("transposed", False)))


def transposed_convolution(call: Call) -> Any:
    """Transposed convolution."""
    return _convolution(call, is_transposed=True)


def _convolution(call: Call, *, is_transposed: bool) -> Any:
    flow, kernel = call["input"], call["weight"]
    if not isinstance(kernel, Constant) or kernel.evaluate is None or not isinstance(flow, Flow):
        return call.opaque("the kernel depends on the inputs")
    has_batch = flow.shape is None or len(flow.shape) == len(kernel.shape)
    return call.emit(
        "convolution",
        flow,
        shape=call.shape,
        weights={"weight": kernel},
        layout="iohw" if is_transposed else "oihw",
        groups=int(call.get("groups", 1)),
        axis=1 if has_batch else 0,
    )


def positions(call: Call) -> Any:
    """What keeps every channel and changes positions: pooling, interpolation, sampling, padding that copies."""
    made = call.emit("pass", call.flows[0], shape=call.shape)
    return [made] if call.is_list else made


def pad(call: Call) -> Any:
    """Padding, its amounts given from the last axis on; negative ones cut."""
    flow, amounts = call["self"], list(call["pad"])
    if call.get("mode", "constant") != "constant":
        return positions(call)
    n_axes = len(flow.shape) if flow.shape is not None else None
    shape: list[int | None] | None = None if flow.shape is None else list(flow.shape)
    for i in range(len(amounts) // 2):
        axis = -1 - i if n_axes is None else n_axes - 1 - i
        for at_end, amount in enumerate(amounts[2 * i : 2 * i + 2]):
            if amount == 0:
                continue
            if shape is not None:
                shape[axis] = None if shape[axis] is None else int(shape[axis] or 0) + amount
            flow = _edge(call, flow, axis, amount, bool(at_end), None if shape is None else tuple(shape))
    return flow


def _edge(call: Call, flow: Flow, axis: int, amount: int, at_end: bool, shape: Shape) -> Flow:
    if amount > 0:
        before, after = (0, amount) if at_end else (amount, 0)
        return call.emit("pad", flow, shape=shape, axis=axis, before=before, after=after)
    start, stop = (0, amount) if at_end else (-amount, None)
    if flow.shape is not None and flow.shape[axis] is not None:
        size = int(flow.shape[axis] or 0)
        start, stop = (0, size + amount) if at_end else (-amount, size)
    return call.emit("slice", flow, shape=shape, axis=axis, start=start, stop=stop)


def unfolded(call: Call) -> Any:
    """Patches as channels (im2col): every channel once for each place in the patch."""
    flow = call["self"]
    times = 1
    for size in call["kernel_size"]:
        times *= int(size)
    if flow.shape is None or call.shape is None or len(flow.shape) != 4:
        return call.opaque("patches of a tensor of unknown shape")
    batch, channels, *spatial = flow.shape
    shape: Shape = (batch, int(channels or 0) * times, *spatial)
    made = call.emit("repeat", flow, shape=shape, axis=1, times=times)
    made = call.emit("flatten", made, start=2, stop=-1)
    return call.emit("pass", made, shape=call.shape)


_POOLS = [
    f"{which}_pool{n}d{end}"
    for which in ("max", "avg", "adaptive_avg", "adaptive_max", "fractional_max", "_adaptive_avg")
    for n in (1, 2, 3)
    for end in ("", "_with_indices")
]
_INTERPOLATIONS = [
    f"{start}upsample_{how}{end}"
    for start in ("", "_")
    for how in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "bicubic2d", "trilinear3d")
    for end in ("", "_aa")
] + [f"_upsample_nearest_exact{n}d" for n in (1, 2, 3)]
_COPYING_PADS = [f"{how}_pad{n}d" for how in ("reflection", "replication") for n in (1, 2, 3)] + ["_pad_circular"]

CONVOLUTION: dict[str, Emitter] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution", "_convolution"), convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), transposed_convolution),
    **dict.fromkeys((*_POOLS, *_INTERPOLATIONS, *_COPYING_PADS), positions),
    **dict.fromkeys(("grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "max_unpool2d", "max_unpool3d"), positions),
    **dict.fromkeys(("pad", "constant_pad_nd"), pad),
    "im2col": unfolded,
}
"""ATen operation to its emitter."""

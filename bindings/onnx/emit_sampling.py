"""Operators that change how many positions there are and leave the channels alone: pooling, resizing."""

import math

from netspectra.bindings.onnx.constants import UnrepresentableError
from netspectra.bindings.onnx.emitter import Emitter
from netspectra.bindings.onnx.nodes import Node, Value, malformed
from netspectra.bindings.onnx.recorder import Recorder
from netspectra.bindings.onnx.windows import slid
from netspectra.networks.network import Shape

__all__ = ["EMITTERS"]

_LONGEST = 1 << 31


def _pool(record: Recorder, node: Node) -> Value:
    flow, kernel = node.input(0), node.ints("kernel_shape")
    if not kernel:
        raise malformed(node, "a kernel_shape", kernel)
    channels = None if flow.shape is None or len(flow.shape) < 2 else flow.shape[1]
    return record.passed(node, flow, slid(node, flow.shape, kernel, channels))


def _global_pool(record: Recorder, node: Node) -> Value:
    flow = node.input(0)
    if flow.shape is None:
        return record.passed(node, flow, None)
    shape = flow.shape[:2] + (1,) * (len(flow.shape) - 2)
    axes = tuple(range(2, len(flow.shape)))
    return record.emit("reduce", node, [flow], shape, axes=axes, keepdims=True) if axes else flow


def _resize(record: Recorder, node: Node) -> Value:
    """``Resize`` and ``Upsample``: to sizes, or by factors, of the axes of positions."""
    flow, shape = node.input(0), node.ranked()
    after = _resized(node, shape)
    if len(after) != len(shape) or any(side is not None and not 0 <= side < _LONGEST for side in after):
        raise malformed(node, f"sizes of {len(shape)} axes", after)
    if after[:2] != shape[:2] and after[-1:] != shape[-1:]:
        msg = "it resizes the channels"
        raise UnrepresentableError(msg)
    return record.passed(node, flow, after)


def _resized(node: Node, shape: Shape) -> Shape:
    axes = node.ints("axes") or tuple(range(len(shape)))
    axes = tuple(node.axis(axis, len(shape)) for axis in axes)
    factors_at = 1 if node.op == "Upsample" or node.opset < 11 else 2
    sizes = node.integers(3, "sizes") if node.op == "Resize" else None
    after = list(shape)
    if sizes:
        if len(sizes) != len(axes):
            raise malformed(node, f"{len(axes)} sizes", sizes)
        for axis, side in zip(axes, sizes, strict=True):
            after[axis] = side
        return tuple(after)
    listed = node.attributes.get("scales")
    values = node.values(factors_at)
    factors = list(listed or ()) if values is None else [float(value) for value in values.reshape(-1)]
    if len(factors) != len(axes) or not all(0 < factor < _LONGEST for factor in factors):
        raise malformed(node, f"{len(axes)} factors", factors)
    for axis, factor in zip(axes, factors, strict=True):
        before = shape[axis]
        after[axis] = None if before is None else max(1, math.floor(before * factor))
    return tuple(after)


EMITTERS: dict[str, Emitter] = {
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), _global_pool),
    "Resize": _resize,
    "Upsample": _resize,
}

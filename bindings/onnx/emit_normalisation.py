"""Normalisations: a factor for each channel where they have one, and for the rest channels pass as they are."""

from collections.abc import Callable

import numpy as np

from netspectra.bindings.onnx.constants import Constant
from netspectra.bindings.onnx.emitter import Emitter
from netspectra.bindings.onnx.nodes import Node, Value, mismatch
from netspectra.bindings.onnx.recorder import Recorder

__all__ = ["EMITTERS", "scaled"]


def scaled(record: Recorder, node: Node, value: Value, constant: Constant | None, axis: int) -> Value:
    """Record a factor for each channel along an axis, where there is one."""
    if constant is None:
        return record.passed(node, value, value.shape)
    if len(constant.shape) != 1:
        record.skip(node.name, f"a scale of shape {constant.shape}, not one for each channel")
        return record.passed(node, value, value.shape)
    if value.shape is not None and (
        len(value.shape) < abs(axis + 0.5) or value.shape[axis] not in (None, constant.size)
    ):
        raise mismatch(node, f"{constant.size} channels along axis {axis}", value.shape)
    return record.emit("scale", node, [value], value.shape, weights={"scale": constant}, axis=axis)


def _batch_norm(record: Recorder, node: Node) -> Value:
    flow, scale, variance = node.input(0), node.constant(1), node.constant(4)
    if node.integer("training_mode", 0) or (len(node.outputs) > 1 and node.opset < 14):
        return scaled(record, node, flow, scale, 1)
    if len(scale.shape) != 1 or scale.shape != variance.shape:
        raise mismatch(node, "a scale and a variance for each channel", (scale.shape, variance.shape))
    if flow.shape is not None and (len(flow.shape) < 2 or flow.shape[1] not in (None, scale.size)):
        raise mismatch(node, f"{scale.size} channels along axis 1", flow.shape)
    options = {"axis": 1, "epsilon": node.number("epsilon", 1e-5)}
    return record.emit("scale", node, [flow], flow.shape, weights={"scale": scale, "variance": variance}, **options)


def _layer_norm(record: Recorder, node: Node) -> Value:
    flow, scale = node.input(0), node.input(1).constant
    axis, shape = node.integer("axis", -1), flow.shape
    last = axis == -1 or (shape is not None and axis == len(shape) - 1)
    if scale is not None and not last and sum(side != 1 for side in scale.shape) > 1:
        record.skip(node.name, "it normalises several axes together, with a factor for each element")
        return record.passed(node, flow, shape)
    if scale is not None and len(scale.shape) > 1 and scale.size == scale.shape[-1]:
        scale = scale.mapped((scale.size,), lambda array: array.reshape(-1))
    return scaled(record, node, flow, scale, -1)


def _instance_norm(record: Recorder, node: Node) -> Value:
    scale = node.input(1).constant
    values = None if scale is None else scale.small
    if values is not None and np.all(values == 1):  # how exporters write a group norm: its factors come after
        scale = None
    return scaled(record, node, node.input(0), scale, 1)


def _group_norm(record: Recorder, node: Node) -> Value:
    flow, scale, groups = node.input(0), node.input(1).constant, node.integer("num_groups", 1)
    n_channels = None if flow.shape is None or len(flow.shape) < 2 else flow.shape[1]
    if scale is not None and n_channels and scale.shape == (groups,) != (n_channels,) and n_channels % groups == 0:
        each = n_channels // groups
        scale = scale.mapped((n_channels,), lambda array: np.repeat(array, each))
    return scaled(record, node, flow, scale, 1)


def _last_group_norm(record: Recorder, node: Node) -> Value:
    """``GroupNorm`` of com.microsoft: channels last unless it says otherwise."""
    return scaled(record, node, node.input(0), node.input(1).constant, -1 if node.integer("channels_last", 1) else 1)


def _skip_norm(scale: int) -> Callable[[Recorder, Node], list[Value | None]]:
    """A residual addition and a norm: outputs are the norm's and, fourth, the sum."""

    def emit(record: Recorder, node: Node) -> list[Value | None]:
        terms = [value for value in (node.input(0), node.input(1)) if value.constant is None]
        total = record.emit("add", node, terms, node.input(0).shape) if len(terms) > 1 else terms[0]
        return [scaled(record, node, total, node.input(scale).constant, -1), None, None, total]

    return emit


EMITTERS: dict[str, Emitter] = {
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _layer_norm,
    "SimplifiedLayerNormalization": _layer_norm,
    "com.microsoft.SimplifiedLayerNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "com.microsoft.GroupNorm": _last_group_norm,
    "com.microsoft.SkipLayerNormalization": _skip_norm(2),
    "com.microsoft.SkipSimplifiedLayerNormalization": _skip_norm(2),
}

"""Operators that treat each element, or each channel, by itself: activations, arithmetic, masks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from netspectra.bindings.onnx.constants import Constant, UnrepresentableError
from netspectra.bindings.onnx.emitter import Emitter
from netspectra.bindings.onnx.nodes import Node, Value
from netspectra.bindings.onnx.recorder import Recorder
from netspectra.bindings.onnx.shapes import broadcast, broadcast_shape
from netspectra.bindings.onnx.tensors import DTYPES
from netspectra.networks.network import Shape

__all__ = ["EMITTERS", "multiply", "pass_first", "scale_axis"]


def pass_first(record: Recorder, node: Node) -> Value:
    """The first input as it is; the others say how."""
    flow = node.input(0)
    if flow.constant is not None:
        msg = f"{node.op} of a constant, which depends on the data"
        raise UnrepresentableError(msg)
    return record.passed(node, flow, flow.shape)


def _cast(record: Recorder, node: Node) -> Value:
    return replace(pass_first(record, node), dtype=DTYPES.get(node.integer("to", 0)))


def _combine(kind: str) -> Emitter:
    """Of the inputs that flow; constants change no edges, but may broadcast."""

    def emit(record: Recorder, node: Node) -> Value:
        return _combined(record, node, kind, node.flows, broadcast_shape(node))

    return emit


def _combined(record: Recorder, node: Node, kind: str, flows: Sequence[Value], shape: Shape | None) -> Value:
    inner = broadcast(node, [flow.shape for flow in flows])
    value = record.passed(node, flows[0], inner) if len(flows) == 1 else record.emit(kind, node, flows, inner)
    return record.expand(node, value, shape)


def multiply(record: Recorder, node: Node) -> Value:
    """``Mul`` and ``Div``: a parameter along one axis scales it, other constants leave every edge where it is."""
    shape = broadcast_shape(node)
    flows = node.flows
    constants = [value for value in node.inputs if value is not None and value.constant is not None]
    value = _combined(record, node, "multiply", flows, broadcast(node, [flow.shape for flow in flows]))
    for other in constants:
        constant = other.constant
        if constant is None or constant.size == 1:
            continue
        wide = broadcast(node, [value.shape, constant.shape])
        axis = scale_axis(constant, wide)
        if axis is None:
            value = record.emit("multiply", node, [value, other], wide)
            continue
        value = record.expand(node, value, wide)
        vector = constant.mapped((constant.size,), lambda array: array.reshape(-1))
        if node.op == "Div" and other is node.inputs[1]:
            vector = vector.mapped(vector.shape, np.reciprocal)
        value = record.emit("scale", node, [value], wide, weights={"scale": vector}, axis=axis)
    return record.expand(node, value, shape)


def scale_axis(constant: Constant, shape: Shape | None) -> int | None:
    """Axis, from the end, that a parameter scales; None where it is no parameter, or does not lie along one axis."""
    if not constant.learned or constant.read is None:
        return None
    long = [number - len(constant.shape) for number, side in enumerate(constant.shape) if side != 1]
    if len(long) != 1 or shape is None or shape[long[0]] not in (None, constant.size):
        return None
    return long[0]


def _where(record: Recorder, node: Node) -> Value:
    """Values of either branch; the condition only where both branches are constants: it is a mask then."""
    shape = broadcast_shape(node)
    branches = [node.input(1), node.input(2)]
    flows = [value for value in branches if value.constant is None] or [node.input(0)]
    return _combined(record, node, "add", flows, shape)


_ACTIVATIONS = (
    "Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "Hardmax", "LeakyRelu", "LogSoftmax", "Mish", "PRelu",
    "Relu", "Selu", "Shrink", "Sigmoid", "Softmax", "Softplus", "Softsign", "Swish", "Tanh", "ThresholdedRelu",
    "com.microsoft.Gelu", "com.microsoft.QuickGelu",
)  # fmt: skip
_UNARY = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "CastLike", "Ceil", "Cos", "Cosh",
    "CumSum", "DequantizeLinear", "Dropout", "Erf", "Exp", "Floor", "Identity", "IsInf", "IsNaN", "LRN", "Log",
    "LpNormalization", "MeanVarianceNormalization", "Neg", "Not", "QuantizeLinear", "Reciprocal", "RotaryEmbedding",
    "Round", "Sign", "Sin", "Sinh", "Sqrt", "Tan", "Trilu", "com.microsoft.DequantizeLinear",
    "com.microsoft.QuantizeLinear", "com.microsoft.RotaryEmbedding",
)  # fmt: skip
_ADDED = (
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Equal", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "Max", "Mean", "Min", "Mod", "Or", "Pow", "Sub", "Sum", "Xor", "com.microsoft.BiasAdd",
    "com.microsoft.BiasGelu", "com.microsoft.FastGelu",
)  # fmt: skip

EMITTERS: dict[str, Emitter] = {
    **dict.fromkeys((*_ACTIVATIONS, *_UNARY), pass_first),
    **dict.fromkeys(_ADDED, _combine("add")),
    "Cast": _cast,
    "Mul": multiply,
    "Div": multiply,
    "Where": _where,
}

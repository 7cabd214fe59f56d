"""What ONNX's operators compute, in NumPy, as far as constants need it.

Each function takes the node, the shape of its output and its inputs' values, None for those left out.
"""

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from netspectra.bindings.onnx import cuts, shapes
from netspectra.bindings.onnx.constants import Array, Constant, UnrepresentableError
from netspectra.bindings.onnx.nodes import Node, malformed
from netspectra.bindings.onnx.tensors import DTYPES

__all__ = ["COMPARISONS", "COMPUTATIONS", "Compute", "fill_value"]

Compute: TypeAlias = Callable[..., Array]


def fill_value(node: Node) -> Any:
    """Value that ``ConstantOfShape`` repeats, an array without axes."""
    value = node.attributes.get("value")
    array = value.small if isinstance(value, Constant) else None
    if value is not None and (array is None or array.size != 1):
        raise malformed(node, "one value", value)
    return np.zeros((), np.float32) if array is None else array.reshape(())


def _range(_: Node, shape: Any, start: Array, _limit: Array, step: Array) -> Array:
    return np.asarray(start.reshape(()) + np.arange(shape[0]) * step.reshape(()), start.dtype)


def _slice(node: Node, _: Any, data: Array, *__: Array) -> Array:
    for axis, start, stop, step in cuts.slices(node):
        data = data[(slice(None),) * axis + (slice(start, stop, step),)]
    return data


def _gather(node: Node, _: Any, data: Array, indices: Array) -> Array:
    return np.take(data, indices, axis=node.integer("axis", 0))  # out of range: IndexError, which the walk reports


def _transpose(node: Node, _: Any, data: Array) -> Array:
    return data.transpose(shapes.permutation(node))


def _concat(node: Node, _: Any, *arrays: Array) -> Array:
    return np.concatenate(arrays, axis=node.integer("axis", 1))


def _tile(_: Node, __: Any, data: Array, repeats: Array) -> Array:
    return np.tile(data, tuple(int(times) for times in repeats))


def _cast(node: Node, _: Any, data: Array) -> Array:
    dtype = DTYPES.get(node.integer("to", 0))
    if dtype is None:
        msg = f"it casts to element type {node.integer('to', 0)}"
        raise UnrepresentableError(msg)
    return data.astype(dtype, copy=False)


def _divide(_: Node, __: Any, first: Array, second: Array) -> Array:
    if first.dtype.kind not in "iu":
        return first / second
    quotient = np.abs(first) // np.where(second == 0, 1, np.abs(second))
    return (quotient * np.sign(first) * np.sign(second)).astype(first.dtype)


def _mod(node: Node, _: Any, first: Array, second: Array) -> Array:
    return np.fmod(first, second) if node.integer("fmod", 0) else np.mod(first, second)


def _clip(_: Node, __: Any, data: Array, low: Array | None = None, high: Array | None = None) -> Array:
    data = data if low is None else np.maximum(data, low)
    return data if high is None else np.minimum(data, high)


def _trilu(node: Node, _: Any, data: Array, k: Array | None = None) -> Array:
    diagonal = 0 if k is None else int(k.reshape(-1)[0])
    return np.triu(data, diagonal) if node.integer("upper", 1) else np.tril(data, diagonal)


def _cumsum(node: Node, _: Any, data: Array, axis: Array) -> Array:
    if node.integer("exclusive", 0) or node.integer("reverse", 0):
        msg = "an exclusive or reversed sum of constants"
        raise UnrepresentableError(msg)
    return np.cumsum(data, axis=int(axis.reshape(-1)[0]), dtype=data.dtype)


def _reduction(function: Callable[..., Array]) -> Compute:
    def compute(node: Node, shape: Any, data: Array, *_: Array) -> Array:
        axes = shapes.reduced_axes(node, data.ndim)
        return np.asarray(function(data, axis=axes)).astype(data.dtype, copy=False).reshape(shape)

    return compute


def _l2(data: Array, axis: tuple[int, ...]) -> Array:
    return np.asarray(np.sqrt(np.sum(np.square(data), axis=axis)))


def _mean(data: Array, axis: tuple[int, ...]) -> Array:
    """NumPy's own warns of an empty one."""
    n_each = math.prod(data.shape[side] for side in axis)
    return np.asarray(np.sum(data, axis=axis) / np.asarray(n_each, data.dtype))


def _dequantize(node: Node, _: Any, data: Array, scale: Array, zero: Array | None = None) -> Array:
    axis, block = node.integer("axis", 1), node.integer("block_size", 0)
    return (data.astype(scale.dtype) - _along(zero, axis, block, data, scale.dtype)) * _along(
        scale, axis, block, data, scale.dtype
    )


def _quantize(node: Node, _: Any, data: Array, scale: Array, zero: Array | None = None) -> Array:
    axis, block = node.integer("axis", 1), node.integer("block_size", 0)
    dtype = np.dtype(np.uint8) if zero is None else zero.dtype
    exact = np.rint(data / _along(scale, axis, block, data, data.dtype)) + _along(zero, axis, block, data, data.dtype)
    return np.asarray(np.clip(exact, np.iinfo(dtype).min, np.iinfo(dtype).max)).astype(dtype)


def _along(values: Array | None, axis: int, block: int, data: Array, dtype: Any) -> Array:
    if values is None:
        return np.zeros((), dtype)
    values = values.astype(dtype)
    if block:
        if block > data.shape[axis]:
            msg = f"a block of {block} along an axis of {data.shape[axis]}"
            raise ValueError(msg)
        return np.repeat(values, block, axis=axis).take(np.arange(data.shape[axis]), axis=axis)
    if values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if side == axis % data.ndim else 1 for side in range(data.ndim)])


def _plain(function: Callable[..., Any]) -> Compute:
    return lambda _, __, *arrays: function(*arrays)


def _reshaped(_: Node, shape: Any, data: Array, *__: Any) -> Array:
    return data.reshape(shape)


COMPARISONS: dict[str, Callable[..., Any]] = {
    "Equal": np.equal, "Greater": np.greater, "GreaterOrEqual": np.greater_equal, "Less": np.less,
    "LessOrEqual": np.less_equal, "Not": np.logical_not, "And": np.logical_and, "Or": np.logical_or,
    "Xor": np.logical_xor,
}  # fmt: skip
"""Operators whose output is true or false."""

_PLAIN: dict[str, Callable[..., Any]] = {
    **COMPARISONS,
    "Abs": np.abs,
    "Add": np.add,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Exp": np.exp,
    "Floor": np.floor,
    "Identity": lambda data: data,
    "Log": np.log,
    "Max": lambda *arrays: reduce(np.maximum, arrays),
    "Min": lambda *arrays: reduce(np.minimum, arrays),
    "Mul": np.multiply,
    "Neg": np.negative,
    "Pow": lambda base, power: np.power(base, power.astype(base.dtype)),
    "Reciprocal": np.reciprocal,
    "Relu": lambda data: np.maximum(data, 0),
    "Round": np.rint,
    "Sigmoid": lambda data: 1 / (1 + np.exp(-data)),
    "Sign": np.sign,
    "Sin": np.sin,
    "Softplus": lambda data: np.logaddexp(data, 0),
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Sum": lambda *arrays: reduce(np.add, arrays),
    "Tanh": np.tanh,
    "Where": np.where,
}

COMPUTATIONS: dict[str, Compute] = {
    **{op: _plain(function) for op, function in _PLAIN.items()},
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshaped),
    "Cast": _cast,
    "CastLike": lambda _, __, data, like: data.astype(like.dtype),
    "Clip": _clip,
    "Concat": _concat,
    "ConstantOfShape": lambda node, shape, *_: np.broadcast_to(fill_value(node), shape),
    "CumSum": _cumsum,
    "DequantizeLinear": _dequantize,
    "Div": _divide,
    "Einsum": lambda node, _, *arrays: np.einsum(node.text("equation", "").replace(" ", ""), *arrays, optimize=True),
    "Expand": lambda _, shape, data, __: np.broadcast_to(data, shape),
    "Gather": _gather,
    "MatMul": lambda _, __, first, second: np.matmul(first, second),
    "Mod": _mod,
    "QuantizeLinear": _quantize,
    "Range": _range,
    "ReduceL2": _reduction(_l2),
    "ReduceMax": _reduction(np.max),
    "ReduceMean": _reduction(_mean),
    "ReduceMin": _reduction(np.min),
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "Slice": _slice,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _trilu,
}
"""Operators of the standard domain."""

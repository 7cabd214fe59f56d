"""Operations of ``keras.ops`` on the tensors of a Functional model: ``x + y``, ``x[:, 0]``, ``ops.reshape(x, …)``."""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from netspectra.bindings.keras.elementwise import pass_on
from netspectra.bindings.keras.merges import concatenated, joined
from netspectra.bindings.keras.shaping import reshaped, transposed
from netspectra.bindings.keras.tape import Shape, Step, TensorName

__all__ = ["OPERATIONS"]


def _option(step: Step, key: str, place: int = 1) -> Any:
    """Return an argument, which Keras keeps in the configuration or among the arguments of the call."""
    for source in (step.keywords, step.config):
        if key in source:
            return source[key]
    return step.arguments[place] if len(step.arguments) > place else None


def _sum(step: Step) -> str:
    return pass_on(step) if len(step.inputs) == 1 else joined(step, "add")


def _product(step: Step) -> str:
    if len(step.inputs) > 1:
        return joined(step, "multiply")
    other = [argument for argument in step.arguments if not isinstance(argument, TensorName)]
    if all(isinstance(number, int | float) for number in other):
        return pass_on(step)
    return step.opaque("multiplied by an array of constants")


def _quotient(step: Step) -> str:
    if len(step.inputs) == 1 and isinstance(step.arguments[0], TensorName):
        return _product(step)
    return step.opaque("divided by a tensor")


def _matmul(step: Step) -> str:
    shapes = [step.tape.shapes[tensor] for tensor in step.inputs]
    if len(shapes) != 2 or shapes[0] is None or shapes[1] is None or min(len(s or ()) for s in shapes) < 2:
        return step.opaque("a matrix product with constants")
    return step.emit("product", step.inputs, step.result or (*shapes[0][:-1], shapes[1][-1]))


def _concatenate(step: Step) -> str:
    axis = _option(step, "axis")
    return concatenated(step, 0 if axis is None else int(axis))


def _reshape(step: Step) -> str:
    target = _option(step, "newshape")
    if not isinstance(target, list | tuple) or not all(isinstance(side, int) for side in target):
        return step.opaque("reshaped to sizes that are known only when it runs")
    sides: list[int | None] = list(target)
    shape = step.shape
    if sides and sides[0] == -1 and shape is not None and shape[0] is None:
        sides[0] = None  # the batch, whose size is free
    return reshaped(step, step.inputs[0], sides)


def _transpose(step: Step) -> str:
    axes, shape = _option(step, "axes"), step.shape
    if axes is None and shape is None:
        return step.opaque("transposes a tensor of unknown shape")
    order = reversed(range(len(shape or ()))) if axes is None else axes
    return transposed(step, step.inputs[0], [int(axis) for axis in order])


def _reduce(step: Step) -> str:
    axis, keep, shape = _option(step, "axis"), _option(step, "keepdims", 2) is True, step.shape
    if shape is None:
        return step.opaque("reduces a tensor of unknown shape")
    chosen = range(len(shape)) if axis is None else axis if isinstance(axis, list | tuple) else [axis]
    axes = tuple(sorted({int(a) % len(shape) for a in chosen}))
    left = tuple(1 if i in axes else s for i, s in enumerate(shape) if keep or i not in axes)
    return step.emit("reduce", step.inputs[0], left, axes=axes, keepdims=keep)


def _expand_dims(step: Step) -> str:
    axis, shape = _option(step, "axis"), step.shape
    if shape is None:
        return step.opaque("adds an axis to a tensor of unknown shape")
    sides = list(shape)
    for one in sorted(int(a) % (len(shape) + 1) for a in (axis if isinstance(axis, list | tuple) else [axis])):
        sides.insert(one, 1)
    return step.emit("reshape", step.inputs[0], tuple(sides))


def _squeeze(step: Step) -> str:
    axis, shape = _option(step, "axis"), step.shape
    if shape is None:
        return step.opaque("removes an axis of a tensor of unknown shape")
    chosen = axis if isinstance(axis, list | tuple) else [axis]
    axes = {i for i, s in enumerate(shape) if s == 1} if axis is None else {int(a) % len(shape) for a in chosen}
    return step.emit("reshape", step.inputs[0], tuple(s for i, s in enumerate(shape) if i not in axes))


def _get_item(step: Step) -> str:
    key, shape = step.arguments[1] if len(step.arguments) > 1 else None, step.shape
    keys = key if isinstance(key, list | tuple) else [key]
    if shape is None or len(keys) > len(shape) or not all(isinstance(k, int) or _slice(k) for k in keys):
        return step.opaque("indexed by something other than integers and slices")
    tensor = step.inputs[0]
    for axis, one in enumerate(keys):
        tensor = _cut(step, tensor, axis, one)
    left = [
        side for i, side in enumerate(step.tape.shapes[tensor] or ()) if i >= len(keys) or not isinstance(keys[i], int)
    ]
    return step.emit("reshape", tensor, tuple(left))


def _cut(step: Step, tensor: str, axis: int, key: Any) -> str:
    shape = step.tape.shapes[tensor] or ()
    size = shape[axis] or 1
    start, stop, stride = (
        (key % size, key % size + 1, 1) if isinstance(key, int) else slice(*(_slice(key) or ())).indices(size)
    )
    if (start, stop, stride) == (0, size, 1):
        return tensor
    made = tuple(len(range(start, stop, stride)) if i == axis else side for i, side in enumerate(shape))
    if stride < 0:
        return step.emit("take", tensor, made, axis=axis, indices=tuple(range(start, stop, stride)))
    return step.emit("slice", tensor, made, axis=axis, start=start, stop=stop, step=stride)


def _slice(key: Any) -> tuple[Any, Any, Any] | None:
    if not isinstance(key, Mapping) or key.get("class_name") != "__slice__":
        return None
    ends = tuple(key["config"].get(name) for name in ("start", "stop", "step"))
    return ends if all(end is None or isinstance(end, int) for end in ends) else None


def _split(step: Step) -> str | list[str]:
    parts, axis, shape = _option(step, "indices_or_sections"), _option(step, "axis", 2), step.shape
    size = None if shape is None else shape[int(axis or 0)]
    if shape is None or size is None:
        return step.opaque("splits a tensor of unknown shape")
    place = int(axis or 0) % len(shape)
    ends = [size * i // parts for i in range(1, parts)] if isinstance(parts, int) else [int(end) for end in parts]
    return list(_pieces(step, shape, place, [0, *ends, size]))


def _pieces(step: Step, shape: Shape, axis: int, ends: list[int]) -> Iterator[str]:
    for start, stop in pairwise(ends):
        made = tuple(stop - start if i == axis else side for i, side in enumerate(shape))
        yield step.emit("slice", step.inputs[0], made, axis=axis, start=start, stop=stop)


def _flatten(step: Step) -> str:
    if step.shape is None:
        return step.opaque("flattens a tensor of unknown shape")
    return step.emit("reshape", step.inputs[0], (math.prod(side or 1 for side in step.shape),))


_SAME = (
    "Abs Cast Celu Clip Copy Elu Erf Exp Gelu HardSigmoid HardSilu HardSwish HardTanh Identity LeakyRelu Log Log1p "
    "LogSigmoid LogSoftmax Negative Power Relu Relu6 Rsqrt Selu Sigmoid Silu Sin Cos Softmax Softplus Softsign Sqrt "
    "Square StopGradient Swish Tanh"
)

OPERATIONS = {
    **dict.fromkeys(_SAME.split(), pass_on),
    **dict.fromkeys(("Add", "Subtract", "Maximum", "Minimum"), _sum),
    "Multiply": _product,
    **dict.fromkeys(("Divide", "TrueDivide"), _quotient),
    "Matmul": _matmul,
    "Concatenate": _concatenate,
    "Reshape": _reshape,
    "Ravel": _flatten,
    "Transpose": _transpose,
    **dict.fromkeys(("Mean", "Sum", "Max", "Min"), _reduce),
    "ExpandDims": _expand_dims,
    "Squeeze": _squeeze,
    "GetItem": _get_item,
    "Split": _split,
}

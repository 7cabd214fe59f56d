"""Operations that move numbers about and make no nodes."""

from typing import Any

import numpy as np

from netspectra.errors import GraphError
from netspectra.networks.network import Operation, Shape
from netspectra.networks.reading import Scene
from netspectra.networks.values import Value, constant, flattened, require_room, reshaped

__all__ = [
    "cut",
    "expand",
    "flatten",
    "opaque",
    "pad",
    "pass_on",
    "reduce",
    "repeat",
    "reshape",
    "split",
    "take",
    "transpose",
]


def pass_on(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Channel for channel; sizes of positions may change."""
    del scene
    value = values[0]
    patterns = [v.pattern for v in values if v.pattern is not None]
    shape = operation.shape or value.shape
    if patterns and value.nodes is None:
        return constant(shape, patterns[0])
    if value.nodes is not None and shape is not None and value.nodes.ndim != len(shape):
        if value.nodes.ndim == 0 or not value.has_nodes:
            return constant(shape, *patterns[:1])
        msg = f"passes {value.nodes.ndim} axes on as {len(shape)}"
        raise GraphError(msg)
    return value.touched(shape=shape, pattern=patterns[0] if patterns else None)


def reshape(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Another shape of as many places."""
    del scene
    return reshaped(values[0], _needed(operation))


def flatten(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Several axes made one."""
    del scene
    return flattened(values[0], operation.options.get("start", 1), operation.options.get("stop", -1))


def transpose(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Axes in another order."""
    del scene
    value, order = values[0], tuple(int(i) for i in operation.options["permutation"])
    if value.shape is None and (value.nodes is None or value.nodes.ndim == 0):
        return value.touched()
    if sorted(order) != list(range(value.rank or 0)):
        msg = f"permutation {order} of a tensor with {value.rank} axes"
        raise GraphError(msg)
    shape = None if value.shape is None else tuple(value.shape[i] for i in order)
    return value.mapped(lambda array: np.transpose(array, order), shape)


def split(scene: Scene, operation: Operation, values: list[Value]) -> list[Value]:
    """Parts along an axis."""
    del scene
    value, sizes = values[0], [int(size) for size in operation.options["sizes"]]
    starts = np.cumsum([0, *sizes])
    return [
        _cut(value, operation.options["axis"], slice(int(a), int(a) + size), size, out)
        for a, size, out in zip(starts, sizes, operation.outputs, strict=False)
    ]


def cut(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Part of an axis, as Python's slices."""
    del scene
    value, options = values[0], operation.options
    chosen = slice(options["start"], options["stop"], options.get("step", 1))
    length = _length(value, options["axis"], chosen)
    return _cut(value, options["axis"], chosen, length, operation.outputs[0], operation.shape)


def take(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Places of an axis in another order."""
    del scene
    indices = np.asarray(operation.options["indices"], np.int64).ravel()
    length, out = len(indices), operation.outputs[0]
    return _cut(values[0], operation.options["axis"], indices, length, out, operation.shape)


def pad(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Places without nodes before and after."""
    del scene
    value, before, after = values[0], int(operation.options["before"]), int(operation.options["after"])
    place = value.axis(operation.options["axis"])
    sides = None if value.shape is None else list(value.shape)
    if sides is not None and sides[place] is not None:
        sides[place] = int(sides[place] or 0) + before + after
    shape = operation.shape or (None if sides is None else tuple(sides))
    if value.nodes is None or value.nodes.shape[place] == 1 or not value.has_nodes:
        return value.touched(shape=shape)
    widths = [(before, after) if i == place else (0, 0) for i in range(value.nodes.ndim)]
    require_room([side + sum(w) for side, w in zip(value.nodes.shape, widths, strict=True)])
    nodes = np.pad(value.nodes, widths, constant_values=-1)
    scale = None if value.scale is None else np.pad(np.broadcast_to(value.scale, value.nodes.shape), widths)
    return value.touched(shape=shape, nodes=nodes, scale=scale)


def reduce(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """A mean, sum or maximum over positions keeps the nodes; one over nodes has none of its own."""
    del scene
    value, keep = values[0], bool(operation.options.get("keepdims", False))
    axes = sorted({value.axis(int(axis)) for axis in operation.options["axes"]})
    sides = value.shape if value.shape is not None else (None,) * (value.rank or 0)
    kept = [1 if i in axes else side for i, side in enumerate(sides) if keep or i not in axes]
    shape = operation.shape or tuple(kept)
    if value.nodes is None:
        return value.touched(shape=shape)
    if not value.has_nodes or any(value.nodes.shape[axis] > 1 for axis in axes):
        return constant(shape, value.pattern)

    def change(array: Any) -> Any:
        array = array[tuple(slice(0, 1) if i in axes else slice(None) for i in range(array.ndim))]
        return array if keep else np.squeeze(array, axis=tuple(axes))

    return value.mapped(change, shape)


def expand(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Broadcast to a shape."""
    del scene
    value, shape = values[0], _needed(operation)
    if value.nodes is None:
        return value.touched(shape=shape)
    missing = len(shape) - value.nodes.ndim
    if missing < 0:
        msg = f"expands {value.nodes.ndim} axes to {len(shape)}"
        raise GraphError(msg)
    return value.mapped(lambda array: np.reshape(array, (*(1,) * missing, *array.shape)), shape)


def repeat(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Each place of an axis so often, one after another."""
    del scene
    value, times = values[0], int(operation.options["times"])
    place = value.axis(operation.options["axis"])
    size = None if value.shape is None or value.shape[place] is None else int(value.shape[place] or 0)
    if value.nodes is not None and value.nodes.shape[place] > 1:
        require_room([*value.nodes.shape, times])
    indices = np.repeat(np.arange(size or 1), times)
    length = None if size is None else size * times
    return _cut(value, place, indices, length, operation.outputs[0], operation.shape)


def opaque(scene: Scene, operation: Operation, values: list[Value]) -> list[Value]:
    """Something that is not represented."""
    if any(value.has_nodes for value in values):
        scene.ledger.skip(operation.name, str(operation.options["reason"]))
    first = constant(operation.shape)
    return [first if number == 0 else constant(None) for number in range(len(operation.outputs))]


def _cut(value: Value, axis: int, chosen: Any, size: int | None, name: str, shape: Shape | None = None) -> Value:
    """Some places of an axis, `size` of them; `name` is what the part is called, `shape` its own where it is known."""
    if value.rank is None:
        return value.touched()
    place = value.axis(axis)
    if value.shape is None:
        shape = None
    elif shape is None:
        shape = tuple(size if i == place else s for i, s in enumerate(value.shape))
    if value.nodes is None:
        whole = value.shape is not None and value.shape[place] == size and isinstance(chosen, slice)
        return value.touched(shape=shape, origin=value.origin if whole else f"{value.origin}.{name}")

    def change(array: Any) -> Any:
        if array.shape[place] == 1:
            return array
        if not isinstance(chosen, slice) and len(chosen) and (chosen.max() >= array.shape[place]):
            msg = f"takes place {int(chosen.max())} of {array.shape[place]}"
            raise GraphError(msg)
        return (
            np.take(array, chosen, axis=place)
            if not isinstance(chosen, slice)
            else array[(*[slice(None)] * place, chosen)]
        )

    return value.mapped(change, shape)


def _length(value: Value, axis: int, chosen: slice) -> int | None:
    if value.shape is None:
        return None
    size = value.shape[value.axis(axis)]
    return None if size is None else len(range(*chosen.indices(size)))


def _needed(operation: Operation) -> Shape:
    if operation.shape is None:
        msg = "needs a shape"
        raise GraphError(msg)
    return operation.shape

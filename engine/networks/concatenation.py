"""Tensors one after the other along an axis: features beside features, or positions after positions."""

from typing import Any

import numpy as np

from netspectra.errors import GraphError
from netspectra.networks.network import Operation, Shape
from netspectra.networks.reading import Scene
from netspectra.networks.values import Value, aligned, along, constant, require_room

__all__ = ["concatenate"]


def concatenate(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """One after the other along an axis; positions of the same nodes stay positions."""
    axis = operation.options["axis"]
    shape = operation.shape or _joined_shape(values, axis)
    if not any(value.has_nodes for value in values):
        return constant(shape, *[v.pattern for v in values if v.pattern is not None][:1])
    values = [_read_along(scene, value, axis) for value in values]
    arrays = [value.nodes for value in values if value.nodes is not None and value.has_nodes]
    place = next(value.axis(axis) for value in values if value.has_nodes)
    if all(array.shape[place] == 1 for array in arrays) and all(_same(arrays[0], array) for array in arrays):
        of_nodes = next(value for value in values if value.has_nodes)
        if any((v.shape or (None,) * (place + 1))[place] != 1 for v in values) or len(values) == 1:
            return of_nodes.touched(shape=shape)
    return _joined(values, place, shape)


def _read_along(scene: Scene, value: Value, axis: int) -> Value:
    """An unread input that others are put beside: its nodes are along that axis."""
    if value.nodes is not None or value.shape is None:
        return value
    place = value.axis(axis)
    size = value.shape[place]
    if size is None:
        msg = f"puts the input {value.origin!r}, whose size along axis {axis} is not known, beside others"
        raise GraphError(msg)
    nodes = along(value.shape, len(value.shape), place, scene.input_nodes(value.origin, size))
    return value.touched(nodes=nodes)


def _joined(values: list[Value], place: int, shape: Shape | None) -> Value:
    """Node arrays one after the other, each as long as its tensor along that axis."""
    rank = next(v.rank for v in values if v.has_nodes) or 1
    wide = []
    for value in values:
        nodes = value.nodes if value.nodes is not None and value.has_nodes else np.full((1,) * rank, -1, np.int64)
        size = None if value.shape is None else value.shape[place]
        if size is None:
            size = nodes.shape[place]
        factors = np.ones(nodes.shape) if value.scale is None else np.broadcast_to(value.scale, nodes.shape)
        sides = [size if i == place else side for i, side in enumerate(nodes.shape)]
        require_room(sides)
        wide.append([np.broadcast_to(part, sides) for part in (nodes, factors)])
    common = np.broadcast_shapes(*([1 if i == place else s for i, s in enumerate(n.shape)] for n, _ in wide))
    parts: list[Any] = []
    for which in (0, 1):
        full = [
            np.broadcast_to(w[which], [w[0].shape[place] if i == place else s for i, s in enumerate(common)])
            for w in wide
        ]
        parts.append(np.concatenate(full, axis=place))
    plain = all(value.scale is None for value in values)
    return Value(shape, parts[0], None if plain else parts[1])


def _joined_shape(values: list[Value], axis: int) -> Shape | None:
    shapes = [value.shape for value in values]
    first = next((shape for shape in shapes if shape is not None), None)
    if first is None or any(shape is None or len(shape) != len(first) for shape in shapes):
        return None
    place = axis % len(first)
    sizes = [shape[place] for shape in shapes if shape is not None]
    total = None if None in sizes else sum(int(size or 0) for size in sizes)
    return tuple(total if i == place else side for i, side in enumerate(first))


def _same(a: Any, b: Any) -> bool:
    try:
        a, b = aligned([a, b])
    except GraphError:
        return False
    return bool(np.array_equal(a, b))

"""Shapes that ONNX's operators make: of tensors that flow and of constants alike, from shapes alone.

Most functions take a :class:`Node` and return the shape of its output. Sizes that are not known stay None; where a
shape needs values that are not known, :class:`UnrepresentableError` says so.
"""

import math
from collections.abc import Iterable, Sequence

from netspectra.bindings.onnx.nodes import Node, malformed, mismatch
from netspectra.networks.network import Shape

__all__ = [
    "broadcast",
    "broadcast_shape",
    "expanded_shape",
    "flattened_shape",
    "inside_axes",
    "matrix_shape",
    "permutation",
    "reduced_axes",
    "reduced_shape",
    "reshaped_shape",
    "same_shape",
    "squeezed_shape",
    "transposed_shape",
    "unsqueezed_shape",
]

_LONGEST_SIDE = 1 << 48


def broadcast(node: Node, shapes: Iterable[Shape | None]) -> Shape | None:
    """Shape to which several broadcast, None where one is not known."""
    known = list(shapes)
    if any(shape is None for shape in known):
        return None
    rank = max(len(shape) for shape in known if shape is not None)
    padded = [(1,) * (rank - len(shape)) + shape for shape in known if shape is not None]
    return tuple(_common(node, sides, known) for sides in zip(*padded, strict=True))


def _common(node: Node, sides: Sequence[int | None], shapes: object) -> int | None:
    sizes = {side for side in sides if side not in (1, None)}
    if len(sizes) > 1:
        raise mismatch(node, "shapes that broadcast", shapes)
    if sizes:
        return sizes.pop()
    return None if None in sides else 1


def same_shape(node: Node) -> Shape | None:
    """Of its first input."""
    return node.input(0).shape


def broadcast_shape(node: Node) -> Shape | None:
    """Of all its inputs together."""
    return broadcast(node, [value.shape for value in node.inputs if value is not None])


def reshaped_shape(node: Node) -> Shape:
    """Of ``Reshape``: 0 keeps a size, -1 is what remains."""
    wanted = node.integers(1, "shape")
    if wanted is None:
        raise malformed(node, "a shape", "none")
    before = node.input(0).shape
    sizes: list[int | None] = list(wanted)
    for axis, side in enumerate(wanted):
        if side == 0 and not node.integer("allowzero", 0):
            if before is not None and axis >= len(before):
                raise malformed(node, f"a shape for a tensor of {len(before)} axes", wanted)
            sizes[axis] = None if before is None else before[axis]
    if any(side is not None and not -1 <= side < _LONGEST_SIDE for side in sizes) or sizes.count(-1) > 1:
        raise malformed(node, "a shape", wanted)
    total = None if before is None else _product(before)
    rest = _product([side for side in sizes if side != -1])
    if -1 in sizes:
        exact = total is not None and rest is not None and rest > 0
        sizes[sizes.index(-1)] = total // rest if exact and total is not None and rest else 0 if total == 0 else None
        rest = _product(sizes)
    if total is not None and rest is not None and total != rest:
        raise mismatch(node, f"a shape of {total:,} elements, as {before}", wanted)
    return tuple(sizes)


def _product(sizes: Sequence[int | None]) -> int | None:
    known = [side for side in sizes if side is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def flattened_shape(node: Node) -> Shape:
    """Of ``Flatten``: two axes."""
    shape = node.ranked()
    axis = node.integer("axis", 1)
    if not -len(shape) <= axis <= len(shape):
        raise malformed(node, f"an axis of a tensor of {len(shape)} axes", axis)
    axis = axis % len(shape) if axis < 0 else axis
    return _product(shape[:axis]), _product(shape[axis:])


def permutation(node: Node) -> tuple[int, ...]:
    """Order of the axes that ``Transpose`` makes."""
    order = node.ints("perm")
    shape = node.input(0).shape
    if order is None:
        return tuple(reversed(range(len(node.ranked()))))
    if sorted(order) != list(range(len(order))) or (shape is not None and len(order) != len(shape)):
        raise malformed(node, f"a permutation of the axes of {shape}", order)
    return order


def transposed_shape(node: Node) -> Shape | None:
    """Of ``Transpose``."""
    shape = node.input(0).shape
    return None if shape is None else tuple(shape[axis] for axis in permutation(node))


def inside_axes(node: Node, axes: Iterable[int], rank: int) -> list[int]:
    """Axes counted from the front, each once."""
    inside = [node.axis(axis, rank) for axis in axes]
    if len(set(inside)) < len(inside):
        raise malformed(node, "axes that differ", inside)
    return inside


def squeezed_shape(node: Node) -> Shape:
    """Of ``Squeeze``: axes of size 1 dropped."""
    shape, axes = node.ranked(), node.integers(1, "axes")
    if axes is None:
        return tuple(side for side in shape if side != 1)
    dropped = inside_axes(node, axes, len(shape))
    if any(shape[axis] not in (1, None) for axis in dropped):
        raise mismatch(node, f"axes {axes} of size 1", shape)
    return tuple(side for axis, side in enumerate(shape) if axis not in dropped)


def unsqueezed_shape(node: Node) -> Shape:
    """Of ``Unsqueeze``: axes of size 1 inserted."""
    shape, axes = node.ranked(), node.integers(1, "axes") or ()
    rank = len(shape) + len(axes)
    if rank > 64:
        raise malformed(node, "a tensor of at most 64 axes", rank)
    inserted = inside_axes(node, axes, rank)
    sides = iter(shape)
    return tuple(1 if axis in inserted else next(sides) for axis in range(rank))


def expanded_shape(node: Node) -> Shape | None:
    """Of ``Expand``."""
    wanted = node.integers(1, "shape") or ()
    if any(not 0 <= side < _LONGEST_SIDE for side in wanted) or len(wanted) > 64:
        raise malformed(node, "a shape", wanted)
    return broadcast(node, [node.input(0).shape, wanted])


def reduced_axes(node: Node, rank: int) -> tuple[int, ...]:
    """Axes over which a reduction goes."""
    axes = node.integers(1, "axes")
    if not axes:
        return () if node.integer("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(inside_axes(node, axes, rank)))


def reduced_shape(node: Node) -> Shape:
    """Of a reduction."""
    shape = node.ranked()
    axes, keep = reduced_axes(node, len(shape)), node.integer("keepdims", 1)
    sides = [1 if axis in axes else side for axis, side in enumerate(shape)]
    return tuple(side for axis, side in enumerate(sides) if keep or axis not in axes)


def matrix_shape(node: Node, first: Shape, second: Shape) -> Shape:
    """Of a matrix product, as NumPy's."""
    if not first or not second:
        raise mismatch(node, "vectors or matrices", (first, second))
    left = (1, *first) if len(first) == 1 else first
    right = (*second, 1) if len(second) == 1 else second
    if left[-1] != right[-2] and None not in (left[-1], right[-2]):
        raise mismatch(node, "matrices that chain", (first, second))
    batch = broadcast(node, [left[:-2], right[:-2]]) or ()
    rows = () if len(first) == 1 else (left[-2],)
    return (*batch, *rows, *(() if len(second) == 1 else (right[-1],)))

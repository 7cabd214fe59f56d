"""Shapes that cutting, joining, choosing and padding make, and along which axes they do it."""

from collections.abc import Sequence

from netspectra.bindings.onnx.constants import UnrepresentableError
from netspectra.bindings.onnx.nodes import Node, Value, malformed, mismatch
from netspectra.bindings.onnx.shapes import inside_axes
from netspectra.networks.network import Shape

__all__ = [
    "concatenated_shape",
    "gathered_shape",
    "joined_shape",
    "pad_amounts",
    "sliced_shape",
    "slices",
    "split_sizes",
    "tiled_shape",
]

_LONGEST_SIDE = 1 << 48


def slices(node: Node) -> list[tuple[int, int, int | None, int]]:
    """Axis, start, stop and step of each cut that ``Slice`` makes, as Python's; cuts that keep everything left out."""
    shape = node.ranked()
    starts, ends = node.integers(1, "starts"), node.integers(2, "ends")
    if starts is None or ends is None or len(starts) != len(ends):
        raise malformed(node, "starts and ends, one for each axis", f"{starts} and {ends}")
    axes = inside_axes(node, node.integers(3, "axes") or range(len(starts)), len(shape))
    steps = node.integers(4, "steps") or (1,) * len(starts)
    if len(axes) != len(starts) or len(steps) != len(starts) or 0 in steps:
        raise malformed(node, "an axis and a step for each start", f"axes {axes}, steps {steps}")
    cuts = []
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        side = shape[axis]
        if side is None:
            if start == 0 and end > _LONGEST_SIDE and step == 1:
                continue
            msg = f"the size of axis {axis}, which it cuts, is not known"
            raise UnrepresentableError(msg)
        first, last, stride = slice(start, end, step).indices(side)
        if (first, last, stride) != (0, side, 1):
            cuts.append((axis, first, None if last < 0 else last, stride))
    return cuts


def sliced_shape(node: Node) -> Shape:
    """Of ``Slice``."""
    shape = list(node.ranked())
    for axis, start, stop, step in slices(node):
        shape[axis] = len(range(shape[axis] or 0)[start:stop:step])
    return tuple(shape)


def gathered_shape(node: Node) -> Shape:
    """Of ``Gather``: the axis replaced by those of the indices."""
    shape, indices = node.ranked(0), node.ranked(1)
    axis = node.axis(node.integer("axis", 0), len(shape))
    return shape[:axis] + indices + shape[axis + 1 :]


def concatenated_shape(node: Node) -> Shape | None:
    """Of ``Concat``."""
    values = [value for value in node.inputs if value is not None]
    if not values:
        raise malformed(node, "something to concatenate", "nothing")
    if any(value.shape is None for value in values):
        return None
    return joined_shape(node, values, node.axis(node.integer("axis", 1), len(values[0].shape or ())))


def joined_shape(node: Node, values: Sequence[Value], axis: int) -> Shape:
    """Of tensors put together along an axis, their numbers of axes known."""
    known = [value.shape or () for value in values]
    if len({len(shape) for shape in known}) > 1:
        raise mismatch(node, "tensors of as many axes", known)
    sides = []
    for number, lengths in enumerate(zip(*known, strict=True)):
        sizes = {side for side in lengths if side is not None}
        if number != axis and len(sizes) > 1:
            raise mismatch(node, f"tensors that differ along axis {axis} only", known)
        sides.append(_sum(lengths) if number == axis else sizes.pop() if sizes else None)
    return tuple(sides)


def _sum(sizes: Sequence[int | None]) -> int | None:
    known = [side for side in sizes if side is not None]
    return sum(known) if len(known) == len(sizes) else None


def split_sizes(node: Node) -> tuple[int, tuple[int, ...]]:
    """Axis and sizes of what ``Split`` makes."""
    shape = node.ranked()
    axis = node.axis(node.integer("axis", 0), len(shape))
    side, sizes = shape[axis], node.integers(1, "split")
    if side is None:
        msg = f"the size of axis {axis}, which it splits, is not known"
        raise UnrepresentableError(msg)
    if sizes is None:
        n_parts = node.integer("num_outputs", len(node.outputs))
        if n_parts != len(node.outputs):
            raise malformed(node, f"{n_parts} outputs", len(node.outputs))
        each = -(-side // n_parts)
        sizes = tuple(max(0, min(each, side - each * part)) for part in range(n_parts))
    if sum(sizes) != side or min(sizes) < 0 or len(sizes) != len(node.outputs):
        raise mismatch(node, f"{len(node.outputs)} sizes that sum to {side}", sizes)
    return axis, sizes


def tiled_shape(node: Node) -> Shape:
    """Of ``Tile``."""
    shape, repeats = node.ranked(), node.integers(1, "repeats")
    if repeats is None or len(repeats) != len(shape) or min(repeats, default=1) < 0:
        raise malformed(node, f"a number of repeats for each of {len(shape)} axes", repeats)
    return tuple(None if side is None else side * times for side, times in zip(shape, repeats, strict=True))


def pad_amounts(node: Node) -> list[tuple[int, int, int]]:
    """Axis, elements before and after (negative ones cut), for each axis that ``Pad`` changes."""
    rank = len(node.ranked())
    amounts = node.integers(1, "pads")
    chosen = node.integers(3, "axes")
    axes = list(range(rank)) if chosen is None else inside_axes(node, chosen, rank)
    if amounts is None or len(amounts) != 2 * len(axes) or any(abs(amount) >= _LONGEST_SIDE for amount in amounts):
        raise malformed(node, f"{2 * len(axes)} amounts of padding", amounts)
    pairs = zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True)
    return [(axis, before, after) for axis, before, after in pairs if before or after]

"""How many positions a window that slides over axes leaves: convolutions and pooling."""

from collections.abc import Sequence

from netspectra.bindings.onnx.nodes import Node, malformed, mismatch
from netspectra.networks.network import Shape

__all__ = ["enlarged", "slid"]

_LONGEST = 1 << 31


def slid(node: Node, shape: Shape | None, kernel: Sequence[int], channels: int | None) -> Shape | None:
    """Shape after a convolution or pooling.

    Parameters
    ----------
    node : Node
        Its attributes say pads, strides and dilations.
    shape : tuple of int or None
        (batch, channels, positions…) before.
    kernel : sequence of int
        One length for each axis of positions.
    channels : int or None
        After.
    """
    if shape is None:
        return None
    strides, dilations, pads = _settings(node, shape, kernel)
    automatic, ceil = node.text("auto_pad", "NOTSET"), bool(node.integer("ceil_mode", 0))
    n = len(kernel)
    sides: list[int | None] = [shape[0], channels]
    for axis, side in enumerate(shape[2:]):
        if side is None:
            sides.append(None)
            continue
        if automatic in ("SAME_UPPER", "SAME_LOWER"):
            sides.append(-(-side // strides[axis]))
            continue
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        room = side + pads[axis] + pads[axis + n] - reach
        count = (-(-room // strides[axis]) if ceil else room // strides[axis]) + 1
        if ceil and (count - 1) * strides[axis] >= side + pads[axis]:
            count -= 1  # a window that would begin in the padding behind is left out
        sides.append(max(1, count))  # a free size was taken as 1, and may be less than the window
    return tuple(sides)


def enlarged(node: Node, shape: Shape | None, kernel: Sequence[int], channels: int) -> Shape | None:
    """Shape after a transposed convolution; parameters as of :func:`slid`."""
    if shape is None:
        return None
    strides, dilations, pads = _settings(node, shape, kernel)
    n = len(kernel)
    given, extra = node.ints("output_shape"), node.ints("output_padding") or (0,) * n
    if (given is not None and len(given) not in (n, n + 2)) or len(extra) != n:
        raise malformed(node, f"{n} sizes", (given, extra))
    if given is not None:
        return (shape[0], channels, *given[-n:])
    sides: list[int | None] = [shape[0], channels]
    for axis, side in enumerate(shape[2:]):
        if side is None:
            sides.append(None)
        elif node.text("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
            sides.append(side * strides[axis])
        else:
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            sides.append(max(1, (side - 1) * strides[axis] + extra[axis] + reach - pads[axis] - pads[axis + n]))
    return tuple(sides)


def _settings(
    node: Node, shape: Shape, kernel: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    n = len(kernel)
    if len(shape) != n + 2:
        raise mismatch(node, f"a tensor of batch, channels and {n} axes of positions", shape)
    strides, dilations = node.ints("strides") or (1,) * n, node.ints("dilations") or (1,) * n
    pads = node.ints("pads") or (0,) * (2 * n)
    if len(strides) != n or len(dilations) != n or len(pads) != 2 * n:
        raise malformed(node, f"strides, dilations and pads of {n} axes", (strides, dilations, pads))
    if not all(0 < side < _LONGEST for side in (*kernel, *strides, *dilations)) or max(map(abs, pads)) >= _LONGEST:
        raise malformed(node, "positive sizes of kernel, strides and dilations", (kernel, strides, dilations, pads))
    return strides, dilations, pads

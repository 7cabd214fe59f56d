"""What does not depend on the inputs is computed with NumPy: at once where it is small, else when it is read.

Exporters compute shapes, masks, positions and transposed weights inside the graph. Each operator here has a rule for
its output's shape, so that nothing is computed, or allocated, before it is known how large it is.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from netspectra.bindings.onnx import cuts, shapes
from netspectra.bindings.onnx.computations import COMPARISONS, COMPUTATIONS, fill_value
from netspectra.bindings.onnx.constants import SMALL, Array, Constant, derived
from netspectra.bindings.onnx.einsum import einsum_cost, einsum_shape
from netspectra.bindings.onnx.nodes import Node, malformed
from netspectra.bindings.onnx.tensors import DTYPES
from netspectra.networks.network import Shape

__all__ = ["Rule", "fold"]

Rule: TypeAlias = Callable[[Node], Shape | None]

_MAKES_NEW = frozenset(
    ("Concat", "ConstantOfShape", "Cos", "CumSum", "Einsum", "Expand", "Gather", "MatMul", "Mod", "Range", "Sin",
     "Slice", "Tile", "Trilu", "Where")
)  # fmt: skip
"""Operators whose output is no longer a parameter, though an input is: rows of one, tables of sines, masks."""


def fold(node: Node, afford: Callable[[int], bool]) -> Constant | None:
    """Return the output of a node whose inputs are all constants, None where it is not known how.

    Parameters
    ----------
    node : Node
    afford : callable
        Whether so many operations may be done now; else they are left to when the constant is read.

    Raises
    ------
    UnrepresentableError, FileFormatError, GraphError
        Where its inputs make no sense, or not enough is known of them.
    """
    compute = COMPUTATIONS.get(node.op)
    if compute is None:
        return None
    sides = _RULES.get(node.op, shapes.same_shape)(node)
    if sides is None:
        return None
    shape = tuple(side for side in sides if side is not None)
    n_elements = math.prod(shape)
    sources = [value.constant for value in node.inputs if value is not None and value.constant is not None]
    present = [value is not None for value in node.inputs]

    def values(*arrays: Array) -> Array:
        remaining = iter(arrays)
        return compute(node, shape, *(next(remaining) if there else None for there in present))

    learned = node.op not in _MAKES_NEW and any(source.learned for source in sources)
    cost = einsum_cost(node) if node.op == "Einsum" else n_elements + sum(source.size for source in sources)
    now = n_elements <= SMALL and all(source.size <= SMALL for source in sources) and afford(cost)
    if now and all(source.small is not None for source in sources):
        with np.errstate(all="ignore"):
            array = np.asarray(values(*(source.small for source in sources if source.small is not None)))
        key = next((source.key for source in sources if source.key), "")
        return Constant.of(array, key, learned=learned and array.dtype.kind not in "iub")
    return derived(shape, _dtype(node, sources), values, sources, learned=learned)


def _dtype(node: Node, sources: Sequence[Constant]) -> Any:
    """Dtype of an output that is not computed yet."""
    if node.op == "Cast":
        return DTYPES.get(node.integer("to", 0))
    if node.op == "ConstantOfShape":
        return fill_value(node).dtype
    if node.op == "Where":
        return sources[1].dtype
    if node.op == "QuantizeLinear":
        return sources[2].dtype if len(sources) > 2 else np.dtype(np.uint8)
    if node.op in ("DequantizeLinear", "CastLike"):
        return sources[1].dtype
    if node.op in COMPARISONS:
        return np.dtype(np.bool_)
    return sources[0].dtype if sources else None


def _given_shape(node: Node) -> Shape:
    sizes = node.integers(0, "shape") or ()
    if any(not 0 <= side < 1 << 48 for side in sizes) or len(sizes) > 32:
        raise malformed(node, "a shape", sizes)
    return sizes


def _range_shape(node: Node) -> Shape:
    start, limit, step = (node.values(number) for number in range(3))
    if (
        start is None
        or limit is None
        or step is None
        or not step.size == start.size == limit.size == 1
        or not step.any()
    ):
        raise malformed(node, "a start, a limit and a step", "something else")
    count = np.ceil((float(limit.item()) - float(start.item())) / float(step.item()))
    if not count < 1 << 40:
        raise malformed(node, "a range", f"one of {count} numbers")
    return (max(0, int(count)),)


def _matrix_shape(node: Node) -> Shape:
    return shapes.matrix_shape(node, node.ranked(0), node.ranked(1))


_BROADCAST = (
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Or",
    "Pow", "Sub", "Sum", "Where", "Xor",
)  # fmt: skip

_RULES: dict[str, Rule] = {
    **dict.fromkeys(_BROADCAST, shapes.broadcast_shape),
    **dict.fromkeys(
        ("ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"), shapes.reduced_shape
    ),
    "Concat": cuts.concatenated_shape,
    "ConstantOfShape": _given_shape,
    "Einsum": einsum_shape,
    "Expand": shapes.expanded_shape,
    "Flatten": shapes.flattened_shape,
    "Gather": cuts.gathered_shape,
    "MatMul": _matrix_shape,
    "Range": _range_shape,
    "Reshape": shapes.reshaped_shape,
    "Slice": cuts.sliced_shape,
    "Squeeze": shapes.squeezed_shape,
    "Tile": cuts.tiled_shape,
    "Transpose": shapes.transposed_shape,
    "Unsqueeze": shapes.unsqueezed_shape,
}
"""Shape of the output, where it is not that of the first input."""

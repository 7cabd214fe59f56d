"""Operators with a matrix or a kernel of weights: what makes a parameter one is where it is read, never its name."""

from netspectra.bindings.onnx.constants import Array, Constant, UnrepresentableError
from netspectra.bindings.onnx.cuts import gathered_shape
from netspectra.bindings.onnx.emitter import Emitter
from netspectra.bindings.onnx.nodes import Node, Value, malformed, mismatch
from netspectra.bindings.onnx.recorder import Recorder
from netspectra.bindings.onnx.shapes import broadcast, matrix_shape
from netspectra.bindings.onnx.windows import enlarged, slid
from netspectra.networks.network import Shape

__all__ = ["EMITTERS", "dense", "embed", "matrix_product"]


def _convolution(record: Recorder, node: Node) -> Value:
    return convolve(record, node, node.input(0), node.constant(1))


def convolve(record: Recorder, node: Node, flow: Value, kernel: Constant) -> Value:
    """Record a convolution of what flows with a kernel (out, in of one group, positions…)."""
    if len(kernel.shape) < 3:
        raise malformed(node, "a kernel with axes of positions", kernel.shape)
    groups = node.integer("group", 1)
    _require_groups(node, flow, kernel.shape[1] * groups, kernel.shape[0], groups)
    shape = slid(node, flow.shape, kernel.shape[2:], kernel.shape[0])
    return record.emit(
        "convolution", node, [_flowing(node, flow)], shape, weights={"weight": kernel}, layout="oihw", groups=groups
    )


def _transposed_convolution(record: Recorder, node: Node) -> Value:
    flow, kernel = node.input(0), node.constant(1)
    if len(kernel.shape) < 3:
        raise malformed(node, "a kernel with axes of positions", kernel.shape)
    groups = node.integer("group", 1)
    n_out = kernel.shape[1] * groups
    _require_groups(node, flow, kernel.shape[0], n_out, groups)
    shape = enlarged(node, flow.shape, kernel.shape[2:], n_out)
    return record.emit(
        "convolution", node, [_flowing(node, flow)], shape, weights={"weight": kernel}, layout="iohw", groups=groups
    )


def _require_groups(node: Node, flow: Value, n_in: int, n_out: int, groups: int) -> None:
    if groups < 1 or n_in % groups or n_out % groups:
        raise malformed(node, "groups that divide the channels", f"{groups} groups of {n_in} and {n_out} channels")
    if flow.shape is not None and (len(flow.shape) < 2 or flow.shape[1] not in (n_in, None)):
        raise mismatch(node, f"{n_in} channels", flow.shape)


def _fused_convolution(record: Recorder, node: Node) -> Value:
    """With an activation, and something of the same shape added."""
    value = _convolution(record, node)
    other = node.optional(3)
    return (
        value if other is None or other.constant is not None else record.emit("add", node, [value, other], value.shape)
    )


def _gemm(record: Recorder, node: Node) -> Value:
    """``alpha A' B' + beta C``; the factors of a scalar change no proportion, and are left out."""
    first, second = node.input(0), node.input(1)
    turned = bool(node.integer("transA", 0)), bool(node.integer("transB", 0))
    if any(value.shape is not None and len(value.shape) != 2 for value in (first, second)):
        raise mismatch(node, "two matrices", (first.shape, second.shape))
    value = matrix_product(record, node, first, second, turned)
    addend = node.optional(2)
    if addend is None or addend.constant is not None:
        return value
    return record.emit("add", node, [value, addend], broadcast(node, [value.shape, addend.shape]))


def _matmul(record: Recorder, node: Node) -> Value:
    return matrix_product(record, node, node.input(0), node.input(1), (False, False))


def _fused_matmul(record: Recorder, node: Node) -> Value:
    if node.integer("transBatchA", 0) or node.integer("transBatchB", 0):
        msg = "batches that are transposed"
        raise UnrepresentableError(msg)
    turned = bool(node.integer("transA", 0)), bool(node.integer("transB", 0))
    return matrix_product(record, node, node.input(0), node.input(1), turned)


def matrix_product(record: Recorder, node: Node, first: Value, second: Value, turned: tuple[bool, bool]) -> Value:
    """Record a product of two tensors, the last two axes of either `turned` first: dense where one is constant."""
    if second.constant is not None:
        flow = _turned(record, node, first) if turned[0] else first
        return dense(record, node, flow, second.constant, "out-in" if turned[1] else "in-out")
    if first.constant is not None:
        flow = _turned(record, node, second) if turned[1] else second
        return _dense_from_left(record, node, flow, first.constant, "in-out" if turned[0] else "out-in")
    factors = [_turned(record, node, v) if turn else v for v, turn in zip((first, second), turned, strict=True)]
    shape = None
    if factors[0].shape is not None and factors[1].shape is not None:
        shape = matrix_shape(node, factors[0].shape, factors[1].shape)
    return record.emit("product", node, factors, shape)


def _turned(record: Recorder, node: Node, value: Value) -> Value:
    if value.shape is None or len(value.shape) < 2:
        msg = "it transposes a tensor whose number of axes is not known"
        raise UnrepresentableError(msg)
    rank = len(value.shape)
    return record.transpose(node, value, (*range(rank - 2), rank - 1, rank - 2))


def dense(record: Recorder, node: Node, flow: Value, constant: Constant, orientation: str) -> Value:
    """Record a product of what flows, along its last axis, with a matrix."""
    matrix = _matrix(constant)
    n_in, n_out = matrix.shape if orientation == "in-out" else matrix.shape[::-1]
    _flowing(node, flow)
    shape = flow.shape
    if shape is not None and (not shape or shape[-1] not in (n_in, None)):
        raise mismatch(node, f"{n_in} values along the last axis", shape)
    after = None if shape is None else (*shape[:-1], n_out)
    value = record.emit("dense", node, [flow], after, weights={"weight": matrix}, orientation=orientation)
    return _squeezed(record, node, value, constant, -1)


def _dense_from_left(record: Recorder, node: Node, flow: Value, constant: Constant, orientation: str) -> Value:
    matrix = _matrix(constant) if len(constant.shape) != 1 else constant.mapped((1, *constant.shape), lambda a: a[None])
    n_out, n_in = matrix.shape if orientation == "out-in" else matrix.shape[::-1]
    shape = flow.shape
    if shape is None:
        msg = "the number of axes of what it multiplies is not known"
        raise UnrepresentableError(msg)
    axis = -1 if len(shape) == 1 else -2
    if shape[axis] not in (n_in, None):
        raise mismatch(node, f"{n_in} values along axis {axis}", shape)
    after = tuple(n_out if number == len(shape) + axis else side for number, side in enumerate(shape))
    options = {"orientation": orientation, "axis": axis}
    value = record.emit("dense", node, [flow], after, weights={"weight": matrix}, **options)
    return _squeezed(record, node, value, constant, axis)


def _squeezed(record: Recorder, node: Node, value: Value, constant: Constant, axis: int) -> Value:
    """Drop the axis that a product with a vector does not make; add those that a stack of one matrix has more."""
    shape = value.shape
    if shape is None or len(constant.shape) == 2:
        return value
    if len(constant.shape) == 1:
        return record.reshape(
            node, value, tuple(side for number, side in enumerate(shape) if number != len(shape) + axis)
        )
    return record.reshape(node, value, (1,) * (len(constant.shape) - len(shape)) + shape)


def _matrix(constant: Constant) -> Constant:
    """A parameter as the matrix that it is: a vector is one column, a stack of one matrix that one."""
    shape = constant.shape
    if len(shape) == 2:
        return constant
    if len(shape) == 1:
        return constant.mapped((shape[0], 1), lambda array: array[:, None])
    if not shape or any(side != 1 for side in shape[:-2]):
        msg = f"a matrix product with a stack of parameters of shape {shape}"
        raise UnrepresentableError(msg)
    return constant.mapped(shape[-2:], lambda array: array.reshape(shape[-2:]))


def embed(record: Recorder, node: Node, flow: Value, table: Constant, shape: Shape | None) -> Value:
    """Record that the data choose rows of a table."""
    if len(table.shape) != 2 or table.dtype is None or table.dtype.kind in "iub":
        msg = f"the data choose from a constant of shape {table.shape} that is no table of vectors"
        raise UnrepresentableError(msg)
    return record.emit("embedding", node, [flow], shape, weights={"weight": table})


def gather_embedding(record: Recorder, node: Node) -> Value:
    """``Gather`` from a parameter at places that the data give."""
    if node.axis(node.integer("axis", 0), len(node.ranked())) != 0:
        msg = "the data choose columns of a constant"
        raise UnrepresentableError(msg)
    shape = None if node.input(1).shape is None else gathered_shape(node)
    return embed(record, node, node.input(1), node.constant(0), shape)


def _quantised_convolution(record: Recorder, node: Node) -> Value:
    return convolve(record, node, node.input(0), _unquantised(node, 3, 4, 5, 0))


def _quantised_matmul(record: Recorder, node: Node) -> Value:
    return dense(record, node, node.input(0), _unquantised(node, 3, 4, 5, -1), "in-out")


def _unquantised(node: Node, weight: int, scale: int, zero: int, axis: int) -> Constant:
    """``(weight - zero) * scale``, the latter two scalars or along an axis."""
    constant, factor, origin = node.constant(weight), node.values(scale), node.values(zero)
    if factor is None or factor.ndim > 1 or (factor.size != 1 and factor.size != constant.shape[axis]):
        raise malformed(node, "a scale, or one for each channel", None if factor is None else factor.shape)
    sides = [1] * len(constant.shape)
    sides[axis] = -1
    scales = factor.reshape(sides)
    zeros = 0 if origin is None else origin.astype(factor.dtype).reshape(sides)

    def compute(array: Array) -> Array:
        return (array.astype(factor.dtype) - zeros) * scales

    return Constant(
        constant.shape, factor.dtype, constant.mapped(constant.shape, compute).read, constant.key, learned=True
    )


def _flowing(node: Node, value: Value) -> Value:
    if value.constant is not None:
        msg = f"{node.op} of a constant with weights that depend on the data"
        raise UnrepresentableError(msg)
    return value


EMITTERS: dict[str, Emitter] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "com.microsoft.FusedConv": _fused_convolution,
    "Gemm": _gemm,
    "com.microsoft.FusedGemm": _gemm,
    "MatMul": _matmul,
    "com.microsoft.FusedMatMul": _fused_matmul,
    "com.microsoft.GemmFastGelu": _matmul,
    "QLinearConv": _quantised_convolution,
    "QLinearMatMul": _quantised_matmul,
}

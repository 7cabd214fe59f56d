"""Matrix products and embeddings: with a parameter a weighted operation, of two flows the data's own."""

from math import prod
from typing import Any

from netspectra.bindings.pytorch.aten_elementwise import plus
from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Constant, Flow, Shape

__all__ = ["LINEAR", "matrix_product", "transposed"]


def linear(call: Call) -> Any:
    """``input @ weight.T + bias``."""
    flow, weight = call["input"], call["weight"]
    if isinstance(weight, Flow):
        if weight.shape is None or len(weight.shape) != 2:
            return call.opaque("the weight depends on the inputs")
        return _biased(call, matrix_product(call, flow, transposed(call, weight), call.shape))
    if weight.evaluate is None or isinstance(flow, Constant):
        return call.opaque("the weight depends on the inputs")
    if len(weight.shape) == 1:
        return _biased(call, matrix_product(call, flow, weight, call.shape))
    made = call.emit("dense", flow, shape=call.shape, weights={"weight": weight}, orientation="out-in")
    return _biased(call, made)


def product_of(first: str, second: str, added: str = "") -> Emitter:
    """Emitter of a matrix product of two arguments, with a third added."""

    def emit(call: Call) -> Any:
        made = matrix_product(call, call[first], call[second], call.shape)
        other = call.get(added) if added else None
        return plus(call, [other, made], call.shape) if isinstance(other, Flow) else made

    return emit


def matrix_product(call: Call, one: Any, other: Any, shape: Shape) -> Any:
    """Flow of ``one @ other``, as PyTorch's matmul has it; at least one of them is a flow."""
    if isinstance(one, Flow) and isinstance(other, Flow):
        return _flow_product(call, one, other, shape)
    constant, flow = (one, other) if isinstance(one, Constant) else (other, one)
    if constant.evaluate is None:
        return call.emit("product", one, other, shape=shape)
    lead = constant.shape[:-2]
    if prod(lead) > 1:
        return _one_matrix_each(call, flow, constant, shape, constant is one)
    matrix = constant.shape[-2:]
    if constant is other:
        size = (*matrix, 1) if len(matrix) == 1 else matrix
        axis, orientation, n_out = -1, "in-out", size[1]
    else:
        size = (1, *matrix) if len(matrix) == 1 else matrix
        axis = -1 if flow.shape is not None and len(flow.shape) == 1 else -2
        orientation, n_out = "out-in", size[0]
    if size != constant.shape:
        constant = constant.derive(size, lambda value: value.reshape(size))
    between: Shape = shape
    if flow.shape is not None:
        at = axis % len(flow.shape)
        between = (*flow.shape[:at], n_out, *flow.shape[at + 1 :])
    made = call.emit("dense", flow, shape=between, weights={"weight": constant}, orientation=orientation, axis=axis)
    return _reshaped(call, made, shape)


def transposed(call: Call, flow: Flow) -> Flow:
    """Flow with its last two axes exchanged."""
    shape = flow.shape or (None, None)
    order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    return call.emit("transpose", flow, shape=tuple(shape[i] for i in order), permutation=tuple(order))


def embedding(call: Call) -> Any:
    """Rows of a table, chosen by numbers."""
    table, numbers = call["weight"], call["indices"]
    if isinstance(table, Flow) or table.evaluate is None or isinstance(numbers, Constant):
        return call.opaque("rows of a table that depends on the inputs")
    return look_up(call, table, numbers, call.shape)


def look_up(call: Call, table: Constant, numbers: Flow, shape: Shape) -> Flow:
    """Flow of the rows of a constant table that a flow of numbers chooses."""
    return call.emit("embedding", numbers, shape=shape, weights={"weight": table})


def embedding_bag(call: Call) -> Any:
    """Sums or means of rows of a table."""
    table, numbers = call["weight"], call["indices"]
    if isinstance(table, Flow) or not isinstance(numbers, Flow) or numbers.shape is None:
        return call.opaque("rows of a table that depends on the inputs")
    rows = look_up(call, table, numbers, (*numbers.shape, table.shape[1]))
    summed = call.emit("reduce", rows, shape=(table.shape[1],), axes=tuple(range(len(numbers.shape))))
    return [call.emit("expand", summed, shape=call.shape)]


def _biased(call: Call, made: Flow) -> Flow:
    bias = call.get("bias")
    return plus(call, [made, bias], call.shape) if isinstance(bias, Flow) else made


def _reshaped(call: Call, flow: Flow, shape: Shape) -> Flow:
    if shape is None or flow.shape == shape:
        return flow
    return call.emit("reshape", flow, shape=shape)


def _flow_product(call: Call, one: Flow, other: Flow, shape: Shape) -> Flow:
    """Product of two flows; vectors become matrices of one row or column, as matmul has them."""
    if one.shape is None or other.shape is None:
        return call.emit("product", one, other, shape=shape)
    is_row, is_column = len(one.shape) == 1, len(other.shape) == 1
    if not (is_row or is_column):
        return call.emit("product", one, other, shape=shape)
    left = call.emit("reshape", one, shape=(1, *one.shape)) if is_row else one
    right = call.emit("reshape", other, shape=(*other.shape, 1)) if is_column else other
    between = (*(left.shape or ())[:-1], (right.shape or ())[-1])
    if is_row and len(other.shape) > 2:
        between = (*other.shape[:-2], *between)
    return _reshaped(call, call.emit("product", left, right, shape=between), shape)


def _one_matrix_each(call: Call, flow: Flow, matrices: Constant, shape: Shape, matrices_first: bool) -> Any:
    """Product with a constant that holds one matrix for each of several slices (experts, heads): a grouped operation.

    The slices and the axis that is read become the channels of a convolution of one position, in groups.
    """
    if shape is None or flow.shape is None:
        return call.opaque("one matrix for each slice of a tensor of unknown shape")
    lead, groups = matrices.shape[:-2], prod(matrices.shape[:-2])
    n_out, n_in = matrices.shape[-2:] if matrices_first else matrices.shape[:-3:-1]
    if matrices_first:
        flow = transposed(call, flow)
    n_axes, n_lead = len(shape), len(lead)
    around = (*shape[: n_axes - 2 - n_lead], *lead, (flow.shape or ())[-2])
    if any(size is None for size in around) or shape[n_axes - 2 - n_lead : n_axes - 2] != lead:
        return call.opaque("matrices for slices that are repeated")
    if flow.shape != (*around, n_in):
        flow = call.emit("expand", flow, shape=(*around, n_in))
    first = n_axes - 2 - n_lead
    order = (*range(first), n_axes - 2, *range(first, n_axes - 2), n_axes - 1)
    apart = tuple((*around, n_in)[i] for i in order)
    n_rows = prod(int(size or 1) for size in apart[: first + 1])
    flow = call.emit("transpose", flow, shape=apart, permutation=order)
    flow = call.emit("reshape", flow, shape=(n_rows, groups * n_in, 1))
    kernel = matrices.derive(
        (groups * n_out, n_in, 1),
        lambda value: (value if matrices_first else value.transpose(-1, -2)).reshape(groups * n_out, n_in, 1),
    )
    flow = call.emit(
        "convolution", flow, shape=(n_rows, groups * n_out, 1), weights={"weight": kernel}, layout="oihw", groups=groups
    )
    flow = call.emit("reshape", flow, shape=(*apart[:-1], n_out))
    back = tuple(order.index(i) for i in range(n_axes))
    flow = call.emit("transpose", flow, shape=(*around, n_out), permutation=back)
    return transposed(call, flow) if matrices_first else flow


LINEAR: dict[str, Emitter] = {
    "linear": linear,
    "matmul": product_of("self", "other"),
    "linalg_matmul": product_of("self", "other"),
    "mm": product_of("self", "mat2"),
    "bmm": product_of("self", "mat2"),
    "mv": product_of("self", "vec"),
    "addmm": product_of("mat1", "mat2", "self"),
    "addmv": product_of("mat", "vec", "self"),
    "baddbmm": product_of("batch1", "batch2", "self"),
    "embedding": embedding,
    "embedding_bag": embedding_bag,
    "_embedding_bag": embedding_bag,
}
"""ATen operation to its emitter."""

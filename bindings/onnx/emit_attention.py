"""Attention as one operator: ONNX's own since opset 23, and those that ONNX Runtime fuses."""

from netspectra.bindings.onnx.constants import UnrepresentableError
from netspectra.bindings.onnx.emit_normalisation import scaled
from netspectra.bindings.onnx.emit_weighted import dense, embed
from netspectra.bindings.onnx.emitter import Emitter
from netspectra.bindings.onnx.nodes import Node, Value, mismatch
from netspectra.bindings.onnx.recorder import Recorder
from netspectra.networks.network import Shape

__all__ = ["EMITTERS"]


def _attention(record: Recorder, node: Node) -> list[Value | None]:
    """``Attention``: (batch, heads, positions, dimensions), or (batch, positions, heads * dimensions)."""
    n_heads = node.integer("q_num_heads", 0), node.integer("kv_num_heads", 0)
    query, key, value = (_flow(node, number) for number in range(3))
    return _attend(record, node, (query, key, value), n_heads, past=(4, 5))


def _multi_head(record: Recorder, node: Node) -> list[Value | None]:
    """``MultiHeadAttention`` of com.microsoft: query, key and value (batch, positions, hidden)."""
    heads = node.integer("num_heads", 0)
    if node.optional(1) is None or node.optional(2) is None:
        msg = "its query, key and value are packed"
        raise UnrepresentableError(msg)
    query, key, value = (_flow(node, number) for number in range(3))
    return _attend(record, node, (query, key, value), (heads, heads), past=(6, 7))


def _grouped_query(record: Recorder, node: Node) -> list[Value | None]:
    """``GroupQueryAttention`` of com.microsoft; key and value may be packed behind the query."""
    n_heads = node.integer("num_heads", 0), node.integer("kv_num_heads", 0)
    if node.optional(1) is not None:
        query, key, value = (_flow(node, number) for number in range(3))
        return _attend(record, node, (query, key, value), n_heads, past=(3, 4))
    total = n_heads[0] + 2 * n_heads[1]
    width = node.known_shape()[-1]
    if min(n_heads) < 1 or width % total:
        raise mismatch(node, f"{total} heads of query, key and value", node.input(0).shape)
    sizes = tuple(width // total * heads for heads in (n_heads[0], n_heads[1], n_heads[1]))
    return _attend(record, node, _parts(record, node, _flow(node, 0), sizes), n_heads, past=(3, 4))


def _packed(record: Recorder, node: Node) -> list[Value | None]:
    """``Attention`` of com.microsoft: one projection to query, key and value comes first."""
    heads, projected = node.integer("num_heads", 0), dense(record, node, node.input(0), node.constant(1), "in-out")
    width = (projected.shape or (None,))[-1] or 0
    sizes = node.ints("qkv_hidden_sizes") or (width // 3,) * 3
    if len(sizes) != 3 or sum(sizes) != width:
        raise mismatch(node, "a projection to query, key and value", projected.shape)
    return _attend(record, node, _parts(record, node, projected, sizes), (heads, heads), past=(4, 4))


def _parts(record: Recorder, node: Node, value: Value, sizes: tuple[int, ...]) -> tuple[Value, Value, Value]:
    shapes = [(*(value.shape or ())[:-1], size) for size in sizes]
    query, key, content = record.emit_several("split", node, [value], shapes, axis=-1, sizes=sizes)
    return query, key, content


def _attend(
    record: Recorder, node: Node, tensors: tuple[Value, Value, Value], n_heads: tuple[int, int], past: tuple[int, int]
) -> list[Value | None]:
    """Record attention; positions remembered from before (inputs `past`) have the channels of those that are read."""
    flat = len(tensors[0].shape or ()) == 3
    heads = [_with_heads(record, node, t, n) for t, n in zip(tensors, (n_heads[0], *n_heads[1:] * 2), strict=True)]
    query, key, value = heads
    shared = _repeated(record, node, key, query), _repeated(record, node, value, query)
    after = _attended(node, query, shared[0], shared[1])
    result = record.emit("attention", node, [query, *shared], after)
    if flat:
        batch, n, length, size = after
        result = record.reshape(node, record.transpose(node, result, (0, 2, 1, 3)), (batch, length, _times(n, size)))
    remembered = [_remembered(record, node, *pair) for pair in zip((key, value), past, (1, 2), strict=True)]
    return [result, *remembered]


def _with_heads(record: Recorder, node: Node, tensor: Value, heads: int) -> Value:
    shape = tensor.shape
    if shape is None or len(shape) not in (3, 4) or None in shape[1:]:
        msg = f"query, key or value of shape {shape}"
        raise UnrepresentableError(msg)
    if len(shape) == 4:
        return tensor
    width = shape[2] or 0
    if heads < 1 or width % heads:
        raise mismatch(node, f"a width that {heads} heads divide", shape)
    apart = record.reshape(node, tensor, (shape[0], shape[1], heads, width // heads))
    return record.transpose(node, apart, (0, 2, 1, 3))


def _repeated(record: Recorder, node: Node, tensor: Value, query: Value) -> Value:
    """Heads of keys and values that several heads of the query share, one for each."""
    shape, wanted = tensor.shape or (), (query.shape or ())[1]
    if shape[1] == wanted:
        return tensor
    if not shape[1] or wanted is None or wanted % shape[1]:
        raise mismatch(node, f"a number of heads that divides {wanted}", shape)
    times = wanted // shape[1]
    return record.emit("repeat", node, [tensor], (shape[0], wanted, *shape[2:]), axis=1, times=times)


def _attended(node: Node, query: Value, key: Value, value: Value) -> Shape:
    q, k, v = query.shape or (), key.shape or (), value.shape or ()
    if q[3] != k[3] or k[2] != v[2]:
        raise mismatch(node, "query and key of one size, key and value of one length", (q, k, v))
    return (*q[:3], v[3])


def _remembered(record: Recorder, node: Node, tensor: Value, past: int, output: int) -> Value | None:
    if output >= len(node.outputs) or not node.outputs[output]:
        return None
    before = node.optional(past)
    if before is None or before.shape is None or tensor.shape is None or len(before.shape) != 4:
        return tensor
    length = None if before.shape[2] is None or tensor.shape[2] is None else before.shape[2] + tensor.shape[2]
    return record.emit("concatenate", node, [before, tensor], (*tensor.shape[:2], length, tensor.shape[3]), axis=2)


def _times(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first * second


def _embeddings(record: Recorder, node: Node) -> list[Value | None]:
    """``EmbedLayerNormalization`` of com.microsoft: words, positions and segments, added and normalised."""
    words = _flow(node, 0)
    table = node.constant(2)
    shape = None if words.shape is None else (*words.shape, table.shape[-1])
    total = embed(record, node, words, table, shape)
    segments = node.optional(1)
    if segments is not None and segments.constant is None and node.optional(4) is not None:
        total = record.emit("add", node, [total, embed(record, node, segments, node.constant(4), shape)], shape)
    return [scaled(record, node, total, node.constant(5), -1), None, total]


def _flow(node: Node, number: int) -> Value:
    value = node.input(number)
    if value.constant is not None:
        msg = f"input {number} of {node.op} is a constant"
        raise UnrepresentableError(msg)
    return value


EMITTERS: dict[str, Emitter] = {
    "Attention": _attention,
    "com.microsoft.Attention": _packed,
    "com.microsoft.MultiHeadAttention": _multi_head,
    "com.microsoft.GroupQueryAttention": _grouped_query,
    "com.microsoft.EmbedLayerNormalization": _embeddings,
}

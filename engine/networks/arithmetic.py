"""Sums and products of tensors of the data's own: which nodes become one."""

from functools import reduce
from typing import Any

import numpy as np

from netspectra.errors import GraphError
from netspectra.networks.network import Operation, Shape
from netspectra.networks.nodes import Join
from netspectra.networks.reading import Scene
from netspectra.networks.values import Nodes, Value, aligned, along, constant

__all__ = ["add", "attention", "multiply", "product"]

MIXED = "adds nodes to others of the same operator, without weights: these edges are left out"


def add(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Place by place: nodes that are added together become one, or are tied to the sum."""
    return _elementwise(scene, operation, values, is_product=False)


def multiply(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """The same: a gate and what it gates are one node."""
    return _elementwise(scene, operation, values, is_product=True)


def product(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Matrix product of two tensors: query by key, or attention weights by value."""
    left, right = (_placed(scene, value) for value in values[:2])
    shape = operation.shape or _product_shape(left.shape, right.shape)
    pattern = left.pattern if left.pattern is not None else right.pattern
    a, b = left.nodes, right.nodes
    if a is None or b is None or not (left.has_nodes or right.has_nodes) or min(a.ndim, b.ndim) < 2:
        return constant(shape, pattern)
    if not left.has_nodes and b.shape[-2] == 1:
        return _passed(scene, right, pattern, shape)
    if not right.has_nodes and a.shape[-1] == 1:
        return _passed(scene, left, pattern, shape)
    if left.has_nodes and right.has_nodes and a.shape[-2] == 1 and b.shape[-1] == 1:
        return constant(shape, _meet(scene, operation, a, np.swapaxes(b, -1, -2)))
    scene.ledger.skip(operation.name, "multiplies features by features, which no edge between two nodes shows")
    return constant(shape, pattern)


def attention(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Query and key meet dimension by dimension; what comes out are the values."""
    query, key, value = (_placed(scene, v) for v in values[:3])
    a = query.nodes
    if a is None or key.nodes is None or value.nodes is None or not value.has_nodes:
        return constant(operation.shape or query.shape)
    if a.ndim > 2 and key.shape is not None and query.shape is not None:
        times = int(query.shape[-3] or 1) // max(int(key.shape[-3] or 1), 1)
        if times > 1:
            key, value = (_repeated_heads(v, times) for v in (key, value))
    assert key.nodes is not None
    pattern = _meet(scene, operation, a, key.nodes)
    shape = operation.shape
    if shape is None and query.shape is not None and value.shape is not None:
        shape = (*query.shape[:-1], value.shape[-1])
    return _passed(scene, value, pattern, shape)


def _elementwise(scene: Scene, operation: Operation, values: list[Value], *, is_product: bool) -> Value:
    pattern = next((v.pattern for v in values if v.pattern is not None), None)
    shape = operation.shape or reduce(_broadcast, (v.shape for v in values))
    labelled = [v for v in values if v.nodes is not None and v.has_nodes]
    live = [v for v in (_like(scene, v, labelled) for v in values) if v.has_nodes]
    if not live or (pattern is not None and not labelled):  # a mask that was made from an input is no input
        return constant(shape, pattern)
    if all(v.nodes is None for v in live):
        return live[0].touched(shape=shape)
    arrays = aligned([_ranked(v.nodes, len(shape or ())) for v in live])
    first = arrays[0]
    others = [i for i, array in enumerate(arrays) if i and not np.array_equal(array, first)]
    if not others:
        return live[0].touched(shape=shape, nodes=first, scale=live[0].scale)
    joined = [0]
    for i in others:
        if _is_mixture(scene, arrays[i], [arrays[j] for j in joined], is_product=is_product):
            scene.ledger.skip(operation.name, MIXED)
        else:
            joined.append(i)
    if len(joined) == 1:
        return live[0].touched(shape=shape, nodes=first)
    return Value(shape, _sum_of(scene, operation, [live[i] for i in joined], [arrays[i] for i in joined]))


def _is_mixture(scene: Scene, nodes: Nodes, before: list[Nodes], *, is_product: bool) -> bool:
    """Whether nodes meet those of their own operator: a rotation of pairs of dimensions, not a skip."""
    own = np.unique(nodes[nodes >= 0])
    for other in before:
        met = np.unique(other[other >= 0])
        if is_product:
            if np.intersect1d(own, met).size:
                return True
        elif np.array_equal(np.unique(scene.ledger.group_of(own)), np.unique(scene.ledger.group_of(met))):
            return True
    return False


def _sum_of(scene: Scene, operation: Operation, live: list[Value], arrays: list[Nodes]) -> Nodes:
    """Nodes of the sum, tied to those of its parts."""
    any_node = np.any([array >= 0 for array in arrays], axis=0)
    kinds = [scene.ledger.groups[int(g)].kind for g in np.unique(scene.ledger.group_of(arrays[0][arrays[0] >= 0]))]
    number = scene.ledger.group(
        operation.name, kinds[0] if kinds[0] not in ("input", "token") else "dense", int(any_node.sum())
    )
    nodes = np.full(any_node.shape, -1, np.int64)
    nodes[any_node] = scene.ledger.groups[number].numbers
    for value, array in zip(live, arrays, strict=True):
        there = array >= 0
        factors = None
        if value.scale is not None:
            factors = np.broadcast_to(_ranked(value.scale, array.ndim), array.shape)[there]
        scene.ledger.joins.append(Join(operation.name, "sum", array[there], nodes[there], factors))
    return nodes


def _meet(scene: Scene, operation: Operation, query: Nodes, key: Nodes) -> int:
    """Join query and key dimension by dimension and return the number of the attention."""
    query, key = (np.take(nodes, [0], axis=-2) for nodes in (query, key))
    a, b = aligned([query, key])
    there = (a >= 0) & (b >= 0)
    scene.ledger.joins.append(Join(operation.name, "product", a[there], b[there]))
    scene.attentions.append(a)
    _become_dimensions(scene, query, key)
    for nodes in (query, key):
        _unite_heads(scene, operation.name, nodes)
    return len(scene.attentions) - 1


def _become_dimensions(scene: Scene, *nodes: Nodes) -> None:
    """Say what the nodes of an attention are."""
    for own in nodes:
        for number in np.unique(scene.ledger.group_of(own[own >= 0])):
            group = scene.ledger.groups[int(number)]
            group.kind = "dimension" if group.kind == "dense" else group.kind


def _passed(scene: Scene, value: Value, pattern: int | None, shape: Shape | None) -> Value:
    """Values as attention weights mix them over positions."""
    nodes = value.nodes
    assert nodes is not None
    if pattern is not None:
        _become_dimensions(scene, nodes)
    if pattern is not None and scene.attention == "heads":
        query = scene.attentions[pattern]
        _unite_heads(scene, "heads", nodes)
        heads, others = query[..., :1], nodes[..., :1]
        try:
            a, b = aligned([heads, others])
        except GraphError:
            a, b = heads[:0], heads[:0]
        there = (a >= 0) & (b >= 0)
        scene.ledger.joins.append(Join("heads", "head", b[there], a[there]))
    if shape is not None and len(shape) != nodes.ndim:
        nodes = np.reshape(nodes, ((1,) * (len(shape) - nodes.ndim) + nodes.shape)[-len(shape) :])
    return value.touched(shape=shape, nodes=nodes, scale=value.scale)


def _unite_heads(scene: Scene, name: str, nodes: Nodes) -> None:
    """The dimensions of each head, where heads are the nodes."""
    if scene.attention != "heads" or nodes.shape[-1] == 1:
        return
    first = np.broadcast_to(nodes[..., :1], nodes.shape)
    there = (nodes >= 0) & (first >= 0)
    scene.ledger.joins.append(Join(name, "head", nodes[there], first[there]))
    for number in np.unique(scene.ledger.group_of(nodes[there])):
        scene.ledger.groups[int(number)].kind = "head"


def _repeated_heads(value: Value, times: int) -> Value:
    """Keys and values that several query heads share."""
    assert value.nodes is not None
    shape = value.shape
    if shape is not None:
        shape = (*shape[:-3], int(shape[-3] or 1) * times, *shape[-2:])
    return value.mapped(lambda a: a if a.shape[-3] == 1 else np.repeat(a, times, axis=-3), shape)


def _placed(scene: Scene, value: Value) -> Value:
    """An unread input that meets another tensor: its nodes are along the last axis."""
    if value.nodes is not None or value.shape is None or value.shape[-1] is None:
        return value
    rank = len(value.shape)
    return value.touched(nodes=along(value.shape, rank, rank - 1, scene.input_nodes(value.origin, value.shape[-1])))


def _like(scene: Scene, value: Value, labelled: list[Value]) -> Value:
    """An unread input beside tensors with nodes: its nodes are along the axis of theirs, if it has such an axis."""
    if value.nodes is not None or not labelled:
        return value
    model = labelled[0].nodes
    assert model is not None
    axes = [axis for axis, side in enumerate(model.shape) if side > 1]
    if len(axes) != 1:
        msg = f"adds the input {value.origin!r} to a tensor whose nodes are not along one axis"
        raise GraphError(msg)
    own = None if value.shape is None else (1,) * (model.ndim - len(value.shape)) + value.shape
    if own is not None and own[axes[0]] == 1:
        return constant(value.shape)  # a mask of positions
    nodes = along(None, model.ndim, axes[0], scene.input_nodes(value.origin, model.shape[axes[0]]))
    return value.touched(nodes=nodes)


def _ranked(array: Any, rank: int) -> Any:
    return np.reshape(array, (1,) * max(rank - array.ndim, 0) + array.shape)


def _broadcast(a: Shape | None, b: Shape | None) -> Shape | None:
    """Shape of two tensors' sum; what is not known stays so."""
    if a is None or b is None:
        return a if b is None else b
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    return tuple(y if x == 1 else x for x, y in pairs)


def _product_shape(a: Shape | None, b: Shape | None) -> Shape | None:
    if a is None or b is None or min(len(a), len(b)) < 2:
        return None
    lead = _broadcast(a[:-2], b[:-2]) or ()
    return (*lead, a[-2], b[-1])

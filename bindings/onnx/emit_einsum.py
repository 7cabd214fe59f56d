"""``Einsum`` as what it is: a matrix product between two rearrangements."""

from collections.abc import Sequence

from netspectra.bindings.onnx.constants import UnrepresentableError
from netspectra.bindings.onnx.einsum import ProductPlan, einsum_terms, product_plan
from netspectra.bindings.onnx.emit_weighted import matrix_product
from netspectra.bindings.onnx.emitter import Emitter
from netspectra.bindings.onnx.nodes import Node, Value
from netspectra.bindings.onnx.recorder import Recorder

__all__ = ["EMITTERS"]


def _einsum(record: Recorder, node: Node) -> Value:
    """Two tensors whose axes are sorted into (batch, own, common) make a matrix product, and the result is sorted back.

    Where one is constant there must be no axis of a batch: it is a matrix then.
    """
    terms = einsum_terms(node)
    if len(node.inputs) == 1:
        return _einsum_of_one(record, node, terms)
    plan = product_plan(node, terms)
    if plan is None:
        msg = f"the equation {node.text('equation', '')!r}, which is no matrix product"
        raise UnrepresentableError(msg)
    first, second = (_arranged(record, node, number, plan) for number in (0, 1))
    value = matrix_product(record, node, first, second, (False, False))
    value = record.reshape(node, value, plan.sides_after)
    return record.transpose(node, value, plan.order_after)


def _einsum_of_one(record: Recorder, node: Node, terms: Sequence[str]) -> Value:
    before, after = terms
    if len(set(before)) < len(before):
        msg = "it takes a diagonal"
        raise UnrepresentableError(msg)
    gone = tuple(axis for axis, letter in enumerate(before) if letter not in after)
    left = [letter for letter in before if letter in after]
    value = node.input(0)
    if gone:
        sides = tuple(side for axis, side in enumerate(node.ranked()) if axis not in gone)
        value = record.emit("reduce", node, [value], sides, axes=gone, keepdims=False)
    return record.transpose(node, value, [left.index(letter) for letter in after])


def _arranged(record: Recorder, node: Node, number: int, plan: ProductPlan) -> Value:
    value, order, sides = node.input(number), plan.orders[number], plan.sides[number]
    if value.constant is None:
        return record.reshape(node, record.transpose(node, value, order), sides)
    matrix = value.constant.mapped(sides, lambda array: array.transpose(order).reshape(sides))
    return Value(value.name, sides, matrix)


EMITTERS: dict[str, Emitter] = {"Einsum": _einsum}

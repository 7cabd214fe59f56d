"""Attributes of nodes as Python's own values."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from netspectra.bindings.onnx.constants import Constant
from netspectra.bindings.onnx.nodes import Node
from netspectra.bindings.onnx.tensors import TensorReader

__all__ = ["constant_of_node", "read_attributes"]

_FLOAT, _INT, _STRING, _TENSOR, _GRAPH, _FLOATS, _INTS, _STRINGS = range(1, 9)


def read_attributes(proto: Any, outer: Mapping[str, Any], tensors: TensorReader) -> dict[str, Any]:
    """Return the attributes of a node.

    Parameters
    ----------
    proto : onnx.NodeProto
    outer : mapping of str to object
        Attributes of the function that the node is in, to which its own may refer.
    tensors : TensorReader
    """
    found = {}
    for attribute in proto.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in outer:
                found[str(attribute.name)] = outer[attribute.ref_attr_name]
        else:
            found[str(attribute.name)] = read_attribute(attribute, tensors)
    return found


def read_attribute(attribute: Any, tensors: TensorReader) -> Any:
    """Return one attribute; None for what nothing here reads."""
    kind = attribute.type
    if kind == _FLOAT:
        return float(attribute.f)
    if kind == _INT:
        return int(attribute.i)
    if kind == _STRING:
        return attribute.s.decode("utf-8", "replace")
    if kind == _TENSOR:
        return tensors.constant(attribute.t)
    if kind == _GRAPH:
        return attribute.g
    if kind == _FLOATS:
        return tuple(float(value) for value in attribute.floats)
    if kind == _INTS:
        return tuple(int(value) for value in attribute.ints)
    if kind == _STRINGS:
        return tuple(value.decode("utf-8", "replace") for value in attribute.strings)
    return None


def constant_of_node(node: Node) -> Constant:
    """What a ``Constant`` node holds."""
    value = node.attributes.get("value")
    if isinstance(value, Constant):
        return value
    for name, dtype in (("value_float", "f4"), ("value_floats", "f4"), ("value_int", "i8"), ("value_ints", "i8")):
        if name in node.attributes:
            return Constant.of(np.array(node.attributes[name], dtype), learned=name == "value_floats")
    return Constant((), None, None, node.name)

"""Inputs that are masks: integers that choose no rows and meet no weights, but only other flows."""

from collections.abc import Collection
from typing import Any

import torch

__all__ = ["masks_among"]


def masks_among(graph: Any, inputs: Collection[str], parameters: Collection[str]) -> set[Any]:
    """Placeholders of an exported graph that hold integers or truth values and reach no parameter by themselves.

    Tokens reach an embedding and pixels a kernel, through casts, shapes and arithmetic with constants. What first
    meets another flow that is no integer (scores that it is added to, values that it multiplies) is a mask.

    Parameters
    ----------
    graph : torch.fx.Graph
    inputs, parameters : collection of str
        Names of the placeholders that are the user's inputs, and of those that are parameters.
    """
    given = [node for node in graph.nodes if node.op == "placeholder"]
    candidates = [node for node in given if node.name in inputs and _is_integer(node)]
    if not candidates:
        return set()
    depends = {node for node in given if node.name in inputs}
    learned = {node for node in given if node.name in parameters}
    for node in graph.nodes:
        if any(one in depends for one in node.all_input_nodes):
            depends.add(node)
        elif any(one in learned for one in node.all_input_nodes):
            learned.add(node)
    return {node for node in candidates if not _meets_weights(graph, node, depends, learned)}


def _meets_weights(graph: Any, start: Any, depends: set[Any], learned: set[Any]) -> bool:
    reached = {start}
    for node in graph.nodes:
        read = node.all_input_nodes
        if node.op != "call_function" or not any(one in reached for one in read):
            continue
        alone = all(one in reached for one in read if one in depends)
        if not alone and not _is_integer(node):
            continue
        if any(one in learned for one in read):
            return True
        reached.add(node)
    return False


def _is_integer(node: Any) -> bool:
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        return False
    return not (value.is_floating_point() or value.is_complex())

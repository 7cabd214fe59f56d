"""How a configuration says which tensors a layer is called on.

Keras 3 writes the arguments of a call as they were, with a record in place of each tensor; Keras 1 and 2 a list
``[layer, node, tensor, keywords]`` for each tensor.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from netspectra.errors import FileFormatError

__all__ = ["Call", "Reference", "leaves", "parse_calls", "parse_ends", "parse_shape", "recounted"]


@dataclass(frozen=True)
class Reference:
    """A tensor: which output of which call of which layer, and its shape where the configuration has it."""

    layer: str
    node: int
    index: int
    shape: tuple[int | None, ...] | None = None


@dataclass(frozen=True)
class Call:
    """One call of a layer: its arguments, with a :class:`Reference` for every tensor."""

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]

    def references(self) -> Iterator[Reference]:
        """All tensors that it reads, in order."""
        return (leaf for leaf in leaves([self.arguments, self.keywords]) if isinstance(leaf, Reference))

    def mapped(self, change: Callable[[Reference], Any]) -> "Call":
        """Return the call with something else in place of each reference."""
        return Call(tuple(_mapped(list(self.arguments), change)), _mapped(self.keywords, change))


def leaves(tree: Any) -> Iterator[Any]:
    """What is inside lists, tuples and dicts, in order."""
    if isinstance(tree, list | tuple):
        for branch in tree:
            yield from leaves(branch)
    elif isinstance(tree, Mapping):
        for branch in tree.values():
            yield from leaves(branch)
    else:
        yield tree


def parse_calls(nodes: Any) -> tuple[Call, ...]:
    """Read the ``inbound_nodes`` of a layer.

    Raises
    ------
    FileFormatError
        If they are of no known form.
    """
    if not isinstance(nodes, list | tuple):
        msg = f"expected a list of a layer's calls, got {nodes!r:.80}"
        raise FileFormatError(msg)
    return tuple(_new_call(node) if isinstance(node, Mapping) else _old_call(node) for node in nodes)


def parse_ends(tree: Any) -> tuple[Reference, ...]:
    """Read ``input_layers`` or ``output_layers``, one, or any nest of ``[layer, node, tensor]``."""
    return tuple(_ends(tree))


def recounted(
    calls: list[tuple[Call, ...]], ends: tuple[Reference, ...], models: Mapping[str, str]
) -> tuple[list[tuple[Call, ...]], tuple[Reference, ...]]:
    """Count the calls of every layer from 0.

    A Functional model has a first call of its own, that which built it. Keras 3 counts it in the model's outputs and
    not in calls; Keras 2 counts it everywhere, of Sequential models too where they were built before.

    Parameters
    ----------
    calls : list of tuple of Call
        Of each layer.
    ends : tuple of Reference
        The model's outputs.
    models : mapping of str to str
        Layers that are models, with their class.
    """
    read = [reference for of_layer in calls for call in of_layer for reference in call.references()]
    is_new = any(reference.shape is not None for reference in read)
    if is_new:
        late: set[str] = set()
        late_ends = {name for name, kind in models.items() if kind != "Sequential"}
    else:
        first = {r.layer for r in [*read, *ends] if r.node == 0}
        late = late_ends = models.keys() - first

    def earlier(of: set[str]) -> Callable[[Reference], Reference]:
        return lambda r: replace(r, node=r.node - 1) if r.layer in of else r

    changed = [tuple(call.mapped(earlier(late)) for call in of_layer) for of_layer in calls]
    return changed, tuple(earlier(late_ends)(reference) for reference in ends)


def _mapped(tree: Any, change: Callable[[Reference], Any]) -> Any:
    if isinstance(tree, Reference):
        return change(tree)
    if isinstance(tree, Mapping):
        return {key: _mapped(branch, change) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return [_mapped(branch, change) for branch in tree]
    return tree


def _new_call(node: Mapping[str, Any]) -> Call:
    return Call(tuple(_with_references(node.get("args", ()))), _with_references(node.get("kwargs", {})))


def _with_references(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        if tree.get("class_name") == "__keras_tensor__":
            layer, node, index = tree["config"]["keras_history"]
            shape = tree["config"].get("shape")
            return Reference(str(layer), int(node), int(index), None if shape is None else parse_shape(shape))
        return {key: _with_references(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_with_references(value) for value in tree]
    return tree


def parse_shape(sides: Any) -> tuple[int | None, ...]:
    """Read a shape.

    Raises
    ------
    FileFormatError
        If it is not made of positive integers, or None for free sizes.
    """
    if isinstance(sides, list | tuple) and all(
        s is None or (isinstance(s, int) and not isinstance(s, bool) and s >= 0) for s in sides
    ):
        return tuple(sides)
    msg = f"expected a shape, a list of integers or null, got {sides!r:.80}"
    raise FileFormatError(msg)


def _old_call(node: Any) -> Call:
    if _is_end(node):  # where a layer takes one tensor the outer list may be left away
        node = [node]
    if not isinstance(node, list | tuple) or not node or not all(_is_end(entry) for entry in node):
        msg = f"expected layers that are called on the outputs of layers, got a call on {node!r:.80}"
        raise FileFormatError(msg)
    entries = [_end(entry) for entry in node]
    keywords = node[0][3] if len(node[0]) > 3 and isinstance(node[0][3], Mapping) else {}
    found = {key: _old_keyword(value) for key, value in keywords.items()}
    return Call((entries[0] if len(entries) == 1 else entries,), found)


def _old_keyword(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return _end(value) if _is_end(value) and len(value) <= 4 else [_old_keyword(branch) for branch in value]
    return value


def _ends(tree: Any) -> Iterator[Reference]:
    if _is_end(tree):
        yield _end(tree)
    elif isinstance(tree, Mapping):
        for branch in tree.values():
            yield from _ends(branch)
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from _ends(branch)


def _is_end(tree: Any) -> bool:
    return (
        isinstance(tree, list | tuple)
        and len(tree) >= 3
        and isinstance(tree[0], str)
        and all(isinstance(number, int) for number in tree[1:3])
    )


def _end(tree: Any) -> Reference:
    return Reference(str(tree[0]), int(tree[1]), int(tree[2]))

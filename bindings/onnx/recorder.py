"""The network as it is written down: operations, the constants they read, and what was skipped."""

from collections.abc import Mapping, Sequence
from typing import Any

from netspectra.bindings.onnx.constants import Constant, UnrepresentableError
from netspectra.bindings.onnx.names import weighted_name
from netspectra.bindings.onnx.nodes import Node, Value
from netspectra.errors import LimitError
from netspectra.networks import Operation, Skipped
from netspectra.networks.network import Shape

__all__ = ["Recorder"]

_MOST_OPERATIONS = 400_000


class Recorder:
    """Writes operations down in the order in which they come.

    Attributes
    ----------
    operations : list of Operation
    constants : dict of str to Shape
        Constants that operations read.
    skipped : list of Skipped
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.constants: dict[str, Shape] = {}
        self.skipped: list[Skipped] = []
        self._names: set[str] = set()
        self._counts: dict[str, int] = {}

    def fresh(self, name: str) -> str:
        """Return a tensor name that is not there yet: `name` itself, or numbered."""
        unique = name
        while unique in self._names:
            self._counts[name] = self._counts.get(name, 0) + 1
            unique = f"{name}:{self._counts[name]}"
        self._names.add(unique)
        return unique

    def emit(
        self,
        kind: str,
        node: Node,
        inputs: Sequence[Value],
        shape: Shape | None,
        *,
        weights: Mapping[str, Constant] | None = None,
        **options: Any,
    ) -> Value:
        """Record an operation of one output and return that."""
        return self.emit_several(kind, node, inputs, [shape], weights=weights, **options)[0]

    def emit_several(
        self,
        kind: str,
        node: Node,
        inputs: Sequence[Value],
        shapes: Sequence[Shape | None],
        *,
        weights: Mapping[str, Constant] | None = None,
        **options: Any,
    ) -> list[Value]:
        """Record an operation and return its outputs, one for each of `shapes`."""
        if len(self.operations) >= _MOST_OPERATIONS:
            msg = f"{node}: the network has more than {_MOST_OPERATIONS:,} operations; read a part of it"
            raise LimitError(msg)
        if any(value.parts is not None for value in inputs):
            msg = f"{node.op} of a sequence of tensors"
            raise UnrepresentableError(msg)
        made = {role: constant.weight() for role, constant in (weights or {}).items()}
        for value in inputs:
            if value.constant is not None:
                self.constants.setdefault(value.name, value.constant.shape)
        name = node.name
        if made:
            name = weighted_name(node.name, node.is_path, next(iter(made.values())).key)
        stem = node.outputs[0] if node.outputs and node.outputs[0] else node.name
        dtypes: list[Any] = [weight.dtype for weight in made.values()] or [value.dtype for value in inputs] or [None]
        outputs = [Value(self.fresh(stem), shape, dtype=dtypes[0]) for shape in shapes]
        self.operations.append(
            Operation(
                kind,
                name,
                tuple(value.name for value in inputs),
                tuple(value.name for value in outputs),
                made,
                options,
                shapes[0],
            )
        )
        return outputs

    def skip(self, name: str, reason: str) -> None:
        """Note that something is not in the graph."""
        self.skipped.append(Skipped(name, reason))

    def reshape(self, node: Node, value: Value, shape: Shape) -> Value:
        """Record a reshape, unless it changes nothing."""
        if value.shape == shape and None not in shape:
            return value
        if shape.count(None) > 0:
            msg = f"the shape {shape} that it makes is not known"
            raise UnrepresentableError(msg)
        return self.emit("reshape", node, [value], shape)

    def transpose(self, node: Node, value: Value, order: Sequence[int]) -> Value:
        """Record a transposition."""
        shape = None if value.shape is None else tuple(value.shape[axis] for axis in order)
        return self.emit("transpose", node, [value], shape, permutation=tuple(order))

    def expand(self, node: Node, value: Value, shape: Shape | None) -> Value:
        """Record a broadcast, unless it changes nothing."""
        if shape is None or value.shape is None or value.shape == shape:
            return value
        if None in shape:
            msg = f"the shape {shape} that it makes is not known"
            raise UnrepresentableError(msg)
        return self.emit("expand", node, [value], shape)

    def passed(self, node: Node, value: Value, shape: Shape | None) -> Value:
        """Record that channels pass as they are, into a tensor of the shape given."""
        return self.emit("pass", node, [value], shape)

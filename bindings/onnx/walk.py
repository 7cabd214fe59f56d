"""From node to node through a model: constants are folded, functions inlined, everything else recorded."""

from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from netspectra.bindings.onnx.attributes import constant_of_node, read_attribute, read_attributes
from netspectra.bindings.onnx.constants import Constant, UnrepresentableError
from netspectra.bindings.onnx.cuts import split_sizes
from netspectra.bindings.onnx.declared import Declarations
from netspectra.bindings.onnx.folding import fold
from netspectra.bindings.onnx.model import Model
from netspectra.bindings.onnx.names import module_path
from netspectra.bindings.onnx.nodes import Node, Value, malformed
from netspectra.bindings.onnx.operators import EMITTERS
from netspectra.bindings.onnx.recorder import Recorder
from netspectra.bindings.onnx.tensors import DTYPES
from netspectra.errors import FileFormatError, LimitError, NetspectraError
from netspectra.networks import Network
from netspectra.networks.network import Shape

__all__ = ["Walk"]

_MOST_NODES = 40_000
"""Nodes, counted each time a function is called."""

_BUDGET = 1 << 24
"""Operations on elements of constants, while the model is read."""

_DEEPEST = 16
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What Python and NumPy raise where an operator is not what ONNX says it is."""

_STANDARD = ("", "ai.onnx")


@dataclass
class _Scope:
    """Names that can be read where a walk is: of the graph, of a function, of a branch."""

    values: MutableMapping[str, Value | None]
    opsets: Mapping[str, int]
    read: set[str]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    depth: int = 0


class Walk:
    """One pass over a model.

    Parameters
    ----------
    model : Model
    sizes : mapping of str to int
        Of the free dimensions of its inputs, 1 where it says nothing.
    """

    def __init__(self, model: Model, sizes: Mapping[str, int]) -> None:
        self.model = model
        self.declared = Declarations(model, sizes)
        self.record = Recorder()
        self.used: set[str] = set()
        self.n_nodes = 0
        self.budget = _BUDGET
        self.functions = {_key(proto.domain, proto.name): proto for proto in model.proto.functions}

    def network(self) -> Network:
        """Return the network.

        Raises
        ------
        FileFormatError, GraphError, LimitError
            If the model makes no sense, its shapes do not chain, or it is too large.
        """
        graph = self.model.proto.graph
        inputs = self._inputs(graph)
        values: dict[str, Value | None] = dict(inputs)
        for key, constant in self.model.parameters.items():
            values[key] = Value(self.record.fresh(key), constant.shape, constant)
        for sparse in graph.sparse_initializer:
            shape = tuple(int(side) for side in sparse.dims)
            constant = Constant(shape, None, None, str(sparse.values.name))
            values[constant.key] = Value(self.record.fresh(constant.key), shape, constant)
        scope = _Scope(values, _opsets(self.model.proto), _names_read(graph.node, graph.output))
        self._run(graph.node, scope)
        outputs = tuple(self._output(str(output.name), scope) for output in graph.output)
        for key in self.model.parameters:
            if key not in self.used:
                self.record.skip(key, "no operation that is represented reads it")
        return Network(
            tuple(self.record.operations),
            {value.name: value.shape for value in inputs.values()},
            self.record.constants,
            outputs,
            tuple(self.record.skipped),
            "onnx",
        )

    def _inputs(self, graph: Any) -> dict[str, Value]:
        found = {}
        for info in graph.input:
            name = str(info.name)
            if name in found or not name:
                raise _wrong(self.model.source, "inputs with names of their own", repr(name))
            if name not in self.model.parameters:
                dtype = DTYPES.get(info.type.tensor_type.elem_type)
                found[name] = Value(self.record.fresh(name), self.declared.shape(info, free=1), dtype=dtype)
        return found

    def _run(self, nodes: Iterable[Any], scope: _Scope) -> None:
        if scope.depth > _DEEPEST:
            raise _wrong(
                self.model.source, f"functions and branches at most {_DEEPEST} deep", "more; does one call itself?"
            )
        nodes = list(nodes)
        made = {str(name) for proto in nodes for name in proto.output}
        for proto in nodes:
            self.n_nodes += 1
            if self.n_nodes > _MOST_NODES:
                msg = f"{self.model.source}: more than {_MOST_NODES:,} nodes, functions included; read a part of it"
                raise LimitError(msg)
            node = self._node(proto, scope, made)
            self._bind(node, self._results(node, proto, scope), scope)

    def _node(self, proto: Any, scope: _Scope, made: set[str]) -> Node:
        name, is_path = module_path(proto, self.n_nodes - 1)
        domain = str(proto.domain)
        op = str(proto.op_type) if domain in _STANDARD else f"{domain}.{proto.op_type}"
        inputs = tuple(self._lookup(str(key), scope, made, name) for key in proto.input)
        attributes = read_attributes(proto, scope.attributes, self.model.tensors)
        return Node(op, name, inputs, tuple(map(str, proto.output)), attributes, scope.opsets.get("", 1), is_path)

    def _lookup(self, key: str, scope: _Scope, made: set[str], node: str) -> Value | None:
        if not key:
            return None
        if key not in scope.values:
            why = (
                "only a later node makes it: the graph is cyclic, or not sorted" if key in made else "nothing makes it"
            )
            raise _wrong(self.model.source, f"tensors that are there when node {node!r} reads them", f"{key!r} ({why})")
        value = scope.values[key]
        if value is not None and value.constant is not None:
            self.used.add(value.constant.key)
        return value

    def _results(self, node: Node, proto: Any, scope: _Scope) -> Sequence[Value | None]:
        """Outputs of a node; where it cannot be represented, opaque ones."""
        try:
            found = self._represented(node, proto, scope)
        except UnrepresentableError as error:
            return self._opaque(node, str(error))
        except NetspectraError:
            raise
        except _MALFORMED as error:
            raise malformed(node, "what ONNX says of this operator", error) from error
        return [found] if isinstance(found, Value) else found

    def _represented(self, node: Node, proto: Any, scope: _Scope) -> Value | Sequence[Value | None]:
        if node.op == "Constant":
            return self._constant(node, 0, constant_of_node(node))
        function = self.functions.get(_key(proto.domain, proto.op_type))
        if function is not None and node.op not in EMITTERS:
            return self._called(node, function, scope)
        if node.op == "If":
            return self._branch(node, scope)
        if node.op == "CastLike" and node.flows and node.input(0).constant is not None:
            constant, dtype = node.constant(0), node.input(1).dtype
            return self._constant(node, 0, constant if dtype is None else constant.cast(dtype))
        emitter = EMITTERS.get(node.op)
        if not node.flows and node.op not in ("Shape", "Size"):
            return self._folded(node)
        if emitter is None:
            return self._unknown(node)
        return emitter(self.record, node)

    def _constant(self, node: Node, output: int, constant: Constant) -> Value:
        return Value(self.record.fresh(node.outputs[output]), constant.shape, constant)

    def _folded(self, node: Node) -> Value | Sequence[Value | None]:
        """What constants alone make."""
        if node.op == "Split":
            axis, sizes = split_sizes(node)
            source, ends = node.constant(0), np.cumsum((0, *sizes))
            parts = [_part(source, axis, int(start), int(stop)) for start, stop in pairwise(ends)]
            return [self._constant(node, number, part) for number, part in enumerate(parts)]
        constant = fold(node, self._afford)
        if constant is None and node.op == "Dropout":
            constant = node.constant(0)
        if constant is None:
            shape = self._of_output(node)
            if shape is None or None in shape:
                msg = f"{node.op} of constants, which is not followed"
                raise UnrepresentableError(msg)
            sides = tuple(side for side in shape if side is not None)
            constant = Constant(sides, np.dtype(np.float32), None, node.outputs[0])
        self.model.tensors.require("max_bytes", constant.n_bytes, f"the size of {node.outputs[0]!r} in bytes")
        return self._constant(node, 0, constant)

    def _afford(self, cost: int) -> bool:
        """Spend what computing constants may take in all."""
        affordable = cost <= self.budget
        self.budget -= cost if affordable else 0
        return affordable

    def _unknown(self, node: Node) -> Value:
        """An operator without an emitter: one tensor in, one of its shape out, and no parameter, is an activation."""
        flows, shape = node.flows, self._of_output(node)
        learned = any(value.constant is not None and value.constant.learned for value in node.inputs if value)
        graphs = any(hasattr(value, "node") for value in node.attributes.values())
        if len(flows) == 1 and not learned and not graphs and shape is not None and shape == flows[0].shape:
            return self.record.passed(node, flows[0], shape)
        msg = f"the operator {node.op} is not represented"
        raise UnrepresentableError(msg)

    def _of_output(self, node: Node, number: int = 0) -> Shape | None:
        return self.declared.of_tensor(node.outputs[number]) if number < len(node.outputs) else None

    def _called(self, node: Node, function: Any, scope: _Scope) -> list[Value | None]:
        """The nodes of a function, its inputs and attributes those of the node that calls it."""
        if len(node.inputs) > len(function.input) or len(node.outputs) > len(function.output):
            raise malformed(node, f"{len(function.input)} inputs and {len(function.output)} outputs", "more")
        attributes = {str(a.name): read_attribute(a, self.model.tensors) for a in function.attribute_proto}
        values = {str(name): node.optional(number) for number, name in enumerate(function.input)}
        names = {*map(str, function.output)}
        read = _names_read(function.node, ()) | names
        inner = _Scope(values, _opsets(function), read, {**attributes, **node.attributes}, scope.depth + 1)
        self._run(function.node, inner)
        return [self._made(str(name), inner, node) for name in function.output][: len(node.outputs)]

    def _branch(self, node: Node, scope: _Scope) -> list[Value | None]:
        """``If``, where the condition does not depend on the data."""
        condition = node.values(0)
        graph = node.attributes.get("then_branch" if condition is not None and condition.any() else "else_branch")
        if graph is None or not hasattr(graph, "node"):
            raise malformed(node, "two branches", "none")
        values: MutableMapping[str, Value | None] = ChainMap({}, scope.values)
        for tensor in graph.initializer:
            constant = self.model.tensors.constant(tensor)
            values[constant.key] = Value(self.record.fresh(constant.key), constant.shape, constant)
        read = _names_read(graph.node, graph.output)
        inner = _Scope(values, scope.opsets, read, scope.attributes, scope.depth + 1)
        self._run(graph.node, inner)
        return [self._made(str(output.name), inner, node) for output in graph.output][: len(node.outputs)]

    def _made(self, name: str, scope: _Scope, node: Node) -> Value | None:
        if name not in scope.values:
            raise malformed(node, f"a node that makes its output {name!r}", "none")
        return scope.values[name]

    def _opaque(self, node: Node, reason: str) -> list[Value | None]:
        self.record.skip(node.name, reason)
        inputs = [value for value in node.flows if value.parts is None]
        shapes = [self._of_output(node, number) for number in range(len(node.outputs))]
        if not shapes:
            return []
        return list(self.record.emit_several("opaque", node, inputs, shapes, reason=reason))

    def _bind(self, node: Node, results: Sequence[Value | None], scope: _Scope) -> None:
        for number, name in enumerate(node.outputs):
            if not name:
                continue
            local = scope.values.maps[0] if isinstance(scope.values, ChainMap) else scope.values
            if name in local:
                raise _wrong(self.model.source, "each tensor made once", f"{name!r} made again by {node}")
            value = results[number] if number < len(results) else None
            if value is None and name in scope.read:
                reason = f"its output number {number} is not represented"
                value = self._opaque(Node(node.op, node.name, (), (name,), {}, node.opset), reason)[0]
            if value is not None:
                scope.values[name] = value

    def _output(self, name: str, scope: _Scope) -> str:
        value = scope.values.get(name)
        if value is None or value.parts is not None:
            raise _wrong(self.model.source, "outputs, each a tensor, that something makes", repr(name))
        if value.constant is not None:
            self.record.constants.setdefault(value.name, value.constant.shape)
            self.used.add(value.constant.key)
        return value.name


def _part(source: Constant, axis: int, start: int, stop: int) -> Constant:
    cut = (slice(None),) * axis + (slice(start, stop),)
    shape = (*source.shape[:axis], stop - start, *source.shape[axis + 1 :])
    return source.mapped(shape, lambda array: array[cut], learned=False)


def _key(domain: Any, name: Any) -> tuple[str, str]:
    return ("" if str(domain) in _STANDARD else str(domain), str(name))


def _opsets(proto: Any) -> dict[str, int]:
    return {
        "" if str(entry.domain) in _STANDARD else str(entry.domain): int(entry.version) for entry in proto.opset_import
    }


def _names_read(nodes: Iterable[Any], outputs: Iterable[Any]) -> set[str]:
    return {str(name) for proto in nodes for name in proto.input} | {str(output.name) for output in outputs}


def _wrong(source: str, expected: str, came: str) -> FileFormatError:
    return FileFormatError(f"{source}: expected {expected}, got {came}; export the model again")

"""Door two: a module without example inputs, by way of `torch.fx`, layer by layer, with no shapes known.

What needs shapes is refused, with the advice to pass example inputs; nothing is guessed.
"""

from typing import Any, NoReturn

import torch
from torch import fx

from netspectra.bindings.pytorch.aten import emitter_of
from netspectra.bindings.pytorch.call import Call
from netspectra.bindings.pytorch.folding import constants_in
from netspectra.bindings.pytorch.recorder import Constant, Flow, Recorder, flows_in
from netspectra.bindings.pytorch.traced_calls import (
    SIZES_DO_NOT_MATTER,
    UNSHAPED,
    Unknown,
    arguments_of_function,
    holds_unknown,
    size_of,
)
from netspectra.bindings.pytorch.traced_layers import arguments_of_layer
from netspectra.bindings.pytorch.untouched import untouched
from netspectra.errors import GraphError
from netspectra.networks import Network

__all__ = ["network_from_trace"]

_ADVICE = "pass example_inputs (a tensor, a tuple of arguments or a dict of keyword arguments of forward)"


def network_from_trace(module: Any) -> Network:
    """Network of a module, from its layers and the code between them.

    Raises
    ------
    GraphError
        If `torch.fx` cannot trace it, or something in it cannot be told without shapes.
    """
    with untouched(module):
        reading = _Reading(module)
        outputs = reading.run(_trace(module))
    names = [flow.name for flow in flows_in(outputs)]
    return reading.recorder.network(reading.inputs, list(dict.fromkeys(names)), module)


def _trace(module: Any) -> Any:
    tracer = fx.Tracer()
    try:
        return _layer_alone() if tracer.is_leaf_module(module, "") else tracer.trace(module)
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        msg = f"torch.fx could not trace {type(module).__name__}: {lines[0][:300]}; {_ADVICE}"
        raise GraphError(msg) from error


def _layer_alone() -> Any:
    """Graph of a module that is one of PyTorch's own layers, whose code is not looked into."""
    graph = fx.Graph()
    graph.output(graph.call_module("", (graph.placeholder("input"),)))
    return graph


class _Reading:
    """One walk through a symbolic trace: the value of every node, and the record of operations."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.recorder = Recorder()
        self.inputs: dict[str, None] = {}
        self.values: dict[Any, Any] = {}
        self.keys = {id(one): name for name, one in module.named_parameters(remove_duplicate=False)}
        self.stored = {*self.keys, *(id(one) for one in module.buffers())}

    def run(self, graph: Any) -> Any:
        """Walk through the graph; what it returns."""
        for node in graph.nodes:
            args, kwargs = (fx.node.map_arg(part, lambda one: self.values[one]) for part in (node.args, node.kwargs))
            if node.op == "output":
                return args[0]
            self.values[node] = self._value(node, list(args), dict(kwargs))
        return None

    def _value(self, node: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if node.op == "placeholder":
            return self._placeholder(node, args)
        if node.op == "get_attr":
            return self._attribute(node)
        if node.op == "call_module":
            return self._layer(node, args, kwargs)
        name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", str(node.target))
        return self._function(node, name, args, kwargs)

    def _placeholder(self, node: Any, args: list[Any]) -> Any:
        if args:
            return args[0]  # a default, which the layers then get as they would without this argument
        self.inputs[node.name] = None
        return Flow(node.name, None)

    def _attribute(self, node: Any) -> Any:
        found = self.module
        for part in node.target.split("."):
            found = getattr(found, part)
        return self._constant(found, node.target) if isinstance(found, torch.Tensor) else found

    def _layer(self, node: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        layer = self.module.get_submodule(node.target)

        def constant(tensor: Any, name: str, sources: list[str]) -> Constant:
            keys = tuple(self.keys[id(layer.get_parameter(one))] for one in sources if one)
            return self._constant(tensor, f"{node.target}.{name}".removeprefix("."), keys)

        told = arguments_of_layer(layer, args, kwargs, constant)
        if told is None:
            self._refuse(f"{node.target}, a {type(layer).__name__}, is not known")
        return self._emit(node, *told, path=node.target)

    def _function(self, node: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if any(isinstance(value, Unknown) for value in args[:1]) or name in ("size", "dim", "getattr"):
            return size_of(name, args)
        if name == "getitem" and isinstance(args[0], list | tuple):
            if not isinstance(args[1], int) or args[1] >= len(args[0]):
                self._refuse(f"{node.args[0]}: its part number {args[1]} cannot be told without shapes")
            return args[0][args[1]]
        if not flows_in([args, kwargs]):
            return self._folded(node, name, args, kwargs)
        told = arguments_of_function(name, args, kwargs)
        if told is None or (holds_unknown([args, kwargs]) and told[0] not in SIZES_DO_NOT_MATTER):
            self._refuse(f"{name} needs shapes, or is not known")
        return self._emit(node, *told, path="")

    def _emit(self, node: Any, op: str, arguments: dict[str, Any], *, path: str) -> Any:
        emitter = UNSHAPED.get(op) or emitter_of(op)
        is_list = op in ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell")
        if emitter is None:
            self._refuse(f"{op} is not known")
        call = Call(self.recorder, op, arguments, path, node.name, (None,), is_list=is_list)
        start = len(self.recorder.operations)
        made = emitter(call)
        if any(operation.kind == "opaque" for operation in self.recorder.operations[start:]):
            self._refuse(f"{path or node.name}: {op} cannot be told without shapes")
        self.recorder.claim(start, [key for constant in constants_in(arguments) for key in constant.keys])
        return made

    def _folded(self, node: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """What a function or method makes of constants: another one, or a plain value."""
        sources = constants_in([args, kwargs])
        if not sources or holds_unknown([args, kwargs]):
            return Unknown()
        keys = tuple(dict.fromkeys(key for source in sources for key in source.keys))

        def evaluate() -> Any:
            own, named = _evaluated(args), _evaluated(kwargs)
            return getattr(own[0], name)(*own[1:], **named) if node.op == "call_method" else node.target(*own, **named)

        with torch.no_grad():
            found = evaluate()
        if not isinstance(found, torch.Tensor):
            return found
        return Constant(f"{node.name}.constant", tuple(found.shape), found.dtype, evaluate, keys)

    def _constant(self, tensor: Any, name: str, keys: tuple[str, ...] = ()) -> Constant:
        if id(tensor) in self.keys:
            keys = (self.keys[id(tensor)],)
        shape, is_stored = tuple(tensor.shape), id(tensor) in self.stored
        return Constant(f"{name}:", shape, tensor.dtype, lambda: tensor, keys, name, is_stored)

    def _refuse(self, reason: str) -> NoReturn:
        msg = f"without example_inputs this module cannot be read: {reason}; {_ADVICE}"
        raise GraphError(msg)


def _evaluated(value: Any) -> Any:
    if isinstance(value, Constant):
        return value.evaluate() if value.evaluate else None
    if isinstance(value, list | tuple):
        return type(value)(_evaluated(item) for item in value)
    if isinstance(value, dict):
        return {name: _evaluated(item) for name, item in value.items()}
    return value

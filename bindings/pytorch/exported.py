"""Door one: a module with example inputs, by way of `torch.export`, as a graph of ATen operations with known shapes."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch

from netspectra.bindings.pytorch.aten import translate
from netspectra.bindings.pytorch.folding import Folder, is_random
from netspectra.bindings.pytorch.masks import masks_among
from netspectra.bindings.pytorch.recorder import Constant, Flow, Recorder, flows_in
from netspectra.bindings.pytorch.untouched import untouched
from netspectra.errors import GraphError
from netspectra.networks import Network

__all__ = ["network_from_export"]

_ADVICE = (
    "example_inputs must be what forward takes (a tensor, a tuple of arguments or a dict of keyword arguments), on "
    "the module's device, and forward must not branch on the values of tensors; a submodule can be read by itself"
)


def network_from_export(module: Any, example_inputs: Any) -> Network:
    """Network of a module, from one pass of example inputs through it without values.

    Raises
    ------
    GraphError
        If `torch.export` cannot trace it, or no output depends on an input through weights.
    """
    args, kwargs = _arguments(example_inputs)
    with untouched(module):
        program = _export(module, args, kwargs)
        if any(_is_aliased_write(node) for node in program.graph.nodes):
            program = _functional(program)
        reading = _Reading(module, program)
        outputs = reading.run(program.graph, "")
    names = [flow.name for flow in flows_in(outputs)]
    return reading.recorder.network(reading.inputs, list(dict.fromkeys(names)), module)


def _arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example_inputs, torch.Tensor):
        return (example_inputs,), {}
    if isinstance(example_inputs, list | tuple):
        return tuple(example_inputs), {}
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    msg = f"example_inputs: expected a tensor, a tuple or a dict, got {type(example_inputs).__name__}"
    raise GraphError(msg)


def _export(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(module, args, kwargs, strict=False)
    except Exception as error:
        msg = f"torch.export could not trace {type(module).__name__}: {_first_line(error)}; {_ADVICE}"
        raise GraphError(msg) from error


def _functional(program: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return program.run_decompositions({})  # decomposes nothing, but turns writes into values
    except Exception as error:
        msg = f"torch.export could not make the module's writes in place functional: {_first_line(error)}; {_ADVICE}"
        raise GraphError(msg) from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _is_aliased_write(node: Any) -> bool:
    """Whether a node writes to memory that something else may read: beyond ``relu_`` of a fresh tensor."""
    schema = getattr(node.target, "_schema", None)
    if node.op != "call_function" or schema is None or not schema.is_mutable:
        return False
    written = node.args[0] if node.args else None
    if not schema.name.endswith("_") or not isinstance(written, torch.fx.Node) or "out" in node.kwargs:
        return True
    made_by = getattr(written.target, "_schema", None)
    is_view = made_by is None or any(value.alias_info and not value.alias_info.is_write for value in made_by.returns)
    return written.op != "call_function" or is_view or len(written.users) > 1


class _Reading:
    """One walk through an exported program: the value of every node, and the record of operations."""

    def __init__(self, module: Any, program: Any) -> None:
        self.recorder = Recorder()
        self.folder = Folder()
        self.inputs: dict[str, Any] = {}
        self.root = program.graph_module
        signature = program.graph_signature
        self.masks = masks_among(program.graph, signature.user_inputs, signature.inputs_to_parameters)
        tensors = {**dict(module.named_parameters(remove_duplicate=False)), **program.constants}
        tensors |= dict(module.named_buffers(remove_duplicate=False))
        parameters, buffers = signature.inputs_to_parameters, signature.inputs_to_buffers
        lifted = {**buffers, **signature.inputs_to_lifted_tensor_constants}
        self.given = {name: (tensors[key], (key,), key) for name, key in parameters.items()}
        self.given |= {name: (tensors[key], (), key) for name, key in lifted.items()}

    def run(self, graph: Any, prefix: str, bound: tuple[Any, ...] = ()) -> Any:
        """Walk through a graph, its placeholders `bound` if it is not the outermost; what it returns."""
        fed = iter(bound)
        for node in graph.nodes:
            if node.op == "placeholder":
                self.folder.values[node] = next(fed) if bound else self._placeholder(node)
            elif node.op == "get_attr":
                self.folder.values[node] = self._attribute(node)
            elif node.op == "output":
                return self.folder.resolve(node.args[0])
            else:
                self.folder.values[node] = self._call(node, prefix)
        return None

    def _placeholder(self, node: Any) -> Any:
        fake = node.meta.get("val")
        if node.name in self.given:
            tensor, keys, label = self.given[node.name]
            return Constant(node.name, tuple(tensor.shape), tensor.dtype, lambda: tensor, keys, label, is_stored=True)
        if not isinstance(fake, torch.Tensor):
            return fake
        if node in self.masks:
            return self.folder.constant(node, node.name, fake, foldable=False)
        self.inputs[node.name] = shape_of(fake)
        return Flow(node.name, shape_of(fake))

    def _attribute(self, node: Any) -> Any:
        found = self.root
        for part in node.target.split("."):
            found = getattr(found, part)
        if isinstance(found, torch.Tensor):
            return Constant(node.name, tuple(found.shape), found.dtype, lambda: found)
        return found

    def _call(self, node: Any, prefix: str) -> Any:
        args, kwargs = self.folder.resolve(node.args), self.folder.resolve(node.kwargs)
        fake = node.meta.get("val")
        if node.target.__name__ == "getitem":
            return args[0][args[1]]
        if not flows_in([args, kwargs]):
            return self.folder.constant(node, prefix + node.name, fake, foldable=not is_random(node.target))
        inner = next((i for i, value in enumerate(args) if isinstance(value, torch.fx.GraphModule)), None)
        if inner is not None and isinstance(node.target, torch._ops.HigherOrderOperator):  # noqa: SLF001
            return self._inline(node, args[inner], args[inner + 1 :], prefix)
        if fake is None or not flat_tensors(fake):
            return fake
        if all(tensor.dtype == torch.bool for tensor in flat_tensors(fake)):
            return self.folder.constant(node, prefix + node.name, fake, foldable=False)
        return translate(self.recorder, node, args, kwargs, prefix)

    def _inline(self, node: Any, body: Any, operands: tuple[Any, ...], prefix: str) -> Any:
        """Value of a region with its own gradient mode or autocast; branches and loops are refused."""
        if not node.target.__name__.startswith("wrap_with_"):
            msg = f"{node.target.__name__}: a branch or loop on values has no graph; read the submodule by itself"
            raise GraphError(msg)
        outer, self.root = self.root, body
        made = self.run(body.graph, f"{prefix}{node.name}.", tuple(operands))
        self.root = outer
        return made


def shape_of(fake: Any) -> tuple[int | None, ...]:
    """Sizes of a traced tensor, None where they are symbols."""
    return tuple(size if isinstance(size, int) else None for size in fake.shape)


def flat_tensors(fake: Any) -> list[Any]:
    """Tensors of a node's traced value, in order."""
    values = fake if isinstance(fake, list | tuple) else [fake]
    return [value for value in values if isinstance(value, torch.Tensor)]

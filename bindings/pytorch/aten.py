"""From one ATen operation to operations of a network: the table of all that is known, and what happens to the rest."""

from collections.abc import Mapping
from typing import Any

import torch

from netspectra.bindings.pytorch.aten_attention import ATTENTION
from netspectra.bindings.pytorch.aten_axes import AXES
from netspectra.bindings.pytorch.aten_convolution import CONVOLUTION
from netspectra.bindings.pytorch.aten_einsum import EINSUM
from netspectra.bindings.pytorch.aten_elementwise import ELEMENTWISE
from netspectra.bindings.pytorch.aten_indexing import INDEXING
from netspectra.bindings.pytorch.aten_linear import LINEAR
from netspectra.bindings.pytorch.aten_normalisation import NORMALISATION
from netspectra.bindings.pytorch.aten_recurrent import RECURRENT
from netspectra.bindings.pytorch.aten_reduction import REDUCTION
from netspectra.bindings.pytorch.aten_selection import SELECTION
from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.folding import constants_in
from netspectra.bindings.pytorch.recorder import Constant, Recorder

__all__ = ["emitter_of", "translate"]

TABLE: dict[str, Emitter] = {
    **LINEAR,
    **EINSUM,
    **CONVOLUTION,
    **NORMALISATION,
    **ELEMENTWISE,
    **AXES,
    **SELECTION,
    **INDEXING,
    **REDUCTION,
    **ATTENTION,
    **RECURRENT,
}
_ON_PAIRS = ("mul", "view_as_real")
_CREATION = (
    *(f"{kind}_like" for kind in ("zeros", "ones", "full", "empty", "rand", "randn", "randint")),
    *(f"new_{kind}" for kind in ("zeros", "ones", "full", "empty", "tensor")),
)


def translate(recorder: Recorder, node: Any, args: Any, kwargs: Mapping[str, Any], prefix: str) -> Any:
    """Write the operations of one node of an exported graph down; its value.

    Parameters
    ----------
    recorder : Recorder
    node : torch.fx.Node
        With ``meta["val"]`` and ``meta["nn_module_stack"]``.
    args, kwargs
        Its arguments with values in the place of nodes; at least one is a flow.
    prefix : str
        What the node's name needs to be unique.
    """
    fake = node.meta["val"]
    tensors = [fake] if isinstance(fake, torch.Tensor) else list(fake)
    schema = getattr(node.target, "_schema", None)
    op = str(node.target) if schema is None else schema.name.removeprefix("aten::")
    call = Call(
        recorder=recorder,
        op=op if op in TABLE else op.removesuffix("_"),
        arguments=_bound(schema, args, kwargs),
        path=_module_path(node),
        output=prefix + node.name,
        shapes=tuple(_shape(one) for one in tensors),
        is_list=not isinstance(fake, torch.Tensor),
    )
    start = len(recorder.operations)
    if call.op in _CREATION:
        return Constant(call.output, tuple(fake.shape), fake.dtype, None)
    made = _emit(call, tensors)
    keys = [key for constant in constants_in([args, dict(kwargs)]) for key in constant.keys]
    recorder.claim(start, keys)
    return made


def emitter_of(op: str) -> Emitter | None:
    """What writes an operation down, by its ATen name; None if it is not known."""
    return TABLE.get(op)


def _emit(call: Call, tensors: list[Any]) -> Any:
    emitter = TABLE.get(call.op)
    if any(flow.pairs for flow in call.flows) and call.op not in _ON_PAIRS:
        return call.opaque(f"{call.op} of complex numbers is not known")
    made = _unknown(call, tensors) if emitter is None else emitter(call)
    if call.is_list and isinstance(made, list):
        made += [None] * (len(tensors) - len(made))
        return [
            _numbers(call, i, tensor) if value is None and isinstance(tensor, torch.Tensor) else value
            for i, (value, tensor) in enumerate(zip(made, tensors, strict=True))
        ]
    return made


def _unknown(call: Call, tensors: list[Any]) -> Any:
    """Value of an operation that no table has: channels pass if nothing speaks against it, else it is opaque."""
    if not any(isinstance(one, torch.Tensor) and (one.is_floating_point() or one.is_complex()) for one in tensors):
        return [None] * len(tensors) if call.is_list else _numbers(call, 0, tensors[0])
    if any(constant.keys for constant in constants_in(call.arguments)):
        return call.opaque(f"{call.op} is not known, and takes parameters")
    if call.is_list or call.shape != call.flows[0].shape:
        return call.opaque(f"{call.op} is not known, and changes the shape")
    return call.emit("pass", call.flows[0], shape=call.shape)


def _numbers(call: Call, i: int, tensor: Any) -> Constant | None:
    """Indices, counts and masks that an operation finds in a flow: they have no nodes."""
    if not isinstance(tensor, torch.Tensor):
        return None
    return Constant(f"{call.output}:{i}", tuple(int(size) for size in tensor.shape), tensor.dtype, None)


def _bound(schema: Any, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, with the defaults of the operation's schema."""
    if schema is None:
        return {**{str(i): value for i, value in enumerate(args)}, **kwargs}
    named = {one.name: one.default_value for one in schema.arguments if one.has_default_value()}
    named |= {one.name: value for one, value in zip(schema.arguments, args, strict=False)}
    return {**named, **kwargs}


def _module_path(node: Any) -> str:
    """Path of the innermost module that a node comes from; calls of one module after the first carry no number."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    path = path.split("@")[0]
    for outer in ("L['self'].", "L['self']"):
        path = path.removeprefix(outer)
    return path.split(".parametrizations.")[0]


def _shape(fake: Any) -> Any:
    if not isinstance(fake, torch.Tensor):
        return None
    sizes = tuple(size if isinstance(size, int) else None for size in fake.shape)
    return (*sizes, 2) if fake.is_complex() else sizes

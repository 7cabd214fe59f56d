"""Layers of `torch.nn` as the ATen operations that they are."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

__all__ = ["arguments_of_layer"]

Told = tuple[str, dict[str, Any]]


def arguments_of_layer(
    layer: Any, args: Sequence[Any], kwargs: dict[str, Any], constant: Callable[[Any, str, list[str]], Any]
) -> Told | None:
    """ATen name and arguments of what a layer does; None if it is not known.

    Parameters
    ----------
    layer : torch.nn.Module
    args, kwargs
        Of its call.
    constant : callable
        Makes the constant of a tensor, its name inside the layer and those of the parameters that it is made of.
    """
    given = [*args, *kwargs.values()]
    for kinds, tell in _LAYERS:
        if isinstance(layer, kinds):
            op, arguments = tell(layer, given)
            return op, {**arguments, **_tensors(layer, constant)}
    return None


def _tensors(layer: Any, constant: Callable[[Any, str, list[str]], Any]) -> dict[str, Any]:
    """Tensors that a layer has itself, parametrized and pruned ones as they are at present."""
    if isinstance(layer, nn.RNNBase):
        flat = [tensor for group in layer.all_weights for tensor in group]
        named = {id(tensor): name for name, tensor in layer.named_parameters()}
        return {"params": [constant(one, named.get(id(one), ""), [named.get(id(one), "")]) for one in flat]}
    made = {}
    roles = {"weight_ih": "w_ih", "weight_hh": "w_hh"} if isinstance(layer, nn.RNNCellBase) else {}
    for name, role in {"weight": "weight", "bias": "bias", "running_var": "running_var", **roles}.items():
        tensor = getattr(layer, name, None)
        if isinstance(tensor, torch.Tensor):
            sources = [
                one
                for one, _ in layer.named_parameters()
                if one in (name, f"{name}_orig") or one.startswith(f"parametrizations.{name}.")
            ]
            made[role] = constant(tensor, name, sources)
    return made


def _first(op: str, argument: str = "self", *options: str) -> Callable[[Any, list[Any]], Told]:
    """Teller of an operation whose first argument is the flow, with attributes of the layer for the others."""
    return lambda layer, given: (op, {argument: given[0], **{name: getattr(layer, name) for name in options}})


def _flatten(layer: Any, given: list[Any]) -> Told:
    return "flatten_axes", {"self": given[0], "start": layer.start_dim, "stop": layer.end_dim}


def _recurrent(layer: Any, given: list[Any]) -> Told:
    options = {"has_biases": layer.bias, "bidirectional": layer.bidirectional, "batch_first": layer.batch_first}
    return layer.mode.lower(), {"input": given[0], **options}


def _cell(layer: Any, given: list[Any]) -> Told:
    kind = {nn.LSTMCell: "lstm", nn.GRUCell: "gru"}.get(type(layer), "rnn_tanh")
    return f"{kind}_cell", {"input": given[0], "hx": given[1] if len(given) > 1 else None}


def _pad(layer: Any, given: list[Any]) -> Told:
    return "pad", {"self": given[0], "pad": list(layer.padding)}


def _kinds(module: Any, leave: Sequence[str] = ()) -> tuple[Any, ...]:
    return tuple(getattr(nn, name) for name in module.__all__ if name not in leave)


_ACTIVATIONS = _kinds(nn.modules.activation, ("MultiheadAttention", "GLU", "PReLU"))
_PADS = (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)
_POSITIONS = (*_kinds(nn.modules.pooling), *_kinds(nn.modules.padding, [kind.__name__ for kind in _PADS]), nn.Upsample)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_SAME = (*_kinds(nn.modules.dropout), nn.Identity)

_LAYERS: list[tuple[Any, Callable[[Any, list[Any]], Told]]] = [
    (nn.Linear, _first("linear", "input")),
    (nn.Embedding, _first("embedding", "indices")),
    (_CONVOLUTIONS, _first("convolution", "input", "groups", "transposed")),
    ((*_BATCH_NORMS, *_INSTANCE_NORMS), _first("batch_norm", "input", "eps")),
    (nn.GroupNorm, _first("group_norm", "input")),
    ((nn.LayerNorm, nn.RMSNorm), _first("layer_norm", "input")),
    (nn.RNNBase, _recurrent),
    (nn.RNNCellBase, _cell),
    (nn.Flatten, _flatten),
    (_PADS, _pad),
    (_POSITIONS, _first("max_pool2d")),
    (_SAME, _first("clone")),
    (_ACTIVATIONS, _first("relu")),
    (nn.PReLU, _first("prelu")),
]

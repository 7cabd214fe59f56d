"""The Linear and convolution layers of a PyTorch module as a chain: which they are, and what would break the chain."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from netspectra.errors import GraphError

__all__ = ["require_homogeneous", "weighted_layers"]

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
#: Activations that commute with a positive factor; every other one of `torch.nn` does not.
_HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.RReLU)
_NONLINEAR = tuple(f"torch.nn.modules.{home}" for home in ("activation", "batchnorm", "instancenorm", "normalization"))


def weighted_layers(module_or_layers: Any) -> list[Any]:
    """Linear, Conv1d, Conv2d and Conv3d layers, in module order or in the order given.

    Raises
    ------
    GraphError
        If there is none, one is something else, grouped, without its shape yet, reparametrised, or there twice.
    """
    if isinstance(module_or_layers, nn.Module):
        every = [module for _, module in module_or_layers.named_modules(remove_duplicate=False)]
        if any(isinstance(module, nn.MultiheadAttention) for module in every):
            msg = "attention is no chain of layers; pass the layers that are one as a list"
            raise GraphError(msg)
        layers = [module for module in every if isinstance(module, (*_WEIGHTED, *_TRANSPOSED))]
    elif isinstance(module_or_layers, Iterable) and not isinstance(module_or_layers, torch.Tensor | str):
        layers = list(module_or_layers)
    else:
        msg = f"expected a torch.nn.Module or a list of its layers, got {type(module_or_layers).__name__}"
        raise GraphError(msg)
    if not layers:
        msg = "found no Linear, Conv1d, Conv2d or Conv3d layer; pass the layers as a list"
        raise GraphError(msg)
    for number, layer in enumerate(layers):
        _check(f"layer {number}", layer)
    if len({id(layer.weight) for layer in layers}) < len(layers):
        msg = "the same weights occur twice in the list of layers; a layer used twice is no chain"
        raise GraphError(msg)
    return layers


def require_homogeneous(module: nn.Module, layers: Sequence[Any]) -> None:
    """Refuse, between the first and the last of a module's layers, what does not commute with a positive factor.

    Only modules are seen, not what a `forward` calls by itself.
    """
    own = list(module.modules())
    places = [number for number, part in enumerate(own) if any(part is layer for layer in layers)]
    for part in own[places[0] : places[-1]]:
        if not isinstance(part, (*_WEIGHTED, *_HOMOGENEOUS)) and (_is_nonlinear(part) or _has_own_parameters(part)):
            msg = (
                f"{type(part).__name__} does not commute with a positive factor per unit, so rescaling changes the "
                "function; it is for networks of ReLU, leaky ReLU, pooling, dropout and flatten: fold a batch "
                "normalisation into the layer before it, and leave the rescaling out where there is another activation"
            )
            raise GraphError(msg)


def _is_nonlinear(part: nn.Module) -> bool:
    """Whether it is, or derives from, an activation or a normalisation of PyTorch's."""
    return any(base.__module__ in _NONLINEAR for base in type(part).__mro__)


def _has_own_parameters(part: nn.Module) -> bool:
    return next(part.parameters(recurse=False), None) is not None


def _check(name: str, layer: Any) -> None:
    kind = type(layer).__name__
    if not isinstance(layer, _WEIGHTED):
        msg = f"{name} is a {kind}, expected Linear, Conv1d, Conv2d or Conv3d; pass a list of such layers"
        raise GraphError(msg)
    if getattr(layer, "groups", 1) != 1:
        msg = f"{name} is a {kind} in {layer.groups} groups, expected one group; pass a list of layers without it"
        raise GraphError(msg)
    if "weight" not in layer._parameters:  # noqa: SLF001 - the one way to tell a parameter from what is computed of one
        msg = (
            f"{name}: the weight of this {kind} is computed from other parameters (pruning, weight norm, "
            "parametrisation), so writing to it would not last; remove that first or put it on afterwards"
        )
        raise GraphError(msg)
    if nn.parameter.is_lazy(layer.weight):
        msg = f"{name} is a {kind} whose shape is not known yet; run one batch through the network first"
        raise GraphError(msg)

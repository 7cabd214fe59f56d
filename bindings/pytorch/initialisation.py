"""Clusterable initialisation and the ReLU-preserving rescaling, in place on PyTorch layers.

>>> labels = clusterable_init_(net, n_modules=10, seed=0)  # doctest: +SKIP
>>> rescale_relu_(net)  # doctest: +SKIP
"""

from typing import Any

import numpy as np
import torch

from netspectra.bindings.pytorch.weighted_layers import require_homogeneous, weighted_layers
from netspectra.training.initialisation import clusterable_init
from netspectra.training.rescaling import rescale_relu

__all__ = ["clusterable_init_", "rescale_relu_"]


def clusterable_init_(
    module_or_layers: Any,
    n_modules: int = 10,
    beta: float | None = None,
    seed: int | None = 0,
    *,
    first_layer: bool = True,
) -> "list[np.ndarray[Any, np.dtype[np.int32]]]":
    """Multiply the weights inside a module up and those across modules down, in place.

    Call it after any standard initialisation: weights are multiplied as they are, biases are left alone.

    Parameters
    ----------
    module_or_layers : torch.nn.Module, or iterable of Linear, Conv1d, Conv2d and Conv3d
        Of a module all such layers, in module order, must make a chain; a flatten between convolution and Linear is
        allowed for.
    n_modules : int, default 10
        M.
    beta : float, optional
        Factor across modules, in (0, 1]; inside it is ``1 + (1 - beta) * (M - 1)``. Default 0.6, or 0.8 if there is a
        convolution.
    seed : int or None, default 0
        Of the modules; PyTorch's own generators are not used.
    first_layer : bool, default True
        False leaves the first layer's weights as they are, as the published code does.

    Returns
    -------
    list of numpy arrays, int32
        Module of every unit, or channel: of the inputs, then of each layer.

    Raises
    ------
    GraphError
        If the layers are no chain, or an argument is out of range; nothing has been changed then.
    """
    layers = weighted_layers(module_or_layers)
    weights, labels = clusterable_init(
        [layer.weight.detach() for layer in layers], n_modules, beta, seed, "out-in", first_layer=first_layer
    )
    with torch.no_grad():
        for layer, weight in zip(layers, weights, strict=True):
            layer.weight.copy_(weight)
    return labels


def rescale_relu_(module_or_layers: Any) -> None:
    """Bring every hidden unit's incoming weights and bias to norm sqrt(2), in place; outgoing weights compensate.

    The function computed does not change, for chains of ReLU, leaky ReLU, pooling, dropout and flatten. Only modules
    are seen, not what a `forward` does with them: skips, and activations called as functions, have to be known by you.
    What an optimiser remembers of the weights (momenta) is not rescaled.

    Parameters
    ----------
    module_or_layers : torch.nn.Module, or iterable of Linear, Conv1d, Conv2d and Conv3d
        As for :func:`clusterable_init_`. Of a module, its other parts are checked too.

    Raises
    ------
    GraphError
        If the layers are no chain, or the module holds a normalisation or another activation between them; nothing has
        been changed then.
    """
    layers = weighted_layers(module_or_layers)
    if isinstance(module_or_layers, torch.nn.Module):
        require_homogeneous(module_or_layers, layers)
    given = [None if layer.bias is None else layer.bias.detach() for layer in layers]
    weights, biases = rescale_relu([layer.weight.detach() for layer in layers], given, "out-in")
    with torch.no_grad():
        for layer, weight, bias in zip(layers, weights, biases or given, strict=True):
            layer.weight.copy_(weight)
            if bias is not None:
                layer.bias.copy_(bias)

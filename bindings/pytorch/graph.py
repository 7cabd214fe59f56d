"""PyTorch modules as networks and graphs, read in memory.

graph = graph_from_module(model, example_inputs=torch.zeros(1, 3, 224, 224))
"""

from typing import Any, Literal

import torch

from netspectra.bindings.pytorch.exported import network_from_export
from netspectra.bindings.pytorch.traced import network_from_trace
from netspectra.errors import GraphError
from netspectra.graph import LayerGraph
from netspectra.networks import Network, graph_from_network

__all__ = ["graph_from_module", "network_from_module"]


def network_from_module(module: Any, example_inputs: Any = None) -> Network:
    """Description of a module's operations, weights and how tensors flow between them.

    The module is left as it is: mode, hooks, parameters, attributes and random generators. Weights are read when they
    are used, as views of the module's memory; those on other devices are then copied to the host in their own dtype.
    What is computed from parameters alone (pruning masks, weight normalisation) is computed then, too.

    Parameters
    ----------
    module : torch.nn.Module
    example_inputs : tensor, tuple or dict, optional
        What ``forward`` takes: a tensor, its arguments, or its keyword arguments; on the module's device. Shapes and
        dtypes matter, values do not. With them the module is traced by ``torch.export``, which sees through any code
        that does not branch on values. Without them it is traced by ``torch.fx``, which knows no shapes: enough for
        modules made of layers, activations, sums, concatenation and flatten.

    Returns
    -------
    Network

    Raises
    ------
    GraphError
        If it is no module, cannot be traced, or has no weight between its inputs and outputs; the message says what
        to do.
    """
    if not isinstance(module, torch.nn.Module):
        msg = f"module: expected a torch.nn.Module, got {type(module).__name__}"
        raise GraphError(msg)
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    return network_from_trace(module) if example_inputs is None else network_from_export(module, example_inputs)


def graph_from_module(
    module: Any,
    example_inputs: Any = None,
    *,
    norm: Literal["l1", "l2", "operator-1"] = "l1",
    input_layer: bool = True,
    dense_head: bool = True,
    residual: Literal["shared", "per-layer"] = "shared",
    attention: Literal["dimensions", "heads"] = "dimensions",
    normalisation: Literal["fold", "skip"] = "fold",
) -> LayerGraph:
    """Graph of neurons of a module.

    Parameters
    ----------
    module : torch.nn.Module
    example_inputs : tensor, tuple or dict, optional
        As for :func:`network_from_module`, which says what becomes of the module.
    norm, input_layer, dense_head, residual, attention, normalisation
        As for :func:`netspectra.networks.graph_from_network`.

    Returns
    -------
    LayerGraph

    Raises
    ------
    GraphError
        As :func:`network_from_module` and :func:`netspectra.networks.graph_from_network` do.
    """
    return graph_from_network(
        network_from_module(module, example_inputs),
        norm=norm,
        input_layer=input_layer,
        dense_head=dense_head,
        residual=residual,
        attention=attention,
        normalisation=normalisation,
    )

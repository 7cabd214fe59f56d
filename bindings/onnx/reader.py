"""The public functions: from an ONNX model to a network, and to its graph."""

import os
from collections.abc import Mapping
from typing import Any, Literal

from netspectra.bindings.onnx.model import open_model
from netspectra.bindings.onnx.walk import Walk
from netspectra.bindings.readers.limits import LoadLimits, as_limits
from netspectra.errors import FileFormatError, GraphError, NetspectraError
from netspectra.graph import LayerGraph
from netspectra.networks import Network, graph_from_network

__all__ = ["graph_from_onnx", "network_from_onnx"]

_BROKEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def network_from_onnx(
    model: str | os.PathLike[str] | Any,
    limits: LoadLimits | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
) -> Network:
    """Return the network that an ONNX model describes, its weights not read.

    Parameters
    ----------
    model : str, path-like or onnx.ModelProto
        Tensors kept in other files are read from the folder of the model only, through no link.
    limits : LoadLimits, optional
        Sizes beyond which a model is refused, before anything is allocated.
    sizes : mapping of str to int, optional
        Of free dimensions of the inputs, by the names that the model gives them; by default 1.

    Returns
    -------
    Network
        Weights of a file are views of a memory map of it.

    Raises
    ------
    FileFormatError
        If it is no model, or one that contradicts itself.
    GraphError
        If its shapes do not chain.
    LimitError
        If it is larger than `limits` allow.
    BackendUnavailableError
        If the package `onnx` is not installed.
    """
    opened = open_model(model, as_limits(limits))
    try:
        return Walk(opened, _checked_sizes(sizes)).network()
    except NetspectraError:
        raise
    except _BROKEN as error:
        msg = (
            f"{opened.source}: expected a sound ONNX model, got one that cannot be followed ({error}); export it again"
        )
        raise FileFormatError(msg) from error


def graph_from_onnx(
    model: str | os.PathLike[str] | Any,
    *,
    norm: Literal["l1", "l2", "operator-1"] = "l1",
    input_layer: bool = True,
    dense_head: bool = True,
    residual: Literal["shared", "per-layer"] = "shared",
    attention: Literal["dimensions", "heads"] = "dimensions",
    normalisation: Literal["fold", "skip"] = "fold",
    sizes: Mapping[str, int] | None = None,
    limits: LoadLimits | None = None,
) -> LayerGraph:
    """Return the graph of neurons of an ONNX model.

    Parameters
    ----------
    model, sizes, limits
        See :func:`network_from_onnx`.
    norm, input_layer, dense_head, residual, attention, normalisation
        See :func:`~netspectra.networks.graph_from_network`.

    Returns
    -------
    LayerGraph

    Raises
    ------
    FileFormatError, GraphError, LimitError, BackendUnavailableError
        As :func:`network_from_onnx`; GraphError also if no graph can be made of the network.
    """
    return graph_from_network(
        network_from_onnx(model, limits, sizes=sizes),
        norm=norm,
        input_layer=input_layer,
        dense_head=dense_head,
        residual=residual,
        attention=attention,
        normalisation=normalisation,
    )


def _checked_sizes(sizes: Mapping[str, int] | None) -> dict[str, int]:
    given: Any = {} if sizes is None else sizes
    if not isinstance(given, Mapping) or not all(type(side) is int and side > 0 for side in given.values()):
        msg = f"sizes must map names of free dimensions to positive integers, got {given!r}"
        raise GraphError(msg)
    return dict(given)

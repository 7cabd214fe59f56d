"""Nested dictionaries of parameters, as Flax (linen, nnx), Haiku and plain JAX keep them, made into a network.

``kernel`` is (in, out) or (*positions, in, out); ``scale`` and ``batch_stats`` belong to normalisations. A pytree does
not say which layers follow which: they are taken in their own order where that chains, else in natural order of their
names, and every other topology is given as an architecture.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netspectra.bindings.readers.arrays import tensor_from
from netspectra.bindings.readers.chain import chain_network
from netspectra.bindings.readers.orientation import OrientationChoice, require_orientation
from netspectra.bindings.readers.tensors import Tensor
from netspectra.errors import GraphError
from netspectra.graph import LayerGraph
from netspectra.networks import Network, graph_from_network
from netspectra.networks.architecture import load_architecture, with_tensors

__all__ = ["graph_from_pytree", "network_from_pytree"]

_COLLECTIONS = ("params", "batch_stats")
_DEEPEST = 64
_MOST_ARRAYS = 100_000


def graph_from_pytree(
    params: Any,
    *,
    order: Sequence[str] | None = None,
    orientation: OrientationChoice = "in-out",
    architecture: str | os.PathLike[str] | Network | None = None,
    **choices: Any,
) -> LayerGraph:
    """Return the layer graph of the network that a pytree of parameters holds.

    Parameters
    ----------
    params, order, orientation, architecture
        See :func:`network_from_pytree`.
    **choices
        Of :class:`~netspectra.networks.GraphChoices`: ``norm``, ``input_layer``, ``dense_head``, ``residual``,
        ``attention``, ``normalisation``.

    Raises
    ------
    GraphError, AmbiguousOrientationError, FileFormatError
        If no network can be made of it.
    """
    network = network_from_pytree(params, order=order, orientation=orientation, architecture=architecture)
    return graph_from_network(network, **choices)


def network_from_pytree(
    params: Any,
    *,
    order: Sequence[str] | None = None,
    orientation: OrientationChoice = "in-out",
    architecture: str | os.PathLike[str] | Network | None = None,
) -> Network:
    """Return the network that a pytree of parameters holds.

    Parameters
    ----------
    params : nested mapping of arrays
        Of ``model.init`` or ``nnx.state(model)``, plain or frozen; with ``batch_stats`` beside ``params`` where there
        are batch normalisations. Variables that keep their array in ``.value`` are opened.
    order : sequence of str, optional
        Paths of exactly the weights of a chain, input side first, such as ``"Dense_0/kernel"``.
    orientation : {"in-out", "out-in", "auto"}, default "in-out"
        How weights are stored; Flax's are (in, out).
    architecture : str, path-like or Network, optional
        A topology whose weights have these paths as keys.

    Raises
    ------
    GraphError, AmbiguousOrientationError, FileFormatError
        If no network can be made of it.
    """
    require_orientation(orientation)
    tensors = {tensor.name: tensor for tensor in _leaves(params)}
    if architecture is not None:
        if order is not None:
            msg = "architecture says the order of all weights; leave order at its default"
            raise GraphError(msg)
        given = architecture if isinstance(architecture, Network) else load_architecture(architecture)
        readable = {name: tensor.weight() for name, tensor in tensors.items() if tensor.dtype is not None}
        return with_tensors(given, readable, label="pytree")
    return chain_network(tensors, order=order, orientation=orientation, label="pytree", in_order=True, origin="flax")


def _leaves(params: Any) -> list[Tensor]:
    """Arrays with their paths; the collections of variables are looked into without becoming part of the path."""
    if not _is_mapping(params):
        came = type(params).__name__
        msg = f"params must be a nested dictionary of arrays, got {came}; pass model.init(...) or nnx.state(model)"
        raise GraphError(msg)
    tree = dict(params.items())
    collections = [name for name in _COLLECTIONS if name in tree and _is_mapping(tree[name])]
    parts = [tree[name] for name in collections] if collections else [tree]
    found: dict[str, Tensor] = {}
    for part in parts:
        for path, value in _walk(part, (), 0):
            if path in found:
                msg = f"params: two arrays have the path {path!r}; pass one model's parameters alone"
                raise GraphError(msg)
            found[path] = tensor_from(path, value)
            if len(found) > _MOST_ARRAYS:
                msg = f"params: expected at most {_MOST_ARRAYS:,} arrays, got more; pass one model's parameters alone"
                raise GraphError(msg)
    return list(found.values())


def _walk(tree: Any, path: tuple[str, ...], depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _DEEPEST:
        msg = f"params: expected at most {_DEEPEST} levels, got more at {'/'.join(path[:4])!r} …; is it cyclic?"
        raise GraphError(msg)
    for key, value in tree.items():
        inner = (*path, str(key))
        if _is_mapping(value):
            yield from _walk(value, inner, depth + 1)
        elif isinstance(value, list | tuple):
            yield from _walk(dict(enumerate(value)), inner, depth + 1)
        elif (array := _opened(value)) is not None:
            yield "/".join(inner), array


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        hasattr(value, "items") and hasattr(value, "keys") and not hasattr(value, "shape")
    )


def _opened(value: Any) -> Any:
    """The array in a variable of nnx or linen, an array as it is; None where there is neither."""
    for _ in range(4):
        if isinstance(value, int | float) or value is None or isinstance(value, str):
            return None
        get = getattr(value, "get_value", None)
        inner = get() if callable(get) else getattr(value, "value", None)
        if inner is None:
            break
        value = inner
    return value if hasattr(value, "shape") and hasattr(value, "dtype") else None

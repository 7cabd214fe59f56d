"""Keras models, on disk or in memory, as a network and as a graph."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from netspectra.bindings.keras.binding import bind_archive, bind_hdf5, bind_objects
from netspectra.bindings.keras.configuration import parse_model
from netspectra.bindings.keras.model_file import ModelFile, open_model_file
from netspectra.bindings.keras.translation import translate
from netspectra.bindings.keras.weights_only import read_chain
from netspectra.bindings.readers.limits import LoadLimits, as_limits
from netspectra.errors import FileFormatError, NetspectraError
from netspectra.graph import LayerGraph
from netspectra.networks import Network, Skipped, graph_from_network

__all__ = ["graph_from_keras", "network_from_keras"]


def network_from_keras(source: Any, limits: LoadLimits | None = None) -> Network:
    """Read a Keras model; neither Keras nor TensorFlow is needed, and nothing of a file is run.

    Parameters
    ----------
    source : str, path-like or Keras model
        A ``.keras`` archive (Keras 3, and Keras 2 from 2.12), a whole-model ``.h5`` file (any Keras), or a model in
        memory. An ``.h5`` file of weights alone is read if they are matrices that chain in the order of the layers.
    limits : LoadLimits, optional
        Sizes beyond which a file is refused, before anything is allocated.

    Returns
    -------
    Network
        Weights of a file that stores them unpacked, as Keras does, are views of a memory map.

    Raises
    ------
    ImportError
        If h5py, which reads the files, is not installed.
    FileFormatError
        If the file is missing, damaged, or holds no Sequential or Functional model.
    LimitError
        If it is larger than `limits` allow.
    """
    allowed = as_limits(limits)
    if hasattr(source, "get_config") and hasattr(source, "layers"):
        return _from_object(source, allowed)
    try:
        path = Path(source)
    except TypeError as error:
        msg = f"expected a path or a Keras model (with get_config and layers), got {type(source).__name__}"
        raise FileFormatError(msg) from error
    if not path.is_file():
        msg = f"{path}: expected a .keras or .h5 file, but there is none; check the path"
        raise FileFormatError(msg)
    with _as_format_errors(os.fspath(path)):
        return _from_file(open_model_file(path, allowed), allowed)


def graph_from_keras(
    source: Any,
    *,
    norm: Literal["l1", "l2", "operator-1"] = "l1",
    input_layer: bool = True,
    dense_head: bool = True,
    residual: Literal["shared", "per-layer"] = "shared",
    attention: Literal["dimensions", "heads"] = "dimensions",
    normalisation: Literal["fold", "skip"] = "fold",
    limits: LoadLimits | None = None,
) -> LayerGraph:
    """Read a Keras model as the graph of its neurons and channels.

    Parameters
    ----------
    source, limits
        See :func:`network_from_keras`.
    norm, input_layer, dense_head, residual, attention, normalisation
        See :func:`netspectra.networks.graph_from_network`.

    Raises
    ------
    ImportError, FileFormatError, LimitError
        See :func:`network_from_keras`.
    GraphError
        If shapes do not fit, or weights are not finite.
    """
    return graph_from_network(
        network_from_keras(source, limits),
        norm=norm,
        input_layer=input_layer,
        dense_head=dense_head,
        residual=residual,
        attention=attention,
        normalisation=normalisation,
    )


def _from_file(file: ModelFile, limits: LoadLimits) -> Network:
    root = "model_weights" if "model_weights" in file.weights.groups else ""
    if file.config is None:
        return read_chain(file.weights, root)
    model = parse_model(file.config)
    weights = bind_archive(model, file.weights) if file.is_archive else bind_hdf5(model, file.weights, root)
    network = translate(model, weights, limits.max_tensors)
    unread = tuple(Skipped(at, reason) for at, reason in file.weights.unread.items())
    return replace(network, skipped=(*network.skipped, *unread))


def _from_object(found: Any, limits: LoadLimits) -> Network:
    name = type(found).__name__
    try:
        config = found.get_config()
    except NotImplementedError as error:
        msg = f"{name}: expected a Sequential or Functional model, got one whose calls only its code knows"
        raise FileFormatError(msg) from error
    with _as_format_errors(name):
        if not isinstance(config, Mapping) or "layers" not in config:
            msg = "expected a Sequential or Functional model, got one whose calls only its code knows"
            raise FileFormatError(msg)
        model = parse_model({"class_name": name, "config": config})
        return translate(model, bind_objects(model, found), limits.max_tensors)


@contextmanager
def _as_format_errors(where: str) -> Iterator[None]:
    """Say where; and say of a configuration that fits nothing that this is so."""
    try:
        yield
    except NetspectraError as error:
        text = str(error)
        raise type(error)(text if text.startswith(where) else f"{where}: {text}") from error
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
        msg = f"{where}: expected a configuration as Keras writes it, got one that makes no sense ({error!r:.200})"
        raise FileFormatError(msg) from error
